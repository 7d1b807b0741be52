/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for keys, and what the process does to keep it. */
#include "common/secret.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

static void test_secret_init__forbids_core_dumps(void **state)
{
	struct err e = ERR_INIT;
	struct rlimit limit;

	(void)state;
	assert_int_equal(secret_init(&e), 0);
	assert_int_equal(secret_init(&e), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 0);
	assert_int_equal(limit.rlim_max, 0);
}

static void test_secret_new__is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 32, 4096, 100001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		auto_secret uint8_t *p = secret_new(sizes[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xaa, sizes[i]);
	}
}

static void test_secret_new__refuses_absurd_sizes(void **state)
{
	(void)state;
	assert_null(secret_new(SIZE_MAX));
	assert_null(secret_new(SIZE_MAX / 2));
}

static int overrun(void *arg)
{
	const struct sigaction action = { .sa_handler = SIG_DFL }; /* not the sanitizer's */
	volatile uint8_t *p = secret_new(64);

	(void)arg;
	(void)sigaction(SIGSEGV, &action, NULL);
	p[64] = 1;
	return 0;
}

static void test_secret_new__ends_at_a_guard_page(void **state)
{
	auto_run struct harness_run r = harness_run(overrun, NULL);

	(void)state;
	assert_int_equal(r.status, 128 + SIGSEGV);
}

static void test_secret_free__takes_null(void **state)
{
	(void)state;
	secret_free(NULL);
}

static void test_secret_wipe__leaves_zeros(void **state)
{
	char text[] = "passphrase";

	(void)state;
	secret_wipe(text, 0);
	assert_string_equal(text, "passphrase");
	secret_wipe(text + 4, 3);
	assert_memory_equal(text, "pass\0\0\0ase", 11);
	secret_wipe(NULL, 0);
}

static void test_secret_random__does_not_repeat(void **state)
{
	uint8_t a[32] = { 0 };
	uint8_t b[32] = { 0 };
	uint8_t zero[32] = { 0 };

	(void)state;
	secret_random(a, sizeof(a));
	secret_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zero, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret_new__is_zeroed_and_aligned),
		cmocka_unit_test(test_secret_new__refuses_absurd_sizes),
		cmocka_unit_test(test_secret_new__ends_at_a_guard_page),
		cmocka_unit_test(test_secret_free__takes_null),
		cmocka_unit_test(test_secret_wipe__leaves_zeros),
		cmocka_unit_test(test_secret_random__does_not_repeat),
		cmocka_unit_test(test_secret_init__forbids_core_dumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
