/* SPDX-License-Identifier: Apache-2.0 */
/* The status of policies, as people see it in the cluster: what came of them. Pure. */
#ifndef AKSDR_AGENT_REPORT_H
#define AKSDR_AGENT_REPORT_H

#include "agent/retention.h"
#include "agent/world.h"

#define REPORT_CLAIMS 10 /* exposed claims that are named; the others are counted */

/*
 * Behind a pass of the planner: the status of each policy of the world, in the order of their
 * shelf, in an array that the caller frees, each with json_decref(). Conditions that have not
 * changed keep their time. done: what came of retention; of a policy that is not in it the
 * condition stays as it is. NULL: no memory.
 */
json_t **report_make(const struct world *w, const struct retention *done, int64_t now_s);

/* What is to be applied to the subresource `status` of that policy. NULL: no memory. */
json_t *report_patch(const struct world_policy *p, json_t *status);

#endif
