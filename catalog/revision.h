/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the repository's config says of keys, in the catalog: who may sign and since when no more,
 * who can read data, and which revisions there are.
 */
#ifndef AKSDR_CATALOG_REVISION_H
#define AKSDR_CATALOG_REVISION_H

#include "catalog/catalog.h"
#include "repo/repo.h"

/* One LIST. now_ns: the time of seeing. */
MUST_CHECK int revision_sync(struct catalog *c, const struct repo *r, int64_t now_ns,
                             struct err *e);

#endif
