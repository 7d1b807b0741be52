/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: classes, texts that do not fit, and what a program makes of them. */
#include "common/err.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_err_set__takes_class_and_text(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ERR_QUOTA, "pack %d of %s", 7, "x"), -1);
	assert_int_equal(e.class, ERR_QUOTA);
	assert_int_equal(e.os, 0);
	assert_string_equal(e.msg, "pack 7 of x");
}

static void test_err_set__may_use_its_own_message(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_IO, "first");
	err_set(&e, ERR_CORRUPT, "not %s", e.msg);
	assert_string_equal(e.msg, "not first");
}

static void test_err_set__cuts_a_long_text_with_dots(void **state)
{
	struct err e = ERR_INIT;
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_IO, "%s", text);
	size_t n = strlen(e.msg);
	assert_true(n < ERR_MSG_MAX && n > ERR_MSG_MAX - 8);
	assert_string_equal(e.msg + n - 4, "a...");
}

static void test_err_set__a_cut_leaves_no_half_character(void **state)
{
	/* 3-byte characters: whatever the limit, the cut falls inside of one for some start */
	for (size_t start = 0; start < 3; start++) {
		struct err e = ERR_INIT;
		char text[1400];
		size_t n = start;

		memset(text, 'a', start);
		while (n + 3 < sizeof(text)) {
			memcpy(text + n, "\xe2\x82\xac", 3);
			n += 3;
		}
		text[n] = '\0';
		(void)state;
		err_set(&e, ERR_IO, "%s", text);
		n = strlen(e.msg);
		assert_string_equal(e.msg + n - 3, "...");
		assert_memory_equal(e.msg + n - 6, "\xe2\x82\xac", 3);
	}
}

static void test_err_set__writes_control_and_broken_bytes_as_text(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_IO, "'%s'", "a\nb\x1b[31m\x7f\xff\xc3\xa9");
	assert_string_equal(e.msg, "'a\\x0ab\\x1b[31m\\x7f\\xff\xc3\xa9'");
}

static void test_err_set__a_text_that_does_not_format_is_empty(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_IO, "%lc", (wint_t)0x7fffffff); /* no such character */
	assert_string_equal(e.msg, "");
	assert_int_equal(e.class, ERR_IO);
}

static void test_err_set__an_escape_is_cut_whole_or_not_at_all(void **state)
{
	(void)state;
	for (size_t start = 0; start < 4; start++) {
		struct err e = ERR_INIT;
		char text[1000];

		memset(text, 'a', sizeof(text));
		memset(text + start, '\x01', 500);
		text[start + 500] = '\0';
		err_set(&e, ERR_IO, "%s", text);
		size_t n = strlen(e.msg);
		assert_true(n < ERR_MSG_MAX && n > ERR_MSG_MAX - 12);
		assert_string_equal(e.msg + n - 3, "...");
	}
}

static void test_err_sys__adds_the_cause_and_its_class(void **state)
{
	static const struct {
		int os;
		enum err_class class;
	} cases[] = {
		{ ENOENT, ERR_NOT_FOUND },
		{ EEXIST, ERR_EXISTS },
		{ EACCES, ERR_DENIED },
		{ EPERM, ERR_DENIED },
		{ EROFS, ERR_DENIED },
		{ ENOSPC, ERR_QUOTA },
		{ EDQUOT, ERR_QUOTA },
		{ ENOMEM, ERR_NOMEM },
		{ EBUSY, ERR_BUSY },
		{ EINTR, ERR_CANCELLED },
		{ ECANCELED, ERR_CANCELLED },
		{ EOPNOTSUPP, ERR_UNSUPPORTED },
		{ ENOSYS, ERR_UNSUPPORTED },
		{ E2BIG, ERR_TOO_BIG },
		{ EFBIG, ERR_TOO_BIG },
		{ ENAMETOOLONG, ERR_TOO_BIG },
		{ EIO, ERR_IO },
		{ EBADF, ERR_IO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(err_sys(&e, cases[i].os, "opening '%s'", "f"), -1);
		assert_int_equal(e.class, cases[i].class);
		assert_int_equal(e.os, cases[i].os);
		assert_memory_equal(e.msg, "opening 'f': ", 13);
	}
}

static void test_err_sys__names_a_known_and_an_unknown_number(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_sys(&e, ENOSPC, "writing '%s'", "f");
	assert_string_equal(e.msg, "writing 'f': No space left on device");
	err_sys(&e, 4242, "writing '%s'", "f");
	assert_string_equal(e.msg, "writing 'f': error 4242");
}

static void test_err_sys__keeps_the_cause_of_a_long_text(void **state)
{
	struct err e = ERR_INIT;
	char name[1500];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	err_sys(&e, ENOENT, "opening '%s'", name);
	size_t n = strlen(e.msg);
	assert_true(n < ERR_MSG_MAX);
	assert_string_equal(e.msg + n - 31, "n...: No such file or directory");
}

static void test_err_wrap__puts_the_text_first(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_sys(&e, EACCES, "opening '%s'", "k");
	assert_int_equal(err_wrap(&e, "pack '%s'", "p"), -1);
	assert_int_equal(err_wrap(&e, "backing up '%s'", "v"), -1);
	assert_string_equal(e.msg, "backing up 'v': pack 'p': opening 'k': Permission denied");
	assert_int_equal(e.class, ERR_DENIED);
	assert_int_equal(e.os, EACCES);
}

static void test_err_wrap__shortens_itself_and_never_the_cause(void **state)
{
	struct err e = ERR_INIT;
	char text[1000];
	char cause[601];

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memset(cause, 'c', 600);
	cause[600] = '\0';
	err_set(&e, ERR_IO, "%s", cause);
	err_wrap(&e, "%s", text);
	size_t n = strlen(e.msg);
	assert_true(n < ERR_MSG_MAX);
	assert_memory_equal(e.msg + n - 606, "t...: ", 6);
	assert_string_equal(e.msg + n - 600, cause);
	/* no room at all: nothing changes, however often it is wrapped */
	for (int i = 0; i < 100; i++)
		err_wrap(&e, "layer %d", i);
	assert_string_equal(e.msg + strlen(e.msg) - 600, cause);
	assert_true(strlen(e.msg) < ERR_MSG_MAX);
}

static void test_err_exit_status__follows_from_the_class(void **state)
{
	static const int want[ERR_CLASSES] = {
		[ERR_NONE] = 0,    [ERR_NOT_FOUND] = 4, [ERR_EXISTS] = 1,      [ERR_CORRUPT] = 5,
		[ERR_FORMAT] = 5,  [ERR_DENIED] = 1,    [ERR_RETRY] = 1,       [ERR_QUOTA] = 1,
		[ERR_BUSY] = 6,    [ERR_INVALID] = 2,   [ERR_UNSUPPORTED] = 1, [ERR_NOMEM] = 1,
		[ERR_TOO_BIG] = 1, [ERR_IO] = 1,        [ERR_CANCELLED] = 130, [ERR_PARTIAL] = 3,
		[ERR_BUG] = 1,
	};

	(void)state;
	for (int i = 0; i < ERR_CLASSES; i++) {
		struct err e = { .class = (enum err_class)i };

		assert_int_equal(err_exit_status(&e), want[i]);
	}
	struct err broken = { .class = (enum err_class)99 };
	assert_int_equal(err_exit_status(&broken), 1);
	assert_false(err_may_retry(&broken));
}

static void test_err_class_name__is_a_stable_word(void **state)
{
	(void)state;
	assert_string_equal(err_class_name(ERR_NONE), "none");
	assert_string_equal(err_class_name(ERR_NOT_FOUND), "not_found");
	assert_string_equal(err_class_name(ERR_TOO_BIG), "too_big");
	assert_string_equal(err_class_name(ERR_BUG), "bug");
	assert_string_equal(err_class_name((enum err_class)99), "bug");
	/* every class has a name of its own */
	for (int i = 0; i < ERR_CLASSES; i++) {
		for (int k = 0; k < i; k++)
			assert_string_not_equal(err_class_name((enum err_class)i),
			                        err_class_name((enum err_class)k));
	}
}

static void test_err_may_retry__only_for_the_retry_class(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_CLASSES; i++) {
		struct err e = { .class = (enum err_class)i };

		assert_int_equal(err_may_retry(&e), i == ERR_RETRY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_set__takes_class_and_text),
		cmocka_unit_test(test_err_set__may_use_its_own_message),
		cmocka_unit_test(test_err_set__cuts_a_long_text_with_dots),
		cmocka_unit_test(test_err_set__a_cut_leaves_no_half_character),
		cmocka_unit_test(test_err_set__writes_control_and_broken_bytes_as_text),
		cmocka_unit_test(test_err_set__a_text_that_does_not_format_is_empty),
		cmocka_unit_test(test_err_set__an_escape_is_cut_whole_or_not_at_all),
		cmocka_unit_test(test_err_sys__adds_the_cause_and_its_class),
		cmocka_unit_test(test_err_sys__names_a_known_and_an_unknown_number),
		cmocka_unit_test(test_err_sys__keeps_the_cause_of_a_long_text),
		cmocka_unit_test(test_err_wrap__puts_the_text_first),
		cmocka_unit_test(test_err_wrap__shortens_itself_and_never_the_cause),
		cmocka_unit_test(test_err_exit_status__follows_from_the_class),
		cmocka_unit_test(test_err_class_name__is_a_stable_word),
		cmocka_unit_test(test_err_may_retry__only_for_the_retry_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
