/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open descriptors by key. There are a few dozen entries, so a search is a
 * walk over an array that compares a 64-bit hash first; it costs less than
 * the pread that follows.
 */
#include "store/fdcache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

struct entry {
	int fd;    /* -1: the entry is empty */
	bool gone; /* dropped while in use: nobody finds it, the last reference empties it */
	unsigned refs;
	uint64_t hash;
	uint64_t size;
	uint64_t used; /* value of `uses` at the last use */
	int64_t used_ms;
	char key[STORE_KEY_MAX + 1];
};

struct fdcache {
	pthread_mutex_t lock;
	uint64_t generation; /* guarded by lock */
	uint64_t uses;       /* guarded by lock; orders the entries by last use */
	size_t cap;
	struct entry entries[]; /* guarded by lock */
};

/* FNV-1a */
static uint64_t hash_of(const char *key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * UINT64_C(0x100000001b3);
	return h;
}

struct fdcache *fdcache_new(size_t cap)
{
	struct fdcache *c = calloc(1, sizeof(*c) + cap * sizeof(c->entries[0]));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->cap = cap;
	for (size_t i = 0; i < cap; i++)
		c->entries[i].fd = -1;
	return c;
}

void fdcache_free(struct fdcache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->cap; i++)
		clean_close(&c->entries[i].fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct entry *find_locked(struct fdcache *c, const char *key)
{
	uint64_t hash = hash_of(key);

	for (size_t i = 0; i < c->cap; i++) {
		struct entry *n = &c->entries[i];

		if (n->fd >= 0 && !n->gone && n->hash == hash && strcmp(n->key, key) == 0)
			return n;
	}
	return NULL;
}

static void use_locked(struct fdcache *c, struct entry *n, int64_t now_ms, struct fdcache_ref *ret)
{
	n->refs++;
	n->used = ++c->uses;
	n->used_ms = now_ms;
	*ret = (struct fdcache_ref){
		.fd = n->fd, .size = n->size, .cache = c, .slot = (size_t)(n - c->entries)
	};
}

bool fdcache_get(struct fdcache *c, const char *key, int64_t now_ms, struct fdcache_ref *ret)
{
	pthread_mutex_lock(&c->lock);
	struct entry *n = find_locked(c, key);
	if (n)
		use_locked(c, n, now_ms, ret);
	pthread_mutex_unlock(&c->lock);
	return n != NULL;
}

uint64_t fdcache_generation(struct fdcache *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t generation = c->generation;
	pthread_mutex_unlock(&c->lock);
	return generation;
}

/* An empty entry, or the one in no use that was used longest ago; NULL: all are in use. */
static struct entry *victim_locked(struct fdcache *c)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < c->cap; i++) {
		struct entry *n = &c->entries[i];

		if (n->fd < 0)
			return n;
		if (n->refs == 0 && (!oldest || n->used < oldest->used))
			oldest = n;
	}
	return oldest;
}

void fdcache_add(struct fdcache *c, const char *key, int take_fd, uint64_t size,
                 uint64_t generation, int64_t now_ms, struct fdcache_ref *ret)
{
	int old = -1;

	pthread_mutex_lock(&c->lock);
	struct entry *n = find_locked(c, key);
	if (n) {
		/* another thread was faster */
		old = take_fd;
		use_locked(c, n, now_ms, ret);
	} else {
		n = c->generation == generation ? victim_locked(c) : NULL;
		if (n) {
			old = n->fd;
			n->fd = take_fd;
			n->size = size;
			n->hash = hash_of(key);
			memcpy(n->key, key, strlen(key) + 1);
			use_locked(c, n, now_ms, ret);
		} else {
			*ret = (struct fdcache_ref){ .fd = take_fd, .size = size };
		}
	}
	pthread_mutex_unlock(&c->lock);
	clean_close(&old);
}

void fdcache_release(struct fdcache_ref *ref)
{
	struct fdcache *c = ref->cache;
	int old = -1;

	if (c) {
		pthread_mutex_lock(&c->lock);
		struct entry *n = &c->entries[ref->slot];
		if (--n->refs == 0 && n->gone) {
			old = steal_fd(&n->fd);
			n->gone = false;
		}
		pthread_mutex_unlock(&c->lock);
	} else {
		old = ref->fd;
	}
	clean_close(&old);
	*ref = (struct fdcache_ref)FDCACHE_REF_NONE;
}

void fdcache_drop(struct fdcache *c, const char *key)
{
	int old = -1;

	pthread_mutex_lock(&c->lock);
	c->generation++;
	struct entry *n = find_locked(c, key);
	if (n && n->refs > 0)
		n->gone = true;
	else if (n)
		old = steal_fd(&n->fd);
	pthread_mutex_unlock(&c->lock);
	clean_close(&old);
}

size_t fdcache_trim(struct fdcache *c, int64_t before_ms)
{
	size_t closed = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->cap; i++) {
		struct entry *n = &c->entries[i];

		if (n->fd >= 0 && n->refs == 0 && n->used_ms < before_ms) {
			clean_close(&n->fd);
			n->fd = -1;
			closed++;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return closed;
}
