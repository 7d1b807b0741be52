/* SPDX-License-Identifier: Apache-2.0 */
/* The driver that freezes nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/now.h"
#include "snapshot/snapshot.h"
#include "tests/harness/harness.h"

static const struct snapshot_env env;

static void test_live_take__the_view_is_the_volume_itself_and_fuzzy(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, "file");
	struct err e = ERR_INIT;
	struct stat st, seen;

	(void)state;
	write_text(dir, "file", "x");
	int64_t before = now_wall_ns();
	struct snapshot *s = snapshot_take(&env, &snapshot_live, dir, &e);
	assert_non_null(s);
	assert_string_equal(s->path, dir);
	assert_false(s->block);
	assert_int_equal(s->consistency, SNAP_FUZZY);
	assert_true(s->freeze_ns >= before && s->freeze_ns <= now_wall_ns());
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(fstat(s->fd, &seen), 0);
	assert_int_equal(st.st_ino, seen.st_ino);
	assert_int_equal(snapshot_live.caps, 0);
	assert_int_equal(snapshot_release(s, &e), 0);
	assert_true(file_exists(dir, "file"));

	s = snapshot_take(&env, &snapshot_live, file, &e);
	assert_non_null(s);
	assert_true(s->block);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_live_supports__everything(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(snapshot_live.supports(&env, "/", &e), 1);
}

static void test_live_finish__a_volume_that_was_renamed_is_still_the_same(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *old = path_join(dir, "old");
	auto_free char *fresh = path_join(dir, "fresh");
	struct err e = ERR_INIT;
	struct stat st, seen;

	(void)state;
	assert_int_equal(mkdir(old, 0755), 0);
	struct snapshot *s = snapshot_prepare(&env, &snapshot_live, old, &e);
	assert_non_null(s);
	assert_int_equal(snapshot_capture(&s, 1, &e), 0);
	assert_int_equal(rename(old, fresh), 0);
	assert_int_equal(snapshot_finish(s, &e), 0);
	assert_int_equal(stat(fresh, &st), 0);
	assert_int_equal(fstat(s->fd, &seen), 0);
	assert_int_equal(st.st_ino, seen.st_ino);
	assert_int_equal(snapshot_release(s, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_take__the_view_is_the_volume_itself_and_fuzzy),
		cmocka_unit_test(test_live_supports__everything),
		cmocka_unit_test(test_live_finish__a_volume_that_was_renamed_is_still_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
