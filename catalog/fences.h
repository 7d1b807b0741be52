/* SPDX-License-Identifier: Apache-2.0 */
/* Fences of sites in the catalog: which ones the config has, of what, why, and until when. */
#ifndef AKSDR_CATALOG_FENCES_H
#define AKSDR_CATALOG_FENCES_H

#include "catalog/catalog.h"
#include "repo/repo.h"

/*
 * Takes over what the repository was opened with. The facts for people of each fence are fetched
 * once. A fence whose facts are lost is noted without them. Errors of the store and the catalog.
 */
MUST_CHECK int fences_sync(struct catalog *c, const struct repo *r, int64_t now_ns, struct err *e);

#endif
