/* SPDX-License-Identifier: Apache-2.0 */
/* Data ranges of sparse files. */
#include "snapshot/extent.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "common/fd.h"
#include "tests/harness/harness.h"

off_t __real_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence);

/* What a file system answers to SEEK_HOLE in place of the truth, when played. */
static struct {
	bool on;
	off_t answer;
	int os;
} play;

off_t __wrap_lseek(int fd, off_t off, int whence)
{
	if (!play.on || whence != SEEK_HOLE)
		return __real_lseek(fd, off, whence);
	errno = play.os;
	return play.answer;
}

static int new_file(const char *dir)
{
	auto_free char *path = path_join(dir, "file");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void put(int fd, uint64_t off, size_t n)
{
	auto_free char *p = malloc(n);

	assert_non_null(p);
	memset(p, 'x', n);
	assert_int_equal(fd_pwrite_full(fd, p, n, off), 0);
}

static void test_extent_next__tells_data_from_holes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int fd = new_file(dir);
	uint64_t start, end;

	(void)state;
	put(fd, 4 * MIB, 64 * KIB);
	put(fd, 8 * MIB, 100);
	assert_int_equal(ftruncate(fd, 16 * MIB), 0);

	assert_int_equal(extent_next(fd, 16 * MIB, 0, &start, &end), 0);
	assert_int_equal(start, 4 * MIB);
	assert_int_equal(end, 4 * MIB + 64 * KIB);
	assert_int_equal(extent_next(fd, 16 * MIB, 4 * MIB + 10, &start, &end), 0);
	assert_int_equal(start, 4 * MIB + 10);
	assert_int_equal(end, 4 * MIB + 64 * KIB);
	assert_int_equal(extent_next(fd, 16 * MIB, end, &start, &end), 0);
	assert_int_equal(start, 8 * MIB);
	assert_true(end >= 8 * MIB + 100 && end <= 8 * MIB + 64 * KIB);
	assert_int_equal(extent_next(fd, 16 * MIB, end, &start, &end), 0);
	assert_int_equal(start, 16 * MIB);
	assert_int_equal(end, 16 * MIB);
}

static void test_extent_next__a_full_file_is_one_range(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int fd = new_file(dir);
	uint64_t start, end;

	(void)state;
	put(fd, 0, 10000);
	assert_int_equal(extent_next(fd, 10000, 0, &start, &end), 0);
	assert_int_equal(start, 0);
	assert_int_equal(end, 10000);
	assert_int_equal(extent_next(fd, 10000, 10000, &start, &end), 0);
	assert_int_equal(start, 10000);
	assert_int_equal(extent_next(fd, 0, 0, &start, &end), 0);
	assert_int_equal(start, 0);
	assert_int_equal(end, 0);
}

/* The size is what the caller saw; the file may have become longer or shorter since. */
static void test_extent_next__never_goes_past_the_size_it_was_given(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int fd = new_file(dir);
	uint64_t start, end;

	(void)state;
	put(fd, 1 * MIB, 1 * MIB);
	assert_int_equal(extent_next(fd, 1 * MIB + 5, 0, &start, &end), 0);
	assert_int_equal(start, 1 * MIB);
	assert_int_equal(end, 1 * MIB + 5);
	assert_int_equal(extent_next(fd, 1000, 0, &start, &end), 0);
	assert_int_equal(start, 1000);
	assert_int_equal(end, 1000);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(extent_next(fd, 2 * MIB, 1 * MIB, &start, &end), 0);
	assert_int_equal(start, 2 * MIB);
}

static void test_extent_next__what_knows_no_holes_is_one_range(void **state)
{
	auto_close int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	uint64_t start, end;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(extent_next(fd, 5000, 7, &start, &end), 0);
	assert_int_equal(start, 7);
	assert_int_equal(end, 5000);
}

static void test_extent_next__reports_a_bad_descriptor(void **state)
{
	uint64_t start, end;

	(void)state;
	assert_int_equal(extent_next(-1, 5000, 0, &start, &end), -1);
	assert_int_equal(errno, EBADF);
}

/* The file may be cut off between the two questions. */
static void test_extent_next__the_end_of_the_data_may_have_gone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int fd = new_file(dir);
	uint64_t start, end;

	(void)state;
	put(fd, 0, 10000);
	play.on = true;
	play.answer = -1;
	play.os = ENXIO;
	assert_int_equal(extent_next(fd, 10000, 10, &start, &end), 0);
	assert_int_equal(start, 10);
	assert_int_equal(end, 10000);
	play.answer = 10;
	assert_int_equal(extent_next(fd, 10000, 10, &start, &end), 0);
	assert_int_equal(end, 10000);
	play.answer = -1;
	play.os = EIO;
	assert_int_equal(extent_next(fd, 10000, 10, &start, &end), -1);
	assert_int_equal(errno, EIO);
	play.on = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extent_next__tells_data_from_holes),
		cmocka_unit_test(test_extent_next__a_full_file_is_one_range),
		cmocka_unit_test(test_extent_next__never_goes_past_the_size_it_was_given),
		cmocka_unit_test(test_extent_next__what_knows_no_holes_is_one_range),
		cmocka_unit_test(test_extent_next__reports_a_bad_descriptor),
		cmocka_unit_test(test_extent_next__the_end_of_the_data_may_have_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
