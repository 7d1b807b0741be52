/* SPDX-License-Identifier: Apache-2.0 */
/* What is read ahead: runs get a window that grows, other reads get nothing. */
#include "restore/ahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)

static void test_ahead_next__a_run_covers_everything_once(void **state)
{
	struct ahead a = { 0 };
	uint64_t covered = 0;
	uint64_t window = 0;
	uint64_t from;
	uint64_t n;

	(void)state;
	for (uint64_t off = 0; off < 100 * MIB; off += 128 * KIB) {
		if (!ahead_next(&a, off, 128 * KIB, 16 * MIB, &from, &n))
			continue;
		/* Nothing twice, and nothing left out but what is being read. */
		assert_true(from >= covered);
		assert_true(from <= off + 128 * KIB || from == covered);
		covered = from + n;
		assert_true(covered <= off + 128 * KIB + 16 * MIB);
		if (covered - off > window)
			window = covered - off;
	}
	assert_int_equal(window, 16 * MIB + 128 * KIB);
	assert_true(covered >= 100 * MIB);
}

static void test_ahead_next__reads_here_and_there_fetch_nothing(void **state)
{
	struct ahead a = { 0 };
	uint64_t from;
	uint64_t n;

	(void)state;
	for (uint64_t i = 1; i < 50; i++) {
		uint64_t off = i * 7919 % 50 * 100 * MIB + 50 * MIB;

		assert_false(ahead_next(&a, off, 4 * KIB, 16 * MIB, &from, &n));
	}
}

static void test_ahead_next__reads_that_overtake_each_other_are_a_run(void **state)
{
	struct ahead a = { 0 };
	uint64_t from;
	uint64_t n;
	unsigned fetched = 0;

	(void)state;
	for (uint64_t off = 0; off < 8 * MIB; off += 256 * KIB) {
		fetched += ahead_next(&a, off + 128 * KIB, 128 * KIB, 16 * MIB, &from, &n);
		fetched += ahead_next(&a, off, 128 * KIB, 16 * MIB, &from, &n);
	}
	assert_in_range(fetched, 3, 10);
	assert_int_equal(a.next, 8 * MIB);
}

static void test_ahead_next__a_jump_starts_again(void **state)
{
	struct ahead a = { 0 };
	uint64_t from;
	uint64_t n;

	(void)state;
	assert_true(ahead_next(&a, 0, 128 * KIB, 16 * MIB, &from, &n));
	assert_false(ahead_next(&a, 500 * MIB, 128 * KIB, 16 * MIB, &from, &n));
	assert_true(ahead_next(&a, 500 * MIB + 128 * KIB, 128 * KIB, 16 * MIB, &from, &n));
	assert_int_equal(from, 500 * MIB + 256 * KIB);
	assert_int_equal(n, AHEAD_FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead_next__a_run_covers_everything_once),
		cmocka_unit_test(test_ahead_next__reads_here_and_there_fetch_nothing),
		cmocka_unit_test(test_ahead_next__reads_that_overtake_each_other_are_a_run),
		cmocka_unit_test(test_ahead_next__a_jump_starts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
