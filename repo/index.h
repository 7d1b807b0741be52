/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where chunks are. Segments are immutable sorted tables on the store
 * (repo/segment.h); opened ones lie decrypted in the local state directory
 * (all of it disposable) and are searched through mmap, so that memory does
 * not grow with the repository. New chunks of this session are in a hash
 * table that spills to sorted runs.
 *
 * An index that is opened by a session's view shows what that session may
 * rely on, and nothing else (docs/CONCURRENCY.md).
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
struct view;
struct segment_view;

/*
 * Loads the segments of a domain: lists idx/DTAG/, fetches those that the
 * state directory lacks (state_dir NULL: keeps them in scratch memory),
 * drops local ones that are gone from the store. Damaged local copies are
 * fetched again; a damaged segment on the store is left out and counted.
 * view (borrowed until index_free): void segments are left out, absent places
 * are not found; NULL: whatever there is, for readers, who see whether it is there.
 */
MUST_CHECK int index_open(struct store *store, const struct keys *keys,
                          const struct domain_keys *domain, const char *state_dir,
                          const struct view *view, const struct cancel *cancel, struct index **ret,
                          struct err *e);

/*
 * The same for a session's view, without asking the store as long as local tables do: when those
 * are of a list that had the same commits and generation, the segments are listed once an id is
 * not found. Then a store that fails is as an index without that id. index_each_void() has none
 * before that.
 */
MUST_CHECK int index_open_lazily(struct store *store, const struct keys *keys,
                                 const struct domain_keys *domain, const char *state_dir,
                                 const struct view *view, const struct cancel *cancel,
                                 struct index **ret, struct err *e);
void index_free(struct index *x);

/* The session of this index has committed: it is remembered as known. */
void index_committed(const struct index *x, const char *session);

/*
 * Looks up among the loaded segments and what index_add() got: of several
 * places the one with the smallest pack id. Thread-safe, as all lookups.
 */
bool index_lookup(struct index *x, const uint8_t id[32], struct chunk_ref *ret);

/*
 * Whether the chunk is where ref says; where it is somewhere else, ref is
 * changed to say so. false: it is nowhere.
 */
bool index_locate(struct index *x, struct chunk_ref *ref);

/* As index_lookup(), in segments of committed sessions only, among places that usable() likes. */
bool index_settled(struct index *x, const uint8_t id[32],
                   bool (*usable)(void *arg, const struct chunk_ref *ref), void *arg,
                   struct chunk_ref *ret);

/* The same, absent places included. */
bool index_settled_or_absent(struct index *x, const uint8_t id[32],
                             bool (*usable)(void *arg, const struct chunk_ref *ref), void *arg,
                             struct chunk_ref *ret);

/* All places that segments know, at most max. Returns how many. */
size_t index_places(struct index *x, const uint8_t id[32], struct chunk_ref *ret, size_t max);

/*
 * Claims an id for storing: true: the caller must store it and then call
 * index_add() or index_abandon(); false: *ret is where it is, or will be:
 * waits while another thread is storing the same id. Thread-safe.
 */
bool index_claim(struct index *x, const uint8_t id[32], struct chunk_ref *ret);
void index_add(struct index *x, const struct chunk_ref *ref);
void index_abandon(struct index *x, const uint8_t id[32]);

/*
 * A segment was written by this session: keeps it locally, so that the next session here need not
 * fetch it. name is below idx/DTAG/. Best effort.
 */
void index_learned(void *index, const char *name, const struct segment_view *v);

/*
 * Calls each() for every segment that was left out because it is void: its name below idx/DTAG/,
 * and its key.
 */
MUST_CHECK int index_each_void(const struct index *x,
                               int (*each)(void *arg, const char *name, const char *key,
                                           struct err *e),
                               void *arg, struct err *e);

size_t index_damaged(const struct index *x); /* segments left out because they do not open */

#endif
