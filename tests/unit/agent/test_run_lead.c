/* SPDX-License-Identifier: Apache-2.0 */
/* What a sweep of the leader removes: what is ours, old, and named by no Lease. */
#include "agent/run_keep.h"

#include "tests/harness/kube_cluster.h"

#define OLD "2026-01-01T00:00:00Z"
#define YOUNG "2999-01-01T00:00:00Z"
#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
static const struct run_params params = { .ns = "aksdr" };

static size_t sweep(void)
{
	struct run r = { .p = &params, .kube = kit.kube };
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
	cluster_put("leases/aksdr/aksdr-v-1", "{'metadata': {'annotations': {'aksdr.io/intents': "
	                                      "'[\\\"pods/aksdr/aksdr-kept\\\"]'}}}");
	put("pods/aksdr/aksdr-kept", "aksdr", OLD, "", "");
	put("pods/aksdr/aksdr-lost", "aksdr", OLD, "", "");
	put("pods/aksdr/aksdr-young", "aksdr", YOUNG, "", "");
	put("volumesnapshots/shop/aksdr-snap", "shop", OLD, "source",
	    ", 'status': {'boundVolumeSnapshotContentName': 'of-a-class'}");
	put("volumesnapshotcontents/aksdr-view", "", OLD, "view", "");
	cluster_put("volumesnapshotcontents/of-a-class",
	            "{'metadata': {'name': 'of-a-class'}, 'spec': {'deletionPolicy': 'Retain'}}");
	assert_int_equal(sweep(), 3);
	assert_non_null(cluster_get("pods/aksdr/aksdr-kept"));
	assert_non_null(cluster_get("pods/aksdr/aksdr-young"));
	assert_null(cluster_get("pods/aksdr/aksdr-lost"));
	assert_null(cluster_get("volumesnapshots/shop/aksdr-snap"));
	assert_null(cluster_get("volumesnapshotcontents/aksdr-view"));
	assert_string_equal(kube_text_at(cluster_get("volumesnapshotcontents/of-a-class"),
	                                 "spec.deletionPolicy"),
	                    "Delete");
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
	struct run r = { .p = &params, .kube = kit.kube };
	struct err e = ERR_INIT;
	size_t removed;

	(void)state;
	PLAY(script);
	assert_int_equal(run_sweep(&r, &removed, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(removed, 0);
	assert_false(asked("DELETE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_CASE(test_run_sweep__removes_what_is_old_and_not_named),
		KIT_CASE(test_run_sweep__a_cluster_without_snapshots_is_no_failure),
		KIT_CASE(test_run_sweep__without_the_leases_nothing_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
