/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gear: hash = (hash << 1) + table[byte], so that bit 63 depends on the last
 * 64 bytes and the low bits on few; the masks therefore test high bits.
 * Below the average size two more bits must be zero, above it two fewer: the
 * sizes gather around the average (normalisation level 2).
 *
 * The table is secret: without it an observer cannot tell which content makes
 * a cut (docs/THREATS.md says what remains visible).
 */
#include "repo/chunker.h"

#include <sodium.h>
#include <string.h>

static uint64_t top_bits(unsigned n)
{
	return ~UINT64_C(0) << (64 - n);
}

void chunker_init(struct chunker *c, const uint8_t cut_key[32], uint32_t min, uint32_t avg,
                  uint32_t max)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	unsigned bits = 0;

	for (uint32_t v = avg; v > 1; v >>= 1)
		bits++;
	(void)crypto_stream_chacha20((uint8_t *)c->gear, sizeof(c->gear), nonce, cut_key);
	c->min_bytes = min;
	c->avg_bytes = avg;
	c->max_bytes = max;
	c->mask_hard = top_bits(bits + 2);
	c->mask_easy = top_bits(bits > 2 ? bits - 2 : 1);
}

/* Rolls over p[from..to); returns the position behind the byte that makes a cut, or 0. */
static size_t roll(const uint64_t *gear, const uint8_t *p, size_t from, size_t to, uint64_t mask,
                   uint64_t *hash)
{
	uint64_t h = *hash;
	size_t i = from;

	/*
	 * Two bytes a round: the masks test high bits only, which the shift by one keeps in
	 * reach.
	 */
	for (; i + 2 <= to; i += 2) {
		h = (h << 1) + gear[p[i]];
		if (!(h & mask))
			return i + 1;
		h = (h << 1) + gear[p[i + 1]];
		if (!(h & mask))
			return i + 2;
	}
	if (i < to) {
		h = (h << 1) + gear[p[i]];
		if (!(h & mask))
			return i + 1;
	}
	*hash = h;
	return 0;
}

size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t n, size_t *scanned,
                   uint64_t *hash)
{
	size_t end = n < c->max_bytes ? n : c->max_bytes;
	size_t at = *scanned;
	size_t cut;

	if (at == 0)
		*hash = 0;
	/*
	 * The window is 64 bytes, so the first byte that matters lies that far before the
	 * minimum.
	 */
	if (at + 64 < c->min_bytes)
		at = c->min_bytes - 64;
	if (at < c->min_bytes && end >= c->min_bytes) {
		for (; at < c->min_bytes; at++)
			*hash = (*hash << 1) + c->gear[p[at]];
	}
	if (end <= at || at < c->min_bytes)
		return end == c->max_bytes ? end : 0;
	if (at < c->avg_bytes) {
		size_t to = end < c->avg_bytes ? end : c->avg_bytes;

		cut = roll(c->gear, p, at, to, c->mask_hard, hash);
		if (cut)
			return cut;
		at = to;
	}
	cut = roll(c->gear, p, at, end, c->mask_easy, hash);
	if (cut)
		return cut;
	*scanned = end;
	return end == c->max_bytes ? end : 0;
}

uint32_t chunker_mark(const struct chunker *c, const uint8_t *p, size_t n)
{
	uint64_t h = 0;
	size_t len = n < 64 ? n : 64;

	for (size_t i = 0; i < len; i++)
		h = (h << 1) + c->gear[p[i]];
	return (uint32_t)(h >> 32);
}
