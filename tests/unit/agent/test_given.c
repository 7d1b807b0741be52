/* SPDX-License-Identifier: Apache-2.0 */
/* A view is handed over, and what came of it handed back: all of it, or an error that says so. */
#include "agent/given.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

#define SESSION "2026-11-22/0123456789abcdef-0123456789abcdef0123456789abcdef"

static const struct snapshot_env env;

static void test_given__a_view_comes_over_with_all_that_is_known(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct snapshot there = { .ops = &snapshot_csi,
		                  .consistency = SNAP_APPLICATION,
		                  .freeze_ns = 1795341600000000000 };
	struct moment_volume from = { .name = "data", .snapshot = &there, .epoch = 7 };
	struct moment_volume to = { .name = "data", .path = dir };
	struct err e = ERR_INIT;

	(void)state;
	from.capture.frozen_ns = 5;
	from.capture.thawed_ns = 9;
	assert_int_equal(capture_set_fallback(&from.capture, "not \"csi\"", &e), 0);
	auto_json json_t *o = given_write(&from, &e);
	auto_free char *text = json_dumps(o, JSON_COMPACT);
	if (given_read(text, &env, &to, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(to.snapshot->ops->name, "csi");
	assert_true(to.snapshot->ops->caps & SNAP_CAP_ATOMIC);
	assert_int_equal(to.snapshot->consistency, SNAP_APPLICATION);
	assert_true(to.snapshot->freeze_ns == there.freeze_ns);
	assert_string_equal(to.snapshot->path, dir);
	assert_int_equal(to.epoch, 7);
	assert_int_equal(to.capture.thawed_ns, 9);
	assert_string_equal(to.capture.fallback, "not \"csi\"");
	assert_int_equal(snapshot_release(to.snapshot, &e), 0);
	capture_clear(&to.capture);
	capture_clear(&from.capture);
}

static void test_given_read__refuses_what_is_no_view(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{\"driver\": \"btrfs\", \"consistency\": \"crash\", \"frozen_ns\": 1}",
		"{\"driver\": \"csi\", \"consistency\": \"best\", \"frozen_ns\": 1, "
		"\"epoch\": 0}",
		"{\"driver\": \"csi\", \"consistency\": \"crash\"}",
		"{\"driver\": \"csi\", \"consistency\": \"crash\", \"frozen_ns\": 1}",
	};
	struct moment_volume v = { .name = "data", .path = "/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(given_read(bad[i], &env, &v, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		assert_null(v.snapshot);
	}
}

static void test_given_result__a_point_comes_back(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct point p = { .session = SESSION,
		           .id = "0123456789abcdef0123456789abcdef",
		           .set = "fedcba9876543210fedcba9876543210",
		           .consistency = "crash",
		           .driver = "csi",
		           .sequence = 7,
		           .started_ns = 1,
		           .frozen_ns = 2,
		           .finished_ns = 3,
		           .files = 4,
		           .directories = 5,
		           .others = 6,
		           .bytes_logical = INT64_MAX,
		           .bytes_read = 8,
		           .bytes_new = 9,
		           .bytes_stored = 10,
		           .unreadable = 11,
		           .changed = 12 };
	struct err e = ERR_INIT;
	struct store_traffic t = { .ops[CALL_PUT] = { .requests = 13, .throttled = 2 } };
	struct store_traffic told;
	struct point back;

	(void)state;
	if (given_result_write(&p, NULL, &t, &b, &e) < 0 ||
	    given_result_read(buf_cstr(&b), &back, &told, &e) < 0)
		fail_msg("%s", e.msg);
	assert_memory_equal(&back, &p, sizeof(p));
	assert_memory_equal(&told, &t, sizeof(t));
}

static void test_given_result__an_error_comes_back_and_fits(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct err why = ERR_INIT, e = ERR_INIT;
	struct store_traffic t, told;
	char text[ERR_MSG_MAX];
	struct point back;

	(void)state;
	/* each of them takes six bytes in JSON */
	memset(text, '\1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&why, ERR_QUOTA, "%s", text);
	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++)
		t.ops[i] = (struct store_op_traffic){ INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
			                              INT64_MAX };
	assert_int_equal(given_result_write(NULL, &why, &t, &b, &e), 0);
	assert_true(b.len <= RESULT_MAX);
	assert_int_equal(given_result_read(buf_cstr(&b), &back, &told, &e), -1);
	assert_int_equal(e.class, ERR_QUOTA);
	assert_memory_equal(&told, &t, sizeof(t));
	e = (struct err)ERR_INIT;
	assert_true(given_end_read(buf_cstr(&b), &told, &e));
	assert_int_equal(e.class, ERR_QUOTA);
	assert_memory_equal(&told, &t, sizeof(t));
}

static void test_given_result_read__refuses_what_is_none(void **state)
{
	static const char *const bad[] = { "", "Killed", "[]",
		                           "{\"class\": \"odd\", \"error\": \"x\"}",
		                           "{\"session\": \"x\"}" };
	struct store_traffic t;
	struct point back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(given_result_read(bad[i], &back, &t, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

/* Its claims know the rest. */
static void test_given_end_read__what_was_asked_of_the_store_needs_no_point(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct store_traffic t = { .ops[CALL_GET] = { .requests = 3 } };
	struct store_traffic told;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(given_result_write(NULL, NULL, &t, &b, &e), 0);
	assert_false(given_end_read(buf_cstr(&b), &told, &e));
	assert_memory_equal(&told, &t, sizeof(t));
	assert_true(given_end_read("Killed", &told, &e));
	assert_int_equal(e.class, ERR_FORMAT);
	assert_true(given_end_read("{\"traffic\": {\"get\": [1, 2]}}", &told, &e));
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_given_result_read__a_reason_is_of_one_line(void **state)
{
	struct err e = ERR_INIT;
	struct store_traffic t;
	struct point p;

	(void)state;
	assert_int_equal(given_result_read("{\"class\": \"io\", \"error\": \"a\\nb\\u0007\"}", &p,
	                                   &t, &e),
	                 -1);
	assert_string_equal(e.msg, "a\\x0ab\\x07");
	assert_int_equal(given_result_read("{\"class\": \"io\", \"error\": \"\"}", &p, &t, &e), -1);
	assert_string_equal(e.msg, "no reason is told");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given__a_view_comes_over_with_all_that_is_known),
		cmocka_unit_test(test_given_read__refuses_what_is_no_view),
		cmocka_unit_test(test_given_result__a_point_comes_back),
		cmocka_unit_test(test_given_result__an_error_comes_back_and_fits),
		cmocka_unit_test(test_given_result_read__refuses_what_is_none),
		cmocka_unit_test(test_given_end_read__what_was_asked_of_the_store_needs_no_point),
		cmocka_unit_test(test_given_result_read__a_reason_is_of_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
