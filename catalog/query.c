/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorizer sees each thing a statement would do while it is compiled.
 * Reading tables and calling functions passes; of pragmas only those that
 * describe the schema do.
 */
#include "catalog/query.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/text.h"

#define ROW_BYTES_MAX (64 * MIB)
#define SQL_BYTES_MAX (1000 * KIB)
#define VALUE_BYTES_MAX (64 * MIB) /* of one text or blob */

struct guard {
	char denied[96]; /* what was refused; "" for nothing */
};

/* ---- what is allowed ---- */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcasecmp(text, *words) == 0)
			return true;
	}
	return false;
}

static int authorize(void *arg, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
	static const char *const pragmas[] = { "table_info",       "table_xinfo", "table_list",
		                               "index_list",       "index_info",  "index_xinfo",
		                               "foreign_key_list", NULL };
	static const char *const functions[] = { "load_extension", "fts3_tokenizer", "edit",
		                                 "writefile",      "readfile",       NULL };
	struct guard *g = arg;

	(void)database;
	(void)trigger;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		if (!second || !is_one_of(second, functions))
			return SQLITE_OK;
		(void)snprintf(g->denied, sizeof(g->denied), "the function %.60s", second);
		return SQLITE_DENY;
	case SQLITE_PRAGMA:
		/* with an argument too: those of the list only look up the name of a table */
		if (first && is_one_of(first, pragmas))
			return SQLITE_OK;
		(void)snprintf(g->denied, sizeof(g->denied), "PRAGMA %.60s", first ? first : "");
		return SQLITE_DENY;
	case SQLITE_ATTACH:
		(void)snprintf(g->denied, sizeof(g->denied), "ATTACH");
		return SQLITE_DENY;
	case SQLITE_DETACH:
		(void)snprintf(g->denied, sizeof(g->denied), "DETACH");
		return SQLITE_DENY;
	case SQLITE_TRANSACTION:
	case SQLITE_SAVEPOINT:
		(void)snprintf(g->denied, sizeof(g->denied), "a transaction");
		return SQLITE_DENY;
	default:
		if (!g->denied[0])
			(void)snprintf(g->denied, sizeof(g->denied), "a statement that writes");
		return SQLITE_DENY;
	}
}

/* ---- errors ---- */

static int failed(struct catalog *c, const struct guard *g, int rc, struct err *e)
{
	/* A function that is refused is an error like a misspelt one, to SQLite. */
	if (g->denied[0] && ((rc & 0xff) == SQLITE_AUTH || (rc & 0xff) == SQLITE_ERROR))
		return err_set(e, ERR_DENIED,
		               "a query can only read the catalog, and %s is not allowed",
		               g->denied);
	switch (rc & 0xff) {
	case SQLITE_INTERRUPT:
		if (c->late)
			return err_set(e, ERR_TOO_BIG,
			               "the query ran longer than --timeout allows");
		return err_set(e, ERR_CANCELLED, "cancelled");
	case SQLITE_NOMEM:
		return err_set(e, ERR_TOO_BIG,
		               "the query needs more memory than the %d MiB that it may have",
		               (int)(QUERY_MEMORY_BYTES / MIB));
	case SQLITE_TOOBIG:
		return err_set(e, ERR_TOO_BIG, "a value of the query is over %d MiB",
		               (int)(VALUE_BYTES_MAX / MIB));
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_RANGE:
		return err_set(e, ERR_INVALID, "the query: %s", sqlite3_errmsg(c->db));
	default:
		return catalog_error(c, rc, "reading", e);
	}
}

/* ---- columns ---- */

struct columns {
	size_t n;
	char **names; /* each once */
	struct table_column *columns;
};

static void columns_clear(struct columns *c)
{
	for (size_t i = 0; c->names && i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	free(c->columns);
}

static bool name_taken(const struct columns *c, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(c->names[i], name) == 0)
			return true;
	}
	return false;
}

static int columns_init(struct columns *c, sqlite3_stmt *s, struct err *e)
{
	c->n = (size_t)sqlite3_column_count(s);
	c->names = calloc(c->n + 1, sizeof(*c->names));
	c->columns = calloc(c->n + 1, sizeof(*c->columns));
	if (!c->names || !c->columns)
		return err_set(e, ERR_NOMEM, "no memory for the columns of a query");
	for (size_t i = 0; i < c->n; i++) {
		const char *name = sqlite3_column_name(s, (int)i);
		const char *type = sqlite3_column_decltype(s, (int)i);

		c->names[i] = strdup(name ? name : "");
		for (unsigned k = 2; c->names[i] && name_taken(c, i, c->names[i]); k++) {
			char *other = NULL;

			if (asprintf(&other, "%s_%u", name ? name : "", k) < 0)
				other = NULL;
			free(c->names[i]);
			c->names[i] = other;
		}
		if (!c->names[i])
			return err_set(e, ERR_NOMEM, "no memory for the columns of a query");
		c->columns[i] = (struct table_column){
			.name = c->names[i],
			.title = c->names[i],
			.kind = type && strcmp(type, "INTEGER") == 0 ? TABLE_NUMBER : TABLE_TEXT,
		};
	}
	return 0;
}

/* ---- rows ---- */

static int put_blob(struct buf *b, sqlite3_stmt *s, int i)
{
	const uint8_t *p = sqlite3_column_blob(s, i);
	int n = sqlite3_column_bytes(s, i);

	for (int k = 0; k < n; k++) {
		char hex[3];

		hex_encode(hex, p + k, 1);
		if (buf_str(b, hex) < 0)
			return -1;
	}
	return 0;
}

static void put_json_string(struct buf *b, const char *s)
{
	(void)buf_u8(b, '"');
	(void)text_put(b, s, TEXT_JSON_EXACT);
	(void)buf_u8(b, '"');
}

static void put_json_cell(struct buf *b, sqlite3_stmt *s, int i)
{
	switch (sqlite3_column_type(s, i)) {
	case SQLITE_INTEGER:
		(void)buf_printf(b, "%lld", (long long)sqlite3_column_int64(s, i));
		return;
	case SQLITE_FLOAT: {
		const double v = sqlite3_column_double(s, i);

		/* JSON has no infinity; SQLite has no other numbers without a form in it */
		if (v - v == 0)
			(void)buf_str(b, catalog_text(s, i));
		else
			(void)buf_str(b, "null");
		return;
	}
	case SQLITE_TEXT:
		put_json_string(b, catalog_text(s, i));
		return;
	case SQLITE_BLOB:
		(void)buf_u8(b, '"');
		(void)put_blob(b, s, i);
		(void)buf_u8(b, '"');
		return;
	default:
		(void)buf_str(b, "null");
		return;
	}
}

static int flush(struct buf *b, FILE *f, struct err *e)
{
	if (buf_check(b, "a row of the query", e) < 0)
		return -1;
	if (fwrite(b->data, 1, b->len, f) != b->len)
		return err_sys(e, errno, "writing the output");
	buf_reset(b);
	return 0;
}

/* Where rows go: JSON at once, the others into a table. */
struct sink {
	const struct columns *columns;
	struct table *table; /* NULL: JSON */
	struct buf line;
	FILE *f;
	uint64_t rows;
};

static int sink_row(struct sink *k, sqlite3_stmt *s, struct err *e)
{
	struct buf *b = &k->line;

	if (!k->table) {
		(void)buf_str(b, k->rows ? ",\n  {" : "\n  {");
		for (size_t i = 0; i < k->columns->n; i++) {
			if (i > 0)
				(void)buf_str(b, ", ");
			put_json_string(b, k->columns->names[i]);
			(void)buf_str(b, ": ");
			put_json_cell(b, s, (int)i);
		}
		(void)buf_str(b, "}");
		k->rows++;
		return flush(b, k->f, e);
	}
	k->rows++;
	table_row(k->table);
	for (size_t i = 0; i < k->columns->n; i++) {
		switch (sqlite3_column_type(s, (int)i)) {
		case SQLITE_NULL:
			table_null(k->table);
			break;
		case SQLITE_INTEGER:
			table_number(k->table, sqlite3_column_int64(s, (int)i));
			break;
		case SQLITE_BLOB:
			(void)put_blob(b, s, (int)i);
			if (buf_check(b, "a row of the query", e) < 0)
				return -1;
			table_text(k->table, buf_cstr(b));
			buf_reset(b);
			break;
		default:
			table_text(k->table, catalog_text(s, (int)i));
			break;
		}
	}
	return 0;
}

static int sink_begin(struct sink *k, struct err *e)
{
	struct buf *b = &k->line;

	if (k->table) {
		table_stream(k->table, k->f, NULL);
		return 0;
	}
	(void)buf_str(b, "{\"schema\": \"aksdr/query/v1\",\n \"columns\": [");
	for (size_t i = 0; i < k->columns->n; i++) {
		if (i > 0)
			(void)buf_str(b, ", ");
		put_json_string(b, k->columns->names[i]);
	}
	(void)buf_str(b, "],\n \"items\": [");
	return flush(b, k->f, e);
}

static int sink_end(struct sink *k, struct err *e)
{
	if (k->table)
		return table_print(k->table, k->f, NULL, e);
	(void)buf_str(&k->line, "]}\n");
	return flush(&k->line, k->f, e);
}

static int read_rows(struct catalog *c, const struct query_params *p, struct guard *g,
                     sqlite3_stmt *s, FILE *f, struct query_result *ret, struct err *e)
{
	CLEANUP(columns_clear) struct columns columns = { 0 };
	auto_table struct table *table = NULL;
	uint64_t rows_max = p->rows_max;
	struct sink k = { .columns = &columns, .line = BUF_INIT(ROW_BYTES_MAX), .f = f };
	int rc = SQLITE_DONE;
	int r = 0;

	if (columns_init(&columns, s, e) < 0)
		return -1;
	if (p->output != OUTPUT_JSON) {
		table = table_new("aksdr/query/v1", columns.columns, columns.n, p->output, e);
		if (!table)
			return -1;
		k.table = table;
	}
	/* A table is laid out when all rows are there. */
	if (p->output == OUTPUT_TABLE && (rows_max == 0 || rows_max > QUERY_TABLE_ROWS))
		rows_max = QUERY_TABLE_ROWS;
	/* The first row decides whether anything is written at all. */
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		r = sink_begin(&k, e);
	while (r == 0 && rc == SQLITE_ROW && (rows_max == 0 || k.rows < rows_max)) {
		r = sink_row(&k, s, e);
		if (r == 0)
			rc = sqlite3_step(s);
	}
	if (r == 0 && rc != SQLITE_ROW && rc != SQLITE_DONE)
		r = failed(c, g, rc, e);
	if (r == 0)
		r = sink_end(&k, e);
	buf_clear(&k.line);
	if (r < 0)
		return -1;
	*ret = (struct query_result){ .rows = k.rows, .more = rc == SQLITE_ROW };
	return 0;
}

static bool is_blank(const char *s)
{
	for (;; s++) {
		while (isspace((unsigned char)*s) || *s == ';')
			s++;
		if (s[0] == '-' && s[1] == '-')
			s += strcspn(s, "\n");
		else
			return *s == '\0';
		if (!*s)
			return true;
	}
}

static int run(struct catalog *c, const struct query_params *p, struct guard *g, FILE *f,
               struct query_result *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s = NULL;
	const char *tail = "";

	if (strlen(p->sql) > SQL_BYTES_MAX)
		return err_set(e, ERR_INVALID, "the query is over %zu bytes long", SQL_BYTES_MAX);
	int rc = sqlite3_prepare_v2(c->db, p->sql, -1, &s, &tail);
	if (rc != SQLITE_OK)
		return failed(c, g, rc, e);
	if (!s)
		return err_set(e, ERR_INVALID, "there is no statement in the query");
	if (!is_blank(tail))
		return err_set(e, ERR_INVALID, "only one statement at a time: '%.60s' is too much",
		               tail);
	if (!sqlite3_stmt_readonly(s) || sqlite3_column_count(s) == 0)
		return err_set(e, ERR_DENIED, "a query can only read the catalog");
	if (sqlite3_bind_parameter_count(s) > 0)
		return err_set(e, ERR_INVALID,
		               "the query has parameters; write their values into it");
	return read_rows(c, p, g, s, f, ret, e);
}

int query_run(struct catalog *c, const struct query_params *params, FILE *f,
              struct query_result *ret, struct err *e)
{
	struct guard g = { .denied = "" };

	(void)sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
	/* of all handles of this process; what is sorted goes to files beyond it */
	const sqlite3_int64 heap = sqlite3_hard_heap_limit64(QUERY_MEMORY_BYTES);
	(void)sqlite3_set_authorizer(c->db, authorize, &g);
	catalog_limit(c, params->cancel,
	              params->timeout_ms > 0 ? now_mono_ns() + params->timeout_ms * 1000000 : 0);
	int rc = run(c, params, &g, f, ret, e);
	catalog_limit(c, NULL, 0);
	(void)sqlite3_set_authorizer(c->db, NULL, NULL);
	(void)sqlite3_hard_heap_limit64(heap > 0 ? heap : INT64_MAX);
	return rc;
}
