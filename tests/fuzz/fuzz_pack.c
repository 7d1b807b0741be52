/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs. The first byte says which part the others are: 0: the start of an
 * object; 1: a trailer; 2: a trailer whose signature is put right; 3: the
 * entries of a footer that is well sealed; 4: a chunk as it is stored.
 */
#include <sodium.h>

#include "repo/compress.h"
#include "repo/pack.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_keys.h"

#define OBJECT_LEN (16 * MIB)

static const uint8_t id[16] = { 0xab, 0xcd };
static struct keys *reader;
static struct keys *agent;
static struct domain_keys *domain;

static void check(const struct err *e)
{
	fuzz_refused(e, FUZZ_BAD);
}

/* A key of the header as it goes into another pack. */
static void copy_key(const uint8_t *p, const struct pack_header *h, uint16_t key)
{
	static struct pack_build *copies[2];
	struct pack_build **b = &copies[h->kind];
	CLEANUP(buf_clear) struct buf blocks = BUF_INIT(MIB);
	struct err e = ERR_INIT;

	if (!*b)
		*b = pack_copy_new(reader, domain, h->kind, CIPHER_AES256GCM, MIB, &e);
	holds(*b);
	if (pack_copy_key(*b, p, h, key, &blocks, &e) < 0)
		check(&e);
	else
		holds((blocks.len - FORMAT_KEYHEAD_BYTES) % FORMAT_SLOT_BYTES == 0);
}

static void header(const uint8_t *p, size_t n)
{
	auto_secret uint8_t *dek = secret_new(32);
	struct pack_header h;
	struct err e = ERR_INIT;
	size_t need = 0;

	holds(dek);
	if (pack_header_decode(p, n, id, &h, &need, &e) < 0) {
		check(&e);
		return;
	}
	if (need > n)
		return;
	holds(need == h.len && h.nkeys > 0 && h.nkeys <= FORMAT_KEYS_MAX);
	for (unsigned key = 0; key <= h.nkeys; key += 1 + h.nkeys / 4) {
		if (pack_header_dek(p, &h, (uint16_t)key, reader, domain, dek, &e) < 0)
			check(&e);
		copy_key(p, &h, (uint16_t)key);
	}
}

static void sign(uint8_t p[FORMAT_TRAILER_BYTES])
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);

	memcpy(p + 80, agent->signer_id, 8);
	(void)buf_put(&b, "aksdr pack", 11);
	(void)buf_put(&b, agent->repo, 16);
	(void)buf_put(&b, id, 16);
	(void)buf_put(&b, p, 88);
	holds(!b.failed);
	(void)crypto_sign_detached(p + 88, NULL, b.data, b.len, agent->s->sign_secret);
}

static void trailer(const uint8_t *p, size_t n, bool signed_well)
{
	uint8_t t[FORMAT_TRAILER_BYTES] = { 0 };
	struct pack_trailer decoded;
	struct err e = ERR_INIT;

	memcpy(t, p, n < sizeof(t) ? n : sizeof(t));
	if (signed_well)
		sign(t);
	if (pack_trailer_decode(t, OBJECT_LEN, id, reader, &decoded, &e) < 0)
		check(&e);
	else
		holds(decoded.footer_off + decoded.footer_len + sizeof(t) == OBJECT_LEN &&
		      decoded.header_len <= decoded.footer_off);
}

static void footer(const uint8_t *p, size_t n)
{
	struct pack_trailer t = { .header_len = 158 };
	uint8_t aad[6 + 16 + 16 + 32] = "footer";
	auto_free struct pack_entry *entries = NULL;
	auto_free uint8_t *sealed = calloc(1, n + 40);
	size_t count;
	struct err e = ERR_INIT;

	holds(sealed);
	memcpy(aad + 6, reader->repo, 16);
	memcpy(aad + 22, id, 16);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + 24, NULL, p, n, aad, sizeof(aad),
	                                                 NULL, sealed, domain->foot);
	t.footer_len = (uint32_t)(n + 40);
	t.footer_off = OBJECT_LEN - FORMAT_TRAILER_BYTES - t.footer_len;
	crypt_sha256(t.footer_hash, sealed, n + 40);
	if (pack_footer_decode(sealed, n + 40, &t, id, reader, domain, &entries, &count, &e) < 0) {
		check(&e);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		holds(entries[i].off >= 158 && entries[i].off + entries[i].stored <= t.footer_off);
		holds(entries[i].plain > 0 && entries[i].plain <= FORMAT_CHUNK_MAX);
	}
}

/* Stored bytes that are authentic, whatever they are: what zstd gets to see. */
static void chunk(const uint8_t *p, size_t n)
{
	static const uint8_t key[32] = { 7 };
	struct chunk_ref r = { .compression = COMPRESSION_ZSTD };
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct compress *z = compress_new();
	uint8_t aad[CRYPT_CHUNK_AAD_BYTES];

	if (n > 64 * KIB)
		n = 64 * KIB;
	r.plain = n < 2 ? 1 : (uint32_t)(p[0] | p[1] << 8) + 1;
	p += n < 2 ? 0 : 2;
	n -= n < 2 ? 0 : 2;
	r.stored = (uint32_t)n + FORMAT_TAG_BYTES;
	auto_free uint8_t *sealed = malloc(r.stored);
	auto_free uint8_t *scratch = malloc(r.stored);
	auto_free uint8_t *out = malloc(r.plain);
	holds(box && z && sealed && scratch && out);
	crypt_box_key(box, key);
	crypt_chunk_aad(aad, reader->repo, r.id, r.plain, r.compression);
	holds(crypt_box_seal(box, 0, aad, sizeof(aad), p, n, sealed) == 0);
	(void)pack_chunk_open(box, z, reader->repo, &r, sealed, scratch, out);
	compress_free(z);
	crypt_box_free(box);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!reader) {
		reader = fuzz_reader();
		agent = fuzz_keys(FUZZ_AGENT);
		domain = fuzz_domain(reader);
	}
	if (size == 0 || size > MIB)
		return 0;
	switch (data[0]) {
	case 0:
		header(data + 1, size - 1);
		break;
	case 1:
		trailer(data + 1, size - 1, false);
		break;
	case 2:
		trailer(data + 1, size - 1, true);
		break;
	case 3:
		footer(data + 1, size - 1);
		break;
	case 4:
		chunk(data + 1, size - 1);
		break;
	default:
		break;
	}
	return 0;
}
