/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL of a user against the catalog. Nothing can be written by it: the file
 * is open for reading only, and an authorizer lets through what a SELECT
 * needs and nothing else.
 */
#ifndef AKSDR_CATALOG_QUERY_H
#define AKSDR_CATALOG_QUERY_H

#include <stdio.h>

#include "catalog/catalog.h"
#include "common/cancel.h"
#include "common/table.h"

#define QUERY_TIMEOUT_MS 300000                         /* of the verb, where none is given */
#define QUERY_MEMORY_BYTES ((int64_t)192 * 1024 * 1024) /* of SQLite */
#define QUERY_TABLE_ROWS 100000 /* of a table; JSON and CSV have any number */

struct query_params {
	const char *sql;    /* one statement; a semicolon may end it */
	uint64_t rows_max;  /* 0: no limit */
	int64_t timeout_ms; /* 0: none */
	enum output output;
	const struct cancel *cancel; /* may be NULL */
};

struct query_result {
	uint64_t rows;
	bool more; /* there are rows beyond rows_max */
};

/*
 * Runs the statement and writes its rows to f, with the names of its columns
 * (a name that comes twice gets _2, _3...). JSON: {"schema":
 * "aksdr/query/v1", "columns": [...], "items": [...]}, with integers and
 * reals as numbers; blobs are hexadecimal text everywhere. JSON is written row by row.
 *   ERR_INVALID    SQLite does not accept the statement (its words are passed
 *                  on), there is none, or several
 *   ERR_DENIED     it would do something else than read
 *   ERR_TOO_BIG    the timeout has passed, it needs more than QUERY_MEMORY_BYTES, or has a value
 *                  that is too large
 *   ERR_CANCELLED
 */
MUST_CHECK int query_run(struct catalog *c, const struct query_params *params, FILE *f,
                         struct query_result *ret, struct err *e);

#endif
