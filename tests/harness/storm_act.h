/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole acts in a repository of tests/harness/storm_world.h, each by one call: what programs do
 * there, once, and a repository in which each of them has something to do.
 */
#ifndef AKSDR_TESTS_STORM_ACT_H
#define AKSDR_TESTS_STORM_ACT_H

#include "tests/harness/storm_world.h"

struct storm_act {
	const char *name;
	/* What it may be told when others are at work: fenced, overtaken, late. ERR_NONE: none */
	enum err_class told;
	/* who: of the book, and of his sources. -1 with e; what must not be ends the process. */
	int (*run)(const struct storm_world *w, const struct storm_door *d, const char *who,
	           struct err *e);
};

extern const struct storm_act storm_act_all[];
extern const size_t storm_act_count;

/* By name; NULL: there is none. */
const struct storm_act *storm_act_find(const char *name);

/*
 * Three volumes, a collection that is done, an expired point, packs of which half is
 * garbage, a session that did not end, and one of the state STORM_ACT_DEAD that can be resumed.
 */
#define STORM_ACT_DEAD "dead"
void storm_act_make_base(const struct storm_world *w);

/* A copy of the world in `base`. */
void storm_act_copy_base(const char *base, const char *dir);

#endif
