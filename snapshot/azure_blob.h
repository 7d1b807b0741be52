/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a managed disk's snapshot, without a disk: a page blob that there is access to while
 * this is open. The access is noted in the journal before it is got, and ended at the close.
 */
#ifndef AKSDR_SNAPSHOT_AZURE_BLOB_H
#define AKSDR_SNAPSHOT_AZURE_BLOB_H

#include "snapshot/azure_arm.h"
#include "snapshot/azure_pages.h"
#include "snapshot/journal.h"

#define AZURE_BLOB_NOTE "access " /* and the snapshot: as a note in the journal has it */

struct azure_blob;

/* journal: may be NULL. Both are borrowed. Errors as azure_arm_begin_access(). */
MUST_CHECK struct azure_blob *azure_blob_open(struct azure_arm *a, struct journal *j,
                                              const char *id, struct err *e);

/* Ends the access; -1: it could not be, and the note stays. */
MUST_CHECK int azure_blob_close(struct azure_blob *take_b, struct err *e);

/* For cleanups: what goes wrong stays in the journal. */
static inline void clean_azure_blob(struct azure_blob *const *b)
{
	struct err ignored = ERR_INIT;

	(void)!azure_blob_close(*b, &ignored);
}
#define auto_azure_blob CLEANUP(clean_azure_blob)

/*
 * The pages that are there; with `since`, an earlier snapshot of the same disk, those that were
 * written or cleared since.
 *   ERR_DENIED       the bytes may not be read from here
 *   ERR_NOT_FOUND    the snapshot is gone
 *   ERR_UNSUPPORTED  there are no differences between the two
 *   ERR_FORMAT, ERR_TOO_BIG, ERR_RETRY, ERR_CANCELLED, ERR_NOMEM
 */
MUST_CHECK int azure_blob_pages(struct azure_blob *b, struct azure_blob *since,
                                struct azure_pages **ret, struct err *e);

/* n bytes at off, all of them, in one request. Errors as azure_blob_pages(). Thread-safe. */
MUST_CHECK int azure_blob_read(struct azure_blob *b, void *p, size_t n, uint64_t off,
                               struct err *e);

#endif
