/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, with literal times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/bucket.h"

#define S INT64_C(1000000000)
#define MS INT64_C(1000000)

static void test_bucket_take__starts_with_a_burst_of_a_quarter_second(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000, 5 * S);
	assert_int_equal(bucket_take(&b, 1000, 5 * S), 250);
	assert_int_equal(bucket_take(&b, 1000, 5 * S), 0);
}

static void test_bucket_take__tokens_come_at_the_rate(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000, 0);
	assert_int_equal(bucket_take(&b, 250, 0), 250);
	assert_int_equal(bucket_take(&b, 1000, 1 * MS), 1);
	assert_int_equal(bucket_take(&b, 1000, 100 * MS), 99);
	assert_int_equal(bucket_take(&b, 30, 200 * MS), 30);
	assert_int_equal(bucket_take(&b, 1000, 200 * MS), 70);
	assert_int_equal(bucket_take(&b, 1000, 3600 * S), 250);
}

static void test_bucket_take__parts_of_tokens_are_not_lost(void **state)
{
	struct bucket b;
	uint64_t got = 0;

	(void)state;
	bucket_init(&b, 3, 0);
	assert_int_equal(bucket_take(&b, 1, 0), 1);
	/* 7 divides neither the second nor its thirds */
	for (int64_t ns = 0; ns <= 20 * S; ns += 7 * MS)
		got += bucket_take(&b, 10, ns);
	assert_int_equal(got, 59); /* the 60th token comes at 20 s; the last look was at 19.999 s */
}

static void test_bucket_take__without_a_rate_there_is_no_limit(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 0, 0);
	assert_true(bucket_take(&b, UINT64_MAX, 0) == UINT64_MAX);
	assert_int_equal(bucket_wait_ns(&b, UINT64_MAX), 0);
}

static void test_bucket_take__a_clock_that_goes_back_gives_nothing(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000, 10 * S);
	assert_int_equal(bucket_take(&b, 250, 10 * S), 250);
	assert_int_equal(bucket_take(&b, 250, 9 * S), 0);
	assert_int_equal(bucket_take(&b, 250, 10 * S), 0);
	assert_int_equal(bucket_take(&b, 250, 10 * S + 5 * MS), 5);
}

static void test_bucket_take__the_highest_rates_and_times_do_not_overflow(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, UINT64_MAX, INT64_MIN);
	assert_true(bucket_take(&b, UINT64_MAX, INT64_MIN) == UINT64_MAX / 4);
	assert_true(bucket_take(&b, UINT64_MAX, INT64_MAX) == UINT64_MAX / 4);
	assert_int_equal(bucket_wait_ns(&b, UINT64_MAX), 250 * MS);
}

static void test_bucket_wait_ns__is_exact(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 3, 0);
	assert_int_equal(bucket_wait_ns(&b, 1), 0);
	assert_int_equal(bucket_take(&b, 1, 0), 1);
	assert_int_equal(bucket_wait_ns(&b, 1), 333333334);
	assert_int_equal(bucket_take(&b, 1, 333333333), 0);
	assert_int_equal(bucket_wait_ns(&b, 1), 1);
	assert_int_equal(bucket_take(&b, 1, 333333334), 1);
}

static void test_bucket_wait_ns__waits_for_a_burst_at_most(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000000, 0);
	assert_int_equal(bucket_take(&b, 250000, 0), 250000);
	assert_int_equal(bucket_wait_ns(&b, 1), 1000);
	assert_int_equal(bucket_wait_ns(&b, 100000), 100 * MS);
	assert_int_equal(bucket_wait_ns(&b, 1000000000), 250 * MS);
}

static void test_bucket_set__takes_hold_at_once(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1, 0);
	assert_int_equal(bucket_take(&b, 1, 0), 1);
	bucket_set(&b, 1000, 500 * MS);
	/* half a token from before, one after another from now on */
	assert_int_equal(bucket_take(&b, 1000, 500 * MS + 500000), 1);
	assert_int_equal(bucket_take(&b, 1000, 510 * MS), 9);
	bucket_set(&b, 0, 510 * MS);
	assert_int_equal(bucket_take(&b, 123456, 510 * MS), 123456);
}

static void test_bucket_set__a_lower_rate_lowers_what_is_saved(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000000, 0);
	bucket_set(&b, 40, 0);
	assert_int_equal(bucket_take(&b, 1000000, 0), 10);
	assert_int_equal(bucket_take(&b, 1000000, 25 * MS), 1);
}

static void test_bucket_set__from_no_limit_nothing_is_saved(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 0, 0);
	bucket_set(&b, 1000, 100 * S);
	assert_true(bucket_take(&b, 1000, 100 * S) <= 1);
	assert_int_equal(bucket_take(&b, 1000, 100 * S + 10 * MS), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_take__starts_with_a_burst_of_a_quarter_second),
		cmocka_unit_test(test_bucket_take__tokens_come_at_the_rate),
		cmocka_unit_test(test_bucket_take__parts_of_tokens_are_not_lost),
		cmocka_unit_test(test_bucket_take__without_a_rate_there_is_no_limit),
		cmocka_unit_test(test_bucket_take__a_clock_that_goes_back_gives_nothing),
		cmocka_unit_test(test_bucket_take__the_highest_rates_and_times_do_not_overflow),
		cmocka_unit_test(test_bucket_wait_ns__is_exact),
		cmocka_unit_test(test_bucket_wait_ns__waits_for_a_burst_at_most),
		cmocka_unit_test(test_bucket_set__takes_hold_at_once),
		cmocka_unit_test(test_bucket_set__a_lower_rate_lowers_what_is_saved),
		cmocka_unit_test(test_bucket_set__from_no_limit_nothing_is_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
