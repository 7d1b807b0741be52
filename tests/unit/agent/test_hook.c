/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: how they end, what is kept of what they say, and what they get from us. */
#include "agent/hook.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

static struct hook_result result;

static int run_line(const char *line, struct err *e)
{
	const struct hook h = { .phase = HOOK_PRE, .line = line };

	return hook_run(&h, NULL, 0, NULL, &result, e);
}

static void test_hook_run__a_line_is_for_the_shell(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("echo one; echo two >&2", &e), 0);
	assert_true(result.started);
	assert_int_equal(result.status, 0);
	assert_int_equal(result.signal, 0);
	assert_false(result.timed_out);
	assert_true(result.duration_ns > 0);
	assert_int_equal(result.written, 8);
	assert_non_null(strstr(result.output, "one\n"));
	assert_non_null(strstr(result.output, "two\n"));
	assert_int_equal(e.class, ERR_NONE);
}

static void test_hook_run__arguments_are_as_given(void **state)
{
	const char *const argv[] = { "printf", "%s|", "a b", "$HOME", "", NULL };
	const struct hook h = { .phase = HOOK_POST, .argv = argv };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hook_run(&h, NULL, 0, NULL, &result, &e), 0);
	assert_string_equal(result.output, "a b|$HOME||");
}

static void test_hook_run__another_status_is_an_error_with_the_last_line(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("echo first; echo 'no \033server'; echo; exit 3", &e), -1);
	assert_int_equal(result.status, 3);
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg,
	                    "the pre hook 'echo first; echo 'no \\x1bserver'; echo; exit 3' ended "
	                    "with status 3: no \\x1bserver");
}

static void test_hook_run__ended_by_a_signal(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("kill -USR1 $$", &e), -1);
	assert_int_equal(result.status, -1);
	assert_int_equal(result.signal, SIGUSR1);
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg, "the pre hook 'kill -USR1 $$' was ended by signal 10 (User "
	                           "defined signal 1)");
}

/* Opens the fifo DIR/alive, which is at its end once no hook has it open any more. */
static int open_alive(const char *dir)
{
	auto_free char *path = path_join(dir, "alive");

	if (mkfifo(path, 0600) < 0)
		harness_die("making a fifo failed");
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
		harness_die("opening a fifo failed");
	return fd;
}

/* Waits until all that had it open are gone. */
static void await_end(int alive)
{
	char c[64];

	while (read(alive, c, sizeof(c)) > 0)
		continue;
}

/* Runs the line with longer and longer limits, until it came to write `ready` before its end. */
static int run_until_ready(enum hook_phase phase, const char *line, unsigned grace_ms,
                           struct err *e)
{
	struct hook h = { .phase = phase, .line = line, .timeout_ms = 50, .grace_ms = grace_ms };
	int rc;

	do {
		*e = ERR_INIT;
		rc = hook_run(&h, NULL, 0, NULL, &result, e);
		h.timeout_ms *= 2;
	} while (!strstr(result.output, "ready\n") && h.timeout_ms < 100000);
	return rc;
}

static void test_hook_run__is_asked_to_end_at_the_limit(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int alive = open_alive(dir);
	auto_free char *line = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_true(asprintf(&line,
	                     "exec 9>'%s/alive'; mkfifo '%s/never.'$$; exec 8<>'%s/never.'$$; "
	                     "trap 'echo asked; exit 7' TERM; echo ready; read x <&8",
	                     dir, dir, dir) > 0);
	/* It does obey: all the time that it needs for that is given. */
	assert_int_equal(run_until_ready(HOOK_POST, line, 100000, &e), -1);
	assert_true(result.timed_out);
	assert_string_equal(result.output, "ready\nasked\n");
	assert_int_equal(result.status, 7);
	assert_int_equal(e.class, ERR_IO);
	assert_non_null(
		strstr(e.msg, "s and was killed; if it needs longer, raise --hook-timeout"));
	assert_non_null(strstr(e.msg, ": asked"));
	await_end(alive);
}

static void test_hook_run__a_group_that_ignores_it_is_killed(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int alive = open_alive(dir);
	auto_free char *line = NULL;
	struct err e = ERR_INIT;

	(void)state;
	/* A child and the command itself; both wait for what never comes. */
	assert_true(asprintf(&line,
	                     "exec 9>'%s/alive'; trap '' TERM; mkfifo '%s/never.'$$; "
	                     "(read x <'%s/never.'$$) & echo ready; read x <'%s/never.'$$",
	                     dir, dir, dir, dir) > 0);
	assert_int_equal(run_until_ready(HOOK_PRE, line, 50, &e), -1);
	assert_true(result.timed_out);
	assert_int_equal(result.status, -1);
	assert_int_equal(result.signal, SIGKILL);
	assert_int_equal(e.class, ERR_IO);
	await_end(alive);
}

static void test_hook_run__a_child_does_not_outlive_a_command_that_obeys(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int alive = open_alive(dir);
	auto_free char *line = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_true(asprintf(&line,
	                     "exec 9>'%s/alive'; mkfifo '%s/never.'$$; "
	                     "(trap '' TERM; echo ready; read x <'%s/never.'$$) & "
	                     "read x <'%s/never.'$$",
	                     dir, dir, dir, dir) > 0);
	assert_int_equal(run_until_ready(HOOK_PRE, line, 50, &e), -1);
	assert_true(result.timed_out);
	assert_int_equal(result.signal, SIGTERM);
	await_end(alive);
}

static void test_hook_run__what_is_left_behind_does_not_hold_us_up(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int alive = open_alive(dir);
	auto_free char *line = NULL;
	auto_free char *path = path_join(dir, "never");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(asprintf(&line, "exec 9>'%s/alive'; (read x <'%s') & echo done; exit 0", dir,
	                     path) > 0);
	assert_int_equal(run_line(line, &e), 0);
	assert_int_equal(result.status, 0);
	assert_non_null(strstr(result.output, "done\n"));
	/* It lives on until it gets what it waits for. */
	auto_close int never = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(never >= 0);
	assert_int_equal(write(never, "x\n", 2), 2);
	await_end(alive);
}

static void test_hook_run__of_a_flood_the_end_is_kept(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end", &e),
	                 0);
	assert_int_equal(result.written, 100000005);
	assert_int_equal(result.output_len, 8192);
	assert_int_equal(strlen(result.output), 8192);
	assert_string_equal(result.output + 8192 - 6, "x\nend\n");
	assert_int_equal(strspn(result.output, "x"), 8187);
	assert_int_equal(result.facts_lost, 0);
}

static void test_hook_run__binary_output_becomes_utf8(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("printf 'a\\000b\\377\\tc\\303\\244\\303\\n\\033[1m'", &e), 0);
	assert_string_equal(result.output, "a\\x00b\\xff\tc\xc3\xa4\\xc3\n\\x1b[1m");
	assert_int_equal(result.output_len, strlen(result.output));

	/* Each byte becomes four: the last 2048 of them fit. */
	assert_int_equal(run_line("head -c 9000 /dev/zero | tr '\\0' '\\377'", &e), 0);
	assert_int_equal(result.written, 9000);
	assert_int_equal(result.output_len, 8192);
	assert_memory_equal(result.output, "\\xff\\xff", 8);
}

static void test_hook_run__a_cut_leaves_whole_characters(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	/* 4097 characters of two bytes after one of one: the cut falls into the middle of one. */
	assert_int_equal(run_line("printf x; i=0; while [ $i -lt 4097 ]; do printf "
	                          "'\\303\\244'; i=$((i + 1)); done; printf y",
	                          &e),
	                 0);
	assert_int_equal(result.written, 8196);
	assert_int_equal(result.output_len, 8191);
	assert_memory_equal(result.output, "\xc3\xa4\xc3\xa4", 4);
	assert_string_equal(result.output + 8191 - 3, "\xc3\xa4y");
}

static void test_hook_run__no_such_program(void **state)
{
	const char *const argv[] = { "aksdr-there-is-none", "pre", NULL };
	const struct hook h = { .phase = HOOK_PRE, .argv = argv };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hook_run(&h, NULL, 0, NULL, &result, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_string_equal(e.msg,
	                    "the pre hook 'aksdr-there-is-none' was not started: there is no "
	                    "program 'aksdr-there-is-none' (or no interpreter for it); give its "
	                    "full path");
	assert_false(result.started);
	assert_int_equal(result.status, -1);

	e = ERR_INIT;
	assert_int_equal(run_line("aksdr-there-is-none pre", &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_true(result.started);
	assert_int_equal(result.status, 127);
}

static void test_hook_run__not_executable(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "recipe");
	const char *const argv[] = { path, NULL };
	const struct hook h = { .phase = HOOK_POST, .argv = argv };
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "recipe", "echo it runs\n");
	assert_int_equal(hook_run(&h, NULL, 0, NULL, &result, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "is not executable; chmod +x it"));
	assert_false(result.started);

	e = ERR_INIT;
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(hook_run(&h, NULL, 0, NULL, &result, &e), -1);
	assert_int_equal(e.class, ERR_DENIED);
	assert_non_null(strstr(e.msg, "it has no '#!' line"));
}

static void test_hook_run__no_command(void **state)
{
	const char *const argv[] = { NULL };
	const struct hook h = { .phase = HOOK_PRE, .argv = argv };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hook_run(&h, NULL, 0, NULL, &result, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg, "the pre hook has no command");
}

static void test_hook_run__facts_are_lines_of_standard_output(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("echo aksdr-fact recovery-position 0/3000060\n"
	                          "echo ' aksdr-fact indented no'\n"
	                          "echo aksdr-fact errors no >&2\n"
	                          "echo aksdr-fact gtid.1 a b  c\n"
	                          "echo aksdr-fact recovery-position 0/4000060\n"
	                          "echo aksdr-fact empty\n"
	                          "printf 'aksdr-fact last \\303\\244'",
	                          &e),
	                 0);
	assert_int_equal(result.nfacts, 4);
	assert_string_equal(result.facts[0].name, "recovery-position");
	assert_string_equal(result.facts[0].value, "0/4000060");
	assert_string_equal(result.facts[1].name, "gtid.1");
	assert_string_equal(result.facts[1].value, "a b c");
	assert_string_equal(result.facts[2].name, "empty");
	assert_string_equal(result.facts[2].value, "");
	assert_string_equal(result.facts[3].name, "last");
	assert_string_equal(result.facts[3].value, "\xc3\xa4");
	assert_int_equal(result.facts_lost, 0);
}

static void test_hook_run__facts_that_are_none_are_counted(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_line("echo aksdr-fact UPPER x\n"
	                          "echo 'aksdr-fact  two-blanks x'\n"
	                          "printf 'aksdr-fact control a\\033b\\n'\n"
	                          "printf 'aksdr-fact nul a\\000b\\n'\n"
	                          "printf 'aksdr-fact latin1 \\344\\n'\n"
	                          "printf 'aksdr-fact %065d x\\n' 0\n"
	                          "printf 'aksdr-fact long %0257d\\n' 0\n"
	                          "printf 'aksdr-fact longer %09000d\\n' 0\n"
	                          "printf 'aksdr-fact %064d %0256d\\n' 0 0",
	                          &e),
	                 0);
	assert_int_equal(result.facts_lost, 8);
	assert_int_equal(result.nfacts, 1);
	assert_int_equal(strlen(result.facts[0].name), 64);
	assert_int_equal(strlen(result.facts[0].value), 256);

	assert_int_equal(run_line("i=0; while [ $i -lt 40 ]; do echo aksdr-fact n$i $i; "
	                          "i=$((i + 1)); done",
	                          &e),
	                 0);
	assert_int_equal(result.nfacts, 32);
	assert_int_equal(result.facts_lost, 8);
	assert_string_equal(result.facts[31].value, "31");
}

static void test_hook_run__the_environment_has_no_secrets(void **state)
{
	static const char *const secrets[] = { "AKSDR_KEY", "AKSDR_PASSPHRASE_FILE",
		                               "AZURE_STORAGE_KEY", "AWS_SECRET_ACCESS_KEY" };
	const struct hook_var vars[] = { { "AKSDR_SET", "0011" },
		                         { "AKSDR_VOLUMES", "data wal" },
		                         { "AKSDR_RESULT", "captured" },
		                         { "GIVEN", "new" } };
	const struct hook post = { .phase = HOOK_POST, .line = "env" };
	const struct hook pre = { .phase = HOOK_PRE, .line = "env" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		assert_int_equal(setenv(secrets[i], "concealed-from-hooks", 1), 0);
	assert_int_equal(setenv("AKSDR_KEEP", "kept", 1), 0);
	assert_int_equal(setenv("AKSDR_RESULT", "stale", 1), 0);
	assert_int_equal(setenv("AKSDR_HOOK", "stale", 1), 0);
	assert_int_equal(setenv("GIVEN", "old", 1), 0);
	assert_int_equal(hook_run(&post, vars, 4, NULL, &result, &e), 0);
	assert_null(strstr(result.output, "concealed-from-hooks"));
	assert_null(strstr(result.output, "stale"));
	assert_null(strstr(result.output, "GIVEN=old"));
	assert_non_null(strstr(result.output, "GIVEN=new\n"));
	assert_non_null(strstr(result.output, "AKSDR_KEEP=kept\n"));
	assert_non_null(strstr(result.output, "AKSDR_HOOK=post\n"));
	assert_non_null(strstr(result.output, "AKSDR_SET=0011\n"));
	assert_non_null(strstr(result.output, "AKSDR_VOLUMES=data wal\n"));
	assert_non_null(strstr(result.output, "AKSDR_RESULT=captured\n"));
	assert_int_equal(hook_run(&pre, vars, 2, NULL, &result, &e), 0);
	assert_non_null(strstr(result.output, "AKSDR_HOOK=pre\n"));
	assert_null(strstr(result.output, "AKSDR_RESULT"));
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		assert_int_equal(unsetenv(secrets[i]), 0);
	assert_int_equal(unsetenv("AKSDR_RESULT"), 0);
	assert_int_equal(unsetenv("AKSDR_HOOK"), 0);
}

static void test_hook_run__a_variable_needs_a_name(void **state)
{
	const struct hook_var bad[] = { { "A=B", "x" }, { "", "x" } };
	const struct hook h = { .phase = HOOK_PRE, .line = "true" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(hook_run(&h, &bad[0], 1, NULL, &result, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(hook_run(&h, &bad[1], 1, NULL, &result, &e), -1);
	assert_false(result.started);
}

static void test_hook_run__gets_three_descriptors_and_a_session(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "open", "");
	auto_free char *path = path_join(dir, "open");
	auto_close int leaky = open(path, O_RDONLY); /* without O_CLOEXEC, on purpose */
	assert_true(leaky >= 0);
	assert_int_equal(run_line("ls /proc/$$/fd; readlink /proc/$$/fd/0; "
	                          "read -r pid name state parent group session rest "
	                          "</proc/$$/stat; "
	                          "[ $group = $$ ] && [ $session = $$ ] && echo leads",
	                          &e),
	                 0);
	assert_string_equal(result.output, "0\n1\n2\n/dev/null\nleads\n");
}

static void test_hook_run__signals_are_as_at_birth(void **state)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction old;
	sigset_t block, before;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, &ignore, &old), 0);
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGUSR2);
	assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
	/* Those of the library itself, 32 and 33, are its own affair. */
	assert_int_equal(run_line("while read -r name mask; do case $name in SigBlk: | SigIgn:) "
	                          "echo $name $((0x$mask & 0x7fffffff)) ;; esac; "
	                          "done </proc/$$/status",
	                          &e),
	                 0);
	assert_string_equal(result.output, "SigBlk: 0\nSigIgn: 0\n");
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
}

static void test_hook_run__a_cancel_ends_a_pre_hook(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int alive = open_alive(dir);
	auto_free char *line = NULL;
	struct cancel cancel;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	assert_true(asprintf(&line, "exec 9>'%s/alive'; mkfifo '%s/never'; read x <'%s/never'", dir,
	                     dir, dir) > 0);
	const struct hook h = { .phase = HOOK_PRE, .line = line, .timeout_ms = 600000 };
	assert_int_equal(hook_run(&h, NULL, 0, &cancel, &result, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	assert_true(result.cancelled);
	assert_false(result.timed_out);
	assert_int_equal(result.signal, SIGTERM);
	await_end(alive);
	cancel_clear(&cancel);
}

static void test_hook_run__a_cancel_does_not_end_a_post_hook(void **state)
{
	const struct hook h = { .phase = HOOK_POST, .line = "echo undone" };
	struct cancel cancel;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(hook_run(&h, NULL, 0, &cancel, &result, &e), 0);
	assert_string_equal(result.output, "undone\n");
	assert_false(result.cancelled);
	cancel_clear(&cancel);
}

static void test_hook_phase_name__is_what_hooks_are_told(void **state)
{
	(void)state;
	assert_string_equal(hook_phase_name(HOOK_PRE), "pre");
	assert_string_equal(hook_phase_name(HOOK_POST), "post");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_run__a_line_is_for_the_shell),
		cmocka_unit_test(test_hook_run__arguments_are_as_given),
		cmocka_unit_test(test_hook_run__another_status_is_an_error_with_the_last_line),
		cmocka_unit_test(test_hook_run__ended_by_a_signal),
		cmocka_unit_test(test_hook_run__is_asked_to_end_at_the_limit),
		cmocka_unit_test(test_hook_run__a_group_that_ignores_it_is_killed),
		cmocka_unit_test(test_hook_run__a_child_does_not_outlive_a_command_that_obeys),
		cmocka_unit_test(test_hook_run__what_is_left_behind_does_not_hold_us_up),
		cmocka_unit_test(test_hook_run__of_a_flood_the_end_is_kept),
		cmocka_unit_test(test_hook_run__binary_output_becomes_utf8),
		cmocka_unit_test(test_hook_run__a_cut_leaves_whole_characters),
		cmocka_unit_test(test_hook_run__no_such_program),
		cmocka_unit_test(test_hook_run__not_executable),
		cmocka_unit_test(test_hook_run__no_command),
		cmocka_unit_test(test_hook_run__facts_are_lines_of_standard_output),
		cmocka_unit_test(test_hook_run__facts_that_are_none_are_counted),
		cmocka_unit_test(test_hook_run__the_environment_has_no_secrets),
		cmocka_unit_test(test_hook_run__a_variable_needs_a_name),
		cmocka_unit_test(test_hook_run__gets_three_descriptors_and_a_session),
		cmocka_unit_test(test_hook_run__signals_are_as_at_birth),
		cmocka_unit_test(test_hook_run__a_cancel_ends_a_pre_hook),
		cmocka_unit_test(test_hook_run__a_cancel_does_not_end_a_post_hook),
		cmocka_unit_test(test_hook_phase_name__is_what_hooks_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
