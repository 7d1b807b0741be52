/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest names of a directory, in the order of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "store/names.h"
#include "tests/harness/syshook.h"

static void test_names__directories_sort_with_their_slash(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(10);
	static const char *const expected[] = { "a-b", "a.b", "a/", "a0", "ab/" };

	(void)state;
	assert_int_equal(names_add(&s, "ab", true), 0);
	assert_int_equal(names_add(&s, "a0", false), 0);
	assert_int_equal(names_add(&s, "a", true), 0);
	assert_int_equal(names_add(&s, "a.b", false), 0);
	assert_int_equal(names_add(&s, "a-b", false), 0);
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(names_get(&s, i), expected[i]);
	assert_false(s.more);
}

static void test_names__none_are_none(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(3);

	(void)state;
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 0);
	assert_false(s.more);
}

static void test_names__only_the_smallest_stay(void **state)
{
	enum { KEEP = 10, ALL = 1000 };
	CLEANUP(names_clear) struct names s = NAMES_INIT(KEEP);
	char name[16];

	(void)state;
	/* 389 is prime to 1000: every number once, in no order */
	for (unsigned i = 0; i < ALL; i++) {
		(void)snprintf(name, sizeof(name), "n%04u", i * 389 % ALL);
		assert_int_equal(names_add(&s, name, false), 0);
		assert_true(names_count(&s) < 2 * KEEP);
	}
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), KEEP);
	assert_true(s.more);
	for (unsigned i = 0; i < KEEP; i++) {
		(void)snprintf(name, sizeof(name), "n%04u", i);
		assert_string_equal(names_get(&s, i), name);
	}
}

static void test_names__reset_starts_anew(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(1);

	(void)state;
	assert_int_equal(names_add(&s, "a", false), 0);
	assert_int_equal(names_add(&s, "b", false), 0);
	assert_int_equal(names_sort(&s), 0);
	assert_true(s.more);
	names_reset(&s);
	assert_int_equal(names_add(&s, "z", false), 0);
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 1);
	assert_string_equal(names_get(&s, 0), "z");
	assert_false(s.more);
}

static void test_names__exactly_as_many_as_are_kept_is_all(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(2);

	(void)state;
	assert_int_equal(names_add(&s, "b", false), 0);
	assert_int_equal(names_add(&s, "a", false), 0);
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 2);
	assert_false(s.more);
	assert_int_equal(names_add(&s, "c", false), 0);
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 2);
	assert_true(s.more);
}

static void test_names__a_name_that_is_added_twice_is_there_once(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(2);

	(void)state;
	for (int i = 0; i < 9; i++) {
		assert_int_equal(names_add(&s, "b", false), 0);
		assert_int_equal(names_add(&s, "a", true), 0);
	}
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 2);
	assert_string_equal(names_get(&s, 0), "a/");
	assert_string_equal(names_get(&s, 1), "b");
	assert_false(s.more);
}

static int fail_allocation(void *arg, enum syshook_call call, int flags)
{
	unsigned *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- == 0 ? ENOMEM : 0;
}

static void test_names__short_memory_is_told(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (unsigned nth = 0;; nth++) {
		CLEANUP(names_clear) struct names s = NAMES_INIT(40);
		unsigned left = nth;
		char name[16];
		int r = 0;

		syshook_set(fail_allocation, &left);
		for (unsigned i = 0; i < 100 && r == 0; i++) {
			(void)snprintf(name, sizeof(name), "n%02u", i);
			r = names_add(&s, name, false);
		}
		syshook_set(NULL, NULL);
		if (r == 0)
			break;
		failures++;
	}
	assert_int_equal(failures, 4); /* the text, its places twice, the cut */
}

static void test_names__the_longest_fit(void **state)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(100);
	char name[NAMES_MAX];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[NAMES_MAX - 1] = '\0';
	for (int i = 0; i < 150; i++) {
		name[0] = (char)('a' + i % 26);
		name[1] = (char)('a' + i / 26);
		assert_int_equal(names_add(&s, name, true), 0);
	}
	assert_int_equal(names_sort(&s), 0);
	assert_int_equal(names_count(&s), 100);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(strlen(names_get(&s, i)), NAMES_MAX);
		assert_int_equal(names_get(&s, i)[NAMES_MAX - 1], '/');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names__directories_sort_with_their_slash),
		cmocka_unit_test(test_names__none_are_none),
		cmocka_unit_test(test_names__only_the_smallest_stay),
		cmocka_unit_test(test_names__reset_starts_anew),
		cmocka_unit_test(test_names__exactly_as_many_as_are_kept_is_all),
		cmocka_unit_test(test_names__a_name_that_is_added_twice_is_there_once),
		cmocka_unit_test(test_names__short_memory_is_told),
		cmocka_unit_test(test_names__the_longest_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
