/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for people and programs from one description: a table by libsmartcols
 * (fits the terminal, no colours when stdout is none), JSON
 * ({"schema": NAME, "items": [...]}; the same shape for one and many) or CSV
 * (RFC 4180, first line the column names). Texts with control characters are
 * escaped in tables.
 */
#ifndef AKSDR_COMMON_TABLE_H
#define AKSDR_COMMON_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

enum table_kind {
	TABLE_TEXT,
	TABLE_NUMBER,   /* int64, right-aligned */
	TABLE_BYTES,    /* uint64: "1.4 GiB" in a table, a number in JSON and CSV */
	TABLE_TIME,     /* int64 ns since 1970: RFC 3339; 0 is empty / null */
	TABLE_DURATION, /* int64 ms: text in a table, number in JSON and CSV */
	TABLE_BOOL
};

struct table_column {
	const char *name;  /* JSON and CSV key: snake_case */
	const char *title; /* heading in a table: upper case; NULL: only in JSON and CSV */
	enum table_kind kind;
};

struct table;

/* columns stays borrowed. schema: "aksdr/points/v1". NULL with ERR_NOMEM. */
MUST_CHECK struct table *table_new(const char *schema, const struct table_column *columns,
                                   size_t ncolumns, enum output output, struct err *e);
void table_free(struct table *t);
static inline void clean_table(struct table *const *t)
{
	table_free(*t);
}
#define auto_table CLEANUP(clean_table)

/* The next row; cells then fill from column 0. Failures are kept and told by table_print(). */
void table_row(struct table *t);
void table_text(struct table *t, const char *s); /* NULL: empty / null; copied */
void table_number(struct table *t, int64_t v);   /* also for TIME, DURATION, BYTES, BOOL columns */
void table_null(struct table *t);

/*
 * JSON and CSV are written to f row by row from here on, so that any number of rows costs no
 * memory; a table, whose widths follow from all rows, is not. Before the first row;
 * table_print() with the
 * same f ends it, and tells what failed. extra: as there.
 */
void table_stream(struct table *t, void *f_FILE, const void *extra_json);

/*
 * Texts in CSV that a spreadsheet would take for a formula (their first character is = + - @, a
 * tab or a carriage return) get an apostrophe in front, which it does not show.
 */
void table_guard(struct table *t);

/* Writes everything to f. extra: a json_t object whose members come first in JSON, or NULL. */
struct json_t;
MUST_CHECK int table_print(struct table *t, void *f_FILE, const void *extra_json, struct err *e);

#endif
