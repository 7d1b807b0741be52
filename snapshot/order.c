/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring with three positions that only move forward: taken <= begun <= put.
 * Items from taken to begun are being worked on or done; from begun to put
 * they wait. The lock is held for a few instructions, once or twice an item,
 * so items should be worth some hundred microseconds.
 */
#include "snapshot/order.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

struct slot {
	void *item;
	bool done;
};

struct order {
	pthread_mutex_t lock;
	pthread_cond_t more;  /* helpers: an item waits, or nothing will come */
	pthread_cond_t ready; /* consumer: the next item is done or waits to be begun, or the end */
	pthread_cond_t room;  /* producer */
	struct slot ring[ORDER_CAP]; /* guarded by lock, as all down to stopped */
	uint64_t taken, begun, put;
	unsigned idle; /* helpers that wait for more */
	bool hungry;   /* the consumer waits and nobody has woken it yet */
	bool ended;
	bool stopped;

	void (*work)(void *arg, void *item);
	void *arg;
	unsigned nhelpers;
	pthread_t helpers[];
};

static struct slot *slot_at(struct order *o, uint64_t n)
{
	return &o->ring[n % ORDER_CAP];
}

static void wake_consumer_locked(struct order *o)
{
	if (o->hungry) {
		o->hungry = false;
		pthread_cond_signal(&o->ready);
	}
}

/* Begins the first waiting item and works on it, with the lock given up meanwhile. */
static void work_locked(struct order *o)
{
	uint64_t n = o->begun++;
	struct slot *s = slot_at(o, n);

	pthread_mutex_unlock(&o->lock);
	o->work(o->arg, s->item);
	pthread_mutex_lock(&o->lock);
	s->done = true;
	if (n == o->taken)
		wake_consumer_locked(o);
}

static void *help(void *arg)
{
	struct order *o = arg;

	pthread_mutex_lock(&o->lock);
	for (;;) {
		if (o->stopped)
			break;
		if (o->begun < o->put) {
			work_locked(o);
			continue;
		}
		if (o->ended)
			break;
		o->idle++;
		pthread_cond_wait(&o->more, &o->lock);
		o->idle--;
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

struct order *order_new(unsigned helpers, void (*work)(void *arg, void *item), void *arg)
{
	struct order *o = calloc(1, sizeof(*o) + helpers * sizeof(o->helpers[0]));
	sigset_t all, old;

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->more, NULL);
	pthread_cond_init(&o->ready, NULL);
	pthread_cond_init(&o->room, NULL);
	o->work = work;
	o->arg = arg;

	/* signals are for the program's own threads; with fewer helpers it only takes longer */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (o->nhelpers < helpers &&
	       pthread_create(&o->helpers[o->nhelpers], NULL, help, o) == 0) {
		(void)pthread_setname_np(o->helpers[o->nhelpers], "walk-stat");
		o->nhelpers++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return o;
}

bool order_put(struct order *o, void *take_item)
{
	pthread_mutex_lock(&o->lock);
	while (!o->stopped && o->put - o->taken >= ORDER_CAP)
		pthread_cond_wait(&o->room, &o->lock);
	bool ok = !o->stopped;
	if (ok) {
		*slot_at(o, o->put++) = (struct slot){ .item = take_item };
		if (o->hungry && o->begun == o->taken)
			wake_consumer_locked(o);
		else if (o->idle > 0)
			pthread_cond_signal(&o->more);
	}
	pthread_mutex_unlock(&o->lock);
	return ok;
}

void order_end(struct order *o)
{
	pthread_mutex_lock(&o->lock);
	o->ended = true;
	wake_consumer_locked(o);
	pthread_cond_broadcast(&o->more);
	pthread_mutex_unlock(&o->lock);
}

void *order_take(struct order *o)
{
	void *item = NULL;

	pthread_mutex_lock(&o->lock);
	while (!o->stopped) {
		struct slot *s = slot_at(o, o->taken);

		if (o->taken < o->put && s->done) {
			item = s->item;
			o->taken++;
			pthread_cond_signal(&o->room);
			break;
		}
		if (o->taken < o->put && o->begun == o->taken) {
			work_locked(o);
			continue;
		}
		if (o->taken == o->put && o->ended)
			break;
		o->hungry = true;
		pthread_cond_wait(&o->ready, &o->lock);
	}
	pthread_mutex_unlock(&o->lock);
	return item;
}

void order_stop(struct order *o)
{
	pthread_mutex_lock(&o->lock);
	o->stopped = true;
	o->hungry = false;
	pthread_cond_broadcast(&o->more);
	pthread_cond_broadcast(&o->ready);
	pthread_cond_broadcast(&o->room);
	pthread_mutex_unlock(&o->lock);
}

void order_free(struct order *o, void (*drop)(void *arg, void *item))
{
	if (!o)
		return;
	order_stop(o);
	for (unsigned i = 0; i < o->nhelpers; i++)
		pthread_join(o->helpers[i], NULL);
	for (; o->taken < o->put; o->taken++)
		drop(o->arg, slot_at(o, o->taken)->item);
	pthread_cond_destroy(&o->room);
	pthread_cond_destroy(&o->ready);
	pthread_cond_destroy(&o->more);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
