/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "catalog/report.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "catalog/sql.gen.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/verb.h"

#define SQL_MAX (64 * KIB)
#define COLUMNS_MAX 32

int report_find(const char *name, const struct report **ret, struct err *e)
{
	const char *words[32] = { 0 };

	for (size_t i = 0; i < report_count; i++) {
		words[i] = report_all[i].name;
		if (strcmp(name, report_all[i].name) == 0) {
			*ret = &report_all[i];
			return 0;
		}
	}
	const char *near = verb_nearest(name, words);
	return near ? err_set(e, ERR_INVALID, "there is no report '%s'; did you mean '%s'?", name,
	                      near)
	            : err_set(e, ERR_INVALID,
	                      "there is no report '%s': 'report' without a name lists them", name);
}

bool report_has_state(const struct report *r)
{
	for (size_t i = 0; i < r->ncolumns; i++) {
		if (strcmp(r->columns[i].name, "state") == 0)
			return true;
	}
	return false;
}

int report_newest(struct catalog *c, int64_t *ret_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "SELECT max(coalesce((SELECT max(received_ns) FROM points), 0),"
	                        " coalesce((SELECT synced_ns FROM repository), 0))",
	                        e);

	if (!s || catalog_step(c, s, e) < 0)
		return -1;
	*ret_ns = sqlite3_column_int64(s, 0);
	return 0;
}

/* ---- asking ---- */

static void bind_number(sqlite3_stmt *s, const char *name, bool given, int64_t v)
{
	const int at = sqlite3_bind_parameter_index(s, name);

	if (at > 0 && given)
		(void)sqlite3_bind_int64(s, at, v);
}

static void bind_real(sqlite3_stmt *s, const char *name, double v)
{
	const int at = sqlite3_bind_parameter_index(s, name);

	if (at > 0)
		(void)sqlite3_bind_double(s, at, v);
}

static void bind_text(sqlite3_stmt *s, const char *name, const char *text)
{
	const int at = sqlite3_bind_parameter_index(s, name);

	if (at > 0 && text)
		catalog_bind_text(s, at, text);
}

static void bind(sqlite3_stmt *s, const struct report_params *p)
{
	bind_number(s, ":as_of", true, p->as_of_ns);
	bind_number(s, ":from", true, p->from_ns);
	bind_number(s, ":to", true, p->to_ns);
	bind_number(s, ":target_s", p->target_s > 0, p->target_s);
	bind_text(s, ":cluster", p->cluster);
	bind_text(s, ":namespace", p->namespace);
	bind_text(s, ":volume", p->volume);
	bind_text(s, ":policy", p->policy);
	bind_text(s, ":seed", p->seed);
	bind_number(s, ":n", true, p->n);
	if (p->prices.currency) {
		bind_text(s, ":currency", p->prices.currency);
		bind_real(s, ":price_gib_month", p->prices.storage_gib_month);
		bind_real(s, ":price_read_gib", p->prices.read_gib);
		bind_number(s, ":copies", true, p->prices.copies);
	}
}

/* sample_rank(seed, text): SHA-256 in hexadecimal (docs/REPORTS.md). */
static void sample_rank(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	crypto_hash_sha256_state state;
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1];

	(void)crypto_hash_sha256_init(&state);
	for (int i = 0; i < n; i++) {
		const unsigned char *text = sqlite3_value_text(v[i]);
		const unsigned long long len = (unsigned long long)sqlite3_value_bytes(v[i]);

		if (i > 0)
			(void)crypto_hash_sha256_update(&state, (const unsigned char *)"\n", 1);
		if (text)
			(void)crypto_hash_sha256_update(&state, text, len);
	}
	(void)crypto_hash_sha256_final(&state, hash);
	hex_encode(hex, hash, sizeof(hash));
	sqlite3_result_text(ctx, hex, -1, SQLITE_TRANSIENT);
}

static int ask(struct catalog *c, const char *before, const char *sql, const char *after,
               const struct report_params *p,
               int (*each)(void *arg, sqlite3_stmt *row, struct err *e), void *arg, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SQL_MAX);
	int rc;

	(void)buf_printf(&b, "%s%s%s%s", before, catalog_report_common, sql, after);
	if (buf_check(&b, "the statement of a report", e) < 0)
		return -1;
	rc = sqlite3_create_function(c->db, "sample_rank", 2,
	                             SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
	                             sample_rank, NULL, NULL);
	if (rc != SQLITE_OK)
		return catalog_error(c, rc, "reading", e);
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, buf_cstr(&b), e);
	if (!s)
		return -1;
	bind(s, p);
	catalog_limit(c, p->cancel, p->until_ns);
	while ((rc = catalog_step(c, s, e)) > 0) {
		rc = each(arg, s, e);
		if (rc != 0)
			break;
	}
	catalog_limit(c, NULL, 0);
	return rc < 0 ? -1 : 0;
}

int report_each(struct catalog *c, const char *sql, const struct report_params *p,
                int (*each)(void *arg, sqlite3_stmt *row, struct err *e), void *arg, struct err *e)
{
	return ask(c, "", sql, "", p, each, arg, e);
}

int report_states(struct catalog *c, const struct report *r, const struct report_params *p,
                  int (*each)(void *arg, sqlite3_stmt *row, struct err *e), void *arg,
                  struct err *e)
{
	return ask(c, "SELECT state, count(*) FROM (", r->sql, ") GROUP BY 1 ORDER BY 1", p, each,
	           arg, e);
}

/* ---- telling ---- */

static int set_text(json_t *o, const char *name, const char *text)
{
	return text ? json_object_set_new(o, name, json_text(text, 1024)) : 0;
}

struct json_t *report_head(const struct report *r, const struct report_params *p, struct err *e)
{
	const bool period = r->uses & REPORT_USES_PERIOD;
	auto_json json_t *o = json_pack("{s:s, s:s}", "report", r->name, "as_of",
	                                now_rfc3339(p->as_of_ns).s);

	if (!o ||
	    (period && (set_text(o, "from", now_rfc3339(p->from_ns).s) < 0 ||
	                set_text(o, "to", now_rfc3339(p->to_ns).s) < 0)) ||
	    (p->target_s > 0 && (r->uses & REPORT_USES_TARGET) &&
	     json_object_set_new(o, "target_s", json_integer(p->target_s)) < 0) ||
	    (r == &report_sample && (set_text(o, "seed", p->seed) < 0 ||
	                             json_object_set_new(o, "n", json_integer(p->n)) < 0)) ||
	    set_text(o, "cluster", p->cluster) < 0 || set_text(o, "namespace", p->namespace) < 0 ||
	    set_text(o, "volume", p->volume) < 0 ||
	    ((r->uses & REPORT_USES_POLICY) && set_text(o, "policy", p->policy) < 0)) {
		(void)err_set(e, ERR_NOMEM, "no memory for the head of a report");
		return NULL;
	}
	return STEAL(&o);
}

struct printing {
	struct table *t;
	size_t ncolumns;
	uint64_t rows, limit;
	bool more;
};

static int print_row(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct printing *x = arg;

	(void)e;
	if (x->limit > 0 && x->rows == x->limit) {
		x->more = true;
		return 1;
	}
	x->rows++;
	table_row(x->t);
	for (int i = 0; i < (int)x->ncolumns; i++) {
		switch (sqlite3_column_type(row, i)) {
		case SQLITE_NULL:
			table_null(x->t);
			break;
		case SQLITE_INTEGER:
			table_number(x->t, sqlite3_column_int64(row, i));
			break;
		default:
			table_text(x->t, catalog_text(row, i));
			break;
		}
	}
	return 0;
}

int report_print(struct catalog *c, const struct report *r, const struct report_params *p,
                 enum output output, uint64_t limit, FILE *f, bool *ret_more, struct err *e)
{
	struct table_column columns[COLUMNS_MAX];
	char schema[64];
	auto_json json_t *head = report_head(r, p, e);

	if (!head)
		return -1;
	(void)snprintf(schema, sizeof(schema), "aksdr/report/%s/v1", r->name);
	for (size_t i = 0; i < r->ncolumns; i++)
		columns[i] = (struct table_column){ .name = r->columns[i].name,
			                            .title = r->columns[i].wide
			                                             ? NULL
			                                             : r->columns[i].title,
			                            .kind = r->columns[i].kind };
	auto_table struct table *t = table_new(schema, columns, r->ncolumns, output, e);
	if (!t)
		return -1;
	struct printing x = { .t = t, .ncolumns = r->ncolumns, .limit = limit };
	table_guard(t);
	table_stream(t, f, head);
	if (report_each(c, r->sql, p, print_row, &x, e) < 0 || table_print(t, f, head, e) < 0)
		return -1;
	*ret_more = x.more;
	return 0;
}
