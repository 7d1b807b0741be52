/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, a domain and a store in memory, for tests of repo/. What fails here aborts. */
#ifndef AKSDR_TESTS_UNIT_REPO_FIXTURE_H
#define AKSDR_TESTS_UNIT_REPO_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/secret.h"
#include "repo/key.h"
#include "store/store.h"
#include "tests/harness/harness.h"

struct fixture {
	struct keys *recovery, *agent, *audit;
	struct domain_keys *domain; /* "test", of the agent */
	struct store *store;
};

static inline struct fixture fixture_new(void)
{
	struct fixture f = { 0 };
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0 || keys_generate(&f.recovery, &f.agent, &f.audit, &e) < 0 ||
	    keys_domain(f.agent, "test", &f.domain, &e) < 0)
		harness_die("%s", e.msg);
	f.store = store_mem_new(&e);
	if (!f.store)
		harness_die("%s", e.msg);
	return f;
}

static inline void fixture_clear(struct fixture *f)
{
	store_free(f->store);
	secret_free(f->domain);
	keys_free(f->audit);
	keys_free(f->agent);
	keys_free(f->recovery);
}
#define auto_fixture CLEANUP(fixture_clear)

/* What an object holds now; the caller frees. */
static inline uint8_t *object_get(struct store *s, const char *key, size_t *ret_n)
{
	struct buf b = BUF_INIT(64 * MIB);
	struct err e = ERR_INIT;

	if (store_get_all(s, key, &b, &e) < 0)
		harness_die("%s", e.msg);
	return buf_steal(&b, ret_n);
}

static inline void object_delete(struct store *s, const char *key)
{
	struct err e = ERR_INIT;

	if (store_delete(s, key, &e) < 0)
		harness_die("%s", e.msg);
}

/* Makes the object anew, whatever was there. */
static inline void object_set(struct store *s, const char *key, const void *p, size_t n)
{
	struct iovec iov = { .iov_len = n };
	struct err e = ERR_INIT;

	memcpy(&iov.iov_base, &p, sizeof(p)); /* a put only reads */
	object_delete(s, key);
	if (store_put(s, key, &iov, 1, &e) < 0)
		harness_die("%s", e.msg);
}

static inline int count_item(void *arg, const struct store_item *item, struct err *e)
{
	(void)item;
	(void)e;
	(*(size_t *)arg)++;
	return 0;
}

static inline size_t object_count(struct store *s, const char *prefix)
{
	struct err e = ERR_INIT;
	size_t n = 0;

	if (store_list(s, prefix, NULL, count_item, &n, &e) < 0)
		harness_die("%s", e.msg);
	return n;
}

#endif
