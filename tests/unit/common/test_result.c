/* SPDX-License-Identifier: Apache-2.0 */
/* Why a process failed goes to another one and comes back, whatever is in it. */
#include "common/result.h"

#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

/* The object of a text; the caller decrefs. */
static json_t *object(const char *text)
{
	struct err e = ERR_INIT;
	json_t *o = json_parse("a result", text, strlen(text), &e);

	if (!o)
		fail_msg("%s", e.msg);
	return o;
}

static void test_result_put_why__comes_back(void **state)
{
	auto_json json_t *o = json_object();
	struct err why = ERR_INIT, back = ERR_INIT, e = ERR_INIT;

	(void)state;
	(void)err_set(&why, ERR_QUOTA, "writing '%s': no space", "a\nb");
	assert_int_equal(result_put_why(o, &why, &e), 0);
	assert_true(result_says_why(o, &back));
	assert_int_equal(back.class, ERR_QUOTA);
	assert_string_equal(back.msg, "writing 'a\\x0ab': no space");
}

static void test_result_put_why__takes_half_at_most(void **state)
{
	auto_json json_t *o = json_object();
	struct err why = ERR_INIT, e = ERR_INIT;
	char text[ERR_MSG_MAX];

	(void)state;
	memset(text, '\1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&why, ERR_IO, "%s", text);
	assert_int_equal(result_put_why(o, &why, &e), 0);
	assert_true(json_dumpb(o, NULL, 0, JSON_COMPACT) <= RESULT_MAX / 2);
}

static void test_result_says_why__is_of_one_line(void **state)
{
	auto_json json_t *odd = object("{\"class\": \"io\", \"error\": \"a\\nb\\u0007\"}");
	auto_json json_t *empty = object("{\"class\": \"io\", \"error\": \"\"}");
	struct err why = ERR_INIT;

	(void)state;
	assert_true(result_says_why(odd, &why));
	assert_string_equal(why.msg, "a\\x0ab\\x07");
	assert_true(result_says_why(empty, &why));
	assert_string_equal(why.msg, "no reason is told");
}

static void test_result_says_why__an_unknown_class_is_told(void **state)
{
	auto_json json_t *o = object("{\"class\": \"odd\", \"error\": \"x\"}");
	auto_json json_t *none = object("{\"class\": \"none\", \"error\": \"x\"}");
	struct err why = ERR_INIT;

	(void)state;
	assert_true(result_says_why(o, &why));
	assert_int_equal(why.class, ERR_FORMAT);
	assert_true(result_says_why(none, &why));
	assert_int_equal(why.class, ERR_FORMAT);
}

static void test_result_says_why__a_success_does_not(void **state)
{
	auto_json json_t *o = object("{\"class\": 1, \"error\": \"x\"}");
	auto_json json_t *list = object("[]");
	struct err why = ERR_INIT;

	(void)state;
	assert_false(result_says_why(o, &why));
	assert_false(result_says_why(list, &why));
	assert_false(result_says_why(NULL, &why));
	assert_int_equal(why.class, ERR_NONE);
}

static void test_result_save__the_file_stays_the_same_one(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "result");
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct stat before, after;
	struct err e = ERR_INIT;

	(void)state;
	(void)buf_str(&b, "{\"long\":1}");
	assert_int_equal(result_save(path, &b, &e), 0);
	assert_int_equal(stat(path, &before), 0);
	buf_reset(&b);
	(void)buf_str(&b, "{}");
	assert_int_equal(result_save(path, &b, &e), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	auto_free char *text = read_file(dir, "result", NULL);
	assert_string_equal(text, "{}");
}

static void test_result_save__a_path_that_cannot_be_written_is_told(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(result_save("/nowhere/result", &b, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "telling the result to '/nowhere/result'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_result_put_why__comes_back),
		cmocka_unit_test(test_result_put_why__takes_half_at_most),
		cmocka_unit_test(test_result_says_why__is_of_one_line),
		cmocka_unit_test(test_result_says_why__an_unknown_class_is_told),
		cmocka_unit_test(test_result_says_why__a_success_does_not),
		cmocka_unit_test(test_result_save__the_file_stays_the_same_one),
		cmocka_unit_test(test_result_save__a_path_that_cannot_be_written_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
