/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore point as a file system that is read here and there: what a mount
 * is made of, without the mount. An entry is known by the number of its record
 * in the point's tree (0 is the root), from which it is found again, so
 * nothing is kept of what was looked at but two bounded caches. The names of
 * one file (hard links) have the number of the first one.
 *
 * Everything here is thread-safe and blocks for the store.
 */
#ifndef AKSDR_RESTORE_BROWSE_H
#define AKSDR_RESTORE_BROWSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/node_cache.h"
#include "repo/repo.h"
#include "restore/chunks.h"

/* Trees that are open and not in use, of all points together. */
struct browse_trees;
struct browse_trees *browse_trees_new(void); /* NULL: no memory */
void browse_trees_free(struct browse_trees *t);

/* What points share; borrowed. */
struct browse_shared {
	const struct repo *repo;
	struct node_cache *nodes;
	struct chunks *chunks;
	struct browse_trees *trees;
};

struct browse;

/*
 * Reads nothing yet. The point need not stay.
 *   ERR_DENIED  the key cannot read its domain
 */
MUST_CHECK int browse_open(const struct browse_shared *shared, const struct point *p,
                           struct browse **ret, struct err *e);
void browse_free(struct browse *b);

/* Numbers below this; a mount has use for the other bits. */
#define BROWSE_NUMBERS ((uint64_t)1 << 40)

struct browse_entry {
	uint64_t number;
	struct stat st; /* but for st_ino and st_dev */
};

/*
 * All of these fail with what reading the tree says (ERR_CORRUPT, ERR_NOT_FOUND: a pack is gone,
 * ERR_FORMAT, ...), whatever is damaged; with ERR_FORMAT too for a number that there is not.
 */
MUST_CHECK int browse_stat(struct browse *b, uint64_t number, struct browse_entry *ret,
                           struct err *e);

/* The entry of this name in a directory. *ret_found false: there is none. */
MUST_CHECK int browse_lookup(struct browse *b, uint64_t dir, const char *name, bool *ret_found,
                             struct browse_entry *ret, struct err *e);

/*
 * Calls each() for what is in a directory, from `from` on (0: the beginning); next is what to give
 * as from to go on behind this entry. each() returns false to stop there. *ret_damaged: part of the
 * tree was passed over, why says why; entries may be missing.
 */
typedef bool browse_each_fn(void *arg, const char *name, size_t len, const struct browse_entry *n,
                            uint64_t next);
MUST_CHECK int browse_list(struct browse *b, uint64_t dir, uint64_t from, browse_each_fn *each,
                           void *arg, bool *ret_damaged, struct err *why, struct err *e);

/* Appends the target of a symbolic link; the path of an entry. */
MUST_CHECK int browse_link(struct browse *b, uint64_t number, struct buf *to, struct err *e);
MUST_CHECK int browse_path(struct browse *b, uint64_t number, struct buf *to, struct err *e);

/* Appends the value of an attribute (*ret_found false: there is none), or all names with NULs. */
MUST_CHECK int browse_xattr(struct browse *b, uint64_t number, const char *name, struct buf *to,
                            bool *ret_found, struct err *e);
MUST_CHECK int browse_xattrs(struct browse *b, uint64_t number, struct buf *to, struct err *e);

/* FS_*_FL and project id. */
MUST_CHECK int browse_flags(struct browse *b, uint64_t number, uint32_t *ret_flags,
                            uint32_t *ret_projid, struct err *e);

/* ---- content of regular files ---- */

/* The bytes [off, off + n) as far as there are any; *ret: how many. Errors also as chunks_get(). */
MUST_CHECK int browse_read(struct browse *b, uint64_t number, uint64_t off, void *p, size_t n,
                           size_t *ret, struct err *e);

/*
 * The next data (hole: hole) at or after off, which is below the size; the size counts as a hole.
 * *ret_found false: only a hole is left.
 */
MUST_CHECK int browse_seek(struct browse *b, uint64_t number, uint64_t off, bool hole,
                           bool *ret_found, uint64_t *ret, struct err *e);

/* Fetches what of [off, off + n) is not in the cache, without waiting. What fails shows later. */
void browse_fetch(struct browse *b, uint64_t number, uint64_t off, uint64_t n);

#endif
