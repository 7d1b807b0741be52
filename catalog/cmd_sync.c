/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog sync, rebuild. */
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/metrics.h"
#include "catalog/rebuild.h"
#include "common/cancel.h"
#include "common/metric.h"
#include "common/now.h"

static const struct table_column columns[] = {
	{ "commits", "COMMITS", TABLE_NUMBER },
	{ "added", "ADDED", TABLE_NUMBER },
	{ "gone", "GONE", TABLE_NUMBER },
	{ "returned", "RETURNED", TABLE_NUMBER },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER },
	{ "tombstones", "TOMBSTONES", TABLE_NUMBER },
	{ "holds", "HOLDS", TABLE_NUMBER },
	{ "records", NULL, TABLE_NUMBER },
	{ "drills", NULL, TABLE_NUMBER },
	{ "anomalies_found", "NEW ANOMALIES", TABLE_NUMBER },
	{ "anomalies_resolved", "RESOLVED", TABLE_NUMBER },
	{ "anomalies", "ANOMALIES", TABLE_NUMBER },
	{ "geo_durable", NULL, TABLE_NUMBER },
	{ "geo_kind", NULL, TABLE_TEXT },
	{ "geo_cut", NULL, TABLE_TIME },
	{ "geo_behind", NULL, TABLE_NUMBER },
	{ "catalog", NULL, TABLE_TEXT },
};

/* Warns of anomalies that were found at this time, and says how many there are besides. */
static int warn(struct catalog *c, int64_t now_ns, const struct sync_result *r, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT kind, object, other, detail FROM anomalies"
		" WHERE resolved_ns IS NULL AND found_ns = ?1 ORDER BY kind, object, other",
		e);
	int rc;

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	while ((rc = catalog_step(c, s, e)) > 0)
		log_warn("anomaly", LOG_S("kind", catalog_text(s, 0)),
		         LOG_S("object", catalog_text(s, 1)), LOG_S("other", catalog_text(s, 2)),
		         LOG_S("detail", catalog_text(s, 3)));
	if (rc < 0)
		return -1;
	if (r->lost > 0)
		log_warn("restore points are gone from the store without having been expired",
		         LOG_U("points", r->lost));
	if (r->open > r->found)
		log_warn("anomalies of earlier times are not resolved: 'list anomalies' shows them",
		         LOG_U("anomalies", r->open - r->found));
	if (r->geo.why.class != ERR_NONE)
		log_warn("nothing is known of the second region now", LOG_S("why", r->geo.why.msg));
	return 0;
}

static int tell(const struct verb_common *common, const char *path, const struct sync_result *r,
                struct err *e)
{
	auto_table struct table *t = table_new("aksdr/sync/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);

	if (!t)
		return -1;
	table_row(t);
	table_number(t, (int64_t)r->listed);
	table_number(t, (int64_t)r->added);
	table_number(t, (int64_t)r->gone);
	table_number(t, (int64_t)r->returned);
	table_number(t, (int64_t)r->bad);
	table_number(t, (int64_t)r->tombstones);
	table_number(t, (int64_t)r->holds);
	table_number(t, (int64_t)r->records);
	table_number(t, (int64_t)r->drills);
	table_number(t, (int64_t)r->found);
	table_number(t, (int64_t)r->resolved);
	table_number(t, (int64_t)r->open);
	table_number(t, (int64_t)r->geo.durable);
	table_text(t, geo_kind_name(r->geo.cut.kind));
	table_number(t, r->geo.cut.cut_ns);
	table_number(t, (int64_t)r->geo.cut.behind);
	table_text(t, path);
	return table_print(t, stdout, NULL, e);
}

static int write_metrics(struct catalog *c, const char *path, int64_t now_ns, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	const struct metrics_params params = { .now_ns = now_ns };

	metric_build_info(&b);
	return metrics_put(c, &params, &b, e) < 0 ? -1 : metric_write(&b, path, e);
}

static int run(const struct cmd_options *o, const struct verb_common *common, bool rebuild,
               struct err *e)
{
	auto_repo struct repo *r = NULL;
	auto_free char *path = NULL;
	auto_catalog struct catalog *c = NULL;
	struct progress_counts counts = { 0 };
	struct sync_result result;
	auto_store struct store *mirror = NULL;
	struct err why = ERR_INIT;
	struct sync_params params = {
		.now_ns = now_wall_ns(),
		.threads = o->threads,
		.counts = &counts,
	};

	if (cmd_repo(common, &r, e) < 0 || cmd_catalog_path(o, r, &path, e) < 0)
		return -1;
	if (o->mirror)
		mirror = store_open_cancel(o->mirror, STORE_READONLY, cancel_on_signals(), &why);
	/* A copy that is away now is no reason not to learn of the store. */
	if (o->mirror && !mirror && (why.class == ERR_INVALID || why.class == ERR_CANCELLED)) {
		*e = why;
		return err_wrap(e, "the copy");
	}
	params.mirror = mirror;
	params.mirror_why = o->mirror && !mirror ? &why : NULL;
	if (!rebuild && catalog_open(path, CATALOG_WRITE, &c, e) < 0)
		return -1;
	struct progress *p = progress_start(rebuild ? "rebuilding the catalog"
	                                            : "synchronising the catalog",
	                                    common->progress, &counts);
	int rc = rebuild ? rebuild_run(path, r, &params, &result, e)
	                 : sync_run(c, r, &params, &result, e);
	progress_stop(p);
	if (rc < 0 || (!c && catalog_open(path, CATALOG_READ, &c, e) < 0) ||
	    warn(c, params.now_ns, &result, e) < 0 ||
	    (o->metrics && write_metrics(c, o->metrics, params.now_ns, e) < 0))
		return -1;
	return tell(common, path, &result, e);
}

int cmd_sync(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	(void)argc;
	(void)argv;
	return run(state, common, false, e);
}

int cmd_rebuild(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	(void)argc;
	(void)argv;
	return run(state, common, true, e);
}
