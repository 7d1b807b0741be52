/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stop request. The flag is what hot loops ask; the eventfd, never read, is
 * what waiting code polls: it stays readable for all of them.
 */
#include "common/cancel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "common/now.h"

int cancel_init(struct cancel *c)
{
	atomic_init(&c->requested, false);
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->fd < 0 ? -1 : 0;
}

void cancel_clear(struct cancel *c)
{
	clean_close(&c->fd);
	c->fd = -1;
}

void cancel_request(struct cancel *c)
{
	const uint64_t one = 1;
	int saved = errno;

	if (!atomic_exchange(&c->requested, true) && c->fd >= 0) {
		/* cannot fail: the counter is far from full */
		ssize_t n = write(c->fd, &one, sizeof(one));
		(void)n;
	}
	errno = saved;
}

int cancel_check(const struct cancel *c, struct err *e)
{
	return cancel_requested(c) ? err_set(e, ERR_CANCELLED, "cancelled") : 0;
}

int cancel_wait(const struct cancel *a, const struct cancel *b, int64_t ms, struct err *e)
{
	int64_t end_ns = now_mono_ns() + ms * 1000000;

	for (;;) {
		struct pollfd wake[] = { { .fd = a ? a->fd : -1, .events = POLLIN },
			                 { .fd = b ? b->fd : -1, .events = POLLIN } };

		if (cancel_check(a, e) < 0 || cancel_check(b, e) < 0)
			return -1;
		int64_t left_ms = (end_ns - now_mono_ns() + 999999) / 1000000;
		if (left_ms <= 0)
			return 0;
		/* A signal ends a poll early as well. */
		(void)poll(wake, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
	}
}

static struct cancel process_cancel = { .fd = -1 };
static atomic_int interrupts; /* SIGINTs so far */

static void on_signal(int sig)
{
	if (sig == SIGINT && atomic_fetch_add(&interrupts, 1) > 0)
		_exit(EXIT_CANCELLED); /* LCOV_EXCL_LINE: tested, but counts are not written */
	cancel_request(&process_cancel);
}

struct cancel *cancel_on_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	static atomic_flag done = ATOMIC_FLAG_INIT;
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: waits end */

	if (atomic_flag_test_and_set(&done))
		return &process_cancel;
	/* Without a descriptor the flag still works. */
	(void)cancel_init(&process_cancel);
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		struct sigaction old;

		/* nohup has SIGHUP ignored, and means it */
		if (signals[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &action, NULL);
	}
	return &process_cancel;
}
