/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-catalog show: one restore point with all that belongs to it. The
 * columns of the view v_points are the members of the JSON.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "catalog/cmd.h"
#include "catalog/find.h"
#include "common/json.h"
#include "common/num.h"
#include "common/text.h"

static const struct table_column field_columns[] = {
	{ "field", "FIELD", TABLE_TEXT },
	{ "value", "VALUE", TABLE_TEXT },
};

/* ---- JSON ---- */

/* A text of the catalog, which may hold anything: what is no UTF-8 is escaped. */
static json_t *text_json(const char *text)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8 * MIB);

	return text_put(&b, text, TEXT_CSV_EXACT) < 0 ? NULL : json_string(buf_cstr(&b));
}

static json_t *column_json(sqlite3_stmt *s, int i)
{
	switch (sqlite3_column_type(s, i)) {
	case SQLITE_NULL:
		return json_null();
	case SQLITE_INTEGER:
		return json_integer(sqlite3_column_int64(s, i));
	default:
		return text_json(catalog_text(s, i));
	}
}

/* The row as an object of its columns. NULL: no memory. */
static json_t *row_json(sqlite3_stmt *s)
{
	json_t *o = json_object();

	for (int i = 0; i < sqlite3_column_count(s); i++) {
		if (json_object_set_new(o, sqlite3_column_name(s, i), column_json(s, i)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

/*
 * Rows of a statement with the session as its parameter, as an array: of
 * objects, or of the only column.
 */
static json_t *rows_json(struct catalog *c, const char *sql, const char *session, struct err *e)
{
	auto_json json_t *a = json_array();
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);
	int rc;

	if (!s)
		return NULL;
	catalog_bind_text(s, 1, session);
	while ((rc = catalog_step(c, s, e)) > 0) {
		json_t *item = sqlite3_column_count(s) == 1 ? column_json(s, 0) : row_json(s);

		if (json_array_append_new(a, item) < 0) {
			(void)err_set(e, ERR_NOMEM, "no memory for a restore point");
			return NULL;
		}
	}
	return rc < 0 ? NULL : STEAL(&a);
}

static json_t *shown_json(struct catalog *c, const char *session, struct err *e)
{
	static const struct {
		const char *name, *sql;
	} lists[] = {
		{ "index", "SELECT key FROM point_segments WHERE session = ?1 ORDER BY n" },
		{ "problems",
		  "SELECT path, why FROM point_problems WHERE session = ?1 ORDER BY n" },
		{ "hooks", "SELECT phase, command, exit, signal, timed_out, started_ns, ms, output,"
		           " cut_bytes, outcome FROM v_hooks WHERE session = ?1 ORDER BY n" },
		{ "facts", "SELECT name, value FROM point_facts WHERE session = ?1 ORDER BY n" },
		{ "notes", "SELECT note FROM point_notes WHERE session = ?1 ORDER BY n" },
		{ "anomalies", "SELECT kind, other, detail FROM anomalies WHERE resolved_ns IS NULL"
		               " AND object = 'commit/' || ?1 ORDER BY kind, other" },
	};
	auto_json json_t *points = rows_json(c, "SELECT * FROM v_points WHERE session = ?1",
	                                     session, e);

	if (!points)
		return NULL;
	auto_json json_t *o = json_incref(json_array_get(points, 0));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list = rows_json(c, lists[i].sql, session, e);

		if (!list)
			return NULL;
		if (json_object_set_new(o, lists[i].name, list) < 0) {
			(void)err_set(e, ERR_NOMEM, "no memory for a restore point");
			return NULL;
		}
	}
	return STEAL(&o);
}

/* ---- the other forms ---- */

/* Rows "field, value" of one point; what is empty is left out. */
static void put_fields(struct table *t, const json_t *point)
{
	const char *name;
	const json_t *v;
	char text[64];

	json_object_foreach((json_t *)(uintptr_t)point, name, v) {
		if (json_is_integer(v)) {
			json_int_t n = json_integer_value(v);

			if (strncmp(name, "bytes_", 6) == 0)
				(void)snprintf(text, sizeof(text), "%lld (%s)", (long long)n,
				               num_bytes_text((uint64_t)n).s);
			else
				(void)snprintf(text, sizeof(text), "%lld", (long long)n);
		} else if (!json_is_string(v) || json_string_length(v) == 0) {
			continue;
		}
		table_row(t);
		table_text(t, name);
		table_text(t, json_is_string(v) ? json_string_value(v) : text);
	}
}

static void put_list(struct table *t, const char *name, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const char *key;
		const json_t *member;
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

		if (json_is_string(v))
			(void)buf_str(&b, json_string_value(v));
		json_object_foreach((json_t *)(uintptr_t)v, key, member) {
			if (json_string_length(member) > 0)
				(void)buf_printf(&b, "%s%s", b.len ? ": " : "",
				                 json_string_value(member));
		}
		table_row(t);
		table_text(t, name);
		table_text(t, buf_cstr(&b));
	}
}

/* The last line of a text that is not empty. */
static const char *last_line(const char *text, size_t *ret_len)
{
	size_t end = strlen(text);

	while (end && text[end - 1] == '\n')
		end--;
	size_t from = end;
	while (from && text[from - 1] != '\n')
		from--;
	*ret_len = end - from;
	return text + from;
}

/* A line a hook: what it was, what became of it, and what it said last. */
static void put_hooks(struct table *t, const json_t *hooks)
{
	for (size_t i = 0; i < json_array_size(hooks); i++) {
		const json_t *h = json_array_get(hooks, i);
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
		size_t n;
		const char *said = last_line(json_string_value(json_object_get(h, "output")), &n);

		(void)buf_printf(&b, "%s '%s': %s after %lld ms",
		                 json_string_value(json_object_get(h, "phase")),
		                 json_string_value(json_object_get(h, "command")),
		                 json_string_value(json_object_get(h, "outcome")),
		                 (long long)json_integer_value(json_object_get(h, "ms")));
		if (n)
			(void)buf_printf(&b, ": %.*s", (int)n, said);
		table_row(t);
		table_text(t, "hook");
		table_text(t, buf_cstr(&b));
	}
}

static int print_fields(const json_t *points, const struct verb_common *common, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/point/v1", field_columns,
	                                       ARRAY_LEN(field_columns), common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < json_array_size(points); i++) {
		const json_t *p = json_array_get(points, i);

		put_fields(t, p);
		put_list(t, "index", json_object_get(p, "index"));
		put_hooks(t, json_object_get(p, "hooks"));
		put_list(t, "fact", json_object_get(p, "facts"));
		put_list(t, "note", json_object_get(p, "notes"));
		put_list(t, "anomaly", json_object_get(p, "anomalies"));
		put_list(t, "problem", json_object_get(p, "problems"));
	}
	return table_print(t, stdout, NULL, e);
}

static int print_json(json_t *points, struct err *e)
{
	auto_json json_t *o = json_pack("{s:s, s:O}", "schema", "aksdr/point/v1", "items", points);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for the output");
	errno = 0;
	if (json_dumpf(o, stdout, JSON_INDENT(1)) < 0 || fputc('\n', stdout) == EOF)
		return err_sys(e, errno ? errno : EIO, "writing the output");
	return 0;
}

int cmd_show(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	auto_json json_t *points = json_array();

	if (cmd_catalog(state, common, &c, e) < 0)
		return -1;
	for (int i = 0; i < argc; i++) {
		char session[POINT_SESSION_LEN + 1];

		if (find_point(c, argv[i], session, e) < 0)
			return -1;
		json_t *point = shown_json(c, session, e);
		if (!point)
			return -1;
		if (json_array_append_new(points, point) < 0)
			return err_set(e, ERR_NOMEM, "no memory for the restore points");
	}
	return common->output == OUTPUT_JSON ? print_json(points, e)
	                                     : print_fields(points, common, e);
}
