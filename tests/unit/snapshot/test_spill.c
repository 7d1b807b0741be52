/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are in memory, in a file, or in both. */
#include "snapshot/spill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static void assert_bytes(const struct spill *s, uint64_t off, const char *expected)
{
	struct err e = ERR_INIT;
	char got[64] = { 0 };

	assert_int_equal(spill_read(s, got, strlen(expected), off, &e), 0);
	assert_string_equal(got, expected);
}

static void test_spill__reads_what_was_added_wherever_it_lies(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct spill s;

	(void)state;
	assert_int_equal(spill_open(&s, dir, 8, &e), 0);
	assert_int_equal(spill_add(&s, "abcde", 5, &e), 0);
	assert_bytes(&s, 1, "bcd"); /* memory alone */
	assert_int_equal(spill_add(&s, "fghij", 5, &e), 0);
	assert_bytes(&s, 0, "abcde");                             /* the file alone */
	assert_bytes(&s, 3, "defgh");                             /* both */
	assert_int_equal(spill_add(&s, "0123456789", 10, &e), 0); /* more than memory has */
	assert_bytes(&s, 8, "ij01");
	assert_int_equal(spill_flush(&s, &e), 0);
	assert_int_equal(spill_add(&s, "xyz", 3, &e), 0);
	assert_bytes(&s, 0, "abcdefghij0123456789xyz");
	assert_int_equal(s.len, 23);
	assert_int_equal(count_files(dir), 0); /* it has no name */
	spill_close(&s);
}

static void test_spill_read__nothing_behind_the_end(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct spill s;
	char got[8];

	(void)state;
	assert_int_equal(spill_open(&s, dir, 8, &e), 0);
	assert_int_equal(spill_add(&s, "abc", 3, &e), 0);
	assert_int_equal(spill_read(&s, got, 4, 0, &e), -1);
	assert_int_equal(e.class, ERR_BUG);
	assert_int_equal(spill_read(&s, got, 1, UINT64_MAX, &e), -1);
	spill_close(&s);
	assert_int_equal(spill_open(&s, "/nowhere", 8, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	spill_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spill__reads_what_was_added_wherever_it_lies),
		cmocka_unit_test(test_spill_read__nothing_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
