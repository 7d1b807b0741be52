/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a volume is due, and which of those that are due run next. Pure: the clock is an argument,
 * and what is known of earlier runs is a record that the caller keeps (in the volume's Lease).
 *
 * A slot is a firing of the schedule, without the jitter: it names a run, whoever makes it.
 */
#ifndef AKSDR_AGENT_SCHED_H
#define AKSDR_AGENT_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cron.h"
#include "common/zone.h"

#define SCHED_NONE INT64_C(-1)
#define SCHED_NEVER INT64_MAX
#define SCHED_RETRY_S 60 /* after the first failure; doubled with each */
#define SCHED_RETRY_MAX_S 3600

struct sched_rule {
	const struct cron *cron;
	const struct zone *zone; /* NULL: UTC */
	int64_t jitter_s;
	const char *key; /* the claim's uid, or the name of its set, so that a set has one share */
};

/* What is known of the runs of a volume. */
struct sched_record {
	int64_t since_s;   /* when claim and policy were there: before it nothing was missed */
	int64_t done_s;    /* slot of the last run that made a point; SCHED_NONE */
	int64_t tried_s;   /* slot of the last run that ended without one; SCHED_NONE */
	int64_t ended_s;   /* when that was */
	unsigned failures; /* runs without a point since the last one with */
	bool running;
};

struct sched_verdict {
	bool due;
	int64_t slot_s; /* that is due; SCHED_NONE */
	int64_t at_s;   /* due: since when. Else: when to look again; SCHED_NEVER */
};

/* The share of a key: 0 to jitter_s - 1, evenly over keys, always the same for one. */
int64_t sched_share(const char *key, int64_t jitter_s);

/* The last firing at or before at_s; SCHED_NONE: none in the eight years before it. */
int64_t sched_slot(const struct cron *c, const struct zone *z, int64_t at_s);

/*
 * Due is the last slot whose time (with the share) has come, when there has been no point of it:
 * of several that were missed only this one. For a volume without any point since_s is a slot too,
 * so that it need not wait for the first firing. After failures the time between tries grows to an
 * hour, and ends when the next slot comes.
 *
 * A record from the future (the clock was ahead, and was put right) holds for the slot that comes
 * next, but not for later ones: else a volume could wait for years.
 */
struct sched_verdict sched_due(const struct sched_rule *r, const struct sched_record *last,
                               int64_t now_s);

/* ---- what runs next on a node ---- */

struct sched_item {
	int64_t slot_s;
	const char *uid;
	const char *set; /* members of a set begin together; "" */
	bool running;
};

/*
 * Which items begin now, into ret (room for n; numbers in items), in the order they begin: oldest
 * slot first, then by set and uid. At most limit run at once; a set that is larger than that begins
 * when nothing runs. What is first in order is waited for: nothing overtakes it, so that nothing
 * starves. Returns how many; items that run are counted, and never returned.
 */
size_t sched_pick(const struct sched_item *items, size_t n, size_t limit, size_t *ret);

#endif
