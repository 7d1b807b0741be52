/* SPDX-License-Identifier: Apache-2.0 */
/* What a text means, what is refused, and where the refusal says that it is. */
#include "common/yaml.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

/* The text as compact JSON. */
static void reads(const char *text, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("doc", text, strlen(text), &e);

	if (!j)
		fail_msg("%s: %s", text, e.msg);
	assert_int_equal(json_write(j, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), expected);
}

static void refuses_bytes(const char *p, size_t n, const char *expected)
{
	struct err e = ERR_INIT;

	assert_null(yaml_parse("doc", p, n, &e));
	assert_int_equal(e.class, ERR_FORMAT);
	assert_string_equal(e.msg, expected);
}

static void refuses(const char *text, const char *expected)
{
	refuses_bytes(text, strlen(text), expected);
}

static void test_yaml_parse__plain_scalars_are_those_of_the_core_schema(void **state)
{
	(void)state;
	reads("[true, True, FALSE, false]", "[true,true,false,false]");
	reads("[no, yes, on, off, y, n, NO]", "[\"no\",\"yes\",\"on\",\"off\",\"y\",\"n\",\"NO\"]");
	reads("[null, ~, Null, nil]", "[null,null,null,\"nil\"]");
	reads("a:\nb: x", "{\"a\":null,\"b\":\"x\"}");
	reads("[0, -1, +7, 9223372036854775807, -9223372036854775808]",
	      "[0,-1,7,9223372036854775807,-9223372036854775808]");
	reads("[0o644, 0xFf, 0x, 0o8, -0x1]", "[420,255,\"0x\",\"0o8\",\"-0x1\"]");
	reads("[1.5, .5, -2., 1e3, 25E-2, 1e, ., 1.2.3, 1_000]",
	      "[1.5,0.5,-2.0,1000.0,0.25,\"1e\",\".\",\"1.2.3\",\"1_000\"]");
	reads("[10Mi, 1h30m, 2026-11-27, 12:30:45, v1.2]",
	      "[\"10Mi\",\"1h30m\",\"2026-11-27\",\"12:30:45\",\"v1.2\"]");
}

static void test_yaml_parse__what_is_quoted_or_a_block_is_a_string(void **state)
{
	(void)state;
	reads("[\"true\", '12', \"\", !!str 5, ! 6]", "[\"true\",\"12\",\"\",\"5\",\"6\"]");
	reads("a: |\n  1\n  2\nb: >-\n  x\n  y\n", "{\"a\":\"1\\n2\\n\",\"b\":\"x y\"}");
	reads("a: \"\\u00e4\\t\"", "{\"a\":\"\xc3\xa4\\t\"}");
}

static void test_yaml_parse__keys_are_texts(void **state)
{
	(void)state;
	reads("1: a\ntrue: b\n'<<': c\n", "{\"1\":\"a\",\"<<\":\"c\",\"true\":\"b\"}");
}

static void test_yaml_parse__takes_json(void **state)
{
	(void)state;
	reads("{\"a\": [1, {\"b\": null}], \"c\": \"\\\"\"}",
	      "{\"a\":[1,{\"b\":null}],\"c\":\"\\\"\"}");
	reads("\xef\xbb\xbf"
	      "a: 1",
	      "{\"a\":1}");
}

static void test_yaml_parse__refuses_with_line_and_column(void **state)
{
	(void)state;
	refuses("a: &x 1\nb: *x\n", "doc: line 1 column 4: anchors are not understood here");
	refuses("a: &x {b: 1}", "doc: line 1 column 4: anchors are not understood here");
	refuses("- *x\n", "doc: line 1 column 3: aliases are not understood here: write it out");
	refuses("a: !!binary aGk=", "doc: line 1 column 4: tags are not understood here");
	refuses("a: !x [1]", "doc: line 1 column 4: tags are not understood here");
	refuses("x:\n  <<: {a: 1}\n", "doc: line 2 column 3: merge keys are not understood here");
	refuses("a: 1\nb: 2\na: 3\n", "doc: line 3 column 1: this key is there already");
	refuses("? [a]\n: 1\n", "doc: line 1 column 3: a key must be a text");
	refuses("a: 0644",
	        "doc: line 1 column 4: a number with a leading zero is octal to some and decimal "
	        "to others: write 0o, or quotes for a text");
	refuses("a: 9223372036854775808",
	        "doc: line 1 column 4: the number is too large; as a text it needs quotes");
	refuses("a: 0xffffffffffffffff",
	        "doc: line 1 column 4: the number is too large; as a text it needs quotes");
	refuses("a: 1e999",
	        "doc: line 1 column 4: the number is too large; as a text it needs quotes");
	refuses("a: -.inf", "doc: line 1 column 4: only finite numbers are of use; as a text it "
	                    "needs quotes");
	refuses("a: \"\\0\"", "doc: line 1 column 4: a text with a NUL in it");
	refuses("a: [1", "doc: line 2 column 1: did not find expected ',' or ']'");
	refuses("a:\n\tb: 1", "doc: line 2 column 1: found character that cannot start any token");
	refuses_bytes("a: \xff", 4, "doc: byte 3: invalid leading UTF-8 octet");
	refuses_bytes("a: \0", 4, "doc: byte 3: control characters are not allowed");
}

static void test_yaml_parse__wants_one_document(void **state)
{
	(void)state;
	reads("---\n---\na: 1\n---\n# nothing\n", "{\"a\":1}");
	refuses("", "doc: line 1 column 1: there is nothing in it");
	refuses("# nothing\n", "doc: line 1 column 1: there is nothing in it");
	refuses("a: 1\n---\nb: 2\n", "doc: line 3: a second document; only one is expected here");
}

static void test_yaml_parse__bounds_depth_and_bytes(void **state)
{
	struct err e = ERR_INIT;
	char text[128];

	(void)state;
	memset(text, '[', 32);
	memset(text + 32, ']', 32);
	text[64] = '\0';
	auto_json json_t *deep = yaml_parse("doc", text, 64, &e);
	assert_non_null(deep);
	memset(text, '[', 33);
	memset(text + 33, ']', 33);
	refuses_bytes(text, 66, "doc: line 1 column 33: too deep");
	auto_free char *large = calloc(1, MIB + 1);
	assert_non_null(large);
	memset(large, 'a', MIB + 1);
	assert_null(yaml_parse("doc", large, MIB + 1, &e));
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "doc has 1048577 bytes; at most 1048576 are read");
}

struct told {
	size_t lines[8];
	size_t n, fail_at;
};

static int tell(void *arg, const json_t *document, size_t line, struct err *e)
{
	struct told *t = arg;

	assert_true(json_is_object(document));
	t->lines[t->n++] = line;
	return t->n == t->fail_at ? err_set(e, ERR_BUSY, "not this one") : 0;
}

static void test_yaml_each__tells_documents_with_their_lines(void **state)
{
	static const char text[] = "# first\na: 1\n---\n\nb: 2\n...\n---\n---\nc: 3\n";
	struct told t = { .n = 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(yaml_each("doc", text, strlen(text), tell, &t, &e), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.lines[0], 2);
	assert_int_equal(t.lines[1], 5);
	assert_int_equal(t.lines[2], 9);
	t = (struct told){ .fail_at = 2 };
	assert_int_equal(yaml_each("doc", text, strlen(text), tell, &t, &e), -1);
	assert_int_equal(t.n, 2);
	assert_string_equal(e.msg, "not this one");
}

static void test_yaml_load__reads_a_file(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "a.yaml");
	struct err e = ERR_INIT;

	(void)state;
	assert_null(yaml_load(path, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	write_file(dir, "a.yaml", "a: 1\n", 5);
	auto_json json_t *j = yaml_load(path, &e);
	assert_int_equal(json_integer_value(json_object_get(j, "a")), 1);
	write_file(dir, "a.yaml", "a: [\n", 5);
	e = ERR_INIT;
	assert_null(yaml_load(path, &e));
	assert_int_equal(e.class, ERR_FORMAT);
	assert_non_null(strstr(e.msg, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_yaml_parse__plain_scalars_are_those_of_the_core_schema),
		cmocka_unit_test(test_yaml_parse__what_is_quoted_or_a_block_is_a_string),
		cmocka_unit_test(test_yaml_parse__keys_are_texts),
		cmocka_unit_test(test_yaml_parse__takes_json),
		cmocka_unit_test(test_yaml_parse__refuses_with_line_and_column),
		cmocka_unit_test(test_yaml_parse__wants_one_document),
		cmocka_unit_test(test_yaml_parse__bounds_depth_and_bytes),
		cmocka_unit_test(test_yaml_each__tells_documents_with_their_lines),
		cmocka_unit_test(test_yaml_load__reads_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
