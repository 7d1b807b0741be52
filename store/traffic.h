/* SPDX-License-Identifier: Apache-2.0 */
/* What a store's driver counts under which number of common/http.h, and how it is told. */
#ifndef AKSDR_STORE_TRAFFIC_H
#define AKSDR_STORE_TRAFFIC_H

#include "common/http.h"
#include "common/json.h"
#include "common/metric.h"
#include "store/store.h"

enum { TRAFFIC_AUTH = CALL_LOCK + 1 }; /* the others are enum store_call */

/* Adds the counts of h. */
void traffic_add(struct store_traffic *t, struct http *h);
void traffic_sum(struct store_traffic *t, const struct store_traffic *more);
/* Of all operations. */
uint64_t traffic_requests(const struct store_traffic *t);

/*
 * For another process: {"get": [requests, failures, throttled, sent, received], ...}, of what there
 * was. At most 800 bytes as text. NULL: no memory. The caller decrefs.
 */
json_t *traffic_to_json(const struct store_traffic *t);
/* ERR_FORMAT: o is none of it; what names the text in messages. NULL is nothing at all. */
MUST_CHECK int traffic_from_json(const json_t *o, const char *what, struct store_traffic *ret,
                                 struct err *e);

/*
 * Appends the counts as metrics, a sample for each operation that there was: gauges of the last
 * run, or counters (..._total) of a program that goes on. A failure is b's (common/metric.h).
 */
void traffic_put(const struct store_traffic *t, enum metric_kind kind, struct buf *b);

#endif
