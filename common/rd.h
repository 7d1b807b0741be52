/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded little-endian cursor over bytes from outside. Its failure is
 * sticky: after one read past the end every read gives zero, and rd_ok()
 * says so. One read per statement: C leaves the order inside an initialiser
 * list open.
 */
#ifndef AKSDR_COMMON_RD_H
#define AKSDR_COMMON_RD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/clean.h"

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};

static inline struct rd rd_of(const void *p, size_t n)
{
	/* an empty buffer has no address, and C knows no NULL + 0 */
	return (struct rd){ .p = p, .end = n > 0 ? (const uint8_t *)p + n : p };
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->failed;
}

/* True when nothing failed and every byte was consumed. */
static inline bool rd_done(const struct rd *r)
{
	return !r->failed && r->p == r->end;
}

static inline size_t rd_left(const struct rd *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->p);
}

/* The next n bytes in place, or NULL. n == 0 gives a valid pointer. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->failed || (size_t)(r->end - r->p) < n) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	return at;
}

/* Copies n bytes out; zeroes ret when they are not there. */
static inline void rd_copy(struct rd *r, void *ret, size_t n)
{
	const uint8_t *at = rd_take(r, n);

	if (at)
		memcpy(ret, at, n);
	else
		memset(ret, 0, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *at = rd_take(r, 1);

	return at ? *at : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *at = rd_take(r, 2);

	return at ? (uint16_t)((unsigned)at[0] | (unsigned)at[1] << 8) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint8_t *at = rd_take(r, 4);

	return at ? (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	                       (uint32_t)at[3] << 24
	          : 0;
}

static inline uint64_t rd_u64(struct rd *r)
{
	uint64_t lo = rd_u32(r);
	uint64_t hi = rd_u32(r);

	return lo | hi << 32;
}

/* LEB128; more than 10 bytes, over 64 bits, or a padded form fails. */
static inline uint64_t rd_uvar(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = rd_u8(r);

		if (r->failed || (shift == 63 && b > 1) || (b == 0 && shift > 0))
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	r->failed = true;
	return 0;
}

static inline int64_t rd_svar(struct rd *r)
{
	uint64_t v = rd_uvar(r);

	return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

/* A uvar length of at most max, then that many bytes in place. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t max, size_t *ret_len)
{
	uint64_t n = rd_uvar(r);

	*ret_len = 0;
	if (n > max) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *at = rd_take(r, (size_t)n);
	if (at)
		*ret_len = (size_t)n;
	return at;
}

#endif
