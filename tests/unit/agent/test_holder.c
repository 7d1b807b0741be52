/* SPDX-License-Identifier: Apache-2.0 */
/* Where a kubelet has a volume, and the pod that makes it have it. */
#include "agent/holder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

static int place(const char *pv_text, bool block, char *ret, size_t max, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	auto_json json_t *pv = json_parse("pv", pv_text, strlen(pv_text), e);

	assert_non_null(pv);
	if (holder_path("/k", "uid-1", pv, block, &b, e) < 0)
		return -1;
	(void)snprintf(ret, max, "%s", buf_cstr(&b));
	return 0;
}

static void test_holder_path__by_the_kind_of_the_volume(void **state)
{
	static const char csi[] = "{\"metadata\": {\"name\": \"pv\"}, \"spec\": {\"csi\": {}}}";
	static const char nfs[] = "{\"metadata\": {\"name\": \"pv\"}, \"spec\": {\"nfs\": {}}}";
	static const char other[] = "{\"metadata\": {\"name\": \"pv\"}, \"spec\": {\"rbd\": {}}}";
	static const char evil[] = "{\"metadata\": {\"name\": \"../pv\"}, \"spec\": {\"csi\": {}}}";
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	assert_int_equal(place(csi, false, path, sizeof(path), &e), 0);
	assert_string_equal(path, "/k/pods/uid-1/volumes/kubernetes.io~csi/pv/mount");
	assert_int_equal(place(csi, true, path, sizeof(path), &e), 0);
	assert_string_equal(path, "/k/pods/uid-1/volumeDevices/kubernetes.io~csi/pv");
	assert_int_equal(place(nfs, false, path, sizeof(path), &e), 0);
	assert_string_equal(path, "/k/pods/uid-1/volumes/kubernetes.io~nfs/pv");
	assert_int_equal(place(other, false, path, sizeof(path), &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_int_equal(place(evil, false, path, sizeof(path), &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_holder_template__has_the_image_of_our_pod(void **state)
{
	const struct csi_run run = { .kube = kit.kube, .ns = "aksdr" };
	struct err e = ERR_INIT;

	(void)state;
	assert_null(holder_template(&run, NULL, &e));
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_null(holder_template(&run, "agent-x", &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	cluster_put("pods/aksdr/agent-x",
	            "{'metadata': {'name': 'agent-x'}, 'spec': {'containers': [{'name': 'agent',"
	            " 'image': 'i:1', 'env': [{'name': 'SECRET', 'value': 's'}]}]}}");
	auto_json json_t *t = holder_template(&run, "agent-x", &e);
	const json_t *c = json_array_get(kube_at(t, "spec.containers"), 0);
	assert_string_equal(kube_text_at(c, "image"), "i:1");
	assert_string_equal(kube_text_at(c, "name"), WORKER_CONTAINER);
	assert_null(json_object_get(c, "env"));
}

static void running(const char *key, json_t *o)
{
	if (strncmp(key, "pods/", 5) == 0)
		json_object_set_new(o, "status",
		                    json_pack("{s:[{s:s, s:{s:{}}}]}", "containerStatuses", "name",
		                              WORKER_CONTAINER, "state", "running"));
}

static void test_holder_open__a_place_that_is_no_mount_is_no_view(void **state)
{
	char name[] = "data", ns[] = "shop";
	const struct csi_claim claim = { .ns = ns, .name = name, .base = "aksdr-1-0" };
	const struct csi_run run = { .kube = kit.kube, .ns = "aksdr", .id = "1" };
	auto_json json_t *t = json_pack("{s:{s:[{s:s}]}}", "spec", "containers", "name",
	                                WORKER_CONTAINER);
	const struct mover_params p = {
		.run = &run, .claim = &claim, .template = t, .node = "node1"
	};
	struct snapshot s = { .fd = -1 };
	struct err e = ERR_INIT;

	(void)state;
	cluster.act = running;
	cluster_put("persistentvolumeclaims/aksdr/aksdr-1-0",
	            "{'metadata': {'name': 'aksdr-1-0'}, 'spec': {'volumeName': 'pv'}}");
	cluster_put("persistentvolumes/pv", "{'metadata': {'name': 'pv'}, 'spec': {'csi': {}}}");
	assert_int_equal(holder_open(&p, kit.dir, &s, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "--kubelet-dir"));
	cluster_remove("pods/aksdr/aksdr-1-0");
	write_text(kit.dir, "pods/uid-1/volumes/kubernetes.io~csi/pv/mount/x", "");
	write_text(kit.dir, "pods/uid-2/volumes/kubernetes.io~csi/pv/mount/x", "");
	assert_int_equal(holder_open(&p, kit.dir, &s, &e), -1);
	assert_non_null(strstr(e.msg, "mount"));
	assert_null(s.path);
	assert_int_equal(s.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holder_path__by_the_kind_of_the_volume),
		CLUSTER_CASE(test_holder_template__has_the_image_of_our_pod),
		CLUSTER_CASE(test_holder_open__a_place_that_is_no_mount_is_no_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
