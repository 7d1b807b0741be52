/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines in both formats, as standard error sees them. */
#include "common/log.h"

#include <pthread.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/harness/harness.h"

static int log_some(void *arg)
{
	const enum log_format *format = arg;

	log_setup(LOG_DEBUG, *format);
	log_debug("looked");
	log_info("backup committed", LOG_S("volume", "data"), LOG_U("new_bytes", UINT64_MAX),
	         LOG_I("took_ms", INT64_MIN), LOG_B("partial", true), LOG_B("locked", false));
	log_warn("odd names", LOG_S("a", "two words"), LOG_S("b", "\xff\n\"\\"), LOG_S("c", NULL),
	         LOG_S("d", ""), LOG_S("e", "x=y"), LOG_S("f", "\xc3\xa9"));
	log_error("failed\n");
	return 0;
}

/* The line's text after its time of 8 characters and a space. */
static const char *after_time(const char *line)
{
	static const char shape[] = "dd:dd:dd ";

	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'd')
			assert_true(line[i] >= '0' && line[i] <= '9');
		else
			assert_int_equal(line[i], shape[i]);
	}
	return line + 9;
}

static void test_log_event__text_is_one_line_each(void **state)
{
	static const char *const want[] = {
		"debug looked",
		("info backup committed volume=data new_bytes=18446744073709551615 "
		 "took_ms=-9223372036854775808 partial=true locked=false"),
		("warn odd names a=\"two words\" b=\"\\xff\\x0a\\\"\\\\\" c=- d=\"\" "
		 "e=\"x=y\" f=\"\xc3\xa9\""),
		"error failed\\x0a",
	};
	enum log_format format = LOG_TEXT;
	auto_run struct harness_run r = harness_run(log_some, &format);
	char *line = r.err;

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "");
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		char *end = strchr(line, '\n');

		assert_non_null(end);
		*end = '\0';
		assert_string_equal(after_time(line), want[i]);
		line = end + 1;
	}
	assert_string_equal(line, "");
}

static void test_log_event__json_parses_and_keeps_types(void **state)
{
	enum log_format format = LOG_JSON;
	auto_run struct harness_run r = harness_run(log_some, &format);
	const char *at = r.err;
	json_t *lines[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		size_t n = strcspn(at, "\n");

		/* numbers over 63 bits are not jansson's */
		const char *big = memmem(at, n, "18446744073709551615", 20);
		lines[i] = json_loadb(at, n, big ? JSON_DECODE_INT_AS_REAL : 0, NULL);
		if (!lines[i])
			fail_msg("%.*s", (int)n, at);
		assert_int_equal(strlen(json_string_value(json_object_get(lines[i], "time"))), 24);
		at += n + 1;
	}
	assert_string_equal(at, "");
	assert_string_equal(json_string_value(json_object_get(lines[0], "level")), "debug");
	assert_string_equal(json_string_value(json_object_get(lines[1], "event")),
	                    "backup committed");
	assert_string_equal(json_string_value(json_object_get(lines[1], "volume")), "data");
	assert_true(json_is_real(json_object_get(lines[1], "new_bytes")));
	assert_true(json_is_true(json_object_get(lines[1], "partial")));
	assert_true(json_is_false(json_object_get(lines[1], "locked")));
	assert_string_equal(json_string_value(json_object_get(lines[2], "b")), "\\xff\n\"\\");
	assert_true(json_is_null(json_object_get(lines[2], "c")));
	assert_string_equal(json_string_value(json_object_get(lines[2], "d")), "");
	assert_string_equal(json_string_value(json_object_get(lines[3], "event")), "failed\n");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		json_decref(lines[i]);
}

static int log_levels(void *arg)
{
	const enum log_level *least = arg;

	log_setup(*least, LOG_TEXT);
	log_debug("one");
	log_info("two");
	log_warn("three");
	log_error("four");
	log_event(LOG_SILENT, "five", (const struct log_field[]){ { .type = LOG_T_END } });
	return 0;
}

static size_t count_lines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void test_log_setup__hides_what_is_less_important(void **state)
{
	(void)state;
	for (int level = LOG_DEBUG; level <= LOG_SILENT; level++) {
		enum log_level least = (enum log_level)level;
		auto_run struct harness_run r = harness_run(log_levels, &least);

		assert_int_equal(count_lines(r.err), 4 - level);
	}
}

static int log_long(void *arg)
{
	const enum log_format *format = arg;
	static char big[20001];
	struct log_field fields[41] = { 0 };

	memset(big, '"', sizeof(big) - 1);
	log_setup(LOG_INFO, *format);
	log_info("one text", LOG_S("a", big), LOG_U("after", 1));
	log_info("texts", LOG_S("a", big), LOG_S("b", big), LOG_S("c", big), LOG_S("d", big),
	         LOG_S("e", big), LOG_U("after", 2));
	for (int i = 0; i < 40; i++)
		fields[i] = LOG_S("name_that_is_rather_long_for_a_field", "value \x01");
	for (int i = 0; i < 10; i++)
		log_event(LOG_INFO, i % 2 ? big : "fields", fields);
	return 0;
}

static void test_log_event__a_long_line_is_cut_and_stays_json(void **state)
{
	enum log_format format = LOG_JSON;
	auto_run struct harness_run r = harness_run(log_long, &format);
	const char *at = r.err;
	size_t lines = 0;

	(void)state;
	for (; *at; lines++) {
		size_t n = strcspn(at, "\n");
		json_t *j = json_loadb(at, n, 0, NULL);

		assert_true(n < 8192);
		if (!j)
			fail_msg("%.*s", (int)n, at);
		if (lines == 0) {
			const char *a = json_string_value(json_object_get(j, "a"));

			assert_string_equal(a + strlen(a) - 4, "\"...");
			assert_int_equal(json_integer_value(json_object_get(j, "after")), 1);
		}
		json_decref(j);
		at += n + 1;
	}
	assert_int_equal(lines, 12);
}

static void test_log_event__a_long_text_line_has_its_end(void **state)
{
	enum log_format format = LOG_TEXT;
	auto_run struct harness_run r = harness_run(log_long, &format);
	const char *at = r.err;

	(void)state;
	for (size_t i = 0; i < 12; i++) {
		size_t n = strcspn(at, "\n");

		assert_true(n < 8192);
		assert_int_equal(at[n], '\n');
		(void)after_time(at);
		at += n + 1;
	}
	assert_string_equal(at, "");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("event", LOG_S("from", arg), LOG_I("i", i));
	return NULL;
}

static int log_threads(void *arg)
{
	static char names[4][2] = { "a", "b", "c", "d" };
	pthread_t threads[4];

	(void)arg;
	log_setup(LOG_INFO, LOG_TEXT);
	for (int i = 0; i < 4; i++) {
		if (pthread_create(&threads[i], NULL, log_many, names[i]) != 0)
			return 1;
	}
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	return 0;
}

static void test_log_event__lines_of_threads_do_not_mix(void **state)
{
	auto_run struct harness_run r = harness_run(log_threads, NULL);
	const char *at = r.err;
	size_t lines = 0;

	(void)state;
	assert_int_equal(r.status, 0);
	for (; *at; lines++) {
		char from;
		int i;

		assert_int_equal(sscanf(after_time(at), "info event from=%c i=%d\n", &from, &i), 2);
		at = strchr(at, '\n') + 1;
	}
	assert_int_equal(lines, 800);
}

static int log_prefixed(void *arg)
{
	(void)arg;
	log_setup(LOG_INFO, LOG_TEXT);
	log_line_prefix("\r\033[K");
	log_info("one");
	log_line_prefix(NULL);
	log_info("two");
	return log_is_json() ? 1 : 0;
}

static void test_log_line_prefix__stands_before_each_line(void **state)
{
	auto_run struct harness_run r = harness_run(log_prefixed, NULL);

	(void)state;
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.err, "\r\033[K", 4);
	assert_string_equal(after_time(after_time(r.err + 4) + 9), "info two\n");
}

static void test_log_is_json__follows_the_set_up(void **state)
{
	(void)state;
	log_setup(LOG_SILENT, LOG_JSON);
	assert_true(log_is_json());
	log_setup(LOG_SILENT, LOG_TEXT);
	assert_false(log_is_json());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_event__text_is_one_line_each),
		cmocka_unit_test(test_log_event__json_parses_and_keeps_types),
		cmocka_unit_test(test_log_setup__hides_what_is_less_important),
		cmocka_unit_test(test_log_event__a_long_line_is_cut_and_stays_json),
		cmocka_unit_test(test_log_event__a_long_text_line_has_its_end),
		cmocka_unit_test(test_log_event__lines_of_threads_do_not_mix),
		cmocka_unit_test(test_log_line_prefix__stands_before_each_line),
		cmocka_unit_test(test_log_is_json__follows_the_set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
