/* SPDX-License-Identifier: Apache-2.0 */
/* Some threads that do one job together, each with a part of its own, until all are done. */
#ifndef AKSDR_COMMON_TEAM_H
#define AKSDR_COMMON_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"

/* A number that threads take from, each value once. */
struct team_tasks {
	atomic_size_t next;
	size_t n;
};
static inline bool team_take(struct team_tasks *t, size_t *ret)
{
	size_t i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);

	*ret = i;
	return i < t->n;
}

/*
 * Runs fn(arg, i, stop, e) for i below `threads` (at least 1), each in a thread called `name`, and
 * waits for all. A function looks at *stop now and then: it is set once another one has failed.
 * Where threads cannot be had, fewer do the work, down to the caller alone; so fn takes its
 * tasks from a common store, and not by its number. -1: the first failure.
 */
MUST_CHECK int team_run(unsigned threads, const char *name,
                        int (*fn)(void *arg, unsigned i, const atomic_bool *stop, struct err *e),
                        void *arg, struct err *e);

/* How many threads to use: `want`, or for 0 as many as CPUs; at most `max`. */
unsigned team_size(unsigned want, unsigned max);

#endif
