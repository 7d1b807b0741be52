/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping, one character at a time, so that callers with a fixed buffer can stop anywhere. */
#include "common/text.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the well-formed UTF-8 sequence at s (RFC 3629, section 4), or 0. */
static size_t utf8_len(const uint8_t *s)
{
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* shorter forms exist */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	}
	return n;
}

/* "\xNN", or "\\xNN" for JSON, or "\u00NN". */
static size_t put_hex(char *ret, const char *start, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = strlen(start);

	memcpy(ret, start, n);
	ret[n] = digits[c >> 4];
	ret[n + 1] = digits[c & 15];
	return n + 2;
}

size_t text_step(const char **s, enum text_mode mode, char ret[TEXT_STEP_MAX])
{
	const uint8_t *at = (const uint8_t *)*s;
	bool json = mode == TEXT_JSON || mode == TEXT_JSON_EXACT;
	bool exact = mode == TEXT_JSON_EXACT || mode == TEXT_CSV_EXACT;

	if (!*at)
		return 0;
	size_t n = utf8_len(at);
	bool c1 = n == 2 && at[0] == 0xc2 && at[1] < 0xa0; /* U+0080..U+009F: some terminals obey */
	bool control = at[0] < 0x20 || at[0] == 0x7f;
	bool told = at[0] == '\\' && at[1] == 'x'; /* would read as an escape of ours */

	*s += n > 0 ? n : 1;
	if (c1 && json)
		return put_hex(ret, "\\u00", at[1]);
	if (c1 && mode != TEXT_CSV_EXACT) {
		*s -= 1; /* byte by byte: the second is not UTF-8 by itself */
		return put_hex(ret, "\\x", at[0]);
	}
	if (control && json)
		return put_hex(ret, "\\u00", at[0]);
	if (control && mode != TEXT_CSV_EXACT)
		return put_hex(ret, "\\x", at[0]);
	if (n == 0 || (told && exact))
		return put_hex(ret, json ? "\\\\x" : "\\x", at[0]);
	if ((at[0] == '"' || at[0] == '\\') && (mode == TEXT_QUOTED || json)) {
		ret[0] = '\\';
		ret[1] = (char)at[0];
		return 2;
	}
	memcpy(ret, at, n);
	return n;
}

int text_put(struct buf *b, const char *s, enum text_mode mode)
{
	char step[TEXT_STEP_MAX];
	size_t n;

	while ((n = text_step(&s, mode, step)) > 0) {
		if (buf_put(b, step, n) < 0)
			return -1;
	}
	return b->failed ? -1 : 0;
}
