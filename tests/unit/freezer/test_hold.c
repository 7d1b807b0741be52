/* SPDX-License-Identifier: Apache-2.0 */
/* One freeze and its processes, as the loop of the freezer uses it. */
#include "freezer/hold.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "tests/unit/snapshot/mounts.h"

#define LONG_MS 60000

static bool private; /* mounts are our own */

/* Waits for news until the freeze is in this state. */
static void wait_for(struct hold *h, enum hold_state state)
{
	while (hold_step(h) != state) {
		struct hold_fds fds = hold_fds(h);
		struct pollfd p[2] = { { .fd = fds.holder, .events = POLLIN },
			               { .fd = fds.guard, .events = POLLIN } };

		assert_true(poll(p, 2, -1) > 0);
	}
}

static bool is_frozen(int fd)
{
	if (ioctl(fd, FIFREEZE, 0) < 0)
		return errno == EBUSY;
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	return false;
}

static const char *with_mount(const char *(*fn)(int fd))
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *at = path_join(dir, "mnt");
	const char *why = "no mounts or no loop devices here";

	if (private && mounts_loop(dir, "mkfs.ext4", NULL, NULL)) {
		auto_close int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		why = fn(fd);
		(void)ioctl(fd, FITHAW, 0);
	}
	mounts_undo(dir, "mnt");
	return why;
}

static const char *asked(int fd)
{
	struct err e = ERR_INIT;
	struct hold *h = hold_start(&fd, 1, LONG_MS, -1, &e);

	assert_non_null(h);
	wait_for(h, HOLD_FROZEN);
	assert_int_equal(hold_result(h).why, HOLD_ON);
	assert_true(is_frozen(fd));
	assert_false(hold_is_late(h));
	hold_end(h, HOLD_ASKED);
	wait_for(h, HOLD_ENDED);
	struct hold_result r = hold_result(h);
	assert_int_equal(r.why, HOLD_ASKED);
	assert_true(!r.others && r.thaw_os == 0);
	struct freezer_times t = hold_times(h, 0);
	assert_true(t.asked_ns <= t.frozen_ns && t.frozen_ns <= t.thawed_ns);
	assert_false(is_frozen(fd));
	hold_end(h, HOLD_STOP); /* too late to count */
	assert_int_equal(hold_step(h), HOLD_ENDED);
	assert_int_equal(hold_result(h).why, HOLD_ASKED);
	hold_free(h);
	return NULL;
}

static void test_hold_end__thaws_for_the_first_reason(void **state)
{
	(void)state;
	left_out(with_mount(asked));
}

static const char *refused(int fd)
{
	auto_close int proc = open("/proc", O_RDONLY | O_CLOEXEC);
	struct err e = ERR_INIT;
	struct hold *h = hold_start((int[]){ fd, proc }, 2, LONG_MS, -1, &e);

	assert_non_null(h);
	wait_for(h, HOLD_ENDED);
	struct hold_result r = hold_result(h);
	assert_int_equal(r.why, HOLD_REFUSED);
	assert_int_equal(r.at, 1);
	assert_int_equal(r.os, EOPNOTSUPP);
	assert_false(is_frozen(fd));
	hold_free(h);
	return NULL;
}

static void test_hold_start__one_that_cannot_be_frozen_ends_it(void **state)
{
	(void)state;
	left_out(with_mount(refused));
}

static const char *freed(int fd)
{
	struct err e = ERR_INIT;
	struct hold *h = hold_start(&fd, 1, LONG_MS, -1, &e);

	assert_non_null(h);
	wait_for(h, HOLD_FROZEN);
	hold_free(h);
	assert_false(is_frozen(fd));
	return NULL;
}

static void test_hold_free__does_not_return_before_the_thaw(void **state)
{
	(void)state;
	left_out(with_mount(freed));
}

static const char *left(int fd)
{
	struct err e = ERR_INIT;
	struct hold *h = hold_start(&fd, 1, LONG_MS, -1, &e);

	assert_non_null(h);
	wait_for(h, HOLD_FROZEN);
	hold_leave(h);
	/* its processes thaw: the write waits for that */
	auto_close int file = openat(fd, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return NULL;
}

static void test_hold_leave__leaves_the_thaw_to_its_processes(void **state)
{
	(void)state;
	left_out(with_mount(left));
}

static void test_hold_start__bad_descriptors_are_an_error(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(hold_start((int[]){ 0, -1 }, 2, LONG_MS, -1, &e));
	assert_int_equal(e.class, ERR_IO);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and no process is left */
	hold_free(NULL);
	hold_leave(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold_end__thaws_for_the_first_reason),
		cmocka_unit_test(test_hold_start__one_that_cannot_be_frozen_ends_it),
		cmocka_unit_test(test_hold_free__does_not_return_before_the_thaw),
		cmocka_unit_test(test_hold_leave__leaves_the_thaw_to_its_processes),
		cmocka_unit_test(test_hold_start__bad_descriptors_are_an_error),
	};

	private = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
