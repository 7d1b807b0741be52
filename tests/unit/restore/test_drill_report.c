/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a drill passed, and its report as it is kept. */
#include "restore/drill_report.h"

#include "common/json.h"
#include "tests/unit/restore/drill_kit.h"

static void assert_why(struct drill_report *r, const char *text)
{
	drill_report_judge(r);
	assert_false(r->passed);
	assert_int_equal(r->nwhys, 1);
	if (!strstr(r->whys[0], text))
		fail_msg("'%s' is not in '%s'", text, r->whys[0]);
}

static void test_judge__passes_when_all_is_as_the_plan_asks_for(void **state)
{
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	drill_report_judge(&r);
	assert_true(r.passed);
	assert_false(r.damaged);
	assert_int_equal(r.nwhys, 0);
	assert_int_equal(r.age_s, 1200);
	assert_true(r.took_s > 89.9 && r.took_s < 90.1);
	assert_int_equal(r.bytes, 2000);
}

static void test_judge__says_why_it_did_not(void **state)
{
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	r.rpo_s = 1199;
	assert_why(&r, "the oldest point was 20m00s old, and the plan allows 19m59s");
	r.rpo_s = 0;
	r.rto_s = 89;
	assert_why(&r, "it took 1m30s, and the plan allows 1m29s");
	r.rto_s = 0;
	r.checks[0].passed = false;
	r.checks[0].why = "it ended with status 3";
	assert_why(&r, "the check in 'drill-shop' did not pass: it ended with status 3");
	r.nchecks = 0;
	assert_why(&r, "the check was not run");
	r.check_wanted = false;
	r.volumes[1].verified = false;
	assert_why(&r, "1 volumes were not read back, first 'we/shop/orders'");
	r.volumes[1].restored = false;
	assert_why(&r, "1 of 2 volumes were not restored, first 'we/shop/orders'");
	r.volumes[1].restored = true;
	r.left_out = 3;
	r.volumes[1].verified = true;
	assert_why(&r, "3 volumes are too many");
	r.left_out = 0;
	r.nvolumes = 0;
	assert_why(&r, "no volume was restored");
	assert_int_equal(r.age_s, -1);
	r.nvolumes = 2;
}

static void test_judge__damage_is_told_apart(void **state)
{
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	r.volumes[0].damaged = true;
	r.volumes[0].verified = false;
	r.volumes[0].gaps = 2;
	assert_why(&r, "data of 1 volumes are missing or damaged, first 'we/shop/db'");
	assert_true(r.damaged);
}

static void test_read__gives_what_was_written(void **state)
{
	auto_drill_report struct drill_report r;
	auto_drill_report struct drill_report got = { .nwhys = 0 };

	(void)state;
	drill_kit(&r);
	r.volumes[0].restored = false;
	r.volumes[0].why = "no point";
	drill_report_judge(&r);
	auto_json json_t *o = drill_report_json(&r);
	assert_non_null(o);
	ok(drill_report_read(o, &got, e));
	auto_json json_t *again = drill_report_json(&got);
	assert_true(json_equal(o, again));
	assert_string_equal(got.volumes[0].why, "no point");
	assert_string_equal(got.whys[0], r.whys[0]);
	assert_int_equal(got.nphases, 2);
	assert_string_equal(got.checks[0].said, "all is well\n");
	assert_false(got.passed);
}

static void test_read__refuses_what_is_no_report(void **state)
{
	static const struct {
		const char *key, *value;
	} wrong[] = {
		{ "schema", "\"aksdr/drill/v2\"" },
		{ "run", "null" },
		{ "actor", "{}" },
		{ "targets", "[]" },
		{ "achieved", "{\"rpo_s\":1,\"rto_s\":-1}" },
		{ "achieved", "{\"rpo_s\":1,\"rto_s\":1e300}" },
		{ "passed", "\"yes\"" },
		{ "left_out", "-1" },
		{ "why", "[1]" },
		{ "why", "{}" },
		{ "phases", "[{}]" },
		{ "volumes", "[{\"volume\":\"x\"}]" },
		{ "volumes", "null" },
		{ "checks", "[null]" },
	};
	auto_drill_report struct drill_report r;

	(void)state;
	drill_kit(&r);
	drill_report_judge(&r);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_drill_report struct drill_report got = { .nwhys = 0 };
		auto_json json_t *o = drill_report_json(&r);
		json_t *value = json_loads(wrong[i].value, JSON_DECODE_ANY, NULL);
		struct err err = ERR_INIT;

		assert_int_equal(json_object_set_new(o, wrong[i].key, value), 0);
		if (drill_report_read(o, &got, &err) == 0)
			fail_msg("%s: %s is taken", wrong[i].key, wrong[i].value);
		assert_int_equal(err.class, ERR_FORMAT);
	}
}

static void test_read__texts_and_lists_have_limits(void **state)
{
	auto_drill_report struct drill_report r;
	auto_drill_report struct drill_report got = { .nwhys = 0 };
	char text[DRILL_TEXT_MAX + 2];

	(void)state;
	drill_kit(&r);
	drill_report_judge(&r);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	auto_json json_t *o = drill_report_json(&r);
	assert_int_equal(json_object_set_new(o, "plan", json_string(text)), 0);
	fails_saying(ERR_FORMAT, "drill.plan is too long", drill_report_read(o, &got, e));
	auto_json json_t *many = drill_report_json(&r);
	json_t *phases = json_object_get(many, "phases");
	for (unsigned i = 0; i < DRILL_PHASES_MAX; i++)
		assert_int_equal(json_array_append(phases, json_array_get(phases, 0)), 0);
	fails_saying(ERR_FORMAT, "array of at most 16", drill_report_read(many, &got, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge__passes_when_all_is_as_the_plan_asks_for),
		cmocka_unit_test(test_judge__says_why_it_did_not),
		cmocka_unit_test(test_judge__damage_is_told_apart),
		cmocka_unit_test(test_read__gives_what_was_written),
		cmocka_unit_test(test_read__refuses_what_is_no_report),
		cmocka_unit_test(test_read__texts_and_lists_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
