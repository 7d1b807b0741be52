/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content-defined cuts: a Gear rolling hash whose table comes from the
 * domain's cut key, with two masks around the average size (normalised
 * chunking as in FastCDC, Xia et al., USENIX ATC 2016). Pure.
 */
#ifndef AKSDR_REPO_CHUNKER_H
#define AKSDR_REPO_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

struct chunker {
	uint64_t gear[256];
	uint32_t min_bytes; /* no cut before this many bytes */
	uint32_t avg_bytes; /* power of two */
	uint32_t max_bytes; /* forced cut */
	uint64_t mask_hard; /* below avg_bytes */
	uint64_t mask_easy; /* above it */
};

void chunker_init(struct chunker *c, const uint8_t cut_key[32], uint32_t min, uint32_t avg,
                  uint32_t max);

/*
 * Where the chunk that starts at p ends: a length in 1..n. Returns 0 when n
 * bytes do not settle it (n < max_bytes, no cut found) and more may follow.
 * *scanned (0 at a chunk's start) says how far earlier calls with the same
 * start have looked; *hash carries their state.
 */
size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t n, size_t *scanned,
                   uint64_t *hash);

/* The hash of the 64 bytes at p (fewer: of n): a page's weak mark. */
uint32_t chunker_mark(const struct chunker *c, const uint8_t *p, size_t n);

#endif
