/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue: order, bound, closing, and many threads at once. */
#include "common/queue.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/syshook.h"

static void test_queue_pop__gives_items_in_order(void **state)
{
	struct queue q;
	int items[3];

	(void)state;
	assert_int_equal(queue_init(&q, 3), 0);
	/* more rounds than room, so that the ring wraps at every place */
	for (int round = 0; round < 5; round++) {
		assert_true(queue_push(&q, &items[0]));
		assert_true(queue_push(&q, &items[1]));
		assert_ptr_equal(queue_pop(&q), &items[0]);
		assert_true(queue_push(&q, &items[2]));
		assert_ptr_equal(queue_pop(&q), &items[1]);
		assert_ptr_equal(queue_try_pop(&q), &items[2]);
		assert_null(queue_try_pop(&q));
	}
	queue_clear(&q);
}

static void test_queue_try_push__never_waits(void **state)
{
	struct queue q;
	int items[2];

	(void)state;
	assert_int_equal(queue_init(&q, 1), 0);
	assert_true(queue_try_push(&q, &items[0]));
	assert_false(queue_try_push(&q, &items[1]));
	assert_ptr_equal(queue_pop(&q), &items[0]);
	assert_true(queue_try_push(&q, &items[1]));
	assert_ptr_equal(queue_pop(&q), &items[1]);
	queue_close(&q);
	assert_false(queue_try_push(&q, &items[0]));
	queue_clear(&q);
}

static void test_queue_close__refuses_items_and_keeps_those_inside(void **state)
{
	struct queue q;
	int items[2];

	(void)state;
	assert_int_equal(queue_init(&q, 2), 0);
	assert_true(queue_push(&q, &items[0]));
	queue_close(&q);
	assert_false(queue_push(&q, &items[1]));
	assert_ptr_equal(queue_pop(&q), &items[0]);
	assert_null(queue_pop(&q));
	assert_null(queue_try_pop(&q));
	queue_close(&q);
	queue_clear(&q);
}

static void test_queue_clear__may_run_twice(void **state)
{
	struct queue q = { 0 };

	(void)state;
	queue_clear(&q);
	assert_int_equal(queue_init(&q, 1), 0);
	queue_clear(&q);
	queue_clear(&q);
}

static int no_memory(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_ALLOC ? 12 /* ENOMEM */ : 0;
}

static void test_queue_init__tells_when_memory_is_short(void **state)
{
	struct queue q;

	(void)state;
	syshook_set(no_memory, NULL);
	assert_int_equal(queue_init(&q, 8), -1);
	syshook_set(NULL, NULL);
	queue_clear(&q);
}

static void *pop_one(void *arg)
{
	return queue_pop(arg);
}

static void *push_one(void *arg)
{
	static int item;

	return queue_push(arg, &item) ? &item : NULL;
}

static void test_queue_close__wakes_a_waiting_popper(void **state)
{
	struct queue q;
	pthread_t thread;
	void *got = &q;

	(void)state;
	assert_int_equal(queue_init(&q, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, pop_one, &q), 0);
	queue_close(&q);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_null(got);
	queue_clear(&q);
}

static void test_queue_close__wakes_a_waiting_pusher(void **state)
{
	struct queue q;
	pthread_t thread;
	void *got = &q;
	int item;

	(void)state;
	assert_int_equal(queue_init(&q, 1), 0);
	assert_true(queue_push(&q, &item));
	assert_int_equal(pthread_create(&thread, NULL, push_one, &q), 0);
	queue_close(&q);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_null(got);
	assert_ptr_equal(queue_pop(&q), &item);
	queue_clear(&q);
}

enum { PUSHERS = 4, POPPERS = 3, EACH = 2000, ROOM = 5 };

struct crowd {
	struct queue q;
	pthread_mutex_t lock;
	uint64_t sum;   /* guarded by lock */
	uint64_t count; /* guarded by lock */
	bool over;      /* guarded by lock: the queue was seen above its bound */
};

static void *push_many(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t i = 1; i <= EACH; i++) {
		uint64_t *item = malloc(sizeof(*item));

		if (!item)
			abort();
		*item = i;
		if (!queue_push(&c->q, item))
			abort();
	}
	return NULL;
}

static void *pop_many(void *arg)
{
	struct crowd *c = arg;
	uint64_t *item;

	while ((item = queue_pop(&c->q))) {
		(void)pthread_mutex_lock(&c->q.lock);
		bool over = c->q.len > ROOM;
		(void)pthread_mutex_unlock(&c->q.lock);
		(void)pthread_mutex_lock(&c->lock);
		c->sum += *item;
		c->count++;
		c->over |= over;
		(void)pthread_mutex_unlock(&c->lock);
		free(item);
	}
	return NULL;
}

static void test_queue_push__many_threads_lose_and_double_nothing(void **state)
{
	struct crowd c = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t pushers[PUSHERS];
	pthread_t poppers[POPPERS];

	(void)state;
	assert_int_equal(queue_init(&c.q, ROOM), 0);
	for (int i = 0; i < POPPERS; i++)
		assert_int_equal(pthread_create(&poppers[i], NULL, pop_many, &c), 0);
	for (int i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_create(&pushers[i], NULL, push_many, &c), 0);
	for (int i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_join(pushers[i], NULL), 0);
	queue_close(&c.q);
	for (int i = 0; i < POPPERS; i++)
		assert_int_equal(pthread_join(poppers[i], NULL), 0);
	assert_int_equal(c.count, 8000);
	assert_int_equal(c.sum, 8004000);
	assert_false(c.over);
	queue_clear(&c.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_pop__gives_items_in_order),
		cmocka_unit_test(test_queue_try_push__never_waits),
		cmocka_unit_test(test_queue_close__refuses_items_and_keeps_those_inside),
		cmocka_unit_test(test_queue_clear__may_run_twice),
		cmocka_unit_test(test_queue_init__tells_when_memory_is_short),
		cmocka_unit_test(test_queue_close__wakes_a_waiting_popper),
		cmocka_unit_test(test_queue_close__wakes_a_waiting_pusher),
		cmocka_unit_test(test_queue_push__many_threads_lose_and_double_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
