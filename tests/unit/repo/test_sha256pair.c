/* SPDX-License-Identifier: Apache-2.0 */
/* Two messages at once give what libcrypto gives for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <string.h>

#include "repo/crypt.h"
#include "repo/sha256pair.h"
#include "tests/harness/harness.h"

/* FIPS 180-4, 5.3.3 */
static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

/* Padding of a message of n blocks: 5.1.1. */
static void padding(uint8_t ret[64], size_t n)
{
	uint64_t bits = htobe64((uint64_t)n * 512);

	memset(ret, 0, 64);
	ret[0] = 0x80;
	memcpy(ret + 56, &bits, sizeof(bits));
}

static void assert_sum(const uint32_t words[8], const uint8_t *message, size_t n)
{
	uint8_t want[32];

	crypt_sha256(want, message, n);
	for (size_t i = 0; i < 8; i++) {
		uint32_t v = htobe32(words[i]);

		assert_memory_equal(&v, want + 4 * i, 4);
	}
}

static void test_sha256pair_blocks__any_number_of_blocks(void **state)
{
	auto_free uint8_t *bytes = malloc(2 * 100 * 64 + 2);

	(void)state;
	if (!sha256pair_supported())
		skip();
	assert_non_null(bytes);
	for (size_t n = 0; n <= 100; n++) {
		uint8_t *a = bytes + 1; /* not aligned */
		uint8_t *b = bytes + 2 + n * 64;
		uint32_t words_a[8];
		uint32_t words_b[8];
		uint8_t end[64];

		fill_random(n, bytes, 2 * 100 * 64 + 2);
		memcpy(words_a, start, sizeof(start));
		memcpy(words_b, start, sizeof(start));
		padding(end, n);
		sha256pair_blocks(words_a, a, words_b, b, n);
		sha256pair_blocks(words_a, end, words_b, end, 1);
		assert_sum(words_a, a, n * 64);
		assert_sum(words_b, b, n * 64);
	}
}

static void test_sha256pair_blocks__no_block_changes_nothing(void **state)
{
	uint32_t a[8];
	uint32_t b[8];
	const uint8_t none[1] = { 0 };

	(void)state;
	if (!sha256pair_supported())
		skip();
	memcpy(a, start, sizeof(a));
	for (size_t i = 0; i < 8; i++)
		b[i] = start[7 - i];
	sha256pair_blocks(a, none, b, none, 0);
	assert_memory_equal(a, start, sizeof(a));
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(b[i], start[7 - i]);
}

static void test_sha256pair_blocks__messages_do_not_touch_each_other(void **state)
{
	uint8_t same[128];
	uint8_t other[128];
	uint32_t a[8];
	uint32_t b[8];
	uint32_t c[8];
	uint32_t d[8];

	(void)state;
	if (!sha256pair_supported())
		skip();
	fill_random(1, same, sizeof(same));
	fill_random(2, other, sizeof(other));
	memcpy(a, start, sizeof(a));
	memcpy(b, start, sizeof(b));
	memcpy(c, start, sizeof(c));
	memcpy(d, start, sizeof(d));
	sha256pair_blocks(a, same, b, same, 2);
	assert_memory_equal(a, b, sizeof(a));
	sha256pair_blocks(c, other, d, same, 2);
	assert_memory_equal(d, a, sizeof(a));
	assert_memory_not_equal(c, a, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256pair_blocks__any_number_of_blocks),
		cmocka_unit_test(test_sha256pair_blocks__no_block_changes_nothing),
		cmocka_unit_test(test_sha256pair_blocks__messages_do_not_touch_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
