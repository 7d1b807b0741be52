/* SPDX-License-Identifier: Apache-2.0 */
/* What each planned fault does to each call. */
#include "tests/harness/store_kit.h"

/* The fault of the next call, and what the plan was asked. */
struct plan {
	enum store_fault next;
	uint64_t n;
	enum store_call call;
	char key[64];
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct plan *p = arg;

	p->n = n;
	p->call = call;
	(void)snprintf(p->key, sizeof(p->key), "%s", key);
	return p->next;
}

struct setting {
	struct plan plan;
	struct store *s;
};

static int setup(void **state)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e;

	assert_non_null(t);
	struct store *inner = store_mem_new(&e);
	assert_non_null(inner);
	t->s = store_fault_new(inner, decide, &t->plan, &e);
	assert_non_null(t->s);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	store_free(t->s);
	free(t);
	return 0;
}

static void test_fault__the_plan_sees_every_call(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st;
	char c;

	ok(put_text(t->s, "a", "x", e));
	assert_int_equal(t->plan.n, 0);
	assert_int_equal(t->plan.call, CALL_PUT);
	assert_string_equal(t->plan.key, "a");
	ok(store_get(t->s, "a", 0, &c, 1, e));
	assert_int_equal(t->plan.n, 1);
	assert_int_equal(t->plan.call, CALL_GET);
	ok(store_head(t->s, "a", &st, e));
	assert_int_equal(t->plan.call, CALL_HEAD);
	ok(store_list(t->s, "pre", NULL, see, &l, e));
	assert_int_equal(t->plan.call, CALL_LIST);
	assert_string_equal(t->plan.key, "pre");
	ok(store_delete(t->s, "a", e));
	assert_int_equal(t->plan.n, 4);
	assert_int_equal(t->plan.call, CALL_DELETE);
}

static void test_fault__refusals_apply_nothing(void **state)
{
	struct setting *t = *state;
	static const struct {
		enum store_fault fault;
		enum err_class class;
	} rows[] = {
		{ FAULT_FAIL, ERR_RETRY },
		{ FAULT_DENIED, ERR_DENIED },
		{ FAULT_QUOTA, ERR_QUOTA },
		{ FAULT_GONE, ERR_NOT_FOUND },
	};
	struct store_stat st;
	char c = '?';

	ok(put_text(t->s, "old", "x", e));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(seen_clear) struct seen l = SEEN_INIT;

		t->plan.next = rows[i].fault;
		fails(rows[i].class, put_text(t->s, "new", "y", e));
		fails(rows[i].class, store_get(t->s, "old", 0, &c, 1, e));
		fails(rows[i].class, store_head(t->s, "old", &st, e));
		fails(rows[i].class, store_list(t->s, "", NULL, see, &l, e));
		fails(rows[i].class, store_delete(t->s, "old", e));
		assert_int_equal(l.count, 0);
		assert_int_equal(c, '?');
		t->plan.next = FAULT_NONE;
		assert_list(t->s, "", NULL, "old=1");
	}
}

static void test_fault__a_lost_answer_was_applied(void **state)
{
	struct setting *t = *state;
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	struct store_stat st = { 0 };
	char c = '?';

	t->plan.next = FAULT_APPLIED_LOST;
	fails_saying(ERR_RETRY, "answer was lost", put_text(t->s, "a", "xy", e));
	fails(ERR_EXISTS, put_text(t->s, "a", "xy", e));
	fails(ERR_RETRY, store_get(t->s, "a", 0, &c, 1, e));
	assert_int_equal(c, 'x');
	fails(ERR_RETRY, store_head(t->s, "a", &st, e));
	assert_int_equal(st.size, 2);
	fails(ERR_RETRY, store_list(t->s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 1);
	fails(ERR_RETRY, store_delete(t->s, "a", e));
	t->plan.next = FAULT_NONE;
	assert_list(t->s, "", NULL, "");
}

static void test_fault__truncate_cuts_what_is_stored_and_fails_what_is_read(void **state)
{
	struct setting *t = *state;
	struct store_stat st;
	char c;

	t->plan.next = FAULT_TRUNCATE;
	ok(put_text(t->s, "a", "12345678", e));
	ok(put_text(t->s, "b", "1", e));
	ok(put_text(t->s, "c", "", e));
	fails(ERR_CORRUPT, store_get(t->s, "a", 0, &c, 1, e));
	ok(store_head(t->s, "a", &st, e));
	t->plan.next = FAULT_NONE;
	assert_text(t->s, "a", "1234");
	assert_text(t->s, "b", "");
	assert_text(t->s, "c", "");
	ok(store_delete(t->s, "a", e));
}

static unsigned bits_that_differ(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a;
	const uint8_t *q = b;
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount((unsigned)(p[i] ^ q[i]));
	return bits;
}

static void test_fault__flip_changes_one_bit(void **state)
{
	struct setting *t = *state;
	static const char text[] = "the quick brown fox";
	char got[sizeof(text)] = { 0 };
	char again[sizeof(text)] = { 0 };

	t->plan.next = FAULT_FLIP;
	ok(put_text(t->s, "a", text, e));
	ok(put_text(t->s, "empty", "", e));
	t->plan.next = FAULT_NONE;
	ok(store_get(t->s, "a", 0, got, sizeof(text) - 1, e));
	assert_int_equal(bits_that_differ(got, text, sizeof(text)), 1);
	ok(store_get(t->s, "a", 0, again, sizeof(text) - 1, e));
	assert_memory_equal(got, again, sizeof(text));
	t->plan.next = FAULT_FLIP;
	ok(store_get(t->s, "a", 0, again, sizeof(text) - 1, e));
	assert_int_equal(bits_that_differ(got, again, sizeof(text)), 1);
	ok(store_get(t->s, "a", 0, again, 0, e));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_fault__the_plan_sees_every_call),
		CASE(test_fault__refusals_apply_nothing),
		CASE(test_fault__a_lost_answer_was_applied),
		CASE(test_fault__truncate_cuts_what_is_stored_and_fails_what_is_read),
		CASE(test_fault__flip_changes_one_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
