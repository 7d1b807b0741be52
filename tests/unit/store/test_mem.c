/* SPDX-License-Identifier: Apache-2.0 */
/* What the contract suite does not ask of the memory store: names, and growing. */
#include <stdio.h>

#include "tests/harness/store_kit.h"

static struct store *open_mem(const char *url)
{
	struct err e = ERR_INIT;
	struct store *s = store_open(url, 0, &e);

	assert_non_null(s);
	return s;
}

static void test_mem__stays_when_the_last_handle_is_freed(void **state)
{
	struct store *s = open_mem("mem:stays");

	(void)state;
	ok(put_text(s, "a", "x", e));
	store_free(s);
	auto_store struct store *again = open_mem("mem:stays");
	assert_text(again, "a", "x");
}

static void test_mem__names_are_different_stores(void **state)
{
	auto_store struct store *one = open_mem("mem:one");
	auto_store struct store *two = open_mem("mem:One");

	(void)state;
	ok(put_text(one, "a", "x", e));
	assert_absent(two, "a");
	assert_string_equal(one->url, "mem:one");
}

static void test_mem__readonly_handle_sees_what_another_one_writes(void **state)
{
	auto_store struct store *writer = open_mem("mem:shared");
	struct err why = ERR_INIT;
	auto_store struct store *reader = store_open("mem:shared", STORE_READONLY, &why);

	(void)state;
	assert_non_null(reader);
	ok(put_text(writer, "a", "x", e));
	assert_text(reader, "a", "x");
	fails(ERR_DENIED, put_text(reader, "b", "x", e));
}

static void test_mem__without_a_name_belongs_to_its_handle(void **state)
{
	struct err why = ERR_INIT;
	auto_store struct store *one = store_mem_new(&why);
	auto_store struct store *two = store_mem_new(&why);

	(void)state;
	assert_non_null(one);
	assert_non_null(two);
	ok(put_text(one, "a", "x", e));
	assert_absent(two, "a");
}

static void test_mem__keeps_thousands_in_order(void **state)
{
	enum { ALL = 4000 };
	struct err why = ERR_INIT;
	auto_store struct store *s = store_mem_new(&why);
	CLEANUP(buf_clear) struct buf want = BUF_INIT(MIB);
	char key[32];

	(void)state;
	assert_non_null(s);
	/* 1237 is prime to 4000: every number once, in no order */
	for (unsigned i = 0; i < ALL; i++) {
		(void)snprintf(key, sizeof(key), "k/%04u", i * 1237 % ALL);
		ok(put_text(s, key, "", e));
	}
	for (unsigned i = 0; i < ALL; i++)
		assert_int_equal(buf_printf(&want, "%sk/%04u=0", i ? " " : "", i), 0);
	assert_list(s, "", NULL, buf_cstr(&want));
	for (unsigned i = 0; i < ALL; i++) {
		if (i == 1234)
			continue;
		(void)snprintf(key, sizeof(key), "k/%04u", i);
		ok(store_delete(s, key, e));
	}
	assert_list(s, "", NULL, "k/1234=0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem__stays_when_the_last_handle_is_freed),
		cmocka_unit_test(test_mem__names_are_different_stores),
		cmocka_unit_test(test_mem__readonly_handle_sees_what_another_one_writes),
		cmocka_unit_test(test_mem__without_a_name_belongs_to_its_handle),
		cmocka_unit_test(test_mem__keeps_thousands_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
