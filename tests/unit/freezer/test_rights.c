/* SPDX-License-Identifier: Apache-2.0 */
/* Rights that are given up are gone; in a process of its own for each test. */
#include "freezer/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/harness/harness.h"

/* Gives up all but what the test wants, and prints its own status. */
static int keep(void *arg)
{
	const bool *search = arg;
	struct err e = ERR_INIT;
	struct rlimit core;

	if (rights_keep(*search, &e) < 0 || (!*search && rights_keep(false, &e) < 0)) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return (int)e.class;
	}
	/* our own files in /proc are root's now, and we are root: no need for a capability */
	auto_free char *status = read_file("/proc/self", "status", NULL);
	(void)fputs(status, stdout);
	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : 99;
}

static int keep_as_nobody(void *arg)
{
	return setuid(65534) == 0 ? keep(arg) : 98;
}

static void test_rights_keep__one_capability_is_left(void **state)
{
	bool search = false;

	(void)state;
	auto_run struct harness_run r = harness_run(keep, &search);
	if (r.status == ERR_DENIED)
		skip();
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "CapInh:\t0000000000000000\n"));
	assert_non_null(strstr(r.out, "CapPrm:\t0000000000200000\n"));
	assert_non_null(strstr(r.out, "CapEff:\t0000000000200000\n"));
	assert_non_null(strstr(r.out, "CapAmb:\t0000000000000000\n"));
	assert_non_null(strstr(r.out, "NoNewPrivs:\t1\n"));
}

static void test_rights_keep__searching_is_left_for_a_while(void **state)
{
	bool search = true;

	(void)state;
	auto_run struct harness_run r = harness_run(keep, &search);
	if (r.status == ERR_DENIED)
		skip();
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "CapEff:\t0000000000200004\n"));
}

static void test_rights_keep__says_what_is_missing(void **state)
{
	bool search = false;

	(void)state;
	if (geteuid() != 0)
		skip();
	auto_run struct harness_run r = harness_run(keep_as_nobody, &search);
	assert_int_equal(r.status, ERR_DENIED);
	assert_string_equal(r.err,
	                    "the freezer needs the capability CAP_SYS_ADMIN to freeze file "
	                    "systems; run it as root, in a container with this capability\n");
}

static int outlive(void *arg)
{
	(void)arg;
	rights_outlive();
	auto_free char *score = read_file("/proc/self", "oom_score_adj", NULL);
	(void)fputs(score, stdout);
	return 0;
}

static void test_rights_outlive__asks_to_be_ended_last(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	auto_free char *before = read_file("/proc/self", "oom_score_adj", NULL);
	auto_run struct harness_run r = harness_run(outlive, NULL);
	assert_int_equal(r.status, 0);
	/* without CAP_SYS_RESOURCE it stays as it was */
	assert_true(strcmp(r.out, "-1000\n") == 0 || strcmp(r.out, before) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights_keep__one_capability_is_left),
		cmocka_unit_test(test_rights_keep__searching_is_left_for_a_while),
		cmocka_unit_test(test_rights_keep__says_what_is_missing),
		cmocka_unit_test(test_rights_outlive__asks_to_be_ended_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
