/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a view at this node: a pod that only holds it, so that the kubelet mounts it, and the
 * place below the kubelet's directory where that is.
 */
#ifndef AKSDR_AGENT_HOLDER_H
#define AKSDR_AGENT_HOLDER_H

#include "agent/mover.h"
#include "snapshot/snapshot.h"

#define HOLDER_KUBELET "/var/lib/kubelet"

/*
 * Where the kubelet of this directory has the volume pv for the pod with this uid, appended to b.
 * Pure.
 *   ERR_UNSUPPORTED  it is of a kind whose place is not known
 */
MUST_CHECK int holder_path(const char *dir, const char *pod_uid, const json_t *pv, bool block,
                           struct buf *b, struct err *e);

/*
 * A template with nothing but the image of our own pod, which is named, in the namespace of run.
 * NULL with e. The caller decrefs.
 */
json_t *holder_template(const struct csi_run *run, const char *pod, struct err *e);

/*
 * Makes the pod at p->node, which is this one (p->args are not looked at), waits until it runs, and
 * makes s, whose view it holds, readable at dir. The pod goes with the view.
 *   ERR_RETRY   it did not begin within the run's stuck_ms
 *   ERR_DENIED, ERR_NOT_FOUND  the kubelet's directory cannot be read, or is not there
 *   ERR_INVALID  nothing is mounted there: dir is not the kubelet's of this node
 */
MUST_CHECK int holder_open(const struct mover_params *p, const char *dir, struct snapshot *s,
                           struct err *e);

#endif
