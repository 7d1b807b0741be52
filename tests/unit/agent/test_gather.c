/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of an API server become what is known of the cluster, and what holds data in it. */
#include "agent/gather.h"

#include <stdio.h>

#include "tests/harness/kube_cluster.h"

static struct world *w;
static struct coverage *c;
static struct inventory v;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	if (cluster_setup(state) < 0)
		return -1;
	w = world_new("aksdr", NULL, &e);
	c = coverage_new();
	cluster_put("backuppolicies/aksdr/all",
	            "{'metadata': {'namespace': 'aksdr', 'name': 'all'}, 'spec': {'selector': "
	            "{'namespaces': ['shop']}, 'schedule': {'cron': '@daily'}}}");
	cluster_put("persistentvolumeclaims/shop/db",
	            "{'metadata': {'namespace': 'shop', 'name': 'db'}, 'status': {'phase': "
	            "'Bound', 'capacity': {'storage': '1Ki'}}}");
	cluster_put("persistentvolumeclaims/dev/db",
	            "{'metadata': {'namespace': 'dev', 'name': 'db'}}");
	cluster_put("namespaces/shop", "{'metadata': {'name': 'shop'}}");
	cluster_put("pods/shop/web-1", "{'metadata': {'namespace': 'shop', 'name': 'web-1'}, "
	                               "'spec': {'volumes': [{'name': 'd', "
	                               "'persistentVolumeClaim': {'claimName': 'db'}}]}}");
	return w && c ? 0 : -1;
}

static int teardown(void **state)
{
	inventory_clear(&v);
	coverage_free(c);
	world_free(w);
	return cluster_teardown(state);
}

static void make(const char *policies)
{
	struct err e = ERR_INIT;

	if (gather_world(kit.kube, policies, w, &e) < 0 || gather_coverage(kit.kube, c, &e) < 0 ||
	    coverage_make(c, w, &v, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(v.n, 2);
	assert_string_equal(v.v[0].texts[INVENTORY_NS], "dev");
	assert_string_equal(v.v[1].texts[INVENTORY_OWNER], "Pod/web-1");
	assert_int_equal(v.v[1].bytes, 1024);
}

static void test_gather_world__has_claims_and_policies(void **state)
{
	(void)state;
	make(NULL);
	assert_int_equal(v.v[0].reason, INVENTORY_NO_POLICY);
	assert_int_equal(v.v[1].state, INVENTORY_PROTECTED);
	assert_string_equal(v.v[1].texts[INVENTORY_POLICY], "aksdr/all");
}

static void test_gather_world__policies_of_a_directory_are_in_place_of_those(void **state)
{
	auto_free char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "p.yaml");
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	(void)fputs("{apiVersion: aksdr.io/v1alpha1, kind: BackupPolicy, metadata: {name: mine}, "
	            "spec: {selector: {namespaces: [dev]}, schedule: {cron: '@daily'}}}\n",
	            f);
	(void)fclose(f);
	make(dir);
	assert_string_equal(v.v[0].texts[INVENTORY_POLICY], "aksdr/mine");
	assert_int_equal(v.v[1].state, INVENTORY_EXPOSED);
	tmpdir_remove(strdup(dir));
}

static void test_gather_coverage__says_what_it_may_not_see(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	cluster.fail = "GET statefulsets";
	cluster.fail_status = 403;
	cluster.fail_message = "statefulsets.apps is forbidden";
	assert_int_equal(gather_coverage(kit.kube, c, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "statefulsets.apps is forbidden"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_gather_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(world__has_claims_and_policies),
		T(world__policies_of_a_directory_are_in_place_of_those),
		T(coverage__says_what_it_may_not_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
