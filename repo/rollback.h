/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine has seen of the config of a repository. A store that
 * shows less than that takes back what the admin has decided, a revocation for
 * example.
 */
#ifndef AKSDR_REPO_ROLLBACK_H
#define AKSDR_REPO_ROLLBACK_H

#include <stdint.h>

#include "common/err.h"

#define ROLLBACK_FILE "config-seen" /* in the state directory */

/*
 * Compares the revision that the store shows with the highest that was seen,
 * and remembers it when it is higher. state: the repository's state
 * directory; "": there is no memory. One that is damaged, or cannot be read or written, counts as
 * none: it must lock nobody out.
 *   ERR_CORRUPT  the store shows an older revision, or another one of the same number
 */
MUST_CHECK int rollback_check(const char *state, uint64_t revision, const uint8_t hash[32],
                              struct err *e);

/* The highest revision that was seen; 0: none is remembered. */
uint64_t rollback_seen(const char *state);

/*
 * Remembers this revision instead of what was seen, also when it is lower: somebody has said that
 * the store was meant to go back. state is no "".
 *   ERR_BUSY  another program looks at it now
 *   others    it could not be written
 */
MUST_CHECK int rollback_accept(const char *state, uint64_t revision, const uint8_t hash[32],
                               struct err *e);

#endif
