/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads that work through the numbers 0 .. n-1 together, again and again. */
#ifndef AKSDR_RESTORE_CREW_H
#define AKSDR_RESTORE_CREW_H

#include <stddef.h>

#include "common/clean.h"

struct crew;

/*
 * threads >= 1; the caller of crew_run() is one of them. NULL: no memory, or no threads to be
 * had.
 */
MUST_CHECK struct crew *crew_new(unsigned threads);
void crew_free(struct crew *c);

/*
 * Calls fn(arg, i) for each i below n, in any order and from several threads; returns when all
 * are done.
 */
void crew_run(struct crew *c, size_t n, void (*fn)(void *arg, size_t i), void *arg);

#endif
