/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones: known instants, rules behind the table, what is refused, and glibc as the judge. */
#include "common/zone.h"

#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "tests/harness/harness.h"

static struct zone *opened(const char *name)
{
	struct err e = ERR_INIT;
	struct zone *z = NULL;

	if (zone_open(NULL, name, &z, &e) < 0)
		fail_msg("%s", e.msg);
	return z;
}

static void span_is(const char *name, int64_t at_s, int64_t from_s, int64_t to_s, int32_t before_s,
                    int32_t offset_s)
{
	auto_zone struct zone *z = opened(name);
	const struct zone_span s = zone_at(z, at_s);

	assert_int_equal(s.from_s, from_s);
	assert_int_equal(s.to_s, to_s);
	assert_int_equal(s.before_s, before_s);
	assert_int_equal(s.offset_s, offset_s);
}

static void test_zone_at__knows_when_clocks_are_changed(void **state)
{
	(void)state;
	/* 2026-03-29 01:00 UTC until 2026-10-25 01:00 UTC, and up to the next change */
	span_is("Europe/Berlin", 1774746000, 1774746000, 1792890000, 3600, 7200);
	span_is("Europe/Berlin", 1792889999, 1774746000, 1792890000, 3600, 7200);
	span_is("Europe/Berlin", 1792890000, 1792890000, 1806195600, 7200, 3600);
	span_is("America/New_York", 1780000000, 1772953200, 1793512800, -18000, -14400);
	/* half an hour, and summer around the turn of the year */
	span_is("Australia/Lord_Howe", 1780000000, 1775314800, 1791041400, 39600, 37800);
	span_is("Australia/Lord_Howe", 1791041400, 1791041400, 1806764400, 37800, 39600);
	span_is("Asia/Kolkata", 1780000000, -764145000, INT64_MAX, 23400, 19800);
	span_is("UTC", 1780000000, INT64_MIN, INT64_MAX, 0, 0);
}

static void test_zone_at__goes_on_behind_the_table(void **state)
{
	(void)state;
	/* 2500-03-28 01:00 UTC, the last Sunday, until 2500-10-31 01:00 UTC */
	span_is("Europe/Berlin", 16734000000, 16732659600, 16751408400, 3600, 7200);
	span_is("America/New_York", 16734000000, 16731471600, 16752031200, -18000, -14400);
	span_is("Asia/Kolkata", 16734000000, -764145000, INT64_MAX, 23400, 19800);
}

static void test_zone_at__has_no_limits(void **state)
{
	static const char *const names[] = { "Europe/Berlin", "Africa/Casablanca", "Pacific/Apia" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_zone struct zone *z = opened(names[i]);

		assert_true(zone_at(z, INT64_MAX).offset_s >= 0);
		assert_int_equal(zone_at(z, INT64_MIN).from_s, INT64_MIN);
	}
	assert_int_equal(zone_at(NULL, INT64_MIN).offset_s, 0);
}

static void test_zone_text__is_rfc_3339(void **state)
{
	static const struct {
		const char *zone;
		int64_t at_s;
		const char *want;
	} cases[] = {
		{ "Europe/Berlin", 1774745999, "2026-03-29T01:59:59+01:00" },
		{ "Europe/Berlin", 1774746000, "2026-03-29T03:00:00+02:00" },
		{ "America/St_Johns", 1780000000, "2026-05-28T17:56:40-02:30" },
		{ "Asia/Kathmandu", 0, "1970-01-01T05:30:00+05:30" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_zone struct zone *z = opened(cases[i].zone);

		assert_string_equal(zone_text(z, cases[i].at_s).s, cases[i].want);
		assert_string_equal(zone_name(z), cases[i].zone);
	}
	assert_string_equal(zone_text(NULL, 0).s, "1970-01-01T00:00:00+00:00");
	assert_string_equal(zone_text(NULL, INT64_MAX).s, "9223372036854775807");
	assert_string_equal(zone_name(NULL), "UTC");
}

static void test_zone_open__takes_no_path(void **state)
{
	static const char *const names[] = {
		"",
		"/etc/passwd",
		"../../../etc/passwd",
		"Europe/../Europe/Berlin",
		"Europe//Berlin",
		"Europe/",
		"tzdata.zi",
		"localtime",
		"Europe/Ber lin",
		"CET-1CEST,M3.5.0,M10.5.0/3",
		"A23456789012345678901234567890123456789012345678901234567890123x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err e = ERR_INIT;
		struct zone *z = NULL;

		assert_int_equal(zone_open(NULL, names[i], &z, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		assert_non_null(strstr(e.msg, "is no name of a time zone"));
	}
}

static void test_zone_open__says_what_is_missing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *none = path_join(dir, "none");
	struct err e = ERR_INIT;
	struct zone *z = NULL;

	(void)state;
	assert_int_equal(zone_open(dir, "Europe/Berlin", &z, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "there is no time zone 'Europe/Berlin' in '"));
	assert_int_equal(zone_open(none, "Europe/Berlin", &z, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "tzdata"));
	write_text(dir, "Europe/Berlin", "nothing of the kind");
	assert_int_equal(zone_open(dir, "Europe/Berlin", &z, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(zone_open(dir, "Europe", &z, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "a group of time zones"));
	/* UTC is known without files */
	assert_int_equal(zone_open(none, "UTC", &z, &e), 0);
	assert_int_equal(zone_at(z, 1780000000).offset_s, 0);
	assert_string_equal(zone_name(z), "UTC");
	zone_free(z);
}

/* ---- files by hand ---- */

struct made {
	uint8_t version;
	uint32_t leaps;
	const int64_t *times;
	const uint8_t *kinds;
	size_t n;
	const int32_t *offsets;
	size_t noffsets;
	const char *footer;
};

static void put_big(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		(void)buf_u8(b, (uint8_t)(v >> 8 * bytes));
}

static void put_header(struct buf *b, const struct made *m, bool empty)
{
	static const uint8_t zeros[15];

	(void)buf_put(b, "TZif", 4);
	(void)buf_u8(b, m->version);
	(void)buf_put(b, zeros, sizeof(zeros));
	put_big(b, 0, 4);
	put_big(b, 0, 4);
	put_big(b, empty ? 0 : m->leaps, 4);
	put_big(b, empty ? 0 : m->n, 4);
	put_big(b, empty ? 1 : m->noffsets, 4);
	put_big(b, 4, 4);
}

static int parse_made(const struct made *m, size_t cut, struct zone **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	put_header(&b, m, true);
	(void)buf_put(&b, "\0\0\0\0\0\0", 6);
	(void)buf_put(&b, "ABC", 4);
	put_header(&b, m, false);
	for (size_t i = 0; i < m->n; i++)
		put_big(&b, (uint64_t)m->times[i], 8);
	(void)buf_put(&b, m->kinds, m->n);
	for (size_t i = 0; i < m->noffsets; i++) {
		put_big(&b, (uint32_t)m->offsets[i], 4);
		(void)buf_put(&b, "\0\0", 2);
	}
	(void)buf_put(&b, "ABC", 4);
	(void)buf_str(&b, m->footer);
	assert_false(b.failed);
	assert_true(cut <= b.len);
	return zone_parse("Made/Up", b.data, b.len - cut, ret, e);
}

static const int64_t two_times[] = { 1000, 2000 };
static const uint8_t two_kinds[] = { 1, 0 };
static const int32_t two_offsets[] = { 3600, 7200 };

static struct made simple(const char *footer)
{
	return (struct made){ .version = '2',
		              .times = two_times,
		              .kinds = two_kinds,
		              .n = 2,
		              .offsets = two_offsets,
		              .noffsets = 2,
		              .footer = footer };
}

static void test_zone_parse__table_without_a_rule_stays(void **state)
{
	const struct made m = simple("\n\n");
	struct err e = ERR_INIT;
	struct zone *z = NULL;

	(void)state;
	assert_int_equal(parse_made(&m, 0, &z, &e), 0);
	assert_int_equal(zone_at(z, 999).offset_s, 3600);
	assert_int_equal(zone_at(z, 1000).offset_s, 7200);
	assert_int_equal(zone_at(z, 1999).to_s, 2000);
	assert_int_equal(zone_at(z, 2000).offset_s, 3600);
	assert_int_equal(zone_at(z, 1780000000).to_s, INT64_MAX);
	zone_free(z);
}

static void test_zone_parse__takes_all_forms_of_rules(void **state)
{
	static const struct {
		const char *footer;
		int64_t at_s;
		int64_t from_s, to_s;
		int32_t offset_s;
	} cases[] = {
		{ "\n<+03>-3\n", 1780000000, INT64_MIN, INT64_MAX, 10800 },
		{ "\n<-0330>3:30\n", 1780000000, INT64_MIN, INT64_MAX, -12600 },
		{ "\nABC-1:02:03\n", 1780000000, INT64_MIN, INT64_MAX, 3723 },
		{ "\nXXX3EDT4,0/0,J365/23\n", 1780000000, INT64_MIN, INT64_MAX, -14400 },
		/* 1 March 2028, a leap year: J60 counts no 29 February, 59 is it */
		{ "\nAAA0BBB,J60/0,J300/0\n", 1840000000, 1835481600, 1856214000, 3600 },
		{ "\nAAA0BBB,59/0,J300/0\n", 1840000000, 1835395200, 1856214000, 3600 },
		/* hours of other days (Israel, Greenland) */
		{ "\nIST-2IDT,M3.4.4/26,M10.5.0\n", 1780000000, 1774569600, 1792882800, 10800 },
		{ "\n<-02>2<-01>,M3.5.0/-1,M10.5.0/0\n", 1780000000, 1774746000, 1792890000,
		  -3600 },
	};
	static const int32_t offset = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct made m = { .version = '3',
			                .times = two_times,
			                .kinds = two_kinds,
			                .offsets = &offset,
			                .noffsets = 1,
			                .footer = cases[i].footer };
		struct err e = ERR_INIT;
		struct zone *z = NULL;

		if (parse_made(&m, 0, &z, &e) < 0)
			fail_msg("%s", e.msg);
		const struct zone_span s = zone_at(z, cases[i].at_s);
		assert_int_equal(s.offset_s, cases[i].offset_s);
		assert_int_equal(s.from_s, cases[i].from_s);
		assert_int_equal(s.to_s, cases[i].to_s);
		zone_free(z);
	}
}

static void refused(const struct made *m, size_t cut, const char *why)
{
	struct err e = ERR_INIT;
	struct zone *z = NULL;

	assert_int_equal(parse_made(m, cut, &z, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	if (!strstr(e.msg, why))
		fail_msg("'%s' is not in: %s", why, e.msg);
}

static void test_zone_parse__refuses_what_contradicts_itself(void **state)
{
	static const int64_t back[] = { 2000, 2000 };
	static const uint8_t far[] = { 1, 2 };
	static const int32_t large[] = { 3600, 100000 };
	static const char *const footers[] = {
		"",
		"\n",
		"x\n\n",
		"\nCET-1\nx",
		"\nCE-1\n",
		"\nCET\n",
		"\nCET-25\n",
		"\n<+01-1\n",
		"\nCET-1x\n",
		"\nCET-1CEST\n",
		"\nCET-1CEST,M3.5.0\n",
		"\nCET-1CEST,M13.5.0,M10.5.0\n",
		"\nCET-1CEST,M3.6.0,M10.5.0\n",
		"\nCET-1CEST,M3.5.7,M10.5.0\n",
		"\nCET-1CEST,J0,J365\n",
		"\nCET-1CEST,1,366\n",
		"\nCET-1CEST,M3.5.0/168,M10.5.0\n",
		"\nCET-1CEST,M3.5.0,M10.5.0 \n",
		"\nCET-1:60\n",
	};
	struct made m = simple("\n\n");

	(void)state;
	m.version = '\0';
	refused(&m, 0, "version 1");
	m = simple("\n\n");
	m.leaps = 1;
	refused(&m, 0, "leap seconds");
	m = simple("\n\n");
	m.times = back;
	refused(&m, 0, "do not ascend");
	m = simple("\n\n");
	m.kinds = far;
	refused(&m, 0, "names an offset");
	m = simple("\n\n");
	m.offsets = large;
	refused(&m, 0, "more than a day");
	m = simple("\n\n");
	m.noffsets = 0;
	refused(&m, 0, "has no table");
	for (size_t i = 0; i < ARRAY_LEN(footers); i++) {
		m = simple(footers[i]);
		refused(&m, 0, "rule");
	}
	m = simple("\n\n");
	for (size_t cut = 1; cut < 100; cut++)
		refused(&m, cut, "time zone 'Made/Up'");
}

/* ---- against glibc ---- */

static const char *const judged[] = {
	"Europe/Berlin",    "Europe/London",        "Europe/Dublin",
	"America/New_York", "America/Sao_Paulo",    "America/St_Johns",
	"America/Nuuk",     "America/Santiago",     "Australia/Lord_Howe",
	"Australia/Sydney", "Pacific/Apia",         "Pacific/Auckland",
	"Pacific/Chatham",  "Pacific/Kiritimati",   "Asia/Kolkata",
	"Asia/Kathmandu",   "Asia/Tehran",          "Asia/Jerusalem",
	"Asia/Gaza",        "Africa/Cairo",         "Africa/Casablanca",
	"Antarctica/Troll", "America/Scoresbysund", "Etc/GMT+12",
};

static void test_zone_at__agrees_with_glibc(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
		uint64_t r[1000];
		auto_zone struct zone *z = opened(judged[i]);

		assert_int_equal(setenv("TZ", judged[i], 1), 0);
		tzset();
		fill_random(i, r, sizeof(r));
		for (size_t j = 0; j < ARRAY_LEN(r); j++) {
			/* 1900 to 2900 */
			const time_t at = (time_t)(r[j] % UINT64_C(31556952000)) - 2208988800;
			const struct zone_span s = zone_at(z, at);
			struct tm tm;

			assert_non_null(localtime_r(&at, &tm));
			if (tm.tm_gmtoff != s.offset_s)
				fail_msg("%s at %lld: %ld, not %d", judged[i], (long long)at,
				         tm.tm_gmtoff, s.offset_s);
			assert_true(s.from_s <= at && at < s.to_s);
			/* the ends of the span are where something changes */
			if (s.to_s != INT64_MAX) {
				const struct zone_span next = zone_at(z, s.to_s);

				assert_int_equal(next.from_s, s.to_s);
				assert_int_equal(next.before_s, s.offset_s);
				assert_int_not_equal(next.offset_s, s.offset_s);
			}
			if (s.from_s != INT64_MIN)
				assert_int_equal(zone_at(z, s.from_s - 1).offset_s, s.before_s);
		}
	}
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zone_at__knows_when_clocks_are_changed),
		cmocka_unit_test(test_zone_at__goes_on_behind_the_table),
		cmocka_unit_test(test_zone_at__has_no_limits),
		cmocka_unit_test(test_zone_text__is_rfc_3339),
		cmocka_unit_test(test_zone_open__takes_no_path),
		cmocka_unit_test(test_zone_open__says_what_is_missing),
		cmocka_unit_test(test_zone_parse__table_without_a_rule_stays),
		cmocka_unit_test(test_zone_parse__takes_all_forms_of_rules),
		cmocka_unit_test(test_zone_parse__refuses_what_contradicts_itself),
		cmocka_unit_test(test_zone_at__agrees_with_glibc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
