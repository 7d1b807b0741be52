/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository that several processes work in at the same time, in a directory
 * of its own: the store, keys, late calls, sources, local states, and the book,
 * in which everybody writes down what he is about to do and what came of it,
 * so that it can be compared later with what is in the store.
 */
#ifndef AKSDR_TESTS_STORM_WORLD_H
#define AKSDR_TESTS_STORM_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/gc.h"
#include "repo/repo.h"
#include "tests/harness/storm_store.h"
#include "tests/harness/storm_tree.h"

#define STORM_VOLUMES 3
#define STORM_BAD 9 /* exit status of a process that has seen something that must not be */

/* What all processes share while they run. */
struct storm_shared {
	atomic_bool stop; /* come to an end */
	atomic_uint commits, fenced, failed, collections, waits, tombs, holds, restores, checks;
};

struct storm_world {
	const char *dir;
	uint64_t seed;
	unsigned files; /* of a tree */
	bool trace;     /* every call to the store is written down */
	struct storm_shared *shared;
};

/* Makes the directories and the repository. */
void storm_world_make(const struct storm_world *w);

/* One line in the book. */
void storm_note(const struct storm_world *w, const char *who, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Something that must not be: it is noted, told on stderr, and the process ends. */
void storm_bad(const struct storm_world *w, const char *who, const char *fmt, ...) PRINTF_LIKE(3, 4)
	__attribute__((noreturn));

/* A way into the repository. */
struct storm_door {
	struct store *store;
	struct repo *agent, *recovery;
	int trace_fd;
};

/*
 * Opens it as `who`, whose local state is in state/NAME. weather NULL: it is fair, and late calls
 * stay where they are.
 */
MUST_CHECK int storm_door_open(const struct storm_world *w, const char *who, const char *state,
                               const struct storm_weather *weather, uint64_t seed,
                               struct storm_door *ret, struct err *e);
/* The same over a store of the caller's making. */
MUST_CHECK int storm_door_open_in(const struct storm_world *w, const char *state,
                                  struct store *take_store, struct storm_door *ret, struct err *e);
void storm_door_close(struct storm_door *d);

/* The store itself, without any weather. */
MUST_CHECK struct store *storm_store(const struct storm_world *w, struct err *e);

/* Which tree a point is of is in its set. */
void storm_set_of(unsigned volume, unsigned step, char ret[33]);
bool storm_tree_of_set(const struct storm_world *w, const char *set, struct storm_tree *ret);

struct point_volume storm_volume(unsigned volume);
const char *storm_domain(unsigned volume);

/* Backs dir/name up, which has the tree. set: of the point. */
MUST_CHECK int storm_backup(const struct storm_world *w, const struct storm_door *d,
                            const char *name, const struct storm_tree *t, const char *set,
                            struct point *ret, struct err *e);

/* Restores a point and compares. 1: it is right. 0: it is not. -1: e. */
MUST_CHECK int storm_restore(const struct storm_world *w, const struct storm_door *d,
                             const char *out, const struct point *p, struct err *e);

/* Collects what there is to collect, without waiting for anybody. */
extern const struct gc_params storm_eager;

#endif
