/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says that it is doing: names once, a reason that was given, bounds. */
#include "common/act.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_act_object__names_each_thing_once_and_counts_the_rest(void **state)
{
	struct act a;

	(void)state;
	act_init(&a, "gc", 0);
	act_set_current(&a);
	act_object("%s", "one");
	act_object("%s", "one");
	for (unsigned i = 0; i < 40; i++)
		act_object("pack %u", i);
	assert_ptr_equal(act_current(), &a);
	assert_int_equal(a.nobjects, ACT_OBJECTS_MAX);
	assert_int_equal(a.count, 41);
	assert_string_equal(a.objects[0], "one");
	assert_string_equal(a.objects[31], "pack 30");
	act_set_current(NULL);
}

static void test_act_why__does_not_replace_what_was_given(void **state)
{
	struct act a;

	(void)state;
	act_init(&a, "backup", ACT_WAITS);
	act_set_current(&a);
	act_why("policy %s", "gold");
	act_why("another");
	assert_string_equal(a.why, "policy gold");
	act_run("00112233445566778899aabbccddeeff");
	assert_string_equal(a.run, "00112233445566778899aabbccddeeff");
	act_hurry();
	assert_int_equal(a.flags, 0);
	act_set_current(NULL);
}

static void test_act_object__without_an_act_is_nothing(void **state)
{
	(void)state;
	act_object("x");
	act_why("x");
	act_run("x");
	act_hurry();
	assert_null(act_current());
}

static void test_act_add__cuts_long_names(void **state)
{
	static char text[1000];
	struct act a;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	act_init(&a, "gc", 0);
	act_add(&a, "%s", text);
	assert_int_equal(strlen(a.objects[0]), ACT_OBJECT_MAX - 1);
	assert_true(a.began_ns > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_act_object__names_each_thing_once_and_counts_the_rest),
		cmocka_unit_test(test_act_why__does_not_replace_what_was_given),
		cmocka_unit_test(test_act_object__without_an_act_is_nothing),
		cmocka_unit_test(test_act_add__cuts_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
