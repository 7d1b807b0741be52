/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To whom what a Lease names is left: the names of what a run has made stay in its Lease until all
 * of it is gone, and whoever takes the Lease next removes what is there. Where nobody will, the
 * leader's sweep does. Pure.
 */
#ifndef AKSDR_AGENT_SWEEP_H
#define AKSDR_AGENT_SWEEP_H

#include "agent/world.h"

#define SWEEP_IDLE_S 600 /* that nobody has had a Lease, before it counts as left behind */

/*
 * Whether what this Lease (the object) names is left to a run: one is going on, or has been seen so
 * lately, or the claim is there and has a policy that begins another one. What is not known well
 * enough is left.
 */
bool sweep_leaves(const struct world *w, const json_t *lease, int64_t now_s);

#endif
