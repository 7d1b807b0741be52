/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Lease (coordination.k8s.io/v1) that one process holds at a time, renewed by a thread. Expiry is
 * judged by our own clock since the last change that was seen, never by times that others wrote.
 * Losing it is told at once; what must not be done twice is guarded by the repository too.
 * https://kubernetes.io/docs/concepts/architecture/leases/
 */
#ifndef AKSDR_KUBE_LEASE_H
#define AKSDR_KUBE_LEASE_H

#include "kube/kube.h"

#define LEASE_SECONDS 15 /* how long it is valid after a renewal */

struct lease;

struct lease_params {
	struct kube *kube;
	const char *ns, *name;
	const char *holder;   /* who we are: node and process */
	const json_t *labels; /* of the object when it is made; may be NULL */
	unsigned seconds;     /* how long it is valid after a renewal; 0: LEASE_SECONDS */
	bool wait; /* until it is free, looking twice in that time; else ERR_BUSY at once */
	struct cancel *on_loss; /* requested when it is lost; may be NULL */
	const struct cancel *cancel;
};

/*
 * Takes it. *ret_held_by (may be NULL) gets who holds it on ERR_BUSY (the caller frees).
 *   ERR_BUSY  somebody else holds it
 * To judge whether a lease that looks old is free, it is watched for its own duration: that blocks.
 */
MUST_CHECK struct lease *lease_take(const struct lease_params *params, char **ret_held_by,
                                    struct err *e);
/* Whether it is still ours. */
bool lease_held(const struct lease *l);
/* Annotations of the object: merged in while it is held; a value of null removes one. */
MUST_CHECK int lease_note(struct lease *l, const json_t *annotations, struct err *e);
/* The annotations as they were when it was taken. Borrowed. */
const json_t *lease_notes(const struct lease *l);
/* Gives it up, for the next one to take at once, and ends the thread. NULL is fine. */
void lease_release(struct lease *take_l);

#endif
