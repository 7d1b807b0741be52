/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent reconcile: removes what runs that died have left on this machine. */
#include <stdio.h>

#include "agent/cmd.h"
#include "agent/workplace.h"
#include "common/table.h"

static const struct table_column columns[] = {
	{ "removed", "REMOVED", TABLE_NUMBER },
};

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	CLEANUP(workplace_close) struct workplace w = { NULL, NULL };
	size_t removed = 0;

	(void)state;
	(void)argc;
	(void)argv;
	if (workplace_open(c->state, &w, e) < 0)
		return -1;
	auto_table struct table *t = table_new("aksdr/agent-reconcile/v1", columns,
	                                       ARRAY_LEN(columns), c->output, e);
	if (!t)
		return -1;
	int rc = workplace_tidy(&w, &removed, e);
	table_row(t);
	table_number(t, (int64_t)removed);
	struct err unprinted = ERR_INIT;
	if (!(c->quiet && c->output == OUTPUT_TABLE) &&
	    table_print(t, stdout, NULL, &unprinted) < 0 && rc == 0) {
		*e = unprinted;
		rc = -1;
	}
	return rc;
}

const struct verb cmd_reconcile = {
	.name = "reconcile",
	.summary = "remove what runs that died have left on this machine",
	.text = "Snapshots, copies and logical volumes that a backup makes are noted in the state "
		"directory before they are made. What a run that is no longer alive has noted is "
		"removed. Every backup does the same when it starts; runs that are under way are "
		"not touched.",
	.examples = "aksdr-agent reconcile",
	.flags = VERB_LOCAL,
	.run = run,
};
