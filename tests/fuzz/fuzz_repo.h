/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository in memory of the fixed keys, for what is reached only by way
 * of objects in a store. It is made once; objects are put for one input and
 * taken away after it.
 */
#ifndef AKSDR_TESTS_FUZZ_FUZZ_REPO_H
#define AKSDR_TESTS_FUZZ_FUZZ_REPO_H

#include "repo/crypt.h"
#include "repo/repo.h"
#include "store/store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_keys.h"

/* The volume whose points targets make; its tag is that of FUZZ_SESSION. */
#define FUZZ_VOLUME "v"
#define FUZZ_VOLTAG "d673d37d7bdfd369"
#define FUZZ_RANDOM "5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define FUZZ_SESSION "2026-11-22/" FUZZ_VOLTAG "-" FUZZ_RANDOM

/* A repository with a store of its own. */
static inline struct repo fuzz_repo_new(void)
{
	struct err e = ERR_INIT;
	struct repo r = {
		.store = store_mem_new(&e),
		.keys = fuzz_reader(),
		.params = { .cipher = CIPHER_AES256GCM,
		            .cut_min = 256 * KIB,
		            .cut_avg = MIB,
		            .cut_max = 4 * MIB,
		            .pack_bytes = 32 * MIB,
		            .features = FORMAT_FEATURES },
	};

	holds(r.store);
	return r;
}

static inline int fuzz_delete_one(void *arg, const struct store_item *item, struct err *e)
{
	return store_delete(arg, item->key, e);
}

/* Takes everything away. */
static inline void fuzz_empty(struct store *s)
{
	struct err e = ERR_INIT;

	works(store_list(s, "", NULL, fuzz_delete_one, s, &e));
}

static inline void fuzz_put(const struct repo *r, const char *key, const void *p, size_t n)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct err e = ERR_INIT;

	works(store_put(r->store, key, &iov, 1, &e));
}

/* The object of this plain text, well sealed and signed. */
static inline void fuzz_put_sealed(const struct repo *r, char kind, const char *key, const void *p,
                                   size_t n)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(n + KIB);
	static uint8_t *point_key;
	struct err e = ERR_INIT;

	if (!point_key) {
		point_key = secret_new(32);
		holds(point_key);
		works(keys_point_key(r->keys, point_key, &e));
	}
	works(crypt_object_seal(r->keys, kind, point_key, key, p, n, &object, &e));
	fuzz_put(r, key, object.data, object.len);
}

#endif
