/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is everything there that one restore point needs? For stores that may be
 * behind, such as the second region of one that replicates out of order: a
 * commit may be seen before what it names. By listings and the tree alone;
 * contents are not looked at.
 */
#ifndef AKSDR_REPO_WHOLE_H
#define AKSDR_REPO_WHOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/point.h"
#include "repo/repo.h"

/*
 * *ret_whole: all packs of the point's tree and contents are listed, or what a collection has moved
 * is where the index says. Memory: 16 bytes for each pack of the point.
 *   ERR_RETRY, ERR_NOMEM, ERR_CANCELLED
 */
MUST_CHECK int whole_look(const struct repo *r, const struct point *p, bool *ret_whole,
                          struct err *e);

#endif
