/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog check: the verification of the repository, told and kept. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/row.h"
#include "catalog/trial.h"
#include "common/cancel.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/check.h"

#define KEPT_MAX 10000 /* problems that are told and kept; all are counted */
#define NS_PER_S 1000000000

enum {
	OPT_CATALOG = 256,
	OPT_LEVEL,
	OPT_BUDGET,
	OPT_SAMPLE,
	OPT_MAX_AGE,
	OPT_RESUME,
	OPT_NO_RECORD,
	OPT_SCRATCH,
	OPT_VOLUME,
	OPT_THREADS,
	OPT_FILES
};

static const struct verb_option check_options[] = {
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ "level", "N",
	  "0 names, 1 lengths, 2 frames of packs (default), 3 checksums, 4 data, 5 restores",
	  OPT_LEVEL },
	{ "budget", "SIZE", "read packs of so much, those first that were read the longest ago",
	  OPT_BUDGET },
	{ "sample", "PERCENT", "read so many of a hundred packs, at random", OPT_SAMPLE },
	{ "max-age", "DURATION", "read packs that were not verified within this time",
	  OPT_MAX_AGE },
	{ "resume", NULL, "leave out what a check that was stopped has verified", OPT_RESUME },
	{ "no-record", NULL, "keep no record of what was verified in the store", OPT_NO_RECORD },
	{ "scratch", "DIR", "for level 5: where volumes are restored to, one by one", OPT_SCRATCH },
	{ "volume", "NAME", "for level 5: restore only this one (default: all)", OPT_VOLUME },
	{ "threads", "N", "packs at once (default: two a CPU)", OPT_THREADS },
	{ "files", "N", "name at most so many files that are hurt (default 1000)", OPT_FILES },
	{ NULL, NULL, NULL, 0 },
};

static struct job {
	struct cmd_options options;
	struct check_params params;
	const char *scratch;
	bool no_record;
} job = { .params.level = 2 };

static int set_percent(const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc = num_u64("--sample", value, 1, 100, &n, e);

	job.params.sample_percent = (unsigned)n;
	return rc;
}

static int set_max_age(const char *value, struct err *e)
{
	int64_t s;

	if (num_duration("--max-age", value, &s, e) < 0)
		return -1;
	if (s <= 0 || s > INT64_MAX / NS_PER_S / 2)
		return err_set(e, ERR_INVALID, "--max-age '%s' is no age", value);
	job.params.max_age_ns = s * NS_PER_S;
	return 0;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc;

	(void)state;
	switch (key) {
	case OPT_CATALOG:
		job.options.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	case OPT_LEVEL:
		rc = num_u64("--level", value, 0, CHECK_LEVEL_RESTORE, &n, e);
		job.params.level = (unsigned)n;
		return rc;
	case OPT_BUDGET:
		return num_size("--budget", value, INT64_MAX, &job.params.budget, e);
	case OPT_SAMPLE:
		return set_percent(value, e);
	case OPT_MAX_AGE:
		return set_max_age(value, e);
	case OPT_RESUME:
		job.params.resume = true;
		return 0;
	case OPT_NO_RECORD:
		job.no_record = true;
		return 0;
	case OPT_SCRATCH:
		job.scratch = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--scratch is empty");
	case OPT_VOLUME:
		job.options.volume = value;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 64, &n, e);
		job.params.threads = (unsigned)n;
		return rc;
	case OPT_FILES:
		return num_u64("--files", value, 1, INT64_MAX, &job.params.hurt_max, e);
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

static const struct table_column problem_columns[] = {
	{ "object", "OBJECT", TABLE_TEXT },
	{ "kind", "PROBLEM", TABLE_TEXT },
	{ "chunks", "CHUNKS HURT", TABLE_NUMBER },
	{ "detail", "DETAIL", TABLE_TEXT },
};

static const struct table_column hurt_columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "session", "RESTORE POINT", TABLE_TEXT },
	{ "entries", "ENTRIES", TABLE_NUMBER },
	{ "path", "PATH THAT IS HURT", TABLE_TEXT },
};

/* What the check says, until it has ended. */
struct findings {
	struct check_problem *problems; /* with owned texts */
	size_t n, cap;
	json_t *hurt; /* array */
};

static void findings_clear(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free((char *)(uintptr_t)f->problems[i].object);
		free((char *)(uintptr_t)f->problems[i].text);
	}
	free(f->problems);
	json_decref(f->hurt);
}

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct findings *f = arg;
	struct check_problem kept = *p;

	if (f->n == KEPT_MAX)
		return 0;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;
		struct check_problem *v = reallocarray(f->problems, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for the problems");
		f->problems = v;
		f->cap = cap;
	}
	kept.object = strdup(p->object);
	kept.text = strdup(p->text);
	f->problems[f->n++] = kept;
	return kept.object && kept.text ? 0 : err_set(e, ERR_NOMEM, "no memory for the problems");
}

int cmd_check_add_hurt(json_t *list, const struct check_hurt *h, struct err *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:I}", "session", h->session, "volume",
	                      h->volume, "path", h->path, "subtree", h->subtree, "entries",
	                      (json_int_t)h->entries);

	if (json_array_append_new(list, o) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the files that are hurt");
	return 0;
}

static int take_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	const struct findings *f = arg;

	return cmd_check_add_hurt(f->hurt, h, e);
}

/* ---- telling ---- */

/* What the check and the trials have found. */
struct checked_all {
	struct check_result result;
	uint64_t restored; /* points, on trial */
	bool ages;         /* the result has them */
};

/* What was looked at and found, as members of the output. NULL: no memory. */
static json_t *summary_json(const struct checked_all *c, json_t *hurt)
{
	const struct check_result *r = &c->result;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "points", r->points },
		{ "points_expired", r->points_expired },
		{ "packs", r->packs },
		{ "node_packs", r->node_packs },
		{ "pack_bytes", r->pack_bytes },
		{ "nodes", r->nodes },
		{ "chunks", r->chunks },
		{ "segments", r->segments },
		{ "unknown_segments", r->unknown_segments },
		{ "open_sessions", r->open_sessions },
		{ "unreferenced", r->unreferenced },
		{ "unreferenced_bytes", r->unreferenced_bytes },
		{ "unknown_packs", r->unknown_packs },
		{ "known_damaged", r->known_damaged },
		{ "foreign", r->foreign },
		{ "packs_chosen", r->packs_chosen },
		{ "bytes_chosen", r->bytes_chosen },
		{ "packs_verified", r->packs_verified },
		{ "bytes_verified", r->bytes_verified },
		{ "points_restored", c->restored },
		{ "revoked", r->revoked },
		{ "objects", r->objects },
		{ "bytes_read", r->bytes_read },
		{ "problems_found", r->problems },
		{ "hurt_points", r->hurt_points },
		{ "hurt_entries", r->hurt_entries },
	};
	auto_json json_t *o = json_pack("{s:s, s:s, s:i, s:b, s:b, s:s, s:s}", "verdict",
	                                r->problems ? "damaged" : "ok", "run", r->run, "level",
	                                (int)r->level, "all", r->all, "recorded", r->recorded,
	                                "started", now_rfc3339(r->started_ns).s, "finished",
	                                now_rfc3339(r->finished_ns).s);

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_t *n = json_integer((json_int_t)numbers[i].value);

		if (json_object_set_new(o, numbers[i].name, n) < 0)
			return NULL;
	}
	if (c->ages && (json_object_set_new(o, "never_verified",
	                                    json_integer((json_int_t)r->never_verified)) < 0 ||
	                json_object_set_new(o, "oldest_verified",
	                                    r->oldest_ns ? json_string(now_rfc3339(r->oldest_ns).s)
	                                                 : json_null()) < 0))
		return NULL;
	return json_object_set(o, "hurt", hurt) < 0 ? NULL : STEAL(&o);
}

static int print_problems(const struct findings *f, const struct checked_all *c, enum output output,
                          struct err *e)
{
	auto_table struct table *t = table_new("aksdr/check/v1", problem_columns,
	                                       ARRAY_LEN(problem_columns), output, e);
	auto_json json_t *extra = summary_json(c, f->hurt);

	if (!t)
		return -1;
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	for (size_t i = 0; i < f->n; i++) {
		const struct check_problem *p = &f->problems[i];

		table_row(t);
		table_text(t, p->object);
		table_text(t, check_what_name(p->what));
		table_number(t, (int64_t)p->chunks);
		table_text(t, p->text);
	}
	if (output == OUTPUT_TABLE && f->n == 0)
		return 0;
	return table_print(t, stdout, extra, e);
}

static int print_hurt(const struct findings *f, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/check/v1", hurt_columns,
	                                       ARRAY_LEN(hurt_columns), OUTPUT_TABLE, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < json_array_size(f->hurt); i++) {
		const json_t *h = json_array_get(f->hurt, i);
		const char *path = json_string_value(json_object_get(h, "path"));
		bool subtree = json_is_true(json_object_get(h, "subtree"));
		auto_free char *text = NULL;

		if (asprintf(&text, "/%s%s", path, subtree ? " and what follows it" : "") < 0)
			return err_set(e, ERR_NOMEM, "no memory for the output");
		table_row(t);
		table_text(t, json_string_value(json_object_get(h, "volume")));
		table_text(t, json_string_value(json_object_get(h, "session")));
		table_number(t, json_integer_value(json_object_get(h, "entries")));
		table_text(t, text);
	}
	return json_array_size(f->hurt) ? table_print(t, stdout, NULL, e) : 0;
}

/* Where not all was read: how much was, and how old what is known of the rest is. */
static void print_chosen(FILE *to, const struct checked_all *c)
{
	const struct check_result *r = &c->result;

	(void)fprintf(to, "read in full: %llu of %llu packs (%s)",
	              (unsigned long long)r->packs_chosen,
	              (unsigned long long)(r->packs + r->node_packs),
	              num_bytes_text(r->bytes_chosen).s);
	if (c->ages && r->never_verified)
		(void)fprintf(to, "; never verified before this check: %llu",
		              (unsigned long long)r->never_verified);
	if (c->ages && r->oldest_ns)
		(void)fprintf(to, "; verified the longest ago: %.19sZ",
		              now_rfc3339(r->oldest_ns).s);
	(void)fputc('\n', to);
}

/* For people: what was looked at, and the verdict. */
static void print_verdict(FILE *to, const struct checked_all *c)
{
	const struct check_result *r = &c->result;

	(void)fprintf(to, "level %u: %s: %llu restore points, %llu packs of %s, %s read", r->level,
	              r->problems ? "DAMAGED" : "ok", (unsigned long long)r->points,
	              (unsigned long long)(r->packs + r->node_packs),
	              num_bytes_text(r->pack_bytes).s, num_bytes_text(r->bytes_read).s);
	if (c->restored)
		(void)fprintf(to, ", %llu restored on trial", (unsigned long long)c->restored);
	if (r->problems)
		(void)fprintf(to, "; problems: %llu; hurt: %llu entries of %llu restore points",
		              (unsigned long long)r->problems, (unsigned long long)r->hurt_entries,
		              (unsigned long long)r->hurt_points);
	if (r->open_sessions || r->unreferenced)
		(void)fprintf(to, "; left over: %llu sessions without an end, %llu packs (%s)",
		              (unsigned long long)r->open_sessions,
		              (unsigned long long)r->unreferenced,
		              num_bytes_text(r->unreferenced_bytes).s);
	if (r->known_damaged)
		(void)fprintf(to, "; marked as damaged before, and not needed: %llu",
		              (unsigned long long)r->known_damaged);
	if (r->revoked)
		(void)fprintf(to, "; of revoked keys or fenced sites, not counting: %llu objects",
		              (unsigned long long)r->revoked);
	(void)fputc('\n', to);
	if (r->level >= 3 && r->packs_chosen < r->packs + r->node_packs)
		print_chosen(to, c);
}

static int tell(const struct verb_common *common, const struct findings *f,
                const struct checked_all *c, struct err *e)
{
	if (print_problems(f, c, common->output, e) < 0)
		return -1;
	if (common->output == OUTPUT_TABLE && print_hurt(f, e) < 0)
		return -1;
	if (common->output == OUTPUT_TABLE)
		print_verdict(stdout, c);
	else if (common->output == OUTPUT_CSV && !common->quiet)
		print_verdict(stderr, c);
	return 0;
}

/* The result stays in the catalog; where that cannot be written, the check still counts. */
static void keep(const struct repo *r, const struct findings *f, const struct check_result *result)
{
	const struct cmd_options *o = &job.options;
	auto_free char *path = NULL;
	auto_catalog struct catalog *c = NULL;
	struct err why = ERR_INIT;
	const struct row_check check = {
		.result = result,
		.key_kind = r->keys->kind,
		.problems = f->problems,
		.nproblems = f->n,
	};

	if (!o->catalog && !r->state[0])
		return; /* no state is wanted */
	if (cmd_catalog_path(o, r, &path, &why) < 0 ||
	    catalog_open(path, CATALOG_WRITE, &c, &why) < 0 ||
	    row_bind_repository(c, r->keys, &why) < 0 || row_add_check(c, &check, &why) < 0)
		log_warn("the result is not kept in the catalog", LOG_S("why", why.msg));
}

/* ---- trials ---- */

/* The newest restore point of each volume. */
struct newest {
	struct newest_point {
		char voltag[17];
		int64_t frozen_ns;
		char *name; /* owned: "cluster/namespace/name@ID" */
		char *key;  /* owned: "commit/..." */
	} * v;
	size_t n, cap;
};

static void newest_clear(struct newest *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].key);
	}
	free(l->v);
}

static int name_point(struct newest_point *x, const struct point *p, struct err *e)
{
	const struct point_volume *v = &p->volume;
	char *name = NULL;
	char *key = NULL;

	if (asprintf(&name, "%s%s%s%s%s@%s", v->cluster, v->cluster[0] ? "/" : "", v->namespace,
	             v->namespace[0] ? "/" : "", v->name, p->id) < 0)
		name = NULL;
	if (asprintf(&key, "commit/%s", p->session) < 0)
		key = NULL;
	free(x->name);
	free(x->key);
	x->name = name;
	x->key = key;
	x->frozen_ns = p->frozen_ns;
	return name && key ? 0 : err_set(e, ERR_NOMEM, "no memory for the name of a point");
}

static int take_newest(void *arg, const struct point *p, struct err *e)
{
	struct newest *l = arg;

	for (size_t i = 0; i < l->n; i++) {
		if (strncmp(l->v[i].voltag, strchr(p->session, '/') + 1, 16) == 0)
			return p->frozen_ns > l->v[i].frozen_ns ? name_point(&l->v[i], p, e) : 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct newest_point *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of volumes");
		l->v = v;
		l->cap = cap;
	}
	struct newest_point *x = &l->v[l->n++];
	*x = (struct newest_point){ 0 };
	memcpy(x->voltag, strchr(p->session, '/') + 1, 16);
	return name_point(x, p, e);
}

/* One that does not open was told of by the check. */
static int pass_over(void *arg, const char *key, const struct err *why, struct err *e)
{
	(void)arg;
	(void)key;
	(void)why;
	(void)e;
	return 0;
}

static int gather_newest(const struct repo *r, struct newest *l, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };

	if (!job.options.volume)
		return repo_points(r, NULL, take_newest, pass_over, l, e);
	return repo_find(r, job.options.volume, &p, e) < 0 ? -1 : take_newest(l, &p, e);
}

static int try_all(const struct verb_common *common, const struct repo *r, struct findings *f,
                   struct checked_all *c, struct err *e)
{
	const struct trial t = { .common = common, .scratch = job.scratch, .cancel = r->cancel };
	CLEANUP(newest_clear) struct newest l = { 0 };
	char why[ERR_MSG_MAX];

	if (gather_newest(r, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		if (!common->quiet)
			log_info("restoring on trial", LOG_S("point", l.v[i].name));
		if (trial_restore(&t, l.v[i].name, why, e) < 0)
			return -1;
		c->restored++;
		if (!why[0])
			continue;
		const struct check_problem p = { .object = l.v[i].key,
			                         .what = CHECK_DAMAGED,
			                         .text = why };
		c->result.problems++;
		if (take_problem(f, &p, e) < 0)
			return -1;
	}
	c->result.level = CHECK_LEVEL_RESTORE;
	c->result.all &= !job.options.volume;
	return 0;
}

/* ---- running ---- */

static int options_valid(const struct check_params *p, bool restores, struct err *e)
{
	if (restores && !job.scratch)
		return err_set(e, ERR_INVALID,
		               "level 5 needs --scratch DIR, with room for the largest volume");
	if (!restores && (job.scratch || job.options.volume))
		return err_set(e, ERR_INVALID, "--scratch and --volume are for level 5");
	if (p->budget > 0 && p->sample_percent > 0)
		return err_set(e, ERR_INVALID, "--budget and --sample exclude each other");
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	CLEANUP(findings_clear) struct findings f = { .hurt = json_array() };
	struct progress_counts counts = { 0 };
	struct check_params *p = &job.params;
	bool restores = p->level == CHECK_LEVEL_RESTORE;
	struct checked_all c = { .ages = p->budget || p->max_age_ns || p->resume };

	(void)state;
	(void)argc;
	(void)argv;
	if (options_valid(p, restores, e) < 0 ||
	    repo_open_url(common->store, job.no_record ? STORE_READONLY : 0, common->key,
	                  common->passphrase_file, common->state, cancel_on_signals(), &r, e) < 0)
		return -1;
	p->level = restores ? CHECK_LEVEL_MAX : p->level;
	p->record = !job.no_record && r->keys->has_sign && (r->store->caps & STORE_CAP_WRITE);
	p->counts = &counts;
	p->problem = take_problem;
	p->hurt = take_hurt;
	p->arg = &f;
	if (!p->record && !job.no_record && c.ages)
		log_warn("what is verified is not recorded: that needs an agent key, and the right "
		         "to write");
	struct progress *shown = progress_start("checking", common->progress, &counts);
	int rc = check_run(r, p, &c.result, e);
	progress_stop(shown);
	if (rc < 0 || (restores && try_all(common, r, &f, &c, e) < 0))
		return -1;
	if (p->record && !c.result.recorded)
		log_warn("there is no full record of the check in the store",
		         LOG_S("why", c.result.unrecorded.msg));
	keep(r, &f, &c.result);
	if (tell(common, &f, &c, e) < 0)
		return -1;
	if (c.result.problems == 0)
		return 0;
	return err_set(e, ERR_CORRUPT, "the repository is damaged: %llu problem%s found",
	               (unsigned long long)c.result.problems, c.result.problems == 1 ? "" : "s");
}

const struct verb cmd_check = {
	.name = "check",
	.summary = "verify the repository",
	.text = "Level 0 opens every restore point and index segment, walks all trees, and "
		"compares what they name with the list of packs. Level 1 asks each pack for its "
		"length. "
		"Level 2 verifies signature, header and footer of each pack, and each place that "
		"trees and index tell. Level 3 verifies a checksum of every ciphertext; no data "
		"key is needed. Level 4 decrypts every chunk and computes its id again; it needs "
		"a recovery key. Level 5 also restores the newest point of every volume into "
		"--scratch, compares it, and removes it.\n"
		"\n"
		"With an agent key a record of what was verified is kept in the store. By these "
		"records --budget reads a share of the packs each day and gets around all of "
		"them, --max-age reads what was not read lately, and --resume goes on after a "
		"check that was stopped. All other levels are done in full.\n"
		"\n"
		"Problems are told by object, then the files of restore points that are hurt by "
		"them. Points that are expired are not looked at. The result is kept in the "
		"catalog ('list checks'). The exit status is 5 when something was found; 'repair' "
		"mends what can be mended.",
	.examples = "aksdr-catalog check --key audit.key --level 3\n"
		    "aksdr-catalog check --key agent.key --level 3 --budget 10GiB\n"
		    "aksdr-catalog check --key recovery.key --level 5 --scratch /mnt/scratch",
	.options = check_options,
	.flags = VERB_STORE | VERB_KEY,
	.set = set,
	.run = run,
};
