/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where chunks are. Segments are immutable sorted tables, one per session on
 * the store; opened ones lie decrypted in the local state directory (all of
 * it disposable) and are searched through mmap, so that memory does not grow
 * with the repository. New chunks of this session are in a hash table that
 * spills to sorted runs.
 */
#ifndef AKSDR_REPO_INDEX_H
#define AKSDR_REPO_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repo/key.h"
#include "repo/pack.h"
#include "store/store.h"

struct index;

/*
 * Loads the segments of a domain: lists idx/DTAG/, fetches those that the
 * state directory lacks (state_dir NULL: keeps them in scratch memory),
 * drops local ones that are gone from the store. Damaged local copies are
 * fetched again; a damaged segment on the store is left out and counted.
 */
MUST_CHECK int index_open(struct store *store, const struct keys *keys,
                          const struct domain_keys *domain, const char *state_dir,
                          const struct cancel *cancel, struct index **ret, struct err *e);
void index_free(struct index *x);

/* Looks up among the loaded segments and what index_add() got. Thread-safe. */
bool index_lookup(struct index *x, const uint8_t id[32], struct chunk_ref *ret);

/*
 * Claims an id for storing: true: the caller must store it and then call
 * index_add() or index_abandon(); false: *ret is where it is, or will be:
 * waits while another thread is storing the same id. Thread-safe.
 */
bool index_claim(struct index *x, const uint8_t id[32], struct chunk_ref *ret);
void index_add(struct index *x, const struct chunk_ref *ref);
void index_abandon(struct index *x, const uint8_t id[32]);

/*
 * Encodes everything added so far as segments of docs/FORMAT.md 7, PUTs them as
 * idx/DTAG/SESSION-N; keys are appended to ret_names (malloc'ed array of malloc'ed strings).
 * pack_size gives an object's length.
 */
MUST_CHECK int index_write(struct index *x, const char *session,
                           uint64_t (*pack_size)(void *arg, const uint8_t pack[16]), void *arg,
                           char ***ret_names, size_t *ret_n, struct err *e);

/* Calls each() for every entry of every loaded segment, ordered within a segment. */
MUST_CHECK int index_each(struct index *x,
                          int (*each)(void *arg, const struct chunk_ref *ref, struct err *e),
                          void *arg, struct err *e);

size_t index_damaged(const struct index *x); /* segments left out */

/* Pure decode of a segment's plain text, for the fuzzer and rebuild: validates everything. */
struct index_view {
	const uint8_t *packs;   /* npacks records */
	const uint8_t *entries; /* nentries records */
	uint32_t npacks, nentries;
};
MUST_CHECK int index_decode(const uint8_t *p, size_t n, struct index_view *ret, struct err *e);
void index_view_ref(const struct index_view *v, uint32_t i, struct chunk_ref *ret);

#endif
