/* SPDX-License-Identifier: Apache-2.0 */
/* The leader puts an inventory of a cluster into a real repository, when there is something new. */
#include "agent/run_keep.h"
#include "catalog/stock.h"
#include "catalog/sync.h"
#include "repo/repo.h"
#include "store/store.h"
#include "tests/harness/kube_cluster.h"

static struct run r;
static struct run_params params;
static struct catalog *c;
static char url[512];
static char *key;

static int sync_all(struct err *e)
{
	const struct sync_params now = { .now_ns = 1 };
	struct sync_result result;
	auto_repo struct repo *repo = NULL;

	if (repo_open_url(url, STORE_READONLY, key, NULL, kit.dir, &r.stop, &repo, e) < 0)
		return -1;
	return sync_run(c, repo, &now, &result, e);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	if (cluster_setup(state) < 0)
		return -1;
	auto_free char *dir = path_join(kit.dir, "store");
	auto_free char *keys = path_join(kit.dir, "keys");
	auto_free char *file = path_join(kit.dir, "catalog.db");
	(void)snprintf(url, sizeof(url), "file://%s", dir);
	auto_store struct store *s = store_open(url, STORE_CREATE, &e);
	key = path_join(keys, "agent.key");
	params = (struct run_params){
		.ns = "aksdr", .cluster = "c1", .store = url, .key = key, .state = kit.dir
	};
	r = (struct run){ .p = &params, .kube = kit.kube, .lock = PTHREAD_MUTEX_INITIALIZER };
	r.world = world_new("aksdr", NULL, &e);
	for (int i = 0; r.world && i < WORLD_KINDS; i++)
		world_synced(r.world, (enum world_kind)i);
	if (!r.world || !s || repo_init(s, keys, NULL, &e) < 0 || cancel_init(&r.stop) < 0 ||
	    catalog_open(file, CATALOG_WRITE, &c, &e) < 0 || sync_all(&e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	catalog_free(c);
	world_free(r.world);
	cancel_clear(&r.stop);
	free(key);
	return cluster_teardown(state);
}

/* Records that the catalog has after a sync. */
static int64_t count(void)
{
	struct err e = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "SELECT count(*) FROM inventories", &e);

	if (!s || sync_all(&e) < 0 || catalog_step(c, s, &e) != 1)
		fail_msg("%s", e.msg);
	return sqlite3_column_int64(s, 0);
}

static void pod(const char *name)
{
	char at[64], text[256];

	(void)snprintf(at, sizeof(at), "pods/shop/%s", name);
	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'namespace': 'shop', 'name': '%s'}, 'spec': {'volumes': "
	               "[{'name': 'tmp', 'emptyDir': {}}]}}",
	               name);
	cluster_put(at, text);
}

static void test_run_inventory__is_put_when_it_is_another_one(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	pod("web");
	run_inventory(&r, c);
	assert_int_equal(count(), 1);
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "SELECT cluster, owner FROM v_coverage", &e);
	assert_non_null(s);
	assert_int_equal(catalog_step(c, s, &e), 1);
	assert_string_equal(catalog_text(s, 0), "c1");
	assert_string_equal(catalog_text(s, 1), "Pod/web");

	/* Within the hour nobody looks. */
	pod("other");
	run_inventory(&r, c);
	assert_int_equal(count(), 1);
	r.inventoried_ns = 0;
	run_inventory(&r, c);
	assert_int_equal(count(), 2);
	r.inventoried_ns = 0;
	run_inventory(&r, c);
	assert_int_equal(count(), 2);
}

static void test_run_inventory__waits_for_what_is_known_of_the_cluster(void **state)
{
	(void)state;
	r.world->synced[WORLD_POLICIES] = false;
	run_inventory(&r, c);
	assert_int_equal(count(), 0);
	assert_int_equal(r.inventoried_ns, 0);
}

static void test_run_inventory__that_it_cannot_be_made_is_no_end_of_the_agent(void **state)
{
	(void)state;
	cluster.fail = "GET statefulsets";
	cluster.fail_status = 403;
	cluster.fail_message = "it is forbidden";
	run_inventory(&r, c);
	assert_int_equal(count(), 0);
	assert_true(r.uninventoried);
	cluster.fail = NULL;
	run_inventory(&r, c);
	assert_int_equal(count(), 1);
	assert_false(r.uninventoried);
}

static void test_run_inventory_wanted__once_a_day_in_any_case(void **state)
{
	const int64_t day_ns = 86400 * INT64_C(1000000000);
	const struct stock_newest none = { .is = false };
	const struct stock_newest newest = { .is = true, .received_ns = 5, .digest = "a" };

	(void)state;
	assert_true(run_inventory_wanted(&none, "a", 0));
	assert_true(run_inventory_wanted(&newest, "b", 5));
	assert_false(run_inventory_wanted(&newest, "a", 4 + day_ns));
	assert_true(run_inventory_wanted(&newest, "a", 5 + day_ns));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_run_inventory__##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(is_put_when_it_is_another_one),
		T(waits_for_what_is_known_of_the_cluster),
		T(that_it_cannot_be_made_is_no_end_of_the_agent),
		cmocka_unit_test(test_run_inventory_wanted__once_a_day_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
