/* SPDX-License-Identifier: Apache-2.0 */
/* What a sweep of the leader removes: what is ours, old, and named by no Lease. */
#include "agent/run_keep.h"

#include "tests/harness/kube_kit.h"

#define OLD "2026-01-01T00:00:00Z"
#define YOUNG "2999-01-01T00:00:00Z"
#define ITEM(ns, name, made)                                                              \
	"{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name "\",\"uid\":\"u-" name \
	"\",\"creationTimestamp\":\"" made "\",\"labels\":{\"aksdr.io/run\":\"r\"}}}"
#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
#define LEASE                                                                            \
	"{\"metadata\":{\"namespace\":\"aksdr\",\"name\":\"aksdr-v-1\",\"annotations\":" \
	"{\"aksdr.io/intents\":\"[\\\"pods/aksdr/kept\\\"]\"}}}"

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

static void test_run_sweep__removes_what_is_old_and_not_named(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST(LEASE) },
		{ .body = LIST(ITEM("aksdr", "kept", OLD) "," ITEM("aksdr", "lost",
		                                                   OLD) "," ITEM("aksdr", "young",
		                                                                 YOUNG)) },
		{ .body = "{}" }, /* the pod is deleted */
		{ .body = LIST("") },
		{ .body = LIST(ITEM("shop", "snap", OLD)) },
		{ .body = "{}" },
		{ .body = LIST(ITEM("", "content", OLD)) },
		{ .body = "{}" }, /* its snapshot is to go with it */
		{ .body = "{}" },
	};

	(void)state;
	PLAY(script);
	assert_int_equal(sweep(), 3);
	assert_true(asked("DELETE /api/v1/namespaces/aksdr/pods/lost"));
	assert_false(asked("pods/kept"));
	assert_false(asked("pods/young"));
	assert_true(asked("DELETE /apis/snapshot.storage.k8s.io/v1/namespaces/shop/"
	                  "volumesnapshots/snap"));
	assert_true(asked("PATCH /apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents/content"));
	assert_true(
		asked("DELETE /apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents/content"));
}

static void test_run_sweep__a_cluster_without_snapshots_is_no_failure(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("") },
		{ .body = LIST("") },
		{ .body = LIST("") },
		{ .status = 404, .body = "404 page not found" },
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
		KIT_CASE(test_run_sweep__removes_what_is_old_and_not_named),
		KIT_CASE(test_run_sweep__a_cluster_without_snapshots_is_no_failure),
		KIT_CASE(test_run_sweep__without_the_leases_nothing_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
