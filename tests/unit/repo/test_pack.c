/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: what is built is what the format says, opens with the right keys only, and hides no
 * damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>

#include "common/hex.h"
#include "repo/compress.h"
#include "repo/pack.h"
#include "tests/unit/repo/fixture.h"

#define CAP MIB

/* What went into a pack. */
struct sample {
	struct pack_build *b;
	struct chunk_ref refs[64];
	uint8_t *plain[64];
	size_t n;
};

static void sample_clear(struct sample *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->plain[i]);
	pack_build_free(s->b);
}
#define auto_sample CLEANUP(sample_clear)

static struct pack_build *build_new(const struct fixture *f, uint8_t kind, uint8_t cipher,
                                    size_t cap)
{
	struct err e = ERR_INIT;
	struct pack_build *b = pack_build_new(f->agent, f->domain, kind, cipher, cap, &e);

	if (!b)
		harness_die("%s", e.msg);
	return b;
}

/* Reserves and seals one chunk of n bytes: noise, or zeros that compress. */
static void add_chunk(const struct fixture *f, struct sample *s, size_t n, bool zeros)
{
	struct crypt_box *box = crypt_box_new(s->b->cipher);
	struct crypt_scrub *scrub = crypt_scrub_new(s->b->cipher, f->domain->scrub, s->b->id);
	struct compress *z = compress_new();
	auto_free uint8_t *packed = malloc(compress_bound(n));
	uint8_t *plain = calloc(1, n);
	struct chunk_ref *r = &s->refs[s->n];

	if (!box || !scrub || !z || !packed || !plain)
		harness_die("no memory");
	crypt_box_key(box, s->b->dek);
	if (!zeros)
		fill_random(s->n + 1, plain, n);
	fill_random(1000 + s->n, r->id, sizeof(r->id));
	size_t len = compress_chunk(z, 3, plain, n, packed, compress_bound(n));
	r->plain = (uint32_t)n;
	r->compression = len ? COMPRESSION_ZSTD : COMPRESSION_NONE;
	const uint8_t *in = len ? packed : plain;
	len = len ? len : n;
	assert_true(pack_build_fits(s->b, len + FORMAT_TAG_BYTES));
	size_t index = pack_build_reserve(s->b, r, len + FORMAT_TAG_BYTES);
	assert_int_equal(index, s->n);
	assert_int_equal(pack_build_seal(s->b, box, scrub, index, r, in, len), 0);
	s->plain[s->n++] = plain;
	compress_free(z);
	crypt_scrub_free(scrub);
	crypt_box_free(box);
}

static void finish(struct sample *s)
{
	struct err e = ERR_INIT;

	if (pack_build_finish(s->b, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct sample sample_new(const struct fixture *f, uint8_t kind, uint8_t cipher)
{
	struct sample s = { .b = build_new(f, kind, cipher, CAP) };

	add_chunk(f, &s, 100, false);
	add_chunk(f, &s, 5000, true);
	add_chunk(f, &s, 1, false);
	add_chunk(f, &s, 300, false);
	finish(&s);
	return s;
}

/* Class of the first error met when the whole object is read with these keys, or ERR_NONE. */
static enum err_class read_pack(const struct sample *s, const uint8_t *p, size_t n,
                                const struct keys *keys, const struct domain_keys *domain,
                                bool with_data, struct err *e)
{
	struct pack_trailer t;
	struct pack_header h;
	auto_free struct pack_entry *entries = NULL;
	auto_secret uint8_t *dek = secret_new(32);
	uint8_t sum[32];
	uint8_t scratch[8192];
	uint8_t out[8192];
	size_t nentries;
	size_t need;

	*e = (struct err)ERR_INIT;
	if (n < FORMAT_TRAILER_BYTES)
		return ERR_FORMAT;
	if (pack_trailer_decode(p + n - FORMAT_TRAILER_BYTES, n, s->b->id, keys, &t, e) < 0 ||
	    pack_footer_decode(p + t.footer_off, t.footer_len, &t, s->b->id, keys, domain, &entries,
	                       &nentries, e) < 0 ||
	    pack_header_decode(p, t.header_len, s->b->id, &h, &need, e) < 0)
		return e->class;
	crypt_sha256(sum, p, t.header_len);
	if (need != t.header_len || memcmp(sum, t.header_hash, 32) != 0)
		return ERR_CORRUPT;
	assert_int_equal(nentries, s->n);
	struct crypt_scrub *scrub = crypt_scrub_new(h.cipher, domain->scrub, s->b->id);
	assert_non_null(scrub);
	enum err_class class = ERR_NONE;
	for (size_t i = 0; i < nentries; i++) {
		assert_int_equal(crypt_scrub(scrub, (uint32_t)i, p + entries[i].off,
		                             entries[i].stored, sum),
		                 0);
		if (memcmp(sum, entries[i].scrub, 16) != 0)
			class = ERR_CORRUPT;
	}
	crypt_scrub_free(scrub);
	if (class || !with_data)
		return class;
	if (pack_header_dek(p, &h, 0, keys, domain, dek, e) < 0)
		return e->class;
	struct crypt_box *box = crypt_box_new(h.cipher);
	struct compress *z = compress_new();
	assert_non_null(box);
	assert_non_null(z);
	crypt_box_key(box, dek);
	for (size_t i = 0; i < nentries; i++) {
		const struct chunk_ref *r = &s->refs[i];

		assert_memory_equal(entries[i].id, r->id, 32);
		assert_int_equal(entries[i].off, r->off);
		assert_int_equal(entries[i].stored, r->stored);
		assert_int_equal(entries[i].plain, r->plain);
		assert_int_equal(entries[i].counter, r->counter);
		assert_int_equal(entries[i].compression, r->compression);
		assert_int_equal(entries[i].kind, r->kind);
		if (pack_chunk_open(box, z, keys->repo, r, p + r->off, scratch, out) < 0)
			class = ERR_CORRUPT;
		else
			assert_memory_equal(out, s->plain[i], r->plain);
	}
	compress_free(z);
	crypt_box_free(box);
	return class;
}

/* ---- names and lengths ---- */

static void test_pack_key_name__and_back(void **state)
{
	char name[PACK_KEY_MAX];
	uint8_t id[16];
	uint8_t got[16];
	uint8_t kind;

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		id[i] = (uint8_t)(0xab + i);
	pack_key_name(name, id, CHUNK_DATA);
	assert_string_equal(name, "pack/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9ba");
	assert_int_equal(pack_key_parse(name, got, &kind), 0);
	assert_memory_equal(id, got, 16);
	assert_int_equal(kind, CHUNK_DATA);
	pack_key_name(name, id, CHUNK_NODE);
	assert_string_equal(name, "meta/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9ba");
	assert_int_equal(pack_key_parse(name, got, &kind), 0);
	assert_int_equal(kind, CHUNK_NODE);
}

static void test_pack_key_parse__refuses_other_names(void **state)
{
	static const char *const bad[] = {
		"",
		"config",
		"pack/",
		"pack/ab/",
		"pack/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9b",
		"pack/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9ba0",
		"pack/ac/abacadaeafb0b1b2b3b4b5b6b7b8b9ba",
		"pack/AB/ABacadaeafb0b1b2b3b4b5b6b7b8b9ba",
		"pack-ab/abacadaeafb0b1b2b3b4b5b6b7b8b9ba",
		"pack/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9bg",
		"idxs/ab/abacadaeafb0b1b2b3b4b5b6b7b8b9ba",
	};
	uint8_t id[16];
	uint8_t kind;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(pack_key_parse(bad[i], id, &kind), -1);
}

static void test_pack_padme__known_answers(void **state)
{
	static const struct {
		uint64_t n, want;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 2, 2 },
		{ 3, 3 },
		{ 9, 10 },
		{ 100, 104 },
		{ 1000, 1024 },
		{ 4097, 4352 },
		{ 1048576, 1048576 },
		{ 33554433, 34603008 },
		{ 33566777, 34603008 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(pack_padme(cases[i].n), cases[i].want);
}

static void test_pack_padme__is_idempotent_monotonic_and_adds_at_most_an_eighth(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (uint64_t n = 1; n < 300000; n += 1 + n / 1000) {
		uint64_t padded = pack_padme(n);

		assert_true(padded >= n && padded - n <= n / 8 + 1);
		assert_true(padded >= before);
		assert_int_equal(pack_padme(padded), padded);
		before = padded;
	}
}

/* ---- building ---- */

static void test_pack_build__object_has_the_length_that_the_format_says(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	uint64_t payload = 0;

	(void)state;
	for (size_t i = 0; i < s.n; i++)
		payload += s.refs[i].stored - 16;
	/* head, key and slot; tags; footer; trailer */
	uint64_t rest = 36 + 34 + 88 + 4 * 16 + (24 + 4 + 4 * 68 + 16) + 160;
	assert_int_equal(s.b->len, pack_padme(payload) + (rest + 4095) / 4096 * 4096);
	assert_memory_equal(s.b->data, "AKSDP\1\0\0", 8);
	assert_memory_equal(s.b->data + 8, s.b->id, 16);
	assert_memory_equal(s.b->data + 24, f.domain->tag, 8);
	assert_memory_equal(s.b->data + 32, "\1\1\1\0\1\0", 6);
	assert_memory_equal(s.b->data + s.b->len - 8, "AKSDTAIL", 8);
	assert_null(s.b->dek); /* wiped */
}

static void test_pack_build__each_kind_and_cipher_comes_back(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct err e;

	(void)state;
	for (uint8_t kind = CHUNK_DATA; kind <= CHUNK_NODE; kind++) {
		for (uint8_t cipher = CIPHER_AES256GCM; cipher <= CIPHER_XCHACHA20; cipher++) {
			auto_sample struct sample s = sample_new(&f, kind, cipher);
			const uint8_t *p = s.b->data;
			size_t n = s.b->len;

			assert_int_equal(s.refs[1].compression, COMPRESSION_ZSTD);
			assert_int_equal(s.refs[0].compression, COMPRESSION_NONE);
			assert_int_equal(read_pack(&s, p, n, f.recovery, f.domain, true, &e),
			                 ERR_NONE);
			assert_int_equal(read_pack(&s, p, n, f.audit, f.domain, false, &e),
			                 ERR_NONE);
			assert_int_equal(read_pack(&s, p, n, f.agent, f.domain, true, &e),
			                 kind == CHUNK_NODE ? ERR_NONE : ERR_DENIED);
			assert_int_equal(read_pack(&s, p, n, f.audit, f.domain, true, &e),
			                 kind == CHUNK_NODE ? ERR_NONE : ERR_DENIED);
		}
	}
}

static void test_pack_build__an_empty_pack_can_be_read(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = { .b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP) };
	struct err e;

	(void)state;
	finish(&s);
	assert_int_equal(s.b->len, 4096);
	assert_int_equal(read_pack(&s, s.b->data, s.b->len, f.recovery, f.domain, true, &e),
	                 ERR_NONE);
}

static void test_pack_build_again__is_another_pack_in_the_same_memory(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	const uint8_t *memory = s.b->data;
	uint8_t id[16];
	struct err e = ERR_INIT;

	(void)state;
	memcpy(id, s.b->id, sizeof(id));
	for (size_t i = 0; i < s.n; i++)
		free(s.plain[i]);
	s.n = 0;
	assert_int_equal(pack_build_again(s.b, &e), 0);
	assert_ptr_equal(s.b->data, memory);
	assert_memory_not_equal(s.b->id, id, sizeof(id));
	add_chunk(&f, &s, 700, false);
	add_chunk(&f, &s, 2000, true);
	finish(&s);
	assert_int_equal(read_pack(&s, s.b->data, s.b->len, f.recovery, f.domain, true, &e),
	                 ERR_NONE);
}

static void test_pack_build_fits__a_full_pack_stays_within_its_block(void **state)
{
	static const size_t sizes[] = { 17, 100, 4112, 60016, 300000 };
	auto_fixture struct fixture f = fixture_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pack_build *b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP);
		struct err e = ERR_INIT;

		while (pack_build_fits(b, sizes[i])) {
			struct chunk_ref r = { .plain = (uint32_t)sizes[i] - 16 };

			(void)pack_build_reserve(b, &r, sizes[i]);
			assert_true(r.off + r.stored == b->len);
		}
		assert_true(b->n > 2);
		assert_int_equal(pack_build_finish(b, &e), 0);
		assert_true(b->len <= CAP);
		/* not much is left unused: padding of the payload, and one chunk */
		assert_true(b->len + CAP / 16 + sizes[i] > CAP);
		pack_build_free(b);
	}
}

static void test_pack_build_fits__refuses_absurd_sizes(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct pack_build *b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, 64 * MIB);

	(void)state;
	assert_false(pack_build_fits(b, 0));
	assert_false(pack_build_fits(b, 16));
	assert_true(pack_build_fits(b, 17));
	assert_true(pack_build_fits(b, FORMAT_CHUNK_MAX + 16));
	assert_false(pack_build_fits(b, FORMAT_CHUNK_MAX + 17));
	pack_build_free(b);
}

static void test_pack_build_new__refuses_what_cannot_work(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_null(pack_build_new(f.audit, f.domain, CHUNK_DATA, CIPHER_AES256GCM, CAP, &e));
	assert_int_equal(e.class, ERR_DENIED);
	assert_null(pack_build_new(f.agent, f.domain, CHUNK_DATA, CIPHER_AES256GCM, 100, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(pack_build_new(f.agent, f.domain, CHUNK_DATA, CIPHER_AES256GCM,
	                           FORMAT_PACK_MAX + 1, &e));
	assert_int_equal(e.class, ERR_INVALID);
	memset(f.agent->recipients[0].public, 0, 32); /* a point of low order */
	assert_null(pack_build_new(f.agent, f.domain, CHUNK_DATA, CIPHER_AES256GCM, CAP, &e));
	assert_int_equal(e.class, ERR_INVALID);
	f.agent->nrecipients = 0;
	assert_null(pack_build_new(f.agent, f.domain, CHUNK_DATA, CIPHER_AES256GCM, CAP, &e));
	assert_int_equal(e.class, ERR_DENIED);
}

static void test_pack_build_seal__refuses_another_length(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct pack_build *b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP);
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct crypt_scrub *scrub = crypt_scrub_new(CIPHER_AES256GCM, f.domain->scrub, b->id);
	struct chunk_ref r = { .plain = 100 };
	uint8_t in[101] = { 0 };

	(void)state;
	assert_non_null(box);
	assert_non_null(scrub);
	size_t index = pack_build_reserve(b, &r, 116);
	assert_int_equal(pack_build_seal(b, box, scrub, index, &r, in, 100), -1); /* no key */
	crypt_box_key(box, b->dek);
	assert_int_equal(pack_build_seal(b, box, scrub, index, &r, in, 101), -1);
	assert_int_equal(pack_build_seal(b, box, scrub, index, &r, in, 99), -1);
	assert_int_equal(pack_build_seal(b, box, scrub, index, &r, in, 100), 0);
	crypt_scrub_free(scrub);
	crypt_box_free(box);
	pack_build_free(b);
}

/* ---- several threads ---- */

struct sealers {
	const struct fixture *f;
	struct pack_build *b;
	pthread_mutex_t lock;
	struct chunk_ref refs[400];
};

static void *seal_some(void *arg)
{
	struct sealers *s = arg;
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct crypt_scrub *scrub = crypt_scrub_new(CIPHER_AES256GCM, s->f->domain->scrub,
	                                            s->b->id);
	uint8_t in[1000];

	if (!box || !scrub)
		abort();
	crypt_box_key(box, s->b->dek);
	for (size_t i = 0; i < 100; i++) {
		struct chunk_ref r = { .plain = sizeof(in) };

		(void)pthread_mutex_lock(&s->lock);
		memset(r.id, (int)s->b->n, sizeof(r.id));
		size_t index = pack_build_reserve(s->b, &r, sizeof(in) + 16);
		s->refs[index] = r;
		(void)pthread_mutex_unlock(&s->lock);
		fill_random(index, in, sizeof(in));
		if (pack_build_seal(s->b, box, scrub, index, &r, in, sizeof(in)) < 0)
			abort();
	}
	crypt_scrub_free(scrub);
	crypt_box_free(box);
	return NULL;
}

static void test_pack_build_seal__threads_fill_one_pack(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct sealers s = {
		.f = &f,
		.b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	pthread_t threads[4];
	struct pack_header h;
	size_t need;
	uint8_t want[1000];
	uint8_t got[1000];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_some, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pack_build_finish(s.b, &e), 0);
	auto_secret uint8_t *dek = secret_new(32);
	assert_int_equal(pack_header_decode(s.b->data, s.b->len, s.b->id, &h, &need, &e), 0);
	assert_int_equal(pack_header_dek(s.b->data, &h, 0, f.recovery, f.domain, dek, &e), 0);
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct compress *z = compress_new();
	assert_non_null(box);
	crypt_box_key(box, dek);
	assert_int_equal(s.b->n, 400);
	for (size_t i = 0; i < 400; i++) {
		fill_random(i, want, sizeof(want));
		assert_int_equal(pack_chunk_open(box, z, f.agent->repo, &s.refs[i],
		                                 s.b->data + s.refs[i].off, NULL, got),
		                 0);
		assert_memory_equal(want, got, sizeof(want));
	}
	compress_free(z);
	crypt_box_free(box);
	pack_build_free(s.b);
}

/* ---- damage ---- */

static void test_pack__every_flipped_byte_but_padding_is_found(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	size_t n = s.b->len;
	auto_free uint8_t *p = malloc(n);
	size_t padding = s.refs[s.n - 1].off + s.refs[s.n - 1].stored;
	size_t footer = n - 160 - (24 + 4 + s.n * 68 + 16);
	struct err e;

	(void)state;
	assert_non_null(p);
	memcpy(p, s.b->data, n);
	for (size_t i = 0; i < n; i++) {
		bool harmless = i >= padding && i < footer;

		if (harmless && i % 97 != 0)
			continue; /* all alike */
		p[i] ^= 0x41;
		enum err_class class = read_pack(&s, p, n, f.recovery, f.domain, true, &e);
		if ((class == ERR_NONE) != harmless)
			fail_msg("byte %zu: class %d", i, (int)class);
		if (class)
			assert_true(class == ERR_CORRUPT || class == ERR_FORMAT ||
			            class == ERR_DENIED);
		p[i] ^= 0x41;
	}
}

static void test_pack__every_cut_is_found(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	struct err e;

	(void)state;
	for (size_t n = 0; n < s.b->len; n += n % 41 + 1)
		assert_true(read_pack(&s, s.b->data, n, f.recovery, f.domain, true, &e) !=
		            ERR_NONE);
}

static void test_pack__keys_of_others_do_not_open_it(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_fixture struct fixture g = fixture_new();
	struct domain_keys *other = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(keys_domain(f.agent, "other", &other, &e), 0);
	for (uint8_t kind = CHUNK_DATA; kind <= CHUNK_NODE; kind++) {
		auto_sample struct sample s = sample_new(&f, kind, CIPHER_AES256GCM);
		const uint8_t *p = s.b->data;
		size_t n = s.b->len;

		assert_int_equal(read_pack(&s, p, n, g.recovery, g.domain, true, &e), ERR_DENIED);
		assert_int_equal(read_pack(&s, p, n, f.recovery, other, true, &e), ERR_CORRUPT);
	}
	secret_free(other);
}

static void test_pack__a_swapped_object_is_named(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	auto_sample struct sample t = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;
	char hex[33];

	(void)state;
	assert_int_equal(read_pack(&s, t.b->data, t.b->len, f.recovery, f.domain, true, &e),
	                 ERR_CORRUPT);
	e = (struct err)ERR_INIT;
	assert_int_equal(pack_header_decode(t.b->data, t.b->len, s.b->id, &h, &need, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	hex_encode(hex, t.b->id, 16);
	assert_non_null(strstr(e.msg, hex));
}

static void test_pack_chunk_open__is_bound_to_everything_about_the_chunk(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = { .b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP) };
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct compress *z = compress_new();
	uint8_t repo[16];
	uint8_t scratch[8192];
	uint8_t out[8192];

	(void)state;
	assert_non_null(box);
	assert_non_null(z);
	add_chunk(&f, &s, 100, false);
	add_chunk(&f, &s, 5000, true);
	crypt_box_key(box, s.b->dek);
	memcpy(repo, f.agent->repo, sizeof(repo));
	for (size_t i = 0; i < s.n; i++) {
		const uint8_t *in = s.b->data + s.refs[i].off;
		struct chunk_ref r = s.refs[i];

		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), 0);
		r.id[31] ^= 1;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r = s.refs[i];
		r.plain++;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r = s.refs[i];
		r.counter++;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r = s.refs[i];
		r.compression = !r.compression;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r.compression = 7;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r = s.refs[i];
		r.stored = 16;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		r = s.refs[i];
		repo[0] ^= 1;
		assert_int_equal(pack_chunk_open(box, z, repo, &r, in, scratch, out), -1);
		repo[0] ^= 1;
	}
	compress_free(z);
	crypt_box_free(box);
}

/* ---- headers ---- */

static void test_pack_header_decode__asks_for_what_it_lacks(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 3; i++)
		f.agent->recipients[f.agent->nrecipients++] = f.agent->recipients[0];
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	size_t len = 36 + 34 + 4 * 88;
	for (size_t n = 0; n < len; n++) {
		need = 0;
		assert_int_equal(pack_header_decode(s.b->data, n, s.b->id, &h, &need, &e), 0);
		assert_true(need > n);
	}
	assert_int_equal(pack_header_decode(s.b->data, s.b->len, s.b->id, &h, &need, &e), 0);
	assert_int_equal(need, len);
	assert_int_equal(h.len, len);
	assert_int_equal(h.nkeys, 1);
	assert_int_equal(h.kind, CHUNK_DATA);
	assert_int_equal(h.cipher, CIPHER_AES256GCM);
	assert_true(len < PACK_HEADER_GUESS);
}

/* A header as repacking may write it: two keys, the second with two slots. */
static void two_key_header(const struct sample *a, const struct sample *b, struct buf *out)
{
	(void)buf_put(out, a->b->data, 34);
	(void)buf_u16(out, 2);
	(void)buf_put(out, a->b->data + 36, 34 + 88);
	(void)buf_u16(out, 2);
	(void)buf_put(out, b->b->data + 38, 32);
	(void)buf_zero(out, 88); /* a slot for somebody else */
	(void)buf_put(out, b->b->data + 36 + 34, 88);
	assert_false(out->failed);
}

static void test_pack_header_dek__of_several_keys_and_slots(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample a = { .b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP) };
	auto_sample struct sample b = { .b = build_new(&f, CHUNK_DATA, CIPHER_AES256GCM, CAP) };
	CLEANUP(buf_clear) struct buf header = BUF_INIT(KIB);
	auto_secret uint8_t *dek = secret_new(32);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	two_key_header(&a, &b, &header);
	for (size_t n = 0; n < header.len; n++) {
		assert_int_equal(pack_header_decode(header.data, n, a.b->id, &h, &need, &e), 0);
		assert_true(need > n);
	}
	assert_int_equal(pack_header_decode(header.data, header.len, a.b->id, &h, &need, &e), 0);
	assert_int_equal(h.len, header.len);
	assert_int_equal(h.nkeys, 2);
	assert_int_equal(pack_header_dek(header.data, &h, 0, f.recovery, f.domain, dek, &e), 0);
	assert_memory_equal(dek, a.b->dek, 32);
	assert_int_equal(pack_header_dek(header.data, &h, 1, f.recovery, f.domain, dek, &e), 0);
	assert_memory_equal(dek, b.b->dek, 32);
	assert_int_equal(pack_header_dek(header.data, &h, 2, f.recovery, f.domain, dek, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	/* the commitment of one key with the slots of another */
	memcpy(header.data + 38, header.data + 36 + 34 + 88 + 2, 32);
	assert_int_equal(pack_header_dek(header.data, &h, 0, f.recovery, f.domain, dek, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
}

static void test_pack_header_decode__refuses_what_is_unknown(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		enum err_class class;
		const char *says;
	} cases[] = {
		{ 0, 'B', ERR_FORMAT, "no pack" },   { 4, 'R', ERR_FORMAT, "no pack" },
		{ 5, 2, ERR_FORMAT, "version 2" },   { 6, 1, ERR_FORMAT, "0x0001" },
		{ 8, 0, ERR_CORRUPT, "holds pack" }, { 32, 3, ERR_FORMAT, "cipher 3" },
		{ 32, 0, ERR_FORMAT, "cipher 0" },   { 33, 2, ERR_FORMAT, "hash 2" },
		{ 34, 0, ERR_FORMAT, "0 keys" },     { 35, 0x11, ERR_FORMAT, "4353 keys" },
		{ 36, 0, ERR_FORMAT, "0 slots" },    { 36, 65, ERR_FORMAT, "65 slots" },
	};
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	uint8_t header[158];
	struct pack_header h;
	size_t need;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		memcpy(header, s.b->data, sizeof(header));
		header[8] = (uint8_t)(s.b->id[0] ^ (cases[i].at == 8));
		if (cases[i].at != 8)
			header[cases[i].at] = cases[i].byte;
		assert_int_equal(pack_header_decode(header, sizeof(header), s.b->id, &h, &need, &e),
		                 -1);
		assert_int_equal(e.class, cases[i].class);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("'%s' does not say '%s'", e.msg, cases[i].says);
	}
}

static void test_pack_header_dek__says_which_key_is_needed(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_fixture struct fixture g = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	auto_secret uint8_t *dek = secret_new(32);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pack_header_decode(s.b->data, s.b->len, s.b->id, &h, &need, &e), 0);
	assert_int_equal(pack_header_dek(s.b->data, &h, 0, f.agent, f.domain, dek, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "recovery key"));
	assert_int_equal(pack_header_dek(s.b->data, &h, 0, g.recovery, f.domain, dek, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "not written for this recovery key"));
}

/* ---- footers ---- */

/* A footer and trailer around these entries, well signed: a writer's fault, not damage. */
struct forged {
	struct buf footer;
	uint8_t trailer[FORMAT_TRAILER_BYTES];
	uint64_t object_len;
};

static struct forged forge(const struct fixture *f, const struct sample *s, const uint8_t *plain,
                           size_t n, uint64_t footer_off, uint32_t header_len)
{
	struct forged x = { .footer = BUF_INIT(MIB) };
	CLEANUP(buf_clear) struct buf t = BUF_INIT(KIB);
	CLEANUP(buf_clear) struct buf signed_bytes = BUF_INIT(KIB);
	uint8_t aad[6 + 16 + 16 + 32];
	uint8_t sum[32];
	uint8_t signature[64];

	crypt_sha256(sum, s->b->data, s->b->header_len);
	memcpy(aad, "footer", 6);
	memcpy(aad + 6, f->agent->repo, 16);
	memcpy(aad + 22, s->b->id, 16);
	memcpy(aad + 38, sum, 32);
	assert_int_equal(buf_zero(&x.footer, 24 + n + 16), 0);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(x.footer.data + 24, NULL, plain, n, aad,
	                                                 sizeof(aad), NULL, x.footer.data,
	                                                 f->domain->foot);
	(void)buf_u64(&t, footer_off);
	(void)buf_u32(&t, (uint32_t)x.footer.len);
	(void)buf_u32(&t, header_len);
	(void)buf_put(&t, sum, 32);
	crypt_sha256(sum, x.footer.data, x.footer.len);
	(void)buf_put(&t, sum, 32);
	(void)buf_put(&t, f->agent->signer_id, 8);
	(void)buf_put(&signed_bytes, "aksdr pack", 11);
	(void)buf_put(&signed_bytes, f->agent->repo, 16);
	(void)buf_put(&signed_bytes, s->b->id, 16);
	(void)buf_put(&signed_bytes, t.data, t.len);
	(void)crypto_sign_detached(signature, NULL, signed_bytes.data, signed_bytes.len,
	                           f->agent->s->sign_secret);
	(void)buf_put(&t, signature, 64);
	(void)buf_str(&t, "AKSDTAIL");
	assert_false(t.failed || signed_bytes.failed);
	assert_int_equal(t.len, sizeof(x.trailer));
	memcpy(x.trailer, t.data, t.len);
	x.object_len = footer_off + x.footer.len + FORMAT_TRAILER_BYTES;
	return x;
}

/* Class of the error, or ERR_NONE. */
static enum err_class open_forged(const struct fixture *f, const struct sample *s,
                                  const struct forged *x)
{
	auto_free struct pack_entry *entries = NULL;
	struct pack_trailer t;
	struct err e = ERR_INIT;
	size_t n;

	if (pack_trailer_decode(x->trailer, x->object_len, s->b->id, f->audit, &t, &e) < 0)
		return e.class;
	if (pack_footer_decode(x->footer.data, x->footer.len, &t, s->b->id, f->audit, f->domain,
	                       &entries, &n, &e) < 0)
		return e.class;
	return ERR_NONE;
}

static void put_entry(struct buf *b, uint32_t off, uint32_t stored, uint32_t plain, uint16_t key,
                      uint8_t compression, uint8_t kind)
{
	(void)buf_zero(b, 32);
	(void)buf_u32(b, off);
	(void)buf_u32(b, stored);
	(void)buf_u32(b, plain);
	(void)buf_u32(b, 0);
	(void)buf_u16(b, key);
	(void)buf_u8(b, compression);
	(void)buf_u8(b, kind);
	(void)buf_zero(b, 16);
	assert_false(b->failed);
}

static void test_pack_footer_decode__refuses_entries_that_make_no_sense(void **state)
{
	static const struct {
		uint32_t off, stored, plain;
		uint16_t key;
		uint8_t compression, kind;
		bool good;
	} cases[] = {
		{ 158, 116, 100, 0, 0, 0, true },
		{ 158, 90, 100, 0, 1, 1, true },
		{ 158, 116, 100, 4095, 0, 0, true },
		{ 158, 1842, 1826, 0, 0, 0, true },        /* up to the footer */
		{ 158, 1843, 1827, 0, 0, 0, false },       /* into it */
		{ 159, 116, 100, 0, 0, 0, false },         /* a gap */
		{ 157, 116, 100, 0, 0, 0, false },         /* in the header */
		{ 158, 116, 101, 0, 0, 0, false },         /* plain, yet shorter */
		{ 158, 117, 100, 0, 1, 0, false },         /* compressed, yet longer */
		{ 158, 16, 0, 0, 0, 0, false },            /* nothing */
		{ 158, 16, 100, 0, 1, 0, false },          /* a tag alone */
		{ 158, 8388625, 8388609, 0, 0, 0, false }, /* over the limit */
		{ 158, 100, 8388609, 0, 1, 0, false },
		{ 158, 116, 100, 4096, 0, 0, false },
		{ 158, 116, 100, 0, 2, 0, false },
		{ 158, 116, 100, 0, 0, 2, false },
	};
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(KIB);

		(void)buf_u32(&plain, 1);
		put_entry(&plain, cases[i].off, cases[i].stored, cases[i].plain, cases[i].key,
		          cases[i].compression, cases[i].kind);
		struct forged x = forge(&f, &s, plain.data, plain.len, 2000, 158);
		enum err_class class = open_forged(&f, &s, &x);
		if (class != (cases[i].good ? ERR_NONE : ERR_FORMAT))
			fail_msg("case %zu: class %d", i, (int)class);
		buf_clear(&x.footer);
	}
}

static void test_pack_footer_decode__counts_its_entries(void **state)
{
	static const uint32_t counts[] = { 1, 3, 0x80000000, UINT32_MAX };
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(KIB);

		(void)buf_u32(&plain, counts[i]);
		put_entry(&plain, 158, 116, 100, 0, 0, 0);
		put_entry(&plain, 274, 116, 100, 0, 0, 0);
		struct forged x = forge(&f, &s, plain.data, plain.len, 2000, 158);
		assert_int_equal(open_forged(&f, &s, &x), ERR_FORMAT);
		buf_clear(&x.footer);
	}
	struct forged x = forge(&f, &s, (const uint8_t *)"\0\0", 2, 2000, 158);
	assert_int_equal(open_forged(&f, &s, &x), ERR_CORRUPT);
	buf_clear(&x.footer);
}

static void test_pack_trailer_decode__refuses_lengths_that_do_not_fit(void **state)
{
	static const struct {
		uint64_t footer_off;
		uint32_t header_len;
		int64_t more; /* bytes that the object has besides */
		bool good;
	} cases[] = {
		{ 2000, 158, 0, true },
		{ 158, 158, 0, true },
		{ 2000, 2001, 0, false },
		{ 2000, 35, 0, false },
		{ 2000, 158, 1, false },
		{ 2000, 158, -1, false },
		{ FORMAT_PACK_MAX, 158, 0, false },
		{ UINT64_MAX - 10, 158, 0, false },
	};
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = sample_new(&f, CHUNK_DATA, CIPHER_AES256GCM);
	static const uint8_t none[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct forged x = forge(&f, &s, none, 4, cases[i].footer_off, cases[i].header_len);

		x.object_len += (uint64_t)cases[i].more;
		enum err_class class = open_forged(&f, &s, &x);
		if (class != (cases[i].good ? ERR_NONE : ERR_CORRUPT))
			fail_msg("case %zu: class %d", i, (int)class);
		buf_clear(&x.footer);
	}
}

/* ---- copying chunks as they are ---- */

/* A new pack with all chunks of two others, in turns. */
struct copied {
	struct pack_build *b;
	struct chunk_ref refs[64];
	const uint8_t *plain[64];
	size_t n;
};

static void copied_clear(struct copied *c)
{
	pack_build_free(c->b);
}
#define auto_copied CLEANUP(copied_clear)

static struct pack_build *copy_new(const struct fixture *f, uint8_t kind, uint8_t cipher)
{
	struct err e = ERR_INIT;
	struct pack_build *b = pack_copy_new(f->agent, f->domain, kind, cipher, CAP, &e);

	if (!b)
		harness_die("%s", e.msg);
	return b;
}

/* The keys of the packs become the header of b. */
static void copy_keys(struct pack_build *b, const struct sample *from, size_t n)
{
	CLEANUP(buf_clear) struct buf blocks = BUF_INIT(64 * KIB);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		const struct sample *s = &from[i];
		struct pack_header h;
		size_t need;

		assert_int_equal(pack_header_decode(s->b->data, s->b->len, s->b->id, &h, &need, &e),
		                 0);
		if (pack_copy_key(b, s->b->data, &h, 0, &blocks, &e) < 0)
			fail_msg("%s", e.msg);
	}
	if (pack_copy_header(b, blocks.data, blocks.len, (uint16_t)n, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct pack_entry entry_of(const struct sample *s, size_t i)
{
	const struct chunk_ref *r = &s->refs[i];
	struct pack_entry x = { .off = r->off,
		                .stored = r->stored,
		                .plain = r->plain,
		                .counter = r->counter,
		                .key = r->key,
		                .compression = r->compression,
		                .kind = r->kind };

	memcpy(x.id, r->id, sizeof(x.id));
	return x;
}

/* Copies chunk i of a pack, whose key has this number in c. */
static void copy_chunk(const struct fixture *f, struct copied *c, const struct sample *s, size_t i,
                       uint16_t key)
{
	struct crypt_scrub *scrub = crypt_scrub_new(c->b->cipher, f->domain->scrub, c->b->id);
	struct pack_entry from = entry_of(s, i);

	assert_non_null(scrub);
	assert_true(pack_build_fits(c->b, from.stored));
	c->refs[c->n] = s->refs[i];
	memcpy(c->refs[c->n].pack, c->b->id, 16);
	c->refs[c->n].off = (uint32_t)c->b->len;
	c->refs[c->n].key = key;
	c->plain[c->n++] = s->plain[i];
	assert_int_equal(pack_copy_chunk(c->b, scrub, &from, key, s->b->data + s->refs[i].off), 0);
	crypt_scrub_free(scrub);
}

/* Everything in it opens, and is what it was. */
static void assert_copied(const struct copied *c, const struct keys *keys,
                          const struct domain_keys *domain)
{
	const uint8_t *p = c->b->data;
	size_t n = c->b->len;
	auto_free struct pack_entry *entries = NULL;
	struct crypt_box *box = crypt_box_new(c->b->cipher);
	struct crypt_scrub *scrub = crypt_scrub_new(c->b->cipher, domain->scrub, c->b->id);
	struct compress *z = compress_new();
	auto_secret uint8_t *dek = secret_new(32);
	uint8_t scratch[8192];
	uint8_t out[8192];
	struct pack_trailer t;
	struct pack_header h;
	size_t nentries;
	size_t need;
	struct err e = ERR_INIT;

	assert_int_equal(pack_trailer_decode(p + n - FORMAT_TRAILER_BYTES, n, c->b->id, keys, &t,
	                                     &e),
	                 0);
	assert_int_equal(pack_header_decode(p, t.header_len, c->b->id, &h, &need, &e), 0);
	assert_int_equal(pack_header_signed(p, h.len, &t, &e), 0);
	assert_int_equal(pack_footer_decode(p + t.footer_off, t.footer_len, &t, c->b->id, keys,
	                                    domain, &entries, &nentries, &e),
	                 0);
	assert_int_equal(nentries, c->n);
	assert_int_equal(h.kind, c->b->kind);
	for (size_t i = 0; i < nentries; i++) {
		const struct chunk_ref *r = &c->refs[i];
		uint8_t sum[16];

		assert_memory_equal(entries[i].id, r->id, 32);
		assert_int_equal(entries[i].off, r->off);
		assert_int_equal(entries[i].stored, r->stored);
		assert_int_equal(entries[i].plain, r->plain);
		assert_int_equal(entries[i].counter, r->counter);
		assert_int_equal(entries[i].key, r->key);
		assert_int_equal(entries[i].compression, r->compression);
		assert_int_equal(entries[i].kind, r->kind);
		assert_int_equal(crypt_scrub(scrub, (uint32_t)i, p + r->off, r->stored, sum), 0);
		assert_memory_equal(sum, entries[i].scrub, 16);
		if (pack_header_dek(p, &h, r->key, keys, domain, dek, &e) < 0)
			fail_msg("%s", e.msg);
		crypt_box_key(box, dek);
		assert_int_equal(pack_chunk_open(box, z, keys->repo, r, p + r->off, scratch, out),
		                 0);
		assert_memory_equal(out, c->plain[i], r->plain);
	}
	compress_free(z);
	crypt_scrub_free(scrub);
	crypt_box_free(box);
}

static void copy_both(const struct fixture *f, struct copied *c, const struct sample from[2])
{
	struct err e = ERR_INIT;

	copy_keys(c->b, from, 2);
	for (size_t i = 0; i < from[0].n; i++) {
		copy_chunk(f, c, &from[0], from[0].n - 1 - i, 0);
		copy_chunk(f, c, &from[1], i, 1);
	}
	if (pack_build_finish(c->b, &e) < 0)
		fail_msg("%s", e.msg);
}

static void samples_clear(struct sample (*s)[2])
{
	sample_clear(&(*s)[0]);
	sample_clear(&(*s)[1]);
}

static void test_pack_copy__chunks_of_two_packs_open_in_a_third(void **state)
{
	static const uint8_t kinds[] = { CHUNK_DATA, CHUNK_NODE };
	static const uint8_t ciphers[] = { CIPHER_AES256GCM, CIPHER_XCHACHA20 };
	auto_fixture struct fixture f = fixture_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t j = 0; j < ARRAY_LEN(ciphers); j++) {
			CLEANUP(samples_clear)
			struct sample from[2] = { sample_new(&f, kinds[i], ciphers[j]),
				                  sample_new(&f, kinds[i], ciphers[j]) };
			auto_copied struct copied c = { .b = copy_new(&f, kinds[i], ciphers[j]) };

			copy_both(&f, &c, from);
			assert_int_equal(c.n, 8);
			assert_copied(&c, f.recovery, f.domain);
			if (kinds[i] == CHUNK_NODE)
				assert_copied(&c, f.audit, f.domain);
		}
	}
}

static void test_pack_copy__needs_no_key_that_opens_data(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(samples_clear)
	struct sample from[2] = { sample_new(&f, CHUNK_DATA, CIPHER_XCHACHA20),
		                  sample_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	auto_copied struct copied c = { .b = copy_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	auto_secret uint8_t *dek = secret_new(32);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	/* the agent copies, and cannot read what it copied */
	assert_false(f.agent->has_recovery);
	copy_both(&f, &c, from);
	assert_int_equal(pack_header_decode(c.b->data, c.b->len, c.b->id, &h, &need, &e), 0);
	assert_int_equal(h.nkeys, 2);
	assert_int_equal(pack_header_dek(c.b->data, &h, 0, f.agent, f.domain, dek, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	/* the ciphertexts are the same bytes */
	assert_memory_equal(c.b->data + c.refs[1].off, from[1].b->data + from[1].refs[0].off,
	                    c.refs[1].stored);
}

static void test_pack_copy__of_a_copy(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(samples_clear)
	struct sample from[2] = { sample_new(&f, CHUNK_NODE, CIPHER_AES256GCM),
		                  sample_new(&f, CHUNK_NODE, CIPHER_AES256GCM) };
	auto_copied struct copied once = { .b = copy_new(&f, CHUNK_NODE, CIPHER_AES256GCM) };
	auto_copied struct copied twice = { .b = copy_new(&f, CHUNK_NODE, CIPHER_AES256GCM) };
	CLEANUP(buf_clear) struct buf blocks = BUF_INIT(64 * KIB);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	copy_both(&f, &once, from);
	assert_int_equal(pack_header_decode(once.b->data, once.b->len, once.b->id, &h, &need, &e),
	                 0);
	/* the second key alone */
	assert_int_equal(pack_copy_key(twice.b, once.b->data, &h, 1, &blocks, &e), 0);
	assert_int_equal(pack_copy_header(twice.b, blocks.data, blocks.len, 1, &e), 0);
	for (size_t i = 0; i < once.n; i++) {
		struct sample as_sample = { .b = once.b };

		if (once.refs[i].key != 1)
			continue;
		as_sample.refs[0] = once.refs[i];
		as_sample.plain[0] = (uint8_t *)(uintptr_t)once.plain[i];
		copy_chunk(&f, &twice, &as_sample, 0, 0);
	}
	assert_int_equal(pack_build_finish(twice.b, &e), 0);
	assert_int_equal(twice.n, 4);
	assert_copied(&twice, f.audit, f.domain);
}

static void test_pack_copy_again__is_another_pack_in_the_same_memory(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	CLEANUP(samples_clear)
	struct sample from[2] = { sample_new(&f, CHUNK_DATA, CIPHER_XCHACHA20),
		                  sample_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	auto_copied struct copied c = { .b = copy_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	uint8_t first[16];
	struct err e = ERR_INIT;

	(void)state;
	copy_both(&f, &c, from);
	memcpy(first, c.b->id, sizeof(first));
	const uint8_t *data = c.b->data;
	pack_copy_again(c.b);
	c.n = 0;
	assert_memory_not_equal(first, c.b->id, sizeof(first));
	assert_ptr_equal(c.b->data, data);
	copy_keys(c.b, &from[1], 1);
	copy_chunk(&f, &c, &from[1], 2, 0);
	uint64_t rest = c.b->header_len + FORMAT_TAG_BYTES + 24 + 4 + FORMAT_ENTRY_BYTES + 16 +
	                FORMAT_TRAILER_BYTES;
	assert_int_equal(pack_build_finish(c.b, &e), 0);
	assert_copied(&c, f.recovery, f.domain);
	assert_int_equal(c.b->len, pack_padme(c.refs[0].stored - FORMAT_TAG_BYTES) +
	                                   (rest + 4095) / 4096 * 4096);
}

static void test_pack_copy_key__refuses_what_is_not_there(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample data = sample_new(&f, CHUNK_DATA, CIPHER_XCHACHA20);
	auto_sample struct sample node = sample_new(&f, CHUNK_NODE, CIPHER_XCHACHA20);
	auto_copied struct copied c = { .b = copy_new(&f, CHUNK_NODE, CIPHER_XCHACHA20) };
	CLEANUP(buf_clear) struct buf blocks = BUF_INIT(64 * KIB);
	struct pack_header h;
	size_t need;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(pack_header_decode(data.b->data, data.b->len, data.b->id, &h, &need, &e),
	                 0);
	assert_int_equal(pack_copy_key(c.b, data.b->data, &h, 1, &blocks, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	/* the key of a tree pack is opened, so damage is found */
	assert_int_equal(pack_header_decode(node.b->data, node.b->len, node.b->id, &h, &need, &e),
	                 0);
	node.b->data[h.len - 30] ^= 1;
	e = (struct err)ERR_INIT;
	assert_int_equal(pack_copy_key(c.b, node.b->data, &h, 0, &blocks, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	node.b->data[h.len - 30] ^= 1;
	/* no room for another one */
	blocks.max = blocks.len + FORMAT_KEYHEAD_BYTES;
	e = (struct err)ERR_INIT;
	assert_int_equal(pack_copy_key(c.b, node.b->data, &h, 0, &blocks, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_pack_copy_header__refuses_what_no_reader_would_take(void **state)
{
	static const size_t lens[] = { 1, 1, CAP, CAP - FORMAT_PACK_FIXED_BYTES };
	static const uint16_t nkeys[] = { 0, FORMAT_KEYS_MAX + 1, 1, 1 };
	auto_fixture struct fixture f = fixture_new();
	auto_copied struct copied c = { .b = copy_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	auto_free uint8_t *blocks = calloc(1, CAP);

	(void)state;
	assert_non_null(blocks);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(pack_copy_header(c.b, blocks, lens[i], nkeys[i], &e), -1);
		assert_int_equal(e.class, ERR_BUG);
	}
}

static void test_pack_copy__fits_with_its_keys(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	auto_sample struct sample s = { .b = build_new(&f, CHUNK_DATA, CIPHER_XCHACHA20, CAP) };
	auto_copied struct copied c = { .b = copy_new(&f, CHUNK_DATA, CIPHER_XCHACHA20) };
	struct sample many[64];
	struct err e = ERR_INIT;

	(void)state;
	add_chunk(&f, &s, 20000, false);
	finish(&s);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = s;
	copy_keys(c.b, many, ARRAY_LEN(many));
	while (pack_build_fits(c.b, s.refs[0].stored))
		copy_chunk(&f, &c, &s, 0, (uint16_t)(c.n % ARRAY_LEN(many)));
	assert_true(c.n > 40 && c.n < 64);
	assert_int_equal(pack_build_finish(c.b, &e), 0);
	assert_true(c.b->len <= CAP);
}

static void test_pack_copy_new__who_cannot_sign_is_denied(void **state)
{
	auto_fixture struct fixture f = fixture_new();
	struct err e = ERR_INIT;

	(void)state;
	assert_null(pack_copy_new(f.audit, f.domain, CHUNK_DATA, CIPHER_XCHACHA20, CAP, &e));
	assert_int_equal(e.class, ERR_DENIED);
	e = (struct err)ERR_INIT;
	assert_null(pack_copy_new(f.agent, f.domain, CHUNK_DATA, CIPHER_XCHACHA20, 100, &e));
	assert_int_equal(e.class, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pack_key_name__and_back),
		cmocka_unit_test(test_pack_key_parse__refuses_other_names),
		cmocka_unit_test(test_pack_padme__known_answers),
		cmocka_unit_test(
			test_pack_padme__is_idempotent_monotonic_and_adds_at_most_an_eighth),
		cmocka_unit_test(test_pack_build__object_has_the_length_that_the_format_says),
		cmocka_unit_test(test_pack_build__each_kind_and_cipher_comes_back),
		cmocka_unit_test(test_pack_build__an_empty_pack_can_be_read),
		cmocka_unit_test(test_pack_build_again__is_another_pack_in_the_same_memory),
		cmocka_unit_test(test_pack_build_fits__a_full_pack_stays_within_its_block),
		cmocka_unit_test(test_pack_build_fits__refuses_absurd_sizes),
		cmocka_unit_test(test_pack_build_new__refuses_what_cannot_work),
		cmocka_unit_test(test_pack_build_seal__refuses_another_length),
		cmocka_unit_test(test_pack_build_seal__threads_fill_one_pack),
		cmocka_unit_test(test_pack__every_flipped_byte_but_padding_is_found),
		cmocka_unit_test(test_pack__every_cut_is_found),
		cmocka_unit_test(test_pack__keys_of_others_do_not_open_it),
		cmocka_unit_test(test_pack__a_swapped_object_is_named),
		cmocka_unit_test(test_pack_chunk_open__is_bound_to_everything_about_the_chunk),
		cmocka_unit_test(test_pack_header_decode__asks_for_what_it_lacks),
		cmocka_unit_test(test_pack_header_dek__of_several_keys_and_slots),
		cmocka_unit_test(test_pack_header_decode__refuses_what_is_unknown),
		cmocka_unit_test(test_pack_header_dek__says_which_key_is_needed),
		cmocka_unit_test(test_pack_footer_decode__refuses_entries_that_make_no_sense),
		cmocka_unit_test(test_pack_footer_decode__counts_its_entries),
		cmocka_unit_test(test_pack_trailer_decode__refuses_lengths_that_do_not_fit),
		cmocka_unit_test(test_pack_copy__chunks_of_two_packs_open_in_a_third),
		cmocka_unit_test(test_pack_copy__needs_no_key_that_opens_data),
		cmocka_unit_test(test_pack_copy__of_a_copy),
		cmocka_unit_test(test_pack_copy_again__is_another_pack_in_the_same_memory),
		cmocka_unit_test(test_pack_copy_key__refuses_what_is_not_there),
		cmocka_unit_test(test_pack_copy_header__refuses_what_no_reader_would_take),
		cmocka_unit_test(test_pack_copy__fits_with_its_keys),
		cmocka_unit_test(test_pack_copy_new__who_cannot_sign_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
