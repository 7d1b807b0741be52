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

/* One search for a chunk; zeroed before it is asked for the first time. */
struct moved_ask {
	struct chunk_ref places[MOVED_PLACES_MAX]; /* ref's own is not among them */
	size_t n;
	/* of moved.c */
	unsigned version; /* of the index that was asked last; 0: none */
	bool renewed;     /* because segments were being replaced */
	bool asked_any;   /* segments that count for nobody, too */
};

/*
 * Fills in where else the chunk may be. 1: these are to be tried, and then it can be asked again.
 * 0: that was all. Thread-safe.
 *   -1: the index cannot be read now, which says nothing about the chunk
 */
MUST_CHECK int moved_ask(struct moved *m, const struct chunk_ref *ref, struct moved_ask *ask,
                         struct err *e);

#endif
