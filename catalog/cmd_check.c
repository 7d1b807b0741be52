/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog check: the verification of the repository, told and kept. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/row.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"

#define KEPT_MAX 10000 /* problems that are told and kept; all are counted */

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

static int take_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	struct findings *f = arg;
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:I}", "session", h->session, "volume",
	                      h->volume, "path", h->path, "subtree", h->subtree, "entries",
	                      (json_int_t)h->entries);

	if (json_array_append_new(f->hurt, o) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the files that are hurt");
	return 0;
}

/* ---- telling ---- */

/* What was looked at and found, as members of the output. NULL: no memory. */
static json_t *summary_json(const struct check_result *r, json_t *hurt)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "points", r->points },
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
		{ "foreign", r->foreign },
		{ "revoked", r->revoked },
		{ "objects", r->objects },
		{ "bytes_read", r->bytes_read },
		{ "problems_found", r->problems },
		{ "hurt_points", r->hurt_points },
		{ "hurt_entries", r->hurt_entries },
	};
	auto_json json_t *o = json_pack("{s:s, s:i, s:s, s:s}", "verdict",
	                                r->problems ? "damaged" : "ok", "level", (int)r->level,
	                                "started", now_rfc3339(r->started_ns).s, "finished",
	                                now_rfc3339(r->finished_ns).s);

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_t *n = json_integer((json_int_t)numbers[i].value);

		if (json_object_set_new(o, numbers[i].name, n) < 0)
			return NULL;
	}
	return json_object_set(o, "hurt", hurt) < 0 ? NULL : STEAL(&o);
}

static int print_problems(const struct findings *f, const struct check_result *r,
                          enum output output, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/check/v1", problem_columns,
	                                       ARRAY_LEN(problem_columns), output, e);
	auto_json json_t *extra = summary_json(r, f->hurt);

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

/* One line for people: what was looked at, and the verdict. */
static void print_verdict(FILE *to, const struct check_result *r)
{
	(void)fprintf(to, "level %u: %s: %llu restore points, %llu packs of %s, %s read", r->level,
	              r->problems ? "DAMAGED" : "ok", (unsigned long long)r->points,
	              (unsigned long long)(r->packs + r->node_packs),
	              num_bytes_text(r->pack_bytes).s, num_bytes_text(r->bytes_read).s);
	if (r->problems)
		(void)fprintf(to, "; problems: %llu; hurt: %llu entries of %llu restore points",
		              (unsigned long long)r->problems, (unsigned long long)r->hurt_entries,
		              (unsigned long long)r->hurt_points);
	if (r->open_sessions || r->unreferenced)
		(void)fprintf(to, "; left over: %llu sessions without an end, %llu packs (%s)",
		              (unsigned long long)r->open_sessions,
		              (unsigned long long)r->unreferenced,
		              num_bytes_text(r->unreferenced_bytes).s);
	if (r->revoked)
		(void)fprintf(to, "; of revoked keys, not counting: %llu objects",
		              (unsigned long long)r->revoked);
	(void)fputc('\n', to);
}

static int tell(const struct verb_common *common, const struct findings *f,
                const struct check_result *r, struct err *e)
{
	if (print_problems(f, r, common->output, e) < 0)
		return -1;
	if (common->output == OUTPUT_TABLE && print_hurt(f, e) < 0)
		return -1;
	if (common->output == OUTPUT_TABLE)
		print_verdict(stdout, r);
	else if (common->output == OUTPUT_CSV && !common->quiet)
		print_verdict(stderr, r);
	return 0;
}

/* The result stays in the catalog; where that cannot be written, the check still counts. */
static void keep(const struct cmd_options *o, const struct repo *r, const struct findings *f,
                 const struct check_result *result)
{
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

int cmd_check(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct cmd_options *o = state;
	auto_repo struct repo *r = NULL;
	CLEANUP(findings_clear) struct findings f = { .hurt = json_array() };
	struct progress_counts counts = { 0 };
	struct check_result result;
	const struct check_params params = {
		.level = o->level,
		.threads = o->threads,
		.hurt_max = o->files,
		.counts = &counts,
		.problem = take_problem,
		.hurt = take_hurt,
		.arg = &f,
	};

	(void)argc;
	(void)argv;
	if (cmd_repo(common, &r, e) < 0)
		return -1;
	struct progress *p = progress_start("checking", common->progress, &counts);
	int rc = check_run(r, &params, &result, e);
	progress_stop(p);
	if (rc < 0)
		return -1;
	keep(o, r, &f, &result);
	if (tell(common, &f, &result, e) < 0)
		return -1;
	if (result.problems == 0)
		return 0;
	return err_set(e, ERR_CORRUPT, "the repository is damaged: %llu problem%s found",
	               (unsigned long long)result.problems, result.problems == 1 ? "" : "s");
}
