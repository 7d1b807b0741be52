/* SPDX-License-Identifier: Apache-2.0 */
/* The row of a restore point, for programs and for people. */
#include "agent/backup_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"

static char fallback[] = "no class";
static const struct point point = {
	.id = "0123456789abcdef0123456789abcdef",
	.volume = { .name = "data" },
	.sequence = 7,
	.consistency = "crash",
	.driver = "csi",
	.session = "2026-11-22/aa",
	.set = "ss",
	.started_ns = 1000000000,
	.finished_ns = 3500000000,
	.files = 3,
	.directories = 2,
	.others = 1,
	.bytes_logical = 4096,
	.bytes_read = 300,
	.bytes_new = 200,
	.bytes_stored = 100,
	.unreadable = 1,
	.changed = 2,
	.capture = { .frozen_ns = 1000000, .thawed_ns = 5000000, .fallback = fallback },
};

/* The caller frees. */
static char *printed(enum output output, bool people)
{
	struct err e = ERR_INIT;
	auto_table struct table *t = backup_table_new(output, &e);
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(t);
	assert_non_null(f);
	backup_table_row(t, &point, 4, people);
	if (table_print(t, f, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	(void)fclose(f);
	return text;
}

static int64_t number(const json_t *row, const char *name)
{
	assert_true(json_is_integer(json_object_get(row, name)));
	return json_integer_value(json_object_get(row, name));
}

static void test_backup_table_row__has_all_for_programs(void **state)
{
	auto_free char *text = printed(OUTPUT_JSON, false);
	struct err e = ERR_INIT;
	auto_json json_t *o = json_parse("table", text, strlen(text), &e);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(o, "schema")), "aksdr/backup/v1");
	const json_t *row = json_array_get(json_object_get(o, "items"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "point")), point.id);
	assert_string_equal(json_string_value(json_object_get(row, "fallback")), "no class");
	assert_int_equal(number(row, "files"), 6);
	assert_int_equal(number(row, "duration_ms"), 2500);
	assert_int_equal(number(row, "frozen_ms"), 4);
	assert_int_equal(number(row, "requests"), 4);
	assert_int_equal(number(row, "stored_bytes"), 100);
	assert_int_equal(number(row, "unreadable"), 1);
	assert_int_equal(number(row, "changed"), 2);
}

static void test_backup_table_row__is_short_for_people(void **state)
{
	auto_free char *text = printed(OUTPUT_TABLE, true);

	(void)state;
	assert_non_null(strstr(text, "01234567 "));
	assert_null(strstr(text, "012345678"));
	assert_non_null(strstr(text, "4.0 KiB"));
	assert_null(strstr(text, "no class"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup_table_row__has_all_for_programs),
		cmocka_unit_test(test_backup_table_row__is_short_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
