/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of an object: one change, that follows from a number. */
#ifndef AKSDR_TESTS_DAMAGE_MUTATE_H
#define AKSDR_TESTS_DAMAGE_MUTATE_H

#include "tests/harness/damage_world.h"

enum damage_how {
	DAMAGE_FLIP,       /* a bit */
	DAMAGE_CUT,        /* the end is missing */
	DAMAGE_APPEND,     /* bytes behind the end */
	DAMAGE_ZEROS,      /* of the same length */
	DAMAGE_DELETE,     /* it is gone */
	DAMAGE_SWAP_SAME,  /* exchanged with another object of its prefix */
	DAMAGE_SWAP_OTHER, /* exchanged with another object of another prefix */
	DAMAGE_REPLAY,     /* another object of its prefix is there twice */
	DAMAGE_FOREIGN,    /* one of another repository */
	DAMAGE_HOWS
};

extern const char *const damage_how_names[DAMAGE_HOWS];

struct damage_case {
	size_t object; /* number in the world */
	enum damage_how how;
	uint64_t arg; /* where, how much, with which other one */
};

/* What was done, for people and for the list of what is harmless. */
struct damage_done {
	char text[400];
	uint64_t off;          /* DAMAGE_FLIP: of the byte; DAMAGE_CUT: the new length */
	char other[160];       /* the other object; "" : none */
	enum damage_kind with; /* its kind */
};

/* How many different args are worth a try of each object; more are at random. */
unsigned damage_args(enum damage_how how);

/* False: there is no such case (nothing to exchange it with), and nothing was changed. */
bool damage_apply(const struct damage_world *w, const struct damage_world *foreign,
                  const struct damage_case *c, struct damage_store *s, struct damage_done *ret);

#endif
