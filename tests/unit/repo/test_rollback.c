/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine remembers of the config: what it refuses, and what it must not be confused by. */
#include "repo/rollback.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/secret.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static const uint8_t one[32] = { 1 }, two[32] = { 2 }, three[32] = { 3 };

static char *new_dir(void)
{
	ok(secret_init(e));
	return tmpdir_new();
}

static void test_rollback_check__remembers_the_highest_revision(void **state)
{
	auto_tmpdir char *dir = new_dir();

	(void)state;
	ok(rollback_check(dir, 1, one, e));
	assert_false(file_exists(dir, ROLLBACK_FILE)); /* what all begin with */
	ok(rollback_check(dir, 3, three, e));
	ok(rollback_check(dir, 3, three, e));
	fails_saying(ERR_CORRUPT,
	             "shows revision 2 of the config, and this machine has seen "
	             "revision 3",
	             rollback_check(dir, 2, two, e));
	fails_saying(ERR_CORRUPT, ROLLBACK_FILE, rollback_check(dir, 1, one, e));
	ok(rollback_check(dir, 3, three, e));
	ok(rollback_check(dir, 7, one, e));
	fails(ERR_CORRUPT, rollback_check(dir, 3, three, e));
}

static void test_rollback_check__another_revision_of_the_same_number_is_refused(void **state)
{
	auto_tmpdir char *dir = new_dir();

	(void)state;
	ok(rollback_check(dir, 2, two, e));
	fails_saying(ERR_CORRUPT, "revision 2 of the config is another one",
	             rollback_check(dir, 2, three, e));
}

static void test_rollback_check__without_a_directory_there_is_no_memory(void **state)
{
	auto_tmpdir char *dir = new_dir();
	auto_free char *gone = path_join(dir, "gone");

	(void)state;
	ok(rollback_check("", 9, one, e));
	ok(rollback_check("", 2, two, e));
	ok(rollback_check(gone, 9, one, e));
	ok(rollback_check(gone, 2, two, e));
}

static void test_rollback_check__a_damaged_memory_locks_nobody_out(void **state)
{
	auto_tmpdir char *dir = new_dir();
	size_t n;

	(void)state;
	ok(rollback_check(dir, 5, three, e));
	auto_free char *good = read_file(dir, ROLLBACK_FILE, &n);
	for (size_t i = 0; i < n; i++) {
		good[i] ^= 1;
		write_file(dir, ROLLBACK_FILE, good, n);
		ok(rollback_check(dir, 2, two, e));
		good[i] ^= 1;
		/* what was learned instead */
		fails(ERR_CORRUPT, rollback_check(dir, 2, three, e));
	}
	for (size_t cut = 0; cut < n; cut++) {
		write_file(dir, ROLLBACK_FILE, good, cut);
		ok(rollback_check(dir, 2, two, e));
	}
}

static void test_rollback_check__hostile_memories_say_nothing(void **state)
{
	static const char *const texts[] = {
		"99999999\n",
		"99999999 00\n",
		"100000000 0100000000000000000000000000000000000000000000000000000000000000\n",
		"-5 0100000000000000000000000000000000000000000000000000000000000000\n",
		"0 0100000000000000000000000000000000000000000000000000000000000000\n",
		"9 0100000000000000000000000000000000000000000000000000000000000000\nmore\n",
		"9 0100000000000000000000000000000000000000000000000000000000000000",
		" \n",
		"",
	};
	auto_tmpdir char *dir = new_dir();
	auto_free char *path = path_join(dir, ROLLBACK_FILE);
	auto_free char *big = calloc(1, MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(1024);
		uint8_t sum[32];

		/* with a checksum that fits */
		(void)buf_str(&b, "aksdr config 1\n");
		(void)buf_str(&b, texts[i]);
		(void)crypto_generichash(sum, sizeof(sum), b.data, b.len, NULL, 0);
		(void)buf_put(&b, sum, sizeof(sum));
		write_file(dir, ROLLBACK_FILE, b.data, b.len);
		ok(rollback_check(dir, 1, one, e));
	}
	write_file(dir, ROLLBACK_FILE, big, MIB);
	ok(rollback_check(dir, 1, one, e));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	ok(rollback_check(dir, 3, three, e));
	ok(rollback_check(dir, 1, one, e));
}

static void test_rollback_check__a_lock_of_somebody_else_blocks_nobody(void **state)
{
	auto_tmpdir char *dir = new_dir();
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	ok(rollback_check(dir, 4, one, e));
	assert_int_equal(flock(fd, LOCK_EX), 0);
	fails(ERR_CORRUPT, rollback_check(dir, 3, three, e));
	ok(rollback_check(dir, 5, two, e));
}

static void test_rollback_accept__goes_back_when_that_is_meant(void **state)
{
	auto_tmpdir char *dir = new_dir();

	(void)state;
	assert_int_equal(rollback_seen(dir), 0);
	ok(rollback_check(dir, 3, three, e));
	assert_int_equal(rollback_seen(dir), 3);
	ok(rollback_accept(dir, 2, two, e));
	assert_int_equal(rollback_seen(dir), 2);
	ok(rollback_check(dir, 2, two, e));
	fails(ERR_CORRUPT, rollback_check(dir, 1, one, e));
	ok(rollback_check(dir, 3, one, e));
}

static void test_rollback_accept__says_why_it_could_not(void **state)
{
	auto_tmpdir char *dir = new_dir();
	auto_free char *gone = path_join(dir, "gone");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	fails(ERR_NOT_FOUND, rollback_accept(gone, 2, two, e));
	assert_int_equal(rollback_seen(gone), 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	fails(ERR_BUSY, rollback_accept(dir, 2, two, e));
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rollback_check__remembers_the_highest_revision),
		cmocka_unit_test(
			test_rollback_check__another_revision_of_the_same_number_is_refused),
		cmocka_unit_test(test_rollback_check__without_a_directory_there_is_no_memory),
		cmocka_unit_test(test_rollback_check__a_damaged_memory_locks_nobody_out),
		cmocka_unit_test(test_rollback_check__hostile_memories_say_nothing),
		cmocka_unit_test(test_rollback_check__a_lock_of_somebody_else_blocks_nobody),
		cmocka_unit_test(test_rollback_accept__goes_back_when_that_is_meant),
		cmocka_unit_test(test_rollback_accept__says_why_it_could_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
