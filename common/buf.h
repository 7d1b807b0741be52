/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing bytes with a hard cap given at birth, and the little-endian writer
 * that the on-store encoders use. A failed append is sticky: the buffer keeps
 * its content, `failed` is set, and later appends do nothing, so an encoder
 * checks once at its end.
 */
#ifndef AKSDR_COMMON_BUF_H
#define AKSDR_COMMON_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"
#include "common/err.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap; /* bytes allocated */
	size_t max; /* hard limit of len */
	bool failed;
	bool nomem; /* why: memory was short, not the limit; only valid while failed */
};

#define BUF_INIT(limit) ((struct buf){ .max = (limit) })

/* Frees the bytes; the buffer can be used again with the same cap. */
void buf_clear(struct buf *b);

/* Forgets the content, keeps the memory, clears `failed`. */
static inline void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

/* Makes room for n more bytes. 0, or -1 (over max, or no memory: failed is set). */
int buf_reserve(struct buf *b, size_t n);

/* Appends. Each returns 0, or -1 and sets failed. */
int buf_put(struct buf *b, const void *p, size_t n);
int buf_zero(struct buf *b, size_t n);
int buf_u8(struct buf *b, uint8_t v);
int buf_u16(struct buf *b, uint16_t v);
int buf_u32(struct buf *b, uint32_t v);
int buf_u64(struct buf *b, uint64_t v);
int buf_uvar(struct buf *b, uint64_t v);               /* LEB128, at most 10 bytes */
int buf_svar(struct buf *b, int64_t v);                /* zigzag, then LEB128 */
int buf_bytes(struct buf *b, const void *p, size_t n); /* uvar length, then the bytes */
int buf_str(struct buf *b, const char *s);             /* the text without its NUL */
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* 0, or -1 with ERR_TOO_BIG / ERR_NOMEM when some append failed; what names the thing. */
MUST_CHECK int buf_check(const struct buf *b, const char *what, struct err *e);

/* NUL-terminates (not counted in len) and returns the text, or "" after a failure. */
const char *buf_cstr(struct buf *b);

/* Hands the bytes over; the caller frees. NULL when empty. */
uint8_t *buf_steal(struct buf *b, size_t *ret_len);

#endif
