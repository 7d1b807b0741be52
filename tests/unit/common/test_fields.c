/* SPDX-License-Identifier: Apache-2.0 */
/* Members of documents: each kind of mistake by its path. test_policy.c has many more. */
#include "common/fields.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"

static const char document[] = "{t: text, long: abcdef, ctl: \"a\\tb\", n: 5, b: true, d: 90m,\n"
			       " l: [x, y], twice: [x, x], null2: null, o: {in: 1}}";
static const char *const known[] = { "t", "long",  "ctl",   "n", "b", "d",
	                             "l", "twice", "null2", "o", NULL };

static json_t *parsed(void)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("test", document, strlen(document), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void test_fields_of__gives_values(void **state)
{
	static const char *const names[] = { "no", "text", NULL };
	auto_json json_t *j = parsed();
	struct err e = ERR_INIT;
	struct fields f, in;
	const char *t = NULL;
	int64_t n = 0, d = 0;
	bool b = false;
	unsigned choice = 9;
	struct fields_texts l = { .n = 0 };

	(void)state;
	assert_int_equal(fields_of(&f, j, "", known, &e), 0);
	assert_int_equal(fields_text(&f, "t", 1, 4, &t, &e), 0);
	assert_string_equal(t, "text");
	assert_int_equal(fields_number(&f, "n", 5, 5, &n, &e), 0);
	assert_int_equal(n, 5);
	assert_int_equal(fields_bool(&f, "b", &b, &e), 0);
	assert_true(b);
	assert_int_equal(fields_duration(&f, "d", 0, 5400, &d, &e), 0);
	assert_int_equal(d, 5400);
	assert_int_equal(fields_choice(&f, "t", names, &choice, &e), 0);
	assert_int_equal(choice, 1);
	assert_int_equal(fields_texts(&f, "l", 2, 1, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[1], "y");
	free(l.v);
	assert_true(fields_has(&f, "o") && !fields_has(&f, "null2") && !fields_has(&f, "none"));
	/* what is missing or null leaves all as it was */
	assert_int_equal(fields_text(&f, "none", 1, 4, &t, &e), 0);
	assert_int_equal(fields_number(&f, "null2", 0, 0, &n, &e), 0);
	assert_string_equal(t, "text");
	assert_int_equal(n, 5);
	assert_int_equal(fields_in(&in, &f, "none", known, &e), 0);
	assert_null(in.o);
	assert_int_equal(fields_number(&in, "n", 0, 9, &n, &e), 0);
	assert_int_equal(e.class, ERR_NONE);
}

static void test_fields_of__names_what_is_wrong(void **state)
{
	static const char *const names[] = { "yes", "no", NULL };
	static const char *const inner[] = { "inn", NULL };
	auto_json json_t *j = parsed();
	struct err e = ERR_INIT;
	struct fields f, in;
	const char *t = NULL;
	const json_t *list;
	int64_t n = 0;
	bool b = false;
	unsigned choice;
	struct fields_texts l = { .n = 0 };

	(void)state;
	assert_int_equal(fields_of(&f, j, "spec", known, &e), 0);
	assert_int_equal(fields_text(&f, "n", 0, 9, &t, &e), -1);
	assert_string_equal(e.msg, "spec.n: expected a string");
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(fields_text(&f, "long", 0, 5, &t, &e), -1);
	assert_string_equal(e.msg, "spec.long: is longer than 5 bytes");
	assert_int_equal(fields_text(&f, "ctl", 0, 5, &t, &e), -1);
	assert_string_equal(e.msg, "spec.ctl: has a control character in it");
	assert_int_equal(fields_number(&f, "n", 6, 9, &n, &e), -1);
	assert_string_equal(e.msg, "spec.n: expected a number from 6 to 9");
	assert_int_equal(fields_bool(&f, "n", &b, &e), -1);
	assert_string_equal(e.msg, "spec.n: expected true or false");
	assert_int_equal(fields_duration(&f, "d", 0, 5399, &n, &e), -1);
	assert_string_equal(e.msg, "spec.d: '90m' is not between 0s and 1h29m");
	assert_int_equal(fields_choice(&f, "t", names, &choice, &e), -1);
	assert_string_equal(e.msg, "spec.t: 'text' is none of yes, no");
	assert_int_equal(fields_list(&f, "t", 9, &list, &e), -1);
	assert_string_equal(e.msg, "spec.t: expected a list");
	assert_int_equal(fields_list(&f, "l", 1, &list, &e), -1);
	assert_string_equal(e.msg, "spec.l: has 2 items; the limit is 1");
	assert_int_equal(fields_texts(&f, "twice", 9, 9, &l, &e), -1);
	assert_string_equal(e.msg, "spec.twice[1]: 'x' is there twice");
	assert_int_equal(fields_need(&f, "null2", &e), -1);
	assert_string_equal(e.msg, "spec.null2: is missing");
	assert_int_equal(fields_in(&in, &f, "o", inner, &e), -1);
	assert_string_equal(e.msg, "spec.o.in: there is no such field; is 'inn' meant?");
	assert_int_equal(fields_in(&in, &f, "t", inner, &e), -1);
	assert_string_equal(e.msg, "spec.t: expected an object");
}

static void test_fields_words__are_a_command(void **state)
{
	static const char *const keys[] = { "c", "none", "empty", "first", "type", NULL };
	static const char text[] = "{c: [sh, -c, \"a\\nb\", '', ''], empty: [], first: [''], "
				   "type: [a, 1]}";
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);
	CLEANUP(fields_texts_clear) struct fields_texts w = { .n = 0 };
	struct fields f;

	(void)state;
	assert_int_equal(fields_of(&f, j, "spec", keys, &e), 0);
	assert_int_equal(fields_words(&f, "c", 5, &w, &e), 0);
	assert_int_equal(w.n, 5);
	assert_string_equal(w.v[2], "a\nb");
	assert_string_equal(w.v[4], "");
	assert_int_equal(fields_words(&f, "none", 5, &w, &e), -1);
	assert_string_equal(e.msg, "spec.none: is empty");
	assert_int_equal(fields_words(&f, "empty", 5, &w, &e), -1);
	assert_string_equal(e.msg, "spec.empty: is empty");
	assert_int_equal(fields_words(&f, "first", 5, &w, &e), -1);
	assert_string_equal(e.msg, "spec.first: its first word, the program, is empty");
	assert_int_equal(fields_words(&f, "type", 5, &w, &e), -1);
	assert_string_equal(e.msg, "spec.type[1]: expected a string");
	assert_int_equal(fields_words(&f, "c", 4, &w, &e), -1);
}

static void test_fields_fit__patterns(void **state)
{
	const char *only_v[] = { "shop", "shop-*" };
	const char *except_v[] = { "*-test" };
	const struct fields_texts only = { only_v, 2 };
	const struct fields_texts except = { except_v, 1 };
	const struct fields_texts none = { .n = 0 };

	(void)state;
	assert_true(fields_fit(&none, &none, "any"));
	assert_true(fields_fit(&only, &none, "shop"));
	assert_true(fields_fit(&only, &except, "shop-a"));
	assert_false(fields_fit(&only, &except, "shop-test"));
	assert_false(fields_fit(&only, &except, "shopping"));
	assert_false(fields_fit(&none, &except, "a-test"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_words__are_a_command),
		cmocka_unit_test(test_fields_fit__patterns),
		cmocka_unit_test(test_fields_of__gives_values),
		cmocka_unit_test(test_fields_of__names_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
