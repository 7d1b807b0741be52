/* SPDX-License-Identifier: Apache-2.0 */
/* zstd frames with a content checksum, one context per thread. No I/O. */
#ifndef AKSDR_REPO_COMPRESS_H
#define AKSDR_REPO_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct compress;

struct compress *compress_new(void); /* NULL: no memory */
void compress_free(struct compress *c);

/* Space that compress_chunk may need for n bytes. */
size_t compress_bound(size_t n);

/*
 * Compresses n bytes at the level (1..19) into out (cap >= compress_bound(n)).
 * Returns the frame's length, or 0 when it would not save 3 % (then the
 * caller stores the plain bytes) or zstd failed. What does not compress is
 * found out from samples at a small part of the cost.
 */
size_t compress_chunk(struct compress *c, int level, const uint8_t *in, size_t n, uint8_t *out,
                      size_t cap);

/* Exactly n plain bytes into out. 0, or -1: damaged, or of another length. */
int compress_expand(struct compress *c, const uint8_t *in, size_t in_len, uint8_t *out, size_t n);

#endif
