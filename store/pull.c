/* SPDX-License-Identifier: Apache-2.0 */
/* See pull.h. Items travel in batches, so that a thread is woken once for many of them. */
#include "store/pull.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue.h"

#define BATCH 128 /* items */
#define AHEAD 4   /* batches in the queue */

struct batch {
	size_t n;
	struct store_item items[BATCH];
};

struct store_pull {
	struct store *store; /* borrowed */
	char *prefix;        /* owned */
	pthread_t thread;
	struct queue queue; /* of batches */
	/* of the thread; the closing of the queue hands them over */
	struct batch *filling;
	int rc;
	struct err err;
	/* of who asks */
	struct batch *current;
	size_t at; /* in current */
	bool ended;
};

/* 0, or 1: nobody wants it any more. */
static int hand_over(struct store_pull *p)
{
	if (!queue_push(&p->queue, p->filling))
		return 1;
	p->filling = NULL;
	return 0;
}

static int take(void *arg, const struct store_item *item, struct err *e)
{
	struct store_pull *p = arg;

	if (!p->filling) {
		p->filling = malloc(sizeof(*p->filling));
		if (!p->filling)
			return err_set(e, ERR_NOMEM, "no memory for a listing");
		p->filling->n = 0;
	}
	struct store_item *to = &p->filling->items[p->filling->n++];
	memcpy(to->key, item->key, strlen(item->key) + 1);
	to->st = item->st;
	return p->filling->n == BATCH ? hand_over(p) : 0;
}

static void *list_main(void *arg)
{
	struct store_pull *p = arg;

	p->rc = store_list(p->store, p->prefix, NULL, take, p, &p->err);
	if (p->filling)
		(void)hand_over(p);
	queue_close(&p->queue);
	return NULL;
}

struct store_pull *store_pull_new(struct store *s, const char *prefix, struct err *e)
{
	struct store_pull *p = calloc(1, sizeof(*p));

	if (!p) {
		(void)err_set(e, ERR_NOMEM, "no memory for a listing");
		return NULL;
	}
	p->store = s;
	p->prefix = strdup(prefix);
	if (!p->prefix || queue_init(&p->queue, AHEAD) < 0) {
		(void)err_set(e, ERR_NOMEM, "no memory for a listing");
		goto fail;
	}
	int os = pthread_create(&p->thread, NULL, list_main, p);
	if (os != 0) {
		(void)err_sys(e, os, "starting a thread for a listing");
		queue_clear(&p->queue);
		goto fail;
	}
	(void)pthread_setname_np(p->thread, "list");
	return p;
fail:
	free(p->prefix);
	free(p);
	return NULL;
}

int store_pull_next(struct store_pull *p, const struct store_item **ret, struct err *e)
{
	if (p->current && p->at == p->current->n) {
		free(p->current);
		p->current = NULL;
	}
	if (!p->current && !p->ended) {
		p->current = queue_pop(&p->queue);
		p->at = 0;
		p->ended = !p->current;
	}
	if (p->current) {
		*ret = &p->current->items[p->at++];
		return 1;
	}
	if (p->rc < 0)
		*e = p->err;
	return p->rc < 0 ? -1 : 0;
}

void store_pull_free(struct store_pull *p)
{
	struct batch *b;

	if (!p)
		return;
	queue_close(&p->queue);
	(void)pthread_join(p->thread, NULL);
	while ((b = queue_try_pop(&p->queue)) != NULL)
		free(b);
	queue_clear(&p->queue);
	free(p->filling);
	free(p->current);
	free(p->prefix);
	free(p);
}
