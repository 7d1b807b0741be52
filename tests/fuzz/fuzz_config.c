/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config of a repository. The first byte says how: 0: the whole object;
 * 1: its JSON, well signed; 2 and 3: the same of revision 2, beside a first
 * one that is good.
 */
#include <sodium.h>

#include "repo/repo.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_keys.h"

#define FIRST                                                                                     \
	"{\"block\":1048576,\"cipher\":1,\"created_ns\":1,\"cut\":{\"avg\":1048576,\"function\":" \
	"\"gear64\",\"max\":4194304,\"min\":262144},\"hash\":1,\"pack\":16777216,\"page\":4096,"  \
	"\"recipients\":[],\"repository\":\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\",\"schema\":"       \
	"\"aksdr/config/v1\",\"signers\":[]}"

static void put(struct store *s, const char *key, const struct buf *b)
{
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	struct err e = ERR_INIT;

	works(store_put(s, key, &iov, 1, &e));
}

/* The JSON as an object that the admin has signed. */
static void sign(const struct keys *admin, const uint8_t *json, size_t n, struct buf *b)
{
	uint8_t signature[64];

	(void)buf_put(b, "aksdr config", 13);
	(void)buf_put(b, "AKSDC\1\0\0", 8);
	(void)buf_u32(b, (uint32_t)n);
	(void)buf_put(b, json, n);
	(void)crypto_sign_detached(signature, NULL, b->data, b->len, admin->s->sign_secret);
	(void)buf_put(b, signature, sizeof(signature));
	memmove(b->data, b->data + 13, b->len - 13);
	b->len -= 13;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(2 * MIB);
	CLEANUP(buf_clear) struct buf first = BUF_INIT(2 * MIB);
	struct err e = ERR_INIT;

	if (size == 0 || size > 64 * KIB)
		return 0;
	auto_keys struct keys *admin = fuzz_keys(FUZZ_RECOVERY);
	auto_store struct store *s = store_mem_new(&e);
	holds(s);
	if (data[0] == 1 || data[0] == 3)
		sign(admin, data + 1, size - 1, &b);
	else
		(void)buf_put(&b, data + 1, size - 1);
	sign(admin, (const uint8_t *)FIRST, sizeof(FIRST) - 1, &first);
	holds(!b.failed && !first.failed);
	if (data[0] == 2 || data[0] == 3) {
		put(s, "config", &first);
		put(s, "ctl/config/00000002", &b);
	} else {
		put(s, "config", &b);
	}
	for (int i = 0; i < 2; i++) {
		auto_repo struct repo *r = NULL;

		if (repo_open(s, fuzz_keys(i ? FUZZ_AGENT : FUZZ_RECOVERY), NULL, NULL, &r, &e) <
		    0) {
			fuzz_refused(&e, FUZZ_BAD);
			e = ERR_INIT;
			continue;
		}
		holds(r->keys->has_rs && r->keys->nsigners <= KEY_SIGNERS_MAX);
		holds(r->params.cut_min <= r->params.cut_avg);
		holds(r->params.cut_avg <= r->params.cut_max);
		holds(r->params.cut_max <= FORMAT_CHUNK_MAX &&
		      r->params.pack_bytes <= FORMAT_PACK_MAX);
	}
	return 0;
}
