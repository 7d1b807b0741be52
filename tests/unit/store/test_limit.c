/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits around a store. How long a wait takes is tested with the bucket,
 * where time is an argument; here limits are so low that a call would wait
 * for days, and what must end it ends it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/harness/store_kit.h"

/* Counts what reaches the store. */
static enum store_fault count(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)n;
	(void)call;
	(void)key;
	atomic_fetch_add((atomic_uint *)arg, 1);
	return FAULT_NONE;
}

struct setting {
	atomic_uint reached;
	struct store *s;
};

static struct setting *setting_new(uint64_t up, uint64_t down, uint64_t requests)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e = ERR_INIT;

	assert_non_null(t);
	struct store *mem = store_mem_new(&e);
	assert_non_null(mem);
	struct store *counted = store_fault_new(mem, count, &t->reached, &e);
	assert_non_null(counted);
	t->s = store_limit_new(counted, up, down, requests, &e);
	assert_non_null(t->s);
	return t;
}

static void setting_free(struct setting *t)
{
	store_free(t->s);
	free(t);
}

static void *put_and_get_a_mib(void *arg)
{
	struct setting *t = arg;
	struct err e = ERR_INIT;
	uint8_t *bytes = calloc(1, MIB);
	struct iovec one = { .iov_base = bytes, .iov_len = MIB };
	bool good = bytes && store_put(t->s, "a", &one, 1, &e) == 0 &&
	            store_get(t->s, "a", 0, bytes, MIB, &e) == 0;

	free(bytes);
	return good ? arg : NULL;
}

static void test_limit__a_change_frees_a_put_that_waits(void **state)
{
	struct setting *t = setting_new(1, 0, 0);
	pthread_t thread;
	void *r;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, put_and_get_a_mib, t), 0);
	/* 1 MiB at 1 B/s: twelve days from now it would be stored */
	assert_int_equal(atomic_load(&t->reached), 0);
	store_limit_set(t->s, 0, 0, 0);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_non_null(r);
	assert_int_equal(atomic_load(&t->reached), 2);
	setting_free(t);
}

static void test_limit__a_change_frees_a_get_that_waits(void **state)
{
	struct setting *t = setting_new(0, 1, 0);
	pthread_t thread;
	void *r;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, put_and_get_a_mib, t), 0);
	assert_true(atomic_load(&t->reached) <= 1);
	store_limit_set(t->s, 0, 1000 * (uint64_t)GIB, 0);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_non_null(r);
	assert_int_equal(atomic_load(&t->reached), 2);
	setting_free(t);
}

static void test_limit__a_cancel_ends_the_wait_of_every_call(void **state)
{
	struct setting *t = setting_new(0, 0, 1);
	struct cancel cancel;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st;
	char c;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	store_limit_cancel(t->s, &cancel);
	ok(put_text(t->s, "a", "x", e)); /* the one that a burst has */
	cancel_request(&cancel);
	fails(ERR_CANCELLED, put_text(t->s, "b", "x", e));
	fails(ERR_CANCELLED, store_get(t->s, "a", 0, &c, 1, e));
	fails(ERR_CANCELLED, store_head(t->s, "a", &st, e));
	fails(ERR_CANCELLED, store_list(t->s, "", NULL, see, &l, e));
	fails(ERR_CANCELLED, store_delete(t->s, "a", e));
	assert_int_equal(atomic_load(&t->reached), 1);
	cancel_clear(&cancel);
	setting_free(t);
}

static void *request(void *arg)
{
	cancel_request(arg);
	return NULL;
}

static void test_limit__a_cancel_reaches_a_call_that_waits(void **state)
{
	struct setting *t = setting_new(1, 1, 0);
	struct cancel cancel;
	pthread_t thread;

	(void)state;
	assert_int_equal(cancel_init(&cancel), 0);
	store_limit_cancel(t->s, &cancel);
	assert_int_equal(pthread_create(&thread, NULL, request, &cancel), 0);
	fails(ERR_CANCELLED, put_text(t->s, "b", "a text of more than one byte", e));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&t->reached), 0);
	cancel_clear(&cancel);
	setting_free(t);
}

static void test_limit__calls_within_the_limits_go_through(void **state)
{
	struct setting *t = setting_new(400 * MIB, 400 * MIB, 4000);

	(void)state;
	/* each within one burst */
	assert_non_null(put_and_get_a_mib(t));
	ok(store_delete(t->s, "a", e));
	assert_int_equal(atomic_load(&t->reached), 3);
	setting_free(t);
}

#define THREADS 4

static void *put_some(void *arg)
{
	struct setting *t = arg;
	static atomic_uint names;
	struct err e = ERR_INIT;
	char key[32];
	char bytes[4000] = { 0 };
	struct iovec one = { .iov_base = bytes, .iov_len = sizeof(bytes) };

	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "k%u", atomic_fetch_add(&names, 1));
		if (store_put(t->s, key, &one, 1, &e) < 0)
			return NULL;
	}
	return arg;
}

static void test_limit__threads_that_wait_side_by_side_all_get_through(void **state)
{
	/* 80 kB at 1 MB/s: some 50 ms of real waiting */
	struct setting *t = setting_new(1000000, 0, 1000);
	pthread_t threads[THREADS];
	void *r;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_some, t), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &r), 0);
		assert_non_null(r);
	}
	assert_int_equal(atomic_load(&t->reached), THREADS * 5);
	setting_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit__a_change_frees_a_put_that_waits),
		cmocka_unit_test(test_limit__a_change_frees_a_get_that_waits),
		cmocka_unit_test(test_limit__a_cancel_ends_the_wait_of_every_call),
		cmocka_unit_test(test_limit__a_cancel_reaches_a_call_that_waits),
		cmocka_unit_test(test_limit__calls_within_the_limits_go_through),
		cmocka_unit_test(test_limit__threads_that_wait_side_by_side_all_get_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
