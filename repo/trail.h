/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a program does (common/act.h) to the record of it in the
 * repository that it works on. The repository is kept until the act has ended,
 * so that its record is signed and put by what was opened anyway.
 *
 * Nothing fails because a record could not be put, but for --audit=required,
 * where an act that cannot be recorded does not begin.
 */
#ifndef AKSDR_REPO_TRAIL_H
#define AKSDR_REPO_TRAIL_H

#include "common/act.h"
#include "common/verb.h"
#include "repo/repo.h"

#define TRAIL_WAIT_S 3600 /* that a record which may wait does */

/*
 * The repository that the current act works on was opened, at this URL. Called by
 * repo_open_url(); the first one at the act's own URL counts, and is referred to.
 *   ERR_DENIED, and what putting gives: records are required, and none can be put
 */
MUST_CHECK int trail_opened(struct repo *r, const char *url, struct err *e);

/* verb_program.acted: the current act has ended. */
void trail_acted(const struct verb_common *common, const struct err *why);

/*
 * Records something else that was done in r, and has ended: spooled, and put unless it may wait.
 * What fails is told in the log.
 */
void trail_put(const struct repo *r, struct act *a, const struct err *why);

/*
 * Puts what has waited for long enough into the store of this URL, which r is of. What fails is
 * told in the log.
 */
void trail_flush(const struct repo *r, const char *url);

#endif
