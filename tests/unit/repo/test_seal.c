/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer's own bounds; what it stores is looked at by tests of whole backups. */
#include "repo/seal.h"

#include <pthread.h>
#include <sched.h>

#include "tests/harness/store_kit.h"
#include "tests/unit/repo/repo_fixture.h"

#define NODE_BYTES (512 * KIB)
#define NODES_A_PACK 2
#define NODES 24
#define PACKS_AHEAD 3 /* packs of nodes in memory */

struct slow {
	_Atomic unsigned submitted; /* nodes that the sealer took */
	_Atomic unsigned puts;      /* packs whose upload has begun */
	_Atomic bool over;
};

/* The first uploads take until no more nodes are taken. */
static enum store_fault wait_for_nodes(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct slow *s = arg;

	(void)n;
	if (call != CALL_PUT || strncmp(key, "meta/", 5) != 0)
		return FAULT_NONE;
	unsigned put = s->puts++;
	while (s->submitted < PACKS_AHEAD * NODES_A_PACK)
		(void)sched_yield();
	for (unsigned i = 0; put < 2 && i < 1000; i++)
		(void)sched_yield();
	unsigned submitted = s->submitted;
	/* This one is not stored yet. */
	if (submitted > (s->puts - 1 + PACKS_AHEAD) * NODES_A_PACK)
		s->over = true;
	return FAULT_NONE;
}

static void test_sealer_put_node__waits_while_packs_are_not_stored(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	struct slow slow = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	f.store = store_fault_new(f.store, wait_for_nodes, &slow, &err);
	assert_non_null(f.store);
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	auto_secret struct domain_keys *domain = NULL;
	auto_free uint8_t *plain = malloc(NODE_BYTES);
	struct index *index = NULL;
	struct sealer *s = NULL;
	struct sealer_totals totals;

	assert_non_null(plain);
	r->params.pack_bytes = NODES_A_PACK * NODE_BYTES;
	ok(keys_domain(r->keys, "d", &domain, e));
	ok(index_open(f.store, r->keys, domain, NULL, NULL, NULL, &index, e));
	const struct sealer_params p = {
		.domain = domain, .index = index, .level = 1, .threads = 1
	};
	ok(sealer_open(r, &p, &s, e));
	for (unsigned i = 0; i < NODES; i++) {
		struct chunk_ref ref = { 0 };

		fill_random(i, plain, NODE_BYTES);
		memcpy(ref.id, plain, sizeof(ref.id));
		ok(sealer_put_node(s, plain, NODE_BYTES, &ref, e));
		slow.submitted++;
	}
	ok(sealer_finish(s, e));
	sealer_totals(s, &totals);
	assert_int_equal(totals.packs, NODES / NODES_A_PACK);
	assert_false(slow.over);
	sealer_free(s);
	index_free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealer_put_node__waits_while_packs_are_not_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
