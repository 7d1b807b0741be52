/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of objects that are used here, and the versions in which they are asked for. */
#include "kube/kube.h"

#define STORAGE "storage.k8s.io"
#define SNAPSHOT "snapshot.storage.k8s.io"
#define OURS "aksdr.io"

const struct kube_kind kube_pod = { "", "v1", "pods", "Pod", false };
const struct kube_kind kube_node = { "", "v1", "nodes", "Node", true };
const struct kube_kind kube_namespace_kind = { "", "v1", "namespaces", "Namespace", true };
const struct kube_kind kube_pvc = { "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim",
	                            false };
const struct kube_kind kube_pv = { "", "v1", "persistentvolumes", "PersistentVolume", true };
const struct kube_kind kube_config_map = { "", "v1", "configmaps", "ConfigMap", false };
const struct kube_kind kube_service_account = { "", "v1", "serviceaccounts", "ServiceAccount",
	                                        false };
const struct kube_kind kube_secret = { "", "v1", "secrets", "Secret", false };
const struct kube_kind kube_storage_class = { STORAGE, "v1", "storageclasses", "StorageClass",
	                                      true };
const struct kube_kind kube_csi_driver = { STORAGE, "v1", "csidrivers", "CSIDriver", true };
const struct kube_kind kube_volume_attachment = { STORAGE, "v1", "volumeattachments",
	                                          "VolumeAttachment", true };
const struct kube_kind kube_lease = { "coordination.k8s.io", "v1", "leases", "Lease", false };
const struct kube_kind kube_event = { "events.k8s.io", "v1", "events", "Event", false };
const struct kube_kind kube_stateful_set = { "apps", "v1", "statefulsets", "StatefulSet", false };
const struct kube_kind kube_snapshot = { SNAPSHOT, "v1", "volumesnapshots", "VolumeSnapshot",
	                                 false };
const struct kube_kind kube_snapshot_content = { SNAPSHOT, "v1", "volumesnapshotcontents",
	                                         "VolumeSnapshotContent", true };
const struct kube_kind kube_snapshot_class = { SNAPSHOT, "v1", "volumesnapshotclasses",
	                                       "VolumeSnapshotClass", true };
const struct kube_kind kube_policy = { OURS, "v1alpha1", "backuppolicies", "BackupPolicy", false };
const struct kube_kind kube_plan = { OURS, "v1alpha1", "restoreplans", "RestorePlan", false };
