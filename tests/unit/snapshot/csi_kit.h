/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of claims over a server that keeps objects, with the test as the cluster's controllers: a
 * bound claim shop/data, its volume, and the class of its driver. The storage has one volume.
 */
#ifndef AKSDR_TESTS_UNIT_SNAPSHOT_CSI_KIT_H
#define AKSDR_TESTS_UNIT_SNAPSHOT_CSI_KIT_H

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
static bool never_ready;               /* they are of a moment, and their data does not come */
static unsigned data, volumes;         /* that the storage has */
static bool keeps;                     /* classes keep what they made */

static inline bool starts(const char *key, const char *with)
{
	return strncmp(key, with, strlen(with)) == 0;
}

/* What the snapshot controller, the provisioner and the garbage collector do. */
static inline void controllers(const char *key, json_t *o)
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
		                              "2026-11-22T10:00:00Z", "readyToUse",
		                              never_ready ? 0 : 1, "boundVolumeSnapshotContentName",
		                              "snapcontent-1", "restoreSize", "2Gi"));
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

static inline int setup(void **state)
{
	(void)cluster_setup(state);
	cluster.act = controllers;
	error_of_snapshots = NULL;
	never_ready = false;
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

static inline int teardown(void **state)
{
	csi_clear(&run);
	return cluster_teardown(state);
}

static const char *const one[] = { "pvc:shop/data" };

static inline void load(void)
{
	struct err e = ERR_INIT;

	if (csi_load(&run, one, 1, &e) < 0)
		fail_msg("%s", e.msg);
}

static inline struct snapshot *taken(const struct snapshot_ops *ops)
{
	struct err e = ERR_INIT;

	struct snapshot *s = snapshot_take(&env, ops, one[0], &e);
	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static inline void released(struct snapshot *s)
{
	struct err e = ERR_INIT;

	if (snapshot_release(s, &e) < 0)
		fail_msg("%s", e.msg);
}

static inline const struct snapshot_ops *chosen(void)
{
	struct err e = ERR_INIT;
	char why[512];

	const struct snapshot_ops *ops = snapshot_choose_best(&env, one[0], why, sizeof(why), &e);
	if (!ops)
		fail_msg("%s", e.msg);
	return ops;
}

/* The only object whose key begins so. */
static inline const json_t *only(const char *with)
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

static inline void nothing_is_left(void)
{
	assert_int_equal(data, 0);
	assert_int_equal(volumes, 1);
	assert_int_equal(json_object_size(cluster.objects), 3);
	assert_string_equal(kube_text_at(cluster_get("persistentvolumes/pv1"),
	                                 "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
