/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog mirror, mirror verify: a copy of the repository in another store. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "catalog/cmd.h"
#include "common/cancel.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/mirror.h"

#define NAMED_MAX 1000 /* objects that are named; all are counted */

enum { OPT_TO = 256, OPT_PARALLEL, OPT_VERIFY, OPT_DELETE, OPT_BACK, OPT_FOLLOW, OPT_READ };

#define COMMON_OPTIONS                                                                   \
	{ "to", "URL", "the store that is, or becomes, the copy (required)", OPT_TO },   \
	{                                                                                \
		"parallel", "N", "objects on their way at once (default 4, at most 32)", \
			OPT_PARALLEL                                                     \
	}

static const struct verb_option mirror_options[] = {
	COMMON_OPTIONS,
	{ "verify", NULL, "read each object back and compare it", OPT_VERIFY },
	{ "delete", NULL,
	  "delete from the copy what a collection deleted from the store; needs a key, of any kind",
	  OPT_DELETE },
	{ "back", NULL,
	  "the copy is a store that was left in a failover: its sessions do not matter, and its "
	  "points that are not here are named",
	  OPT_BACK },
	{ "follow", "DURATION", "do it again after so long, until it is stopped", OPT_FOLLOW },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option verify_options[] = {
	COMMON_OPTIONS,
	{ "read", NULL, "read and compare every byte, not only names and lengths", OPT_READ },
	{ NULL, NULL, NULL, 0 },
};

static struct job {
	struct mirror_params params;
	const char *to;
	bool deletes, read;
	int64_t follow_ms; /* 0: once */
} job;

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int64_t s = 0;

	(void)state;
	switch (key) {
	case OPT_TO:
		job.to = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--to is empty");
	case OPT_PARALLEL:
		if (num_u64("--parallel", value, 1, MIRROR_PARALLEL_MAX, &n, e) < 0)
			return -1;
		job.params.parallel = (unsigned)n;
		return 0;
	case OPT_VERIFY:
		job.params.verify = true;
		return 0;
	case OPT_DELETE:
		job.deletes = true;
		return 0;
	case OPT_BACK:
		job.params.back = true;
		return 0;
	case OPT_FOLLOW:
		if (num_duration("--follow", value, &s, e) < 0)
			return -1;
		if (s <= 0 || s > 7 * 86400)
			return err_set(e, ERR_INVALID, "--follow '%s': from 1s to 7d", value);
		job.follow_ms = s * 1000;
		return 0;
	case OPT_READ:
		job.read = true;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- the two stores ---- */

struct places {
	struct store *from; /* owned, unless repo has it */
	struct store *to;
	struct repo *repo; /* where deletions are asked for */
};

static void places_clear(struct places *p)
{
	if (!p->repo)
		store_free(p->from);
	repo_free(p->repo);
	store_free(p->to);
}

static int open_places(const struct verb_common *common, bool write, struct places *p,
                       struct err *e)
{
	const struct cancel *cancel = cancel_on_signals();

	if (!job.to)
		return err_set(e, ERR_INVALID, "where to? name the copy by --to URL");
	if (job.deletes && !common->key)
		return err_set(e, ERR_INVALID,
		               "--delete needs --key: which objects a collection took can only be "
		               "read with one");
	if (job.deletes && cmd_repo(common, &p->repo, e) < 0)
		return -1;
	p->from = p->repo ? p->repo->store
	                  : store_open_cancel(common->store, STORE_READONLY, cancel, e);
	if (!p->from)
		return -1;
	p->to = store_open_cancel(job.to, write ? 0 : STORE_READONLY, cancel, e);
	if (!p->to)
		return err_wrap(e, "the copy");
	if (strcmp(p->from->url, p->to->url) == 0)
		return err_set(e, ERR_INVALID, "'%s' cannot be a copy of itself", p->to->url);
	job.params.deletions = p->repo;
	job.params.cancel = cancel;
	/* Long lists are kept beside the other local state, where there is a place for it. */
	if (*common->state && access(common->state, W_OK) == 0)
		job.params.scratch = common->state;
	return 0;
}

/* ---- what is told of objects ---- */

struct named {
	json_t *list;
	uint64_t more; /* that are not in the list */
};

static void named_clear(struct named *n)
{
	json_decref(n->list);
}

static int take_object(void *arg, enum mirror_what what, const char *key, const char *text,
                       struct err *e)
{
	struct named *n = arg;

	if (json_array_size(n->list) >= NAMED_MAX) {
		n->more++;
		return 0;
	}
	json_t *o = json_pack("{s:s, s:s, s:o}", "what", mirror_what_name(what), "object", key,
	                      "detail", json_text(text, ERR_MSG_MAX));
	return json_array_append_new(n->list, o) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for a list of objects")
	               : 0;
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/* deleted: also what was deleted, one by one. */
static void print_named(const struct named *n, bool deleted)
{
	for (size_t i = 0; i < json_array_size(n->list); i++) {
		const json_t *o = json_array_get(n->list, i);

		if (!deleted && strcmp(text_of(o, "what"), mirror_what_name(MIRROR_DELETED)) == 0)
			continue;
		printf("%s: %s: %s\n", text_of(o, "what"), text_of(o, "object"),
		       text_of(o, "detail"));
	}
	if (n->more > 0)
		printf("and %llu more\n", (unsigned long long)n->more);
}

/* ---- mirror ---- */

static const struct table_column columns[] = {
	{ "objects_copied", "COPIED", TABLE_NUMBER },
	{ "bytes_copied", "BYTES", TABLE_BYTES },
	{ "points_copied", "POINTS", TABLE_NUMBER },
	{ "objects_there", "THERE", TABLE_NUMBER },
	{ "bytes_there", NULL, TABLE_BYTES },
	{ "conflicts", "CONFLICTS", TABLE_NUMBER },
	{ "damaged", "DAMAGED", TABLE_NUMBER },
	{ "surplus", "SURPLUS", TABLE_NUMBER },
	{ "surplus_points", NULL, TABLE_NUMBER },
	{ "objects_deleted", "DELETED", TABLE_NUMBER },
	{ "bytes_deleted", NULL, TABLE_BYTES },
	{ "not_copied", NULL, TABLE_NUMBER },
	{ "rounds", NULL, TABLE_NUMBER },
	{ "took_ms", "TOOK", TABLE_DURATION },
	{ "dry_run", NULL, TABLE_BOOL },
};

static void print_sentence(FILE *to, const struct mirror_result *r, bool dry_run)
{
	(void)fprintf(to,
	              "%s: %llu objects (%s), %llu restore points; there already: %llu (%s); "
	              "conflicts: %llu; damaged: %llu; only in the copy: %llu",
	              dry_run ? "would copy" : "copied", (unsigned long long)r->copied,
	              num_bytes_text(r->copied_bytes).s, (unsigned long long)r->points,
	              (unsigned long long)r->there, num_bytes_text(r->there_bytes).s,
	              (unsigned long long)r->conflicts, (unsigned long long)r->damaged,
	              (unsigned long long)r->surplus);
	if (r->deleted > 0)
		(void)fprintf(to, "; %s: %llu objects (%s)", dry_run ? "would delete" : "deleted",
		              (unsigned long long)r->deleted, num_bytes_text(r->deleted_bytes).s);
	if (r->foreign > 0)
		(void)fprintf(to, "; not copied, since they are too long for a repository: %llu",
		              (unsigned long long)r->foreign);
	(void)fputc('\n', to);
}

static int tell(const struct verb_common *common, const struct mirror_result *r,
                const struct named *named, int64_t took_ms, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/mirror/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);
	auto_json json_t *extra = json_pack("{s:O}", "objects", named->list);

	if (common->output == OUTPUT_TABLE) {
		print_named(named, common->dry_run);
		if (!common->quiet || r->conflicts + r->damaged > 0)
			print_sentence(stdout, r, common->dry_run);
		return fflush(stdout) == 0 ? 0 : err_sys(e, errno, "writing what was copied");
	}
	if (!t || !extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	table_row(t);
	table_number(t, (int64_t)r->copied);
	table_number(t, (int64_t)r->copied_bytes);
	table_number(t, (int64_t)r->points);
	table_number(t, (int64_t)r->there);
	table_number(t, (int64_t)r->there_bytes);
	table_number(t, (int64_t)r->conflicts);
	table_number(t, (int64_t)r->damaged);
	table_number(t, (int64_t)r->surplus);
	table_number(t, (int64_t)r->surplus_points);
	table_number(t, (int64_t)r->deleted);
	table_number(t, (int64_t)r->deleted_bytes);
	table_number(t, (int64_t)r->foreign);
	table_number(t, (int64_t)r->rounds);
	table_number(t, took_ms);
	table_number(t, common->dry_run);
	return table_print(t, stdout, extra, e);
}

static int verdict(const struct mirror_result *r, struct err *e)
{
	if (r->conflicts + r->damaged == 0)
		return 0;
	return err_set(e, ERR_CORRUPT,
	               "%llu object%s of the copy differ%s from what the store has, and %llu could "
	               "not be copied since %s damaged in the store; see 'repair'",
	               (unsigned long long)r->conflicts, r->conflicts == 1 ? "" : "s",
	               r->conflicts == 1 ? "s" : "", (unsigned long long)r->damaged,
	               r->damaged == 1 ? "it is" : "they are");
}

/* *ret_again: what failed may be otherwise the next time. */
static int once(const struct verb_common *common, const struct places *p, bool *ret_again,
                struct err *e)
{
	CLEANUP(named_clear) struct named named = { .list = json_array() };
	struct progress_counts counts = { 0 };
	struct mirror_params params = job.params;
	struct mirror_result r;
	int64_t began_ns = now_mono_ns();

	params.dry_run = common->dry_run;
	params.counts = &counts;
	params.tell = take_object;
	params.arg = &named;
	struct progress *shown = progress_start("mirroring", common->progress, &counts);
	int rc = mirror_run(p->from, p->to, &params, &r, e);
	progress_stop(shown);
	*ret_again = rc < 0 && err_may_retry(e);
	if (rc < 0 || tell(common, &r, &named, (now_mono_ns() - began_ns) / 1000000, e) < 0)
		return -1;
	*ret_again = true;
	return verdict(&r, e);
}

/* Until it is stopped: what may be otherwise the next time is told, and waited for. */
static int follow(const struct verb_common *common, const struct places *p, struct err *e)
{
	const struct cancel *cancel = job.params.cancel;

	while (!cancel_requested(cancel)) {
		struct pollfd fd = { .fd = cancel->fd, .events = POLLIN };
		struct err why = ERR_INIT;
		bool again = false;

		if (once(common, p, &again, &why) < 0) {
			if (!again) {
				*e = why;
				return -1;
			}
			log_warn("the copy is not complete; trying again", LOG_S("why", why.msg),
			         LOG_U("after_ms", (uint64_t)job.follow_ms));
		}
		(void)poll(&fd, fd.fd >= 0, (int)job.follow_ms);
	}
	return 0;
}

static int run_mirror(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	CLEANUP(places_clear) struct places p = { 0 };
	bool ignored;

	(void)state;
	(void)argc;
	(void)argv;
	if (open_places(common, !common->dry_run, &p, e) < 0)
		return -1;
	return job.follow_ms > 0 ? follow(common, &p, e) : once(common, &p, &ignored, e);
}

/* ---- mirror verify ---- */

static const struct table_column point_columns[] = {
	{ "session", "SESSION", TABLE_TEXT },
	{ "received", "RECEIVED", TABLE_TIME },
	{ "state", "STATE", TABLE_TEXT },
};

/* What both callbacks fill. */
struct seen {
	struct named named;
	struct table *points;
};

static void seen_clear(struct seen *s)
{
	named_clear(&s->named);
	table_free(s->points);
}

static int see_object(void *arg, enum mirror_what what, const char *key, const char *text,
                      struct err *e)
{
	struct seen *s = arg;

	return take_object(&s->named, what, key, text, e);
}

static int see_point(void *arg, const char *session, int64_t received_ns,
                     enum mirror_point_state state, struct err *e)
{
	const struct seen *s = arg;

	(void)e;
	table_row(s->points);
	table_text(s->points, session);
	table_number(s->points, received_ns);
	table_text(s->points, mirror_point_state_name(state));
	return 0;
}

static json_t *summary(const struct mirror_verified *v, const struct named *named)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:O}",
	                 "objects_same", (json_int_t)v->same, "bytes_same",
	                 (json_int_t)v->same_bytes, "objects_missing", (json_int_t)v->missing,
	                 "bytes_missing", (json_int_t)v->missing_bytes, "objects_different",
	                 (json_int_t)v->different, "objects_surplus", (json_int_t)v->surplus,
	                 "bytes_surplus", (json_int_t)v->surplus_bytes, "bytes_read",
	                 (json_int_t)v->read_bytes, "complete_until", now_rfc3339(v->cut_ns).s,
	                 "points_complete", (json_int_t)v->points[MIRROR_POINT_COMPLETE],
	                 "points_unsure", (json_int_t)v->points[MIRROR_POINT_UNSURE],
	                 "points_lacking", (json_int_t)v->points[MIRROR_POINT_LACKING],
	                 "points_surplus", (json_int_t)v->points[MIRROR_POINT_SURPLUS], "objects",
	                 named->list);
}

static int tell_verified(const struct verb_common *common, const struct mirror_verified *v,
                         const struct seen *s, struct err *e)
{
	auto_json json_t *extra = summary(v, &s->named);

	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	if (table_print(s->points, stdout, extra, e) < 0)
		return -1;
	if (common->output != OUTPUT_TABLE)
		return 0;
	print_named(&s->named, true);
	printf("the same: %llu objects (%s%s); missing: %llu (%s); different: %llu; only in the "
	       "copy: %llu; complete until %.23sZ\n",
	       (unsigned long long)v->same, num_bytes_text(v->same_bytes).s,
	       job.read ? ", every byte" : ", by length", (unsigned long long)v->missing,
	       num_bytes_text(v->missing_bytes).s, (unsigned long long)v->different,
	       (unsigned long long)v->surplus, now_rfc3339(v->cut_ns).s);
	return 0;
}

static int run_verify(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	CLEANUP(places_clear) struct places p = { 0 };
	CLEANUP(seen_clear) struct seen s = { .named.list = json_array() };
	struct progress_counts counts = { 0 };
	struct mirror_verified v;

	(void)state;
	(void)argc;
	(void)argv;
	s.points = table_new("aksdr/mirror-verify/v1", point_columns, ARRAY_LEN(point_columns),
	                     common->output, e);
	if (!s.points || open_places(common, false, &p, e) < 0)
		return -1;
	job.params.counts = &counts;
	job.params.tell = see_object;
	job.params.arg = &s;
	struct progress *shown = progress_start("comparing", common->progress, &counts);
	int rc = mirror_verify(p.from, p.to, &job.params, job.read, see_point, &v, e);
	progress_stop(shown);
	if (rc < 0 || tell_verified(common, &v, &s, e) < 0)
		return -1;
	if (v.different > 0)
		return err_set(e, ERR_CORRUPT,
		               "%llu objects of the copy differ from what the store has",
		               (unsigned long long)v.different);
	return v.missing == 0 ? 0
	                      : err_set(e, ERR_PARTIAL, "the copy lacks %llu objects",
	                                (unsigned long long)v.missing);
}

const struct verb cmd_mirror = {
	.name = "mirror",
	.summary = "copy the repository into another store, and keep the copy up to date",
	.text = "Copies every object that --to lacks, as it is: no key is needed, and nothing that "
		"is there is ever written over. The order makes the copy a repository at every "
		"moment: a restore point is there once all that it needs is there. It can be "
		"stopped at any moment and run again, beside backups and collections; where a "
		"collection was at work it looks again.\n"
		"\n"
		"Nobody else may write to the copy: where somebody did, it is refused. An object "
		"that both have and that is not the same is named, and the exit status is 5.\n"
		"\n"
		"--delete also takes away what a collection has taken from the store; what the "
		"store lost otherwise stays in the copy, and is named. --follow makes a service "
		"of it. After a failover to the copy, --back brings the store that was left up "
		"to date.",
	.examples = "aksdr-catalog mirror --store file:///srv/backup --to file:///mnt/copy\n"
		    "aksdr-catalog mirror --to file:///mnt/copy --follow 5m --quiet\n"
		    "aksdr-catalog mirror --to file:///mnt/copy --delete --key audit.key",
	.options = mirror_options,
	.flags = VERB_STORE | VERB_DRY_RUN,
	.set = set,
	.run = run_mirror,
};

const struct verb cmd_mirror_verify = {
	.name = "mirror verify",
	.summary = "compare a copy with the repository",
	.text = "Compares both stores by name and length, or with --read by every byte, and says "
		"of each restore point whether the copy has it: 'complete' with all that was "
		"received before it, 'unsure' where something that is older lacks, 'lacking', or "
		"'surplus' where only the copy has it. The exit status is 3 when the copy lacks "
		"something, and 5 when something differs.\n"
		"\n"
		"No key is needed. Whether what is in the copy is sound is asked of 'check', with "
		"the copy as its --store.",
	.examples = "aksdr-catalog mirror verify --store file:///srv/backup --to file:///mnt/copy",
	.options = verify_options,
	.flags = VERB_STORE,
	.set = set,
	.run = run_verify,
};
