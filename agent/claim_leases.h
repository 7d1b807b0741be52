/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claims of one backup: their Leases are ours from before anything is made until all of it is
 * gone, and say in their annotations what was begun, what is made, and how it ended
 * (claim_record.h). What a run that died has left is removed when its Lease is taken.
 */
#ifndef AKSDR_AGENT_CLAIM_LEASES_H
#define AKSDR_AGENT_CLAIM_LEASES_H

#include "agent/claim_record.h"
#include "common/cancel.h"
#include "kube/lease.h"
#include "repo/point.h"
#include "snapshot/csi.h"

struct claim_leases_params {
	const char *agent_ns; /* NULL: where we are */
	const char *node;     /* that we run on; NULL: not told */
	const char *class;    /* VolumeSnapshotClass; NULL or "": found */
	int64_t slot_s;       /* SCHED_NONE: now */
	/* Requested when a Lease is lost, and ends waiting. */
	struct cancel *cancel;
};

struct claim_leases_held {
	struct lease *lease; /* NULL: not taken */
	struct claim_record record;
	json_t *names; /* what is there, or was left by one before and could not be removed */
};

struct claim_leases {
	struct kube *kube;
	struct csi_run run;
	struct claim_leases_held *held; /* of run.claims */
};
#define CLAIM_LEASES_NONE ((struct claim_leases){ .kube = NULL })

/*
 * Reads the claims of these origins, takes their Leases, removes what is left of earlier runs, and
 * notes what is to be made. params must outlive c, which claim_leases_close() takes in any case.
 *   ERR_BUSY  somebody else backs one of them up, or has done so for this
 *             slot: nothing was begun
 * and what kube_open() and csi_load() say.
 */
MUST_CHECK int claim_leases_open(struct claim_leases *c, const struct claim_leases_params *params,
                                 const char *const *origins, size_t n, struct err *e);

/*
 * The run of claim i has ended, with a point or (p NULL) why not, and its view is given up. message
 * (may be NULL): what people should know of a point. Told to its Lease; what cannot be is logged.
 */
void claim_leases_end(struct claim_leases *c, size_t i, const struct point *p,
                      const struct err *why, const char *message);

/* Whether all Leases are still ours; else e says which one is not (ERR_BUSY). */
MUST_CHECK int claim_leases_check(const struct claim_leases *c, struct err *e);

void claim_leases_close(struct claim_leases *c);

#endif
