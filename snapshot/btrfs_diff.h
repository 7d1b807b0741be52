/* SPDX-License-Identifier: Apache-2.0 */
/* What may differ between the files of two read-only snapshots of one btrfs. */
#ifndef AKSDR_SNAPSHOT_BTRFS_DIFF_H
#define AKSDR_SNAPSHOT_BTRFS_DIFF_H

#include "snapshot/content.h"

/*
 * A diff against the snapshot whose root directory is open at base. lock is any other descriptor
 * that must stay open as long. Both are owned, also on failure.
 */
MUST_CHECK struct content_diff *btrfs_diff_new(int take_base, int take_lock, struct err *e);

#endif
