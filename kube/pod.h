/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod says of itself, as far as claims go. Pure. */
#ifndef AKSDR_KUBE_POD_H
#define AKSDR_KUBE_POD_H

#include "kube/kube.h"

/* Whether it has ended, and uses nothing any more. */
bool pod_is_over(const json_t *pod);

/*
 * The claim of one of its volumes (an item of spec.volumes) into ret: one that it names, or one
 * that is made for it. False: it has none, or the name does not fit.
 * https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#persistentvolumeclaim-naming
 */
bool pod_volume_claim(const json_t *pod, const json_t *volume, char ret[KUBE_NAME_MAX + 1]);

/* Whether a volume of it is of this claim of its namespace. */
bool pod_uses(const json_t *pod, const char *claim);

#endif
