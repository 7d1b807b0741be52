/* SPDX-License-Identifier: Apache-2.0 */
/* The retry schedule: ceilings, jitter and budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/backoff.h"
#include "common/clean.h"

static const struct backoff usual = { .budget_ms = 120000, .first_ms = 200, .longest_ms = 20000 };

/* The longest wait that any random number gives. */
static int64_t ceiling(const struct backoff *b, unsigned failed)
{
	int64_t longest = 0;

	for (uint64_t r = 0; r < 200000; r++) {
		int64_t ms = backoff_wait_ms(b, failed, 0, r);

		assert_true(ms >= 1);
		longest = ms > longest ? ms : longest;
	}
	return longest;
}

static void test_backoff_wait_ms__ceiling_doubles_up_to_the_longest(void **state)
{
	static const int64_t expected[] = { 200,  400,   800,   1600,  3200,
		                            6400, 12800, 20000, 20000, 20000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(ceiling(&usual, i + 1), expected[i]);
	assert_int_equal(ceiling(&usual, 4000000000), 20000);
}

static void test_backoff_wait_ms__jitter_is_the_random_number(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait_ms(&usual, 1, 0, 0), 1);
	assert_int_equal(backoff_wait_ms(&usual, 1, 0, 199), 200);
	assert_int_equal(backoff_wait_ms(&usual, 1, 0, 200), 1);
	assert_int_equal(backoff_wait_ms(&usual, 3, 0, 799), 800);
	assert_int_equal(backoff_wait_ms(&usual, 3, 0, UINT64_MAX),
	                 1 + (int64_t)(UINT64_MAX % 800));
}

static void test_backoff_wait_ms__the_last_wait_ends_with_the_budget(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait_ms(&usual, 9, 119000, 19999), 1000);
	assert_int_equal(backoff_wait_ms(&usual, 9, 119999, 19999), 1);
	assert_int_equal(backoff_wait_ms(&usual, 9, 119000, 500), 501);
}

static void test_backoff_wait_ms__gives_up_when_the_budget_is_used(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait_ms(&usual, 1, 120000, 0), -1);
	assert_int_equal(backoff_wait_ms(&usual, 9, INT64_MAX, 0), -1);
}

static void test_backoff_wait_ms__odd_settings_still_give_a_wait(void **state)
{
	const struct backoff none = { .budget_ms = 10, .first_ms = 0, .longest_ms = 0 };
	const struct backoff swapped = { .budget_ms = 1000, .first_ms = 500, .longest_ms = 50 };
	const struct backoff huge = { .budget_ms = INT64_MAX,
		                      .first_ms = INT64_MAX / 2 + 1,
		                      .longest_ms = INT64_MAX };

	(void)state;
	assert_int_equal(ceiling(&none, 5), 1);
	assert_int_equal(ceiling(&swapped, 1), 50);
	assert_int_equal(ceiling(&swapped, 7), 50);
	assert_true(backoff_wait_ms(&huge, 1000, 0, INT64_MAX - 1) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_wait_ms__ceiling_doubles_up_to_the_longest),
		cmocka_unit_test(test_backoff_wait_ms__jitter_is_the_random_number),
		cmocka_unit_test(test_backoff_wait_ms__the_last_wait_ends_with_the_budget),
		cmocka_unit_test(test_backoff_wait_ms__gives_up_when_the_budget_is_used),
		cmocka_unit_test(test_backoff_wait_ms__odd_settings_still_give_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
