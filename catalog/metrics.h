/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the catalog says, as metrics: of each volume how old its newest point
 * is, what it cost and what is wrong with it; how far the second region is;
 * what checks found. All of it follows from the catalog, so a program that was
 * started again tells the same. docs/OPERATIONS.md lists them.
 */
#ifndef AKSDR_CATALOG_METRICS_H
#define AKSDR_CATALOG_METRICS_H

#include "catalog/catalog.h"
#include "common/buf.h"

#define METRICS_VOLUMES 2000

struct metrics_params {
	int64_t now_ns;
	/*
	 * How many volumes have samples of their own, the first ones by name; the others are
	 * counted in aksdr_metrics_dropped. 0: METRICS_VOLUMES. A volume of which nothing is left
	 * and nothing was lost has none.
	 */
	unsigned volumes;
};

/* Appends the text to b (common/metric.h), whose failure is sticky. */
MUST_CHECK int metrics_put(struct catalog *c, const struct metrics_params *params, struct buf *b,
                           struct err *e);

#endif
