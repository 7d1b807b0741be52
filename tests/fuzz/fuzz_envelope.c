/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed objects. The first byte says how: 0: as they come; 1: with the
 * signer and the signature put right, so that what follows is reached too.
 */
#include <sodium.h>

#include "repo/crypt.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_keys.h"

#define NAME "commit/2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

static void sign(const struct keys *agent, uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(n + KIB);

	memcpy(p + FORMAT_HEAD_BYTES, agent->signer_id, FORMAT_SIGNER_BYTES);
	(void)buf_put(&b, "aksdr object", 13);
	(void)buf_put(&b, agent->repo, sizeof(agent->repo));
	(void)buf_put(&b, NAME, sizeof(NAME));
	(void)buf_put(&b, p, n - FORMAT_SIGNATURE_BYTES);
	holds(!b.failed);
	(void)crypto_sign_detached(p + n - FORMAT_SIGNATURE_BYTES, NULL, b.data, b.len,
	                           agent->s->sign_secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	static struct keys *reader;
	static struct keys *agent;
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(MIB);
	uint8_t signer[8];
	struct err e = ERR_INIT;

	if (!reader) {
		reader = fuzz_reader();
		agent = fuzz_keys(FUZZ_AGENT);
	}
	if (size == 0 || size > 64 * KIB)
		return 0;
	auto_free uint8_t *p = malloc(size);
	holds(p);
	size_t n = size - 1;
	memcpy(p, data + 1, n);
	if (data[0] == 1 && n >= FORMAT_HEAD_BYTES + FORMAT_SIGNER_BYTES + FORMAT_SIGNATURE_BYTES)
		sign(agent, p, n);
	if (crypt_object_open(reader, FORMAT_KIND_POINT, key, NAME, p, n, &plain, signer, &e) < 0) {
		fuzz_refused(&e, FUZZ_BAD);
		holds(plain.len == 0);
	} else {
		holds(plain.len + 8 + 8 + 24 + 4 + 16 + 64 == n);
	}
	return 0;
}
