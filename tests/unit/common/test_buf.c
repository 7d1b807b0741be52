/* SPDX-License-Identifier: Apache-2.0 */
/* Growing bytes: limits, sticky failure, and the exact bytes of each encoder. */
#include "common/buf.h"

#include <string.h>
#include <wchar.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/syshook.h"

static void test_buf_put__grows_and_keeps_the_bytes(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100000);

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(buf_put(&b, &i, sizeof(i)), 0);
	assert_int_equal(b.len, 40000);
	for (unsigned i = 0; i < 10000; i++)
		assert_memory_equal(b.data + (size_t)i * 4, &i, sizeof(i));
}

static void test_buf_put__nothing_from_nowhere_is_fine(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_put(&b, NULL, 0), 0);
	assert_int_equal(buf_zero(&b, 0), 0);
	assert_int_equal(b.len, 0);
	assert_null(b.data);
}

static void test_buf_put__fills_to_the_limit_and_not_beyond(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_put(&b, "0123456789", 10), 0);
	assert_string_equal(buf_cstr(&b), "0123456789"); /* allocates a byte over the limit */
	assert_int_equal(buf_u8(&b, 'x'), -1);
	assert_true(b.failed);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "0123456789", 10);
}

static void test_buf_put__a_failure_sticks_until_reset(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4);

	(void)state;
	assert_int_equal(buf_put(&b, "12345", 5), -1);
	assert_int_equal(buf_u8(&b, 1), -1);
	assert_int_equal(buf_reserve(&b, 1), -1);
	assert_int_equal(buf_printf(&b, "x"), -1);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(b.len, 0);
	buf_reset(&b);
	assert_int_equal(buf_u8(&b, 1), 0);
	assert_int_equal(b.len, 1);
}

static void test_buf_reserve__refuses_sizes_that_overflow(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SIZE_MAX);

	(void)state;
	assert_int_equal(buf_u8(&b, 1), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
	assert_int_equal(b.len, 1);
}

static void test_buf_reserve__makes_room_without_content(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);

	(void)state;
	assert_int_equal(buf_reserve(&b, 700), 0);
	assert_int_equal(b.len, 0);
	assert_true(b.cap >= 700 && b.cap <= 1001);
}

static void test_buf_u__writes_little_endian(void **state)
{
	static const uint8_t want[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
		                        0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x00, 0x00, 0x00 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_u8(&b, 0x01), 0);
	assert_int_equal(buf_u16(&b, 0x0203), 0);
	assert_int_equal(buf_u32(&b, 0x04050607), 0);
	assert_int_equal(buf_u64(&b, 0x08090a0b0c0d0e0f), 0);
	assert_int_equal(buf_zero(&b, 3), 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

static void test_buf_uvar__writes_the_shortest_leb128(void **state)
{
	static const struct {
		uint64_t v;
		size_t n;
		uint8_t want[10];
	} cases[] = {
		{ 0, 1, { 0x00 } },
		{ 1, 1, { 0x01 } },
		{ 127, 1, { 0x7f } },
		{ 128, 2, { 0x80, 0x01 } },
		{ 300, 2, { 0xac, 0x02 } },
		{ 16383, 2, { 0xff, 0x7f } },
		{ 16384, 3, { 0x80, 0x80, 0x01 } },
		{ UINT32_MAX, 5, { 0xff, 0xff, 0xff, 0xff, 0x0f } },
		{ (uint64_t)1 << 63,
		  10,
		  { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 } },
		{ UINT64_MAX, 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(10);

		assert_int_equal(buf_uvar(&b, cases[i].v), 0);
		assert_int_equal(b.len, cases[i].n);
		assert_memory_equal(b.data, cases[i].want, cases[i].n);
	}
}

static void test_buf_svar__writes_small_numbers_of_both_signs_short(void **state)
{
	static const struct {
		int64_t v;
		size_t n;
		uint8_t first;
	} cases[] = { { 0, 1, 0 },
		      { -1, 1, 1 },
		      { 1, 1, 2 },
		      { -64, 1, 127 },
		      { 64, 2, 0x80 },
		      { 63, 1, 126 },
		      { INT64_MIN, 10, 0xff },
		      { INT64_MAX, 10, 0xfe } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(10);

		assert_int_equal(buf_svar(&b, cases[i].v), 0);
		assert_int_equal(b.len, cases[i].n);
		assert_int_equal(b.data[0], cases[i].first);
	}
}

static void test_buf_bytes__puts_the_length_first(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_bytes(&b, "abc", 3), 0);
	assert_int_equal(buf_bytes(&b, NULL, 0), 0);
	assert_int_equal(buf_str(&b, "xy"), 0);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data,
	                    "\x03"
	                    "abc\x00xy",
	                    7);
}

static void test_buf_encoders__all_fail_at_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1);

	(void)state;
	assert_int_equal(buf_u16(&b, 1), -1);
	buf_reset(&b);
	assert_int_equal(buf_u32(&b, 1), -1);
	buf_reset(&b);
	assert_int_equal(buf_u64(&b, 1), -1);
	buf_reset(&b);
	assert_int_equal(buf_uvar(&b, 128), -1);
	buf_reset(&b);
	assert_int_equal(buf_svar(&b, 64), -1);
	buf_reset(&b);
	assert_int_equal(buf_zero(&b, 2), -1);
	buf_reset(&b);
	assert_int_equal(buf_bytes(&b, "a", 1), -1); /* the length fits, the byte does not */
	assert_int_equal(b.len, 1);
	buf_reset(&b);
	assert_int_equal(buf_bytes(&b, b.data, 200), -1);
	assert_int_equal(b.len, 0);
}

static void test_buf_printf__formats_within_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(200);
	char want[101];

	(void)state;
	memset(want, ' ', 99);
	want[99] = '7';
	want[100] = '\0';
	assert_int_equal(buf_printf(&b, "%100d", 7), 0); /* more than the first allocation */
	assert_string_equal(buf_cstr(&b), want);
	assert_int_equal(buf_printf(&b, "%s-%d", "ab", 12), 0);
	assert_string_equal(buf_cstr(&b) + 100, "ab-12");
	assert_int_equal(b.len, 105);
	assert_int_equal(buf_printf(&b, "%96s", ""), -1);
	assert_int_equal(b.len, 105);
	buf_reset(&b);
	assert_int_equal(buf_printf(&b, "%200s", ""), 0);
	assert_int_equal(b.len, 200);
}

static void test_buf_printf__sees_the_limit_below_the_memory_it_has(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(3);

	(void)state;
	assert_int_equal(buf_printf(&b, "abc"), 0); /* 4 bytes are allocated for the NUL */
	buf_reset(&b);
	assert_int_equal(buf_printf(&b, "abcd"), -1);
	assert_int_equal(b.len, 0);
}

static void test_buf_printf__a_text_that_does_not_format_fails(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_printf(&b, "%lc", (wint_t)0x7fffffff), -1); /* no such character */
	assert_true(b.failed);
	assert_int_equal(b.len, 0);
}

static void test_buf_check__says_what_is_too_big(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(2);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(buf_u8(&b, 1), 0);
	assert_int_equal(buf_check(&b, "the list", &e), 0);
	assert_int_equal(e.class, ERR_NONE);
	assert_int_equal(buf_u32(&b, 1), -1);
	assert_int_equal(buf_check(&b, "the list", &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "the list is over the limit of 2 bytes");
}

static void test_buf_steal__hands_the_bytes_over(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	size_t n = 1;

	(void)state;
	assert_null(buf_steal(&b, &n));
	assert_int_equal(n, 0);
	assert_int_equal(buf_str(&b, "abc"), 0);
	auto_free uint8_t *data = buf_steal(&b, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(data, "abc", 3);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	assert_int_equal(buf_str(&b, "again"), 0);
	buf_reset(&b);
	assert_null(buf_steal(&b, &n)); /* memory without content is freed */
	assert_null(b.data);
}

static void test_buf_clear__leaves_a_buffer_for_use(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_str(&b, "abc"), 0);
	buf_clear(&b);
	buf_clear(&b);
	assert_null(b.data);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_str(&b, "abc"), 0);
	assert_string_equal(buf_cstr(&b), "abc");
	buf_clear(&b);
}

/* Fails the next *left allocations. */
static int fail_some(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- > 0 ? 12 /* ENOMEM */ : 0;
}

static void test_buf_put__tells_memory_from_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	struct err e = ERR_INIT;
	int left = 2;

	(void)state;
	syshook_set(fail_some, &left);
	assert_int_equal(buf_put(&b, "abc", 3), -1);
	syshook_set(NULL, NULL);
	assert_int_equal(buf_check(&b, "the list", &e), -1);
	assert_int_equal(e.class, ERR_NOMEM);
	assert_string_equal(e.msg, "no memory for the list, 0 bytes so far");
	buf_reset(&b);
	assert_int_equal(buf_put(&b, "abc", 3), 0);
	assert_int_equal(buf_reserve(&b, 1000), -1);
	assert_int_equal(buf_check(&b, "the list", &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_buf_put__tries_with_less_when_memory_is_short(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	int left = 1;

	(void)state;
	syshook_set(fail_some, &left);
	assert_int_equal(buf_put(&b, "abc", 3), 0);
	syshook_set(NULL, NULL);
	assert_int_equal(b.cap, 3);
	assert_int_equal(buf_put(&b, "def", 3), 0);
	assert_string_equal(buf_cstr(&b), "abcdef");
}

static void test_buf_cstr__is_empty_without_memory(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1000);
	int left = 2;

	(void)state;
	syshook_set(fail_some, &left);
	assert_string_equal(buf_cstr(&b), "");
	syshook_set(NULL, NULL);
	assert_true(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_put__grows_and_keeps_the_bytes),
		cmocka_unit_test(test_buf_put__nothing_from_nowhere_is_fine),
		cmocka_unit_test(test_buf_put__fills_to_the_limit_and_not_beyond),
		cmocka_unit_test(test_buf_put__a_failure_sticks_until_reset),
		cmocka_unit_test(test_buf_reserve__refuses_sizes_that_overflow),
		cmocka_unit_test(test_buf_reserve__makes_room_without_content),
		cmocka_unit_test(test_buf_u__writes_little_endian),
		cmocka_unit_test(test_buf_uvar__writes_the_shortest_leb128),
		cmocka_unit_test(test_buf_svar__writes_small_numbers_of_both_signs_short),
		cmocka_unit_test(test_buf_bytes__puts_the_length_first),
		cmocka_unit_test(test_buf_encoders__all_fail_at_the_limit),
		cmocka_unit_test(test_buf_printf__formats_within_the_limit),
		cmocka_unit_test(test_buf_printf__sees_the_limit_below_the_memory_it_has),
		cmocka_unit_test(test_buf_printf__a_text_that_does_not_format_fails),
		cmocka_unit_test(test_buf_check__says_what_is_too_big),
		cmocka_unit_test(test_buf_steal__hands_the_bytes_over),
		cmocka_unit_test(test_buf_clear__leaves_a_buffer_for_use),
		cmocka_unit_test(test_buf_put__tells_memory_from_the_limit),
		cmocka_unit_test(test_buf_put__tries_with_less_when_memory_is_short),
		cmocka_unit_test(test_buf_cstr__is_empty_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
