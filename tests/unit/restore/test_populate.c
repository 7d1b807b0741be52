/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims that wait are filled, in a cluster whose controllers the test plays; how a volume gets
 * from one claim to the other is in test_filler.c.
 */
#include "restore/populate.h"

#include "tests/harness/kube_cluster.h"

#define POINT "a0000000000000000000000000000001"
#define UID "01234567-89ab-cdef-0123-456789abcdef"
#define CLAIM "persistentvolumeclaims/shop/orders"

static struct {
	json_t *template;
	struct request asked;
	bool block;
	unsigned gaps;
	struct err fails; /* of find, unless NONE */
	char zones[64];   /* that a mover was for */
} w;

static int find(void *arg, const struct request *r, struct populate_point *ret, struct err *e)
{
	(void)arg;
	w.asked = *r;
	if (w.fails.class != ERR_NONE) {
		*e = w.fails;
		return -1;
	}
	*ret = (struct populate_point){ .block = w.block };
	(void)snprintf(ret->id, sizeof(ret->id), "%s", POINT);
	(void)snprintf(ret->volume, sizeof(ret->volume), "we/shop/orders");
	return 0;
}

static void end_mover(json_t *pod)
{
	auto_json json_t *result =
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:i, s:i, s:[]}",
	                  "schema", "aksdr/filled/v1", "point", POINT, "session",
	                  "2026-11-22/0123456789abcdef-" POINT, "base", "", "bytes", 7, "files", 2,
	                  "written", 7, "fetched", 5, "requests", 1, "verified", 0, "partial",
	                  w.gaps > 0, "ms", 3, "gaps", (int)w.gaps, "paths");
	if (w.gaps > 0)
		(void)json_object_update_new(result, json_pack("{s:s, s:s}", "class", "partial",
		                                               "error", "two chunks are lost"));
	char *text = json_dumps(result, JSON_COMPACT);
	auto_free char *spec = json_dumps(kube_at(pod, "spec.affinity"), JSON_COMPACT);

	(void)snprintf(w.zones, sizeof(w.zones), "%s",
	               spec && strstr(spec, "\"ne-1\"") ? "ne-1" : "");
	(void)json_object_set_new(pod, "status",
	                          json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}", "phase",
	                                    "Succeeded", "containerStatuses", "name", "mover",
	                                    "state", "terminated", "exitCode", 0, "message", text));
	free(text);
}

static void bind(json_t *claim, const char *pv)
{
	(void)json_object_set_new(json_object_get(claim, "spec"), "volumeName", json_string(pv));
	(void)json_object_set_new(claim, "status", json_pack("{s:s}", "phase", "Bound"));
}

static void controllers(const char *key, json_t *o)
{
	if (*kube_text_at(o, "metadata.deletionTimestamp")) {
		cluster_remove(key);
	} else if (strncmp(key, "pods/", 5) == 0 && !kube_at(o, "status")) {
		end_mover(o);
	} else if (strncmp(key, "persistentvolumeclaims/aksdr/", 29) == 0 &&
	           !kube_at(o, "status")) {
		cluster_put("persistentvolumes/pv-1",
		            "{'metadata': {'name': 'pv-1'}, 'spec': "
		            "{'persistentVolumeReclaimPolicy': 'Delete', 'storageClassName': "
		            "'fast', 'claimRef': {'namespace': 'aksdr', 'name': 'x'}}}");
		bind(o, "pv-1");
	} else if (strcmp(key, "persistentvolumes/pv-1") == 0 && cluster_get(CLAIM) &&
	           strcmp(kube_text_at(o, "spec.claimRef.uid"), UID) == 0 &&
	           !*kube_text_at(cluster_get(CLAIM), "spec.volumeName")) {
		bind(cluster_get(CLAIM), "pv-1");
	}
}

static void put_class(const char *mode)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': 'fast'}, 'volumeBindingMode': '%s'}", mode);
	cluster_put("storageclasses/fast", text);
}

#define WAITING(notes, spec)                                                                \
	"{'metadata': {'name': 'orders', 'namespace': 'shop', 'uid': '" UID                 \
	"', 'annotations': {" notes "}}, 'spec': {'storageClassName': 'fast', "             \
	"'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': '1Gi'}}, " \
	"'dataSourceRef': {'apiGroup': 'aksdr.io', 'kind': 'VolumeRestore', 'name': "       \
	"'before'}" spec "}, 'status': {'phase': 'Pending'}}"

static int setup(void **state)
{
	(void)cluster_setup(state);
	memset(&w, 0, sizeof(w));
	w.template = json_pack("{s:{s:[{s:s, s:s}]}}", "spec", "containers", "name", "mover",
	                       "image", "i");
	cluster.act = controllers;
	put_class("Immediate");
	cluster_put("volumerestores/shop/before", "{'metadata': {'name': 'before'}, 'spec': "
	                                          "{'volume': 'we/shop/orders', 'point': "
	                                          "'a0000'}}");
	cluster_put(CLAIM, WAITING("", ""));
	return 0;
}

static int teardown(void **state)
{
	json_decref(w.template);
	return cluster_teardown(state);
}

static struct populate_params params(struct events *events)
{
	return (struct populate_params){ .kube = kit.kube,
		                         .ns = "aksdr",
		                         .template = w.template,
		                         .movers = 2,
		                         .stuck_ms = 200,
		                         .events = events,
		                         .find = find };
}

static char waits[POPULATE_WHY_MAX];

static int one(struct err *e)
{
	const struct populate_params p = params(NULL);

	return populate_one(&p, "shop", "orders", waits, e);
}

static void is_filled(void)
{
	const json_t *claim = cluster_get(CLAIM);

	assert_string_equal(kube_text_at(claim, "spec.volumeName"), "pv-1");
	assert_string_equal(json_string_value(
				    json_object_get(kube_at(claim, "metadata.annotations"),
	                                            FILLER_POINT)),
	                    POINT);
	assert_string_equal(kube_text_at(cluster_get("persistentvolumes/pv-1"),
	                                 "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
}

static void test_state_of__only_claims_that_name_one(void **state)
{
	static const struct {
		const char *claim;
		enum populate_state is;
	} cases[] = {
		{ WAITING("", ""), POPULATE_DUE },
		{ WAITING("", ", 'volumeName': 'v'"), POPULATE_FINISH },
		{ WAITING("'aksdr.io/point': 'x'", ", 'volumeName': 'v'"), POPULATE_NONE },
		{ "{'spec': {}}", POPULATE_NONE },
		{ "{'spec': {'dataSourceRef': {'apiGroup': 'snapshot.storage.k8s.io', 'kind': "
		  "'VolumeSnapshot', 'name': 'x'}}}",
		  POPULATE_NONE },
		{ "{'metadata': {'deletionTimestamp': 'x'}, 'spec': {'dataSourceRef': {'apiGroup': "
		  "'aksdr.io', 'kind': 'VolumeRestore', 'name': 'x'}}}",
		  POPULATE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cluster_put("x/y", cases[i].claim);
		assert_int_equal(populate_state_of(cluster_get("x/y")), cases[i].is);
	}
}

static void test_one__a_claim_gets_the_point(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(one(&e), 1);
	assert_string_equal(w.asked.id, "a0000");
	assert_string_equal(w.asked.cluster, "we");
	is_filled();
	/* And is of no concern from then on. */
	assert_int_equal(one(&e), 0);
	assert_string_equal(waits, "");
	cluster_remove(CLAIM);
	assert_int_equal(one(&e), 0);
}

static void test_one__waits_for_its_request_and_its_first_consumer(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	cluster_remove("volumerestores/shop/before");
	assert_int_equal(one(&e), 0);
	assert_string_equal(waits, "the VolumeRestore 'before'");
	put_class("WaitForFirstConsumer");
	assert_int_equal(one(&e), 0);
	assert_string_equal(waits, "a pod that uses it");
	cluster_put("volumerestores/shop/before",
	            "{'metadata': {'name': 'before'}, 'spec': {'volume': 'we/shop/orders'}}");
	cluster_put("nodes/n1", "{'metadata': {'name': 'n1', 'labels': "
	                        "{'topology.kubernetes.io/zone': 'ne-1'}}}");
	cluster_put(CLAIM, WAITING("'volume.kubernetes.io/selected-node': 'n1'", ""));
	assert_int_equal(one(&e), 1);
	is_filled();
	assert_string_equal(w.zones, "ne-1");
}

static void test_one__what_cannot_be_is_told(void **state)
{
	(void)state;
	w.block = true;
	fails_saying(ERR_INVALID, "without a file system", one(e));
	w.block = false;
	w.gaps = 2;
	fails_saying(ERR_CORRUPT, "2 ranges", one(e));
	assert_string_equal(kube_text_at(cluster_get(CLAIM), "spec.volumeName"), "");
	cluster_put("volumerestores/shop/before", "{'spec': {'volume': 'orders'}}");
	fails_saying(ERR_INVALID, "VolumeRestore 'shop/before': spec.volume", one(e));
	cluster_put(CLAIM, WAITING("", ", 'volumeName': 'pv-9'"));
	cluster_put("persistentvolumes/pv-9", "{'metadata': {'name': 'pv-9'}, 'spec': {}}");
	fails_saying(ERR_EXISTS, "somebody else has given it the volume 'pv-9'", one(e));
}

static void test_one__a_request_of_another_namespace_is_refused(void **state)
{
	json_t *source;

	(void)state;
	source = json_object_get(json_object_get(cluster_get(CLAIM), "spec"), "dataSourceRef");
	(void)json_object_set_new(source, "namespace", json_string("other"));
	fails_saying(ERR_DENIED, "of another namespace", one(e));
}

static void test_run__once_fills_what_waits_and_tells_what_does_not(void **state)
{
	struct err why = ERR_INIT;
	struct events *events = events_new(kit.kube, "test", &why);
	const struct populate_params p = params(events);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(64 * KIB);
	auto_populate struct populate *populate = NULL;

	(void)state;
	assert_non_null(events);
	cluster_put("persistentvolumeclaims/shop/other",
	            "{'metadata': {'name': 'other', 'namespace': 'shop', 'uid': "
	            "'11234567-89ab-cdef-0123-456789abcdef'}, 'spec': {'storageClassName': 'fast', "
	            "'resources': {'requests': {'storage': '1Gi'}}, 'dataSourceRef': {'apiGroup': "
	            "'aksdr.io', 'kind': 'VolumeRestore', 'name': 'none'}}}");
	ok(populate_new(&p, &populate, e));
	assert_int_equal(populate_ready(populate, &why), -1);
	fails_saying(ERR_PARTIAL, "1 claims are not filled", populate_run(populate, true, e));
	is_filled();
	ok(populate_ready(populate, e));
	const struct populate_counts c = populate_counted(populate);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.waiting, 1);
	assert_int_equal(c.failing, 0);
	ok(populate_metrics(populate, &text, e));
	assert_non_null(strstr(buf_cstr(&text), "aksdr_populate_claims{state=\"waiting\"} 1\n"));
	assert_non_null(strstr(buf_cstr(&text), "aksdr_populate_filled_total 1\n"));
	assert_non_null(strstr(kit_log(), "POST /apis/events.k8s.io/v1/namespaces/shop/events"));
	events_free(events);
}

static void test_run__a_failure_is_counted_and_does_not_end_it(void **state)
{
	const struct populate_params p = params(NULL);
	auto_populate struct populate *populate = NULL;

	(void)state;
	w.fails = (struct err){ .class = ERR_NOT_FOUND, .msg = "there is no such point" };
	ok(populate_new(&p, &populate, e));
	fails(ERR_PARTIAL, populate_run(populate, true, e));
	assert_int_equal(populate_counted(populate).failing, 1);
	assert_int_equal(populate_counted(populate).failures, 1);
	assert_string_equal(kube_text_at(cluster_get(CLAIM), "spec.volumeName"), "");
}

static void test_run__once_ends_where_claims_cannot_be_seen(void **state)
{
	const struct populate_params p = params(NULL);
	auto_populate struct populate *populate = NULL;

	(void)state;
	cluster.fail = "GET persistentvolumeclaims";
	cluster.fail_status = 403;
	cluster.fail_message = "may not list claims";
	ok(populate_new(&p, &populate, e));
	fails_saying(ERR_DENIED, "may not list claims", populate_run(populate, true, e));
}

static void test_run__cancel_ends_it(void **state)
{
	struct populate_params p = params(NULL);
	auto_populate struct populate *populate = NULL;
	struct cancel c;

	(void)state;
	assert_int_equal(cancel_init(&c), 0);
	cancel_request(&c);
	p.cancel = &c;
	ok(populate_new(&p, &populate, e));
	struct err why = ERR_INIT;
	assert_int_equal(populate_run(populate, false, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	cancel_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		CASE(test_state_of__only_claims_that_name_one),
		CASE(test_one__a_claim_gets_the_point),
		CASE(test_one__waits_for_its_request_and_its_first_consumer),
		CASE(test_one__what_cannot_be_is_told),
		CASE(test_one__a_request_of_another_namespace_is_refused),
		CASE(test_run__once_fills_what_waits_and_tells_what_does_not),
		CASE(test_run__a_failure_is_counted_and_does_not_end_it),
		CASE(test_run__once_ends_where_claims_cannot_be_seen),
		CASE(test_run__cancel_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
