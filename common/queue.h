/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of pointers between threads; ownership moves with the
 * pointer. The bound is the back-pressure that keeps a pipeline's memory
 * within its budget.
 */
#ifndef AKSDR_COMMON_QUEUE_H
#define AKSDR_COMMON_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t not_empty;
	pthread_cond_t not_full;
	void **ring; /* guarded by lock */
	size_t cap;  /* constant after queue_init() */
	size_t head; /* guarded by lock */
	size_t len;  /* guarded by lock; never above cap */
	bool closed; /* guarded by lock; never reopens */
};

/* 0, or -1 when memory is short. cap >= 1. */
int queue_init(struct queue *q, size_t cap);
void queue_clear(struct queue *q); /* drop left-over pointers first with queue_pop() */

/* Waits for room. false: the queue is closed and the item was not taken. */
bool queue_push(struct queue *q, void *take_item);

/* The same at once. false: there is no room, or the queue is closed. */
bool queue_try_push(struct queue *q, void *take_item);
/* Waits for an item. NULL: closed and empty. */
void *queue_pop(struct queue *q);

/* An item, or NULL at once when there is none. */
void *queue_try_pop(struct queue *q);

/* No more pushes; waiting threads wake. Items left can still be popped. */
void queue_close(struct queue *q);

#endif
