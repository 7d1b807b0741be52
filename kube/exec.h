/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a container of a pod, over a WebSocket (RFC 6455, by wslay) with the subprotocol
 * v5.channel.k8s.io, or v4 where the server has no other: what it writes, and how it ended.
 */
#ifndef AKSDR_KUBE_EXEC_H
#define AKSDR_KUBE_EXEC_H

#include "kube/kube.h"

struct exec_params {
	const char *ns, *pod, *container; /* container NULL: the pod's first */
	const char *const *argv;          /* ends with NULL */
	int64_t timeout_ms;               /* 0: none */
	/* Gets what it writes as it comes; err: standard error. May be NULL. */
	void (*output)(void *arg, bool err, const void *p, size_t n);
	void *arg;
	const struct cancel *cancel;
};

/*
 * Runs it and waits. *ret_status: its exit status.
 *   ERR_NOT_FOUND  no such pod or container, or no such program in it
 *   ERR_DENIED     the right to create pods/exec is missing
 *   ERR_RETRY      the connection broke, or there was none; ERR_IO: not done at the time limit
 *   ERR_CANCELLED  the connection is shut; the command may go on
 */
MUST_CHECK int exec_run(struct kube *k, const struct exec_params *params, int *ret_status,
                        struct err *e);

#endif
