/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of claims over a server that keeps objects, with the test as the cluster's controllers:
 * what is made, of what moment it is, why there is none, and that nothing is left, above all not
 * the data, and never the volume itself.
 */
#include "snapshot/csi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

static struct csi_run run;
static struct snapshot_env env;
static const char *error_of_snapshots; /* NULL: they work */
static unsigned data, volumes;         /* that the storage has */
static bool keeps;                     /* classes keep what they made */

static bool starts(const char *key, const char *with)
{
	return strncmp(key, with, strlen(with)) == 0;
}

/* What the snapshot controller, the provisioner and the garbage collector do. */
static void controllers(const char *key, json_t *o)
{
	const bool going = *kube_text_at(o, "metadata.deletionTimestamp");
	const char *role = json_string_value(
		json_object_get(kube_at(o, "metadata.labels"), "aksdr.io/role"));

	if (starts(key, "volumesnapshots/") && !going && !json_object_get(o, "status")) {
		if (error_of_snapshots) {
			json_object_set_new(o, "status",
			                    json_pack("{s:{s:s}}", "error", "message",
			                              error_of_snapshots));
			return;
		}
		json_object_set_new(o, "status",
		                    json_pack("{s:s, s:b, s:s, s:s}", "creationTime",
		                              "2026-11-22T10:00:00Z", "readyToUse", 1,
		                              "boundVolumeSnapshotContentName", "snapcontent-1",
		                              "restoreSize", "2Gi"));
		if (strcmp(role, "source") != 0)
			return;
		data++;
		cluster_put("volumesnapshotcontents/snapcontent-1",
		            "{'metadata': {'name': 'snapcontent-1'}, 'spec': {'driver': 'd',"
		            " 'deletionPolicy': 'Retain', 'sourceVolumeMode': 'Filesystem'},"
		            " 'status': {'snapshotHandle': 'h1'}}");
	} else if (starts(key, "persistentvolumeclaims/aksdr/") && !going &&
	           strcmp(role, "clone") == 0 && !*kube_text_at(o, "spec.volumeName")) {
		json_object_set_new(json_object_get(o, "spec"), "volumeName",
		                    json_string("pv-clone"));
		volumes++;
		cluster_put("persistentvolumes/pv-clone",
		            "{'metadata': {'name': 'pv-clone'}, 'spec': {"
		            "'claimRef': {}}}");
		json_t *spec = json_object_get(cluster_get("persistentvolumes/pv-clone"), "spec");
		json_object_set_new(spec, "persistentVolumeReclaimPolicy",
		                    json_string(keeps ? "Retain" : "Delete"));
		json_object_set_new(json_object_get(spec, "claimRef"), "uid",
		                    json_string(kube_text_at(o, "metadata.uid")));
	} else if (going) {
		const json_t *content = cluster_get("volumesnapshotcontents/snapcontent-1");
		const json_t *pv = cluster_get("persistentvolumes/pv-clone");

		if (role && strcmp(role, "source") == 0 && content &&
		    strcmp(kube_text_at(content, "spec.deletionPolicy"), "Delete") == 0) {
			data--;
			cluster_remove("volumesnapshotcontents/snapcontent-1");
		}
		if (starts(key, "persistentvolumeclaims/") && pv && strcmp(role, "clone") == 0 &&
		    strcmp(kube_text_at(pv, "spec.persistentVolumeReclaimPolicy"), "Delete") == 0) {
			volumes--;
			cluster_remove("persistentvolumes/pv-clone");
		}
		/* A volume that is not retained goes with its name. */
		if (starts(key, "persistentvolumes/aksdr") &&
		    strcmp(kube_text_at(o, "spec.persistentVolumeReclaimPolicy"), "Retain") != 0)
			volumes--;
		cluster_remove(key);
	}
}

static int setup(void **state)
{
	(void)cluster_setup(state);
	cluster.act = controllers;
	error_of_snapshots = NULL;
	data = 0;
	volumes = 1;
	keeps = true;
	cluster_put("persistentvolumeclaims/shop/data",
	            "{'metadata': {'name': 'data', 'uid': 'u1'}, 'spec': {'volumeName': 'pv1',"
	            " 'volumeMode': 'Filesystem'}, 'status': {'phase': 'Bound',"
	            " 'capacity': {'storage': '1Gi'}}}");
	cluster_put("persistentvolumes/pv1",
	            "{'metadata': {'name': 'pv1'}, 'spec': {'csi': {'driver': 'd', 'volumeHandle':"
	            " 'v1'}, 'storageClassName': 'disk', 'accessModes': ['ReadWriteOnce'],"
	            " 'persistentVolumeReclaimPolicy': 'Delete', 'capacity': {'storage': '1Gi'},"
	            " 'claimRef': {'namespace': 'shop', 'name': 'data', 'uid': 'u1'}}}");
	cluster_put("volumesnapshotclasses/c", "{'metadata': {'name': 'c'}, 'driver': 'd'}");
	run = (struct csi_run){ .kube = kit.kube,
		                .ns = "aksdr",
		                .node = "node1",
		                .moment_ms = 300,
		                .stuck_ms = 300,
		                .gone_ms = 300 };
	env = (struct snapshot_env){ .cluster = &run };
	return 0;
}

static int teardown(void **state)
{
	csi_clear(&run);
	return cluster_teardown(state);
}

static const char *const one[] = { "pvc:shop/data" };

static void load(void)
{
	struct err e = ERR_INIT;

	if (csi_load(&run, one, 1, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct snapshot *taken(const struct snapshot_ops *ops)
{
	struct err e = ERR_INIT;

	struct snapshot *s = snapshot_take(&env, ops, one[0], &e);
	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static void released(struct snapshot *s)
{
	struct err e = ERR_INIT;

	if (snapshot_release(s, &e) < 0)
		fail_msg("%s", e.msg);
}

static const struct snapshot_ops *chosen(void)
{
	struct err e = ERR_INIT;
	char why[512];

	const struct snapshot_ops *ops = snapshot_choose_best(&env, one[0], why, sizeof(why), &e);
	if (!ops)
		fail_msg("%s", e.msg);
	return ops;
}

/* The only object whose key begins so. */
static const json_t *only(const char *with)
{
	const json_t *found = NULL;
	const char *key;
	json_t *o;

	json_object_foreach(cluster.objects, key, o) {
		if (!starts(key, with))
			continue;
		assert_null(found);
		found = o;
	}
	return found;
}

static void nothing_is_left(void)
{
	assert_int_equal(data, 0);
	assert_int_equal(volumes, 1);
	assert_int_equal(json_object_size(cluster.objects), 3);
	assert_string_equal(kube_text_at(cluster_get("persistentvolumes/pv1"),
	                                 "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
}

static void test_csi_parse__takes_names_and_nothing_else(void **state)
{
	static const char *const bad[] = { "pvc:a",    "pvc:/b",   "pvc:a/",    "pvc:a/b/c",
		                           "pvc:a/..", "pvc:A/b",  "pvc:a/b?x", "a/b",
		                           "pvc:../b", "pvc:a%/b", "pvc:" };
	auto_free char *ns = NULL;
	auto_free char *name = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(csi_parse(bad[i], &ns, &name, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
	}
	assert_int_equal(csi_parse("pvc:shop/data-0.x", &ns, &name, &e), 0);
	assert_string_equal(ns, "shop");
	assert_string_equal(name, "data-0.x");
	assert_false(csi_is_origin("data"));
}

static void test_csi_load__what_is_not_there_or_twice(void **state)
{
	static const char *const twice[] = { "pvc:shop/data", "pvc:shop/data" };
	static const char *const none[] = { "pvc:shop/other" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(csi_load(&run, none, 1, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	csi_clear(&run);
	assert_int_equal(csi_load(&run, twice, 2, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_csi__a_view_of_the_moment_and_nothing_left(void **state)
{
	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	struct snapshot *s = taken(&snapshot_csi);
	assert_true(s->freeze_ns == INT64_C(1795341600) * 1000000000);
	assert_string_equal(s->path, run.claims[0].base);
	const json_t *clone = only("persistentvolumeclaims/aksdr/");
	assert_string_equal(kube_text_at(clone, "spec.resources.requests.storage"), "2Gi");
	assert_string_equal(kube_text_at(clone, "spec.storageClassName"), "disk");
	assert_string_equal(kube_text_at(clone, "spec.dataSource.name"), run.claims[0].base);
	const json_t *content = only("volumesnapshotcontents/aksdr-");
	assert_string_equal(kube_text_at(content, "spec.source.snapshotHandle"), "h1");
	assert_string_equal(kube_text_at(content, "spec.deletionPolicy"), "Retain");
	assert_string_equal(kube_text_at(content, "spec.volumeSnapshotRef.namespace"), "aksdr");
	assert_int_equal(data, 1);
	assert_int_equal(volumes, 2);
	released(s);
	nothing_is_left();
}

static void test_csi__in_the_agents_namespace_one_snapshot_will_do(void **state)
{
	(void)state;
	run.ns = "shop";
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	/* the provisioner of this test looks at another namespace */
	struct snapshot *s = taken(&snapshot_csi);
	assert_non_null(only("volumesnapshots/"));
	assert_null(only("volumesnapshotcontents/aksdr-"));
	released(s);
	nothing_is_left();
}

static void test_csi__a_snapshot_that_fails_says_why(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	error_of_snapshots = "the quota is used up";
	assert_null(snapshot_take(&env, &snapshot_csi, one[0], &e));
	assert_int_equal(e.class, ERR_RETRY);
	assert_non_null(strstr(e.msg, "the quota is used up"));
	nothing_is_left();
}

static void test_csi__a_right_that_is_missing_is_told_at_once(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	cluster.fail = "POST volumesnapshots/shop";
	cluster.fail_status = 403;
	cluster.fail_message = "cannot create volumesnapshots";
	assert_null(snapshot_take(&env, &snapshot_csi, one[0], &e));
	assert_int_equal(e.class, ERR_DENIED);
	nothing_is_left();
}

static void refuses(const char *says)
{
	struct err e = ERR_INIT;
	char why[512];

	load();
	assert_ptr_equal(snapshot_choose_best(&env, one[0], why, sizeof(why), &e), &snapshot_claim);
	if (!strstr(why, says))
		fail_msg("'%s' does not say '%s'", why, says);
}

static void test_csi_supports__without_a_class_the_volume_is_read_as_it_is(void **state)
{
	(void)state;
	cluster_remove("volumesnapshotclasses/c");
	refuses("not csi: there is no VolumeSnapshotClass of the driver 'd'");
}

static void test_csi_supports__a_volume_of_no_driver_is_read_as_it_is(void **state)
{
	(void)state;
	json_object_del(json_object_get(cluster_get("persistentvolumes/pv1"), "spec"), "csi");
	refuses("not csi: its volume is not of a CSI driver");
}

static void test_csi_supports__a_claim_that_is_not_bound_cannot_be_read(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("persistentvolumeclaims/shop/data",
	            "{'metadata': {'name': 'data', 'uid': 'u1'}, 'spec': {}, 'status': {'phase':"
	            " 'Pending'}}");
	load();
	assert_null(snapshot_choose_best(&env, one[0], NULL, 0, &e));
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_null(snapshot_choose(&env, "csi", one[0], &e));
	assert_non_null(strstr(e.msg, "not bound"));
	assert_null(snapshot_choose(&env, "btrfs", one[0], &e));
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_claim__a_second_name_never_takes_the_volume_along(void **state)
{
	(void)state;
	load();
	struct snapshot *s = taken(&snapshot_claim);
	const json_t *pv = only("persistentvolumes/aksdr-");
	assert_string_equal(kube_text_at(pv, "spec.persistentVolumeReclaimPolicy"), "Retain");
	assert_string_equal(kube_text_at(pv, "spec.csi.volumeHandle"), "v1");
	assert_string_equal(kube_text_at(pv, "spec.claimRef.name"), run.claims[0].base);
	assert_string_equal(kube_text_at(pv, "spec.claimRef.uid"), "");
	assert_string_equal(kube_text_at(only("persistentvolumeclaims/aksdr/"), "spec.volumeName"),
	                    run.claims[0].base);
	assert_int_equal(s->consistency, SNAP_FUZZY);
	released(s);
	nothing_is_left();
}

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

static void test_csi_gone_ms__is_short_once_the_run_is_to_end(void **state)
{
	struct cancel cancel;
	struct csi_run own = { .cancel = &cancel };

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	assert_int_equal(csi_gone_ms(&own), CSI_GONE_MS);
	own.gone_ms = 300;
	assert_int_equal(csi_gone_ms(&own), 300);
	cancel_request(&cancel);
	assert_int_equal(csi_gone_ms(&own), 300);
	own.gone_ms = 0;
	assert_int_equal(csi_gone_ms(&own), CSI_GONE_CANCELLED_MS);
	cancel_clear(&cancel);
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_csi_parse__takes_names_and_nothing_else),
		CASE(test_csi_load__what_is_not_there_or_twice),
		CASE(test_csi__a_view_of_the_moment_and_nothing_left),
		CASE(test_csi__in_the_agents_namespace_one_snapshot_will_do),
		CASE(test_csi__a_snapshot_that_fails_says_why),
		CASE(test_csi__a_right_that_is_missing_is_told_at_once),
		CASE(test_csi_supports__without_a_class_the_volume_is_read_as_it_is),
		CASE(test_csi_supports__a_volume_of_no_driver_is_read_as_it_is),
		CASE(test_csi_supports__a_claim_that_is_not_bound_cannot_be_read),
		CASE(test_claim__a_second_name_never_takes_the_volume_along),
		CASE(test_csi_drop__by_the_names_of_a_run_that_died),
		CASE(test_csi_drop__nothing_that_is_not_ours),
		CASE(test_csi_drop__what_stays_is_named),
		CASE(test_csi_gone_ms__is_short_once_the_run_is_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
