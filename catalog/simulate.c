/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The points that are there are kept in an array, oldest first; a run of
 * retention judges them and closes the gaps. A run that finds no new point
 * changes nothing, as retain_mark() promises, and is not made.
 */
#include "catalog/simulate.h"

#include <string.h>

#define NS_PER_S INT64_C(1000000000)

struct simulation {
	const struct simulate_plan *plan;
	struct simulate_times retention; /* with the default filled in */
	int64_t end_s;
	struct retain_point *points;
	struct retain_verdict *verdicts; /* as many */
	size_t n, cap;
	uint64_t sequence, events;
};

static void simulation_clear(struct simulation *s)
{
	free(s->points);
	free(s->verdicts);
}

/* The first time after after_s, or -1. */
static int64_t next_time(const struct simulation *s, const struct simulate_times *t,
                         int64_t after_s)
{
	const int64_t start_s = s->plan->start_s;

	if (t->cron)
		return cron_next(t->cron, after_s);
	if (after_s < start_s)
		return start_s;
	return start_s + ((after_s - start_s) / t->period_s + 1) * t->period_s;
}

static int count_event(struct simulation *s, struct err *e)
{
	if (s->events++ == SIMULATE_EVENTS_MAX)
		return err_set(e, ERR_TOO_BIG,
		               "over %d backups and runs of retention; simulate a shorter time",
		               SIMULATE_EVENTS_MAX);
	return 0;
}

static int grow(struct simulation *s, struct err *e)
{
	size_t cap = s->cap ? 2 * s->cap : 256;
	struct retain_point *points = reallocarray(s->points, cap, sizeof(*points));

	if (points)
		s->points = points;
	struct retain_verdict *verdicts = reallocarray(s->verdicts, cap, sizeof(*verdicts));
	if (verdicts)
		s->verdicts = verdicts;
	if (!points || !verdicts)
		return err_set(e, ERR_NOMEM, "no memory for %zu restore points", cap);
	s->cap = cap;
	return 0;
}

static int add_point(struct simulation *s, int64_t time_s, struct err *e)
{
	if (count_event(s, e) < 0 || (s->n == s->cap && grow(s, e) < 0))
		return -1;
	s->points[s->n++] = (struct retain_point){ .session = "",
		                                   .sequence = ++s->sequence,
		                                   .received_ns = time_s * NS_PER_S };
	return 0;
}

/* Takes out the points that go; returns how many. */
static size_t remove_points(struct simulation *s)
{
	size_t stay = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->verdicts[i].goes)
			s->points[stay++] = s->points[i];
	}
	size_t gone = s->n - stay;
	s->n = stay;
	return gone;
}

static int run_retention(struct simulation *s, int64_t time_s, uint64_t added,
                         const struct simulate_report *report, struct err *e)
{
	struct simulate_row row = { .time_s = time_s, .added = added };

	if (count_event(s, e) < 0)
		return -1;
	if (added > 0) {
		if (retain_mark(s->plan->policy, s->points, s->n, s->verdicts, e) < 0)
			return -1;
		row.removed = remove_points(s);
	}
	row.points = s->n;
	if (s->n > 0)
		row.oldest_age_s = time_s - s->points[0].received_ns / NS_PER_S;
	return report->row(report->arg, &row, e);
}

static int check_times(const struct simulate_times *t, const char *what, struct err *e)
{
	if (!t->cron && (t->period_s < 1 || t->period_s > SIMULATE_END_S))
		return err_set(e, ERR_INVALID,
		               "the period of %s is %lld s; it goes from 1 s to %lld s", what,
		               (long long)t->period_s, (long long)SIMULATE_END_S);
	return 0;
}

static int check_plan(const struct simulate_plan *plan, struct err *e)
{
	struct retain_verdict none;

	if (plan->start_s < 0 || plan->start_s >= SIMULATE_END_S)
		return err_set(e, ERR_INVALID,
		               "a simulation cannot start at %lld s; it lies between 1970 and 2262",
		               (long long)plan->start_s);
	if (plan->length_s < 1 || plan->length_s > SIMULATE_END_S - plan->start_s)
		return err_set(e, ERR_INVALID,
		               "a simulation cannot take %lld s; it ends after it starts, and "
		               "before 2262",
		               (long long)plan->length_s);
	if (check_times(&plan->backups, "backups", e) < 0)
		return -1;
	return retain_mark(plan->policy, NULL, 0, &none, e);
}

int simulate_run(const struct simulate_plan *plan, const struct simulate_report *report,
                 struct err *e)
{
	CLEANUP(simulation_clear) struct simulation s = { .plan = plan };
	struct cron midnight;

	if (check_plan(plan, e) < 0 || cron_parse(&midnight, "@daily", e) < 0)
		return -1;
	s.retention = plan->retention;
	if (!s.retention.cron && s.retention.period_s == 0)
		s.retention.cron = &midnight;
	if (check_times(&s.retention, "retention", e) < 0)
		return -1;
	s.end_s = plan->start_s + plan->length_s;
	int64_t run_s = next_time(&s, &s.retention, plan->start_s);
	int64_t at_s = next_time(&s, &plan->backups, plan->start_s - 1);
	while (run_s >= 0 && run_s <= s.end_s) {
		const uint64_t before = s.sequence;

		for (; at_s >= 0 && at_s < s.end_s && at_s <= run_s;
		     at_s = next_time(&s, &plan->backups, at_s)) {
			if (add_point(&s, at_s, e) < 0)
				return -1;
		}
		if (run_retention(&s, run_s, s.sequence - before, report, e) < 0)
			return -1;
		run_s = next_time(&s, &s.retention, run_s);
	}
	for (; at_s >= 0 && at_s < s.end_s; at_s = next_time(&s, &plan->backups, at_s)) {
		if (add_point(&s, at_s, e) < 0)
			return -1;
	}
	if (retain_mark(plan->policy, s.points, s.n, s.verdicts, e) < 0)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (report->left(report->arg, &s.points[i], &s.verdicts[i], e) < 0)
			return -1;
	}
	return 0;
}
