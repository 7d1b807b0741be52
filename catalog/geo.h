/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second region in the catalog: how far it was seen to be, and which
 * points are in it (store_cut(), docs/STORES.md "Geo-durability").
 */
#ifndef AKSDR_CATALOG_GEO_H
#define AKSDR_CATALOG_GEO_H

#include "catalog/catalog.h"
#include "store/store.h"

struct geo_result {
	struct store_cut cut; /* kind CUT_NONE: there is no second region */
	uint64_t durable;     /* points that were found to be in it */
	struct err why;       /* why nothing is known of it now; class NONE: it is */
};

/* Whose second region it is. */
struct geo_source {
	struct store *store;
	struct store *mirror; /* the copy that takes the place of its own second region; or NULL */
	const struct err
		*why; /* why that copy cannot even be opened; NULL: it can, or is not asked for */
};

/*
 * Asks for the cut and notes it, and which points are under it. All points of the catalog must have
 * been listed before this is called: what the store receives later can be none of them. That
 * nothing can be learned is noted, and is no failure. ERR_CANCELLED, and errors of the catalog.
 */
MUST_CHECK int geo_sync(struct catalog *c, const struct geo_source *from, int64_t now_ns,
                        struct geo_result *ret, struct err *e);

/* "last_sync", "compared", …; NULL for CUT_NONE. */
const char *geo_kind_name(enum store_cut_kind kind);

#endif
