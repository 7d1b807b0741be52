/* SPDX-License-Identifier: Apache-2.0 */
/* Does the store give what docs/CONCURRENCY.md asks for? Tried out on an object below probe/. */
#ifndef AKSDR_REPO_PROBE_H
#define AKSDR_REPO_PROBE_H

#include "common/err.h"
#include "repo/repo.h"

/*
 * Puts an object, tries to put another one in its place, reads and lists it, and takes it away
 * again where that is allowed. *ret_now_ns: the store's time.
 *   ERR_UNSUPPORTED  the store replaces objects, or does not show what was just written
 */
MUST_CHECK int probe_store(struct store *store, int64_t *ret_now_ns, struct err *e);

/*
 * For a writer: the same, unless it was done within a day by this state directory. A repository
 * that is in single-writer mode needs nothing: then *ret_single is true.
 */
MUST_CHECK int probe_writer(const struct repo *r, bool *ret_single, struct err *e);

#endif
