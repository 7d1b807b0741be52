/* SPDX-License-Identifier: Apache-2.0 */
/* A pod that does one job: where it runs, what it mounts, and what its log says. */
#include "kube/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

static json_t *template(void)
{
	return json_pack("{s:{s:[{s:s, s:s}]}}", "spec", "containers", "name", WORKER_CONTAINER,
	                 "image", "i");
}

static void test_worker_pod__in_the_zones_that_are_asked_for(void **state)
{
	auto_json json_t *t = template();
	auto_json json_t *zones = json_pack("[s, s]", "ne-1", "ne-2");
	auto_json json_t *args = json_pack("[s]", "volume");
	auto_json json_t *labels = json_pack("{s:s}", "a", "b");
	struct err e = ERR_INIT;
	const struct worker_params p = { .ns = "aksdr",
		                         .name = "w",
		                         .labels = labels,
		                         .template = t,
		                         .zones = zones,
		                         .args = args,
		                         .claim = "c",
		                         .path = "/target" };
	auto_json json_t *pod = worker_pod(&p, &e);
	const json_t *terms = kube_at(pod, "spec.affinity.nodeAffinity."
	                                   "requiredDuringSchedulingIgnoredDuringExecution."
	                                   "nodeSelectorTerms");
	const json_t *rule = json_array_get(kube_at(json_array_get(terms, 0), "matchExpressions"),
	                                    0);
	const json_t *c = json_array_get(kube_at(pod, "spec.containers"), 0);

	(void)state;
	assert_string_equal(kube_text_at(rule, "key"), "topology.kubernetes.io/zone");
	assert_true(json_equal(kube_at(rule, "values"), zones));
	assert_string_equal(kube_text_at(pod, "metadata.labels.a"), "b");
	assert_false(kube_true_at(json_array_get(kube_at(c, "volumeMounts"), 0), "readOnly"));
	assert_false(kube_true_at(json_array_get(kube_at(pod, "spec.volumes"), 0),
	                          "persistentVolumeClaim.readOnly"));
	assert_true(json_is_false(kube_at(pod, "spec.automountServiceAccountToken")));
}

static int lines;

static int on_line(void *arg, const char *line)
{
	(void)arg;
	assert_true(strcmp(line, "one") == 0 || strcmp(line, "two") == 0);
	lines++;
	return 1;
}

static void test_worker_wait__gives_each_line_once_and_the_result(void **state)
{
	const struct worker_wait w = {
		.kube = kit.kube, .ns = "aksdr", .name = "w", .what = "v", .line = on_line
	};
	auto_json json_t *pod = NULL;
	const char *result = "";
	struct err e = ERR_INIT;

	(void)state;
	lines = 0;
	(void)snprintf(cluster.log, sizeof(cluster.log),
	               "2026-11-22T10:00:00Z one\n2026-11-22T10:00:01Z two\n"
	               "2026-11-22T10:00:01Z two\n");
	cluster_put(
		"pods/aksdr/w",
		"{'metadata': {'name': 'w'}, 'status': {'phase': 'Succeeded', 'containerStatuses': "
		"[{'name': 'mover', 'state': {'terminated': {'exitCode': 0, 'message': '{}'}}}]}}");
	if (worker_wait(&w, &pod, &result, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(result, "{}");
	assert_int_equal(lines, 2);
	cluster_remove("pods/aksdr/w");
	json_decref(pod);
	pod = NULL;
	assert_int_equal(worker_wait(&w, &pod, &result, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_pod__in_the_zones_that_are_asked_for),
		CLUSTER_CASE(test_worker_wait__gives_each_line_once_and_the_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
