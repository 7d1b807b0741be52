/* SPDX-License-Identifier: Apache-2.0 */
/* Each report is what its description says, and docs/REPORTS.md says the same. */
#include "catalog/report.h"

#include "tests/unit/catalog/catalog_kit.h"

struct rows {
	const struct report *r;
	bool any;
};

static int take(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct rows *x = arg;

	(void)e;
	x->any = true;
	assert_int_equal(sqlite3_column_count(row), x->r->ncolumns);
	for (size_t i = 0; i < x->r->ncolumns; i++) {
		if (strcmp(sqlite3_column_name(row, (int)i), x->r->columns[i].name) != 0)
			fail_msg("report '%s': column %zu is '%s', and is said to be '%s'",
			         x->r->name, i, sqlite3_column_name(row, (int)i),
			         x->r->columns[i].name);
	}
	return 0;
}

static int take_chart(void *arg, sqlite3_stmt *row, struct err *e)
{
	const struct report_chart *c = arg;

	(void)e;
	assert_int_equal(sqlite3_column_count(row), 2);
	assert_int_equal(sqlite3_column_type(row, 0),
	                 c->kind == REPORT_LINE ? SQLITE_INTEGER : SQLITE_TEXT);
	return 0;
}

static void test_report_all__columns_are_those_of_the_statement(void **state)
{
	const struct point_volume web = kit_volume("ns", "web");
	const struct report_params p = { .as_of_ns = 2 * KIT_NOW_NS,
		                         .from_ns = 1,
		                         .to_ns = 2 * KIT_NOW_NS,
		                         .prices = { .currency = "EUR", .copies = 1 } };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	auto_kit_point struct point a = kit_commit(&k, &web, 1, NULL);
	(void)kit_sync(&k, c);
	ok(catalog_exec(
		c,
		"INSERT INTO tombstones VALUES (1, 1, 1, NULL, 'u', 'h', '0011223344556677', 1);"
		"INSERT INTO tombstone_points SELECT 1, session, 'w' FROM points;"
		"INSERT INTO anomalies (kind, object, other, detail, found_ns)"
		" VALUES ('gap', 'o', '', 'd', 1)",
		e));
	for (size_t i = 0; i < report_count; i++) {
		struct rows x = { .r = &report_all[i] };

		ok(report_each(c, report_all[i].sql, &p, take, &x, e));
		if (!x.any)
			fail_msg("report '%s' says nothing", report_all[i].name);
		if (report_has_state(&report_all[i]))
			ok(report_states(c, &report_all[i], &p, take_chart,
			                 &(struct report_chart){ .kind = REPORT_BARS }, e));
	}
}

static void test_report_all__charts_have_two_columns(void **state)
{
	const struct point_volume web = kit_volume("ns", "web");
	const struct report_params p = { .as_of_ns = KIT_EPOCH_NS + 5 * KIT_DAY_NS,
		                         .from_ns = KIT_EPOCH_NS,
		                         .to_ns = KIT_EPOCH_NS + 5 * KIT_DAY_NS };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	unsigned n = 0;

	(void)state;
	auto_kit_point struct point a = kit_commit(&k, &web, 1, NULL);
	(void)kit_sync(&k, c);
	for (size_t i = 0; i < report_count; i++) {
		struct report_chart *chart = (struct report_chart *)(uintptr_t)report_all[i].chart;

		if (!chart)
			continue;
		ok(report_each(c, chart->sql, &p, take_chart, chart, e));
		n++;
	}
	assert_true(n >= 4);
}

static void test_report_all__documentation_has_each_report_and_column(void **state)
{
	auto_free char *text = read_file("docs", "REPORTS.md", NULL);

	(void)state;
	for (size_t i = 0; i < report_count; i++) {
		const struct report *r = &report_all[i];
		char what[96];

		(void)snprintf(what, sizeof(what), "\n### `%s`", r->name);
		char *section = strstr(text, what);
		if (!section)
			fail_msg("docs/REPORTS.md says nothing of '%s'", r->name);
		char *end = strstr(section + 1, "\n##");
		if (end)
			*end = '\0';
		for (size_t k = 0; k < r->ncolumns; k++) {
			(void)snprintf(what, sizeof(what), "\n| `%s` |", r->columns[k].name);
			if (!strstr(section, what))
				fail_msg("docs/REPORTS.md, '%s': nothing of '%s'", r->name,
				         r->columns[k].name);
		}
		/* and no others */
		for (char *row = strstr(section, "\n| `"); row; row = strstr(row + 1, "\n| `")) {
			size_t len = strcspn(row + 4, "`");
			bool known = false;

			for (size_t k = 0; k < r->ncolumns && !known; k++)
				known = strlen(r->columns[k].name) == len &&
				        strncmp(r->columns[k].name, row + 4, len) == 0;
			if (!known)
				fail_msg("docs/REPORTS.md, '%s': '%.*s' is not there", r->name,
				         (int)len, row + 4);
		}
		if (end)
			*end = '\n';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_all__columns_are_those_of_the_statement),
		cmocka_unit_test(test_report_all__charts_have_two_columns),
		cmocka_unit_test(test_report_all__documentation_has_each_report_and_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
