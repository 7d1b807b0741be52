/* SPDX-License-Identifier: Apache-2.0 */
/* The driver `claim`: a second name of a volume, which never takes the volume along. */
#include "tests/unit/snapshot/csi_kit.h"

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

static const char *mode_of_twin(const char *modes)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': 'pv1'}, 'spec': {'csi': {'driver': 'd', "
	               "'volumeHandle': 'v1'}, 'accessModes': [%s], "
	               "'persistentVolumeReclaimPolicy': 'Delete', 'capacity': {'storage': "
	               "'1Gi'}}}",
	               modes);
	cluster_put("persistentvolumes/pv1", text);
	csi_clear(&run);
	load();
	struct snapshot *s = taken(&snapshot_claim);
	const json_t *pv = only("persistentvolumes/aksdr-");
	static char mode[32];
	assert_int_equal(json_array_size(kube_at(pv, "spec.accessModes")), 1);
	(void)snprintf(mode, sizeof(mode), "%s",
	               json_string_value(json_array_get(kube_at(pv, "spec.accessModes"), 0)));
	released(s);
	nothing_is_left();
	return mode;
}

static void test_claim__takes_the_mode_that_most_nodes_may_have(void **state)
{
	(void)state;
	assert_string_equal(mode_of_twin("'ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany'"),
	                    "ReadWriteMany");
	assert_string_equal(mode_of_twin("'ReadWriteOnce', 'ReadOnlyMany'"), "ReadOnlyMany");
	assert_string_equal(mode_of_twin("'ReadWriteOncePod', 'ReadWriteOnce'"), "ReadWriteOnce");
}

static void test_claim__a_volume_for_one_pod_alone_cannot_be_read(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	json_object_set_new(json_object_get(cluster_get("persistentvolumes/pv1"), "spec"),
	                    "accessModes", json_pack("[s]", "ReadWriteOncePod"));
	load();
	assert_null(snapshot_take(&env, &snapshot_claim, one[0], &e));
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "for one pod alone (ReadWriteOncePod)"));
	nothing_is_left();
}

static void test_claim__what_was_made_before_a_refusal_goes(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load();
	cluster.fail = "POST persistentvolumeclaims/aksdr";
	cluster.fail_status = 403;
	cluster.fail_message = "cannot create claims";
	assert_null(snapshot_take(&env, &snapshot_claim, one[0], &e));
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(kit_log(), "POST /api/v1/persistentvolumes"));
	nothing_is_left();
}

static void test_claim_supports__only_what_is_bound(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("persistentvolumeclaims/shop/data",
	            "{'metadata': {'name': 'data', 'uid': 'u1'}, 'spec': {}, 'status': {'phase':"
	            " 'Pending'}}");
	load();
	assert_null(snapshot_choose(&env, "claim", one[0], &e));
	assert_non_null(strstr(e.msg, "the claim is not bound to a volume"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_claim__a_second_name_never_takes_the_volume_along),
		CASE(test_claim__takes_the_mode_that_most_nodes_may_have),
		CASE(test_claim__a_volume_for_one_pod_alone_cannot_be_read),
		CASE(test_claim__what_was_made_before_a_refusal_goes),
		CASE(test_claim_supports__only_what_is_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
