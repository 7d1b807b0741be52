/* SPDX-License-Identifier: Apache-2.0 */
/* Rendezvous hashing: when a node goes, only what was its moves. */
#include "agent/owner.h"

#include <sodium.h>
#include <string.h>

uint64_t owner_weight(const char *node, const char *uid)
{
	crypto_hash_sha256_state state;
	uint8_t hash[crypto_hash_sha256_BYTES];
	uint64_t weight = 0;

	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, (const uint8_t *)node, strlen(node) + 1);
	(void)crypto_hash_sha256_update(&state, (const uint8_t *)uid, strlen(uid));
	(void)crypto_hash_sha256_final(&state, hash);
	for (size_t i = 0; i < sizeof(weight); i++)
		weight = weight << 8 | hash[i];
	return weight;
}

/* Whether node a comes before node b for this claim. */
static bool before(const char *a, const char *b, const char *uid)
{
	const uint64_t wa = owner_weight(a, uid);
	const uint64_t wb = owner_weight(b, uid);

	return wa != wb ? wa > wb : strcmp(a, b) < 0;
}

size_t owner_pick(const char *const *nodes, size_t n, const char *uid)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		if (best == SIZE_MAX || before(nodes[i], nodes[best], uid))
			best = i;
	}
	return best;
}

int64_t owner_begins(const struct owner_view *v)
{
	if (v->mine)
		return v->due_s;
	for (size_t i = 0; i < v->n; i++) {
		if (strcmp(v->nodes[i], v->me) != 0 && before(v->nodes[i], v->me, v->uid))
			return OWNER_NEVER;
	}
	return v->due_s > INT64_MAX - OWNER_GRACE_S ? OWNER_NEVER : v->due_s + OWNER_GRACE_S;
}
