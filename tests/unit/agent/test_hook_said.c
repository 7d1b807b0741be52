/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook says, in pieces of any size. */
#include "agent/hook_said.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static struct hook_result r;

static void said(const char *text, size_t n, size_t piece, bool out)
{
	static struct hook_said s;
	struct err e = ERR_INIT;

	memset(&r, 0, sizeof(r));
	memset(&s, 0, sizeof(s));
	s.ret = &r;
	for (size_t at = 0; at < n; at += piece)
		hook_said_take(&s, out, text + at, n - at < piece ? n - at : piece);
	assert_int_equal(hook_said_end(&s, &e), 0);
}

#define FACTS "x\naksdr-fact a 1\naksdr-fact b two words\naksdr-fact A no\naksdr-fact a 3"

static void test_hook_said_take__facts_are_the_same_however_they_come(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= sizeof(FACTS); piece++) {
		said(FACTS, sizeof(FACTS) - 1, piece, true);
		assert_int_equal(r.nfacts, 2);
		assert_string_equal(r.facts[0].value, "3"); /* the line without an end counts */
		assert_string_equal(r.facts[1].value, "two words");
		assert_int_equal(r.facts_lost, 1);
		assert_int_equal(r.written, sizeof(FACTS) - 1);
	}
}

static void test_hook_said_take__errors_have_no_facts(void **state)
{
	(void)state;
	said(FACTS, sizeof(FACTS) - 1, 7, false);
	assert_int_equal(r.nfacts, 0);
	assert_string_equal(r.output, FACTS);
}

static void test_hook_said_end__keeps_the_end_whole_characters_only(void **state)
{
	static char text[HOOK_OUTPUT_MAX + 2];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	said(text, sizeof(text) - 1, 1000, true); /* begins in the middle of a character */
	assert_int_equal(r.written, HOOK_OUTPUT_MAX + 1);
	assert_true(r.output_len <= HOOK_OUTPUT_MAX);
	assert_memory_equal(r.output, "\xc3\xa9", 2);
}

static void test_hook_said_last_line__is_the_last_that_says_something(void **state)
{
	char line[HOOK_SAID_SHOWN];

	(void)state;
	said("first\nlast one\n\n \n", 18, 5, true);
	hook_said_last_line(&r, line);
	assert_string_equal(line, ": last one");
	said("\n \n", 3, 3, true);
	hook_said_last_line(&r, line);
	assert_string_equal(line, "");
}

static void test_hook_said_one_line__cuts_behind_a_whole_character(void **state)
{
	char line[6];

	(void)state;
	hook_said_one_line(line, sizeof(line), "abcd\xc3\xa9");
	assert_string_equal(line, "abcd");
	hook_said_one_line(line, sizeof(line), "abc");
	assert_string_equal(line, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_said_take__facts_are_the_same_however_they_come),
		cmocka_unit_test(test_hook_said_take__errors_have_no_facts),
		cmocka_unit_test(test_hook_said_end__keeps_the_end_whole_characters_only),
		cmocka_unit_test(test_hook_said_last_line__is_the_last_that_says_something),
		cmocka_unit_test(test_hook_said_one_line__cuts_behind_a_whole_character),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
