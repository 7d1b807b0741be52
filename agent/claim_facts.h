/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore point tells of its claim (repo/claim.h), from the cluster's objects: so that the
 * claim can be made anew in another cluster, when this one is gone.
 */
#ifndef AKSDR_AGENT_CLAIM_FACTS_H
#define AKSDR_AGENT_CLAIM_FACTS_H

#include <jansson.h>

#include "common/err.h"

/*
 * Of a PersistentVolumeClaim and its PersistentVolume (may be NULL). What is ours, or of this
 * cluster's controllers and of kubectl, is left out of the annotations; where all of it is too much
 * annotations go first, then labels. NULL: no memory. The caller decrefs.
 */
json_t *claim_facts(const json_t *claim, const json_t *volume, struct err *e);

/* Adds the images of a pod that uses the claim of that name, by digest where there is one. */
MUST_CHECK int claim_facts_add_pod(json_t *facts, const char *claim, const json_t *pod,
                                   struct err *e);

#endif
