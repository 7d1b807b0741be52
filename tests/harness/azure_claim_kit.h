/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claim shop/data of a managed disk, over a server that keeps objects and one that plays Azure:
 * what the snapshot controller and the driver would do with its VolumeSnapshots. Their data are the
 * snapshots of azure_kit.h.
 */
#ifndef AKSDR_TESTS_AZURE_CLAIM_KIT_H
#define AKSDR_TESTS_AZURE_CLAIM_KIT_H

#include "tests/harness/azure_kit.h"
#include "tests/harness/kube_cluster.h"

static const char *azure_claim_next; /* the snapshot that the storage makes */

static inline const char *azure_claim_role(const json_t *o)
{
	const char *role = json_string_value(
		json_object_get(kube_at(o, "metadata.labels"), "aksdr.io/role"));

	return role ? role : "";
}

static inline void azure_claim_made(const char *key, json_t *o)
{
	char content[64], text[512];

	(void)key;
	(void)snprintf(content, sizeof(content), "snapcontent-%s", azure_claim_next);
	json_object_set_new(o, "status",
	                    json_pack("{s:s, s:b, s:s, s:s}", "creationTime",
	                              "2026-11-22T10:00:00Z", "readyToUse", 1,
	                              "boundVolumeSnapshotContentName", content, "restoreSize",
	                              "1Gi"));
	if (strcmp(azure_claim_role(o), "source") != 0)
		return;
	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': '%s'}, 'spec': {'driver': 'disk.csi.azure.com',"
	               " 'deletionPolicy': 'Retain'}, 'status': {'snapshotHandle': '%s'}}",
	               content, azure_kit_id(azure_claim_next));
	(void)snprintf(content, sizeof(content), "volumesnapshotcontents/snapcontent-%s",
	               azure_claim_next);
	cluster_put(content, text);
}

/* A snapshot that is deleted takes its data along, where the content says so. */
static inline void azure_claim_gone(const char *key, json_t *o)
{
	char content[128];

	(void)snprintf(content, sizeof(content), "volumesnapshotcontents/%s",
	               kube_text_at(o, "status.boundVolumeSnapshotContentName"));
	const json_t *c = cluster_get(content);
	if (c && strcmp(kube_text_at(c, "spec.deletionPolicy"), "Delete") == 0 &&
	    strcmp(azure_claim_role(o), "source") == 0) {
		const char *name = strrchr(kube_text_at(c, "status.snapshotHandle"), '/') + 1;
		struct azure_kit_snapshot *s = azure_kit_find(name, strlen(name));

		if (s)
			s->gone = true;
		cluster_remove(content);
	}
	cluster_remove(key);
}

static inline void azure_claim_act(const char *key, json_t *o)
{
	if (*kube_text_at(o, "metadata.deletionTimestamp"))
		azure_claim_gone(key, o);
	else if (strncmp(key, "volumesnapshots/", 16) == 0 && !json_object_get(o, "status"))
		azure_claim_made(key, o);
}

static inline void azure_claim_is(const char *mode, const char *driver)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': 'data', 'uid': 'u1'}, 'spec': {'volumeName': 'pv1',"
	               " 'volumeMode': '%s'}, 'status': {'phase': 'Bound',"
	               " 'capacity': {'storage': '1Gi'}}}",
	               mode);
	cluster_put("persistentvolumeclaims/shop/data", text);
	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': 'pv1'}, 'spec': {'csi': {'driver': '%s',"
	               " 'volumeHandle': 'v1'}, 'storageClassName': 'disk', 'accessModes':"
	               " ['ReadWriteOnce']}}",
	               driver);
	cluster_put("persistentvolumes/pv1", text);
	(void)snprintf(text, sizeof(text), "{'metadata': {'name': 'c'}, 'driver': '%s'}", driver);
	cluster_put("volumesnapshotclasses/c", text);
}

#endif
