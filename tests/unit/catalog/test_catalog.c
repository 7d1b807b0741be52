/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog file: where it is, whether it is ours and whole, and that what was seen stays. */
#include "catalog/catalog.h"

#include "tests/harness/repo_kit.h"

#include "catalog/row.h"
#include "catalog/sql.gen.h"

#define REPO_A "00112233445566778899aabbccddeeff"
#define REPO_B "ffeeddccbbaa99887766554433221100"

static void exec(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make(const char *path)
{
	auto_catalog struct catalog *c = NULL;

	ok(catalog_open(path, CATALOG_WRITE, &c, e));
}

/* ---- where it is ---- */

static void test_catalog_path__option_comes_first(void **state)
{
	auto_free char *path = NULL;

	(void)state;
	ok(catalog_path("my.db", "/no/state", "/no/key", &path, e));
	assert_string_equal(path, "my.db");
}

static void test_catalog_path__key_file_names_the_repository(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *key = path_join(dir, "audit.key");
	auto_free char *path = NULL;

	(void)state;
	write_text(dir, "audit.key", "aksdr audit key 1\nrepository: " REPO_A "\nmetadata: x\n");
	ok(catalog_path(NULL, "/state", key, &path, e));
	assert_string_equal(path, "/state/" REPO_A "/catalog.db");
}

static void test_catalog_path__file_that_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"hello",
		"repository: 00",
		"repository: " REPO_A "00\n",
		"repository: 0011223344556677889_aabbccddeeff\n",
		" repository: " REPO_A "\n",
	};
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *key = path_join(dir, "key");
	char *path = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_text(dir, "key", texts[i]);
		fails(ERR_FORMAT, catalog_path(NULL, "/state", key, &path, e));
	}
	fails(ERR_NOT_FOUND, catalog_path(NULL, "/state", "/no/such/key", &path, e));
}

static void test_catalog_path__only_one_in_the_state_directory_is_found(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = NULL;
	auto_free char *expected = path_join(dir, REPO_A "/catalog.db");
	char *none = NULL;

	(void)state;
	fails_saying(ERR_NOT_FOUND, "aksdr-catalog sync",
	             catalog_path(NULL, "/no/dir", NULL, &none, e));
	write_text(dir, REPO_B "/other", "");
	fails_saying(ERR_NOT_FOUND, "aksdr-catalog sync", catalog_path(NULL, dir, NULL, &none, e));
	write_text(dir, REPO_A "/catalog.db", "");
	ok(catalog_path(NULL, dir, NULL, &path, e));
	assert_string_equal(path, expected);
	write_text(dir, REPO_B "/catalog.db", "");
	fails_saying(ERR_NOT_FOUND, "of 2 repositories", catalog_path(NULL, dir, NULL, &none, e));
}

static void test_catalog_path__no_state_directory_is_no_place(void **state)
{
	char *path = NULL;

	(void)state;
	fails_saying(ERR_INVALID, "--catalog", catalog_path(NULL, "", NULL, &path, e));
	fails_saying(ERR_INVALID, "--catalog", catalog_path(NULL, "", "/no/key", &path, e));
}

/* ---- opening ---- */

static void test_catalog_open__makes_file_and_directories_for_the_owner_only(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "a/b/catalog.db");
	auto_free char *sub = path_join(dir, "a/b");
	struct stat st;

	(void)state;
	mode_t mask = umask(0);
	make(path);
	(void)umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_catalog_open__reading_needs_a_file(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	struct catalog *c = NULL;

	(void)state;
	fails_saying(ERR_NOT_FOUND, "run 'aksdr-catalog sync'",
	             catalog_open(path, CATALOG_READ, &c, e));
	assert_false(file_exists(dir, "catalog.db"));
	write_text(dir, "catalog.db", "");
	fails_saying(ERR_NOT_FOUND, "is empty", catalog_open(path, CATALOG_READ, &c, e));
	make(path);
	ok(catalog_open(path, CATALOG_READ, &c, e));
	catalog_free(c);
}

static void test_catalog_open__no_name_has_a_meaning_to_sqlite(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *cwd = getcwd(NULL, 0);

	(void)state;
	assert_int_equal(chdir(dir), 0);
	make(":memory:");
	make("file:x?mode=memory");
	assert_int_equal(chdir(cwd), 0);
	assert_true(file_exists(dir, ":memory:"));
	assert_true(file_exists(dir, "file:x?mode=memory"));
}

static void test_catalog_open__bytes_that_are_no_database_are_corrupt(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	uint8_t noise[8192];
	struct catalog *c = NULL;

	(void)state;
	fill_random(7, noise, sizeof(noise));
	write_file(dir, "catalog.db", noise, sizeof(noise));
	fails_saying(ERR_CORRUPT, "aksdr-catalog rebuild", catalog_open(path, CATALOG_READ, &c, e));
	fails_saying(ERR_CORRUPT, "aksdr-catalog rebuild",
	             catalog_open(path, CATALOG_WRITE, &c, e));
}

static void test_catalog_open__damaged_pages_are_corrupt(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	struct catalog *c = NULL;
	size_t n;
	unsigned refused = 0;

	(void)state;
	make(path);
	exec(path, "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 3000)"
	           " INSERT INTO signers (signer, public, name) SELECT printf('%016x', x),"
	           " printf('%064x', x), 'name' FROM i");
	auto_free char *bytes = read_file(dir, "catalog.db", &n);
	assert_true(n > 20 * 4096);
	/* the head of each page from the second on, as a broken disk may leave it */
	for (size_t page = 1; page < n / 4096; page++) {
		uint8_t *damaged = malloc(n);
		struct err e = ERR_INIT;

		assert_non_null(damaged);
		memcpy(damaged, bytes, n);
		memset(damaged + page * 4096, 0xff, 64);
		write_file(dir, "catalog.db", damaged, n);
		free(damaged);
		if (catalog_open(path, CATALOG_READ, &c, &e) == 0) {
			catalog_free(c);
			continue;
		}
		assert_int_equal(e.class, ERR_CORRUPT);
		assert_non_null(strstr(e.msg, "aksdr-catalog rebuild"));
		refused++;
	}
	assert_true(refused >= n / 4096 - 1);
}

/* To read all of a large file takes longer than most questions: damage is told where it is read. */
static void test_catalog_open__large_file_with_damage_is_told_of_by_who_reads_it(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	auto_catalog struct catalog *c = NULL;
	struct catalog *other = NULL;
	struct err why = ERR_INIT;
	size_t n;

	(void)state;
	make(path);
	exec(path, "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 50000)"
	           " INSERT INTO signers (signer, public, name) SELECT printf('%016x', x),"
	           " printf('%064x', x), 'name' FROM i");
	auto_free uint8_t *bytes = (uint8_t *)read_file(dir, "catalog.db", &n);
	assert_true(n > 5 * MIB);
	for (size_t page = n / 4096 / 2; page < n / 4096 * 3 / 4; page++)
		memset(bytes + page * 4096, 0xff, 64);
	write_file(dir, "catalog.db", bytes, n);
	ok(catalog_open(path, CATALOG_READ, &c, e));
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c, "SELECT sum(length(public)) FROM signers NOT INDEXED", &why);
	assert_non_null(s);
	fails_saying(ERR_CORRUPT, "aksdr-catalog rebuild", catalog_step(c, s, e));
	fails_saying(ERR_CORRUPT, "aksdr-catalog rebuild",
	             catalog_open(path, CATALOG_WRITE, &other, e));
}

static void test_catalog_open__database_of_another_program_is_refused_and_left_alone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	struct catalog *c = NULL;
	size_t before_n;
	size_t after_n;

	(void)state;
	exec(path, "CREATE TABLE precious (x); INSERT INTO precious VALUES (1)");
	auto_free char *before = read_file(dir, "catalog.db", &before_n);
	fails_saying(ERR_FORMAT, "another program", catalog_open(path, CATALOG_WRITE, &c, e));
	fails_saying(ERR_FORMAT, "another program", catalog_open(path, CATALOG_READ, &c, e));
	auto_free char *after = read_file(dir, "catalog.db", &after_n);
	assert_int_equal(before_n, after_n);
	assert_memory_equal(before, after, before_n);
}

static void test_catalog_open__newer_version_is_refused_by_its_number(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	struct catalog *c = NULL;

	(void)state;
	make(path);
	exec(path, "PRAGMA user_version = 99");
	fails_saying(ERR_FORMAT, "of version 99, this program knows versions up to",
	             catalog_open(path, CATALOG_READ, &c, e));
	fails_saying(ERR_FORMAT, "of version 99, this program knows versions up to",
	             catalog_open(path, CATALOG_WRITE, &c, e));
}

static void test_catalog_open__older_version_is_migrated_also_for_reading(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	auto_catalog struct catalog *c = NULL;
	struct err why = ERR_INIT;

	(void)state;
	/* ours, from before the first version that had tables of today */
	exec(path, "PRAGMA application_id = 0x414b5344;"
	           " CREATE TABLE kept (x); INSERT INTO kept VALUES (7)");
	ok(catalog_open(path, CATALOG_READ, &c, e));
	assert_false(c->writable);
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c, "SELECT count(*) + (SELECT x FROM kept) FROM v_points", &why);
	assert_non_null(s);
	assert_int_equal(catalog_step(c, s, &why), 1);
	assert_int_equal(sqlite3_column_int(s, 0), 7);
	(void)sqlite3_reset(s);
	assert_int_equal(sqlite3_exec(c->db, "DELETE FROM kept", NULL, NULL, NULL),
	                 SQLITE_READONLY);
}

static void test_catalog_open__points_of_an_older_version_stay(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	auto_catalog struct catalog *c = NULL;
	struct err why = ERR_INIT;

	(void)state;
	for (size_t i = 0; catalog_migrations[i].version <= 4; i++)
		exec(path, catalog_migrations[i].sql);
	exec(path,
	     "PRAGMA application_id = 0x414b5344; PRAGMA user_version = 4;"
	     "INSERT INTO clusters VALUES ('');"
	     "INSERT INTO volumes (voltag, cluster, namespace, name)"
	     " VALUES ('03fa41b2c19de077', '', '', 'data');"
	     "INSERT INTO points (session, point, voltag, kind, domain, sequence, started_ns,"
	     " frozen_ns, finished_ns, received_ns, consistency, root_id, root_pack, root_offset,"
	     " root_stored, root_plain, root_counter, root_key, root_compression, levels, files,"
	     " directories, others, bytes_logical, bytes_read, bytes_new, bytes_stored, unreadable,"
	     " changed, vanished, epoch, hash, signer, previous_missing) VALUES ("
	     "'2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c',"
	     " '5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c', '03fa41b2c19de077', 'filesystem', 'd', 1, 1, 1,"
	     " 1, 1, 'crash', printf('%064d', 1), printf('%032d', 1), 1, 1, 1, 1, 1, 0, 1, 5, 1, 1,"
	     " 1, 1, 1, 1, 0, 0, 0, 0, printf('%064d', 1), printf('%016d', 1), 0)");
	ok(catalog_open(path, CATALOG_WRITE, &c, e));
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT files, hooks_run, hooks_failed, freeze_ms IS NULL, bytes_wrong IS NULL,"
		" (SELECT user_version FROM pragma_user_version) FROM v_points",
		&why);
	assert_non_null(s);
	assert_int_equal(catalog_step(c, s, &why), 1);
	assert_int_equal(sqlite3_column_int(s, 0), 5);
	assert_int_equal(sqlite3_column_int(s, 1), 0);
	assert_int_equal(sqlite3_column_int(s, 2), 0);
	assert_int_equal(sqlite3_column_int(s, 3), 1);
	assert_int_equal(sqlite3_column_int(s, 4), 1);
	assert_int_equal(sqlite3_column_int(s, 5), catalog_version());
}

static void test_catalog_open__path_that_is_a_directory_is_an_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct catalog *c = NULL;
	auto_free char *below = path_join(dir, "file/catalog.db");

	(void)state;
	fails(ERR_IO, catalog_open(dir, CATALOG_WRITE, &c, e));
	write_text(dir, "file", "");
	fails(ERR_IO, catalog_open(below, CATALOG_WRITE, &c, e));
}

/* As another user, who may read the file, and not write beside it. */
static int read_as_nobody(void *arg)
{
	struct catalog *c = NULL;
	struct err e = ERR_INIT;

	if (geteuid() == 0 && (setegid(65534) < 0 || seteuid(65534) < 0))
		return 3;
	if (catalog_open(arg, CATALOG_READ, &c, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	sqlite3_stmt *s = catalog_prepare(c, "SELECT count(*) FROM signers", &e);
	if (!s || catalog_step(c, s, &e) != 1)
		return 2;
	(void)printf("%d", sqlite3_column_int(s, 0));
	(void)sqlite3_finalize(s);
	catalog_free(c);
	return 0;
}

static void test_catalog_open__reads_where_nothing_can_be_written(void **state)
{
	char dir[] = "/tmp/aksdr-catalog-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	auto_free char *path = path_join(dir, "a?%#.db");
	make(path);
	exec(path, "INSERT INTO signers (signer, public, name) VALUES ('0011223344556677',"
	           " '0011223344556677001122334455667700112233445566770011223344556677', 'n')");
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(dir, 0555), 0);
	auto_run struct harness_run r = harness_run(read_as_nobody, path);
	assert_int_equal(chmod(dir, 0755), 0);
	tmpdir_remove(strdup(dir));
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "1");
}

static void test_catalog_tx__what_was_not_committed_is_undone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	auto_catalog struct catalog *c = NULL;
	struct err why = ERR_INIT;

	(void)state;
	ok(catalog_open(path, CATALOG_WRITE, &c, e));
	{
		CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

		ok(catalog_tx_begin(&tx, c, e));
		ok(catalog_exec(c, "INSERT INTO clusters VALUES ('x')", e));
	}
	{
		CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

		ok(catalog_tx_begin(&tx, c, e));
		ok(catalog_exec(c, "INSERT INTO clusters VALUES ('y')", e));
		ok(catalog_tx_commit(&tx, e));
	}
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "SELECT group_concat(cluster) FROM clusters",
	                                            &why);
	assert_int_equal(catalog_step(c, s, &why), 1);
	assert_string_equal(catalog_text(s, 0), "y");
}

/* ---- what was seen stays ---- */

static void test_catalog__rows_cannot_be_changed_or_removed(void **state)
{
	static const char *const statements[] = {
		"DELETE FROM points",
		"UPDATE points SET hash = 'x'",
		"UPDATE points SET session = 'x'",
		"UPDATE points SET frozen_ns = 1",
		"UPDATE points SET bytes_stored = 1",
		"UPDATE points SET previous_session = 'x'",
		"UPDATE points SET host = 'x'",
		"UPDATE points SET epoch = 7, gone_at_ns = 1",
		"DELETE FROM volumes",
		"UPDATE volumes SET name = 'x'",
		"DELETE FROM point_segments",
		"UPDATE point_segments SET key = 'x'",
		"DELETE FROM point_problems",
		"UPDATE points SET freeze_ms = 7",
		"UPDATE points SET bytes_wrong = 0",
		"DELETE FROM point_hooks",
		"UPDATE point_hooks SET output = 'x'",
		"DELETE FROM point_facts",
		"UPDATE point_facts SET value = 'x'",
		"DELETE FROM point_notes",
		"UPDATE point_notes SET note = 'x'",
		"UPDATE point_problems SET why = 'x'",
		"DELETE FROM anomalies",
		"UPDATE anomalies SET detail = 'x'",
		"UPDATE anomalies SET kind = 'gap'",
		"UPDATE anomalies SET resolved_ns = NULL WHERE resolved_ns IS NOT NULL",
		"DELETE FROM checks",
		"UPDATE checks SET problems = 0",
		"DELETE FROM check_problems",
		"UPDATE check_problems SET object = 'x'",
		/* and what makes no sense does not get in */
		"INSERT INTO volumes (voltag, cluster, namespace, name) VALUES ('0', 'c', 'n', "
		"'v')",
		"INSERT INTO point_segments VALUES ('no such session', 0, 'k')",
		"INSERT INTO checks VALUES (NULL, NULL, NULL, 6, 1, 1, 1, 'audit', NULL, NULL, "
		"NULL, 0, 0, 0, 0, 0, 0, 0, 0)",
		"INSERT INTO repository VALUES (2, '" REPO_A "', NULL)",
	};
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	auto_catalog struct catalog *c = NULL;
	const struct check_result result = { .level = 3, .problems = 1 };
	const struct check_problem problem = { .object = "pack/x", .text = "is damaged" };
	const struct row_check check = { .result = &result, .problems = &problem, .nproblems = 1 };
	const struct point_volume v = kit_volume("shop", "orders");
	char voltag[17];

	(void)state;
	struct point p = kit_commit(&k, &v, 1, NULL);
	static char *segments[1];
	char segment[] = "idx/x";
	segments[0] = segment;
	p.index = segments;
	p.nindex = 1;
	const struct capture_hook hook = { .command = segment, .output = segment };
	ok(capture_add_hook(&p.capture, &hook, e));
	ok(capture_add_fact(&p.capture, "lsn", "1", e));
	ok(capture_add_note(&p.capture, "a note", e));
	struct point_problem bad = { .path = segment, .why = segment };
	p.problems = &bad;
	p.nproblems = 1;
	ok(catalog_open(path, CATALOG_WRITE, &c, e));
	ok(row_bind_repository(c, k.audit->keys, e));
	ok(point_voltag(k.audit->keys, &v, voltag, e));
	ok(row_add_point(c, &p, voltag, e));
	ok(row_add_check(c, &check, e));
	ok(catalog_exec(c,
	                "INSERT INTO anomalies VALUES (1, 'fork', 'o', '', NULL, 'd', 1, NULL),"
	                " (2, 'fork', 'p', '', NULL, 'd', 1, 2)",
	                e));
	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		int rc = sqlite3_exec(c->db, statements[i], NULL, NULL, NULL);

		if (rc != SQLITE_CONSTRAINT_TRIGGER && (rc & 0xff) != SQLITE_CONSTRAINT)
			fail_msg("%s: %d %s", statements[i], rc, sqlite3_errmsg(c->db));
	}
	/* what may change */
	ok(catalog_exec(c, "UPDATE points SET gone_at_ns = 5", e));
	ok(catalog_exec(c, "UPDATE points SET gone_at_ns = NULL", e));
	ok(catalog_exec(c, "UPDATE anomalies SET resolved_ns = 5 WHERE resolved_ns IS NULL", e));
	capture_clear(&p.capture);
}

static void test_catalog_error__class_follows_what_sqlite_says(void **state)
{
	static const struct {
		int rc;
		enum err_class class;
	} cases[] = {
		{ SQLITE_CORRUPT, ERR_CORRUPT },     { SQLITE_NOTADB, ERR_CORRUPT },
		{ SQLITE_BUSY, ERR_BUSY },           { SQLITE_LOCKED, ERR_BUSY },
		{ SQLITE_FULL, ERR_QUOTA },          { SQLITE_NOMEM, ERR_NOMEM },
		{ SQLITE_READONLY, ERR_DENIED },     { SQLITE_PERM, ERR_DENIED },
		{ SQLITE_INTERRUPT, ERR_CANCELLED }, { SQLITE_IOERR_READ, ERR_IO },
		{ SQLITE_CANTOPEN, ERR_IO },         { SQLITE_TOOBIG, ERR_TOO_BIG },
		{ SQLITE_MISUSE, ERR_BUG },
	};
	char path[] = "/x/catalog.db";
	struct catalog c = { .path = path };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		fails_saying(cases[i].class, "'/x/catalog.db'",
		             catalog_error(&c, cases[i].rc, "reading", e));
}

static void test_catalog_copy__is_a_catalog_and_takes_no_place(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "catalog.db");
	auto_free char *copy = path_join(dir, "copy.db");
	auto_free char *nowhere = path_join(dir, "nowhere/copy.db");
	auto_catalog struct catalog *c = NULL;
	auto_catalog struct catalog *same = NULL;

	(void)state;
	make(path);
	ok(catalog_open(path, CATALOG_READ, &c, e));
	ok(catalog_copy(c, copy, e));
	ok(catalog_open(copy, CATALOG_WRITE, &same, e));
	fails(ERR_EXISTS, catalog_copy(c, copy, e));
	fails(ERR_NOT_FOUND, catalog_copy(c, nowhere, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalog_path__option_comes_first),
		cmocka_unit_test(test_catalog_path__key_file_names_the_repository),
		cmocka_unit_test(test_catalog_path__file_that_is_no_key_is_refused),
		cmocka_unit_test(test_catalog_path__only_one_in_the_state_directory_is_found),
		cmocka_unit_test(test_catalog_path__no_state_directory_is_no_place),
		cmocka_unit_test(test_catalog_open__makes_file_and_directories_for_the_owner_only),
		cmocka_unit_test(test_catalog_open__reading_needs_a_file),
		cmocka_unit_test(test_catalog_open__no_name_has_a_meaning_to_sqlite),
		cmocka_unit_test(test_catalog_open__bytes_that_are_no_database_are_corrupt),
		cmocka_unit_test(test_catalog_open__damaged_pages_are_corrupt),
		cmocka_unit_test(
			test_catalog_open__large_file_with_damage_is_told_of_by_who_reads_it),
		cmocka_unit_test(
			test_catalog_open__database_of_another_program_is_refused_and_left_alone),
		cmocka_unit_test(test_catalog_open__newer_version_is_refused_by_its_number),
		cmocka_unit_test(test_catalog_open__older_version_is_migrated_also_for_reading),
		cmocka_unit_test(test_catalog_open__points_of_an_older_version_stay),
		cmocka_unit_test(test_catalog_open__path_that_is_a_directory_is_an_error),
		cmocka_unit_test(test_catalog_open__reads_where_nothing_can_be_written),
		cmocka_unit_test(test_catalog_tx__what_was_not_committed_is_undone),
		cmocka_unit_test(test_catalog__rows_cannot_be_changed_or_removed),
		cmocka_unit_test(test_catalog_error__class_follows_what_sqlite_says),
		cmocka_unit_test(test_catalog_copy__is_a_catalog_and_takes_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
