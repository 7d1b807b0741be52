/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a drill: the pod, what came of it, and what it said. */
#include "restore/drill_pod.h"

#include "tests/harness/kube_cluster.h"

static const char *const words[] = { "sh", "-c", "test -e /volumes/db/data" };
static const struct fields_texts command = { .v = (const char **)(uintptr_t)words, .n = 3 };
static const struct drill_pod_claim claims[] = { { "db", false }, { "raw", true } };

static struct drill_pod_params params(void)
{
	return (struct drill_pod_params){
		.kube = kit.kube,
		.ns = "drill-shop",
		.run = "aaaa0000000000000000000000000001",
		.plan = "shop",
		.image = "registry.example/check@sha256:00",
		.command = &command,
		.timeout_s = 60,
		.claims = claims,
		.nclaims = 2,
	};
}

static void test_object__has_the_volumes_and_no_rights(void **state)
{
	const struct drill_pod_params p = params();
	auto_json json_t *pod = drill_pod_object(&p);
	const json_t *c = json_array_get(kube_at(pod, "spec.containers"), 0);

	(void)state;
	assert_non_null(pod);
	assert_string_equal(kube_text_at(pod, "metadata.namespace"), "drill-shop");
	assert_string_equal(kube_text_at(c, "image"), "registry.example/check@sha256:00");
	assert_int_equal(json_array_size(kube_at(c, "command")), 3);
	assert_true(json_is_false(kube_at(pod, "spec.automountServiceAccountToken")));
	assert_true(json_is_false(kube_at(c, "securityContext.allowPrivilegeEscalation")));
	assert_string_equal(kube_text_at(pod, "spec.securityContext.seccompProfile.type"),
	                    "RuntimeDefault");
	assert_int_equal(kube_number_at(pod, "spec.activeDeadlineSeconds", 0), 660);
	const json_t *mount = json_array_get(kube_at(c, "volumeMounts"), 0);
	const json_t *device = json_array_get(kube_at(c, "volumeDevices"), 0);
	assert_string_equal(kube_text_at(mount, "mountPath"), "/volumes/db");
	assert_string_equal(kube_text_at(device, "devicePath"), "/dev/volumes/raw");
	const json_t *volumes = kube_at(pod, "spec.volumes");
	assert_int_equal(json_array_size(volumes), 2);
	assert_string_equal(kube_text_at(json_array_get(volumes, 1),
	                                 "persistentVolumeClaim.claimName"),
	                    "raw");
	assert_string_equal(kube_text_at(json_array_get(volumes, 1), "name"),
	                    kube_text_at(device, "name"));
}

static int state_of(const char *text, struct drill_pod_result *ret)
{
	auto_json json_t *pod = json_loads(text, 0, NULL);

	assert_non_null(pod);
	*ret = (struct drill_pod_result){ .passed = false };
	return drill_pod_state(pod, ret);
}

static void test_state__says_how_it_ended(void **state)
{
	struct drill_pod_result r;

	(void)state;
	assert_int_equal(state_of("{}", &r), 0);
	assert_int_equal(state_of("{\"status\":{\"phase\":\"Running\"}}", &r), 0);
	assert_int_equal(state_of("{\"status\":{\"phase\":\"Succeeded\"}}", &r), 1);
	assert_true(r.passed);
	assert_int_equal(
		state_of("{\"status\":{\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":"
	                 "{\"terminated\":{\"exitCode\":3,\"reason\":\"Error\"}}}]}}",
	                 &r),
		1);
	assert_false(r.passed);
	assert_string_equal(r.why, "it ended with status 3 (Error)");
	assert_int_equal(state_of("{\"status\":{\"phase\":\"Failed\","
	                          "\"reason\":\"DeadlineExceeded\","
	                          "\"message\":\"too long\"}}",
	                          &r),
	                 1);
	assert_string_equal(r.why, "DeadlineExceeded: too long");
	assert_int_equal(state_of("{\"status\":{\"phase\":\"Failed\"}}", &r), 1);
	assert_string_equal(r.why, "it was ended, and nobody says why");
}

static void assert_tail(const char *text, size_t max, const char *wanted)
{
	char got[64];

	drill_pod_tail(text, got, max);
	assert_string_equal(got, wanted);
}

static void test_tail__whole_lines_of_the_end(void **state)
{
	(void)state;
	assert_tail("", 10, "");
	assert_tail("one\ntwo\n", 10, "one\ntwo\n");
	assert_tail("one\ntwo\n", 9, "one\ntwo\n");
	assert_tail("one\ntwo\n", 8, "two\n");
	assert_tail("a line that is far too long", 6, " long");
	assert_tail("a\tb\x01\xff\n", 30, "a\tb\\x01\\xff\n");
	assert_tail("xx\xc3\xa4", 2, "");
	assert_tail("xx\xc3\xa4", 3, "\xc3\xa4");
}

/* ---- with a server ---- */

static const char *end_as; /* what the pod's status becomes when it is made */

static void act(const char *key, json_t *o)
{
	if (strcmp(key, "pods/drill-shop/aksdr-check") == 0 && !kube_at(o, "status"))
		(void)json_object_set_new(o, "status", json_loads(end_as, 0, NULL));
}

static void test_run__a_check_that_ends_well(void **state)
{
	const struct drill_pod_params p = params();
	struct drill_pod_result r;

	(void)state;
	end_as = "{\"phase\":\"Succeeded\"}";
	cluster.act = act;
	(void)snprintf(cluster.log, sizeof(cluster.log), "42 rows\n");
	ok(drill_pod_run(&p, &r, e));
	assert_true(r.passed);
	assert_string_equal(r.why, "");
	assert_string_equal(r.said, "42 rows\n");
	assert_true(r.seconds >= 0 && r.seconds < 60);
}

static void test_run__a_check_that_fails_is_a_result(void **state)
{
	const struct drill_pod_params p = params();
	struct drill_pod_result r;

	(void)state;
	end_as = "{\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":"
		 "{\"exitCode\":1,\"reason\":\"Error\"}}}]}";
	cluster.act = act;
	ok(drill_pod_run(&p, &r, e));
	assert_false(r.passed);
	assert_string_equal(r.why, "it ended with status 1 (Error)");
}

static void test_run__what_the_server_refuses_is_an_error(void **state)
{
	const struct drill_pod_params p = params();
	struct drill_pod_result r;

	(void)state;
	cluster.fail = "POST pods";
	cluster.fail_status = 403;
	cluster.fail_message = "no";
	fails_saying(ERR_DENIED, "running the check in 'drill-shop'", drill_pod_run(&p, &r, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_CASE(test_object__has_the_volumes_and_no_rights),
		cmocka_unit_test(test_state__says_how_it_ended),
		cmocka_unit_test(test_tail__whole_lines_of_the_end),
		CLUSTER_CASE(test_run__a_check_that_ends_well),
		CLUSTER_CASE(test_run__a_check_that_fails_is_a_result),
		CLUSTER_CASE(test_run__what_the_server_refuses_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
