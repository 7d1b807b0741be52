/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the catalog says, as metrics: how old the newest point of each volume
 * is, and what a failover would leave. docs/CATALOG.md lists them.
 */
#ifndef AKSDR_CATALOG_MEASURE_H
#define AKSDR_CATALOG_MEASURE_H

#include "catalog/catalog.h"
#include "common/buf.h"

#define MEASURE_VOLUMES_MAX 10000 /* that have samples of their own; the oldest by name */

/* Appends the text, as of now_ns, to b (common/metric.h). */
MUST_CHECK int measure_put(struct catalog *c, int64_t now_ns, struct buf *b, struct err *e);

#endif
