/* SPDX-License-Identifier: Apache-2.0 */
/* The driver that freezes nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/now.h"
#include "snapshot/snapshot.h"
#include "tests/harness/harness.h"

static void test_live_take__the_view_is_the_volume_itself_and_fuzzy(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *file = path_join(dir, "file");
	struct err e = ERR_INIT;
	struct stat st, seen;

	(void)state;
	write_text(dir, "file", "x");
	int64_t before = now_wall_ns();
	struct snapshot *s = snapshot_take(&snapshot_live, dir, &e);
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

	s = snapshot_take(&snapshot_live, file, &e);
	assert_non_null(s);
	assert_true(s->block);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_live_supports__everything(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(snapshot_live.supports("/", &e), 1);
}

static void test_live_take__a_path_that_vanished_is_not_found(void **state)
{
	struct snapshot s = { .fd = -1 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(snapshot_live.take(&s, "/nonexistent/volume", &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	free(s.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_take__the_view_is_the_volume_itself_and_fuzzy),
		cmocka_unit_test(test_live_supports__everything),
		cmocka_unit_test(test_live_take__a_path_that_vanished_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
