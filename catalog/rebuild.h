/* SPDX-License-Identifier: Apache-2.0 */
/* Making the catalog anew. All of it but the results of checks comes from the store. */
#ifndef AKSDR_CATALOG_REBUILD_H
#define AKSDR_CATALOG_REBUILD_H

#include "catalog/sync.h"

/*
 * Makes the catalog file anew from the store alone, beside the old one, and
 * puts it in its place when it is whole. Results of checks are taken over
 * where the old file can be read.
 *   ERR_BUSY  another rebuild of this file is running
 */
MUST_CHECK int rebuild_run(const char *path, const struct repo *r, const struct sync_params *params,
                           struct sync_result *ret, struct err *e);

#endif
