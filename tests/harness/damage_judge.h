/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold of a repository that was damaged: nothing wrong is ever
 * restored; what is lost is told; a collection takes nothing that was there;
 * the next backup and a repair lead to a state of which the check tells the
 * truth.
 */
#ifndef AKSDR_TESTS_DAMAGE_JUDGE_H
#define AKSDR_TESTS_DAMAGE_JUDGE_H

#include "tests/harness/damage_world.h"

enum damage_fate {
	DAMAGE_COMES_BACK,
	DAMAGE_FAILS, /* with an error */
	DAMAGE_WRONG  /* something else comes back */
};

struct damage_verdict {
	enum damage_fate fates[DAMAGE_POINTS]; /* of live points, before anything else is done */
	enum err_class classes[DAMAGE_POINTS]; /* of those that fail */
	unsigned lost;
	/* A pin is gone or damaged: the point that it keeps, which is expired, may go. */
	bool unpinned;
	bool unseen;               /* DAMAGE_UNSEEN */
	bool told;                 /* by a check of level 4, with a recovery key */
	bool told3;                /* of level 3, with an agent's or an audit key */
	char first[ERR_MSG_MAX];   /* the first that was told */
	bool collects;             /* a collection does its work */
	char refuses[ERR_MSG_MAX]; /* why not */
	unsigned silent;           /* what must not be */
	char silences[2000];       /* a line for each */
};

enum damage_legs {
	DAMAGE_LEG_COLLECT = 1, /* on a copy */
	DAMAGE_LEG_REPAIR = 2,  /* the next backup, a repair, another backup, a collection */
	DAMAGE_UNSEEN = 4,      /* no check can see what is lost */
	DAMAGE_TWICE = 8        /* its content is stored twice, and lists do not show the damage */
};

void damage_judge(const struct damage_world *w, struct damage_store *s, unsigned legs,
                  struct damage_verdict *ret);

#endif
