/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog reconcile: what a failover left, and going on from there. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "catalog/cmd.h"
#include "catalog/reconcile.h"
#include "common/cancel.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/rollback.h"

enum { OPT_CATALOG = 256, OPT_LEVEL, OPT_ACCEPT, OPT_THREADS };

static const struct verb_option options[] = {
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ "level", "N",
	  "how it is found out which points are whole: 0 by lists and trees, 1 also by the length "
	  "of each pack (default)",
	  OPT_LEVEL },
	{ "accept", NULL, "take the losses for what they are, and let everything go on from here",
	  OPT_ACCEPT },
	{ "threads", "N", "at once (default: two a CPU)", OPT_THREADS },
	{ NULL, NULL, NULL, 0 },
};

static struct job {
	const char *catalog;
	struct reconcile_params params;
} job = { .params.level = 1 };

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc;

	(void)state;
	switch (key) {
	case OPT_CATALOG:
		job.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_LEVEL:
		rc = num_u64("--level", value, 0, 1, &n, e);
		job.params.level = (unsigned)n;
		return rc;
	case OPT_ACCEPT:
		job.params.accept = true;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 64, &n, e);
		job.params.threads = (unsigned)n;
		return rc;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- telling ---- */

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "survived", "SURVIVED", TABLE_NUMBER },
	{ "incomplete", "INCOMPLETE", TABLE_NUMBER },
	{ "lost", "LOST", TABLE_NUMBER },
	{ "newest_whole", "NEWEST THAT IS WHOLE", TABLE_TIME },
	{ "newest_gone", "NEWEST THAT IS NOT", TABLE_TIME },
	{ "loss_ms", "LOSS", TABLE_DURATION },
};

/* ?1 of the statements: what this run accepted, or what nobody has. */
static int64_t losses_of(const struct reconcile_result *r)
{
	return job.params.accept ? r->number : 0;
}

static int fill(struct catalog *c, struct table *t, const struct reconcile_result *r, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, reconcile_volumes_sql, e);
	int rc;

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, losses_of(r));
	while ((rc = catalog_step(c, s, e)) > 0) {
		table_row(t);
		table_text(t, catalog_text(s, 0));
		for (int i = 1; i <= 5; i++)
			table_number(t, sqlite3_column_int64(s, i));
		if (sqlite3_column_type(s, 6) == SQLITE_NULL)
			table_null(t);
		else
			table_number(t, sqlite3_column_int64(s, 6) / 1000000);
	}
	return rc;
}

static json_t *points_json(struct catalog *c, const struct reconcile_result *r, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, reconcile_points_sql, e);
	auto_json json_t *a = json_array();
	int rc;

	if (!s)
		return NULL;
	(void)sqlite3_bind_int64(s, 1, losses_of(r));
	while ((rc = catalog_step(c, s, e)) > 0) {
		json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:s}", "state", catalog_text(s, 0),
		                      "volume", json_text(catalog_text(s, 1), 1024), "session",
		                      catalog_text(s, 2), "frozen",
		                      now_rfc3339(sqlite3_column_int64(s, 3)).s, "received",
		                      now_rfc3339(sqlite3_column_int64(s, 4)).s);

		if (json_array_append_new(a, o) < 0) {
			(void)err_set(e, ERR_NOMEM, "no memory for the output");
			return NULL;
		}
	}
	return rc < 0 ? NULL : STEAL(&a);
}

static json_t *summary(const struct verb_common *common, const struct reconcile_result *r,
                       uint64_t revision, uint64_t seen, json_t *points)
{
	return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "dry_run",
	                 common->dry_run, "accepted", job.params.accept, "points_survived",
	                 (json_int_t)r->survived, "points_incomplete", (json_int_t)r->incomplete,
	                 "points_lost", (json_int_t)r->lost, "points_added", (json_int_t)r->added,
	                 "sessions_open", (json_int_t)r->sessions, "packs_unnamed",
	                 (json_int_t)r->packs, "bytes_unnamed", (json_int_t)r->bytes,
	                 "config_revision", (json_int_t)revision, "config_revision_seen",
	                 (json_int_t)seen, "points", points);
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void print_rest(const struct reconcile_result *r, uint64_t revision, uint64_t seen,
                       const json_t *points)
{
	for (size_t i = 0; i < json_array_size(points); i++) {
		const json_t *p = json_array_get(points, i);

		printf("%s: %s %s, frozen %s\n", text_of(p, "state"), text_of(p, "volume"),
		       text_of(p, "session"), text_of(p, "frozen"));
	}
	printf("restore points that survived: %llu, incomplete: %llu, lost: %llu; sessions without "
	       "an end: %llu; packs that nothing names: %llu (%s)\n",
	       (unsigned long long)r->survived, (unsigned long long)r->incomplete,
	       (unsigned long long)r->lost, (unsigned long long)r->sessions,
	       (unsigned long long)r->packs, num_bytes_text(r->bytes).s);
	if (seen > revision)
		printf("the config went back from revision %llu to %llu: changes of keys and rules "
		       "since then are gone\n",
		       (unsigned long long)seen, (unsigned long long)revision);
}

static int tell(struct catalog *c, const struct verb_common *common,
                const struct reconcile_result *r, uint64_t revision, uint64_t seen, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/reconcile/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);
	auto_json json_t *points = t ? points_json(c, r, e) : NULL;

	if (!points)
		return -1;
	auto_json json_t *extra = summary(common, r, revision, seen, points);
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	if (fill(c, t, r, e) < 0 || table_print(t, stdout, extra, e) < 0)
		return -1;
	if (common->output == OUTPUT_TABLE)
		print_rest(r, revision, seen, points);
	return 0;
}

/* ---- running ---- */

/* A catalog that a dry run may write to: a copy, which goes with it. */
struct trial_file {
	char *path;
};

static void trial_file_clear(struct trial_file *f)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };

	for (size_t i = 0; f->path && i < ARRAY_LEN(suffixes); i++) {
		auto_free char *name = NULL;

		if (asprintf(&name, "%s%s", f->path, suffixes[i]) >= 0)
			(void)unlink(name);
	}
	free(f->path);
}

static int open_trial(const char *path, struct trial_file *f, struct catalog **ret, struct err *e)
{
	auto_catalog struct catalog *c = NULL;

	if (asprintf(&f->path, "%s.trial-%ld", path, (long)getpid()) < 0) {
		f->path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a path");
	}
	return catalog_open(path, CATALOG_READ, &c, e) < 0 || catalog_copy(c, f->path, e) < 0 ||
	                       catalog_open(f->path, CATALOG_WRITE, ret, e) < 0
	               ? -1
	               : 0;
}

/* It must be there: one that is made now knows nothing of what there was. */
static int open_catalog(const char *path, struct catalog **ret, struct err *e)
{
	auto_catalog struct catalog *c = NULL;

	return catalog_open(path, CATALOG_READ, &c, e) < 0
	               ? -1
	               : catalog_open(path, CATALOG_WRITE, ret, e);
}

/* The state directory of this repository; "": there is none. */
static void state_of(const struct verb_common *common, const struct repo *r, char ret[512])
{
	char hex[2 * FORMAT_REPO_ID_BYTES + 1];

	hex_encode(hex, r->keys->repo, sizeof(r->keys->repo));
	ret[0] = '\0';
	if (*common->state && snprintf(ret, 512, "%s/%s", common->state, hex) >= 512)
		ret[0] = '\0';
}

static int verdict(const struct reconcile_result *r, struct err *e)
{
	if (job.params.accept || r->lost + r->incomplete == 0)
		return 0;
	return err_set(e, ERR_PARTIAL,
	               "%llu restore points are lost and %llu are not whole; to go on from what "
	               "there is, run it with --accept",
	               (unsigned long long)r->lost, (unsigned long long)r->incomplete);
}

static int run(void *unused, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	CLEANUP(trial_file_clear) struct trial_file trial = { 0 };
	auto_repo struct repo *r = NULL;
	auto_free char *path = NULL;
	auto_catalog struct catalog *c = NULL;
	struct progress_counts counts = { 0 };
	struct reconcile_result result;
	char state[512];

	(void)unused;
	(void)argc;
	(void)argv;
	/* What this machine remembers of the config must not keep it from looking. */
	if (repo_open_url(common->store, STORE_READONLY, common->key, common->passphrase_file, "",
	                  cancel_on_signals(), &r, e) < 0 ||
	    catalog_path(job.catalog, common->state, common->key, &path, e) < 0 ||
	    (common->dry_run ? open_trial(path, &trial, &c, e) : open_catalog(path, &c, e)) < 0)
		return -1;
	state_of(common, r, state);
	uint64_t seen = state[0] ? rollback_seen(state) : 0;
	job.params.now_ns = now_wall_ns();
	job.params.counts = &counts;
	struct progress *p = progress_start("reconciling", common->progress, &counts);
	int rc = reconcile_run(c, r, &job.params, &result, e);
	progress_stop(p);
	if (rc < 0 ||
	    (job.params.accept && !common->dry_run && seen > 0 &&
	     rollback_accept(state, r->config.revision, r->config.hash, e) < 0) ||
	    tell(c, common, &result, r->config.revision, seen, e) < 0)
		return -1;
	return verdict(&result, e);
}

const struct verb cmd_reconcile = {
	.name = "reconcile",
	.summary = "after a failover: which restore points survived, and which were lost",
	.text = "Compares the catalog, which knows what there was, with what the store has now. A "
		"restore point that is there is 'incomplete' when something that it names is not; "
		"one that was there and was not expired is 'lost'. For each volume it is told how "
		"much that is: from the freeze time of the newest point that is whole to that of "
		"the newest that is not. Nothing is removed from the catalog, and nothing in the "
		"store changes. The exit status is 3 when something was lost.\n"
		"\n"
		"--accept says that this is how things are: the losses are no anomalies any more, "
		"and this machine goes by the config that the store shows, also when it has seen "
		"a later one. Who did it and when is kept in the catalog. Every machine whose "
		"state directory remembers a later config needs the same, or deletes the file "
		"that its message names.\n"
		"\n"
		"The catalog must be one that was kept up to date before the failover.",
	.examples = "aksdr-catalog reconcile --store file:///mnt/copy --key audit.key --dry-run\n"
		    "aksdr-catalog reconcile --store file:///mnt/copy --key audit.key --accept",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.set = set,
	.run = run,
};
