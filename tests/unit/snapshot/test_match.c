/* SPDX-License-Identifier: Apache-2.0 */
/* Exclude patterns against paths. */
#include "snapshot/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct match *one(const char *pattern)
{
	struct err e = ERR_INIT;
	struct match *m = match_new(&pattern, 1, &e);

	if (!m)
		fail_msg("%s", e.msg);
	return m;
}

static void test_match_path__each_form_of_pattern_fits_what_it_says(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool is_dir, out;
	} cases[] = {
		{ "*.o", "a.o", false, true },
		{ "*.o", "deep/down/a.o", false, true },
		{ "*.o", "a.oo", false, false },
		{ "tmp", "tmp", true, true },
		{ "tmp", "a/tmp", false, true },
		{ "tmp", "a/tmp2", false, false },
		{ "tmp/", "a/tmp", true, true },
		{ "tmp/", "a/tmp", false, false },
		{ "/tmp", "tmp", true, true },
		{ "/tmp", "a/tmp", true, false },
		{ "a/tmp", "a/tmp", false, true },
		{ "a/tmp", "b/a/tmp", false, false },
		{ "a/*/c", "a/b/c", false, true },
		{ "a/*/c", "a/b/b/c", false, false },
		{ "a/**/c", "a/c", false, true },
		{ "a/**/c", "a/b/b/c", false, true },
		{ "a/**/c", "a/b/b/d", false, false },
		{ "**/c/d", "c/d", false, true },
		{ "**/c/d", "x/y/c/d", false, true },
		{ "**/c/d", "x/c/y/d", false, false },
		{ "a/**", "a", true, false },
		{ "a/**", "a/b", true, true },
		{ "a/**", "a/b/c", false, true },
		{ "a/**", "ab/c", false, false },
		{ "**/b/**/d/**/f", "b/b/d/x/d/y/f", false, true },
		{ "**/b/**/d/**/f", "b/x/d/y/g", false, false },
		{ "[ab]?.log", "x/b7.log", false, true },
		{ "[ab]?.log", "x/c7.log", false, false },
		{ ".*", ".hidden", false, true },
		{ "*", ".hidden", false, true },
		{ "a\\*b", "a*b", false, true },
		{ "a\\*b", "axb", false, false },
		{ "\\!odd", "!odd", false, true },
		{ "new\nline", "x/new\nline", false, true },
		{ "*\xff", "caf\xff", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct match *m = one(cases[i].pattern);

		if (match_path(m, cases[i].path, cases[i].is_dir) != cases[i].out)
			fail_msg("'%s' on '%s'%s: expected %s", cases[i].pattern, cases[i].path,
			         cases[i].is_dir ? " (directory)" : "",
			         cases[i].out ? "out" : "in");
		match_free(m);
	}
}

static void test_match_path__the_last_pattern_that_fits_decides(void **state)
{
	static const char *const patterns[] = { "*.log", "!keep.log", "/old/keep.log" };
	struct err e = ERR_INIT;
	struct match *m = match_new(patterns, ARRAY_LEN(patterns), &e);

	(void)state;
	assert_non_null(m);
	assert_true(match_path(m, "x/a.log", false));
	assert_false(match_path(m, "x/keep.log", false));
	assert_true(match_path(m, "old/keep.log", false));
	assert_false(match_path(m, "x/a.txt", false));
	match_free(m);
}

static void test_match_path__without_patterns_everything_stays(void **state)
{
	struct err e = ERR_INIT;
	struct match *m = match_new(NULL, 0, &e);

	(void)state;
	assert_non_null(m);
	assert_false(match_path(m, "a", true));
	match_free(m);
	match_free(NULL);
}

/* A name has at most 255 bytes; what is longer comes from no file system and fits nothing. */
static void test_match_path__a_part_over_255_bytes_fits_nothing(void **state)
{
	char name[257 + 1];
	struct match *m = one("*");

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(match_path(m, name, false));
	name[255] = '\0';
	assert_true(match_path(m, name, false));
	match_free(m);
}

/* Every `**` could be gone back to in a naive matcher: 2^20 ways. */
static void test_match_path__many_double_stars_stay_cheap(void **state)
{
	char path[2000 * 2 + 2] = "";
	char pattern[20 * 5 + 2] = "";

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		memcpy(path + 2 * i, "a/", 2);
	memcpy(path + 4000, "b", 2);
	for (size_t i = 0; i < 20; i++)
		memcpy(pattern + 5 * i, "**/a/", 5);
	memcpy(pattern + 100, "c", 2);
	struct match *m = one(pattern);
	assert_false(match_path(m, path, false));
	pattern[100] = 'b';
	struct match *b = one(pattern);
	assert_true(match_path(b, path, false));
	match_free(b);
	match_free(m);
}

static void test_match_new__refuses_patterns_without_sense(void **state)
{
	static const char *const bad[] = { "", "!", "/", "!/", "a//b", "./a", "a/../b", "//" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *patterns[] = { "fine", bad[i] };
		struct err e = ERR_INIT;

		assert_null(match_new(patterns, 2, &e));
		assert_int_equal(e.class, ERR_INVALID);
		assert_non_null(strstr(e.msg, "the pattern '"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_path__each_form_of_pattern_fits_what_it_says),
		cmocka_unit_test(test_match_path__the_last_pattern_that_fits_decides),
		cmocka_unit_test(test_match_path__without_patterns_everything_stays),
		cmocka_unit_test(test_match_path__a_part_over_255_bytes_fits_nothing),
		cmocka_unit_test(test_match_path__many_double_stars_stay_cheap),
		cmocka_unit_test(test_match_new__refuses_patterns_without_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
