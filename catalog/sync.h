/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing the catalog up to what the store has. Commits are listed; only
 * those that the catalog does not know are fetched, several at a time.
 * Points that are no longer there are marked, not removed. Where a volume's
 * points changed, its chain is judged anew (catalog/chain.h).
 */
#ifndef AKSDR_CATALOG_SYNC_H
#define AKSDR_CATALOG_SYNC_H

#include "catalog/audit_sync.h"
#include "catalog/catalog.h"
#include "catalog/geo.h"
#include "common/progress.h"
#include "repo/repo.h"

struct sync_params {
	int64_t now_ns;                 /* what is written as the time of seeing */
	unsigned threads;               /* fetching at once; 0: 8 */
	struct progress_counts *counts; /* may be NULL; files are commits here */
	/* of the second region (catalog/geo.h): */
	struct store *mirror;
	const struct err *mirror_why;
};

struct sync_result {
	uint64_t listed;                /* commits of points in the store */
	uint64_t added;                 /* points that are new here */
	uint64_t gone;                  /* points that were there at the last sync, or counted */
	uint64_t lost;                  /* of them: not expired, nor of a revoked key */
	uint64_t returned;              /* points that were gone, and are there again */
	uint64_t bad;                   /* commits that do not open, or do not count */
	uint64_t tombstones, holds;     /* that are new here */
	uint64_t records, drills;       /* of journals, and reports in them, that are new here */
	uint64_t found, resolved, open; /* anomalies: new, no longer so, now */
	struct audit_sync_result audit; /* the audit trail */
	struct geo_result geo;          /* the second region */
};

/*
 * A sync that is interrupted can be run again, and goes on where it was.
 *   ERR_INVALID  the catalog is of another repository
 */
MUST_CHECK int sync_run(struct catalog *c, const struct repo *r, const struct sync_params *params,
                        struct sync_result *ret, struct err *e);

#endif
