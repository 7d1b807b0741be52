/* SPDX-License-Identifier: Apache-2.0 */
/* Which claims a pod uses, also those that are made for it, and whether it has ended. */
#include "kube/pod.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"

static json_t *parsed(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("pod", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void test_pod_uses__named_and_made_claims(void **state)
{
	auto_json json_t *pod = parsed(
		"metadata: {name: db-0}\n"
		"spec: {volumes: [{name: x, emptyDir: {}},\n"
		" {name: y, persistentVolumeClaim: {claimName: data}},\n"
		" {name: scratch, ephemeral: {volumeClaimTemplate: {}}}]}\n");
	auto_json json_t *bare = parsed("metadata: {name: db-0}\n");

	(void)state;
	assert_true(pod_uses(pod, "data"));
	assert_true(pod_uses(pod, "db-0-scratch"));
	assert_false(pod_uses(pod, "scratch"));
	assert_false(pod_uses(pod, "x"));
	assert_false(pod_uses(pod, ""));
	assert_false(pod_uses(bare, "data"));
}

static void test_pod_volume_claim__what_does_not_fit_is_none(void **state)
{
	char name[KUBE_NAME_MAX + 1], longest[KUBE_NAME_MAX + 2];
	auto_json json_t *pod = parsed("metadata: {name: p}\n");

	(void)state;
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	auto_json json_t *over = json_pack("{s:{s:s}}", "persistentVolumeClaim", "claimName",
	                                   longest);
	auto_json json_t *fits = json_pack("{s:{s:s}}", "persistentVolumeClaim", "claimName",
	                                   longest + 1);
	assert_false(pod_volume_claim(pod, over, name));
	assert_true(pod_volume_claim(pod, fits, name));
	assert_string_equal(name, longest + 1);
}

static void test_pod_is_over__by_its_phase(void **state)
{
	auto_json json_t *ended = parsed("status: {phase: Failed}\n");
	auto_json json_t *done = parsed("status: {phase: Succeeded}\n");
	auto_json json_t *runs = parsed("status: {phase: Running}\n");

	(void)state;
	assert_true(pod_is_over(ended));
	assert_true(pod_is_over(done));
	assert_false(pod_is_over(runs));
	assert_false(pod_is_over(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pod_uses__named_and_made_claims),
		cmocka_unit_test(test_pod_volume_claim__what_does_not_fit_is_none),
		cmocka_unit_test(test_pod_is_over__by_its_phase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
