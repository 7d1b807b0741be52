/* SPDX-License-Identifier: Apache-2.0 */
/* Queries: nothing is written by them, and what they say comes out exactly. */
#include "catalog/query.h"

#include "tests/unit/catalog/catalog_kit.h"

/* A catalog with two points of data and one of ns/web, open for reading as queries have it. */
struct world {
	struct kit k;
	struct catalog *c;
};

static void world_init(struct world *w)
{
	const struct point_volume data = kit_volume("", "data");
	const struct point_volume web = kit_volume("ns", "web");
	auto_free char *path = NULL;

	w->k = kit_new();
	path = path_join(w->k.dir, "catalog.db");
	auto_kit_point struct point a = kit_commit(&w->k, &data, 1, NULL);
	auto_kit_point struct point b = kit_commit(&w->k, &data, 2, &a);
	auto_kit_point struct point c = kit_commit_as(&w->k, &web, 3, 1, NULL);
	{
		auto_catalog struct catalog *writable = kit_catalog(w->k.dir, "catalog.db");

		(void)kit_sync(&w->k, writable);
	}
	ok(catalog_open(path, CATALOG_READ, &w->c, e));
}

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

/* Runs with what it writes in *ret_text (caller frees). */
static int run(struct world *w, const struct query_params *p, char **ret_text,
               struct query_result *ret, struct err *e)
{
	size_t n;
	FILE *f = open_memstream(ret_text, &n);

	assert_non_null(f);
	int rc = query_run(w->c, p, f, ret, e);
	assert_int_equal(fclose(f), 0);
	return rc;
}

static void assert_output(struct world *w, enum output output, const char *sql,
                          const char *expected)
{
	const struct query_params p = { .sql = sql, .output = output };
	struct query_result r;
	auto_free char *text = NULL;

	ok(run(w, &p, &text, &r, e));
	assert_string_equal(text, expected);
	assert_false(r.more);
}

static void assert_refused(struct world *w, enum err_class class, const char *sql, const char *says)
{
	const struct query_params p = { .sql = sql, .output = OUTPUT_JSON };
	struct query_result r;
	auto_free char *text = NULL;

	fails_saying(class, says, run(w, &p, &text, &r, e));
	assert_string_equal(text, ""); /* not half an answer */
}

/* ---- what comes out ---- */

static void test_query_run__rows_as_json_csv_and_table(void **state)
{
	static const char sql[] =
		"SELECT volume, sequence, previous_session IS NULL AS first FROM v_points ORDER "
		"BY frozen_ns";
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(&w, OUTPUT_JSON, sql,
	              "{\"schema\": \"aksdr/query/v1\",\n"
	              " \"columns\": [\"volume\", \"sequence\", \"first\"],\n"
	              " \"items\": [\n"
	              "  {\"volume\": \"data\", \"sequence\": 1, \"first\": 1},\n"
	              "  {\"volume\": \"data\", \"sequence\": 2, \"first\": 0},\n"
	              "  {\"volume\": \"c1/ns/web\", \"sequence\": 1, \"first\": 1}]}\n");
	assert_output(&w, OUTPUT_CSV, sql,
	              "volume,sequence,first\r\ndata,1,1\r\ndata,2,0\r\nc1/ns/web,1,1\r\n");
	assert_output(&w, OUTPUT_TABLE, sql,
	              "volume    sequence first\n"
	              "data             1 1\n"
	              "data             2 0\n"
	              "c1/ns/web        1 1\n");
}

static void test_query_run__every_type_of_value(void **state)
{
	static const char sql[] =
		"SELECT 9223372036854775807 AS i, -1.5 AS r, 1e999 AS inf, NULL AS n, x'00ff10' "
		"AS b,"
		" 'a \"quoted\", \\ text' || char(10) || 'x' AS t, CAST(x'41ff' AS TEXT) AS bad, "
		"'' AS empty";
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(
		&w, OUTPUT_JSON, sql,
		"{\"schema\": \"aksdr/query/v1\",\n"
		" \"columns\": [\"i\", \"r\", \"inf\", \"n\", \"b\", \"t\", \"bad\", \"empty\"],\n"
		" \"items\": [\n"
		"  {\"i\": 9223372036854775807, \"r\": -1.5, \"inf\": null, \"n\": null,"
		" \"b\": \"00ff10\", \"t\": \"a \\\"quoted\\\", \\\\ text\\u000ax\","
		" \"bad\": \"A\\\\xff\", \"empty\": \"\"}]}\n");
	assert_output(&w, OUTPUT_CSV, sql,
	              "i,r,inf,n,b,t,bad,empty\r\n"
	              "9223372036854775807,-1.5,Inf,,00ff10,\"a \"\"quoted\"\", \\ "
	              "text\nx\",A\\xff,\"\"\r\n");
}

static void test_query_run__no_rows_is_an_answer(void **state)
{
	static const char sql[] = "SELECT volume AS v FROM v_points WHERE volume = 'nothing'";
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(&w, OUTPUT_JSON, sql,
	              "{\"schema\": \"aksdr/query/v1\",\n \"columns\": [\"v\"],\n \"items\": "
	              "[]}\n");
	assert_output(&w, OUTPUT_CSV, sql, "v\r\n");
}

static void test_query_run__column_names_come_once(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(&w, OUTPUT_CSV, "SELECT 1 AS a, 2 AS a, 3 AS a, 4 AS a_2, 5 AS \"\"",
	              "a,a_2,a_3,a_2_2,\"\"\r\n1,2,3,4,5\r\n");
}

static void test_query_run__semicolon_and_comment_may_end_it(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(&w, OUTPUT_CSV, "SELECT 1 AS a;", "a\r\n1\r\n");
	assert_output(&w, OUTPUT_CSV, "SELECT 1 AS a ; ;\n -- that is all", "a\r\n1\r\n");
	assert_output(&w, OUTPUT_CSV, "-- first\nSELECT 1 AS a; -- one\n-- two\n", "a\r\n1\r\n");
	assert_output(&w, OUTPUT_CSV, "WITH x AS (SELECT 7 AS a) SELECT a FROM x", "a\r\n7\r\n");
	assert_output(&w, OUTPUT_CSV, "VALUES (1), (2)", "column1\r\n1\r\n2\r\n");
}

static void test_query_run__the_schema_can_be_read(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_output(&w, OUTPUT_CSV, "SELECT name FROM sqlite_schema WHERE name = 'v_rpo'",
	              "name\r\nv_rpo\r\n");
	const struct query_params p = { .sql = "PRAGMA table_info(clusters)",
		                        .output = OUTPUT_CSV };
	struct query_result r;
	auto_free char *text = NULL;
	ok(run(&w, &p, &text, &r, e));
	assert_non_null(strstr(text, "0,cluster,TEXT"));
	const struct query_params plan = { .sql = "EXPLAIN QUERY PLAN SELECT 1",
		                           .output = OUTPUT_CSV };
	auto_free char *planned = NULL;
	ok(run(&w, &plan, &planned, &r, e));
	assert_non_null(strstr(planned, "SCAN CONSTANT ROW"));
}

static void test_query_run__same_question_same_answer(void **state)
{
	const struct query_params p = { .sql = "SELECT * FROM v_points", .output = OUTPUT_JSON };
	auto_world struct world w;
	struct query_result r;
	auto_free char *a = NULL;
	auto_free char *b = NULL;

	(void)state;
	world_init(&w);
	ok(run(&w, &p, &a, &r, e));
	ok(run(&w, &p, &b, &r, e));
	assert_string_equal(a, b);
	assert_int_equal(r.rows, 3);
}

/* ---- limits ---- */

static void test_query_run__limit_cuts_and_says_so(void **state)
{
	auto_world struct world w;
	struct query_params p = { .sql = "VALUES (1), (2), (3)",
		                  .rows_max = 2,
		                  .output = OUTPUT_CSV };
	struct query_result r;
	auto_free char *two = NULL;
	auto_free char *three = NULL;

	(void)state;
	world_init(&w);
	ok(run(&w, &p, &two, &r, e));
	assert_string_equal(two, "column1\r\n1\r\n2\r\n");
	assert_int_equal(r.rows, 2);
	assert_true(r.more);
	p.rows_max = 3;
	ok(run(&w, &p, &three, &r, e));
	assert_int_equal(r.rows, 3);
	assert_false(r.more);
}

#define ENDLESS \
	"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"

static void test_query_run__timeout_and_cancel_end_an_endless_one(void **state)
{
	auto_world struct world w;
	struct query_params p = { .sql = ENDLESS, .timeout_ms = 1 };
	struct query_result r;
	struct cancel cancel;
	struct err why = ERR_INIT;
	auto_free char *a = NULL;
	auto_free char *b = NULL;

	(void)state;
	world_init(&w);
	fails_saying(ERR_TOO_BIG, "--timeout", run(&w, &p, &a, &r, e));
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	p.timeout_ms = 0;
	p.cancel = &cancel;
	assert_int_equal(run(&w, &p, &b, &r, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	cancel_clear(&cancel);
	/* the handle is as good as before */
	assert_output(&w, OUTPUT_CSV, "SELECT 1 AS a", "a\r\n1\r\n");
}

/* ---- what is refused ---- */

static void test_query_run__nothing_can_be_written(void **state)
{
	static const char *const statements[] = {
		"DELETE FROM points",
		"UPDATE points SET gone_at_ns = 1",
		"INSERT INTO clusters VALUES ('x')",
		"REPLACE INTO clusters VALUES ('x')",
		"CREATE TABLE x (a)",
		"CREATE TEMP TABLE x (a)",
		"CREATE TEMP VIEW x AS SELECT 1",
		"CREATE TEMP TRIGGER x AFTER INSERT ON clusters BEGIN SELECT 1; END",
		"CREATE VIRTUAL TABLE x USING fts5(a)",
		"CREATE INDEX x ON points (host)",
		"DROP TABLE points",
		"ALTER TABLE points ADD COLUMN x",
		"ATTACH ':memory:' AS x",
		"ATTACH 'file:x.db' AS x",
		"DETACH main",
		"BEGIN",
		"COMMIT",
		"SAVEPOINT x",
		"VACUUM",
		"VACUUM INTO 'copy.db'",
		"REINDEX",
		"ANALYZE",
		"PRAGMA user_version = 5",
		"PRAGMA user_version",
		"PRAGMA writable_schema = 1",
		"PRAGMA journal_mode = DELETE",
		"PRAGMA journal_mode",
		"PRAGMA wal_checkpoint",
		"PRAGMA query_only = 0",
		"PRAGMA temp_store_directory = '/tmp'",
		"PRAGMA optimize",
		"SELECT load_extension('/lib/x.so')",
		"SELECT LOAD_EXTENSION('/lib/x.so', 'y')",
		"SELECT * FROM pragma_user_version",
		"WITH x AS (SELECT 1) DELETE FROM points",
		"EXPLAIN DELETE FROM points",
	};
	auto_world struct world w;
	size_t before_n;
	size_t after_n;

	(void)state;
	world_init(&w);
	auto_free char *before = read_file(w.k.dir, "catalog.db", &before_n);
	for (size_t i = 0; i < ARRAY_LEN(statements); i++)
		assert_refused(&w, ERR_DENIED, statements[i], "a query can only read the catalog");
	auto_free char *after = read_file(w.k.dir, "catalog.db", &after_n);
	assert_int_equal(before_n, after_n);
	assert_memory_equal(before, after, before_n);
	assert_output(&w, OUTPUT_CSV, "SELECT count(*) AS n FROM points", "n\r\n3\r\n");
}

static void test_query_run__nothing_can_be_written_with_a_writable_handle_either(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	catalog_free(w.c);
	w.c = kit_catalog(w.k.dir, "catalog.db");
	assert_refused(&w, ERR_DENIED, "DELETE FROM anomalies", "a statement that writes");
	assert_refused(&w, ERR_DENIED, "PRAGMA user_version = 5", "PRAGMA user_version");
	assert_refused(&w, ERR_DENIED, "ATTACH ':memory:' AS x", "ATTACH");
	/* and afterwards the handle writes again */
	ok(catalog_exec(w.c, "INSERT INTO clusters VALUES ('x')", e));
}

static void test_query_run__files_cannot_be_read_or_written_by_functions(void **state)
{
	static const char *const statements[] = {
		"SELECT writefile('x', 'y')", "SELECT readfile('/etc/passwd')",
		"SELECT edit('x')",           "SELECT fts3_tokenizer('simple')",
		"SELECT * FROM fsdir('/')",
	};
	auto_world struct world w;

	(void)state;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		const struct query_params p = { .sql = statements[i] };
		struct query_result r;
		struct err why = ERR_INIT;
		auto_free char *text = NULL;

		/* unknown to SQLite's library, or refused */
		assert_int_equal(run(&w, &p, &text, &r, &why), -1);
		assert_true(why.class == ERR_INVALID || why.class == ERR_DENIED);
	}
	assert_false(file_exists(".", "x"));
}

static void test_query_run__sqlites_words_are_passed_on(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_refused(&w, ERR_INVALID, "SELEC 1", "near \"SELEC\": syntax error");
	assert_refused(&w, ERR_INVALID, "SELECT * FROM none_such", "no such table: none_such");
	assert_refused(&w, ERR_INVALID, "SELECT none_such FROM points",
	               "no such column: none_such");
	assert_refused(&w, ERR_INVALID, "SELECT \"none_such\" FROM points",
	               "no such column: none_such");
	assert_refused(&w, ERR_INVALID, "SELECT (1", "incomplete input");
	assert_refused(&w, ERR_INVALID, "SELECT none_such(1)", "no such function: none_such");
	assert_refused(&w, ERR_INVALID, "SELECT abs(-9223372036854775808)", "integer overflow");
	assert_refused(&w, ERR_INVALID, "SELECT raise(ABORT, 'x')", "RAISE()");
}

static void test_query_run__one_statement_and_no_parameters(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_refused(&w, ERR_INVALID, "", "there is no statement");
	assert_refused(&w, ERR_INVALID, " ; -- nothing", "there is no statement");
	assert_refused(&w, ERR_INVALID, "SELECT 1; SELECT 2",
	               "only one statement at a time: ' SELECT 2'");
	assert_refused(&w, ERR_INVALID, "SELECT 1; DELETE FROM points", "only one statement");
	assert_refused(&w, ERR_INVALID, "SELECT ?1", "parameters");
	assert_refused(&w, ERR_INVALID, "SELECT :name", "parameters");
}

static void test_query_run__output_that_cannot_be_written_is_an_error(void **state)
{
	auto_world struct world w;
	const struct query_params p = { .sql = "VALUES (1)", .output = OUTPUT_JSON };
	struct query_result r;
	auto_fclose FILE *f = fopen("/dev/full", "we");

	(void)state;
	world_init(&w);
	assert_non_null(f);
	(void)setvbuf(f, NULL, _IONBF, 0);
	fails(ERR_QUOTA, query_run(w.c, &p, f, &r, e));
}

static void test_query_run__memory_and_values_are_bounded(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	assert_refused(&w, ERR_TOO_BIG, "SELECT zeroblob(70000000)", "over 64 MiB");
	assert_refused(&w, ERR_TOO_BIG,
	               "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i LIMIT 9)"
	               " SELECT group_concat(hex(zeroblob(15000000 + x))) FROM i",
	               "Mi");
	/* and the limit is of the query alone */
	void *p = sqlite3_malloc64(200 * MIB);
	assert_non_null(p);
	sqlite3_free(p);
}

static void test_query_run__a_table_ends_by_itself(void **state)
{
	const struct query_params p = {
		.sql = "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i)"
		       " SELECT x FROM i",
		.output = OUTPUT_TABLE,
	};
	auto_world struct world w;
	struct query_result r;
	auto_free char *text = NULL;

	(void)state;
	world_init(&w);
	ok(run(&w, &p, &text, &r, e));
	assert_int_equal(r.rows, QUERY_TABLE_ROWS);
	assert_true(r.more);
}

/* ---- the documentation ---- */

static void test_query_run__every_example_of_the_documentation_runs(void **state)
{
	static const char fence[] = "```sql\n";
	auto_world struct world w;
	auto_free char *text = read_file("docs", "CATALOG.md", NULL);
	unsigned n = 0;

	(void)state;
	world_init(&w);
	for (char *at = strstr(text, fence); at; at = strstr(at, fence)) {
		char *sql = at + strlen(fence);
		char *end = strstr(sql, "```");
		struct query_params p = { .sql = sql, .output = OUTPUT_JSON };
		struct query_result r;
		auto_free char *output = NULL;

		assert_non_null(end);
		*end = '\0';
		ok(run(&w, &p, &output, &r, e));
		at = end + 1;
		n++;
	}
	assert_true(n >= 20);
}

static void test_query_run__documentation_names_every_table_view_and_column(void **state)
{
	auto_world struct world w;
	auto_free char *text = read_file("docs", "CATALOG.md", NULL);
	struct err why = ERR_INIT;

	(void)state;
	world_init(&w);
	/* The row of its table; those of points have rows of their own. */
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		w.c,
		"SELECT '\n| `' || t.name || '`', '`' || c.name || '`' FROM sqlite_schema t,"
		" pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name NOT LIKE 'root_%'"
		" AND c.name NOT IN ('id', 'one')"
		" UNION SELECT '\n| `' || name || '`', '' FROM sqlite_schema WHERE type = 'view'",
		&why);
	assert_non_null(s);
	while (catalog_step(w.c, s, &why) > 0) {
		const bool points = strcmp(catalog_text(s, 0), "\n| `points`") == 0;
		const char *row = points ? text : strstr(text, catalog_text(s, 0));

		if (!row)
			fail_msg("docs/CATALOG.md says nothing of%s", catalog_text(s, 0));
		const char *end = points ? NULL : strchr(row + 1, '\n');
		const char *column = strstr(row, catalog_text(s, 1));
		if (!column || (end && column > end))
			fail_msg("docs/CATALOG.md says nothing of%s, %s", catalog_text(s, 0),
			         catalog_text(s, 1));
	}
}

/* The other way round: what is named in rows of tables and views is there. */
static void test_query_run__documentation_names_no_table_view_or_column_that_is_not(void **state)
{
	auto_world struct world w;
	auto_free char *text = read_file("docs", "CATALOG.md", NULL);
	struct err why = ERR_INIT;
	char *end = strstr(text, "## The second region");
	unsigned n = 0;

	(void)state;
	world_init(&w);
	assert_non_null(end);
	*end = '\0';
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		w.c,
		"SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1"
		" UNION SELECT 1 FROM sqlite_schema t, pragma_table_xinfo(t.name) c"
		" WHERE t.type IN ('table', 'view') AND c.name = ?1",
		&why);
	assert_non_null(s);
	for (char *at = strstr(text, "## Tables"); at && (at = strchr(at, '`'));) {
		char *to = strchr(at + 1, '`');
		char *line = at;

		assert_non_null(to);
		*to = '\0';
		while (line > text && line[-1] != '\n')
			line--;
		/* Values stand in such rows, too; those have no '_'. */
		bool is_name = line + 2 == at || strchr(at + 1, '_');
		if (*line == '|' && is_name &&
		    strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_") == strlen(at + 1)) {
			(void)sqlite3_reset(s);
			catalog_bind_text(s, 1, at + 1);
			if (catalog_step(w.c, s, &why) != 1 &&
			    strcmp(at + 1, "last_sync") != 0 /* a value of `kind` */ &&
			    strncmp(line, "| `bad_signature`", 17) != 0)
				fail_msg("docs/CATALOG.md names `%s`, which is not there", at + 1);
			n++;
		}
		*to = '`';
		at = to + 1;
	}
	assert_true(n > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_run__rows_as_json_csv_and_table),
		cmocka_unit_test(test_query_run__every_type_of_value),
		cmocka_unit_test(test_query_run__no_rows_is_an_answer),
		cmocka_unit_test(test_query_run__column_names_come_once),
		cmocka_unit_test(test_query_run__semicolon_and_comment_may_end_it),
		cmocka_unit_test(test_query_run__the_schema_can_be_read),
		cmocka_unit_test(test_query_run__same_question_same_answer),
		cmocka_unit_test(test_query_run__limit_cuts_and_says_so),
		cmocka_unit_test(test_query_run__timeout_and_cancel_end_an_endless_one),
		cmocka_unit_test(test_query_run__nothing_can_be_written),
		cmocka_unit_test(
			test_query_run__nothing_can_be_written_with_a_writable_handle_either),
		cmocka_unit_test(test_query_run__files_cannot_be_read_or_written_by_functions),
		cmocka_unit_test(test_query_run__sqlites_words_are_passed_on),
		cmocka_unit_test(test_query_run__one_statement_and_no_parameters),
		cmocka_unit_test(test_query_run__output_that_cannot_be_written_is_an_error),
		cmocka_unit_test(test_query_run__memory_and_values_are_bounded),
		cmocka_unit_test(test_query_run__a_table_ends_by_itself),
		cmocka_unit_test(test_query_run__every_example_of_the_documentation_runs),
		cmocka_unit_test(test_query_run__documentation_names_every_table_view_and_column),
		cmocka_unit_test(
			test_query_run__documentation_names_no_table_view_or_column_that_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
