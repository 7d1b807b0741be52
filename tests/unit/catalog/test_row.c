/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: written once, of one repository; results of checks move to a new file. */
#include "catalog/row.h"

#include "tests/unit/catalog/catalog_kit.h"

static const struct check_problem problems[] = {
	{ .object = "pack/aa/x", .what = CHECK_DAMAGED, .text = "is damaged", .chunks = 3 },
	{ .object = "pack/bb/y", .what = CHECK_MISSING, .text = "is missing" },
};

static void add_check(struct catalog *c, unsigned level, uint64_t found)
{
	const struct check_result result = {
		.level = level,
		.started_ns = 1000000000,
		.finished_ns = 3000000000,
		.points = 4,
		.objects = 5,
		.bytes_read = 6,
		.problems = found,
		.hurt_points = 7,
		.hurt_entries = 8,
	};
	const struct row_check check = {
		.result = &result, .key_kind = KEY_AUDIT, .problems = problems, .nproblems = found
	};

	ok(row_add_check(c, &check, e));
}

#define CHECKS                                                                                   \
	"SELECT id, level, started_ns, finished_ns, key_kind, points, objects, bytes, problems," \
	" hurt_points, hurt_entries FROM checks ORDER BY id"
#define CHECK_PROBLEMS "SELECT * FROM check_problems ORDER BY check_id, n"

static void test_row_bind_repository__first_one_stays(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit struct kit other = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	ok(row_bind_repository(c, k.agent->keys, e));
	ok(row_bind_repository(c, k.audit->keys, e));
	fails_saying(ERR_INVALID, "name another file by --catalog",
	             row_bind_repository(c, other.agent->keys, e));
	assert_rows(c, "SELECT count(*), name FROM signers GROUP BY name", "1|admin\n1|agent\n");
}

static void test_row_add_point__second_time_changes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("ns", "data");
	char voltag[17];
	struct err err = ERR_INIT;

	(void)state;
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);
	ok(point_voltag(k.audit->keys, &v, voltag, e));
	assert_int_equal(row_add_point(c, &p, voltag, &err), 1);
	p.files = 99;
	assert_int_equal(row_add_point(c, &p, voltag, &err), 0);
	assert_rows(c, "SELECT files FROM points", "1\n");
}

static void test_row_add_point__point_that_makes_no_sense_is_an_error(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("ns", "data");
	char voltag[17];

	(void)state;
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);
	ok(point_voltag(k.audit->keys, &v, voltag, e));
	p.sequence = 0;
	fails(ERR_BUG, row_add_point(c, &p, voltag, e));
}

static void test_row_add_point__tells_how_the_view_came_to_be(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("ns", "data");
	static char command[] = "/bin/quiesce";
	static char output[] = "one\ntwo\n";
	char voltag[17];
	struct err err = ERR_INIT;
	const struct capture_hook hooks[] = {
		{ .command = command, .ms = 12, .started_ns = 1000000000 },
		{ .command = command, .exit = 3, .output = output, .cut_bytes = 4 },
		{ .command = command, .signal = 9, .post = true },
		{ .command = command, .signal = 9, .post = true, .timed_out = true },
	};

	(void)state;
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point p = kit_commit(&k, &v, 2, &first);
	ok(point_voltag(k.audit->keys, &v, voltag, e));
	p.capture.frozen_ns = INT64_C(1700000000000000000);
	p.capture.thawed_ns = INT64_C(1700000000012900000);
	memcpy(p.capture.moment, "window", 7);
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		ok(capture_add_hook(&p.capture, &hooks[i], e));
	ok(capture_add_fact(&p.capture, "pg.lsn", "0/3000148", e));
	ok(capture_add_note(&p.capture, "not all of it", e));
	ok(capture_set_fallback(&p.capture, "no reflinks", e));
	p.capture.changes = (struct capture_changes){ .claimed_bytes = 1,
		                                      .skipped_bytes = 2,
		                                      .compared = true,
		                                      .compared_bytes = 3,
		                                      .wrong_bytes = 4 };
	memcpy(p.capture.changes.base_session, first.session, sizeof(first.session));
	assert_int_equal(row_add_point(c, &first, voltag, &err), 1);
	assert_int_equal(row_add_point(c, &p, voltag, &err), 1);
	assert_rows(c,
	            "SELECT freeze_ms, moment, fallback, hooks_run, hooks_failed,"
	            " base_session IS previous_session, bytes_claimed, bytes_skipped,"
	            " bytes_compared, bytes_wrong FROM v_points ORDER BY sequence",
	            "|||0|0|1||||\n"
	            "12|window|no reflinks|4|3|1|1|2|3|4\n");
	assert_rows(c, "SELECT volume, n, phase, command, outcome, ms FROM v_hooks ORDER BY n",
	            "c1/ns/data|0|pre|/bin/quiesce|ok|12\n"
	            "c1/ns/data|1|pre|/bin/quiesce|status 3|0\n"
	            "c1/ns/data|2|post|/bin/quiesce|signal 9|0\n"
	            "c1/ns/data|3|post|/bin/quiesce|timed out|0\n");
	assert_rows(c, "SELECT cut_bytes, length(output) FROM point_hooks WHERE n = 1", "4|8\n");
	assert_rows(c, "SELECT volume, name, value FROM v_facts", "c1/ns/data|pg.lsn|0/3000148\n");
	assert_rows(c, "SELECT note FROM point_notes", "not all of it\n");
}

static void test_row_add_check__keeps_the_result_with_its_problems(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	add_check(c, 3, 2);
	add_check(c, 0, 0);
	assert_rows(c, CHECKS,
	            "1|3|1000000000|3000000000|audit|4|5|6|2|7|8\n"
	            "2|0|1000000000|3000000000|audit|4|5|6|0|7|8\n");
	assert_rows(c, CHECK_PROBLEMS,
	            "1|0|pack/aa/x|damaged|is damaged|3\n1|1|pack/bb/y|missing|is missing|0\n");
	assert_rows(c, "SELECT id, took_s, verdict FROM v_checks", "1|2|damaged\n2|2|ok\n");
}

static void test_row_copy_findings__takes_them_from_the_same_repository_only(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit struct kit other = kit_new();
	auto_catalog struct catalog *old = kit_catalog(k.dir, "old.db");
	auto_catalog struct catalog *foreign = kit_catalog(k.dir, "foreign.db");
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_free char *old_path = path_join(k.dir, "old.db");
	auto_free char *foreign_path = path_join(k.dir, "foreign.db");

	(void)state;
	ok(row_bind_repository(c, k.audit->keys, e));
	ok(row_bind_repository(old, k.audit->keys, e));
	ok(row_bind_repository(foreign, other.audit->keys, e));
	add_check(old, 3, 2);
	add_check(foreign, 2, 1);
	ok(catalog_exec(old,
	                "INSERT INTO lock_looks VALUES (1, 5, 1, 60, 1, 1, 0, 0, 0, 0);"
	                "INSERT INTO locks VALUES ('S', 1, 9, 1)",
	                e));
	row_copy_findings(c, foreign_path);
	assert_rows(c, CHECKS, "");
	row_copy_findings(c, "/no/such/file");
	assert_rows(c, CHECKS, "");
	row_copy_findings(c, old_path);
	assert_rows(c, CHECKS, "1|3|1000000000|3000000000|audit|4|5|6|2|7|8\n");
	assert_rows(c, "SELECT count(*) FROM check_problems", "2\n");
	assert_rows(c, "SELECT session, observed_ns FROM locks JOIN lock_looks ON id = look",
	            "S|5\n");
	/* a second time they are there already: nothing is copied, nothing is lost */
	row_copy_findings(c, old_path);
	assert_rows(c, "SELECT count(*) FROM checks", "1\n");
	ok(catalog_exec(c, "BEGIN; COMMIT", e));
}

static void test_row_copy_findings__damaged_file_gives_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_free char *path = path_join(k.dir, "old.db");

	(void)state;
	ok(row_bind_repository(c, k.audit->keys, e));
	write_text(k.dir, "old.db", "this is no database, and long enough to be looked at");
	row_copy_findings(c, path);
	assert_rows(c, CHECKS, "");
	add_check(c, 1, 0); /* the catalog is as usable as before */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_bind_repository__first_one_stays),
		cmocka_unit_test(test_row_add_point__second_time_changes_nothing),
		cmocka_unit_test(test_row_add_point__point_that_makes_no_sense_is_an_error),
		cmocka_unit_test(test_row_add_point__tells_how_the_view_came_to_be),
		cmocka_unit_test(test_row_add_check__keeps_the_result_with_its_problems),
		cmocka_unit_test(test_row_copy_findings__takes_them_from_the_same_repository_only),
		cmocka_unit_test(test_row_copy_findings__damaged_file_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
