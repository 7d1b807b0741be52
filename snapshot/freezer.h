/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of aksdr-freezer, which freezes file systems for a short
 * time and thaws them whatever becomes of us (docs/SNAPSHOTS.md). One
 * connection has at most one freeze at a time. Not thread-safe.
 */
#ifndef AKSDR_SNAPSHOT_FREEZER_H
#define AKSDR_SNAPSHOT_FREEZER_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define FREEZER_DEADLINE_MS 10000U     /* unless the client says otherwise */
#define FREEZER_DEADLINE_MAX_MS 60000U /* at most */
#define FREEZER_FDS_MAX 64             /* file systems in one freeze */

struct freezer;

/*
 * Connects to the freezer at the path of its socket. NULL: starts one for this connection alone,
 * the program aksdr-freezer beside the running one or what AKSDR_FREEZER names; it ends with
 * the connection.
 *   ERR_NOT_FOUND  there is no such socket or program
 *   ERR_DENIED     it may not be talked to, or has not the right to freeze
 *   ERR_IO         it does not answer
 *   ERR_FORMAT     it is of another version
 */
MUST_CHECK struct freezer *freezer_open(const char *socket, struct err *e);

/* Thaws what is frozen, and ends the connection. NULL is fine. */
void freezer_close(struct freezer *take_f);
static inline void clean_freezer(struct freezer *const *f)
{
	freezer_close(*f);
}
#define auto_freezer CLEANUP(clean_freezer)

struct freezer_times {
	int64_t asked_ns, frozen_ns, thawed_ns; /* since 1970; 0: not yet */
};

/*
 * Freezes the file systems of n descriptors (directories or files open for reading; O_PATH
 * does not do), all or none; one that is named twice is frozen once. It is thawed after
 * deadline_ms at the latest (1 .. FREEZER_DEADLINE_MAX_MS; 0: FREEZER_DEADLINE_MS). times has
 * n places.
 *   ERR_UNSUPPORTED  a file system cannot be frozen
 *   ERR_BUSY         one is frozen already by somebody else
 *   ERR_INVALID      it is one that must not be frozen: /, or where the freezer has its state
 *   ERR_DENIED       the freezer has not the right
 *   ERR_RETRY        it took longer than the deadline: what was frozen by then is thawed
 *   ERR_IO           the freezer is gone: whatever it froze is thawed
 * After an error nothing is frozen (after ERR_RETRY: will be, as soon as the kernel lets go).
 */
MUST_CHECK int freezer_freeze(struct freezer *f, const int *fds, size_t n, unsigned deadline_ms,
                              struct freezer_times *times, struct err *e);

/*
 * Thaws. times has the n places of the freeze.
 *   ERR_RETRY  it was thawed before, at the deadline, or by somebody else: what was done while
 *              it should have been frozen cannot be relied on
 *   ERR_IO     the freezer is gone: as freezer_freeze()
 * After an error nothing is frozen either; a further freeze may be asked for.
 */
MUST_CHECK int freezer_thaw(struct freezer *f, struct freezer_times *times, struct err *e);

#endif
