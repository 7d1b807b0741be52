/* SPDX-License-Identifier: Apache-2.0 */
/* A rebuilt catalog is what a synchronised one is; the old one stays until it is whole. */
#include "catalog/rebuild.h"

#include "tests/unit/catalog/catalog_kit.h"

#include <sys/file.h>

#include "catalog/row.h"

/* All that the store tells: everything but when it was seen. */
static void dump(struct catalog *c, struct buf *b)
{
	static const char *const statements[] = {
		"SELECT id FROM repository",
		"SELECT * FROM signers ORDER BY signer",
		"SELECT * FROM clusters ORDER BY cluster",
		"SELECT * FROM volumes ORDER BY voltag",
		"SELECT * FROM points WHERE gone_at_ns IS NULL ORDER BY session",
		"SELECT s.* FROM point_segments s JOIN points p USING (session)"
		" WHERE gone_at_ns IS NULL ORDER BY session, n",
		"SELECT s.* FROM point_problems s JOIN points p USING (session)"
		" WHERE gone_at_ns IS NULL ORDER BY session, n",
		"SELECT s.* FROM point_hooks s JOIN points p USING (session)"
		" WHERE gone_at_ns IS NULL ORDER BY session, n",
		"SELECT * FROM v_facts ORDER BY session, name",
		"SELECT * FROM point_notes ORDER BY session, n",
		"SELECT kind, object, other, voltag, detail FROM anomalies WHERE kind <> 'lost' "
		"AND resolved_ns IS "
		"NULL"
		" ORDER BY kind, object, other",
		"SELECT * FROM unjudged",
		"SELECT volume, points, newest_session, bytes_stored, problems"
		" FROM v_volume_status WHERE points > 0 ORDER BY volume",
	};

	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		(void)buf_printf(b, "-- %zu\n", i);
		kit_read_rows(c, statements[i], b);
	}
}

static struct sync_result rebuild(const struct kit *k, const char *path)
{
	const struct sync_params p = { .now_ns = KIT_NOW_NS };
	struct sync_result r;

	ok(rebuild_run(path, k->audit, &p, &r, e));
	return r;
}

static struct catalog *reopen(const char *path)
{
	struct catalog *c = NULL;

	ok(catalog_open(path, CATALOG_READ, &c, e));
	return c;
}

static void assert_same(const struct kit *k, struct catalog *synced)
{
	CLEANUP(buf_clear) struct buf a = BUF_INIT(4 * MIB);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * MIB);
	auto_free char *path = path_join(k->dir, "rebuilt.db");

	(void)kit_sync(k, synced);
	(void)rebuild(k, path);
	auto_catalog struct catalog *rebuilt = reopen(path);
	dump(synced, &a);
	dump(rebuilt, &b);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
}

static void test_rebuild_run__equals_a_sync_after_whatever_happened(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "synced.db");
	const struct point_volume volumes[] = { kit_volume("", "one"), kit_volume("ns", "two") };
	struct point points[2][8] = { 0 };
	char key[128];

	(void)state;
	assert_same(&k, c);
	for (unsigned n = 1; n < 8; n++) {
		for (unsigned v = 0; v < 2; v++)
			points[v][n] = kit_commit(&k, &volumes[v], n,
			                          n > 1 ? &points[v][n - 1] : NULL);
		if (n % 2)
			assert_same(&k, c);
	}
	/* one is gone, one is damaged, one is replaced, one is forked, one is nonsense */
	(void)snprintf(key, sizeof(key), "commit/%s", points[0][3].session);
	kit_remove(&k, key);
	assert_same(&k, c);
	auto_kit_point struct point bad = kit_commit(&k, &volumes[0], 8, &points[0][7]);
	(void)snprintf(key, sizeof(key), "commit/%s", bad.session);
	kit_flip(&k, key, 99); /* before anybody saw it: what is known is not fetched again */
	assert_same(&k, c);
	auto_kit_point struct point fork = kit_commit_as(&k, &volumes[1], 20, 3, &points[1][2]);
	assert_same(&k, c);
	auto_kit_point struct point skip = kit_commit_as(&k, &volumes[1], 21, 30, &points[1][7]);
	assert_same(&k, c);
	ok(put_text(k.store, "commit/2026-11-22/x", "nonsense", e));
	assert_same(&k, c);
	for (unsigned n = 1; n < 8; n++) {
		point_clear(&points[0][n]);
		point_clear(&points[1][n]);
	}
}

static void test_rebuild_run__takes_the_place_of_any_file(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "deep/down/catalog.db");
	const struct point_volume v = kit_volume("", "data");
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);

	(void)state;
	struct sync_result r = rebuild(&k, path); /* there was none */
	assert_int_equal(r.added, 1);
	write_text(k.dir, "deep/down/catalog.db", "noise that is no database at all, none at all");
	/* journals of another database must not get into the new one */
	write_text(k.dir, "deep/down/catalog.db-wal", "stale");
	write_text(k.dir, "deep/down/catalog.db-shm", "stale");
	(void)rebuild(&k, path);
	assert_false(file_exists(k.dir, "deep/down/catalog.db.rebuild"));
	assert_false(file_exists(k.dir, "deep/down/catalog.db-wal"));
	auto_catalog struct catalog *c = reopen(path);
	assert_rows(c, "SELECT count(*) FROM points", "1\n");
}

static void test_rebuild_run__keeps_the_results_of_checks(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	const struct check_result result = { .level = 2, .points = 1 };
	const struct row_check check = { .result = &result, .key_kind = KEY_RECOVERY };

	(void)state;
	(void)rebuild(&k, path);
	{
		auto_catalog struct catalog *c = NULL;

		ok(catalog_open(path, CATALOG_WRITE, &c, e));
		ok(row_add_check(c, &check, e));
	}
	(void)rebuild(&k, path);
	auto_catalog struct catalog *c = reopen(path);
	assert_rows(c, "SELECT level, key_kind FROM checks", "2|recovery\n");
}

static enum store_fault no_commits(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	return call == CALL_GET && strncmp(key, "commit/", 7) == 0 ? FAULT_FAIL : FAULT_NONE;
}

static void test_rebuild_run__that_fails_leaves_the_old_file(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("", "data");
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);
	const struct sync_params params = { .now_ns = KIT_NOW_NS };
	struct sync_result r;
	size_t before_n;
	size_t after_n;

	(void)state;
	(void)rebuild(&k, path);
	auto_free char *before = read_file(k.dir, "catalog.db", &before_n);
	ok((k.store = store_fault_new(k.store, no_commits, NULL, e)) ? 0 : -1);
	k.recovery->store = k.agent->store = k.audit->store = k.store;
	fails(ERR_RETRY, rebuild_run(path, k.audit, &params, &r, e));
	auto_free char *after = read_file(k.dir, "catalog.db", &after_n);
	assert_int_equal(before_n, after_n);
	assert_memory_equal(before, after, before_n);
	assert_false(file_exists(k.dir, "catalog.db.rebuild"));
	assert_false(file_exists(k.dir, "catalog.db.rebuild-wal"));
}

static void test_rebuild_run__one_at_a_time(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");
	auto_free char *lock = path_join(k.dir, "catalog.db.lock");
	const struct sync_params params = { .now_ns = KIT_NOW_NS };
	struct sync_result r;

	(void)state;
	auto_close int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	fails_saying(ERR_BUSY, "another rebuild", rebuild_run(path, k.audit, &params, &r, e));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	ok(rebuild_run(path, k.audit, &params, &r, e));
}

static void test_rebuild_run__leftovers_of_one_that_died_do_not_matter(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_free char *path = path_join(k.dir, "catalog.db");

	(void)state;
	write_text(k.dir, "catalog.db.rebuild", "half of a database");
	write_text(k.dir, "catalog.db.rebuild-wal", "and its journal");
	(void)rebuild(&k, path);
	auto_catalog struct catalog *c = reopen(path);
	assert_rows(c, "SELECT count(*) FROM points", "0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rebuild_run__equals_a_sync_after_whatever_happened),
		cmocka_unit_test(test_rebuild_run__takes_the_place_of_any_file),
		cmocka_unit_test(test_rebuild_run__keeps_the_results_of_checks),
		cmocka_unit_test(test_rebuild_run__that_fails_leaves_the_old_file),
		cmocka_unit_test(test_rebuild_run__one_at_a_time),
		cmocka_unit_test(test_rebuild_run__leftovers_of_one_that_died_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
