/* SPDX-License-Identifier: Apache-2.0 */
/* The objects that a view of a claim is made of, as they are sent to the API server. Pure. */
#ifndef AKSDR_SNAPSHOT_CSI_OBJECTS_H
#define AKSDR_SNAPSHOT_CSI_OBJECTS_H

#include "snapshot/csi.h"

/* What an object is for, as its label aksdr.io/role: csi_drop() goes by it. */
#define CSI_LABEL_ROLE "aksdr.io/role"
#define CSI_ROLE_SOURCE "source" /* the snapshot that is taken: its data goes with it */
#define CSI_ROLE_BASE "base"     /* one of an earlier run, kept for the next one: not dropped */
#define CSI_ROLE_VIEW "view"     /* another name of that snapshot */
#define CSI_ROLE_CLONE "clone"   /* a claim whose volume is made from it, and goes with it */
#define CSI_ROLE_TWIN "twin"     /* another name of the volume itself, which stays */

/* All of these: NULL: no memory. The caller decrefs. */

/* Labels of all that is made, in a new object. */
json_t *csi_objects_labels(const struct csi_run *run, const char *role);

/* The VolumeSnapshot in the claim's namespace. */
json_t *csi_objects_source(const struct csi_run *run, const struct csi_claim *c);

/* In the agent's namespace: the content with a handle, and the VolumeSnapshot that is bound to it.
 * content: the one that the source is bound to. */
json_t *csi_objects_content(const struct csi_run *run, const struct csi_claim *c,
                            const json_t *content);
json_t *csi_objects_view(const struct csi_run *run, const struct csi_claim *c);

/* The claim made from the view, of at least restore_size (a quantity, may be ""). */
json_t *csi_objects_clone(const struct csi_run *run, const struct csi_claim *c,
                          const char *restore_size);

/*
 * Another name of the claim's volume, which nobody deletes with it, and a claim that is bound to
 * it. mode: the access mode.
 */
json_t *csi_objects_twin(const struct csi_run *run, const struct csi_claim *c, const char *mode);
json_t *csi_objects_twin_claim(const struct csi_run *run, const struct csi_claim *c,
                               const char *mode);

/* Bytes of a quantity ("10Gi", "1e9", "1500m"), rounded up; -1: it is none. */
int64_t csi_objects_bytes(const char *quantity);

#endif
