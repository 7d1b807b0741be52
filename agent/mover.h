/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mover: a pod that reads a view and stores it, while we wait. It has the store and the keys from
 * a template, the view as a volume, no token and no rights in the cluster; what came of it is its
 * termination message (agent/given.h).
 */
#ifndef AKSDR_AGENT_MOVER_H
#define AKSDR_AGENT_MOVER_H

#include "common/json.h"
#include "repo/point.h"
#include "snapshot/csi.h"

#define MOVER_CONTAINER "mover"
#define MOVER_VIEW "/view"             /* where a file system is mounted */
#define MOVER_DEVICE "/dev/aksdr-view" /* or the block device is */
#define MOVER_RESULT "/dev/termination-log"

struct mover_params {
	const struct csi_run *run;
	const struct csi_claim *claim;
	const json_t *template; /* PodTemplate-like: metadata, spec */
	const char *node;       /* that it must run on; NULL: any */
	const json_t *args;     /* texts behind the program's name */
	const json_t *env;      /* an array of variables besides the template's; or NULL */
	bool writable;          /* the view is a clone: the file system may put itself right */
};

/*
 * Reads a template, JSON or YAML.
 *   ERR_INVALID  there is no container of that name in it
 */
MUST_CHECK json_t *mover_template(const char *path, struct err *e);

/* The pod. Pure. NULL with e. The caller decrefs. */
json_t *mover_pod(const struct mover_params *p, struct err *e);

/*
 * What the state of a pod says. Pure. 1: it has ended, *ret_result is its message (borrowed from
 * pod; "" when it left none); 0: not yet, and *ret_waits is why it does not run, "" when it does;
 * -1: it never will.
 */
int mover_state(const json_t *pod, const char **ret_result, const char **ret_waits, struct err *e);

/*
 * Makes the pod, waits for its end, and tells what it logged in our own log. On success *ret as of
 * given_result_read(). The pod is removed with the view.
 *   ERR_RETRY      it did not begin within the run's stuck_ms, or was taken away
 *   ERR_IO         it ended without a result, and how
 *   ERR_CANCELLED
 * and what the mover says.
 */
MUST_CHECK int mover_run(const struct mover_params *p, struct point *ret, uint64_t *ret_requests,
                         struct err *e);

#endif
