/* SPDX-License-Identifier: Apache-2.0 */
/* Where thin snapshots are not possible, and why; what they do where they are is in tests/lvm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "snapshot/snapshot.h"
#include "tests/harness/harness.h"

static void test_lvm_supports__not_what_is_on_no_logical_volume(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, "file");
	auto_free char *none = path_join(dir, "none");
	const struct snapshot_env env = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "x");
	assert_int_equal(snapshot_lvm_thin.supports(&env, "/proc", &e), 0);
	assert_non_null(strstr(e.msg, "it is not on a logical volume"));
	assert_int_equal(snapshot_lvm_thin.supports(&env, file, &e), 0);
	assert_non_null(strstr(e.msg, "is neither a device nor a directory"));
	assert_int_equal(snapshot_lvm_thin.supports(&env, none, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void test_lvm_clean__a_note_that_names_nothing(void **state)
{
	static const char *const bad[] = { "",
		                           "view",
		                           "view vg",
		                           "view vg other",
		                           "view vg aksdr-1 more",
		                           "view v/g aksdr-1",
		                           "view vg aksdr-1\"",
		                           "view --force aksdr-1",
		                           "delta x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(snapshot_lvm_thin.clean(bad[i], &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lvm_supports__not_what_is_on_no_logical_volume),
		cmocka_unit_test(test_lvm_clean__a_note_that_names_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
