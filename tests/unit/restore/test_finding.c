/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept, in which order, and how it is told. */
#include "restore/finding.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "tests/harness/store_kit.h"

static void add(struct findings *l, enum finding_severity severity, const char *code,
                const char *object)
{
	struct finding *f = finding_add(l, severity, code, "%s", object);

	finding_what(f, "%s is so", object);
	finding_remedy(f, "%s", severity == FINDING_NOTE ? "" : "do that");
}

static void test_sort__what_blocks_comes_first_then_code_and_object(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;
	auto_json json_t *j = NULL;

	(void)state;
	add(&l, FINDING_NOTE, "A", "x");
	add(&l, FINDING_BLOCK, "Z", "b");
	add(&l, FINDING_WARNING, "B", "x");
	add(&l, FINDING_BLOCK, "Z", "a");
	add(&l, FINDING_BLOCK, "Y", "c");
	finding_sort(&l);
	ok(finding_check(&l, e));
	j = finding_json(&l);
	assert_non_null(j);
	auto_free char *text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, "[{\"severity\":\"block\",\"code\":\"Y\",\"object\":\"c\","
	                          "\"what\":\"c is so\",\"remedy\":\"do that\"},"
	                          "{\"severity\":\"block\",\"code\":\"Z\",\"object\":\"a\","
	                          "\"what\":\"a is so\",\"remedy\":\"do that\"},"
	                          "{\"severity\":\"block\",\"code\":\"Z\",\"object\":\"b\","
	                          "\"what\":\"b is so\",\"remedy\":\"do that\"},"
	                          "{\"severity\":\"warning\",\"code\":\"B\",\"object\":\"x\","
	                          "\"what\":\"x is so\",\"remedy\":\"do that\"},"
	                          "{\"severity\":\"note\",\"code\":\"A\",\"object\":\"x\","
	                          "\"what\":\"x is so\",\"remedy\":null}]");
	assert_int_equal(l.counts[FINDING_BLOCK], 3);
	assert_int_equal(l.counts[FINDING_WARNING], 1);
	assert_int_equal(l.counts[FINDING_NOTE], 1);
}

static void test_add__notes_never_hide_what_blocks(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	for (size_t i = 0; i < FINDINGS_MAX + 5; i++)
		add(&l, FINDING_NOTE, "N", "n");
	for (size_t i = 0; i < 3; i++)
		add(&l, FINDING_BLOCK, "B", "b");
	finding_sort(&l);
	assert_int_equal(l.n, FINDINGS_MAX);
	assert_int_equal(l.left_out, 8);
	assert_int_equal(l.counts[FINDING_BLOCK], 3);
	assert_int_equal(l.counts[FINDING_NOTE], FINDINGS_MAX + 5);
	assert_string_equal(l.list[2].code, "B");
	assert_string_equal(l.list[3].code, "N");
	/* A list that is full of what matters as much takes no more, and says so. */
	for (size_t i = 0; i < FINDINGS_MAX; i++)
		add(&l, FINDING_BLOCK, "C", "c");
	assert_int_equal(l.n, FINDINGS_MAX);
	assert_null(finding_add(&l, FINDING_BLOCK, "D", "%s", "d"));
	assert_int_equal(l.counts[FINDING_BLOCK], FINDINGS_MAX + 4);
}

static void test_json__bytes_that_are_no_text_are_escaped(void **state)
{
	auto_findings struct findings l = FINDINGS_INIT;
	auto_json json_t *j = NULL;

	(void)state;
	add(&l, FINDING_BLOCK, "B", "\xff\x1b\xc2\x9b");
	j = finding_json(&l);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "object")),
	                    "\\xff???");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort__what_blocks_comes_first_then_code_and_object),
		cmocka_unit_test(test_add__notes_never_hide_what_blocks),
		cmocka_unit_test(test_json__bytes_that_are_no_text_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
