/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tombstones and holds in the catalog, and what follows from them for points:
 * which are expired, since when, and which are held (repo/expiry.h).
 */
#ifndef AKSDR_CATALOG_STATEMENT_H
#define AKSDR_CATALOG_STATEMENT_H

#include "catalog/catalog.h"
#include "repo/repo.h"

struct statement_result {
	uint64_t tombstones, holds;            /* that are new */
	uint64_t missing_tombs, missing_holds; /* numbers that are not there, or do not open */
	uint64_t lost;                         /* that the catalog knows, and the store does not */
};

/*
 * Fetches those that are new, and judges the points that they are about; volumes whose points
 * changed are noted in the table `unjudged`.
 */
MUST_CHECK int statement_sync(struct catalog *c, const struct repo *r, struct statement_result *ret,
                              struct err *e);

#endif
