/* SPDX-License-Identifier: Apache-2.0 */
/* Which descriptors stay open, and when they close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/fdcache.h"
#include "tests/harness/harness.h"

static int new_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Adds and releases; returns the descriptor. */
static int keep(struct fdcache *c, const char *key, int64_t now_ms)
{
	struct fdcache_ref ref;
	int fd = new_fd();

	fdcache_add(c, key, fd, 7, fdcache_generation(c), now_ms, &ref);
	assert_int_equal(ref.fd, fd);
	assert_int_equal(ref.size, 7);
	fdcache_release(&ref);
	assert_int_equal(ref.fd, -1);
	return fd;
}

static bool has(struct fdcache *c, const char *key)
{
	struct fdcache_ref ref;

	if (!fdcache_get(c, key, 0, &ref))
		return false;
	fdcache_release(&ref);
	return true;
}

static void test_fdcache_get__finds_what_was_added(void **state)
{
	struct fdcache *c = fdcache_new(4);
	struct fdcache_ref ref;

	(void)state;
	assert_false(fdcache_get(c, "a", 0, &ref));
	int fd = keep(c, "a", 0);
	assert_true(fdcache_get(c, "a", 0, &ref));
	assert_int_equal(ref.fd, fd);
	assert_int_equal(ref.size, 7);
	assert_false(has(c, "b"));
	fdcache_release(&ref);
	assert_true(is_open(fd));
	fdcache_free(c);
	assert_false(is_open(fd));
	fdcache_free(NULL);
}

static void test_fdcache_add__replaces_the_one_not_used_for_the_longest_time(void **state)
{
	struct fdcache *c = fdcache_new(3);

	(void)state;
	int a = keep(c, "a", 0);
	int b = keep(c, "b", 0);
	int d = keep(c, "d", 0);
	assert_true(has(c, "a"));
	assert_true(has(c, "d"));
	int e = keep(c, "e", 0);
	assert_true(is_open(a) && is_open(d) && is_open(e));
	assert_true(b == e || !is_open(b));
	assert_false(has(c, "b"));
	assert_true(has(c, "a") && has(c, "d") && has(c, "e"));
	fdcache_free(c);
}

static void test_fdcache_add__what_is_in_use_is_not_replaced(void **state)
{
	struct fdcache *c = fdcache_new(1);
	struct fdcache_ref a;
	struct fdcache_ref b;
	int fd_a = new_fd();
	int fd_b = new_fd();

	(void)state;
	fdcache_add(c, "a", fd_a, 1, fdcache_generation(c), 0, &a);
	fdcache_add(c, "b", fd_b, 2, fdcache_generation(c), 0, &b);
	assert_int_equal(b.fd, fd_b);
	assert_int_equal(b.size, 2);
	assert_false(has(c, "b"));
	fdcache_release(&b);
	assert_false(is_open(fd_b));
	assert_true(is_open(fd_a));
	fdcache_release(&a);
	assert_true(has(c, "a"));
	fdcache_free(c);
}

static void test_fdcache_add__the_faster_thread_s_descriptor_stays(void **state)
{
	struct fdcache *c = fdcache_new(2);
	struct fdcache_ref ref;

	(void)state;
	int first = keep(c, "a", 0);
	int second = new_fd();
	fdcache_add(c, "a", second, 7, fdcache_generation(c), 0, &ref);
	assert_int_equal(ref.fd, first);
	assert_false(is_open(second));
	fdcache_release(&ref);
	fdcache_free(c);
}

static void test_fdcache_add__nothing_is_kept_that_was_opened_before_a_drop(void **state)
{
	struct fdcache *c = fdcache_new(2);
	struct fdcache_ref ref;
	uint64_t before = fdcache_generation(c);
	int fd = new_fd();

	(void)state;
	fdcache_drop(c, "a");
	fdcache_add(c, "a", fd, 7, before, 0, &ref);
	assert_int_equal(ref.fd, fd);
	assert_false(has(c, "a"));
	fdcache_release(&ref);
	assert_false(is_open(fd));
	fdcache_free(c);
}

static void test_fdcache_drop__closes_what_is_not_in_use(void **state)
{
	struct fdcache *c = fdcache_new(2);

	(void)state;
	int fd = keep(c, "a", 0);
	int other = keep(c, "b", 0);
	fdcache_drop(c, "a");
	assert_false(is_open(fd));
	assert_false(has(c, "a"));
	assert_true(is_open(other));
	fdcache_free(c);
}

static void test_fdcache_drop__waits_for_the_last_user(void **state)
{
	struct fdcache *c = fdcache_new(2);
	struct fdcache_ref one;
	struct fdcache_ref two;

	(void)state;
	int fd = keep(c, "a", 0);
	assert_true(fdcache_get(c, "a", 0, &one));
	assert_true(fdcache_get(c, "a", 0, &two));
	fdcache_drop(c, "a");
	assert_false(has(c, "a"));
	assert_true(is_open(fd));
	int again = keep(c, "a", 0);
	assert_true(again != fd);
	fdcache_release(&one);
	assert_true(is_open(fd));
	fdcache_release(&two);
	assert_false(is_open(fd));
	assert_true(has(c, "a"));
	fdcache_free(c);
}

static void test_fdcache_trim__closes_what_is_idle(void **state)
{
	struct fdcache *c = fdcache_new(4);
	struct fdcache_ref ref;

	(void)state;
	int old = keep(c, "old", 1000);
	int fresh = keep(c, "fresh", 2000);
	int used = keep(c, "used", 1000);
	assert_true(fdcache_get(c, "used", 1500, &ref));
	assert_int_equal(fdcache_trim(c, 2000), 1);
	assert_false(is_open(old));
	assert_true(is_open(fresh));
	assert_true(is_open(used));
	fdcache_release(&ref);
	assert_int_equal(fdcache_trim(c, 2000), 1);
	assert_false(is_open(used));
	assert_int_equal(fdcache_trim(c, INT64_MAX), 1);
	assert_false(is_open(fresh));
	fdcache_free(c);
}

static void test_fdcache_release__of_nothing_is_fine(void **state)
{
	struct fdcache_ref ref = FDCACHE_REF_NONE;

	(void)state;
	fdcache_release(&ref);
	assert_int_equal(ref.fd, -1);
}

#define THREADS 8
#define ROUNDS 3000
#define KEYS 11

struct churn {
	struct fdcache *cache;
	int dir; /* has files k0 to k10 */
	ino_t ino[KEYS];
	atomic_uint wrong;
};

static void *churn(void *arg)
{
	struct churn *t = arg;
	struct stat st;
	char key[8];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct fdcache_ref ref;
		unsigned k = i * 7 % KEYS;

		(void)snprintf(key, sizeof(key), "k%u", k);
		if (i % 13 == 0)
			fdcache_drop(t->cache, key);
		if (i % 31 == 0)
			(void)fdcache_trim(t->cache, i);
		if (!fdcache_get(t->cache, key, i, &ref)) {
			uint64_t generation = fdcache_generation(t->cache);
			int fd = openat(t->dir, key, O_RDONLY | O_CLOEXEC);

			fdcache_add(t->cache, key, fd, 0, generation, i, &ref);
		}
		/* closed under us, it would be bad or another thread's file */
		if (fstat(ref.fd, &st) < 0 || st.st_ino != t->ino[k])
			atomic_fetch_add(&t->wrong, 1);
		fdcache_release(&ref);
	}
	return NULL;
}

static void test_fdcache__threads_never_see_a_closed_descriptor(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct churn t = { .cache = fdcache_new(4), .dir = dir_fd };
	pthread_t threads[THREADS];
	struct stat st;
	char name[8];

	(void)state;
	for (unsigned k = 0; k < KEYS; k++) {
		(void)snprintf(name, sizeof(name), "k%u", k);
		write_text(dir, name, "");
		assert_int_equal(fstatat(dir_fd, name, &st, 0), 0);
		t.ino[k] = st.st_ino;
	}
	size_t before = count_files("/proc/self/fd");
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, &t), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(t.wrong, 0);
	(void)fdcache_trim(t.cache, INT64_MAX);
	assert_int_equal(count_files("/proc/self/fd"), before);
	fdcache_free(t.cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fdcache_get__finds_what_was_added),
		cmocka_unit_test(test_fdcache_add__replaces_the_one_not_used_for_the_longest_time),
		cmocka_unit_test(test_fdcache_add__what_is_in_use_is_not_replaced),
		cmocka_unit_test(test_fdcache_add__the_faster_thread_s_descriptor_stays),
		cmocka_unit_test(test_fdcache_add__nothing_is_kept_that_was_opened_before_a_drop),
		cmocka_unit_test(test_fdcache_drop__closes_what_is_not_in_use),
		cmocka_unit_test(test_fdcache_drop__waits_for_the_last_user),
		cmocka_unit_test(test_fdcache_trim__closes_what_is_idle),
		cmocka_unit_test(test_fdcache_release__of_nothing_is_fine),
		cmocka_unit_test(test_fdcache__threads_never_see_a_closed_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
