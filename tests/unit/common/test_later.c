/* SPDX-License-Identifier: Apache-2.0 */
/* Which answers are repeated, and that their wait is kept. */
#include "common/later.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clean.h"

static void test_later_is__what_may_work_later(void **state)
{
	static const int later[] = { 408, 429, 500, 502, 503, 504, 509, 520, 599 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (!later_is(later[i]))
			fail_msg("%d is not repeated", later[i]);
}

static void test_later_is__nothing_that_stays_so(void **state)
{
	static const int never[] = { 0,   100, 200, 206, 301, 400, 401, 403, 404, 409,  410,
		                     412, 413, 416, 425, 499, 501, 505, 507, 600, 1000, -1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (later_is(never[i]))
			fail_msg("%d is repeated", never[i]);
}

static void test_later_set__keeps_text_and_wait(void **state)
{
	static const struct http_answer a = { .status = 503, .wait_ms = 7000 };
	static const struct http_answer none = { .status = 429 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(later_set(&e, &a, "status %d", a.status), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_string_equal(e.msg, "status 503");
	assert_int_equal(e.wait_ms, 7000);
	assert_int_equal(later_set(&e, &none, "busy"), -1);
	assert_int_equal(e.wait_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_later_is__what_may_work_later),
		cmocka_unit_test(test_later_is__nothing_that_stays_so),
		cmocka_unit_test(test_later_set__keeps_text_and_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
