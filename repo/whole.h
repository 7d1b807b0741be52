/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is everything there that restore points need? For stores that may be behind, such as the second
 * region of one that replicates out of order, or one that was failed over to it: a commit may be
 * seen before what it names. By a listing, the trees and the index alone; contents are not looked
 * at.
 */
#ifndef AKSDR_REPO_WHOLE_H
#define AKSDR_REPO_WHOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/point.h"
#include "repo/repo.h"

/*
 * What the store lists, for looks at several points from several threads. Points whose commits were
 * listed before it was made have all their packs in it, unless those are gone. Memory: 17 bytes for
 * each pack of the repository; and an index of each domain where a collection has moved things.
 */
struct whole;
MUST_CHECK int whole_new(const struct repo *r, struct whole **ret, struct err *e);
void whole_free(struct whole *w);
static inline void clean_whole(struct whole *const *w)
{
	whole_free(*w);
}
#define auto_whole CLEANUP(clean_whole)

/*
 * *ret_whole: every node of the point's tree can be read, and every pack of its contents is there,
 * or what a collection has moved is where the index says. Thread-safe.
 *   ERR_RETRY, ERR_NOMEM, ERR_CANCELLED
 */
MUST_CHECK int whole_point(struct whole *w, const struct point *p, bool *ret_whole, struct err *e);

/* The same of one point alone. */
MUST_CHECK int whole_look(const struct repo *r, const struct point *p, bool *ret_whole,
                          struct err *e);

#endif
