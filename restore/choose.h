/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which point to restore while the second region answers instead of the
 * first: it may be behind, and what it shows of a point may not be all of it.
 */
#ifndef AKSDR_RESTORE_CHOOSE_H
#define AKSDR_RESTORE_CHOOSE_H

#include "common/err.h"
#include "repo/repo.h"

/*
 * p is what text named. Without a fallen-over store nothing is done. Else, when text leaves the
 * point open (NAME, NAME@latest, NAME@TIME), p becomes the newest point at or before it that is
 * complete in the second region, and the log tells which interval of data that leaves out. A point
 * that was named by its id stays, and the log tells when it is not complete.
 *   ERR_NOT_FOUND  no point of the volume is complete there
 */
MUST_CHECK int choose_complete(const struct repo *r, const char *text, struct point *p,
                               struct err *e);

#endif
