/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated retention: rows and what is left, against literals and against all points at once. */
#include "catalog/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/now.h"
#include "tests/harness/syshook.h"

#define HOUR_S 3600
#define DAY_S INT64_C(86400)
#define NS_PER_S INT64_C(1000000000)

static int64_t seconds(const char *time)
{
	struct err e = ERR_INIT;
	int64_t ns = 0;

	if (now_parse(time, &ns, &e) < 0)
		fail_msg("%s", e.msg);
	return ns / NS_PER_S;
}

static struct cron cron(const char *text)
{
	struct err e = ERR_INIT;
	struct cron c;

	if (cron_parse(&c, text, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

/* What is told, as a text. */
struct told {
	const struct retain_policy *policy;
	struct buf text;
	uint64_t rows, left, added, removed;
	uint64_t fail_at; /* the call that fails, from 1; 0: none */
};

#define TOLD_INIT(p)                                     \
	{                                                \
		.policy = (p), .text = BUF_INIT(8 * MIB) \
	}

static void told_clear(struct told *t)
{
	buf_clear(&t->text);
}

static int tell_row(void *arg, const struct simulate_row *row, struct err *e)
{
	struct told *t = arg;

	t->rows++;
	t->added += row->added;
	t->removed += row->removed;
	assert_true(row->points == t->added - t->removed);
	(void)buf_printf(&t->text, "%.16s: %llu points, +%llu -%llu, oldest %lld h\n",
	                 now_rfc3339(row->time_s * NS_PER_S).s, (unsigned long long)row->points,
	                 (unsigned long long)row->added, (unsigned long long)row->removed,
	                 (long long)row->oldest_age_s / HOUR_S);
	return t->rows + t->left == t->fail_at ? err_set(e, ERR_BUSY, "row") : 0;
}

static int tell_left(void *arg, const struct retain_point *pt, const struct retain_verdict *v,
                     struct err *e)
{
	struct told *t = arg;

	t->left++;
	assert_string_equal(pt->session, "");
	(void)buf_printf(&t->text, "%llu %.16s %s\n", (unsigned long long)pt->sequence,
	                 now_rfc3339(pt->received_ns).s, retain_why(t->policy, pt, v).s);
	return t->rows + t->left == t->fail_at ? err_set(e, ERR_BUSY, "left") : 0;
}

static int run(const struct simulate_plan *plan, struct told *t, struct err *e)
{
	const struct simulate_report report = { .row = tell_row, .left = tell_left, .arg = t };

	return simulate_run(plan, &report, e);
}

static void assert_told(const struct simulate_plan *plan, const char *expected)
{
	CLEANUP(told_clear) struct told t = TOLD_INIT(plan->policy);
	struct err e = ERR_INIT;

	if (run(plan, &t, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(e.class, ERR_NONE);
	assert_string_equal(buf_cstr(&t.text), expected);
}

static void test_simulate_run__retention_is_daily_at_midnight_by_default(void **state)
{
	const struct retain_policy policy = { .last = 2 };
	const struct cron nightly = cron("0 2 * * *");
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.cron = &nightly,
		                            .start_s = seconds("2026-12-29T12:00Z"),
		                            .length_s = 5 * DAY_S };

	(void)state;
	assert_told(&plan, "2026-12-30T00:00: 0 points, +0 -0, oldest 0 h\n"
	                   "2026-12-31T00:00: 1 points, +1 -0, oldest 22 h\n"
	                   "2027-01-01T00:00: 2 points, +1 -0, oldest 46 h\n"
	                   "2027-01-02T00:00: 2 points, +1 -1, oldest 46 h\n"
	                   "2027-01-03T00:00: 2 points, +1 -1, oldest 46 h\n"
	                   "3 2027-01-01T02:00 no rule keeps it\n"
	                   "4 2027-01-02T02:00 last 2\n"
	                   "5 2027-01-03T02:00 last 2, floor 1, latest\n");
}

static void test_simulate_run__periods_count_from_the_start(void **state)
{
	const struct retain_policy policy = { .hourly = 3, .daily = 2 };
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.period_s = 1800,
		                            .retention.period_s = 7200,
		                            .start_s = seconds("2026-11-22T22:10:30Z"),
		                            .length_s = 6 * HOUR_S };

	(void)state;
	/* The backup in the second of a run is made before it; at the end there is none. */
	assert_told(&plan, "2026-11-23T00:10: 3 points, +5 -2, oldest 1 h\n"
	                   "2026-11-23T02:10: 4 points, +4 -3, oldest 2 h\n"
	                   "2026-11-23T04:10: 4 points, +3 -3, oldest 4 h\n"
	                   "4 2026-11-22T23:40 daily 2026-11-22\n"
	                   "8 2026-11-23T01:40 hourly 2026-11-23T01\n"
	                   "10 2026-11-23T02:40 hourly 2026-11-23T02\n"
	                   "12 2026-11-23T03:40 hourly 2026-11-23T03, daily 2026-11-23, floor 1, "
	                   "latest\n");
}

static void test_simulate_run__start_is_in_and_end_is_out_for_backups(void **state)
{
	const struct retain_policy policy = { .last = 1 };
	const struct cron midnight = cron("@daily");
	struct simulate_plan plan = { .policy = &policy,
		                      .backups.cron = &midnight,
		                      .retention.cron = &midnight,
		                      .start_s = seconds("2026-11-22"),
		                      .length_s = 2 * DAY_S };

	(void)state;
	assert_told(&plan, "2026-11-23T00:00: 1 points, +2 -1, oldest 0 h\n"
	                   "2026-11-24T00:00: 1 points, +0 -0, oldest 24 h\n"
	                   "2 2026-11-23T00:00 last 1, floor 1, latest\n");
	plan.length_s++;
	assert_told(&plan, "2026-11-23T00:00: 1 points, +2 -1, oldest 0 h\n"
	                   "2026-11-24T00:00: 1 points, +1 -1, oldest 0 h\n"
	                   "3 2026-11-24T00:00 last 1, floor 1, latest\n");
	plan.start_s = 0;
	plan.length_s = 1;
	assert_told(&plan, "1 1970-01-01T00:00 last 1, floor 1, latest\n");
}

static void test_simulate_run__backups_that_stop_lose_nothing(void **state)
{
	const struct retain_policy policy = { .within_s = DAY_S };
	const struct cron in_may = cron("0 12 1-3 5 *");
	const struct cron monthly = cron("@monthly");
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.cron = &in_may,
		                            .retention.cron = &monthly,
		                            .start_s = seconds("2026-05-01"),
		                            .length_s = 100 * DAY_S };

	(void)state;
	assert_told(&plan, "2026-06-01T00:00: 2 points, +3 -1, oldest 708 h\n"
	                   "2026-07-01T00:00: 2 points, +0 -0, oldest 1428 h\n"
	                   "2026-08-01T00:00: 2 points, +0 -0, oldest 2172 h\n"
	                   "2 2026-05-02T12:00 within 1d00h\n"
	                   "3 2026-05-03T12:00 within 1d00h, floor 1, latest\n");
}

static void test_simulate_run__what_never_fires_makes_nothing(void **state)
{
	const struct retain_policy policy = { .last = 1 };
	const struct cron never = cron("0 0 30 2 *");
	struct simulate_plan plan = { .policy = &policy,
		                      .backups.cron = &never,
		                      .start_s = seconds("2026-11-22"),
		                      .length_s = 2 * DAY_S };

	(void)state;
	assert_told(&plan, "2026-11-23T00:00: 0 points, +0 -0, oldest 0 h\n"
	                   "2026-11-24T00:00: 0 points, +0 -0, oldest 0 h\n");
	plan.backups = (struct simulate_times){ .period_s = DAY_S };
	plan.retention.cron = &never;
	assert_told(&plan, "1 2026-11-22T00:00 no rule keeps it\n"
	                   "2 2026-11-23T00:00 last 1, floor 1, latest\n");
}

static void test_simulate_run__without_a_policy_nothing_goes(void **state)
{
	const struct simulate_plan plan = { .backups.period_s = DAY_S,
		                            .start_s = seconds("2026-11-22T10:00Z"),
		                            .length_s = 2 * DAY_S };

	(void)state;
	assert_told(&plan, "2026-11-23T00:00: 1 points, +1 -0, oldest 14 h\n"
	                   "2026-11-24T00:00: 2 points, +1 -0, oldest 38 h\n"
	                   "1 2026-11-22T10:00 everything\n"
	                   "2 2026-11-23T10:00 everything, floor 1, latest\n");
}

static void test_simulate_run__years_of_days(void **state)
{
	const struct retain_policy policy = {
		.daily = 3, .weekly = 2, .monthly = 3, .yearly = RETAIN_ALL, .floor_points = 3
	};
	const struct cron nightly = cron("0 2 * * *");
	const struct cron yearly = cron("@yearly");
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.cron = &nightly,
		                            .retention.cron = &yearly,
		                            .start_s = seconds("2026-11-22"),
		                            .length_s = seconds("2029-01-05") -
		                                        seconds("2026-11-22") };

	(void)state;
	/* 40 nights, 365, and the 366 of 2028; the 27th, 26th and 24th of December are Sundays */
	assert_told(&plan,
	            "2027-01-01T00:00: 5 points, +40 -35, oldest 766 h\n"
	            "2028-01-01T00:00: 7 points, +365 -363, oldest 8782 h\n"
	            "2029-01-01T00:00: 8 points, +366 -365, oldest 17566 h\n"
	            "40 2026-12-31T02:00 yearly 2026\n"
	            "405 2027-12-31T02:00 yearly 2027\n"
	            "710 2028-10-31T02:00 no rule keeps it\n"
	            "740 2028-11-30T02:00 monthly 2028-11\n"
	            "764 2028-12-24T02:00 no rule keeps it\n"
	            "769 2028-12-29T02:00 no rule keeps it\n"
	            "770 2028-12-30T02:00 no rule keeps it\n"
	            "771 2028-12-31T02:00 weekly 2028-W52, monthly 2028-12, yearly 2028\n"
	            "772 2029-01-01T02:00 no rule keeps it\n"
	            "773 2029-01-02T02:00 daily 2029-01-02, floor 3\n"
	            "774 2029-01-03T02:00 daily 2029-01-03, floor 3\n"
	            "775 2029-01-04T02:00 daily 2029-01-04, weekly 2029-W01, monthly 2029-01, "
	            "yearly 2029, floor 3, latest\n");
}

/* ---- against all points at once ---- */

struct replay {
	const struct simulate_plan *plan;
	struct retain_point points[4096]; /* all that were ever made */
	struct retain_verdict verdicts[4096];
	size_t n, left;
};

static void replay_until(struct replay *r, int64_t time_s)
{
	const int64_t end_s = r->plan->start_s + r->plan->length_s;

	for (;;) {
		int64_t at_s = r->plan->start_s + (int64_t)r->n * r->plan->backups.period_s;

		if (at_s > time_s || at_s >= end_s)
			return;
		assert_true(r->n < ARRAY_LEN(r->points));
		r->points[r->n] = (struct retain_point){ .session = "",
			                                 .sequence = r->n + 1,
			                                 .received_ns = at_s * NS_PER_S };
		r->n++;
	}
}

static int replay_row(void *arg, const struct simulate_row *row, struct err *e)
{
	struct replay *r = arg;
	const size_t before = r->n;
	int64_t oldest_ns = row->time_s * NS_PER_S;
	uint64_t removed = 0;
	uint64_t points = 0;

	replay_until(r, row->time_s);
	assert_true(row->added == r->n - before);
	if (retain_mark(r->plan->policy, r->points, r->n, r->verdicts, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++) {
		removed += r->verdicts[i].goes;
		r->points[i].expired = r->points[i].expired || r->verdicts[i].goes;
		points += !r->points[i].expired;
		if (!r->points[i].expired && r->points[i].received_ns < oldest_ns)
			oldest_ns = r->points[i].received_ns;
	}
	assert_true(row->removed == removed);
	assert_true(row->points == points);
	assert_true(row->oldest_age_s == row->time_s - oldest_ns / NS_PER_S);
	return 0;
}

static int replay_left(void *arg, const struct retain_point *pt, const struct retain_verdict *v,
                       struct err *e)
{
	struct replay *r = arg;

	if (r->left == 0) {
		replay_until(r, INT64_MAX);
		if (retain_mark(r->plan->policy, r->points, r->n, r->verdicts, e) < 0)
			return -1;
	}
	while (r->points[r->left].expired)
		r->left++;
	assert_true(pt->sequence == r->left + 1);
	assert_int_equal(v->goes, r->verdicts[r->left].goes);
	assert_int_equal(v->rules, r->verdicts[r->left].rules);
	r->left++;
	return 0;
}

static void test_simulate_run__is_what_judging_all_points_gives(void **state)
{
	static const int64_t periods_s[][2] = {
		{ 600, 3600 }, { 3600, 50000 }, { 7000, 1000 }, { 86400, 604800 }, { 500000, 86400 }
	};
	static const struct retain_policy policies[] = {
		{ .last = 1 },
		{ .last = 5, .hourly = 10, .daily = 7, .weekly = 4, .monthly = 6, .yearly = 1 },
		{ .daily = RETAIN_ALL, .floor_points = 3, .floor_s = 100000 },
		{ .within_s = 300000, .monthly = 2 },
		{ .last = RETAIN_ALL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(periods_s); i++) {
		for (size_t j = 0; j < ARRAY_LEN(policies); j++) {
			struct simulate_plan plan = {
				.policy = &policies[j],
				.backups.period_s = periods_s[i][0],
				.retention.period_s = periods_s[i][1],
				.start_s = seconds("2027-12-11T10:04:05Z"),
				.length_s = periods_s[i][0] * 600,
			};
			auto_free struct replay *r = calloc(1, sizeof(*r));
			const struct simulate_report report = { replay_row, replay_left, r };
			struct err e = ERR_INIT;

			assert_non_null(r);
			r->plan = &plan;
			if (simulate_run(&plan, &report, &e) < 0)
				fail_msg("%s", e.msg);
			assert_int_equal(r->n, 600);
			while (r->left < r->n)
				assert_true(r->points[r->left++].expired);
		}
	}
}

static void test_simulate_run__a_point_a_minute_for_a_year(void **state)
{
	const struct retain_policy gold = { .last = 3,
		                            .hourly = 24,
		                            .daily = 7,
		                            .weekly = 5,
		                            .monthly = 12,
		                            .yearly = RETAIN_ALL,
		                            .within_s = 2 * DAY_S,
		                            .floor_points = 3 };
	const struct retain_policy all = { .last = RETAIN_ALL };
	const struct cron minutely = cron("* * * * *");
	struct simulate_plan plan = { .policy = &gold,
		                      .backups.cron = &minutely,
		                      .start_s = seconds("2027-01-01"),
		                      .length_s = 365 * DAY_S };
	CLEANUP(told_clear) struct told t = TOLD_INIT(&gold);
	CLEANUP(told_clear) struct told u = TOLD_INIT(&all);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run(&plan, &t, &e), 0);
	assert_int_equal(t.rows, 365);
	assert_int_equal(t.added, 525600);
	/* 2881 minutes of two days, 4 days more, 3 weeks more, 11 months more */
	assert_int_equal(t.left, 2899);
	assert_int_equal(t.removed, 522701);
	u.text.max = 0; /* only its numbers */
	plan.policy = &all;
	plan.length_s = 60 * DAY_S;
	assert_int_equal(run(&plan, &u, &e), 0);
	assert_int_equal(u.left, 86400);
	assert_int_equal(u.removed, 0);
}

/* ---- what goes wrong ---- */

static void test_simulate_run__refuses_plans_that_make_no_sense(void **state)
{
	static const struct retain_policy policy = { .last = 1 };
	static const struct retain_policy empty = { .name = "gold" };
	static const struct {
		struct simulate_plan plan;
		const char *want;
	} cases[] = {
		{ { &policy, { NULL, 1 }, { 0 }, -1, 1 },
		  "a simulation cannot start at -1 s; it lies between 1970 and 2262" },
		{ { &policy, { NULL, 1 }, { 0 }, 9214646400, 1 },
		  "a simulation cannot start at 9214646400 s; it lies between 1970 and 2262" },
		{ { &policy, { NULL, 1 }, { 0 }, 0, 0 },
		  "a simulation cannot take 0 s; it ends after it starts, and before 2262" },
		{ { &policy, { NULL, 1 }, { 0 }, 9214646399, 2 },
		  "a simulation cannot take 2 s; it ends after it starts, and before 2262" },
		{ { &policy, { NULL, 0 }, { 0 }, 0, 1 },
		  "the period of backups is 0 s; it goes from 1 s to 9214646400 s" },
		{ { &policy, { NULL, 9214646401 }, { 0 }, 0, 1 },
		  "the period of backups is 9214646401 s; it goes from 1 s to 9214646400 s" },
		{ { &policy, { NULL, 1 }, { NULL, -1 }, 0, 1 },
		  "the period of retention is -1 s; it goes from 1 s to 9214646400 s" },
		{ { &empty, { NULL, 1 }, { 0 }, 0, 1 },
		  "retention policy 'gold' has no rule, and would remove everything" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(told_clear) struct told t = TOLD_INIT(&policy);
		struct err e = ERR_INIT;

		assert_int_equal(run(&cases[i].plan, &t, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		assert_string_equal(e.msg, cases[i].want);
		assert_int_equal(t.rows + t.left, 0);
	}
}

static void test_simulate_run__ends_of_the_ranges_are_in(void **state)
{
	static const struct retain_policy policy = { .last = 1 };
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.period_s = 9214646400,
		                            .retention.period_s = 9214646400,
		                            .start_s = 0,
		                            .length_s = 9214646400 };
	const struct simulate_plan last = { .policy = &policy,
		                            .backups.period_s = 9214646400,
		                            .retention.period_s = 1,
		                            .start_s = 9214646399,
		                            .length_s = 1 };

	(void)state;
	assert_told(&plan, "2262-01-01T00:00: 1 points, +1 -0, oldest 2559624 h\n"
	                   "1 1970-01-01T00:00 last 1, floor 1, latest\n");
	assert_told(&last, "2262-01-01T00:00: 1 points, +1 -0, oldest 0 h\n"
	                   "1 2261-12-31T23:59 last 1, floor 1, latest\n");
}

static void test_simulate_run__number_of_events_is_bounded(void **state)
{
	static const struct retain_policy policy = { .last = 1 };
	const int64_t start_s = seconds("2026-11-22");
	const struct {
		struct simulate_plan plan;
		int want;
	} cases[] = {
		{ { &policy, { NULL, 1 }, { NULL, 1000 }, start_s, 4995004 }, 0 },
		{ { &policy, { NULL, 1 }, { NULL, 1000 }, start_s, 4995006 }, -1 },
		{ { &policy, { NULL, 1 }, { NULL, 9000000 }, start_s, 5000001 }, -1 },
		{ { &policy, { NULL, 9000000 }, { NULL, 1 }, start_s, 6000000 }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(told_clear) struct told t = TOLD_INIT(&policy);
		struct err e = ERR_INIT;

		t.text.max = 0;
		assert_int_equal(run(&cases[i].plan, &t, &e), cases[i].want);
		assert_int_equal(e.class, cases[i].want < 0 ? ERR_TOO_BIG : ERR_NONE);
		if (cases[i].want < 0)
			assert_string_equal(e.msg, "over 5000000 backups and runs of retention; "
			                           "simulate a shorter time");
	}
}

static void test_simulate_run__passes_on_the_errors_of_its_caller(void **state)
{
	static const struct retain_policy policy = { .last = 2 };
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.period_s = DAY_S,
		                            .start_s = seconds("2026-11-22"),
		                            .length_s = 2 * DAY_S };

	(void)state;
	for (uint64_t n = 1; n <= 5; n++) {
		CLEANUP(told_clear) struct told t = TOLD_INIT(&policy);
		struct err e = ERR_INIT;

		t.fail_at = n;
		assert_int_equal(run(&plan, &t, &e), n <= 4 ? -1 : 0);
		assert_int_equal(e.class, n <= 4 ? ERR_BUSY : ERR_NONE);
		assert_string_equal(e.msg, n <= 2 ? "row" : n <= 4 ? "left" : "");
		assert_true(t.rows + t.left == (n <= 4 ? n : 4));
	}
}

static int fail_nth(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- == 0 ? ENOMEM : 0;
}

static int nothing_row(void *arg, const struct simulate_row *row, struct err *e)
{
	(void)arg;
	(void)row;
	(void)e;
	return 0;
}

static int nothing_left(void *arg, const struct retain_point *pt, const struct retain_verdict *v,
                        struct err *e)
{
	(void)arg;
	(void)pt;
	(void)v;
	(void)e;
	return 0;
}

static void test_simulate_run__any_allocation_may_fail(void **state)
{
	static const struct retain_policy policy = { .last = 300 };
	const struct simulate_plan plan = { .policy = &policy,
		                            .backups.period_s = 100,
		                            .start_s = seconds("2026-11-22"),
		                            .length_s = 2 * DAY_S + 1000 };
	const struct simulate_report report = { nothing_row, nothing_left, NULL };
	bool whole = false;
	int n;

	(void)state;
	for (n = 0; !whole; n++) {
		struct err e = ERR_INIT;
		int left = n;

		syshook_set(fail_nth, &left);
		whole = simulate_run(&plan, &report, &e) == 0;
		syshook_set(NULL, NULL);
		assert_int_equal(e.class, whole ? ERR_NONE : ERR_NOMEM);
		assert_true(n < 1000);
	}
	assert_true(n > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simulate_run__retention_is_daily_at_midnight_by_default),
		cmocka_unit_test(test_simulate_run__periods_count_from_the_start),
		cmocka_unit_test(test_simulate_run__start_is_in_and_end_is_out_for_backups),
		cmocka_unit_test(test_simulate_run__backups_that_stop_lose_nothing),
		cmocka_unit_test(test_simulate_run__what_never_fires_makes_nothing),
		cmocka_unit_test(test_simulate_run__without_a_policy_nothing_goes),
		cmocka_unit_test(test_simulate_run__years_of_days),
		cmocka_unit_test(test_simulate_run__is_what_judging_all_points_gives),
		cmocka_unit_test(test_simulate_run__a_point_a_minute_for_a_year),
		cmocka_unit_test(test_simulate_run__refuses_plans_that_make_no_sense),
		cmocka_unit_test(test_simulate_run__ends_of_the_ranges_are_in),
		cmocka_unit_test(test_simulate_run__number_of_events_is_bounded),
		cmocka_unit_test(test_simulate_run__passes_on_the_errors_of_its_caller),
		cmocka_unit_test(test_simulate_run__any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
