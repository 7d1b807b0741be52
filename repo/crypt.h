/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk cryptography behind one small page: chunk ids (SHA-256 by libcrypto,
 * which is three to seven times as fast as libsodium's here), both ciphers of
 * packs, the scrub checksum, and the sealed envelope of small objects. No I/O.
 */
#ifndef AKSDR_REPO_CRYPT_H
#define AKSDR_REPO_CRYPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/format.h"
#include "repo/key.h"

#define CRYPT_FP_BYTES 16 /* a page's fingerprint: the first bytes of its leaf hash */

/*
 * Precomputed state of a keyed tree hash; read-only after crypt_hasher_init(), usable from any
 * thread.
 */
struct crypt_hasher {
	uint8_t state[256] __attribute__((aligned(16))); /* two SHA256_CTX */
};
void crypt_hasher_init(struct crypt_hasher *h, const uint8_t key[32]);

/*
 * The id of n > 0 bytes (docs/FORMAT.md 8). fps, when not NULL, gets
 * CRYPT_FP_BYTES for each of the ceil(n / 4096) pages.
 */
void crypt_chunk_id(const struct crypt_hasher *h, const uint8_t *p, size_t n, uint8_t ret_id[32],
                    uint8_t *ret_fps);

/* The fingerprint of one page of n <= 4096 bytes. */
void crypt_page_fp(const struct crypt_hasher *h, const uint8_t *p, size_t n,
                   uint8_t ret_fp[CRYPT_FP_BYTES]);

/*
 * One data key with a cipher; holds per-thread state, so one per thread.
 * crypt_box_init may be called again with another key without freeing.
 */
struct crypt_box;
struct crypt_box *crypt_box_new(uint8_t cipher); /* NULL: no memory, or a cipher unknown here */
void crypt_box_key(struct crypt_box *b, const uint8_t key[32]);
void crypt_box_free(struct crypt_box *b); /* wipes */

/* out: n + 16 bytes; may not overlap in. 0, or -1 (libcrypto failed). */
int crypt_box_seal(struct crypt_box *b, uint32_t counter, const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t n, uint8_t *out);

/* in: n bytes with tag, n >= 16; out: n - 16. 0, or -1: not authentic. */
int crypt_box_open(struct crypt_box *b, uint32_t counter, const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t n, uint8_t *out);

/* AAD of a chunk: repo ‖ id ‖ plain length ‖ compression. */
#define CRYPT_CHUNK_AAD_BYTES (FORMAT_REPO_ID_BYTES + FORMAT_ID_BYTES + 5)
void crypt_chunk_aad(uint8_t ret[CRYPT_CHUNK_AAD_BYTES], const uint8_t repo[16],
                     const uint8_t id[32], uint32_t plain, uint8_t compression);

/* Scrub checksums of one pack; one per thread. Key: kdf(K_scrub[d], "pack", pack id). */
struct crypt_scrub;
struct crypt_scrub *crypt_scrub_new(uint8_t cipher, const uint8_t k_scrub[32],
                                    const uint8_t pack_id[16]);
void crypt_scrub_free(struct crypt_scrub *s);
int crypt_scrub(struct crypt_scrub *s, uint32_t position, const uint8_t *ciphertext, size_t n,
                uint8_t ret[16]);

/* The cipher that is fastest on this CPU: AES-256-GCM with AES instructions, else XChaCha20. */
uint8_t crypt_best_cipher(void);

/*
 * The envelope of docs/FORMAT.md 5: appends to out the sealed and signed
 * object that will be stored under key_name. k must be able to sign.
 */
MUST_CHECK int crypt_object_seal(const struct keys *k, char kind, const uint8_t key[32],
                                 const char *key_name, const void *plain, size_t n, struct buf *out,
                                 struct err *e);

/*
 * Checks the signature by a known signer, decrypts and appends the plain text.
 *   ERR_FORMAT   not such an object, or of a version unknown here
 *   ERR_CORRUPT  signature or cipher do not fit
 *   ERR_DENIED   signed by a key this repository does not know; or that was revoked, and the
 *                object does not count: key_is_void()
 */
MUST_CHECK int crypt_object_open(const struct keys *k, char kind, const uint8_t key[32],
                                 const char *key_name, const uint8_t *p, size_t n,
                                 struct buf *ret_plain, uint8_t ret_signer[8], struct err *e);

void crypt_sha256(uint8_t ret[32], const void *p, size_t n);

#endif
