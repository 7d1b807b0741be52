/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data keys of packs that were opened not long ago. Opening a sealed key costs
 * a hundred times what decrypting a small chunk does, and chunks of a pack are
 * wanted together. All keys lie in one block of locked memory; the one that
 * was not used for the longest time makes room.
 */
#ifndef AKSDR_REPO_KEYRING_H
#define AKSDR_REPO_KEYRING_H

#include <stdint.h>

#include "repo/pack.h"
#include "repo/repo.h"

struct keyring;

/* A ring of cap keys, or NULL when memory is short. The repository stays borrowed. */
struct keyring *keyring_new(const struct repo *r, size_t cap, bool look);
void keyring_free(struct keyring *k); /* wipes; NULL is fine */

/*
 * The data key that ref needs, into out (32 bytes of locked memory), and its
 * cipher. Reads the pack's header when the key is not in the ring: from the
 * first head_len bytes of the object when the caller has them (head may be
 * NULL), else from the store. Thread-safe; threads that want the same key wait
 * for the one that opens it.
 * *ret_signed: a signer of this repository vouches for the key. Where it is false (the pack is cut
 * off, its signer was revoked, or somebody else sealed a key to the recipients, who are public)
 * what opens with the key
 * must be hashed and compared with its id. A ring made for hashing everything never looks.
 *   ERR_NOT_FOUND  the pack is gone
 *   ERR_CORRUPT, ERR_FORMAT, ERR_DENIED  as pack_header_decode() and pack_header_dek()
 */
MUST_CHECK int keyring_get(struct keyring *k, const struct domain_keys *domain,
                           const struct chunk_ref *ref, const uint8_t *head, size_t head_len,
                           uint8_t *out, uint8_t *ret_cipher, bool *ret_signed, struct err *e);

/* True when keyring_get() would not read from the store. */
bool keyring_has(struct keyring *k, const struct chunk_ref *ref);

#endif
