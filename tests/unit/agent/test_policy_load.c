/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from files and directories. */
#include "agent/policy.h"

#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

#define POLICY(name, ns)                                                            \
	"apiVersion: aksdr.io/v1alpha1\nkind: BackupPolicy\nmetadata: {name: " name \
	", namespace: " ns "}\nspec: {selector: {}, schedule: {cron: '@daily'}}\n"

static void test_policy_load_dir__reads_all_in_order(void **state)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *link = path_join(dir, "z.json");
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "b.yaml", POLICY("b", "shop") "---\n" POLICY("a", "shop") "---\n");
	write_text(dir, "a.yml",
	           "# nothing but a plan\nkind: RestorePlan\n---\n" POLICY("z", "aa"));
	/* as a mounted ConfigMap has them: links into a directory whose name begins with dots */
	write_text(dir, "..data/z.json",
	           "{\"apiVersion\": \"aksdr.io/v1alpha1\", \"kind\": \"BackupPolicy\", "
	           "\"metadata\": {\"name\": \"c\"}, \"spec\": {}}");
	assert_int_equal(symlink("..data/z.json", link), 0);
	write_text(dir, "README", "no policy");
	write_text(dir, ".hidden.yaml", "no policy");
	if (policy_load_dir(dir, NULL, "aksdr", &l, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(l.n, 4);
	assert_string_equal(l.items[0]->name, "z");
	assert_string_equal(l.items[1]->ns, "aksdr");
	assert_string_equal(l.items[1]->invalid, "spec.selector: is missing");
	assert_string_equal(l.items[2]->name, "a");
	assert_string_equal(l.items[3]->name, "b");
}

static void fails(const char *text, enum err_class class, const char *want)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;

	write_text(dir, "p.yaml", text);
	assert_int_equal(policy_load_dir(dir, NULL, "aksdr", &l, &e), -1);
	if (e.class != class || !strstr(e.msg, want))
		fail_msg("%s", e.msg);
	assert_non_null(strstr(e.msg, "p.yaml"));
}

static void test_policy_load_dir__names_file_and_line(void **state)
{
	(void)state;
	fails(POLICY("a", "b") "---\n" POLICY("a", "b"), ERR_INVALID,
	      "document at line 6: policy 'b/a' is there twice");
	fails("kind: Pod\n", ERR_INVALID, "document at line 1: kind: 'Pod' is no BackupPolicy");
	fails("a: b\n c: d\n", ERR_FORMAT, "line 2");
}

static void test_policy_load_dir__is_there(void **state)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(policy_load_dir("/nonexistent/p", NULL, "aksdr", &l, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(policy_load_file("/nonexistent/p", NULL, "aksdr", &l, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_load_dir__reads_all_in_order),
		cmocka_unit_test(test_policy_load_dir__names_file_and_line),
		cmocka_unit_test(test_policy_load_dir__is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
