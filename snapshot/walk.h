/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as a source of entries: depth first, names in the order of
 * their bytes, stat'ed by several threads, in memory that does not grow with
 * the number of files. Nothing outside the root is read: no symbolic link is
 * followed, no mount point is crossed unless asked for.
 *
 * How it treats what is in its way:
 *   - what cannot be listed, opened or stat'ed is an entry with the state
 *     UNREADABLE and its errno; the walk goes on
 *   - what vanishes between listing and stat, or becomes a directory then, is
 *     an entry with the state GONE
 *   - a directory that another file system is mounted on is an entry without
 *     children; its stat is that of what is mounted. A file that is mounted on
 *     is left out. Both are listed by walk_mounts().
 *   - directories of copies that snapshots make (snapshot/copies.h) in the root are left out
 *   - a directory with a path over WALK_PATH_MAX bytes is UNREADABLE with ENAMETOOLONG
 * An error of next() ends the walk: memory or descriptors ran out, or the root
 * itself cannot be listed.
 */
#ifndef AKSDR_SNAPSHOT_WALK_H
#define AKSDR_SNAPSHOT_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/source.h"

#define WALK_PATH_MAX (256 * KIB)
#define WALK_MOUNTS_MAX 256 /* mount points kept by name */
#define WALK_THREADS_MAX 64
/* What drivers make in the root of a volume has such names; it is no part of the volume. */
#define WALK_VIEW_PREFIX ".aksdr-view-"
#define WALK_VIEW_ID 32 /* hexadecimal digits that follow */
#define WALK_RETRIES 3  /* how often a file that changes while it is read is read again */

struct content_diff;

/* All zero is the default. */
struct walk_params {
	unsigned stat_threads;       /* 0: one a CPU, at most 4 */
	bool cross_mounts;           /* other mounts below the root are part of it */
	bool skip_caches;            /* of a directory with a CACHEDIR.TAG only the tag is taken */
	bool drop_cache;             /* large files leave the page cache after reading */
	bool live;                   /* others may write to the files while they are read */
	const char *const *excludes; /* patterns, see snapshot/match.h; borrowed for the call */
	size_t nexcludes;
	const char *scratch_dir; /* where directories of millions of names are kept; NULL: memory */
	/* for drivers: what may differ from a base; NULL: there is none. Owned, also on failure */
	struct content_diff *take_diff;
};

/*
 * Starts walking the directory path (a symbolic link at its end is followed).
 * params may be NULL. Threads start at once. All batches and contents must be
 * given back before the source is freed; freeing it early stops the walk.
 *   ERR_NOT_FOUND  there is no such path
 *   ERR_INVALID    it is no directory; an exclude pattern makes no sense
 *   ERR_DENIED     it may not be read
 *   ERR_NOMEM, ERR_IO
 * load() and open() of an entry say ERR_NOT_FOUND when it is gone or has become
 * another type; a regular file that was replaced by another one is opened as
 * it is now, with its own stat. load() of a file that is open shares its descriptor.
 */
MUST_CHECK struct source *walk_open(const char *path, const struct walk_params *params,
                                    struct err *e);

/*
 * Mount points that were not entered, relative to the root: at most
 * WALK_MOUNTS_MAX names, and how many there were in all. To be asked when
 * next() has come to the end; the names live as long as the source. Another source than a
 * walk's has none.
 */
size_t walk_mounts(struct source *s, const char *const **ret_paths, size_t *ret_total);

/*
 * Whether a name at the root of a volume is one that drivers give to what they make there: the
 * prefix, "base-" for a kept one, and 32 hexadecimal digits. It is never part of the volume.
 */
bool walk_is_view(const char *name, size_t len);

/*
 * Whether a directory holds no entries, views aside. ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID as
 * above.
 */
MUST_CHECK int walk_is_empty(const char *path, bool *ret_empty, struct err *e);

#endif
