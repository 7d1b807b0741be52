/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of one moment for file systems without snapshots of their own: all
 * contents are copied while everybody works, again where they changed
 * meanwhile, and then, frozen, the tree is only looked at, and what still
 * changed is kept. Two ways: clones on the same file system, or bytes on another one.
 * Only contents are copied; names, stat and details are noted, so that the
 * view tells exactly those of the original.
 *
 * What is unchanged since its copy is decided by stat. A change that stat
 * cannot show is one within a tick of its clock: where ctime is not older
 * than a margin at the time of the look, the file counts as changed.
 */
#ifndef AKSDR_SNAPSHOT_PRECOPY_H
#define AKSDR_SNAPSHOT_PRECOPY_H

#include "snapshot/snapshot.h"

enum precopy_way {
	PRECOPY_CLONE, /* FICLONE beside the originals; changes wait in scratch until the thaw */
	PRECOPY_BYTES  /* into scratch; changed files are copied whole */
};

/*
 * The first step for s, whose env needs a journal and a scratch_dir; s->priv is the mechanism's
 * from then on. Copies all of it, and again what changed, until that takes less than a second.
 * parent: a directory, open for reading, for the copies. max_bytes: of PRECOPY_BYTES in all,
 * of PRECOPY_CLONE what may change until the freeze. An image is not copied yet.
 *   ERR_TOO_BIG  PRECOPY_BYTES: it is over max_bytes
 *   ERR_QUOTA    the file system is full
 */
MUST_CHECK int precopy_prepare(struct snapshot *s, enum precopy_way way, int parent,
                               uint64_t max_bytes, struct err *e);

/*
 * What follows are operations of both drivers, as struct snapshot_ops has them.
 *
 * The moment. Notes what is mounted below. Nothing is written to the volume, but for an image,
 * which is cloned now.
 *   ERR_TOO_BIG, ERR_RETRY  too much changed for the bytes or the time that there are
 */
MUST_CHECK int precopy_capture(struct snapshot *s, struct err *e);

/* Brings the clones up to date. */
MUST_CHECK int precopy_finish(struct snapshot *s, struct err *e);

/* The view. Several may be open at once. base is of no use. */
MUST_CHECK struct source *precopy_source(const struct snapshot *s, const struct walk_params *params,
                                         const char *base, struct err *e);

MUST_CHECK int precopy_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e);

/* Removes the copies; -1 with e: something is left over. Also after a prepare that failed. */
MUST_CHECK int precopy_release(struct snapshot *s, struct err *e);

/* How much there was to do while frozen. */
struct precopy_stats {
	uint64_t entries;
	uint64_t changed;       /* files that were kept while frozen */
	uint64_t changed_bytes; /* and what of them was kept */
	unsigned passes;        /* before the freeze */
};
struct precopy_stats precopy_stats(const struct snapshot *s);

/*
 * Whether the scratch directory can be written to while the file system of fd is frozen. 1, 0 with
 * e why not, or -1 with e.
 */
MUST_CHECK int precopy_scratch(const struct snapshot_env *env, int fd, struct err *e);

/* What both drivers need: 1, or 0 with e. */
MUST_CHECK int precopy_env(const struct snapshot_env *env, struct err *e);

#endif
