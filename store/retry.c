/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repeats what failed with ERR_RETRY, by the schedule of common/backoff.h.
 *
 * Two calls need more than a repetition. A put whose answer was lost may have
 * been applied: when a later try finds the key taken, the object is compared
 * with the upload. Nobody else stores the same bytes under a name that is
 * used once, so equal means that it is ours (and were it not, the caller
 * would have what it wanted). A list that breaks off goes on after the last
 * item handed out, and its budget begins anew with each item: what ends it is
 * lack of progress, not length.
 */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/now.h"
#include "common/num.h"
#include "store/driver.h"

#define COMPARE_BYTES (256 * KIB) /* read at once to compare an object */
/* For how far the second region is: after a failover there is none, and nobody is to wait. */
#define CUT_MS 5000
#define CUT_REST_MS 60000 /* after that was in vain it is asked once, without repetition */

struct retry {
	struct store_wrap wrap;
	struct backoff schedule;
	struct store_retry_params params; /* its now_ms is never NULL */
	_Atomic int64_t cut_rest_ms;      /* the end of that time; 0: there was none */
};

static int64_t clock_ms(void *arg)
{
	(void)arg;
	return now_mono_ns() / 1000000;
}

/* The tries of one call. */
struct tries {
	const struct retry *r;
	struct backoff schedule;
	unsigned failed;
	int64_t start_ms;
};

static struct tries tries_begin(const struct retry *r)
{
	return (struct tries){ .r = r,
		               .schedule = r->schedule,
		               .start_ms = r->params.now_ms(r->params.arg) };
}

/*
 * What to do after a failed try. True: the wait is over, try again. False:
 * e is what the call fails with.
 */
static bool try_again(struct tries *t, struct err *e)
{
	const struct retry *r = t->r;
	uint64_t random = 0;
	struct err stop;

	if (e->class != ERR_RETRY)
		return false;
	t->failed++;
	int64_t elapsed_ms = r->params.now_ms(r->params.arg) - t->start_ms;
	/* It cannot fail once the kernel has random numbers; before, the wait is the shortest. */
	ssize_t n = getrandom(&random, sizeof(random), GRND_NONBLOCK);
	(void)n;
	int64_t wait_ms = backoff_wait_ms(&t->schedule, t->failed, elapsed_ms, random);
	/* Earlier than the server wants is in vain, and later than the budget no try. */
	if (wait_ms >= 0 && e->wait_ms > wait_ms)
		wait_ms = elapsed_ms + e->wait_ms > t->schedule.budget_ms ? -1 : e->wait_ms;
	if (wait_ms < 0) {
		err_wrap(e, "gave up after %u tries in %s", t->failed,
		         num_duration_text(elapsed_ms / 1000).s);
		return false;
	}
	if (r->params.wait_ms && !cancel_requested(r->params.cancel)) {
		r->params.wait_ms(r->params.arg, wait_ms);
		wait_ms = 0;
	}
	if (cancel_wait(r->params.cancel, NULL, wait_ms, &stop) < 0) {
		err_wrap(e, "cancelled between two tries");
		e->class = ERR_CANCELLED;
		return false;
	}
	return true;
}

static int retry_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	struct err failed;

	while (store_wrap_get(s, key, off, p, n, &failed) < 0) {
		if (!try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

static int retry_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	struct err failed;

	while (store_wrap_head(s, key, ret, &failed) < 0) {
		if (!try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

static int retry_get_all(struct store *s, const char *key, struct buf *b, struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	size_t len = b->len;
	struct err failed;

	/* Of two calls each is repeated by itself. */
	if (!store_inner(s)->ops->get_all)
		return store_base_head_get(s, key, b, e);
	while (store_wrap_get_all(s, key, b, &failed) < 0) {
		b->len = len;
		if (!try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

static int retry_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	struct err failed;

	while (store_wrap_lock(s, key, until_ns, &failed) < 0) {
		if (!try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

static int retry_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	struct retry *r = (struct retry *)s;
	struct tries t = tries_begin(r);
	struct err failed;

	if (t.schedule.budget_ms > CUT_MS)
		t.schedule.budget_ms = CUT_MS;
	if (t.start_ms < r->cut_rest_ms)
		t.schedule.budget_ms = 0;
	while (store_wrap_cut(s, since_ns, ret, &failed) < 0) {
		if (!try_again(&t, &failed)) {
			if (failed.class == ERR_RETRY)
				r->cut_rest_ms = r->params.now_ms(r->params.arg) + CUT_REST_MS;
			*e = failed;
			return -1;
		}
	}
	return 0;
}

/* 1: object key is exactly these pieces. 0: it is not. -1 with e: cannot be told. */
static int same_object(struct store *s, const char *key, const struct iovec *iov, int niov,
                       struct err *e)
{
	size_t total = store_iov_bytes(iov, niov);
	size_t at_once = total < COMPARE_BYTES ? total : COMPARE_BYTES;
	struct store_stat st;

	if (retry_head(s, key, &st, e) < 0)
		return -1;
	if (st.size != total)
		return 0;
	if (total == 0)
		return 1;
	auto_free uint8_t *theirs = malloc(2 * at_once);
	if (!theirs)
		return err_set(e, ERR_NOMEM, "no memory for %zu bytes", 2 * at_once);
	uint8_t *ours = theirs + at_once;
	for (size_t off = 0; off < total; off += at_once) {
		size_t n = total - off < at_once ? total - off : at_once;

		if (retry_get(s, key, off, theirs, n, e) < 0)
			return -1;
		store_iov_copy(iov, niov, off, ours, n);
		if (memcmp(ours, theirs, n) != 0)
			return 0;
	}
	return 1;
}

/* A put found the key taken after a try that may have stored the object. 0, or -1 with e. */
static int settle(struct store *s, const char *key, const struct iovec *iov, int niov,
                  struct err *e)
{
	int same = same_object(s, key, iov, niov, e);

	if (same > 0)
		return 0;
	if (same == 0)
		return err_set(e, ERR_EXISTS,
		               "the key is taken, and not by what an earlier try may have stored");
	return err_wrap(e, "comparing it with what an earlier try may have stored");
}

static int retry_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	struct store *inner = store_inner(s);
	struct err failed;

	for (;;) {
		if (inner->ops->put(inner, key, iov, niov, &failed) == 0)
			return 0;
		if (failed.class == ERR_EXISTS && t.failed > 0) {
			if (settle(s, key, iov, niov, &failed) == 0)
				return 0;
			/* Taken a moment ago and not there: deleted since, or the store lags. */
			if (failed.class != ERR_NOT_FOUND)
				break;
			failed.class = ERR_RETRY;
		}
		if (!try_again(&t, &failed))
			break;
	}
	*e = failed;
	return -1;
}

static int retry_del(struct store *s, const char *key, struct err *e)
{
	struct tries t = tries_begin((struct retry *)s);
	struct store *inner = store_inner(s);
	struct err failed;

	while (inner->ops->del(inner, key, &failed) < 0) {
		if (!try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

struct listing {
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	char last[STORE_KEY_MAX + 1]; /* key of the last item handed out */
	bool progress;                /* some item was, since the last failure */
	bool each_failed;
	bool ended; /* each() wants no more */
};

static int listing_each(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;

	memcpy(l->last, item->key, strlen(item->key) + 1);
	l->progress = true;
	int r = l->each(l->arg, item, e);
	l->each_failed = r < 0;
	l->ended = r > 0;
	return r;
}

static int retry_list(struct store *s, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	struct listing l = { .each = each, .arg = arg };
	struct tries t = tries_begin((struct retry *)s);
	struct err failed;

	while (store_wrap_list(s, prefix, after, listing_each, &l, &failed) < 0 && !l.ended) {
		if (l.progress) {
			t = tries_begin((struct retry *)s);
			after = l.last;
			l.progress = false;
		}
		/* What the caller's own function failed with is not ours to repeat. */
		if (l.each_failed || !try_again(&t, &failed)) {
			*e = failed;
			return -1;
		}
	}
	return 0;
}

static const struct store_ops retry_ops = {
	.name = "retry",
	.put = retry_put,
	.get = retry_get,
	.head = retry_head,
	.list = retry_list,
	.del = retry_del,
	.get_all = retry_get_all,
	.lock = retry_lock,
	.cut = retry_cut,
	.away = store_wrap_away,
	.right = store_wrap_right,
	.ends = store_wrap_ends,
	.traffic = store_wrap_traffic,
	.free = store_wrap_free,
};

struct store *store_retry_new(struct store *take_inner, const struct store_retry_params *params,
                              struct err *e)
{
	struct retry *r = store_wrap_new(sizeof(*r), &retry_ops, take_inner, take_inner->caps, e);

	if (!r)
		return NULL;
	if (params)
		r->params = *params;
	if (!r->params.now_ms)
		r->params.now_ms = clock_ms;
	r->schedule = (struct backoff){
		.budget_ms = r->params.budget_ms > 0 ? r->params.budget_ms : 120000,
		.first_ms = r->params.first_ms > 0 ? r->params.first_ms : 200,
		.longest_ms = r->params.longest_ms > 0 ? r->params.longest_ms : 20000,
	};
	return &r->wrap.base;
}
