/* SPDX-License-Identifier: Apache-2.0 */
/* The order of paths, and extended attributes as bytes. */
#include "common/source.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

static int cmp(const char *a, const char *b)
{
	return source_path_cmp(a, strlen(a), b, strlen(b));
}

static void test_source_path_cmp__is_the_order_of_a_walk(void **state)
{
	/* depth first, the names of a directory by their bytes */
	static const char *const walk[] = {
		"",
		"\x01",
		"a",
		"a/\x01",
		"a/b",
		"a/b/c",
		"a/b/d",
		"a/bb",
		"a/c",
		"a!",
		"a-",
		"a-/x",
		"a.",
		"a.b",
		"a0",
		"aa",
		"aa/a",
		"aa/aaaaaaaaaaaa",
		"aa/aaaaaaaaaaab",
		"aa/b",
		"aaa",
		"b",
		"b\x7f",
		"b\x80",
		"b\xff",
		"b\xff/a",
		"c/long/path/with/many/parts/x",
		"c/long/path/with/many/parts.x",
		"c/long/path/with/many/partsx",
		"\x80",
		"\xff",
		"\xff\xff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(walk); i++) {
		for (size_t k = 0; k < ARRAY_LEN(walk); k++) {
			int want = (i > k) - (i < k);

			if (cmp(walk[i], walk[k]) != want)
				fail_msg("'%s' and '%s'", walk[i], walk[k]);
		}
	}
}

static void test_source_path_cmp__needs_no_nul(void **state)
{
	(void)state;
	assert_int_equal(source_path_cmp("abcX", 3, "abcY", 3), 0);
	assert_int_equal(source_path_cmp("abcX", 4, "abcY", 3), 1);
	assert_int_equal(source_path_cmp("abcX", 3, "abcY", 4), -1);
}

/* The order by its definition, one byte at a time. */
static int slow_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	for (size_t i = 0; i < a_len && i < b_len; i++) {
		int ra = a[i] == '/' ? 0 : a[i] + 1;
		int rb = b[i] == '/' ? 0 : b[i] + 1;

		if (ra != rb)
			return ra < rb ? -1 : 1;
	}
	return (a_len > b_len) - (a_len < b_len);
}

static void test_source_path_cmp__agrees_with_its_definition(void **state)
{
	static const uint8_t alphabet[] = { '/', '.', '0', 'a', 0x01, 0xff, 0x80, '-' };

	(void)state;
	for (uint64_t seed = 0; seed < 20000; seed++) {
		uint8_t bytes[52];
		uint8_t *a = bytes + 2;
		uint8_t *b = bytes + 27;

		fill_random(seed, bytes, sizeof(bytes));
		size_t a_len = bytes[0] % 25;
		size_t b_len = bytes[1] % 25;
		size_t same = bytes[51] % 25;
		for (size_t i = 2; i < sizeof(bytes); i++)
			bytes[i] = alphabet[bytes[i] % sizeof(alphabet)];
		memcpy(b, a, same);
		int want = slow_cmp(a, a_len, b, b_len);
		assert_int_equal(source_path_cmp((char *)a, a_len, (char *)b, b_len), want);
		assert_int_equal(source_path_cmp((char *)b, b_len, (char *)a, a_len), -want);
	}
}

static void test_source_xattr_put__writes_lengths_and_bytes(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(SOURCE_XATTRS_MAX);

	(void)state;
	assert_int_equal(source_xattr_put(&b, "user.a", "xyz", 3), 0);
	assert_int_equal(source_xattr_put(&b, "user.b", NULL, 0), 0);
	assert_int_equal(b.len, 19);
	assert_memory_equal(b.data, "\x06user.a\x03xyz\x06user.b\x00", 19);
}

static void test_source_xattr_put__stops_at_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8);

	(void)state;
	assert_int_equal(source_xattr_put(&b, "user.name", "", 0), -1);
	assert_true(b.failed);
}

static void test_source_xattr_next__gives_them_back(void **state)
{
	static const uint8_t bytes[] = "\x06user.a\x03xyz\x06user.b\x00";
	size_t pos = 0;
	const char *name;
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
	bool bad = true;

	(void)state;
	assert_true(source_xattr_next(bytes, 19, &pos, &name, &name_len, &value, &value_len, &bad));
	assert_int_equal(name_len, 6);
	assert_memory_equal(name, "user.a", 6);
	assert_int_equal(value_len, 3);
	assert_memory_equal(value, "xyz", 3);
	assert_true(source_xattr_next(bytes, 19, &pos, &name, &name_len, &value, &value_len, &bad));
	assert_memory_equal(name, "user.b", 6);
	assert_int_equal(value_len, 0);
	assert_non_null(value);
	assert_int_equal(pos, 19);
	assert_false(
		source_xattr_next(bytes, 19, &pos, &name, &name_len, &value, &value_len, &bad));
	assert_false(bad);
	pos = 0;
	assert_false(source_xattr_next(NULL, 0, &pos, &name, &name_len, &value, &value_len, &bad));
	assert_false(bad);
}

static void test_source_xattr_next__tells_malformed_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "\x06user.a\x03xy", 10 }, /* the value is cut */
		{ "\x06user.a", 7 },        /* no value */
		{ "\x06use", 4 },           /* the name is cut */
		{ "\x00\x01x", 3 },         /* no name */
		{ "\x03"
		  "a\x00"
		  "b\x00",
		  5 },                       /* a NUL in the name */
		{ "\x86\x00user.a\x00", 9 }, /* a padded length */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t pos = 0;
		const char *name;
		size_t name_len;
		const uint8_t *value;
		size_t value_len;
		bool bad = false;

		assert_false(source_xattr_next((const uint8_t *)cases[i].bytes, cases[i].n, &pos,
		                               &name, &name_len, &value, &value_len, &bad));
		assert_true(bad);
		assert_int_equal(pos, 0);
	}
}

static void test_source_xattr_next__a_position_behind_the_end_is_bad(void **state)
{
	size_t pos = 3;
	const char *name;
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
	bool bad = false;

	(void)state;
	assert_false(source_xattr_next((const uint8_t *)"ab", 2, &pos, &name, &name_len, &value,
	                               &value_len, &bad));
	assert_true(bad);
}

static void test_entry_detail_clear__frees_and_zeroes(void **state)
{
	struct entry_detail d = { .fsflags = 16, .projid = 7 };

	(void)state;
	entry_detail_clear(&d);
	d.link = malloc(4);
	d.link_len = 4;
	d.xattrs = malloc(5);
	d.xattrs_len = 5;
	entry_detail_clear(&d);
	assert_null(d.link);
	assert_null(d.xattrs);
	assert_int_equal(d.link_len + d.xattrs_len + d.fsflags + d.projid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source_path_cmp__is_the_order_of_a_walk),
		cmocka_unit_test(test_source_path_cmp__needs_no_nul),
		cmocka_unit_test(test_source_path_cmp__agrees_with_its_definition),
		cmocka_unit_test(test_source_xattr_put__writes_lengths_and_bytes),
		cmocka_unit_test(test_source_xattr_put__stops_at_the_limit),
		cmocka_unit_test(test_source_xattr_next__gives_them_back),
		cmocka_unit_test(test_source_xattr_next__tells_malformed_bytes),
		cmocka_unit_test(test_source_xattr_next__a_position_behind_the_end_is_bad),
		cmocka_unit_test(test_entry_detail_clear__frees_and_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
