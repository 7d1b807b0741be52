/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backup of one claim whose view is there: who reads it is found, does what agent/job.h does,
 * and tells what came of it.
 */
#ifndef AKSDR_AGENT_CLAIM_JOB_H
#define AKSDR_AGENT_CLAIM_JOB_H

#include "agent/job.h"
#include "agent/policy.h"
#include "snapshot/csi.h"

struct claim_job {
	const struct csi_run *run;
	const struct csi_claim *claim;
	const struct moment_volume *view;
	const struct job_params *job;   /* its moment has the view */
	const struct repo *repo;        /* for a view that is read at this node */
	const json_t *template;         /* of movers; NULL: there is none */
	enum policy_reader reader;      /* auto: as docs/KUBERNETES.md says */
	const char *node;               /* this one; NULL: not told */
	const char *pod;                /* ours, in the run's namespace; NULL: none */
	const char *kubelet_dir;        /* NULL: not told, and the usual one */
	enum snapshot_consistency want; /* with strict: a view of less makes no point */
	bool strict;
};

/* The arguments of a mover for it. NULL with e. The caller decrefs. */
json_t *claim_job_args(const struct claim_job *j, struct err *e);

/* ERR_UNSUPPORTED: the view is of less consistency than wanted, and that makes no point. */
MUST_CHECK int claim_job_check(const struct claim_job *j, struct err *e);

/*
 * Runs to the commit. On success the caller clears *ret. What a mover asks of the store is added to
 * moved: the repository's own store counts the rest.
 *   ERR_UNSUPPORTED  there is no way to read it: no template for a mover, no node that is ours;
 *                    or the view is of less consistency than wanted
 * and what mover_run(), or holder_open() and job_backup() say.
 */
MUST_CHECK int claim_job_run(const struct claim_job *j, struct point *ret,
                             struct store_traffic *moved, struct err *e);

#endif
