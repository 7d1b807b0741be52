/* SPDX-License-Identifier: Apache-2.0 */
/* Work by several threads, taken in the order it was put. */
#include "snapshot/order.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct item {
	unsigned n;
	unsigned worked;
};

struct producer {
	struct order *order;
	struct item *items;
	unsigned n;
	unsigned accepted;
};

static void work(void *arg, void *p)
{
	struct item *item = p;
	atomic_uint *total = arg;

	/* the later items are the quicker ones, so that helpers finish out of order */
	for (unsigned volatile i = 0; i < (item->n % 7) * 1000; i++)
		;
	item->worked++;
	atomic_fetch_add(total, 1);
}

static void drop(void *arg, void *p)
{
	struct item *item = p;

	(void)arg;
	item->worked += 100;
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < p->n; i++) {
		p->items[i] = (struct item){ .n = i };
		if (!order_put(p->order, &p->items[i]))
			return NULL;
		p->accepted++;
	}
	order_end(p->order);
	return NULL;
}

static void run(unsigned helpers)
{
	enum { N = 3000 };
	static struct item items[N];
	atomic_uint total = 0;
	struct producer p = { .order = order_new(helpers, work, &total), .items = items, .n = N };
	pthread_t thread;

	assert_non_null(p.order);
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	for (unsigned i = 0; i < N; i++) {
		struct item *item = order_take(p.order);

		assert_ptr_equal(item, &items[i]);
		assert_int_equal(item->worked, 1);
	}
	assert_null(order_take(p.order));
	assert_null(order_take(p.order));
	pthread_join(thread, NULL);
	order_free(p.order, drop);
	assert_int_equal(atomic_load(&total), N);
}

static void test_order_take__gives_items_in_order_and_worked_on_once(void **state)
{
	(void)state;
	for (unsigned helpers = 0; helpers <= 4; helpers++)
		run(helpers);
}

static void test_order_take__an_end_without_items(void **state)
{
	atomic_uint total = 0;
	struct order *o = order_new(2, work, &total);

	(void)state;
	assert_non_null(o);
	order_end(o);
	assert_null(order_take(o));
	order_free(o, drop);
}

/* The producer is held up by the full ring; stopping lets it go, and nothing gets lost. */
static void test_order_stop__wakes_the_producer_and_what_is_left_is_dropped(void **state)
{
	(void)state;
	for (unsigned helpers = 0; helpers <= 2; helpers++) {
		static struct item items[100];
		atomic_uint total = 0;
		struct producer p = { .order = order_new(helpers, work, &total),
			              .items = items,
			              .n = 100 };
		pthread_t thread;
		unsigned dropped = 0;

		assert_non_null(p.order);
		assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
		for (unsigned i = 0; i < 10; i++)
			assert_ptr_equal(order_take(p.order), &items[i]);
		order_stop(p.order);
		pthread_join(thread, NULL);
		assert_null(order_take(p.order));
		assert_false(order_put(p.order, &items[99]));
		order_free(p.order, drop);
		for (unsigned i = 0; i < p.accepted; i++)
			dropped += items[i].worked >= 100;
		assert_true(p.accepted <= 10 + ORDER_CAP);
		assert_int_equal(dropped, p.accepted - 10);
	}
}

static void test_order_free__takes_null(void **state)
{
	(void)state;
	order_free(NULL, drop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_take__gives_items_in_order_and_worked_on_once),
		cmocka_unit_test(test_order_take__an_end_without_items),
		cmocka_unit_test(test_order_stop__wakes_the_producer_and_what_is_left_is_dropped),
		cmocka_unit_test(test_order_free__takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
