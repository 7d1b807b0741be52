/* SPDX-License-Identifier: Apache-2.0 */
/* Where snapshots are noted. */
#include "agent/workplace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/secret.h"
#include "tests/harness/harness.h"

static void test_workplace_open__makes_what_is_missing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *at = path_join(dir, "a/b");
	auto_free char *views = path_join(at, "views");
	struct workplace w;
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(workplace_open(at, &w, &e), 0);
		assert_string_equal(w.scratch, views);
		workplace_close(&w);
	}
	assert_int_equal(stat(views, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_workplace_open__a_place_that_cannot_be_is_an_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *below_file = path_join(dir, "file/state");
	struct workplace w;
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "file", "x");
	assert_int_equal(workplace_open(below_file, &w, &e), -1);
	assert_non_null(strstr(e.msg, "file/state"));
	assert_int_equal(workplace_open("", &w, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_workplace_tidy__a_note_of_a_driver_that_is_not_known_stays(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct workplace w;
	struct err e = ERR_INIT;
	size_t removed = 9;

	(void)state;
	assert_int_equal(workplace_open(dir, &w, &e), 0);
	assert_int_equal(workplace_tidy(&w, &removed, &e), 0);
	assert_int_equal(removed, 0);
	struct journal_note *n = journal_add(w.journal, "newer", "something", &e);
	assert_non_null(n);
	journal_leave(n);
	assert_int_equal(workplace_tidy(&w, &removed, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "'newer'"));
	assert_int_equal(removed, 0);
	workplace_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workplace_open__makes_what_is_missing),
		cmocka_unit_test(test_workplace_open__a_place_that_cannot_be_is_an_error),
		cmocka_unit_test(test_workplace_tidy__a_note_of_a_driver_that_is_not_known_stays),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
