/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another handle of a store, through which the Nth call fails, alone or with
 * all after it: a program that dies there. Freeing it leaves the store.
 */
#ifndef AKSDR_TESTS_FAULT_KIT_H
#define AKSDR_TESTS_FAULT_KIT_H

#include <stdatomic.h>

#include "tests/harness/store_kit.h"

struct fault_lent {
	struct store base;
	struct store *inner; /* not owned */
	atomic_ullong calls;
	uint64_t at;                   /* counted from 0 */
	enum store_fault first, after; /* of that call, and of all that follow */
};

static inline int fault_lent_put(struct store *s, const char *key, const struct iovec *iov,
                                 int niov, struct err *e)
{
	return store_put(((struct fault_lent *)s)->inner, key, iov, niov, e);
}

static inline int fault_lent_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                                 struct err *e)
{
	return store_get(((struct fault_lent *)s)->inner, key, off, p, n, e);
}

static inline int fault_lent_head(struct store *s, const char *key, struct store_stat *ret,
                                  struct err *e)
{
	return store_head(((struct fault_lent *)s)->inner, key, ret, e);
}

static inline int fault_lent_list(struct store *s, const char *prefix, const char *after,
                                  int (*each)(void *arg, const struct store_item *item,
                                              struct err *e),
                                  void *arg, struct err *e)
{
	return store_list(((struct fault_lent *)s)->inner, prefix, after, each, arg, e);
}

static inline int fault_lent_delete(struct store *s, const char *key, struct err *e)
{
	return store_delete(((struct fault_lent *)s)->inner, key, e);
}

static inline void fault_lent_free(struct store *s)
{
	free(s->url);
	free(s);
}

static inline enum store_fault fault_lent_decide(void *arg, uint64_t n, enum store_call call,
                                                 const char *key)
{
	struct fault_lent *l = arg;
	uint64_t i = atomic_fetch_add(&l->calls, 1);

	(void)n;
	(void)call;
	(void)key;
	return i < l->at ? FAULT_NONE : i == l->at ? l->first : l->after;
}

/* ret, when not NULL, gets the handle's own part, for its count of calls. */
static inline struct store *fault_store(struct store *inner, uint64_t at, enum store_fault first,
                                        enum store_fault after, struct fault_lent **ret)
{
	static const struct store_ops ops = {
		.name = "lent",
		.put = fault_lent_put,
		.get = fault_lent_get,
		.head = fault_lent_head,
		.list = fault_lent_list,
		.del = fault_lent_delete,
		.free = fault_lent_free,
	};
	struct fault_lent *l = calloc(1, sizeof(*l));
	struct err err = ERR_INIT;

	assert_non_null(l);
	l->base = (struct store){ .ops = &ops, .caps = inner->caps, .url = strdup("lent:") };
	l->inner = inner;
	l->at = at;
	l->first = first;
	l->after = after;
	struct store *s = store_fault_new(&l->base, fault_lent_decide, l, &err);
	assert_non_null(s);
	if (ret)
		*ret = l;
	return s;
}

#endif
