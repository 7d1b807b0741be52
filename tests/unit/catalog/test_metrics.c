/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog says, as metrics. */
#include "catalog/metrics.h"

#include "common/metric.h"
#include "tests/unit/catalog/catalog_kit.h"

#define SIXTEEN "000000000000000"
#define PUBLIC "0000000000000000000000000000000000000000000000000000000000000000"

static void assert_metrics(struct catalog *c, int64_t now_ns, const char *const *lines)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);

	const struct metrics_params p = { .now_ns = now_ns };
	ok(metrics_put(c, &p, &b, e));
	const char *text = buf_cstr(&b);
	for (; *lines; lines++) {
		if (!strstr(text, *lines))
			fail_msg("'%s' is not in:\n%s", *lines, text);
	}
}

static void assert_not_measured(struct catalog *c, const char *name)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);

	const struct metrics_params p = { .now_ns = KIT_NOW_NS };
	ok(metrics_put(c, &p, &b, e));
	assert_null(strstr(buf_cstr(&b), name));
}

static void test_metrics_put__of_an_empty_catalog(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	static const char *const lines[] = { "\naksdr_catalog_volumes 0\n",
		                             "\naksdr_catalog_anomalies 0\n", NULL };

	(void)state;
	assert_metrics(c, KIT_NOW_NS, lines);
	assert_not_measured(c, "aksdr_geo");
	assert_not_measured(c, "aksdr_catalog_synced");
}

static void test_metrics_put__has_the_age_of_each_volume_in_one_and_both_regions(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	const struct point_volume w = kit_volume("", "a \"b\"");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &v, 2, &first);
	auto_kit_point struct point other = kit_commit(&k, &w, 1, NULL);
	static const char *const lines[] = {
		"# TYPE aksdr_volume_rpo_seconds gauge\n"
		"aksdr_volume_rpo_seconds{volume=\"a \\\"b\\\"\"} 172800\n"
		"aksdr_volume_rpo_seconds{volume=\"c1/shop/orders\"} 86400\n",
		"\naksdr_volume_geo_rpo_seconds{volume=\"c1/shop/orders\"} 172800\n",
		"\naksdr_volume_geo_waiting_points{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_geo_waiting_points{volume=\"a \\\"b\\\"\"} 1\n",
		"\naksdr_geo_cut_timestamp_seconds 100\n",
		"\naksdr_geo_lag_seconds 30\n",
		"\naksdr_geo_behind_objects 4\n",
		"\naksdr_geo_known 1\n",
		"\naksdr_geo_cut_observed_timestamp_seconds 140\n",
		"\naksdr_catalog_synced_timestamp_seconds 1881705600\n",
		NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	ok(catalog_exec(c,
	                "INSERT INTO cuts (observed_ns, at_ns, kind, cut_ns, behind) VALUES"
	                " (140000000000, 130000000000, 'compared', 100000000000, 4);"
	                "UPDATE points SET geo_ns = 1, geo_kind = 'compared'"
	                " WHERE sequence = 1 AND voltag IN"
	                " (SELECT voltag FROM volumes WHERE name = 'orders')",
	                e));
	assert_metrics(c, KIT_EPOCH_NS + 3 * KIT_DAY_NS, lines);
}

static void test_metrics_put__says_since_when_keys_are_in_use(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	static const char *const lines[] = {
		"# TYPE aksdr_key_since_timestamp_seconds gauge\n"
		"aksdr_key_since_timestamp_seconds{role=\"recipient\",name=\"then\"} 50\n"
		"aksdr_key_since_timestamp_seconds{role=\"signer\",name=\"now\"} 1",
		NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	/* One that is gone or revoked does not count, and of two of a name the older one does. */
	ok(catalog_exec(c,
	                "DELETE FROM recipients; UPDATE signers SET name = 'now';"
	                "INSERT INTO recipients VALUES ('" SIXTEEN "1', '" PUBLIC
	                "', 'then', 60000000000, NULL),"
	                " ('" SIXTEEN "2', '" PUBLIC "', 'then', 50000000000, NULL),"
	                " ('" SIXTEEN "3', '" PUBLIC "', 'gone', 40000000000, 90000000000);"
	                "INSERT INTO signers (signer, public, name, revoked_ns)"
	                " VALUES ('" SIXTEEN "4', '" PUBLIC "', 'never', NULL)",
	                e));
	assert_metrics(c, KIT_NOW_NS, lines);
	ok(catalog_exec(c, "UPDATE signers SET revoked_ns = 1; DELETE FROM recipients", e));
	assert_not_measured(c, "aksdr_key_since");
}

static void test_metrics_put__says_when_nothing_is_known_now(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	static const char *const lines[] = { "\naksdr_geo_known 0\n",
		                             "\naksdr_geo_cut_timestamp_seconds 7\n", NULL };

	(void)state;
	ok(catalog_exec(c,
	                "INSERT INTO cuts (observed_ns, kind, cut_ns, behind) VALUES"
	                " (1, 'last_sync', 7000000000, 0), (2, 'unknown', NULL, 0)",
	                e));
	assert_metrics(c, KIT_NOW_NS, lines);
}

/* What a backup is, as far as it does not follow from its being there. */
static void set_facts(struct catalog *c)
{
	ok(catalog_exec(c,
	                "DROP TRIGGER points_fixed; DROP TRIGGER points_capture_fixed;"
	                "UPDATE points SET bytes_logical = 5000, bytes_read = 700, bytes_new = 600,"
	                " bytes_stored = 300, files = 7, directories = 2, others = 1,"
	                " unreadable = 1, changed = 2, consistency = 'fuzzy',"
	                " fallback = 'no snapshots here',"
	                " freeze_ms = 250, hooks_failed = 1 WHERE sequence = 2",
	                e));
}

static void test_metrics_put__has_what_the_newest_point_of_a_volume_cost_and_lacks(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &v, 2, &first);
	static const char *const lines[] = {
		"\naksdr_volume_info{volume=\"c1/shop/orders\",cluster=\"c1\",namespace=\"shop\","
		"name=\"orders\",kind=\"filesystem\"} 1\n",
		"\naksdr_volume_last_success_timestamp_seconds"
		"{volume=\"c1/shop/orders\"} 1795478400\n",
		"\naksdr_volume_last_finished_timestamp_seconds"
		"{volume=\"c1/shop/orders\"} 1795478401\n",
		"\naksdr_volume_last_duration_seconds{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_last_freeze_seconds{volume=\"c1/shop/orders\"} 0.25\n",
		"\naksdr_volume_bytes{volume=\"c1/shop/orders\",kind=\"deduped\"} 100\n",
		"aksdr_volume_bytes{volume=\"c1/shop/orders\",kind=\"logical\"} 5000\n",
		"\naksdr_volume_bytes{volume=\"c1/shop/orders\",kind=\"read\"} 700\n",
		"\naksdr_volume_bytes{volume=\"c1/shop/orders\",kind=\"changed\"} 600\n",
		"\naksdr_volume_bytes{volume=\"c1/shop/orders\",kind=\"uploaded\"} 300\n",
		"\naksdr_volume_last_entries{volume=\"c1/shop/orders\"} 10\n",
		"\naksdr_volume_last_unreadable_entries{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_last_changed_entries{volume=\"c1/shop/orders\"} 2\n",
		"\naksdr_volume_last_partial{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_last_fuzzy{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_last_fallback{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_last_failed_hooks{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_volume_points{volume=\"c1/shop/orders\"} 2\n",
		"\naksdr_volume_oldest_timestamp_seconds{volume=\"c1/shop/orders\"} 1795392000\n",
		"\naksdr_volume_anomalies{volume=\"c1/shop/orders\"} 0\n",
		"\n# TYPE aksdr_volume_points_made_total counter\n"
		"aksdr_volume_points_made_total{volume=\"c1/shop/orders\"} 2\n",
		"\naksdr_volume_uploaded_bytes_total{volume=\"c1/shop/orders\"} 1300\n",
		"\naksdr_volume_duration_seconds_total{volume=\"c1/shop/orders\"} 2\n",
		"\naksdr_catalog_points{state=\"present\"} 2\n",
		"\naksdr_catalog_uploaded_bytes 1300\n",
		"\naksdr_metrics_dropped 0\n",
		NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	set_facts(c);
	assert_metrics(c, KIT_NOW_NS, lines);
	assert_not_measured(c, "verified");
	assert_not_measured(c, "geo");
	assert_not_measured(c, "aksdr_check");
}

static void test_metrics_put__has_the_second_region_by_volume(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("", "a");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &v, 3, &first);
	static const char *const lines[] = {
		"\naksdr_volume_geo_timestamp_seconds{volume=\"a\"} 1795392000\n",
		"\naksdr_volume_geo_lag_seconds{volume=\"a\"} 172800\n", NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	ok(catalog_exec(c,
	                "INSERT INTO cuts (observed_ns, kind, cut_ns, behind) VALUES"
	                " (1, 'last_sync', 7, 0);"
	                "UPDATE points SET geo_ns = 1, geo_kind = 'last_sync' WHERE sequence = 1",
	                e));
	assert_metrics(c, KIT_NOW_NS, lines);
}

static void test_metrics_put__has_the_last_check_of_each_level_and_what_it_saw(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("", "a");
	const struct point_volume w = kit_volume("", "b");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &v, 2, &first);
	auto_kit_point struct point other = kit_commit(&k, &w, 1, NULL);
	static const char *const lines[] = {
		"\n# TYPE aksdr_checks_total counter\naksdr_checks_total{level=\"1\"} 1\n"
		"aksdr_checks_total{level=\"3\"} 3\n",
		"\naksdr_check_timestamp_seconds{level=\"1\"} 60\n"
		"aksdr_check_timestamp_seconds{level=\"3\"} 4500\n",
		"\naksdr_check_duration_seconds{level=\"3\"} 500\n",
		"\naksdr_check_problems{level=\"1\"} 0\naksdr_check_problems{level=\"3\"} 2\n",
		"\naksdr_check_hurt_points{level=\"3\"} 1\n",
		"\naksdr_check_objects{level=\"3\"} 12\n",
		"\naksdr_check_read_bytes{level=\"3\"} 9000\n",
		"\naksdr_volume_last_verified_timestamp_seconds{volume=\"a\"} 2000\n",
		/* of the points that the check of second 2000 saw the newest one */
		"\naksdr_volume_verified_timestamp_seconds{volume=\"a\"} 1795392000\n", NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	ok(catalog_exec(c,
	                "INSERT INTO checks (level, all_packs, started_ns, finished_ns, points,"
	                " objects, bytes, packs_verified, bytes_verified, problems, hurt_points,"
	                " hurt_entries) VALUES"
	                " (3, 1, 1000000000000, 1500000000000, 2, 10, 8000, 1, 1, 0, 0, 0),"
	                " (3, 1, 2000000000000, 2500000000000, 2, 11, 8500, 1, 1, 0, 0, 0),"
	                " (3, 1, 4000000000000, 4500000000000, 2, 12, 9000, 1, 1, 2, 1, 0),"
	                " (1, 1, 50000000000, 60000000000, 2, 9, 10, 0, 0, 0, 0, 0);"
	                "DROP TRIGGER points_fixed;"
	                "UPDATE points SET received_ns = CASE sequence WHEN 1 THEN 1900000000000"
	                " ELSE 2100000000000 END;"
	                "UPDATE points SET received_ns = 2200000000000 WHERE voltag IN"
	                " (SELECT voltag FROM volumes WHERE name = 'b')",
	                e));
	assert_metrics(c, KIT_NOW_NS, lines);
	assert_not_measured(c, "aksdr_volume_verified_timestamp_seconds{volume=\"b\"}");
	assert_not_measured(c, "aksdr_volume_last_verified_timestamp_seconds{volume=\"b\"}");
}

static void test_metrics_put__leaves_out_volumes_that_were_expired_but_not_lost_ones(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("", "expired");
	const struct point_volume w = kit_volume("", "lost");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &w, 1, NULL);
	static const char *const lines[] = { "\naksdr_volume_points{volume=\"lost\"} 0\n",
		                             "\naksdr_volume_lost_points{volume=\"lost\"} 1\n",
		                             "\naksdr_volume_points_made_total"
		                             "{volume=\"lost\"} 1\n",
		                             "\naksdr_catalog_points{state=\"deleted\"} 1\n"
		                             "aksdr_catalog_points{state=\"lost\"} 1\n",
		                             "\naksdr_catalog_volumes 2\n",
		                             "\naksdr_metrics_dropped 0\n",
		                             NULL };

	(void)state;
	(void)kit_sync(&k, c);
	ok(catalog_exec(c,
	                "UPDATE points SET gone_at_ns = 9;"
	                "UPDATE points SET expired_ns = 8, expiry = 'expired' WHERE voltag IN"
	                " (SELECT voltag FROM volumes WHERE name = 'expired')",
	                e));
	assert_metrics(c, KIT_NOW_NS, lines);
	assert_not_measured(c, "volume=\"expired\"");
	assert_not_measured(c, "aksdr_volume_last_success_timestamp_seconds");
}

static void test_metrics_put__counts_the_volumes_that_are_too_many(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	static const char *const names[] = { "c", "a", "d", "b" };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	const struct metrics_params p = { .now_ns = KIT_NOW_NS, .volumes = 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct point_volume v = kit_volume("", names[i]);
		auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	}
	(void)kit_sync(&k, c);
	ok(metrics_put(c, &p, &b, e));
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "\naksdr_metrics_dropped 2\n"));
	assert_non_null(strstr(text, "\naksdr_volume_points{volume=\"a\"} 1\n"
	                             "aksdr_volume_points{volume=\"b\"} 1\n"
	                             "aksdr_volume_points{volume=\"(other)\"} 2\n#"));
	/* The worst of them, and what they come to together. */
	assert_non_null(strstr(text, "aksdr_volume_lost_points{volume=\"(other)\"} 0\n"));
	assert_non_null(strstr(text, "aksdr_volume_last_success_timestamp_seconds{volume="
	                             "\"(other)\"} 1"));
	assert_null(strstr(text, "volume=\"c\""));
}

static void test_metrics_put__tells_the_same_after_a_restart_while_somebody_writes(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	const struct metrics_params p = { .now_ns = KIT_NOW_NS };
	CLEANUP(buf_clear) struct buf before = BUF_INIT(METRIC_TEXT_MAX);
	CLEANUP(buf_clear) struct buf after = BUF_INIT(METRIC_TEXT_MAX);
	auto_catalog struct catalog *again = NULL;

	(void)state;
	(void)kit_sync(&k, c);
	ok(metrics_put(c, &p, &before, e));
	ok(catalog_exec(c, "BEGIN IMMEDIATE; UPDATE points SET gone_at_ns = 9", e));
	ok(catalog_open(c->path, CATALOG_READ, &again, e));
	ok(metrics_put(again, &p, &after, e));
	assert_string_equal(buf_cstr(&after), buf_cstr(&before));
	ok(catalog_exec(c, "ROLLBACK", e));
	/* Nothing is left open: it can be written again. */
	ok(catalog_exec(c, "BEGIN IMMEDIATE; COMMIT", e));
}

static void test_metrics_put__has_what_clusters_hold_and_what_drills_have_shown(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	static const char *const lines[] = {
		"\naksdr_unprotected_volumes{cluster=\"c1\",kind=\"claim\"} 1\n"
		"aksdr_unprotected_volumes{cluster=\"c1\",kind=\"emptyDir\"} 7\n",
		"\naksdr_volumes_without_points{cluster=\"c1\"} 1\n",
		"\naksdr_inventory_timestamp_seconds{cluster=\"c1\"} 5\n",
		"\naksdr_volume_rpo_target_seconds{volume=\"c1/shop/orders\"} 3600\n",
		"\naksdr_drill_timestamp_seconds{plan=\"shop\"} 20\n",
		"\naksdr_drill_passed{plan=\"shop\"} 0\n",
		"\naksdr_drill_passed_timestamp_seconds{plan=\"shop\"} 10\n",
		"\naksdr_drill_rto_seconds{plan=\"shop\"} 2.5\n",
		"\naksdr_drill_rto_target_seconds{plan=\"shop\"} 60\n",
		"\naksdr_volume_last_drill_timestamp_seconds{volume=\"c1/shop/orders\"} 10\n",
		NULL
	};

	(void)state;
	(void)kit_sync(&k, c);
	ok(catalog_exec(
		c,
		"INSERT INTO inventories VALUES ('o', 'c1', 5000000000, 5000000000, '', '', '', 4,"
		" 0, '');"
		"INSERT INTO inventory (cluster, kind, namespace, name, owner, class, driver,"
		" bytes, count, state, reason, policy, rpo_s, why, from_ns) VALUES"
		" ('c1', 'claim', 'shop', 'orders', '', '', '', 0, 1, 'protected', 'policy', 'p',"
		" 3600, '', 5),"
		" ('c1', 'claim', 'shop', 'late', '', '', '', 0, 1, 'protected', 'policy', 'p', 0,"
		" '', 5),"
		" ('c1', 'claim', 'shop', 'bare', '', '', '', 0, 1, 'exposed', 'no-policy', '', 0,"
		" '', 5),"
		" ('c1', 'emptyDir', 'shop', 'tmp', '', '', '', 0, 7, 'exposed', 'kind', '', 0,"
		" '', 5);"
		"INSERT INTO drills (run, plan, version, from_cluster, to_cluster, began_ns,"
		" ended_ns, rto_target_s, rto_ms, bytes, left_out, check_wanted, passed, damaged,"
		" user, host, signer) VALUES"
		" ('a', 'shop', '1', 'c1', 'c2', 10000000000, 11, 60, 1000, 0, 0, 0, 1, 0, '', '',"
		" ''), ('b', 'shop', '1', 'c1', 'c2', 20000000000, 21, 60, 2500, 0, 0, 0, 0, 0,"
		" '', '', '');"
		"INSERT INTO drill_volumes (run, n, volume, claim, bytes, files, fetched_bytes,"
		" gaps, ms, restored, verified, damaged) VALUES"
		" ('a', 0, 'c1/shop/orders', 'x', 0, 0, 0, 0, 0, 1, 1, 0),"
		" ('b', 0, 'c1/shop/orders', 'x', 0, 0, 0, 0, 0, 1, 0, 0)",
		e));
	assert_metrics(c, KIT_NOW_NS, lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics_put__of_an_empty_catalog),
		cmocka_unit_test(
			test_metrics_put__has_what_clusters_hold_and_what_drills_have_shown),
		cmocka_unit_test(
			test_metrics_put__has_the_age_of_each_volume_in_one_and_both_regions),
		cmocka_unit_test(test_metrics_put__says_since_when_keys_are_in_use),
		cmocka_unit_test(test_metrics_put__says_when_nothing_is_known_now),
		cmocka_unit_test(
			test_metrics_put__has_what_the_newest_point_of_a_volume_cost_and_lacks),
		cmocka_unit_test(test_metrics_put__has_the_second_region_by_volume),
		cmocka_unit_test(
			test_metrics_put__has_the_last_check_of_each_level_and_what_it_saw),
		cmocka_unit_test(
			test_metrics_put__leaves_out_volumes_that_were_expired_but_not_lost_ones),
		cmocka_unit_test(test_metrics_put__counts_the_volumes_that_are_too_many),
		cmocka_unit_test(
			test_metrics_put__tells_the_same_after_a_restart_while_somebody_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
