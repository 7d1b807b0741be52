/* SPDX-License-Identifier: Apache-2.0 */
/* Inventories in the catalog: what holds now, and what held at any time before. */
#include "catalog/stock.h"

#include "tests/unit/catalog/catalog_kit.h"

#define T0 KIT_EPOCH_NS
#define HOUR_NS (3600 * (int64_t)1000000000)

/* Puts an inventory with a claim and its state, and one that is exposed, so many hours after T0. */
static void put(const struct kit *k, const char *cluster, int hour, const char *name, bool protects)
{
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = T0 + hour * HOUR_NS };
	const struct inventory_item items[] = {
		{ .kind = INVENTORY_CLAIM,
		  .state = protects ? INVENTORY_PROTECTED : INVENTORY_EXPOSED,
		  .reason = protects ? INVENTORY_BY_POLICY : INVENTORY_NO_POLICY,
		  .bytes = 1024,
		  .count = 1,
		  .texts = { [INVENTORY_NS] = "shop",
		             [INVENTORY_NAME] = name,
		             [INVENTORY_POLICY] = protects ? "aksdr/gold" : NULL } },
		{ .kind = INVENTORY_EMPTY_DIR,
		  .state = INVENTORY_EXPOSED,
		  .reason = INVENTORY_UNPROTECTABLE,
		  .count = 2,
		  .texts = { [INVENTORY_NS] = "shop",
		             [INVENTORY_NAME] = "tmp",
		             [INVENTORY_OWNER] = "Deployment/web" } },
	};

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", cluster);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		ok(inventory_add(&v, &items[i], e));
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	store_mem_set_now(k->store, T0 + hour * HOUR_NS);
	ok(inventory_put(k->agent, &v, e));
}

static void test_stock_sync__an_item_lasts_while_it_does_not_change(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	struct stock_newest newest;

	(void)state;
	put(&k, "c1", 1, "db", false);
	put(&k, "c1", 2, "db", false);
	put(&k, "c1", 3, "db", true);
	put(&k, "c2", 3, "db", true);
	put(&k, "c1", 4, "other", true);
	ok(stock_sync(c, k.audit, e));
	assert_rows(c, "SELECT cluster, count(*) FROM inventories GROUP BY 1", "c1|4\nc2|1\n");
	assert_rows(c,
	            "SELECT cluster, kind, name, state, (from_ns - t) / 3600000000000,"
	            " (until_ns - t) / 3600000000000 FROM inventory,"
	            " (SELECT min(received_ns) - 3600000000000 AS t FROM inventories)"
	            " ORDER BY cluster, kind, from_ns",
	            "c1|claim|db|exposed|1|3\nc1|claim|db|protected|3|4\n"
	            "c1|claim|other|protected|4|\nc1|emptyDir|tmp|exposed|1|\n"
	            "c2|claim|db|protected|3|\nc2|emptyDir|tmp|exposed|3|\n");
	ok(stock_newest(c, "c1", &newest, e));
	assert_true(newest.is);
	assert_int_equal(newest.received_ns, T0 + 4 * HOUR_NS);
	assert_int_equal(strlen(newest.digest), 64);
	ok(stock_newest(c, "c3", &newest, e));
	assert_false(newest.is);
}

static void test_stock_sync__one_at_a_time_gives_the_same(void **state)
{
	static const char rows[] = "SELECT cluster, kind, name, state, from_ns, until_ns FROM"
				   " inventory ORDER BY cluster, kind, name, from_ns";
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_catalog struct catalog *fresh = kit_catalog(k.dir, "fresh.db");
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	for (int hour = 1; hour < 6; hour++) {
		put(&k, "c1", hour, hour == 3 ? "other" : "db", hour > 3);
		ok(stock_sync(c, k.audit, e));
	}
	ok(stock_sync(fresh, k.audit, e));
	kit_read_rows(fresh, rows, &b);
	assert_rows(c, rows, buf_cstr(&b));
	/* Nothing that is known is taken over again. */
	ok(stock_sync(c, k.audit, e));
	assert_rows(c, rows, buf_cstr(&b));
}

static void test_stock_sync__what_comes_late_changes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	put(&k, "c1", 5, "db", true);
	ok(stock_sync(c, k.audit, e));
	put(&k, "c1", 4, "old", false);
	ok(stock_sync(c, k.audit, e));
	assert_rows(c, "SELECT count(*) FROM inventories", "2\n");
	assert_rows(c, "SELECT name FROM v_coverage ORDER BY name", "db\ntmp\n");
}

static void test_stock_sync__what_does_not_open_says_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	ok(put_text(k.store, "ctl/inventory/2026-11-22/00000000000000000000000000000000", "x", e));
	put(&k, "c1", 5, "db", true);
	ok(stock_sync(c, k.audit, e));
	assert_rows(c, "SELECT count(*) FROM inventories", "1\n");
}

static void test_stock_sync__what_was_seen_does_not_change(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	static const char *const no[] = {
		"DELETE FROM inventory",
		"DELETE FROM inventories",
		"UPDATE inventories SET items = 0",
		"UPDATE inventory SET state = 'protected'",
		"UPDATE inventory SET until_ns = 1 WHERE until_ns IS NOT NULL",
	};

	(void)state;
	put(&k, "c1", 1, "db", false);
	put(&k, "c1", 2, "db", true);
	ok(stock_sync(c, k.audit, e));
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		struct err why = ERR_INIT;

		assert_int_equal(catalog_exec(c, no[i], &why), -1);
	}
}

static void test_v_coverage__joins_claims_with_their_volumes(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "db");
	auto_kit_point struct point p = kit_commit(&k, &v, 1, NULL);

	(void)state;
	put(&k, "c1", 1, "db", true);
	(void)kit_sync(&k, c);
	assert_rows(c,
	            "SELECT kind, name, policy, count, voltag IS NOT NULL FROM v_coverage"
	            " ORDER BY kind",
	            "claim|db|aksdr/gold|1|1\nemptyDir|tmp||2|0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock_sync__an_item_lasts_while_it_does_not_change),
		cmocka_unit_test(test_stock_sync__one_at_a_time_gives_the_same),
		cmocka_unit_test(test_stock_sync__what_comes_late_changes_nothing),
		cmocka_unit_test(test_stock_sync__what_does_not_open_says_nothing),
		cmocka_unit_test(test_stock_sync__what_was_seen_does_not_change),
		cmocka_unit_test(test_v_coverage__joins_claims_with_their_volumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
