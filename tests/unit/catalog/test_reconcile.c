/* SPDX-License-Identifier: Apache-2.0 */
/* After a failover: what survived, what is whole, what was lost, and going on from there. */
#include "catalog/reconcile.h"

#include "tests/unit/catalog/catalog_kit.h"

/* Two volumes with three and one points, all with content of their own. */
struct world {
	struct kit k;
	struct catalog *c;
	struct point v[3], w;
};

static struct point backup(const struct kit *k, const char *volume, unsigned n,
                           const struct point *previous)
{
	const struct kit_content c = { .volume = volume,
		                       .domain = volume,
		                       .n = n,
		                       .files = 4,
		                       .bytes = 5000,
		                       .seed = 100 * n,
		                       .previous = previous };
	return kit_backup(k, &c);
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->k = kit_new();
	w->c = kit_catalog(w->k.dir, "catalog.db");
	w->v[0] = backup(&w->k, "v", 1, NULL);
	w->v[1] = backup(&w->k, "v", 2, &w->v[0]);
	w->v[2] = backup(&w->k, "v", 3, &w->v[1]);
	w->w = backup(&w->k, "w", 1, NULL);
	(void)kit_sync(&w->k, w->c);
}

static void world_clear(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->v); i++)
		point_clear(&w->v[i]);
	point_clear(&w->w);
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static struct reconcile_result reconcile(struct world *w, bool accept)
{
	const struct reconcile_params p = { .now_ns = KIT_NOW_NS + 1,
		                            .level = 1,
		                            .accept = accept };
	struct reconcile_result r;

	ok(reconcile_run(w->c, w->k.audit, &p, &r, e));
	return r;
}

static void remove_commit(struct world *w, const struct point *p)
{
	char key[128];

	(void)snprintf(key, sizeof(key), "commit/%.100s", p->session);
	kit_remove(&w->k, key);
}

/* The pack that holds the root of the point's tree. */
static void remove_tree(struct world *w, const struct point *p)
{
	char key[PACK_KEY_MAX];

	pack_key_name(key, p->root.pack, CHUNK_NODE);
	kit_remove(&w->k, key);
}

static void assert_volumes(struct world *w, int64_t number, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	struct err err = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(w->c, reconcile_volumes_sql, &err);

	assert_non_null(s);
	(void)sqlite3_bind_int64(s, 1, number);
	while (catalog_step(w->c, s, &err) > 0) {
		for (int i = 0; i < 7; i++) {
			/* times as days since the first */
			int64_t v = sqlite3_column_int64(s, i);

			if (i == 0)
				(void)buf_printf(&b, "%s", catalog_text(s, 0));
			else if (sqlite3_column_type(s, i) == SQLITE_NULL)
				(void)buf_str(&b, "|");
			else
				(void)buf_printf(&b, "|%d",
				                 (int)(i < 4   ? v
				                       : i < 6 ? (v - KIT_EPOCH_NS) / KIT_DAY_NS
				                               : v / KIT_DAY_NS));
		}
		(void)buf_str(&b, "\n");
	}
	assert_string_equal(buf_cstr(&b), expected);
}

#define STATES "SELECT volume, sequence, state FROM v_points ORDER BY 1, 2"

static void test_reconcile_run__nothing_was_lost(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	struct reconcile_result r = reconcile(&w, false);
	assert_int_equal(r.survived, 4);
	assert_int_equal(r.incomplete + r.lost + r.added + r.problems, 0);
	assert_volumes(&w, 0, "v|3|0|0|3||\nw|1|0|0|1||\n");
	assert_rows(w.c, "SELECT id, accepted, config, level, survived, lost FROM reconciliations",
	            "1|0|1|1|4|0\n");
}

static void test_reconcile_run__tells_lost_and_incomplete_points_by_volume(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	remove_commit(&w, &w.v[2]);
	remove_tree(&w, &w.v[1]);
	remove_commit(&w, &w.w);
	struct reconcile_result r = reconcile(&w, false);
	assert_int_equal(r.survived, 1);
	assert_int_equal(r.incomplete, 1);
	assert_int_equal(r.lost, 2);
	assert_true(r.problems > 0);
	assert_true(r.packs > 0);
	assert_true(r.sessions >= 2);
	/* of w nothing is left: since the first that there was, which is the lost one itself */
	assert_volumes(&w, 0, "v|1|1|1|1|3|2\nw|0|0|1||1|0\n");
	assert_rows(w.c, STATES, "v|1|present\nv|2|incomplete\nv|3|lost\nw|1|lost\n");
	/* Again: the same, and it is known since when. */
	r = reconcile(&w, false);
	assert_int_equal(r.lost, 2);
	assert_rows(w.c, "SELECT count(*) FROM reconciliations", "2\n");
}

static void test_reconcile_run__a_commit_that_does_not_open_is_incomplete(void **state)
{
	auto_world struct world w;
	char key[128];

	(void)state;
	world_init(&w);
	(void)snprintf(key, sizeof(key), "commit/%.100s", w.v[1].session);
	kit_flip(&w.k, key, 200);
	struct reconcile_result r = reconcile(&w, false);
	assert_int_equal(r.incomplete, 1);
	assert_rows(w.c, STATES, "v|1|present\nv|2|incomplete\nv|3|present\nw|1|present\n");
	kit_flip(&w.k, key, 200);
	assert_int_equal(reconcile(&w, false).incomplete, 0);
	assert_rows(w.c, "SELECT count(*) FROM points WHERE incomplete_ns IS NOT NULL", "0\n");
}

static void test_reconcile_run__what_was_accepted_is_no_anomaly_and_is_not_told_again(void **state)
{
	auto_world struct world w;
	size_t n;
	char key[128];

	(void)state;
	world_init(&w);
	(void)snprintf(key, sizeof(key), "commit/%.100s", w.v[2].session);
	auto_free uint8_t *commit = kit_get(&w.k, key, &n);
	remove_commit(&w, &w.v[2]);
	(void)reconcile(&w, false);
	assert_rows(w.c, "SELECT kind FROM v_anomalies", "lost\n");
	struct reconcile_result r = reconcile(&w, true);
	assert_int_equal(r.lost, 1);
	assert_int_equal(r.number, 2);
	assert_volumes(&w, 2, "v|2|0|1|2|3|1\nw|1|0|0|1||\n");
	assert_rows(w.c, "SELECT kind FROM v_anomalies", "");
	assert_rows(w.c, "SELECT sequence, state, loss FROM v_points WHERE loss IS NOT NULL",
	            "3|lost|2\n");
	assert_int_equal(reconcile(&w, false).lost, 0);
	assert_rows(w.c, "SELECT at_ns, accepted, lost FROM v_reconciliations ORDER BY id",
	            "1881705600000000001|0|1\n1881705600000000001|1|1\n"
	            "1881705600000000001|0|0\n");
	/* What comes back was never lost, and is told when it goes again. */
	ok(put_bytes(w.k.store, key, commit, n, e));
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT count(*) FROM points WHERE loss IS NOT NULL", "0\n");
	remove_commit(&w, &w.v[2]);
	assert_int_equal(reconcile(&w, false).lost, 1);
}

static void test_reconcile_run__a_later_point_follows_one_whose_loss_was_accepted(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	remove_commit(&w, &w.v[2]);
	(void)reconcile(&w, true);
	auto_kit_point struct point next = backup(&w.k, "v", 4, &w.v[2]);
	(void)kit_sync(&w.k, w.c);
	assert_rows(w.c, "SELECT kind FROM v_anomalies", "");
}

static void test_reconcile__what_was_found_is_never_changed(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	(void)reconcile(&w, true);
	fails_saying(ERR_BUG, "never removed", catalog_exec(w.c, "DELETE FROM reconciliations", e));
	fails_saying(ERR_BUG, "does not change",
	             catalog_exec(w.c, "UPDATE reconciliations SET lost = 0", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reconcile_run__nothing_was_lost),
		cmocka_unit_test(test_reconcile_run__tells_lost_and_incomplete_points_by_volume),
		cmocka_unit_test(test_reconcile_run__a_commit_that_does_not_open_is_incomplete),
		cmocka_unit_test(
			test_reconcile_run__what_was_accepted_is_no_anomaly_and_is_not_told_again),
		cmocka_unit_test(
			test_reconcile_run__a_later_point_follows_one_whose_loss_was_accepted),
		cmocka_unit_test(test_reconcile__what_was_found_is_never_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
