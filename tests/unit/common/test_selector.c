/* SPDX-License-Identifier: Apache-2.0 */
/* Label selectors: both forms, and what they fit. */
#include "common/selector.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"

static json_t *yaml(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static const struct {
	const char *line, *object; /* the same, both ways */
	const char *labels;
	bool fits;
} cases[] = {
	{ "", "{}", "{}", true },
	{ "", "{matchLabels: {}, matchExpressions: []}", "{a: b}", true },
	{ "a=b", "{matchLabels: {a: b}}", "{a: b, c: d}", true },
	{ "a=b", "{matchLabels: {a: b}}", "{a: B}", false },
	{ "a==b", "{matchLabels: {a: b}}", "{}", false },
	{ "a=", "{matchLabels: {a: ''}}", "{a: ''}", true },
	{ "a!=b", "{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{a: b}", false },
	{ "a!=b", "{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{a: c}", true },
	{ "a!=b", "{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{}", true },
	{ " c  in ( d , e ) ", "{matchExpressions: [{key: c, operator: In, values: [d, e]}]}",
	  "{c: e}", true },
	{ "c in (d,e)", "{matchExpressions: [{key: c, operator: In, values: [d, e]}]}", "{c: f}",
	  false },
	{ "c in (d,e)", "{matchExpressions: [{key: c, operator: In, values: [d, e]}]}", "{}",
	  false },
	{ "c notin (d,)", "{matchExpressions: [{key: c, operator: NotIn, values: [d, '']}]}",
	  "{c: ''}", false },
	{ "f", "{matchExpressions: [{key: f, operator: Exists}]}", "{f: ''}", true },
	{ "f", "{matchExpressions: [{key: f, operator: Exists}]}", "{g: f}", false },
	{ "!f", "{matchExpressions: [{key: f, operator: DoesNotExist, values: []}]}", "{g: f}",
	  true },
	{ "! f", "{matchExpressions: [{key: f, operator: DoesNotExist}]}", "{f: g}", false },
	{ "a=b,c in (d,e),!f",
	  "{matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d, e]}, "
	  "{key: f, operator: DoesNotExist}]}",
	  "{a: b, c: d}", true },
	{ "a=b,c in (d,e),!f",
	  "{matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d, e]}, "
	  "{key: f, operator: DoesNotExist}]}",
	  "{a: b, c: d, f: g}", false },
	{ "example.com/in=notin", "{matchLabels: {example.com/in: notin}}",
	  "{example.com/in: notin}", true },
};

static void test_selector_parse__fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		CLEANUP(selector_clear) struct selector s = { .n = 0 };
		auto_json json_t *labels = yaml(cases[i].labels);

		if (selector_parse("selector", cases[i].line, &s, &e) < 0)
			fail_msg("%s", e.msg);
		if (selector_fits(&s, labels) != cases[i].fits)
			fail_msg("'%s' and %s", cases[i].line, cases[i].labels);
	}
}

static void test_selector_in__fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		CLEANUP(selector_clear) struct selector s = { .n = 0 };
		auto_json json_t *labels = yaml(cases[i].labels);
		auto_json json_t *object = json_pack("{s:o}", "s", yaml(cases[i].object));
		const struct fields f = { .o = object, .path = "spec" };

		if (selector_in(&f, "s", &s, &e) < 0)
			fail_msg("%s", e.msg);
		if (selector_fits(&s, labels) != cases[i].fits)
			fail_msg("%s and %s", cases[i].object, cases[i].labels);
	}
}

static void test_selector_fits__without_labels(void **state)
{
	struct err e = ERR_INIT;
	CLEANUP(selector_clear) struct selector s = { .n = 0 };

	(void)state;
	assert_true(selector_fits(&s, NULL));
	assert_int_equal(selector_parse("selector", "a", &s, &e), 0);
	assert_false(selector_fits(&s, NULL));
}

static void test_selector_parse__names_the_place(void **state)
{
	static const struct {
		const char *line, *want;
	} bad[] = {
		{ "=b", "at byte 1 a key ends" },
		{ "a b", "at byte 4 = or !=" },
		{ "a,", "at byte 3 a term is missing" },
		{ ",a", "at byte 1 a key ends" },
		{ "a in b", "at byte 6 = or !=" },
		{ "a in (b", "at byte 8 a ) is missing" },
		{ "a in (b c)", "at byte 9 a ) is missing" },
		{ "a=b c", "at byte 5 a comma is missing" },
		{ "a=b=c", "at byte 4 a comma" },
		{ "-a", "a key ends that is none" },
		{ "a=b/c", "a value ends that is none" },
		{ "!a=b", "a comma is missing" },
		{ "a/b/c", "a key ends" },
		{ "/a", "a key ends" },
		{ "A.b/c", "a key ends" },
		{ "a..b/c", "a key ends" },
		{ "a=1234567890123456789012345678901234567890123456789012345678901234",
		  "a value ends" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		struct selector s = { .n = 0 };

		assert_int_equal(selector_parse("--selector", bad[i].line, &s, &e), -1);
		assert_int_equal(e.class, ERR_INVALID);
		if (!strstr(e.msg, bad[i].want) || strncmp(e.msg, "--selector '", 12) != 0)
			fail_msg("%s", e.msg);
	}
}

static void test_selector_parse__is_bounded(void **state)
{
	struct err e = ERR_INIT;
	struct selector s = { .n = 0 };
	char line[2 * SELECTOR_RULES_MAX + 2];

	(void)state;
	for (size_t i = 0; i < SELECTOR_RULES_MAX; i++)
		memcpy(line + 2 * i, "a,", 2);
	memcpy(line + sizeof(line) - 2, "a", 2);
	assert_int_equal(selector_parse("selector", line, &s, &e), -1);
	assert_non_null(strstr(e.msg, "too many terms"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selector_parse__fits),
		cmocka_unit_test(test_selector_in__fits),
		cmocka_unit_test(test_selector_fits__without_labels),
		cmocka_unit_test(test_selector_parse__names_the_place),
		cmocka_unit_test(test_selector_parse__is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
