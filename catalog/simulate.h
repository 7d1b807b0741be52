/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a retention policy would do over time: backups of one volume as a
 * schedule would make them, retention as often as it would run, and what is
 * there after each run. By retain_mark(), so nothing is decided here. Pure:
 * all times are arguments.
 */
#ifndef AKSDR_CATALOG_SIMULATE_H
#define AKSDR_CATALOG_SIMULATE_H

#include <stdint.h>

#include "catalog/retain.h"
#include "common/cron.h"

#define SIMULATE_EVENTS_MAX 5000000        /* backups and runs of retention together */
#define SIMULATE_END_S INT64_C(9214646400) /* 2262-01-01: in ns, time ends in that year */

/* When something happens: at the times of cron; or, when that is NULL, every period_s. */
struct simulate_times {
	const struct cron *cron;
	int64_t period_s; /* counted from the start */
};

struct simulate_plan {
	const struct retain_policy *policy; /* NULL: nothing goes */
	struct simulate_times backups;      /* at or after the start, before the end */
	struct simulate_times retention; /* after the start, up to the end; { 0 }: daily at 00:00 */
	int64_t start_s, length_s;       /* start: since 1970; length: more than 0 */
};

/* A run of retention. A backup at the same second comes before it. */
struct simulate_row {
	int64_t time_s;
	uint64_t points;         /* that are left */
	uint64_t added, removed; /* since the row before, and by this run */
	int64_t oldest_age_s;    /* of the points that are left; 0 without any */
};

/* Each returns 0, or -1 with e, which ends the simulation. */
struct simulate_report {
	int (*row)(void *arg, const struct simulate_row *row, struct err *e); /* by time */
	/*
	 * After the last row: the points at the end, oldest first, as the next run would judge
	 * them. Their sequence counts from 1, they are received when they are made, and their
	 * session is "".
	 */
	int (*left)(void *arg, const struct retain_point *pt, const struct retain_verdict *v,
	            struct err *e);
	void *arg;
};

/*
 * Takes the memory of the points that are there at one time, and the time of
 * judging those at each run that found new ones.
 *   ERR_INVALID  a time, a length or a period is out of its range, or the
 *                policy has no rule
 *   ERR_TOO_BIG  over SIMULATE_EVENTS_MAX
 *   ERR_NOMEM, and what the report's functions return
 */
MUST_CHECK int simulate_run(const struct simulate_plan *plan, const struct simulate_report *report,
                            struct err *e);

#endif
