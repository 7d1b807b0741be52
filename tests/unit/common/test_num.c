/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people write them, and as people read them. */
#include "common/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_num_u64__takes_digits_in_range(void **state)
{
	struct err e = ERR_INIT;
	uint64_t v = 0;

	(void)state;
	assert_int_equal(num_u64("--n", "0", 0, 10, &v, &e), 0);
	assert_true(v == 0);
	assert_int_equal(num_u64("--n", "10", 0, 10, &v, &e), 0);
	assert_true(v == 10);
	assert_int_equal(num_u64("--n", "18446744073709551615", 0, UINT64_MAX, &v, &e), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(num_u64("--n", "007", 7, 7, &v, &e), 0);
	assert_true(v == 7);
}

static void test_num_u64__refuses_the_rest_with_a_sentence(void **state)
{
	static const char *const cases[] = { "",
		                             "-1",
		                             "+1",
		                             " 1",
		                             "1 ",
		                             "0x1",
		                             "1.0",
		                             "1e3",
		                             "a",
		                             "101",
		                             "4",
		                             "١",
		                             "1K",
		                             "18446744073709551616",
		                             "184467440737095516150" };
	struct err e = ERR_INIT;
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(num_u64("--level", cases[i], 5, 100, &v, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_true(v == 77);
	assert_int_equal(num_u64("--level", "101", 5, 100, &v, &e), -1);
	assert_string_equal(e.msg, "--level '101' is not a number from 5 to 100");
}

static void test_num_size__knows_both_kinds_of_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "1K", 1000 },
		{ "1KB", 1000 },
		{ "1Ki", 1024 },
		{ "1KiB", 1024 },
		{ "3M", 3000000 },
		{ "64MiB", 67108864 },
		{ "2G", 2000000000 },
		{ "2GiB", 2147483648 },
		{ "5T", 5000000000000 },
		{ "5Ti", 5497558138880 },
		{ "1P", 1000000000000000 },
		{ "1PiB", 1125899906842624 },
	};
	struct err e = ERR_INIT;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(num_size("--size", cases[i].text, UINT64_MAX, &v, &e), 0);
		assert_true(v == cases[i].want);
	}
}

static void test_num_size__refuses_other_forms(void **state)
{
	static const char *const cases[] = { "",      "K",   "1k",  "1.5G", "-1", "1 K",
		                             "1KiBx", "1i",  "1iB", "1BB",  "1E", "1Kib",
		                             "1K1",   " 1K", "1KK", "Ki" };
	struct err e = ERR_INIT;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(num_size("--size", cases[i], UINT64_MAX, &v, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_int_equal(num_size("--size", "1.5G", UINT64_MAX, &v, &e), -1);
	assert_string_equal(
		e.msg, "--size '1.5G' is not a size; write digits and a unit, as in 64MiB or 10G");
}

static void test_num_size__names_the_limit(void **state)
{
	struct err e = ERR_INIT;
	uint64_t v;

	(void)state;
	assert_int_equal(num_size("--size", "64MiB", 67108864, &v, &e), 0);
	assert_int_equal(num_size("--size", "65MiB", 67108864, &v, &e), -1);
	assert_string_equal(e.msg, "--size '65MiB' is over the limit of 64.0 MiB");
	assert_int_equal(num_size("--size", "20000PiB", UINT64_MAX, &v, &e), -1); /* over 64 bits */
	assert_string_equal(e.msg, "--size '20000PiB' is over the limit of 16.0 EiB");
}

static void test_num_duration__sums_its_parts(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = { { "0s", 0 },     { "45s", 45 },     { "1h30m", 5400 },
		      { "1d", 86400 }, { "2w", 1209600 }, { "1w1d1h1m1s", 694861 },
		      { "90m", 5400 }, { "30m1h", 5400 } };
	struct err e = ERR_INIT;
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(num_duration("--for", cases[i].text, &v, &e), 0);
		assert_true(v == cases[i].want);
	}
}

static void test_num_duration__refuses_other_forms(void **state)
{
	static const char *const cases[] = { "",
		                             "5",
		                             "h",
		                             "1h5",
		                             "-1s",
		                             "1.5h",
		                             "1 h",
		                             "1y",
		                             "1hm",
		                             "1H",
		                             "1h ",
		                             "9223372036854775807w",
		                             "9223372036854775807s1s",
		                             "99999999999999999999s" };
	struct err e = ERR_INIT;
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(num_duration("--for", cases[i], &v, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_int_equal(num_duration("--for", "5", &v, &e), -1);
	assert_string_equal(
		e.msg,
		"--for '5' is not a duration; write numbers with units s m h d w, as in 1h30m");
}

static void test_num_bytes_text__rounds_and_carries(void **state)
{
	(void)state;
	assert_string_equal(num_bytes_text(0).s, "0 B");
	assert_string_equal(num_bytes_text(812).s, "812 B");
	assert_string_equal(num_bytes_text(1023).s, "1023 B");
	assert_string_equal(num_bytes_text(1024).s, "1.0 KiB");
	assert_string_equal(num_bytes_text(1075).s, "1.0 KiB");
	assert_string_equal(num_bytes_text(1076).s, "1.1 KiB");
	assert_string_equal(num_bytes_text(1048524).s, "1023.9 KiB");
	assert_string_equal(num_bytes_text(1048525).s, "1.0 MiB");
	assert_string_equal(num_bytes_text(1048575).s, "1.0 MiB");
	assert_string_equal(num_bytes_text(1503238553).s, "1.4 GiB");
	assert_string_equal(num_bytes_text(UINT64_MAX).s, "16.0 EiB");
}

static void test_num_duration_text__shows_two_units(void **state)
{
	(void)state;
	assert_string_equal(num_duration_text(-5).s, "0s");
	assert_string_equal(num_duration_text(0).s, "0s");
	assert_string_equal(num_duration_text(41).s, "41s");
	assert_string_equal(num_duration_text(60).s, "1m00s");
	assert_string_equal(num_duration_text(187).s, "3m07s");
	assert_string_equal(num_duration_text(7500).s, "2h05m");
	assert_string_equal(num_duration_text(86399).s, "23h59m");
	assert_string_equal(num_duration_text(187200).s, "2d04h");
	assert_string_equal(num_duration_text(INT64_MAX).s, "106751991167300d15h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_num_u64__takes_digits_in_range),
		cmocka_unit_test(test_num_u64__refuses_the_rest_with_a_sentence),
		cmocka_unit_test(test_num_size__knows_both_kinds_of_units),
		cmocka_unit_test(test_num_size__refuses_other_forms),
		cmocka_unit_test(test_num_size__names_the_limit),
		cmocka_unit_test(test_num_duration__sums_its_parts),
		cmocka_unit_test(test_num_duration__refuses_other_forms),
		cmocka_unit_test(test_num_bytes_text__rounds_and_carries),
		cmocka_unit_test(test_num_duration_text__shows_two_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
