/* SPDX-License-Identifier: Apache-2.0 */
/* See damage_store.h. An array of objects that is sorted by key. */
#include "tests/harness/damage_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "store/driver.h"
#include "tests/harness/harness.h"

static struct damage_store *of(struct store *s)
{
	return (struct damage_store *)s;
}

/* ---- bytes ---- */

static struct damage_bytes *bytes_new(size_t n)
{
	struct damage_bytes *b = malloc(sizeof(*b) + n);

	if (!b)
		harness_die("no memory for an object");
	atomic_init(&b->refs, 1);
	b->n = n;
	return b;
}

static struct damage_bytes *bytes_ref(struct damage_bytes *b)
{
	(void)atomic_fetch_add(&b->refs, 1);
	return b;
}

static void bytes_unref(struct damage_bytes *b)
{
	if (atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

/* ---- the array ---- */

static size_t find_locked(const struct damage_store *s, const char *key)
{
	size_t lo = 0;
	size_t hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->v[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct damage_object *at_locked(const struct damage_store *s, const char *key)
{
	size_t i = find_locked(s, key);

	return i < s->n && strcmp(s->v[i].key, key) == 0 ? &s->v[i] : NULL;
}

/* The key is not taken. Takes the reference to bytes. */
static void insert_locked(struct damage_store *s, const char *key, int64_t received_ns,
                          struct damage_bytes *bytes)
{
	size_t i = find_locked(s, key);

	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->v = reallocarray(s->v, s->cap, sizeof(*s->v));
	}
	char *copy = strdup(key);
	if (!s->v || !copy)
		harness_die("no memory for a store");
	memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof(*s->v));
	s->v[i] = (struct damage_object){ .key = copy, .received_ns = received_ns, .bytes = bytes };
	s->n++;
}

static void remove_locked(struct damage_store *s, struct damage_object *o)
{
	size_t i = (size_t)(o - s->v);

	bytes_unref(o->bytes);
	free(o->key);
	s->n--;
	memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof(*s->v));
}

/* ---- as a store ---- */

static int damage_put(struct store *base, const char *key, const struct iovec *iov, int niov,
                      struct err *e)
{
	struct damage_store *s = of(base);
	struct damage_bytes *b = bytes_new(store_iov_bytes(iov, niov));
	int rc = 0;

	store_iov_copy(iov, niov, 0, b->data, b->n);
	(void)pthread_mutex_lock(&s->lock);
	if (at_locked(s, key))
		rc = err_set(e, ERR_EXISTS, "the key is taken");
	else
		insert_locked(s, key, now_wall_ns(), bytes_ref(b));
	(void)pthread_mutex_unlock(&s->lock);
	bytes_unref(b);
	return rc;
}

/* The bytes of an object, and a reference to them; NULL: e. */
static struct damage_bytes *take(struct damage_store *s, const char *key, int64_t *ret_received_ns,
                                 struct err *e)
{
	struct damage_bytes *b = NULL;

	(void)pthread_mutex_lock(&s->lock);
	const struct damage_object *o = at_locked(s, key);
	if (o) {
		b = bytes_ref(o->bytes);
		*ret_received_ns = o->received_ns;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (!b)
		(void)err_set(e, ERR_NOT_FOUND, "no such object");
	return b;
}

static int damage_get(struct store *base, const char *key, uint64_t off, void *p, size_t n,
                      struct err *e)
{
	int64_t received_ns;
	struct damage_bytes *b = take(of(base), key, &received_ns, e);
	int rc = 0;

	if (!b)
		return -1;
	if (off > b->n || n > b->n - off)
		rc = err_set(e, ERR_CORRUPT, "it ends before what was to be read");
	else if (n > 0)
		memcpy(p, b->data + off, n);
	bytes_unref(b);
	return rc;
}

static int damage_head(struct store *base, const char *key, struct store_stat *ret, struct err *e)
{
	int64_t received_ns;
	struct damage_bytes *b = take(of(base), key, &received_ns, e);

	if (!b)
		return -1;
	*ret = (struct store_stat){ .size = b->n, .received_ns = received_ns };
	bytes_unref(b);
	return 0;
}

static bool next_item(struct damage_store *s, const char *prefix, const char *after,
                      struct store_item *ret)
{
	bool found = false;

	(void)pthread_mutex_lock(&s->lock);
	size_t i = find_locked(s, strcmp(prefix, after) > 0 ? prefix : after);
	if (i < s->n && *after && strcmp(s->v[i].key, after) == 0)
		i++;
	if (i < s->n && strncmp(s->v[i].key, prefix, strlen(prefix)) == 0) {
		(void)snprintf(ret->key, sizeof(ret->key), "%s", s->v[i].key);
		ret->st = (struct store_stat){ .size = s->v[i].bytes->n,
			                       .received_ns = s->v[i].received_ns };
		found = true;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

static int damage_list(struct store *base, const char *prefix, const char *after,
                       int (*each)(void *arg, const struct store_item *item, struct err *e),
                       void *arg, struct err *e)
{
	struct store_item item;
	char last[STORE_KEY_MAX + 1];

	(void)snprintf(last, sizeof(last), "%s", after);
	while (next_item(of(base), prefix, last, &item)) {
		int rc = each(arg, &item, e);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		(void)snprintf(last, sizeof(last), "%s", item.key);
	}
	return 0;
}

static int damage_del(struct store *base, const char *key, struct err *e)
{
	(void)e;
	damage_store_remove(of(base), key);
	return 0;
}

static void damage_free(struct store *base)
{
	struct damage_store *s = of(base);

	while (s->n > 0)
		remove_locked(s, &s->v[s->n - 1]);
	free(s->v);
	(void)pthread_mutex_destroy(&s->lock);
	store_base_clear(base);
	free(s);
}

/* ---- behind its back ---- */

struct damage_store *damage_store_new(void)
{
	static const struct store_ops ops = {
		.name = "damage",
		.put = damage_put,
		.get = damage_get,
		.head = damage_head,
		.list = damage_list,
		.del = damage_del,
		.free = damage_free,
	};
	struct damage_store *s = calloc(1, sizeof(*s));
	struct err e = ERR_INIT;

	if (!s || store_base_init(&s->base, &ops,
	                          STORE_CAP_CONDITIONAL_PUT | STORE_CAP_WRITE | STORE_CAP_LOCAL,
	                          "damage:", "", &e) < 0)
		harness_die("no memory for a store");
	(void)pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct damage_store *damage_store_copy(struct damage_store *from)
{
	struct damage_store *s = damage_store_new();

	(void)pthread_mutex_lock(&from->lock);
	for (size_t i = 0; i < from->n; i++)
		insert_locked(s, from->v[i].key, from->v[i].received_ns,
		              bytes_ref(from->v[i].bytes));
	(void)pthread_mutex_unlock(&from->lock);
	return s;
}

const struct damage_object *damage_store_find(const struct damage_store *s, const char *key)
{
	return at_locked(s, key);
}

void damage_store_set(struct damage_store *s, const char *key, const void *p, size_t n)
{
	struct damage_bytes *b = bytes_new(n);

	if (n > 0)
		memcpy(b->data, p, n);
	(void)pthread_mutex_lock(&s->lock);
	struct damage_object *o = at_locked(s, key);
	if (o) {
		bytes_unref(o->bytes);
		o->bytes = b;
	} else {
		insert_locked(s, key, now_wall_ns(), b);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

void damage_store_remove(struct damage_store *s, const char *key)
{
	(void)pthread_mutex_lock(&s->lock);
	struct damage_object *o = at_locked(s, key);
	if (o)
		remove_locked(s, o);
	(void)pthread_mutex_unlock(&s->lock);
}

void damage_store_swap(struct damage_store *s, const char *a, const char *b)
{
	(void)pthread_mutex_lock(&s->lock);
	struct damage_object *x = at_locked(s, a);
	struct damage_object *y = at_locked(s, b);
	if (!x || !y)
		harness_die("'%s' or '%s' is not there", a, b);
	struct damage_bytes *bytes = x->bytes;
	x->bytes = y->bytes;
	y->bytes = bytes;
	(void)pthread_mutex_unlock(&s->lock);
}

void damage_store_take(struct damage_store *s, const struct damage_store *from, const char *prefix)
{
	size_t n = strlen(prefix);

	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = s->n; i-- > 0;) {
		if (strncmp(s->v[i].key, prefix, n) == 0)
			remove_locked(s, &s->v[i]);
	}
	for (size_t i = 0; i < from->n; i++) {
		const struct damage_object *o = &from->v[i];

		if (strncmp(o->key, prefix, n) == 0)
			insert_locked(s, o->key, o->received_ns, bytes_ref(o->bytes));
	}
	(void)pthread_mutex_unlock(&s->lock);
}
