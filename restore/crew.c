/* SPDX-License-Identifier: Apache-2.0 */
/* A round is announced by its number; who wakes up takes the next index until none is left. */
#include "restore/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t begin; /* a round starts, or closing */
	pthread_cond_t end;   /* the last helper is through */
	unsigned long round;  /* guarded by lock */
	unsigned busy;        /* guarded by lock; helpers that are not through with this round */
	bool closing;         /* guarded by lock */
	void (*fn)(void *arg, size_t i); /* constant during a round, as the next two */
	void *arg;
	size_t n;
	atomic_size_t next;
	unsigned nhelpers;
	pthread_t helpers[];
};

static void work(struct crew *c)
{
	size_t i;

	while ((i = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed)) < c->n)
		c->fn(c->arg, i);
}

static void *helper_main(void *arg)
{
	struct crew *c = arg;
	unsigned long seen = 0;

	(void)pthread_mutex_lock(&c->lock);
	for (;;) {
		while (c->round == seen && !c->closing)
			(void)pthread_cond_wait(&c->begin, &c->lock);
		if (c->closing)
			break;
		seen = c->round;
		(void)pthread_mutex_unlock(&c->lock);
		work(c);
		(void)pthread_mutex_lock(&c->lock);
		if (--c->busy == 0)
			(void)pthread_cond_signal(&c->end);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct crew *crew_new(unsigned threads)
{
	struct crew *c = calloc(1, sizeof(*c) + threads * sizeof(pthread_t));

	if (!c)
		return NULL;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->begin, NULL);
	(void)pthread_cond_init(&c->end, NULL);
	while (c->nhelpers + 1 < threads) {
		if (pthread_create(&c->helpers[c->nhelpers], NULL, helper_main, c)) {
			crew_free(c);
			return NULL;
		}
		(void)pthread_setname_np(c->helpers[c->nhelpers++], "compare");
	}
	return c;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->closing = true;
	(void)pthread_cond_broadcast(&c->begin);
	(void)pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->nhelpers; i++)
		(void)pthread_join(c->helpers[i], NULL);
	(void)pthread_cond_destroy(&c->end);
	(void)pthread_cond_destroy(&c->begin);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

void crew_run(struct crew *c, size_t n, void (*fn)(void *arg, size_t i), void *arg)
{
	(void)pthread_mutex_lock(&c->lock);
	c->fn = fn;
	c->arg = arg;
	c->n = n;
	atomic_store_explicit(&c->next, 0, memory_order_relaxed);
	c->busy = c->nhelpers;
	c->round++;
	(void)pthread_cond_broadcast(&c->begin);
	(void)pthread_mutex_unlock(&c->lock);
	work(c);
	(void)pthread_mutex_lock(&c->lock);
	while (c->busy > 0)
		(void)pthread_cond_wait(&c->end, &c->lock);
	(void)pthread_mutex_unlock(&c->lock);
}
