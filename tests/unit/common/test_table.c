/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as table, JSON and CSV. */
#include "common/table.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <libsmartcols/libsmartcols.h>

#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

static const struct table_column columns[] = {
	{ "name", "NAME", TABLE_TEXT },        { "count", "COUNT", TABLE_NUMBER },
	{ "new_bytes", "NEW", TABLE_BYTES },   { "frozen_at", "FROZEN", TABLE_TIME },
	{ "took_ms", "TOOK", TABLE_DURATION }, { "verified", "VERIFIED", TABLE_BOOL },
	{ "hidden", NULL, TABLE_TEXT },
};

/* Two rows: one with every value, one with none. */
static struct table *filled(enum output output)
{
	struct err e = ERR_INIT;
	struct table *t = table_new("aksdr/things/v1", columns, ARRAY_LEN(columns), output, &e);

	assert_non_null(t);
	table_row(t);
	table_text(t, "data");
	table_number(t, -5);
	table_number(t, 1503238553);
	table_number(t, 1795341845123000000);
	table_number(t, 7500000);
	table_number(t, 1);
	table_text(t, "x");
	table_row(t);
	table_text(t, "");
	table_null(t);
	table_number(t, 0);
	table_number(t, 0);
	table_number(t, 12);
	table_number(t, 0);
	table_text(t, NULL);
	return t;
}

/* What table_print() writes; the caller frees. */
static char *printed(struct table *t, const json_t *extra)
{
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (table_print(t, f, extra, &e) < 0)
		fail_msg("%s", e.msg);
	(void)fclose(f);
	return text;
}

static void test_table_print__table_is_for_people(void **state)
{
	auto_table struct table *t = filled(OUTPUT_TABLE);
	auto_free char *text = printed(t, NULL);

	(void)state;
	assert_string_equal(text, "NAME COUNT     NEW FROZEN                    TOOK VERIFIED\n"
	                          "data    -5 1.4 GiB 2026-11-22T10:04:05.123Z 2h05m yes\n"
	                          "               0 B                           12ms no\n");
}

static void test_table_print__json_has_schema_and_items(void **state)
{
	auto_table struct table *t = filled(OUTPUT_JSON);
	auto_free char *text = printed(t, NULL);

	(void)state;
	assert_string_equal(
		text, "{\"schema\": \"aksdr/things/v1\",\n"
		      " \"items\": [\n"
		      "  {\"name\": \"data\", \"count\": -5, \"new_bytes\": 1503238553, "
		      "\"frozen_at\": \"2026-11-22T10:04:05.123Z\", \"took_ms\": 7500000, "
		      "\"verified\": true, \"hidden\": \"x\"},\n"
		      "  {\"name\": \"\", \"count\": null, \"new_bytes\": 0, \"frozen_at\": null, "
		      "\"took_ms\": 12, \"verified\": false, \"hidden\": null}]}\n");
	json_t *j = json_loads(text, 0, NULL);
	assert_non_null(j);
	json_decref(j);
}

static void test_table_print__csv_follows_rfc_4180(void **state)
{
	auto_table struct table *t = filled(OUTPUT_CSV);
	auto_free char *text = printed(t, NULL);

	(void)state;
	assert_string_equal(text, "name,count,new_bytes,frozen_at,took_ms,verified,hidden\r\n"
	                          "data,-5,1503238553,2026-11-22T10:04:05.123Z,7500000,true,x\r\n"
	                          "\"\",,0,,12,false,\r\n");
}

static void test_table_print__nothing_has_the_same_shape(void **state)
{
	static const char *const want[] = {
		[OUTPUT_TABLE] = "",
		[OUTPUT_JSON] = "{\"schema\": \"aksdr/things/v1\",\n \"items\": []}\n",
		[OUTPUT_CSV] = "name,count,new_bytes,frozen_at,took_ms,verified,hidden\r\n",
	};

	(void)state;
	for (int output = OUTPUT_TABLE; output <= OUTPUT_CSV; output++) {
		struct err e = ERR_INIT;
		auto_table struct table *t = table_new("aksdr/things/v1", columns,
		                                       ARRAY_LEN(columns), (enum output)output, &e);
		auto_free char *text = printed(t, NULL);

		assert_string_equal(text, want[output]);
	}
}

static void test_table_print__json_takes_extra_members(void **state)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("aksdr/x/v1", columns, 1, OUTPUT_JSON, &e);
	json_t *extra = json_pack("{s:i, s:{s:s}}", "total", 3, "volume", "name", "d\"");

	(void)state;
	auto_free char *text = printed(t, extra);
	assert_string_equal(text, "{\"schema\": \"aksdr/x/v1\",\n"
	                          " \"total\": 3,\n"
	                          " \"volume\": {\"name\": \"d\\\"\"},\n"
	                          " \"items\": []}\n");
	assert_int_equal(extra->refcount, 1);
	json_decref(extra);
}

/* One column, one row with this text. */
static char *one(enum output output, const char *s)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("s", columns, 1, output, &e);

	table_row(t);
	table_text(t, s);
	return printed(t, NULL);
}

static void test_table_print__odd_names_come_out_escaped(void **state)
{
	static const char name[] = "a\xff\"b\\x41,\n\x1b[31m";

	(void)state;
	auto_free char *table = one(OUTPUT_TABLE, name);
	assert_string_equal(table, "NAME\na\\xff\"b\\x5cx41,\\x0a\\x1b[31m\n");
	auto_free char *json = one(OUTPUT_JSON, name);
	assert_non_null(strstr(json, "{\"name\": \"a\\\\xff\\\"b\\\\x5cx41,\\u000a\\u001b[31m\"}"));
	json_t *j = json_loads(json, 0, NULL);
	assert_non_null(j);
	json_decref(j);
	auto_free char *csv = one(OUTPUT_CSV, name);
	assert_string_equal(csv, "name\r\n\"a\\xff\"\"b\\x5cx41,\n\x1b[31m\"\r\n");
}

static void test_table_print__csv_quotes_only_what_needs_it(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{ "a b", "name\r\na b\r\n" },         { "a,b", "name\r\n\"a,b\"\r\n" },
		{ "a\"b", "name\r\n\"a\"\"b\"\r\n" }, { "a\rb", "name\r\n\"a\rb\"\r\n" },
		{ "a\nb", "name\r\n\"a\nb\"\r\n" },   { "a\xff", "name\r\na\\xff\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *csv = one(OUTPUT_CSV, cases[i].text);

		assert_string_equal(csv, cases[i].want);
	}
}

static void test_table_print__a_duration_under_a_second_has_milliseconds(void **state)
{
	static const struct table_column took[] = { { "took_ms", "TOOK", TABLE_DURATION } };
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = { { 0, "TOOK\n 0ms\n" },
		      { 999, " TOOK\n999ms\n" },
		      { 1000, "TOOK\n  1s\n" },
		      { 61999, " TOOK\n1m01s\n" },
		      { -1, "TOOK\n-1ms\n" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		auto_table struct table *t = table_new("s", took, 1, OUTPUT_TABLE, &e);

		table_row(t);
		table_number(t, cases[i].ms);
		auto_free char *text = printed(t, NULL);
		assert_string_equal(text, cases[i].want);
	}
}

static void test_table_print__large_sizes_are_unsigned(void **state)
{
	static const struct table_column size[] = { { "size", "SIZE", TABLE_BYTES } };
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("s", size, 1, OUTPUT_CSV, &e);

	(void)state;
	table_row(t);
	table_number(t, (int64_t)UINT64_MAX);
	auto_free char *text = printed(t, NULL);
	assert_string_equal(text, "size\r\n18446744073709551615\r\n");
}

static void test_table_print__a_text_may_stand_in_any_column(void **state)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("s", columns, 3, OUTPUT_CSV, &e);

	(void)state;
	table_row(t);
	table_text(t, "n");
	table_text(t, "unknown");
	auto_free char *text = printed(t, NULL);
	assert_string_equal(text, "name,count,new_bytes\r\nn,unknown,\r\n");
}

static void test_table_print__many_rows_keep_their_order(void **state)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("s", columns, 2, OUTPUT_JSON, &e);

	(void)state;
	for (int i = 0; i < 5000; i++) {
		table_row(t);
		table_text(t, "row");
		table_number(t, i);
	}
	auto_free char *text = printed(t, NULL);
	json_t *j = json_loads(text, 0, NULL);
	json_t *items = json_object_get(j, "items");
	assert_int_equal(json_array_size(items), 5000);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(json_integer_value(
					 json_object_get(json_array_get(items, i), "count")),
		                 i);
	json_decref(j);
}

static void test_table_print__tells_of_a_full_disk(void **state)
{
	(void)state;
	for (int output = OUTPUT_JSON; output <= OUTPUT_CSV; output++) {
		auto_table struct table *t = filled((enum output)output);
		auto_fclose FILE *f = fopen("/dev/full", "we");
		struct err e = ERR_INIT;

		(void)setvbuf(f, NULL, _IONBF, 0);
		assert_int_equal(table_print(t, f, NULL, &e), -1);
		assert_string_equal(e.msg, "writing the output: No space left on device");
	}
}

/* A stream that takes n bytes and then fails. */
static ssize_t take_some(void *cookie, const char *p, size_t n)
{
	size_t *left = cookie;

	(void)p;
	if (n > *left) {
		errno = ENOSPC;
		return 0;
	}
	*left -= n;
	return (ssize_t)n;
}

static void test_table_print__any_write_may_fail(void **state)
{
	(void)state;
	for (int output = OUTPUT_JSON; output <= OUTPUT_CSV; output++) {
		int r = -1;

		for (size_t room = 0; r < 0; room += 20) {
			auto_table struct table *t = filled((enum output)output);
			size_t left = room;
			auto_fclose FILE *f = fopencookie(&left, "w",
			                                  (cookie_io_functions_t){
								  .write = take_some });
			struct err e = ERR_INIT;

			assert_true(room < 1000);
			(void)setvbuf(f, NULL, _IONBF, 0);
			r = table_print(t, f, NULL, &e);
			if (r < 0)
				assert_int_equal(e.class, ERR_QUOTA);
		}
	}
}

static void test_table_print__more_cells_than_columns_is_a_bug(void **state)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = table_new("aksdr/x/v1", columns, 1, OUTPUT_CSV, &e);

	(void)state;
	table_text(t, "before any row");
	table_row(t);
	table_text(t, "a");
	table_number(t, 1);
	assert_int_equal(table_print(t, stdout, NULL, &e), -1);
	assert_int_equal(e.class, ERR_BUG);
}

/* All allocations from the nth on fail. */
static int fail_from(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- <= 0 ? 12 /* ENOMEM */ : 0;
}

/* Builds and prints 40 rows. 0, or -1 with e. */
static int build(enum output output, FILE *f, struct err *e)
{
	auto_table struct table *t = table_new("s", columns, 2, output, e);

	if (!t)
		return -1;
	for (int i = 0; i < 40; i++) {
		table_row(t);
		table_text(t, "a name");
		table_number(t, i);
	}
	return table_print(t, f, NULL, e);
}

static void test_table__any_allocation_may_fail(void **state)
{
	(void)state;
	for (int output = OUTPUT_TABLE; output <= OUTPUT_CSV; output++) {
		int n = 0;
		int r;

		do {
			auto_fclose FILE *f = fopen("/dev/null", "we");
			struct err e = ERR_INIT;
			int left = n++;

			assert_non_null(f);
			syshook_set(fail_from, &left);
			r = build((enum output)output, f, &e);
			syshook_set(NULL, NULL);
			if (r < 0)
				assert_int_equal(e.class, ERR_NOMEM);
			else
				assert_true(left >= 0); /* none failed */
		} while (r < 0);
		assert_true(n > 40);
	}
}

/* libsmartcols' own allocations: the call of this number fails, counted from 0; -1: none. */
static int scols_left = -1;

static bool scols_fails(void)
{
	return scols_left >= 0 && scols_left-- == 0;
}

#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(struct libscols_table *, scols_new_table, void);
WRAP(struct libscols_column *, scols_table_new_column, struct libscols_table *, const char *,
     double, int);
WRAP(struct libscols_line *, scols_table_new_line, struct libscols_table *, struct libscols_line *);
WRAP(int, scols_line_set_data, struct libscols_line *, size_t, const char *);
WRAP(int, scols_print_table, struct libscols_table *);

struct libscols_table *__wrap_scols_new_table(void)
{
	return scols_fails() ? NULL : __real_scols_new_table();
}

struct libscols_column *__wrap_scols_table_new_column(struct libscols_table *t, const char *name,
                                                      double hint, int flags)
{
	return scols_fails() ? NULL : __real_scols_table_new_column(t, name, hint, flags);
}

struct libscols_line *__wrap_scols_table_new_line(struct libscols_table *t,
                                                  struct libscols_line *parent)
{
	return scols_fails() ? NULL : __real_scols_table_new_line(t, parent);
}

int __wrap_scols_line_set_data(struct libscols_line *line, size_t n, const char *data)
{
	return scols_fails() ? -12 : __real_scols_line_set_data(line, n, data);
}

int __wrap_scols_print_table(struct libscols_table *t)
{
	return scols_fails() ? -12 : __real_scols_print_table(t);
}

static void test_table_print__any_step_of_the_layout_may_fail(void **state)
{
	int n = 0;
	int r;

	(void)state;
	do {
		auto_fclose FILE *f = fopen("/dev/null", "we");
		struct err e = ERR_INIT;

		scols_left = n++;
		r = build(OUTPUT_TABLE, f, &e);
		if (r < 0) {
			assert_int_equal(e.class, ERR_NOMEM);
			assert_string_equal(e.msg, "no memory to lay out a table");
		}
	} while (r < 0);
	assert_true(scols_left >= 0); /* none failed */
	scols_left = -1;
	assert_int_equal(n, 125); /* table, 2 columns, 40 lines, 80 cells, print; success */
}

static void *no_memory(size_t n)
{
	(void)n;
	return NULL;
}

static void test_table_print__tells_when_extra_members_find_no_memory(void **state)
{
	auto_table struct table *t = filled(OUTPUT_JSON);
	json_t *extra = json_pack("{s:[i]}", "a", 1);
	struct err e = ERR_INIT;

	(void)state;
	json_set_alloc_funcs(no_memory, free);
	assert_int_equal(table_print(t, stdout, extra, &e), -1);
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(e.class, ERR_NOMEM);
	json_decref(extra);
}

static void test_table_stream__gives_the_same_bytes(void **state)
{
	(void)state;
	for (enum output output = OUTPUT_TABLE; output <= OUTPUT_CSV; output++) {
		struct err e = ERR_INIT;
		struct table *kept = table_new("aksdr/things/v1", columns, ARRAY_LEN(columns),
		                               output, &e);
		struct table *stream = table_new("aksdr/things/v1", columns, ARRAY_LEN(columns),
		                                 output, &e);
		json_t *extra = json_pack("{s:i}", "a", 1);
		char *text = NULL;
		size_t n = 0;
		FILE *f = open_memstream(&text, &n);

		assert_non_null(f);
		table_stream(stream, f, extra);
		for (int64_t i = 0; i < 3; i++) {
			struct table *both[] = { kept, stream };

			for (size_t k = 0; k < 2; k++) {
				table_row(both[k]);
				table_text(both[k], i == 1 ? NULL : "data");
				table_number(both[k], i);
			}
		}
		assert_int_equal(table_print(stream, f, extra, &e), 0);
		assert_int_equal(fclose(f), 0);
		char *expected = printed(kept, extra);
		assert_string_equal(text, expected);
		free(expected);
		free(text);
		json_decref(extra);
		table_free(kept);
		table_free(stream);
	}
}

static void test_table_stream__tells_of_a_full_disk_at_the_end(void **state)
{
	struct err e = ERR_INIT;
	struct table *t = table_new("aksdr/things/v1", columns, ARRAY_LEN(columns), OUTPUT_CSV, &e);
	FILE *f = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(f);
	(void)setvbuf(f, NULL, _IONBF, 0);
	table_stream(t, f, NULL);
	table_row(t);
	table_row(t);
	assert_int_equal(table_print(t, f, NULL, &e), -1);
	assert_int_equal(e.class, ERR_QUOTA);
	(void)fclose(f);
	table_free(t);
}

static void test_table_guard__no_text_is_a_formula(void **state)
{
	static const char *const texts[] = { "=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", "" };
	struct err e = ERR_INIT;
	struct table *t = table_new("aksdr/things/v1", columns, 2, OUTPUT_CSV, &e);

	(void)state;
	table_guard(t);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		table_row(t);
		table_text(t, texts[i]);
		table_number(t, -5);
	}
	char *text = printed(t, NULL);
	assert_string_equal(text, "name,count\r\n\"'=1+1\",-5\r\n\"'+1\",-5\r\n\"'-1\",-5\r\n"
	                          "\"'@x\",-5\r\n\"'\tx\",-5\r\n\"'\rx\",-5\r\na=1,-5\r\n"
	                          "\"\",-5\r\n");
	table_free(t);
	free(text);
}

static void test_table_free__takes_null(void **state)
{
	(void)state;
	table_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_print__table_is_for_people),
		cmocka_unit_test(test_table_print__json_has_schema_and_items),
		cmocka_unit_test(test_table_print__csv_follows_rfc_4180),
		cmocka_unit_test(test_table_print__nothing_has_the_same_shape),
		cmocka_unit_test(test_table_print__json_takes_extra_members),
		cmocka_unit_test(test_table_print__odd_names_come_out_escaped),
		cmocka_unit_test(test_table_print__csv_quotes_only_what_needs_it),
		cmocka_unit_test(test_table_print__a_duration_under_a_second_has_milliseconds),
		cmocka_unit_test(test_table_print__large_sizes_are_unsigned),
		cmocka_unit_test(test_table_print__a_text_may_stand_in_any_column),
		cmocka_unit_test(test_table_print__many_rows_keep_their_order),
		cmocka_unit_test(test_table_print__tells_of_a_full_disk),
		cmocka_unit_test(test_table_print__any_write_may_fail),
		cmocka_unit_test(test_table_print__more_cells_than_columns_is_a_bug),
		cmocka_unit_test(test_table__any_allocation_may_fail),
		cmocka_unit_test(test_table_print__any_step_of_the_layout_may_fail),
		cmocka_unit_test(test_table_print__tells_when_extra_members_find_no_memory),
		cmocka_unit_test(test_table_stream__gives_the_same_bytes),
		cmocka_unit_test(test_table_stream__tells_of_a_full_disk_at_the_end),
		cmocka_unit_test(test_table_guard__no_text_is_a_formula),
		cmocka_unit_test(test_table_free__takes_null),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
