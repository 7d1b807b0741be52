/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of copies of files' contents, each named by the inode number of
 * its original: DIR/.aksdr-view-RANDOM/2f/0000000000000c2f. It is noted in the journal before it
 * is made. Nothing of the originals but the bytes is in it: whoever reads it has noted the rest.
 */
#ifndef AKSDR_SNAPSHOT_COPIES_H
#define AKSDR_SNAPSHOT_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "snapshot/journal.h"

struct copies {
	char *path; /* absolute; owned */
	int fd;     /* owned */
	int parent; /* that it is made in; owned */
	struct journal_note *note;
};
#define COPIES_NONE ((struct copies){ .fd = -1, .parent = -1 })

/* Makes one in the directory open at parent (for reading), mode 0700. ret must be COPIES_NONE. */
MUST_CHECK int copies_make(struct copies *ret, int parent, struct journal *j, const char *driver,
                           struct err *e);

/* Opens the copy of ino; with O_CREAT in flags it is made. Thread-safe. -1 with errno. */
int copies_open(const struct copies *c, uint64_t ino, int flags);

/*
 * The copy of ino becomes a clone of the file open at from, as it is at one moment.
 * 1: it is; 0: this file cannot be cloned (a swap file); -1 with e. Thread-safe for different ino.
 */
MUST_CHECK int copies_clone(const struct copies *c, uint64_t ino, int from, const char *name,
                            struct err *e);

/* What copying may take. */
struct copies_limit {
	uint64_t left_bytes;
	int64_t until_ns; /* of the monotonic clock */
};

/*
 * The copy of ino gets the first size bytes of the file open at from, holes left out; what was
 * written to memory only is written out first. What it took is taken off the limit.
 *   ERR_TOO_BIG  it passes the limit
 *   ERR_RETRY    the time is up
 * Thread-safe for different ino and limits.
 */
MUST_CHECK int copies_bytes(const struct copies *c, uint64_t ino, int from, uint64_t size,
                            const char *name, struct copies_limit *limit, struct err *e);

/* Removes the directory, and what is owned; the note stays when that fails. */
MUST_CHECK int copies_remove(struct copies *c, struct err *e);

/* The same for what is left of one, by the text of its note. 0 also when there is nothing. */
MUST_CHECK int copies_clean(const char *text, struct err *e);

#endif
