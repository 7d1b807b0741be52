/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog lock: nothing that a restore point needs can be deleted before its time. */
#include <jansson.h>
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/locks.h"
#include "catalog/row.h"
#include "common/cancel.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/protect.h"

#define YEARS_MAX_S ((int64_t)100 * 366 * 86400)

enum { OPT_FOR = 256, OPT_MARGIN, OPT_ALL, OPT_THREADS, OPT_CATALOG };

static const struct verb_option options[] = {
	{ "for", "DURATION",
	  "so long after its receipt no point can be deleted (default: the parameter lock of the "
	  "store's URL)",
	  OPT_FOR },
	{ "margin", "DURATION",
	  "extend a lock by so much more than it must be, so that the next runs find it long "
	  "enough (default: a quarter of the lock)",
	  OPT_MARGIN },
	{ "all", NULL, "tell of every point, not only of those that are not safe", OPT_ALL },
	{ "threads", "N", "that read trees (default: two a CPU, at most 16)", OPT_THREADS },
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ NULL, NULL, NULL, 0 },
};

static struct lock_options {
	int64_t lock_s, margin_s; /* -1: not given */
	bool all;
	unsigned threads;
	struct cmd_options options; /* of the catalog */
} lock = { .lock_s = -1, .margin_s = -1 };

static int set_duration(const char *what, const char *value, int64_t *ret_s, struct err *e)
{
	if (num_duration(what, value, ret_s, e) < 0)
		return -1;
	if (*ret_s < 0 || *ret_s > YEARS_MAX_S)
		return err_set(e, ERR_INVALID, "%s '%s' is no time of up to a hundred years", what,
		               value);
	return 0;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc = 0;

	(void)state;
	switch (key) {
	case OPT_FOR:
		return set_duration("--for", value, &lock.lock_s, e);
	case OPT_MARGIN:
		return set_duration("--margin", value, &lock.margin_s, e);
	case OPT_ALL:
		lock.all = true;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 16, &n, e);
		lock.threads = (unsigned)n;
		return rc;
	case OPT_CATALOG:
		lock.options.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- which points ---- */

struct wanted {
	char (*sessions)[POINT_SESSION_LEN + 1]; /* owned */
	const char **names;                      /* owned; into sessions */
	size_t n;
};

static void wanted_clear(struct wanted *w)
{
	free(w->sessions);
	free(w->names);
}

static int find_wanted(const struct repo *r, int argc, char **argv, struct wanted *w, struct err *e)
{
	if (argc == 0)
		return 0;
	w->sessions = calloc((size_t)argc, sizeof(*w->sessions));
	w->names = calloc((size_t)argc, sizeof(*w->names));
	if (!w->sessions || !w->names)
		return err_set(e, ERR_NOMEM, "no memory for %d restore points", argc);
	for (int i = 0; i < argc; i++) {
		CLEANUP(point_clear) struct point p = { 0 };

		if (repo_find(r, argv[i], &p, e) < 0)
			return -1;
		memcpy(w->sessions[i], p.session, POINT_SESSION_LEN);
		w->names[i] = w->sessions[i];
		w->n++;
	}
	return 0;
}

/* ---- telling ---- */

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },     { "short", "POINT", TABLE_TEXT },
	{ "received", "RECEIVED", TABLE_TIME }, { "wanted_until", "LOCK UNTIL", TABLE_TIME },
	{ "locked_until", "SAFE", TABLE_TIME }, { "state", "STATE", TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
};

struct report {
	const struct repo *repo;
	struct table *t;
	int64_t now_ns;
	bool any;
	/* The same in the catalog, which is opened for the first point. */
	struct catalog *catalog; /* owned */
	struct locks locks;      /* of it */
	bool tried;
	struct err why; /* why nothing is kept there; class NONE: it is, or none is wanted */
};

static void report_clear(struct report *rep)
{
	locks_clear(&rep->locks);
	catalog_free(rep->catalog);
}

/* Opens the catalog, if one is wanted. Where it cannot be written the locks still count. */
static void open_catalog(struct report *rep)
{
	auto_free char *path = NULL;

	rep->tried = true;
	if (!lock.options.catalog && !rep->repo->state[0])
		return;
	if (cmd_catalog_path(&lock.options, rep->repo, &path, &rep->why) < 0 ||
	    catalog_open(path, CATALOG_WRITE, &rep->catalog, &rep->why) < 0 ||
	    row_bind_repository(rep->catalog, rep->repo->keys, &rep->why) < 0)
		return;
	(void)!locks_begin(rep->catalog, rep->now_ns, &rep->locks, &rep->why);
}

static void keep_point(struct report *rep, const struct protect_point *x)
{
	if (!rep->tried)
		open_catalog(rep);
	if (rep->locks.add && rep->why.class == ERR_NONE)
		(void)!locks_point(&rep->locks, x, &rep->why);
}

static void keep_end(struct report *rep, const struct protect_params *params,
                     const struct protect_result *r)
{
	if (!rep->tried)
		open_catalog(rep);
	if (rep->locks.add && rep->why.class == ERR_NONE)
		(void)!locks_end(&rep->locks, params, r, &rep->why);
	if (rep->why.class != ERR_NONE)
		log_warn("what was found is not kept in the catalog", LOG_S("why", rep->why.msg));
}

static int take_point(void *arg, const struct protect_point *x, struct err *e)
{
	struct report *rep = arg;
	CLEANUP(point_clear) struct point p = { 0 };
	char volume[3 * POINT_NAME_MAX + 3];
	char id[9] = "";
	bool over = x->wanted_ns <= rep->now_ns;

	keep_point(rep, x);
	if (!lock.all && (over || x->covered))
		return 0;
	if (repo_point_at(rep->repo, x->session, x->received_ns, &p, e) < 0)
		return -1;
	(void)snprintf(volume, sizeof(volume), "%s%s%s%s%s", p.volume.cluster,
	               p.volume.cluster[0] ? "/" : "", p.volume.namespace,
	               p.volume.namespace[0] ? "/" : "", p.volume.name);
	(void)snprintf(id, sizeof(id), "%.8s", x->session + POINT_SESSION_RANDOM);
	rep->any = true;
	table_row(rep->t);
	table_text(rep->t, volume);
	table_text(rep->t, id);
	table_number(rep->t, x->received_ns);
	table_number(rep->t, x->wanted_ns);
	/* Of one whose time is over nothing was asked. */
	table_number(rep->t, over ? 0 : x->safe_ns);
	table_text(rep->t, over ? "over" : x->covered ? "locked" : "not safe");
	table_text(rep->t, x->session);
	return 0;
}

static json_t *summary(const struct protect_result *r, bool dry_run)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "points",
	                 (json_int_t)r->points, "points_locked", (json_int_t)(r->covered - r->over),
	                 "points_over", (json_int_t)r->over, "points_not_safe",
	                 (json_int_t)(r->points - r->covered), "objects", (json_int_t)r->objects,
	                 "objects_too_short", (json_int_t)r->too_short, "objects_extended",
	                 (json_int_t)r->extended, "objects_missing", (json_int_t)r->missing,
	                 "unreadable", (json_int_t)r->unreadable, "dry_run", dry_run);
}

static int tell(const struct verb_common *common, const struct report *rep,
                const struct protect_result *r, struct err *e)
{
	auto_json json_t *extra = summary(r, common->dry_run);

	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	if ((rep->any || common->output != OUTPUT_TABLE) &&
	    table_print(rep->t, stdout, extra, e) < 0)
		return -1;
	if (common->output != OUTPUT_TABLE || common->quiet)
		return 0;
	printf("%llu restore points: %llu locked, %llu whose time is over, %llu not safe; "
	       "looked at %llu objects, %s%llu\n",
	       (unsigned long long)r->points, (unsigned long long)(r->covered - r->over),
	       (unsigned long long)r->over, (unsigned long long)(r->points - r->covered),
	       (unsigned long long)r->objects, common->dry_run ? "would extend " : "extended ",
	       (unsigned long long)(common->dry_run ? r->too_short : r->extended));
	return 0;
}

/* ---- running ---- */

static int times(const struct repo *r, struct protect_params *p, struct err *e)
{
	p->lock_s = lock.lock_s >= 0 ? lock.lock_s : r->store->lock_s;
	if (p->lock_s <= 0)
		return err_set(e, ERR_INVALID,
		               "nothing says how long restore points are to be locked: add "
		               "lock=30d to the store's URL, or give --for");
	p->margin_s = lock.margin_s >= 0 ? lock.margin_s : p->lock_s / PROTECT_MARGIN_SHARE;
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	CLEANUP(wanted_clear) struct wanted w = { 0 };
	auto_repo struct repo *r = NULL;
	auto_table struct table *t = table_new("aksdr/lock/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);
	struct progress_counts counts = { 0 };
	struct protect_result result;

	(void)state;
	if (!t ||
	    repo_open_url(common->store, common->dry_run ? STORE_READONLY : 0, common->key,
	                  common->passphrase_file, common->state, cancel_on_signals(), &r, e) < 0)
		return -1;
	CLEANUP(report_clear)
	struct report rep = { .repo = r, .t = t, .now_ns = now_wall_ns(), .why = ERR_INIT };
	struct protect_params params = {
		.now_ns = rep.now_ns,
		.dry_run = common->dry_run,
		.threads = lock.threads,
		.counts = &counts,
		.point = take_point,
		.arg = &rep,
	};
	if (times(r, &params, e) < 0 || find_wanted(r, argc, argv, &w, e) < 0)
		return -1;
	params.sessions = w.names;
	params.nsessions = w.n;
	struct progress *shown = progress_start("locking", common->progress, &counts);
	int rc = protect_run(r, &params, &result, e);
	progress_stop(shown);
	if (rc == 0)
		keep_end(&rep, &params, &result);
	return rc < 0 || tell(common, &rep, &result, e) < 0 ? -1 : protect_verdict(&result, e);
}

const struct verb cmd_lock = {
	.name = "lock",
	.args = "[POINT...]",
	.summary = "see to it that the store lets nobody delete restore points before their time",
	.text = "With the parameter lock in its URL the store locks each object for that time "
		"after its upload. A restore point that uses older objects again needs them "
		"longer than that: this works out until when each object is needed, by all "
		"restore points or those that are named, and extends the locks that are too "
		"short. Run it after backups, daily; it can be stopped at any moment and run "
		"again, and does nothing to objects whose locks are long enough.\n"
		"\n"
		"It tells of points that are not safe, and until when they are, and keeps that in "
		"the catalog for reports and 'comply'; the exit status is 3 then. --dry-run "
		"changes nothing and tells the same. --for with a POINT locks that point for "
		"longer.\n"
		"\n"
		"Any key file will do. The identity at the store needs the right to set "
		"retention, and none to delete. The store must be set up for it: "
		"docs/OPERATIONS.md, Immutability.",
	.examples = "aksdr-catalog lock --store 's3://bucket/prod?lock=30d' --key audit.key\n"
		    "aksdr-catalog lock --dry-run --all --output json\n"
		    "aksdr-catalog lock shop/orders@2026-12-31 --for 10y",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1000,
	.set = set,
	.run = run,
};
