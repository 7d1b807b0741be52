/* SPDX-License-Identifier: Apache-2.0 */
/* When a volume is due: once a slot, caught up once, never starved; and what runs next. */
#include "agent/sched.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clean.h"
#include "tests/harness/harness.h"

#define HOUR 3600
#define DAY 86400
#define T0 INT64_C(1795305600) /* 2026-11-22T00:00:00Z, a Sunday */

static struct cron parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct cron c;

	if (cron_parse(&c, text, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static const struct sched_record fresh = { .since_s = T0,
	                                   .done_s = SCHED_NONE,
	                                   .tried_s = SCHED_NONE };

static void is_due(const struct sched_verdict v, int64_t slot_s, int64_t at_s)
{
	assert_true(v.due);
	assert_int_equal(v.slot_s, slot_s);
	assert_int_equal(v.at_s, at_s);
}

static void is_later(const struct sched_verdict v, int64_t at_s)
{
	assert_false(v.due);
	assert_int_equal(v.slot_s, SCHED_NONE);
	assert_int_equal(v.at_s, at_s);
}

static void test_sched_share__is_fixed_and_spread(void **state)
{
	unsigned counts[10] = { 0 };
	char key[16];

	(void)state;
	assert_int_equal(sched_share("uid", 0), 0);
	assert_int_equal(sched_share("uid", -5), 0);
	assert_int_equal(sched_share("uid", 1), 0);
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(key, sizeof(key), "claim-%u", i);
		const int64_t share = sched_share(key, 600);

		assert_true(share >= 0 && share < 600);
		assert_int_equal(share, sched_share(key, 600));
		counts[share / 60]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		assert_true(counts[i] > 400 && counts[i] < 600);
}

static void test_sched_slot__is_the_last_firing(void **state)
{
	static const struct {
		const char *text;
		int64_t at_s, want;
	} cases[] = {
		{ "* * * * *", T0, T0 },
		{ "* * * * *", T0 + 59, T0 },
		{ "0 2 * * *", T0, T0 - 22 * HOUR },
		{ "0 2 * * *", T0 + 2 * HOUR, T0 + 2 * HOUR },
		{ "0 2 * * *", T0 + 2 * HOUR - 1, T0 - 22 * HOUR },
		{ "*/5 3 * * 0", T0, T0 - 7 * DAY + 3 * HOUR + 55 * 60 },
		{ "0 0 1 * *", T0, INT64_C(1793491200) },
		{ "0 0 29 2 *", T0, INT64_C(1709164800) },                  /* 2024 */
		{ "0 0 29 2 *", INT64_C(4233600000), INT64_C(3981312000) }, /* 2104 and 2096 */
		{ "* * * * *", -1, SCHED_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cron c = parsed(cases[i].text);

		if (sched_slot(&c, NULL, cases[i].at_s) != cases[i].want)
			fail_msg("'%s': %lld", cases[i].text,
			         (long long)sched_slot(&c, NULL, cases[i].at_s));
	}
}

static void test_sched_slot__agrees_with_going_forward(void **state)
{
	static const char *const texts[] = { "*/7 * * * *", "0 2 * * *", "30 1,13 * * 1-5",
		                             "0 0 1 */3 *", "*/10 2 * * *" };
	struct err e = ERR_INIT;
	auto_zone struct zone *z = NULL;

	(void)state;
	assert_int_equal(zone_open(NULL, "Europe/Berlin", &z, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct cron c = parsed(texts[i]);
		uint32_t r[200];

		fill_random(i, r, sizeof(r));
		for (size_t j = 0; j < ARRAY_LEN(r); j++) {
			const int64_t at = T0 - 400 * DAY + r[j] % (800 * DAY);
			const int64_t slot = sched_slot(&c, z, at);

			assert_true(slot <= at && cron_next_in(&c, z, slot - 1) == slot);
			assert_true(cron_next_in(&c, z, slot) > at);
		}
	}
}

static void test_sched_due__waits_for_the_firing_and_its_share(void **state)
{
	const struct cron c = parsed("0 2 * * *");
	const struct sched_rule r = { &c, NULL, 600, "uid" };
	const int64_t share = sched_share("uid", 600);
	struct sched_record last = { .since_s = T0 - DAY,
		                     .done_s = T0 - 22 * HOUR,
		                     .tried_s = SCHED_NONE };

	(void)state;
	assert_true(share > 0);
	is_later(sched_due(&r, &last, T0), T0 + 2 * HOUR + share);
	is_later(sched_due(&r, &last, T0 + 2 * HOUR + share - 1), T0 + 2 * HOUR + share);
	is_due(sched_due(&r, &last, T0 + 2 * HOUR + share), T0 + 2 * HOUR, T0 + 2 * HOUR + share);
	last.running = true;
	is_later(sched_due(&r, &last, T0 + 2 * HOUR + share), SCHED_NEVER);
	last.running = false;
	last.done_s = T0 + 2 * HOUR;
	is_later(sched_due(&r, &last, T0 + 3 * HOUR), T0 + 26 * HOUR + share);
}

static void test_sched_due__new_volume_waits_for_its_share_only(void **state)
{
	const struct cron c = parsed("0 2 * * *");
	const struct sched_rule r = { &c, NULL, 600, "uid" };
	const int64_t share = sched_share("uid", 600);
	struct sched_record last = fresh;

	(void)state;
	is_later(sched_due(&r, &last, T0), T0 + share);
	is_due(sched_due(&r, &last, T0 + share), T0, T0 + share);
	/* a firing that has come meanwhile names the run */
	is_due(sched_due(&r, &last, T0 + 5 * HOUR), T0 + 2 * HOUR, T0 + 2 * HOUR + share);
	last.done_s = T0;
	is_later(sched_due(&r, &last, T0 + HOUR), T0 + 2 * HOUR + share);
	/* seen by a clock that was put back since */
	last = fresh;
	is_due(sched_due(&r, &last, T0 - HOUR), T0, T0 - HOUR);
}

static void test_sched_due__catches_up_once(void **state)
{
	const struct cron c = parsed("0 * * * *");
	const struct sched_rule r = { &c, NULL, 0, "uid" };
	struct sched_record last = fresh;

	(void)state;
	last.done_s = T0;
	is_due(sched_due(&r, &last, T0 + 30 * HOUR + 1800), T0 + 30 * HOUR, T0 + 30 * HOUR);
	last.done_s = T0 + 30 * HOUR;
	is_later(sched_due(&r, &last, T0 + 30 * HOUR + 1801), T0 + 31 * HOUR);
}

static void test_sched_due__failures_wait_longer_and_longer(void **state)
{
	static const int64_t waits_s[] = { 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600 };
	const struct cron c = parsed("0 2 * * *");
	const struct sched_rule r = { &c, NULL, 0, "uid" };
	struct sched_record last = fresh;
	const int64_t slot = T0 + 2 * HOUR;

	(void)state;
	last.done_s = T0 - 22 * HOUR;
	last.tried_s = slot;
	last.ended_s = slot + 300;
	for (unsigned i = 0; i < ARRAY_LEN(waits_s); i++) {
		last.failures = i + 1;
		is_later(sched_due(&r, &last, last.ended_s), last.ended_s + waits_s[i]);
		is_due(sched_due(&r, &last, last.ended_s + waits_s[i]), slot,
		       last.ended_s + waits_s[i]);
	}
	last.failures = 4000000000;
	is_later(sched_due(&r, &last, last.ended_s), last.ended_s + 3600);
	/* the next firing comes first, and is a slot of its own */
	last.ended_s = slot + DAY - 100;
	is_later(sched_due(&r, &last, last.ended_s), slot + DAY);
	is_due(sched_due(&r, &last, slot + DAY), slot + DAY, slot + DAY);
	/* an end in the future is none to count from */
	last.ended_s = slot + 10 * DAY;
	is_due(sched_due(&r, &last, slot + 10), slot, slot);
}

static void test_sched_due__clock_put_back_or_forward(void **state)
{
	const struct cron hourly = parsed("0 * * * *");
	const struct cron daily = parsed("0 2 * * *");
	const struct sched_rule h = { &hourly, NULL, 0, "uid" };
	const struct sched_rule d = { &daily, NULL, 0, "uid" };
	struct sched_record last = fresh;

	(void)state;
	/* a little: the slot that comes next is done */
	last.done_s = T0 + HOUR;
	is_later(sched_due(&h, &last, T0 + 1800), T0 + 2 * HOUR);
	is_later(sched_due(&h, &last, T0 + HOUR), T0 + 2 * HOUR);
	last.done_s = T0 + 2 * HOUR;
	is_later(sched_due(&d, &last, T0 + 2 * HOUR - DAY), T0 + 2 * HOUR + DAY);
	/* by a day, by years: not waited for */
	last.done_s = T0 + DAY;
	is_due(sched_due(&h, &last, T0 + 10), T0, T0);
	last.done_s = T0 + 2 * HOUR + 3650 * DAY;
	is_due(sched_due(&d, &last, T0 + 3 * HOUR), T0 + 2 * HOUR, T0 + 2 * HOUR);
	/* forward by a day: one run, as after a downtime */
	last.done_s = T0;
	is_due(sched_due(&h, &last, T0 + DAY + 10), T0 + DAY, T0 + DAY);
}

/*
 * A volume through a month: with downtimes, runs that take a while and fail now and then. No slot
 * has two points, of each downtime at most one run is caught up, and whenever the agent is up for
 * a whole interval there is a try.
 */
static void test_sched_due__once_a_slot_through_thick_and_thin(void **state)
{
	static const char *const texts[] = { "0 * * * *", "*/15 * * * *", "0 2 * * *",
		                             "30 6,18 * * *" };
	static const int64_t intervals_s[] = { HOUR, 900, DAY, DAY / 2 };

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(texts) * 10; t++) {
		const struct cron c = parsed(texts[t % ARRAY_LEN(texts)]);
		const int64_t interval_s = intervals_s[t % ARRAY_LEN(texts)];
		const struct sched_rule r = { &c, NULL, t % 3 == 0 ? 0 : interval_s / 4, "uid" };
		struct sched_record last = fresh;
		int64_t up_since = T0, tried_at = T0, previous = SCHED_NONE;
		uint32_t x[2000];

		fill_random(t, x, sizeof(x));
		int64_t now = T0;
		for (size_t i = 0; i < ARRAY_LEN(x) && now < T0 + 30 * DAY; i++) {
			const struct sched_verdict v = sched_due(&r, &last, now);

			if (!v.due) {
				assert_true(v.at_s > now);
				/* nothing is due until then */
				assert_false(sched_due(&r, &last, v.at_s - 1).due);
				assert_true(sched_due(&r, &last, v.at_s).due);
				now = v.at_s;
				if (x[i] % 20 == 0) { /* nobody looks for a while */
					now += x[i] % (4 * interval_s);
					up_since = tried_at = now;
				}
				continue;
			}
			assert_true(v.slot_s > previous && v.slot_s <= now);
			assert_true(last.done_s == SCHED_NONE || v.slot_s > last.done_s);
			/* the latest one: no other has come since */
			assert_true(cron_next_in(&c, NULL, v.slot_s) +
			                    sched_share("uid", r.jitter_s) >
			            now);
			assert_true(now - tried_at <= interval_s + 3600 || up_since == now);
			now += x[i] % 300;
			tried_at = now;
			last.ended_s = now;
			if (x[i] % 3 == 0) {
				last.failures++;
				last.tried_s = v.slot_s;
			} else {
				last.failures = 0;
				last.done_s = previous = v.slot_s;
			}
		}
		assert_true(previous > T0);
	}
}

/* ---- the queue ---- */

static void picks(const struct sched_item *items, size_t n, size_t limit, const char *want)
{
	size_t ret[16];
	char got[64] = "";

	const size_t k = sched_pick(items, n, limit, ret);
	for (size_t i = 0; i < k; i++) {
		assert_true(ret[i] < n && !items[ret[i]].running);
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
		               items[ret[i]].uid);
	}
	assert_string_equal(got, want);
}

static void test_sched_pick__oldest_first_up_to_the_limit(void **state)
{
	static const struct sched_item items[] = {
		{ 300, "c", "", false }, { 100, "z", "", false }, { 200, "b", "", false },
		{ 100, "a", "", false }, { 50, "r", "", true },
	};

	(void)state;
	picks(items, 4, 2, "a z");
	picks(items, 5, 2, "a");
	picks(items, 5, 1, "");
	picks(items, 4, 9, "a z b c");
	picks(items, 4, 0, "");
	picks(items, 0, 2, "");
}

static void test_sched_pick__a_set_begins_together(void **state)
{
	static const struct sched_item items[] = {
		{ 100, "a", "s", false }, { 200, "b", "", false }, { 300, "c", "s", false },
		{ 400, "d", "s", false }, { 50, "r", "", true },
	};

	(void)state;
	picks(items, 4, 3, "a c d");
	picks(items, 4, 4, "a c d b");
	/* larger than the limit: alone, and nothing overtakes it while it waits */
	picks(items, 4, 2, "a c d");
	picks(items, 5, 2, "");
	picks(items, 5, 4, "a c d");
}

/* Whatever comes in, all of it has run in the end, and never too many at once. */
static void test_sched_pick__nothing_starves(void **state)
{
	static const char *const sets[] = { "", "", "", "s", "t" };
	char uids[40][8];

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct sched_item items[40];
		uint8_t x[40];
		size_t n = ARRAY_LEN(items);
		const size_t limit = 1 + seed % 4;

		fill_random(seed, x, sizeof(x));
		for (size_t i = 0; i < n; i++) {
			(void)snprintf(uids[i], sizeof(uids[i]), "u%zu", i);
			items[i] = (struct sched_item){ x[i] / 32, uids[i], sets[x[i] % 5], false };
		}
		for (int rounds = 0; n > 0; rounds++) {
			size_t ret[40];
			const size_t k = sched_pick(items, n, limit, ret);

			assert_true(rounds < 100);
			assert_true(k > 0 || items[0].running || items[n - 1].running);
			for (size_t i = 0; i < k; i++) {
				assert_true(k <= limit ||
				            strcmp(items[ret[i]].set, items[ret[0]].set) == 0);
				items[ret[i]].running = true;
			}
			/* all that run end */
			size_t left = 0;
			for (size_t i = 0; i < n; i++) {
				if (!items[i].running)
					items[left++] = items[i];
			}
			n = left;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sched_share__is_fixed_and_spread),
		cmocka_unit_test(test_sched_slot__is_the_last_firing),
		cmocka_unit_test(test_sched_slot__agrees_with_going_forward),
		cmocka_unit_test(test_sched_due__waits_for_the_firing_and_its_share),
		cmocka_unit_test(test_sched_due__new_volume_waits_for_its_share_only),
		cmocka_unit_test(test_sched_due__catches_up_once),
		cmocka_unit_test(test_sched_due__failures_wait_longer_and_longer),
		cmocka_unit_test(test_sched_due__clock_put_back_or_forward),
		cmocka_unit_test(test_sched_due__once_a_slot_through_thick_and_thin),
		cmocka_unit_test(test_sched_pick__oldest_first_up_to_the_limit),
		cmocka_unit_test(test_sched_pick__a_set_begins_together),
		cmocka_unit_test(test_sched_pick__nothing_starves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
