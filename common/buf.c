/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing bytes. The common case of every append, room at hand, is one
 * compare; growing doubles, so that n appends copy O(n) bytes. One byte over
 * the limit may be allocated: the NUL of buf_cstr().
 */
#include "common/buf.h"

#include <endian.h>
#include <stdarg.h>
#include <string.h>

#define FIRST_BYTES 64 /* no smaller allocation */

void buf_clear(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = 0;
	b->cap = 0;
	b->failed = false;
}

static int buf_fail(struct buf *b, bool nomem)
{
	b->failed = true;
	b->nomem = nomem;
	return -1;
}

/* Memory for n more bytes of content and nul more after them: more than there is. */
__attribute__((noinline, cold)) static int buf_grow(struct buf *b, size_t n, size_t nul)
{
	size_t need;

	if (b->failed)
		return -1;
	if (n > b->max || b->len > b->max - n || __builtin_add_overflow(b->len + n, nul, &need))
		return buf_fail(b, false);
	size_t cap = b->cap < FIRST_BYTES    ? FIRST_BYTES
	             : b->cap > SIZE_MAX / 2 ? SIZE_MAX
	                                     : b->cap * 2;
	if (cap > b->max)
		cap = b->max;
	if (cap < need)
		cap = need;
	uint8_t *data = realloc(b->data, cap);
	if (!data && cap > need) {
		cap = need;
		data = realloc(b->data, cap);
	}
	if (!data)
		return buf_fail(b, true);
	b->data = data;
	b->cap = cap;
	return 0;
}

static inline int room(struct buf *b, size_t n)
{
	/* cap may be max + 1, so the limit is asked as well */
	if (__builtin_expect(!b->failed && n <= b->cap - b->len && n <= b->max - b->len, 1))
		return 0;
	return buf_grow(b, n, 0);
}

int buf_reserve(struct buf *b, size_t n)
{
	return room(b, n);
}

int buf_put(struct buf *b, const void *p, size_t n)
{
	if (room(b, n) < 0)
		return -1;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int buf_zero(struct buf *b, size_t n)
{
	if (room(b, n) < 0)
		return -1;
	if (n > 0)
		memset(b->data + b->len, 0, n);
	b->len += n;
	return 0;
}

int buf_u8(struct buf *b, uint8_t v)
{
	if (room(b, 1) < 0)
		return -1;
	b->data[b->len++] = v;
	return 0;
}

int buf_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	if (room(b, sizeof(v)) < 0)
		return -1;
	memcpy(b->data + b->len, &v, sizeof(v));
	b->len += sizeof(v);
	return 0;
}

int buf_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	if (room(b, sizeof(v)) < 0)
		return -1;
	memcpy(b->data + b->len, &v, sizeof(v));
	b->len += sizeof(v);
	return 0;
}

int buf_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	if (room(b, sizeof(v)) < 0)
		return -1;
	memcpy(b->data + b->len, &v, sizeof(v));
	b->len += sizeof(v);
	return 0;
}

/* Bytes of v in LEB128: one for each 7 bits begun. */
static inline size_t uvar_len(uint64_t v)
{
	return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

int buf_uvar(struct buf *b, uint64_t v)
{
	size_t n = uvar_len(v);

	if (room(b, n) < 0)
		return -1;
	uint8_t *at = b->data + b->len;
	b->len += n;
	while (v >= 0x80) {
		*at++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*at = (uint8_t)v;
	return 0;
}

int buf_svar(struct buf *b, int64_t v)
{
	return buf_uvar(b, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

int buf_bytes(struct buf *b, const void *p, size_t n)
{
	if (buf_uvar(b, n) < 0)
		return -1;
	return buf_put(b, p, n);
}

int buf_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	if (b->failed)
		return -1;
	size_t left = b->cap - b->len;
	va_start(ap, fmt);
	int n = vsnprintf(b->data ? (char *)b->data + b->len : NULL, left, fmt, ap);
	va_end(ap);
	if (n < 0)
		return buf_fail(b, true);
	if ((size_t)n >= left) {
		if (buf_grow(b, (size_t)n, 1) < 0)
			return -1;
		va_start(ap, fmt);
		(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
	return 0;
}

int buf_check(const struct buf *b, const char *what, struct err *e)
{
	if (!b->failed)
		return 0;
	if (b->nomem)
		return err_set(e, ERR_NOMEM, "no memory for %s, %zu bytes so far", what, b->len);
	return err_set(e, ERR_TOO_BIG, "%s is over the limit of %zu bytes", what, b->max);
}

const char *buf_cstr(struct buf *b)
{
	if (b->failed || (b->cap == b->len && buf_grow(b, 0, 1) < 0))
		return "";
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

uint8_t *buf_steal(struct buf *b, size_t *ret_len)
{
	uint8_t *data = NULL;

	*ret_len = b->len;
	if (b->len > 0)
		data = STEAL(&b->data);
	buf_clear(b);
	return data;
}
