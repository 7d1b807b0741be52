/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd frames. Contexts are kept, so that a chunk costs no allocation.
 *
 * The usual level, 3, is not quite zstd's. Its table of short matches has half
 * the size, so that more of it stays in a core's own cache (7 to 20 % less time
 * for 0.1 to 0.7 % more bytes, measured on sources and programs). And much
 * data, logs and database pages among it, gets no smaller at level 3 than at
 * level 1, which takes half the time: now and then both are tried on a chunk,
 * and the chunks that follow are compressed by the better one. How often that
 * is depends on how steady the data is; what a trial gives is used, not lost.
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

/* The level whose chunks are tried at FAST_LEVEL too. */
#define USUAL_LEVEL 3
#define FAST_LEVEL 1
#define USUAL_CHAIN_LOG 15 /* zstd has 16 */

#define TRIED_MIN_BYTES (64 * KIB) /* shorter chunks say little */
#define TRIAL_FIRST 2              /* chunks until the second trial */
#define TRIAL_RARE 64              /* chunks between trials of steady data */
#define TRIAL_OFTEN 16             /* chunks between trials of changing data, at least */
#define WORSE_PERMILLE 5           /* that the fast level may be, for its speed */

struct compress {
	ZSTD_CCtx *c;
	ZSTD_CCtx *fast;
	ZSTD_DCtx *d;
	int level;      /* that c is set to */
	bool use_fast;  /* instead of USUAL_LEVEL */
	unsigned since; /* chunks since the last trial */
	unsigned every; /* chunks until the next one */
	uint32_t ratio; /* of late: bytes of a frame for 1024 of plain */
	uint8_t *spare; /* a trial's second frame */
	size_t spare_cap;
	uint64_t page_heads[1 << PAGE_SLOTS_BITS];
};

static int set(ZSTD_CCtx *c, ZSTD_cParameter what, int value)
{
	return ZSTD_isError(ZSTD_CCtx_setParameter(c, what, value)) ? -1 : 0;
}

/* A context for frames as the format has them; NULL: no memory. */
static ZSTD_CCtx *context_new(void)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();

	if (c && set(c, ZSTD_c_checksumFlag, 1) == 0 && set(c, ZSTD_c_contentSizeFlag, 1) == 0 &&
	    set(c, ZSTD_c_dictIDFlag, 0) == 0)
		return c;
	(void)ZSTD_freeCCtx(c);
	return NULL;
}

struct compress *compress_new(void)
{
	struct compress *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->c = context_new();
	z->fast = context_new();
	z->d = ZSTD_createDCtx();
	if (!z->c || !z->fast || !z->d || set(z->fast, ZSTD_c_compressionLevel, FAST_LEVEL) < 0) {
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
	(void)ZSTD_freeCCtx(z->fast);
	(void)ZSTD_freeDCtx(z->d);
	free(z->spare);
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

/*
 * Open addressing by the bytes themselves; 0 is an empty slot, so a page of zeros counts as
 * equal.
 */
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

static int set_level(struct compress *z, int level)
{
	bool usual = level == USUAL_LEVEL;

	if (z->level == level)
		return 0;
	z->level = 0;
	if (set(z->c, ZSTD_c_compressionLevel, level) < 0 ||
	    set(z->c, ZSTD_c_chainLog, usual ? USUAL_CHAIN_LOG : 0) < 0)
		return -1;
	z->level = level;
	return 0;
}

/* Length of the frame, or 0. */
static size_t frame(ZSTD_CCtx *c, const uint8_t *in, size_t n, uint8_t *out, size_t cap)
{
	size_t len = ZSTD_compress2(c, out, cap, in, n);

	return ZSTD_isError(len) ? 0 : len;
}

/* Whether it is time to compare the two levels again. */
static bool trial_due(const struct compress *z)
{
	return z->since >= z->every;
}

/* Both levels, and what that says about the chunks to come. */
static size_t trial(struct compress *z, const uint8_t *in, size_t n, uint8_t *out, size_t cap)
{
	size_t len = frame(z->c, in, n, out, cap);

	if (z->spare_cap < cap) {
		free(z->spare);
		z->spare = malloc(cap);
		z->spare_cap = z->spare ? cap : 0;
	}
	size_t fast = z->spare ? frame(z->fast, in, n, z->spare, cap) : 0;
	bool use_fast = fast > 0 && (len == 0 || fast <= len + len * WORSE_PERMILLE / 1000);
	bool same = use_fast == z->use_fast && z->every > 0;
	z->every = !same ? TRIAL_FIRST : z->every < TRIAL_RARE ? 2 * z->every : TRIAL_RARE;
	z->use_fast = use_fast;
	z->since = 0;
	if (fast == 0 || (len > 0 && len <= fast))
		return len;
	memcpy(out, z->spare, fast);
	return fast;
}

/* Data that compresses unlike what came before may prefer the other level. */
static void note_ratio(struct compress *z, size_t len, size_t n)
{
	uint32_t ratio = (uint32_t)((len ? len : n) * 1024 / n);
	uint32_t off = ratio > z->ratio ? ratio - z->ratio : z->ratio - ratio;

	if (off > z->ratio / 4 && z->every > TRIAL_OFTEN)
		z->every = TRIAL_OFTEN;
	z->ratio = (3 * z->ratio + ratio) / 4;
	z->since++;
}

size_t compress_chunk(struct compress *z, int level, const uint8_t *in, size_t n, uint8_t *out,
                      size_t cap)
{
	size_t most = n - (n * GAIN_PERCENT + 99) / 100;
	size_t len;

	if (looks_like_noise(z, in, n))
		return 0;
	level = level < LEVEL_MIN ? LEVEL_MIN : level > LEVEL_MAX ? LEVEL_MAX : level;
	if (set_level(z, level) < 0)
		return 0;
	cap = cap < most ? cap : most;
	if (level != USUAL_LEVEL || n < TRIED_MIN_BYTES)
		return frame(z->c, in, n, out, cap);
	if (trial_due(z))
		len = trial(z, in, n, out, cap);
	else
		len = frame(z->use_fast ? z->fast : z->c, in, n, out, cap);
	note_ratio(z, len, n);
	return len;
}

int compress_expand(struct compress *z, const uint8_t *in, size_t in_len, uint8_t *out, size_t n)
{
	/* One frame, of this content: zstd itself would take several in a row. */
	if (ZSTD_getFrameContentSize(in, in_len) != n ||
	    ZSTD_findFrameCompressedSize(in, in_len) != in_len)
		return -1;
	return ZSTD_decompressDCtx(z->d, out, n, in, in_len) == n ? 0 : -1;
}
