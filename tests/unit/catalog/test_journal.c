/* SPDX-License-Identifier: Apache-2.0 */
/* Journals in the catalog: what is new, once; reports as rows; who counts and who does not. */
#include "catalog/journal.h"

#include "common/json.h"
#include "repo/owner.h"
#include "repo/run_log.h"
#include "tests/unit/catalog/catalog_kit.h"

#define RUN_A "aaaa0000000000000000000000000001"
#define RUN_B "bbbb0000000000000000000000000002"

static const char report[] =
	"{\"schema\": \"aksdr/drill/v1\", \"run\": \"" RUN_A "\", \"plan\": \"shop\","
	"\"actor\": {\"user\": \"root\", \"host\": \"tool\"}, \"version\": \"1.2.3\","
	"\"from\": \"we\", \"to\": \"ne\", \"began_ns\": 1795305600000000000,"
	"\"ended_ns\": 1795305690000000000, \"targets\": {\"rpo_s\": 1200, \"rto_s\": 0},"
	"\"achieved\": {\"rpo_s\": 1200, \"rto_s\": 90.25}, \"bytes\": 2000, \"left_out\": 0,"
	"\"check_wanted\": true, \"passed\": false, \"damaged\": true,"
	"\"why\": [\"one\", \"two\"],"
	"\"phases\": [{\"name\": \"choose\", \"began_ns\": 1795305600000000000, \"seconds\": 1.5},"
	"{\"name\": \"restore\", \"began_ns\": 1795305601000000000, \"seconds\": 80}],"
	"\"volumes\": [{\"volume\": \"c1/ns/web\", \"claim\": \"d/web\","
	"\"point\": \"5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c\", \"why\": \"\","
	"\"frozen_ns\": 1795304400000000000, \"bytes\": 1000, \"files\": 7, \"fetched_bytes\": 500,"
	"\"gaps\": 0, \"seconds\": 12.5, \"restored\": true, \"verified\": true,"
	"\"damaged\": false},"
	"{\"volume\": \"c1/ns/db\", \"claim\": \"d/db\", \"point\": \"\", \"why\": \"none\","
	"\"frozen_ns\": 0, \"bytes\": 0, \"files\": 0, \"fetched_bytes\": 0, \"gaps\": 2,"
	"\"seconds\": 0, \"restored\": true, \"verified\": false, \"damaged\": true}],"
	"\"checks\": [{\"namespace\": \"d\", \"why\": \"it ended with status 1\","
	"\"said\": \"no\\n\", \"seconds\": 2, \"passed\": false}]}";

struct world {
	struct kit k;
	char *dir;
	struct catalog *c;
	unsigned bad;
};

static void world_init(struct world *w)
{
	*w = (struct world){ .k = kit_new(), .dir = tmpdir_new() };
	w->c = kit_catalog(w->dir, "catalog.db");
}

static void world_clear(struct world *w)
{
	catalog_free(w->c);
	tmpdir_remove(w->dir);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static int count_bad(void *arg, const char *key, const struct err *why, struct err *e)
{
	struct world *w = arg;

	(void)key;
	(void)e;
	assert_int_equal(why->class, ERR_FORMAT);
	w->bad++;
	return 0;
}

static struct journal_result sync_journals(struct world *w)
{
	const struct journal_params p = { .bad = count_bad, .arg = w };
	struct journal_result r = { 0 };

	ok(journal_sync(w->c, w->k.audit, &p, &r, e));
	return r;
}

static void step(const struct repo *r, const char *run, const char *kind, const char *name,
                 const char *more)
{
	struct chain c;
	auto_json json_t *o = more ? json_loads(more, 0, NULL) : NULL;

	assert_true(!more || o);
	ok(run_log_open(run, &c, e));
	while (true) {
		struct err why = ERR_INIT;

		if (run_log_add(r, &c, kind, "shop", name, o, &why) == 0)
			return;
		assert_int_equal(why.class, ERR_BUSY);
		c.next++;
	}
}

static void drill(const struct repo *r, const char *run, const char *document)
{
	auto_json json_t *o = json_pack("{s:o}", "report", json_loads(document, 0, NULL));
	auto_free char *more = json_dumps(o, 0);

	assert_non_null(more);
	step(r, run, "drill", "begin", NULL);
	step(r, run, "drill", "end", more);
}

static void test_journal_sync__takes_what_is_new_and_once(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	step(w.k.recovery, RUN_A, "failover", "begin", "{\"to\": \"ne\"}");
	assert_int_equal(sync_journals(&w).records, 1);
	assert_int_equal(sync_journals(&w).records, 0);
	uint64_t before = store_requests(w.k.store);
	assert_int_equal(sync_journals(&w).records, 0);
	/* Two listings, and no record again. */
	assert_true(store_requests(w.k.store) - before <= 2);
	step(w.k.recovery, RUN_A, "failover", "promote", "{\"owner\": 1, \"cluster\": \"ne\"}");
	step(w.k.recovery, RUN_A, "failover", "end",
	     "{\"volumes\": 3, \"missing\": 1, \"loss_s\": 60}");
	step(w.k.recovery, RUN_B, "failover", "begin", NULL);
	step(w.k.recovery, RUN_B, "failover", "end", "{\"given_up\": true}");
	assert_int_equal(sync_journals(&w).records, 4);
	assert_rows(w.c, "SELECT run, n, step, detail, by_admin FROM run_steps ORDER BY run, n",
	            RUN_A "|1|begin|{\"to\":\"ne\"}|1\n" RUN_A
	                  "|2|promote|{\"cluster\":\"ne\",\"owner\":1}|1\n" RUN_A
	                  "|3|end|{\"loss_s\":60,\"missing\":1,\"volumes\":3}|1\n" RUN_B
	                  "|1|begin||1\n" RUN_B "|2|end|{\"given_up\":true}|1\n");
	assert_rows(w.c,
	            "SELECT run, kind, plan, state, steps, last_step, volumes, missing, loss_s,"
	            " rto_s >= 0, signer_name FROM v_runs ORDER BY run",
	            RUN_A "|failover|shop|ended|3|end|3|1|60|1|\n" RUN_B
	                  "|failover|shop|given up|2|end|||||\n");
}

static void test_journal_sync__report_of_a_drill_becomes_rows(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	drill(w.k.recovery, RUN_A, report);
	step(w.k.recovery, RUN_B, "drill", "begin", NULL);
	assert_int_equal(sync_journals(&w).drills, 1);
	assert_rows(w.c,
	            "SELECT run, plan, verdict, rpo_s, rpo_target_s, rto_s, rto_target_s,"
	            " choose_ms,"
	            " restore_ms, check_ms, volumes, verified, bytes, why, from_cluster, to_cluster"
	            " FROM v_drills ORDER BY run",
	            RUN_A
	            "|shop|damaged|1200|1200|90.25||1500|80000||2|1|2000|one; two|we|ne\n" RUN_B
	            "|shop|not ended|||||||||||||\n");
	assert_rows(w.c,
	            "SELECT volume, result, why, point, frozen, ms, gaps FROM v_drill_volumes"
	            " ORDER BY volume",
	            "c1/ns/db|damaged|none|||0|2\n"
	            "c1/ns/web|verified||5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c|2026-11-21T23:40:00Z|"
	            "12500|0\n");
	assert_rows(w.c, "SELECT namespace, passed, ms, why, said FROM drill_checks",
	            "d|0|2000|it ended with status 1|no\n\n");
}

static void test_journal_sync__rows_cannot_be_changed_or_removed(void **state)
{
	static const char *const tables[] = { "run_steps",     "drills",       "drill_phases",
		                              "drill_volumes", "drill_checks", "owners" };
	auto_world struct world w;
	struct owner o = { .cluster = "ne", .reason = "region down" };
	struct chain c;

	(void)state;
	world_init(&w);
	(void)snprintf(o.plan, sizeof(o.plan), "shop");
	ok(owner_open(w.k.recovery, "shop", &c, e));
	ok(owner_change(w.k.recovery, &c, &o, e));
	drill(w.k.recovery, RUN_A, report);
	(void)sync_journals(&w);
	for (size_t i = 0; i < 2 * ARRAY_LEN(tables); i++) {
		char sql[64];

		(void)snprintf(sql, sizeof(sql), i & 1 ? "DELETE FROM %s" : "UPDATE %s SET n = 7",
		               tables[i / 2]);
		if (i == 2)
			(void)snprintf(sql, sizeof(sql), "UPDATE drills SET passed = 1");
		assert_int_equal(sqlite3_exec(w.c->db, sql, NULL, NULL, NULL),
		                 SQLITE_CONSTRAINT_TRIGGER);
	}
}

static void test_journal_sync__what_the_admin_has_not_signed_says_nothing(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	drill(w.k.agent, RUN_A, report);
	assert_int_equal(sync_journals(&w).records, 2);
	assert_rows(w.c, "SELECT count(*), sum(by_admin) FROM run_steps", "2|0\n");
	assert_rows(w.c, "SELECT (SELECT count(*) FROM drills), (SELECT count(*) FROM v_runs)",
	            "0|0\n");
}

static void test_journal_sync__report_that_is_none_is_told_and_left_out(void **state)
{
	static const char *const documents[] = {
		"{\"schema\": \"aksdr/drill/v2\"}",
		"{\"schema\": \"aksdr/drill/v1\"}",
		"{\"schema\": \"aksdr/drill/v1\", \"why\": 7, \"volumes\": {\"a\": 1}}",
		"[]",
	};
	auto_world struct world w;

	(void)state;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		char run[RUN_LOG_ID];

		run_log_new(run);
		drill(w.k.recovery, run, documents[i]);
	}
	assert_int_equal(sync_journals(&w).drills, 0);
	assert_int_equal(w.bad, ARRAY_LEN(documents));
	/* Nothing of such a record is there, so that it is asked for again. */
	assert_rows(w.c, "SELECT count(*) FROM run_steps WHERE step = 'end'", "0\n");
	(void)sync_journals(&w);
	assert_int_equal(w.bad, 2 * ARRAY_LEN(documents));
}

static void test_journal_sync__who_serves_a_plan(void **state)
{
	auto_world struct world w;
	struct owner o = { .cluster = "ne", .reason = "region down", .run = RUN_A };
	struct chain c;

	(void)state;
	world_init(&w);
	(void)snprintf(o.plan, sizeof(o.plan), "shop");
	ok(owner_open(w.k.recovery, "shop", &c, e));
	ok(owner_change(w.k.recovery, &c, &o, e));
	(void)snprintf(o.cluster, sizeof(o.cluster), "we");
	o.run[0] = '\0';
	ok(owner_change(w.k.recovery, &c, &o, e));
	assert_int_equal(sync_journals(&w).records, 2);
	assert_rows(w.c, "SELECT n, plan, cluster, reason, run FROM owners ORDER BY n",
	            "1|shop|ne|region down|" RUN_A "\n2|shop|we|region down|\n");
	assert_rows(w.c, "SELECT plan, cluster, n FROM v_owners", "shop|we|2\n");
}

static void test_sync_run__notes_journals_and_what_is_wrong_with_them(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	drill(w.k.recovery, RUN_A, report);
	drill(w.k.recovery, RUN_B, "{\"schema\": \"aksdr/drill/v1\"}");
	const struct sync_result r = kit_sync(&w.k, w.c);
	assert_int_equal(r.records, 3);
	assert_int_equal(r.drills, 1);
	assert_rows(w.c, "SELECT kind, object FROM v_anomalies",
	            "unreadable|ctl/run/" RUN_B "/00000002\n");
	/* It is so as long as it is there, and is told once. */
	assert_int_equal(kit_sync(&w.k, w.c).found, 0);
	assert_rows(w.c, "SELECT count(*) FROM v_anomalies", "1\n");
	kit_remove(&w.k, "ctl/run/" RUN_B "/00000002");
	assert_int_equal(kit_sync(&w.k, w.c).resolved, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_sync__takes_what_is_new_and_once),
		cmocka_unit_test(test_journal_sync__report_of_a_drill_becomes_rows),
		cmocka_unit_test(test_journal_sync__rows_cannot_be_changed_or_removed),
		cmocka_unit_test(test_journal_sync__what_the_admin_has_not_signed_says_nothing),
		cmocka_unit_test(test_journal_sync__report_that_is_none_is_told_and_left_out),
		cmocka_unit_test(test_journal_sync__who_serves_a_plan),
		cmocka_unit_test(test_sync_run__notes_journals_and_what_is_wrong_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
