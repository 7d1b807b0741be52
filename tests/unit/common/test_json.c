/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and checked access: what is refused, and how the refusal reads. */
#include "common/json.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/syshook.h"

static json_t *parse(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = json_parse("doc", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void test_json_parse__refuses_with_place_and_reason(void **state)
{
	static const char *const cases[] = {
		"",
		"{",
		"{}x",
		"[1,]",
		"{\"a\":1,\"a\":2}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\xff\"}",
		"1",
		"{\"a\":99999999999999999999}",
	};
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(json_parse("doc", cases[i], strlen(cases[i]), &e));
		assert_int_equal(e.class, ERR_FORMAT);
		assert_memory_equal(e.msg, "doc: line ", 10);
	}
	assert_null(json_parse("commit", "{\n\"a\": x}", 9, &e));
	assert_string_equal(e.msg, "commit: line 2 column 6: invalid token near 'x'");
}

static void test_json_parse__bounds_the_depth(void **state)
{
	struct err e = ERR_INIT;
	char text[10000];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_null(json_parse("doc", text, sizeof(text), &e));
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_json_get__gives_the_members(void **state)
{
	auto_json json_t *j = parse("{\"s\":\"text\",\"n\":7,\"i\":-7,\"b\":true,\"c\":false,"
	                            "\"h\":\"00fFa1\"}");
	struct err e = ERR_INIT;
	char text[5];
	const char *s;
	uint64_t u;
	int64_t i;
	bool b;
	uint8_t h[3];

	(void)state;
	assert_int_equal(json_get_str(j, "doc", "s", &s, &e), 0);
	assert_string_equal(s, "text");
	assert_int_equal(json_get_text(j, "doc", "s", text, 5, &e), 0);
	assert_string_equal(text, "text");
	assert_int_equal(json_get_u64(j, "doc", "n", &u, &e), 0);
	assert_int_equal(u, 7);
	assert_int_equal(json_get_i64(j, "doc", "i", &i, &e), 0);
	assert_true(i == -7);
	assert_int_equal(json_get_bool(j, "doc", "b", &b, &e), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(j, "doc", "c", &b, &e), 0);
	assert_false(b);
	assert_int_equal(json_get_hex(j, "doc", "h", h, 3, &e), 0);
	assert_memory_equal(h, "\x00\xff\xa1", 3);
	assert_int_equal(e.class, ERR_NONE);
}

static void test_json_get__names_the_member_that_is_wrong(void **state)
{
	auto_json json_t *j = parse("{\"s\":\"text\",\"n\":-1,\"f\":1.5,\"z\":null}");
	struct err e = ERR_INIT;
	char text[4];
	const char *s;
	uint64_t u;
	int64_t i;
	bool b;
	uint8_t h[2];

	(void)state;
	assert_int_equal(json_get_text(j, "commit", "s", text, sizeof(text), &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_string_equal(e.msg, "commit.s is too long");
	assert_int_equal(json_get_str(j, "commit", "name", &s, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_string_equal(e.msg, "commit: .name: missing");
	assert_int_equal(json_get_str(j, "commit: .volume", "n", &s, &e), -1);
	assert_string_equal(e.msg, "commit: .volume.n: expected a string");
	assert_int_equal(json_get_str(j, "commit", "z", &s, &e), -1);
	assert_string_equal(e.msg, "commit: .z: expected a string");
	assert_int_equal(json_get_u64(j, "commit", "n", &u, &e), -1);
	assert_string_equal(e.msg, "commit: .n: expected a number that is not negative");
	assert_int_equal(json_get_u64(j, "commit", "f", &u, &e), -1);
	assert_string_equal(e.msg, "commit: .f: expected a whole number");
	assert_int_equal(json_get_i64(j, "commit", "s", &i, &e), -1);
	assert_string_equal(e.msg, "commit: .s: expected a whole number");
	assert_int_equal(json_get_bool(j, "commit", "n", &b, &e), -1);
	assert_string_equal(e.msg, "commit: .n: expected true or false");
	assert_int_equal(json_get_bool(j, "commit", "q", &b, &e), -1);
	assert_string_equal(e.msg, "commit: .q: missing");
	assert_int_equal(json_get_hex(j, "commit", "s", h, 2, &e), -1);
	assert_string_equal(e.msg, "commit: .s: expected 4 hexadecimal characters");
	assert_int_equal(json_get_hex(j, "commit", "n", h, 2, &e), -1);
	assert_string_equal(e.msg, "commit: .n: expected a string");
}

static void test_json_get__an_array_has_no_members(void **state)
{
	auto_json json_t *j = parse("[1]");
	struct err e = ERR_INIT;
	const char *s;
	bool b;

	(void)state;
	assert_int_equal(json_get_str(j, "doc", "s", &s, &e), -1);
	assert_string_equal(e.msg, "doc: .s: missing");
	assert_int_equal(json_get_bool(j, "doc", "s", &b, &e), -1);
	assert_string_equal(e.msg, "doc: .s: missing");
}

static void test_json_get_hex__wants_the_exact_length(void **state)
{
	auto_json json_t *j = parse("{\"h\":\"00ff\",\"x\":\"00fg\"}");
	struct err e = ERR_INIT;
	uint8_t h[3];

	(void)state;
	assert_int_equal(json_get_hex(j, "doc", "h", h, 1, &e), -1);
	assert_int_equal(json_get_hex(j, "doc", "h", h, 3, &e), -1);
	assert_int_equal(json_get_hex(j, "doc", "x", h, 2, &e), -1);
	assert_int_equal(json_get_hex(j, "doc", "h", h, 2, &e), 0);
}

static void test_json_write__is_the_same_for_the_same_value(void **state)
{
	auto_json json_t *a = parse("{\"b\": [1, 2.5, null], \"a\": \"\xc3\xa9\\n\", \"c\": {}}");
	auto_json json_t *b = parse("{\"c\":{},\"a\":\"\xc3\xa9\\n\",\"b\":[1,2.5,null]}");
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(buf_str(&out, ">"), 0);
	assert_int_equal(json_write(a, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), ">{\"a\":\"\xc3\xa9\\n\",\"b\":[1,2.5,null],\"c\":{}}");
	buf_reset(&out);
	assert_int_equal(json_write(b, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), "{\"a\":\"\xc3\xa9\\n\",\"b\":[1,2.5,null],\"c\":{}}");
}

static void test_json_write__tells_what_is_too_big(void **state)
{
	auto_json json_t *a = parse("{\"a\":\"0123456789\"}");
	CLEANUP(buf_clear) struct buf out = BUF_INIT(10);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(json_write(a, &out, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "the JSON text is over the limit of 10 bytes");
}

static int fail_nth(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- == 0 ? 12 /* ENOMEM */ : 0;
}

/* Longer than the first buffers of the parser: one that cannot grow cuts it short. */
#define LONG_TEXT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

static void test_json__any_allocation_may_fail(void **state)
{
	static const char text[] = "{\"b\":[1,2.5,null],\"a\":\"" LONG_TEXT
				   "\",\"c\":{\"d\":true}}";
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1000);
	bool whole = false;

	(void)state;
	for (int n = 0; !whole; n++) {
		struct err e = ERR_INIT;
		int left = n;

		buf_reset(&out);
		syshook_set(fail_nth, &left);
		json_t *j = json_parse("doc", text, sizeof(text) - 1, &e);
		whole = j && json_write(j, &out, &e) == 0;
		syshook_set(NULL, NULL);
		json_decref(j);
		if (!whole)
			assert_int_equal(e.class, ERR_NOMEM);
		assert_true(n < 1000);
	}
	json_set_alloc_funcs(malloc, free);
	assert_string_equal(buf_cstr(&out),
	                    "{\"a\":\"" LONG_TEXT "\",\"b\":[1,2.5,null],\"c\":{\"d\":true}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_parse__refuses_with_place_and_reason),
		cmocka_unit_test(test_json_parse__bounds_the_depth),
		cmocka_unit_test(test_json_get__gives_the_members),
		cmocka_unit_test(test_json_get__names_the_member_that_is_wrong),
		cmocka_unit_test(test_json_get__an_array_has_no_members),
		cmocka_unit_test(test_json_get_hex__wants_the_exact_length),
		cmocka_unit_test(test_json_write__is_the_same_for_the_same_value),
		cmocka_unit_test(test_json_write__tells_what_is_too_big),
		cmocka_unit_test(test_json__any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
