/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of copies: what is opened in it, and that all of it goes. */
#include "snapshot/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static void test_copies__are_opened_when_they_are_regular_files_only(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *notes = path_join(dir, "journal");
	struct copies c = COPIES_NONE;
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	auto_journal struct journal *j = journal_open(notes, &e);
	auto_close int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(copies_make(&c, parent, j, "reflink", &e), 0);
	assert_int_equal(stat(c.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(count_files(notes), 1);

	assert_int_equal(copies_open(&c, 0xc2f, O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	int fd = copies_open(&c, 0xc2f, O_WRONLY | O_CREAT);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_true(file_exists(c.path, "2f/0000000000000c2f"));

	auto_free char *fifo = path_join(c.path, "2f/0000000000000d2f");
	auto_free char *node = path_join(c.path, "2f/0000000000000e2f");
	auto_free char *sym = path_join(c.path, "2f/0000000000000f2f");
	auto_free char *folder = path_join(c.path, "30");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(copies_open(&c, 0xd2f, O_RDONLY), -1);
	if (mknod(node, S_IFCHR | 0600, 0x103) == 0) /* needs a right */
		assert_int_equal(copies_open(&c, 0xe2f, O_WRONLY | O_CREAT), -1);
	write_text(dir, "precious", "x");
	assert_int_equal(symlink("../../precious", sym), 0);
	assert_int_equal(copies_open(&c, 0xf2f, O_WRONLY | O_CREAT | O_TRUNC), -1);
	assert_int_equal(symlink("..", folder), 0);
	assert_int_equal(copies_open(&c, 0x30, O_WRONLY | O_CREAT), -1);

	assert_int_equal(copies_remove(&c, &e), 0);
	assert_int_equal(count_files(notes), 0);
	assert_int_equal(count_files(dir), 2);
	auto_free char *still = read_file(dir, "precious", NULL);
	assert_string_equal(still, "x");
	assert_int_equal(copies_remove(&c, &e), 0); /* nothing is left to do */
}

static void test_copies_bytes__up_to_a_limit(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *notes = path_join(dir, "journal");
	auto_free char *at = path_join(dir, "file");
	struct copies_limit limit = { .left_bytes = 9, .until_ns = INT64_MAX };
	struct copies c = COPIES_NONE;
	struct err e = ERR_INIT;

	(void)state;
	auto_journal struct journal *j = journal_open(notes, &e);
	auto_close int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(copies_make(&c, parent, j, "freeze", &e), 0);
	write_text(dir, "file", "12345");
	auto_close int fd = open(at, O_RDONLY | O_CLOEXEC);
	assert_int_equal(copies_bytes(&c, 1, fd, 5, "file", &limit, &e), 0);
	auto_free char *copy = read_file(c.path, "01/0000000000000001", NULL);
	assert_string_equal(copy, "12345");
	assert_int_equal(limit.left_bytes, 4);
	assert_int_equal(copies_bytes(&c, 2, fd, 5, "file", &limit, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	limit = (struct copies_limit){ .left_bytes = 100, .until_ns = 0 };
	assert_int_equal(copies_bytes(&c, 3, fd, 5, "file", &limit, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_int_equal(copies_remove(&c, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies__are_opened_when_they_are_regular_files_only),
		cmocka_unit_test(test_copies_bytes__up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
