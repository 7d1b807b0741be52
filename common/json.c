/* SPDX-License-Identifier: Apache-2.0 */
/* Checked access to jansson's values; every refusal names the document and the member. */
#include "common/json.h"

#include "common/text.h"

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"

/* jansson reports some failed allocations as bad syntax; this tells which it was. */
static _Thread_local bool out_of_memory;

static void *json_alloc(size_t n)
{
	void *p = malloc(n);

	if (!p)
		out_of_memory = true;
	return p;
}

__attribute__((constructor)) static void json_watch_memory(void)
{
	json_set_alloc_funcs(json_alloc, free);
}

json_t *json_parse(const char *what, const void *p, size_t n, struct err *e)
{
	json_error_t why;

	out_of_memory = false;
	json_t *j = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);
	if (j && !out_of_memory)
		return j;
	/* A buffer of jansson's that could not grow leaves a text cut short, and no error. */
	json_decref(j);
	if (out_of_memory)
		(void)err_set(e, ERR_NOMEM, "no memory to parse %s", what);
	else
		(void)err_set(e, ERR_FORMAT, "%s: line %d column %d: %s", what, why.line,
		              why.column, why.text);
	return NULL;
}

/* "commit: .name", or "commit: .volume.name" when what already ends in a path. */
static int refuse(const char *what, const char *key, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, "%s%s.%s: %s", what, strstr(what, ": .") ? "" : ": ", key,
	               why);
}

/* The member when it is of the type; else NULL with e. */
static const json_t *member(const json_t *o, const char *what, const char *key, json_type type,
                            const char *expected, struct err *e)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_object(o) || !v)
		(void)refuse(what, key, "missing", e);
	else if (json_typeof(v) != type)
		(void)refuse(what, key, expected, e);
	else
		return v;
	return NULL;
}

int json_get_str(const json_t *o, const char *what, const char *key, const char **ret,
                 struct err *e)
{
	const json_t *v = member(o, what, key, JSON_STRING, "expected a string", e);

	if (!v)
		return -1;
	*ret = json_string_value(v);
	return 0;
}

int json_get_text(const json_t *o, const char *what, const char *key, char *ret, size_t max,
                  struct err *e)
{
	const char *text;

	if (json_get_str(o, what, key, &text, e) < 0)
		return -1;
	if (strlen(text) >= max)
		return err_set(e, ERR_FORMAT, "%s.%s is too long", what, key);
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

int json_get_i64(const json_t *o, const char *what, const char *key, int64_t *ret, struct err *e)
{
	const json_t *v = member(o, what, key, JSON_INTEGER, "expected a whole number", e);

	if (!v)
		return -1;
	*ret = json_integer_value(v);
	return 0;
}

int json_get_u64(const json_t *o, const char *what, const char *key, uint64_t *ret, struct err *e)
{
	int64_t v;

	if (json_get_i64(o, what, key, &v, e) < 0)
		return -1;
	if (v < 0)
		return refuse(what, key, "expected a number that is not negative", e);
	*ret = (uint64_t)v;
	return 0;
}

int json_get_bool(const json_t *o, const char *what, const char *key, bool *ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return refuse(what, key, "missing", e);
	if (!json_is_boolean(v))
		return refuse(what, key, "expected true or false", e);
	*ret = json_is_true(v);
	return 0;
}

int json_get_hex(const json_t *o, const char *what, const char *key, uint8_t *ret, size_t n,
                 struct err *e)
{
	const char *text;
	char why[64];

	if (json_get_str(o, what, key, &text, e) < 0)
		return -1;
	if (strlen(text) != 2 * n || hex_decode(ret, n, text) < 0) {
		(void)snprintf(why, sizeof(why), "expected %zu hexadecimal characters", 2 * n);
		return refuse(what, key, why, e);
	}
	return 0;
}

static int append(const char *p, size_t n, void *arg)
{
	return buf_put(arg, p, n);
}

int json_write(const json_t *o, struct buf *b, struct err *e)
{
	if (json_dump_callback(o, append, b, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) == 0)
		return 0;
	if (b->failed)
		return buf_check(b, "the JSON text", e);
	return err_set(e, ERR_NOMEM, "no memory to write JSON");
}

json_t *json_text(const char *text, size_t max)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(max);
	char step[TEXT_STEP_MAX];
	size_t n;

	while ((n = text_step(&text, TEXT_LINE, step)) > 0 && b.len + n <= max) {
		if (buf_put(&b, step, n) < 0)
			return NULL;
	}
	return json_stringn(b.data ? (const char *)b.data : "", b.len);
}
