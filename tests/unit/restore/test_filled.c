/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a filled volume goes to another process: all of it, what fits, or why not. */
#include "restore/filled.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

static void clean_report(struct report *r)
{
	report_clear(r);
}
#define auto_report CLEANUP(clean_report)

static const struct report_head head = {
	.point = "0123456789abcdef0123456789abcdef",
	.session = "2026-11-22/0123456789abcdef-0123456789abcdef0123456789abcdef",
	.base = "fedcba9876543210fedcba9876543210",
	.requests = 7,
};

static void begin(struct report *r)
{
	report_init(r);
	r->quiet = true;
	atomic_store(&r->bytes, INT64_MAX);
	atomic_store(&r->files, 2);
	atomic_store(&r->written, 3);
	atomic_store(&r->fetched, 4);
	r->took_ms = 5;
	r->verified = true;
}

/* Told and read again. */
static struct filled there_and_back(const struct report *r, const struct err *verdict)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct err e = ERR_INIT;
	struct filled f;

	if (filled_write(r, &head, verdict, &b, &e) < 0 || filled_read(buf_cstr(&b), &f, &e) < 0)
		fail_msg("%s", e.msg);
	return f;
}

static void test_filled__a_success_comes_back(void **state)
{
	auto_report struct report r;

	(void)state;
	begin(&r);
	struct filled f = there_and_back(&r, &ERR_INIT);
	assert_string_equal(f.point, head.point);
	assert_string_equal(f.session, head.session);
	assert_string_equal(f.base, head.base);
	assert_true(f.bytes == INT64_MAX && f.files == 2 && f.written == 3 && f.fetched == 4);
	assert_true(f.ms == 5 && f.requests == 7 && f.verified && !f.partial && f.gaps == 0);
	assert_string_equal(f.why, "");
	assert_int_equal(f.npaths, 0);
}

static void test_filled__what_is_missing_is_a_result(void **state)
{
	auto_report struct report r;
	struct err verdict = ERR_INIT;

	(void)state;
	begin(&r);
	report_gap(&r, GAP_RANGE, "a/b\n", 4, NULL, 0, 0, 9, "damaged");
	report_gap(&r, GAP_DIFFERS, "no", 2, NULL, 0, 0, 0, "differs");
	report_gap(&r, GAP_ENTRY, "c", 1, NULL, 0, 0, 0, "damaged");
	(void)err_set(&verdict, ERR_PARTIAL, "restored but for 2 places");
	struct filled f = there_and_back(&r, &verdict);
	assert_true(f.partial);
	assert_string_equal(f.why, "restored but for 2 places");
	assert_int_equal(f.gaps, 2);
	assert_int_equal(f.npaths, 2);
	assert_string_equal(f.paths[0], "a/b\\x0a");
	assert_string_equal(f.paths[1], "c");
}

static void test_filled__as_many_paths_as_fit(void **state)
{
	auto_report struct report r;
	struct err verdict = ERR_INIT;
	char path[400], text[ERR_MSG_MAX];

	(void)state;
	begin(&r);
	/* in JSON each of them takes five bytes */
	memset(path, '\1', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (int i = 0; i < 20; i++)
		report_gap(&r, GAP_RANGE, path, strlen(path), NULL, 0, 0, 9, "damaged");
	(void)err_set(&verdict, ERR_PARTIAL, "short");
	struct filled f = there_and_back(&r, &verdict);
	assert_int_equal(f.gaps, 20);
	assert_int_equal(f.npaths, FILLED_PATHS);
	assert_int_equal(strlen(f.paths[0]), FILLED_PATH_MAX);

	memset(text, '\1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&verdict, ERR_PARTIAL, "%s", text);
	atomic_store(&r.bytes, 1);
	f = there_and_back(&r, &verdict);
	assert_true(f.npaths > 0);
	assert_true(strlen(f.why) > 500);
}

static void test_filled__a_failure_comes_back(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct err why = ERR_INIT, e = ERR_INIT;
	struct filled f;

	(void)state;
	(void)err_set(&why, ERR_CORRUPT, "chunk 1 of pack 'x' is damaged");
	assert_int_equal(filled_write(NULL, NULL, &why, &b, &e), 0);
	assert_int_equal(filled_read(buf_cstr(&b), &f, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_string_equal(e.msg, "chunk 1 of pack 'x' is damaged");
}

#define POINT                                                                       \
	"\"point\":\"p\",\"session\":\"2026-11-22/0123456789abcdef-"                \
	"0123456789abcdef0123456789abcdef\",\"base\":\"\",\"bytes\":1,\"files\":1," \
	"\"written\":1,\"fetched\":1,\"requests\":1,\"verified\":true,\"ms\":1,\"gaps\":0,"
#define SCHEMA "\"schema\":\"aksdr/filled/v1\","

static void test_filled_read__refuses_what_is_none(void **state)
{
	static const char *const bad[] = {
		"",
		"Killed",
		"[]",
		"{}",
		"{\"class\":\"odd\",\"error\":\"x\"}",
		"{\"class\":\"partial\",\"error\":\"x\"}",
		"{\"schema\":\"aksdr/filled/v2\"," POINT "\"partial\":false,\"paths\":[]}",
		"{" SCHEMA POINT "\"paths\":[]}",
		"{" SCHEMA POINT "\"partial\":true,\"paths\":[]}",
		"{" SCHEMA POINT "\"partial\":false}",
		"{" SCHEMA POINT "\"partial\":false,\"paths\":[1]}",
		"{" SCHEMA POINT "\"partial\":false,\"paths\":[1,2,3,4,5,6,7,8,9]}",
		"{" SCHEMA POINT "\"partial\":false,\"class\":\"partial\",\"error\":\"x\","
		"\"paths\":[]}",
		"{" SCHEMA "\"point\":\"0123456789abcdef0123456789abcdef0\"}",
	};
	struct filled f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(filled_read(bad[i], &f, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
	struct err e = ERR_INIT;
	assert_int_equal(filled_read("{" SCHEMA POINT "\"partial\":false,\"paths\":[\"a\\nb\"]}",
	                             &f, &e),
	                 0);
	assert_string_equal(f.paths[0], "a\\x0ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled__a_success_comes_back),
		cmocka_unit_test(test_filled__what_is_missing_is_a_result),
		cmocka_unit_test(test_filled__as_many_paths_as_fit),
		cmocka_unit_test(test_filled__a_failure_comes_back),
		cmocka_unit_test(test_filled_read__refuses_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
