/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository of any size without its payload, for bench/scale.c. Config, sessions, restore
 * points, trees and index are real objects in a store of files. Packs of data are not stored: what
 * is asked for of one is made then, the same each time, so that all of it opens and every signature
 * and checksum is right. A chunk is known by its number, and everything about it follows from that.
 */
#ifndef AKSDR_BENCH_SCALE_H
#define AKSDR_BENCH_SCALE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/pack.h"
#include "repo/repo.h"
#include "store/store.h"

#define SCALE_DOMAIN "scale"
#define SCALE_PER_PACK 16 /* chunks */

/* What a repository is made from; kept beside it. */
struct scale_shape {
	uint64_t chunks;          /* a multiple of SCALE_PER_PACK */
	uint64_t chunk_bytes;     /* on average */
	uint64_t garbage_percent; /* of packs: in the index, and in no tree */
	uint64_t sparse;          /* packs of whose chunks trees need every other one; about */
	uint64_t volumes;
	/*
	 * Ciphertexts have the checksums that the footers tell. Costs as much as reading them does;
	 * without it that holds for sparse packs only, which are copied.
	 */
	uint64_t exact;
};

static inline uint64_t scale_packs(const struct scale_shape *s)
{
	return s->chunks / SCALE_PER_PACK;
}

/* True when trees need the chunk. */
bool scale_is_live(const struct scale_shape *s, uint64_t chunk);

/* The id of a chunk, of whatever shape. */
void scale_chunk_id(uint64_t chunk, uint8_t ret[FORMAT_ID_BYTES]);

/* Requests to the store, and what was asked for. */
enum scale_call { SCALE_PUT, SCALE_GET, SCALE_HEAD, SCALE_LIST, SCALE_DELETE, SCALE_CALLS };
struct scale_counts {
	atomic_ullong calls[SCALE_CALLS]; /* of a list: pages of 1000 */
	atomic_ullong bytes_put, bytes_get;
	atomic_ullong made_ns; /* CPU of making what is not stored */
};

struct scale_store;

/*
 * Opens the store below dir, whose data packs have this shape. keys (borrowed) sign them; NULL:
 * there are none yet.
 */
MUST_CHECK int scale_store_open(const char *dir, const struct scale_shape *shape,
                                struct scale_store **ret, struct err *e);
struct store *scale_store_base(struct scale_store *s); /* freed by store_free() */
struct scale_counts *scale_store_counts(struct scale_store *s);

/* Data packs are there from now on. keys (borrowed) sign them. */
MUST_CHECK int scale_store_keys(struct scale_store *s, const struct keys *keys, uint8_t cipher,
                                struct err *e);

/* Where the chunks of pack number `pack` are, and how long it is. */
uint64_t scale_store_refs(const struct scale_store *s, uint64_t pack,
                          struct chunk_ref ret[SCALE_PER_PACK]);

/* Searches a table of the local index of so many entries; the note says what it took. */
MUST_CHECK int scale_table(uint64_t entries, char *note, size_t note_max, struct err *e);

/* Fills an empty repository, which r and s are of. */
MUST_CHECK int scale_fill(const struct repo *r, const struct scale_shape *shape,
                          const struct scale_store *s, struct err *e);

#endif
