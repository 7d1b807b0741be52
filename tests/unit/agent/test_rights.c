/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rights, against the rules that the chart gives. */
#include "agent/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/yaml.h"
#include "kube/review.h"
#include "tests/harness/harness.h"

static void test_rights_rules__all_say_what_is_lost(void **state)
{
	size_t n;
	const struct rights_rule *rules = rights_rules(&n);

	(void)state;
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(rules[i].verbs) > 0);
		assert_true(strlen(rules[i].lost) > 0);
		assert_null(strchr(rules[i].verbs, '*'));
		assert_null(strchr(rules[i].resource, '*'));
	}
}

/* One rule of the chart is one group, one resource, and its verbs in order. */
static const json_t *only(const json_t *rule, const char *member)
{
	const json_t *list = json_object_get(rule, member);

	assert_int_equal(json_array_size(list), 1);
	return json_array_get(list, 0);
}

static void same_rules(enum rights_where where, const char *file)
{
	const char *src = getenv("SRC");
	struct err e = ERR_INIT;
	auto_free char *path = path_join(src ? src : ".", file);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	FILE *in = fopen(path, "r");
	char line[512];
	size_t n, at = 0;

	if (!in)
		fail_msg("'%s' cannot be opened", path);
	while (fgets(line, sizeof(line), in))
		assert_int_equal(buf_str(&text, line), 0);
	(void)fclose(in);
	auto_json json_t *chart = yaml_parse(file, text.data, text.len, &e);
	if (!chart)
		fail_msg("%s", e.msg);
	const struct rights_rule *rules = rights_rules(&n);
	for (size_t i = 0; i < n; i++) {
		if (rules[i].where != where)
			continue;
		const json_t *rule = json_array_get(chart, at++);
		const json_t *verbs = json_object_get(rule, "verbs");
		char verb[REVIEW_VERB_MAX];
		size_t from = 0, k = 0;

		assert_string_equal(json_string_value(only(rule, "apiGroups")), rules[i].group);
		assert_string_equal(json_string_value(only(rule, "resources")), rules[i].resource);
		while (review_verb(rules[i].verbs, &from, verb))
			assert_string_equal(json_string_value(json_array_get(verbs, k++)), verb);
		assert_int_equal(json_array_size(verbs), k);
		assert_int_equal(json_object_size(rule), 3);
	}
	assert_int_equal(json_array_size(chart), at);
}

static void test_rights_rules__are_those_of_the_chart(void **state)
{
	(void)state;
	same_rules(RIGHTS_CLUSTER, "helm/aksdr/files/rules-cluster.yaml");
	same_rules(RIGHTS_OWN, "helm/aksdr/files/rules-own.yaml");
	same_rules(RIGHTS_HOOKS, "helm/aksdr/files/rules-hooks.yaml");
	same_rules(RIGHTS_PAGE, "helm/aksdr/files/rules-page.yaml");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights_rules__all_say_what_is_lost),
		cmocka_unit_test(test_rights_rules__are_those_of_the_chart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
