/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Until when the store lets nobody delete restore points, as it was seen: a look is one run of
 * protect_run() over all points (docs/STORES.md, Immutability). Of a point a row is added only when
 * the look says something new, so daily looks at a million points cost a row a point.
 */
#ifndef AKSDR_CATALOG_LOCKS_H
#define AKSDR_CATALOG_LOCKS_H

#include "catalog/catalog.h"
#include "repo/protect.h"

/* A look that is being noted; not thread-safe. */
struct locks {
	struct catalog *c; /* borrowed */
	sqlite3_stmt *add; /* owned */
	struct catalog_tx tx;
	int64_t look;
	int64_t now_ns;
};

/*
 * Begins to note a look at this time: call it when protect_run() has its first point, since other
 * programs cannot write to the catalog until locks_end(). Without that nothing of it stays.
 */
MUST_CHECK int locks_begin(struct catalog *c, int64_t now_ns, struct locks *ret, struct err *e);
/* A point of it. Those whose time is over were not asked about: nothing is noted. */
MUST_CHECK int locks_point(struct locks *l, const struct protect_point *p, struct err *e);
MUST_CHECK int locks_end(struct locks *l, const struct protect_params *params,
                         const struct protect_result *r, struct err *e);
void locks_clear(struct locks *l);

/*
 * All of a look: runs protect_run(), whose params->point is not used, and notes what it finds. What
 * it extends is extended, also when nothing can be noted. Errors of both.
 */
MUST_CHECK int locks_look(struct catalog *c, const struct repo *r,
                          const struct protect_params *params, struct protect_result *ret,
                          struct err *e);

/* When the last look at all points was, by the clock of who looked; 0: never. */
MUST_CHECK int locks_looked(struct catalog *c, int64_t *ret_ns, struct err *e);

#endif
