/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain chunks for who reads here and there, from many threads: a cache of so
 * many bytes over a reader, which fetches, decrypts and checks. A chunk that
 * several want at once is fetched once. What will be wanted soon can be asked
 * for before. Chunks are known by their keyed ids, so files and points share
 * what they have in common.
 */
#ifndef AKSDR_RESTORE_CHUNKS_H
#define AKSDR_RESTORE_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/reader.h"

struct chunks;

struct chunks_params {
	size_t bytes;     /* of plain chunks; at least 16 MiB */
	uint64_t memory;  /* of the reader, for what is on its way */
	unsigned threads; /* that decrypt; 0: the CPUs, at most 4 */
};

MUST_CHECK int chunks_open(const struct repo *r, const struct chunks_params *params,
                           struct chunks **ret, struct err *e);
void chunks_free(struct chunks *c); /* nobody holds a chunk or waits for one */

/*
 * The chunk's ref->plain bytes, which stay until chunks_put(). Blocks. Thread-safe. A thread holds
 * one at a time: over the cache's bytes, memory is that of one chunk for each thread.
 *   what reader_deliver_fn says of a chunk that cannot be had; ERR_CANCELLED
 */
struct chunk;
MUST_CHECK int chunks_get(struct chunks *c, const struct domain_keys *domain,
                          const struct chunk_ref *ref, struct chunk **ret,
                          const uint8_t **ret_plain, struct err *e);
void chunks_put(struct chunks *c, struct chunk *take_chunk);

/*
 * Begins to fetch those of n chunks that are not here, in this order, as far as half of the cache
 * holds what is on its way. What goes wrong shows when the chunk is got. Thread-safe; blocks when
 * the reader has enough to do.
 */
void chunks_ahead(struct chunks *c, const struct domain_keys *domain, const struct chunk_ref *refs,
                  size_t n);

/* Most bytes that chunks_ahead() lets be on their way. */
size_t chunks_ahead_max(const struct chunks *c);

#endif
