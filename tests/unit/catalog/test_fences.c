/* SPDX-License-Identifier: Apache-2.0 */
/* Fences of the config in the catalog: each once, lifted once; told without facts that are lost. */
#include "catalog/fences.h"

#include "tests/harness/fence_kit.h"
#include "tests/unit/catalog/catalog_kit.h"

#define ROWS                                                                                 \
	"SELECT epoch, scope, reason, successor, seen_ns, lifted_epoch, lift_reason IS NULL" \
	" FROM fences ORDER BY epoch"

static void sync_at(struct kit *k, struct catalog *c, int64_t now_ns)
{
	kit_reopen(k);
	ok(fences_sync(c, k->audit, now_ns, e));
}

static void test_fences_sync__each_once_and_its_end(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "c.db");
	const struct fence_target we = kit_site("we", NULL, NULL);
	const struct fence_target shop = kit_site("ne", "shop", NULL);

	(void)state;
	sync_at(&k, c, 1);
	assert_rows(c, ROWS, "");
	(void)kit_fence(&k, &we);
	sync_at(&k, c, 2);
	(void)kit_fence(&k, &shop);
	sync_at(&k, c, 3);
	sync_at(&k, c, 4);
	assert_rows(c, ROWS, "1|we|region down|c2|2||1\n2|ne/shop|region down|c2|3||1\n");
	(void)kit_lift(&k, &we);
	sync_at(&k, c, 5);
	sync_at(&k, c, 6);
	assert_rows(c, ROWS, "1|we|region down|c2|2|3|0\n2|ne/shop|region down|c2|3||1\n");
	fails_saying(ERR_BUG, "never removed", catalog_exec(c, "DELETE FROM fences", e));
	fails_saying(ERR_BUG, "is lifted once",
	             catalog_exec(c, "UPDATE fences SET lifted_ns = 9 WHERE epoch = 1", e));
	fails_saying(ERR_BUG, "is lifted once",
	             catalog_exec(c, "UPDATE fences SET scope = 'x'", e));
}

static void test_fences_sync__facts_that_are_lost_are_not_told(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "c.db");
	const struct fence_target we = kit_site("we", NULL, NULL);
	struct kit_names names = { .n = 0 };

	(void)state;
	(void)kit_fence(&k, &we);
	kit_reopen(&k);
	kit_list(&k, FENCE_PREFIX "/", &names);
	assert_true(names.n > 0);
	for (size_t i = 0; i < names.n; i++)
		kit_remove(&k, names.keys[i]);
	ok(fences_sync(c, k.audit, 7, e));
	assert_rows(c, "SELECT epoch, scope IS NULL, reason IS NULL, seen_ns FROM fences",
	            "1|1|1|7\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fences_sync__each_once_and_its_end),
		cmocka_unit_test(test_fences_sync__facts_that_are_lost_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
