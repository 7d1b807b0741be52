/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: where a chunk lies (struct chunk_ref), writing one pack in memory,
 * and decoding headers, footers and trailers. docs/FORMAT.md 6.
 */
#ifndef AKSDR_REPO_PACK_H
#define AKSDR_REPO_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/crypt.h"
#include "repo/format.h"
#include "repo/key.h"

struct chunk_ref {
	uint8_t id[FORMAT_ID_BYTES];
	uint8_t pack[FORMAT_PACK_ID_BYTES];
	uint32_t off;    /* in the pack object */
	uint32_t stored; /* bytes with tag */
	uint32_t plain;  /* bytes; 0 never */
	uint32_t counter;
	uint16_t key;
	uint8_t compression;
	uint8_t kind; /* CHUNK_DATA or CHUNK_NODE */
};

#define PACK_KEY_MAX 48
/* "pack/ab/abcd…" or "meta/…" */
void pack_key_name(char ret[PACK_KEY_MAX], const uint8_t id[16], uint8_t chunk_kind);
/* 0, or -1 when name is no pack's. */
int pack_key_parse(const char *name, uint8_t ret_id[16], uint8_t *ret_chunk_kind);

/* padme(L) of docs/FORMAT.md 6. Pure. */
uint64_t pack_padme(uint64_t n);

/*
 * A pack being built in one block of memory. Space is reserved in order
 * (one thread at a time: the caller locks); sealing into reserved space may
 * run in any thread, each with a crypt_box of its own keyed by pack_build_key.
 */
struct pack_build {
	uint8_t id[16];
	uint8_t kind; /* CHUNK_DATA: pack/, CHUNK_NODE: meta/ */
	uint8_t cipher;
	const struct keys *keys;
	const struct domain_keys *domain;
	uint8_t *data; /* cap bytes */
	size_t cap;
	size_t len; /* header and ciphertexts so far */
	size_t header_len;
	struct pack_entry {
		uint8_t id[32];
		uint32_t off, stored, plain, counter;
		uint16_t key;
		uint8_t compression, kind;
		uint8_t scrub[16];
	} * entries;
	size_t n, entries_cap;
	uint64_t payload; /* T: sum of stored - 16 */
	uint8_t *dek;     /* locked; wiped by pack_build_finish */
};

/*
 * Starts a pack whose data block holds cap bytes. Seals the new DEK to every recipient of keys
 * (or wraps it by domain->meta).
 */
MUST_CHECK struct pack_build *pack_build_new(const struct keys *keys,
                                             const struct domain_keys *domain, uint8_t chunk_kind,
                                             uint8_t cipher, size_t cap, struct err *e);
/* Starts another pack, with an id and a key of its own, in the memory of one that is done with. */
MUST_CHECK int pack_build_again(struct pack_build *b, struct err *e);
void pack_build_free(struct pack_build *b);

/* True when a chunk of `stored` bytes (with tag) fits, footer, padding and trailer included. */
bool pack_build_fits(const struct pack_build *b, size_t stored);

/*
 * Reserves; fills ref but for ref->id, plain, compression, which the caller has set before.
 * Returns the entry's index.
 */
size_t pack_build_reserve(struct pack_build *b, struct chunk_ref *ref, size_t stored);

/*
 * Seals in (n bytes) into the place of entry `index` and computes its scrub checksum. Thread-
 * safe for different entries.
 */
MUST_CHECK int pack_build_seal(struct pack_build *b, struct crypt_box *box,
                               struct crypt_scrub *scrub, size_t index, const struct chunk_ref *ref,
                               const uint8_t *in, size_t n);

/* Appends padding, footer, trailer, wipes the DEK. The object is b->data[0 .. b->len). */
MUST_CHECK int pack_build_finish(struct pack_build *b, struct err *e);

/*
 * Copying chunks as they are into a new pack, without a data key: a pack_build
 * whose header holds the keys of the packs that the chunks are from. First the
 * keys, then chunks, then pack_build_finish().
 */
MUST_CHECK struct pack_build *pack_copy_new(const struct keys *keys,
                                            const struct domain_keys *domain, uint8_t chunk_kind,
                                            uint8_t cipher, size_t cap, struct err *e);
void pack_copy_again(struct pack_build *b); /* another pack, in the same memory */

struct pack_header;
/*
 * Appends key number `key` of the header p to the blocks of b's header: as it is, or for a tree
 * pack wrapped anew.
 */
MUST_CHECK int pack_copy_key(const struct pack_build *b, const uint8_t *p,
                             const struct pack_header *h, uint16_t key, struct buf *blocks,
                             struct err *e);
MUST_CHECK int pack_copy_header(struct pack_build *b, const uint8_t *blocks, size_t len,
                                uint16_t nkeys, struct err *e);
/*
 * Appends a chunk (pack_build_fits() has said yes) that opens with b's key number `key`. -1:
 * libcrypto failed.
 */
int pack_copy_chunk(struct pack_build *b, struct crypt_scrub *scrub, const struct pack_entry *from,
                    uint16_t key, const uint8_t *ciphertext);

/* ---- reading ---- */

struct pack_trailer {
	uint64_t footer_off;
	uint32_t footer_len, header_len;
	uint8_t header_hash[32], footer_hash[32];
	uint8_t signer[8];
	/* its signer is not revoked: what opens with the pack's keys is what it sealed */
	bool vouched;
};

/*
 * p: the last FORMAT_TRAILER_BYTES of the object of object_len bytes. Checks the signature.
 * ERR_FORMAT, ERR_CORRUPT, ERR_DENIED.
 */
MUST_CHECK int pack_trailer_decode(const uint8_t *p, uint64_t object_len, const uint8_t pack_id[16],
                                   const struct keys *keys, struct pack_trailer *ret,
                                   struct err *e);

/*
 * p: the footer's bytes. Entries are malloc'ed; the caller frees. Checks hash, cipher and every
 * bound.
 */
MUST_CHECK int pack_footer_decode(const uint8_t *p, size_t n, const struct pack_trailer *t,
                                  const uint8_t pack_id[16], const struct keys *keys,
                                  const struct domain_keys *domain, struct pack_entry **ret_entries,
                                  size_t *ret_n, struct err *e);

/*
 * Whether the header (head_len bytes at head) is the one that the trailer is signed for. Its data
 * keys are then those of a signer of this repository, and what opens with them is what that signer
 * sealed: nobody else knows them but the holders of a recovery key. A signer that was revoked
 * vouches for nothing: see t->vouched. ERR_CORRUPT.
 */
MUST_CHECK int pack_header_signed(const uint8_t *head, size_t head_len,
                                  const struct pack_trailer *t, struct err *e);

/* The header: what is needed to open entries. */
struct pack_header {
	uint8_t id[16];
	uint8_t domain_tag[8];
	uint8_t kind; /* CHUNK_DATA or CHUNK_NODE */
	uint8_t cipher;
	uint16_t nkeys;
	size_t len; /* bytes of the whole header */
};
/* Enough bytes for the header of a pack with one key and up to 8 recipients. */
#define PACK_HEADER_GUESS 1024
/*
 * p: the first n bytes of the object. *ret_need > n: call again with that many bytes (returns
 * 0).
 */
MUST_CHECK int pack_header_decode(const uint8_t *p, size_t n, const uint8_t pack_id[16],
                                  struct pack_header *ret, size_t *ret_need, struct err *e);

/*
 * Opens data key number `key`: data packs need has_recovery, node packs the
 * domain's meta key. out: 32 bytes of locked memory.
 *   ERR_DENIED  no slot is for this key file (says which kind of key could)
 *   ERR_CORRUPT the slot or the commitment does not fit
 */
MUST_CHECK int pack_header_dek(const uint8_t *p, const struct pack_header *h, uint16_t key,
                               const struct keys *keys, const struct domain_keys *domain,
                               uint8_t *out, struct err *e);

/*
 * Data key number `key` without opening it: its commitment, and whether it has a slot for the
 * recipient (NULL: not asked). -1: there is no such key.
 */
int pack_header_key(const uint8_t *p, const struct pack_header *h, uint16_t key,
                    const uint8_t recipient[8], uint8_t ret_commitment[32], bool *ret_slot);
/* True when it is the key of this commitment. */
bool pack_dek_fits(const uint8_t dek[32], const uint8_t commitment[32]);

/*
 * Decrypts and expands one chunk: in = ref->stored bytes, out = ref->plain bytes, scratch >=
 * ref->stored. 0, or -1: not authentic.
 */
struct compress;
int pack_chunk_open(struct crypt_box *box, struct compress *z, const uint8_t repo[16],
                    const struct chunk_ref *ref, const uint8_t *in, uint8_t *scratch, uint8_t *out);

#endif
