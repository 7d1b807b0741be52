/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs that a collection has ever decided to delete. Such a pack is dead for
 * ever, also when it is there: the store refused to delete it, a put of it
 * that was on its way for long has brought it back, or somebody is about to
 * delete it (docs/CONCURRENCY.md). Kept in the state directory, since what a
 * generation has decided never changes.
 */
#ifndef AKSDR_REPO_FINALS_H
#define AKSDR_REPO_FINALS_H

#include "repo/collection.h"

#define FINALS_EVERY 32 /* generations from one list of all to the next */

/*
 * The packs of the finals of all generations that are done, sorted. *ret_bad (may be NULL): how
 * many of them do not open and are in no list of all. Those are left out: they are a second line of
 * defence, and a check tells.
 */
MUST_CHECK int finals_load(const struct repo *r, const struct collection_state *s,
                           struct pack_list *ret, uint64_t *ret_bad, struct err *e);

/*
 * Of the sessions that `wanted` has, those that some final names: their points are expired for
 * ever, whatever stands under their name. Newest generations first; ends when all are found.
 */
MUST_CHECK int finals_sessions(const struct repo *r, const struct collection_state *s,
                               const struct session_names *wanted, struct session_names *ret,
                               struct err *e);

#endif
