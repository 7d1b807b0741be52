/* SPDX-License-Identifier: Apache-2.0 */
/* Points of a real repository go as policies say, and whoever asks learns what came of it. */
#include <ftw.h>
#include <pthread.h>

#include "agent/run_keep.h"
#include "catalog/sync.h"
#include "common/yaml.h"
#include "tests/harness/repo_kit.h"

#define LAST "retention: {keepLast: 2, floor: {points: 1}}"
#define NOBODY 65534

static struct kit k;
static struct run r;
static struct run_params params;
static struct catalog *c;
static char url[512];
static char *key, *state_dir;

static void put(enum world_kind kind, const char *text)
{
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	world_put(r.world, kind, j, 1);
}

static void policy(const char *ns, const char *spec)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: %s, name: p}, spec: {selector: {}, schedule: "
	               "{cron: '@daily'}, %s}}",
	               ns, spec);
	put(WORLD_POLICIES, text);
}

/* A claim of the namespace shop, and points of its volume. */
static void claim(const char *name, unsigned points)
{
	const struct point_volume v = kit_volume("shop", name);
	struct point last = { 0 };
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: shop, name: %s, uid: u}, status: {phase: Bound}}",
	               name);
	put(WORLD_CLAIMS, text);
	for (unsigned i = 1; i <= points; i++) {
		struct point p = kit_commit(&k, &v, i, i > 1 ? &last : NULL);

		point_clear(&last);
		last = p;
	}
	point_clear(&last);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;
	auto_free char *dir = tmpdir_new();

	(void)state;
	(void)snprintf(url, sizeof(url), "file://%s", dir);
	struct store *s = store_open(url, STORE_CREATE, &err);
	assert_non_null(s);
	k = kit_new_in(s);
	auto_free char *keys = path_join(k.dir, "keys");
	auto_free char *file = path_join(k.dir, "catalog.db");
	key = path_join(keys, "agent.key");
	state_dir = path_join(k.dir, "state");
	params = (struct run_params){
		.ns = "aksdr", .cluster = "c1", .store = url, .key = key, .state = state_dir
	};
	r = (struct run){ .p = &params,
		          .lock = PTHREAD_MUTEX_INITIALIZER,
		          .me = { .begins = true } };
	r.world = world_new("aksdr", NULL, &err);
	assert_non_null(r.world);
	for (int i = 0; i < WORLD_KINDS; i++)
		world_synced(r.world, (enum world_kind)i);
	assert_int_equal(cancel_init(&r.stop), 0);
	atomic_store(&r.leads, true);
	ok(catalog_open(file, CATALOG_WRITE, &c, e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	catalog_free(c);
	world_free(r.world);
	retention_clear(&r.retention);
	cancel_clear(&r.stop);
	free(key);
	free(state_dir);
	kit_clear(&k);
	tmpdir_remove(strdup(url + strlen("file://")));
	return 0;
}

/* As the keeper has it done, now. */
static void retain(void)
{
	const struct sync_params now = { .now_ns = KIT_EPOCH_NS };
	struct sync_result result;

	ok(sync_run(c, k.audit, &now, &result, e));
	r.retained.ran = false;
	run_retain(&r, c);
}

static int64_t number(const char *sql)
{
	struct err e = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, &e);

	assert_non_null(s);
	assert_int_equal(catalog_step(c, s, &e), 1);
	return sqlite3_column_int64(s, 0);
}

#define EXPIRED(of) \
	number("SELECT count(*) FROM v_points WHERE expired_ns IS NOT NULL AND name = '" of "'")

static void test_run_retain__lets_go_what_the_policies_let_go(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	claim("log", 4);
	retain();
	assert_int_equal(EXPIRED("db"), 3);
	assert_int_equal(EXPIRED("log"), 2);
	assert_int_equal(r.expired, 5);
	assert_int_equal(r.retention.v[0].expired, 5);
	assert_null(r.retention.v[0].why);
	assert_false(r.unretained);
	assert_true(r.retained.ran && !r.retained.failed && !r.retained.came);
	assert_int_equal(number("SELECT count(*) FROM tombstones WHERE policy = 'shop/p'"), 1);
	retain(); /* what is left stays */
	assert_int_equal(r.expired, 5);
	assert_int_equal(r.retention.v[0].expired, 0);
}

static void test_run_retain__each_volume_by_its_own_policy(void **state)
{
	(void)state;
	policy("aksdr", LAST);
	policy("shop", "retention: {keepLast: 4}");
	claim("db", 5);
	retain();
	assert_int_equal(EXPIRED("db"), 1);
	policy("shop", "rpo: 1h"); /* without a retention nothing goes */
	retain();
	assert_int_equal(EXPIRED("db"), 1);
	world_gone(r.world, WORLD_POLICIES, "shop", "p");
	retain();
	assert_int_equal(EXPIRED("db"), 3);
}

static void test_run_retain__a_claim_that_is_gone_keeps_its_points(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	claim("log", 5);
	world_gone(r.world, WORLD_CLAIMS, "shop", "db");
	retain();
	assert_int_equal(EXPIRED("db"), 0);
	assert_int_equal(EXPIRED("log"), 3);
}

static void test_run_retain__leaves_volumes_of_other_clusters(void **state)
{
	(void)state;
	params.cluster = "c2";
	policy("shop", LAST);
	claim("db", 5);
	retain();
	assert_int_equal(EXPIRED("db"), 0);
	assert_true(r.retained.ran);
}

/* A volume that would lose most of its points at once keeps them; the others' go. */
static void test_run_retain__a_surprise_is_refused_and_told(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 20);
	claim("log", 5);
	retain();
	assert_int_equal(EXPIRED("db"), 0);
	assert_int_equal(EXPIRED("log"), 3);
	assert_non_null(strstr(r.retention.v[0].why,
	                       "18 of 20 restore points of 'c1/shop/db' would go at once"));
	assert_true(r.unretained);
	assert_true(r.retained.failed);
}

static void test_run_retain__needs_a_key_that_signs(void **state)
{
	auto_free char *keys = path_join(k.dir, "keys");
	auto_free char *audit = path_join(keys, "audit.key");

	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	params.key = audit;
	retain();
	assert_int_equal(EXPIRED("db"), 0);
	assert_non_null(strstr(r.retention.v[0].why, "the agent needs an agent key"));
	assert_true(r.unretained);
}

static int give(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return lchown(path, NOBODY, NOBODY);
}

/* The reason, on standard output: as somebody who may not write below tomb/. */
static int as_nobody(void *arg)
{
	(void)arg;
	if (geteuid() == 0 && setuid(NOBODY) < 0)
		return 2;
	run_retain(&r, c);
	printf("%s\n", r.retention.n == 1 && r.retention.v[0].why ? r.retention.v[0].why : "");
	return 0;
}

static void test_run_retain__says_what_to_do_where_tombstones_are_refused(void **state)
{
	const struct sync_params now = { .now_ns = KIT_EPOCH_NS };
	const char *dir = url + strlen("file://");
	struct sync_result result;

	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	ok(sync_run(c, k.audit, &now, &result, e));
	auto_free char *tombs = path_join(dir, "tomb");
	assert_true(mkdir(tombs, 0700) == 0 || access(tombs, F_OK) == 0);
	if (geteuid() == 0) {
		assert_int_equal(nftw(dir, give, 16, FTW_PHYS), 0);
		assert_int_equal(nftw(k.dir, give, 16, FTW_PHYS), 0);
	}
	assert_int_equal(chmod(tombs, 0500), 0);
	auto_run struct harness_run run = harness_run(as_nobody, NULL);
	assert_int_equal(chmod(tombs, 0700), 0);
	assert_int_equal(run.status, 0);
	if (!strstr(run.out, "the agent may not expire restore points: let its identity create "
	                     "objects below 'tomb/' of the store"))
		fail_msg("'%s'", run.out);
}

static void test_run_retain__who_does_not_lead_lets_nothing_go(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	atomic_store(&r.leads, false);
	retain();
	assert_int_equal(EXPIRED("db"), 0);
	assert_false(r.retained.ran); /* the next one does it */
}

static void test_run_retain__a_secondary_lets_nothing_go(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	r.me.begins = false;
	retain();
	assert_int_equal(EXPIRED("db"), 0);
}

static void test_run_retain__waits_until_the_cluster_is_known(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 5);
	r.world->synced[WORLD_CLAIMS] = false;
	retain();
	assert_false(r.retained.ran);
	assert_int_equal(EXPIRED("db"), 0);
}

static void test_run_retain__is_not_due_twice_within_an_hour(void **state)
{
	(void)state;
	policy("shop", LAST);
	claim("db", 2);
	retain();
	claim("log", 5);
	const struct sync_params now = { .now_ns = KIT_EPOCH_NS };
	struct sync_result result;
	ok(sync_run(c, k.audit, &now, &result, e));
	r.retained.came = true;
	run_retain(&r, c);
	assert_int_equal(EXPIRED("log"), 0);
	assert_true(r.retained.came); /* and is remembered */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_run_retain__lets_go_what_the_policies_let_go),
		CASE(test_run_retain__each_volume_by_its_own_policy),
		CASE(test_run_retain__a_claim_that_is_gone_keeps_its_points),
		CASE(test_run_retain__leaves_volumes_of_other_clusters),
		CASE(test_run_retain__a_surprise_is_refused_and_told),
		CASE(test_run_retain__needs_a_key_that_signs),
		CASE(test_run_retain__says_what_to_do_where_tombstones_are_refused),
		CASE(test_run_retain__who_does_not_lead_lets_nothing_go),
		CASE(test_run_retain__a_secondary_lets_nothing_go),
		CASE(test_run_retain__waits_until_the_cluster_is_known),
		CASE(test_run_retain__is_not_due_twice_within_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
