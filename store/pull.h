/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listing that is asked for its items, one after the other, so that two of
 * them can be walked side by side. store_list() hands items out; here it runs
 * in a thread of its own, ahead of the one who asks by a bounded number of
 * items, whatever the size of the store.
 */
#ifndef AKSDR_STORE_PULL_H
#define AKSDR_STORE_PULL_H

#include "store/store.h"

struct store_pull;

/*
 * Starts to list what store_list() lists; s is borrowed until store_pull_free(). NULL: ERR_NOMEM,
 * ERR_IO (no thread can be had).
 */
MUST_CHECK struct store_pull *store_pull_new(struct store *s, const char *prefix, struct err *e);

/*
 * The next item, which is valid until the next call: 1; 0 at the end; -1: the listing failed, with
 * errors as store_list(). Waits for the store. One thread at a time.
 */
MUST_CHECK int store_pull_next(struct store_pull *p, const struct store_item **ret, struct err *e);

/* Ends the listing, also before its end; waits for the request under way. NULL is fine. */
void store_pull_free(struct store_pull *p);
static inline void clean_store_pull(struct store_pull *const *p)
{
	store_pull_free(*p);
}
#define auto_store_pull CLEANUP(clean_store_pull)

#endif
