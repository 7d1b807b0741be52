/* SPDX-License-Identifier: Apache-2.0 */
/* Which volumes of a plan are of the past, by inventories that are in a repository. */
#include "restore/gone.h"

#include "tests/harness/repo_kit.h"

static void put(struct kit *k, const char *cluster, int64_t at_ns, const char *const *names)
{
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = at_ns };

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", cluster);
	for (; *names; names++) {
		const struct inventory_item item = {
			.kind = INVENTORY_CLAIM,
			.state = INVENTORY_PROTECTED,
			.count = 1,
			.texts = { [INVENTORY_NS] = "shop", [INVENTORY_NAME] = *names }
		};
		ok(inventory_add(&v, &item, e));
	}
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	ok(inventory_put(k->agent, &v, e));
}

static struct pick pick_of(const char *ns, const char *name, int64_t newest_ns)
{
	struct pick k = { .newest_ns = newest_ns };

	(void)snprintf(k.volume.namespace, sizeof(k.volume.namespace), "%s", ns);
	(void)snprintf(k.volume.name, sizeof(k.volume.name), "%s", name);
	return k;
}

static void test_gone__is_what_the_newest_inventory_does_not_have(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_gone struct gone g = { .known = false };
	auto_findings struct findings l = FINDINGS_INIT;
	const struct pick there = pick_of("shop", "orders", 5), gone = pick_of("shop", "old", 5),
			  other = pick_of("web", "orders", 5), later = pick_of("shop", "new", 2000);
	struct plan_item items[] = { { .pick = &there }, { .pick = &gone } };
	const struct plan p = { .items = items, .n = 2 };

	(void)state;
	ok(gone_find(k.audit, "we", &g, e));
	assert_false(g.known);
	assert_false(gone_is(&g, &gone));
	put(&k, "we", 100, (const char *const[]){ "old", "orders", NULL });
	put(&k, "ne", 3000, (const char *const[]){ NULL });
	ok(gone_find(k.audit, "we", &g, e));
	assert_true(g.known);
	assert_false(gone_is(&g, &gone));
	gone_clear(&g);
	put(&k, "we", 1000, (const char *const[]){ "orders", NULL });
	ok(gone_find(k.audit, "we", &g, e));
	assert_int_equal(g.inventory.at_ns, 1000);
	assert_false(gone_is(&g, &there));
	assert_true(gone_is(&g, &gone));
	assert_true(gone_is(&g, &other));
	/* it was backed up after that look */
	assert_false(gone_is(&g, &later));
	gone_tell(&g, &p, &l);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.list[0].severity, FINDING_WARNING);
	assert_string_equal(l.list[0].object, "shop/old");
}

static void test_gone__one_that_lacks_something_says_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_gone struct gone g = { .known = false };
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 100, .cluster = "we" };
	const struct inventory_item items[] = {
		{ .kind = INVENTORY_CLAIM, .count = 1, .texts = { [INVENTORY_NAME] = "a" } },
		{ .kind = INVENTORY_CLAIM, .count = 1, .texts = { [INVENTORY_NAME] = "b" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		ok(inventory_add(&v, &items[i], e));
	ok(inventory_settle(&v, 1, e));
	ok(inventory_put(k.agent, &v, e));
	ok(gone_find(k.audit, "we", &g, e));
	assert_false(g.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone__is_what_the_newest_inventory_does_not_have),
		cmocka_unit_test(test_gone__one_that_lacks_something_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
