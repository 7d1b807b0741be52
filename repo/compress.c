/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd frames. Contexts are kept, so that a chunk costs no allocation; zstd
 * sizes its tables by the chunk, about 1.3 MiB at level 3 and 1 MiB chunks.
 *
 * Chunks that look like noise are not given to zstd at all. What decides are
 * two cheap looks, each of which can only say "try it":
 *   - byte counts of samples spread over the chunk. The chi-square of a sample
 *     against even counts says how many bits a byte lacks to 8; one sample far
 *     from even, or a little in all of them, and zstd gets its chance;
 *   - the first eight bytes of each page: two that are equal are a repetition
 *     that counts of bytes do not show.
 * Noise that repeats at another distance than whole pages is missed; chunks
 * are found again by their ids, not by zstd.
 */
#include "repo/compress.h"

#include <string.h>
#include <zstd.h>

#include "repo/format.h"

#define LEVEL_MIN 1
#define LEVEL_MAX 19
#define GAIN_PERCENT 3 /* less than this is not worth a frame */

#define SAMPLES 32
#define SAMPLE_BYTES 1024
#define SAMPLED_MIN_BYTES (4 * SAMPLES * SAMPLE_BYTES) /* below, zstd is asked at once */

/*
 * Chi-square of 1024 noise bytes: mean 255, standard deviation 22.6. A lack
 * of d bits a byte adds about 2 * 1024 * ln(2) * d = 1420 d.
 */
#define CHI_NOISE 255
#define CHI_ONE 900                    /* in one sample: it lacks 0.45 bits, 6 % */
#define CHI_ALL (SAMPLES * (255 + 60)) /* over all: 0.04 bits, half a percent */

#define PAGE_SLOTS_BITS 12 /* twice the pages of the longest chunk */

struct compress {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
	int level; /* that c is set to */
	uint64_t page_heads[1 << PAGE_SLOTS_BITS];
};

struct compress *compress_new(void)
{
	struct compress *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->c = ZSTD_createCCtx();
	z->d = ZSTD_createDCtx();
	if (!z->c || !z->d || ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_checksumFlag, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_contentSizeFlag, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_dictIDFlag, 0))) {
		compress_free(z);
		return NULL;
	}
	return z;
}

void compress_free(struct compress *z)
{
	if (!z)
		return;
	(void)ZSTD_freeCCtx(z->c);
	(void)ZSTD_freeDCtx(z->d);
	free(z);
}

size_t compress_bound(size_t n)
{
	return ZSTD_compressBound(n);
}

/* Sum of (count - 4)^2 / 4 over the 256 byte values of a sample. */
static uint32_t chi_square(const uint8_t *p)
{
	/* four tables: equal bytes in a row do not wait for each other */
	uint16_t counts[4][256];
	uint32_t squares = 0;

	memset(counts, 0, sizeof(counts));
	for (size_t i = 0; i < SAMPLE_BYTES; i += 4) {
		counts[0][p[i]]++;
		counts[1][p[i + 1]]++;
		counts[2][p[i + 2]]++;
		counts[3][p[i + 3]]++;
	}
	for (size_t v = 0; v < 256; v++) {
		uint32_t n = (uint32_t)counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];

		squares += n * n;
	}
	return squares / 4 - SAMPLE_BYTES;
}

static bool samples_uneven(const uint8_t *p, size_t n)
{
	size_t step = (n - SAMPLE_BYTES) / (SAMPLES - 1);
	uint32_t sum = 0;

	for (size_t i = 0; i < SAMPLES; i++) {
		uint32_t chi = chi_square(p + i * step);

		if (chi > CHI_ONE)
			return true;
		sum += chi;
	}
	return sum > CHI_ALL;
}

/* Open addressing by the bytes themselves; 0 is an empty slot, so a page of zeros counts as equal. */
static bool pages_repeat(struct compress *z, const uint8_t *p, size_t n)
{
	const size_t mask = ((size_t)1 << PAGE_SLOTS_BITS) - 1;

	memset(z->page_heads, 0, sizeof(z->page_heads));
	for (size_t at = 0; at + FORMAT_PAGE_BYTES <= n; at += FORMAT_PAGE_BYTES) {
		uint64_t head;

		memcpy(&head, p + at, sizeof(head));
		size_t slot = (size_t)(head * 0x9e3779b97f4a7c15 >> (64 - PAGE_SLOTS_BITS));
		while (z->page_heads[slot] != 0 && z->page_heads[slot] != head)
			slot = (slot + 1) & mask;
		if (z->page_heads[slot] == head)
			return true;
		z->page_heads[slot] = head;
	}
	return false;
}

static bool looks_like_noise(struct compress *z, const uint8_t *p, size_t n)
{
	if (n < SAMPLED_MIN_BYTES || n > FORMAT_CHUNK_MAX)
		return false;
	return !samples_uneven(p, n) && !pages_repeat(z, p, n);
}

size_t compress_chunk(struct compress *z, int level, const uint8_t *in, size_t n, uint8_t *out,
                      size_t cap)
{
	size_t most = n - (n * GAIN_PERCENT + 99) / 100;

	if (looks_like_noise(z, in, n))
		return 0;
	level = level < LEVEL_MIN ? LEVEL_MIN : level > LEVEL_MAX ? LEVEL_MAX : level;
	if (z->level != level) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_compressionLevel, level)))
			return 0;
		z->level = level;
	}
	size_t len = ZSTD_compress2(z->c, out, cap < most ? cap : most, in, n);
	return ZSTD_isError(len) ? 0 : len;
}

int compress_expand(struct compress *z, const uint8_t *in, size_t in_len, uint8_t *out, size_t n)
{
	/* One frame, of this content: zstd itself would take several in a row. */
	if (ZSTD_getFrameContentSize(in, in_len) != n ||
	    ZSTD_findFrameCompressedSize(in, in_len) != in_len)
		return -1;
	return ZSTD_decompressDCtx(z->d, out, n, in, in_len) == n ? 0 : -1;
}
