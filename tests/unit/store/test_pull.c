/* SPDX-License-Identifier: Apache-2.0 */
/* A listing that is asked for its items: all of them, in order, and ended at any moment. */
#include "store/pull.h"

#include "tests/harness/store_kit.h"

static struct store *filled(unsigned n)
{
	struct store *s = NULL;
	char key[32];

	ok((s = store_mem_new(e)) ? 0 : -1);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "a/%06u", i);
		ok(put_text(s, key, "x", e));
	}
	ok(put_text(s, "b", "four", e));
	return s;
}

/* The next item; its failure is none that a test expects here. */
static int next(struct store_pull *p, const struct store_item **ret)
{
	struct err e = ERR_INIT;
	int rc = store_pull_next(p, ret, &e);

	assert_string_equal(e.msg, "");
	return rc;
}

static void test_store_pull_next__gives_every_item_in_order_and_then_the_end(void **state)
{
	auto_store struct store *s = filled(3000);
	auto_store_pull struct store_pull *p = NULL;
	const struct store_item *item;
	char key[32];

	(void)state;
	ok((p = store_pull_new(s, "", e)) ? 0 : -1);
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(key, sizeof(key), "a/%06u", i);
		assert_int_equal(next(p, &item), 1);
		assert_string_equal(item->key, key);
		assert_int_equal(item->st.size, 1);
		assert_true(item->st.received_ns > 0);
	}
	assert_int_equal(next(p, &item), 1);
	assert_string_equal(item->key, "b");
	assert_int_equal(item->st.size, 4);
	assert_int_equal(next(p, &item), 0);
	assert_int_equal(next(p, &item), 0);
}

static void test_store_pull_new__lists_below_its_prefix_only(void **state)
{
	auto_store struct store *s = filled(2);
	auto_store_pull struct store_pull *p = NULL;
	const struct store_item *item;

	(void)state;
	ok((p = store_pull_new(s, "b", e)) ? 0 : -1);
	assert_int_equal(next(p, &item), 1);
	assert_string_equal(item->key, "b");
	assert_int_equal(next(p, &item), 0);
}

static void test_store_pull_free__ends_a_listing_at_any_moment(void **state)
{
	auto_store struct store *s = filled(3000);
	static const unsigned asked[] = { 0, 1, 128, 129, 2000, 3001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		auto_store_pull struct store_pull *p = NULL;
		const struct store_item *item;

		ok((p = store_pull_new(s, "", e)) ? 0 : -1);
		for (unsigned n = 0; n < asked[i]; n++)
			assert_int_equal(next(p, &item), 1);
	}
	store_pull_free(NULL);
}

static enum store_fault deny_lists(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)key;
	return call == CALL_LIST ? FAULT_DENIED : FAULT_NONE;
}

static void test_store_pull_next__tells_the_failure_of_the_listing(void **state)
{
	struct err err = ERR_INIT;
	auto_store struct store *s = store_fault_new(filled(2), deny_lists, NULL, &err);
	auto_store_pull struct store_pull *p = NULL;
	const struct store_item *item;

	(void)state;
	assert_non_null(s);
	ok((p = store_pull_new(s, "", e)) ? 0 : -1);
	fails(ERR_DENIED, store_pull_next(p, &item, e));
	fails(ERR_DENIED, store_pull_next(p, &item, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_pull_next__gives_every_item_in_order_and_then_the_end),
		cmocka_unit_test(test_store_pull_new__lists_below_its_prefix_only),
		cmocka_unit_test(test_store_pull_free__ends_a_listing_at_any_moment),
		cmocka_unit_test(test_store_pull_next__tells_the_failure_of_the_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
