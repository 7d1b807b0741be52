/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup would do with a volume. */
#include "agent/preview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static void test_preview_volume__without_a_journal_only_a_live_read_is_left(void **state)
{
	const struct snapshot_env env = { .journal = NULL };
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	struct doctor_verdict v = preview_volume(&env, dir);
	assert_int_equal(v.result, DOCTOR_WARNING);
	assert_non_null(strstr(v.detail, "': live, while it changes (fuzzy)"));
	assert_non_null(strstr(v.detail, "; not btrfs: "));
	assert_non_null(strstr(v.remedy, "of one moment"));
}

static void test_preview_volume__a_path_that_is_not_there_fails(void **state)
{
	const struct snapshot_env env = { .journal = NULL };

	(void)state;
	struct doctor_verdict v = preview_volume(&env, "/nonexistent/volume");
	assert_int_equal(v.result, DOCTOR_FAILED);
	assert_non_null(strstr(v.detail, "/nonexistent/volume"));
}

static void test_preview_freezer__one_that_is_not_there_is_a_warning(void **state)
{
	const struct snapshot_env env = { .freezer = "/nonexistent/freezer.socket" };

	(void)state;
	struct doctor_verdict v = preview_freezer(&env);
	assert_int_equal(v.result, DOCTOR_WARNING);
	assert_non_null(strstr(v.detail, "/nonexistent/freezer.socket"));
	assert_non_null(strstr(v.remedy, "--freezer"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preview_volume__without_a_journal_only_a_live_read_is_left),
		cmocka_unit_test(test_preview_volume__a_path_that_is_not_there_fails),
		cmocka_unit_test(test_preview_freezer__one_that_is_not_there_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
