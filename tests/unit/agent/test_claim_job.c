/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads the view of a claim, at which node, and what a mover is told. */
#include "agent/claim_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/given.h"
#include "agent/mover.h"
#include "tests/harness/kube_cluster.h"

static char ns[] = "shop", name[] = "data";
static struct csi_claim claim;
static struct csi_run run;
static const struct snapshot_env env;
static struct snapshot snapshot;
static struct moment_volume view;
static struct job_params params;
static struct claim_job job;
static json_t *template;

static int setup(void **state)
{
	static const char *const excludes[] = { "*.tmp", "cache/" };

	(void)cluster_setup(state);
	claim = (struct csi_claim){ .ns = ns, .name = name, .base = "aksdr-1-0" };
	claim.volume = json_pack("{s:{s:[s]}}", "spec", "accessModes", "ReadWriteOnce");
	run = (struct csi_run){ .kube = kit.kube, .ns = "aksdr", .id = "1", .stuck_ms = 200 };
	snapshot = (struct snapshot){ .ops = &snapshot_csi, .consistency = SNAP_CRASH };
	view = (struct moment_volume){ .name = name, .snapshot = &snapshot };
	params = (struct job_params){
		.volume = { .name = "data", .namespace = "shop", .cluster = "c1", .uid = "u1" },
		.domain = "c1/shop",
		.set = "0123456789abcdef0123456789abcdef",
		.excludes = excludes,
		.nexcludes = 2,
		.skip_caches = true,
		.verify_encode = true,
		.level = 5
	};
	template = json_pack("{s:{s:[{s:s, s:s}]}}", "spec", "containers", "name", WORKER_CONTAINER,
	                     "image", "i");
	job = (struct claim_job){
		.run = &run, .claim = &claim, .view = &view, .job = &params, .template = template
	};
	return 0;
}

static int teardown(void **state)
{
	json_decref(template);
	json_decref(claim.volume);
	capture_clear(&view.capture);
	return cluster_teardown(state);
}

/* Whether the texts follow each other in the array. */
static bool has(const json_t *args, const char *first, const char *second)
{
	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *next = json_string_value(json_array_get(args, i + 1));

		if (strcmp(json_string_value(json_array_get(args, i)), first) == 0 &&
		    (!second || (next && strcmp(next, second) == 0)))
			return true;
	}
	return false;
}

static void test_claim_job_args__say_what_the_job_says(void **state)
{
	struct err e = ERR_INIT;
	auto_json json_t *args = claim_job_args(&job, &e);

	(void)state;
	assert_true(has(args, "backup", NULL));
	assert_true(has(args, "--result", WORKER_RESULT));
	assert_true(has(args, "--cluster", "c1"));
	assert_true(has(args, "--namespace", "shop"));
	assert_true(has(args, "--uid", "u1"));
	assert_true(has(args, "--domain", "c1/shop"));
	assert_true(has(args, "--set", params.set));
	assert_true(has(args, "--exclude", "*.tmp"));
	assert_true(has(args, "--exclude", "cache/"));
	assert_true(has(args, "--skip-caches", NULL));
	assert_true(has(args, "--level", "5"));
	assert_true(has(args, "data=" MOVER_VIEW, NULL));
	assert_false(has(args, "--allow-empty", NULL));
	assert_false(has(args, "--no-verify-encode", NULL));
	assert_false(has(args, "--threads", NULL));
	claim.block = true;
	auto_json json_t *block = claim_job_args(&job, &e);
	assert_true(has(block, "data=" MOVER_DEVICE, NULL));
}

static void test_claim_job_args__what_hooks_said_is_left_out_when_it_is_too_long(void **state)
{
	char output[CAPTURE_OUTPUT_MAX + 1];
	char command[] = "flush";
	struct capture_hook hook = { .command = command, .exit = 3, .output = output };
	struct err e = ERR_INIT;

	(void)state;
	memset(output, 'x', sizeof(output) - 1);
	output[sizeof(output) - 1] = '\0';
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(capture_add_hook(&view.capture, &hook, &e), 0);
	auto_json json_t *args = claim_job_args(&job, &e);
	assert_non_null(args);
	const char *text = json_string_value(json_array_get(args, 3));
	assert_true(strlen(text) < (size_t)100 * KIB);
	assert_non_null(strstr(text, "\"exit\":3"));
	struct moment_volume there = { .name = name, .path = kit.dir };
	if (given_read(text, &env, &there, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(there.capture.nhooks, 16);
	assert_int_equal(snapshot_release(there.snapshot, &e), 0);
	capture_clear(&there.capture);
}

static void fails_with(enum err_class class, const char *says)
{
	struct err e = ERR_INIT;
	struct point point;
	struct store_traffic moved = { 0 };

	assert_int_equal(claim_job_run(&job, &point, &moved, &e), -1);
	if (e.class != class || !strstr(e.msg, says))
		fail_msg("%s: %s", err_class_name(e.class), e.msg);
}

static void test_claim_job_run__less_than_is_wanted_makes_no_point(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	job.want = SNAP_FILESYSTEM;
	assert_int_equal(claim_job_check(&(struct claim_job){ .view = &view }, &e), 0);
	assert_int_equal(claim_job_check(&job, &e), 0);
	job.strict = true;
	assert_int_equal(capture_set_fallback(&view.capture, "no class", &e), 0);
	fails_with(ERR_UNSUPPORTED,
	           "the view is crash and not filesystem, as the policy wants: no class");
	job.want = SNAP_CRASH;
	assert_int_equal(claim_job_check(&job, &e), 0);
}

static void test_claim_job_run__says_what_is_missing_to_read_it(void **state)
{
	(void)state;
	job.template = NULL;
	job.reader = POLICY_READ_MOVER;
	fails_with(ERR_UNSUPPORTED, "--mover-template");
}

/* The pod that was made; it never begins. */
static const json_t *pod(void)
{
	fails_with(ERR_RETRY, "did not begin");
	return cluster_get("pods/aksdr/aksdr-1-0");
}

static void test_claim_job_run__a_clone_is_read_anywhere(void **state)
{
	(void)state;
	assert_null(kube_at(pod(), "spec.affinity"));
}

static const char *node_of(const json_t *made)
{
	const json_t *terms = kube_at(made, "spec.affinity.nodeAffinity."
	                                    "requiredDuringSchedulingIgnoredDuringExecution."
	                                    "nodeSelectorTerms");
	const json_t *field = json_array_get(kube_at(json_array_get(terms, 0), "matchFields"), 0);

	return json_string_value(json_array_get(kube_at(field, "values"), 0));
}

static void put_users(void)
{
	cluster_put("pods/shop/done",
	            "{'metadata': {'name': 'done'}, 'status': {'phase': 'Succeeded'},"
	            " 'spec': {'nodeName': 'node1', 'volumes': [{'name': 'v',"
	            " 'persistentVolumeClaim': {'claimName': 'data'}}]}}");
	cluster_put("pods/shop/web", "{'metadata': {'name': 'web'}, 'status': {'phase': 'Running'},"
	                             " 'spec': {'nodeName': 'node2', 'volumes': [{'name': 'v',"
	                             " 'persistentVolumeClaim': {'claimName': 'data'}}]}}");
	cluster_put("pods/shop/other",
	            "{'metadata': {'name': 'other'}, 'status': {'phase': 'Running'},"
	            " 'spec': {'nodeName': 'node3', 'volumes': [{'name': 'v',"
	            " 'persistentVolumeClaim': {'claimName': 'log'}}]}}");
}

static void test_claim_job_run__a_volume_of_one_node_is_read_there(void **state)
{
	(void)state;
	snapshot.ops = &snapshot_claim;
	put_users();
	assert_string_equal(node_of(pod()), "node2");
}

static void test_claim_job_run__a_volume_of_many_nodes_is_read_anywhere(void **state)
{
	(void)state;
	snapshot.ops = &snapshot_claim;
	put_users();
	json_decref(claim.volume);
	claim.volume = json_pack("{s:{s:[s, s]}}", "spec", "accessModes", "ReadWriteOnce",
	                         "ReadWriteMany");
	assert_null(kube_at(pod(), "spec.affinity"));
}

/* Who reads by `auto` where the kubelet's directory is there; no pod begins. */
static void auto_at(const char *node)
{
	put_users();
	job.node = node;
	job.kubelet_dir = "/no/such/kubelet";
	(void)pod();
}

static const char *first_arg(void)
{
	const json_t *args = kube_at(json_array_get(kube_at(cluster_get("pods/aksdr/aksdr-1-0"),
	                                                    "spec.containers"),
	                                            0),
	                             "args");

	return json_string_value(json_array_get(args, 0));
}

static void test_claim_job_run__what_is_in_use_here_is_read_here(void **state)
{
	(void)state;
	auto_at("node2");
	assert_string_equal(first_arg(), "hold");
}

static void test_claim_job_run__what_is_in_use_elsewhere_is_left_to_a_mover(void **state)
{
	(void)state;
	auto_at("node1"); /* the pod there is done */
	assert_string_equal(first_arg(), "backup");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_claim_job_args__say_what_the_job_says),
		CASE(test_claim_job_args__what_hooks_said_is_left_out_when_it_is_too_long),
		CASE(test_claim_job_run__less_than_is_wanted_makes_no_point),
		CASE(test_claim_job_run__says_what_is_missing_to_read_it),
		CASE(test_claim_job_run__a_clone_is_read_anywhere),
		CASE(test_claim_job_run__a_volume_of_one_node_is_read_there),
		CASE(test_claim_job_run__a_volume_of_many_nodes_is_read_anywhere),
		CASE(test_claim_job_run__what_is_in_use_here_is_read_here),
		CASE(test_claim_job_run__what_is_in_use_elsewhere_is_left_to_a_mover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
