/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding (RFC 3986, 2.1 and 2.3). */
#include "common/url.h"

#include <string.h>

int url_encode(struct buf *b, const char *text, bool slashes)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~";

	while (*text) {
		size_t n = strspn(text, plain);
		uint8_t c = (uint8_t)text[n];
		const char escaped[3] = { '%', hex[c >> 4], hex[c & 15] };

		(void)buf_put(b, text, n);
		text += n;
		if (!*text)
			break;
		if (c == '/' && slashes)
			(void)buf_u8(b, c);
		else
			(void)buf_put(b, escaped, sizeof(escaped));
		text++;
	}
	return b->failed ? -1 : 0;
}
