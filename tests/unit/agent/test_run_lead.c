/* SPDX-License-Identifier: Apache-2.0 */
/* What a sweep of the leader removes: what is ours, old, and named by no Lease. */
#include "agent/run_keep.h"

#include "tests/harness/kube_cluster.h"

#define OLD "2026-01-01T00:00:00Z"
#define YOUNG "2999-01-01T00:00:00Z"
#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
static const struct run_params params = { .ns = "aksdr" };
static struct run r;

static int fresh(void)
{
	struct err e = ERR_INIT;

	r = (struct run){ .p = &params,
		          .kube = kit.kube,
		          .lock = PTHREAD_MUTEX_INITIALIZER,
		          .stop = { .fd = -1 } };
	r.world = world_new("aksdr", NULL, &e);
	return r.world ? 0 : -1;
}

static int setup(void **state)
{
	return cluster_setup(state) < 0 ? -1 : fresh();
}

static int setup_script(void **state)
{
	return kit_setup(state) < 0 ? -1 : fresh();
}

static int teardown(void **state)
{
	world_free(r.world);
	return cluster_teardown(state);
}

static int teardown_script(void **state)
{
	world_free(r.world);
	return kit_teardown(state);
}

static size_t sweep(void)
{
	struct err e = ERR_INIT;
	size_t removed;

	if (run_sweep(&r, &removed, &e) < 0)
		fail_msg("%s", e.msg);
	return removed;
}

static bool asked(const char *line)
{
	return strstr(kit_log(), line) != NULL;
}

/* An object of ours, made at that time. */
static void put(const char *key, const char *ns, const char *made, const char *role,
                const char *more)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'namespace': '%s', 'name': '%s', 'uid': 'u', "
	               "'creationTimestamp': '%s', 'labels': {'aksdr.io/run': 'r', "
	               "'app.kubernetes.io/managed-by': 'aksdr', 'aksdr.io/role': '%s'}}%s}",
	               ns, strrchr(key, '/') + 1, made, role, more);
	cluster_put(key, text);
}

/* Data that a class retains goes with the snapshot that it was taken for, and with no other. */
static void test_run_sweep__removes_what_is_old_and_not_named(void **state)
{
	(void)state;
	cluster_put("leases/aksdr/aksdr-v-1",
	            "{'metadata': {'labels': {'aksdr.io/volume': 'true'}, 'annotations': "
	            "{'aksdr.io/intents': '[\\\"pods/aksdr/aksdr-kept\\\"]'}}}");
	put("pods/aksdr/aksdr-kept", "aksdr", OLD, "mover", "");
	put("pods/aksdr/aksdr-lost", "aksdr", OLD, "mover", "");
	put("pods/aksdr/aksdr-young", "aksdr", YOUNG, "mover", "");
	put("volumesnapshots/shop/aksdr-snap", "shop", OLD, "source",
	    ", 'status': {'boundVolumeSnapshotContentName': 'of-a-class'}");
	put("volumesnapshotcontents/aksdr-view", "", OLD, "view", "");
	cluster_put("volumesnapshotcontents/of-a-class",
	            "{'metadata': {'name': 'of-a-class'}, 'spec': {'deletionPolicy': 'Retain'}}");
	/* Restores, standbys and drills look after themselves. */
	put("persistentvolumeclaims/aksdr/aksdr-fill-1", "aksdr", OLD, "restore", "");
	put("persistentvolumeclaims/aksdr/aksdr-fill-2", "aksdr", OLD, "standby", "");
	put("pods/aksdr/aksdr-fill-3", "aksdr", OLD, "drill", "");
	assert_int_equal(sweep(), 3);
	assert_non_null(cluster_get("persistentvolumeclaims/aksdr/aksdr-fill-1"));
	assert_non_null(cluster_get("persistentvolumeclaims/aksdr/aksdr-fill-2"));
	assert_non_null(cluster_get("pods/aksdr/aksdr-fill-3"));
	assert_non_null(cluster_get("pods/aksdr/aksdr-kept"));
	assert_non_null(cluster_get("pods/aksdr/aksdr-young"));
	assert_null(cluster_get("pods/aksdr/aksdr-lost"));
	assert_null(cluster_get("volumesnapshots/shop/aksdr-snap"));
	assert_null(cluster_get("volumesnapshotcontents/aksdr-view"));
	assert_string_equal(kube_text_at(cluster_get("volumesnapshotcontents/of-a-class"),
	                                 "spec.deletionPolicy"),
	                    "Delete");
}

/* Nobody will take the Lease of a claim that is gone; one that lately changed is not judged. */
static void test_run_sweep__removes_what_the_lease_of_a_claim_that_is_gone_names(void **state)
{
	static const char lease[] =
		"{'metadata': {'namespace': 'aksdr', 'name': 'aksdr-v-1', "
		"'labels': {'aksdr.io/volume': 'true'}, 'annotations': "
		"{'aksdr.io/claim': 'shop/db', 'aksdr.io/claim-uid': 'u', 'aksdr.io/intents': "
		"'[\\\"pods/aksdr/aksdr-left\\\"]'}}}";

	(void)state;
	cluster_put("leases/aksdr/aksdr-v-1", lease);
	put("pods/aksdr/aksdr-left", "aksdr", OLD, "mover", "");
	assert_int_equal(sweep(), 0); /* the watch has not told of it yet */
	world_put(r.world, WORLD_LEASES, cluster_get("leases/aksdr/aksdr-v-1"), run_now_s() - 60);
	assert_int_equal(sweep(), 0);
	world_gone(r.world, WORLD_LEASES, "aksdr", "aksdr-v-1");
	world_put(r.world, WORLD_LEASES, cluster_get("leases/aksdr/aksdr-v-1"), run_now_s() - 900);
	assert_int_equal(sweep(), 1);
	assert_null(cluster_get("pods/aksdr/aksdr-left"));
}

static void test_run_sweep__goes_in_batches_and_on_behind_what_stays(void **state)
{
	char key[64];

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		(void)snprintf(key, sizeof(key), "pods/aksdr/aksdr-p%03u", i);
		put(key, "aksdr", OLD, "mover", "");
	}
	cluster.fail = "DELETE pods/aksdr/aksdr-p100";
	cluster.fail_status = 403;
	cluster.fail_message = "not this one";
	struct err e = ERR_INIT;
	size_t removed;
	assert_int_equal(run_sweep(&r, &removed, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(removed, 600 - 256);
	assert_int_equal(json_object_size(cluster.objects), 1);
	cluster.fail = NULL;
	assert_int_equal(sweep(), 1);
	assert_null(cluster_get("pods/aksdr/aksdr-p100"));
}

static void test_run_sweep__a_cluster_without_snapshots_is_no_failure(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("") }, /* Leases */
		{ .body = LIST("") }, { .body = LIST("") },
		{ .body = LIST("") }, { .status = 404, .body = "404 page not found" },
	};

	(void)state;
	PLAY(script);
	assert_int_equal(sweep(), 0);
}

static void test_run_sweep__without_the_leases_nothing_is_removed(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 403,
		  .body = "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":"
		          "\"leases is forbidden\"}" },
	};
	struct err e = ERR_INIT;
	size_t removed;

	(void)state;
	PLAY(script);
	assert_int_equal(run_sweep(&r, &removed, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(removed, 0);
	assert_false(asked("DELETE"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SCRIPT_CASE(f) cmocka_unit_test_setup_teardown(f, setup_script, teardown_script)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_run_sweep__removes_what_is_old_and_not_named),
		CASE(test_run_sweep__removes_what_the_lease_of_a_claim_that_is_gone_names),
		CASE(test_run_sweep__goes_in_batches_and_on_behind_what_stays),
		SCRIPT_CASE(test_run_sweep__a_cluster_without_snapshots_is_no_failure),
		SCRIPT_CASE(test_run_sweep__without_the_leases_nothing_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
