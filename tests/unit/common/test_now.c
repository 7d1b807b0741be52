/* SPDX-License-Identifier: Apache-2.0 */
/* Time as text, both ways. Expected seconds are those of `date -u -d TEXT +%s`. */
#include "common/now.h"

#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static void test_now_wall_ns__is_the_clock_of_the_system(void **state)
{
	time_t before = time(NULL);
	int64_t now = now_wall_ns();
	time_t after = time(NULL);

	(void)state;
	/* time() may lag the clock by a tick */
	assert_true(now / S >= before && now / S <= after + 1);
}

static void test_now_mono_ns__never_goes_back(void **state)
{
	int64_t last = now_mono_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t now = now_mono_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void test_now_rfc3339__has_milliseconds_and_utc(void **state)
{
	(void)state;
	assert_string_equal(now_rfc3339(1795341845123000000).s, "2026-11-22T10:04:05.123Z");
	assert_string_equal(now_rfc3339(0).s, "1970-01-01T00:00:00.000Z");
	assert_string_equal(now_rfc3339(999999).s, "1970-01-01T00:00:00.000Z");
	assert_string_equal(now_rfc3339(1709164800 * S + 999999999).s, "2024-02-29T00:00:00.999Z");
}

static void test_now_rfc3339__rounds_down_before_1970(void **state)
{
	(void)state;
	assert_string_equal(now_rfc3339(-1).s, "1969-12-31T23:59:59.999Z");
	assert_string_equal(now_rfc3339(-S).s, "1969-12-31T23:59:59.000Z");
	assert_string_equal(now_rfc3339(INT64_MIN).s, "1677-09-21T00:12:43.145Z");
	assert_string_equal(now_rfc3339(INT64_MAX).s, "2262-04-11T23:47:16.854Z");
}

static void test_now_day__is_the_day_in_utc(void **state)
{
	(void)state;
	assert_string_equal(now_day(1795341845123000000).s, "2026-11-22");
	assert_string_equal(now_day(-1).s, "1969-12-31");
}

static void test_now_parse__reads_what_rfc_3339_allows(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = {
		{ "2026-11-22T10:04:05Z", 1795341845 * S },
		{ "2026-11-22T10:04Z", 1795341840 * S },
		{ "2026-11-22 10:04+02:00", 1795334640 * S },
		{ "2026-11-22t10:04:05z", 1795341845 * S },
		{ "2026-11-22 10:04:05Z", 1795341845 * S },
		{ "2026-11-22T10:04:05.123Z", 1795341845 * S + 123000000 },
		{ "2026-11-22T10:04:05.1Z", 1795341845 * S + 100000000 },
		{ "2026-11-22T10:04:05.123456789Z", 1795341845 * S + 123456789 },
		{ "2026-11-22T10:04:05.1234567899Z", 1795341845 * S + 123456789 },
		{ "2026-11-22T10:04:05+02:00", 1795334645 * S },
		{ "2026-11-22T10:04:05-05:30", 1795361645 * S },
		{ "2026-11-22", 1795305600 * S },
		{ "1970-01-01", 0 },
		{ "1969-12-31T23:59:59.5Z", -S / 2 },
		{ "2024-02-29", 1709164800 * S },
		{ "2000-02-29", 951782400 * S },
		{ "2100-03-01", 4107542400 * S },
		{ "2016-12-31T23:59:60Z", 1483228800 * S }, /* a leap second */
		{ "1678-01-01", -9214560000 * S },
		{ "2262-04-11T23:47:16.854775807Z", INT64_MAX },
	};
	struct err e = ERR_INIT;
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(now_parse(cases[i].text, &v, &e), 0);
		assert_true(v == cases[i].want);
	}
}

static void test_now_parse__refuses_what_is_no_time(void **state)
{
	static const char *const cases[] = {
		"",
		"now",
		"2026",
		"2026-11",
		"2026-11-2",
		"2026-1-22",
		"26-11-22",
		"2026/11/22",
		"2026-11/22",
		"2026-00-22",
		"2026-13-22",
		"2026-11-00",
		"2026-11-31",
		"2023-02-29",
		"2100-02-29",
		"0000-01-01",
		"2026-11-22T",
		"2026-11-22Z",
		"2026-11-22T10:0Z",
		"2026-11-22T10:04:05",
		"2026-11-22T24:00:00Z",
		"2026-11-22T10:60:00Z",
		"2026-11-22T10:04:61Z",
		"2026-11-22T10:04:05.Z",
		"2026-11-22T10:04:05,1Z",
		"2026-11-22T10:04:05+2:00",
		"2026-11-22T10:04:05+0200",
		"2026-11-22T10:04:05+24:00",
		"2026-11-22T10:04:05+02:60",
		"2026-11-22T10:04:05+02",
		"2026-11-22T10:04:05Zx",
		"2026-11-22 ",
		" 2026-11-22",
		"2026-11-22T10-04-05Z",
		"2026-11-22T1a:04:05Z",
		"1600-01-01",
		"9999-12-31",
		"2262-04-11T23:47:16.854775808Z",
		"-2026-11-22",
	};
	struct err e = ERR_INIT;
	int64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (now_parse(cases[i], &v, &e) == 0)
			fail_msg("'%s' was taken", cases[i]);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_true(v == 77);
	assert_int_equal(now_parse("soon", &v, &e), -1);
	assert_string_equal(e.msg,
	                    "'soon' is not a time; write 2026-11-22T10:04:05Z or 2026-11-22");
}

static void test_now_parse__agrees_with_gmtime_on_every_day(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	for (int64_t day = -100000; day <= 100000; day++) {
		int64_t ns = day * 86400 * S;
		int64_t v;

		assert_int_equal(now_parse(now_day(ns).s, &v, &e), 0);
		assert_true(v == ns);
	}
}

static void test_now_http__is_the_date_of_http(void **state)
{
	(void)state;
	assert_string_equal(now_http(1795341845123000000).s, "Sun, 22 Nov 2026 10:04:05 GMT");
	assert_string_equal(now_http(0).s, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(now_http(-1).s, "Wed, 31 Dec 1969 23:59:59 GMT");
	assert_string_equal(now_http(784111777 * S).s, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(now_http(1709164800 * S).s, "Thu, 29 Feb 2024 00:00:00 GMT");
	assert_string_equal(now_http(INT64_MAX).s, "Fri, 11 Apr 2262 23:47:16 GMT");
	assert_string_equal(now_http(INT64_MIN).s, "Tue, 21 Sep 1677 00:12:43 GMT");
}

static void test_now_http_parse__reads_what_is_written(void **state)
{
	static const int64_t times[] = { 0, 784111777, 1709164800, 1795341845, 4102444799, -1 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t ns = 7;

		assert_int_equal(now_http_parse(now_http(times[i] * S).s, &ns, &e), 0);
		assert_int_equal(ns, times[i] * S);
	}
}

static void test_now_http_parse__takes_no_other_form(void **state)
{
	static const char *const bad[] = {
		"",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
		"Xyz, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:00 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 08:49 GMT",
		"Sun, 06 Nov 1994 08:49:3.7 GMT",
		"Sun, 06 Nov 1994 08:49:37.5 GMT",
		"Sun, 06 Nov 9999 08:49:37 GMT",
		"1994-11-06T08:49:37Z",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		int64_t ns = 7;

		if (now_http_parse(bad[i], &ns, &e) == 0)
			fail_msg("'%s' is no date", bad[i]);
		assert_int_equal(e.class, ERR_INVALID);
		assert_int_equal(ns, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now_wall_ns__is_the_clock_of_the_system),
		cmocka_unit_test(test_now_mono_ns__never_goes_back),
		cmocka_unit_test(test_now_rfc3339__has_milliseconds_and_utc),
		cmocka_unit_test(test_now_rfc3339__rounds_down_before_1970),
		cmocka_unit_test(test_now_day__is_the_day_in_utc),
		cmocka_unit_test(test_now_parse__reads_what_rfc_3339_allows),
		cmocka_unit_test(test_now_parse__refuses_what_is_no_time),
		cmocka_unit_test(test_now_parse__agrees_with_gmtime_on_every_day),
		cmocka_unit_test(test_now_http__is_the_date_of_http),
		cmocka_unit_test(test_now_http_parse__reads_what_is_written),
		cmocka_unit_test(test_now_http_parse__takes_no_other_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
