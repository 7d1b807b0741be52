/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a cluster's data is protected, left out or exposed, and why: claims as they are known
 * (agent/world.h), and what volumes, pods and StatefulSets tell besides. Pure.
 */
#ifndef AKSDR_AGENT_COVERAGE_H
#define AKSDR_AGENT_COVERAGE_H

#include "agent/world.h"
#include "repo/inventory.h"

#define COVERAGE_REPLICAS_MAX 10000 /* of a StatefulSet that are looked at */

struct coverage;

struct coverage *coverage_new(void); /* NULL: no memory */
void coverage_free(struct coverage *c);
static inline void clean_coverage(struct coverage *const *c)
{
	coverage_free(*c);
}
#define auto_coverage CLEANUP(clean_coverage)

enum coverage_kind { COVERAGE_VOLUME, COVERAGE_POD, COVERAGE_SET };

/*
 * Takes in what counts of a PersistentVolume, a Pod or a StatefulSet as the API server has it. That
 * memory was short is told by coverage_make().
 */
void coverage_put(struct coverage *c, enum coverage_kind kind, const json_t *object);

/*
 * Adds all items to ret, an empty one, and settles it. The claims, policies, namespaces and classes
 * are the world's. ERR_NOMEM, ERR_TOO_BIG. Once for each coverage.
 */
MUST_CHECK int coverage_make(struct coverage *c, const struct world *w, struct inventory *ret,
                             struct err *e);

#endif
