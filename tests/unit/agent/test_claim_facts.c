/* SPDX-License-Identifier: Apache-2.0 */
/* What a point tells of its claim: what is kept of the cluster's objects, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/claim_facts.h"
#include "common/json.h"
#include "common/yaml.h"
#include "repo/claim.h"
#include "tests/harness/harness.h"

static json_t *doc(const char *text)
{
	struct err e = ERR_INIT;
	json_t *o = yaml_parse("test", text, strlen(text), &e);

	if (!o)
		harness_die("%s", e.msg);
	return o;
}

static const char a_claim[] = "metadata:\n"
			      "  name: data-db-0\n"
			      "  labels: {app: db, tier: gold}\n"
			      "  annotations:\n"
			      "    team: shop\n"
			      "    aksdr.io/last-restore-point: x\n"
			      "    kubectl.kubernetes.io/last-applied-configuration: '{}'\n"
			      "    pv.kubernetes.io/bind-completed: 'yes'\n"
			      "    volume.kubernetes.io/selected-node: node-7\n"
			      "  ownerReferences:\n"
			      "  - {apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u}\n"
			      "spec:\n"
			      "  accessModes: [ReadWriteOnce]\n"
			      "  storageClassName: managed-csi\n"
			      "  resources: {requests: {storage: 1Gi}}\n"
			      "status: {capacity: {storage: 2Gi}}\n";

static const char a_volume[] =
	"spec:\n"
	"  csi: {driver: disk.csi.azure.com}\n"
	"  nodeAffinity:\n"
	"    required:\n"
	"      nodeSelectorTerms:\n"
	"      - matchExpressions:\n"
	"        - {key: topology.disk.csi.azure.com/zone, operator: In, values: [we-1]}\n"
	"        - {key: kubernetes.io/os, operator: In, values: [linux]}\n"
	"      - matchExpressions:\n"
	"        - {key: topology.kubernetes.io/zone, operator: In, values: [we-1, we-2]}\n";

static json_t *facts_of(const char *claim, const char *volume)
{
	auto_json json_t *c = doc(claim);
	auto_json json_t *v = volume ? doc(volume) : NULL;
	struct err e = ERR_INIT;
	json_t *o = claim_facts(c, v, &e);

	assert_non_null(o);
	assert_int_equal(claim_check(o, &e), 0);
	return o;
}

static void is(const json_t *o, const char *member, const char *want)
{
	char *text = json_dumps(json_object_get(o, member), JSON_COMPACT | JSON_ENCODE_ANY);

	assert_string_equal(text, want);
	free(text);
}

static void test_claim_facts__keeps_what_another_cluster_needs(void **state)
{
	auto_json json_t *o = facts_of(a_claim, a_volume);

	(void)state;
	is(o, "storage_class", "\"managed-csi\"");
	is(o, "driver", "\"disk.csi.azure.com\"");
	is(o, "size_bytes", "2147483648");
	is(o, "access_modes", "[\"ReadWriteOnce\"]");
	is(o, "zones", "[\"we-1\",\"we-2\"]");
	is(o, "labels", "{\"app\":\"db\",\"tier\":\"gold\"}");
	is(o, "annotations", "{\"team\":\"shop\"}");
	is(o, "owners", "[{\"kind\":\"StatefulSet\",\"name\":\"db\"}]");
}

static void test_claim_facts__of_hardly_anything(void **state)
{
	auto_json json_t *o = facts_of("spec: {resources: {requests: {storage: 3Mi}}}\n", NULL);
	auto_json json_t *odd = facts_of("spec: {resources: {requests: {storage: lots}}}\n", NULL);

	(void)state;
	assert_int_equal(claim_size(o), 3 * MIB);
	assert_int_equal(claim_size(odd), 0);
	assert_string_equal(claim_text(o, "storage_class"), "");
	is(o, "labels", "{}");
}

static void test_claim_facts__what_is_too_much_goes_annotations_first(void **state)
{
	auto_json json_t *c = doc(a_claim);
	static char large[CLAIM_MAX + 1];
	struct err e = ERR_INIT;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	json_object_set_new(json_object_get(json_object_get(c, "metadata"), "annotations"), "large",
	                    json_string(large));
	auto_json json_t *o = claim_facts(c, NULL, &e);
	assert_int_equal(claim_check(o, &e), 0);
	assert_null(json_object_get(o, "annotations"));
	is(o, "labels", "{\"app\":\"db\",\"tier\":\"gold\"}");
}

static const char a_pod[] =
	"spec:\n"
	"  volumes:\n"
	"  - {name: a, emptyDir: {}}\n"
	"  - {name: v, persistentVolumeClaim: {claimName: data-db-0}}\n"
	"status:\n"
	"  initContainerStatuses:\n"
	"  - {image: 'r.example/init:1', imageID: 'docker-pullable://r.example/init@sha256:11'}\n"
	"  containerStatuses:\n"
	"  - {image: 'r.example/db:15', imageID: 'r.example/db@sha256:22'}\n"
	"  - {image: 'r.example/own:1', imageID: 'sha256:33'}\n"
	"  - {image: 'r.example/db:15', imageID: 'r.example/db@sha256:22'}\n";

static void test_claim_facts_add_pod__images_by_digest_once(void **state)
{
	auto_json json_t *o = facts_of(a_claim, a_volume);
	auto_json json_t *pod = doc(a_pod);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(claim_facts_add_pod(o, "another", pod, &e), 0);
	assert_null(json_object_get(o, "images"));
	assert_int_equal(claim_facts_add_pod(o, "data-db-0", pod, &e), 0);
	assert_int_equal(claim_facts_add_pod(o, "data-db-0", pod, &e), 0);
	is(o, "images",
	   "[\"r.example/init@sha256:11\",\"r.example/db@sha256:22\",\"r.example/own:1\"]");
	assert_int_equal(claim_check(o, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claim_facts__keeps_what_another_cluster_needs),
		cmocka_unit_test(test_claim_facts__of_hardly_anything),
		cmocka_unit_test(test_claim_facts__what_is_too_much_goes_annotations_first),
		cmocka_unit_test(test_claim_facts_add_pod__images_by_digest_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
