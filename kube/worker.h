/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod that does one job on one claim, while we wait: the store and keys come from a template, the
 * claim is mounted, it has no token and no rights in the cluster, and what came of it is its
 * termination message. What it says is said in our log, too.
 */
#ifndef AKSDR_KUBE_WORKER_H
#define AKSDR_KUBE_WORKER_H

#include "kube/kube.h"

#define WORKER_CONTAINER "mover"
#define WORKER_RESULT "/dev/termination-log"
#define WORKER_STUCK_MS 600000 /* that it may take until it begins */

struct worker_params {
	const char *ns, *name;
	const json_t *labels, *annotations; /* besides the template's; or NULL */
	const json_t *template;             /* PodTemplate-like: metadata, spec */
	const char *node;                   /* that it must run on; NULL: any */
	const json_t *zones;                /* or one of these; NULL or empty: any */
	const json_t *args;                 /* texts behind the program's name */
	const json_t *env;                  /* variables besides the template's; or NULL */
	const char *claim;                  /* that is mounted, of the same namespace */
	bool block;
	bool claim_readonly; /* the volume is attached read-only */
	bool mount_readonly; /* of a file system */
	const char *path;    /* where it is mounted, or its device is */
};

/*
 * Reads a template, JSON or YAML.
 *   ERR_INVALID  there is no container of that name in it
 */
MUST_CHECK json_t *worker_template(const char *path, struct err *e);
/* The container of that name of a pod's spec; NULL: there is none. Borrowed. */
json_t *worker_container(json_t *spec);

/* The pod. Pure. NULL with e. The caller decrefs. */
json_t *worker_pod(const struct worker_params *p, struct err *e);

/*
 * What the state of a pod says. Pure. 1: it has ended, *ret_result is its message (borrowed from
 * pod); 0: it has not, *ret_waits says what it waits for, "" when it runs (borrowed); -1: it has
 * ended without a result, or was taken away.
 *   ERR_RETRY  it was evicted, or deleted: another try may work
 *   ERR_IO     it ended without a message of ours
 */
MUST_CHECK int worker_state(const json_t *pod, const char **ret_result, const char **ret_waits,
                            struct err *e);

/* Looks at the pod every so often until it has ended. */
struct worker_wait {
	struct kube *kube;
	const char *ns, *name;
	const char *what;            /* whose it is, for the log: "shop/orders" */
	int64_t stuck_ms;            /* 0: WORKER_STUCK_MS */
	const struct cancel *cancel; /* may be NULL */
	/* Each line that it said, without its time, unless NULL; 1: it is not for our log. */
	int (*line)(void *arg, const char *line);
	void *arg;
};
/*
 * *ret_pod (the caller decrefs) has the result in it, *ret_result: its message, borrowed.
 * Errors as worker_state(); ERR_RETRY: it did not begin in time, and why.
 */
MUST_CHECK int worker_wait(const struct worker_wait *w, json_t **ret_pod, const char **ret_result,
                           struct err *e);

/*
 * Looks again every so often, first soon and then each second, until done() says 1; 0: not yet; -1
 * with e. Ends by cancel, which may be NULL.
 */
MUST_CHECK int worker_until(const struct cancel *cancel, int (*done)(void *arg, struct err *e),
                            void *arg, struct err *e);

#endif
