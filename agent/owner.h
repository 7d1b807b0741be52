/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who backs up a claim: every agent decides alike, by what all of them see, and without asking each
 * other. A mistake costs nothing but work: the Lease of the volume decides. Pure.
 */
#ifndef AKSDR_AGENT_OWNER_H
#define AKSDR_AGENT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNER_GRACE_S 120 /* how long the node that has the volume comes first */
#define OWNER_NEVER INT64_MAX

/*
 * The weight of a node for a claim (highest random weight, https://doi.org/10.1109/90.663936):
 * the first eight bytes, big-endian, of SHA-256 of node name, a NUL, and uid.
 */
uint64_t owner_weight(const char *node, const char *uid);

/*
 * The node with the highest weight; of equals the first by name. Its number in nodes, which are
 * those with an agent that is ready; SIZE_MAX without any. The order of nodes does not count.
 */
size_t owner_pick(const char *const *nodes, size_t n, const char *uid);

struct owner_view {
	const char *me;           /* our node */
	const char *const *nodes; /* with an agent that is ready */
	size_t n;
	const char *uid; /* of the claim */
	bool mine;       /* a pod of our node uses the claim */
	int64_t due_s;   /* when the run became due */
};

/*
 * When we may begin: due_s where the volume is ours, OWNER_GRACE_S later where it is by weight, and
 * else OWNER_NEVER. We are one of the nodes, whether the list says so or not.
 */
int64_t owner_begins(const struct owner_view *v);

#endif
