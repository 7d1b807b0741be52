/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is known of the cluster, and the time: what this agent should begin, and when to look
 * again. Pure, but for notes that it keeps with each claim (struct world_plan), so that a pass over
 * claims of which nothing has changed is a few comparisons each; all are judged anew after a policy
 * changed.
 */
#ifndef AKSDR_AGENT_PLANNER_H
#define AKSDR_AGENT_PLANNER_H

#include "agent/world.h"
#include "snapshot/snapshot.h"

#define PLANNER_BUSY_S 30 /* after a run that found its Lease taken */

/* Who we are. */
struct planner_me {
	const char *node;
	bool begins; /* else nothing is to be begun, and claims are judged for reports */
};

/*
 * Judges every claim of which something has changed, or whose time has come. Returns when to look
 * again; SCHED_NEVER: when something changes.
 */
int64_t planner_pass(struct world *w, const struct planner_me *me, int64_t now_s);

/* What one command backs up: a claim, or members of a set. */
struct planner_run {
	struct world_claim *claims[SNAPSHOT_SET_MAX]; /* borrowed */
	size_t n;
	const struct policy *policy; /* borrowed */
	const char *set;             /* "" when alone */
	int64_t slot_s;
};

/*
 * Behind a pass: what begins now, at most max runs into ret, where at most limit claims run at once
 * (a set that is larger runs alone). What is begun the caller notes by planner_began(). -1: no
 * memory.
 */
MUST_CHECK int planner_pick(const struct world *w, int64_t now_s, size_t limit,
                            struct planner_run *ret, size_t max, size_t *ret_n, struct err *e);

void planner_began(struct world_claim *c);

enum planner_end {
	PLANNER_DONE,   /* there is a point */
	PLANNER_FAILED, /* there is none */
	PLANNER_BUSY    /* somebody else has the claim: no failure */
};
/* why: it failed, where its Lease does not tell; or NULL. */
void planner_ended(struct world_claim *c, enum planner_end how, const char *why, int64_t slot_s,
                   int64_t now_s);

/* ---- reports ---- */

/* Behind a pass: whether the claim has no restore point that is young enough for its policy. */
bool planner_exposed(const struct world *w, const struct world_claim *c, int64_t now_s);

/* Why, as a sentence. */
struct planner_why {
	char s[ERR_MSG_MAX];
};
struct planner_why planner_why(const struct world *w, const struct world_claim *c);

#endif
