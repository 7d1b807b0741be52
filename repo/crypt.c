/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk cryptography by libcrypto, envelopes by libsodium.
 *
 * Chunk ids use libcrypto's low-level SHA-256: the key blocks are hashed once
 * and their state is copied for each page, which the high-level interface
 * cannot do without an allocation. Ciphers keep one context each way; a new
 * chunk sets the nonce only, so that the key schedule and the GHASH table are
 * computed once per pack. Nothing on the path of a chunk allocates.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Update and its kin: see above */

#include "repo/crypt.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "common/rd.h"
#include "common/secret.h"

#define SHA_BLOCK_BYTES 64
#define GCM_NONCE_BYTES 12
#define XCHACHA_NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define OBJECT_SIGN_LABEL "aksdr object" /* its NUL is signed too */
#define NAME_MAX_BYTES 512               /* of a key in a store */

/* ---- hashes ---- */

/* What lies in crypt_hasher.state. */
struct hasher_state {
	SHA256_CTX inner; /* after the block of K xor 0x36 */
	SHA256_CTX outer; /* after the block of K xor 0x5c */
};
static_assert(sizeof(struct hasher_state) <= sizeof(((struct crypt_hasher *)0)->state),
              "two SHA-256 states fit");

static void hasher_pad(SHA256_CTX *c, const uint8_t key[32], uint8_t with)
{
	uint8_t block[SHA_BLOCK_BYTES];

	memset(block, with, sizeof(block));
	for (size_t i = 0; i < 32; i++)
		block[i] ^= key[i];
	(void)SHA256_Init(c);
	(void)SHA256_Update(c, block, sizeof(block));
	secret_wipe(block, sizeof(block));
}

void crypt_hasher_init(struct crypt_hasher *h, const uint8_t key[32])
{
	struct hasher_state s;

	memset(&s, 0, sizeof(s));
	hasher_pad(&s.inner, key, 0x36);
	hasher_pad(&s.outer, key, 0x5c);
	memset(h->state, 0, sizeof(h->state));
	memcpy(h->state, &s, sizeof(s));
	secret_wipe(&s, sizeof(s));
}

static void leaf_hash(const struct hasher_state *s, const uint8_t *p, size_t n, uint8_t ret[32])
{
	SHA256_CTX c = s->inner;

	(void)SHA256_Update(&c, p, n);
	(void)SHA256_Final(ret, &c);
}

void crypt_chunk_id(const struct crypt_hasher *h, const uint8_t *p, size_t n, uint8_t ret_id[32],
                    uint8_t *ret_fps)
{
	const struct hasher_state *s = (const struct hasher_state *)(const void *)h->state;
	uint8_t leaf[32];
	uint8_t length[8];
	SHA256_CTX outer = s->outer;

	for (size_t at = 0; at < n; at += FORMAT_PAGE_BYTES) {
		size_t len = n - at < FORMAT_PAGE_BYTES ? n - at : FORMAT_PAGE_BYTES;

		leaf_hash(s, p + at, len, leaf);
		(void)SHA256_Update(&outer, leaf, sizeof(leaf));
		if (ret_fps) {
			memcpy(ret_fps, leaf, CRYPT_FP_BYTES);
			ret_fps += CRYPT_FP_BYTES;
		}
	}
	for (size_t i = 0; i < sizeof(length); i++)
		length[i] = (uint8_t)((uint64_t)n >> (8 * i));
	(void)SHA256_Update(&outer, length, sizeof(length));
	(void)SHA256_Final(ret_id, &outer);
}

void crypt_page_fp(const struct crypt_hasher *h, const uint8_t *p, size_t n,
                   uint8_t ret_fp[CRYPT_FP_BYTES])
{
	const struct hasher_state *s = (const struct hasher_state *)(const void *)h->state;
	uint8_t leaf[32];

	leaf_hash(s, p, n, leaf);
	memcpy(ret_fp, leaf, CRYPT_FP_BYTES);
}

void crypt_sha256(uint8_t ret[32], const void *p, size_t n)
{
	SHA256_CTX c;

	(void)SHA256_Init(&c);
	(void)SHA256_Update(&c, p, n);
	(void)SHA256_Final(ret, &c);
}

/* ---- ciphers ---- */

/*
 * Looked up once: a lookup per key costs more than the key schedule. NULL when libcrypto lacks
 * it.
 */
static EVP_CIPHER *aes256gcm;

static void aes256gcm_fetch(void)
{
	aes256gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static const EVP_CIPHER *aes256gcm_get(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, aes256gcm_fetch);
	return aes256gcm;
}

uint8_t crypt_best_cipher(void)
{
#if defined(__x86_64__)
	bool fast = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	unsigned long caps = getauxval(AT_HWCAP);
	bool fast = (caps & 1UL << 3) && (caps & 1UL << 4); /* HWCAP_AES, HWCAP_PMULL */
#else
	bool fast = false;
#endif
	return fast && aes256gcm_get() ? CIPHER_AES256GCM : CIPHER_XCHACHA20;
}

struct crypt_box {
	uint8_t cipher;
	bool keyed;
	EVP_CIPHER_CTX *seal, *open; /* CIPHER_AES256GCM */
	uint8_t key[32];             /* CIPHER_XCHACHA20 */
};

struct crypt_box *crypt_box_new(uint8_t cipher)
{
	if (cipher != CIPHER_AES256GCM && cipher != CIPHER_XCHACHA20)
		return NULL;
	struct crypt_box *b = secret_new(sizeof(*b));
	if (!b)
		return NULL;
	b->cipher = cipher;
	if (cipher == CIPHER_XCHACHA20)
		return b;
	const EVP_CIPHER *aes = aes256gcm_get();
	b->seal = EVP_CIPHER_CTX_new();
	b->open = EVP_CIPHER_CTX_new();
	if (!aes || !b->seal || !b->open ||
	    EVP_EncryptInit_ex2(b->seal, aes, NULL, NULL, NULL) != 1 ||
	    EVP_DecryptInit_ex2(b->open, aes, NULL, NULL, NULL) != 1) {
		crypt_box_free(b);
		return NULL;
	}
	return b;
}

void crypt_box_key(struct crypt_box *b, const uint8_t key[32])
{
	if (b->cipher == CIPHER_XCHACHA20) {
		memcpy(b->key, key, sizeof(b->key));
		b->keyed = true;
		return;
	}
	b->keyed = EVP_EncryptInit_ex2(b->seal, NULL, key, NULL, NULL) == 1 &&
	           EVP_DecryptInit_ex2(b->open, NULL, key, NULL, NULL) == 1;
}

void crypt_box_free(struct crypt_box *b)
{
	if (!b)
		return;
	EVP_CIPHER_CTX_free(b->seal); /* wipes its key schedule */
	EVP_CIPHER_CTX_free(b->open);
	secret_free(b);
}

/* The counter as u32, then zero bytes: docs/FORMAT.md 6. */
static void nonce_of(uint32_t counter, uint8_t ret[XCHACHA_NONCE_BYTES])
{
	memset(ret, 0, XCHACHA_NONCE_BYTES);
	for (size_t i = 0; i < 4; i++)
		ret[i] = (uint8_t)(counter >> (8 * i));
}

int crypt_box_seal(struct crypt_box *b, uint32_t counter, const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t nonce[XCHACHA_NONCE_BYTES];
	int len;

	if (!b->keyed || n > FORMAT_PACK_MAX || aad_len > FORMAT_PACK_MAX)
		return -1;
	nonce_of(counter, nonce);
	if (b->cipher == CIPHER_XCHACHA20) {
		return crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, n, aad, aad_len,
		                                                  NULL, nonce, b->key);
	}
	if (EVP_EncryptInit_ex2(b->seal, NULL, NULL, nonce, NULL) != 1 ||
	    (aad_len > 0 && EVP_EncryptUpdate(b->seal, NULL, &len, aad, (int)aad_len) != 1) ||
	    (n > 0 && EVP_EncryptUpdate(b->seal, out, &len, in, (int)n) != 1) ||
	    EVP_EncryptFinal_ex(b->seal, out + n, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(b->seal, EVP_CTRL_AEAD_GET_TAG, FORMAT_TAG_BYTES, out + n) != 1)
		return -1;
	return 0;
}

static bool gcm_open(struct crypt_box *b, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                     const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t tag[FORMAT_TAG_BYTES];
	uint8_t none[1];
	int len;

	memcpy(tag, in + n, sizeof(tag));
	return EVP_DecryptInit_ex2(b->open, NULL, NULL, nonce, NULL) == 1 &&
	       (aad_len == 0 || EVP_DecryptUpdate(b->open, NULL, &len, aad, (int)aad_len) == 1) &&
	       (n == 0 || EVP_DecryptUpdate(b->open, out, &len, in, (int)n) == 1) &&
	       EVP_CIPHER_CTX_ctrl(b->open, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
	       EVP_DecryptFinal_ex(b->open, none, &len) == 1;
}

int crypt_box_open(struct crypt_box *b, uint32_t counter, const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t nonce[XCHACHA_NONCE_BYTES];

	if (!b->keyed || n < FORMAT_TAG_BYTES || n > FORMAT_PACK_MAX || aad_len > FORMAT_PACK_MAX)
		return -1;
	nonce_of(counter, nonce);
	if (b->cipher == CIPHER_XCHACHA20) {
		return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, n, aad,
		                                                  aad_len, nonce, b->key);
	}
	if (gcm_open(b, nonce, aad, aad_len, in, n - FORMAT_TAG_BYTES, out))
		return 0;
	/* What was not authenticated is not left where somebody may take it for data. */
	memset(out, 0, n - FORMAT_TAG_BYTES);
	return -1;
}

void crypt_chunk_aad(uint8_t ret[CRYPT_CHUNK_AAD_BYTES], const uint8_t repo[16],
                     const uint8_t id[32], uint32_t plain, uint8_t compression)
{
	memcpy(ret, repo, FORMAT_REPO_ID_BYTES);
	ret += FORMAT_REPO_ID_BYTES;
	memcpy(ret, id, FORMAT_ID_BYTES);
	ret += FORMAT_ID_BYTES;
	for (size_t i = 0; i < 4; i++)
		ret[i] = (uint8_t)(plain >> (8 * i));
	ret[4] = compression;
}

/* ---- scrub ---- */

struct crypt_scrub {
	uint8_t cipher;
	EVP_CIPHER_CTX *mac; /* CIPHER_AES256GCM */
	uint8_t key[32];
};

struct crypt_scrub *crypt_scrub_new(uint8_t cipher, const uint8_t k_scrub[32],
                                    const uint8_t pack_id[16])
{
	if (cipher != CIPHER_AES256GCM && cipher != CIPHER_XCHACHA20)
		return NULL;
	struct crypt_scrub *s = secret_new(sizeof(*s));
	if (!s)
		return NULL;
	s->cipher = cipher;
	key_kdf(s->key, k_scrub, "pack", pack_id, FORMAT_PACK_ID_BYTES);
	if (cipher == CIPHER_XCHACHA20)
		return s;
	s->mac = EVP_CIPHER_CTX_new();
	if (!aes256gcm_get() || !s->mac ||
	    EVP_EncryptInit_ex2(s->mac, aes256gcm_get(), s->key, NULL, NULL) != 1) {
		crypt_scrub_free(s);
		return NULL;
	}
	return s;
}

void crypt_scrub_free(struct crypt_scrub *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->mac);
	secret_free(s);
}

int crypt_scrub(struct crypt_scrub *s, uint32_t position, const uint8_t *ciphertext, size_t n,
                uint8_t ret[16])
{
	uint8_t nonce[XCHACHA_NONCE_BYTES];
	uint8_t none[1];
	int len;

	nonce_of(position, nonce);
	if (n > FORMAT_PACK_MAX)
		return -1;
	if (s->cipher == CIPHER_XCHACHA20) {
		crypto_generichash_state state;
		uint8_t sum[32];

		(void)crypto_generichash_init(&state, s->key, sizeof(s->key), sizeof(sum));
		(void)crypto_generichash_update(&state, nonce, 4);
		(void)crypto_generichash_update(&state, ciphertext, n);
		(void)crypto_generichash_final(&state, sum, sizeof(sum));
		memcpy(ret, sum, 16);
		return 0;
	}
	if (EVP_EncryptInit_ex2(s->mac, NULL, NULL, nonce, NULL) != 1 ||
	    (n > 0 && EVP_EncryptUpdate(s->mac, NULL, &len, ciphertext, (int)n) != 1) ||
	    EVP_EncryptFinal_ex(s->mac, none, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(s->mac, EVP_CTRL_AEAD_GET_TAG, 16, ret) != 1)
		return -1;
	return 0;
}

/* ---- sealed objects ---- */

/* AAD of an envelope: head ‖ signer id ‖ repo ‖ key name. */
struct object_aad {
	uint8_t bytes[FORMAT_HEAD_BYTES + FORMAT_SIGNER_BYTES + FORMAT_REPO_ID_BYTES +
	              NAME_MAX_BYTES];
	size_t len;
};

static void object_aad(const uint8_t *object, const uint8_t *repo, const char *key_name,
                       struct object_aad *ret)
{
	size_t name_len = strlen(key_name);
	uint8_t *at = ret->bytes;

	assert(name_len <= NAME_MAX_BYTES);
	memcpy(at, object, FORMAT_HEAD_BYTES + FORMAT_SIGNER_BYTES);
	at += FORMAT_HEAD_BYTES + FORMAT_SIGNER_BYTES;
	memcpy(at, repo, FORMAT_REPO_ID_BYTES);
	at += FORMAT_REPO_ID_BYTES;
	memcpy(at, key_name, name_len);
	ret->len = (size_t)(at - ret->bytes) + name_len;
}

/* What is signed before the object's own bytes: this much, and the name with its NUL. */
#define OBJECT_SIGN_PREFIX_BYTES (sizeof(OBJECT_SIGN_LABEL) + FORMAT_REPO_ID_BYTES)
static void object_sign_prefix(struct buf *b, const uint8_t *repo, const char *key_name)
{
	(void)buf_put(b, OBJECT_SIGN_LABEL, sizeof(OBJECT_SIGN_LABEL));
	(void)buf_put(b, repo, FORMAT_REPO_ID_BYTES);
	(void)buf_put(b, key_name, strlen(key_name) + 1);
}

/* The prefix stands before the object while it is signed, and goes away then. */
static int seal_behind_prefix(const struct keys *k, char kind, const uint8_t key[32],
                              const char *key_name, const void *plain, size_t n, struct buf *out,
                              struct err *e)
{
	uint8_t nonce[XCHACHA_NONCE_BYTES];
	uint8_t signature[FORMAT_SIGNATURE_BYTES];
	struct object_aad aad;
	size_t start = out->len;

	object_sign_prefix(out, k->repo, key_name);
	size_t object = out->len;
	(void)buf_put(out, FORMAT_MAGIC, 4);
	(void)buf_u8(out, (uint8_t)kind);
	(void)buf_u8(out, FORMAT_VERSION);
	(void)buf_u16(out, FORMAT_OBJECT_FEATURES);
	(void)buf_put(out, k->signer_id, FORMAT_SIGNER_BYTES);
	secret_random(nonce, sizeof(nonce));
	(void)buf_put(out, nonce, sizeof(nonce));
	(void)buf_u32(out, (uint32_t)(n + FORMAT_TAG_BYTES));
	(void)buf_reserve(out, n + FORMAT_TAG_BYTES + FORMAT_SIGNATURE_BYTES);
	if (buf_check(out, key_name, e) < 0)
		return -1;
	object_aad(out->data + object, k->repo, key_name, &aad);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out->data + out->len, NULL, plain, n,
	                                                 aad.bytes, aad.len, NULL, nonce, key);
	out->len += n + FORMAT_TAG_BYTES;
	(void)crypto_sign_detached(signature, NULL, out->data + start, out->len - start,
	                           k->s->sign_secret);
	(void)buf_put(out, signature, sizeof(signature));
	memmove(out->data + start, out->data + object, out->len - object);
	out->len -= object - start;
	return buf_check(out, key_name, e);
}

int crypt_object_seal(const struct keys *k, char kind, const uint8_t key[32], const char *key_name,
                      const void *plain, size_t n, struct buf *out, struct err *e)
{
	if (!k->has_sign)
		return err_set(e, ERR_DENIED, "this key file cannot sign '%s'; use the agent key",
		               key_name);
	if (n > UINT32_MAX - FORMAT_TAG_BYTES)
		return err_set(e, ERR_TOO_BIG, "'%s' is too big to seal: %zu bytes", key_name, n);
	if (strlen(key_name) > NAME_MAX_BYTES)
		return err_set(e, ERR_INVALID, "the name '%s' is too long", key_name);

	/* The limit is one of the object, without the prefix. */
	const size_t most = out->max;
	out->max += OBJECT_SIGN_PREFIX_BYTES + strlen(key_name) + 1;
	int rc = seal_behind_prefix(k, kind, key, key_name, plain, n, out, e);
	out->max = most;
	return rc;
}

/* The parts of an object; they point into it. */
struct object {
	const uint8_t *signer, *nonce, *sealed, *signature;
	size_t sealed_len;
};

static int object_decode(char kind, const char *key_name, const uint8_t *p, size_t n,
                         struct object *ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct object o;

	const uint8_t *magic = rd_take(&rd, 4);
	uint8_t kind_at = rd_u8(&rd);
	uint8_t version = rd_u8(&rd);
	uint16_t features = rd_u16(&rd);
	if (!rd_ok(&rd) || memcmp(magic, FORMAT_MAGIC, 4) != 0)
		return err_set(e, ERR_FORMAT, "'%s' is no object of this program", key_name);
	if (kind_at != (uint8_t)kind)
		return err_set(e, ERR_FORMAT, "'%s' is an object of kind 0x%02x, not '%c'",
		               key_name, kind_at, kind);
	if (version != FORMAT_VERSION)
		return err_set(e, ERR_FORMAT,
		               "'%s' has format version %u, this program knows %u; use a newer one",
		               key_name, version, FORMAT_VERSION);
	if (features & ~FORMAT_OBJECT_FEATURES)
		return err_set(e, ERR_FORMAT,
		               "'%s' needs features 0x%04x that this program lacks; use a newer "
		               "one",
		               key_name, features & ~FORMAT_OBJECT_FEATURES);
	o.signer = rd_take(&rd, FORMAT_SIGNER_BYTES);
	o.nonce = rd_take(&rd, XCHACHA_NONCE_BYTES);
	o.sealed_len = rd_u32(&rd);
	o.sealed = rd_take(&rd, o.sealed_len);
	o.signature = rd_take(&rd, FORMAT_SIGNATURE_BYTES);
	if (!rd_done(&rd) || o.sealed_len < FORMAT_TAG_BYTES)
		return err_set(e, ERR_CORRUPT, "'%s' is damaged: its %zu bytes do not add up",
		               key_name, n);
	*ret = o;
	return 0;
}

/* Ed25519 wants the signed bytes in one piece, so they are copied behind their prefix. */
static int object_verify(const struct keys *k, const char *key_name, const uint8_t *p, size_t n,
                         const struct object *o, struct err *e)
{
	CLEANUP(buf_clear) struct buf signed_bytes = BUF_INIT(n + 1024);

	const uint8_t *public = keys_signer_public(k, o->signer);
	if (!public)
		return err_set(e, ERR_DENIED,
		               "'%s' is signed by a key that this repository does not know",
		               key_name);
	object_sign_prefix(&signed_bytes, k->repo, key_name);
	(void)buf_put(&signed_bytes, p, n - FORMAT_SIGNATURE_BYTES);
	if (buf_check(&signed_bytes, key_name, e) < 0)
		return -1;
	if (crypto_sign_verify_detached(o->signature, signed_bytes.data, signed_bytes.len,
	                                public) != 0)
		return err_set(e, ERR_CORRUPT,
		               "'%s' is damaged or was tampered with: its "
		               "signature does not fit",
		               key_name);
	const struct key_signer *s = keys_signer(k, o->signer);
	uint8_t hash[32];
	if (!s || !s->revoked)
		return 0;
	crypt_sha256(hash, p, n);
	return keys_accept(s, hash, key_name, e);
}

int crypt_object_open(const struct keys *k, char kind, const uint8_t key[32], const char *key_name,
                      const uint8_t *p, size_t n, struct buf *ret_plain, uint8_t ret_signer[8],
                      struct err *e)
{
	struct object o = { 0 };
	struct object_aad aad;

	if (object_decode(kind, key_name, p, n, &o, e) < 0)
		return -1;
	if (strlen(key_name) > NAME_MAX_BYTES)
		return err_set(e, ERR_INVALID, "the name '%s' is too long", key_name);
	object_aad(p, k->repo, key_name, &aad);
	if (object_verify(k, key_name, p, n, &o, e) < 0)
		return -1;
	size_t plain = o.sealed_len - FORMAT_TAG_BYTES;
	(void)buf_reserve(ret_plain, plain);
	if (buf_check(ret_plain, key_name, e) < 0)
		return -1;
	uint8_t *out = ret_plain->data ? ret_plain->data + ret_plain->len : NULL;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, o.sealed, o.sealed_len,
	                                               aad.bytes, aad.len, o.nonce, key) != 0)
		return err_set(e, ERR_CORRUPT, "'%s' is damaged: it does not decrypt", key_name);
	ret_plain->len += plain;
	memcpy(ret_signer, o.signer, FORMAT_SIGNER_BYTES);
	return 0;
}
