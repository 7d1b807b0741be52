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
#define METRICS_OTHER "(other)" /* the volume that stands for those without samples */

struct metrics_params {
	int64_t now_ns;
	/*
	 * How many volumes have samples of their own, the first ones by name; of the others there
	 * is one sample, METRICS_OTHER, with the worst of them, or the sum, and how many they are
	 * in aksdr_metrics_dropped. 0: METRICS_VOLUMES. A volume of which nothing is left and
	 * nothing was lost has none.
	 */
	unsigned volumes;
};

/*
 * What the catalog says, kept: looking at each point of many volumes takes seconds, and printing
 * what came of it does not. Ages are counted when it is printed.
 */
struct metrics;
MUST_CHECK int metrics_load(struct catalog *c, const struct metrics_params *params,
                            struct metrics **ret, struct err *e);
void metrics_free(struct metrics *m);
/* Appends the text to b (common/metric.h), whose failure is sticky. Any thread. */
void metrics_print(const struct metrics *m, int64_t now_ns, struct buf *b);

/* Both. */
MUST_CHECK int metrics_put(struct catalog *c, const struct metrics_params *params, struct buf *b,
                           struct err *e);

#endif
