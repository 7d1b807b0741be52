/* SPDX-License-Identifier: Apache-2.0 */
/* What a store's driver counts under which number of common/http.h, and how it is told. */
#ifndef AKSDR_STORE_TRAFFIC_H
#define AKSDR_STORE_TRAFFIC_H

#include "common/http.h"
#include "store/store.h"

enum { TRAFFIC_AUTH = CALL_LOCK + 1 }; /* the others are enum store_call */

/* Adds the counts of h. */
void traffic_add(struct store_traffic *t, struct http *h);

/*
 * Appends the counts as metrics of the last run, a sample for each operation that there was; a
 * failure is b's (common/metric.h).
 */
void traffic_put(const struct store_traffic *t, struct buf *b);

#endif
