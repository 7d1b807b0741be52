/* SPDX-License-Identifier: Apache-2.0 */
/* The table of inodes, and when a stat says that nothing changed. */
#include "snapshot/inodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static void test_inodes_place__keeps_each_number_while_the_table_grows(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct inodes t = { .scratch_dir = dir };

	(void)state;
	assert_null(inodes_find(&t, 1));
	for (uint64_t i = 0; i < 200000; i++) {
		struct inode *n = inodes_place(&t, i * 4096);

		assert_non_null(n);
		n->size = i;
	}
	assert_int_equal(t.n, 200000);
	for (uint64_t i = 0; i < 200000; i++)
		assert_int_equal(inodes_find(&t, i * 4096)->size, i);
	assert_null(inodes_find(&t, 4095));
	assert_int_equal(inodes_place(&t, 4096)->size, 1); /* not made anew */
	assert_int_equal(t.n, 200000);
	inodes_clear(&t);
	assert_null(inodes_find(&t, 4096));
}

static void test_inodes_same__a_stat_that_could_hide_a_later_change_counts_for_nothing(void **state)
{
	const struct entry_stat st = {
		.mode = S_IFREG | 0644, .size = 10, .mtime = { 100, 0 }, .ctime = { 100, 500000000 }
	};
	const int64_t at = 100500000000;
	struct entry_stat other;
	struct inode n = { 0 };

	(void)state;
	assert_false(inodes_same(&n, &st)); /* nothing is known */
	inodes_note(&n, &st, at + 19999999, 20000000);
	assert_false(inodes_same(&n, &st));
	inodes_note(&n, &st, at - 5000000000, 20000000); /* it was set to the future */
	assert_false(inodes_same(&n, &st));
	inodes_note(&n, &st, at + 20000000, 20000000);
	assert_true(inodes_same(&n, &st));

	other = st;
	other.ctime.ns++;
	assert_false(inodes_same(&n, &other));
	other = st;
	other.mtime.s--;
	assert_false(inodes_same(&n, &other));
	other = st;
	other.size++;
	assert_false(inodes_same(&n, &other));
	other = st;
	other.mode = S_IFDIR | 0644; /* the number was given to something else */
	assert_false(inodes_same(&n, &other));

	other = st;
	other.ctime.s = INT64_MAX / 1000; /* no time of this world */
	inodes_note(&n, &other, at, 0);
	assert_false(inodes_same(&n, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inodes_place__keeps_each_number_while_the_table_grows),
		cmocka_unit_test(
			test_inodes_same__a_stat_that_could_hide_a_later_change_counts_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
