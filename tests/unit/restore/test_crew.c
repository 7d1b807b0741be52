/* SPDX-License-Identifier: Apache-2.0 */
/* The crew: every number once, round after round, with any number of threads. */
#include "restore/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOST 1000

static void count(void *arg, size_t i)
{
	atomic_fetch_add((atomic_uint *)arg + i, 1);
}

static void test_crew_run__calls_once_for_each_number(void **state)
{
	static atomic_uint counts[MOST];

	(void)state;
	for (unsigned threads = 1; threads <= 5; threads++) {
		struct crew *c = crew_new(threads);

		assert_non_null(c);
		for (size_t n = 0; n <= MOST; n = n * 3 + 1) {
			for (size_t i = 0; i < MOST; i++)
				atomic_store(&counts[i], 0);
			crew_run(c, n, count, counts);
			for (size_t i = 0; i < MOST; i++)
				assert_int_equal(atomic_load(&counts[i]), i < n);
		}
		crew_free(c);
	}
}

static void test_crew_free__fine_before_any_work(void **state)
{
	(void)state;
	crew_free(crew_new(3));
	crew_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crew_run__calls_once_for_each_number),
		cmocka_unit_test(test_crew_free__fine_before_any_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
