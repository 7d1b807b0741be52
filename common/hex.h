/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as lower-case hexadecimal text and as base64 (RFC 4648, with padding). */
#ifndef AKSDR_COMMON_HEX_H
#define AKSDR_COMMON_HEX_H

#include <stdint.h>

#include "common/clean.h"

struct hex64 {
	char s[65];
};

/* ret gets 2 * n characters and a NUL. */
void hex_encode(char *ret, const void *p, size_t n);

/* Exactly 2 * n hexadecimal characters, then NUL. 0, or -1. Lower and upper case. */
int hex_decode(void *ret, size_t n, const char *text);

/* 32 bytes as text by value, for messages. */
struct hex64 hex_of32(const uint8_t p[32]);

/* ret_max must hold 4 * ((n + 2) / 3) + 1. 0, or -1. Constant time in the content. */
int base64_encode(char *ret, size_t ret_max, const void *p, size_t n);

/* How many bytes a text with its padding stands for; SIZE_MAX: none, its length is no base64's. */
size_t base64_size(const char *text);

/* Exactly n bytes. 0, or -1. Constant time in the content. */
int base64_decode(void *ret, size_t n, const char *text);

#endif
