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

#endif
