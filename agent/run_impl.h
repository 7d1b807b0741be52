/* SPDX-License-Identifier: Apache-2.0 */
/* Within agent/run*.c: what the daemon's threads share. */
#ifndef AKSDR_AGENT_RUN_IMPL_H
#define AKSDR_AGENT_RUN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/planner.h"
#include "agent/retention.h"
#include "agent/run.h"
#include "agent/runner.h"
#include "kube/event.h"
#include "kube/kube.h"
#include "kube/watch.h"

#define RUN_ARGS_MAX 24

struct run;
struct metrics;
struct page;

struct run_feed { /* one watch */
	struct run *run;
	enum world_kind kind;
	struct watch *watch;
	bool trouble; /* was logged; its thread's alone */
};

struct run_locker { /* run_lock.c */
	pthread_t thread;
	bool started;                 /* and not joined; the keeper's alone */
	atomic_int_fast64_t tried_ns; /* when it was last, by the monotonic clock; 0: never */
	atomic_bool runs;             /* it is at work */
	atomic_bool failed;           /* the last time not all was locked that was to be */
};

struct run {
	const struct run_params *p;
	struct kube *kube;
	struct events *events;
	struct planner_me me;
	struct runner *runner;
	struct runner_params runner_params;
	const char *args[RUN_ARGS_MAX];
	char *env[8];
	char agents[256]; /* label selector */
	char fields[300]; /* field selector */
	struct run_feed feeds[WORLD_KINDS];
	int wake; /* eventfd: something has changed */
	int look; /* eventfd: the keeper is to look now */

	pthread_mutex_t lock; /* of the world */
	struct world *world;
	struct retention retention; /* what came of it last; none before */

	int64_t inventoried_ns;          /* when, by the monotonic clock; 0: never; as the next: */
	bool uninventoried;              /* it was said that there is none */
	struct retention_clock retained; /* the keeper's alone */
	atomic_bool unretained;          /* not all that was to go went, the last time */
	atomic_uint_fast64_t expired;    /* points */

	atomic_bool store_ready, leads;
	atomic_bool store_failed;    /* the last look at it */
	atomic_int_fast64_t ends_ns; /* store_ends() of that look */
	atomic_bool fenced;          /* the cluster as a whole: nothing is begun, nothing expires */
	atomic_int_fast64_t ticked_ns; /* when the main loop was last there */
	atomic_uint_fast64_t runs[3];  /* that ended: with points, without, somebody else's */
	atomic_uint running;

	pthread_mutex_t metrics_lock;
	/* With that lock: */
	struct metrics *metrics;      /* what the catalog told last; or NULL */
	struct store_traffic traffic; /* of our looks, and of runs that have ended */

	struct kube *page_kube; /* asks of its visitors, and gives up early; or NULL */
	struct page *page;      /* or NULL */

	struct run_locker locker;

	pthread_t keeper, leader; /* run_keep.h */
	bool keeps, leading;      /* they were started */
	atomic_bool failed;       /* a thread found what ends the agent: */
	struct err why;           /* with the lock */
	struct cancel stop;       /* of our threads */
};

int64_t run_now_s(void);
void run_wake(struct run *r);
/* What was asked of the store, for the metrics: by another process; by us, of one that ends. */
void run_traffic(struct run *r, const struct store_traffic *more);
void run_asked(struct run *r, struct store *s);
/* Ends the daemon with this error. */
void run_fail(struct run *r, const struct err *why);

/* run_watch.c: starts and ends the watches; policies of a directory are read here. */
MUST_CHECK int run_watch_start(struct run *r, struct err *e);
void run_watch_stop(struct run *r);

#endif
