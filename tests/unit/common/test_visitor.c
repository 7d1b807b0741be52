/* SPDX-License-Identifier: Apache-2.0 */
#include "common/visitor.h"

#include <string.h>

#include "common/buf.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static char token[VISITOR_TOKEN_MAX];

static void assert_token(const char *header, const char *wanted)
{
	ok(visitor_token(header, token, e));
	assert_string_equal(token, wanted);
}

static void test_visitor_token__takes_a_bearer_token(void **state)
{
	(void)state;
	assert_token("Bearer abc", "abc");
	assert_token("bearer   eyJh.b-_~+/c==", "eyJh.b-_~+/c==");
	assert_token("BEARER 0", "0");
}

static void test_visitor_token__takes_the_password_of_any_user(void **state)
{
	(void)state;
	assert_token("Basic dXNlcjphYmM=", "abc"); /* user:abc */
	assert_token("basic OmFiYw==", "abc");     /* :abc */
	assert_token("Basic IDph", "a");           /* " :a" */
}

static void test_visitor_token__refuses_what_is_none(void **state)
{
	static const char *const none[] = {
		"",
		"Bearer",
		"Bearer ",
		"Bearer a b",
		"Bearer a=b",
		"Bearer =",
		"Bearer a\n",
		"Bearer a\x7f",
		"Bearer a\"",
		"Bearera",
		"Digest abc",
		"Negotiate abc",
		"Basic",
		"Basic abc",
		"Basic ====",
		"Basic dXNlcg==",     /* user */
		"Basic dXNlcjo=",     /* user: */
		"Basic dXNlcjphOmI=", /* user:a:b */
		"Basic dXNlcjphAGI=", /* user:a, NUL, b */
		"Basic dXNlcjphYmM= x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct err e = ERR_INIT;

		if (visitor_token(none[i], token, &e) == 0)
			fail_msg("'%s' is taken for a token", none[i]);
		assert_int_equal(e.class, ERR_INVALID);
	}
}

static void test_visitor_token__has_a_longest_one(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	(void)state;
	(void)buf_str(&b, "Bearer ");
	for (size_t i = 0; i < VISITOR_TOKEN_MAX - 1; i++)
		(void)buf_u8(&b, 'a');
	ok(visitor_token(buf_cstr(&b), token, e));
	assert_int_equal(strlen(token), VISITOR_TOKEN_MAX - 1);
	(void)buf_u8(&b, 'a');
	fails(ERR_TOO_BIG, visitor_token(buf_cstr(&b), token, e));
	buf_reset(&b);
	(void)buf_str(&b, "Basic ");
	for (size_t i = 0; i < 40000; i++)
		(void)buf_u8(&b, 'a');
	fails(ERR_TOO_BIG, visitor_token(buf_cstr(&b), token, e));
}

static void test_visitor_host__knows_this_machine(void **state)
{
	static const char *const ours[] = { "localhost", "localhost:9763",  "LocalHost:1",
		                            "127.0.0.1", "127.0.0.1:65535", "127.8.9.1:80",
		                            "[::1]",     "[::1]:9763" };
	static const char *const others[] = {
		"",
		":80",
		"example.com",
		"localhost.example.com",
		"localhost:",
		"localhost:80a",
		"localhost:123456",
		"localhost:80:80",
		"127.0.0.1.example.com",
		"127.0.0.1@example.com",
		"128.0.0.1",
		"0x7f000001",
		"127.1",
		"[::1",
		"[::1]x",
		"[::2]",
		"[]",
		"::1",
		"0.0.0.0",
		" localhost",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		assert_true(visitor_host(ours[i], NULL));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (visitor_host(others[i], "a.example"))
			fail_msg("'%s' is taken for this machine", others[i]);
	}
}

static void test_visitor_host__takes_names_that_are_given(void **state)
{
	(void)state;
	assert_true(visitor_host("backups.example:8443", "a, Backups.Example"));
	assert_true(visitor_host("a", "a, Backups.Example"));
	assert_true(visitor_host("localhost", ""));
	assert_false(visitor_host("a, Backups.Example", "a, Backups.Example"));
	assert_false(visitor_host("backups", "a, Backups.Example"));
	assert_false(visitor_host("b", "a, Backups.Example"));
	assert_false(visitor_host("a", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_visitor_token__takes_a_bearer_token),
		cmocka_unit_test(test_visitor_token__takes_the_password_of_any_user),
		cmocka_unit_test(test_visitor_token__refuses_what_is_none),
		cmocka_unit_test(test_visitor_token__has_a_longest_one),
		cmocka_unit_test(test_visitor_host__knows_this_machine),
		cmocka_unit_test(test_visitor_host__takes_names_that_are_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
