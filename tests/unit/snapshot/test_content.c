/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file that stays as it is, and one that does not. */
#include "snapshot/content.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "common/fd.h"
#include "common/now.h"
#include "tests/harness/harness.h"

int64_t __real_now_wall_ns(void);
int64_t __wrap_now_wall_ns(void);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                           struct timespec *rest);

/* What the clock shows (0: the time that it is), its jump at each look, and what was waited. */
static int64_t clock_shows, clock_jumps;
static int64_t waited_ns;
static int interrupts;                /* by so many signals that waiting is begun again */
static const char *written_meanwhile; /* the file that somebody writes to while we wait */

int64_t __wrap_now_wall_ns(void)
{
	if (!clock_shows)
		return __real_now_wall_ns();
	clock_shows += clock_jumps;
	return clock_shows - clock_jumps;
}

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                           struct timespec *rest)
{
	(void)rest;
	assert_int_equal(clock, CLOCK_MONOTONIC);
	assert_int_equal(flags, TIMER_ABSTIME);
	if (interrupts > 0) {
		interrupts--;
		return EINTR;
	}
	waited_ns = t->tv_sec * 1000000000 + t->tv_nsec;
	if (written_meanwhile) {
		auto_close int fd = open(written_meanwhile, O_WRONLY | O_CLOEXEC);

		assert_int_equal(write(fd, "longer text", 11), 11);
	}
	return 0;
}

static void count(void *arg)
{
	int *n = arg;

	(*n)++;
}

static struct content *open_content(const char *dir, const char *name, int *done)
{
	auto_free char *path = path_join(dir, name);
	struct content *c = calloc(1, sizeof(*c));
	struct statx stx;

	assert_non_null(c);
	c->fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(below_stat(c->fd, "", &stx), 0);
	below_plain_stat(&stx, &c->st);
	c->sparse = stx.stx_blocks * 512 < stx.stx_size;
	c->name = "the-file";
	c->done = count;
	c->arg = done;
	content_start(c);
	return c;
}

static void test_content_read__gives_bytes_up_to_the_end(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	char p[16];
	int done = 0;
	struct entry_stat st;
	bool changed = true;

	(void)state;
	write_text(dir, "f", "hello world");
	struct content *c = open_content(dir, "f", &done);
	assert_int_equal(content_read(c, p, 5, 0, &e), 5);
	assert_memory_equal(p, "hello", 5);
	assert_int_equal(content_read(c, p, sizeof(p), 6, &e), 5);
	assert_memory_equal(p, "world", 5);
	assert_int_equal(content_read(c, p, sizeof(p), 11, &e), 0);
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(st.size, 11);
	assert_int_equal(done, 1);
}

static void test_content_read__says_what_failed_and_where(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	char p[4];
	int done = 0;
	struct entry_stat st;
	bool changed;

	(void)state;
	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	int good = c->fd;
	c->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* reading a directory is EISDIR */
	assert_int_equal(content_read(c, p, sizeof(p), 3, &e), -1);
	assert_int_equal(e.os, EISDIR);
	assert_non_null(strstr(e.msg, "reading 'the-file' at byte 3"));
	close(c->fd);
	c->fd = good;
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
}

/* How long a file is waited for that changed `age_ms` ago by a clock that goes on by `jump_ms`. */
static int64_t settle(int64_t age_ms, int64_t jump_ms, bool live, const char *writes, bool young)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	struct err e = ERR_INIT;
	int done = 0;
	struct entry_stat st;
	bool changed;

	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	int64_t ctime_ns = c->st.ctime.s * 1000000000 + c->st.ctime.ns;
	c->live = live;
	clock_shows = ctime_ns + age_ms * 1000000;
	clock_jumps = jump_ms * 1000000;
	waited_ns = 0;
	written_meanwhile = writes ? path : NULL;
	int64_t before_ns = now_mono_ns();
	assert_int_equal(content_settle(c, &e), 0);
	int64_t after_ns = now_mono_ns();
	assert_int_equal(c->st.size, writes ? 11 : 5); /* what is read is the file as it is now */
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
	assert_int_equal(changed, young);
	if (waited_ns == 0)
		return 0;
	/* Between two looks at the clock, so the wait is known to as much as lies between them. */
	assert_in_range(waited_ns - before_ns, 0, 100000000 + (after_ns - before_ns));
	return waited_ns - before_ns;
}

static void test_content_settle__what_changed_long_ago_is_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(settle(100, 0, true, NULL, false), 0);
	/* by a clock that is ahead of ours */
	assert_int_equal(settle(-3600000, 0, true, NULL, false), 0);
	assert_int_equal(settle(0, 0, false, NULL, false), 0); /* nobody can write to it */
}

static void test_content_settle__what_changed_just_now_is_waited_for_once(void **state)
{
	(void)state;
	assert_true(settle(30, 71, true, NULL, false) >= 70000000);
	assert_true(settle(0, 100, true, NULL, false) >= 100000000);
	interrupts = 3;
	assert_true(settle(0, 100, true, NULL, false) >= 100000000);
	assert_int_equal(interrupts, 0);
}

/* Else a file that nobody writes to would be told as changed, since it is young again. */
static void test_content_settle__a_clock_that_is_set_back_changes_no_file(void **state)
{
	(void)state;
	assert_true(settle(60, -40, true, NULL, false) >= 40000000);
}

/* Nothing may tell of a write that is under way, so whoever still writes is believed to. */
static void test_content_settle__what_is_written_meanwhile_counts_as_changed(void **state)
{
	(void)state;
	(void)settle(30, 70, true, "f", true);
}

static void test_content_data__holes_of_a_sparse_file_are_told(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	auto_free char *path = path_join(dir, "f");
	int done = 0;
	uint64_t start, end;
	struct entry_stat st;
	bool changed;

	(void)state;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, "x", 1, 4 * MIB), 0);
	close(fd);
	struct content *c = open_content(dir, "f", &done);
	assert_true(c->sparse);
	assert_int_equal(content_data(c, 0, &start, &end, &e), 0);
	assert_int_equal(start, 4 * MIB);
	assert_true(end > start && end < 8 * MIB);
	c->drop = true;
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
	assert_false(changed);
}

struct asked {
	struct content_diff pub;
	int times, fails;
	bool knows;
};

static int find(struct content_diff *d, int fd, const char *path, struct ranges **ret,
                struct err *e)
{
	struct asked *a = (struct asked *)d;

	(void)fd;
	assert_string_equal(path, "the-file");
	a->times++;
	if (a->fails-- > 0)
		return err_set(e, ERR_IO, "a bad disk");
	*ret = a->knows ? ranges_new() : NULL;
	return a->knows ? ranges_add(*ret, 2, 4) : 0;
}

static void test_content_changed__the_base_is_asked_once(void **state)
{
	struct asked a = { .pub = { .find = find }, .fails = 1, .knows = true };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	int done = 0;
	uint64_t start, end;
	struct entry_stat st;
	bool changed, known = false;

	(void)state;
	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	c->diff = &a.pub;
	assert_int_equal(content_changed(c, 0, &known, &start, &end, &e), -1);
	assert_string_equal(e.msg, "finding what changed in 'the-file': a bad disk");
	assert_int_equal(content_changed(c, 0, &known, &start, &end, &e), 0);
	assert_true(known && start == 2 && end == 4);
	assert_int_equal(content_changed(c, 4, &known, &start, &end, &e), 0);
	assert_true(known && start == 5 && end == 5);
	assert_int_equal(a.times, 2);
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
}

static void test_content_changed__without_a_base_all_may_have(void **state)
{
	struct asked a = { .pub = { .find = find } };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	int done = 0;
	uint64_t start, end;
	struct entry_stat st;
	bool changed, known = true;

	(void)state;
	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	assert_int_equal(content_changed(c, 1, &known, &start, &end, &e), 0);
	assert_true(!known && start == 1 && end == 5);
	c->diff = &a.pub;
	known = true;
	assert_int_equal(content_changed(c, 1, &known, &start, &end, &e), 0);
	assert_int_equal(content_changed(c, 9, &known, &start, &end, &e), 0);
	assert_true(!known && start == 5 && end == 5);
	assert_int_equal(a.times, 1);
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
}

static void test_content_data__a_full_file_needs_no_question(void **state)
{
	struct content c = { .fd = -1, .st.size = 100, .name = "the-file" };
	struct err e = ERR_INIT;
	uint64_t start, end;

	(void)state;
	assert_int_equal(content_data(&c, 0, &start, &end, &e), 0);
	assert_int_equal(start, 0);
	assert_int_equal(end, 100);
	assert_int_equal(content_data(&c, 200, &start, &end, &e), 0);
	assert_int_equal(start, 100);
	c.sparse = true;
	assert_int_equal(content_data(&c, 7, &start, &end, &e), -1);
	assert_int_equal(e.os, EBADF);
	assert_non_null(strstr(e.msg, "'the-file' from byte 7"));
}

static void assert_changed(void (*change)(int fd), bool expected)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	int done = 0;
	struct entry_stat st;
	bool changed = !expected;

	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	change(c->fd);
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
	assert_int_equal(changed, expected);
	assert_int_equal(done, 1);
}

static void leave(int fd)
{
	(void)fd;
}

static void grow(int fd)
{
	assert_int_equal(fd_pwrite_full(fd, "!", 1, 5), 0);
}

static void shrink(int fd)
{
	assert_int_equal(ftruncate(fd, 2), 0);
}

/* Same size, and the old time of modification put back: ctime gives it away. */
static void rewrite_secretly(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	const struct timespec old[2] = { st.st_atim, st.st_mtim };
	const struct timespec other[2] = { st.st_atim, { .tv_sec = 1 } };
	assert_int_equal(fd_pwrite_full(fd, "jello", 5, 0), 0);
	do { /* until the clock that stamps files has moved on */
		assert_int_equal(futimens(fd, other), 0);
		assert_int_equal(futimens(fd, old), 0);
		struct stat now;
		assert_int_equal(fstat(fd, &now), 0);
		if (now.st_ctim.tv_sec != st.st_ctim.tv_sec ||
		    now.st_ctim.tv_nsec != st.st_ctim.tv_nsec)
			break;
	} while (true);
}

static void test_content_close__sees_every_change(void **state)
{
	(void)state;
	assert_changed(leave, false);
	assert_changed(grow, true);
	assert_changed(shrink, true);
	assert_changed(rewrite_secretly, true);
}

static void test_content_close__a_device_has_no_times(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	int done = 0;
	struct entry_stat st;
	bool changed = true;

	(void)state;
	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	c->device = true;
	grow(c->fd);
	assert_int_equal(content_close(c, &st, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(st.size, 5);
}

static void test_content_close__closes_and_tells_when_the_look_fails(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	int done = 0;
	struct entry_stat st;
	bool changed;

	(void)state;
	write_text(dir, "f", "hello");
	struct content *c = open_content(dir, "f", &done);
	close(c->fd);
	assert_int_equal(content_close(c, &st, &changed, &e), -1);
	assert_int_equal(e.os, EBADF);
	assert_int_equal(done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content_read__gives_bytes_up_to_the_end),
		cmocka_unit_test(test_content_read__says_what_failed_and_where),
		cmocka_unit_test(test_content_settle__what_changed_long_ago_is_not_waited_for),
		cmocka_unit_test(test_content_settle__what_changed_just_now_is_waited_for_once),
		cmocka_unit_test(test_content_settle__a_clock_that_is_set_back_changes_no_file),
		cmocka_unit_test(test_content_settle__what_is_written_meanwhile_counts_as_changed),
		cmocka_unit_test(test_content_data__holes_of_a_sparse_file_are_told),
		cmocka_unit_test(test_content_changed__the_base_is_asked_once),
		cmocka_unit_test(test_content_changed__without_a_base_all_may_have),
		cmocka_unit_test(test_content_data__a_full_file_needs_no_question),
		cmocka_unit_test(test_content_close__sees_every_change),
		cmocka_unit_test(test_content_close__a_device_has_no_times),
		cmocka_unit_test(test_content_close__closes_and_tells_when_the_look_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
