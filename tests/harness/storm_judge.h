/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold when nobody is at work: every point that was acknowledged and
 * not expired is there and comes back byte for byte, nothing that was expired
 * lives again, a check of all levels is clean, the next backup and collection of
 * everybody work, and a second collection finds nothing.
 */
#ifndef AKSDR_TESTS_STORM_JUDGE_H
#define AKSDR_TESTS_STORM_JUDGE_H

#include "tests/harness/storm_world.h"

struct storm_verdict {
	unsigned points, tried, acknowledged, expired; /* of all that the book tells */
	unsigned unknown; /* attempts that were told failed, or not at all, and have their point */
};

enum storm_judge_flags {
	STORM_JUDGE_ALL = 1,   /* every point is restored; else some */
	STORM_JUDGE_QUIET = 2, /* nobody is alive: late calls are over, what is left is bounded */
	STORM_JUDGE_FOUND = 4  /* collections may refuse to work: the store lied */
};

/* Ends the process with STORM_BAD when something does not hold. */
struct storm_verdict storm_judge(const struct storm_world *w, unsigned flags);

#endif
