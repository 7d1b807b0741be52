/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of an upload, and what a wrapper has of its inner store. */
#include "store/driver.h"
#include "tests/harness/store_kit.h"

static void test_store_iov_copy__takes_any_range_of_the_pieces(void **state)
{
	char a[] = "abc";
	char b[] = "d";
	char c[] = "efgh";
	const struct iovec iov[] = {
		{ .iov_base = NULL, .iov_len = 0 }, { .iov_base = a, .iov_len = 3 },
		{ .iov_base = b, .iov_len = 1 },    { .iov_base = NULL, .iov_len = 0 },
		{ .iov_base = c, .iov_len = 4 },
	};
	const char whole[] = "abcdefgh";
	char got[9];

	(void)state;
	assert_int_equal(store_iov_bytes(iov, 5), 8);
	assert_int_equal(store_iov_bytes(NULL, 0), 0);
	for (size_t off = 0; off <= 8; off++) {
		for (size_t n = 0; off + n <= 8; n++) {
			memset(got, '?', sizeof(got));
			store_iov_copy(iov, 5, off, got, n);
			assert_memory_equal(got, whole + off, n);
			assert_int_equal(got[n], '?');
		}
	}
}

static void test_store_wrap__has_the_url_and_caps_of_its_inner_store(void **state)
{
	struct err e = ERR_INIT;
	struct store *inner = store_mem_named("wrap", &e);

	(void)state;
	assert_non_null(inner);
	unsigned caps = inner->caps;
	auto_store struct store *s = store_retry_new(inner, NULL, &e);
	assert_non_null(s);
	assert_string_equal(s->url, "mem:wrap");
	assert_int_equal(s->caps, caps);
	assert_string_equal(s->ops->name, "retry");
}

static int64_t ends(struct store *s)
{
	(void)s;
	return 77;
}

static void test_store_wrap_ends__is_of_the_innermost(void **state)
{
	struct err e = ERR_INIT;
	struct store *inner = store_mem_named("wrap-ends", &e);
	static struct store_ops ops;

	(void)state;
	assert_non_null(inner);
	ops = *inner->ops;
	ops.ends = ends;
	assert_int_equal(store_ends(inner), 0);
	inner->ops = &ops;
	struct store *retry = store_retry_new(inner, NULL, &e);
	assert_non_null(retry);
	auto_store struct store *s = store_readonly_new(retry, &e);
	assert_non_null(s);
	assert_int_equal(store_ends(s), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_iov_copy__takes_any_range_of_the_pieces),
		cmocka_unit_test(test_store_wrap__has_the_url_and_caps_of_its_inner_store),
		cmocka_unit_test(test_store_wrap_ends__is_of_the_innermost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
