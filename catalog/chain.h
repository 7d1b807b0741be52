/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does each restore point of a volume follow the one before it? Every commit
 * names its predecessor by name and hash, so what was removed, replaced or
 * written twice shows. Pure.
 */
#ifndef AKSDR_CATALOG_CHAIN_H
#define AKSDR_CATALOG_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct chain_point {
	const char *session;
	const char *previous; /* NULL or "": the first one */
	const char *hash;     /* of its commit, as text */
	const char *previous_hash;
	uint64_t sequence;
	bool gone; /* no longer in the store: nothing is said of it, and it is no predecessor */
	/*
	 * By tombstones, or it does not count since its key was revoked: it may be gone, nothing
	 * is said of it, and it is a predecessor all the same.
	 */
	bool expired;
	bool unknown; /* it was expired before anybody looked: of it only the session is known */
	bool previous_missing; /* its writer did not see the point before it */
};

enum chain_kind {
	CHAIN_GAP, /* the point before it is missing */
	CHAIN_FORK /* two points where one should be, or another one than was there */
};

/* "gap", "fork" */
const char *chain_kind_name(enum chain_kind kind);

struct chain_anomaly {
	enum chain_kind kind;
	const struct chain_point *point;
	const char *other; /* session that it does not fit to, or "" */
	const char *text;  /* a sentence without its subject, which is the point */
};

/*
 * points: of one volume, in the order of point_cmp(). Calls each() for every
 * anomaly, by point. Only depends on the points that are not gone.
 *   ERR_NOMEM, and what each() returns
 */
MUST_CHECK int chain_check(const struct chain_point *points, size_t n,
                           int (*each)(void *arg, const struct chain_anomaly *a, struct err *e),
                           void *arg, struct err *e);

#endif
