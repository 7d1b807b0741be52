/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-64/NVME. Bytes are polynomials over GF(2) with the first bit, the lowest
 * of the first byte, as the highest power, so a word in memory order is one
 * with bit 0 for x^63.
 *
 * By tables: table[i][b] is what byte b does to the CRC from i bytes before
 * the end of a block of 16, so that a block costs 16 look-ups that do not wait
 * for each other.
 *
 * By carry-less multiplication (PCLMULQDQ): four words of 128 bits go through
 * the message. A word L x^64 + H that stands D bits before another one may be
 * replaced by L (x^(64+D) mod P) + H (x^D mod P), added to the other one. The
 * product of two reflected words is short of one bit, hence the powers are
 * one lower. What is left at the end, 128 bits that the message is congruent
 * to, goes through the tables.
 */
#include "common/crc64.h"

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "common/hex.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5) /* without x^64, reflected */
#define BLOCK 16                                /* bytes that the tables take at once */

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* what follows is written once, by init() */
static uint64_t table[BLOCK][256];
static bool can_multiply;
static uint64_t by_512[2]; /* x^575, x^511 mod P */
static uint64_t by_128[2]; /* x^191, x^127 mod P */

static uint64_t times_x(uint64_t v)
{
	return v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
}

static uint64_t power_of_x(unsigned n)
{
	uint64_t v = UINT64_C(1) << 63;

	while (n-- > 0)
		v = times_x(v);
	return v;
}

static void init(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint64_t v = b;

		for (unsigned bit = 0; bit < 8; bit++)
			v = times_x(v);
		table[0][b] = v;
	}
	for (unsigned i = 1; i < BLOCK; i++) {
		for (unsigned b = 0; b < 256; b++) {
			uint64_t v = table[i - 1][b];

			table[i][b] = v >> 8 ^ table[0][v & 0xff];
		}
	}
	by_512[0] = power_of_x(575);
	by_512[1] = power_of_x(511);
	by_128[0] = power_of_x(191);
	by_128[1] = power_of_x(127);
#if defined(__x86_64__)
	can_multiply = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

/* The register after n bytes; no inversion here. */
static uint64_t tables(uint64_t reg, const uint8_t *p, size_t n)
{
	for (; n >= BLOCK; n -= BLOCK, p += BLOCK) {
		uint64_t low;
		uint64_t high;

		memcpy(&low, p, sizeof(low));
		memcpy(&high, p + 8, sizeof(high));
		low = le64toh(low) ^ reg;
		high = le64toh(high);
		reg = 0;
		for (unsigned i = 0; i < 8; i++) {
			reg ^= table[15 - i][low >> (8 * i) & 0xff];
			reg ^= table[7 - i][high >> (8 * i) & 0xff];
		}
	}
	for (; n > 0; n--, p++)
		reg = reg >> 8 ^ table[0][(reg ^ *p) & 0xff];
	return reg;
}

#if defined(__x86_64__)
#define MULTIPLY __attribute__((target("pclmul,sse4.1")))

MULTIPLY static inline __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* v, moved as many bits on as k is for, and added to w. */
MULTIPLY static inline __m128i fold(__m128i v, __m128i k, __m128i w)
{
	return _mm_xor_si128(w, _mm_xor_si128(_mm_clmulepi64_si128(v, k, 0x00),
	                                      _mm_clmulepi64_si128(v, k, 0x11)));
}

MULTIPLY static uint64_t multiply(uint64_t reg, const uint8_t *p, size_t n)
{
	const __m128i k512 = _mm_set_epi64x((long long)by_512[1], (long long)by_512[0]);
	const __m128i k128 = _mm_set_epi64x((long long)by_128[1], (long long)by_128[0]);
	uint8_t left[16];

	if (n < 128)
		return tables(reg, p, n);
	__m128i a = _mm_xor_si128(load(p), _mm_cvtsi64_si128((long long)reg));
	__m128i b = load(p + 16);
	__m128i c = load(p + 32);
	__m128i d = load(p + 48);
	for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {
		a = fold(a, k512, load(p));
		b = fold(b, k512, load(p + 16));
		c = fold(c, k512, load(p + 32));
		d = fold(d, k512, load(p + 48));
	}
	d = fold(fold(fold(a, k128, b), k128, c), k128, d);
	for (; n >= 16; p += 16, n -= 16)
		d = fold(d, k128, load(p));
	_mm_storeu_si128((__m128i *)(void *)left, d);
	return tables(tables(0, left, sizeof(left)), p, n);
}
#else
static uint64_t multiply(uint64_t reg, const uint8_t *p, size_t n)
{
	return tables(reg, p, n);
}
#endif

uint64_t crc64_update(uint64_t crc, const void *p, size_t n)
{
	(void)pthread_once(&once, init);
	return ~(can_multiply ? multiply(~crc, p, n) : tables(~crc, p, n));
}

uint64_t crc64_by_tables(uint64_t crc, const void *p, size_t n)
{
	(void)pthread_once(&once, init);
	return ~tables(~crc, p, n);
}

static struct crc64_text text_of(uint64_t v)
{
	struct crc64_text t;

	(void)base64_encode(t.s, sizeof(t.s), &v, sizeof(v));
	return t;
}

struct crc64_text crc64_little(uint64_t crc)
{
	return text_of(htole64(crc));
}

struct crc64_text crc64_big(uint64_t crc)
{
	return text_of(htobe64(crc));
}
