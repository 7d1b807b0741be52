/* SPDX-License-Identifier: Apache-2.0 */
/* Stop requests: by call, by signal, and seen by waiting code. */
#include "common/cancel.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

/* 1 when the token's descriptor is readable now, else 0. */
static int readable(const struct cancel *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0);
}

static void test_cancel_request__sets_flag_and_descriptor(void **state)
{
	struct err e = ERR_INIT;
	struct cancel c;

	(void)state;
	assert_int_equal(cancel_init(&c), 0);
	assert_false(cancel_requested(&c));
	assert_int_equal(readable(&c), 0);
	assert_int_equal(cancel_check(&c, &e), 0);
	errno = EDOM;
	cancel_request(&c);
	cancel_request(&c);
	assert_int_equal(errno, EDOM);
	assert_true(cancel_requested(&c));
	assert_int_equal(readable(&c), 1);
	assert_int_equal(readable(&c), 1);
	assert_int_equal(cancel_check(&c, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	assert_string_equal(e.msg, "cancelled");
	assert_int_equal(err_exit_status(&e), 130);
	cancel_clear(&c);
	assert_int_equal(c.fd, -1);
	cancel_clear(&c);
}

static void test_cancel_wait__ends_with_either(void **state)
{
	struct err e = ERR_INIT;
	struct cancel c;

	(void)state;
	assert_int_equal(cancel_init(&c), 0);
	assert_int_equal(cancel_wait(&c, NULL, 1, &e), 0);
	assert_int_equal(cancel_wait(NULL, NULL, 1, &e), 0);
	cancel_request(&c);
	assert_int_equal(cancel_wait(&c, NULL, 3600000, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	e = ERR_INIT;
	assert_int_equal(cancel_wait(NULL, &c, 3600000, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&c);
}

static void test_cancel_check__nobody_to_ask_is_no_request(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_false(cancel_requested(NULL));
	assert_int_equal(cancel_check(NULL, &e), 0);
	assert_int_equal(e.class, ERR_NONE);
}

static int without_descriptors(void *arg)
{
	struct rlimit none;
	struct cancel c;

	(void)arg;
	if (getrlimit(RLIMIT_NOFILE, &none) < 0)
		return 1;
	none.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &none) < 0 || cancel_init(&c) != -1 || errno != EMFILE)
		return 1;
	cancel_request(&c); /* the flag works all the same */
	return cancel_requested(&c) && c.fd == -1 ? 0 : 2;
}

static void test_cancel_init__without_a_descriptor_the_flag_works(void **state)
{
	auto_run struct harness_run r = harness_run(without_descriptors, NULL);

	(void)state;
	assert_int_equal(r.status, 0);
}

static int one_signal(void *arg)
{
	const int *sig = arg;
	struct cancel *c = cancel_on_signals();
	struct pollfd p = { .fd = -1 };

	if (c != cancel_on_signals() || cancel_requested(c))
		return 1;
	(void)raise(*sig);
	if (!cancel_requested(c))
		return 2;
	p.fd = c->fd;
	p.events = POLLIN;
	return poll(&p, 1, 0) == 1 ? 0 : 3;
}

static void test_cancel_on_signals__each_of_them_requests(void **state)
{
	int signals[] = { SIGINT, SIGTERM, SIGHUP };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		auto_run struct harness_run r = harness_run(one_signal, &signals[i]);

		assert_int_equal(r.status, 0);
	}
}

static int two_interrupts(void *arg)
{
	struct cancel *c = cancel_on_signals();

	(void)arg;
	(void)raise(SIGTERM);
	(void)raise(SIGTERM);
	(void)raise(SIGINT);
	if (!cancel_requested(c))
		return 1;
	(void)raise(SIGINT);
	return 2;
}

static void test_cancel_on_signals__a_second_interrupt_ends_at_once(void **state)
{
	auto_run struct harness_run r = harness_run(two_interrupts, NULL);

	(void)state;
	assert_int_equal(r.status, 130);
}

static int under_nohup(void *arg)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)arg;
	(void)sigaction(SIGHUP, &ignore, NULL);
	struct cancel *c = cancel_on_signals();
	(void)raise(SIGHUP);
	return cancel_requested(c) ? 1 : 0;
}

static void test_cancel_on_signals__nohup_is_respected(void **state)
{
	auto_run struct harness_run r = harness_run(under_nohup, NULL);

	(void)state;
	assert_int_equal(r.status, 0);
}

/* A read that waits ends with EINTR when the signal comes from another process. */
static int interrupted_read(void *arg)
{
	int fds[2];
	char byte;

	(void)arg;
	(void)cancel_on_signals();
	if (pipe(fds) < 0)
		return 1;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		/* again and again: the first may come before the read */
		while (kill(parent, SIGTERM) == 0 && getppid() == parent)
			(void)poll(NULL, 0, 1);
		_exit(0);
	}
	ssize_t n = read(fds[0], &byte, 1);
	bool ok = n < 0 && errno == EINTR;
	(void)kill(pid, SIGKILL);
	return ok ? 0 : 2;
}

static void test_cancel_on_signals__ends_waits(void **state)
{
	auto_run struct harness_run r = harness_run(interrupted_read, NULL);

	(void)state;
	assert_int_equal(r.status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel_request__sets_flag_and_descriptor),
		cmocka_unit_test(test_cancel_wait__ends_with_either),
		cmocka_unit_test(test_cancel_check__nobody_to_ask_is_no_request),
		cmocka_unit_test(test_cancel_init__without_a_descriptor_the_flag_works),
		cmocka_unit_test(test_cancel_on_signals__each_of_them_requests),
		cmocka_unit_test(test_cancel_on_signals__a_second_interrupt_ends_at_once),
		cmocka_unit_test(test_cancel_on_signals__nohup_is_respected),
		cmocka_unit_test(test_cancel_on_signals__ends_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
