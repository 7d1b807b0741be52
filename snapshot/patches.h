/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How files differ from their clones, kept in memory and on another file
 * system while theirs is frozen, and put into the clones afterwards.
 */
#ifndef AKSDR_SNAPSHOT_PATCHES_H
#define AKSDR_SNAPSHOT_PATCHES_H

#include <stdint.h>

#include "common/err.h"
#include "snapshot/copies.h"
#include "snapshot/spill.h"

struct patches {
	struct spill kept;
	uint64_t max_bytes; /* of kept */
	int64_t until_ns;   /* of the monotonic clock: it must be done by then */
	uint8_t *piece;     /* owned */
};
#define PATCHES_NONE ((struct patches){ .kept = SPILL_NONE })

/* max_bytes: of what is kept. *ret must be cleared in any case. */
MUST_CHECK int patches_open(struct patches *ret, const char *scratch_dir, uint64_t max_bytes,
                            struct err *e);
void patches_close(struct patches *p);

/*
 * Notes in what the file open at from, of size bytes, differs from its clone open at clone (-1:
 * there is none). Reads only, but for the scratch file; both lie on a file system that is frozen.
 *   ERR_TOO_BIG  more changed than fits below max_bytes
 *   ERR_RETRY    the time is up
 */
MUST_CHECK int patches_note(struct patches *p, uint64_t ino, int from, int clone, uint64_t size,
                            const char *name, struct err *e);

/* Puts all of them into the copies; what has no clone gets a copy. */
MUST_CHECK int patches_apply(struct patches *p, const struct copies *c, struct err *e);

#endif
