/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog repair: mends what can be mended, and says what cannot. */
#include <jansson.h>
#include <string.h>

#include "catalog/cmd.h"
#include "common/cancel.h"
#include "common/json.h"
#include "common/num.h"
#include "repo/repair.h"

enum { OPT_LEVEL = 256, OPT_FROM, OPT_THREADS, OPT_FILES };

static const struct verb_option options[] = {
	{ "level", "N",
	  "how damage is looked for: 2 frames of packs, 3 checksums (default), 4 data", OPT_LEVEL },
	{ "from", "URL", "a second store of this repository, to put back what is lost here",
	  OPT_FROM },
	{ "threads", "N", "packs at once (default: two a CPU)", OPT_THREADS },
	{ "files", "N", "name at most so many files that are hurt (default 1000)", OPT_FILES },
	{ NULL, NULL, NULL, 0 },
};

static struct job {
	struct repair_params params;
	const char *from;
} job = { .params.level = 3 };

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc;

	(void)state;
	switch (key) {
	case OPT_LEVEL:
		rc = num_u64("--level", value, 2, CHECK_LEVEL_MAX, &n, e);
		job.params.level = (unsigned)n;
		return rc;
	case OPT_FROM:
		job.from = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--from is empty");
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

/* ---- telling ---- */

static const struct table_column columns[] = {
	{ "object", "OBJECT", TABLE_TEXT },
	{ "action", "ACTION", TABLE_TEXT },
	{ "chunks", "CHUNKS", TABLE_NUMBER },
	{ "detail", "DETAIL", TABLE_TEXT },
};

struct said {
	struct table *acts; /* rows as they come */
	uint64_t nacts;
	json_t *left; /* arrays: problems, and files that are hurt */
	json_t *hurt;
};

static void said_clear(struct said *s)
{
	table_free(s->acts);
	json_decref(s->left);
	json_decref(s->hurt);
}

static int take_act(void *arg, const struct repair_act *a, struct err *e)
{
	struct said *s = arg;

	(void)e;
	table_row(s->acts);
	table_text(s->acts, a->object);
	table_text(s->acts, repair_what_name(a->what));
	table_number(s->acts, (int64_t)a->chunks);
	table_text(s->acts, a->text[0] ? a->text : NULL);
	s->nacts++;
	return 0;
}

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct said *s = arg;
	json_t *o = json_pack("{s:s, s:s, s:I, s:s}", "object", p->object, "kind",
	                      check_what_name(p->what), "chunks", (json_int_t)p->chunks, "detail",
	                      p->text);

	return json_array_append_new(s->left, o) < 0
	               ? err_set(e, ERR_NOMEM, "no memory for the problems")
	               : 0;
}

static int take_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	const struct said *s = arg;

	return cmd_check_add_hurt(s->hurt, h, e);
}

static json_t *summary(const struct said *s, const struct repair_result *r, bool dry_run)
{
	json_t *o = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	                      "dry_run", dry_run, "problems_before", (json_int_t)r->before.problems,
	                      "objects_replaced", (json_int_t)r->replaced, "bytes_replaced",
	                      (json_int_t)r->replaced_bytes, "packs_indexed",
	                      (json_int_t)r->indexed, "segments_written", (json_int_t)r->segments,
	                      "segments_dropped", (json_int_t)r->dropped, "chunks_marked",
	                      (json_int_t)r->marked, "objects_failed", (json_int_t)r->failed,
	                      "problems_left", (json_int_t)r->after.problems, "hurt_points",
	                      (json_int_t)r->after.hurt_points, "hurt_entries",
	                      (json_int_t)r->after.hurt_entries);

	if (!o || json_object_set(o, "left", s->left) < 0 ||
	    json_object_set(o, "hurt", s->hurt) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void print_left(const struct said *s)
{
	for (size_t i = 0; i < json_array_size(s->left); i++) {
		const json_t *p = json_array_get(s->left, i);

		printf("left: %s: %s: %s\n", text_of(p, "object"), text_of(p, "kind"),
		       text_of(p, "detail"));
	}
	for (size_t i = 0; i < json_array_size(s->hurt); i++) {
		const json_t *h = json_array_get(s->hurt, i);

		printf("hurt: %s %s /%s%s\n", text_of(h, "volume"), text_of(h, "session"),
		       text_of(h, "path"),
		       json_is_true(json_object_get(h, "subtree")) ? " and what follows it" : "");
	}
}

static void print_verdict(FILE *to, const struct repair_result *r, bool dry_run)
{
	(void)fprintf(to,
	              "%sput back: %llu objects (%s); indexed again: %llu packs; index segments "
	              "dropped: %llu; chunks marked as damaged: %llu; not mended: %llu\n",
	              dry_run ? "would do: " : "", (unsigned long long)r->replaced,
	              num_bytes_text(r->replaced_bytes).s, (unsigned long long)r->indexed,
	              (unsigned long long)r->dropped, (unsigned long long)r->marked,
	              (unsigned long long)r->failed);
	if (dry_run)
		(void)fprintf(to, "problems now: %llu", (unsigned long long)r->before.problems);
	else
		(void)fprintf(to, "problems before: %llu, left: %llu",
		              (unsigned long long)r->before.problems,
		              (unsigned long long)r->after.problems);
	(void)fprintf(to, "; hurt: %llu entries of %llu restore points\n",
	              (unsigned long long)r->after.hurt_entries,
	              (unsigned long long)r->after.hurt_points);
}

static int tell(const struct verb_common *common, const struct said *s,
                const struct repair_result *r, struct err *e)
{
	auto_json json_t *extra = summary(s, r, common->dry_run);
	bool people = common->output == OUTPUT_TABLE;

	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	if ((s->nacts > 0 || !people) && table_print(s->acts, stdout, extra, e) < 0)
		return -1;
	if (people)
		print_left(s);
	if (people || !common->quiet)
		print_verdict(people ? stdout : stderr, r, common->dry_run);
	return 0;
}

/* ---- running ---- */

/* The second store, without local state: that is of the first. */
static int open_from(const struct verb_common *common, struct repo **ret, struct err *e)
{
	if (!job.from)
		return 0;
	return repo_open_url(job.from, STORE_READONLY, common->key, common->passphrase_file, "",
	                     cancel_on_signals(), ret, e) < 0
	               ? err_wrap(e, "the second store")
	               : 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	auto_repo struct repo *from = NULL;
	CLEANUP(said_clear) struct said s = { .left = json_array(), .hurt = json_array() };
	struct progress_counts counts = { 0 };
	struct repair_params *p = &job.params;
	struct repair_result result;

	(void)state;
	(void)argc;
	(void)argv;
	s.acts = table_new("aksdr/repair/v1", columns, ARRAY_LEN(columns), common->output, e);
	if (!s.acts ||
	    (common->dry_run ? cmd_repo(common, &r, e) : cmd_repo_write(common, &r, e)) < 0 ||
	    open_from(common, &from, e) < 0)
		return -1;
	p->from = from;
	p->dry_run = common->dry_run;
	p->counts = &counts;
	p->act = take_act;
	p->problem = take_problem;
	p->hurt = take_hurt;
	p->arg = &s;
	struct progress *shown = progress_start("repairing", common->progress, &counts);
	int rc = repair_run(r, p, &result, e);
	progress_stop(shown);
	if (rc < 0 || tell(common, &s, &result, e) < 0)
		return -1;
	if (result.unmarked > 0)
		return err_set(e, ERR_CORRUPT,
		               "%llu damaged places were too many for one run and are not marked: "
		               "run it again",
		               (unsigned long long)result.unmarked);
	if (result.after.problems == 0)
		return 0;
	return err_set(e, ERR_CORRUPT, "%llu problem%s %s",
	               (unsigned long long)result.after.problems,
	               result.after.problems == 1 ? "" : "s",
	               common->dry_run ? "found" : "cannot be mended here");
}

const struct verb cmd_repair = {
	.name = "repair",
	.summary = "mend what a check finds, and say what is lost",
	.text = "Checks the repository, and then: objects that are damaged or gone are put back "
		"from a second store (--from), where its copy is whole; packs that no index "
		"segment names are named by a new one, made from the packs themselves, and "
		"segments that do not open are taken away; chunks that cannot be had any more are "
		"marked as damaged, so that the next backup stores them again where it has the "
		"same data, which heals older restore points too.\n"
		"\n"
		"In the end another check tells what is left, and the files of restore points "
		"that are hurt; the exit status is 5 then. Restore points of which all that is "
		"left is a loss can be expired.\n"
		"\n"
		"Nothing else is deleted, and backups go on meanwhile. The key must sign (the "
		"agent key); no data key is needed. --dry-run shows what would be done.",
	.examples = "aksdr-catalog repair --key agent.key --dry-run\n"
		    "aksdr-catalog repair --key agent.key --from file:///mnt/copy",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.set = set,
	.run = run,
};
