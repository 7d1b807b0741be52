/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of pointers under one lock. Two conditions, so that a push wakes a
 * popper and never another pusher; one waiter is woken for one item.
 */
#include "common/queue.h"

#include <assert.h>
#include <stdlib.h>

int queue_init(struct queue *q, size_t cap)
{
	assert(cap >= 1);
	*q = (struct queue){ .cap = cap };
	q->ring = calloc(cap, sizeof(*q->ring));
	if (!q->ring)
		return -1;
	/* glibc's initialisers allocate nothing and cannot fail with default attributes */
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->not_empty, NULL);
	(void)pthread_cond_init(&q->not_full, NULL);
	return 0;
}

void queue_clear(struct queue *q)
{
	if (!q->ring)
		return;
	(void)pthread_cond_destroy(&q->not_full);
	(void)pthread_cond_destroy(&q->not_empty);
	(void)pthread_mutex_destroy(&q->lock);
	free(q->ring);
	q->ring = NULL;
}

static bool put_locked(struct queue *q, void *item)
{
	const size_t at = q->head + q->len;

	if (q->closed || q->len == q->cap)
		return false;
	q->ring[at >= q->cap ? at - q->cap : at] = item;
	q->len++;
	(void)pthread_cond_signal(&q->not_empty);
	return true;
}

bool queue_push(struct queue *q, void *take_item)
{
	assert(take_item);
	(void)pthread_mutex_lock(&q->lock);
	while (q->len == q->cap && !q->closed)
		(void)pthread_cond_wait(&q->not_full, &q->lock);
	const bool taken = put_locked(q, take_item);
	(void)pthread_mutex_unlock(&q->lock);
	return taken;
}

bool queue_try_push(struct queue *q, void *take_item)
{
	assert(take_item);
	(void)pthread_mutex_lock(&q->lock);
	const bool taken = put_locked(q, take_item);
	(void)pthread_mutex_unlock(&q->lock);
	return taken;
}

/* The oldest item, or NULL when there is none. */
static void *take_locked(struct queue *q)
{
	if (q->len == 0)
		return NULL;
	void *item = q->ring[q->head];
	q->head = q->head + 1 == q->cap ? 0 : q->head + 1;
	q->len--;
	(void)pthread_cond_signal(&q->not_full);
	return item;
}

void *queue_pop(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	while (q->len == 0 && !q->closed)
		(void)pthread_cond_wait(&q->not_empty, &q->lock);
	void *item = take_locked(q);
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void *queue_try_pop(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	void *item = take_locked(q);
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void queue_close(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->not_empty);
	(void)pthread_cond_broadcast(&q->not_full);
	(void)pthread_mutex_unlock(&q->lock);
}
