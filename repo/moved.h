/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where chunks are that are not where a tree says: the index of a domain, for
 * readers, who may be at it for hours while collections move things. It is
 * opened when it is first needed, and again when it does not help and a
 * collection has gone on since.
 */
#ifndef AKSDR_REPO_MOVED_H
#define AKSDR_REPO_MOVED_H

#include "repo/index.h"
#include "repo/repo.h"

#define MOVED_PLACES_MAX 16 /* other places of one chunk that are tried */

struct moved;

/* repo and domain are borrowed. NULL: no memory. */
struct moved *moved_new(const struct repo *repo, const struct domain_keys *domain);
void moved_free(struct moved *m);

/* What a chunk's other places are asked with; zeroed before the first call. */
struct moved_ask {
	struct chunk_ref places[MOVED_PLACES_MAX];
	size_t n;
	/* of moved.c */
	unsigned version; /* of the index that was asked; 0: none */
};

/*
 * Fills in the places of the chunk, ref's own left out. 1: there may be news. 0: the index says
 * the same as before, so there is nothing left to try. Thread-safe.
 *   -1: the index cannot be read now; that is no loss of the chunk
 */
MUST_CHECK int moved_ask(struct moved *m, const struct chunk_ref *ref, struct moved_ask *ask,
                         struct err *e);

#endif
