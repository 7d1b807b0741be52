/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compression function of FIPS 180-4 by the x86 SHA extensions, two
 * messages interleaved (Intel SDM vol. 2, SHA256RNDS2, SHA256MSG1, SHA256MSG2).
 *
 * SHA256RNDS2 does two rounds on the words in the order ABEF and CDGH, so the
 * state is kept so. Words 16 and up of the schedule come four at a time:
 * MSG1 adds the small sigma 0 of the words 15 back to those 16 back, the words
 * 7 back are added by an alignment of two registers, MSG2 adds small sigma 1.
 */
#include "repo/sha256pair.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

bool sha256pair_supported(void)
{
	const unsigned ssse3 = 1U << 9;
	const unsigned sse41 = 1U << 19;
	const unsigned sha = 1U << 29;
	unsigned a;
	unsigned b;
	unsigned c;
	unsigned d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & ssse3) || !(c & sse41))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha);
}

struct words {
	__m128i abef, cdgh;
};

WITH_SHA static inline struct words words_load(const uint32_t state[8])
{
	__m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)state);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
	__m128i badc = _mm_shuffle_epi32(abcd, 0xb1);
	__m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);

	return (struct words){
		.abef = _mm_alignr_epi8(badc, hgfe, 8),
		.cdgh = _mm_blend_epi16(hgfe, badc, 0xf0),
	};
}

WITH_SHA static inline void words_store(uint32_t state[8], struct words w)
{
	__m128i feba = _mm_shuffle_epi32(w.abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(w.cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four words of the message, which is big-endian. */
WITH_SHA static inline __m128i message(const uint8_t *p)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), swap);
}

/* Four rounds with the words m, of group g. */
WITH_SHA static inline void rounds(struct words *w, __m128i m, unsigned g)
{
	__m128i mk = _mm_add_epi32(m, _mm_load_si128((const __m128i *)(const void *)(k + 4 * g)));

	w->cdgh = _mm_sha256rnds2_epu32(w->cdgh, w->abef, mk);
	w->abef = _mm_sha256rnds2_epu32(w->abef, w->cdgh, _mm_shuffle_epi32(mk, 0x0e));
}

/* The four words that follow m0 .. m3 (16 words). */
WITH_SHA static inline __m128i schedule(__m128i m0, __m128i m1, __m128i m2, __m128i m3)
{
	__m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4));

	return _mm_sha256msg2_epu32(next, m3);
}

/* Group g of both messages; m0 is used up and becomes the words of group g + 4. */
#define GROUP(g, m0, m1, m2, m3)                                      \
	do {                                                          \
		rounds(&wa, a##m0, (g));                              \
		rounds(&wb, b##m0, (g));                              \
		if ((g) < 12) {                                       \
			a##m0 = schedule(a##m0, a##m1, a##m2, a##m3); \
			b##m0 = schedule(b##m0, b##m1, b##m2, b##m3); \
		}                                                     \
	} while (0)

#define FOUR_GROUPS(g)              \
	GROUP((g) + 0, 0, 1, 2, 3); \
	GROUP((g) + 1, 1, 2, 3, 0); \
	GROUP((g) + 2, 2, 3, 0, 1); \
	GROUP((g) + 3, 3, 0, 1, 2)

WITH_SHA void sha256pair_blocks(uint32_t state_a[8], const uint8_t *a, uint32_t state_b[8],
                                const uint8_t *b, size_t n)
{
	struct words wa = words_load(state_a);
	struct words wb = words_load(state_b);

	for (; n > 0; n--, a += 64, b += 64) {
		const struct words before_a = wa;
		const struct words before_b = wb;
		__m128i a0 = message(a);
		__m128i a1 = message(a + 16);
		__m128i a2 = message(a + 32);
		__m128i a3 = message(a + 48);
		__m128i b0 = message(b);
		__m128i b1 = message(b + 16);
		__m128i b2 = message(b + 32);
		__m128i b3 = message(b + 48);

		FOUR_GROUPS(0);
		FOUR_GROUPS(4);
		FOUR_GROUPS(8);
		FOUR_GROUPS(12);
		wa.abef = _mm_add_epi32(wa.abef, before_a.abef);
		wa.cdgh = _mm_add_epi32(wa.cdgh, before_a.cdgh);
		wb.abef = _mm_add_epi32(wb.abef, before_b.abef);
		wb.cdgh = _mm_add_epi32(wb.cdgh, before_b.cdgh);
	}
	words_store(state_a, wa);
	words_store(state_b, wb);
}

#else

#include <assert.h>

bool sha256pair_supported(void)
{
	return false;
}

void sha256pair_blocks(uint32_t state_a[8], const uint8_t *a, uint32_t state_b[8], const uint8_t *b,
                       size_t n)
{
	(void)state_a;
	(void)a;
	(void)state_b;
	(void)b;
	(void)n;
	assert(!"sha256pair_supported() was not asked");
}

#endif
