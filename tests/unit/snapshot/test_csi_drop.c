/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is removed by its name: all that a view was made of, with its data, and nothing that is not
 * ours.
 */
#include "tests/unit/snapshot/csi_kit.h"

static void test_csi_drop__by_the_names_of_a_run_that_died(void **state)
{
	auto_json json_t *names = json_array();
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_int_equal(csi_names(&run, &run.claims[0], names, &e), 0);
	assert_ptr_equal(chosen(), &snapshot_csi);
	struct snapshot *s = taken(&snapshot_csi);
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), 0);
	nothing_is_left();
	/* again, and by whoever comes too late */
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), 0);
	released(s);
	nothing_is_left();
}

static void test_csi_drop__nothing_that_is_not_ours(void **state)
{
	auto_json json_t *names = json_pack("[s, s, s, s, s, i]",
	                                    "persistentvolumeclaims/shop/data",
	                                    "persistentvolumes/pv1", "pods/shop/aksdr-web",
	                                    "secrets/shop/aksdr-x", "pods", 7);
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("pods/shop/aksdr-web", "{'metadata': {'name': 'aksdr-web'}}");
	cluster_put("secrets/shop/aksdr-x", "{'metadata': {'name': 'aksdr-x'}}");
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), 0);
	assert_int_equal(json_object_size(cluster.objects), 5);
}

static void stubborn(const char *key, json_t *o)
{
	(void)key;
	(void)o;
}

static void test_csi_drop__what_stays_is_named(void **state)
{
	auto_json json_t *names = json_pack("[s]", "pods/aksdr/aksdr-1-0");
	struct err e = ERR_INIT;

	(void)state;
	cluster.act = stubborn;
	cluster_put("pods/aksdr/aksdr-1-0",
	            "{'metadata': {'name': 'aksdr-1-0', 'labels': {'app.kubernetes.io/managed-by':"
	            " 'aksdr'}}}");
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "Pod 'aksdr/aksdr-1-0'"));
}

static void put(const char *key, const char *role, const char *more)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': '%s', 'uid': 'u', 'labels': "
	               "{'app.kubernetes.io/managed-by': 'aksdr', 'aksdr.io/role': '%s'}}%s}",
	               strrchr(key, '/') + 1, role, more);
	cluster_put(key, text);
}

static void test_csi_drop__one_that_is_refused_does_not_hold_the_others_up(void **state)
{
	auto_json json_t *names = json_pack("[s, s]", "pods/aksdr/aksdr-a", "pods/aksdr/aksdr-b");
	struct err e = ERR_INIT;

	(void)state;
	put("pods/aksdr/aksdr-a", "mover", "");
	put("pods/aksdr/aksdr-b", "mover", "");
	cluster.fail = "DELETE pods/aksdr/aksdr-a";
	cluster.fail_status = 403;
	cluster.fail_message = "cannot delete pods";
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "cannot delete pods"));
	assert_null(cluster_get("pods/aksdr/aksdr-b"));
}

static void test_csi_drop__however_many_there_are(void **state)
{
	auto_json json_t *names = json_array();
	char name[64];
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 1100; i++) {
		(void)snprintf(name, sizeof(name), "pods/aksdr/aksdr-%u", i);
		(void)json_array_append_new(names, json_string(name));
	}
	put("pods/aksdr/aksdr-1099", "mover", "");
	assert_int_equal(csi_drop(kit.kube, names, 60000, &e), 0);
	assert_null(cluster_get("pods/aksdr/aksdr-1099"));
}

/* It is the next run's, whoever names it. */
static void test_csi_drop__a_base_stays(void **state)
{
	auto_json json_t *names = json_pack("[s]", "volumesnapshots/shop/aksdr-1");
	struct err e = ERR_INIT;

	(void)state;
	put("volumesnapshots/shop/aksdr-1", "base", "");
	assert_int_equal(csi_drop(kit.kube, names, 300, &e), 0);
	assert_non_null(cluster_get("volumesnapshots/shop/aksdr-1"));
}

/* Its class retains: it would stay for ever. That of somebody else's claim is not touched. */
static void test_csi_drop__the_volume_of_a_clone_goes_with_it_and_no_other(void **state)
{
	auto_json json_t *names = json_pack("[s]", "persistentvolumeclaims/aksdr/aksdr-1");
	struct err e = ERR_INIT;

	(void)state;
	cluster.act = NULL;
	for (int own = 0; own < 2; own++) {
		char text[256];

		put("persistentvolumeclaims/aksdr/aksdr-1", "clone",
		    ", 'spec': {'volumeName': 'pv-x'}");
		(void)snprintf(text, sizeof(text),
		               "{'metadata': {'name': 'pv-x'}, 'spec': {'claimRef': {'uid': '%s'}, "
		               "'persistentVolumeReclaimPolicy': 'Retain'}}",
		               own ? "u" : "other");
		cluster_put("persistentvolumes/pv-x", text);
		assert_int_equal(csi_drop(kit.kube, names, 300, &e), 0);
		assert_null(cluster_get("persistentvolumeclaims/aksdr/aksdr-1"));
		assert_string_equal(kube_text_at(cluster_get("persistentvolumes/pv-x"),
		                                 "spec.persistentVolumeReclaimPolicy"),
		                    own ? "Delete" : "Retain");
	}
}

static void test_csi_drop__what_goes_already_is_waited_for_and_not_deleted_again(void **state)
{
	auto_json json_t *names = json_pack("[s]", "pods/aksdr/aksdr-1-0");
	struct err e = ERR_INIT;

	(void)state;
	cluster.act = stubborn;
	cluster_put("pods/aksdr/aksdr-1-0",
	            "{'metadata': {'name': 'aksdr-1-0', 'deletionTimestamp': "
	            "'2026-11-22T10:00:00Z', 'labels': {'app.kubernetes.io/managed-by': "
	            "'aksdr'}}}");
	assert_int_equal(csi_drop(kit.kube, names, 1, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_null(strstr(kit_log(), "DELETE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_csi_drop__by_the_names_of_a_run_that_died),
		CASE(test_csi_drop__nothing_that_is_not_ours),
		CASE(test_csi_drop__what_stays_is_named),
		CASE(test_csi_drop__one_that_is_refused_does_not_hold_the_others_up),
		CASE(test_csi_drop__however_many_there_are),
		CASE(test_csi_drop__a_base_stays),
		CASE(test_csi_drop__the_volume_of_a_clone_goes_with_it_and_no_other),
		CASE(test_csi_drop__what_goes_already_is_waited_for_and_not_deleted_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
