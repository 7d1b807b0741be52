/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value is built from libyaml's events by a function that calls itself for what is within; the
 * depth bounds it, and without aliases a document is never larger than its text.
 */
#include "common/yaml.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/buf.h"
#include "common/fd.h"

#define TAG_STR "tag:yaml.org,2002:str"

struct reader {
	const char *what;
	yaml_parser_t parser;
	unsigned depth;
};

static int refuse(const struct reader *r, yaml_mark_t at, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, "%s: line %zu column %zu: %s", r->what, at.line + 1,
	               at.column + 1, why);
}

/* The value, or NULL with e for want of memory. */
static json_t *made(const struct reader *r, json_t *j, struct err *e)
{
	if (!j)
		(void)err_set(e, ERR_NOMEM, "no memory to parse %s", r->what);
	return j;
}

/* The next event; the caller deletes it. */
static int next(struct reader *r, yaml_event_t *ret, struct err *e)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, ret))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(e, ERR_NOMEM, "no memory to parse %s", r->what);
	/* The reader of characters tells an offset in bytes and no line. */
	if (p->error == YAML_READER_ERROR)
		return err_set(e, ERR_FORMAT, "%s: byte %zu: %s", r->what, p->problem_offset,
		               p->problem);
	return refuse(r, p->problem_mark, p->problem ? p->problem : "this is no YAML", e);
}

/* ---- scalars ---- */

static bool among(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

#define AMONG(text, words) among(text, words, ARRAY_LEN(words))

/* Digits of a base up to the end of the text, within 64 bits and a sign. */
static json_t *whole(const struct reader *r, yaml_mark_t at, const char *digits, unsigned base,
                     bool minus, struct err *e)
{
	uint64_t limit = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t v = 0;

	for (; *digits; digits++) {
		unsigned d = *digits <= '9' ? (unsigned)(*digits - '0')
		                            : (unsigned)((*digits | 0x20) - 'a' + 10);

		if (v > (limit - d) / base) {
			(void)refuse(r, at, "the number is too large; as a text it needs quotes",
			             e);
			return NULL;
		}
		v = v * base + d;
	}
	return made(r, json_integer(minus ? (json_int_t)(0 - v) : (json_int_t)v), e);
}

/* Whether it is [0-9]* ( . [0-9]* )? ( [eE] [-+]? [0-9]+ )? with a digit before the exponent. */
static bool is_decimal(const char *s)
{
	size_t n = strspn(s, "0123456789");

	s += n;
	if (*s == '.') {
		size_t m = strspn(++s, "0123456789");

		n += m;
		s += m;
	}
	if (n == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		n = strspn(s, "0123456789");
		s += n;
	}
	return n > 0 && *s == '\0';
}

static json_t *plain(const struct reader *r, yaml_mark_t at, const char *text, struct err *e)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	static const char *const trues[] = { "true", "True", "TRUE" };
	static const char *const falses[] = { "false", "False", "FALSE" };
	static const char *const infinite[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN" };
	const char *s = text + (*text == '-' || *text == '+');
	size_t digits = strspn(s, "0123456789");

	if (AMONG(text, nulls))
		return json_null();
	if (AMONG(text, trues))
		return json_true();
	if (AMONG(text, falses))
		return json_false();
	if (AMONG(s, infinite)) {
		(void)refuse(r, at, "only finite numbers are of use; as a text it needs quotes", e);
		return NULL;
	}
	if (s == text && strncmp(s, "0o", 2) == 0 && s[2] && !s[2 + strspn(s + 2, "01234567")])
		return whole(r, at, s + 2, 8, false, e);
	if (s == text && strncmp(s, "0x", 2) == 0 && s[2] &&
	    !s[2 + strspn(s + 2, "0123456789abcdefABCDEF")])
		return whole(r, at, s + 2, 16, false, e);
	if (!is_decimal(s))
		return made(r, json_string(text), e);
	if (digits > 1 && *s == '0') {
		(void)refuse(r, at,
		             "a number with a leading zero is octal to some and decimal to others: "
		             "write 0o, or quotes for a text",
		             e);
		return NULL;
	}
	if (!s[digits])
		return whole(r, at, s, 10, *text == '-', e);
	/* The point is one in each locale: only LC_CTYPE is ever set. */
	double v = strtod(text, NULL);
	if (!isfinite(v)) {
		(void)refuse(r, at, "the number is too large; as a text it needs quotes", e);
		return NULL;
	}
	return made(r, json_real(v), e);
}

/* The text of a scalar without a NUL in it, or NULL with e. */
static const char *scalar_text(const struct reader *r, const yaml_event_t *ev, struct err *e)
{
	const char *text = (const char *)ev->data.scalar.value;
	const char *tag = (const char *)ev->data.scalar.tag;

	if (ev->data.scalar.anchor) {
		(void)refuse(r, ev->start_mark, "anchors are not understood here", e);
	} else if (tag && strcmp(tag, TAG_STR) != 0 && strcmp(tag, "!") != 0) {
		(void)refuse(r, ev->start_mark, "tags are not understood here", e);
	} else if (memchr(text, '\0', ev->data.scalar.length)) {
		(void)refuse(r, ev->start_mark, "a text with a NUL in it", e);
	} else {
		return text;
	}
	return NULL;
}

static json_t *scalar(const struct reader *r, const yaml_event_t *ev, struct err *e)
{
	const char *text = scalar_text(r, ev, e);

	if (!text)
		return NULL;
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !ev->data.scalar.tag)
		return plain(r, ev->start_mark, text, e);
	return made(r, json_string(text), e);
}

/* ---- collections ---- */

static json_t *value(struct reader *r, const yaml_event_t *ev, struct err *e);

static json_t *sequence(struct reader *r, struct err *e)
{
	auto_json json_t *list = made(r, json_array(), e);

	if (!list)
		return NULL;
	for (;;) {
		CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };

		if (next(r, &ev, e) < 0)
			return NULL;
		if (ev.type == YAML_SEQUENCE_END_EVENT)
			return STEAL(&list);
		json_t *item = value(r, &ev, e);
		if (!item)
			return NULL;
		if (json_array_append_new(list, item) < 0)
			return made(r, NULL, e);
	}
}

/* The member whose key this is; its value follows. */
static int member(struct reader *r, const yaml_event_t *key, json_t *map, struct err *e)
{
	CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };

	if (key->type != YAML_SCALAR_EVENT)
		return refuse(r, key->start_mark, "a key must be a text", e);
	const char *name = scalar_text(r, key, e);
	if (!name)
		return -1;
	if (strcmp(name, "<<") == 0 && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return refuse(r, key->start_mark, "merge keys are not understood here", e);
	if (json_object_get(map, name))
		return refuse(r, key->start_mark, "this key is there already", e);
	if (next(r, &ev, e) < 0)
		return -1;
	json_t *v = value(r, &ev, e);
	if (!v)
		return -1;
	if (json_object_set_new(map, name, v) == 0)
		return 0;
	return err_set(e, ERR_NOMEM, "no memory to parse %s", r->what);
}

static json_t *mapping(struct reader *r, struct err *e)
{
	auto_json json_t *map = made(r, json_object(), e);

	if (!map)
		return NULL;
	for (;;) {
		CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };

		if (next(r, &ev, e) < 0)
			return NULL;
		if (ev.type == YAML_MAPPING_END_EVENT)
			return STEAL(&map);
		if (member(r, &ev, map, e) < 0)
			return NULL;
	}
}

static json_t *value(struct reader *r, const yaml_event_t *ev, struct err *e)
{
	bool map = ev->type == YAML_MAPPING_START_EVENT;
	const char *why = NULL;

	if (ev->type == YAML_SCALAR_EVENT)
		return scalar(r, ev, e);
	if (ev->type == YAML_ALIAS_EVENT)
		why = "aliases are not understood here: write it out";
	else if (map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor)
		why = "anchors are not understood here";
	else if (map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag)
		why = "tags are not understood here";
	else if (r->depth == YAML_DEPTH_MAX)
		why = "too deep";
	if (why) {
		(void)refuse(r, ev->start_mark, why, e);
		return NULL;
	}
	r->depth++;
	json_t *j = map ? mapping(r, e) : sequence(r, e);
	r->depth--;
	return j;
}

/* ---- streams ---- */

/* A document whose start was read, and its end. */
static json_t *document(struct reader *r, size_t *ret_line, struct err *e)
{
	CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };
	CLEANUP(yaml_event_delete) yaml_event_t end = { 0 };

	if (next(r, &ev, e) < 0)
		return NULL;
	*ret_line = ev.start_mark.line + 1;
	auto_json json_t *j = value(r, &ev, e);
	if (!j || next(r, &end, e) < 0)
		return NULL;
	return STEAL(&j);
}

static int stream(struct reader *r,
                  int (*each)(void *arg, const json_t *document, size_t line, struct err *e),
                  void *arg, struct err *e)
{
	for (;;) {
		CLEANUP(yaml_event_delete) yaml_event_t ev = { 0 };
		size_t line;

		if (next(r, &ev, e) < 0)
			return -1;
		if (ev.type == YAML_STREAM_END_EVENT)
			return 0;
		if (ev.type != YAML_DOCUMENT_START_EVENT)
			continue;
		auto_json json_t *j = document(r, &line, e);
		if (!j || (!json_is_null(j) && each(arg, j, line, e) < 0))
			return -1;
	}
}

int yaml_each(const char *what, const void *p, size_t n,
              int (*each)(void *arg, const json_t *document, size_t line, struct err *e), void *arg,
              struct err *e)
{
	struct reader r = { .what = what };

	if (n > YAML_BYTES_MAX)
		return err_set(e, ERR_TOO_BIG, "%s has %zu bytes; at most %zu are read", what, n,
		               YAML_BYTES_MAX);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(e, ERR_NOMEM, "no memory to parse %s", what);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, n ? p : (const unsigned char *)"", n);
	int rc = stream(&r, each, arg, e);
	yaml_parser_delete(&r.parser);
	return rc;
}

struct only {
	const char *what;
	json_t *document;
};

static int keep(void *arg, const json_t *document, size_t line, struct err *e)
{
	struct only *only = arg;

	if (only->document)
		return err_set(e, ERR_FORMAT,
		               "%s: line %zu: a second document; only one is expected here",
		               only->what, line);
	only->document = json_incref((json_t *)(uintptr_t)document);
	return 0;
}

json_t *yaml_parse(const char *what, const void *p, size_t n, struct err *e)
{
	struct only only = { .what = what };

	if (yaml_each(what, p, n, keep, &only, e) < 0) {
		json_decref(only.document);
		return NULL;
	}
	if (!only.document)
		(void)err_set(e, ERR_FORMAT, "%s: line 1 column 1: there is nothing in it", what);
	return only.document;
}

json_t *yaml_load(const char *path, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(YAML_BYTES_MAX);

	return fd_read_file(AT_FDCWD, path, &b, e) < 0 ? NULL : yaml_parse(path, b.data, b.len, e);
}
