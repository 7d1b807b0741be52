/* SPDX-License-Identifier: Apache-2.0 */
/* Where there is nothing to compare with; comparisons are in test_btrfs.c. */
#include "snapshot/btrfs_diff.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static void test_btrfs_diff_find__a_file_that_the_base_has_not_is_not_known(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	struct err e = ERR_INIT;
	struct ranges *r = NULL;

	(void)state;
	write_text(dir, "f", "x");
	write_text(dir, "d/g", "x");
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct content_diff *d = btrfs_diff_new(open(dir, O_RDONLY | O_CLOEXEC), -1, &e);
	assert_non_null(d);
	assert_int_equal(d->find(d, fd, "none", &r, &e), 0);
	assert_null(r);
	assert_int_equal(d->find(d, fd, "d", &r, &e), 0);
	assert_null(r);
	assert_int_equal(d->find(d, fd, "none/f", &r, &e), 0);
	assert_null(r);
	d->free(d);
}

static void test_btrfs_diff_find__another_file_system_is_an_error(void **state)
{
	auto_free char *exe = path_join("/proc/self", "status");
	struct err e = ERR_INIT;
	struct ranges *r = NULL;

	(void)state;
	auto_close int fd = open(exe, O_RDONLY | O_CLOEXEC);
	struct content_diff *d = btrfs_diff_new(open("/proc/self", O_RDONLY | O_CLOEXEC), -1, &e);
	assert_non_null(d);
	assert_int_equal(d->find(d, fd, "status", &r, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_null(r);
	d->free(d);
}

static void test_btrfs_diff_new__needs_a_base(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(btrfs_diff_new(-1, -1, &e));
	assert_int_equal(e.class, ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_btrfs_diff_find__a_file_that_the_base_has_not_is_not_known),
		cmocka_unit_test(test_btrfs_diff_find__another_file_system_is_an_error),
		cmocka_unit_test(test_btrfs_diff_new__needs_a_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
