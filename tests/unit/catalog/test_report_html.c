/* SPDX-License-Identifier: Apache-2.0 */
/* The page of reports: all of them, nothing of a name is markup, the limit is said. */
#include "catalog/report_html.h"

#include "tests/unit/catalog/catalog_kit.h"

static char *page(struct catalog *c, const struct report_params *p, uint64_t limit)
{
	const struct report_html_how how = { .limit = limit };
	const struct report *reports[REPORTS_MAX];
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_true(report_count <= REPORTS_MAX);
	for (size_t i = 0; i < report_count; i++)
		reports[i] = &report_all[i];
	ok(report_html_print(c, reports, report_count, p, &how, f, e));
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_report_html_print__has_all_reports_and_is_safe(void **state)
{
	const struct point_volume evil = kit_volume("ns", "<script>alert('1')</script>");
	const struct point_volume web = kit_volume("ns", "web");
	const struct report_params p = { .as_of_ns = KIT_NOW_NS * 2,
		                         .from_ns = KIT_EPOCH_NS,
		                         .to_ns = KIT_EPOCH_NS + 30 * KIT_DAY_NS,
		                         .target_s = 3600,
		                         .volume = "<*",
		                         .prices = { .currency = "EUR", .copies = 1 } };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	auto_kit_point struct point a = kit_commit(&k, &evil, 1, NULL);
	auto_kit_point struct point b = kit_commit_as(&k, &web, 2, 1, NULL);
	(void)kit_sync(&k, c);
	auto_free char *text = page(c, &p, 0);
	auto_free char *again = page(c, &p, 0);
	assert_string_equal(text, again);
	for (size_t i = 0; i < report_count; i++) {
		char section[64];

		(void)snprintf(section, sizeof(section), "<section id=\"%s\"", report_all[i].name);
		assert_non_null(strstr(text, section));
	}
	assert_non_null(strstr(text, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "style=\""));
	assert_non_null(strstr(text, "Only where the volume is <b>&lt;*</b>"));
	assert_null(strstr(text, "<th scope=\"row\">c1/ns/web"));
	assert_non_null(strstr(text, "<dt>late</dt><dd class=\"warn\">1</dd>"));
}

static void test_report_html_print__limit_is_said(void **state)
{
	const struct point_volume web = kit_volume("ns", "web");
	const struct point_volume db = kit_volume("ns", "db");
	const struct report_params p = { .as_of_ns = KIT_NOW_NS * 2,
		                         .from_ns = KIT_EPOCH_NS,
		                         .to_ns = KIT_EPOCH_NS + 30 * KIT_DAY_NS,
		                         .prices = { .currency = "EUR", .copies = 1 } };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");

	(void)state;
	auto_kit_point struct point a = kit_commit(&k, &web, 1, NULL);
	auto_kit_point struct point b = kit_commit_as(&k, &db, 2, 1, NULL);
	(void)kit_sync(&k, c);
	auto_free char *cut = page(c, &p, 1);
	auto_free char *whole = page(c, &p, 0);
	assert_non_null(strstr(cut, "Only the first 1 rows are here"));
	assert_null(strstr(whole, "Only the first"));
}

static void test_report_html_print__tells_of_a_full_disk(void **state)
{
	const struct report_html_how how = { .limit = 0 };
	const struct report *r = &report_all[0];
	const struct report_params p = { .as_of_ns = 2, .from_ns = 0, .to_ns = 1 };
	auto_kit struct kit k = kit_new();
	auto_catalog struct catalog *c = kit_catalog(k.dir, "catalog.db");
	auto_fclose FILE *f = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(f);
	(void)setvbuf(f, NULL, _IONBF, 0);
	fails(ERR_QUOTA, report_html_print(c, &r, 1, &p, &how, f, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_html_print__has_all_reports_and_is_safe),
		cmocka_unit_test(test_report_html_print__limit_is_said),
		cmocka_unit_test(test_report_html_print__tells_of_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
