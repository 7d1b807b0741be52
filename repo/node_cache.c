/* SPDX-License-Identifier: Apache-2.0 */
/* See node_cache.h: lists by hash, and one list by last use. */
#include "repo/node_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/arena.h"

#define SLOTS 4096 /* a power of two; nodes are some ten KiB */

struct kept_node {
	struct kept_node *next_in_slot;
	struct kept_node *newer, *older;
	uint8_t id[FORMAT_ID_BYTES];
	struct leaf *leaf; /* one of the two */
	struct inner *inner;
	size_t bytes;
};

struct node_cache {
	pthread_mutex_t lock;
	struct kept_node *slots[SLOTS];    /* guarded by lock */
	struct kept_node *newest, *oldest; /* guarded by lock */
	size_t bytes;                      /* guarded by lock; at most max */
	size_t max;
};

struct node_cache *node_cache_new(size_t bytes)
{
	struct node_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->max = bytes;
	(void)pthread_mutex_init(&c->lock, NULL);
	return c;
}

static struct kept_node **slot_of(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES])
{
	uint32_t at;

	/* Ids are as good as random. */
	memcpy(&at, id, sizeof(at));
	return &c->slots[at & (SLOTS - 1)];
}

static void unlink_locked(struct node_cache *c, struct kept_node *n)
{
	*(n->newer ? &n->newer->older : &c->newest) = n->older;
	*(n->older ? &n->older->newer : &c->oldest) = n->newer;
	n->newer = n->older = NULL;
}

static void link_locked(struct node_cache *c, struct kept_node *n)
{
	n->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = n;
	c->newest = n;
}

static void drop_locked(struct node_cache *c, struct kept_node *n)
{
	struct kept_node **at = slot_of(c, n->id);

	while (*at != n)
		at = &(*at)->next_in_slot;
	*at = n->next_in_slot;
	unlink_locked(c, n);
	c->bytes -= n->bytes;
	leaf_unref(n->leaf);
	inner_free(n->inner);
	free(n);
}

void node_cache_free(struct node_cache *c)
{
	if (!c)
		return;
	while (c->oldest)
		drop_locked(c, c->oldest);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* The node of this id, as the one used last; NULL when there is none. */
static struct kept_node *find_locked(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES])
{
	struct kept_node *n = *slot_of(c, id);

	while (n && memcmp(n->id, id, sizeof(n->id)) != 0)
		n = n->next_in_slot;
	if (n && n != c->newest) {
		unlink_locked(c, n);
		link_locked(c, n);
	}
	return n;
}

struct leaf *node_cache_leaf(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES])
{
	(void)pthread_mutex_lock(&c->lock);
	struct kept_node *n = find_locked(c, id);
	struct leaf *l = n && n->leaf ? leaf_ref(n->leaf) : NULL;
	(void)pthread_mutex_unlock(&c->lock);
	return l;
}

struct inner *node_cache_inner(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES])
{
	(void)pthread_mutex_lock(&c->lock);
	struct kept_node *n = find_locked(c, id);
	struct inner *i = n && n->inner ? inner_ref(n->inner) : NULL;
	(void)pthread_mutex_unlock(&c->lock);
	return i;
}

static void put(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES], struct leaf *l,
                struct inner *i, const struct arena *arena)
{
	struct kept_node *n = malloc(sizeof(*n));
	size_t bytes = sizeof(*n) + arena->bytes;

	(void)pthread_mutex_lock(&c->lock);
	if (!n || bytes > c->max || find_locked(c, id)) {
		(void)pthread_mutex_unlock(&c->lock);
		free(n);
		return;
	}
	while (c->bytes + bytes > c->max)
		drop_locked(c, c->oldest);
	*n = (struct kept_node){ .next_in_slot = *slot_of(c, id), .bytes = bytes };
	memcpy(n->id, id, sizeof(n->id));
	n->leaf = l ? leaf_ref(l) : NULL;
	n->inner = i ? inner_ref(i) : NULL;
	*slot_of(c, id) = n;
	link_locked(c, n);
	c->bytes += bytes;
	(void)pthread_mutex_unlock(&c->lock);
}

void node_cache_put_leaf(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES], struct leaf *l)
{
	put(c, id, l, NULL, l->arena);
}

void node_cache_put_inner(struct node_cache *c, const uint8_t id[FORMAT_ID_BYTES], struct inner *i)
{
	put(c, id, NULL, i, i->arena);
}

size_t node_cache_bytes(struct node_cache *c)
{
	(void)pthread_mutex_lock(&c->lock);
	size_t bytes = c->bytes;
	(void)pthread_mutex_unlock(&c->lock);
	return bytes;
}
