/* SPDX-License-Identifier: Apache-2.0 */
/* The second region in the catalog: cuts are noted, and points under them are in it, for good. */
#include "catalog/geo.h"

#include "common/cancel.h"
#include "tests/unit/catalog/catalog_kit.h"

/* A store that says of its second region what a test tells it. */
struct region {
	struct store base;
	struct store_cut cut;
	enum err_class fails; /* ERR_NONE: it does not */
	int64_t since_ns;     /* that was asked with */
};

static int region_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct region *r = (struct region *)s;

	r->since_ns = since_ns;
	if (r->fails != ERR_NONE)
		return err_set(e, r->fails, "the second region does not answer the test");
	*ret = r->cut;
	return 0;
}

static const struct store_ops region_ops = { .name = "region", .cut = region_cut };
static char region_url[] = "mem:region";

#define REGION                                                   \
	{                                                        \
		.base = {.ops = &region_ops, .url = region_url } \
	}

static struct geo_result look(struct catalog *c, struct region *r, int64_t now_ns)
{
	const struct geo_source from = { .store = &r->base };
	struct geo_result g;

	ok(geo_sync(c, &from, now_ns, &g, e));
	return g;
}

#define POINTS "SELECT sequence, geo_kind, geo_ns, geo FROM v_points ORDER BY sequence"

/* Two points of a volume, the second received after the first, in a catalog. */
static struct catalog *two(struct kit *k, int64_t received_ns[2])
{
	const struct point_volume v = kit_volume("shop", "orders");
	struct catalog *c = kit_catalog(k->dir, "catalog.db");
	auto_kit_point struct point first = kit_commit(k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(k, &v, 2, &first);
	const struct point *p[] = { &first, &second };

	(void)kit_sync(k, c);
	for (size_t i = 0; i < 2; i++) {
		struct store_stat st;
		char key[128];

		(void)snprintf(key, sizeof(key), "commit/%.100s", p[i]->session);
		ok(store_head(k->store, key, &st, e));
		received_ns[i] = st.received_ns;
	}
	assert_true(received_ns[0] < received_ns[1]);
	return c;
}

static void test_geo_sync__without_a_second_region_notes_nothing(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct region none = REGION;
	struct geo_result g = look(c, &none, 500);

	(void)state;
	assert_int_equal(g.cut.kind, CUT_NONE);
	assert_rows(c, "SELECT count(*) FROM cuts", "0\n");
	assert_rows(c, POINTS, "1|||\n2|||\n");
	assert_rows(c, "SELECT count(*) FROM v_geo", "0\n");
}

static void test_geo_sync__points_under_the_cut_are_in_the_second_region(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct region r = REGION;

	(void)state;
	r.cut = (struct store_cut){ .kind = CUT_LAST_SYNC,
		                    .cut_ns = at[0],
		                    .at_ns = at[0] + 9000000000,
		                    .status = "live" };
	assert_int_equal(look(c, &r, 500).durable, 1);
	assert_int_equal(r.since_ns, 0);
	assert_rows(c, POINTS, "1|last_sync|500|yes\n2|||no\n");
	assert_rows(c, "SELECT waiting, lag_s FROM v_geo", "1|86400\n");
	assert_rows(c, "SELECT kind, lag_s, behind, status FROM v_cuts", "last_sync|9|0|live\n");
	r.cut = (struct store_cut){ .kind = CUT_COMPARED, .cut_ns = at[1], .behind = 3 };
	assert_int_equal(look(c, &r, 600).durable, 1);
	assert_int_equal(r.since_ns, at[0]);
	assert_rows(c, POINTS, "1|last_sync|500|yes\n2|compared|600|yes\n");
	assert_rows(c, "SELECT waiting, lag_s FROM v_geo", "0|0\n");
	assert_rows(c, "SELECT id, observed_ns, at_ns IS NULL, behind, status IS NULL FROM cuts",
	            "1|500|0|0|0\n2|600|1|3|1\n");
}

static void test_geo_sync__what_is_in_the_second_region_stays_so(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct region r = REGION;

	(void)state;
	r.cut = (struct store_cut){ .kind = CUT_REPLICATION, .cut_ns = at[1] };
	(void)look(c, &r, 500);
	r.cut = (struct store_cut){ .kind = CUT_REPLICATION, .cut_ns = 1 };
	assert_int_equal(look(c, &r, 600).durable, 0);
	assert_rows(c, POINTS, "1|replication|500|yes\n2|replication|500|yes\n");
	/* and the highest cut is what need not be looked at again */
	(void)look(c, &r, 700);
	assert_int_equal(r.since_ns, at[1]);
}

static void test_geo_sync__a_failure_is_noted_and_is_none(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct region r = REGION;
	const struct geo_source from = { .store = &r.base };

	(void)state;
	r.fails = ERR_RETRY;
	struct geo_result g = look(c, &r, 500);
	assert_int_equal(g.why.class, ERR_RETRY);
	assert_int_equal(g.cut.kind, CUT_UNKNOWN);
	assert_rows(c, "SELECT kind, cut_ns IS NULL, status, lag_s IS NULL FROM v_cuts",
	            "unknown|1|retry|1\n");
	assert_rows(c, POINTS, "1|||unknown\n2|||unknown\n");
	r.fails = ERR_NONE;
	r.cut = (struct store_cut){ .kind = CUT_UNKNOWN, .status = "bootstrap" };
	(void)look(c, &r, 600);
	assert_rows(c, "SELECT status FROM cuts", "retry\nbootstrap\n");
	r.fails = ERR_CANCELLED;
	fails(ERR_CANCELLED, geo_sync(c, &from, 700, &g, e));
	assert_rows(c, "SELECT count(*) FROM cuts", "2\n");
}

static void test_geo_sync__a_mirror_takes_the_place_of_the_stores_own(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct store *copy = NULL;
	struct geo_result g;

	(void)state;
	ok((copy = store_mem_new(e)) ? 0 : -1);
	const struct geo_source from = { .store = k.store, .mirror = copy };
	ok(geo_sync(c, &from, 500, &g, e));
	assert_int_equal(g.cut.kind, CUT_COMPARED);
	assert_true(g.cut.behind >= 3);
	assert_int_equal(g.durable, 0);
	assert_rows(c, POINTS, "1|||no\n2|||no\n");
	store_free(copy);
	struct err away = ERR_INIT;
	(void)err_set(&away, ERR_NOT_FOUND, "the copy is away");
	const struct geo_source none = { .store = k.store, .why = &away };
	ok(geo_sync(c, &none, 600, &g, e));
	assert_string_equal(g.why.msg, "the copy is away");
	assert_rows(c, "SELECT kind, status FROM cuts ORDER BY id",
	            "compared|\nunknown|not_found\n");
}

static void test_geo__what_was_seen_is_never_changed(void **state)
{
	auto_kit struct kit k = kit_new();
	int64_t at[2];
	auto_catalog struct catalog *c = two(&k, at);
	struct region r = REGION;

	(void)state;
	r.cut = (struct store_cut){ .kind = CUT_LAST_SYNC, .cut_ns = 5 };
	(void)look(c, &r, 500);
	fails_saying(ERR_BUG, "never removed", catalog_exec(c, "DELETE FROM cuts", e));
	fails_saying(ERR_BUG, "does not change", catalog_exec(c, "UPDATE cuts SET cut_ns = 9", e));
}

static void test_geo_kind_name__of_each_kind(void **state)
{
	(void)state;
	assert_null(geo_kind_name(CUT_NONE));
	assert_string_equal(geo_kind_name(CUT_UNKNOWN), "unknown");
	assert_string_equal(geo_kind_name(CUT_REPLICATION), "replication");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geo_sync__without_a_second_region_notes_nothing),
		cmocka_unit_test(test_geo_sync__points_under_the_cut_are_in_the_second_region),
		cmocka_unit_test(test_geo_sync__what_is_in_the_second_region_stays_so),
		cmocka_unit_test(test_geo_sync__a_failure_is_noted_and_is_none),
		cmocka_unit_test(test_geo_sync__a_mirror_takes_the_place_of_the_stores_own),
		cmocka_unit_test(test_geo__what_was_seen_is_never_changed),
		cmocka_unit_test(test_geo_kind_name__of_each_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
