/* SPDX-License-Identifier: Apache-2.0 */
/* The line of a long job, and the thread that draws it. */
#include "common/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

#define MIB64 ((uint64_t)1 << 20)

static void check(const struct progress_counts *c, int64_t elapsed_ms, unsigned columns,
                  const char *want)
{
	char line[512];

	progress_line(line, sizeof(line), "backing up 'data'", c, elapsed_ms, columns);
	assert_string_equal(line, want);
}

static void test_progress_line__shows_all_when_there_is_room(void **state)
{
	const struct progress_counts c = { .bytes_total = 3072 * MIB64,
		                           .bytes_done = 1024 * MIB64,
		                           .files_total = 31000,
		                           .files_done = 12345,
		                           .bytes_stored = 500 * MIB64,
		                           .errors = 2 };

	(void)state;
	check(&c, 5120, 200,
	      "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  200.0 MiB/s  10s left  "
	      "12345 of 31000 files  500.0 MiB stored  2 errors");
}

static void test_progress_line__drops_the_least_important_first(void **state)
{
	const struct progress_counts c = { .bytes_total = 3072 * MIB64,
		                           .bytes_done = 1024 * MIB64,
		                           .files_total = 31000,
		                           .files_done = 12345,
		                           .bytes_stored = 500 * MIB64,
		                           .errors = 1 };

	(void)state;
	check(&c, 5120, 115,
	      "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  200.0 MiB/s  10s left  "
	      "12345 of 31000 files  500.0 MiB stored  1 error");
	check(&c, 5120, 114,
	      "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  200.0 MiB/s  10s left  "
	      "12345 of 31000 files  1 error");
	check(&c, 5120, 96,
	      "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  200.0 MiB/s  10s left  1 error");
	check(&c, 5120, 74, "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  10s left  1 error");
	check(&c, 5120, 61, "backing up 'data'  33 %  1.0 GiB of 3.0 GiB  10s left");
	check(&c, 5120, 52, "backing up 'data'  33 %  10s left");
	check(&c, 5120, 32, "backing up 'data'  33 %");
	check(&c, 5120, 22, "backing up 'data'");
	check(&c, 5120, 7, "backing");
	check(&c, 5120, 0, "");
}

static void test_progress_line__without_a_total_there_is_no_share(void **state)
{
	const struct progress_counts c = { .bytes_done = 10 * MIB64, .files_done = 1 };
	const struct progress_counts none = { 0 };

	(void)state;
	check(&c, 1000, 200, "backing up 'data'  10.0 MiB  10.0 MiB/s  1 files");
	check(&none, 1, 200, "backing up 'data'  0 B  0 B/s  0 files");
}

static void test_progress_line__a_total_that_was_too_small_grows(void **state)
{
	const struct progress_counts c = { .bytes_total = 10 * MIB64, .bytes_done = 12 * MIB64 };

	(void)state;
	check(&c, 1000, 200, "backing up 'data'  100 %  12.0 MiB of 12.0 MiB  12.0 MiB/s  0 files");
}

static void test_progress_line__survives_absurd_counts(void **state)
{
	const struct progress_counts c = { .bytes_total = UINT64_MAX,
		                           .bytes_done = UINT64_MAX - 1,
		                           .files_total = UINT64_MAX,
		                           .files_done = UINT64_MAX,
		                           .bytes_stored = UINT64_MAX,
		                           .errors = UINT64_MAX };
	char line[512];
	char tiny[8];

	(void)state;
	progress_line(line, sizeof(line), "v", &c, 1, 1000);
	assert_non_null(strstr(line, "18446744073709551615 of 18446744073709551615 files"));
	progress_line(tiny, sizeof(tiny), "verb", &c, INT64_MAX, 1000);
	assert_string_equal(tiny, "verb  1");
}

static void test_progress_line__names_break_nothing(void **state)
{
	const struct progress_counts c = { 0 };
	char line[512];

	(void)state;
	progress_line(line, sizeof(line), "a\x1b[31m\n\x7f", &c, 1, 100);
	assert_string_equal(line, "a?[31m??  0 B  0 B/s  0 files");
	/* a column is a character, not a byte */
	progress_line(line, sizeof(line), "\xc3\xa9\xc3\xa9\xc3\xa9", &c, 1, 2);
	assert_string_equal(line, "\xc3\xa9\xc3\xa9");
	progress_line(line, sizeof(line), "\xc3\xa9\xc3\xa9\xc3\xa9", &c, 1, 8);
	assert_string_equal(line, "\xc3\xa9\xc3\xa9\xc3\xa9  0 B");
}

static const struct progress_counts some = { .bytes_total = 2 * MIB64,
	                                     .bytes_done = MIB64,
	                                     .files_done = 3 };

static void test_progress_start__never_means_none(void **state)
{
	(void)state;
	assert_null(progress_start("v", PROGRESS_NEVER, &some));
	progress_stop(NULL);
}

static int stop_at_once(void *arg)
{
	const enum progress_mode *mode = arg;
	struct progress *p = progress_start("backing up", *mode, &some);

	progress_stop(p);
	return p ? 0 : 1;
}

static void test_progress_stop__clears_the_line(void **state)
{
	enum progress_mode mode = PROGRESS_ALWAYS;
	auto_run struct harness_run r = harness_run(stop_at_once, &mode);

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "\r\033[K");
}

static void test_progress_stop__writes_nothing_where_no_line_is_drawn(void **state)
{
	enum progress_mode mode = PROGRESS_AUTO; /* stderr is a file there */
	auto_run struct harness_run r = harness_run(stop_at_once, &mode);

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "");
}

/* Reads from fd into text until it holds want. 0, or -1 at the end or after 60 s. */
static int read_until(int fd, char *text, size_t max, const char *want)
{
	size_t n = 0;

	while (!strstr(text, want)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (n + 1 >= max || poll(&p, 1, 60000) != 1)
			return -1;
		ssize_t got = read(fd, text + n, max - 1 - n);
		if (got <= 0)
			return -1;
		n += (size_t)got;
		text[n] = '\0';
	}
	return 0;
}

/* Progress on a terminal of 40 columns, with a log line in between. */
static int on_terminal(void *arg)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 40 };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char text[100000] = "";

	(void)arg;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return 77;
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0 || dup2(slave, 2) < 0)
		return 77;
	log_setup(LOG_INFO, LOG_TEXT);
	struct progress *p = progress_start_every("restoring", PROGRESS_AUTO, &some, 1);
	if (!p || read_until(master, text, sizeof(text), "\rrestoring  50 %  ") < 0 ||
	    strstr(text, "1.0 MiB of"))
		return 1;
	text[0] = '\0';
	log_info("hello");
	if (read_until(master, text, sizeof(text), "info hello\r\n") < 0)
		return 2;
	char *line = strstr(text, "info hello");
	if (line - text < 13 || strncmp(line - 13, "\r\033[K", 4) != 0)
		return 3;
	progress_stop(p);
	text[0] = '\0';
	log_info("after");
	return read_until(master, text, sizeof(text), "info after") == 0 ? 0 : 4;
}

static void test_progress_start__draws_on_a_terminal(void **state)
{
	auto_run struct harness_run r = harness_run(on_terminal, NULL);

	(void)state;
	if (r.status == 77)
		skip(); /* no pseudo-terminals here */
	assert_int_equal(r.status, 0);
}

/* Progress where standard error is a pipe: log lines, or the line when it is asked for. */
static int on_pipe(void *arg)
{
	const enum progress_mode *mode = arg;
	char text[100000] = "";
	int fds[2];

	if (pipe(fds) < 0 || dup2(fds[1], 2) < 0)
		return 1;
	log_setup(LOG_INFO, LOG_TEXT);
	struct progress *p = progress_start_every("backing up 'x'", *mode, &some, 1);
	const char *want =
		*mode == PROGRESS_ALWAYS
			? "\rbacking up 'x'  50 %  1.0 MiB of 2.0 MiB  "
			: "info progress what=\"backing up 'x'\" bytes_done=1048576 "
			  "bytes_total=2097152 files_done=3 files_total=0 bytes_stored=0 errors=0 ";
	int r = read_until(fds[0], text, sizeof(text), want);
	progress_stop(p);
	return r < 0 ? 2 : 0;
}

static void test_progress_start__logs_elsewhere(void **state)
{
	enum progress_mode mode = PROGRESS_AUTO;
	auto_run struct harness_run r = harness_run(on_pipe, &mode);

	(void)state;
	assert_int_equal(r.status, 0);
}

static void test_progress_start__always_draws_anywhere(void **state)
{
	enum progress_mode mode = PROGRESS_ALWAYS;
	auto_run struct harness_run r = harness_run(on_pipe, &mode);

	(void)state;
	assert_int_equal(r.status, 0);
}

static int fail_nth(void *arg, enum syshook_call call, int flags)
{
	int *left = arg;

	(void)flags;
	return call == HOOK_ALLOC && (*left)-- == 0 ? 12 /* ENOMEM */ : 0;
}

static void test_progress_start__works_without_memory(void **state)
{
	(void)state;
	for (int n = 0; n < 2; n++) {
		int left = n;

		syshook_set(fail_nth, &left);
		struct progress *p = progress_start("v", PROGRESS_ALWAYS, &some);
		syshook_set(NULL, NULL);
		assert_null(p);
		progress_stop(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress_line__shows_all_when_there_is_room),
		cmocka_unit_test(test_progress_line__drops_the_least_important_first),
		cmocka_unit_test(test_progress_line__without_a_total_there_is_no_share),
		cmocka_unit_test(test_progress_line__a_total_that_was_too_small_grows),
		cmocka_unit_test(test_progress_line__survives_absurd_counts),
		cmocka_unit_test(test_progress_line__names_break_nothing),
		cmocka_unit_test(test_progress_start__never_means_none),
		cmocka_unit_test(test_progress_stop__clears_the_line),
		cmocka_unit_test(test_progress_stop__writes_nothing_where_no_line_is_drawn),
		cmocka_unit_test(test_progress_start__draws_on_a_terminal),
		cmocka_unit_test(test_progress_start__logs_elsewhere),
		cmocka_unit_test(test_progress_start__always_draws_anywhere),
		cmocka_unit_test(test_progress_start__works_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
