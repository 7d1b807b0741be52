/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker, and two memory stores, of which each can be away. */
#include "store/geo.h"

#include "store/driver.h"
#include "tests/harness/store_kit.h"

/* ---- the breaker ---- */

static void test_breaker__follows_the_table(void **state)
{
	/* threshold 3, rest 1000 ms */
	static const struct {
		char what; /* ask; fail, work: tell */
		int64_t now_ms;
		bool asked; /* ask: its answer */
		bool open;  /* afterwards */
	} table[] = {
		{ 'a', 0, true, false },
		{ 'f', 0, false, false },
		{ 'f', 1, false, false },
		{ 'w', 2, false, false }, /* the row is broken */
		{ 'f', 3, false, false },
		{ 'f', 4, false, false },
		{ 'a', 5, true, false },
		{ 'f', 6, false, true }, /* three in a row */
		{ 'a', 7, false, true },
		{ 'f', 500, false, true }, /* an old call: moves nothing */
		{ 'a', 1005, false, true },
		{ 'a', 1006, true, true },  /* a trial */
		{ 'a', 1006, false, true }, /* one at a time */
		{ 'a', 9000, false, true },
		{ 'f', 9000, false, true }, /* it failed: another rest */
		{ 'a', 9999, false, true },
		{ 'a', 10000, true, true },
		{ 'w', 10001, false, false }, /* it worked */
		{ 'a', 10001, true, false },
		{ 'a', 10001, true, false },
		{ 'f', 10002, false, false }, /* the count began anew */
		{ 'f', 10003, false, false },
		{ 'f', 10004, false, true },
		{ 'w', 10005, false, false }, /* an old call that was answered after all */
	};
	struct geo_breaker b = { .threshold = 3, .rest_ms = 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].what == 'a' && geo_breaker_ask(&b, table[i].now_ms) != table[i].asked)
			fail_msg("line %zu: asked", i);
		if (table[i].what != 'a')
			geo_breaker_tell(&b, table[i].what == 'w', table[i].now_ms);
		if (b.open != table[i].open)
			fail_msg("line %zu: open", i);
	}
}

/* ---- two stores ---- */

struct region {
	struct store *mem; /* borrowed */
	enum store_fault fault;
	unsigned calls;
};

static struct region one, two;
static int64_t now;

static int64_t clock_of_test(void *arg)
{
	(void)arg;
	return now;
}

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct region *r = arg;

	(void)n;
	(void)call;
	(void)key;
	r->calls++;
	return r->fault;
}

static struct store *region(struct region *r)
{
	struct err e;

	*r = (struct region){ .mem = store_mem_new(&e) };
	assert_non_null(r->mem);
	struct store *s = store_fault_new(r->mem, decide, r, &e);
	assert_non_null(s);
	return s;
}

static struct store *geo_new(unsigned flags, bool copy)
{
	struct err e;
	struct store *first = region(&one);
	struct store *g = store_geo_new(first, region(&two), flags, copy, &e);

	assert_non_null(g);
	now = 0;
	geo_clock(g, clock_of_test, NULL);
	return g;
}

static void calls_are(unsigned first, unsigned second)
{
	assert_int_equal(one.calls, first);
	assert_int_equal(two.calls, second);
	one.calls = 0;
	two.calls = 0;
}

/* Reads that fail, five in a row. */
static void open_breaker(struct store *g)
{
	enum store_fault before = one.fault;
	struct store_stat st;

	one.fault = FAULT_FAIL;
	for (int i = 0; i < 5 && !store_away(g); i++) {
		struct err e;

		if (store_head(g, "nowhere", &st, &e) == 0)
			fail_msg("it is there");
	}
	assert_true(store_away(g));
	one.fault = before;
	one.calls = 0;
	two.calls = 0;
}

static void test_get__the_second_answers_for_the_first_at_once(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);
	struct store_stat st;
	char p[3] = "";

	(void)state;
	ok(put_text(two.mem, "a", "ab", e));
	one.fault = FAULT_FAIL;
	ok(store_get(g, "a", 0, p, 2, e));
	assert_string_equal(p, "ab");
	ok(store_head(g, "a", &st, e));
	assert_int_equal(buf_str(&b, "x"), 0);
	ok(store_get_all(g, "a", &b, e));
	assert_string_equal(buf_cstr(&b), "xab");
	assert_list(g, "", NULL, "a=2");
	assert_false(store_away(g));
	assert_true(g->caps & STORE_CAP_SECONDARY);
}

static void test_get__falls_over_and_back(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	char p[3] = "";

	(void)state;
	ok(put_text(two.mem, "a", "ab", e));
	ok(put_text(one.mem, "a", "ab", e));
	one.fault = FAULT_FAIL;
	for (int i = 0; i < 4; i++) {
		ok(store_get(g, "a", 0, p, 2, e));
		assert_false(store_away(g));
	}
	ok(store_get(g, "a", 0, p, 2, e));
	assert_true(store_away(g));
	calls_are(5, 5);
	ok(store_get(g, "a", 0, p, 2, e)); /* the first is not asked */
	calls_are(0, 1);
	now += 29999;
	ok(store_get(g, "a", 0, p, 2, e));
	calls_are(0, 1);
	now += 1;
	one.fault = FAULT_FAIL; /* the trial fails, and the read does not */
	ok(store_get(g, "a", 0, p, 2, e));
	calls_are(1, 1);
	ok(store_get(g, "a", 0, p, 2, e));
	calls_are(0, 1);
	now += 30000;
	one.fault = FAULT_NONE;
	ok(store_get(g, "a", 0, p, 2, e));
	calls_are(1, 0);
	assert_false(store_away(g));
}

static void test_get__what_the_first_answers_is_so(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	char p[3];

	(void)state;
	ok(put_text(two.mem, "a", "ab", e));
	fails(ERR_NOT_FOUND, store_get(g, "a", 0, p, 2, e));
	one.fault = FAULT_DENIED;
	fails(ERR_DENIED, store_get(g, "a", 0, p, 2, e));
	calls_are(2, 0);
}

static void test_get__what_the_second_lacks_is_not_there_yet(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	char p[3];

	(void)state;
	one.fault = FAULT_FAIL;
	/* the first may be asked again */
	fails_saying(ERR_RETRY, "does not answer", store_get(g, "a", 0, p, 2, e));
	open_breaker(g);
	fails_saying(ERR_RETRY, "does not answer", store_get(g, "a", 0, p, 2, e));
	/* and a trial of it has to fail before it is given up */
	now += 30000;
	fails_saying(ERR_NOT_FOUND, "it is not in the second region yet",
	             store_get(g, "a", 0, p, 2, e));
}

static void test_get__a_second_that_cannot_be_read_makes_nothing_worse(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	char p[3];

	(void)state;
	one.fault = FAULT_FAIL;
	two.fault = FAULT_DENIED;
	fails_saying(ERR_RETRY, "the second region cannot be read: access denied",
	             store_get(g, "a", 0, p, 2, e));
	open_breaker(g);
	fails_saying(ERR_RETRY, "the first region does not answer, and the second region cannot",
	             store_get(g, "a", 0, p, 2, e));
	two.fault = FAULT_FAIL;
	fails(ERR_RETRY, store_get(g, "a", 0, p, 2, e));
	two.fault = FAULT_TRUNCATE;
	fails(ERR_CORRUPT, store_get(g, "a", 0, p, 2, e));
}

static void test_get__who_writes_reads_the_first_alone(void **state)
{
	auto_store struct store *g = geo_new(0, true);
	struct store_stat st;
	char p[3];

	(void)state;
	ok(put_text(two.mem, "a", "ab", e));
	one.fault = FAULT_FAIL;
	for (int i = 0; i < 12; i++)
		fails(ERR_RETRY, store_get(g, "a", 0, p, 2, e));
	fails(ERR_RETRY, store_head(g, "a", &st, e));
	assert_false(store_away(g));
	assert_int_equal(two.calls, 0);
}

static void test_put__goes_to_the_first_alone(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);

	(void)state;
	ok(put_text(g, "a", "ab", e));
	ok(store_delete(g, "b", e));
	calls_are(2, 0);
	assert_absent(two.mem, "a");
	one.fault = FAULT_FAIL;
	fails(ERR_RETRY, put_text(g, "b", "ab", e));
	calls_are(1, 0);
	open_breaker(g);
	fails_saying(ERR_DENIED, "the second cannot be written", put_text(g, "b", "ab", e));
	fails_saying(ERR_DENIED, "the second cannot be written", store_delete(g, "a", e));
	calls_are(0, 0);
}

static void test_put__who_may_read_the_second_does_not_try_for_long(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	auto_store struct store *writer = NULL;

	(void)state;
	one.fault = FAULT_FAIL;
	for (int i = 0; i < 5; i++)
		fails(ERR_RETRY, put_text(g, "b", "ab", e));
	assert_true(store_away(g));
	fails_saying(ERR_DENIED, "the second cannot be written", put_text(g, "b", "ab", e));
	calls_are(5, 0);
	/* A writer has nothing else: it goes on as long as it is let. */
	writer = geo_new(0, false);
	one.fault = FAULT_FAIL;
	for (int i = 0; i < 8; i++)
		fails(ERR_RETRY, put_text(writer, "b", "ab", e));
	assert_false(store_away(writer));
	calls_are(8, 0);
}

static void test_list__goes_on_in_the_second_after_a_break(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);

	(void)state;
	ok(put_text(one.mem, "a", "1", e));
	ok(put_text(one.mem, "b", "1", e));
	ok(put_text(two.mem, "a", "22", e));
	ok(put_text(two.mem, "b", "22", e));
	ok(put_text(two.mem, "c", "22", e));
	one.fault = FAULT_APPLIED_LOST; /* all items, and then no end */
	assert_list(g, "", NULL, "a=1 b=1 c=2");
	assert_list(g, "", "a", "b=1 c=2");
	calls_are(2, 2);
}

static void test_list__ends_where_the_caller_ended_it(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	(void)state;
	ok(put_text(one.mem, "a", "1", e));
	ok(put_text(two.mem, "b", "1", e));
	one.fault = FAULT_APPLIED_LOST;
	l.stop_at = 1;
	ok(store_list(g, "", NULL, see, &l, e));
	assert_int_equal(l.count, 1);
	calls_are(1, 0);
}

static void test_list__what_the_caller_fails_with_is_no_failure_of_the_region(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);

	(void)state;
	ok(put_text(one.mem, "a", "1", e));
	for (int i = 0; i < 12; i++) {
		CLEANUP(seen_clear) struct seen l = SEEN_INIT;

		l.fail_at = 1;
		fails_saying(ERR_BUSY, "not wanted by the test",
		             store_list(g, "", NULL, see, &l, e));
	}
	calls_are(12, 0);
	assert_false(store_away(g));
}

static void test_list__after_something_longer_than_a_key(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, false);
	char after[STORE_KEY_MAX + 10];

	(void)state;
	memset(after, 'b', sizeof(after) - 1);
	after[sizeof(after) - 1] = '\0';
	ok(put_text(two.mem, "a", "1", e));
	ok(put_text(two.mem, "c", "1", e));
	one.fault = FAULT_FAIL;
	assert_list(g, "", after, "c=1");
}

static void test_cut__a_copy_is_compared(void **state)
{
	auto_store struct store *g = geo_new(STORE_FAIL_OVER, true);
	struct store_cut cut;

	(void)state;
	ok(put_text(one.mem, "a", "1", e));
	ok(store_cut(g, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_COMPARED);
	assert_int_equal(cut.behind, 1);
	ok(put_text(two.mem, "a", "1", e));
	ok(store_cut(g, 0, &cut, e));
	assert_int_equal(cut.behind, 0);
	open_breaker(g);
	ok(store_cut(g, 0, &cut, e));
	assert_int_equal(cut.kind, CUT_UNKNOWN);
	calls_are(0, 0);
	auto_store struct store *own = geo_new(STORE_FAIL_OVER, false);
	ok(store_cut(own, 0, &cut, e)); /* the first one says it, and a memory store has none */
	assert_int_equal(cut.kind, CUT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaker__follows_the_table),
		cmocka_unit_test(test_get__the_second_answers_for_the_first_at_once),
		cmocka_unit_test(test_get__falls_over_and_back),
		cmocka_unit_test(test_get__what_the_first_answers_is_so),
		cmocka_unit_test(test_get__what_the_second_lacks_is_not_there_yet),
		cmocka_unit_test(test_get__a_second_that_cannot_be_read_makes_nothing_worse),
		cmocka_unit_test(test_get__who_writes_reads_the_first_alone),
		cmocka_unit_test(test_put__goes_to_the_first_alone),
		cmocka_unit_test(test_put__who_may_read_the_second_does_not_try_for_long),
		cmocka_unit_test(test_list__goes_on_in_the_second_after_a_break),
		cmocka_unit_test(test_list__ends_where_the_caller_ended_it),
		cmocka_unit_test(test_list__what_the_caller_fails_with_is_no_failure_of_the_region),
		cmocka_unit_test(test_list__after_something_longer_than_a_key),
		cmocka_unit_test(test_cut__a_copy_is_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
