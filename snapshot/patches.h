/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How files differ from their clones, kept in a scratch file on another file
 * system while theirs is frozen, and put into the clones afterwards.
 */
#ifndef AKSDR_SNAPSHOT_PATCHES_H
#define AKSDR_SNAPSHOT_PATCHES_H

#include <stdint.h>

#include "common/err.h"
#include "snapshot/copies.h"

struct patches {
	int fd;           /* owned; -1: not open */
	uint64_t len;     /* bytes in it */
	uint64_t max;     /* and at most */
	int64_t until_ns; /* of the monotonic clock: it must be done by then */
	uint64_t files;   /* that differ */
	uint8_t *piece;   /* owned */
};
#define PATCHES_NONE ((struct patches){ .fd = -1 })

/* max: bytes in scratch_dir. *ret must be cleared in any case. */
MUST_CHECK int patches_open(struct patches *ret, const char *scratch_dir, uint64_t max,
                            struct err *e);
void patches_close(struct patches *p);

/*
 * Notes in what the file open at from, of size bytes, differs from its clone open at clone (-1:
 * there is none). Reads only, but for the scratch file; both lie on a file system that is frozen.
 *   ERR_TOO_BIG  more changed than fits below max
 *   ERR_RETRY    the time is up
 */
MUST_CHECK int patches_note(struct patches *p, uint64_t ino, int from, int clone, uint64_t size,
                            const char *name, struct err *e);

/* Puts all of them into the copies; what has no clone gets a copy. */
MUST_CHECK int patches_apply(struct patches *p, const struct copies *c, struct err *e);

#endif
