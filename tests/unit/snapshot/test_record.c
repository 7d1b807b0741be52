/* SPDX-License-Identifier: Apache-2.0 */
/* Entries and details come back as they were noted. */
#include "snapshot/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static bool keep_all(void *arg, const char *dir, size_t dir_len, const char *name, size_t name_len,
                     const struct entry_stat *st)
{
	(void)dir;
	(void)dir_len;
	(void)st;
	return !arg || name_len != strlen(arg) || memcmp(name, arg, name_len) != 0;
}

static struct entry entry(const char *path, size_t dir_len)
{
	return (struct entry){ .path = path, .path_len = strlen(path), .name = path + dir_len };
}

static void test_record__gives_the_entries_back_in_order(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	static struct batch b;
	struct err e = ERR_INIT;
	struct record r;
	struct record_reader rr;
	struct batch_pool pool;
	struct walk_batch *got;

	(void)state;
	assert_int_equal(record_open(&r, dir, &e), 0);
	b.n = 1;
	b.entries[0] = entry("", 0);
	b.entries[0].st = (struct entry_stat){ .mode = S_IFDIR | 0755, .ino = UINT64_MAX };
	assert_int_equal(record_batch(&r, &b, &e), 0);
	b.n = 3;
	b.entries[0] = entry("a\n\xff/one", 4);
	b.entries[0].st = (struct entry_stat){
		.mode = S_IFREG | 07777,
		.uid = UINT32_MAX,
		.gid = 5,
		.nlink = 3,
		.ino = 77,
		.size = (uint64_t)1 << 62,
		.mtime = { -5, 999999999 },
		.ctime = { INT64_MAX, 1 },
	};
	b.entries[1] = entry("a\n\xff/three", 4);
	b.entries[1].state = ENTRY_UNREADABLE;
	b.entries[1].os = 13;
	b.entries[2] = entry("a\n\xff/two", 4);
	b.entries[2].st = (struct entry_stat){ .mode = S_IFBLK, .rdev_major = 8, .rdev_minor = 1 };
	b.entries[2].block = true;
	assert_int_equal(record_batch(&r, &b, &e), 0);

	batch_pool_init(&pool, NULL);
	record_reader_init(&rr, &r);
	char left_out[] = "three";
	assert_int_equal(record_next(&rr, &pool, keep_all, NULL, &got, &e), 0);
	assert_int_equal(got->pub.n, 1);
	assert_string_equal(got->pub.entries[0].path, "");
	assert_true(got->pub.entries[0].st.ino == UINT64_MAX);
	batch_unref(got);
	assert_int_equal(record_next(&rr, &pool, keep_all, left_out, &got, &e), 0);
	assert_int_equal(got->pub.n, 2);
	const struct entry *n = got->pub.entries;
	assert_string_equal(n[0].path, "a\n\xff/one");
	assert_string_equal(n[0].name, "one");
	assert_memory_equal(&n[0].st, &b.entries[0].st, sizeof(n[0].st));
	assert_string_equal(n[1].name, "two");
	assert_true(n[1].block);
	assert_int_equal(n[1].st.rdev_major, 8);
	batch_unref(got);
	assert_int_equal(record_next(&rr, &pool, keep_all, NULL, &got, &e), 0);
	assert_null(got);
	record_reader_clear(&rr);

	record_reader_init(&rr, &r); /* and again, from the start */
	assert_int_equal(record_next(&rr, &pool, keep_all, NULL, &got, &e), 0);
	batch_unref(got);
	assert_int_equal(record_next(&rr, &pool, keep_all, NULL, &got, &e), 0);
	assert_int_equal(got->pub.entries[1].state, ENTRY_UNREADABLE);
	assert_int_equal(got->pub.entries[1].os, 13);
	batch_unref(got);
	record_reader_clear(&rr);
	batch_pool_clear(&pool);
	record_close(&r);
}

static void test_record_detail__none_takes_no_place_and_the_rest_comes_back(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	uint8_t link[] = "to", xattrs[] = { 1, 'a', 1, 0 };
	const struct entry_detail none = { 0 };
	const struct entry_detail d = { .link = link,
		                        .link_len = 2,
		                        .xattrs = xattrs,
		                        .xattrs_len = 4,
		                        .fsflags = 16,
		                        .projid = 9 };
	struct entry_detail got = { 0 };
	struct err e = ERR_INIT;
	struct record r;
	uint64_t off = 99;
	uint32_t len;

	(void)state;
	assert_int_equal(record_open(&r, dir, &e), 0);
	assert_int_equal(record_detail(&r, &none, &off, &len, &e), 0);
	assert_int_equal(off, 0);
	assert_int_equal(record_load(&r, off, len, "x", &got, &e), 0);
	assert_null(got.link);
	assert_int_equal(record_detail(&r, &d, &off, &len, &e), 0);
	assert_true(off > 0);
	assert_int_equal(record_flush(&r, &e), 0);
	assert_int_equal(record_load(&r, off, len, "x", &got, &e), 0);
	assert_int_equal(got.link_len, 2);
	assert_memory_equal(got.link, "to", 2);
	assert_int_equal(got.xattrs_len, 4);
	assert_memory_equal(got.xattrs, xattrs, 4);
	assert_int_equal(got.fsflags, 16);
	assert_int_equal(got.projid, 9);
	entry_detail_clear(&got);
	record_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record__gives_the_entries_back_in_order),
		cmocka_unit_test(test_record_detail__none_takes_no_place_and_the_rest_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
