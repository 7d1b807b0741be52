/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-64/NVME: known values, and that both ways of computing it agree whatever the pieces are. */
#include "common/crc64.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clean.h"

static uint8_t bytes[4096 + 64];

/* Some bytes of no pattern. */
static void fill(void)
{
	uint64_t v = 88172645463325252U;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		v ^= v << 13;
		v ^= v >> 7;
		v ^= v << 17;
		bytes[i] = (uint8_t)(v >> 32);
	}
}

/* The definition, bit by bit. */
static uint64_t by_definition(const uint8_t *p, size_t n)
{
	uint64_t v = UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		v ^= p[i];
		for (unsigned bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? UINT64_C(0x9a6c9329ac4bc9b5) : 0);
	}
	return ~v;
}

static void test_crc64_update__gives_the_published_values(void **state)
{
	static const uint8_t zeros[4096];
	uint8_t ones[4096];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_true(crc64_update(CRC64_INIT, "", 0) == 0);
	assert_true(crc64_update(CRC64_INIT, "123456789", 9) == UINT64_C(0xae8b14860a799888));
	/* those of the NVM Command Set Specification, 5.2.1.3.4 */
	assert_true(crc64_update(CRC64_INIT, zeros, 4096) == UINT64_C(0x6482d367eb22b64e));
	assert_true(crc64_update(CRC64_INIT, ones, 4096) == UINT64_C(0xc0ddba7302eca3ac));
}

static void test_crc64_update__is_the_definition_at_every_length(void **state)
{
	(void)state;
	fill();
	for (size_t n = 0; n < 700; n++) {
		uint64_t want = by_definition(bytes + n % 16, n);

		assert_true(crc64_update(CRC64_INIT, bytes + n % 16, n) == want);
		assert_true(crc64_by_tables(CRC64_INIT, bytes + n % 16, n) == want);
	}
	assert_true(crc64_update(CRC64_INIT, bytes, 4096) == by_definition(bytes, 4096));
}

static void test_crc64_update__goes_on_over_pieces(void **state)
{
	(void)state;
	fill();
	uint64_t want = by_definition(bytes, 4096);
	for (size_t piece = 1; piece < 4096; piece += 1 + piece / 7) {
		uint64_t crc = CRC64_INIT;
		uint64_t same = CRC64_INIT;

		for (size_t at = 0; at < 4096; at += piece) {
			size_t n = 4096 - at < piece ? 4096 - at : piece;

			crc = crc64_update(crc, bytes + at, n);
			same = crc64_by_tables(same, bytes + at, n);
		}
		assert_true(crc == want);
		assert_true(same == want);
	}
}

static void test_crc64_update__sees_every_bit(void **state)
{
	(void)state;
	fill();
	uint64_t whole = crc64_update(CRC64_INIT, bytes, 300);
	for (size_t bit = 0; bit < 300 * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_true(crc64_update(CRC64_INIT, bytes, 300) != whole);
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void test_crc64_little__and_big_are_base64_of_its_bytes(void **state)
{
	uint64_t crc = UINT64_C(0xae8b14860a799888);

	(void)state;
	assert_string_equal(crc64_big(crc).s, "rosUhgp5mIg=");
	assert_string_equal(crc64_little(crc).s, "iJh5CoYUi64=");
	assert_string_equal(crc64_big(0).s, "AAAAAAAAAAA=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc64_update__gives_the_published_values),
		cmocka_unit_test(test_crc64_update__is_the_definition_at_every_length),
		cmocka_unit_test(test_crc64_update__goes_on_over_pieces),
		cmocka_unit_test(test_crc64_update__sees_every_bit),
		cmocka_unit_test(test_crc64_little__and_big_are_base64_of_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
