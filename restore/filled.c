/* SPDX-License-Identifier: Apache-2.0 */
/* See filled.h. */
#include "restore/filled.h"

#include <stdio.h>
#include <string.h>

#include "repo/point.h"

static const char schema[] = "aksdr/filled/v1";
static const char what[] = "a result";

/* ---- writing ---- */

static bool fits(const json_t *o)
{
	return json_dumpb(o, NULL, 0, JSON_COMPACT) <= RESULT_MAX;
}

/* The places that are missing, as many as there is room for. 0, or -1: no memory. */
static int put_paths(json_t *o, const struct report *r)
{
	json_t *list = json_array();

	if (json_object_set_new(o, "paths", list) < 0)
		return -1;
	for (size_t i = 0; i < r->ngaps && json_array_size(list) < FILLED_PATHS; i++) {
		if (r->gaps[i].kind == GAP_DIFFERS)
			continue;
		if (json_array_append_new(list, json_text(r->gaps[i].path, FILLED_PATH_MAX)) < 0)
			return -1;
		if (fits(o))
			continue;
		return json_array_remove(list, json_array_size(list) - 1);
	}
	return 0;
}

static json_t *filled_json(const struct report *r, const struct report_head *h, bool partial)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:I}",
	                 "schema", schema, "point", h->point, "session", h->session, "base",
	                 h->base ? h->base : "", "bytes", (json_int_t)atomic_load(&r->bytes),
	                 "files", (json_int_t)atomic_load(&r->files), "written",
	                 (json_int_t)atomic_load(&r->written), "fetched",
	                 (json_int_t)atomic_load(&r->fetched), "requests", (json_int_t)h->requests,
	                 "verified", (int)r->verified, "ms", (json_int_t)r->took_ms, "partial",
	                 (int)partial, "gaps", (json_int_t)r->gap_count);
}

int filled_write(const struct report *r, const struct report_head *head, const struct err *verdict,
                 struct buf *b, struct err *e)
{
	const bool partial = verdict->class == ERR_PARTIAL;
	const bool done = partial || verdict->class == ERR_NONE;
	auto_json json_t *o = done ? filled_json(r, head, partial) : json_object();

	if (verdict->class != ERR_NONE && result_put_why(o, verdict, e) < 0)
		return -1;
	if (!o || (done && put_paths(o, r) < 0))
		return err_set(e, ERR_NOMEM, "no memory for a result");
	return json_write(o, b, e);
}

/* ---- reading ---- */

static int text_of(const json_t *o, const char *key, char *ret, size_t max, struct err *e)
{
	const char *text;

	if (json_get_str(o, what, key, &text, e) < 0)
		return -1;
	int n = snprintf(ret, max, "%s", text);
	if (n < 0 || (size_t)n >= max)
		return err_set(e, ERR_FORMAT, "%s: .%s is too long", what, key);
	return 0;
}

static int paths_of(const json_t *o, struct filled *f, struct err *e)
{
	const json_t *list = json_object_get(o, "paths");

	if (!json_is_array(list) || json_array_size(list) > FILLED_PATHS)
		return err_set(e, ERR_FORMAT, "%s: .paths is no list, or too long", what);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *path = json_string_value(json_array_get(list, i));
		auto_json json_t *line = path ? json_text(path, FILLED_PATH_MAX) : NULL;

		if (!path)
			return err_set(e, ERR_FORMAT, "%s: .paths has no text", what);
		if (!line)
			return err_set(e, ERR_NOMEM, "no memory for a result");
		(void)snprintf(f->paths[f->npaths++], FILLED_PATH_MAX + 1, "%s",
		               json_string_value(line));
	}
	return 0;
}

static int numbers_of(const json_t *o, struct filled *f, struct err *e)
{
	if (json_get_u64(o, what, "bytes", &f->bytes, e) < 0 ||
	    json_get_u64(o, what, "files", &f->files, e) < 0 ||
	    json_get_u64(o, what, "written", &f->written, e) < 0 ||
	    json_get_u64(o, what, "fetched", &f->fetched, e) < 0 ||
	    json_get_u64(o, what, "requests", &f->requests, e) < 0 ||
	    json_get_bool(o, what, "verified", &f->verified, e) < 0 ||
	    json_get_u64(o, what, "ms", &f->ms, e) < 0 ||
	    json_get_bool(o, what, "partial", &f->partial, e) < 0 ||
	    json_get_u64(o, what, "gaps", &f->gaps, e) < 0)
		return -1;
	return 0;
}

int filled_read(const char *text, struct filled *ret, struct err *e)
{
	auto_json json_t *o = json_parse(what, text, strlen(text), e);
	struct filled f = { 0 };
	struct err why = ERR_INIT;
	const char *its;

	if (!o)
		return -1;
	const bool says_why = result_says_why(o, &why);
	if (says_why && why.class != ERR_PARTIAL) {
		*e = why;
		return -1;
	}
	if (json_get_str(o, what, "schema", &its, e) < 0)
		return -1;
	if (strcmp(its, schema) != 0)
		return err_set(e, ERR_FORMAT, "%s: .schema: '%.40s' is not '%s'", what, its,
		               schema);
	if (text_of(o, "point", f.point, sizeof(f.point), e) < 0 ||
	    text_of(o, "session", f.session, sizeof(f.session), e) < 0 ||
	    text_of(o, "base", f.base, sizeof(f.base), e) < 0 || numbers_of(o, &f, e) < 0 ||
	    paths_of(o, &f, e) < 0)
		return -1;
	if (!point_session_valid(f.session))
		return err_set(e, ERR_FORMAT, "%s: .session is none", what);
	if (f.partial != says_why)
		return err_set(e, ERR_FORMAT, "%s: .partial without .error, or that without it",
		               what);
	memcpy(f.why, why.msg, sizeof(f.why));
	*ret = f;
	return 0;
}
