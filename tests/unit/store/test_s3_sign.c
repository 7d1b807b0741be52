/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature Version 4: the examples of the S3 API reference ("Signature Calculations for the
 * Authorization Header"), those of AWS's test suite for the signature, and some that an official
 * client made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "store/s3_sign.h"

#define S INT64_C(1000000000)
#define MAY_24 (1369353600 * S)    /* 2013-05-24T00:00:00Z */
#define AUGUST_30 (1440938160 * S) /* 2015-08-30T12:36:00Z */

static const struct s3_keys docs = { "AKIAIOSFODNN7EXAMPLE",
	                             "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };
static const struct s3_scope docs_scope = { "us-east-1", "s3", MAY_24 };
static const struct s3_keys suite = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	                              NULL };
static const struct s3_scope suite_scope = { "us-east-1", "service", AUGUST_30 };

static void signed_as(struct wire *w, const struct s3_keys *keys, const struct s3_scope *scope,
                      const char *payload, const char *want)
{
	struct err e = ERR_INIT;

	if (s3_sign(w, keys, scope, payload, &e) < 0)
		fail_msg("%s", e.msg);
	const char *got = strstr(wire_header_get(w, "authorization"), "Signature=");
	assert_string_equal(got + 10, want);
}

static void test_s3_sign__gives_the_documented_get(void **state)
{
	auto_wire struct wire w;
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4096);

	(void)state;
	wire_init(&w, "GET", "https://examplebucket.s3.amazonaws.com");
	wire_path(&w, "test.txt");
	wire_header(&w, "range", "bytes=0-9");
	signed_as(&w, &docs, &docs_scope, S3_SIGN_EMPTY,
	          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	assert_string_equal(wire_header_get(&w, "authorization"),
	                    "AWS4-HMAC-SHA256 "
	                    "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
	                    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
	                    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036b"
	                    "db41");
	assert_string_equal(wire_header_get(&w, "host"), "examplebucket.s3.amazonaws.com");
	assert_string_equal(wire_header_get(&w, "x-amz-date"), "20130524T000000Z");
	assert_string_equal(wire_header_get(&w, "x-amz-content-sha256"), S3_SIGN_EMPTY);
	assert_null(wire_header_get(&w, "x-amz-security-token"));
	wire_header_drop(&w, "authorization");
	s3_sign_canonical(&w, S3_SIGN_EMPTY, &text);
	assert_string_equal(buf_cstr(&text),
	                    "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\n"
	                    "range:bytes=0-9\nx-amz-content-sha256:" S3_SIGN_EMPTY
	                    "\nx-amz-date:20130524T000000Z\n\n"
	                    "host;range;x-amz-content-sha256;x-amz-date\n" S3_SIGN_EMPTY);
}

static void test_s3_sign__gives_the_documented_put(void **state)
{
	const struct iovec body[] = { { (char *)(uintptr_t) "Welcome to ", 11 },
		                      { (char *)(uintptr_t) "Amazon S3.", 10 } };
	auto_wire struct wire w;
	struct err e = ERR_INIT;
	uint8_t hash[32];

	(void)state;
	assert_int_equal(s3_sign_hash(body, 2, hash, &e), 0);
	wire_init(&w, "PUT", "https://examplebucket.s3.amazonaws.com");
	wire_path(&w, "test$file.text");
	assert_string_equal(wire_path_text(&w), "/test%24file.text");
	wire_header(&w, "date", "Fri, 24 May 2013 00:00:00 GMT");
	wire_header(&w, "x-amz-storage-class", "REDUCED_REDUNDANCY");
	signed_as(&w, &docs, &docs_scope, hex_of32(hash).s,
	          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_s3_sign__gives_the_documented_queries(void **state)
{
	auto_wire struct wire lifecycle;
	auto_wire struct wire list;

	(void)state;
	wire_init(&lifecycle, "GET", "https://examplebucket.s3.amazonaws.com");
	wire_query(&lifecycle, "lifecycle", "");
	signed_as(&lifecycle, &docs, &docs_scope, S3_SIGN_EMPTY,
	          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	wire_init(&list, "GET", "https://examplebucket.s3.amazonaws.com:443/");
	wire_query(&list, "prefix", "J");
	wire_query(&list, "max-keys", "2");
	signed_as(&list, &docs, &docs_scope, S3_SIGN_EMPTY,
	          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_s3_sign__passes_the_test_suite(void **state)
{
	static const struct {
		const char *path;
		struct wire_pair query[2];
		const char *want;
	} cases[] = {
		{ "",
		  { { NULL, NULL } },
		  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ "",
		  { { "Param2", "value2" }, { "Param1", "value1" } },
		  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ "",
		  { { "Param1", "value2" }, { "Param1", "value1" } },
		  "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
		{ "",
		  { { "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		      "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" } },
		  "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
		{ "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		  { { NULL, NULL } },
		  "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
		{ "\xe1\x88\xb4",
		  { { NULL, NULL } },
		  "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_wire struct wire w;

		wire_init(&w, "GET", "https://example.amazonaws.com");
		if (*cases[i].path)
			wire_path(&w, cases[i].path);
		for (size_t q = 0; q < 2 && cases[i].query[q].name; q++)
			wire_query(&w, cases[i].query[q].name, cases[i].query[q].value);
		signed_as(&w, &suite, &suite_scope, S3_SIGN_EMPTY, cases[i].want);
		assert_null(wire_header_get(&w, "x-amz-content-sha256"));
	}
}

static void test_s3_sign__trims_values(void **state)
{
	auto_wire struct wire w;

	(void)state;
	/* get-header-value-trim of the suite */
	wire_init(&w, "GET", "https://example.amazonaws.com");
	wire_header(&w, "my-header1", " value1");
	wire_header(&w, "my-header2", " \"a   b   c\"");
	signed_as(&w, &suite, &suite_scope, S3_SIGN_EMPTY,
	          "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

/* Names that sort otherwise before they are encoded than after; a long secret; a token. */
static void test_s3_sign__agrees_with_an_official_client(void **state)
{
	const struct s3_scope scope = { "eu-west-3", "s3", 1795341845 * S };
	auto_wire struct wire w;
	auto_wire struct wire long_secret;
	char secret[301];

	(void)state;
	wire_init(&w, "DELETE", "http://127.0.0.1:7070");
	wire_path(&w, "b/k e+y=\xc3\xa9");
	wire_query(&w, "a b", "1/2");
	wire_query(&w, "a", "~");
	wire_query(&w, "a-b", "x");
	wire_query(&w, "aZ", "");
	wire_header(&w, "x-amz-meta-z", "v  w");
	signed_as(&w, &(struct s3_keys){ "AKID", "secret", "to/ken+=" }, &scope, S3_SIGN_UNSIGNED,
	          "204de054cd83d7705e7c59cd3507e84265814d080fe2af78e3a048a0cab8f60f");
	assert_string_equal(wire_header_get(&w, "x-amz-security-token"), "to/ken+=");
	memset(secret, 's', sizeof(secret));
	secret[300] = '\0';
	wire_init(&long_secret, "GET", "https://b.s3.eu-west-3.amazonaws.com");
	wire_path(&long_secret, "k");
	signed_as(&long_secret, &(struct s3_keys){ "AKID", secret, NULL }, &scope, S3_SIGN_UNSIGNED,
	          "17ed57717c1aaff568428d19639a56fa15c1cef79e190ff546c3b071bb720d13");
}

static void test_s3_sign__adds_no_header_twice(void **state)
{
	auto_wire struct wire w;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h");
	wire_header(&w, "host", "other");
	wire_header(&w, "x-amz-date", "20130524T000000Z");
	assert_int_equal(s3_sign(&w, &docs, &docs_scope, S3_SIGN_EMPTY, &e), 0);
	assert_int_equal(w.nheaders, 4);
	assert_string_equal(wire_header_get(&w, "host"), "other");
}

static void test_s3_sign__refuses_what_cannot_be_sent(void **state)
{
	const struct s3_keys bad = { "AKID\n", "secret", NULL };
	const struct s3_keys bad_token = { "AKID", "secret", "a\nb" };
	auto_wire struct wire w;
	auto_wire struct wire v;
	struct err e = ERR_INIT;

	(void)state;
	wire_init(&w, "GET", "https://h");
	assert_int_equal(s3_sign(&w, &bad, &docs_scope, S3_SIGN_EMPTY, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	wire_init(&v, "GET", "https://h");
	assert_int_equal(s3_sign(&v, &bad_token, &docs_scope, S3_SIGN_EMPTY, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_s3_sign_hash__is_sha_256_of_the_pieces(void **state)
{
	const struct iovec pieces[] = { { (char *)(uintptr_t) "a", 1 },
		                        { NULL, 0 },
		                        { (char *)(uintptr_t) "bc", 2 } };
	struct err e = ERR_INIT;
	uint8_t hash[32];

	(void)state;
	assert_int_equal(s3_sign_hash(NULL, 0, hash, &e), 0);
	assert_string_equal(hex_of32(hash).s, S3_SIGN_EMPTY);
	assert_int_equal(s3_sign_hash(pieces, 3, hash, &e), 0);
	assert_string_equal(hex_of32(hash).s,
	                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_sign__gives_the_documented_get),
		cmocka_unit_test(test_s3_sign__gives_the_documented_put),
		cmocka_unit_test(test_s3_sign__gives_the_documented_queries),
		cmocka_unit_test(test_s3_sign__passes_the_test_suite),
		cmocka_unit_test(test_s3_sign__trims_values),
		cmocka_unit_test(test_s3_sign__agrees_with_an_official_client),
		cmocka_unit_test(test_s3_sign__adds_no_header_twice),
		cmocka_unit_test(test_s3_sign__refuses_what_cannot_be_sent),
		cmocka_unit_test(test_s3_sign_hash__is_sha_256_of_the_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
