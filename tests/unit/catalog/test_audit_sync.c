/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of the audit trail: what is new is taken over, once, and cheaply; anchors. */
#include "catalog/audit_sync.h"

#include "repo/audit_writer.h"
#include "tests/unit/catalog/catalog_kit.h"
#include "tests/unit/repo/audit_kit.h"

static void put(const struct kit *k, unsigned n)
{
	auto_json json_t *o = audit_kit_record(k->agent, "gc", n);

	ok(audit_writer_put_alone(k->agent, o, e));
}

static struct audit_sync_result sync_at(const struct kit *k, struct catalog *c, int64_t now_ns)
{
	struct audit_sync_result r;

	ok(audit_sync(c, k->audit, now_ns, &r, e));
	return r;
}

static void test_audit_sync__takes_over_what_is_new(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const int64_t now_ns = now_wall_ns();

	(void)state;
	assert_int_equal(sync_at(&k, c, now_ns).batches, 0);
	put(&k, 1);
	put(&k, 2);
	assert_int_equal(sync_at(&k, c, now_ns).records, 2);
	put(&k, 3);
	struct audit_sync_result r = sync_at(&k, c, now_ns);
	assert_int_equal(r.batches, 1);
	assert_int_equal(r.records, 1);
	assert_rows(c, "SELECT id, act, object, signer_name FROM v_audit ORDER BY id",
	            "00000000000000000000000000000001|gc|shop/orders|agent\n"
	            "00000000000000000000000000000002|gc|shop/orders|agent\n"
	            "00000000000000000000000000000003|gc|shop/orders|agent\n");
}

static void test_audit_sync__lists_all_once_a_week(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const int64_t now_ns = now_wall_ns();

	(void)state;
	(void)sync_at(&k, c, now_ns + 5 * KIT_DAY_NS);
	put(&k, 1);
	/* Its day is long ago for who looks now. */
	assert_int_equal(sync_at(&k, c, now_ns + 6 * KIT_DAY_NS).batches, 0);
	assert_int_equal(sync_at(&k, c, now_ns + 12 * KIT_DAY_NS).batches, 1);
}

static void test_audit_sync__refuses_to_change_what_it_has(void **state)
{
	static const char *const wrong[] = {
		"UPDATE audit SET why = ''",
		"DELETE FROM audit",
		"UPDATE audit_batches SET records = 2",
		"DELETE FROM audit_batches",
		"UPDATE audit_anchors SET records = 0",
		"DELETE FROM audit_anchors",
		"UPDATE audit_heads SET number = 0",
		"DELETE FROM audit_heads",
	};
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	uint64_t n;

	(void)state;
	put(&k, 1);
	ok(audit_sync_anchor(c, k.agent, now_wall_ns(), &n, e));
	assert_int_equal(n, 1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err why = ERR_INIT;

		assert_int_equal(catalog_exec(c, wrong[i], &why), -1);
		assert_non_null(strstr(why.msg, "the audit trail"));
	}
}

static void test_audit_sync_anchor__names_what_has_grown_since_the_last(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_catalog struct catalog *other = kit_catalog(k.dir, "other.db");
	const int64_t now_ns = now_wall_ns();
	struct err why = ERR_INIT;
	int64_t at_ns;
	uint64_t n;

	(void)state;
	ok(audit_sync_anchored(c, &at_ns, e));
	assert_int_equal(at_ns, 0);
	ok(audit_sync_anchor(c, k.agent, now_ns, &n, e));
	assert_int_equal(n, 0);
	put(&k, 1);
	put(&k, 2);
	assert_int_equal(audit_sync_anchor(c, k.audit, now_ns, &n, &why), -1);
	assert_int_equal(why.class, ERR_DENIED);
	ok(audit_sync_anchor(c, k.agent, now_ns, &n, e));
	assert_int_equal(n, 1);
	ok(audit_sync_anchor(c, k.agent, now_ns, &n, e));
	assert_int_equal(n, 0);
	put(&k, 3);
	/* Another machine, which knows nothing yet. */
	ok(audit_sync_anchor(other, k.agent, now_ns, &n, e));
	assert_int_equal(n, 2);
	assert_int_equal(sync_at(&k, c, now_ns).anchors, 1);
	ok(audit_sync_anchored(c, &at_ns, e));
	assert_int_equal(at_ns, now_ns);
	assert_rows(c, "SELECT anchor, count(*) FROM audit_heads GROUP BY anchor", "1|2\n2|1\n");
	assert_rows(c, "SELECT number, records FROM audit_anchors", "1|2\n2|3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_sync__takes_over_what_is_new),
		cmocka_unit_test(test_audit_sync__lists_all_once_a_week),
		cmocka_unit_test(test_audit_sync__refuses_to_change_what_it_has),
		cmocka_unit_test(test_audit_sync_anchor__names_what_has_grown_since_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
