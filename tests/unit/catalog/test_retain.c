/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: what stays and why, that it is stable, and the file of policies. */
#include "catalog/retain.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/now.h"
#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

#define POINTS_MAX 64
#define S INT64_C(1000000000)

/* ---- points by their times ---- */

static int64_t ns(const char *time)
{
	struct err e = ERR_INIT;
	int64_t v = 0;

	if (now_parse(time, &v, &e) < 0)
		fail_msg("%s", e.msg);
	return v;
}

struct made {
	struct retain_point pts[POINTS_MAX];
	char sessions[POINTS_MAX][24];
	size_t n;
};

/* Points p1, p2, ... with sequences 1, 2, ... received at these times. */
static struct made *make(struct made *m, const char *const *times, size_t n)
{
	*m = (struct made){ .n = n };
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(m->sessions[i], sizeof(m->sessions[i]), "p%zu", i + 1);
		m->pts[i] = (struct retain_point){ .session = m->sessions[i],
			                           .sequence = i + 1,
			                           .received_ns = ns(times[i]) };
	}
	return m;
}

static void mark(const struct retain_policy *p, const struct retain_point *pts, size_t n,
                 struct retain_verdict *ret)
{
	struct err e = ERR_INIT;

	memset(ret, 0xee, n * sizeof(*ret));
	if (retain_mark(p, pts, n, ret, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(e.class, ERR_NONE);
	for (size_t i = 0; i < n; i++)
		assert_true(ret[i].goes + (ret[i].rules != 0) + pts[i].expired == 1);
}

/* expected: "SESSION: WHY" and a line end for each point, in the order given. */
static void assert_why(const struct retain_policy *p, const struct retain_point *pts, size_t n,
                       const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	struct retain_verdict v[POINTS_MAX];

	mark(p, pts, n, v);
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(&b, "%s: %s\n", pts[i].session, retain_why(p, &pts[i], &v[i]).s);
	assert_string_equal(buf_cstr(&b), expected);
}

/* ---- each rule ---- */

static void test_retain_mark__last_keeps_the_newest(void **state)
{
	static const char *const times[] = { "2026-11-20T10:00Z", "2026-11-20T10:00:01Z",
		                             "2026-11-20T10:00:02Z", "2026-11-20T10:00:03Z" };
	const struct retain_policy p = { .last = 2 };
	struct made m;

	(void)state;
	make(&m, times, 4);
	assert_why(&p, m.pts, 4,
	           "p1: no rule keeps it\n"
	           "p2: no rule keeps it\n"
	           "p3: last 2\n"
	           "p4: last 2, floor 1, latest\n");
	assert_why(&p, m.pts, 1, "p1: last 2, floor 1, latest\n");
	assert_why(&p, m.pts, 0, "");
}

static void test_retain_mark__of_each_span_the_newest_stays(void **state)
{
	static const char *const times[] = {
		"2026-11-20T09:59:59Z", /* p1 */
		"2026-11-20T10:00:00Z", "2026-11-20T10:59:59Z", "2026-11-20T11:00:00Z",
		"2026-11-20T23:59:59Z", /* p5 */
		"2026-11-21T00:00:00Z", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z",
		"2026-11-30T23:59:59Z", /* p9 */
		"2026-12-01T00:00:00Z", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z",
	};
	struct retain_policy p = { .hourly = RETAIN_ALL };
	struct made m;

	(void)state;
	make(&m, times, ARRAY_LEN(times));
	assert_why(&p, m.pts, 5,
	           "p1: hourly 2026-11-20T09\n"
	           "p2: no rule keeps it\n"
	           "p3: hourly 2026-11-20T10\n"
	           "p4: hourly 2026-11-20T11\n"
	           "p5: hourly 2026-11-20T23, floor 1, latest\n");
	p = (struct retain_policy){ .daily = RETAIN_ALL };
	assert_why(&p, m.pts + 3, 4,
	           "p4: no rule keeps it\n"
	           "p5: daily 2026-11-20\n"
	           "p6: daily 2026-11-21\n"
	           "p7: daily 2026-11-22, floor 1, latest\n");
	p = (struct retain_policy){ .weekly = RETAIN_ALL };
	assert_why(&p, m.pts + 5, 4,
	           "p6: no rule keeps it\n"
	           "p7: weekly 2026-W47\n"
	           "p8: weekly 2026-W48\n"
	           "p9: weekly 2026-W49, floor 1, latest\n");
	p = (struct retain_policy){ .monthly = RETAIN_ALL };
	assert_why(&p, m.pts + 7, 5,
	           "p8: no rule keeps it\n"
	           "p9: monthly 2026-11\n"
	           "p10: no rule keeps it\n"
	           "p11: monthly 2026-12\n"
	           "p12: monthly 2027-01, floor 1, latest\n");
	p = (struct retain_policy){ .yearly = RETAIN_ALL };
	assert_why(&p, m.pts + 9, 3,
	           "p10: no rule keeps it\n"
	           "p11: yearly 2026\n"
	           "p12: yearly 2027, floor 1, latest\n");
}

static void test_retain_mark__only_spans_that_have_points_are_counted(void **state)
{
	static const char *const times[] = { "2019-05-05T00:00Z", "2023-03-01T10:00Z",
		                             "2023-03-01T12:00Z", "2026-11-20T10:00Z",
		                             "2026-11-22T10:00Z" };
	struct retain_policy p = { .daily = 3 };
	struct made m;

	(void)state;
	make(&m, times, 5);
	assert_why(&p, m.pts, 5,
	           "p1: no rule keeps it\n"
	           "p2: no rule keeps it\n"
	           "p3: daily 2023-03-01\n"
	           "p4: daily 2026-11-20\n"
	           "p5: daily 2026-11-22, floor 1, latest\n");
	p = (struct retain_policy){ .yearly = 3 };
	assert_why(&p, m.pts, 5,
	           "p1: yearly 2019\n"
	           "p2: no rule keeps it\n"
	           "p3: yearly 2023\n"
	           "p4: no rule keeps it\n"
	           "p5: yearly 2026, floor 1, latest\n");
}

static void test_retain_mark__weeks_are_those_of_iso_8601(void **state)
{
	/* Mondays are 2020-12-28, 2021-01-04, 2024-12-30, 2025-01-06, 2026-12-28, 2027-01-04. */
	static const char *const times[] = {
		"2020-12-27T23:59:59Z", "2020-12-28T00:00:00Z", "2021-01-01T00:00:00Z",
		"2021-01-03T23:59:59Z", "2021-01-04T00:00:00Z", "2024-12-29T12:00:00Z",
		"2024-12-30T12:00:00Z", "2025-01-05T12:00:00Z", "2025-01-06T12:00:00Z",
		"2026-12-27T12:00:00Z", "2026-12-31T12:00:00Z", "2027-01-03T12:00:00Z",
		"2027-01-04T12:00:00Z",
	};
	const struct retain_policy p = { .weekly = 100 };
	struct made m;

	(void)state;
	make(&m, times, ARRAY_LEN(times));
	assert_why(&p, m.pts, m.n,
	           "p1: weekly 2020-W52\n"
	           "p2: no rule keeps it\n"
	           "p3: no rule keeps it\n"
	           "p4: weekly 2020-W53\n"
	           "p5: weekly 2021-W01\n"
	           "p6: weekly 2024-W52\n"
	           "p7: no rule keeps it\n"
	           "p8: weekly 2025-W01\n"
	           "p9: weekly 2025-W02\n"
	           "p10: weekly 2026-W52\n"
	           "p11: no rule keeps it\n"
	           "p12: weekly 2026-W53\n"
	           "p13: weekly 2027-W01, floor 1, latest\n");
}

static void test_retain_mark__knows_leap_years(void **state)
{
	static const char *const times[] = { "2000-02-29T12:00Z", "2000-03-01T12:00Z",
		                             "2028-02-28T12:00Z", "2028-02-29T00:00Z",
		                             "2028-02-29T23:59Z", "2028-03-01T00:00Z",
		                             "2100-02-28T23:59Z", "2100-03-01T00:00Z" };
	const struct retain_policy p = { .daily = 100, .monthly = 100 };
	struct made m;

	(void)state;
	make(&m, times, ARRAY_LEN(times));
	assert_why(&p, m.pts, m.n,
	           "p1: daily 2000-02-29, monthly 2000-02\n"
	           "p2: daily 2000-03-01, monthly 2000-03\n"
	           "p3: daily 2028-02-28\n"
	           "p4: no rule keeps it\n"
	           "p5: daily 2028-02-29, monthly 2028-02\n"
	           "p6: daily 2028-03-01, monthly 2028-03\n"
	           "p7: daily 2100-02-28, monthly 2100-02\n"
	           "p8: daily 2100-03-01, monthly 2100-03, floor 1, latest\n");
}

static void test_retain_mark__times_before_1970_are_in_spans_too(void **state)
{
	static const char *const times[] = { "1969-12-28T23:59:59Z", "1969-12-29T00:00:00Z",
		                             "1969-12-31T23:59:58Z", "1969-12-31T23:59:59Z",
		                             "1970-01-01T00:00:00Z", "1970-01-04T23:59:59Z" };
	struct retain_policy p = { .hourly = 100, .weekly = 100, .yearly = 100 };
	struct made m;

	(void)state;
	make(&m, times, ARRAY_LEN(times));
	assert_why(&p, m.pts, m.n,
	           "p1: hourly 1969-12-28T23, weekly 1969-W52\n"
	           "p2: hourly 1969-12-29T00\n"
	           "p3: no rule keeps it\n"
	           "p4: hourly 1969-12-31T23, yearly 1969\n"
	           "p5: hourly 1970-01-01T00\n"
	           "p6: hourly 1970-01-04T23, weekly 1970-W01, yearly 1970, floor 1, latest\n");
}

static void test_retain_mark__within_counts_back_from_the_newest_point(void **state)
{
	static const char *const times[] = { "2019-01-01T10:00:00Z", "2019-01-03T09:59:59Z",
		                             "2019-01-03T10:00:00Z", "2019-01-04T00:00:00Z",
		                             "2019-01-05T10:00:00Z" };
	const struct retain_policy p = { .within_s = 172800 };
	struct made m;

	(void)state;
	make(&m, times, 5);
	assert_why(&p, m.pts, 5,
	           "p1: no rule keeps it\n"
	           "p2: no rule keeps it\n"
	           "p3: within 2d00h\n"
	           "p4: within 2d00h\n"
	           "p5: within 2d00h, floor 1, latest\n");
	m.pts[2].received_ns--; /* a nanosecond too old */
	assert_why(&p, m.pts + 2, 3,
	           "p3: no rule keeps it\n"
	           "p4: within 2d00h\n"
	           "p5: within 2d00h, floor 1, latest\n");
}

static void test_retain_mark__floor_holds_whatever_the_rules_say(void **state)
{
	static const char *const times[] = { "2026-11-01T10:00Z", "2026-11-02T10:00Z",
		                             "2026-11-03T10:00Z", "2026-11-04T10:00Z",
		                             "2026-11-05T10:00Z", "2026-11-06T10:00Z" };
	struct retain_policy p = { .last = 1, .floor_points = 2 };
	struct made m;

	(void)state;
	make(&m, times, 6);
	assert_why(&p, m.pts + 2, 4,
	           "p3: no rule keeps it\n"
	           "p4: no rule keeps it\n"
	           "p5: floor 2\n"
	           "p6: last 1, floor 2, latest\n");
	m.pts[0].verified = m.pts[1].verified = m.pts[3].verified = true;
	assert_why(&p, m.pts, 6,
	           "p1: no rule keeps it\n"
	           "p2: floor 2 verified\n"
	           "p3: no rule keeps it\n"
	           "p4: floor 2 verified\n"
	           "p5: floor 2\n"
	           "p6: last 1, floor 2, latest\n");
	p = (struct retain_policy){ .last = 1, .floor_s = 259200 };
	assert_why(&p, m.pts, 6,
	           "p1: no rule keeps it\n"
	           "p2: no rule keeps it\n"
	           "p3: floor 3d00h\n"
	           "p4: floor 1 verified, floor 3d00h\n"
	           "p5: floor 3d00h\n"
	           "p6: last 1, floor 1, floor 3d00h, latest\n");
	p = (struct retain_policy){ .last = 1, .floor_points = RETAIN_ALL };
	assert_why(&p, m.pts + 4, 2,
	           "p5: floor 4294967295\n"
	           "p6: last 1, floor 4294967295, latest\n");
}

static void test_retain_mark__highest_sequence_stays_wherever_its_time_is(void **state)
{
	static const char *const times[] = { "2026-11-02T10:00Z", "2026-11-03T10:00Z",
		                             "2026-11-01T10:00Z" };
	const struct retain_policy p = { .last = 1 };
	struct made m;

	(void)state;
	make(&m, times, 3);
	assert_why(&p, m.pts, 3,
	           "p1: no rule keeps it\n"
	           "p2: last 1, floor 1\n"
	           "p3: latest\n");
	m.pts[1].sequence = 3; /* of two with the same number it is the newer one */
	assert_why(&p, m.pts, 3,
	           "p1: no rule keeps it\n"
	           "p2: last 1, floor 1, latest\n"
	           "p3: no rule keeps it\n");
}

static void test_retain_mark__held_and_pinned_points_stay_and_count_as_others(void **state)
{
	static const char *const times[] = { "2026-11-01T10:00Z", "2026-11-02T10:00Z",
		                             "2026-11-03T10:00Z", "2026-11-03T11:00Z",
		                             "2026-11-04T10:00Z" };
	const struct retain_policy p = { .last = 1, .daily = 2 };
	struct made m;

	(void)state;
	make(&m, times, 5);
	m.pts[0].held = true;
	m.pts[1].pinned = true;
	m.pts[3].held = m.pts[3].pinned = true; /* it is the one of its day */
	assert_why(&p, m.pts, 5,
	           "p1: hold\n"
	           "p2: pin\n"
	           "p3: no rule keeps it\n"
	           "p4: daily 2026-11-03, hold, pin\n"
	           "p5: last 1, daily 2026-11-04, floor 1, latest\n");
}

static void test_retain_mark__expired_points_are_as_if_not_there(void **state)
{
	static const char *const times[] = { "2026-11-01T10:00Z", "2026-11-02T10:00Z",
		                             "2026-11-03T10:00Z", "2026-11-04T10:00Z",
		                             "2026-11-05T10:00Z" };
	const struct retain_policy p = { .daily = 2, .within_s = 3600 };
	struct made m;

	(void)state;
	make(&m, times, 5);
	m.pts[2].expired = m.pts[4].expired = true;
	m.pts[4].held = m.pts[4].pinned = m.pts[4].verified = true;
	assert_why(&p, m.pts, 5,
	           "p1: no rule keeps it\n"
	           "p2: daily 2026-11-02\n"
	           "p3: expired already\n"
	           "p4: daily 2026-11-04, within 1h00m, floor 1, latest\n"
	           "p5: expired already\n");
	for (size_t i = 0; i < 5; i++)
		m.pts[i].expired = true;
	assert_why(&p, m.pts + 3, 2,
	           "p4: expired already\n"
	           "p5: expired already\n");
}

static void test_retain_mark__all_is_without_limit(void **state)
{
	static const char *const times[] = { "1980-01-01", "2026-11-01", "2026-11-01T00:00:01Z" };
	struct retain_policy p = { .last = RETAIN_ALL, .yearly = 1 };
	struct made m;

	(void)state;
	make(&m, times, 3);
	assert_why(&p, m.pts, 3,
	           "p1: everything\n"
	           "p2: everything\n"
	           "p3: everything, yearly 2026, floor 1, latest\n");
	p = (struct retain_policy){ .daily = RETAIN_ALL };
	assert_why(&p, m.pts, 3,
	           "p1: daily 1980-01-01\n"
	           "p2: no rule keeps it\n"
	           "p3: daily 2026-11-01, floor 1, latest\n");
}

static void test_retain_mark__without_a_policy_nothing_goes(void **state)
{
	static const char *const times[] = { "2026-11-01", "2026-11-02", "2026-11-03" };
	struct made m;

	(void)state;
	make(&m, times, 3);
	m.pts[0].expired = true;
	m.pts[1].held = true;
	assert_why(NULL, m.pts, 3,
	           "p1: expired already\n"
	           "p2: everything, hold\n"
	           "p3: everything, floor 1, latest\n");
}

static void test_retain_mark__policy_without_rules_is_refused(void **state)
{
	const struct retain_policy p = { .name = "gold", .floor_points = 3, .floor_s = 86400 };
	const struct retain_point pt = { .session = "a", .sequence = 1 };
	struct retain_verdict v = { .rules = 77 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(retain_mark(&p, &pt, 1, &v, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg,
	                    "retention policy 'gold' has no rule, and would remove everything");
	assert_int_equal(v.rules, 77);
}

static void test_retain_mark__equal_times_are_ordered_by_sequence_then_session(void **state)
{
	const struct retain_policy p = { .last = 1 };
	const struct retain_point by_sequence[] = {
		{ .session = "c", .sequence = 7, .received_ns = 5 },
		{ .session = "b", .sequence = 9, .received_ns = 5 },
		{ .session = "a", .sequence = 8, .received_ns = 5 },
	};
	const struct retain_point by_session[] = {
		{ .session = "a", .sequence = 7, .received_ns = 5 },
		{ .session = "c", .sequence = 7, .received_ns = 5 },
		{ .session = "b", .sequence = 7, .received_ns = 5 },
	};
	const struct retain_point same[] = {
		{ .session = "a", .sequence = 7, .received_ns = 5 },
		{ .session = "a", .sequence = 7, .received_ns = 5 },
	};

	(void)state;
	assert_why(&p, by_sequence, 3,
	           "c: no rule keeps it\n"
	           "b: last 1, floor 1, latest\n"
	           "a: no rule keeps it\n");
	assert_why(&p, by_session, 3,
	           "a: no rule keeps it\n"
	           "c: last 1, floor 1, latest\n"
	           "b: no rule keeps it\n");
	assert_why(&p, same, 2,
	           "a: no rule keeps it\n"
	           "a: last 1, floor 1, latest\n");
}

static void test_retain_mark__survives_the_ends_of_time(void **state)
{
	const struct retain_point pts[] = {
		{ .session = "a", .sequence = UINT64_MAX, .received_ns = INT64_MIN },
		{ .session = "b", .sequence = 0, .received_ns = 0 },
		{ .session = "c", .sequence = 1, .received_ns = INT64_MAX },
	};
	struct retain_policy p = { .within_s = 9223372036, .hourly = 1, .yearly = RETAIN_ALL };

	(void)state;
	assert_why(&p, pts, 3,
	           "a: yearly 1677, latest\n"
	           "b: yearly 1970\n"
	           "c: hourly 2262-04-11T23, yearly 2262, within 106751d23h, floor 1\n");
	p.within_s = 18446744073; /* a bit less than what lies between the ends */
	assert_why(&p, pts, 1,
	           "a: hourly 1677-09-21T00, yearly 1677, within 213503d23h, floor 1, "
	           "latest\n");
	assert_why(&p, pts, 3,
	           "a: yearly 1677, latest\n"
	           "b: yearly 1970, within 213503d23h\n"
	           "c: hourly 2262-04-11T23, yearly 2262, within 213503d23h, floor 1\n");
	p.within_s = INT64_MAX;
	p.yearly = 0;
	assert_why(&p, pts, 3,
	           "a: within 106751991167300d15h, latest\n"
	           "b: within 106751991167300d15h\n"
	           "c: hourly 2262-04-11T23, within 106751991167300d15h, floor 1\n");
	p = (struct retain_policy){ .last = 1, .within_s = INT64_MIN, .floor_s = -1 };
	assert_why(&p, pts + 1, 2,
	           "b: no rule keeps it\n"
	           "c: last 1, floor 1, latest\n");
}

static void test_retain_mark__rules_work_together(void **state)
{
	static const char *const times[] = {
		"2024-12-31T02:00Z", "2025-12-31T02:00Z", "2026-09-30T02:00Z", "2026-10-31T02:00Z",
		"2026-11-08T02:00Z", "2026-11-15T02:00Z", "2026-11-19T02:00Z", "2026-11-20T02:00Z",
		"2026-11-21T02:00Z", "2026-11-22T02:00Z", "2026-11-22T08:00Z", "2026-11-22T09:00Z",
	};
	const struct retain_policy p = { .last = 1,
		                         .hourly = 2,
		                         .daily = 3,
		                         .weekly = 3,
		                         .monthly = 3,
		                         .yearly = 2,
		                         .within_s = 3600,
		                         .floor_points = 3 };
	struct made m;

	(void)state;
	make(&m, times, ARRAY_LEN(times));
	m.pts[4].verified = m.pts[8].verified = true;
	assert_why(&p, m.pts, m.n,
	           "p1: no rule keeps it\n"
	           "p2: yearly 2025\n"
	           "p3: monthly 2026-09\n"
	           "p4: monthly 2026-10\n"
	           "p5: weekly 2026-W45, floor 3 verified\n"
	           "p6: weekly 2026-W46\n"
	           "p7: no rule keeps it\n"
	           "p8: daily 2026-11-20\n"
	           "p9: daily 2026-11-21, floor 3 verified\n"
	           "p10: floor 3\n"
	           "p11: hourly 2026-11-22T08, within 1h00m, floor 3\n"
	           "p12: last 1, hourly 2026-11-22T09, daily 2026-11-22, weekly 2026-W47, "
	           "monthly 2026-11, yearly 2026, within 1h00m, floor 3, latest\n");
}

static void test_retain_why__names_all_rules_at_once(void **state)
{
	const struct retain_policy p = { .last = 4294967294,
		                         .within_s = INT64_MAX,
		                         .floor_points = UINT32_MAX,
		                         .floor_s = INT64_MAX };
	const struct retain_point pt = { .received_ns = INT64_MAX };
	const struct retain_verdict v = { .rules = UINT32_MAX };

	(void)state;
	assert_string_equal(
		retain_why(&p, &pt, &v).s,
		"everything, last 4294967294, hourly 2262-04-11T23, daily 2262-04-11, weekly "
		"2262-W15, monthly 2262-04, yearly 2262, within 106751991167300d15h, floor "
		"4294967295, floor 4294967295 verified, floor 106751991167300d15h, latest, hold, "
		"pin");
}

/* ---- what always holds ---- */

struct random {
	uint64_t seed;
	uint8_t bytes[1024];
	size_t at;
};

static unsigned below(struct random *r, unsigned n)
{
	if (r->at + 2 > sizeof(r->bytes)) {
		fill_random(r->seed++, r->bytes, sizeof(r->bytes));
		r->at = 0;
	}
	r->at += 2;
	return (r->bytes[r->at - 2] * 256U + r->bytes[r->at - 1]) % n;
}

static struct random random_from(uint64_t seed)
{
	return (struct random){ .seed = seed << 20, .at = sizeof(((struct random *)0)->bytes) };
}

/* Times lie together at different scales, and some are equal. */
static void make_random(struct random *r, struct made *m)
{
	static const int64_t scales_s[] = { 0, 600, 3600, 86400, 604800, 2678400, 31536000 };
	int64_t at_s = 1795305600;

	*m = (struct made){ .n = below(r, POINTS_MAX) };
	for (size_t i = m->n; i-- > 0;) {
		int64_t scale_s = scales_s[below(r, ARRAY_LEN(scales_s))];

		at_s -= scale_s * below(r, 1000) / 500;
		(void)snprintf(m->sessions[i], sizeof(m->sessions[i]), "p%zu", i + 1);
		m->pts[i] = (struct retain_point){ .session = m->sessions[i],
			                           .sequence = i + 1 - below(r, i ? 2 : 1),
			                           .received_ns = at_s * S,
			                           .verified = below(r, 3) == 0,
			                           .held = below(r, 20) == 0,
			                           .pinned = below(r, 20) == 0,
			                           .expired = below(r, 10) == 0 };
	}
}

static uint32_t random_count(struct random *r)
{
	unsigned n = below(r, 12);

	return n == 11 ? RETAIN_ALL : n > 6 ? 0 : n;
}

static struct retain_policy random_policy(struct random *r)
{
	return (struct retain_policy){ .last = 1 + below(r, 4),
		                       .hourly = random_count(r),
		                       .daily = random_count(r),
		                       .weekly = random_count(r),
		                       .monthly = random_count(r),
		                       .yearly = random_count(r),
		                       .within_s = INT64_C(100000) * below(r, 3),
		                       .floor_points = below(r, 5),
		                       .floor_s = INT64_C(50000) * below(r, 3) };
}

/* The order of points that the header promises. */
static bool newer(const struct retain_point *a, const struct retain_point *b)
{
	if (a->received_ns != b->received_ns)
		return a->received_ns > b->received_ns;
	if (a->sequence != b->sequence)
		return a->sequence > b->sequence;
	return strcmp(a->session, b->session) > 0;
}

/* Name of the span that a time is in, in words of its date. */
static void span_name(int64_t received_ns, uint32_t rule, char ret[64])
{
	const time_t s = received_ns / S;
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	if (rule == RETAIN_HOURLY)
		(void)strftime(ret, 64, "%Y-%m-%d %H", &tm);
	else if (rule == RETAIN_DAILY)
		(void)strftime(ret, 64, "%Y-%m-%d", &tm);
	else if (rule == RETAIN_WEEKLY)
		(void)strftime(ret, 64, "%G-%V", &tm);
	else if (rule == RETAIN_MONTHLY)
		(void)strftime(ret, 64, "%Y-%m", &tm);
	else
		(void)strftime(ret, 64, "%Y", &tm);
}

/* The rule, slowly: no newer point in the span, and fewer than count spans that are newer. */
static bool span_keeps(const struct made *m, size_t i, uint32_t rule, uint32_t count)
{
	uint32_t spans = 0;
	char mine[64];

	span_name(m->pts[i].received_ns, rule, mine);
	for (size_t j = 0; j < m->n; j++) {
		bool first = true;
		char name[64];

		if (m->pts[j].expired || !newer(&m->pts[j], &m->pts[i]))
			continue;
		span_name(m->pts[j].received_ns, rule, name);
		if (strcmp(name, mine) == 0)
			return false;
		for (size_t k = 0; k < m->n; k++) {
			char other[64];

			span_name(m->pts[k].received_ns, rule, other);
			if (!m->pts[k].expired && newer(&m->pts[k], &m->pts[j]) &&
			    strcmp(name, other) == 0)
				first = false;
		}
		spans += first;
	}
	return spans < count;
}

static void test_retain_mark__agrees_with_the_rules_taken_literally(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct random r = random_from(seed);
		const struct retain_policy p = random_policy(&r);
		const struct {
			uint32_t rule, count;
		} spans[] = { { RETAIN_HOURLY, p.hourly },
			      { RETAIN_DAILY, p.daily },
			      { RETAIN_WEEKLY, p.weekly },
			      { RETAIN_MONTHLY, p.monthly },
			      { RETAIN_YEARLY, p.yearly } };
		struct retain_verdict v[POINTS_MAX];
		struct made m;

		make_random(&r, &m);
		mark(&p, m.pts, m.n, v);
		for (size_t i = 0; i < m.n; i++) {
			for (size_t k = 0; k < ARRAY_LEN(spans) && !m.pts[i].expired; k++) {
				bool want = span_keeps(&m, i, spans[k].rule, spans[k].count);

				if (want != ((v[i].rules & spans[k].rule) != 0))
					fail_msg("seed %llu point %zu rule %x",
					         (unsigned long long)seed, i, spans[k].rule);
			}
		}
	}
}

static void test_retain_mark__newest_highest_held_and_pinned_always_stay(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random r = random_from(seed);
		const struct retain_policy p = random_policy(&r);
		const uint32_t floor = p.floor_points ? p.floor_points : 1;
		struct retain_verdict v[POINTS_MAX];
		struct made m;

		make_random(&r, &m);
		mark(&p, m.pts, m.n, v);
		for (size_t i = 0; i < m.n; i++) {
			const struct retain_point *pt = &m.pts[i];
			uint32_t newer_points = 0, newer_verified = 0, higher = 0;

			for (size_t j = 0; j < m.n; j++) {
				const struct retain_point *other = &m.pts[j];

				if (other->expired)
					continue;
				newer_points += newer(other, pt);
				newer_verified += newer(other, pt) && other->verified;
				higher += other->sequence > pt->sequence ||
				          (other->sequence == pt->sequence && newer(other, pt));
			}
			if (pt->held || pt->pinned || newer_points < floor || higher == 0 ||
			    (pt->verified && newer_verified < floor))
				assert_false(v[i].goes);
		}
	}
}

static void test_retain_mark__order_of_the_list_does_not_matter(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct random r = random_from(seed);
		const struct retain_policy p = random_policy(&r);
		struct retain_verdict v[POINTS_MAX];
		struct retain_verdict w[POINTS_MAX];
		struct retain_point shuffled[POINTS_MAX];
		size_t from[POINTS_MAX] = { 0 };
		struct made m;

		make_random(&r, &m);
		mark(&p, m.pts, m.n, v);
		for (size_t i = 0; i < m.n; i++) {
			size_t j = below(&r, (unsigned)i + 1);

			from[i] = from[j];
			from[j] = i;
		}
		for (size_t i = 0; i < m.n; i++)
			shuffled[i] = m.pts[from[i]];
		mark(&p, shuffled, m.n, w);
		for (size_t i = 0; i < m.n; i++) {
			assert_int_equal(w[i].goes, v[from[i]].goes);
			assert_int_equal(w[i].rules, v[from[i]].rules);
		}
	}
}

static void test_retain_mark__second_run_finds_nothing_more(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random r = random_from(seed);
		const struct retain_policy p = random_policy(&r);
		struct retain_verdict v[POINTS_MAX];
		struct retain_verdict w[POINTS_MAX];
		struct retain_point left[POINTS_MAX];
		size_t from[POINTS_MAX] = { 0 };
		struct made m;
		size_t n = 0;

		make_random(&r, &m);
		mark(&p, m.pts, m.n, v);
		for (size_t i = 0; i < m.n; i++) { /* some are taken out, others marked first */
			from[n] = i;
			left[n] = m.pts[i];
			left[n].expired = left[n].expired || v[i].goes;
			n += !v[i].goes || below(&r, 2);
		}
		mark(&p, left, n, w);
		for (size_t i = 0; i < n; i++) {
			assert_false(w[i].goes);
			assert_int_equal(w[i].rules, v[from[i]].rules);
		}
	}
}

static void test_retain_mark__greater_count_or_age_removes_nothing_more(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random r = random_from(seed);
		struct retain_policy p = random_policy(&r);
		uint32_t *const counts[] = { &p.last,    &p.hourly, &p.daily,       &p.weekly,
			                     &p.monthly, &p.yearly, &p.floor_points };
		struct retain_verdict v[POINTS_MAX];
		struct retain_verdict w[POINTS_MAX];
		struct made m;

		make_random(&r, &m);
		mark(&p, m.pts, m.n, v);
		for (size_t k = 0; k < ARRAY_LEN(counts) + 2; k++) {
			const struct retain_policy before = p;

			if (k == ARRAY_LEN(counts))
				p.within_s += 1 + below(&r, 1000000);
			else if (k > ARRAY_LEN(counts))
				p.floor_s += 1 + below(&r, 1000000);
			else if (*counts[k] != RETAIN_ALL)
				*counts[k] += 1 + below(&r, 5);
			mark(&p, m.pts, m.n, w);
			for (size_t i = 0; i < m.n; i++)
				assert_true(v[i].goes || !w[i].goes);
			p = before;
		}
	}
}

static void test_retain_mark__new_point_changes_nothing_before_the_counts_are_full(void **state)
{
	const struct retain_policy p = { .daily = 7 };
	struct retain_verdict v[POINTS_MAX];
	struct made m = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		m.pts[i] = (struct retain_point){ .session = "s",
			                          .sequence = i + 1,
			                          .received_ns = (int64_t)i * 86400 * S };
		mark(&p, m.pts, i + 1, v);
		for (size_t j = 0; j <= i; j++)
			assert_int_equal(v[j].goes, i - j >= 7);
	}
}

/* ---- the file ---- */

static struct retain_policies parsed(const char *text)
{
	struct retain_policies set;
	struct err e = ERR_INIT;

	if (retain_policies_parse("retention", (const uint8_t *)text, strlen(text), &set, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(e.class, ERR_NONE);
	return set;
}

#define HEAD "{\"schema\":\"aksdr/retention/v1\",\"policies\":["
#define TAIL "]}"

static void test_retain_policies_parse__takes_all_members(void **state)
{
	CLEANUP(retain_policies_clear)
	struct retain_policies set = parsed(
		HEAD "{\"name\":\"gold\",\"volumes\":[\"shop/*\",\"prod/*/db-*\"],"
		     "\"keep\":{\"last\":3,\"hourly\":24,\"daily\":7,\"weekly\":5,\"monthly\":12,"
		     "\"yearly\":\"all\",\"within\":\"2d\"},"
		     "\"floor\":{\"points\":4,\"age\":\"1d12h\"}},"
		     "{\"name\":\"A-z_0.9\",\"volumes\":[\"*\"],"
		     "\"keep\":{\"last\":1000000,\"daily\":0}}" TAIL);
	const struct retain_policy *gold = &set.items[0].policy;
	const struct retain_policy *rest = &set.items[1].policy;

	(void)state;
	assert_int_equal(set.n, 2);
	assert_string_equal(gold->name, "gold");
	assert_int_equal(set.items[0].npatterns, 2);
	assert_string_equal(set.items[0].patterns[0], "shop/*");
	assert_string_equal(set.items[0].patterns[1], "prod/*/db-*");
	assert_int_equal(gold->last, 3);
	assert_int_equal(gold->hourly, 24);
	assert_int_equal(gold->daily, 7);
	assert_int_equal(gold->weekly, 5);
	assert_int_equal(gold->monthly, 12);
	assert_true(gold->yearly == RETAIN_ALL);
	assert_int_equal(gold->within_s, 172800);
	assert_int_equal(gold->floor_points, 4);
	assert_int_equal(gold->floor_s, 129600);
	assert_string_equal(rest->name, "A-z_0.9");
	assert_int_equal(rest->last, 1000000);
	assert_int_equal(rest->hourly + rest->daily + rest->weekly + rest->monthly + rest->yearly,
	                 0);
	assert_int_equal(rest->within_s, 0);
	assert_int_equal(rest->floor_points, 3);
	assert_int_equal(rest->floor_s, 0);
}

static void test_retain_policies_parse__one_rule_is_enough(void **state)
{
	static const char *const rules[] = { "\"last\":1",       "\"hourly\":1",     "\"daily\":1",
		                             "\"weekly\":1",     "\"monthly\":1",    "\"yearly\":1",
		                             "\"last\":\"all\"", "\"within\":\"1s\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		char text[256];

		(void)snprintf(text, sizeof(text),
		               HEAD "{\"name\":\"x\",\"volumes\":[\"*\"],\"floor\":{},"
		                    "\"keep\":{%s}}" TAIL,
		               rules[i]);
		CLEANUP(retain_policies_clear) struct retain_policies set = parsed(text);
		assert_int_equal(set.n, 1);
		assert_int_equal(set.items[0].policy.floor_points, 3);
	}
}

static void test_retain_policies_parse__no_policy_touches_no_volume(void **state)
{
	CLEANUP(retain_policies_clear) struct retain_policies set = parsed(HEAD TAIL);

	(void)state;
	assert_int_equal(set.n, 0);
	assert_null(retain_policy_for(&set, "c/ns/name"));
}

#define P(rest) HEAD "{\"name\":\"a\",\"volumes\":[\"*\"],\"keep\":{\"last\":1}}," rest TAIL
#define KEEP(rest) P("{\"name\":\"b\",\"volumes\":[\"*\"],\"keep\":{" rest "}}")
#define FLOOR(rest) \
	P("{\"name\":\"b\",\"volumes\":[\"*\"],\"keep\":{\"last\":1},\"floor\":{" rest "}}")
#define VOLUMES(rest) P("{\"name\":\"b\",\"volumes\":" rest ",\"keep\":{\"last\":1}}")
#define NAME(rest) P("{\"name\":" rest ",\"volumes\":[\"*\"],\"keep\":{\"last\":1}}")
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define COUNT "expected a number from 0 to 1000000, or \"all\""
#define AN_AGE "is not a duration; write numbers with units s m h d w, as in 1h30m"
#define A_NAME "expected 1 to 63 letters, digits, '.', '_' and '-'"

static void test_retain_policies_parse__names_the_path_of_what_it_refuses(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* behind "retention: " */
	} cases[] = {
		{ "", "line 1 column 0: '[' or '{' expected near end of file" },
		{ "{", "line 1 column 1: string or '}' expected near end of file" },
		{ "{\"schema\":1,\"schema\":2}",
		  "line 1 column 20: duplicate object key near '\"schema\"'" },
		{ "[]", "expected an object" },
		{ "{}", ".schema: missing" },
		{ "{\"schema\":1}", ".schema: expected a string" },
		{ "{\"schema\":\"aksdr/retention/v2\"}",
		  ".schema: expected \"aksdr/retention/v1\"" },
		{ "{\"schema\":\"aksdr/retention/v1\"}", ".policies: missing" },
		{ "{\"schema\":\"aksdr/retention/v1\",\"policies\":{}}",
		  ".policies: expected an array" },
		{ "{\"schema\":\"aksdr/retention/v1\",\"polices\":[]}",
		  ".polices: there is no such member" },
		{ "{\"a\\nb\":1}", ".a\\x0ab: there is no such member" },
		{ P("1"), ".policies[1]: expected an object" },
		{ P("{}"), ".policies[1].name: missing" },
		{ P("{\"keeps\":1}"), ".policies[1].keeps: there is no such member" },
		{ P("{\"name\":\"b\"}"), ".policies[1].volumes: missing" },
		{ P("{\"name\":\"b\",\"volumes\":[\"*\"]}"), ".policies[1].keep: missing" },
		{ NAME("1"), ".policies[1].name: expected a string" },
		{ NAME("\"\""), ".policies[1].name: " A_NAME },
		{ NAME("\"a b\""), ".policies[1].name: " A_NAME },
		{ NAME("\"a/b\""), ".policies[1].name: " A_NAME },
		{ NAME("\"\xc3\xa9\""), ".policies[1].name: " A_NAME },
		{ NAME("\"" X64 "\""), ".policies[1].name: " A_NAME },
		{ NAME("\"a\""), ".policies[1].name: another policy before it has the same" },
		{ VOLUMES("\"*\""), ".policies[1].volumes: expected an array that is not empty" },
		{ VOLUMES("[]"), ".policies[1].volumes: expected an array that is not empty" },
		{ VOLUMES("[\"a\",1]"), ".policies[1].volumes[1]: expected a pattern" },
		{ VOLUMES("[\"a\",\"b\",\"\"]"), ".policies[1].volumes[2]: expected a pattern" },
		{ P("{\"name\":\"b\",\"volumes\":[\"*\"],\"keep\":7}"),
		  ".policies[1].keep: expected an object" },
		{ KEEP(""), ".policies[1].keep: a policy without a rule would remove everything" },
		{ KEEP("\"last\":0,\"within\":\"0s\""),
		  ".policies[1].keep: a policy without a rule would remove everything" },
		{ KEEP("\"last\":-1"), ".policies[1].keep.last: " COUNT },
		{ KEEP("\"hourly\":1000001"), ".policies[1].keep.hourly: " COUNT },
		{ KEEP("\"daily\":4294967296"), ".policies[1].keep.daily: " COUNT },
		{ KEEP("\"weekly\":1.0"), ".policies[1].keep.weekly: " COUNT },
		{ KEEP("\"monthly\":\"ALL\""), ".policies[1].keep.monthly: " COUNT },
		{ KEEP("\"yearly\":null"), ".policies[1].keep.yearly: " COUNT },
		{ KEEP("\"last\":true"), ".policies[1].keep.last: " COUNT },
		{ KEEP("\"last\":\"7\""), ".policies[1].keep.last: " COUNT },
		{ KEEP("\"within\":2"), ".policies[1].keep.within: expected a string" },
		{ KEEP("\"within\":\"2\""), ".policies[1].keep.within '2' " AN_AGE },
		{ KEEP("\"minutely\":1"), ".policies[1].keep.minutely: there is no such member" },
		{ P("{\"name\":\"b\",\"volumes\":[\"*\"],\"keep\":{\"last\":1},\"floor\":3}"),
		  ".policies[1].floor: expected an object" },
		{ FLOOR("\"points\":0"),
		  ".policies[1].floor.points: expected a number from 1 to 1000000" },
		{ FLOOR("\"points\":\"all\""),
		  ".policies[1].floor.points: expected a number from 1 to 1000000" },
		{ FLOOR("\"age\":86400"), ".policies[1].floor.age: expected a string" },
		{ FLOOR("\"age\":\"1y\""), ".policies[1].floor.age '1y' " AN_AGE },
		{ FLOOR("\"point\":1"), ".policies[1].floor.point: there is no such member" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct retain_policies set = { .n = 77 };
		struct err e = ERR_INIT;
		char want[512];

		(void)snprintf(want, sizeof(want), "retention: %s", cases[i].want);
		assert_int_equal(retain_policies_parse("retention", (const uint8_t *)cases[i].text,
		                                       strlen(cases[i].text), &set, &e),
		                 -1);
		assert_string_equal(e.msg, want);
		assert_int_equal(e.class, ERR_INVALID);
		assert_int_equal(set.n, 77);
	}
}

static void assert_too_big(const struct buf *b, const char *want)
{
	struct retain_policies set;
	struct err e = ERR_INIT;

	assert_false(b->failed);
	assert_int_equal(retain_policies_parse("retention", b->data, b->len, &set, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, want);
}

/* A file of so many policies, with so many patterns of that length each. */
static void put_file(struct buf *b, unsigned policies, unsigned patterns, int len)
{
	char pattern[1024];

	memset(pattern, 'x', sizeof(pattern));
	buf_reset(b);
	(void)buf_printf(b, "%s", HEAD);
	for (unsigned i = 0; i < policies; i++) {
		(void)buf_printf(b, "%s{\"name\":\"p%u\",\"keep\":{\"last\":1},\"volumes\":[",
		                 i ? "," : "", i);
		for (unsigned j = 0; j < patterns; j++)
			(void)buf_printf(b, "%s\"%.*s\"", j ? "," : "", len, pattern);
		(void)buf_printf(b, "]}");
	}
	(void)buf_printf(b, "%s", TAIL);
}

static void test_retain_policies_parse__everything_is_bounded(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8 * MIB);

	(void)state;
	put_file(&b, 1000, 1, 1);
	CLEANUP(retain_policies_clear) struct retain_policies many = parsed(buf_cstr(&b));
	assert_int_equal(many.n, 1000);
	put_file(&b, 1, 100, 767);
	CLEANUP(retain_policies_clear) struct retain_policies wide = parsed(buf_cstr(&b));
	assert_int_equal(wide.items[0].npatterns, 100);

	put_file(&b, 1001, 1, 1);
	assert_too_big(&b, "retention: .policies: has 1001 items; the limit is 1000");
	put_file(&b, 1, 101, 1);
	assert_too_big(&b, "retention: .policies[0].volumes: has 101 items; the limit is 100");
	put_file(&b, 1, 1, 768);
	assert_too_big(&b, "retention: .policies[0].volumes[0]: longer than the name of a volume");

	buf_reset(&b);
	(void)buf_str(&b, HEAD TAIL);
	while (b.len < 4194304)
		(void)buf_u8(&b, ' ');
	CLEANUP(retain_policies_clear) struct retain_policies blank = parsed(buf_cstr(&b));
	assert_int_equal(blank.n, 0);
	(void)buf_u8(&b, ' ');
	assert_too_big(&b, "retention: has 4194305 bytes; the limit is 4194304");
}

static void test_retain_policy_for__is_the_first_that_fits(void **state)
{
	static const struct {
		const char *pattern;
		const char *volume;
		bool fits;
	} cases[] = {
		{ "c1/shop/orders", "c1/shop/orders", true },
		{ "shop/orders", "c1/shop/orders", true },
		{ "orders", "c1/shop/orders", true },
		{ "orders", "orders", true },
		{ "rders", "c1/shop/orders", false },
		{ "shop", "c1/shop/orders", false },
		{ "op/orders", "c1/shop/orders", false },
		{ "c2/shop/orders", "c1/shop/orders", false },
		{ "x/c1/shop/orders", "c1/shop/orders", false },
		{ "Orders", "c1/shop/orders", false },
		{ "*", "c1/shop/orders", true },
		{ "shop/*", "c1/shop/orders", true },
		{ "shop/*", "c1/shopping/orders", false },
		{ "shop/*", "shop/orders", true },
		{ "shop/*", "c1/prod/shop/orders", true },
		{ "c?/*", "c1/shop/orders", true },
		{ "prod/*/db-*", "prod/shop/db-1", true },
		{ "prod/*/db-*", "prod/a/b/db-1", true },
		{ "prod/*/db-*", "prod/db-1", false },
		{ "db-[0-9]", "c1/shop/db-7", true },
		{ "db-[0-9]", "c1/shop/db-x", false },
		{ "db-\\*", "c1/shop/db-*", true },
		{ "db-\\*", "c1/shop/db-1", false },
		{ ".*", "c1/shop/.hidden", true },
		{ "*", ".hidden", true },
		{ "[", "[", true },
		{ "*", "", true },
		{ "x", "", false },
		{ "b/", "a/b/", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *pattern = (char *)(uintptr_t)cases[i].pattern;
		char never[] = "no/such/volume";
		char *first[] = { never };
		char *second[] = { never, pattern };
		struct retain_entry items[] = {
			{ .policy = { .name = "first" }, .patterns = first, .npatterns = 1 },
			{ .policy = { .name = "second" }, .patterns = second, .npatterns = 2 },
			{ .policy = { .name = "third" }, .patterns = second, .npatterns = 2 },
		};
		const struct retain_policies set = { .items = items, .n = 3 };
		const struct retain_policy *got = retain_policy_for(&set, cases[i].volume);

		if ((got == &items[1].policy) != cases[i].fits || (got && !cases[i].fits))
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].volume);
	}
}

/* ---- memory that is short ---- */

static int fail_nth(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- == 0 ? ENOMEM : 0;
}

static void test_retain_mark__tells_that_memory_is_short(void **state)
{
	const struct retain_policy p = { .last = 1 };
	const struct retain_point pts[2] = { { .session = "a" }, { .session = "b" } };
	struct retain_verdict v[2] = { { .rules = 77 } };
	struct err e = ERR_INIT;
	int left = 0;

	(void)state;
	syshook_set(fail_nth, &left);
	int r = retain_mark(&p, pts, 2, v, &e);
	syshook_set(NULL, NULL);
	assert_int_equal(r, -1);
	assert_int_equal(e.class, ERR_NOMEM);
	assert_string_equal(e.msg, "no memory for 2 restore points");
	assert_int_equal(v[0].rules, 77);
}

static void test_retain_policies_parse__any_allocation_may_fail(void **state)
{
	static const char text[] = P("{\"name\":\"b\",\"volumes\":[\"a\",\"b\"],\"keep\":{"
	                             "\"last\":\"all\",\"within\":\"1d\"},\"floor\":{"
	                             "\"points\":1,\"age\":\"1d\"}}");
	bool whole = false;
	int n;

	(void)state;
	for (n = 0; !whole; n++) {
		struct retain_policies set = { .n = 0 };
		struct err e = ERR_INIT;
		int left = n;

		syshook_set(fail_nth, &left);
		whole = retain_policies_parse("retention", (const uint8_t *)text, sizeof(text) - 1,
		                              &set, &e) == 0;
		syshook_set(NULL, NULL);
		assert_int_equal(e.class, whole ? ERR_NONE : ERR_NOMEM);
		assert_int_equal(set.n, whole ? 2 : 0);
		retain_policies_clear(&set);
		assert_true(n < 1000);
	}
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retain_mark__last_keeps_the_newest),
		cmocka_unit_test(test_retain_mark__of_each_span_the_newest_stays),
		cmocka_unit_test(test_retain_mark__only_spans_that_have_points_are_counted),
		cmocka_unit_test(test_retain_mark__weeks_are_those_of_iso_8601),
		cmocka_unit_test(test_retain_mark__knows_leap_years),
		cmocka_unit_test(test_retain_mark__times_before_1970_are_in_spans_too),
		cmocka_unit_test(test_retain_mark__within_counts_back_from_the_newest_point),
		cmocka_unit_test(test_retain_mark__floor_holds_whatever_the_rules_say),
		cmocka_unit_test(test_retain_mark__highest_sequence_stays_wherever_its_time_is),
		cmocka_unit_test(test_retain_mark__held_and_pinned_points_stay_and_count_as_others),
		cmocka_unit_test(test_retain_mark__expired_points_are_as_if_not_there),
		cmocka_unit_test(test_retain_mark__all_is_without_limit),
		cmocka_unit_test(test_retain_mark__without_a_policy_nothing_goes),
		cmocka_unit_test(test_retain_mark__policy_without_rules_is_refused),
		cmocka_unit_test(
			test_retain_mark__equal_times_are_ordered_by_sequence_then_session),
		cmocka_unit_test(test_retain_mark__survives_the_ends_of_time),
		cmocka_unit_test(test_retain_mark__rules_work_together),
		cmocka_unit_test(test_retain_why__names_all_rules_at_once),
		cmocka_unit_test(test_retain_mark__agrees_with_the_rules_taken_literally),
		cmocka_unit_test(test_retain_mark__newest_highest_held_and_pinned_always_stay),
		cmocka_unit_test(test_retain_mark__order_of_the_list_does_not_matter),
		cmocka_unit_test(test_retain_mark__second_run_finds_nothing_more),
		cmocka_unit_test(test_retain_mark__greater_count_or_age_removes_nothing_more),
		cmocka_unit_test(
			test_retain_mark__new_point_changes_nothing_before_the_counts_are_full),
		cmocka_unit_test(test_retain_policies_parse__takes_all_members),
		cmocka_unit_test(test_retain_policies_parse__one_rule_is_enough),
		cmocka_unit_test(test_retain_policies_parse__no_policy_touches_no_volume),
		cmocka_unit_test(test_retain_policies_parse__names_the_path_of_what_it_refuses),
		cmocka_unit_test(test_retain_policies_parse__everything_is_bounded),
		cmocka_unit_test(test_retain_policy_for__is_the_first_that_fits),
		cmocka_unit_test(test_retain_mark__tells_that_memory_is_short),
		cmocka_unit_test(test_retain_policies_parse__any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
