/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults by plan around a real store: calls that fail, whose answers are lost
 * after they were applied, and objects that are cut or flipped at rest or on
 * the way. Cut: an object loses its second half, at least one byte. Flipped:
 * one bit, whose place follows from the number of the call. Both are for put
 * and get; on other calls, and on nothing at all, they do nothing.
 */
#include "store/store.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "store/driver.h"

struct fault {
	struct store_wrap wrap;
	store_fault_fn *decide;
	void *arg;
	atomic_uint_least64_t calls;
};

static enum store_fault decide(struct store *s, enum store_call call, const char *key,
                               uint64_t *ret_n)
{
	struct fault *f = (struct fault *)s;

	*ret_n = atomic_fetch_add(&f->calls, 1);
	return f->decide(f->arg, *ret_n, call, key);
}

/* 0: the call goes on. -1: it failed before anything was applied. */
static int before(enum store_fault fault, struct err *e)
{
	switch (fault) {
	case FAULT_FAIL:
		return err_set(e, ERR_RETRY, "the store does not answer (planned fault)");
	case FAULT_DENIED:
		return err_set(e, ERR_DENIED, "access denied (planned fault)");
	case FAULT_QUOTA:
		return err_set(e, ERR_QUOTA, "the store is full (planned fault)");
	case FAULT_GONE:
		return err_set(e, ERR_NOT_FOUND, "no such object (planned fault)");
	case FAULT_NONE:
	case FAULT_APPLIED_LOST:
	case FAULT_TRUNCATE:
	case FAULT_FLIP:
		break;
	}
	return 0;
}

/* What the caller sees of a call that was applied. */
static int after_applied(enum store_fault fault, int r, struct err *e)
{
	if (r == 0 && fault == FAULT_APPLIED_LOST)
		return err_set(e, ERR_RETRY, "the store's answer was lost (planned fault)");
	return r;
}

static void flip(uint8_t *p, size_t n, uint64_t call)
{
	if (n > 0)
		p[call % n] ^= (uint8_t)(1 << call % 8);
}

static int fault_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	struct store *inner = store_inner(s);
	size_t total = store_iov_bytes(iov, niov);
	uint64_t n;
	enum store_fault fault = decide(s, CALL_PUT, key, &n);

	if (before(fault, e) < 0)
		return -1;
	if ((fault != FAULT_TRUNCATE && fault != FAULT_FLIP) || total == 0)
		return after_applied(fault, inner->ops->put(inner, key, iov, niov, e), e);

	auto_free uint8_t *copy = malloc(total);
	if (!copy)
		return err_set(e, ERR_NOMEM, "no memory for %zu bytes", total);
	store_iov_copy(iov, niov, 0, copy, total);
	if (fault == FAULT_FLIP)
		flip(copy, total, n);
	struct iovec one = { .iov_base = copy, .iov_len = fault == FAULT_FLIP ? total : total / 2 };
	return inner->ops->put(inner, key, &one, 1, e);
}

static int fault_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	uint64_t call;
	enum store_fault fault = decide(s, CALL_GET, key, &call);

	if (before(fault, e) < 0)
		return -1;
	if (fault == FAULT_TRUNCATE)
		return err_set(e, ERR_CORRUPT, "the object ends too early (planned fault)");
	int r = store_wrap_get(s, key, off, p, n, e);
	if (r == 0 && fault == FAULT_FLIP)
		flip(p, n, call);
	return after_applied(fault, r, e);
}

static int fault_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	uint64_t n;
	enum store_fault fault = decide(s, CALL_HEAD, key, &n);

	if (before(fault, e) < 0)
		return -1;
	return after_applied(fault, store_wrap_head(s, key, ret, e), e);
}

static int fault_list(struct store *s, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	uint64_t n;
	enum store_fault fault = decide(s, CALL_LIST, prefix, &n);

	if (before(fault, e) < 0)
		return -1;
	return after_applied(fault, store_wrap_list(s, prefix, after, each, arg, e), e);
}

static int fault_del(struct store *s, const char *key, struct err *e)
{
	struct store *inner = store_inner(s);
	uint64_t n;
	enum store_fault fault = decide(s, CALL_DELETE, key, &n);

	if (before(fault, e) < 0)
		return -1;
	return after_applied(fault, inner->ops->del(inner, key, e), e);
}

static int fault_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	uint64_t n;
	enum store_fault fault = decide(s, CALL_LOCK, key, &n);

	if (before(fault, e) < 0)
		return -1;
	return after_applied(fault, store_wrap_lock(s, key, until_ns, e), e);
}

static const struct store_ops fault_ops = {
	.name = "fault",
	.put = fault_put,
	.get = fault_get,
	.head = fault_head,
	.list = fault_list,
	.del = fault_del,
	.lock = fault_lock,
	.cut = store_wrap_cut,
	.away = store_wrap_away,
	.right = store_wrap_right,
	.ends = store_wrap_ends,
	.traffic = store_wrap_traffic,
	.free = store_wrap_free,
};

struct store *store_fault_new(struct store *take_inner, store_fault_fn *decide_fn, void *arg,
                              struct err *e)
{
	struct fault *f = store_wrap_new(sizeof(*f), &fault_ops, take_inner, take_inner->caps, e);

	if (!f)
		return NULL;
	f->decide = decide_fn;
	f->arg = arg;
	return &f->wrap.base;
}
