/* SPDX-License-Identifier: Apache-2.0 */
/* Tombstones and holds in the catalog, and what they make of points and chains. */
#include "catalog/statement.h"

#include "repo/checked.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "tests/unit/catalog/catalog_kit.h"

struct world {
	struct kit k;
	char *dir;
	struct catalog *c;
	struct point_volume volume;
	struct point points[5]; /* of one volume, each after the other */
};

static void world_init(struct world *w)
{
	*w = (struct world){ .k = kit_new(), .dir = tmpdir_new() };
	w->c = kit_catalog(w->dir, "catalog.db");
	w->volume = kit_volume("shop", "orders");
	for (unsigned i = 0; i < ARRAY_LEN(w->points); i++)
		w->points[i] = kit_commit(&w->k, &w->volume, i + 1, i ? &w->points[i - 1] : NULL);
}

static void world_clear(struct world *w)
{
	for (unsigned i = 0; i < ARRAY_LEN(w->points); i++)
		point_clear(&w->points[i]);
	catalog_free(w->c);
	tmpdir_remove(w->dir);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static void expire(const struct world *w, const struct repo *r, unsigned i, const char *policy)
{
	const struct expiry_point p = { .session = w->points[i].session,
		                        .why = "no rule keeps it" };
	uint64_t n;

	ok(expiry_put_tomb(r, policy, &p, 1, &n, e));
}

static void remove_commit(const struct world *w, unsigned i)
{
	char key[128];

	(void)snprintf(key, sizeof(key), "commit/%s", w->points[i].session);
	kit_remove(&w->k, key);
}

#define STATES "SELECT sequence, state, expired IS NOT NULL FROM v_points ORDER BY sequence"
#define ANOMALIES "SELECT kind, object FROM v_anomalies ORDER BY kind, object"

static void test_statement_sync__expired_points_are_no_gap(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	(void)kit_sync(&w.k, w.c);
	expire(&w, w.k.agent, 0, "gold");
	expire(&w, w.k.agent, 2, "gold");
	struct sync_result r = kit_sync(&w.k, w.c);
	assert_int_equal(r.tombstones, 2);
	assert_rows(w.c, STATES,
	            "1|expired|1\n2|present|0\n3|expired|1\n4|present|0\n5|present|0\n");
	assert_rows(w.c, "SELECT points FROM v_volume_status", "3\n");
	remove_commit(&w, 0);
	remove_commit(&w, 2);
	r = kit_sync(&w.k, w.c);
	assert_int_equal(r.gone, 2);
	assert_int_equal(r.open, 0);
	assert_rows(w.c, STATES,
	            "1|deleted|1\n2|present|0\n3|deleted|1\n4|present|0\n5|present|0\n");
	assert_rows(w.c,
	            "SELECT tombstone, volume, why, policy, expiry, gone IS NOT NULL, signer_name"
	            " FROM v_deletions ORDER BY tombstone",
	            "1|c1/shop/orders|no rule keeps it|gold|expired|1|agent\n"
	            "2|c1/shop/orders|no rule keeps it|gold|expired|1|agent\n");
	/* Who looks for the first time sees the same. */
	auto_catalog struct catalog *fresh = kit_catalog(w.dir, "fresh.db");
	r = kit_sync(&w.k, fresh);
	assert_int_equal(r.open, 0);
	assert_rows(fresh, STATES, "2|present|0\n4|present|0\n5|present|0\n");
	/* One that goes without a tombstone is lost. */
	remove_commit(&w, 3);
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT kind FROM v_anomalies ORDER BY kind", "gap\nlost\n");
	/* Until somebody says that it does not matter. */
	expire(&w, w.k.agent, 3, "");
	r = kit_sync(&w.k, w.c);
	assert_int_equal(r.open, 0);
}

/* Of several volumes: nothing was lost, in whatever order the catalog has them. */
static void test_statement_sync__holds_that_are_there_are_not_missed(void **state)
{
	auto_world struct world w;
	uint64_t n;

	(void)state;
	world_init(&w);
	for (unsigned i = 0; i < 8; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "orders-%u", i);
		const struct point_volume v = kit_volume("shop", name);
		ok(expiry_put_hold(w.k.agent, NULL, &v, "a lawsuit", "Ada", &n, e));
	}
	for (unsigned i = 0; i < 3; i++)
		(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, ANOMALIES, "");
}

static void test_statement_sync__holds_keep_and_releases_end(void **state)
{
	auto_world struct world w;
	uint64_t hold;
	uint64_t release;

	(void)state;
	world_init(&w);
	ok(expiry_put_hold(w.k.agent, NULL, &w.volume, "a lawsuit", "Ada", &hold, e));
	expire(&w, w.k.agent, 1, "");
	struct sync_result r = kit_sync(&w.k, w.c);
	assert_int_equal(r.holds, 1);
	assert_rows(w.c, STATES, "1|present|0\n2|held|0\n3|present|0\n4|present|0\n5|present|0\n");
	assert_rows(w.c, "SELECT number, volume, point, reason, ordered_by, state FROM v_holds",
	            "1|c1/shop/orders||a lawsuit|Ada|holds\n");
	assert_rows(w.c, "SELECT points, holds FROM v_volume_status", "5|1\n");
	ok(expiry_put_release(w.k.agent, hold, "settled", "Grace", &release, e));
	r = kit_sync(&w.k, w.c);
	assert_int_equal(r.holds, 0);
	assert_rows(w.c, STATES,
	            "1|present|0\n2|expired|1\n3|present|0\n4|present|0\n5|present|0\n");
	assert_rows(w.c, "SELECT state, released, release_reason, release_by FROM v_holds",
	            "released|2|settled|Grace\n");
	/* of one point */
	ok(expiry_put_hold(w.k.agent, w.points[4].session, NULL, "why", "Ada", &hold, e));
	expire(&w, w.k.agent, 4, "");
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT state FROM v_points WHERE sequence = 5", "held\n");
	assert_rows(w.c,
	            "SELECT point IS NOT NULL, session IS NOT NULL FROM v_holds WHERE number = 3",
	            "1|1\n");
}

static void test_statement_sync__two_signers_where_two_are_asked_for(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.k.audit->params.signatures = 2;
	expire(&w, w.k.agent, 0, "");
	expire(&w, w.k.agent, 0, "");
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT state FROM v_points WHERE sequence = 1", "proposed\n");
	expire(&w, w.k.recovery, 0, "");
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT state FROM v_points WHERE sequence = 1", "expired\n");
	/* since the second of the two spoke */
	assert_rows(w.c,
	            "SELECT expired_ns = (SELECT received_ns FROM tombstones WHERE number = 3)"
	            " FROM points WHERE sequence = 1",
	            "1\n");
}

static void test_statement_sync__statements_that_go_are_told(void **state)
{
	auto_world struct world w;
	uint64_t n;
	size_t bytes;

	(void)state;
	world_init(&w);
	ok(expiry_put_hold(w.k.agent, NULL, &w.volume, "why", "Ada", &n, e));
	ok(expiry_put_hold(w.k.agent, NULL, &w.volume, "why", "Ada", &n, e));
	for (unsigned i = 0; i < 3; i++)
		expire(&w, w.k.agent, i, "");
	auto_free uint8_t *second = kit_get(&w.k, "tomb/00000002", &bytes);
	kit_remove(&w.k, "tomb/00000002");
	struct sync_result r = kit_sync(&w.k, w.c);
	assert_int_equal(r.open, 1);
	assert_rows(w.c, ANOMALIES, "statement|tomb/\n");
	/* it comes back */
	ok(put_bytes(w.k.store, "tomb/00000002", second, bytes, e));
	r = kit_sync(&w.k, w.c);
	assert_int_equal(r.tombstones, 1);
	assert_int_equal(r.open, 0);
	/* the newest ones go */
	kit_remove(&w.k, "tomb/00000003");
	kit_remove(&w.k, "hold/00000002");
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, ANOMALIES, "statement|tomb/ hold/\n");
	kit_flip(&w.k, "hold/00000001", -1);
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, ANOMALIES, "statement|hold/\nstatement|tomb/ hold/\n");
}

static void test_sync_run__takes_over_records_of_checks(void **state)
{
	auto_world struct world w;
	struct pack_list none = { 0 };
	struct checked x = { .level = 3,
		             .ended = true,
		             .all = true,
		             .started_ns = INT64_MAX / 2,
		             .finished_ns = INT64_MAX / 2 + 1000,
		             .points = 5,
		             .packs_verified = 7 };

	(void)state;
	world_init(&w);
	checked_new_run(x.run);
	x.ended = false;
	ok(checked_put(w.k.agent, &x, &none, e));
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT count(*) FROM checks", "0\n");
	x.ended = true;
	ok(checked_put(w.k.agent, &x, &none, e));
	for (unsigned i = 0; i < 2; i++) {
		(void)kit_sync(&w.k, w.c);
		assert_rows(w.c,
		            "SELECT level, all_packs, points, packs_verified, key_kind, verdict,"
		            " user <> '', host <> '' FROM v_checks",
		            "3|1|5|7||ok|1|1\n");
	}
	assert_rows(w.c, "SELECT count(*) FROM v_points WHERE verified_ns IS NOT NULL", "5\n");
}

static void test_sync_run__sessions_without_a_point_are_no_points(void **state)
{
	auto_world struct world w;
	char session[96];
	enum session_end end;

	(void)state;
	world_init(&w);
	ok(session_begin(w.k.agent, &w.volume, "d", session, e));
	ok(session_abort(w.k.agent, session, "a test", &end, e));
	ok(session_begin_maintenance(w.k.agent, "repair", session, e));
	ok(session_commit_index(w.k.agent, session, "repair", NULL, 0, e));
	struct sync_result r = kit_sync(&w.k, w.c);
	assert_int_equal(r.listed, 5);
	assert_int_equal(r.bad, 0);
	assert_int_equal(r.open, 0);
	assert_rows(w.c, "SELECT count(*) FROM fenced", "1\n");
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT count(*) FROM fenced", "1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statement_sync__expired_points_are_no_gap),
		cmocka_unit_test(test_statement_sync__holds_that_are_there_are_not_missed),
		cmocka_unit_test(test_statement_sync__holds_keep_and_releases_end),
		cmocka_unit_test(test_statement_sync__two_signers_where_two_are_asked_for),
		cmocka_unit_test(test_statement_sync__statements_that_go_are_told),
		cmocka_unit_test(test_sync_run__takes_over_records_of_checks),
		cmocka_unit_test(test_sync_run__sessions_without_a_point_are_no_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
