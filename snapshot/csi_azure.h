/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Within the driver `csi`: claims of disk.csi.azure.com, whose snapshots can be read without a
 * disk, and compared with the one of the previous backup, which is kept for that (its base).
 */
#ifndef AKSDR_SNAPSHOT_CSI_AZURE_H
#define AKSDR_SNAPSHOT_CSI_AZURE_H

#include "snapshot/csi.h"

/* Whether the claim's volume is a managed disk of Azure. */
bool csi_azure_is(const struct csi_claim *c);

/*
 * The snapshot whose VolumeSnapshotContent is named becomes the view. 1: it is; 0: it cannot be, or
 * is not wanted, and a note of s says why; -1 with e: cancelled, or no memory.
 */
MUST_CHECK int csi_azure_open(struct snapshot *s, const struct csi_run *run, struct csi_claim *c,
                              const char *content, struct err *e);

/*
 * Gives the view up. When a point has it, its snapshot is kept as the base of the next one, in
 * place of earlier ones; when a point has another view there is no base any more.
 */
MUST_CHECK int csi_azure_close(struct snapshot *s, const struct csi_run *run, struct csi_claim *c,
                               struct err *e);

/* struct snapshot_ops.source and .clean. */
struct source *csi_azure_source(const struct snapshot *s, const struct walk_params *params,
                                const char *base, struct err *e);
MUST_CHECK int csi_azure_clean(const char *text, struct err *e);

#endif
