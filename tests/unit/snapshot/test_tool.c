/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the system: their output, their failures, their time. */
#include "snapshot/tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static int shell(const char *script, unsigned timeout_ms, struct buf *out, struct err *e)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	const struct tool t = {
		.argv = argv, .timeout_ms = timeout_ms, .sink = out ? tool_keep : NULL, .arg = out
	};

	return tool_run(&t, e);
}

static void test_tool_run__gives_the_output(void **state)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(MIB);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(shell("echo one; echo two; echo three >&2", 60000, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), "one\ntwo\n");
	assert_int_equal(shell("echo one", 60000, NULL, &e), 0);
	buf_reset(&out);
	assert_int_equal(shell("head -c 500000 /dev/zero", 60000, &out, &e), 0);
	assert_int_equal(out.len, 500000);
	buf_reset(&out);
	assert_int_equal(shell("echo $LC_ALL $TZ $HOME; cat", 60000, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), "C UTC\n");
}

static void test_tool_run__a_failure_says_what_it_said(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(shell("echo first >&2; echo '  no such volume' >&2; echo 'try help' >&2; "
	                       "exit 5",
	                       60000, NULL, &e),
	                 -1);
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg, "'sh' failed with exit status 5: no such volume try help");
	assert_int_equal(shell("exit 3", 60000, NULL, &e), -1);
	assert_string_equal(e.msg, "'sh' failed with exit status 3: it does not say why");
	assert_int_equal(shell("printf 'a\\001b' >&2; exit 3", 60000, NULL, &e), -1);
	assert_string_equal(e.msg, "'sh' failed with exit status 3: a\\x01b");
	assert_int_equal(shell("kill -9 $$", 60000, NULL, &e), -1);
	assert_string_equal(e.msg, "'sh' was ended by signal 9");
}

static void test_tool_run__what_is_not_installed(void **state)
{
	const char *argv[] = { "aksdr-no-such-program", NULL };
	const struct tool t = { .argv = argv, .timeout_ms = 1000 };
	struct err e = ERR_INIT;

	(void)state;
	assert_true(tool_exists("sh"));
	assert_false(tool_exists("aksdr-no-such-program"));
	assert_int_equal(tool_run(&t, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
}

static void test_tool_run__what_takes_too_long_is_ended(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(shell("exec sleep 600", 1, NULL, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_non_null(strstr(e.msg, "'sh' took longer than"));
}

static void test_tool_run__more_output_than_wanted_ends_it(void **state)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(shell("exec cat /dev/zero", 60000, &out, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_tool_run__does_not_wait_for_what_it_started(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *script = NULL;
	CLEANUP(buf_clear) struct buf out = BUF_INIT(MIB);
	struct err e = ERR_INIT;

	(void)state;
	/* It holds on to the pipe until the directory is gone. */
	assert_true(asprintf(&script, "(while [ -d '%s' ]; do sleep 0.1; done) & echo done", dir) >
	            0);
	assert_int_equal(shell(script, 60000, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), "done\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tool_run__gives_the_output),
		cmocka_unit_test(test_tool_run__a_failure_says_what_it_said),
		cmocka_unit_test(test_tool_run__what_is_not_installed),
		cmocka_unit_test(test_tool_run__what_takes_too_long_is_ended),
		cmocka_unit_test(test_tool_run__more_output_than_wanted_ends_it),
		cmocka_unit_test(test_tool_run__does_not_wait_for_what_it_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
