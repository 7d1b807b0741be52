/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a cluster once for what agent/world.h and agent/coverage.h want to know. */
#ifndef AKSDR_AGENT_GATHER_H
#define AKSDR_AGENT_GATHER_H

#include "agent/coverage.h"
#include "kube/kube.h"

/* Claims, namespaces and classes into the world; policies too, unless a directory has them. */
MUST_CHECK int gather_world(struct kube *k, const char *policies, struct world *w, struct err *e);

/* Puts the policies of a directory into the world. */
MUST_CHECK int gather_policies(const char *dir, struct world *w, struct err *e);

/* Volumes, pods and StatefulSets. Blocks while the lists take; memory as for the result. */
MUST_CHECK int gather_coverage(struct kube *k, struct coverage *c, struct err *e);

#endif
