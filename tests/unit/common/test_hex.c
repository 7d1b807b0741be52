/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal and base64 texts. */
#include "common/hex.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_hex_encode__is_lower_case(void **state)
{
	char text[9];

	(void)state;
	hex_encode(text, "\x00\x7f\xab\xff", 4);
	assert_string_equal(text, "007fabff");
	hex_encode(text, "", 0);
	assert_string_equal(text, "");
}

static void test_hex_decode__takes_both_cases(void **state)
{
	uint8_t bytes[4];

	(void)state;
	assert_int_equal(hex_decode(bytes, 4, "007FabfF"), 0);
	assert_memory_equal(bytes, "\x00\x7f\xab\xff", 4);
	assert_int_equal(hex_decode(bytes, 0, ""), 0);
}

static void test_hex_decode__refuses_what_is_not_exact(void **state)
{
	static const char *const cases[] = { "",         "0",        "007fabf",  "007fabff0",
		                             "007fabfg", "007fab f", "007fab-1", "0x7fabff",
		                             "007fab/0", "007fab:0", "007fabG0", "007fab`0",
		                             "007fab@0" };
	uint8_t bytes[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(hex_decode(bytes, 4, cases[i]), -1);
	assert_int_equal(hex_decode(bytes, 0, "0"), -1);
}

static void test_hex_of32__gives_a_text_by_value(void **state)
{
	uint8_t id[32];

	(void)state;
	for (size_t i = 0; i < 32; i++)
		id[i] = (uint8_t)(i * 8);
	assert_string_equal(hex_of32(id).s,
	                    "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8");
}

static void test_base64_size__is_that_of_the_bytes(void **state)
{
	(void)state;
	assert_int_equal(base64_size(""), 0);
	assert_int_equal(base64_size("Zg=="), 1);
	assert_int_equal(base64_size("b28="), 2);
	assert_int_equal(base64_size("Zm9v"), 3);
	assert_int_equal(base64_size("Zm9vYg=="), 4);
	assert_true(base64_size("Z") == SIZE_MAX);
	assert_true(base64_size("Zm9vY") == SIZE_MAX);
}

static void test_base64_encode__pads(void **state)
{
	/* RFC 4648, section 10 */
	static const struct {
		const char *plain;
		const char *text;
	} cases[] = { { "", "" },
		      { "f", "Zg==" },
		      { "oo", "b28=" },
		      { "foo", "Zm9v" },
		      { "foob", "Zm9vYg==" },
		      { "fooba", "Zm9vYmE=" },
		      { "foobar", "Zm9vYmFy" } };
	char text[16];
	char back[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = strlen(cases[i].plain);

		assert_int_equal(base64_encode(text, sizeof(text), cases[i].plain, n), 0);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(base64_decode(back, n, text), 0);
		assert_memory_equal(back, cases[i].plain, n);
	}
}

static void test_base64_encode__needs_room_for_the_nul(void **state)
{
	char text[9];

	(void)state;
	assert_int_equal(base64_encode(text, 8, "foobar", 6), -1);
	assert_int_equal(base64_encode(text, 9, "foobar", 6), 0);
	assert_int_equal(base64_encode(text, 9, "foobar", SIZE_MAX), -1);
}

static void test_base64_decode__refuses_what_is_not_exact(void **state)
{
	static const char *const cases[] = {
		"",          "Zm9vYm",
		"Zm9vYmE",   "Zm9vYmF",
		"Zm9vYmE==", "Zm9vYmE=x",
		"Zm9v YmE=", "Zm9vYmE\n",
		"Zm9vYmF=",  "Zm9vYmFyYg==",
		"Zm9vYg==",  "Zm9-YmE=",
		"====",      "\xb1\xaa\xb9\xa7YmE=",
	};
	char bytes[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(base64_decode(bytes, 5, cases[i]), -1);
	assert_int_equal(base64_decode(bytes, 5, "Zm9vYmE="), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex_encode__is_lower_case),
		cmocka_unit_test(test_hex_decode__takes_both_cases),
		cmocka_unit_test(test_hex_decode__refuses_what_is_not_exact),
		cmocka_unit_test(test_hex_of32__gives_a_text_by_value),
		cmocka_unit_test(test_base64_size__is_that_of_the_bytes),
		cmocka_unit_test(test_base64_encode__pads),
		cmocka_unit_test(test_base64_encode__needs_room_for_the_nul),
		cmocka_unit_test(test_base64_decode__refuses_what_is_not_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
