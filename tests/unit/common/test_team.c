/* SPDX-License-Identifier: Apache-2.0 */
/* Teams: each member once, the first failure for all, and fewer threads where there are no more. */
#include "common/team.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define MEMBERS_MAX 1000

/* Threads that may still be started; negative: any number. */
static int threads_left = -1;

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
	if (threads_left == 0)
		return EAGAIN;
	threads_left -= threads_left > 0;
	return __real_pthread_create(ret, attr, fn, arg);
}

/* Who came, and what was done. */
struct job {
	atomic_uint came[MEMBERS_MAX];
	atomic_uint members;
	atomic_uint others; /* members in threads of their own */
	pthread_t caller;
	struct team_tasks tasks;
	atomic_uint done[4 * MEMBERS_MAX];
};

static int work(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct job *j = arg;
	size_t at;

	(void)e;
	atomic_fetch_add(&j->members, 1);
	if (i < MEMBERS_MAX)
		atomic_fetch_add(&j->came[i], 1);
	atomic_fetch_add(&j->others, !pthread_equal(pthread_self(), j->caller));
	while (!atomic_load(stop) && team_take(&j->tasks, &at))
		atomic_fetch_add(&j->done[at], 1);
	return 0;
}

static void run(struct job *j, unsigned threads, size_t tasks)
{
	struct err e = ERR_INIT;

	memset(j, 0, sizeof(*j));
	j->caller = pthread_self();
	j->tasks.n = tasks;
	assert_int_equal(team_run(threads, "test-team", work, j, &e), 0);
	assert_int_equal(e.class, ERR_NONE);
	for (size_t i = 0; i < tasks; i++)
		assert_int_equal(j->done[i], 1);
	assert_int_equal(j->done[tasks], 0);
}

static struct job job;

static void test_team_run__each_member_comes_once(void **state)
{
	(void)state;
	run(&job, 7, 3000);
	assert_int_equal(job.members, 7);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(job.came[i], 1);
}

static void test_team_run__one_needs_no_thread(void **state)
{
	(void)state;
	threads_left = 0;
	for (unsigned threads = 0; threads <= 1; threads++) {
		run(&job, threads, 5);
		assert_int_equal(job.members, 1);
		assert_int_equal(job.came[0], 1);
		assert_int_equal(job.others, 0);
	}
	threads_left = -1;
}

static void test_team_run__fewer_threads_do_all_the_work(void **state)
{
	(void)state;
	for (int left = 0; left < 4; left++) {
		threads_left = left;
		run(&job, 8, 1000);
		assert_int_equal(job.members, left + 1);
		assert_int_equal(job.others, left);
	}
	threads_left = -1;
}

static void test_team_run__absurdly_many_do_the_work_once(void **state)
{
	(void)state;
	run(&job, MEMBERS_MAX, 2000);
	assert_true(job.members >= 1 && job.members <= MEMBERS_MAX);
	run(&job, 3, 0);
	assert_int_equal(job.members, 3);
}

static int check_name(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	char name[32] = "";

	(void)arg;
	(void)stop;
	if (i == 0)
		return 0;
	/* The name is given by who starts the thread, so it may come a moment later. */
	do {
		if (pthread_getname_np(pthread_self(), name, sizeof(name)) != 0)
			return err_set(e, ERR_BUG, "a thread without a name");
	} while (strcmp(name, "test-named") != 0);
	return 0;
}

static void test_team_run__threads_have_the_name(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(team_run(3, "test-named", check_name, NULL, &e), 0);
}

struct failing {
	unsigned who;          /* fails first */
	atomic_uint told_stop; /* others that saw it */
};

/* One fails, all others go on until they are told to stop, and then fail too. */
static int fail_one(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct failing *f = arg;

	if (i == f->who)
		return err_set(e, ERR_QUOTA, "member %u is the first", i);
	while (!atomic_load(stop))
		sched_yield();
	atomic_fetch_add(&f->told_stop, 1);
	return err_set(e, ERR_IO, "member %u is a later one", i);
}

static void test_team_run__the_first_failure_stops_the_others_and_is_told(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 4; who++) {
		struct failing f = { .who = who };
		struct err e = ERR_INIT;
		char want[64];

		(void)snprintf(want, sizeof(want), "member %u is the first", who);
		assert_int_equal(team_run(4, "test-team", fail_one, &f, &e), -1);
		assert_int_equal(e.class, ERR_QUOTA);
		assert_string_equal(e.msg, want);
		assert_int_equal(f.told_stop, 3);
	}
}

/* Only one fails; the others end well. */
static int fail_alone(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	(void)stop;
	return i == *(const unsigned *)arg ? err_set(e, ERR_CORRUPT, "member %u", i) : 0;
}

static void test_team_run__one_failure_is_enough(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 3; who++) {
		struct err e = ERR_INIT;

		assert_int_equal(team_run(3, "test-team", fail_alone, &who, &e), -1);
		assert_int_equal(e.class, ERR_CORRUPT);
	}
}

static void test_team_take__gives_each_number_once(void **state)
{
	struct team_tasks t = { .n = 3 };
	size_t at;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_true(team_take(&t, &at));
		assert_int_equal(at, i);
	}
	assert_false(team_take(&t, &at));
	assert_false(team_take(&t, &at));
	t = (struct team_tasks){ .n = 0 };
	assert_false(team_take(&t, &at));
}

static void test_team_size__what_is_wanted_within_the_limit(void **state)
{
	(void)state;
	assert_int_equal(team_size(3, 8), 3);
	assert_int_equal(team_size(8, 8), 8);
	assert_int_equal(team_size(9, 8), 8);
	assert_int_equal(team_size(0, 1), 1);
	assert_int_equal(team_size(0, 100000), (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_team_run__each_member_comes_once),
		cmocka_unit_test(test_team_run__one_needs_no_thread),
		cmocka_unit_test(test_team_run__fewer_threads_do_all_the_work),
		cmocka_unit_test(test_team_run__absurdly_many_do_the_work_once),
		cmocka_unit_test(test_team_run__threads_have_the_name),
		cmocka_unit_test(test_team_run__the_first_failure_stops_the_others_and_is_told),
		cmocka_unit_test(test_team_run__one_failure_is_enough),
		cmocka_unit_test(test_team_take__gives_each_number_once),
		cmocka_unit_test(test_team_size__what_is_wanted_within_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
