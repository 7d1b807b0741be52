/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the stream of entries need: the order of paths, and attributes as bytes. */
#include "common/source.h"

#include <string.h>

#include "common/rd.h"

void entry_detail_clear(struct entry_detail *d)
{
	free(d->link);
	free(d->xattrs);
	*d = (struct entry_detail){ 0 };
}

/* Bytes that a and b have in common from their start, up to n. */
static inline size_t common_prefix(const char *a, const char *b, size_t n)
{
	size_t i = 0;

	for (; n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t wa;
		uint64_t wb;

		memcpy(&wa, a + i, sizeof(wa));
		memcpy(&wb, b + i, sizeof(wb));
		if (wa != wb) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return i + (size_t)__builtin_ctzll(wa ^ wb) / 8;
#else
			return i + (size_t)__builtin_clzll(wa ^ wb) / 8;
#endif
		}
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* Place of a byte in the order: '/' before all others. */
static inline int rank(char c)
{
	return c == '/' ? 0 : (uint8_t)c + 1;
}

int source_path_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	size_t i = common_prefix(a, b, n);

	if (i < n)
		return rank(a[i]) < rank(b[i]) ? -1 : 1;
	return (a_len > b_len) - (a_len < b_len);
}

int source_xattr_put(struct buf *b, const char *name, const void *value, size_t n)
{
	if (buf_bytes(b, name, strlen(name)) < 0)
		return -1;
	return buf_bytes(b, value, n);
}

bool source_xattr_next(const uint8_t *xattrs, size_t len, size_t *pos, const char **ret_name,
                       size_t *ret_name_len, const uint8_t **ret_value, size_t *ret_value_len,
                       bool *ret_bad)
{
	*ret_bad = *pos > len;
	if (*pos >= len)
		return false;

	struct rd r = rd_of(xattrs + *pos, len - *pos);
	size_t name_len;
	size_t value_len;
	const uint8_t *name = rd_bytes(&r, len, &name_len);
	const uint8_t *value = rd_bytes(&r, len, &value_len);
	if (!rd_ok(&r) || name_len == 0 || memchr(name, 0, name_len)) {
		*ret_bad = true;
		return false;
	}
	*pos = len - rd_left(&r);
	*ret_name = (const char *)name;
	*ret_name_len = name_len;
	*ret_value = value;
	*ret_value_len = value_len;
	return true;
}
