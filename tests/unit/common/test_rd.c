/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded cursor: exact values, and every way in which bytes can run out. */
#include "common/rd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"

static void test_rd_u__reads_little_endian(void **state)
{
	static const uint8_t bytes[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x84, 0x0f,
		                         0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0xf8 };
	struct rd r = rd_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x84050607);
	assert_false(rd_done(&r));
	assert_int_equal(rd_left(&r), 8);
	assert_true(rd_u64(&r) == 0xf8090a0b0c0d0e0f);
	assert_true(rd_ok(&r));
	assert_true(rd_done(&r));
	assert_int_equal(rd_left(&r), 0);
}

static void test_rd_u__a_read_past_the_end_sticks(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	struct rd r = rd_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(rd_u32(&r), 0);
	assert_false(rd_ok(&r));
	assert_int_equal(rd_u8(&r), 0); /* there is a byte, but nothing is read any more */
	assert_int_equal(rd_left(&r), 0);
	assert_false(rd_done(&r));
}

static void test_rd_u64__needs_all_eight_bytes(void **state)
{
	static const uint8_t bytes[] = { 1, 0, 0, 0, 0, 0, 0 };
	struct rd r = rd_of(bytes, sizeof(bytes));

	(void)state;
	(void)rd_u64(&r);
	assert_false(rd_ok(&r));
}

static void test_rd_take__nothing_is_there_even_at_the_end(void **state)
{
	struct rd r = rd_of("ab", 2);

	(void)state;
	assert_memory_equal(rd_take(&r, 2), "ab", 2);
	assert_non_null(rd_take(&r, 0));
	assert_true(rd_done(&r));
	assert_null(rd_take(&r, SIZE_MAX));
	assert_false(rd_ok(&r));
}

static void test_rd_copy__zeroes_what_is_not_there(void **state)
{
	struct rd r = rd_of("abc", 3);
	char two[2];

	(void)state;
	rd_copy(&r, two, 2);
	assert_memory_equal(two, "ab", 2);
	rd_copy(&r, two, 2);
	assert_memory_equal(two, "\0\0", 2);
	assert_false(rd_ok(&r));
}

static void test_rd_uvar__reads_what_buf_uvar_writes(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10000);

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int around = -1; around <= 1; around++) {
			uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)around;

			buf_reset(&b);
			assert_int_equal(buf_uvar(&b, v), 0);
			assert_int_equal(buf_svar(&b, (int64_t)v), 0);
			struct rd r = rd_of(b.data, b.len);
			assert_true(rd_uvar(&r) == v);
			assert_true(rd_svar(&r) == (int64_t)v);
			assert_true(rd_done(&r));
		}
	}
}

static void test_rd_uvar__refuses_padded_long_and_cut_forms(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "\x80\x00", 2 },                                      /* 0 in two bytes */
		{ "\xff\x80\x00", 3 },                                  /* 127 in three */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },     /* 65 bits */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11 }, /* 11 bytes */
		{ "\x80", 1 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rd r = rd_of(cases[i].bytes, cases[i].n);

		assert_int_equal(rd_uvar(&r), 0);
		assert_false(rd_ok(&r));
	}
}

static void test_rd_bytes__keeps_to_its_limit(void **state)
{
	struct rd r = rd_of("\x03"
	                    "abc\x00\x04"
	                    "abcd",
	                    10);
	size_t n;

	(void)state;
	assert_memory_equal(rd_bytes(&r, 3, &n), "abc", 3);
	assert_int_equal(n, 3);
	assert_non_null(rd_bytes(&r, 3, &n));
	assert_int_equal(n, 0);
	assert_null(rd_bytes(&r, 3, &n));
	assert_int_equal(n, 0);
	assert_false(rd_ok(&r));
}

static void test_rd_bytes__more_than_there_is_fails(void **state)
{
	struct rd r = rd_of("\x05"
	                    "abc",
	                    4);
	size_t n = 1;

	(void)state;
	assert_null(rd_bytes(&r, 100, &n));
	assert_int_equal(n, 0);
	assert_false(rd_ok(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rd_u__reads_little_endian),
		cmocka_unit_test(test_rd_u__a_read_past_the_end_sticks),
		cmocka_unit_test(test_rd_u64__needs_all_eight_bytes),
		cmocka_unit_test(test_rd_take__nothing_is_there_even_at_the_end),
		cmocka_unit_test(test_rd_copy__zeroes_what_is_not_there),
		cmocka_unit_test(test_rd_uvar__reads_what_buf_uvar_writes),
		cmocka_unit_test(test_rd_uvar__refuses_padded_long_and_cut_forms),
		cmocka_unit_test(test_rd_bytes__keeps_to_its_limit),
		cmocka_unit_test(test_rd_bytes__more_than_there_is_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
