/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as text. Keys pass through base64 only, so that one is libsodium's,
 * which does not index tables by secret bytes; hexadecimal is for ids.
 */
#include "common/hex.h"

#include <sodium.h>
#include <string.h>

void hex_encode(char *ret, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = p;

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[at[i] >> 4];
		*ret++ = digits[at[i] & 15];
	}
	*ret = '\0';
}

/* The value of one digit, or -1. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *ret, size_t n, const char *text)
{
	uint8_t *at = ret;

	for (size_t i = 0; i < n; i++) {
		int high = digit(text[0]);
		if (high < 0)
			return -1;
		int low = digit(text[1]);
		if (low < 0)
			return -1;
		at[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == '\0' ? 0 : -1;
}

struct hex64 hex_of32(const uint8_t p[32])
{
	struct hex64 ret;

	hex_encode(ret.s, p, 32);
	return ret;
}

int base64_encode(char *ret, size_t ret_max, const void *p, size_t n)
{
	if (n > SIZE_MAX / 2 ||
	    ret_max < sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL))
		return -1;
	(void)sodium_bin2base64(ret, ret_max, p, n, sodium_base64_VARIANT_ORIGINAL);
	return 0;
}

size_t base64_size(const char *text)
{
	size_t n = strlen(text);

	if (n % 4 != 0)
		return SIZE_MAX;
	return n / 4 * 3 - (n > 0 && text[n - 1] == '=') - (n > 0 && text[n - 2] == '=');
}

int base64_decode(void *ret, size_t n, const char *text)
{
	size_t len = strlen(text);
	size_t got;
	uint8_t bits = 0;

	/* libsodium takes some bytes that are not ASCII for digits */
	for (size_t i = 0; i < len; i++)
		bits |= (uint8_t)text[i];
	if (bits & 0x80)
		return -1;
	if (sodium_base642bin(ret, n, text, len, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) <
	    0)
		return -1;
	return got == n ? 0 : -1;
}
