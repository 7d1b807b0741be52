/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool is a stack, so that the memory used last, still in the cache of a
 * CPU, is used next. Entries and marks are set up as they are added: a batch
 * of few entries touches few pages.
 */
#include "snapshot/batch.h"

#include <string.h>

void batch_pool_init(struct batch_pool *p, struct source *source)
{
	*p = (struct batch_pool){ .source = source };
	pthread_mutex_init(&p->lock, NULL);
}

static void destroy(struct walk_batch *b)
{
	free(b->paths);
	free(b);
}

void batch_pool_clear(struct batch_pool *p)
{
	for (struct walk_batch *b = p->spare, *next; b; b = next) {
		next = b->next;
		destroy(b);
	}
	pthread_mutex_destroy(&p->lock);
}

struct walk_batch *batch_new(struct batch_pool *p, struct batch_dir *dir)
{
	pthread_mutex_lock(&p->lock);
	struct walk_batch *b = p->spare;
	if (b) {
		p->spare = b->next;
		p->nspare--;
	}
	pthread_mutex_unlock(&p->lock);

	if (!b) {
		b = malloc(sizeof(*b));
		if (!b)
			return NULL;
		b->paths = NULL;
		b->paths_cap = 0;
	}
	b->pub.source = p->source;
	b->pub.n = 0;
	b->pub.priv = NULL;
	b->pool = p;
	b->dir = dir ? batch_dir_ref(dir) : NULL;
	b->paths_len = 0;
	atomic_init(&b->refs, 1);
	return b;
}

void batch_ref(struct walk_batch *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void batch_unref(struct walk_batch *b)
{
	struct batch_pool *p = b->pool;

	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	batch_dir_unref(b->dir);
	if (b->paths_cap > BATCH_PATHS) {
		free(b->paths);
		b->paths = NULL;
		b->paths_cap = 0;
	}
	pthread_mutex_lock(&p->lock);
	bool keep = p->nspare < BATCH_SPARE;
	if (keep) {
		b->next = p->spare;
		p->spare = b;
		p->nspare++;
	}
	pthread_mutex_unlock(&p->lock);
	if (!keep)
		destroy(b);
}

/* Room for n bytes of path: as it is, or made for the first entry of a batch. */
static bool has_room(struct walk_batch *b, size_t n)
{
	if (b->paths_cap - b->paths_len >= n)
		return true;
	if (b->pub.n > 0)
		return false;
	size_t cap = n > BATCH_PATHS ? n : BATCH_PATHS;
	char *p = realloc(b->paths, cap);
	if (!p)
		return false;
	b->paths = p;
	b->paths_cap = cap;
	return true;
}

struct entry *batch_add(struct walk_batch *b, const char *dir, size_t dir_len, const char *name,
                        size_t name_len)
{
	size_t at = dir_len > 0 && name_len > 0 ? dir_len + 1 : dir_len;

	if (b->pub.n == SOURCE_BATCH_MAX || !has_room(b, at + name_len + 1))
		return NULL;
	char *path = b->paths + b->paths_len;
	memcpy(path, dir, dir_len);
	if (at > dir_len)
		path[dir_len] = '/';
	memcpy(path + at, name, name_len);
	path[at + name_len] = '\0';
	b->paths_len += at + name_len + 1;

	size_t i = b->pub.n++;
	b->marks[i] = (struct batch_mark){ .batch = b, .todo = BATCH_STAT };
	b->pub.entries[i] = (struct entry){
		.path = path,
		.path_len = at + name_len,
		.name = path + at,
		.priv = &b->marks[i],
	};
	return &b->pub.entries[i];
}

struct batch_dir *batch_dir_new(struct batch_pool *p, int take_fd)
{
	struct batch_dir *d = malloc(sizeof(*d));

	if (!d) {
		(void)close(take_fd);
		return NULL;
	}
	d->pool = p;
	d->fd = take_fd;
	atomic_init(&d->refs, 1);
	atomic_fetch_add_explicit(&p->dirs, 1, memory_order_relaxed);
	return d;
}

struct batch_dir *batch_dir_ref(struct batch_dir *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void batch_dir_unref(struct batch_dir *d)
{
	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	(void)close(d->fd);
	atomic_fetch_sub_explicit(&d->pool->dirs, 1, memory_order_relaxed);
	free(d);
}
