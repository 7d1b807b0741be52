/* SPDX-License-Identifier: Apache-2.0 */
/* When calls are repeated, when not, and what a lost answer leads to. Time is virtual. */
#include <pthread.h>
#include <stdio.h>

#include "store/driver.h"
#include "tests/harness/store_kit.h"

#define CALLS_MAX 64

struct setting {
	struct cancel cancel;
	struct store *inner;              /* below the faults: what is really stored */
	struct store *s;                  /* retry(fault(inner)) */
	enum store_fault plan[CALLS_MAX]; /* of call n; what follows is FAULT_NONE */
	enum store_fault rest;            /* of calls beyond the plan */
	void (*at_call)(struct setting *t, uint64_t n);
	uint64_t calls;
	int64_t now_ms;
	int64_t waits[CALLS_MAX];
	size_t nwaits;
	size_t cancel_at_wait; /* cancel in the wait of this number, from 1 */
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct setting *t = arg;

	(void)call;
	(void)key;
	t->calls = n + 1;
	if (t->at_call)
		t->at_call(t, n);
	return n < CALLS_MAX && t->plan[n] != FAULT_NONE ? t->plan[n] : t->rest;
}

static int64_t virtual_now(void *arg)
{
	return ((struct setting *)arg)->now_ms;
}

static void virtual_wait(void *arg, int64_t ms)
{
	struct setting *t = arg;

	assert_true(ms >= 1);
	if (t->nwaits < CALLS_MAX)
		t->waits[t->nwaits] = ms;
	t->nwaits++;
	t->now_ms += ms;
	if (t->nwaits == t->cancel_at_wait)
		cancel_request(&t->cancel);
}

/* Two handles of one named store: one below the faults, one beside them. */
static struct store *open_shared(void)
{
	static unsigned n;
	static char url[32];
	struct err e = ERR_INIT;

	(void)snprintf(url, sizeof(url), "mem:retry-%u", n++ / 2);
	struct store *s = store_open(url, 0, &e);
	assert_non_null(s);
	return s;
}

static struct store *faults_of(struct setting *t)
{
	struct err e = ERR_INIT;

	t->inner = open_shared();
	struct store *faulty = store_fault_new(open_shared(), decide, t, &e);
	assert_non_null(faulty);
	return faulty;
}

static int setup(void **state)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e = ERR_INIT;

	assert_non_null(t);
	assert_int_equal(cancel_init(&t->cancel), 0);
	const struct store_retry_params params = {
		.cancel = &t->cancel, .now_ms = virtual_now, .wait_ms = virtual_wait, .arg = t
	};
	t->s = store_retry_new(faults_of(t), &params, &e);
	assert_non_null(t->s);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	store_free(t->s);
	store_free(t->inner);
	cancel_clear(&t->cancel);
	free(t);
	return 0;
}

static void test_retry__every_call_is_repeated_until_it_works(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st;
	char c;

	for (size_t i = 0; i < 15; i++)
		t->plan[i] = i % 3 == 2 ? FAULT_NONE : FAULT_FAIL;
	ok(put_text(t->s, "a", "x", e));
	assert_int_equal(t->calls, 3);
	ok(store_get(t->s, "a", 0, &c, 1, e));
	assert_int_equal(c, 'x');
	assert_int_equal(t->calls, 6);
	ok(store_head(t->s, "a", &st, e));
	assert_int_equal(t->calls, 9);
	ok(store_list(t->s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 1);
	assert_int_equal(t->calls, 12);
	ok(store_delete(t->s, "a", e));
	assert_int_equal(t->calls, 15);
	assert_absent(t->inner, "a");
	assert_int_equal(t->nwaits, 10);
}

static void test_retry__other_failures_are_final(void **state)
{
	struct setting *t = *state;
	static const struct {
		enum store_fault fault;
		enum err_class class;
	} rows[] = {
		{ FAULT_DENIED, ERR_DENIED },
		{ FAULT_QUOTA, ERR_QUOTA },
		{ FAULT_GONE, ERR_NOT_FOUND },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		t->rest = rows[i].fault;
		fails(rows[i].class, put_text(t->s, "a", "x", e));
		assert_int_equal(t->calls, i + 1);
	}
	assert_int_equal(t->nwaits, 0);
}

static int cut_of_nobody(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e)
{
	(void)s;
	(void)since_ns;
	(void)ret;
	return err_set(e, ERR_RETRY, "the second region does not answer");
}

static void test_retry__nobody_waits_long_for_a_second_region_that_is_gone(void **state)
{
	struct setting *t = *state;
	struct store *faulty = store_inner(t->s);
	struct store_ops ops = *faulty->ops;
	const struct store_ops *before = faulty->ops;
	struct store_cut cut;

	ops.cut = cut_of_nobody;
	faulty->ops = &ops;
	fails_saying(ERR_RETRY, "does not answer", store_cut(t->s, 0, &cut, e));
	assert_int_equal(t->now_ms, 5000);
	assert_true(t->nwaits > 1);
	/* Nor again and again. */
	t->now_ms += 59999;
	fails_saying(ERR_RETRY, "does not answer", store_cut(t->s, 0, &cut, e));
	assert_int_equal(t->now_ms, 64999);
	faulty->ops = before;
}

static void test_retry__gives_up_when_the_budget_is_used(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st;
	char c;

	t->rest = FAULT_FAIL;
	fails_saying(ERR_RETRY, "tries in 2m", put_text(t->s, "a", "x", e));
	assert_int_equal(t->now_ms, 120000); /* the last try stands at the end of the budget */
	assert_true(t->calls > 6 && t->calls == t->nwaits + 1);
	assert_absent(t->inner, "a");

	fails(ERR_RETRY, store_get(t->s, "a", 0, &c, 1, e));
	assert_int_equal(t->now_ms, 2 * 120000);
	fails(ERR_RETRY, store_head(t->s, "a", &st, e));
	fails(ERR_RETRY, store_list(t->s, "", NULL, see, &l, e));
	fails(ERR_RETRY, store_delete(t->s, "a", e));
	assert_int_equal(t->now_ms, 5 * 120000);
}

static void test_retry__waits_grow_up_to_the_longest(void **state)
{
	struct setting *t = *state;
	int64_t most = 200;
	bool differ = false;

	t->rest = FAULT_FAIL;
	fails(ERR_RETRY, put_text(t->s, "a", "x", e));
	assert_true(t->nwaits >= 7 && t->nwaits < CALLS_MAX);
	for (size_t i = 0; i < t->nwaits; i++) {
		assert_true(t->waits[i] <= most);
		differ = differ || (i > 0 && t->waits[i] != t->waits[0]);
		most = most * 2 < 20000 ? most * 2 : 20000;
	}
	assert_true(differ);
}

static void test_retry__params_are_obeyed(void **state)
{
	struct setting *t = *state;
	struct err why = ERR_INIT;
	struct setting other = { .rest = FAULT_FAIL };
	const struct store_retry_params params = {
		.budget_ms = 1000,
		.first_ms = 7,
		.longest_ms = 9,
		.now_ms = virtual_now,
		.wait_ms = virtual_wait,
		.arg = &other,
	};

	(void)t;
	auto_store struct store *s = store_retry_new(faults_of(&other), &params, &why);
	assert_non_null(s);
	fails_saying(ERR_RETRY, "tries in 1s", store_delete(s, "a", e));
	assert_int_equal(other.now_ms, 1000);
	assert_true(other.waits[0] <= 7);
	for (size_t i = 1; i < CALLS_MAX; i++)
		assert_true(other.waits[i] <= 9);
	store_free(other.inner);
}

static void test_retry_put__a_lost_answer_is_found_to_be_success(void **state)
{
	struct setting *t = *state;

	t->plan[0] = FAULT_APPLIED_LOST;
	ok(put_text(t->s, "a", "the upload", e));
	assert_text(t->inner, "a", "the upload");
	assert_int_equal(t->calls, 4); /* put, put, head, get */
}

static void test_retry_put__a_lost_answer_of_an_empty_object_too(void **state)
{
	struct setting *t = *state;

	t->plan[0] = FAULT_APPLIED_LOST;
	ok(put_text(t->s, "a", "", e));
	assert_int_equal(t->calls, 3);
}

static void test_retry_put__compares_big_objects_to_the_last_byte(void **state)
{
	struct setting *t = *state;
	const size_t n = 3 * MIB + 17;
	auto_free uint8_t *bytes = calloc(1, n);
	auto_free uint8_t *other = calloc(1, n);

	assert_non_null(bytes);
	assert_non_null(other);
	for (size_t i = 0; i < n; i++)
		other[i] = bytes[i] = (uint8_t)(i * 31 >> 3);
	other[n - 1] ^= 1;

	t->plan[0] = FAULT_APPLIED_LOST;
	struct iovec iov[3] = { { bytes, 1000003 },
		                { bytes + 1000003, 0 },
		                { bytes + 1000003, n - 1000003 } };
	ok(store_put(t->s, "same", iov, 3, e));
	assert_content(t->inner, "same", bytes, n);

	ok(put_bytes(t->inner, "differs", other, n, e));
	t->plan[t->calls] = FAULT_FAIL;
	fails_saying(ERR_EXISTS, "not by what an earlier try",
	             store_put(t->s, "differs", iov, 3, e));
	assert_content(t->inner, "differs", other, n);
}

static void test_retry_put__another_object_under_the_key_is_not_success(void **state)
{
	struct setting *t = *state;

	ok(put_text(t->inner, "a", "theirs", e));
	t->plan[0] = FAULT_FAIL;
	fails_saying(ERR_EXISTS, "not by what an earlier try", put_text(t->s, "a", "ours", e));
	t->plan[t->calls] = FAULT_FAIL;
	fails(ERR_EXISTS, put_text(t->s, "a", "OURS!!", e)); /* of the same length */
	assert_text(t->inner, "a", "theirs");
}

static void test_retry_put__a_key_that_was_taken_from_the_start_is_not_compared(void **state)
{
	struct setting *t = *state;

	ok(put_text(t->inner, "a", "the same", e));
	fails(ERR_EXISTS, put_text(t->s, "a", "the same", e));
	assert_int_equal(t->calls, 1);
}

static void test_retry_put__comparing_is_repeated_too(void **state)
{
	struct setting *t = *state;
	static const enum store_fault plan[] = { FAULT_APPLIED_LOST, FAULT_NONE, /* put, put */
		                                 FAULT_FAIL,         FAULT_NONE, /* head */
		                                 FAULT_FAIL,         FAULT_FAIL,
		                                 FAULT_NONE /* get */ };

	memcpy(t->plan, plan, sizeof(plan));
	ok(put_text(t->s, "a", "x", e));
	assert_int_equal(t->calls, 7);
}

static void test_retry_put__what_cannot_be_compared_fails_as_the_comparison_does(void **state)
{
	struct setting *t = *state;

	t->plan[0] = FAULT_APPLIED_LOST;
	t->plan[2] = FAULT_DENIED; /* head */
	fails_saying(ERR_DENIED, "comparing it with what an earlier try may have stored",
	             put_text(t->s, "a", "x", e));
	t->plan[3] = FAULT_APPLIED_LOST;
	t->plan[6] = FAULT_DENIED; /* get */
	fails_saying(ERR_DENIED, "comparing it with what an earlier try may have stored",
	             put_text(t->s, "b", "x", e));
}

/* Somebody deletes the object between the second put and the look at it. */
static void delete_at_2(struct setting *t, uint64_t n)
{
	if (n == 2)
		ok(store_delete(t->inner, "a", e));
}

static void test_retry_put__a_key_that_is_free_again_is_stored(void **state)
{
	struct setting *t = *state;

	t->plan[0] = FAULT_APPLIED_LOST;
	t->at_call = delete_at_2;
	ok(put_text(t->s, "a", "x", e));
	assert_text(t->inner, "a", "x");
	assert_int_equal(t->calls, 4); /* put, put, head, put */
}

/* A store whose list breaks off after every two items, and hands them out slowly. */
struct breaking {
	struct store base;
	struct setting *t;
	unsigned lists;
};

static int breaking_list(struct store *s, const char *prefix, const char *after,
                         int (*each)(void *arg, const struct store_item *item, struct err *e),
                         void *arg, struct err *e)
{
	struct breaking *b = (struct breaking *)s;
	struct store_item item = { .st = { .size = 1 } };
	unsigned given = 0;

	(void)prefix;
	b->lists++;
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(item.key, sizeof(item.key), "k%02u", i);
		if (strcmp(item.key, after) <= 0)
			continue;
		if (given++ == 2)
			return err_set(e, ERR_RETRY, "the connection broke off");
		b->t->now_ms += 60000;
		int r = each(arg, &item, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	return 0;
}

static void breaking_free(struct store *s)
{
	free(s->url);
	free(s);
}

static struct store *breaking_new(struct setting *t)
{
	static const struct store_ops ops = { .name = "breaking",
		                              .list = breaking_list,
		                              .free = breaking_free };
	const struct store_retry_params params = { .now_ms = virtual_now,
		                                   .wait_ms = virtual_wait,
		                                   .arg = t };
	struct breaking *b = calloc(1, sizeof(*b));
	struct err e = ERR_INIT;

	assert_non_null(b);
	b->base.ops = &ops;
	b->base.url = strdup("breaking:");
	assert_non_null(b->base.url);
	b->t = t;
	struct store *s = store_retry_new(&b->base, &params, &e);
	assert_non_null(s);
	return s;
}

static void test_retry_list__goes_on_where_it_broke_off_for_as_long_as_it_takes(void **state)
{
	struct setting *t = *state;
	auto_store struct store *s = breaking_new(t);

	/* 20 minutes in all, far more than the budget */
	assert_list(s, "", NULL,
	            "k00=1 k01=1 k02=1 k03=1 k04=1 k05=1 k06=1 k07=1 k08=1 k09=1 k10=1 k11=1 "
	            "k12=1 k13=1 k14=1 k15=1 k16=1 k17=1 k18=1 k19=1");
	assert_int_equal(t->nwaits, 9);
	assert_list(s, "", "k15", "k16=1 k17=1 k18=1 k19=1");
}

static void test_retry_list__a_failure_of_the_callback_is_not_repeated(void **state)
{
	struct setting *t = *state;
	auto_store struct store *s = breaking_new(t);
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	l.fail_at = 2;
	fails(ERR_BUSY, store_list(s, "", NULL, see, &l, e));
	assert_int_equal(t->nwaits, 0);
}

static int fail_with_retry(void *arg, const struct store_item *item, struct err *e)
{
	unsigned *calls = arg;

	(void)item;
	++*calls;
	return err_set(e, ERR_RETRY, "something else gave up");
}

static void test_retry_list__nor_is_one_that_gave_up_itself(void **state)
{
	struct setting *t = *state;
	auto_store struct store *s = breaking_new(t);
	unsigned calls = 0;

	fails_saying(ERR_RETRY, "something else",
	             store_list(s, "", NULL, fail_with_retry, &calls, e));
	assert_int_equal(calls, 1);
	assert_int_equal(t->nwaits, 0);
}

static void test_retry_list__what_was_ended_is_not_repeated(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	ok(put_text(t->inner, "a", "", e));
	ok(put_text(t->inner, "b", "", e));
	t->plan[0] = FAULT_APPLIED_LOST;
	l.stop_at = 1;
	ok(store_list(t->s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 1);
}

static void test_retry__a_cancel_ends_the_tries(void **state)
{
	struct setting *t = *state;

	t->rest = FAULT_FAIL;
	t->cancel_at_wait = 3;
	fails_saying(ERR_CANCELLED, "cancelled between two tries: the store does not answer",
	             put_text(t->s, "a", "x", e));
	assert_int_equal(t->calls, 3);
	/* and from now on at once */
	fails(ERR_CANCELLED, put_text(t->s, "a", "x", e));
	assert_int_equal(t->calls, 4);
	assert_int_equal(t->nwaits, 3);
}

static void test_retry__a_cancel_does_not_spoil_what_works(void **state)
{
	struct setting *t = *state;

	cancel_request(&t->cancel);
	ok(put_text(t->s, "a", "x", e));
}

/* With the real clock: a wait of years that only a cancel can end. */
static void *request(void *arg)
{
	struct setting *t = arg;

	cancel_request(&t->cancel);
	return NULL;
}

static pthread_t requester;

static void start_requester(struct setting *t, uint64_t n)
{
	if (n == 0)
		assert_int_equal(pthread_create(&requester, NULL, request, t), 0);
}

static void test_retry__a_cancel_wakes_a_real_wait(void **state)
{
	struct setting *t = *state;
	struct setting other = { .rest = FAULT_FAIL, .at_call = start_requester };
	struct err why = ERR_INIT;
	const int64_t years_ms = INT64_C(1) << 40;

	(void)t;
	assert_int_equal(cancel_init(&other.cancel), 0);
	const struct store_retry_params params = { .budget_ms = years_ms,
		                                   .first_ms = years_ms,
		                                   .longest_ms = years_ms,
		                                   .cancel = &other.cancel };
	auto_store struct store *s = store_retry_new(faults_of(&other), &params, &why);
	assert_non_null(s);
	fails(ERR_CANCELLED, put_text(s, "a", "x", e));
	pthread_join(requester, NULL);
	store_free(other.inner);
	cancel_clear(&other.cancel);
}

static void test_retry__waits_for_real_without_a_cancel(void **state)
{
	struct setting *t = *state;
	struct setting other = { .plan = { FAULT_FAIL, FAULT_FAIL, FAULT_FAIL } };
	struct err why = ERR_INIT;
	const struct store_retry_params params = { .first_ms = 1, .longest_ms = 1 };

	(void)t;
	auto_store struct store *s = store_retry_new(faults_of(&other), &params, &why);
	assert_non_null(s);
	ok(put_text(s, "a", "x", e));
	assert_int_equal(other.calls, 4);
	store_free(other.inner);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_retry__every_call_is_repeated_until_it_works),
		CASE(test_retry__other_failures_are_final),
		CASE(test_retry__nobody_waits_long_for_a_second_region_that_is_gone),
		CASE(test_retry__gives_up_when_the_budget_is_used),
		CASE(test_retry__waits_grow_up_to_the_longest),
		CASE(test_retry__params_are_obeyed),
		CASE(test_retry_put__a_lost_answer_is_found_to_be_success),
		CASE(test_retry_put__a_lost_answer_of_an_empty_object_too),
		CASE(test_retry_put__compares_big_objects_to_the_last_byte),
		CASE(test_retry_put__another_object_under_the_key_is_not_success),
		CASE(test_retry_put__a_key_that_was_taken_from_the_start_is_not_compared),
		CASE(test_retry_put__comparing_is_repeated_too),
		CASE(test_retry_put__what_cannot_be_compared_fails_as_the_comparison_does),
		CASE(test_retry_put__a_key_that_is_free_again_is_stored),
		CASE(test_retry_list__goes_on_where_it_broke_off_for_as_long_as_it_takes),
		CASE(test_retry_list__a_failure_of_the_callback_is_not_repeated),
		CASE(test_retry_list__nor_is_one_that_gave_up_itself),
		CASE(test_retry_list__what_was_ended_is_not_repeated),
		CASE(test_retry__a_cancel_ends_the_tries),
		CASE(test_retry__a_cancel_does_not_spoil_what_works),
		CASE(test_retry__a_cancel_wakes_a_real_wait),
		CASE(test_retry__waits_for_real_without_a_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
