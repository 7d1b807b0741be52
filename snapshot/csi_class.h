/* SPDX-License-Identifier: Apache-2.0 */
/* Which VolumeSnapshotClass is used for the volumes of a CSI driver. Pure. */
#ifndef AKSDR_SNAPSHOT_CSI_CLASS_H
#define AKSDR_SNAPSHOT_CSI_CLASS_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"

/*
 * Of an array of classes: the one that is named; else of those of the driver the one that is
 * labelled aksdr.io/use=true, else the default one, else the only one; of several labelled or
 * default ones the first by name. NULL with a reason in e:
 *   ERR_UNSUPPORTED  there is none, or which one is not told
 *   ERR_INVALID      the one that is named is of another driver, or not there
 */
const char *csi_class_choose(const json_t *classes, const char *driver, const char *named,
                             struct err *e);

#endif
