/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals in the cluster: numbered, each once, in order, and by whom they may not be gone on with.
 */
#include "restore/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

#define RUN "0123456789abcdef0123456789abcdef"

static char steps[256];

static int take(void *arg, uint64_t n, const struct run_entry *entry, const json_t *record,
                struct err *e)
{
	size_t len = strlen(steps);

	(void)arg;
	(void)record;
	(void)e;
	(void)snprintf(steps + len, sizeof(steps) - len, "%llu:%s ", (unsigned long long)n,
	               entry->step);
	return 0;
}

static void test_history__in_a_cluster_is_one_chain(void **state)
{
	struct history a, b;
	struct err e = ERR_INIT;

	(void)state;
	steps[0] = '\0';
	assert_int_equal(history_open(NULL, kit.kube, "aksdr", RUN, &a, &e), 0);
	assert_int_equal(history_open(NULL, kit.kube, "aksdr", RUN, &b, &e), 0);
	for (int i = 0; i < 11; i++) {
		if (history_add(&a, "failover", "shop", i ? "gate" : "begin", NULL, &e) < 0)
			fail_msg("%s", e.msg);
	}
	assert_int_equal(history_read(&b, take, NULL, &e), 0);
	assert_non_null(strstr(steps, "1:begin 2:gate "));
	assert_non_null(strstr(steps, "10:gate 11:gate "));
	/* both know all; one is first */
	assert_int_equal(history_add(&b, "failover", "shop", "resume", NULL, &e), 0);
	assert_int_equal(history_add(&a, "failover", "shop", "end", NULL, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	steps[0] = '\0';
	assert_int_equal(history_read(&a, take, NULL, &e), 0);
	assert_string_equal(steps, "12:resume ");
	cluster_remove("configmaps/aksdr/aksdr-run-0123456789abcdef-3");
	assert_int_equal(history_open(NULL, kit.kube, "aksdr", RUN, &b, &e), 0);
	assert_int_equal(history_read(&b, take, NULL, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_int_equal(history_open(NULL, kit.kube, "aksdr", "x", &b, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_CASE(test_history__in_a_cluster_is_one_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
