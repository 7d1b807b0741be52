/* SPDX-License-Identifier: Apache-2.0 */
#include "common/thread.h"

#include <signal.h>

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

struct looked {
	bool signals;
};

static void *look(void *arg)
{
	struct looked *seen = arg;
	sigset_t set;

	seen->signals = pthread_sigmask(SIG_SETMASK, NULL, &set) != 0 ||
	                !sigismember(&set, SIGTERM) || !sigismember(&set, SIGINT);
	return seen;
}

static void test_thread_start__begins_one_that_no_signal_reaches(void **state)
{
	struct looked seen = { .signals = true };
	sigset_t before, after;
	pthread_t t;
	void *ret;

	(void)state;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	ok(thread_start(&t, look, &seen, "looker", e));
	assert_int_equal(pthread_join(t, &ret), 0);
	assert_ptr_equal(ret, &seen);
	assert_false(seen.signals);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_start__begins_one_that_no_signal_reaches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
