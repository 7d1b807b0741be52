/* SPDX-License-Identifier: Apache-2.0 */
/* Who backs up a claim: alike everywhere, evenly, and nothing moves that need not. */
#include "agent/owner.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clean.h"

#define NODES 10
#define CLAIMS 10000

static const char *const nodes[NODES] = { "aks-a-0", "aks-a-1", "aks-a-2", "aks-a-3", "aks-a-4",
	                                  "aks-b-0", "aks-b-1", "aks-b-2", "aks-b-3", "aks-b-4" };

static const char *uid_of(unsigned i)
{
	static char uid[40];

	(void)snprintf(uid, sizeof(uid), "00000000-0000-4000-8000-%012u", i);
	return uid;
}

static void test_owner_weight__is_of_sha_256(void **state)
{
	(void)state;
	/* printf 'aks-a-0\0uid' | sha256sum */
	assert_true(owner_weight("aks-a-0", "uid") == UINT64_C(0x4427286b546fe92d));
	assert_true(owner_weight("", "") == UINT64_C(0x6e340b9cffb37a98));
}

static void test_owner_pick__needs_no_order(void **state)
{
	static const char *const other[] = { "aks-b-0", "aks-a-1", "aks-a-0", "aks-a-1" };
	static const char *const same[] = { "aks-a-0", "aks-a-1", "aks-b-0" };

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		const size_t a = owner_pick(other, ARRAY_LEN(other), uid_of(i));
		const size_t b = owner_pick(same, ARRAY_LEN(same), uid_of(i));

		assert_string_equal(other[a], same[b]);
	}
	assert_true(owner_pick(nodes, 0, "uid") == SIZE_MAX);
	assert_int_equal(owner_pick(nodes, 1, "uid"), 0);
}

static void test_owner_pick__shares_evenly(void **state)
{
	unsigned counts[NODES] = { 0 };

	(void)state;
	for (unsigned i = 0; i < CLAIMS; i++)
		counts[owner_pick(nodes, NODES, uid_of(i))]++;
	/* 1000 each; the deviation of a fair draw is 30 */
	for (size_t i = 0; i < NODES; i++)
		assert_true(counts[i] > 850 && counts[i] < 1150);
}

static void test_owner_pick__a_node_that_leaves_moves_only_its_own(void **state)
{
	(void)state;
	for (size_t gone = 0; gone < NODES; gone++) {
		const char *left[NODES];
		size_t n = 0;

		for (size_t i = 0; i < NODES; i++) {
			if (i != gone)
				left[n++] = nodes[i];
		}
		for (unsigned i = 0; i < 1000; i++) {
			const size_t was = owner_pick(nodes, NODES, uid_of(i));
			const size_t is = owner_pick(left, n, uid_of(i));

			if (was != gone)
				assert_string_equal(left[is], nodes[was]);
		}
	}
}

static void test_owner_begins__where_a_pod_uses_it_at_once(void **state)
{
	const struct owner_view v = { "aks-a-0", nodes, NODES, "uid", true, 1000 };

	(void)state;
	assert_int_equal(owner_begins(&v), 1000);
}

static void test_owner_begins__else_one_node_and_later(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		const char *uid = uid_of(i);
		size_t begin = 0;

		for (size_t j = 0; j < NODES; j++) {
			const struct owner_view v = { nodes[j], nodes, NODES, uid, false, 1000 };
			const int64_t at = owner_begins(&v);

			assert_true(at == 1120 || at == OWNER_NEVER);
			assert_int_equal(at == 1120, j == owner_pick(nodes, NODES, uid));
			begin += at == 1120;
		}
		assert_int_equal(begin, 1);
	}
}

static void test_owner_begins__we_are_a_node_that_no_list_has(void **state)
{
	const struct owner_view alone = { "aks-z-0", nodes, 0, "uid", false, 1000 };
	const struct owner_view late = { "aks-z-0", nodes, 0, "uid", false, INT64_MAX - 1 };

	(void)state;
	assert_int_equal(owner_begins(&alone), 1120);
	assert_true(owner_begins(&late) == OWNER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_weight__is_of_sha_256),
		cmocka_unit_test(test_owner_pick__needs_no_order),
		cmocka_unit_test(test_owner_pick__shares_evenly),
		cmocka_unit_test(test_owner_pick__a_node_that_leaves_moves_only_its_own),
		cmocka_unit_test(test_owner_begins__where_a_pod_uses_it_at_once),
		cmocka_unit_test(test_owner_begins__else_one_node_and_later),
		cmocka_unit_test(test_owner_begins__we_are_a_node_that_no_list_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
