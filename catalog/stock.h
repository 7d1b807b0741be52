/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds data in each cluster, out of the inventories in the store (repo/inventory.h): an item
 * has a row from the record that had it first to the one that had it no more, so that the state at
 * any time can be told, and what does not change takes no room.
 */
#ifndef AKSDR_CATALOG_STOCK_H
#define AKSDR_CATALOG_STOCK_H

#include "catalog/catalog.h"
#include "repo/inventory.h"

/*
 * Takes over the records that the catalog does not have, in the order in which the store received
 * them. One that arrives behind a later one of its cluster is noted, and changes nothing.
 */
MUST_CHECK int stock_sync(struct catalog *c, const struct repo *r, struct err *e);

/* The newest record of a cluster. */
struct stock_newest {
	bool is;
	int64_t received_ns;
	char digest[65];
};
MUST_CHECK int stock_newest(struct catalog *c, const char *cluster, struct stock_newest *ret,
                            struct err *e);

#endif
