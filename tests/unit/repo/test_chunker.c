/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts: bounds, stability under insertion, the same whatever the pieces it is fed in. */
#include "repo/chunker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clean.h"
#include "tests/harness/harness.h"

static const uint8_t key[32] = { 1, 2, 3 };

static struct chunker small(void)
{
	struct chunker c;

	chunker_init(&c, key, 2048, 8192, 32768);
	return c;
}

/* All cuts of n bytes, fed in steps of `step`; returns how many. */
static size_t cuts(const struct chunker *c, const uint8_t *p, size_t n, size_t step, size_t *ret,
                   size_t max)
{
	size_t start = 0, count = 0;

	while (start < n) {
		size_t scanned = 0, have = 0, cut = 0;
		uint64_t hash = 0;

		while (!cut && have < n - start) {
			have = have + step < n - start ? have + step : n - start;
			cut = chunker_cut(c, p + start, have, &scanned, &hash);
		}
		if (!cut)
			cut = n - start;
		start += cut;
		assert_true(count < max);
		ret[count++] = start;
	}
	return count;
}

static void test_chunker_cut__keeps_the_bounds(void **state)
{
	struct chunker c = small();
	auto_free uint8_t *p = malloc(MIB);
	size_t at[1024], n, before = 0;

	(void)state;
	fill_random(7, p, MIB);
	n = cuts(&c, p, MIB, MIB, at, ARRAY_LEN(at));
	for (size_t i = 0; i < n; before = at[i++]) {
		assert_true(at[i] - before <= 32768);
		if (i + 1 < n)
			assert_true(at[i] - before >= 2048);
	}
	/* Around the average: 1 MiB in chunks of 8 KiB and something. */
	assert_in_range(n, 70, 180);
}

static void test_chunker_cut__does_not_depend_on_the_pieces(void **state)
{
	struct chunker c = small();
	auto_free uint8_t *p = malloc(MIB);
	size_t a[1024], b[1024];

	(void)state;
	fill_random(8, p, MIB);
	size_t n = cuts(&c, p, MIB, MIB, a, ARRAY_LEN(a));
	static const size_t steps[] = { 1000, 2048, 4096, 10007, 65536 };
	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		assert_int_equal(cuts(&c, p, MIB, steps[s], b, ARRAY_LEN(b)), n);
		assert_memory_equal(a, b, n * sizeof(a[0]));
	}
}

static void test_chunker_cut__finds_its_feet_after_an_insertion(void **state)
{
	struct chunker c = small();
	auto_free uint8_t *p = malloc(MIB + 100);
	size_t a[1024], b[1024], same = 0;

	(void)state;
	fill_random(9, p, MIB);
	size_t n = cuts(&c, p, MIB, MIB, a, ARRAY_LEN(a));
	memmove(p + 300100, p + 300000, MIB - 300000);
	size_t m = cuts(&c, p, MIB + 100, MIB, b, ARRAY_LEN(b));
	for (size_t i = 0, k = 0; i < n && k < m;) {
		size_t x = a[i] > 300000 ? a[i] + 100 : a[i];

		same += x == b[k];
		if (x <= b[k])
			i++;
		else
			k++;
	}
	assert_true(same + 6 >= n);
}

static void test_chunker_cut__another_key_cuts_elsewhere(void **state)
{
	static const uint8_t other[32] = { 9 };
	struct chunker c = small(), d;
	auto_free uint8_t *p = malloc(MIB);
	size_t a[1024], b[1024], same = 0;

	(void)state;
	chunker_init(&d, other, 2048, 8192, 32768);
	fill_random(10, p, MIB);
	size_t n = cuts(&c, p, MIB, MIB, a, ARRAY_LEN(a));
	size_t m = cuts(&d, p, MIB, MIB, b, ARRAY_LEN(b));
	for (size_t i = 0; i + 1 < n; i++)
		for (size_t k = 0; k + 1 < m; k++)
			same += a[i] == b[k];
	assert_true(same < 5);
}

static void test_chunker_cut__zeros_give_the_longest_chunks(void **state)
{
	struct chunker c = small();
	auto_free uint8_t *p = calloc(1, MIB);
	size_t a[1024];

	(void)state;
	/* A run of one byte has one hash; whether it cuts is decided once. */
	size_t n = cuts(&c, p, MIB, MIB, a, ARRAY_LEN(a));
	assert_true(n == MIB / 32768 || n == MIB / 2048);
}

static void test_chunker_mark__is_of_the_first_64_bytes(void **state)
{
	struct chunker c = small();
	uint8_t p[128];

	(void)state;
	fill_random(11, p, sizeof(p));
	uint32_t mark = chunker_mark(&c, p, sizeof(p));
	p[64] ^= 1;
	assert_int_equal(chunker_mark(&c, p, sizeof(p)), mark);
	p[63] ^= 1;
	p[0] ^= 1;
	assert_int_not_equal(chunker_mark(&c, p, sizeof(p)), mark);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunker_cut__keeps_the_bounds),
		cmocka_unit_test(test_chunker_cut__does_not_depend_on_the_pieces),
		cmocka_unit_test(test_chunker_cut__finds_its_feet_after_an_insertion),
		cmocka_unit_test(test_chunker_cut__another_key_cuts_elsewhere),
		cmocka_unit_test(test_chunker_cut__zeros_give_the_longest_chunks),
		cmocka_unit_test(test_chunker_mark__is_of_the_first_64_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
