/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of a plan are given: a plan, or what stands for one. */
#include "restore/scope.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

static int setup(void **state)
{
	(void)state;
	/* No cluster of whoever runs this. */
	assert_int_equal(setenv("KUBECONFIG", "/nowhere/config", 1), 0);
	assert_int_equal(setenv("HOME", "/nowhere", 1), 0);
	return 0;
}

static void test_scope_open__options_stand_for_a_plan(void **state)
{
	CLEANUP(scope_close) struct scope s = { .from = NULL };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(scope_set(&s, SCOPE_OPT_FROM, "we", &e), 1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_NAMESPACES, "shop-*", &e), 1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_MAP_NAMESPACE, "shop-a=copy", &e), 1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_MAP_CLASS, "fast=slow", &e), 1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_AS_OF, "2026-11-22", &e), 1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_MOVERS, "9", &e), 1);
	assert_int_equal(scope_set(&s, 1, NULL, &e), 0);
	if (scope_open(&s, NULL, false, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	assert_null(s.kube);
	assert_string_equal(s.ns, "aksdr");
	assert_int_equal(s.movers, 9);
	assert_true(s.as_of_ns == INT64_C(1795305600000000000));
	assert_string_equal(s.recipe->primary.cluster, "we");
	assert_true(recipe_selects(&s.recipe->select, "shop-a", "x", NULL));
	assert_false(recipe_selects(&s.recipe->select, "web", "x", NULL));
	assert_string_equal(recipe_mapped(s.recipe, RECIPE_NAMESPACES, "shop-a"), "copy");
	assert_string_equal(recipe_mapped(s.recipe, RECIPE_CLASSES, "fast"), "slow");
}

static void test_scope_open__says_what_is_missing(void **state)
{
	CLEANUP(scope_close) struct scope s = { .from = NULL };
	CLEANUP(scope_close) struct scope both = { .from = "we" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(scope_set(&s, SCOPE_OPT_MAP_CLASS, "fast", &e), -1);
	assert_non_null(strstr(e.msg, "OLD=NEW"));
	assert_int_equal(scope_set(&s, SCOPE_OPT_MAP_CLASS, "=x", &e), -1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_MOVERS, "0", &e), -1);
	assert_int_equal(scope_set(&s, SCOPE_OPT_AS_OF, "soon", &e), -1);
	assert_int_equal(scope_open(&s, NULL, false, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "--from"));
	assert_int_equal(scope_open(&both, "./plan.yaml", false, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "either a plan"));
	assert_int_equal(scope_open(&s, "shop", false, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "is to be a file"));
	assert_int_equal(scope_open(&s, NULL, true, NULL, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void test_scope_open__a_file_has_the_plan(void **state)
{
	CLEANUP(scope_close) struct scope s = { .ns = "tools" };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "p.yaml");
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "p.yaml",
	           "apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: p}\n"
	           "spec: {mode: hot/cold, primary: {cluster: we}, selector: {}, "
	           "point: {asOf: 2026-11-22}}\n");
	if (scope_open(&s, path, false, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(s.recipe->name, "p");
	assert_string_equal(s.recipe->ns, "tools");
	assert_true(s.as_of_ns > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope_open__options_stand_for_a_plan),
		cmocka_unit_test(test_scope_open__says_what_is_missing),
		cmocka_unit_test(test_scope_open__a_file_has_the_plan),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
