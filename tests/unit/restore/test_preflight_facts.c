/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken of a cluster's objects, and what becomes of what cannot be had. */
#include "restore/preflight_facts.h"

#include "tests/harness/kube_cluster.h"

static const struct preflight_volume volumes[] = {
	{ .ns = "web", .name = "files", .storage_class = "fast" },
	{ .ns = "shop", .name = "orders", .storage_class = "fast" },
	{ .ns = "shop", .name = "carts", .storage_class = "fast" },
};

static struct preflight_params params(void)
{
	return (struct preflight_params){
		.volumes = volumes, .n = 3, .kube = kit.kube, .ns = "aksdr"
	};
}

static size_t count(const struct preflight_facts *f, enum preflight_kind kind)
{
	return json_array_size(f->lists[kind]);
}

static void test_gather__takes_what_has_to_do_with_the_plan(void **state)
{
	const struct preflight_params p = params();
	auto_facts struct preflight_facts f = { .namespaces = NULL };
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	cluster_put("storageclasses/fast",
	            "{'metadata': {'name': 'fast', 'managedFields': [1], 'annotations': {'a': "
	            "'b'}}, 'provisioner': 'd', 'parameters': {'x': 'y'}}");
	cluster_put("nodes/n1", "{'metadata': {'name': 'n1'}, 'status': {'images': [1, 2], "
	                        "'conditions': [{'type': 'Ready'}]}}");
	cluster_put("namespaces/shop", "{'metadata': {'name': 'shop'}}");
	cluster_put("namespaces/aksdr", "{'metadata': {'name': 'aksdr'}}");
	cluster_put("namespaces/other", "{'metadata': {'name': 'other'}}");
	cluster_put("resourcequotas/shop/q", "{'metadata': {'name': 'q', 'namespace': 'shop'}}");
	cluster_put("resourcequotas/aksdr/q", "{'metadata': {'name': 'q', 'namespace': 'aksdr'}}");
	cluster_put("resourcequotas/other/q", "{'metadata': {'name': 'q', 'namespace': 'other'}}");
	cluster_put("persistentvolumeclaims/shop/orders",
	            "{'metadata': {'name': 'orders', 'namespace': 'shop'}}");
	cluster_put("persistentvolumeclaims/shop/files",
	            "{'metadata': {'name': 'files', 'namespace': 'shop'}}");
	cluster_put("persistentvolumes/a", "{'metadata': {'name': 'a'}, 'spec': {'claimRef': "
	                                   "{'namespace': 'web', 'name': 'files', 'uid': 'x'}}, "
	                                   "'status': {'phase': 'Released'}}");
	cluster_put("persistentvolumes/b", "{'metadata': {'name': 'b'}, 'spec': {'claimRef': "
	                                   "{'namespace': 'web', 'name': 'files'}}, "
	                                   "'status': {'phase': 'Bound'}}");
	ok(preflight_facts_gather(&p, &f, &l, e));
	assert_int_equal(l.n, 0);
	assert_int_equal(f.nnamespaces, 2);
	assert_string_equal(f.namespaces[0], "shop");
	assert_string_equal(f.namespaces[1], "web");
	assert_int_equal(count(&f, FACTS_CLASSES), 1);
	assert_int_equal(count(&f, FACTS_NODES), 1);
	assert_int_equal(count(&f, FACTS_NAMESPACES), 2);
	assert_int_equal(count(&f, FACTS_QUOTAS), 2);
	assert_int_equal(count(&f, FACTS_CLAIMS), 1);
	assert_int_equal(count(&f, FACTS_VOLUMES), 1);
	auto_free char *class = json_dumps(json_array_get(f.lists[FACTS_CLASSES], 0),
	                                   JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(class,
	                    "{\"metadata\":{\"annotations\":{\"a\":\"b\"},\"name\":\"fast\"},"
	                    "\"provisioner\":\"d\"}");
	auto_free char *node = json_dumps(json_array_get(f.lists[FACTS_NODES], 0),
	                                  JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(node, "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":"
	                          "[{\"type\":\"Ready\"}]}}");
	assert_non_null(preflight_facts_find(&f, FACTS_CLAIMS, "shop", "orders"));
	assert_null(preflight_facts_find(&f, FACTS_CLAIMS, "web", "orders"));
	assert_non_null(preflight_facts_find(&f, FACTS_CLASSES, NULL, "fast"));
}

static void test_gather__what_may_not_be_listed_is_told(void **state)
{
	const struct preflight_params p = params();
	auto_facts struct preflight_facts f = { .namespaces = NULL };
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	cluster.fail = "GET nodes";
	cluster.fail_status = 403;
	cluster.fail_message = "nodes is forbidden";
	ok(preflight_facts_gather(&p, &f, &l, e));
	assert_null(f.lists[FACTS_NODES]);
	assert_non_null(f.lists[FACTS_CLASSES]);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.list[0].code, "NotLooked");
	assert_string_equal(l.list[0].object, "nodes");
	assert_non_null(strstr(l.list[0].what, "nodes is forbidden"));
	assert_non_null(strstr(l.list[0].remedy, "the right to list nodes"));
}

static int no_snapshots(void *arg, const struct http_seen *q, struct buf *reply)
{
	if (strstr(q->target, "volumesnapshotclasses")) {
		http_reply(reply, 404, "", "404 page not found", 18);
		return 0;
	}
	return cluster_answers(arg, q, reply);
}

static void test_gather__a_kind_that_the_server_does_not_know_is_unknown(void **state)
{
	const struct preflight_params p = params();
	auto_facts struct preflight_facts f = { .namespaces = NULL };
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	kit.own = no_snapshots;
	ok(preflight_facts_gather(&p, &f, &l, e));
	assert_true(f.unknown[FACTS_SNAPSHOTS]);
	assert_false(f.unknown[FACTS_NODES]);
	assert_int_equal(l.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_CASE(test_gather__takes_what_has_to_do_with_the_plan),
		CLUSTER_CASE(test_gather__what_may_not_be_listed_is_told),
		CLUSTER_CASE(test_gather__a_kind_that_the_server_does_not_know_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
