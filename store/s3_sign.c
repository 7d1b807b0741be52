/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is signed is a text of method, path, query, headers and the hash of the
 * payload; the key follows from the secret, the day, the region and the
 * service by a chain of HMACs. The query is sorted by what is sent, that is
 * after encoding.
 */
#include "store/s3_sign.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "common/hex.h"
#include "common/url.h"

#define TEXT_MAX (128 * KIB)
#define MAC_BYTES crypto_auth_hmacsha256_BYTES

static void put_lines(struct buf *ret, const char *text)
{
	(void)buf_str(ret, text);
	(void)buf_u8(ret, '\n');
}

/* A byte that sorts before all that encoded texts have, between a name and its value. */
#define BETWEEN '\x01'

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_query(const struct wire *w, struct buf *ret)
{
	CLEANUP(buf_clear) struct buf all = BUF_INIT(TEXT_MAX);
	size_t at[WIRE_PAIRS];
	char *texts[WIRE_PAIRS];

	for (unsigned i = 0; i < w->nquery; i++) {
		at[i] = all.len;
		(void)url_encode(&all, w->query[i].name, false);
		(void)buf_u8(&all, BETWEEN);
		(void)url_encode(&all, w->query[i].value, false);
		(void)buf_u8(&all, '\0');
	}
	if (all.failed) {
		ret->failed = true;
		ret->nomem = all.nomem;
		return;
	}
	for (unsigned i = 0; i < w->nquery; i++)
		texts[i] = (char *)all.data + at[i];
	if (w->nquery > 1)
		qsort(texts, w->nquery, sizeof(texts[0]), compare_texts);
	for (unsigned i = 0; i < w->nquery; i++) {
		*strchr(texts[i], BETWEEN) = '=';
		if (i > 0)
			(void)buf_u8(ret, '&');
		(void)buf_str(ret, texts[i]);
	}
}

/* Without blanks at its ends, and one for many within. */
static void put_value(struct buf *ret, const char *value)
{
	bool blank = false;
	bool first = true;

	for (; *value; value++) {
		if (*value == ' ') {
			blank = true;
			continue;
		}
		if (blank && !first)
			(void)buf_u8(ret, ' ');
		(void)buf_u8(ret, (uint8_t)*value);
		blank = false;
		first = false;
	}
}

/* "a;b;c" */
static void put_names(const struct wire *w, struct buf *ret)
{
	for (unsigned i = 0; i < w->nheaders; i++) {
		if (i > 0)
			(void)buf_u8(ret, ';');
		(void)buf_str(ret, w->headers[i].name);
	}
}

void s3_sign_canonical(struct wire *w, const char *payload, struct buf *ret)
{
	put_lines(ret, w->method);
	put_lines(ret, wire_path_text(w));
	put_query(w, ret);
	(void)buf_u8(ret, '\n');
	for (unsigned i = 0; i < w->nheaders; i++) {
		(void)buf_str(ret, w->headers[i].name);
		(void)buf_u8(ret, ':');
		put_value(ret, w->headers[i].value);
		(void)buf_u8(ret, '\n');
	}
	(void)buf_u8(ret, '\n');
	put_names(w, ret);
	(void)buf_u8(ret, '\n');
	(void)buf_str(ret, payload);
}

static void mac_of(const uint8_t *key, size_t n, const void *text, size_t len,
                   uint8_t ret[MAC_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, n);
	crypto_auth_hmacsha256_update(&state, text, len);
	crypto_auth_hmacsha256_final(&state, ret);
	sodium_memzero(&state, sizeof(state));
}

/* The key of a day, a region and a service. */
static void key_of(const char *secret, const char *day, const struct s3_scope *scope,
                   uint8_t ret[MAC_BYTES])
{
	static const char first[] = "AWS4";
	crypto_auth_hmacsha256_state state;
	uint8_t hashed[crypto_hash_sha256_BYTES];
	size_t n = strlen(secret);
	uint8_t key[256];

	/* a key of HMAC longer than a block is replaced by its hash; of any length that way */
	if (n + 4 <= sizeof(key)) {
		memcpy(key, first, 4);
		memcpy(key + 4, secret, n);
		crypto_auth_hmacsha256_init(&state, key, n + 4);
	} else {
		crypto_hash_sha256_state hash;

		crypto_hash_sha256_init(&hash);
		crypto_hash_sha256_update(&hash, (const uint8_t *)first, 4);
		crypto_hash_sha256_update(&hash, (const uint8_t *)secret, n);
		crypto_hash_sha256_final(&hash, hashed);
		crypto_auth_hmacsha256_init(&state, hashed, sizeof(hashed));
	}
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)day, strlen(day));
	crypto_auth_hmacsha256_final(&state, ret);
	mac_of(ret, MAC_BYTES, scope->region, strlen(scope->region), ret);
	mac_of(ret, MAC_BYTES, scope->service, strlen(scope->service), ret);
	mac_of(ret, MAC_BYTES, "aws4_request", 12, ret);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(hashed, sizeof(hashed));
	sodium_memzero(&state, sizeof(state));
}

/* "20261122T100405Z" and "20261122" */
static void stamp_of(int64_t now_ns, char date[20], char day[12])
{
	time_t s = (time_t)(now_ns / 1000000000);
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	(void)strftime(date, 20, "%Y%m%dT%H%M%SZ", &tm);
	memcpy(day, date, 8);
	day[8] = '\0';
}

static void add_header(struct wire *w, const char *name, const char *value)
{
	if (!wire_header_get(w, name))
		wire_header(w, name, "%s", value);
}

int s3_sign(struct wire *w, const struct s3_keys *keys, const struct s3_scope *scope,
            const char *payload, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(TEXT_MAX);
	CLEANUP(buf_clear) struct buf names = BUF_INIT(TEXT_MAX);
	uint8_t hash[crypto_hash_sha256_BYTES];
	uint8_t key[MAC_BYTES];
	uint8_t mac[MAC_BYTES];
	char hex[2 * MAC_BYTES + 1];
	char date[20];
	char day[12];

	stamp_of(scope->now_ns, date, day);
	add_header(w, "host", wire_host(w));
	add_header(w, "x-amz-date", date);
	if (strcmp(scope->service, "s3") == 0)
		add_header(w, "x-amz-content-sha256", payload);
	if (keys->token)
		add_header(w, "x-amz-security-token", keys->token);
	wire_sort(w);
	if (wire_check(w, e) < 0)
		return -1;
	s3_sign_canonical(w, payload, &text);
	put_names(w, &names);
	if (buf_check(&text, "a request to be signed", e) < 0 ||
	    buf_check(&names, "a request to be signed", e) < 0)
		return -1;
	crypto_hash_sha256(hash, text.data, text.len);
	hex_encode(hex, hash, sizeof(hash));
	/* it may have had a token in it */
	sodium_memzero(text.data, text.len);
	buf_reset(&text);
	(void)buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", date, day,
	                 scope->region, scope->service, hex);
	if (buf_check(&text, "a request to be signed", e) < 0)
		return -1;
	key_of(keys->secret, day, scope, key);
	mac_of(key, sizeof(key), text.data, text.len, mac);
	sodium_memzero(key, sizeof(key));
	hex_encode(hex, mac, sizeof(mac));
	wire_header(w, "authorization",
	            "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
	            "Signature=%s",
	            keys->id, day, scope->region, scope->service, buf_cstr(&names), hex);
	return names.failed ? buf_check(&names, "a request to be signed", e) : wire_check(w, e);
}

static void clean_digest(EVP_MD_CTX *const *c)
{
	EVP_MD_CTX_free(*c);
}

/* By libcrypto: it uses the processor's own instructions for it, five times as fast here. */
int s3_sign_hash(const struct iovec *iov, int niov, uint8_t ret[32], struct err *e)
{
	CLEANUP(clean_digest) EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;

	for (int i = 0; i < niov && good; i++)
		good = EVP_DigestUpdate(c, iov[i].iov_base, iov[i].iov_len) == 1;
	if (!good || EVP_DigestFinal_ex(c, ret, NULL) != 1)
		return err_set(e, ERR_NOMEM, "no memory for a hash");
	return 0;
}
