/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows kept as they were given and written once at the end in one of three
 * forms, or, of two of them, as they come. JSON is written row by row, so
 * that a long list costs no second copy; its texts pass through common/text.h,
 * so names with any bytes come
 * out as valid UTF-8.
 */
#include "common/table.h"

#include <errno.h>
#include <jansson.h>
#include <libsmartcols/libsmartcols.h>
#include <string.h>

#include "common/buf.h"
#include "common/now.h"
#include "common/num.h"
#include "common/text.h"

#define LINE_MAX_BYTES (64 * MIB) /* of one row in JSON or CSV */

enum cell_state { CELL_NULL, CELL_TEXT, CELL_NUMBER };

struct cell {
	enum cell_state state;
	union {
		char *text; /* owned */
		int64_t number;
	};
};

struct table {
	const char *schema;
	const struct table_column *columns; /* borrowed */
	size_t ncolumns;
	enum output output;
	struct cell *cells; /* nrows * ncolumns, row after row */
	size_t nrows;
	size_t cap; /* rows that cells has room for */
	size_t at;  /* column of the next cell in the last row */
	bool nomem;
	bool misuse; /* a cell outside of a row: a bug of the caller */
	bool guard;
	FILE *stream;      /* rows are written as they come; NULL: at the end */
	uint64_t written;  /* rows */
	struct err failed; /* the first failure of writing */
};

struct table *table_new(const char *schema, const struct table_column *columns, size_t ncolumns,
                        enum output output, struct err *e)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t) {
		(void)err_set(e, ERR_NOMEM, "no memory for a table");
		return NULL;
	}
	t->schema = schema;
	t->columns = columns;
	t->ncolumns = ncolumns;
	t->output = output;
	t->failed = (struct err)ERR_INIT;
	return t;
}

static void free_texts(struct table *t)
{
	for (size_t i = 0; i < t->nrows * t->ncolumns; i++) {
		if (t->cells[i].state == CELL_TEXT)
			free(t->cells[i].text);
	}
	t->nrows = 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	free_texts(t);
	free(t->cells);
	free(t);
}

static void stream_row(struct table *t);

void table_row(struct table *t)
{
	if (t->nomem)
		return;
	stream_row(t);
	if (t->nrows == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 16;
		struct cell *cells = reallocarray(t->cells, cap * t->ncolumns, sizeof(*cells));

		if (!cells) {
			t->nomem = true;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	memset(t->cells + t->nrows * t->ncolumns, 0, t->ncolumns * sizeof(*t->cells));
	t->nrows++;
	t->at = 0;
}

/* The next cell to fill, or NULL. */
static struct cell *cell_next(struct table *t)
{
	if (t->nomem)
		return NULL;
	if (t->nrows == 0 || t->at == t->ncolumns) {
		t->misuse = true;
		return NULL;
	}
	return &t->cells[(t->nrows - 1) * t->ncolumns + t->at++];
}

void table_text(struct table *t, const char *s)
{
	struct cell *c = cell_next(t);

	if (!c || !s)
		return;
	c->text = strdup(s);
	if (c->text)
		c->state = CELL_TEXT;
	else
		t->nomem = true;
}

void table_number(struct table *t, int64_t v)
{
	struct cell *c = cell_next(t);

	if (!c)
		return;
	c->number = v;
	c->state = CELL_NUMBER;
}

void table_null(struct table *t)
{
	(void)cell_next(t);
}

/* True when the cell shows nothing: no value, or no time. */
static bool is_null(const struct cell *c, enum table_kind kind)
{
	return c->state == CELL_NULL ||
	       (c->state == CELL_NUMBER && kind == TABLE_TIME && c->number == 0);
}

/* A cell as a value of JSON or CSV that needs no quotes, except for TIME. */
static void put_number(struct buf *b, int64_t v, enum table_kind kind)
{
	switch (kind) {
	case TABLE_BYTES:
		(void)buf_printf(b, "%llu", (unsigned long long)v);
		return;
	case TABLE_TIME:
		(void)buf_str(b, now_rfc3339(v).s);
		return;
	case TABLE_BOOL:
		(void)buf_str(b, v ? "true" : "false");
		return;
	case TABLE_TEXT:
	case TABLE_NUMBER:
	case TABLE_DURATION:
		(void)buf_printf(b, "%lld", (long long)v);
		return;
	}
}

/* A cell for people. */
static void put_shown(struct buf *b, const struct cell *c, enum table_kind kind)
{
	if (is_null(c, kind))
		return;
	if (c->state == CELL_TEXT)
		(void)buf_str(b, c->text); /* libsmartcols escapes it */
	else if (kind == TABLE_BYTES)
		(void)buf_str(b, num_bytes_text((uint64_t)c->number).s);
	else if (kind == TABLE_DURATION && c->number > -1000 && c->number < 1000)
		(void)buf_printf(b, "%lldms", (long long)c->number);
	else if (kind == TABLE_DURATION)
		(void)buf_str(b, num_duration_text(c->number / 1000).s);
	else if (kind == TABLE_BOOL)
		(void)buf_str(b, c->number ? "yes" : "no");
	else
		put_number(b, c->number, kind);
}

static void put_json_string(struct buf *b, const char *s)
{
	(void)buf_u8(b, '"');
	(void)text_put(b, s, TEXT_JSON_EXACT);
	(void)buf_u8(b, '"');
}

static void put_json_row(struct buf *b, const struct table *t, const struct cell *row)
{
	(void)buf_str(b, "{");
	for (size_t i = 0; i < t->ncolumns; i++) {
		enum table_kind kind = t->columns[i].kind;

		if (i > 0)
			(void)buf_str(b, ", ");
		put_json_string(b, t->columns[i].name);
		(void)buf_str(b, ": ");
		if (is_null(&row[i], kind)) {
			(void)buf_str(b, "null");
		} else if (row[i].state == CELL_TEXT) {
			put_json_string(b, row[i].text);
		} else if (kind == TABLE_TIME) {
			put_json_string(b, now_rfc3339(row[i].number).s);
		} else {
			put_number(b, row[i].number, kind);
		}
	}
	(void)buf_str(b, "}");
}

static int flush_line(struct buf *b, FILE *f, struct err *e)
{
	if (buf_check(b, "a row of the output", e) < 0)
		return -1;
	if (fwrite(b->data, 1, b->len, f) != b->len)
		return err_sys(e, errno, "writing the output");
	buf_reset(b);
	return 0;
}

static int begin_json(const struct table *t, FILE *f, const json_t *extra, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LINE_MAX_BYTES);
	const char *key;
	json_t *value;

	(void)buf_str(&b, "{\"schema\": ");
	put_json_string(&b, t->schema);
	/* the macro wants a pointer to what it does not change */
	json_object_foreach((json_t *)(uintptr_t)extra, key, value) {
		(void)buf_str(&b, ",\n ");
		put_json_string(&b, key);
		(void)buf_str(&b, ": ");
		char *text = json_dumps(value, JSON_ENCODE_ANY);
		if (!text)
			return err_set(e, ERR_NOMEM, "no memory to write JSON");
		(void)buf_str(&b, text);
		free(text);
	}
	(void)buf_str(&b, ",\n \"items\": [");
	return flush_line(&b, f, e);
}

/* A CSV field: in quotes where RFC 4180 asks for them, and when empty, which is not "no value". */
static void put_csv_text(struct buf *b, const char *s, bool guard)
{
	char step[TEXT_STEP_MAX];
	size_t n;

	guard = guard && *s && strchr("=+-@\t\r", *s);
	if (*s && !guard && !strpbrk(s, "\",\r\n")) {
		(void)text_put(b, s, TEXT_CSV_EXACT);
		return;
	}
	(void)buf_str(b, guard ? "\"'" : "\"");
	while ((n = text_step(&s, TEXT_CSV_EXACT, step)) > 0) {
		if (step[0] == '"')
			(void)buf_u8(b, '"');
		(void)buf_put(b, step, n);
	}
	(void)buf_u8(b, '"');
}

static int begin_csv(const struct table *t, FILE *f, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LINE_MAX_BYTES);

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (i > 0)
			(void)buf_u8(&b, ',');
		put_csv_text(&b, t->columns[i].name, false);
	}
	(void)buf_str(&b, "\r\n");
	return flush_line(&b, f, e);
}

static void put_csv_row(struct buf *b, const struct table *t, const struct cell *row)
{
	for (size_t k = 0; k < t->ncolumns; k++) {
		if (k > 0)
			(void)buf_u8(b, ',');
		if (is_null(&row[k], t->columns[k].kind))
			continue;
		if (row[k].state == CELL_TEXT)
			put_csv_text(b, row[k].text, t->guard);
		else
			put_number(b, row[k].number, t->columns[k].kind);
	}
	(void)buf_str(b, "\r\n");
}

/* ---- both ---- */

static int begin(const struct table *t, FILE *f, const json_t *extra, struct err *e)
{
	return t->output == OUTPUT_JSON ? begin_json(t, f, extra, e) : begin_csv(t, f, e);
}

/* All rows that are kept. */
static int print_rows(struct table *t, FILE *f, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LINE_MAX_BYTES);

	for (size_t i = 0; i < t->nrows; i++, t->written++) {
		const struct cell *row = t->cells + i * t->ncolumns;

		if (t->output == OUTPUT_CSV) {
			put_csv_row(&b, t, row);
		} else {
			(void)buf_str(&b, t->written > 0 ? ",\n  " : "\n  ");
			put_json_row(&b, t, row);
		}
		if (flush_line(&b, f, e) < 0)
			return -1;
	}
	return 0;
}

static void stream_row(struct table *t)
{
	if (!t->stream || t->nrows == 0)
		return;
	if (t->failed.class == ERR_NONE)
		(void)!print_rows(t, t->stream, &t->failed);
	free_texts(t);
}

void table_stream(struct table *t, void *f_FILE, const void *extra_json)
{
	if (t->output == OUTPUT_TABLE)
		return;
	t->stream = f_FILE;
	(void)!begin(t, t->stream, extra_json, &t->failed);
}

void table_guard(struct table *t)
{
	t->guard = true;
}

static int end(struct table *t, FILE *f, const json_t *extra, struct err *e)
{
	if (t->failed.class != ERR_NONE) {
		*e = t->failed;
		return -1;
	}
	if ((!t->stream && begin(t, f, extra, e) < 0) || print_rows(t, f, e) < 0)
		return -1;
	if (t->output == OUTPUT_JSON && fputs("]}\n", f) == EOF)
		return err_sys(e, errno, "writing the output");
	return 0;
}

static bool is_right(enum table_kind kind)
{
	return kind == TABLE_NUMBER || kind == TABLE_BYTES || kind == TABLE_DURATION;
}

/* Columns and rows for libsmartcols. 0, or -1 when memory is short. */
static int fill_scols(const struct table *t, struct libscols_table *st)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(LINE_MAX_BYTES);

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct table_column *c = &t->columns[i];
		int flags = is_right(c->kind) ? SCOLS_FL_RIGHT : 0;

		if (c->kind == TABLE_TEXT)
			flags |= SCOLS_FL_WRAP; /* a narrow terminal hides nothing */
		if (c->title && !scols_table_new_column(st, c->title, 0, flags))
			return -1;
	}
	for (size_t i = 0; i < t->nrows; i++) {
		struct libscols_line *line = scols_table_new_line(st, NULL);
		size_t shown = 0;

		if (!line)
			return -1;
		for (size_t k = 0; k < t->ncolumns; k++) {
			if (!t->columns[k].title)
				continue;
			buf_reset(&b);
			put_shown(&b, &t->cells[i * t->ncolumns + k], t->columns[k].kind);
			if (b.failed || scols_line_set_data(line, shown++, buf_cstr(&b)) < 0)
				return -1;
		}
	}
	return 0;
}

static int print_table(const struct table *t, FILE *f, struct err *e)
{
	struct libscols_table *st = scols_new_table();
	int r = st ? 0 : -1;

	if (st) {
		(void)scols_table_set_stream(st, f);
		r = fill_scols(t, st);
		if (r == 0)
			r = scols_print_table(st);
		scols_unref_table(st);
	}
	/*
	 * It writes its last line end behind its own flush: what follows on stderr must not
	 * overtake.
	 */
	(void)fflush(f);
	return r < 0 ? err_set(e, ERR_NOMEM, "no memory to lay out a table") : 0;
}

int table_print(struct table *t, void *f_FILE, const void *extra_json, struct err *e)
{
	FILE *f = f_FILE;

	if (t->nomem)
		return err_set(e, ERR_NOMEM, "no memory for a table of %zu rows", t->nrows);
	if (t->misuse)
		return err_set(e, ERR_BUG, "a row of '%s' got more cells than columns", t->schema);
	return t->output == OUTPUT_TABLE ? print_table(t, f, e) : end(t, f, extra_json, e);
}
