/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore drills: what drills have shown. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"
#include "common/json.h"
#include "common/log.h"
#include "restore/cmd.h"
#include "restore/drill_html.h"
#include "restore/drill_list.h"

#define RUN_TEXT_MIN 4 /* digits of a run's name */
#define PAGE_MAX (64 * MIB)

enum { OPT_RUN = 256, OPT_HTML };

static const struct verb_option drills_options[] = {
	{ "run", "RUN",
	  "only this one, by the first digits of its name; with --output json its "
	  "whole report",
	  OPT_RUN },
	{ "html", "FILE", "write the report as a page: of --run, or of the newest one", OPT_HTML },
	{ NULL, NULL, NULL, 0 },
};

static struct drills_options {
	const char *run, *html;
} options;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct drills_options *o = state;

	if (key == OPT_HTML) {
		o->html = value;
		return 0;
	}
	if (strlen(value) < RUN_TEXT_MIN || strlen(value) >= RUN_LOG_ID ||
	    strspn(value, "0123456789abcdef") != strlen(value))
		return err_set(e, ERR_INVALID,
		               "--run: '%.64s' is no name of a run: those have 32 hexadecimal "
		               "digits, of which %d are enough",
		               value, RUN_TEXT_MIN);
	o->run = value;
	return 0;
}

static const struct table_column columns[] = {
	{ "began", "BEGAN", TABLE_TIME },
	{ "plan", "PLAN", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },
	{ "volumes", "VOLUMES", TABLE_NUMBER },
	{ "bytes", "DATA", TABLE_BYTES },
	{ "rpo_ms", "RPO", TABLE_DURATION },
	{ "rto_ms", "RTO", TABLE_DURATION },
	{ "why", "WHY", TABLE_TEXT },
	{ "run", "RUN", TABLE_TEXT },
	{ "passed", NULL, TABLE_BOOL },
	{ "rpo_target_ms", NULL, TABLE_DURATION },
	{ "rto_target_ms", NULL, TABLE_DURATION },
};

static int put_item(const struct drill_item *x, const struct verb_common *common, struct table *t,
                    struct err *e)
{
	auto_drill_report struct drill_report r = { .nwhys = 0 };
	char run[RUN_LOG_ID];

	if (x->report && drill_report_read(x->report, &r, e) < 0)
		return err_wrap(e, "the drill '%s'", x->run);
	(void)snprintf(run, sizeof(run), "%.*s", common->output == OUTPUT_TABLE ? 8 : 32, x->run);
	table_row(t);
	table_number(t, x->began_ns);
	table_text(t, r.plan);
	table_text(t, !x->report  ? "not ended"
	              : r.passed  ? "passed"
	              : r.damaged ? "damage"
	                          : "failed");
	table_number(t, (int64_t)(r.nvolumes + r.left_out));
	table_number(t, (int64_t)r.bytes);
	if (x->report && r.age_s >= 0)
		table_number(t, r.age_s * 1000);
	else
		table_null(t);
	if (x->report)
		table_number(t, (int64_t)(r.took_s * 1000));
	else
		table_null(t);
	table_text(t, r.nwhys ? r.whys[0] : NULL);
	table_text(t, run);
	table_number(t, r.passed);
	table_number(t, r.rpo_s * 1000);
	table_number(t, r.rto_s * 1000);
	return 0;
}

static int print_list(const struct drill_list *l, const struct verb_common *common, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/drills/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		if (put_item(&l->v[i], common, t, e) < 0)
			return -1;
	}
	return table_print(t, stdout, NULL, e);
}

/* The newest of those that were asked for which has a report. */
static int choose(const struct drill_list *l, const struct drill_item **ret, struct err *e)
{
	if (options.run && l->n > 1)
		return err_set(e, ERR_NOT_FOUND, "%zu drills begin with '%s': give more digits",
		               l->n, options.run);
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].report) {
			*ret = &l->v[i];
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "there is no drill%s that has come to its end",
	               options.run ? " of this name" : "");
}

static int write_page(const struct drill_item *x, struct err *e)
{
	CLEANUP(buf_clear) struct buf page = BUF_INIT(PAGE_MAX);
	auto_drill_report struct drill_report r = { .nwhys = 0 };

	if (drill_report_read(x->report, &r, e) < 0)
		return err_wrap(e, "the drill '%s'", x->run);
	drill_html_put(&r, &page);
	if (buf_check(&page, "the page of a report", e) < 0)
		return -1;
	return fd_create_file(AT_FDCWD, options.html, page.data, page.len, 0644, FD_REPLACE, e);
}

static int print_report(const struct drill_item *x, struct err *e)
{
	if (json_dumpf(x->report, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0 &&
	    putchar('\n') != EOF)
		return 0;
	return err_set(e, ERR_IO, "writing the report");
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };
	const struct drill_item *x = NULL;
	auto_repo struct repo *r = NULL;

	(void)state;
	if (cmd_open(common, &r, e) < 0 ||
	    drill_list_load(r, argc > 0 ? argv[0] : NULL, options.run, &l, e) < 0)
		return -1;
	if ((options.run || options.html) && choose(&l, &x, e) < 0)
		return -1;
	if (options.html)
		return write_page(x, e);
	if (options.run && common->output == OUTPUT_JSON)
		return print_report(x, e);
	return print_list(&l, common, e);
}

const struct verb cmd_drills = {
	.name = "drills",
	.args = "[PLAN]",
	.summary = "list the drills of plans, and what they have shown",
	.text = "Reports of drills are kept in the repository, sealed and signed as everything "
		"there is, and read with any key of it. RPO is the age of the oldest point when "
		"the drill began, RTO the time until the last check had passed.\n\n"
		"--html writes one page that needs nothing else: for auditors, and on paper.",
	.examples = "aksdr-restore drills shop --key audit.key\n"
		    "aksdr-restore drills --key audit.key --run 5a0c7d2b --output json\n"
		    "aksdr-restore drills shop --key audit.key --html drill.html",
	.options = drills_options,
	.flags = VERB_STORE | VERB_KEY,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &options,
};
