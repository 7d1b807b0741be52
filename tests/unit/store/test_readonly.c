/* SPDX-License-Identifier: Apache-2.0 */
/* A store that cannot be written. */
#include "tests/harness/store_kit.h"

static void test_readonly__reads_and_refuses_to_write(void **state)
{
	struct err why = ERR_INIT;
	struct store *inner = store_mem_new(&why);

	(void)state;
	assert_non_null(inner);
	ok(put_text(inner, "a", "x", e));
	auto_store struct store *s = store_readonly_new(inner, &why);
	assert_non_null(s);
	fails_saying(ERR_DENIED, "storing object 'b' in 'mem:': the store was opened for reading",
	             put_text(s, "b", "y", e));
	fails_saying(ERR_DENIED, "deleting object 'a' of 'mem:'", store_delete(s, "a", e));
	assert_text(s, "a", "x");
	assert_list(s, "", NULL, "a=1");
	assert_false(s->caps & STORE_CAP_WRITE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readonly__reads_and_refuses_to_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
