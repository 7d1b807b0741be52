/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that all drivers and wrappers are made of: the base, pieces of an
 * upload, and the operations that a wrapper hands on unchanged.
 */
#include "store/driver.h"

#include <stdlib.h>
#include <string.h>

int store_base_init(struct store *s, const struct store_ops *ops, unsigned caps, const char *scheme,
                    const char *place, struct err *e)
{
	size_t n = strlen(scheme);

	s->url = malloc(n + strlen(place) + 1);
	if (!s->url)
		return err_set(e, ERR_NOMEM, "no memory for a store");
	memcpy(s->url, scheme, n);
	memcpy(s->url + n, place, strlen(place) + 1);
	s->ops = ops;
	s->caps = caps;
	return 0;
}

void store_base_clear(struct store *s)
{
	free(s->url);
	s->url = NULL;
}

size_t store_iov_bytes(const struct iovec *iov, int niov)
{
	size_t n = 0;

	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	return n;
}

void store_iov_copy(const struct iovec *iov, int niov, size_t off, void *ret, size_t n)
{
	uint8_t *to = ret;

	for (int i = 0; i < niov && n > 0; i++) {
		size_t len = iov[i].iov_len;

		if (off >= len) {
			off -= len;
			continue;
		}
		size_t take = len - off < n ? len - off : n;
		memcpy(to, (const uint8_t *)iov[i].iov_base + off, take);
		to += take;
		n -= take;
		off = 0;
	}
}

int store_iov_slice(const struct iovec *iov, int niov, uint64_t off, uint64_t n, struct iovec *ret)
{
	int pieces = 0;

	for (int i = 0; i < niov && n > 0; i++) {
		size_t len = iov[i].iov_len;

		if (off >= len) {
			off -= len;
			continue;
		}
		size_t take = len - off < n ? len - (size_t)off : (size_t)n;
		ret[pieces++] = (struct iovec){ (uint8_t *)iov[i].iov_base + off, take };
		n -= take;
		off = 0;
	}
	return pieces;
}

int store_base_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	if (s->ops->lock)
		return s->ops->lock(s, key, until_ns, e);
	return err_set(e, ERR_UNSUPPORTED,
	               "a store of this kind cannot keep objects from being deleted");
}

int store_base_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	return s->ops->get_all ? s->ops->get_all(s, key, b, e) : store_base_head_get(s, key, b, e);
}

int store_base_head_get(struct store *s, const char *key, struct buf *b, struct err *e)
{
	struct store_stat st;

	if (s->ops->head(s, key, &st, e) < 0)
		return -1;
	if (st.size > b->max || b->len > b->max - st.size)
		return err_set(e, ERR_TOO_BIG, "it has %llu bytes, over the limit of %zu",
		               (unsigned long long)st.size, b->max);
	if (buf_reserve(b, (size_t)st.size) < 0)
		return buf_check(b, key, e);
	if (st.size > 0 && s->ops->get(s, key, 0, b->data + b->len, (size_t)st.size, e) < 0)
		return -1;
	b->len += (size_t)st.size;
	return 0;
}

void *store_wrap_new(size_t size, const struct store_ops *ops, struct store *take_inner,
                     unsigned caps, struct err *e)
{
	auto_store struct store *inner = take_inner;
	auto_free struct store_wrap *w = calloc(1, size);

	if (!w) {
		err_set(e, ERR_NOMEM, "no memory for a store");
		return NULL;
	}
	if (store_base_init(&w->base, ops, caps, inner->url, "", e) < 0)
		return NULL;
	w->base.lock_s = inner->lock_s;
	w->inner = STEAL(&inner);
	return STEAL(&w);
}

int store_wrap_get(struct store *s, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	struct store *inner = store_inner(s);

	return inner->ops->get(inner, key, off, p, n, e);
}

int store_wrap_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct store *inner = store_inner(s);

	return inner->ops->head(inner, key, ret, e);
}

int store_wrap_list(struct store *s, const char *prefix, const char *after,
                    int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
                    struct err *e)
{
	struct store *inner = store_inner(s);

	return inner->ops->list(inner, prefix, after, each, arg, e);
}

int store_wrap_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	return store_base_get_all(store_inner(s), key, b, e);
}

int store_wrap_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	return store_base_lock(store_inner(s), key, until_ns, e);
}

int store_wrap_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct store *inner = store_inner(s);

	return inner->ops->cut ? inner->ops->cut(inner, since_ns, ret, e) : 0;
}

bool store_wrap_away(struct store *s)
{
	return store_away(store_inner(s));
}

const char *store_wrap_right(struct store *s, enum store_right right)
{
	return store_right(store_inner(s), right);
}

int64_t store_wrap_ends(struct store *s)
{
	return store_ends(store_inner(s));
}

void store_wrap_traffic(struct store *s, struct store_traffic *ret)
{
	struct store *inner = store_inner(s);

	if (inner->ops->traffic)
		inner->ops->traffic(inner, ret);
}

void store_wrap_free(struct store *s)
{
	store_free(store_inner(s));
	store_base_clear(s);
	free(s);
}
