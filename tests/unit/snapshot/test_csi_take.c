/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver `csi`: what is made, of what moment it is, why there is none, and that nothing is
 * left, above all not the data.
 */
#include "tests/unit/snapshot/csi_kit.h"

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

static void test_csi__a_cluster_without_snapshots_says_so(void **state)
{
	(void)state;
	cluster.fail = "GET volumesnapshotclasses";
	cluster.fail_status = 404;
	cluster.fail_message = "the server could not find the requested resource";
	refuses("not csi: the cluster has no VolumeSnapshots");
}

/* All of a run are of one moment, as far as the storage can have it. */
static void test_csi__snapshots_of_a_run_are_asked_for_together(void **state)
{
	static const char *const two[] = { "pvc:shop/data", "pvc:shop/log" };
	struct snapshot_env both = { .cluster = &run };
	struct snapshot *s[2];
	struct err errs[1] = { ERR_INIT };
	struct err e = ERR_INIT;
	unsigned n = 0;
	const char *key;
	json_t *o;

	(void)state;
	cluster_put("persistentvolumeclaims/shop/log",
	            "{'metadata': {'name': 'log', 'uid': 'u2'}, 'spec': {'volumeName': 'pv1',"
	            " 'volumeMode': 'Filesystem'}, 'status': {'phase': 'Bound'}}");
	assert_int_equal(csi_load(&run, two, 2, &e), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_ptr_equal(snapshot_choose(&both, "csi", two[i], &e), &snapshot_csi);
		s[i] = snapshot_prepare(&both, &snapshot_csi, two[i], &e);
		assert_non_null(s[i]);
	}
	assert_int_equal(snapshot_capture(s, 1, errs), 0);
	json_object_foreach(cluster.objects, key, o)
		n += starts(key, "volumesnapshots/shop/");
	assert_int_equal(n, 2);
	assert_int_equal(snapshot_capture(s + 1, 1, errs), 0);
	released(s[1]);
	released(s[0]);
}

static void test_csi__data_that_does_not_come_is_waited_for_while_nothing_fails(void **state)
{
	struct cancel cancel;
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	never_ready = true;
	assert_int_equal(cancel_init(&cancel), 0);
	run.cancel = &cancel;
	struct snapshot *s = snapshot_prepare(&env, &snapshot_csi, one[0], &e);
	assert_non_null(s);
	assert_int_equal(snapshot_capture(&s, 1, &e), 0); /* its moment is known */
	cancel_request(&cancel);
	assert_int_equal(snapshot_finish(s, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	released(s);
	nothing_is_left();
	cancel_clear(&cancel);
}

static void test_csi__data_that_a_driver_cannot_copy_fails(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	never_ready = true;
	struct snapshot *s = snapshot_prepare(&env, &snapshot_csi, one[0], &e);
	assert_non_null(s);
	assert_int_equal(snapshot_capture(&s, 1, &e), 0);
	char key[128];
	(void)snprintf(key, sizeof(key), "volumesnapshots/shop/%s", run.claims[0].base);
	json_object_set_new(json_object_get(cluster_get(key), "status"), "error",
	                    json_pack("{s:s}", "message", "the copy broke"));
	assert_int_equal(snapshot_finish(s, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_non_null(strstr(e.msg, "was not ready within 0s: the copy broke"));
	released(s);
	nothing_is_left();
}

static void test_csi__a_content_without_a_handle_makes_no_view(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load();
	assert_ptr_equal(chosen(), &snapshot_csi);
	struct snapshot *s = snapshot_prepare(&env, &snapshot_csi, one[0], &e);
	assert_non_null(s);
	assert_int_equal(snapshot_capture(&s, 1, &e), 0);
	json_object_del(cluster_get("volumesnapshotcontents/snapcontent-1"), "status");
	assert_int_equal(snapshot_finish(s, &e), -1);
	assert_non_null(strstr(e.msg, "'snapcontent-1' has no handle"));
	assert_null(only("persistentvolumeclaims/aksdr/"));
	released(s);
	nothing_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_csi__a_view_of_the_moment_and_nothing_left),
		CASE(test_csi__in_the_agents_namespace_one_snapshot_will_do),
		CASE(test_csi__a_snapshot_that_fails_says_why),
		CASE(test_csi__a_right_that_is_missing_is_told_at_once),
		CASE(test_csi_supports__without_a_class_the_volume_is_read_as_it_is),
		CASE(test_csi_supports__a_volume_of_no_driver_is_read_as_it_is),
		CASE(test_csi_supports__a_claim_that_is_not_bound_cannot_be_read),
		CASE(test_csi__a_cluster_without_snapshots_says_so),
		CASE(test_csi__snapshots_of_a_run_are_asked_for_together),
		CASE(test_csi__data_that_does_not_come_is_waited_for_while_nothing_fails),
		CASE(test_csi__data_that_a_driver_cannot_copy_fails),
		CASE(test_csi__a_content_without_a_handle_makes_no_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
