/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog query. */
#include "catalog/cmd.h"
#include "catalog/query.h"

int cmd_query(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct cmd_options *o = state;
	auto_catalog struct catalog *c = NULL;
	struct query_result result;
	const struct query_params params = {
		.sql = argv[0],
		.rows_max = o->limit,
		.timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : QUERY_TIMEOUT_MS,
		.output = common->output,
		.cancel = cancel_on_signals(),
	};

	(void)argc;
	if (cmd_catalog(o, common, &c, e) < 0 || query_run(c, &params, stdout, &result, e) < 0)
		return -1;
	if (result.more)
		log_warn("there are more rows than --limit allows, or than fit in a table",
		         LOG_U("rows", result.rows));
	return 0;
}
