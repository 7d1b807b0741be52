/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view that another process has made and this one reads: what that one knows of it, handed over
 * as one text of JSON (a mover gets it as an argument), and how what this one did goes back to it
 * (as the termination message of a mover's container, which has 4 KiB).
 */
#ifndef AKSDR_AGENT_GIVEN_H
#define AKSDR_AGENT_GIVEN_H

#include "agent/moment.h"
#include "common/result.h"
#include "repo/point.h"
#include "store/store.h"

/* What is known of a volume's view. NULL: no memory. The caller decrefs. */
json_t *given_write(const struct moment_volume *v, struct err *e);

/*
 * The other side: v, whose path is that of the view here, gets a snapshot that is read as it is,
 * and is what the text says. moment_end() gives it up.
 *   ERR_FORMAT  the text is none of given_write()
 *   and what snapshot_take() says of the path
 */
MUST_CHECK int given_read(const char *text, const struct snapshot_env *env, struct moment_volume *v,
                          struct err *e);

/*
 * What came of it: a point, or why there is none (p NULL), or neither, where the claims themselves
 * were told (why NULL, too); and what was asked of the store. At most RESULT_MAX, to b.
 */
MUST_CHECK int given_result_write(const struct point *p, const struct err *why,
                                  const struct store_traffic *t, struct buf *b, struct err *e);

/*
 * 0: ret has what is told of a point (point_clear() does nothing then); -1: e is why there is
 * none, or ERR_FORMAT when the text is none of given_result_write(). In both cases ret_traffic has
 * what was asked of the store, as far as it is told.
 */
MUST_CHECK int given_result_read(const char *text, struct point *ret,
                                 struct store_traffic *ret_traffic, struct err *e);

/*
 * What came of a run of claims, for who started it: true when it could not tell them why it failed,
 * and tells that here, into ret_why; ERR_FORMAT when the text is none of given_result_write().
 */
MUST_CHECK bool given_end_read(const char *text, struct store_traffic *ret_traffic,
                               struct err *ret_why);

#endif
