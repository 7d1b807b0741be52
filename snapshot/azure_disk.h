/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An incremental snapshot of a managed disk of Azure as a source: one entry, the disk, whose bytes
 * are read from the service, so that nothing is attached to any machine. Compared with an earlier
 * snapshot of the same disk only what changed is read.
 */
#ifndef AKSDR_SNAPSHOT_AZURE_DISK_H
#define AKSDR_SNAPSHOT_AZURE_DISK_H

#include "common/source.h"
#include "snapshot/azure_arm.h"
#include "snapshot/journal.h"

struct azure_disk;

/*
 * Gets access to the snapshot, and looks at what is in it. j may be NULL; both are borrowed.
 *   ERR_INVALID      id is no name of a snapshot
 *   ERR_UNSUPPORTED  it cannot be read in this way, and why
 *   ERR_BUSY         it is not complete yet
 *   and what azure_blob_open() and azure_blob_pages() say
 */
MUST_CHECK struct azure_disk *azure_disk_open(struct azure_arm *a, struct journal *j,
                                              const char *id, struct err *e);

/* Ends the access; sources must be freed before. -1: it could not be; its note stays. */
MUST_CHECK int azure_disk_close(struct azure_disk *take_d, struct err *e);

/* Bytes of the disk, when the snapshot was made (ns since 1970). */
uint64_t azure_disk_bytes(const struct azure_disk *d);
int64_t azure_disk_created_ns(const struct azure_disk *d);

/*
 * Finds what changed since the snapshot `base`. -1 with the reason: everything counts as changed.
 *   ERR_NOT_FOUND, ERR_UNSUPPORTED and so on, as azure_disk_open()
 */
MUST_CHECK int azure_disk_compare(struct azure_disk *d, const char *base, struct err *e);

/* Bytes in ranges that changed, as azure_disk_compare() found. */
uint64_t azure_disk_changed_bytes(const struct azure_disk *d);

/* The disk as a source; it tells what changed when that is known. */
MUST_CHECK struct source *azure_disk_source(struct azure_disk *d, struct err *e);

/* Whether ranges between the two are of one disk, and told in order. ERR_UNSUPPORTED. Pure. */
MUST_CHECK int azure_disk_check_base(const struct azure_snapshot *now,
                                     const struct azure_snapshot *base, struct err *e);

/* Ends the access that a note of the journal names. */
MUST_CHECK int azure_disk_clean(struct azure_arm *a, const char *text, struct err *e);

#endif
