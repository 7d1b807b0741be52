/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two regions as one store. Reads go to the first; when it does not answer,
 * and the store was opened for that, to the second. Objects never change, so
 * what the second has of an object is right. What it lacks is not there YET,
 * and a listing of it may be behind: so only those who just read may be
 * answered by it, and a missing object is not a fact while the first region
 * may still be asked.
 *
 * Writes go to the first region alone. While it is away they fail at once for
 * those who may read the second: they can do without (a restore without its
 * pin), and must not wait.
 */
#include "store/geo.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "store/compare.h"
#include "store/driver.h"

#define THRESHOLD 5
#define REST_MS 30000

struct geo {
	struct store_wrap wrap; /* around the first region */
	struct store *second;   /* owned */
	bool fail_over;
	bool copy; /* the second is another store, and not the service's own replica */
	pthread_mutex_t lock;
	struct geo_breaker breaker; /* guarded by lock */
	int64_t (*now_ms)(void *arg);
	void *now_arg;
};

bool geo_breaker_ask(struct geo_breaker *b, int64_t now_ms)
{
	if (!b->open)
		return true;
	if (b->trying || now_ms < b->trial_ms)
		return false;
	b->trying = true;
	return true;
}

void geo_breaker_tell(struct geo_breaker *b, bool answered, int64_t now_ms)
{
	bool late = b->open && !b->trying; /* it was asked before it opened */

	b->trying = false;
	if (answered) {
		b->failed = 0;
		b->open = false;
		return;
	}
	if (late)
		return;
	if (b->failed < b->threshold)
		b->failed++;
	if (b->failed == b->threshold) {
		if (!b->open)
			b->opened_ms = now_ms;
		b->open = true;
		b->trial_ms = now_ms + b->rest_ms;
	}
}

bool geo_breaker_gone(const struct geo_breaker *b, int64_t now_ms)
{
	return b->open && !b->trying && now_ms - b->opened_ms >= b->rest_ms;
}

static int64_t now_of_machine(void *arg)
{
	(void)arg;
	return now_mono_ns() / 1000000;
}

static bool ask(struct geo *g)
{
	pthread_mutex_lock(&g->lock);
	bool yes = geo_breaker_ask(&g->breaker, g->now_ms(g->now_arg));
	pthread_mutex_unlock(&g->lock);
	return yes;
}

/* A failure of one read opens nothing by itself. */
static void tell(struct geo *g, bool answered)
{
	pthread_mutex_lock(&g->lock);
	geo_breaker_tell(&g->breaker, answered, g->now_ms(g->now_arg));
	pthread_mutex_unlock(&g->lock);
}

static bool is_open(struct geo *g)
{
	pthread_mutex_lock(&g->lock);
	bool open = g->breaker.open;
	pthread_mutex_unlock(&g->lock);
	return open;
}

static bool is_gone(struct geo *g)
{
	pthread_mutex_lock(&g->lock);
	bool gone = geo_breaker_gone(&g->breaker, g->now_ms(g->now_arg));
	pthread_mutex_unlock(&g->lock);
	return gone;
}

/* One call that reads, whatever it is. */
struct geo_call {
	int (*run)(struct store *s, void *args, struct err *e);
	void *args;
};

/*
 * The second region's answer to a call that the first failed with `why`, or was not asked. What the
 * second has against it (no object yet, no right, no such region) is nothing that the first would
 * say: it may be asked again.
 */
static int second(struct geo *g, const struct geo_call *c, const struct err *why, struct err *e)
{
	struct err here;

	if (c->run(g->second, c->args, &here) == 0)
		return 0;
	switch (here.class) {
	case ERR_NOT_FOUND:
		/* A moment's trouble of the first must not make anything of it missing. */
		if (is_gone(g))
			return err_set(e, ERR_NOT_FOUND,
			               "it is not in the second region yet, and the first does "
			               "not answer");
		*e = *why;
		return -1;
	case ERR_DENIED:
	case ERR_UNSUPPORTED:
	case ERR_IO:
		err_set(e, ERR_RETRY, "%.300s, and the second region cannot be read: %.300s",
		        why->msg, here.msg);
		e->wait_ms = why->wait_ms;
		return -1;
	default:
		*e = here;
		return -1;
	}
}

static int read_call(struct geo *g, const struct geo_call *c, struct err *e)
{
	struct err why = ERR_INIT;

	if (!g->fail_over)
		return c->run(store_inner(&g->wrap.base), c->args, e);
	if (ask(g)) {
		int rc = c->run(store_inner(&g->wrap.base), c->args, &why);
		bool answered = rc == 0 || why.class != ERR_RETRY;

		tell(g, answered || why.wait_ms > 0);
		if (answered) {
			if (rc < 0)
				*e = why;
			return rc;
		}
	} else {
		err_set(&why, ERR_RETRY, "the first region does not answer");
	}
	return second(g, c, &why, e);
}

/* ---- the calls ---- */

struct get_args {
	const char *key;
	uint64_t off;
	void *p;
	size_t n;
};

static int run_get(struct store *s, void *args, struct err *e)
{
	const struct get_args *a = args;

	return s->ops->get(s, a->key, a->off, a->p, a->n, e);
}

static int geo_get(struct store *s, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	struct get_args args = { key, off, p, n };

	return read_call((struct geo *)s, &(struct geo_call){ run_get, &args }, e);
}

struct head_args {
	const char *key;
	struct store_stat *ret;
};

static int run_head(struct store *s, void *args, struct err *e)
{
	const struct head_args *a = args;

	return s->ops->head(s, a->key, a->ret, e);
}

static int geo_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct head_args args = { key, ret };

	return read_call((struct geo *)s, &(struct geo_call){ run_head, &args }, e);
}

struct all_args {
	const char *key;
	struct buf *b;
	size_t len; /* of b before */
};

static int run_all(struct store *s, void *args, struct err *e)
{
	const struct all_args *a = args;

	a->b->len = a->len;
	return store_base_get_all(s, a->key, a->b, e);
}

static int geo_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	struct all_args args = { key, b, b->len };

	return read_call((struct geo *)s, &(struct geo_call){ run_all, &args }, e);
}

/* A list that goes on in the second region after what the first has given. */
struct list_args {
	const char *prefix;
	char after[STORE_KEY_MAX + 1];
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	bool each_failed, ended;
	struct err why; /* what each() failed with */
};

static int list_each(void *arg, const struct store_item *item, struct err *e)
{
	struct list_args *a = arg;

	memcpy(a->after, item->key, strlen(item->key) + 1);
	int rc = a->each(a->arg, item, e);
	if (rc < 0) {
		a->each_failed = true;
		a->why = *e;
	}
	a->ended = rc > 0;
	return rc;
}

static int run_list(struct store *s, void *args, struct err *e)
{
	struct list_args *a = args;
	int rc = s->ops->list(s, a->prefix, a->after, list_each, a, e);

	/* What the caller itself fails with, or ends, is no failure of the region. */
	return a->each_failed || a->ended ? 0 : rc;
}

static int geo_list(struct store *s, const char *prefix, const char *after,
                    int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
                    struct err *e)
{
	auto_free struct list_args *a = calloc(1, sizeof(*a));
	size_t n = strlen(after);

	if (!a)
		return err_set(e, ERR_NOMEM, "no memory for a list");
	/* No key is between something longer than a key and its beginning. */
	memcpy(a->after, after, n < STORE_KEY_MAX ? n : STORE_KEY_MAX);
	a->prefix = prefix;
	a->each = each;
	a->arg = arg;
	int rc = read_call((struct geo *)s, &(struct geo_call){ run_list, a }, e);
	if (rc == 0 && a->each_failed) {
		*e = a->why;
		return -1;
	}
	return rc;
}

static int refuse(struct err *e)
{
	return err_set(e, ERR_DENIED,
	               "the first region does not answer, and the second cannot be written");
}

/*
 * How a write went that was not refused. It counts as reads do: who may read the second region is
 * not to try for as long as a writer would, which has nothing else.
 */
static int wrote(struct geo *g, int rc, const struct err *e)
{
	if (g->fail_over)
		tell(g, rc == 0 || e->class != ERR_RETRY || e->wait_ms > 0);
	return rc;
}

static int geo_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                   struct err *e)
{
	struct geo *g = (struct geo *)s;
	struct store *first = store_inner(s);

	if (g->fail_over && is_open(g))
		return refuse(e);
	return wrote(g, first->ops->put(first, key, iov, niov, e), e);
}

static int geo_del(struct store *s, const char *key, struct err *e)
{
	struct geo *g = (struct geo *)s;
	struct store *first = store_inner(s);

	if (g->fail_over && is_open(g))
		return refuse(e);
	return wrote(g, first->ops->del(first, key, e), e);
}

static int geo_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	struct geo *g = (struct geo *)s;

	if (g->fail_over && is_open(g))
		return refuse(e);
	return wrote(g, store_wrap_lock(s, key, until_ns, e), e);
}

static int geo_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct geo *g = (struct geo *)s;

	if (g->copy && is_open(g)) {
		*ret = (struct store_cut){ .kind = CUT_UNKNOWN };
		return 0;
	}
	if (g->copy)
		return store_compare_cut(store_inner(s), g->second, since_ns, ret, e);
	return store_wrap_cut(s, since_ns, ret, e);
}

static bool geo_away(struct store *s)
{
	return is_open((struct geo *)s);
}

static void geo_traffic(struct store *s, struct store_traffic *ret)
{
	struct geo *g = (struct geo *)s;

	store_wrap_traffic(s, ret);
	if (g->second->ops->traffic)
		g->second->ops->traffic(g->second, ret);
}

static void geo_free(struct store *s)
{
	struct geo *g = (struct geo *)s;

	store_free(g->second);
	pthread_mutex_destroy(&g->lock);
	store_wrap_free(s);
}

static const struct store_ops geo_ops = {
	.name = "geo",
	.put = geo_put,
	.get = geo_get,
	.head = geo_head,
	.list = geo_list,
	.del = geo_del,
	.get_all = geo_get_all,
	.lock = geo_lock,
	.cut = geo_cut,
	.away = geo_away,
	.right = store_wrap_right,
	.ends = store_wrap_ends,
	.traffic = geo_traffic,
	.free = geo_free,
};

struct store *store_geo_new(struct store *take_first, struct store *take_second, unsigned flags,
                            bool copy, struct err *e)
{
	auto_store struct store *second_store = take_second;
	struct geo *g = store_wrap_new(sizeof(*g), &geo_ops, take_first,
	                               take_first->caps | STORE_CAP_SECONDARY, e);

	if (!g)
		return NULL;
	/* On Linux it cannot fail with default attributes. */
	pthread_mutex_init(&g->lock, NULL);
	g->second = STEAL(&second_store);
	g->fail_over = flags & STORE_FAIL_OVER;
	g->copy = copy;
	g->now_ms = now_of_machine;
	g->breaker = (struct geo_breaker){ .threshold = THRESHOLD, .rest_ms = REST_MS };
	return &g->wrap.base;
}

void geo_clock(struct store *geo, int64_t (*now_ms)(void *arg), void *arg)
{
	struct geo *g = (struct geo *)geo;

	g->now_ms = now_ms;
	g->now_arg = arg;
}
