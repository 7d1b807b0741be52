/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See csi_objects.h. Facts: https://kubernetes.io/docs/concepts/storage/volume-snapshots/ (static
 * contents), https://kubernetes.io/docs/concepts/storage/persistent-volumes/ (reserving one)
 * (a claim and a volume that name each other).
 */
#include "snapshot/csi_objects.h"

#include <math.h>
#include <string.h>

#define SNAPSHOT_API "snapshot.storage.k8s.io/v1"
/* Without it a driver refuses to make a block device of a snapshot of a file system. */
#define MODE_CHANGE "snapshot.storage.kubernetes.io/allow-volume-mode-change"

json_t *csi_objects_labels(const struct csi_run *run, const char *role)
{
	return json_pack("{s:s, s:s, s:s*, s:s}", "app.kubernetes.io/managed-by", "aksdr",
	                 CSI_LABEL_RUN, run->id, CSI_LABEL_NODE,
	                 run->node && *run->node ? run->node : NULL, CSI_LABEL_ROLE, role);
}

static json_t *meta(const struct csi_run *run, const struct csi_claim *c, const char *ns,
                    const char *role)
{
	char of[2 * KUBE_NAME_MAX + 2];

	(void)snprintf(of, sizeof(of), "%s/%s", c->ns, c->name);
	return json_pack("{s:s, s:s*, s:o, s:{s:s}}", "name", c->base, "namespace", ns, "labels",
	                 csi_objects_labels(run, role), "annotations", "aksdr.io/claim", of);
}

json_t *csi_objects_source(const struct csi_run *run, const struct csi_claim *c)
{
	return json_pack("{s:s, s:s, s:o, s:{s:s, s:{s:s}}}", "apiVersion", SNAPSHOT_API, "kind",
	                 "VolumeSnapshot", "metadata", meta(run, c, c->ns, CSI_ROLE_SOURCE), "spec",
	                 "volumeSnapshotClassName", c->class, "source", "persistentVolumeClaimName",
	                 c->name);
}

json_t *csi_objects_content(const struct csi_run *run, const struct csi_claim *c,
                            const json_t *content)
{
	const char *mode = kube_text_at(content, "spec.sourceVolumeMode");

	/* The data is the source's: this name of it may go without it. */
	return json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s, s:s*, s:{s:s}, s:{s:s, s:s}}}",
	                 "apiVersion", SNAPSHOT_API, "kind", "VolumeSnapshotContent", "metadata",
	                 meta(run, c, NULL, CSI_ROLE_VIEW), "spec", "deletionPolicy", "Retain",
	                 "driver", kube_text_at(content, "spec.driver"), "volumeSnapshotClassName",
	                 c->class, "sourceVolumeMode", *mode ? mode : NULL, "source",
	                 "snapshotHandle", kube_text_at(content, "status.snapshotHandle"),
	                 "volumeSnapshotRef", "name", c->base, "namespace", run->ns);
}

json_t *csi_objects_view(const struct csi_run *run, const struct csi_claim *c)
{
	return json_pack("{s:s, s:s, s:o, s:{s:s, s:{s:s}}}", "apiVersion", SNAPSHOT_API, "kind",
	                 "VolumeSnapshot", "metadata", meta(run, c, run->ns, CSI_ROLE_VIEW), "spec",
	                 "volumeSnapshotClassName", c->class, "source", "volumeSnapshotContentName",
	                 c->base);
}

/* A volume may have grown since its claim was made; a snapshot may want more than that. */
static const char *size_of(const struct csi_claim *c, const char *restore_size)
{
	const char *size = kube_text_at(c->claim, "status.capacity.storage");

	if (!*size)
		size = kube_text_at(c->claim, "spec.resources.requests.storage");
	return csi_objects_bytes(restore_size) > csi_objects_bytes(size) ? restore_size : size;
}

json_t *csi_objects_clone(const struct csi_run *run, const struct csi_claim *c,
                          const char *restore_size)
{
	const char *class = kube_text_at(c->volume, "spec.storageClassName");

	return json_pack("{s:s, s:s, s:o, s:{s:[s], s:s, s:s, s:{s:{s:s}}, s:{s:s, s:s, s:s}}}",
	                 "apiVersion", "v1", "kind", "PersistentVolumeClaim", "metadata",
	                 meta(run, c, run->ns, CSI_ROLE_CLONE), "spec", "accessModes",
	                 "ReadWriteOnce", "volumeMode", c->block ? "Block" : "Filesystem",
	                 "storageClassName", class, "resources", "requests", "storage",
	                 size_of(c, restore_size), "dataSource", "apiGroup",
	                 "snapshot.storage.k8s.io", "kind", "VolumeSnapshot", "name", c->base);
}

json_t *csi_objects_twin(const struct csi_run *run, const struct csi_claim *c, const char *mode)
{
	json_t *spec = json_deep_copy(kube_at(c->volume, "spec"));

	if (!spec)
		return NULL;
	(void)json_object_del(spec, "claimRef");
	(void)json_object_del(spec, "volumeAttributesClassName");
	int bad = json_object_set_new(spec, "persistentVolumeReclaimPolicy", json_string("Retain"));
	bad |= json_object_set_new(spec, "storageClassName", json_string(""));
	bad |= json_object_set_new(spec, "accessModes", json_pack("[s]", mode));
	bad |= json_object_set_new(spec, "claimRef",
	                           json_pack("{s:s, s:s}", "namespace", run->ns, "name", c->base));
	if (bad) {
		json_decref(spec);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "v1", "kind", "PersistentVolume",
	                 "metadata", meta(run, c, NULL, CSI_ROLE_TWIN), "spec", spec);
}

json_t *csi_objects_twin_claim(const struct csi_run *run, const struct csi_claim *c,
                               const char *mode)
{
	return json_pack("{s:s, s:s, s:o, s:{s:[s], s:s, s:s, s:s, s:{s:{s:s}}}}", "apiVersion",
	                 "v1", "kind", "PersistentVolumeClaim", "metadata",
	                 meta(run, c, run->ns, CSI_ROLE_TWIN), "spec", "accessModes", mode,
	                 "volumeMode", c->block ? "Block" : "Filesystem", "storageClassName", "",
	                 "volumeName", c->base, "resources", "requests", "storage",
	                 kube_text_at(c->volume, "spec.capacity.storage"));
}

int64_t csi_objects_bytes(const char *quantity)
{
	static const struct {
		const char *suffix;
		double factor;
	} suffixes[] = {
		{ "", 1 },        { "m", 1e-3 },    { "k", 1e3 },     { "M", 1e6 },
		{ "G", 1e9 },     { "T", 1e12 },    { "P", 1e15 },    { "E", 1e18 },
		{ "Ki", 0x1p10 }, { "Mi", 0x1p20 }, { "Gi", 0x1p30 }, { "Ti", 0x1p40 },
		{ "Pi", 0x1p50 }, { "Ei", 0x1p60 },
	};
	char *end;

	if (*quantity < '0' || *quantity > '9')
		return -1;
	const double number = strtod(quantity, &end);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		const double bytes = ceil(number * suffixes[i].factor);

		if (strcmp(end, suffixes[i].suffix) == 0)
			return bytes < 0x1p62 ? (int64_t)bytes : -1;
	}
	return -1;
}
