/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding. */
#include "common/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void encoded(const char *text, bool slashes, const char *want)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(256);

	assert_int_equal(url_encode(&b, text, slashes), 0);
	assert_string_equal(buf_cstr(&b), want);
}

static void test_url_encode__follows_rfc_3986(void **state)
{
	(void)state;
	encoded("", false, "");
	encoded("AZaz09-._~", false, "AZaz09-._~");
	encoded("a b+c%d", false, "a%20b%2Bc%25d");
	encoded("a/b/", false, "a%2Fb%2F");
	encoded("a/b/", true, "a/b/");
	encoded("/", true, "/");
	encoded("\xc3\xa9\x7f\x01*'()!", true, "%C3%A9%7F%01%2A%27%28%29%21");
	encoded("=&?#;:,@$[]", false, "%3D%26%3F%23%3B%3A%2C%40%24%5B%5D");
}

static void test_url_encode__stops_at_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4);

	(void)state;
	assert_int_equal(url_encode(&b, "a b c", false), -1);
	assert_true(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url_encode__follows_rfc_3986),
		cmocka_unit_test(test_url_encode__stops_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
