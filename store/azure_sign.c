/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is signed: method; eleven standard headers, an empty line for each that
 * is not sent; the x-ms- headers; the resource; the query. Two traps: a length
 * of 0 is signed as empty, and the path is taken as it is sent, encoded, after
 * the account's name, which an emulator's path has once more.
 */
#include "store/azure_sign.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "common/hex.h"

#define TEXT_MAX (64 * 1024)

void azure_sign_text(struct wire *w, const char *account, uint64_t body_bytes, struct buf *ret)
{
	static const char *const standard[] = {
		"content-encoding", "content-language",    NULL, /* content-length */
		"content-md5",      "content-type",        "date", "if-modified-since", "if-match",
		"if-none-match",    "if-unmodified-since", "range"
	};

	buf_printf(ret, "%s\n", w->method);
	for (size_t i = 0; i < ARRAY_LEN(standard); i++) {
		const char *value = standard[i] ? wire_header_get(w, standard[i]) : NULL;

		if (!standard[i] && body_bytes > 0)
			buf_printf(ret, "%llu", (unsigned long long)body_bytes);
		buf_printf(ret, "%s\n", value ? value : "");
	}
	for (unsigned i = 0; i < w->nheaders; i++)
		if (strncmp(w->headers[i].name, "x-ms-", 5) == 0)
			buf_printf(ret, "%s:%s\n", w->headers[i].name, w->headers[i].value);
	buf_printf(ret, "/%s", account);
	buf_str(ret, wire_path_text(w));
	for (unsigned i = 0; i < w->nquery; i++)
		buf_printf(ret, "\n%s:%s", w->query[i].name, w->query[i].value);
}

int azure_sign(struct wire *w, const char *account, const uint8_t *key, size_t key_bytes,
               uint64_t body_bytes, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(TEXT_MAX);
	crypto_auth_hmacsha256_state state;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	char base64[2 * sizeof(mac)];

	wire_sort(w);
	if (wire_check(w, e) < 0)
		return -1;
	azure_sign_text(w, account, body_bytes, &text);
	if (buf_check(&text, "a request to be signed", e) < 0)
		return -1;
	crypto_auth_hmacsha256_init(&state, key, key_bytes);
	crypto_auth_hmacsha256_update(&state, text.data, text.len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_memzero(&state, sizeof(state));
	base64_encode(base64, sizeof(base64), mac, sizeof(mac));
	wire_header(w, "authorization", "SharedKey %s:%s", account, base64);
	return wire_check(w, e);
}
