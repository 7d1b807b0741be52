/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory: one array of objects, sorted by key. An object is made
 * before it enters the array and never changes, and who reads it holds a
 * reference, so the lock is held for a search only, never for a copy of
 * content and never while the caller of a list looks at an item. A list
 * finds its place anew by key for each item; what is created and deleted
 * meanwhile cannot confuse it.
 *
 * A named store is shared by all its handles; the registry keeps it until the
 * process ends.
 *
 * Locks are kept as a service keeps them: an object that is locked is not
 * deleted before its time, by the store's clock, which a test can set.
 */
#include "store/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "store/driver.h"
#include "store/lock.h"

#define NS_PER_S INT64_C(1000000000)

struct object {
	atomic_uint refs;
	int64_t received_ns;
	int64_t locked_until_ns; /* guarded by the space's lock */
	size_t size;
	char key[STORE_KEY_MAX + 1];
	uint8_t data[];
};

/* What the handles of one store share. */
struct space {
	pthread_mutex_t lock;
	struct object **objects; /* guarded by lock; ascending by key */
	size_t n, cap;           /* guarded by lock */
	int64_t now_ns;          /* guarded by lock; 0: the real clock */
	int64_t lock_s;          /* guarded by lock; of what is put */
	struct space *next;      /* guarded by registry_lock */
	char *name;              /* NULL: not in the registry */
};

struct mem_store {
	struct store base;
	struct space *space;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct space *registry; /* guarded by registry_lock */

static const struct store_ops mem_ops;

static struct space *space_of(struct store *s)
{
	return ((struct mem_store *)s)->space;
}

static int64_t now_locked(const struct space *m)
{
	return m->now_ns ? m->now_ns : now_wall_ns();
}

static void object_unref(struct object *o)
{
	if (atomic_fetch_sub(&o->refs, 1) == 1)
		free(o);
}

/* Place of the first object whose key is not below `key`. */
static size_t find_locked(const struct space *m, const char *key)
{
	size_t lo = 0;
	size_t hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->objects[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at_locked(const struct space *m, size_t at, const char *key)
{
	return at < m->n && strcmp(m->objects[at]->key, key) == 0;
}

/* A reference to the object, or NULL. */
static struct object *object_get(struct space *m, const char *key, struct err *e)
{
	struct object *o = NULL;

	pthread_mutex_lock(&m->lock);
	size_t at = find_locked(m, key);
	if (is_at_locked(m, at, key)) {
		o = m->objects[at];
		atomic_fetch_add(&o->refs, 1);
	}
	pthread_mutex_unlock(&m->lock);
	if (!o)
		err_set(e, ERR_NOT_FOUND, "no such object");
	return o;
}

static bool is_prefix(const char *prefix, const char *s)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* No key lies below another one: a file system could not keep both. */
static int check_nesting_locked(const struct space *m, const char *key, struct err *e)
{
	char part[STORE_KEY_MAX + 2];
	size_t n = strlen(key);

	memcpy(part, key, n);
	memcpy(part + n, "/", 2);
	size_t at = find_locked(m, part);
	if (at < m->n && is_prefix(part, m->objects[at]->key))
		return err_set(e, ERR_INVALID, "there are objects below this key, as '%s'",
		               m->objects[at]->key);
	for (size_t i = 1; i < n; i++) {
		if (key[i] != '/')
			continue;
		part[i] = '\0';
		if (is_at_locked(m, find_locked(m, part), part))
			return err_set(e, ERR_INVALID, "its part '%s' is an object itself", part);
		part[i] = '/';
	}
	return 0;
}

/* Takes the reference of o on success. */
static int insert_locked(struct space *m, struct object *o, struct err *e)
{
	size_t at = find_locked(m, o->key);

	if (is_at_locked(m, at, o->key))
		return err_set(e, ERR_EXISTS, "the key is taken");
	if (check_nesting_locked(m, o->key, e) < 0)
		return -1;
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 16;
		struct object **more = reallocarray(m->objects, cap, sizeof(struct object *));

		if (!more)
			return err_set(e, ERR_NOMEM, "no memory for %zu objects", cap);
		m->objects = more;
		m->cap = cap;
	}
	memmove(m->objects + at + 1, m->objects + at, (m->n - at) * sizeof(struct object *));
	m->objects[at] = o;
	m->n++;
	return 0;
}

static int mem_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                   struct err *e)
{
	struct space *m = space_of(s);
	size_t size = store_iov_bytes(iov, niov);
	auto_free struct object *o = malloc(sizeof(*o) + size);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for %zu bytes", size);
	atomic_init(&o->refs, 1);
	o->size = size;
	memcpy(o->key, key, strlen(key) + 1);
	store_iov_copy(iov, niov, 0, o->data, size);

	pthread_mutex_lock(&m->lock);
	o->received_ns = now_locked(m);
	o->locked_until_ns = m->lock_s > 0 && lock_applies(key)
	                             ? lock_until_s(o->received_ns / NS_PER_S, m->lock_s) * NS_PER_S
	                             : 0;
	int r = insert_locked(m, o, e);
	if (r == 0)
		o = NULL;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_get(struct store *s, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	struct object *o = object_get(space_of(s), key, e);

	if (!o)
		return -1;
	int r = 0;
	if (off > o->size || n > o->size - off)
		r = err_set(e, ERR_CORRUPT,
		            "it has %zu bytes, %zu at offset %llu were to be read: it is damaged "
		            "or not what it should be",
		            o->size, n, (unsigned long long)off);
	else if (n > 0)
		memcpy(p, o->data + off, n);
	object_unref(o);
	return r;
}

static int mem_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct space *m = space_of(s);
	struct object *o = object_get(m, key, e);

	if (!o)
		return -1;
	pthread_mutex_lock(&m->lock);
	*ret = (struct store_stat){ .size = o->size,
		                    .received_ns = o->received_ns,
		                    .locked_until_ns = o->locked_until_ns };
	pthread_mutex_unlock(&m->lock);
	object_unref(o);
	return 0;
}

static int mem_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	struct space *m = space_of(s);
	struct object *o = object_get(m, key, e);

	if (!o)
		return -1;
	pthread_mutex_lock(&m->lock);
	if (o->locked_until_ns < until_ns)
		o->locked_until_ns = until_ns;
	pthread_mutex_unlock(&m->lock);
	object_unref(o);
	return 0;
}

/* The first object with the prefix whose key is above `after` (from `after` on with `incl`). */
static bool next_item(struct space *m, const char *prefix, const char *after, bool incl,
                      struct store_item *ret)
{
	bool found = false;

	pthread_mutex_lock(&m->lock);
	size_t at = find_locked(m, after);
	if (!incl && is_at_locked(m, at, after))
		at++;
	if (at < m->n && is_prefix(prefix, m->objects[at]->key)) {
		const struct object *o = m->objects[at];

		memcpy(ret->key, o->key, sizeof(ret->key));
		ret->st = (struct store_stat){ .size = o->size, .received_ns = o->received_ns };
		found = true;
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

static int mem_list(struct store *s, const char *prefix, const char *after,
                    int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
                    struct err *e)
{
	struct space *m = space_of(s);
	struct store_item item;
	char place[STORE_KEY_MAX + 1];
	bool incl = strcmp(prefix, after) > 0;
	const char *from = incl ? prefix : after;

	while (next_item(m, prefix, from, incl, &item)) {
		memcpy(place, item.key, sizeof(place));
		int r = each(arg, &item, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
		from = place;
		incl = false;
	}
	return 0;
}

static int mem_del(struct store *s, const char *key, struct err *e)
{
	struct space *m = space_of(s);
	struct object *o = NULL;
	int64_t until_ns = 0;

	pthread_mutex_lock(&m->lock);
	size_t at = find_locked(m, key);
	if (is_at_locked(m, at, key) && m->objects[at]->locked_until_ns > now_locked(m)) {
		until_ns = m->objects[at]->locked_until_ns;
	} else if (is_at_locked(m, at, key)) {
		o = m->objects[at];
		m->n--;
		memmove(m->objects + at, m->objects + at + 1,
		        (m->n - at) * sizeof(struct object *));
	}
	pthread_mutex_unlock(&m->lock);
	if (o)
		object_unref(o);
	return until_ns ? err_set(e, ERR_BUSY, "it is locked until %s", now_rfc3339(until_ns).s)
	                : 0;
}

void store_mem_set_now(struct store *mem, int64_t now_ns)
{
	struct space *m = space_of(mem);

	assert(mem->ops == &mem_ops);
	pthread_mutex_lock(&m->lock);
	m->now_ns = now_ns;
	pthread_mutex_unlock(&m->lock);
}

void store_mem_set_lock(struct store *mem, int64_t lock_s)
{
	struct space *m = space_of(mem);

	assert(mem->ops == &mem_ops);
	pthread_mutex_lock(&m->lock);
	m->lock_s = lock_s;
	pthread_mutex_unlock(&m->lock);
	mem->lock_s = lock_s;
}

static void space_free(struct space *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		object_unref(m->objects[i]);
	free(m->objects);
	free(m->name);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void clean_space(struct space *const *m)
{
	space_free(*m);
}

/* name may be NULL. */
static struct space *space_new(const char *name, struct err *e)
{
	CLEANUP(clean_space) struct space *m = calloc(1, sizeof(*m));

	if (m)
		pthread_mutex_init(&m->lock, NULL);
	if (m && name)
		m->name = strdup(name);
	if (!m || (name && !m->name)) {
		err_set(e, ERR_NOMEM, "no memory for a store");
		return NULL;
	}
	return STEAL(&m);
}

static void mem_free(struct store *s)
{
	struct space *m = space_of(s);

	/* A named space stays: the registry has it. */
	if (!m->name)
		space_free(m);
	store_base_clear(s);
	free(s);
}

static const struct store_ops mem_ops = {
	.name = "mem",
	.put = mem_put,
	.get = mem_get,
	.head = mem_head,
	.list = mem_list,
	.del = mem_del,
	.lock = mem_lock,
	.free = mem_free,
};

static struct store *handle_new(struct space *m, struct err *e)
{
	auto_free struct mem_store *h = calloc(1, sizeof(*h));

	if (!h) {
		err_set(e, ERR_NOMEM, "no memory for a store");
		return NULL;
	}
	if (store_base_init(&h->base, &mem_ops,
	                    STORE_CAP_CONDITIONAL_PUT | STORE_CAP_OBJECT_LOCK | STORE_CAP_WRITE,
	                    "mem:", m->name ? m->name : "", e) < 0)
		return NULL;
	h->space = m;
	return &STEAL(&h)->base;
}

struct store *store_mem_new(struct err *e)
{
	CLEANUP(clean_space) struct space *m = space_new(NULL, e);

	if (!m)
		return NULL;
	struct store *s = handle_new(m, e);
	if (s)
		m = NULL;
	return s;
}

static struct space *registry_find_locked(const char *name, struct err *e)
{
	for (struct space *m = registry; m; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m;
	struct space *m = space_new(name, e);
	if (m) {
		m->next = registry;
		registry = m;
	}
	return m;
}

struct store *store_mem_named(const char *name, struct err *e)
{
	pthread_mutex_lock(&registry_lock);
	struct space *m = registry_find_locked(name, e);
	pthread_mutex_unlock(&registry_lock);
	return m ? handle_new(m, e) : NULL;
}
