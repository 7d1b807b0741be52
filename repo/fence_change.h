/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fencing, giving back, and taking late points after all (docs/REGIONS.md).
 * Each is one or two revisions of the config; r is opened with the admin's
 * recovery key, and goes by the newest one afterwards. Whoever was stopped runs
 * the same again: what is done already is no error.
 *
 * All of them (dry_run: it is looked whether it can be done, and nothing is written):
 *   ERR_DENIED  r's key is not the admin's
 *   ERR_BUSY    the config was changed by somebody else meanwhile
 */
#ifndef AKSDR_REPO_FENCE_CHANGE_H
#define AKSDR_REPO_FENCE_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/fence.h"

#define FENCE_REASON_MAX 256 /* bytes, with a NUL */

/* What is to be fenced, or given back: that much of a volume's name as depth says. */
struct fence_target {
	struct point_volume volume;
	enum fence_depth depth;
};

struct fence_order {
	const struct fence_target *targets; /* together one fence */
	size_t n;
	const char *reason;    /* required */
	const char *successor; /* who goes on; NULL or "": nobody */
	bool dry_run;
};

struct fence_result {
	uint64_t epoch;    /* of the fence, or of its lifting */
	uint64_t revision; /* of the config that says so */
	uint64_t points; /* that are in the list of what counts; of all volumes of the repository */
	bool already;    /* it was so before */
};

/*
 * Fences. Two revisions: one that announces it, by which writers stop, and one that names the list
 * of the points that are there then. Between them all points count.
 *   ERR_INVALID  no target, no reason, or texts that are too long or not UTF-8
 *   ERR_TOO_BIG  there are FENCES_MAX fences, or too many points
 */
MUST_CHECK int fence_raise(struct repo *r, const struct fence_order *order,
                           struct fence_result *ret, struct err *e);

/*
 * Gives back: who opens the repository from then on makes points that count again. Points from
 * before stay as they are.
 *   ERR_NOT_FOUND  there is no fence of exactly these targets (the message lists what there is)
 *   ERR_INVALID    as above; or the fence is not complete
 */
MUST_CHECK int fence_lift(struct repo *r, const struct fence_order *order, struct fence_result *ret,
                          struct err *e);

/*
 * Takes points after all, which came late, or which the store did not show when their site was
 * fenced, by another list of every fence. sessions: names of commits that are there.
 *   ERR_NOT_FOUND  there is no such restore point
 *   ERR_INVALID    its fence is not complete
 */
MUST_CHECK int fence_accept(struct repo *r, const char *const *sessions, size_t n, bool dry_run,
                            struct fence_result *ret, struct err *e);

#endif
