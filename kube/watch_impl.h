/* SPDX-License-Identifier: Apache-2.0 */
/* Within kube/: the stream of a watch, cut into its events. */
#ifndef AKSDR_KUBE_WATCH_IMPL_H
#define AKSDR_KUBE_WATCH_IMPL_H

#include "common/buf.h"
#include "common/json.h"

#define WATCH_LINE_MAX \
	(8 * MIB) /* the server's objects are at most 1.5 MiB, and escapes grow them */

enum watch_type { WATCH_PUT, WATCH_GONE, WATCH_BOOKMARK, WATCH_ERROR };

/*
 * Takes the next bytes, which may end anywhere; rest holds what is left of a line, and is
 * BUF_INIT(WATCH_LINE_MAX) at the beginning. each may fail, which ends it. Pure.
 *   ERR_FORMAT  a line is no event   ERR_TOO_BIG
 */
MUST_CHECK int watch_feed(struct buf *rest, const void *p, size_t n,
                          int (*each)(void *arg, enum watch_type type, const json_t *object,
                                      struct err *e),
                          void *arg, struct err *e);

#endif
