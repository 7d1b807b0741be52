/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces of drills: closed before anything is in them, and taken away with all that is. */
#include "restore/drill_room.h"

#include "restore/filler.h"
#include "tests/harness/kube_cluster.h"

#define RUN "aaaa0000000000000000000000000001"
#define OTHER "bbbb0000000000000000000000000002"
#define LABELS(run, role) "'labels':{'aksdr.io/run':'" run "','aksdr.io/role':'" role "'}"

static struct drill_room room(void)
{
	return (struct drill_room){ .kube = kit.kube, .ns = "aksdr", .run = RUN };
}

static const char *text_of(const char *key, const char *path)
{
	const json_t *o = cluster_get(key);

	if (!o)
		fail_msg("there is no '%s'", key);
	return kube_text_at(o, path);
}

static void test_make__a_namespace_is_closed_for_all(void **state)
{
	const struct drill_room d = room();

	(void)state;
	ok(drill_room_make(&d, "drill-shop", e));
	const json_t *ns = cluster_get("namespaces/drill-shop");
	const json_t *policy = cluster_get("networkpolicies/drill-shop/aksdr-drill");
	assert_non_null(ns);
	assert_non_null(policy);
	assert_string_equal(json_string_value(json_object_get(kube_at(ns, "metadata.labels"),
	                                                      FILLER_LABEL_RUN)),
	                    RUN);
	assert_int_equal(json_object_size(kube_at(policy, "spec.podSelector")), 0);
	const json_t *types = kube_at(policy, "spec.policyTypes");
	assert_int_equal(json_array_size(types), 2);
	assert_string_equal(json_string_value(json_array_get(types, 0)), "Ingress");
	assert_string_equal(json_string_value(json_array_get(types, 1)), "Egress");
	assert_null(kube_at(policy, "spec.ingress"));
	assert_null(kube_at(policy, "spec.egress"));
	/* The same again is success. */
	ok(drill_room_make(&d, "drill-shop", e));
}

static void test_make__refuses_what_is_of_others(void **state)
{
	const struct drill_room d = room();
	char name[70];

	(void)state;
	cluster_put("namespaces/drill-a", "{'metadata':{'name':'drill-a'}}");
	fails_saying(ERR_EXISTS, "give the plan another prefix", drill_room_make(&d, "drill-a", e));
	cluster_put("namespaces/drill-b",
	            "{'metadata':{'name':'drill-b'," LABELS(OTHER, "drill") "}}");
	fails(ERR_EXISTS, drill_room_make(&d, "drill-b", e));
	cluster_put("namespaces/drill-c",
	            "{'metadata':{'name':'drill-c'," LABELS(RUN, "restore") "}}");
	fails(ERR_EXISTS, drill_room_make(&d, "drill-c", e));
	cluster_put("namespaces/drill-d",
	            "{'metadata':{'name':'drill-d','deletionTimestamp':'x'," LABELS(RUN,
	                                                                            "drill") "}}");
	fails(ERR_BUSY, drill_room_make(&d, "drill-d", e));
	memset(name, 'a', 64);
	name[64] = '\0';
	fails_saying(ERR_INVALID, "too long for a namespace", drill_room_make(&d, name, e));
	assert_null(cluster_get("networkpolicies/drill-a/aksdr-drill"));
}

static void test_make__fails_where_it_cannot_be_closed(void **state)
{
	const struct drill_room d = room();

	(void)state;
	cluster.fail = "POST networkpolicies";
	cluster.fail_status = 403;
	cluster.fail_message = "no";
	fails_saying(ERR_DENIED, "closing the namespace", drill_room_make(&d, "drill-shop", e));
}

/* What two drills have left, and what is of nobody here. */
static void leave_things(void)
{
	cluster_put("namespaces/drill-shop",
	            "{'metadata':{'name':'drill-shop'," LABELS(RUN, "drill") "}}");
	cluster_put("namespaces/drill-old",
	            "{'metadata':{'name':'drill-old'," LABELS(OTHER, "drill") "}}");
	cluster_put("namespaces/shop", "{'metadata':{'name':'shop'}}");
	cluster_put("persistentvolumeclaims/drill-shop/db",
	            "{'metadata':{'name':'db'},'spec':{'volumeName':'pv-db'}}");
	cluster_put("persistentvolumeclaims/aksdr/fill-1",
	            "{'metadata':{'name':'fill-1'," LABELS(
			    RUN, "drill") "},'spec':{'volumeName':'pv-1'}}");
	cluster_put("persistentvolumeclaims/aksdr/standby",
	            "{'metadata':{'name':'standby'," LABELS(
			    OTHER, "standby") "},'spec':{'volumeName':'pv-s'}}");
	cluster_put("pods/aksdr/fill-1", "{'metadata':{'name':'fill-1'," LABELS(RUN, "drill") "}}");
	cluster_put("pods/aksdr/agent", "{'metadata':{'name':'agent'}}");
	cluster_put("secrets/aksdr/aksdr-key-aaaa000000000000", "{'metadata':{'name':'x'}}");
	cluster_put("secrets/aksdr/aksdr-key-bbbb000000000000", "{'metadata':{'name':'y'}}");
	cluster_put(
		"persistentvolumes/pv-db",
		"{'metadata':{'name':'pv-db'},'spec':{'persistentVolumeReclaimPolicy':'Retain'}}");
	cluster_put("persistentvolumes/pv-1", "{'metadata':{'name':'pv-1'},"
	                                      "'spec':{'persistentVolumeReclaimPolicy':'Retain'}}");
	cluster_put("persistentvolumes/pv-s", "{'metadata':{'name':'pv-s'},"
	                                      "'spec':{'persistentVolumeReclaimPolicy':'Retain'}}");
	cluster_put("persistentvolumes/pv-between",
	            "{'metadata':{'name':'pv-between','labels':{'aksdr.io/run':'" RUN
	            "'}},'spec':{'persistentVolumeReclaimPolicy':'Retain'},"
	            "'status':{'phase':'Available'}}");
	cluster_put("persistentvolumes/pv-released",
	            "{'metadata':{'name':'pv-released','labels':{'aksdr.io/run':'" RUN
	            "'}},'spec':{'persistentVolumeReclaimPolicy':'Retain'},"
	            "'status':{'phase':'Released'}}");
}

static void test_clean__takes_what_this_run_has_made(void **state)
{
	const struct drill_room d = room();
	size_t runs = 0;

	(void)state;
	leave_things();
	ok(drill_room_clean(&d, false, &runs, e));
	assert_int_equal(runs, 1);
	assert_null(cluster_get("namespaces/drill-shop"));
	assert_null(cluster_get("persistentvolumeclaims/aksdr/fill-1"));
	assert_null(cluster_get("pods/aksdr/fill-1"));
	assert_null(cluster_get("secrets/aksdr/aksdr-key-aaaa000000000000"));
	/* Volumes go with their claims, whatever their class says. */
	assert_string_equal(text_of("persistentvolumes/pv-db",
	                            "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
	assert_string_equal(text_of("persistentvolumes/pv-1", "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
	assert_null(cluster_get("persistentvolumes/pv-between"));
	assert_string_equal(text_of("persistentvolumes/pv-released",
	                            "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
	/* Others stay. */
	assert_non_null(cluster_get("namespaces/drill-old"));
	assert_non_null(cluster_get("namespaces/shop"));
	assert_non_null(cluster_get("pods/aksdr/agent"));
	assert_non_null(cluster_get("persistentvolumeclaims/aksdr/standby"));
	assert_non_null(cluster_get("secrets/aksdr/aksdr-key-bbbb000000000000"));
	assert_string_equal(text_of("persistentvolumes/pv-s", "spec.persistentVolumeReclaimPolicy"),
	                    "Retain");
}

static void test_clean__of_all_drills(void **state)
{
	struct drill_room d = room();
	size_t runs = 0;

	(void)state;
	d.run = "";
	leave_things();
	ok(drill_room_clean(&d, true, &runs, e));
	assert_int_equal(runs, 2);
	assert_null(cluster_get("namespaces/drill-shop"));
	assert_null(cluster_get("namespaces/drill-old"));
	assert_null(cluster_get("secrets/aksdr/aksdr-key-bbbb000000000000"));
	assert_non_null(cluster_get("namespaces/shop"));
	assert_non_null(cluster_get("persistentvolumeclaims/aksdr/standby"));
	ok(drill_room_clean(&d, true, &runs, e));
	assert_int_equal(runs, 0);
}

static void test_clean__goes_on_where_one_thing_fails_and_tells_it(void **state)
{
	const struct drill_room d = room();

	(void)state;
	leave_things();
	cluster.fail = "PATCH persistentvolumes/pv-db";
	cluster.fail_status = 403;
	cluster.fail_message = "not you";
	fails_saying(ERR_DENIED, "taking away what drills have made",
	             drill_room_clean(&d, false, NULL, e));
	assert_null(cluster_get("namespaces/drill-shop"));
	assert_null(cluster_get("pods/aksdr/fill-1"));
	assert_null(cluster_get("secrets/aksdr/aksdr-key-aaaa000000000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_CASE(test_make__a_namespace_is_closed_for_all),
		CLUSTER_CASE(test_make__refuses_what_is_of_others),
		CLUSTER_CASE(test_make__fails_where_it_cannot_be_closed),
		CLUSTER_CASE(test_clean__takes_what_this_run_has_made),
		CLUSTER_CASE(test_clean__of_all_drills),
		CLUSTER_CASE(test_clean__goes_on_where_one_thing_fails_and_tells_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
