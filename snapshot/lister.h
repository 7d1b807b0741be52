/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The depth-first traversal of a walk: lists one directory after the other,
 * keeps the names of those that are open above the present one, and cuts the
 * stream of entries into batches, and batches into groups that are worth
 * handing to another thread. It stats directories only, by the descriptor
 * that they are listed from, so that an entry and its children always belong
 * together; all else is left to whoever gets the groups.
 */
#ifndef AKSDR_SNAPSHOT_LISTER_H
#define AKSDR_SNAPSHOT_LISTER_H

#include <stdatomic.h>

#include "snapshot/batch.h"
#include "snapshot/below.h"
#include "snapshot/match.h"

#define LISTER_BATCHES 32  /* most batches of a group */
#define LISTER_ENTRIES 256 /* from so many entries on a group is whole */

struct lister_group {
	size_t n;
	size_t entries;
	struct walk_batch *batches[LISTER_BATCHES];
};

void lister_group_free(struct lister_group *take_g); /* with its batches; NULL is fine */

struct lister_params {
	struct below *below; /* all borrowed */
	struct batch_pool *pool;
	struct batch_dir *root;
	const struct match *match;
	const char *scratch_dir;
	const char *what; /* the root, for messages */
	bool skip_caches;
	size_t path_max;         /* bytes of the path of a directory that is entered */
	size_t open_max;         /* descriptors that directories on the way may hold, >= 1 */
	size_t batches_max;      /* batches of a group, 1 .. LISTER_BATCHES */
	const atomic_bool *stop; /* set: end soon */

	/* Takes a group. false: nobody wants more. */
	bool (*put)(void *arg, struct lister_group *take_g);
	/* Told of each directory that is a mount point and was not entered. */
	void (*mount)(void *arg, const char *path);
	void *arg;
};

/*
 * Walks to the end, or until put() or stop say so. -1 with e: the root cannot
 * be listed, or memory or descriptors ran out.
 */
MUST_CHECK int lister_run(const struct lister_params *p, struct err *e);

#endif
