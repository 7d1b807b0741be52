/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policies of a cluster let go: by which retention the points of a volume are judged, and
 * when that is done again. Nothing goes of a volume whose claim is not there, is about to go, is
 * paused, or falls under no policy with a retention: who takes a policy away, or stops a backup,
 * wants to keep what there is. Pure.
 */
#ifndef AKSDR_AGENT_RETENTION_H
#define AKSDR_AGENT_RETENTION_H

#include "agent/world.h"

#define RETENTION_EVERY_S 3600

/* What was done last, and has changed since. All zero: nothing was done yet. */
struct retention_clock {
	bool ran;
	int64_t ran_s;  /* when */
	uint64_t rules; /* of the world then */
	bool failed;    /* not all that was to go went */
	bool came;      /* restore points came since */
};

/* Whether it is to be done now: once an hour at most, and for a reason. rules: of the world. */
bool retention_due(const struct retention_clock *c, uint64_t rules, int64_t now_s);

/* The retention of one policy, and what came of it. */
struct retention_rule {
	char *ns, *name; /* of the policy */
	struct retain_policy policy;
	size_t expired; /* points that went */
	char *why;      /* not all went that was to go: the first reason; or NULL */
};

struct retention {
	struct retention_rule *v; /* by namespace and name */
	size_t n;
};

/* A copy of those of all policies that can be used and have one. ERR_NOMEM. */
MUST_CHECK int retention_read(const struct world *w, struct retention *ret, struct err *e);
void retention_clear(struct retention *t);

struct retention_rule *retention_find(const struct retention *t, const char *ns, const char *name);

/* By which one the points of this claim are judged now; NULL: nothing of it goes. */
struct retention_rule *retention_of(const struct retention *t, const struct world *w,
                                    const char *ns, const char *claim);

/* Not all went; the first reason stays. */
void retention_fails(struct retention_rule *rule, const char *why);

#endif
