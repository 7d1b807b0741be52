/* SPDX-License-Identifier: Apache-2.0 */
/* Single-writer mode: a store that cannot keep writers apart has one session at a time. */
#ifndef AKSDR_REPO_SINGLE_H
#define AKSDR_REPO_SINGLE_H

#include <stdbool.h>

#include "common/err.h"
#include "repo/repo.h"

/*
 * Looks for sessions without an end other than `own` (NULL or "": all are others). take_over:
 * somebody knows that they are dead, and they are fenced.
 *   ERR_BUSY  there is one; the message says whose, and since when
 */
MUST_CHECK int single_check(const struct repo *r, const char *own, bool take_over, struct err *e);

/*
 * Fences a session. What ended it before is not put over, also where the store would allow it.
 */
MUST_CHECK int single_fence(const struct repo *r, const char *session, const char *why,
                            struct err *e);

#endif
