/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog says, as metrics. */
#include "catalog/measure.h"

#include "common/metric.h"
#include "tests/unit/catalog/catalog_kit.h"

static void assert_measures(struct catalog *c, int64_t now_ns, const char *const *lines)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);

	ok(measure_put(c, now_ns, &b, e));
	const char *text = buf_cstr(&b);
	for (; *lines; lines++) {
		if (!strstr(text, *lines))
			fail_msg("'%s' is not in:\n%s", *lines, text);
	}
}

static void assert_not_measured(struct catalog *c, const char *name)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);

	ok(measure_put(c, KIT_NOW_NS, &b, e));
	assert_null(strstr(buf_cstr(&b), name));
}

static void test_measure_put__of_an_empty_catalog(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	static const char *const lines[] = { "\naksdr_catalog_volumes 0\n",
		                             "\naksdr_catalog_anomalies 0\n", NULL };

	(void)state;
	assert_measures(c, KIT_NOW_NS, lines);
	assert_not_measured(c, "aksdr_geo");
	assert_not_measured(c, "aksdr_catalog_synced");
}

static void test_measure_put__has_the_age_of_each_volume_in_one_and_both_regions(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	const struct point_volume v = kit_volume("shop", "orders");
	const struct point_volume w = kit_volume("", "a \"b\"");
	auto_kit_point struct point first = kit_commit(&k, &v, 1, NULL);
	auto_kit_point struct point second = kit_commit(&k, &v, 2, &first);
	auto_kit_point struct point other = kit_commit(&k, &w, 1, NULL);
	static const char *const lines[] = {
		"# TYPE aksdr_rpo_seconds gauge\naksdr_rpo_seconds{volume=\"a \\\"b\\\"\"} 172800\n"
		"aksdr_rpo_seconds{volume=\"c1/shop/orders\"} 86400\n",
		"\naksdr_geo_rpo_seconds{volume=\"c1/shop/orders\"} 172800\n",
		"\naksdr_geo_waiting_points{volume=\"c1/shop/orders\"} 1\n",
		"\naksdr_geo_waiting_points{volume=\"a \\\"b\\\"\"} 1\n",
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
	assert_measures(c, KIT_EPOCH_NS + 3 * KIT_DAY_NS, lines);
}

static void test_measure_put__says_when_nothing_is_known_now(void **state)
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
	assert_measures(c, KIT_NOW_NS, lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measure_put__of_an_empty_catalog),
		cmocka_unit_test(
			test_measure_put__has_the_age_of_each_volume_in_one_and_both_regions),
		cmocka_unit_test(test_measure_put__says_when_nothing_is_known_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
