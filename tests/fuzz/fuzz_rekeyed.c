/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of keys that have changed: JSON with a list of bytes behind it. The
 * first byte says what: bit 0: keys of packs that were sealed anew, bit 3: what
 * counts of a site that was fenced, or else of a revoked signer. The JSON ends
 * at the first NUL and the list follows it; with bit 1 the input is the whole
 * plain text, with bit 2 the object itself.
 */
#include "common/hex.h"
#include "repo/fence.h"
#include "repo/note.h"
#include "repo/pack.h"
#include "repo/reseal.h"
#include "repo/revoke.h"
#include "tests/fuzz/fuzz_repo.h"

#define RESEALED 1
#define FENCED 8
#define FENCE_KEY "ctl/fence/2026-11-22/" FUZZ_RANDOM
#define REVOKED_KEY "ctl/revoked/2026-11-22/" FUZZ_RANDOM
#define COMMITMENT 0x11 /* each byte of that of the header's key */

static void put(const struct repo *r, uint8_t how, char kind, const char *key, const uint8_t *p,
                size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(n + 4);
	const uint8_t *json;
	size_t len = 0;

	if (how & 4) {
		fuzz_put(r, key, p, n);
	} else if (how & 2) {
		fuzz_put_sealed(r, kind, key, p, n);
	} else {
		(void)fuzz_piece(&p, &n, 0, &json, &len);
		(void)buf_u32(&b, (uint32_t)len);
		(void)(len > 0 && buf_put(&b, json, len));
		(void)(n > 0 && buf_put(&b, p, n));
		holds(!b.failed);
		fuzz_put_sealed(r, kind, key, b.data, b.len);
	}
}

/* The header of a pack that was written for somebody else. */
static void header(struct buf *ret)
{
	static const uint8_t zeros[80];

	(void)buf_put(ret, "AKSDP\1\0\0", 8);
	(void)buf_put(ret, zeros, 16 + 8); /* pack and domain */
	(void)buf_u8(ret, CIPHER_AES256GCM);
	(void)buf_u8(ret, 1);
	(void)buf_u16(ret, 1); /* keys */
	(void)buf_u16(ret, 1); /* slots */
	for (unsigned i = 0; i < 32; i++)
		(void)buf_u8(ret, COMMITMENT);
	(void)buf_put(ret, "somebody", 8);
	(void)buf_put(ret, zeros, sizeof(zeros));
	holds(!ret->failed);
}

static void resealed(struct repo *r)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	static const uint8_t id[FORMAT_PACK_ID_BYTES];
	struct pack_header h;
	uint8_t dek[FORMAT_DEK_BYTES];
	size_t need;
	struct err e = ERR_INIT;

	header(&b);
	works(pack_header_decode(b.data, b.len, id, &h, &need, &e));
	r->reseal = reseal_new();
	holds(r->reseal);
	/* Whatever the list says, it says nothing to who cannot open it. */
	holds(reseal_dek(r, b.data, &h, 0, NULL, dek, &e) < 0);
	fuzz_refused(&e, FUZZ_CLASS(ERR_DENIED));
	reseal_free(r->reseal);
	r->reseal = NULL;
}

/* The agent is revoked, and the object says what counts of it. */
static void revoked(struct repo *r)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(MIB);
	struct key_signer *s = calloc(1, sizeof(*s));
	struct key_list *l = calloc(1, sizeof(*l));
	uint8_t none[32] = { 0 };
	struct err e = ERR_INIT;

	holds(s && l);
	works(store_get_all(r->store, REVOKED_KEY, &object, &e));
	(void)snprintf(l->object, sizeof(l->object), "%s", REVOKED_KEY);
	crypt_sha256(l->hash, object.data, object.len);
	*s = (struct key_signer){ .revoked = true, .lists = l, .nlists = 1 };
	memset(s->public, 7, sizeof(s->public));
	key_signer_id(s->id, s->public);
	keys_set_signers(r->keys, s, 1);
	works(revoke_load(r, &e));
	holds(!s->lost || s->naccepted == 0);
	for (size_t i = 0; i < s->naccepted; i++) {
		holds(i == 0 || memcmp(s->accepted[i - 1], s->accepted[i], 32) <= 0);
		works(keys_accept(s, s->accepted[i], "it", &e));
	}
	if (s->naccepted == 0 || memcmp(s->accepted[0], none, sizeof(none)) > 0) {
		holds(keys_accept(s, none, "it", &e) < 0);
		holds(s->lost ? e.class == ERR_CORRUPT : key_is_void(&e));
	}
	keys_set_signers(r->keys, NULL, 0);
}

/* The volume is fenced, and the object says what counts of it. */
static void fenced(struct repo *r)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(MIB);
	const struct point_volume v = { .name = FUZZ_VOLUME };
	uint8_t hash[32];
	struct err e = ERR_INIT;

	works(store_get_all(r->store, FENCE_KEY, &object, &e));
	crypt_sha256(hash, object.data, object.len);
	struct hex64 hex = hex_of32(hash);
	json_t *named = json_pack("{s:s, s:s}", "object", FENCE_KEY, "hash", hex.s);
	r->config.json = json_pack("{s:i, s:[{s:i, s:i, s:O, s:[s], s:[o]}]}", "epoch", 1, "fences",
	                           "epoch", 1, "at_ns", 1, "record", named, "scope", FUZZ_VOLTAG,
	                           "accepted", named);
	works(fence_load(r, &e));
	const struct fence *f = fence_at(r, 0);
	holds(f && !f->closing && f->nlists == 1);
	if (fence_judge(r, &v, FUZZ_SESSION, 0, "it", &e) < 0)
		holds(f->lost ? e.class == ERR_CORRUPT : key_is_void(&e));
	for (size_t i = 1; i < f->nids; i++)
		holds(memcmp(f->ids[i - 1], f->ids[i], FENCE_ID_BYTES) <= 0);
	fence_free(r->fences);
	r->fences = NULL;
	json_decref(r->config.json);
	r->config.json = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	static char reseal_key[NOTE_KEY_MAX];

	if (!r.store) {
		char id[17];

		r = fuzz_repo_new();
		hex_encode(id, r.keys->recipients[0].id, 8);
		(void)snprintf(reseal_key, sizeof(reseal_key), "reseal/%s/2026-11-22/" FUZZ_RANDOM,
		               id);
	}
	if (size == 0 || size > 64 * KIB)
		return 0;
	if (data[0] & RESEALED) {
		put(&r, data[0], FORMAT_KIND_RESEAL, reseal_key, data + 1, size - 1);
		resealed(&r);
	} else if (data[0] & FENCED) {
		put(&r, data[0], FORMAT_KIND_FENCE, FENCE_KEY, data + 1, size - 1);
		fenced(&r);
	} else {
		put(&r, data[0], FORMAT_KIND_REVOKED, REVOKED_KEY, data + 1, size - 1);
		revoked(&r);
	}
	fuzz_empty(r.store);
	return 0;
}
