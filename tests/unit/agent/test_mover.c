/* SPDX-License-Identifier: Apache-2.0 */
/* The pod of a mover: what the template says and what is added, how it ends, and what it tells. */
#include "agent/mover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

#define TEMPLATE                                                                      \
	"metadata: {labels: {team: x}, annotations: {a: b}}\n"                        \
	"spec:\n"                                                                     \
	"  serviceAccountName: mover\n"                                               \
	"  containers:\n"                                                             \
	"  - {name: side, image: i2}\n"                                               \
	"  - {name: mover, image: i, volumeMounts: [{name: key, mountPath: /key}]}\n" \
	"  volumes: [{name: key, secret: {secretName: s}}]\n"

static char ns[] = "shop", name[] = "data";
static struct csi_claim claim;
static struct csi_run run;
static json_t *template, *args;
static const char *status; /* that a pod gets when it is made, with ' for " */

static void kubelet(const char *key, json_t *o)
{
	auto_free char *copy = strdup(status);
	struct err e = ERR_INIT;

	if (strncmp(key, "pods/", 5) != 0)
		return;
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *s = json_parse("status", copy, strlen(copy), &e);
	assert_non_null(s);
	json_object_set_new(o, "status", s);
}

static json_t *read_template(const char *text, struct err *e)
{
	auto_free char *path = path_join(kit.dir, "template");

	write_text(kit.dir, "template", text);
	return worker_template(path, e);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)cluster_setup(state);
	cluster.act = kubelet;
	claim = (struct csi_claim){ .ns = ns, .name = name, .uid = "u1" };
	(void)snprintf(claim.base, sizeof(claim.base), "aksdr-1-0");
	run = (struct csi_run){ .kube = kit.kube, .ns = "aksdr", .node = "n", .stuck_ms = 200 };
	(void)snprintf(run.id, sizeof(run.id), "1");
	template = read_template(TEMPLATE, &e);
	if (!template)
		fail_msg("%s", e.msg);
	args = json_pack("[s, s]", "backup", "data=/view");
	return 0;
}

static int teardown(void **state)
{
	json_decref(template);
	json_decref(args);
	return cluster_teardown(state);
}

static struct mover_params params(void)
{
	return (struct mover_params){
		.run = &run, .claim = &claim, .template = template, .args = args
	};
}

static const json_t *at(const json_t *array, size_t i)
{
	return json_array_get(array, i);
}

static void test_mover_template__needs_the_container(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(read_template("spec: {containers: [{name: other}]}\n", &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_null(worker_template("/nowhere", &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static void test_mover_pod__is_the_template_and_the_view(void **state)
{
	const struct mover_params p = params();
	struct err e = ERR_INIT;
	auto_json json_t *pod = mover_pod(&p, &e);
	const json_t *spec = kube_at(pod, "spec");
	const json_t *c = at(kube_at(spec, "containers"), 1);

	(void)state;
	assert_string_equal(kube_text_at(pod, "metadata.name"), "aksdr-1-0");
	assert_string_equal(kube_text_at(pod, "metadata.namespace"), "aksdr");
	assert_string_equal(kube_text_at(pod, "metadata.labels.team"), "x");
	assert_string_equal(kube_text_at(pod, "metadata.annotations.a"), "b");
	assert_string_equal(kube_text_at(spec, "restartPolicy"), "Never");
	assert_true(json_is_false(kube_at(spec, "automountServiceAccountToken")));
	assert_string_equal(kube_text_at(spec, "serviceAccountName"), "mover");
	assert_null(kube_at(spec, "affinity"));
	assert_true(json_equal(kube_at(c, "args"), args));
	assert_int_equal(json_array_size(kube_at(c, "volumeMounts")), 2);
	assert_string_equal(kube_text_at(at(kube_at(c, "volumeMounts"), 1), "mountPath"), "/view");
	assert_true(kube_true_at(at(kube_at(c, "volumeMounts"), 1), "readOnly"));
	assert_null(kube_at(at(kube_at(spec, "containers"), 0), "args"));
	const json_t *view = at(kube_at(spec, "volumes"), 1);
	assert_string_equal(kube_text_at(view, "persistentVolumeClaim.claimName"), "aksdr-1-0");
	assert_true(kube_true_at(view, "persistentVolumeClaim.readOnly"));
	/* the template is used again */
	assert_null(kube_at(template, "spec.restartPolicy"));
	assert_null(kube_at(template, "metadata.name"));
}

static void test_mover_pod__a_device_and_a_node_and_limits(void **state)
{
	struct mover_params p = params();
	struct err e = ERR_INIT;

	(void)state;
	auto_json json_t *env = json_pack("[{s:s, s:s}]", "name", "LIMIT", "value", "5");
	claim.block = true;
	p.node = "node7";
	p.env = env;
	auto_json json_t *pod = mover_pod(&p, &e);
	const json_t *c = at(kube_at(pod, "spec.containers"), 1);
	assert_string_equal(kube_text_at(at(kube_at(c, "volumeDevices"), 0), "devicePath"),
	                    MOVER_DEVICE);
	assert_true(json_equal(kube_at(c, "env"), env));
	const json_t *terms = kube_at(pod, "spec.affinity.nodeAffinity."
	                                   "requiredDuringSchedulingIgnoredDuringExecution."
	                                   "nodeSelectorTerms");
	const json_t *field = at(kube_at(at(terms, 0), "matchFields"), 0);
	assert_string_equal(json_string_value(at(kube_at(field, "values"), 0)), "node7");
}

static int run_it(struct err *e)
{
	const struct mover_params p = params();
	struct point point;
	struct store_traffic moved = { 0 };

	*e = ERR_INIT;
	return mover_run(&p, &point, &moved, e);
}

static void ends_with(enum err_class class, const char *says)
{
	struct err e;

	assert_int_equal(run_it(&e), -1);
	if (e.class != class || !strstr(e.msg, says))
		fail_msg("%s: %s", err_class_name(e.class), e.msg);
}

static void test_mover_run__tells_what_it_tells(void **state)
{
	(void)state;
	status = "{'phase': 'Failed', 'containerStatuses': [{'name': 'mover', "
		 "'state': {'terminated':"
		 " {'exitCode': 1, 'message': "
		 "'{\\'class\\': \\'quota\\', \\'error\\': \\'full\\'}'}}}]}";
	ends_with(ERR_QUOTA, "full");
}

static void test_mover_run__one_that_was_killed_has_no_result(void **state)
{
	(void)state;
	status = "{'phase': 'Failed', 'containerStatuses': [{'name': 'mover', "
		 "'state': {'terminated':"
		 " {'exitCode': 137, 'reason': 'OOMKilled'}}}]}";
	ends_with(ERR_IO, "status 137, OOMKilled and no result");
}

static void test_mover_run__one_that_never_began_has_a_message_of_the_kubelet(void **state)
{
	(void)state;
	status = "{'phase': 'Failed', 'containerStatuses': [{'name': 'mover', "
		 "'state': {'terminated':"
		 " {'exitCode': 137, 'reason': 'ContainerStatusUnknown', 'message': 'The container"
		 " could not be located'}}}]}";
	ends_with(ERR_IO, "no result: The container could not be located");
}

static void test_mover_run__one_that_was_evicted_may_be_tried_again(void **state)
{
	(void)state;
	status = "{'phase': 'Failed', 'reason': 'Evicted', 'message': 'low on memory'}";
	ends_with(ERR_RETRY, "Evicted low on memory");
}

static void test_mover_run__one_that_never_begins_says_why(void **state)
{
	(void)state;
	status = "{'phase': 'Pending', 'conditions': [{'type': 'PodScheduled', 'status': 'False',"
		 " 'message': 'no node has room'}]}";
	ends_with(ERR_RETRY, "no node has room");
}

static void test_mover_run__what_a_server_refuses_is_told(void **state)
{
	(void)state;
	cluster.fail = "POST pods/aksdr";
	cluster.fail_status = 403;
	cluster.fail_message = "violates PodSecurity \\\"restricted\\\"";
	ends_with(ERR_DENIED, "PodSecurity");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_mover_template__needs_the_container),
		CASE(test_mover_pod__is_the_template_and_the_view),
		CASE(test_mover_pod__a_device_and_a_node_and_limits),
		CASE(test_mover_run__tells_what_it_tells),
		CASE(test_mover_run__one_that_was_killed_has_no_result),
		CASE(test_mover_run__one_that_never_began_has_a_message_of_the_kubelet),
		CASE(test_mover_run__one_that_was_evicted_may_be_tried_again),
		CASE(test_mover_run__one_that_never_begins_says_why),
		CASE(test_mover_run__what_a_server_refuses_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
