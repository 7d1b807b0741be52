/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See storm_store.h. A late call is a file: its name begins with the moment
 * from which on it may be applied (monotonic, so that all processes agree),
 * its content is the call. Whoever renames it first applies it; when that one
 * dies, the call was lost, as calls are.
 */
#include "tests/harness/storm_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/now.h"
#include "store/driver.h"

#define OUTAGE_CALLS 50
#define CALL_MAX (64 * MIB) /* bytes of a late call */

struct storm {
	struct store_wrap wrap;
	struct storm_plan plan;
	atomic_uint_least64_t numbers; /* random numbers drawn so far */
	atomic_uint_least64_t calls;
	atomic_int outage;    /* calls that still fail */
	atomic_bool applying; /* some thread applies late calls */
};

static uint64_t draw(struct storm *w)
{
	return storm_mix(w->plan.seed ^ storm_mix(atomic_fetch_add(&w->numbers, 1)));
}

static bool chance(struct storm *w, unsigned of_10000)
{
	return of_10000 > 0 && draw(w) % 10000 < of_10000;
}

static void nap(int64_t us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	(void)nanosleep(&t, NULL); /* lint: allow nanosleep: slowness is what is tested */
}

static void trace(int fd, const char *call, const char *key, const char *how, int rc,
                  const struct err *e)
{
	char line[STORE_KEY_MAX + 400];

	if (fd < 0)
		return;
	int n = snprintf(line, sizeof(line), "%" PRId64 " %s %s%s%s%s%.200s\n",
	                 now_mono_ns() / 1000, call, key, *how ? " " : "", how,
	                 rc < 0 ? " FAILED " : "", rc < 0 ? e->msg : "");
	if (n > 0 && (size_t)n < sizeof(line))
		(void)!write(fd, line, (size_t)n);
}

/* ---- late calls ---- */

/* Delays of all sizes: half of them are below a hundredth of the longest. */
static int64_t delay_ns(struct storm *w)
{
	int64_t longest = (int64_t)w->plan.weather.late_ms * 1000000 + 1;
	uint64_t r = draw(w);
	int64_t most = r % 10 < 5 ? longest / 100 + 1 : r % 10 < 8 ? longest / 10 + 1 : longest;

	return (int64_t)((r >> 8) % (uint64_t)most);
}

/* One that cannot be written is a call that was lost. */
static void put_off(struct storm *w, char op, const char *key, const struct iovec *iov, int niov)
{
	char name[64];
	char path[4096];
	char tmp[4096];
	size_t n = store_iov_bytes(iov, niov);
	size_t head = strlen(key) + 2;
	auto_free char *all = malloc(head + n + 1);

	if (!all)
		return;
	(void)snprintf(all, head + 1, "%c%s\n", op, key);
	store_iov_copy(iov, niov, 0, all + head, n);
	(void)snprintf(name, sizeof(name), "%020" PRId64 "-%016" PRIx64,
	               now_mono_ns() + delay_ns(w), draw(w));
	(void)snprintf(path, sizeof(path), "%s/%s", w->plan.late_dir, name);
	(void)snprintf(tmp, sizeof(tmp), "%s/.%s", w->plan.late_dir, name);
	auto_close int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (fd_write_full(fd, all, head + n) < 0 || rename(tmp, path) < 0)
		(void)unlink(tmp);
}

static void apply(struct store *store, uint8_t *p, size_t n, int trace_fd)
{
	uint8_t *end = n > 2 ? memchr(p, '\n', n) : NULL;
	struct err ignored = ERR_INIT;

	if (!end)
		return;
	*end = '\0';
	const char *key = (const char *)p + 1;
	struct iovec iov = { .iov_base = end + 1, .iov_len = n - (size_t)(end + 1 - p) };
	int rc = p[0] == 'P' ? store->ops->put(store, key, &iov, 1, &ignored)
	                     : store->ops->del(store, key, &ignored);
	trace(trace_fd, p[0] == 'P' ? "put" : "delete", key, "(now)", rc, &ignored);
}

static void apply_file(struct store *store, const char *late_dir, const char *name, int trace_fd)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_MAX);
	char from[4096];
	char to[4096];
	struct err ignored = ERR_INIT;

	(void)snprintf(from, sizeof(from), "%s/%s", late_dir, name);
	(void)snprintf(to, sizeof(to), "%s/.taken-%s", late_dir, name);
	if (rename(from, to) < 0)
		return;
	if (fd_read_file(AT_FDCWD, to, &b, &ignored) == 0)
		apply(store, b.data, b.len, trace_fd);
	(void)unlink(to);
}

static int is_call(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

size_t storm_late_apply(struct store *store, const char *late_dir, bool all, int trace_fd)
{
	struct dirent **names = NULL;
	int n = scandir(late_dir, &names, is_call, alphasort);
	int64_t now_ns = now_mono_ns();
	size_t applied = 0;

	for (int i = 0; i < n; i++) {
		/* Names are in order of their moments. */
		if (all || strtoll(names[i]->d_name, NULL, 10) <= now_ns) {
			apply_file(store, late_dir, names[i]->d_name, trace_fd);
			applied++;
		}
		free(names[i]);
	}
	free(names);
	return applied;
}

/* ---- each call ---- */

static int no_answer(struct storm *w, struct err *e)
{
	/* Most drivers call it a matter of time; some know only that something failed. */
	enum err_class class = draw(w) % 64 ? ERR_RETRY : ERR_IO;

	return err_set(e, class, "the store does not answer (storm)");
}

uint64_t storm_store_calls(const struct store *s)
{
	return atomic_load(&((const struct storm *)s)->calls);
}

static void die(void)
{
	(void)kill(getpid(), SIGKILL);
	_exit(1);
}

/* What happens before a call. -1: it is not made. */
static int before(struct storm *w, bool read, uint64_t *ret_call, struct err *e)
{
	const struct storm_weather *x = &w->plan.weather;

	*ret_call = atomic_fetch_add(&w->calls, 1) + 1;
	if (*ret_call == w->plan.dies_at && !w->plan.dies_after)
		die();

	if (w->plan.late_dir && draw(w) % 8 == 0 && !atomic_exchange(&w->applying, true)) {
		(void)storm_late_apply(store_inner(&w->wrap.base), w->plan.late_dir, false,
		                       w->plan.trace_fd);
		atomic_store(&w->applying, false);
	}
	if (chance(w, x->slow))
		nap((int64_t)(draw(w) % (x->slow_us + 1)));
	if (chance(w, x->outage))
		atomic_store(&w->outage, (int)(draw(w) % OUTAGE_CALLS) + 1);
	if (atomic_load(&w->outage) > 0 && atomic_fetch_sub(&w->outage, 1) > 0)
		return err_set(e, ERR_RETRY, "the store is away (storm)");
	if (chance(w, x->fail))
		return no_answer(w, e);
	if (read && chance(w, x->refused))
		return err_set(e, ERR_DENIED, "access denied, this time (storm)");
	return 0;
}

/* What happens after a call that was made. */
static int after(struct storm *w, uint64_t call, int rc, struct err *e)
{
	const struct storm_weather *x = &w->plan.weather;

	if (call == w->plan.dies_at)
		die();
	if (chance(w, x->slow))
		nap((int64_t)(draw(w) % (x->slow_us + 1)));
	if (rc == 0 && chance(w, x->lost))
		return no_answer(w, e);
	return rc;
}

/* A put or delete. */
static int change(struct storm *w, char op, const char *key, const struct iovec *iov, int niov,
                  struct err *e)
{
	const struct storm_weather *x = &w->plan.weather;
	struct store *inner = store_inner(&w->wrap.base);
	bool late = w->plan.late_dir &&
	            (op == 'D' || !x->below || strncmp(key, x->below, strlen(x->below)) == 0);
	const char *how = "";
	uint64_t call;
	int rc = before(w, false, &call, e);

	if (rc == 0 && late && chance(w, x->late)) {
		put_off(w, op, key, iov, niov);
		how = "(late)";
		rc = no_answer(w, e);
	} else if (rc == 0) {
		rc = op == 'P' ? inner->ops->put(inner, key, iov, niov, e)
		               : inner->ops->del(inner, key, e);
		if (late && chance(w, x->twice)) {
			put_off(w, op, key, iov, niov);
			how = "(twice)";
		}
		if (after(w, call, rc, e) < 0 && rc == 0) {
			how = "(lost)";
			rc = -1;
		} else if (rc == 0 && op == 'P' && chance(w, x->taken)) {
			how = "(taken)";
			rc = err_set(e, ERR_EXISTS, "the key is taken: by this call (storm)");
		}
	}
	trace(w->plan.trace_fd, op == 'P' ? "put" : "delete", key, how, rc, e);
	return rc;
}

static int storm_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	return change((struct storm *)s, 'P', key, iov, niov, e);
}

static int storm_del(struct store *s, const char *key, struct err *e)
{
	return change((struct storm *)s, 'D', key, NULL, 0, e);
}

static int storm_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	struct storm *w = (struct storm *)s;
	uint64_t call;
	int rc = before(w, true, &call, e);

	if (rc == 0)
		rc = after(w, call, store_wrap_get(s, key, off, p, n, e), e);
	trace(w->plan.trace_fd, "get", key, "", rc, e);
	return rc;
}

static int storm_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct storm *w = (struct storm *)s;
	uint64_t call;
	int rc = before(w, true, &call, e);

	if (rc == 0)
		rc = after(w, call, store_wrap_head(s, key, ret, e), e);
	trace(w->plan.trace_fd, "head", key, "", rc, e);
	return rc;
}

struct listing {
	struct storm *w;
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	char last[STORE_KEY_MAX + 1];
	uint64_t items, page; /* so far, and how many make a page */
	uint64_t cut_at;      /* fails at this item; UINT64_MAX: never */
	bool paused;          /* a page ended */
	int rc;               /* of each() */
};

static int take_item(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;
	const struct storm_weather *x = &l->w->plan.weather;

	if (l->items == l->cut_at)
		return err_set(e, ERR_RETRY, "the store's answer breaks off (storm)");
	(void)snprintf(l->last, sizeof(l->last), "%s", item->key);
	l->items++;
	if (!chance(l->w, x->hidden)) {
		l->rc = l->each(l->arg, item, e);
		if (l->rc != 0)
			return l->rc;
	}
	l->paused = l->page > 0 && l->items % l->page == 0;
	return l->paused ? 1 : 0;
}

static int storm_list(struct store *s, const char *prefix, const char *after_key,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	struct storm *w = (struct storm *)s;
	const struct storm_weather *x = &w->plan.weather;
	struct listing l = { .w = w, .each = each, .arg = arg, .cut_at = UINT64_MAX };
	uint64_t call;
	int rc = before(w, true, &call, e);

	if (chance(w, x->cut))
		l.cut_at = draw(w) % 20;
	if (chance(w, x->paged))
		l.page = 1 + draw(w) % 10;
	(void)snprintf(l.last, sizeof(l.last), "%s", after_key);
	for (bool more = rc == 0; more;) {
		l.paused = false;
		rc = store_wrap_list(s, prefix, l.last, take_item, &l, e);
		more = rc == 0 && l.paused && l.rc == 0;
		if (more)
			nap((int64_t)(draw(w) % (x->slow_us + 1)));
	}
	if (call == w->plan.dies_at)
		die();
	trace(w->plan.trace_fd, "list", prefix, "", rc, e);
	return rc;
}

static const struct store_ops storm_ops = {
	.name = "storm",
	.put = storm_put,
	.get = storm_get,
	.head = storm_head,
	.list = storm_list,
	.del = storm_del,
	.free = store_wrap_free,
};

struct store *storm_store_new(struct store *take_inner, const struct storm_plan *plan,
                              struct err *e)
{
	/* A store with weather is none near by. */
	unsigned caps = take_inner->caps & ~(unsigned)STORE_CAP_LOCAL;
	struct storm *w = store_wrap_new(sizeof(*w), &storm_ops, take_inner, caps, e);

	if (!w)
		return NULL;
	w->plan = *plan;
	return &w->wrap.base;
}
