/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs. One is built in a single block of memory, in the order in which it
 * lies in the store: header, ciphertexts, padding, footer, trailer. Neither
 * the block nor the table of entries ever moves, so that several threads can
 * seal chunks into reserved places while another reserves.
 *
 * The block asks for huge pages: with small ones the page faults of writing
 * a pack once cost more than its encryption (0.45 ns a byte against 0.22).
 */
#include "repo/pack.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "common/hex.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/compress.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define ROUND_BYTES 4096        /* of what is not payload */
#define HUGE_BYTES (2 * MIB)    /* of a huge page */
#define TRAILER_HASHED_BYTES 88 /* of the trailer, before its signature */
#define STORED_MIN_BYTES (FORMAT_TAG_BYTES + 1)
#define WRAPPED_BYTES (FORMAT_SLOT_BYTES - 8)

#define DEK_LABEL "aksdr dek"
#define SIGN_LABEL "aksdr pack" /* its NUL is signed too */
#define SIGNED_BYTES \
	(sizeof(SIGN_LABEL) + FORMAT_REPO_ID_BYTES + FORMAT_PACK_ID_BYTES + TRAILER_HASHED_BYTES)

static_assert(crypto_box_SEALBYTES + FORMAT_DEK_BYTES == WRAPPED_BYTES,
              "a sealed key fits its slot");

/* ---- names ---- */

void pack_key_name(char ret[PACK_KEY_MAX], const uint8_t id[16], uint8_t chunk_kind)
{
	char hex[2 * FORMAT_PACK_ID_BYTES + 1];

	hex_encode(hex, id, FORMAT_PACK_ID_BYTES);
	(void)snprintf(ret, PACK_KEY_MAX, "%s/%.2s/%s", chunk_kind == CHUNK_NODE ? "meta" : "pack",
	               hex, hex);
}

int pack_key_parse(const char *name, uint8_t ret_id[16], uint8_t *ret_chunk_kind)
{
	char again[PACK_KEY_MAX];
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	if (strncmp(name, "pack/", 5) == 0)
		kind = CHUNK_DATA;
	else if (strncmp(name, "meta/", 5) == 0)
		kind = CHUNK_NODE;
	else
		return -1;
	if (strlen(name) != 8 + 2 * sizeof(id) || hex_decode(id, sizeof(id), name + 8) < 0)
		return -1;
	pack_key_name(again, id, kind);
	if (strcmp(again, name) != 0)
		return -1;
	memcpy(ret_id, id, sizeof(id));
	*ret_chunk_kind = kind;
	return 0;
}

uint64_t pack_padme(uint64_t n)
{
	if (n < 2)
		return n;
	unsigned e = 63 - (unsigned)__builtin_clzll(n);
	unsigned s = e == 0 ? 0 : 32 - (unsigned)__builtin_clz(e);
	uint64_t mask = ((uint64_t)1 << (e - s)) - 1;
	return (n + mask) & ~mask;
}

/* ---- building ---- */

/* A pack_build with what only this file needs. */
struct build {
	struct pack_build b;
	void *map; /* data lies in it */
	size_t map_len;
	size_t entries_len; /* bytes of the mapping of entries */
};

static void put_u16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *at, uint32_t v)
{
	for (size_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *at, uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static size_t footer_len(size_t entries)
{
	return NONCE_BYTES + 4 + entries * FORMAT_ENTRY_BYTES + FORMAT_TAG_BYTES;
}

/* Length of the whole object with this many entries and bytes of payload. */
static uint64_t object_len(const struct pack_build *b, size_t entries, uint64_t payload)
{
	uint64_t rest = b->header_len + (uint64_t)entries * FORMAT_TAG_BYTES + footer_len(entries) +
	                FORMAT_TRAILER_BYTES;

	return pack_padme(payload) + (rest + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
}

static void dek_commitment(uint8_t ret[32], const uint8_t dek[32])
{
	(void)crypto_generichash(ret, 32, (const uint8_t *)DEK_LABEL, sizeof(DEK_LABEL) - 1, dek,
	                         32);
}

/* AAD of the wrapped key of a node pack. */
static void meta_aad(uint8_t ret[4 + 16 + 16], const uint8_t repo[16], const uint8_t pack_id[16])
{
	memcpy(ret, "meta", 4);
	memcpy(ret + 4, repo, FORMAT_REPO_ID_BYTES);
	memcpy(ret + 20, pack_id, FORMAT_PACK_ID_BYTES);
}

/* One slot: recipient id and wrapped key. */
static int slot_put(uint8_t *at, const struct pack_build *b, const struct key_recipient *r,
                    struct err *e)
{
	uint8_t aad[4 + 16 + 16];

	if (b->kind == CHUNK_DATA) {
		memcpy(at, r->id, 8);
		if (crypto_box_seal(at + 8, b->dek, FORMAT_DEK_BYTES, r->public) != 0)
			return err_set(
				e, ERR_INVALID,
				"recipient %s is no X25519 public key; remove it (aksdr-catalog "
				"key remove-recipient)",
				hex_of32(r->public).s);
		return 0;
	}
	memset(at, 0, FORMAT_SLOT_BYTES);
	at += 8;
	secret_random(at, NONCE_BYTES);
	meta_aad(aad, b->keys->repo, b->id);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE_BYTES, NULL, b->dek,
	                                                 FORMAT_DEK_BYTES, aad, sizeof(aad), NULL,
	                                                 at, b->domain->meta);
	return 0;
}

/* Everything before the keys; gives the place behind it. */
static uint8_t *header_fixed_put(struct pack_build *b, uint16_t nkeys)
{
	uint8_t *at = b->data;

	memcpy(at, FORMAT_MAGIC, 4);
	at[4] = b->kind == CHUNK_DATA ? FORMAT_KIND_DATA : FORMAT_KIND_META;
	at[5] = FORMAT_VERSION;
	put_u16(at + 6, FORMAT_OBJECT_FEATURES);
	at += FORMAT_HEAD_BYTES;
	memcpy(at, b->id, sizeof(b->id));
	at += sizeof(b->id);
	memcpy(at, b->domain->tag, sizeof(b->domain->tag));
	at += sizeof(b->domain->tag);
	*at++ = b->cipher;
	*at++ = HASH_SHA256_TREE;
	put_u16(at, nkeys);
	at += 2;
	assert(at == b->data + FORMAT_PACK_FIXED_BYTES);
	return at;
}

static int header_put(struct pack_build *b, struct err *e)
{
	size_t nslots = b->kind == CHUNK_DATA ? b->keys->nrecipients : 1;
	uint8_t *at = header_fixed_put(b, 1);

	put_u16(at, (uint16_t)nslots);
	dek_commitment(at + 2, b->dek);
	at += FORMAT_KEYHEAD_BYTES;
	for (size_t i = 0; i < nslots; i++) {
		if (slot_put(at, b, &b->keys->recipients[i], e) < 0)
			return -1;
		at += FORMAT_SLOT_BYTES;
	}
	b->header_len = (size_t)(at - b->data);
	b->len = b->header_len;
	return 0;
}

/* The blocks of memory: lazily filled by the kernel, so their size costs nothing. */
static int build_map(struct build *w, size_t cap, struct err *e)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t entries = cap / (STORED_MIN_BYTES + FORMAT_ENTRY_BYTES) + 1;

	if (entries > FORMAT_ENTRIES_MAX)
		entries = FORMAT_ENTRIES_MAX;
	w->map_len = cap + HUGE_BYTES;
	w->map = mmap(NULL, w->map_len, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (w->map == MAP_FAILED) {
		w->map = NULL;
		return err_sys(e, errno, "no memory for a pack of %zu bytes", cap);
	}
	w->b.data = (uint8_t *)(((uintptr_t)w->map + HUGE_BYTES - 1) &
	                        ~(uintptr_t)(HUGE_BYTES - 1));
	w->b.cap = cap;
	if (cap >= 2 * HUGE_BYTES)
		(void)madvise(w->b.data, cap, MADV_HUGEPAGE); /* a wish */
	w->entries_len = entries * sizeof(*w->b.entries);
	void *table = mmap(NULL, w->entries_len, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (table == MAP_FAILED)
		return err_sys(e, errno, "no memory for a pack of %zu bytes", cap);
	w->b.entries = table;
	w->b.entries_cap = entries;
	return 0;
}

/* A pack without header, key and id. */
static struct pack_build *build_new(const struct keys *keys, const struct domain_keys *domain,
                                    uint8_t chunk_kind, uint8_t cipher, size_t cap, struct err *e)
{
	size_t header = FORMAT_PACK_FIXED_BYTES + FORMAT_KEYHEAD_BYTES +
	                KEY_RECIPIENTS_MAX * FORMAT_SLOT_BYTES;

	if (!keys->has_sign) {
		(void)err_set(e, ERR_DENIED, "this key file cannot sign packs; use the agent key");
		return NULL;
	}
	if (cap > FORMAT_PACK_MAX || cap < header + ROUND_BYTES) {
		(void)err_set(e, ERR_INVALID, "a pack cannot have %zu bytes", cap);
		return NULL;
	}
	struct build *w = calloc(1, sizeof(*w));
	if (!w) {
		(void)err_set(e, ERR_NOMEM, "no memory for a pack");
		return NULL;
	}
	struct pack_build *b = &w->b;
	b->kind = chunk_kind;
	b->cipher = cipher;
	b->keys = keys;
	b->domain = domain;
	if (build_map(w, cap, e) < 0) {
		pack_build_free(b);
		return NULL;
	}
	return b;
}

struct pack_build *pack_build_new(const struct keys *keys, const struct domain_keys *domain,
                                  uint8_t chunk_kind, uint8_t cipher, size_t cap, struct err *e)
{
	if (keys->has_sign && chunk_kind == CHUNK_DATA && keys->nrecipients == 0) {
		(void)err_set(e, ERR_DENIED,
		              "the key file names no recipient, so nobody could "
		              "read the backup; use an agent key with a 'recipient' line");
		return NULL;
	}
	struct pack_build *b = build_new(keys, domain, chunk_kind, cipher, cap, e);
	if (b && pack_build_again(b, e) < 0) {
		pack_build_free(b);
		return NULL;
	}
	return b;
}

int pack_build_again(struct pack_build *b, struct err *e)
{
	secret_free(b->dek);
	b->dek = secret_new(FORMAT_DEK_BYTES);
	if (!b->dek)
		return err_set(e, ERR_NOMEM, "no locked memory for a pack's key");
	secret_random(b->dek, FORMAT_DEK_BYTES);
	secret_random(b->id, sizeof(b->id));
	b->n = 0;
	b->payload = 0;
	return header_put(b, e);
}

void pack_build_free(struct pack_build *b)
{
	struct build *w = (struct build *)(void *)b; /* its first member */

	if (!b)
		return;
	secret_free(b->dek);
	if (w->map)
		(void)munmap(w->map, w->map_len);
	if (b->entries)
		(void)munmap(b->entries, w->entries_len);
	free(w);
}

bool pack_build_fits(const struct pack_build *b, size_t stored)
{
	if (stored < STORED_MIN_BYTES || stored > FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES ||
	    b->n >= b->entries_cap)
		return false;
	return object_len(b, b->n + 1, b->payload + stored - FORMAT_TAG_BYTES) <= b->cap;
}

size_t pack_build_reserve(struct pack_build *b, struct chunk_ref *ref, size_t stored)
{
	struct pack_entry *entry = &b->entries[b->n];

	assert(pack_build_fits(b, stored));
	memcpy(ref->pack, b->id, sizeof(ref->pack));
	ref->off = (uint32_t)b->len;
	ref->stored = (uint32_t)stored;
	ref->counter = (uint32_t)b->n;
	ref->key = 0;
	ref->kind = b->kind;
	*entry = (struct pack_entry){
		.off = ref->off,
		.stored = ref->stored,
		.plain = ref->plain,
		.counter = ref->counter,
		.key = ref->key,
		.compression = ref->compression,
		.kind = ref->kind,
	};
	memcpy(entry->id, ref->id, sizeof(entry->id));
	b->len += stored;
	b->payload += stored - FORMAT_TAG_BYTES;
	return b->n++;
}

int pack_build_seal(struct pack_build *b, struct crypt_box *box, struct crypt_scrub *scrub,
                    size_t index, const struct chunk_ref *ref, const uint8_t *in, size_t n)
{
	struct pack_entry *entry = &b->entries[index];
	uint8_t *out = b->data + entry->off;
	uint8_t aad[CRYPT_CHUNK_AAD_BYTES];

	if (n + FORMAT_TAG_BYTES != entry->stored)
		return -1;
	crypt_chunk_aad(aad, b->keys->repo, ref->id, ref->plain, ref->compression);
	if (crypt_box_seal(box, entry->counter, aad, sizeof(aad), in, n, out) < 0)
		return -1;
	return crypt_scrub(scrub, (uint32_t)index, out, entry->stored, entry->scrub);
}

/* AAD of a footer. */
struct footer_aad {
	uint8_t bytes[6 + FORMAT_REPO_ID_BYTES + FORMAT_PACK_ID_BYTES + 32];
};

static struct footer_aad footer_aad(const uint8_t *repo, const uint8_t *pack_id,
                                    const uint8_t *header_hash)
{
	struct footer_aad a;

	memcpy(a.bytes, "footer", 6);
	memcpy(a.bytes + 6, repo, FORMAT_REPO_ID_BYTES);
	memcpy(a.bytes + 22, pack_id, FORMAT_PACK_ID_BYTES);
	memcpy(a.bytes + 38, header_hash, 32);
	return a;
}

static void entry_put(uint8_t *at, const struct pack_entry *entry)
{
	memcpy(at, entry->id, 32);
	put_u32(at + 32, entry->off);
	put_u32(at + 36, entry->stored);
	put_u32(at + 40, entry->plain);
	put_u32(at + 44, entry->counter);
	put_u16(at + 48, entry->key);
	at[50] = entry->compression;
	at[51] = entry->kind;
	memcpy(at + 52, entry->scrub, 16);
}

/* Footer at `at`, sealed where it lies. */
static void footer_put(const struct pack_build *b, uint8_t *at, const uint8_t header_hash[32])
{
	struct footer_aad aad = footer_aad(b->keys->repo, b->id, header_hash);
	uint8_t *plain = at + NONCE_BYTES;
	size_t n = 4 + b->n * FORMAT_ENTRY_BYTES;

	secret_random(at, NONCE_BYTES);
	put_u32(plain, (uint32_t)b->n);
	for (size_t i = 0; i < b->n; i++)
		entry_put(plain + 4 + i * FORMAT_ENTRY_BYTES, &b->entries[i]);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(plain, NULL, plain, n, aad.bytes,
	                                                 sizeof(aad.bytes), NULL, at,
	                                                 b->domain->foot);
}

/* What the trailer's signature is over. */
static void signed_bytes(uint8_t ret[SIGNED_BYTES], const uint8_t *repo, const uint8_t *pack_id,
                         const uint8_t *trailer)
{
	memcpy(ret, SIGN_LABEL, sizeof(SIGN_LABEL));
	ret += sizeof(SIGN_LABEL);
	memcpy(ret, repo, FORMAT_REPO_ID_BYTES);
	ret += FORMAT_REPO_ID_BYTES;
	memcpy(ret, pack_id, FORMAT_PACK_ID_BYTES);
	ret += FORMAT_PACK_ID_BYTES;
	memcpy(ret, trailer, TRAILER_HASHED_BYTES);
}

static void trailer_put(const struct pack_build *b, uint8_t *at, uint64_t footer_off,
                        const uint8_t header_hash[32])
{
	uint8_t message[SIGNED_BYTES];
	size_t footer = footer_len(b->n);

	put_u64(at, footer_off);
	put_u32(at + 8, (uint32_t)footer);
	put_u32(at + 12, (uint32_t)b->header_len);
	memcpy(at + 16, header_hash, 32);
	crypt_sha256(at + 48, b->data + footer_off, footer);
	memcpy(at + 80, b->keys->signer_id, FORMAT_SIGNER_BYTES);
	signed_bytes(message, b->keys->repo, b->id, at);
	(void)crypto_sign_detached(at + TRAILER_HASHED_BYTES, NULL, message, sizeof(message),
	                           b->keys->s->sign_secret);
	memcpy(at + TRAILER_HASHED_BYTES + FORMAT_SIGNATURE_BYTES, FORMAT_TAIL, 8);
}

int pack_build_finish(struct pack_build *b, struct err *e)
{
	uint64_t whole = object_len(b, b->n, b->payload);
	uint64_t footer_off = whole - FORMAT_TRAILER_BYTES - footer_len(b->n);
	uint8_t seed[randombytes_SEEDBYTES];
	uint8_t header_hash[32];

	if (whole > b->cap)
		return err_set(e, ERR_BUG, "a pack grew to %llu bytes, its block has %zu",
		               (unsigned long long)whole, b->cap);
	/* A stream of random bytes: the kernel's own generator takes longer than the cipher. */
	secret_random(seed, sizeof(seed));
	randombytes_buf_deterministic(b->data + b->len, (size_t)footer_off - b->len, seed);
	secret_wipe(seed, sizeof(seed));
	crypt_sha256(header_hash, b->data, b->header_len);
	footer_put(b, b->data + footer_off, header_hash);
	trailer_put(b, b->data + whole - FORMAT_TRAILER_BYTES, footer_off, header_hash);
	b->len = (size_t)whole;
	secret_free(STEAL(&b->dek));
	return 0;
}

/* ---- copying chunks as they are ---- */

struct pack_build *pack_copy_new(const struct keys *keys, const struct domain_keys *domain,
                                 uint8_t chunk_kind, uint8_t cipher, size_t cap, struct err *e)
{
	struct pack_build *b = build_new(keys, domain, chunk_kind, cipher, cap, e);

	if (b)
		secret_random(b->id, sizeof(b->id));
	return b;
}

void pack_copy_again(struct pack_build *b)
{
	secret_random(b->id, sizeof(b->id));
	b->n = 0;
	b->len = 0;
	b->payload = 0;
}

int pack_copy_header(struct pack_build *b, const uint8_t *blocks, size_t len, uint16_t nkeys,
                     struct err *e)
{
	if (nkeys == 0 || nkeys > FORMAT_KEYS_MAX ||
	    len + FORMAT_PACK_FIXED_BYTES + ROUND_BYTES > b->cap)
		return err_set(e, ERR_BUG, "a pack cannot have %u keys in %zu bytes", nkeys, len);
	uint8_t *at = header_fixed_put(b, nkeys);
	memcpy(at, blocks, len);
	b->header_len = FORMAT_PACK_FIXED_BYTES + len;
	b->len = b->header_len;
	return 0;
}

int pack_copy_chunk(struct pack_build *b, struct crypt_scrub *scrub, const struct pack_entry *from,
                    uint16_t key, const uint8_t *ciphertext)
{
	struct pack_entry *entry = &b->entries[b->n];

	assert(pack_build_fits(b, from->stored));
	*entry = *from;
	entry->off = (uint32_t)b->len;
	entry->key = key;
	memcpy(b->data + b->len, ciphertext, from->stored);
	if (crypt_scrub(scrub, (uint32_t)b->n, ciphertext, from->stored, entry->scrub) < 0)
		return -1;
	b->len += from->stored;
	b->payload += from->stored - FORMAT_TAG_BYTES;
	b->n++;
	return 0;
}

/* ---- reading ---- */

/* Pack id as text, for messages. */
struct id_text {
	char s[2 * FORMAT_PACK_ID_BYTES + 1];
};

static struct id_text id_text(const uint8_t id[16])
{
	struct id_text t;

	hex_encode(t.s, id, FORMAT_PACK_ID_BYTES);
	return t;
}

int pack_trailer_decode(const uint8_t *p, uint64_t object_len, const uint8_t pack_id[16],
                        const struct keys *keys, struct pack_trailer *ret, struct err *e)
{
	struct rd rd = rd_of(p, FORMAT_TRAILER_BYTES);
	uint8_t message[SIGNED_BYTES];
	struct pack_trailer t;

	t.footer_off = rd_u64(&rd);
	t.footer_len = rd_u32(&rd);
	t.header_len = rd_u32(&rd);
	rd_copy(&rd, t.header_hash, sizeof(t.header_hash));
	rd_copy(&rd, t.footer_hash, sizeof(t.footer_hash));
	rd_copy(&rd, t.signer, sizeof(t.signer));
	const uint8_t *signature = rd_take(&rd, FORMAT_SIGNATURE_BYTES);
	const uint8_t *tail = rd_take(&rd, 8);
	if (!rd_done(&rd) || memcmp(tail, FORMAT_TAIL, 8) != 0)
		return err_set(e, ERR_FORMAT,
		               "pack %s does not end as a pack does: it is cut off "
		               "or something else",
		               id_text(pack_id).s);
	const uint8_t *public = keys_signer_public(keys, t.signer);
	if (!public)
		return err_set(e, ERR_DENIED,
		               "pack %s is signed by a key that this repository does not know",
		               id_text(pack_id).s);
	signed_bytes(message, keys->repo, pack_id, p);
	if (crypto_sign_verify_detached(signature, message, sizeof(message), public) != 0)
		return err_set(e, ERR_CORRUPT,
		               "pack %s is damaged or was tampered with: the "
		               "signature of its trailer does not fit",
		               id_text(pack_id).s);
	if (object_len > FORMAT_PACK_MAX || t.footer_off > object_len ||
	    t.footer_off + t.footer_len + FORMAT_TRAILER_BYTES != object_len ||
	    t.header_len < FORMAT_PACK_FIXED_BYTES || t.header_len > t.footer_off ||
	    t.footer_len < footer_len(0) || t.footer_len > footer_len(FORMAT_ENTRIES_MAX))
		return err_set(e, ERR_CORRUPT,
		               "pack %s is damaged: the lengths in its trailer do "
		               "not fit its %llu bytes",
		               id_text(pack_id).s, (unsigned long long)object_len);
	const struct key_signer *s = keys_signer(keys, t.signer);
	t.vouched = !s || !s->revoked;
	*ret = t;
	return 0;
}

static struct pack_entry entry_get(struct rd *rd)
{
	struct pack_entry x;

	rd_copy(rd, x.id, sizeof(x.id));
	x.off = rd_u32(rd);
	x.stored = rd_u32(rd);
	x.plain = rd_u32(rd);
	x.counter = rd_u32(rd);
	x.key = rd_u16(rd);
	x.compression = rd_u8(rd);
	x.kind = rd_u8(rd);
	rd_copy(rd, x.scrub, sizeof(x.scrub));
	return x;
}

static bool entry_valid(const struct pack_entry *x)
{
	if (x->plain == 0 || x->plain > FORMAT_CHUNK_MAX || x->stored < STORED_MIN_BYTES ||
	    x->stored > x->plain + FORMAT_TAG_BYTES || x->key >= FORMAT_KEYS_MAX)
		return false;
	if (x->compression == COMPRESSION_NONE && x->stored != x->plain + FORMAT_TAG_BYTES)
		return false;
	return x->compression <= COMPRESSION_ZSTD && x->kind <= CHUNK_NODE;
}

static int entries_decode(const uint8_t *p, size_t n, const struct pack_trailer *t,
                          const uint8_t pack_id[16], struct pack_entry **ret, size_t *ret_n,
                          struct err *e)
{
	struct rd rd = rd_of(p, n);
	uint64_t at = t->header_len;

	size_t count = rd_u32(&rd);
	if (count > FORMAT_ENTRIES_MAX || rd_left(&rd) != count * FORMAT_ENTRY_BYTES)
		return err_set(e, ERR_FORMAT, "the footer of pack %s has %zu entries in %zu bytes",
		               id_text(pack_id).s, count, n);
	auto_free struct pack_entry *entries = calloc(count ? count : 1, sizeof(*entries));
	if (!entries)
		return err_set(e, ERR_NOMEM, "no memory for the footer of a pack");
	for (size_t i = 0; i < count; i++) {
		entries[i] = entry_get(&rd);
		if (!entry_valid(&entries[i]) || entries[i].off != at)
			return err_set(e, ERR_FORMAT,
			               "entry %zu of the footer of pack %s makes no "
			               "sense, or is of a later version",
			               i, id_text(pack_id).s);
		at += entries[i].stored;
	}
	if (at > t->footer_off)
		return err_set(e, ERR_FORMAT, "the chunks of pack %s reach into its footer",
		               id_text(pack_id).s);
	*ret = STEAL(&entries);
	*ret_n = count;
	return 0;
}

int pack_header_signed(const uint8_t *head, size_t head_len, const struct pack_trailer *t,
                       struct err *e)
{
	uint8_t hash[32];

	crypt_sha256(hash, head, head_len);
	if (head_len != t->header_len || memcmp(hash, t->header_hash, sizeof(hash)) != 0)
		return err_set(e, ERR_CORRUPT, "the header is not the one that was signed");
	return 0;
}

int pack_footer_decode(const uint8_t *p, size_t n, const struct pack_trailer *t,
                       const uint8_t pack_id[16], const struct keys *keys,
                       const struct domain_keys *domain, struct pack_entry **ret_entries,
                       size_t *ret_n, struct err *e)
{
	struct footer_aad aad = footer_aad(keys->repo, pack_id, t->header_hash);
	uint8_t hash[32];

	crypt_sha256(hash, p, n);
	if (n != t->footer_len || n < footer_len(0) || memcmp(hash, t->footer_hash, 32) != 0)
		return err_set(e, ERR_CORRUPT, "the footer of pack %s is damaged",
		               id_text(pack_id).s);
	size_t plain_len = n - NONCE_BYTES - FORMAT_TAG_BYTES;
	auto_free uint8_t *plain = malloc(plain_len);
	if (!plain)
		return err_set(e, ERR_NOMEM, "no memory for the footer of a pack");
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, p + NONCE_BYTES,
	                                               n - NONCE_BYTES, aad.bytes,
	                                               sizeof(aad.bytes), p, domain->foot) != 0)
		return err_set(e, ERR_CORRUPT,
		               "the footer of pack %s does not decrypt with the "
		               "keys of domain '%s'",
		               id_text(pack_id).s, domain->name);
	return entries_decode(plain, plain_len, t, pack_id, ret_entries, ret_n, e);
}

/* The fixed part. */
static int header_fixed(struct rd *rd, const uint8_t pack_id[16], struct pack_header *h,
                        struct err *e)
{
	const uint8_t *magic = rd_take(rd, 4);
	uint8_t kind = rd_u8(rd);
	uint8_t version = rd_u8(rd);
	uint16_t features = rd_u16(rd);

	rd_copy(rd, h->id, sizeof(h->id));
	rd_copy(rd, h->domain_tag, sizeof(h->domain_tag));
	h->cipher = rd_u8(rd);
	uint8_t hash = rd_u8(rd);
	h->nkeys = rd_u16(rd);
	if (!rd_ok(rd) || memcmp(magic, FORMAT_MAGIC, 4) != 0 ||
	    (kind != FORMAT_KIND_DATA && kind != FORMAT_KIND_META))
		return err_set(e, ERR_FORMAT, "object %s is no pack", id_text(pack_id).s);
	if (version != FORMAT_VERSION || (features & ~FORMAT_OBJECT_FEATURES))
		return err_set(e, ERR_FORMAT,
		               "pack %s has format version %u and features 0x%04x, "
		               "unknown here; use a newer program",
		               id_text(pack_id).s, version, features);
	if (h->cipher != CIPHER_AES256GCM && h->cipher != CIPHER_XCHACHA20)
		return err_set(e, ERR_FORMAT,
		               "pack %s has cipher %u, unknown here; use a newer "
		               "program",
		               id_text(pack_id).s, h->cipher);
	if (hash != HASH_SHA256_TREE)
		return err_set(e, ERR_FORMAT,
		               "pack %s has hash %u, unknown here; use a newer "
		               "program",
		               id_text(pack_id).s, hash);
	if (h->nkeys == 0 || h->nkeys > FORMAT_KEYS_MAX)
		return err_set(e, ERR_FORMAT, "pack %s has %u keys", id_text(pack_id).s, h->nkeys);
	if (memcmp(h->id, pack_id, sizeof(h->id)) != 0)
		return err_set(e, ERR_CORRUPT, "the object named pack %s holds pack %s",
		               id_text(pack_id).s, id_text(h->id).s);
	h->kind = kind == FORMAT_KIND_META ? CHUNK_NODE : CHUNK_DATA;
	return 0;
}

int pack_header_decode(const uint8_t *p, size_t n, const uint8_t pack_id[16],
                       struct pack_header *ret, size_t *ret_need, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct pack_header h = { 0 };
	size_t at = FORMAT_PACK_FIXED_BYTES;

	if (n < at) {
		*ret_need = PACK_HEADER_GUESS;
		return 0;
	}
	if (header_fixed(&rd, pack_id, &h, e) < 0)
		return -1;
	for (unsigned i = 0; i < h.nkeys; i++) {
		size_t left = (size_t)(h.nkeys - i) * (FORMAT_KEYHEAD_BYTES + FORMAT_SLOT_BYTES);

		if (n - at < FORMAT_KEYHEAD_BYTES) {
			*ret_need = at + left;
			return 0;
		}
		size_t nslots = rd_u16(&rd);
		if (nslots == 0 || nslots > FORMAT_SLOTS_MAX)
			return err_set(e, ERR_FORMAT, "key %u of pack %s has %zu slots", i,
			               id_text(pack_id).s, nslots);
		size_t len = FORMAT_KEYHEAD_BYTES + nslots * FORMAT_SLOT_BYTES;
		if (n - at < len) {
			*ret_need = at + left + (nslots - 1) * FORMAT_SLOT_BYTES;
			return 0;
		}
		(void)rd_take(&rd, len - 2);
		at += len;
	}
	h.len = at;
	*ret = h;
	*ret_need = at;
	return 0;
}

/* The slot of a data pack that is for these keys, opened into out. */
static int slot_open_data(const uint8_t *slots, size_t nslots, const struct pack_header *h,
                          const struct keys *keys, uint8_t *out, struct err *e)
{
	uint8_t mine[8];

	if (!keys->has_recovery)
		return err_set(e, ERR_DENIED,
		               "the data of pack %s opens with a recovery key only, and this is "
		               "none",
		               id_text(h->id).s);
	key_recipient_id(mine, keys->recovery_public);
	for (size_t i = 0; i < nslots; i++, slots += FORMAT_SLOT_BYTES) {
		if (memcmp(slots, mine, sizeof(mine)) != 0)
			continue;
		if (crypto_box_seal_open(out, slots + 8, WRAPPED_BYTES, keys->recovery_public,
		                         keys->s->recovery) != 0)
			return err_set(e, ERR_CORRUPT, "the key of pack %s is damaged",
			               id_text(h->id).s);
		return 0;
	}
	return err_set(e, ERR_DENIED,
	               "pack %s was not written for this recovery key; use the one that was a "
	               "recipient then, or seal its keys anew (aksdr-catalog key reseal)",
	               id_text(h->id).s);
}

static int slot_open_meta(const uint8_t *slot, const struct pack_header *h, const struct keys *keys,
                          const struct domain_keys *domain, uint8_t *out, struct err *e)
{
	uint8_t aad[4 + 16 + 16];

	meta_aad(aad, keys->repo, h->id);
	slot += 8;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, slot + NONCE_BYTES,
	                                               FORMAT_DEK_BYTES + FORMAT_TAG_BYTES, aad,
	                                               sizeof(aad), slot, domain->meta) != 0)
		return err_set(e, ERR_CORRUPT,
		               "the key of pack %s is damaged, or not of domain '%s'",
		               id_text(h->id).s, domain->name);
	return 0;
}

/* The slots of a key in a header: *ret_nslots of them, and its commitment. NULL: no such key. */
static const uint8_t *key_slots(const uint8_t *p, const struct pack_header *h, uint16_t key,
                                size_t *ret_nslots, uint8_t commitment[32])
{
	struct rd rd = rd_of(p, h->len);
	size_t nslots = 0;

	(void)rd_take(&rd, FORMAT_PACK_FIXED_BYTES);
	for (unsigned i = 0; i <= key && i < h->nkeys; i++) {
		(void)rd_take(&rd, nslots * FORMAT_SLOT_BYTES);
		nslots = rd_u16(&rd);
		rd_copy(&rd, commitment, 32);
	}
	*ret_nslots = nslots;
	return key < h->nkeys && nslots > 0 ? rd_take(&rd, nslots * FORMAT_SLOT_BYTES) : NULL;
}

bool pack_dek_fits(const uint8_t dek[32], const uint8_t commitment[32])
{
	uint8_t of_dek[32];

	dek_commitment(of_dek, dek);
	return sodium_memcmp(of_dek, commitment, sizeof(of_dek)) == 0;
}

int pack_header_key(const uint8_t *p, const struct pack_header *h, uint16_t key,
                    const uint8_t recipient[8], uint8_t ret_commitment[32], bool *ret_slot)
{
	size_t nslots;

	const uint8_t *slot = key_slots(p, h, key, &nslots, ret_commitment);
	if (!slot)
		return -1;
	*ret_slot = false;
	for (size_t i = 0; recipient && i < nslots && !*ret_slot; i++, slot += FORMAT_SLOT_BYTES)
		*ret_slot = memcmp(slot, recipient, 8) == 0;
	return 0;
}

int pack_header_dek(const uint8_t *p, const struct pack_header *h, uint16_t key,
                    const struct keys *keys, const struct domain_keys *domain, uint8_t *out,
                    struct err *e)
{
	uint8_t commitment[32];
	size_t nslots;

	const uint8_t *slots = key_slots(p, h, key, &nslots, commitment);
	if (!slots)
		return err_set(e, ERR_CORRUPT, "pack %s has no key number %u", id_text(h->id).s,
		               key);
	if (h->kind == CHUNK_DATA) {
		if (slot_open_data(slots, nslots, h, keys, out, e) < 0)
			return -1;
	} else if (slot_open_meta(slots, h, keys, domain, out, e) < 0) {
		return -1;
	}
	if (pack_dek_fits(out, commitment))
		return 0;
	secret_wipe(out, FORMAT_DEK_BYTES);
	return err_set(e, ERR_CORRUPT, "key number %u of pack %s is not the one it was sealed for",
	               key, id_text(h->id).s);
}

int pack_copy_key(const struct pack_build *b, const uint8_t *p, const struct pack_header *h,
                  uint16_t key, struct buf *blocks, struct err *e)
{
	uint8_t slot[FORMAT_SLOT_BYTES];
	uint8_t commitment[32];
	size_t nslots;

	const uint8_t *slots = key_slots(p, h, key, &nslots, commitment);
	if (!slots)
		return err_set(e, ERR_CORRUPT, "pack %s has no key number %u", id_text(h->id).s,
		               key);
	(void)buf_u16(blocks, (uint16_t)nslots);
	(void)buf_put(blocks, commitment, sizeof(commitment));
	if (h->kind == CHUNK_DATA) {
		(void)buf_put(blocks, slots, nslots * FORMAT_SLOT_BYTES);
		return buf_check(blocks, "the keys of a pack", e);
	}
	/* The key of a tree pack is bound to the pack's id, so it is wrapped anew. */
	struct pack_build wrap = *b;
	wrap.dek = secret_new(FORMAT_DEK_BYTES);
	if (!wrap.dek)
		return err_set(e, ERR_NOMEM, "no locked memory for a pack's key");
	int rc = pack_header_dek(p, h, key, b->keys, b->domain, wrap.dek, e);
	if (rc == 0)
		rc = slot_put(slot, &wrap, NULL, e);
	secret_free(wrap.dek);
	if (rc < 0)
		return -1;
	(void)buf_put(blocks, slot, sizeof(slot));
	return buf_check(blocks, "the keys of a pack", e);
}

int pack_chunk_open(struct crypt_box *box, struct compress *z, const uint8_t repo[16],
                    const struct chunk_ref *ref, const uint8_t *in, uint8_t *scratch, uint8_t *out)
{
	uint8_t aad[CRYPT_CHUNK_AAD_BYTES];

	if (ref->stored < STORED_MIN_BYTES || ref->plain == 0)
		return -1;
	crypt_chunk_aad(aad, repo, ref->id, ref->plain, ref->compression);
	size_t n = ref->stored - FORMAT_TAG_BYTES;
	switch (ref->compression) {
	case COMPRESSION_NONE:
		if (n != ref->plain)
			return -1;
		return crypt_box_open(box, ref->counter, aad, sizeof(aad), in, ref->stored, out);
	case COMPRESSION_ZSTD:
		if (crypt_box_open(box, ref->counter, aad, sizeof(aad), in, ref->stored, scratch) <
		    0)
			return -1;
		return compress_expand(z, scratch, n, out, ref->plain);
	default:
		return -1;
	}
}
