/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk cryptography against values that other implementations gave (Python's
 * hashlib, its cryptography package, PyNaCl), and envelopes against damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/hex.h"
#include "repo/crypt.h"
#include "tests/unit/repo/fixture.h"

#define NAME "commit/2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

static void assert_hex(const void *p, size_t n, const char *want)
{
	char got[256];

	assert_true(2 * n < sizeof(got));
	hex_encode(got, p, n);
	assert_string_equal(got, want);
}

/* 00 01 02 ... */
static void count_up(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)i;
}

static uint8_t *pattern(size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	return p;
}

/* ---- hashes ---- */

static const struct {
	size_t n;
	const char *id, *first, *last; /* fingerprints of the first and the last page */
} golden_ids[] = {
	{ 1, "2f36421b9832b2c78614b00312d812adffb1f91e58c1d91afc7b8b0b3bb44330",
	  "e46dbfbd202bc75a42c893130f4cfbe7", "e46dbfbd202bc75a42c893130f4cfbe7" },
	{ 4095, "145c700d753eed3ed17ec2707b4689a2232777df9ed02bbc6bcf10c7f32bb2c1",
	  "0e5a28244e231206a2d560c6ec89f507", "0e5a28244e231206a2d560c6ec89f507" },
	{ 4096, "841c1ea22de895f1bafa357508ac532ea9f8bb52fddfa8f85a72a5ca4c37bb73",
	  "3443d46f0000a7f8f9ad1084985961e0", "3443d46f0000a7f8f9ad1084985961e0" },
	{ 4097, "400bfbbddd10fc0a2270ac88b195a639a793c63feb4e7ac609a20f1640c2b2a3",
	  "3443d46f0000a7f8f9ad1084985961e0", "07f4d6c0e064eba41f3efa10456f831e" },
	{ 8192, "7debd25d56bcc7543ccee7341384a386704ea8de3653da6f635ffca7415d4160",
	  "3443d46f0000a7f8f9ad1084985961e0", "39e4aa1df5f3d557ce8b0fbe86b8d92f" },
	{ 12345, "efc3d82f64f16025556c0cc7814eefc7a08a2e5578ac15d57a1f0645987e47aa",
	  "3443d46f0000a7f8f9ad1084985961e0", "208457b7e1bd1c4f44edc9e228585c60" },
	{ 1048576, "0ffcffc8e697940d865f8f5d652f7db3170f16ecab6d3250eea6813a91c26db1",
	  "3443d46f0000a7f8f9ad1084985961e0", "0ad5a3856a0682e6658a6286ccb8cde2" },
};

static void test_crypt_chunk_id__is_what_the_format_says(void **state)
{
	struct crypt_hasher h;
	uint8_t key[32];
	uint8_t id[32];
	uint8_t fps[256 * CRYPT_FP_BYTES];

	(void)state;
	count_up(key, sizeof(key));
	crypt_hasher_init(&h, key);
	for (size_t i = 0; i < ARRAY_LEN(golden_ids); i++) {
		size_t n = golden_ids[i].n;
		size_t pages = (n + 4095) / 4096;
		auto_free uint8_t *p = pattern(n);

		crypt_chunk_id(&h, p, n, id, fps);
		assert_hex(id, 32, golden_ids[i].id);
		assert_hex(fps, CRYPT_FP_BYTES, golden_ids[i].first);
		assert_hex(fps + (pages - 1) * CRYPT_FP_BYTES, CRYPT_FP_BYTES, golden_ids[i].last);
		memset(id, 0, sizeof(id));
		crypt_chunk_id(&h, p, n, id, NULL);
		assert_hex(id, 32, golden_ids[i].id);
	}
}

/* The same hash from single calls, for every number of pages and every length of the last one. */
static void reference_id(const uint8_t key[32], const uint8_t *p, size_t n, uint8_t ret[32])
{
	CLEANUP(buf_clear) struct buf inner = BUF_INIT(16 * KIB);
	CLEANUP(buf_clear) struct buf outer = BUF_INIT(64 * KIB);
	uint8_t leaf[32];

	for (size_t i = 0; i < 64; i++)
		(void)buf_u8(&outer, (uint8_t)((i < 32 ? key[i] : 0) ^ 0x5c));
	for (size_t at = 0; at < n; at += 4096) {
		buf_reset(&inner);
		for (size_t i = 0; i < 64; i++)
			(void)buf_u8(&inner, (uint8_t)((i < 32 ? key[i] : 0) ^ 0x36));
		(void)buf_put(&inner, p + at, n - at < 4096 ? n - at : 4096);
		crypt_sha256(leaf, inner.data, inner.len);
		(void)buf_put(&outer, leaf, sizeof(leaf));
	}
	(void)buf_u64(&outer, n);
	assert_false(inner.failed || outer.failed);
	crypt_sha256(ret, outer.data, outer.len);
}

static void test_crypt_chunk_id__every_length_of_the_last_page(void **state)
{
	struct crypt_hasher h;
	uint8_t key[32];
	uint8_t id[32];
	uint8_t want[32];
	auto_free uint8_t *p = pattern(9 * 4096);

	(void)state;
	fill_random(1, key, sizeof(key));
	crypt_hasher_init(&h, key);
	for (size_t pages = 0; pages < 9; pages++) {
		for (size_t n = pages * 4096 + 1; n <= (pages + 1) * 4096; n += pages ? 61 : 1) {
			crypt_chunk_id(&h, p, n, id, NULL);
			reference_id(key, p, n, want);
			assert_memory_equal(id, want, 32);
		}
	}
}

static void test_crypt_page_fp__is_the_fingerprint_in_the_chunk(void **state)
{
	struct crypt_hasher h;
	uint8_t key[32];
	uint8_t id[32];
	uint8_t fp[CRYPT_FP_BYTES];
	uint8_t fps[5 * CRYPT_FP_BYTES];
	auto_free uint8_t *p = pattern(4 * 4096 + 100);

	(void)state;
	count_up(key, sizeof(key));
	crypt_hasher_init(&h, key);
	crypt_chunk_id(&h, p, 4 * 4096 + 100, id, fps);
	for (size_t i = 0; i < 5; i++) {
		crypt_page_fp(&h, p + i * 4096, i < 4 ? 4096 : 100, fp);
		assert_memory_equal(fp, fps + i * CRYPT_FP_BYTES, CRYPT_FP_BYTES);
	}
}

static void test_crypt_sha256__known_answer(void **state)
{
	uint8_t sum[32];

	(void)state;
	crypt_sha256(sum, "abc", 3); /* FIPS 180-4, appendix B.1 */
	assert_hex(sum, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* ---- ciphers ---- */

static const char plain[] = "attack at dawn, bring the big backup";
#define PLAIN_LEN (sizeof(plain) - 1)

static const struct {
	uint8_t cipher;
	uint32_t counter;
	const char *sealed;
} golden_boxes[] = {
	{ CIPHER_AES256GCM, 0,
	  "6fc8c1bfd647a3dc7c88cd546f42bdb9b0313f3d4fa11447e5bed1eaa2df3f37"
	  "2d3493ccd008093067da51a8b0"
	  "7821002a43576d" },
	{ CIPHER_XCHACHA20, 0,
	  "f472f8a68fe3c57862ae1b589b7812ca5ecec4fd1db03963aecdf734b0c67850"
	  "05e115c8ad4f4dcdfa9f6b70d9"
	  "fbf288a9436287" },
	{ CIPHER_AES256GCM, 0x01020304,
	  "6e2f110b981d2bd6073e8ff703dc1a60c76727760a5fa7c0b0141198b25abc1f"
	  "2c6d5bc0b20f7278b46f4845d7"
	  "3b463900a4175b" },
	{ CIPHER_XCHACHA20, 0x01020304,
	  "c54bf770511717aa1873386625f5b636d9b87287a88b51e0190bfcc388e501bc"
	  "3e9b6b9c7d1c7364be423b1582"
	  "45c5bf152124c6" },
};

static void test_crypt_box__known_answers_both_ways(void **state)
{
	static const uint8_t aad[] = "some aad";
	uint8_t key[32];
	uint8_t out[PLAIN_LEN + 16];
	uint8_t back[PLAIN_LEN];

	(void)state;
	count_up(key, sizeof(key));
	for (size_t i = 0; i < ARRAY_LEN(golden_boxes); i++) {
		struct crypt_box *b = crypt_box_new(golden_boxes[i].cipher);

		assert_non_null(b);
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_seal(b, golden_boxes[i].counter, aad, 8,
		                                (const uint8_t *)plain, PLAIN_LEN, out),
		                 0);
		assert_hex(out, sizeof(out), golden_boxes[i].sealed);
		assert_int_equal(crypt_box_open(b, golden_boxes[i].counter, aad, 8, out,
		                                sizeof(out), back),
		                 0);
		assert_memory_equal(back, plain, PLAIN_LEN);
		crypt_box_free(b);
	}
}

static void test_crypt_box_open__refuses_every_change(void **state)
{
	uint8_t key[32];
	uint8_t aad[8] = "some aad";
	uint8_t out[PLAIN_LEN + 16];
	uint8_t back[PLAIN_LEN + 16];

	(void)state;
	count_up(key, sizeof(key));
	for (uint8_t cipher = CIPHER_AES256GCM; cipher <= CIPHER_XCHACHA20; cipher++) {
		struct crypt_box *b = crypt_box_new(cipher);

		assert_non_null(b);
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_seal(b, 9, aad, 8, (const uint8_t *)plain, PLAIN_LEN,
		                                out),
		                 0);
		for (size_t i = 0; i < sizeof(out) * 8; i++) {
			out[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(crypt_box_open(b, 9, aad, 8, out, sizeof(out), back), -1);
			out[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		for (size_t n = 0; n < sizeof(out); n++)
			assert_int_equal(crypt_box_open(b, 9, aad, 8, out, n, back), -1);
		assert_int_equal(crypt_box_open(b, 8, aad, 8, out, sizeof(out), back), -1);
		assert_int_equal(crypt_box_open(b, 9, aad, 7, out, sizeof(out), back), -1);
		aad[0] ^= 1;
		assert_int_equal(crypt_box_open(b, 9, aad, 8, out, sizeof(out), back), -1);
		aad[0] ^= 1;
		assert_int_equal(crypt_box_open(b, 9, aad, 8, out, sizeof(out), back), 0);
		key[31] ^= 1;
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_open(b, 9, aad, 8, out, sizeof(out), back), -1);
		key[31] ^= 1;
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_open(b, 9, aad, 8, out, sizeof(out), back), 0);
		crypt_box_free(b);
	}
}

static void test_crypt_box_open__leaves_no_bytes_that_were_not_authentic(void **state)
{
	uint8_t key[32] = { 1 };
	uint8_t out[PLAIN_LEN + 16];
	uint8_t back[PLAIN_LEN];
	static const uint8_t zeros[PLAIN_LEN];

	(void)state;
	for (uint8_t cipher = CIPHER_AES256GCM; cipher <= CIPHER_XCHACHA20; cipher++) {
		struct crypt_box *b = crypt_box_new(cipher);

		assert_non_null(b);
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_seal(b, 9, NULL, 0, (const uint8_t *)plain, PLAIN_LEN,
		                                out),
		                 0);
		out[PLAIN_LEN] ^= 1;
		memset(back, 0, sizeof(back));
		assert_int_equal(crypt_box_open(b, 9, NULL, 0, out, sizeof(out), back), -1);
		assert_memory_equal(back, zeros, sizeof(zeros));
		crypt_box_free(b);
	}
}

static void test_crypt_box__large_and_empty_inputs(void **state)
{
	const size_t n = 3 * MIB + 5;
	uint8_t key[32] = { 2 };
	auto_free uint8_t *in = pattern(n);
	auto_free uint8_t *out = malloc(n + 16);
	auto_free uint8_t *back = malloc(n);

	(void)state;
	assert_non_null(out);
	assert_non_null(back);
	for (uint8_t cipher = CIPHER_AES256GCM; cipher <= CIPHER_XCHACHA20; cipher++) {
		struct crypt_box *b = crypt_box_new(cipher);

		assert_non_null(b);
		assert_int_equal(crypt_box_seal(b, 0, NULL, 0, in, n, out), -1); /* no key yet */
		crypt_box_key(b, key);
		assert_int_equal(crypt_box_seal(b, 1, NULL, 0, in, n, out), 0);
		assert_int_equal(crypt_box_open(b, 1, NULL, 0, out, n + 16, back), 0);
		assert_memory_equal(in, back, n);
		assert_int_equal(crypt_box_seal(b, 2, key, 32, in, 0, out), 0);
		assert_int_equal(crypt_box_open(b, 2, key, 32, out, 16, back), 0);
		crypt_box_free(b);
	}
}

static void test_crypt_box_new__unknown_ciphers_are_refused(void **state)
{
	(void)state;
	assert_null(crypt_box_new(0));
	assert_null(crypt_box_new(3));
	assert_null(crypt_scrub_new(0, (const uint8_t[32]){ 0 }, (const uint8_t[16]){ 0 }));
	assert_null(crypt_scrub_new(3, (const uint8_t[32]){ 0 }, (const uint8_t[16]){ 0 }));
}

static void test_crypt_best_cipher__is_one_that_works(void **state)
{
	(void)state;
	struct crypt_box *b = crypt_box_new(crypt_best_cipher());
	assert_non_null(b);
	crypt_box_free(b);
}

static void test_crypt_chunk_aad__is_what_the_format_says(void **state)
{
	uint8_t repo[16];
	uint8_t id[32];
	uint8_t aad[CRYPT_CHUNK_AAD_BYTES];

	(void)state;
	count_up(repo, sizeof(repo));
	memset(id, 0xee, sizeof(id));
	crypt_chunk_aad(aad, repo, id, 0x00102030, COMPRESSION_ZSTD);
	assert_hex(aad, sizeof(aad),
	           "000102030405060708090a0b0c0d0e0f"
	           "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
	           "3020100001");
}

/* ---- scrub ---- */

static void test_crypt_scrub__known_answers(void **state)
{
	static const char *const want[] = { "a7ccdcdf15bdf520d0543a378f0c2a27",
		                            "55ca779bf86391a274dfa70c53597285" };
	uint8_t key[32];
	uint8_t pack[16];
	uint8_t sum[16];
	auto_free uint8_t *ciphertext = pattern(100);

	(void)state;
	count_up(key, sizeof(key));
	count_up(pack, sizeof(pack));
	for (uint8_t cipher = CIPHER_AES256GCM; cipher <= CIPHER_XCHACHA20; cipher++) {
		struct crypt_scrub *s = crypt_scrub_new(cipher, key, pack);

		assert_non_null(s);
		assert_int_equal(crypt_scrub(s, 5, ciphertext, 100, sum), 0);
		assert_hex(sum, sizeof(sum), want[cipher - 1]);
		assert_int_equal(crypt_scrub(s, 6, ciphertext, 100, sum), 0);
		char other[33];
		hex_encode(other, sum, sizeof(sum));
		assert_string_not_equal(other, want[cipher - 1]);
		assert_int_equal(crypt_scrub(s, 5, ciphertext, 100, sum), 0); /* again */
		assert_hex(sum, sizeof(sum), want[cipher - 1]);
		crypt_scrub_free(s);
	}
}

/* ---- envelopes ---- */

static void seal(const struct fixture *f, const char *name, const char *text, struct buf *b)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	struct err e = ERR_INIT;

	if (crypt_object_seal(f->agent, 'R', key, name, text, strlen(text), b, &e) < 0)
		fail_msg("%s", e.msg);
}

/* Class of the error, or ERR_NONE. The text is compared when it opens. */
static enum err_class open_object(const struct keys *k, char kind, const char *name,
                                  const uint8_t *p, size_t n, const char *text)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	uint8_t signer[8];
	struct err e = ERR_INIT;

	if (crypt_object_open(k, kind, key, name, p, n, &b, signer, &e) < 0)
		return e.class;
	assert_int_equal(b.len, strlen(text));
	if (b.len > 0)
		assert_memory_equal(b.data, text, b.len);
	return ERR_NONE;
}

static void test_crypt_object__opens_with_every_key_file(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	static const char *const texts[] = { "", "x", "a restore point" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

		seal(&f, NAME, texts[i], &b);
		assert_int_equal(b.len, 8 + 8 + 24 + 4 + strlen(texts[i]) + 16 + 64);
		assert_memory_equal(b.data, "AKSDR\1\0\0", 8);
		assert_memory_equal(b.data + 8, f.agent->signer_id, 8);
		assert_int_equal(open_object(f.agent, 'R', NAME, b.data, b.len, texts[i]),
		                 ERR_NONE);
		assert_int_equal(open_object(f.audit, 'R', NAME, b.data, b.len, texts[i]),
		                 ERR_NONE);
		assert_int_equal(open_object(f.recovery, 'R', NAME, b.data, b.len, texts[i]),
		                 ERR_NONE);
	}
}

static void test_crypt_object_seal__appends_to_what_is_there(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	assert_int_equal(buf_str(&b, "before"), 0);
	seal(&f, NAME, "text", &b);
	assert_memory_equal(b.data, "before", 6);
	assert_int_equal(open_object(f.agent, 'R', NAME, b.data + 6, b.len - 6, "text"), ERR_NONE);
}

static void test_crypt_object_seal__the_limit_is_that_of_the_object(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8 + 8 + 24 + 4 + 4 + 16 + 64);
	CLEANUP(buf_clear) struct buf less = BUF_INIT(8 + 8 + 24 + 4 + 4 + 16 + 63);
	uint8_t key[32] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	seal(&f, NAME, "text", &b);
	assert_int_equal(b.len, b.max);
	assert_int_equal(open_object(f.agent, 'R', NAME, b.data, b.len, "text"), ERR_NONE);
	assert_int_equal(crypt_object_seal(f.agent, 'R', key, NAME, "text", 4, &less, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_crypt_object_seal__needs_a_signing_key_and_room(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	char name[600];
	uint8_t key[32] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(crypt_object_seal(f.audit, 'R', key, NAME, "x", 1, &b, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(crypt_object_seal(f.agent, 'R', key, NAME, "x", 1, &b, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(crypt_object_seal(f.agent, 'R', key, name, "x", 1, &b, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(open_object(f.agent, 'R', name, key, sizeof(key), ""), ERR_FORMAT);
}

static void test_crypt_object_open__finds_every_flipped_bit_and_every_cut(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)state;
	seal(&f, NAME, "a restore point", &b);
	for (size_t i = 0; i < b.len * 8; i++) {
		size_t at = i / 8;
		enum err_class want = at < 8 ? ERR_FORMAT : at < 16 ? ERR_DENIED : ERR_CORRUPT;

		b.data[at] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(open_object(f.agent, 'R', NAME, b.data, b.len, ""), want);
		b.data[at] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(open_object(f.agent, 'R', NAME, b.data, n, ""),
		                 n < 8 ? ERR_FORMAT : ERR_CORRUPT);
	assert_int_equal(buf_u8(&b, 0), 0);
	assert_int_equal(open_object(f.agent, 'R', NAME, b.data, b.len, ""), ERR_CORRUPT);
}

static void test_crypt_object_open__refuses_other_names_kinds_keys_and_repositories(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_fixture struct fixture g = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf plain_text = BUF_INIT(MIB);
	uint8_t other_key[32] = { 9 };
	uint8_t signer[8];
	struct err e = ERR_INIT;

	(void)state;
	seal(&f, NAME, "text", &b);
	assert_int_equal(open_object(f.agent, 'R', NAME "0", b.data, b.len, ""), ERR_CORRUPT);
	assert_int_equal(open_object(f.agent, 'S', NAME, b.data, b.len, ""), ERR_FORMAT);
	assert_int_equal(open_object(g.agent, 'R', NAME, b.data, b.len, ""), ERR_DENIED);
	assert_int_equal(crypt_object_open(f.agent, 'R', other_key, NAME, b.data, b.len,
	                                   &plain_text, signer, &e),
	                 -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_int_equal(plain_text.len, 0);
	/* a signer that is known, of another repository */
	memcpy(f.agent->repo, g.agent->repo, sizeof(f.agent->repo));
	assert_int_equal(open_object(f.agent, 'R', NAME, b.data, b.len, ""), ERR_CORRUPT);
}

static void test_crypt_object_open__later_versions_are_named(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf plain_text = BUF_INIT(MIB);
	uint8_t key[32] = { 0 };
	uint8_t signer[8];
	struct err e = ERR_INIT;

	(void)state;
	seal(&f, NAME, "text", &b);
	b.data[5] = 2;
	assert_int_equal(crypt_object_open(f.agent, 'R', key, NAME, b.data, b.len, &plain_text,
	                                   signer, &e),
	                 -1);
	assert_non_null(strstr(e.msg, "version 2"));
	b.data[5] = 1;
	b.data[7] = 0x80;
	assert_int_equal(crypt_object_open(f.agent, 'R', key, NAME, b.data, b.len, &plain_text,
	                                   signer, &e),
	                 -1);
	assert_non_null(strstr(e.msg, "0x8000"));
}

static void test_crypt_object_open__a_result_over_the_limit_is_an_error(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf small = BUF_INIT(3);
	static const uint8_t key[32] = { 1, 2, 3 };
	uint8_t signer[8];
	struct err e = ERR_INIT;

	(void)state;
	seal(&f, NAME, "text", &b);
	assert_int_equal(crypt_object_open(f.agent, 'R', key, NAME, b.data, b.len, &small, signer,
	                                   &e),
	                 -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crypt_chunk_id__is_what_the_format_says),
		cmocka_unit_test(test_crypt_chunk_id__every_length_of_the_last_page),
		cmocka_unit_test(test_crypt_page_fp__is_the_fingerprint_in_the_chunk),
		cmocka_unit_test(test_crypt_sha256__known_answer),
		cmocka_unit_test(test_crypt_box__known_answers_both_ways),
		cmocka_unit_test(test_crypt_box_open__refuses_every_change),
		cmocka_unit_test(test_crypt_box_open__leaves_no_bytes_that_were_not_authentic),
		cmocka_unit_test(test_crypt_box__large_and_empty_inputs),
		cmocka_unit_test(test_crypt_box_new__unknown_ciphers_are_refused),
		cmocka_unit_test(test_crypt_best_cipher__is_one_that_works),
		cmocka_unit_test(test_crypt_chunk_aad__is_what_the_format_says),
		cmocka_unit_test(test_crypt_scrub__known_answers),
		cmocka_unit_test(test_crypt_object__opens_with_every_key_file),
		cmocka_unit_test(test_crypt_object_seal__appends_to_what_is_there),
		cmocka_unit_test(test_crypt_object_seal__the_limit_is_that_of_the_object),
		cmocka_unit_test(test_crypt_object_seal__needs_a_signing_key_and_room),
		cmocka_unit_test(test_crypt_object_open__finds_every_flipped_bit_and_every_cut),
		cmocka_unit_test(
			test_crypt_object_open__refuses_other_names_kinds_keys_and_repositories),
		cmocka_unit_test(test_crypt_object_open__later_versions_are_named),
		cmocka_unit_test(test_crypt_object_open__a_result_over_the_limit_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
