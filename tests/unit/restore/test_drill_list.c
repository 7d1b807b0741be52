/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of drills as they are found in a repository. */
#include "restore/drill_list.h"

#include "common/json.h"
#include "tests/harness/repo_kit.h"
#include "tests/unit/restore/drill_kit.h"

static void begin(const struct repo *r, const char *run, const char *kind, const char *plan,
                  bool ends)
{
	auto_drill_report struct drill_report report;
	struct chain c;

	ok(run_log_open(run, &c, e));
	ok(run_log_add(r, &c, kind, plan, "begin", NULL, e));
	if (!ends)
		return;
	drill_kit(&report);
	report.run = run;
	report.plan = plan;
	drill_report_judge(&report);
	auto_json json_t *more = json_pack("{s:o}", "report", drill_report_json(&report));
	ok(run_log_add(r, &c, kind, plan, "end", more, e));
}

#define RUN_A "aaaa0000000000000000000000000001"
#define RUN_B "aabb0000000000000000000000000002"
#define RUN_C "cccc0000000000000000000000000003"

static void test_load__the_newest_first_and_only_drills(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };
	auto_drill_report struct drill_report report = { .nwhys = 0 };

	(void)state;
	begin(k.recovery, RUN_A, "drill", "shop", true);
	begin(k.recovery, RUN_B, "drill", "crm", false);
	begin(k.recovery, RUN_C, "restore", "shop", true);
	begin(k.agent, "dddd0000000000000000000000000004", "drill", "shop", true);
	ok(drill_list_load(k.audit, NULL, NULL, &l, e));
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[0].run, RUN_B);
	assert_null(l.v[0].report);
	assert_string_equal(l.v[1].run, RUN_A);
	ok(drill_report_read(l.v[1].report, &report, e));
	assert_string_equal(report.plan, "shop");
	assert_true(report.passed);
}

static void test_load__by_plan_and_by_the_first_digits(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };

	(void)state;
	begin(k.recovery, RUN_A, "drill", "shop", true);
	begin(k.recovery, RUN_B, "drill", "crm", true);
	ok(drill_list_load(k.audit, "crm", NULL, &l, e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].run, RUN_B);
	drill_list_clear(&l);
	ok(drill_list_load(k.audit, NULL, "aaaa", &l, e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].run, RUN_A);
	drill_list_clear(&l);
	ok(drill_list_load(k.audit, "crm", "aaaa", &l, e));
	assert_int_equal(l.n, 0);
}

static void test_load__a_record_that_does_not_open_is_told(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };

	(void)state;
	begin(k.recovery, RUN_A, "drill", "shop", true);
	kit_flip(&k, "ctl/run/" RUN_A "/00000002", -1);
	fails_saying(ERR_CORRUPT, RUN_A, drill_list_load(k.audit, NULL, NULL, &l, e));
	assert_int_equal(l.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load__the_newest_first_and_only_drills),
		cmocka_unit_test(test_load__by_plan_and_by_the_first_digits),
		cmocka_unit_test(test_load__a_record_that_does_not_open_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
