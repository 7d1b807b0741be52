/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions: what is taken, what is refused with which words, and when they fire. */
#include "common/cron.h"

#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/now.h"
#include "common/zone.h"
#include "tests/harness/harness.h"

static struct cron parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct cron c;

	if (cron_parse(&c, text, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(e.class, ERR_NONE);
	return c;
}

static int64_t seconds(const char *time)
{
	struct err e = ERR_INIT;
	int64_t ns = 0;

	assert_int_equal(now_parse(time, &ns, &e), 0);
	return ns / 1000000000;
}

static void test_cron_parse__makes_sets_of_the_fields(void **state)
{
	static const struct {
		const char *text;
		struct cron want;
	} cases[] = {
		{ "* * * * *", { 0xfffffffffffffff, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f, false } },
		{ "0 0 1 1 0", { 1, 1, 2, 2, 1, true } },
		{ "59 23 31 12 7",
		  { UINT64_C(1) << 59, 1 << 23, UINT32_C(1) << 31, 1 << 12, 1, true } },
		{ "00 007 01 01 06", { 1, 1 << 7, 2, 2, 1 << 6, true } },
		{ "1,3,5 2-4 1,5-7 jan,MAR-may,12 mon,Wed-FRI",
		  { 42, 0x1c, 0xe2, 0x103a, 0x3a, true } },
		{ "*/15 */6 */10 */5 */2",
		  { 0x200040008001, 0x41041, 0x80200802, 0x842, 0x55, false } },
		{ "10-20/5,59 0-23/23 1-31/31 1-3/2 1-5/4",
		  { 0x800000000108400, 0x800001, 2, 0xa, 0x22, true } },
		{ "*/60 */24 */31 */12 */7", { 1, 1, 2, 2, 1, false } },
		{ "7-7 6-6/1 5-5 4-4 5-7", { 0x80, 0x40, 0x20, 0x10, 0x61, true } },
		{ "0 0 * * 0-7", { 1, 1, 0xfffffffe, 0x1ffe, 0x7f, false } },
		{ "0 0 1 * *", { 1, 1, 2, 0x1ffe, 0x7f, false } },
		{ "0 0 1,* * sun", { 1, 1, 0xfffffffe, 0x1ffe, 1, true } },
		{ "0 0 *,1 * sun", { 1, 1, 0xfffffffe, 0x1ffe, 1, false } },
		{ "1,1,1 2 3 4 sat,6", { 2, 4, 8, 16, 0x40, true } },
		{ " \t0  0\t1 1   0 ", { 1, 1, 2, 2, 1, true } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cron c = parsed(cases[i].text);

		if (c.minutes != cases[i].want.minutes || c.hours != cases[i].want.hours ||
		    c.days != cases[i].want.days || c.months != cases[i].want.months ||
		    c.weekdays != cases[i].want.weekdays || c.either != cases[i].want.either)
			fail_msg("'%s' gives %llx %x %x %x %x %d", cases[i].text,
			         (unsigned long long)c.minutes, (unsigned)c.hours, (unsigned)c.days,
			         (unsigned)c.months, (unsigned)c.weekdays, c.either);
	}
}

static void test_cron_parse__nicknames_stand_for_five_fields(void **state)
{
	static const char *const cases[][2] = {
		{ "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" },
		{ "@daily ", "0 0 * * *" }, { "\t@midnight", "0 0 * * *" },
		{ "@weekly", "0 0 * * 0" }, { "@monthly", "0 0 1 * *" },
		{ "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cron a = parsed(cases[i][0]);
		const struct cron b = parsed(cases[i][1]);

		assert_true(a.minutes == b.minutes && a.hours == b.hours && a.days == b.days &&
		            a.months == b.months && a.weekdays == b.weekdays &&
		            a.either == b.either);
	}
}

#define HOW "lists (1,5), ranges (1-5), * and steps (*/2, 1-5/2)"

static void test_cron_parse__names_the_field_and_what_is_allowed(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* behind "cron expression 'TEXT'" */
	} cases[] = {
		{ "60 * * * *", ": minute '60': allowed are 0 to 59, " HOW },
		{ "* 24 * * *", ": hour '24': allowed are 0 to 23, " HOW },
		{ "* * 0 * *", ": day of month '0': allowed are 1 to 31, " HOW },
		{ "* * 32 * *", ": day of month '32': allowed are 1 to 31, " HOW },
		{ "* * * 13 *", ": month '13': allowed are 1 to 12 or jan to dec, " HOW },
		{ "* * * sun *", ": month 'sun': allowed are 1 to 12 or jan to dec, " HOW },
		{ "* * * * 8", ": day of week '8': allowed are 0 to 7 (0 and 7 are Sunday) or "
		               "sun to sat, " HOW },
		{ "jan * * * *", ": minute 'jan': allowed are 0 to 59, " HOW },
		{ "1,61,2 * * * *", ": minute '61': allowed are 0 to 59, " HOW },
		{ "1-61/2 * * * *", ": minute '1-61/2': allowed are 0 to 59, " HOW },
		{ "1,,2 * * * *", ": minute '': allowed are 0 to 59, " HOW },
		{ "1, * * * *", ": minute '': allowed are 0 to 59, " HOW },
		{ "-1 * * * *", ": minute '-1': allowed are 0 to 59, " HOW },
		{ "1- * * * *", ": minute '1-': allowed are 0 to 59, " HOW },
		{ "1-2-3 * * * *", ": minute '1-2-3': allowed are 0 to 59, " HOW },
		{ "*-5 * * * *", ": minute '*-5': allowed are 0 to 59, " HOW },
		{ "** * * * *", ": minute '**': allowed are 0 to 59, " HOW },
		{ "+1 * * * *", ": minute '+1': allowed are 0 to 59, " HOW },
		{ "1.5 * * * *", ": minute '1.5': allowed are 0 to 59, " HOW },
		{ "? * * * *", ": minute '?': allowed are 0 to 59, " HOW },
		{ "18446744073709551617 * * * *",
		  ": minute '18446744073709551617': allowed are 0 to 59, " HOW },
		{ "* * * * monday", ": day of week 'monday': allowed are 0 to 7 (0 and 7 are "
		                    "Sunday) or sun to sat, " HOW },
		{ "* * * * unm", ": day of week 'unm': allowed are 0 to 7 (0 and 7 are Sunday) or "
		                 "sun to sat, " HOW },
		{ "30-10 * * * *", ": minute '30-10': a range goes upwards; allowed are 0 to 59" },
		{ "* * * * fri-sun", ": day of week 'fri-sun': a range goes upwards; allowed are "
		                     "0 to 7 (0 and 7 are Sunday) or sun to sat" },
		{ "*/0 * * * *", ": minute '*/0': a step is a number from 1 to 60" },
		{ "*/61 * * * *", ": minute '*/61': a step is a number from 1 to 60" },
		{ "* */25 * * *", ": hour '*/25': a step is a number from 1 to 24" },
		{ "* * */ * *", ": day of month '*/': a step is a number from 1 to 31" },
		{ "* * 1-5/x * *", ": day of month '1-5/x': a step is a number from 1 to 31" },
		{ "* * * */2/3 *", ": month '*/2/3': a step is a number from 1 to 12" },
		{ "* * * * */8", ": day of week '*/8': a step is a number from 1 to 7" },
		{ "5/15 * * * *",
		  ": minute '5/15': a step needs a range or * before it, as in 1-5/2" },
		{ "", " has 0 fields instead of 5: minute, hour, day of month, month, day of "
		      "week" },
		{ "* * * *", " has 4 fields instead of 5: minute, hour, day of month, month, day "
		             "of week" },
		{ "* * * * * *", " has 6 fields instead of 5: minute, hour, day of month, month, "
		                 "day of week" },
		{ "daily", " has 1 fields instead of 5: minute, hour, day of month, month, day of "
		           "week" },
		{ "@daily x", " has 2 fields instead of 5: minute, hour, day of month, month, day "
		              "of week" },
		{ "@reboot", ": names that are known are @hourly @daily @midnight @weekly "
		             "@monthly @yearly @annually" },
		{ "@Daily", ": names that are known are @hourly @daily @midnight @weekly @monthly "
		            "@yearly @annually" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cron c = { .minutes = 77 };
		struct err e = ERR_INIT;
		char want[512];

		(void)snprintf(want, sizeof(want), "cron expression '%s'%s", cases[i].text,
		               cases[i].want);
		assert_int_equal(cron_parse(&c, cases[i].text, &e), -1);
		assert_string_equal(e.msg, want);
		assert_int_equal(e.class, ERR_INVALID);
		assert_true(c.minutes == 77);
	}
}

static void test_cron_parse__length_is_bounded(void **state)
{
	char text[CRON_TEXT_MAX + 2];
	struct err e = ERR_INIT;
	struct cron c;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "* * * * *", 9);
	text[CRON_TEXT_MAX] = '\0';
	assert_int_equal(cron_parse(&c, text, &e), 0);
	text[CRON_TEXT_MAX] = ' ';
	text[CRON_TEXT_MAX + 1] = '\0';
	assert_int_equal(cron_parse(&c, text, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg, "a cron expression has at most 255 bytes, not 256");
}

static void test_cron_next__is_the_first_time_after(void **state)
{
	static const struct {
		const char *text;
		const char *after;
		const char *want;
	} cases[] = {
		{ "* * * * *", "2026-11-22T10:04:05Z", "2026-11-22T10:05Z" },
		{ "* * * * *", "2026-11-22T10:04:59Z", "2026-11-22T10:05Z" },
		{ "* * * * *", "2026-11-22T10:05:00Z", "2026-11-22T10:06Z" },
		{ "* * * * *", "2026-12-31T23:59:00Z", "2027-01-01T00:00Z" },
		{ "5 10 * * *", "2026-11-22T10:04:59Z", "2026-11-22T10:05Z" },
		{ "5 10 * * *", "2026-11-22T10:05:00Z", "2026-11-23T10:05Z" },
		{ "5,35 * * * *", "2026-11-22T10:05:00Z", "2026-11-22T10:35Z" },
		{ "5,35 * * * *", "2026-11-22T10:35:00Z", "2026-11-22T11:05Z" },
		{ "5,35 8-10 * * *", "2026-11-22T10:35:00Z", "2026-11-23T08:05Z" },
		{ "5,35 8-10 * * *", "2026-11-22T06:50:00Z", "2026-11-22T08:05Z" },
		{ "5,35 8-10 * * *", "2026-11-22T22:50:00Z", "2026-11-23T08:05Z" },
		{ "59 23 * * *", "2026-11-22T23:58:00Z", "2026-11-22T23:59Z" },
		{ "59 23 * * *", "2026-11-22T23:59:00Z", "2026-11-23T23:59Z" },
		{ "0 0 * * *", "2026-11-22T23:59:59Z", "2026-11-23T00:00Z" },
		/* ends of months and years */
		{ "0 0 31 * *", "2026-10-31T00:00:00Z", "2026-12-31T00:00Z" },
		{ "0 0 31 * *", "2026-12-31T00:00:00Z", "2027-01-31T00:00Z" },
		{ "0 0 31 12 *", "2026-12-31T00:00:00Z", "2027-12-31T00:00Z" },
		{ "0 12 31 * *", "2026-10-31T13:00:00Z", "2026-12-31T12:00Z" },
		{ "30 4 1 * *", "2026-12-15T00:00:00Z", "2027-01-01T04:30Z" },
		{ "0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00Z" },
		{ "0 0 1 jun *", "2026-06-02T00:00:00Z", "2027-06-01T00:00Z" },
		{ "0 0 1 jun *", "2026-05-31T23:59:59Z", "2026-06-01T00:00Z" },
		/* leap years: 2000 is one, 2100 is none */
		{ "0 0 29 2 *", "1999-03-01T00:00:00Z", "2000-02-29T00:00Z" },
		{ "0 0 29 2 *", "2023-01-01T00:00:00Z", "2024-02-29T00:00Z" },
		{ "0 0 29 2 *", "2024-02-29T00:00:00Z", "2028-02-29T00:00Z" },
		{ "0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00Z" },
		{ "0 0 28-31 2 *", "2026-02-28T00:00:00Z", "2027-02-28T00:00Z" },
		{ "0 0 * 2 *", "2028-02-28T00:00:00Z", "2028-02-29T00:00Z" },
		{ "0 0 * 2 *", "2028-02-29T00:00:00Z", "2029-02-01T00:00Z" },
		/* days of the week: 2026-11-22 is a Sunday */
		{ "0 0 * * 0", "2026-11-21T12:00:00Z", "2026-11-22T00:00Z" },
		{ "0 0 * * 7", "2026-11-21T12:00:00Z", "2026-11-22T00:00Z" },
		{ "0 0 * * sun", "2026-11-22T00:00:00Z", "2026-11-29T00:00Z" },
		{ "0 0 * * mon", "2026-11-22T00:00:00Z", "2026-11-23T00:00Z" },
		{ "0 0 * * 6-7", "2026-11-22T00:00:00Z", "2026-11-28T00:00Z" },
		{ "0 0 * * sat", "2026-12-26T00:00:00Z", "2027-01-02T00:00Z" },
		{ "0 0 * * mon-fri", "2026-11-20T00:00:00Z", "2026-11-23T00:00Z" },
		{ "0 0 * * thu", "1970-01-01T00:00:00Z", "1970-01-08T00:00Z" },
		/* both days restricted: one is enough */
		{ "30 4 1,15 * 5", "2026-11-14T05:00:00Z", "2026-11-15T04:30Z" },
		{ "30 4 1,15 * 5", "2026-11-15T05:00:00Z", "2026-11-20T04:30Z" },
		{ "30 4 1,15 * 5", "2026-11-27T05:00:00Z", "2026-12-01T04:30Z" },
		{ "0 0 13 * fri", "2026-11-12T00:00:00Z", "2026-11-13T00:00Z" },
		{ "0 0 13 * fri", "2026-11-13T00:00:00Z", "2026-11-20T00:00Z" },
		{ "0 0 30 2 mon", "2026-02-24T00:00:00Z", "2027-02-01T00:00Z" },
		/* one of them begins with '*': both must fit */
		{ "0 0 13 * *", "2026-11-13T00:00:00Z", "2026-12-13T00:00Z" },
		{ "0 0 1-7 * */7", "2026-11-22T00:00:00Z", "2026-12-06T00:00Z" },
		{ "0 0 */2 * mon", "2026-11-22T00:00:00Z", "2026-11-23T00:00Z" },
		{ "0 0 */2 * mon", "2026-11-23T00:00:00Z", "2026-12-07T00:00Z" },
		/* 29 February on a Sunday: 28 years later, or 40 across 2100 */
		{ "0 0 29 2 */7", "2004-02-29T00:00:00Z", "2032-02-29T00:00Z" },
		{ "0 0 29 2 */7", "2088-02-29T00:00:00Z", "2128-02-29T00:00Z" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cron c = parsed(cases[i].text);
		const int64_t got = cron_next(&c, seconds(cases[i].after));

		if (got != seconds(cases[i].want))
			fail_msg("'%s' after %s is not %s but %s", cases[i].text, cases[i].after,
			         cases[i].want, now_rfc3339(got * 1000000000).s);
	}
}

static void test_cron_next__some_days_never_come(void **state)
{
	static const char *const cases[] = { "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * 30,31 2 *" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cron c = parsed(cases[i]);

		assert_true(cron_next(&c, INT64_MIN) == -1);
		assert_true(cron_next(&c, 0) == -1);
		assert_true(cron_next(&c, seconds("2026-11-22")) == -1);
	}
}

static void test_cron_next__begins_in_1970_and_ends_with_the_year_9999(void **state)
{
	const struct cron minutely = parsed("* * * * *");
	const struct cron new_year = parsed("@yearly");

	(void)state;
	assert_true(cron_next(&minutely, INT64_MIN) == 0);
	assert_true(cron_next(&minutely, -1) == 0);
	assert_true(cron_next(&minutely, 0) == 60);
	assert_true(cron_next(&new_year, -1) == 0);
	assert_true(cron_next(&new_year, 0) == 31536000);
	/* 9999-01-01 and the last minute of that year */
	assert_true(cron_next(&new_year, INT64_C(253370764799)) == INT64_C(253370764800));
	assert_true(cron_next(&new_year, INT64_C(253370764800)) == -1);
	assert_true(cron_next(&minutely, INT64_C(253402300739)) == INT64_C(253402300740));
	assert_true(cron_next(&minutely, INT64_C(253402300740)) == -1);
	assert_true(cron_next(&minutely, INT64_C(253402300799)) == -1);
	assert_true(cron_next(&minutely, INT64_C(253402300800)) == -1);
	assert_true(cron_next(&minutely, INT64_MAX) == -1);
}

/* Does it fire in the minute that begins at s? Said once more, in another way. */
static bool fires(const struct cron *c, time_t s)
{
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	bool day = c->days >> tm.tm_mday & 1;
	bool weekday = c->weekdays >> tm.tm_wday & 1;
	return (c->minutes >> tm.tm_min & 1) && (c->hours >> tm.tm_hour & 1) &&
	       (c->months >> (tm.tm_mon + 1) & 1) && (c->either ? day || weekday : day && weekday);
}

static void assert_no_other(const char *text, int64_t from_s, int64_t to_s, int64_t step_s)
{
	const struct cron c = parsed(text);
	int64_t want = cron_next(&c, from_s - 1);

	for (int64_t s = from_s; s < to_s; s += step_s) {
		if (fires(&c, s) != (s == want))
			fail_msg("'%s' at %s", text, now_rfc3339(s * 1000000000).s);
		if (s == want)
			want = cron_next(&c, s);
	}
}

static void test_cron_next__leaves_out_no_minute(void **state)
{
	static const char *const cases[] = {
		"* * * * *",       "*/7 * * * *",     "0 */5 * * *",         "59 23 * * *",
		"13-17 3,4 * * *", "0,59 0,23 * * *", "*/20 8-18/3 * * 1-5", "7 7 7 7 7",
		"0 0 1 * *",       "0 0 1 3 *",       "30 12 28-31/3 * */2", "1 1 29 2 *",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_no_other(cases[i], seconds("2028-02-26"), seconds("2028-03-04"), 60);
		assert_no_other(cases[i], seconds("2026-12-29"), seconds("2027-01-03"), 60);
	}
}

static void test_cron_next__leaves_out_no_day(void **state)
{
	static const char *const days[] = { "*", "*/2", "1", "31", "29", "28-31", "1-7", "13,30" };
	static const char *const months[] = { "*", "2", "2,12", "*/5", "4-6" };
	static const char *const weekdays[] = { "*", "*/7", "0", "7", "mon-fri", "5", "*/3" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		for (size_t j = 0; j < ARRAY_LEN(months); j++) {
			for (size_t k = 0; k < ARRAY_LEN(weekdays); k++) {
				char text[64];

				(void)snprintf(text, sizeof(text), "0 0 %s %s %s", days[i],
				               months[j], weekdays[k]);
				assert_no_other(text, seconds("1999-12-25"), seconds("2005-03-05"),
				                86400);
				assert_no_other(text, seconds("2099-12-25"), seconds("2101-01-05"),
				                86400);
			}
		}
	}
}

/* A field of some values: '*', one, a range with a step, a list. */
static size_t put_field(char *ret, size_t max, const uint8_t r[8], unsigned low, unsigned high)
{
	unsigned n = high - low + 1;
	unsigned a = low + r[1] % n;
	unsigned b = a + r[2] % (high - a + 1);

	switch (r[0] % 4) {
	case 0:
		return (size_t)snprintf(ret, max, "* ");
	case 1:
		return (size_t)snprintf(ret, max, "%u ", a);
	case 2:
		return (size_t)snprintf(ret, max, "%u-%u/%u ", a, b, 1 + r[3] % 7);
	default:
		return (size_t)snprintf(ret, max, "%u,%u,%u-%u ", low + r[3] % n, low + r[4] % n, a,
		                        b);
	}
}

static void test_cron_next__goes_from_firing_to_firing(void **state)
{
	static const unsigned ends[][2] = { { 0, 59 }, { 0, 23 }, { 1, 31 }, { 1, 12 }, { 0, 7 } };

	(void)state;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		uint8_t r[48];
		char text[128];
		size_t len = 0;

		fill_random(seed, r, sizeof(r));
		for (size_t i = 0; i < ARRAY_LEN(ends); i++)
			len += put_field(text + len, sizeof(text) - len, r + 8 * i, ends[i][0],
			                 ends[i][1]);
		const struct cron c = parsed(text);
		int64_t at = seconds("2026-11-22") + r[40] * INT64_C(86400) + r[41] * INT64_C(300) +
		             r[42];
		for (int i = 0; i < 100; i++) {
			int64_t next = cron_next(&c, at);

			if (next < 0)
				break;
			assert_true(next > at && next % 60 == 0 && fires(&c, next));
			/* nothing lies between, as far as one can look */
			assert_true(cron_next(&c, next - 1) == next);
			for (int64_t s = at - at % 60 + 60; s < next && s < at + 6000; s += 60)
				assert_false(fires(&c, s));
			at = next;
		}
	}
}

/* ---- in a zone ---- */

static void fire_in(const char *zone, const char *text, const char *after, const char *const *want,
                    size_t n)
{
	struct err e = ERR_INIT;
	auto_zone struct zone *z = NULL;
	const struct cron c = parsed(text);
	int64_t at = seconds(after);

	if (zone_open(NULL, zone, &z, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		at = cron_next_in(&c, z, at);
		if (strcmp(zone_text(z, at).s, want[i]) != 0)
			fail_msg("%s '%s': %s, not %s", zone, text, zone_text(z, at).s, want[i]);
	}
}
#define FIRE_IN(zone, text, after, ...)                              \
	do {                                                         \
		static const char *const want_[] = { __VA_ARGS__ };  \
		fire_in(zone, text, after, want_, ARRAY_LEN(want_)); \
	} while (0)

static void test_cron_next_in__fires_once_behind_a_gap(void **state)
{
	(void)state;
	FIRE_IN("Europe/Berlin", "30 2 * * *", "2026-03-28", "2026-03-28T02:30:00+01:00",
	        "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00");
	FIRE_IN("Europe/Berlin", "*/15 2 * * *", "2026-03-28T12:00:00Z",
	        "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00",
	        "2026-03-30T02:15:00+02:00");
	/* what fires at the end of the gap anyway fires once */
	FIRE_IN("Europe/Berlin", "0 2,3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00",
	        "2026-03-30T02:00:00+02:00", "2026-03-30T03:00:00+02:00");
	FIRE_IN("America/New_York", "30 2 8 3 *", "2026-01-01", "2026-03-08T03:00:00-04:00",
	        "2027-03-08T02:30:00-05:00");
	FIRE_IN("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z",
	        "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00");
	FIRE_IN("Europe/Berlin", "30 2 * * sun", "2250-03-28", "2250-03-31T03:00:00+02:00",
	        "2250-04-07T02:30:00+02:00");
}

static void test_cron_next_in__fires_once_in_the_time_that_comes_twice(void **state)
{
	(void)state;
	FIRE_IN("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00",
	        "2026-10-26T02:30:00+01:00");
	/* also when asked for between the two */
	FIRE_IN("Europe/Berlin", "30 2 * * *", "2026-10-25T01:10:00Z", "2026-10-26T02:30:00+01:00");
	FIRE_IN("Europe/Berlin", "0 2,3 * * *", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00+02:00",
	        "2026-10-25T03:00:00+01:00");
	FIRE_IN("America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z",
	        "2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00");
	FIRE_IN("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z",
	        "2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30");
}

static void test_cron_next_in__every_hour_goes_by_the_clock(void **state)
{
	(void)state;
	FIRE_IN("Europe/Berlin", "30 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00+01:00",
	        "2026-03-29T03:30:00+02:00");
	FIRE_IN("Europe/Berlin", "30 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T02:30:00+02:00",
	        "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00");
}

static void test_cron_next_in__without_changes_is_local_time(void **state)
{
	const struct cron c = parsed("30 2 * * *");

	(void)state;
	FIRE_IN("Asia/Kolkata", "30 2 * * *", "2026-03-28T21:00:00Z", "2026-03-30T02:30:00+05:30");
	FIRE_IN("Pacific/Kiritimati", "0 0 1 1 *", "2026-03-28", "2027-01-01T00:00:00+14:00");
	FIRE_IN("UTC", "30 2 * * *", "2026-03-28", "2026-03-28T02:30:00+00:00");
	assert_int_equal(cron_next_in(&c, NULL, 0), 9000);
	assert_int_equal(cron_next_in(&c, NULL, INT64_MIN), 9000);
	assert_int_equal(cron_next_in(&c, NULL, INT64_MAX), -1);
}

static void test_cron_next_in__some_days_never_come(void **state)
{
	struct err e = ERR_INIT;
	auto_zone struct zone *z = NULL;
	const struct cron c = parsed("0 0 30 2 *");

	(void)state;
	assert_int_equal(zone_open(NULL, "Europe/Berlin", &z, &e), 0);
	assert_int_equal(cron_next_in(&c, z, 1780000000), -1);
}

/*
 * A clock on the wall that somebody looks at every minute: what it has passed since the last time
 * fires, unless it has passed it before; in every hour: what it shows.
 */
static int64_t by_the_wall(const struct cron *c, const struct zone *z, int64_t after)
{
	int64_t passed = INT64_MIN;

	for (int64_t t = after - 86400; t < after + 4 * 86400; t += 60) {
		const int64_t shown = t + zone_at(z, t).offset_s;

		if (c->hours == 0xffffff) {
			if (t > after && fires(c, shown))
				return t;
			continue;
		}
		bool fired = false;
		for (int64_t s = passed == INT64_MIN ? shown : passed + 60; s <= shown; s += 60)
			fired |= fires(c, s);
		if (shown > passed)
			passed = shown;
		if (fired && t > after)
			return t;
	}
	return -1;
}

static void test_cron_next_in__agrees_with_a_clock_on_the_wall(void **state)
{
	static const char *const texts[] = { "30 2 * * *",  "*/15 2 * * *",  "0 */2 * * *",
		                             "0 1-3 * * *", "45 1 * * *",    "*/20 * * * *",
		                             "0 3 * * *",   "0,59 0-4 * * *" };
	static const struct {
		const char *zone;
		int64_t at;
	} changes[] = {
		{ "Europe/Berlin", 1774746000 },       { "Europe/Berlin", 1792890000 },
		{ "America/New_York", 1772953200 },    { "America/New_York", 1793512800 },
		{ "Australia/Lord_Howe", 1775314800 }, { "Australia/Lord_Howe", 1791041400 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct err e = ERR_INIT;
		auto_zone struct zone *z = NULL;

		assert_int_equal(zone_open(NULL, changes[i].zone, &z, &e), 0);
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			const struct cron c = parsed(texts[j]);

			for (int64_t at = changes[i].at - 6 * 3600; at < changes[i].at + 6 * 3600;
			     at += 1800) {
				const int64_t want = by_the_wall(&c, z, at);

				if (cron_next_in(&c, z, at) != want)
					fail_msg("%s '%s' after %s: %s", changes[i].zone, texts[j],
					         zone_text(z, at).s,
					         zone_text(z, cron_next_in(&c, z, at)).s);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cron_parse__makes_sets_of_the_fields),
		cmocka_unit_test(test_cron_parse__nicknames_stand_for_five_fields),
		cmocka_unit_test(test_cron_parse__names_the_field_and_what_is_allowed),
		cmocka_unit_test(test_cron_parse__length_is_bounded),
		cmocka_unit_test(test_cron_next__is_the_first_time_after),
		cmocka_unit_test(test_cron_next__some_days_never_come),
		cmocka_unit_test(test_cron_next__begins_in_1970_and_ends_with_the_year_9999),
		cmocka_unit_test(test_cron_next__leaves_out_no_minute),
		cmocka_unit_test(test_cron_next__leaves_out_no_day),
		cmocka_unit_test(test_cron_next__goes_from_firing_to_firing),
		cmocka_unit_test(test_cron_next_in__fires_once_behind_a_gap),
		cmocka_unit_test(test_cron_next_in__fires_once_in_the_time_that_comes_twice),
		cmocka_unit_test(test_cron_next_in__every_hour_goes_by_the_clock),
		cmocka_unit_test(test_cron_next_in__without_changes_is_local_time),
		cmocka_unit_test(test_cron_next_in__some_days_never_come),
		cmocka_unit_test(test_cron_next_in__agrees_with_a_clock_on_the_wall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
