/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of bandwidth and of requests, as three token buckets. A call takes
 * its request and the bytes it will move before it goes to the store; what
 * the bucket does not hold yet is taken in slices, a burst (a quarter of a
 * second's worth) at a time. So calls that wait side by side share the rate,
 * and a change of the limits takes hold within one object: it wakes all that
 * wait.
 */
#include "store/store.h"

#include <assert.h>
#include <pthread.h>

#include "common/now.h"
#include "store/bucket.h"
#include "store/driver.h"

#define NS_PER_S 1000000000
#define LOOK_NS (NS_PER_S / 10) /* a waiting call looks this often whether it was cancelled */

struct limit {
	struct store_wrap wrap;
	pthread_mutex_t lock;
	pthread_cond_t changed;      /* the limits */
	struct bucket up;            /* guarded by lock; bytes */
	struct bucket down;          /* guarded by lock; bytes */
	struct bucket requests;      /* guarded by lock */
	const struct cancel *cancel; /* borrowed; constant after store_limit_cancel() */
};

static const struct store_ops limit_ops;

/* Waits until n tokens were taken from the bucket. */
static int take(struct limit *l, struct bucket *b, uint64_t n, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		int64_t now_ns = now_mono_ns();

		n -= bucket_take(b, n, now_ns);
		if (n == 0)
			break;
		r = cancel_check(l->cancel, e);
		if (r < 0)
			break;
		int64_t wait_ns = bucket_wait_ns(b, n);
		int64_t until_ns = now_ns + (wait_ns < LOOK_NS ? wait_ns : LOOK_NS);
		struct timespec until = { .tv_sec = until_ns / NS_PER_S,
			                  .tv_nsec = until_ns % NS_PER_S };
		(void)pthread_cond_timedwait(&l->changed, &l->lock, &until);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

static int limit_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	struct limit *l = (struct limit *)s;
	struct store *inner = store_inner(s);

	if (take(l, &l->requests, 1, e) < 0 || take(l, &l->up, store_iov_bytes(iov, niov), e) < 0)
		return -1;
	return inner->ops->put(inner, key, iov, niov, e);
}

static int limit_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	struct limit *l = (struct limit *)s;

	if (take(l, &l->requests, 1, e) < 0 || take(l, &l->down, n, e) < 0)
		return -1;
	return store_wrap_get(s, key, off, p, n, e);
}

/* One request, as without a limit; how much it brings is known, and paid for, afterwards. */
static int limit_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	struct limit *l = (struct limit *)s;
	size_t before = b->len;

	if (take(l, &l->requests, 1, e) < 0 || store_wrap_get_all(s, key, b, e) < 0)
		return -1;
	return take(l, &l->down, b->len - before, e);
}

static int limit_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct limit *l = (struct limit *)s;

	if (take(l, &l->requests, 1, e) < 0)
		return -1;
	return store_wrap_head(s, key, ret, e);
}

static int limit_list(struct store *s, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	struct limit *l = (struct limit *)s;

	if (take(l, &l->requests, 1, e) < 0)
		return -1;
	return store_wrap_list(s, prefix, after, each, arg, e);
}

static int limit_del(struct store *s, const char *key, struct err *e)
{
	struct limit *l = (struct limit *)s;
	struct store *inner = store_inner(s);

	if (take(l, &l->requests, 1, e) < 0)
		return -1;
	return inner->ops->del(inner, key, e);
}

static int limit_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	struct limit *l = (struct limit *)s;

	if (take(l, &l->requests, 1, e) < 0)
		return -1;
	return store_wrap_lock(s, key, until_ns, e);
}

static void limit_free(struct store *s)
{
	struct limit *l = (struct limit *)s;

	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	store_wrap_free(s);
}

static const struct store_ops limit_ops = {
	.name = "limit",
	.put = limit_put,
	.get = limit_get,
	.head = limit_head,
	.list = limit_list,
	.del = limit_del,
	.get_all = limit_get_all,
	.lock = limit_lock,
	.cut = store_wrap_cut,
	.away = store_wrap_away,
	.right = store_wrap_right,
	.ends = store_wrap_ends,
	.traffic = store_wrap_traffic,
	.free = limit_free,
};

struct store *store_limit_new(struct store *take_inner, uint64_t up_bytes_s, uint64_t down_bytes_s,
                              uint64_t requests_s, struct err *e)
{
	struct limit *l = store_wrap_new(sizeof(*l), &limit_ops, take_inner, take_inner->caps, e);
	pthread_condattr_t attr;
	int64_t now_ns = now_mono_ns();

	if (!l)
		return NULL;
	/* On Linux these cannot fail with valid arguments. */
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	bucket_init(&l->up, up_bytes_s, now_ns);
	bucket_init(&l->down, down_bytes_s, now_ns);
	bucket_init(&l->requests, requests_s, now_ns);
	return &l->wrap.base;
}

void store_limit_set(struct store *limit, uint64_t up_bytes_s, uint64_t down_bytes_s,
                     uint64_t requests_s)
{
	struct limit *l = (struct limit *)limit;

	assert(limit->ops == &limit_ops);
	pthread_mutex_lock(&l->lock);
	int64_t now_ns = now_mono_ns();
	bucket_set(&l->up, up_bytes_s, now_ns);
	bucket_set(&l->down, down_bytes_s, now_ns);
	bucket_set(&l->requests, requests_s, now_ns);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void store_limit_cancel(struct store *limit, const struct cancel *cancel)
{
	assert(limit->ops == &limit_ops);
	((struct limit *)limit)->cancel = cancel;
}
