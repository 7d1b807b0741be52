/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that is started has of us, and what not. */
#include "common/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/fd.h"
#include "tests/harness/harness.h"

/* What the line of shell writes to its standard output. */
static void run(const char *line, struct spawn s, char *ret, size_t max)
{
	const char *const argv[] = { "sh", "-c", line, NULL };
	int p[2], status;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	s.program = "/bin/sh";
	s.argv = argv;
	s.out = p[1];
	assert_int_equal(spawn_start(&s, &pid), 0);
	(void)close(p[1]);
	ssize_t n = fd_read_full(p[0], ret, max - 1);
	assert_true(n >= 0);
	ret[n] = '\0';
	(void)close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_spawn_start__only_named_descriptors_are_handed_on(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct spawn s = { .err = -1, .third = -1 };
	char said[256];

	(void)state;
	write_text(dir, "file", "hello");
	auto_free char *path = path_join(dir, "file");
	int kept = open(path, O_RDONLY); /* not closed by exec itself */
	assert_true(kept >= 3);
	run("for i in 3 4 5 6 7 8 9; do [ ! -e /proc/self/fd/$i ] || echo $i; done; cat", s, said,
	    sizeof(said));
	assert_string_equal(said, "");
	s.third = kept;
	run("cat <&3", s, said, sizeof(said));
	assert_string_equal(said, "hello");
	(void)close(kept);
}

static void test_spawn_start__standard_input_is_what_is_named(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char said[256];

	(void)state;
	write_text(dir, "file", "hello");
	auto_free char *path = path_join(dir, "file");
	const int in = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(in >= 3);
	run("cat; [ ! -e /proc/self/fd/3 ] && echo .",
	    (struct spawn){ .in = in, .err = -1, .third = -1 }, said, sizeof(said));
	assert_string_equal(said, "hello.\n");
	(void)close(in);
}

static void test_spawn_start__has_a_group_or_session_of_its_own(void **state)
{
	struct spawn s = { .err = -1, .third = -1 };
	char said[256];

	(void)state;
	run("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 != $$ ] && echo group", s, said,
	    sizeof(said));
	assert_string_equal(said, "group\n");
	s.session = true;
	run("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && echo session", s, said,
	    sizeof(said));
	assert_string_equal(said, "session\n");
}

static void test_spawn_start__signals_have_their_usual_effect(void **state)
{
	const struct spawn s = { .err = -1, .third = -1 };
	char said[256];
	sigset_t term;

	(void)state;
	const struct sigaction ignored = { .sa_handler = SIG_IGN },
			       usual = { .sa_handler = SIG_DFL };
	assert_int_equal(sigaction(SIGTERM, &ignored, NULL), 0);
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &term, NULL), 0);
	run("for s in TERM USR1; do sh -c \"kill -$s \\$\\$; echo alive\"; done 2>&-; echo $?", s,
	    said, sizeof(said));
	assert_string_equal(said, "138\n"); /* 128 and SIGUSR1 */
	assert_int_equal(sigaction(SIGTERM, &usual, NULL), 0);
	(void)sigprocmask(SIG_UNBLOCK, &term, NULL);
}

static void test_spawn_start__environment(void **state)
{
	const char *const env[] = { "GREETING=hello", NULL };
	const struct spawn s = { .env = env, .err = -1, .third = -1 };
	char said[256];

	(void)state;
	run("echo $GREETING${HOME-, no home}", s, said, sizeof(said));
	assert_string_equal(said, "hello, no home\n");
}

static void test_spawn_start__a_program_that_is_not_there(void **state)
{
	const char *const argv[] = { "x", NULL };
	struct spawn s = {
		.program = "/nonexistent/x", .argv = argv, .out = -1, .err = -1, .third = -1
	};
	pid_t pid;

	(void)state;
	assert_int_equal(spawn_start(&s, &pid), ENOENT);
	s.program = "/etc/passwd";
	assert_int_equal(spawn_start(&s, &pid), EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spawn_start__only_named_descriptors_are_handed_on),
		cmocka_unit_test(test_spawn_start__standard_input_is_what_is_named),
		cmocka_unit_test(test_spawn_start__has_a_group_or_session_of_its_own),
		cmocka_unit_test(test_spawn_start__signals_have_their_usual_effect),
		cmocka_unit_test(test_spawn_start__environment),
		cmocka_unit_test(test_spawn_start__a_program_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
