/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations: in order, all or nothing, never backwards. */
#include "catalog/migrate.h"

#include "tests/harness/store_kit.h"

static void db_clear(struct catalog *c)
{
	(void)sqlite3_close(c->db);
}

static char name[] = "memory";

static struct catalog db_new(void)
{
	struct catalog c = { .path = name, .writable = true };

	assert_int_equal(sqlite3_open(":memory:", &c.db), SQLITE_OK);
	return c;
}
#define auto_db CLEANUP(db_clear)

/* The first column of the first row as a number; -1: the statement fails. */
static int64_t number(struct catalog *c, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t v = -1;

	if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return v;
}

static const struct migrate_step steps[] = {
	{ 1, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)" },
	{ 2, "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 10" },
	{ 3, "CREATE TABLE b AS SELECT y * 2 AS z FROM a" },
};

static void test_migrate_run__takes_an_empty_database_to_the_newest_version(void **state)
{
	auto_db struct catalog c = db_new();

	(void)state;
	ok(migrate_run(&c, steps, 3, e));
	assert_int_equal(number(&c, "SELECT z FROM b"), 22);
	assert_int_equal(number(&c, "PRAGMA user_version"), 3);
	assert_int_equal(number(&c, "PRAGMA application_id"), CATALOG_APPLICATION_ID);
}

static void test_migrate_run__takes_an_older_one_from_where_it_is(void **state)
{
	auto_db struct catalog c = db_new();

	(void)state;
	ok(migrate_run(&c, steps, 1, e));
	ok(catalog_exec(&c, "INSERT INTO a VALUES (5)", e));
	ok(migrate_run(&c, steps, 3, e));
	assert_int_equal(number(&c, "SELECT sum(z) FROM b"), 52);
	assert_int_equal(number(&c, "SELECT count(*) FROM a"), 2);
}

static void test_migrate_run__again_changes_nothing(void **state)
{
	auto_db struct catalog c = db_new();

	(void)state;
	ok(migrate_run(&c, steps, 3, e));
	ok(migrate_run(&c, steps, 3, e));
	assert_int_equal(number(&c, "SELECT count(*) FROM a"), 1);
}

static void test_migrate_run__step_that_fails_undoes_those_before_it(void **state)
{
	static const struct migrate_step broken[] = {
		{ 1, "CREATE TABLE a (x INTEGER)" },
		{ 2, "CREATE TABLE b (x INTEGER)" },
		{ 3, "CREATE TABLE c (x INTEGER); INSERT INTO nothing VALUES (1)" },
	};
	auto_db struct catalog c = db_new();

	(void)state;
	ok(migrate_run(&c, broken, 1, e));
	fails_saying(ERR_BUG, "from version 1 to 3", migrate_run(&c, broken, 3, e));
	assert_int_equal(number(&c, "PRAGMA user_version"), 1);
	assert_int_equal(number(&c, "SELECT count(*) FROM a"), 0);
	assert_int_equal(number(&c, "SELECT count(*) FROM b"), -1);
	assert_int_equal(number(&c, "SELECT count(*) FROM c"), -1);
}

static void test_migrate_run__newer_database_is_refused_by_its_number(void **state)
{
	auto_db struct catalog c = db_new();

	(void)state;
	ok(migrate_run(&c, steps, 3, e));
	fails_saying(ERR_FORMAT, "of version 3, this program knows versions up to 2",
	             migrate_run(&c, steps, 2, e));
	assert_int_equal(number(&c, "SELECT z FROM b"), 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_migrate_run__takes_an_empty_database_to_the_newest_version),
		cmocka_unit_test(test_migrate_run__takes_an_older_one_from_where_it_is),
		cmocka_unit_test(test_migrate_run__again_changes_nothing),
		cmocka_unit_test(test_migrate_run__step_that_fails_undoes_those_before_it),
		cmocka_unit_test(test_migrate_run__newer_database_is_refused_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
