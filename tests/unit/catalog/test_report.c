/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: what they ask and how it is told. Their numbers: tests/cli/reports.sh. */
#include "catalog/report.h"

#include "common/json.h"
#include "tests/unit/catalog/catalog_kit.h"

struct world {
	struct kit k;
	struct catalog *c;
	struct report_params p;
};

/* Two points of c1/ns/web, of the first and second day, and an anomaly. */
static void world_init(struct world *w)
{
	const struct point_volume web = kit_volume("ns", "web");

	*w = (struct world){
		.k = kit_new(),
		.p = { .as_of_ns = KIT_NOW_NS, .from_ns = KIT_EPOCH_NS, .to_ns = KIT_NOW_NS }
	};
	/* Received when they were frozen. */
	w->c = kit_catalog(w->k.dir, "catalog.db");
	store_mem_set_now(w->k.store, KIT_EPOCH_NS + KIT_DAY_NS);
	auto_kit_point struct point a = kit_commit(&w->k, &web, 1, NULL);
	store_mem_set_now(w->k.store, KIT_EPOCH_NS + 2 * KIT_DAY_NS);
	auto_kit_point struct point b = kit_commit(&w->k, &web, 2, &a);
	(void)kit_sync(&w->k, w->c);
}

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static char *printed(struct world *w, const char *name, enum output output, uint64_t limit,
                     bool *ret_more)
{
	const struct report *r = NULL;
	char *text = NULL;
	size_t n;
	bool more = false;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	ok(report_find(name, &r, e));
	ok(report_print(w->c, r, &w->p, output, limit, f, &more, e));
	assert_int_equal(fclose(f), 0);
	if (ret_more)
		*ret_more = more;
	return text;
}

static void assert_has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in: %s", what, text);
}

static void test_report_find__names_the_nearest(void **state)
{
	const struct report *r = NULL;

	(void)state;
	fails_saying(ERR_INVALID, "did you mean 'coverage'?", report_find("coverag", &r, e));
	fails_saying(ERR_INVALID, "lists them", report_find("xyzzyx", &r, e));
	ok(report_find("keys", &r, e));
	assert_string_equal(r->name, "keys");
}

static void test_report_print__json_has_parameters_and_rows(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.p.target_s = 86400;
	w.p.cluster = "c1";
	w.p.namespace = "ns";
	w.p.volume = "*web";
	auto_free char *text = printed(&w, "rpo", OUTPUT_JSON, 0, NULL);
	auto_json json_t *o = json_loads(text, 0, NULL);
	const json_t *row = json_array_get(json_object_get(o, "items"), 0);

	assert_string_equal(json_string_value(json_object_get(o, "schema")), "aksdr/report/rpo/v1");
	assert_string_equal(json_string_value(json_object_get(o, "report")), "rpo");
	assert_string_equal(json_string_value(json_object_get(o, "as_of")),
	                    "2029-08-18T00:00:00.000Z");
	assert_int_equal(json_integer_value(json_object_get(o, "target_s")), 86400);
	assert_string_equal(json_string_value(json_object_get(o, "volume")), "*web");
	assert_int_equal(json_array_size(json_object_get(o, "items")), 1);
	assert_string_equal(json_string_value(json_object_get(row, "volume")), "c1/ns/web");
	assert_string_equal(json_string_value(json_object_get(row, "state")), "missed");
	assert_int_equal(json_integer_value(json_object_get(row, "age_ms")),
	                 INT64_C(998) * 86400000);
}

static void test_report_print__filters_leave_others_out(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.p.cluster = "c2";
	auto_free char *cluster = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);
	w.p.cluster = NULL;
	w.p.volume = "wEb";
	auto_free char *volume = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);
	w.p.volume = "w?b";
	auto_free char *pattern = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);

	assert_null(strchr(strchr(cluster, '\n') + 1, '\n'));
	assert_null(strchr(strchr(volume, '\n') + 1, '\n'));
	assert_has(pattern, "\nc1/ns/web,c1,ns,protected,");
}

static void test_report_print__as_of_a_time_before(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.p.as_of_ns = w.p.to_ns = KIT_EPOCH_NS + KIT_DAY_NS - 1;
	auto_free char *none = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);
	w.p.as_of_ns = w.p.to_ns = KIT_EPOCH_NS + KIT_DAY_NS;
	auto_free char *one = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);

	assert_has(none, "exposed,there was no point yet,0,");
	assert_has(one, "protected,,1,2026-11-23T00:00:00.000Z,0,");
}

static void test_report_print__coverage_has_what_only_the_cluster_knows(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	ok(catalog_exec(
		w.c,
		"INSERT INTO inventory (cluster, kind, namespace, name, owner, class, driver,"
		" bytes, count, state, reason, policy, rpo_s, why, from_ns, until_ns) VALUES"
		" ('c1', 'claim', 'ns', 'web', '', '', '', 0, 1,"
		" 'protected', '', 'daily', 60, '', 5, NULL),"
		" ('c1', 'claim', 'ns', 'new', '', '', '', 0, 1,"
		" 'protected', '', 'daily', 60, '', 5, NULL),"
		" ('c1', 'claim', 'ns', 'old', '', '', '', 0, 1,"
		" 'exposed', '', '', 0, 'gone', 5, 6),"
		" ('c1', 'emptyDir', 'ns', 'tmp', 'Deployment/x', '', '', 0, 1, 'exposed', '', '',"
		" 0,"
		" 'it goes with its pod', 5, NULL),"
		" ('c1', 'claim', 'ns', 'scratch', '', '', '', 0, 1, 'excluded', '', '', 0,"
		" 'label', 5,"
		" NULL)",
		e));
	auto_free char *text = printed(&w, "coverage", OUTPUT_CSV, 0, NULL);
	/* what is asked for is what the policy says */
	assert_has(text, "\nc1/ns/web,c1,ns,late,the newest point is older than the target,2,");
	assert_has(text, ",60000,daily,");
	assert_has(text,
	           "\nc1/ns/new,c1,ns,exposed,\"a policy covers it, and there was no point yet\",");
	assert_has(text,
	           "\nc1/ns/tmp (emptyDir of Deployment/x),c1,ns,exposed,it goes with its pod,");
	assert_has(text, "\nc1/ns/scratch,c1,ns,excluded,label,");
	assert_null(strstr(text, "c1/ns/old"));
}

static void test_report_print__limit_cuts_and_says_so(void **state)
{
	auto_world struct world w;
	bool more;

	(void)state;
	world_init(&w);
	free(printed(&w, "keys", OUTPUT_TABLE, 1, &more));
	assert_true(more);
	free(printed(&w, "coverage", OUTPUT_TABLE, 1, &more));
	assert_false(more);
}

static void test_report_print__keys(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	auto_free char *text = printed(&w, "keys", OUTPUT_CSV, 0, NULL);
	assert_has(text, "\nadmin,admin,in use,,,,0,,");
	assert_has(text, "\nrecipient,recovery,in use,2029-08-18T00:00:00.000Z,,0,,,");
	assert_has(text,
	           "\nsigner,agent,in use,2026-11-23T00:00:00.000Z,2026-11-24T00:00:00.000Z,");
	ok(catalog_exec(w.c, "UPDATE signers SET revoked_ns = 7 WHERE name = 'agent'", e));
	auto_free char *revoked = printed(&w, "keys", OUTPUT_CSV, 0, NULL);
	assert_has(revoked, "\nsigner,agent,revoked,");
}

static void test_report_print__exceptions(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	ok(catalog_exec(
		w.c,
		"INSERT INTO anomalies (kind, object, other, voltag, detail, found_ns)"
		" SELECT 'gap', 'commit/x', '', voltag, '=1+1', 5 FROM volumes;"
		"INSERT INTO checks (run, level, all_packs, started_ns, finished_ns,"
		" points,"
		" objects,"
		" bytes, packs_verified, bytes_verified, problems, hurt_points,"
		" hurt_entries)"
		" VALUES (printf('%032d', 1), 3, 1, 10, 11, 0, 0, 0, 0, 0, 2, 1, 1);"
		"INSERT INTO cuts (observed_ns, kind, behind, status)"
		" VALUES (9, 'unknown', 0, 'away');"
		"INSERT INTO run_steps (run, n, kind, plan, step, at_ns, received_ns, by_admin)"
		" VALUES (printf('%032d', 1), 1, 'failover', 'shop', 'begin', 8, 8, 1)",
		e));
	auto_free char *text = printed(&w, "exceptions", OUTPUT_CSV, 0, NULL);
	/* what a spreadsheet would run does not */
	assert_has(text, "gap,bad,c1/ns/web,commit/x,1970-01-01T00:00:00.000Z,\"'=1+1\"\r\n");
	assert_has(text, "check,bad,\"\",00000000000000000000000000000001,"
	                 "1970-01-01T00:00:00.000Z,\"2 problems, 1 restore");
	assert_has(text, "run not ended,warn,\"\",00000000000000000000000000000001,");
	assert_has(text, "second region,warn,\"\",cut 1,1970-01-01T00:00:00.000Z,nothing is known");
	/* A later check that is good settles it. */
	ok(catalog_exec(w.c,
	                "INSERT INTO checks (run, level, all_packs, started_ns, finished_ns,"
	                " points,"
	                " objects,"
	                " bytes, packs_verified, bytes_verified, problems, hurt_points,"
	                " hurt_entries)"
	                " VALUES (printf('%032d', 2), 4, 1, 20, 21, 0, 0, 0, 0, 0, 0, 0, 0)",
	                e));
	auto_free char *settled = printed(&w, "exceptions", OUTPUT_CSV, 0, NULL);
	assert_null(strstr(settled, "check,bad"));
}

static void test_report_print__cost_by_prices(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.p.prices = (struct report_prices){
		.currency = "EUR", .storage_gib_month = 1e6, .read_gib = 1e5, .copies = 2
	};
	auto_free char *text = printed(&w, "cost", OUTPUT_CSV, 0, NULL);
	/* 2000 bytes: 2000 / 2^30 * 10^6 * 2 */
	assert_has(text, "\nc1,ns,2,2000,2000,3.73,44.70,0.19,EUR\r\n");
}

static void test_report_each__can_be_cancelled(void **state)
{
	auto_world struct world w;
	const struct report *r = NULL;
	CLEANUP(cancel_clear) struct cancel cancel;
	char *text = NULL;
	size_t n;
	bool more;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	world_init(&w);
	ok(catalog_exec(w.c,
	                "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i LIMIT 2000)"
	                " INSERT INTO volumes (voltag, cluster, namespace, name)"
	                " SELECT printf('%016x', x), 'c1', 'ns', 'v' || x FROM i",
	                e));
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	w.p.cancel = &cancel;
	ok(report_find("coverage", &r, e));
	fails(ERR_CANCELLED, report_print(w.c, r, &w.p, OUTPUT_CSV, 0, f, &more, e));
	assert_int_equal(fclose(f), 0);
	free(text);
}

static void test_report_newest__is_what_the_catalog_has_seen(void **state)
{
	auto_world struct world w;
	int64_t ns = 0;

	(void)state;
	world_init(&w);
	ok(report_newest(w.c, &ns, e));
	assert_int_equal(ns, KIT_NOW_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_find__names_the_nearest),
		cmocka_unit_test(test_report_print__json_has_parameters_and_rows),
		cmocka_unit_test(test_report_print__filters_leave_others_out),
		cmocka_unit_test(test_report_print__as_of_a_time_before),
		cmocka_unit_test(test_report_print__coverage_has_what_only_the_cluster_knows),
		cmocka_unit_test(test_report_print__limit_cuts_and_says_so),
		cmocka_unit_test(test_report_print__keys),
		cmocka_unit_test(test_report_print__exceptions),
		cmocka_unit_test(test_report_print__cost_by_prices),
		cmocka_unit_test(test_report_each__can_be_cancelled),
		cmocka_unit_test(test_report_newest__is_what_the_catalog_has_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
