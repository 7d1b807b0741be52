/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of ranges. */
#include "snapshot/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void assert_next(const struct ranges *r, uint64_t off, uint64_t start, uint64_t end)
{
	uint64_t got_start, got_end;

	ranges_next(r, off, 100, &got_start, &got_end);
	assert_int_equal(got_start, start);
	assert_int_equal(got_end, end);
}

static void test_ranges_add__joins_what_touches(void **state)
{
	auto_ranges struct ranges *r = ranges_new();

	(void)state;
	assert_int_equal(ranges_add(r, 10, 20), 0);
	assert_int_equal(ranges_add(r, 20, 30), 0);
	assert_int_equal(ranges_add(r, 25, 28), 0);
	assert_int_equal(ranges_add(r, 40, 40), 0);
	assert_int_equal(ranges_add(r, 50, 60), 0);
	assert_int_equal(r->n, 2);
	assert_int_equal(ranges_bytes(r), 30);
	ranges_free(NULL);
}

static void test_ranges_next__is_cut_to_what_was_asked(void **state)
{
	auto_ranges struct ranges *r = ranges_new();

	(void)state;
	assert_next(r, 0, 100, 100);
	assert_int_equal(ranges_add(r, 10, 20), 0);
	assert_int_equal(ranges_add(r, 30, 40), 0);
	assert_int_equal(ranges_add(r, 90, 120), 0);
	assert_int_equal(ranges_add(r, 130, 140), 0);
	assert_next(r, 0, 10, 20);
	assert_next(r, 10, 10, 20);
	assert_next(r, 19, 19, 20);
	assert_next(r, 20, 30, 40);
	assert_next(r, 40, 90, 100);
	assert_next(r, 100, 100, 100);
	assert_next(r, 1000, 100, 100);
}

static void test_ranges_next__finds_its_way_among_many(void **state)
{
	auto_ranges struct ranges *r = ranges_new();
	uint64_t start, end;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(ranges_add(r, i * 10, i * 10 + 5), 0);
	for (uint64_t i = 0; i < 1000; i++) {
		ranges_next(r, i * 10 + 4, 100000, &start, &end);
		assert_int_equal(start, i * 10 + 4);
		assert_int_equal(end, i * 10 + 5);
	}
	ranges_next(r, 9995, 100000, &start, &end);
	assert_int_equal(start, 100000);
}

static void test_ranges_add_tail__takes_the_place_of_what_was_there(void **state)
{
	auto_ranges struct ranges *r = ranges_new();

	(void)state;
	assert_int_equal(ranges_add(r, 10, 20), 0);
	assert_int_equal(ranges_add(r, 30, 60), 0);
	assert_int_equal(ranges_add(r, 70, 80), 0);
	assert_int_equal(ranges_add_tail(r, 50, 90), 0);
	assert_int_equal(r->n, 2);
	assert_next(r, 20, 30, 90);
	assert_int_equal(ranges_add_tail(r, 5, 7), 0);
	assert_int_equal(r->n, 1);
	assert_next(r, 0, 5, 7);
	assert_int_equal(ranges_add_tail(r, 7, 7), 0);
	assert_next(r, 0, 5, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_add__joins_what_touches),
		cmocka_unit_test(test_ranges_next__is_cut_to_what_was_asked),
		cmocka_unit_test(test_ranges_next__finds_its_way_among_many),
		cmocka_unit_test(test_ranges_add_tail__takes_the_place_of_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
