/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local cache of page fingerprints: for a chunk's id, the keyed fingerprint
 * of each of its 4 KiB pages and a weak mark of each page's first bytes. With
 * it a writer finds out which pages of a file changed in place without
 * reading old data back, which it has no key for.
 *
 * Two generations of an append-only file with a hash table of offsets beside
 * it; when the newer one is full the older one is dropped, and what is still
 * used moves over. Every block carries a keyed checksum: a torn or forged
 * block is a miss, never a wrong answer. Losing the cache costs stored bytes.
 */
#ifndef AKSDR_REPO_PAGES_H
#define AKSDR_REPO_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/crypt.h"

#define PAGES_CHUNK_MAX (FORMAT_CHUNK_MAX / FORMAT_PAGE_BYTES) /* pages of a chunk */

struct pages;

/* The fingerprints of one chunk. */
struct page_set {
	uint8_t id[FORMAT_ID_BYTES];
	uint32_t plain; /* bytes of the chunk */
	uint32_t n;     /* pages: ceil(plain / 4096) */
	uint8_t (*fps)[CRYPT_FP_BYTES];
	uint32_t *marks;
};

/*
 * Opens the cache in dir (made if missing), at most cap_bytes on disk. NULL
 * when it cannot be had (no right, held by another process): then nothing is cached.
 */
struct pages *pages_open(const char *dir, const uint8_t key[32], uint64_t cap_bytes);
void pages_close(struct pages *p);

/* Fills ret (whose arrays hold PAGES_CHUNK_MAX) for a chunk. false: not there. Thread-safe. */
bool pages_get(struct pages *p, const uint8_t id[32], uint32_t plain, struct page_set *ret);

/* Adds a chunk. Thread-safe; failures are silent, it is a cache. */
void pages_put(struct pages *p, const struct page_set *set);

#endif
