/* SPDX-License-Identifier: Apache-2.0 */
/* What `doctor` says of a cluster: judgements, and against an API server that plays a script. */
#include "agent/cluster.h"

#include "tests/harness/kube_kit.h"

static struct buf told;

static void note(void *arg, const char *group, const char *check, const struct doctor_verdict *v)
{
	(void)arg;
	assert_string_equal(group, CLUSTER_GROUP);
	(void)buf_printf(&told, "%s|%s|%s|%s\n", check, doctor_result_name(v->result), v->detail,
	                 v->remedy);
}

static void examine(const char *const *hooks, size_t nhooks)
{
	const struct cluster_examine x = {
		.kube = kit.kube, .ns = "aksdr", .hooks = hooks, .nhooks = nhooks, .tell = note
	};
	struct err e = ERR_INIT;

	buf_clear(&told);
	told = (struct buf)BUF_INIT(MIB);
	if (cluster_examine(&x, &e) < 0)
		fail_msg("%s", e.msg);
}

static void says(const char *text)
{
	if (!strstr(buf_cstr(&told), text))
		fail_msg("not said: '%s', but:\n%s", text, buf_cstr(&told));
}

/* A cluster that has all, but for what a test takes away. */
static const char *refused_verb, *refused_resource, *unknown;
static const char *policies = "{\"items\":[{\"metadata\":{\"name\":\"nightly\"}}]}";

static int cluster_answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	const char *body = "{\"items\":[]}";

	(void)arg;
	if (unknown && strstr(q->target, unknown)) {
		const char *none = "404 page not found";

		http_reply(reply, 404, "Content-Type: text/plain\r\n", none, strlen(none));
		return 0;
	}
	if (strcmp(q->target, "/version") == 0)
		body = "{\"gitVersion\":\"v1.34.1\"}";
	else if (strstr(q->target, "selfsubjectaccessreviews"))
		body = refused_verb && strstr(kit.body, refused_verb) &&
		                       strstr(kit.body, refused_resource)
		               ? "{\"status\":{\"allowed\":false}}"
		               : "{\"status\":{\"allowed\":true}}";
	else if (strstr(q->target, "backuppolicies"))
		body = policies;
	else if (strstr(q->target, "volumesnapshotclasses"))
		body = "{\"items\":[{\"metadata\":{\"name\":\"snap\"},\"driver\":\"disk\"}]}";
	else if (strstr(q->target, "storageclasses"))
		body = "{\"items\":[{\"provisioner\":\"disk\"},{\"provisioner\":\"disk\"},"
		       "{\"provisioner\":\"file\"}]}";
	http_reply(reply, 200, "", body, strlen(body));
	return 0;
}

static int setup(void **state)
{
	refused_verb = refused_resource = unknown = NULL;
	int rc = kit_setup(state);

	kit.own = cluster_answers;
	return rc;
}

static int teardown(void **state)
{
	buf_clear(&told);
	return kit_teardown(state);
}

static void test_examine__all_is_well(void **state)
{
	(void)state;
	examine(NULL, 0);
	says("API server|ok|v1.34.1; we are in the namespace 'aksdr'|\n");
	says("rights|ok|all ");
	says("policies|ok|1|\n");
	says("driver disk|ok|snapshots by the class 'snap'|\n");
	says("driver file|warning|");
	says("points are fuzzy|where the driver has snapshots");
	assert_null(strstr(buf_cstr(&told), "FAILED"));
	assert_null(strstr(kit_log(), "DELETE"));
}

static void test_examine__a_missing_right_is_named(void **state)
{
	(void)state;
	refused_verb = "\"verb\":\"create\"";
	refused_resource = "\"resource\":\"volumesnapshots\"";
	examine(NULL, 0);
	says("right|FAILED|may not create volumesnapshots.snapshot.storage.k8s.io in the "
	     "cluster|no snapshots are taken");
	says("rights|FAILED|1 of ");
}

static void test_examine__hooks_are_asked_for_where_they_run(void **state)
{
	static const char *const hooks[] = { "shop", "all" };

	(void)state;
	refused_verb = "\"verb\":\"create\"";
	refused_resource = "\"subresource\":\"exec\"";
	examine(NULL, 0);
	says("rights|ok|");
	examine(hooks, 2);
	says("may not create pods/exec in the namespace 'shop'|hooks fail, and with them "
	     "points that need one; give it by the chart's rbac.hooks");
	says("may not create pods/exec in the cluster|");
	says("rights|FAILED|2 of ");
}

static void test_examine__rights_of_a_page_are_asked_for_where_there_is_one(void **state)
{
	const struct cluster_examine x = {
		.kube = kit.kube, .ns = "aksdr", .page = true, .tell = note
	};

	(void)state;
	refused_verb = "\"verb\":\"create\"";
	refused_resource = "\"resource\":\"tokenreviews\"";
	examine(NULL, 0);
	says("rights|ok|");
	buf_clear(&told);
	ok(cluster_examine(&x, e));
	says("may not create tokenreviews.authentication.k8s.io in the cluster|whose token it is "
	     "cannot be asked, and nobody sees the page; the chart's page.enabled gives it");
	says("rights|FAILED|1 of ");
}

static void test_examine__resources_that_are_not_there(void **state)
{
	(void)state;
	unknown = "backuppolicies";
	examine(NULL, 0);
	says("policies|FAILED|the cluster does not know BackupPolicy|helm show crds");
	says("driver disk|ok|");
	unknown = "volumesnapshotclasses";
	examine(NULL, 0);
	says("policies|ok|");
	says("snapshots|warning|the cluster does not know VolumeSnapshots");
}

static void test_examine__a_server_that_answers_nothing_ends_it(void **state)
{
	(void)state;
	unknown = "/version";
	examine(NULL, 0);
	says("API server|FAILED|");
	assert_null(strstr(buf_cstr(&told), "rights|"));
}

static void test_judge_policies__none_protects_nothing(void **state)
{
	(void)state;
	struct doctor_verdict v = cluster_judge_policies(0);
	assert_int_equal(v.result, DOCTOR_WARNING);
	assert_non_null(strstr(v.detail, "nothing is backed up"));
}

static struct doctor_verdict of_driver(const char *classes)
{
	auto_json json_t *list = json_loads(classes, 0, NULL);

	assert_non_null(list);
	return cluster_judge_driver("d", list);
}

static void test_judge_driver__the_one_that_is_meant(void **state)
{
	struct doctor_verdict v;

	(void)state;
	v = of_driver("[{\"metadata\":{\"name\":\"a\"},\"driver\":\"d\"},"
	              "{\"metadata\":{\"name\":\"b\"},\"driver\":\"other\"}]");
	assert_int_equal(v.result, DOCTOR_OK);
	assert_string_equal(v.detail, "snapshots by the class 'a'");
	v = of_driver("[{\"metadata\":{\"name\":\"a\"},\"driver\":\"d\"},"
	              "{\"metadata\":{\"name\":\"b\"},\"driver\":\"d\"}]");
	assert_int_equal(v.result, DOCTOR_WARNING);
	assert_non_null(strstr(v.remedy, "aksdr.io/use=true"));
	v = of_driver("[]");
	assert_int_equal(v.result, DOCTOR_WARNING);
	assert_non_null(strstr(v.remedy, "snapshotClasses"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_examine__all_is_well),
		CASE(test_examine__a_missing_right_is_named),
		CASE(test_examine__hooks_are_asked_for_where_they_run),
		CASE(test_examine__rights_of_a_page_are_asked_for_where_there_is_one),
		CASE(test_examine__resources_that_are_not_there),
		CASE(test_examine__a_server_that_answers_nothing_ends_it),
		cmocka_unit_test(test_judge_policies__none_protects_nothing),
		cmocka_unit_test(test_judge_driver__the_one_that_is_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
