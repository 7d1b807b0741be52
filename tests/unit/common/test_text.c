/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping of names with any bytes. */
#include "common/text.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/harness/harness.h"

static void check(const char *text, enum text_mode mode, const char *want)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);

	assert_int_equal(text_put(&b, text, mode), 0);
	assert_string_equal(buf_cstr(&b), want);
}

static void test_text_put__leaves_plain_text(void **state)
{
	static const char text[] = "a b/c.d-e \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 ~";

	(void)state;
	check(text, TEXT_LINE, text);
	check(text, TEXT_QUOTED, text);
	check(text, TEXT_JSON, text);
	check(text, TEXT_JSON_EXACT, text);
	check(text, TEXT_CSV_EXACT, text);
	check("", TEXT_LINE, "");
}

static void test_text_put__escapes_controls_as_the_mode_asks(void **state)
{
	static const char text[] = "\t\n\x1b\x7f\xc2\x9b";

	(void)state;
	check(text, TEXT_LINE, "\\x09\\x0a\\x1b\\x7f\\xc2\\x9b");
	check(text, TEXT_QUOTED, "\\x09\\x0a\\x1b\\x7f\\xc2\\x9b");
	check(text, TEXT_JSON, "\\u0009\\u000a\\u001b\\u007f\\u009b");
	check(text, TEXT_CSV_EXACT, text);
}

static void test_text_put__escapes_quotes_and_backslashes(void **state)
{
	(void)state;
	check("a\"b\\c", TEXT_LINE, "a\"b\\c");
	check("a\"b\\c", TEXT_QUOTED, "a\\\"b\\\\c");
	check("a\"b\\c", TEXT_JSON, "a\\\"b\\\\c");
	check("a\"b\\c", TEXT_CSV_EXACT, "a\"b\\c");
}

static void test_text_put__tells_a_name_that_looks_like_an_escape(void **state)
{
	(void)state;
	check("\\xff", TEXT_JSON_EXACT, "\\\\x5cxff");
	check("\xff", TEXT_JSON_EXACT, "\\\\xff");
	check("\\xff", TEXT_JSON, "\\\\xff");
	check("\xff", TEXT_JSON, "\\\\xff");
	check("\\xff", TEXT_CSV_EXACT, "\\x5cxff");
	check("\xff", TEXT_CSV_EXACT, "\\xff");
	check("\\xff", TEXT_LINE, "\\xff"); /* for people: twice is as once */
}

static void test_text_put__finds_every_broken_sequence(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{ "\x80", "\\x80" },
		{ "\xbf", "\\xbf" },
		{ "\xc0\x80", "\\xc0\\x80" }, /* NUL in two bytes */
		{ "\xc1\xbf", "\\xc1\\xbf" },
		{ "\xc3", "\\xc3" }, /* cut */
		{ "\xc3(", "\\xc3(" },
		{ "\xe0\x9f\xbf", "\\xe0\\x9f\\xbf" }, /* too long a form */
		{ "\xe2\x82", "\\xe2\\x82" },
		{ "\xe2\x28\xa1", "\\xe2(\\xa1" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* a surrogate */
		{ "\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf" }, /* too long a form */
		{ "\xf0\x9f\x98", "\\xf0\\x9f\\x98" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
		  "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check(cases[i].text, TEXT_LINE, cases[i].want);
}

static void test_text_put__json_is_valid_for_any_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
		char text[40];

		fill_random(seed, text, sizeof(text));
		text[39] = '\0';
		assert_int_equal(buf_u8(&b, '"'), 0);
		assert_int_equal(text_put(&b, text, seed % 2 ? TEXT_JSON : TEXT_JSON_EXACT), 0);
		assert_int_equal(buf_u8(&b, '"'), 0);
		json_t *j = json_loadb((char *)b.data, b.len, JSON_DECODE_ANY, NULL);
		assert_non_null(j);
		json_decref(j);
	}
}

static void test_text_put__a_line_is_not_escaped_twice(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		CLEANUP(buf_clear) struct buf once = BUF_INIT(1000);
		CLEANUP(buf_clear) struct buf twice = BUF_INIT(1000);
		char text[40];

		fill_random(seed, text, sizeof(text));
		text[39] = '\0';
		assert_int_equal(text_put(&once, text, TEXT_LINE), 0);
		assert_int_equal(text_put(&twice, buf_cstr(&once), TEXT_LINE), 0);
		assert_string_equal(buf_cstr(&once), buf_cstr(&twice));
	}
}

static void test_text_put__fails_at_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(5);

	(void)state;
	assert_int_equal(text_put(&b, "ab\n", TEXT_LINE), -1);
	assert_int_equal(b.len, 2);
	assert_int_equal(text_put(&b, "", TEXT_LINE), -1); /* the failure sticks */
}

static void test_text_step__gives_one_character_at_a_time(void **state)
{
	const char *s = "\xe2\x82\xac\n";
	char step[TEXT_STEP_MAX];

	(void)state;
	assert_int_equal(text_step(&s, TEXT_JSON, step), 3);
	assert_memory_equal(step, "\xe2\x82\xac", 3);
	assert_int_equal(text_step(&s, TEXT_JSON, step), 6);
	assert_memory_equal(step, "\\u000a", 6);
	assert_int_equal(text_step(&s, TEXT_JSON, step), 0);
	assert_int_equal(text_step(&s, TEXT_JSON, step), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_put__leaves_plain_text),
		cmocka_unit_test(test_text_put__escapes_controls_as_the_mode_asks),
		cmocka_unit_test(test_text_put__escapes_quotes_and_backslashes),
		cmocka_unit_test(test_text_put__tells_a_name_that_looks_like_an_escape),
		cmocka_unit_test(test_text_put__finds_every_broken_sequence),
		cmocka_unit_test(test_text_put__json_is_valid_for_any_bytes),
		cmocka_unit_test(test_text_put__a_line_is_not_escaped_twice),
		cmocka_unit_test(test_text_put__fails_at_the_limit),
		cmocka_unit_test(test_text_step__gives_one_character_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
