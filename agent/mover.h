/* SPDX-License-Identifier: Apache-2.0 */
/* A mover: a pod (kube/worker.h) that reads a view and stores it (agent/given.h), while we wait. */
#ifndef AKSDR_AGENT_MOVER_H
#define AKSDR_AGENT_MOVER_H

#include "kube/worker.h"
#include "repo/point.h"
#include "snapshot/csi.h"

#define MOVER_ROLE "mover"             /* label aksdr.io/role of the pod */
#define MOVER_VIEW "/view"             /* where a file system is mounted */
#define MOVER_DEVICE "/dev/aksdr-view" /* or the block device is */

struct mover_params {
	const struct csi_run *run;
	const struct csi_claim *claim;
	const json_t *template; /* PodTemplate-like: metadata, spec */
	const char *node;       /* that it must run on; NULL: any */
	const json_t *args;     /* texts behind the program's name */
	const json_t *env;      /* an array of variables besides the template's; or NULL */
	bool writable;          /* the view is a clone: the file system may put itself right */
};

/* The pod. Pure. NULL with e. The caller decrefs. */
json_t *mover_pod(const struct mover_params *p, struct err *e);

/*
 * Makes the pod, waits for its end, and tells what it logged in our own log. On success *ret as of
 * given_result_read(). What it asked of the store is added to traffic. The pod is removed with the
 * view.
 *   ERR_RETRY      it did not begin within the run's stuck_ms, or was taken away
 *   ERR_IO         it ended without a result, and how
 *   ERR_CANCELLED
 * and what the mover says.
 */
MUST_CHECK int mover_run(const struct mover_params *p, struct point *ret,
                         struct store_traffic *traffic, struct err *e);

#endif
