/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work done by several threads and handed out in the order it was given: one
 * producer puts items, helpers work on them, one consumer takes them. A
 * consumer that would have to wait for an item nobody has begun does that one
 * itself, so that it costs no switch of threads when all are equally fast, and
 * no helper is needed for progress.
 */
#ifndef AKSDR_SNAPSHOT_ORDER_H
#define AKSDR_SNAPSHOT_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/clean.h"

#define ORDER_CAP 8 /* items between producer and consumer */

struct order;

/* work(arg, item) is called once for each item, by any thread. NULL when memory is short. */
struct order *order_new(unsigned helpers, void (*work)(void *arg, void *item), void *arg);

/* Waits for room. false: stopped, the item was not taken. */
bool order_put(struct order *o, void *take_item);

/* No more items will come. */
void order_end(struct order *o);

/* The next item, worked on. NULL: the end was reached, or it was stopped. */
void *order_take(struct order *o);

/* Ends all waiting. Items can no longer be put or taken. */
void order_stop(struct order *o);

/* Stops, waits for the helpers, and gives each item that was not taken to drop(arg, item). */
void order_free(struct order *o, void (*drop)(void *arg, void *item));

#endif
