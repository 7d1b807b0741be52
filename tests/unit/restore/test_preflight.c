/* SPDX-License-Identifier: Apache-2.0 */
/* All checks together; what each of them means is in the tests of its judge. */
#include "restore/preflight.h"

#include "common/hex.h"
#include "tests/harness/kube_cluster.h"

#define SHA "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct {
	struct http_server *server;
	char host[32];
	unsigned asked;
} registry;

static int manifests(void *arg, const struct http_seen *q, struct buf *reply)
{
	char auth[128];

	(void)arg;
	http_seen_header(q, "authorization", auth, sizeof(auth));
	registry.asked++;
	if (strcmp(auth, "Basic dTpw") != 0)
		http_reply(reply, 401, "WWW-Authenticate: Basic realm=\"r\"\r\n", "", 0);
	else
		http_reply(reply, strstr(q->target, "/there/") ? 200 : 404, "", "", 0);
	return 0;
}

static int reviews(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char yes[] = "{\"status\": {\"allowed\": true}}";

	if (!strstr(q->target, "selfsubjectaccessreviews"))
		return cluster_answers(arg, q, reply);
	http_reply(reply, 201, "", yes, strlen(yes));
	return 0;
}

static int setup(void **state)
{
	(void)cluster_setup(state);
	kit.own = reviews;
	memset(&registry, 0, sizeof(registry));
	registry.server = http_server_start(manifests, NULL);
	(void)snprintf(registry.host, sizeof(registry.host), "127.0.0.1:%u",
	               http_server_port(registry.server));
	assert_int_equal(setenv("DOCKER_CONFIG", kit.dir, 1), 0);
	cluster_put("storageclasses/fast", "{'metadata': {'name': 'fast'}, 'provisioner': 'd', "
	                                   "'reclaimPolicy': 'Retain'}");
	cluster_put("csidrivers/d", "{'metadata': {'name': 'd'}}");
	cluster_put("volumesnapshotclasses/s", "{'metadata': {'name': 's'}, 'driver': 'd'}");
	cluster_put("nodes/n", "{'metadata': {'name': 'n'}, 'status': {'conditions': [{'type': "
	                       "'Ready', 'status': 'True'}]}}");
	cluster_put("namespaces/aksdr", "{'metadata': {'name': 'aksdr'}}");
	cluster_put("namespaces/shop", "{'metadata': {'name': 'shop'}}");
	return 0;
}

static int teardown(void **state)
{
	http_server_stop(registry.server);
	(void)unsetenv("DOCKER_CONFIG");
	return cluster_teardown(state);
}

static void expect(const struct preflight_params *p, const char *wanted)
{
	auto_findings struct findings l = FINDINGS_INIT;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	ok(preflight_run(p, &l, e));
	for (size_t i = 0; i < l.n; i++)
		(void)buf_printf(&b, "%s %s\n", finding_severity_name(l.list[i].severity),
		                 l.list[i].code);
	assert_string_equal(buf_cstr(&b), wanted);
}

static void test_run__a_plan_that_can_be_run_has_no_findings(void **state)
{
	const struct preflight_volume v = { .ns = "shop",
		                            .name = "orders",
		                            .storage_class = "fast",
		                            .size_bytes = 1,
		                            .agent = "aksdr " AKSDR_VERSION };
	const struct preflight_params p = {
		.volumes = &v, .n = 1, .kube = kit.kube, .ns = "aksdr", .images = true
	};

	(void)state;
	expect(&p, "");
}

static void test_run__findings_are_in_order(void **state)
{
	const struct preflight_volume v[] = {
		{ .ns = "shop", .name = "a", .storage_class = "fast", .agent = "aksdr 99.1.0" },
		{ .ns = "new", .name = "orders", .storage_class = "none", .agent = "aksdr 98.0.0" },
	};
	const struct preflight_params p = { .volumes = v, .n = 2, .kube = kit.kube, .ns = "gone" };

	(void)state;
	expect(&p, "block NamespaceMissing\nblock StorageClassMissing\nwarning ToolOlder\n"
	           "note NamespaceNew\n");
}

static void test_run__images_are_looked_for_with_the_clusters_secrets(void **state)
{
	char there[160], none[160], secret[1024];
	const char *const images[] = { there, none, there };
	const struct preflight_volume v[] = {
		{ .ns = "shop",
		  .name = "orders",
		  .storage_class = "fast",
		  .images = images,
		  .nimages = 3 },
		{ .ns = "shop",
		  .name = "carts",
		  .storage_class = "fast",
		  .images = images,
		  .nimages = 1 },
	};
	struct preflight_params p = {
		.volumes = v, .n = 2, .kube = kit.kube, .ns = "aksdr", .images = true
	};
	char plain[256], coded[512];

	(void)state;
	(void)snprintf(there, sizeof(there), "%s/there@" SHA, registry.host);
	(void)snprintf(none, sizeof(none), "%s/none@" SHA, registry.host);
	expect(&p, "warning ImageNotLooked\nwarning ImageNotLooked\n");
	(void)snprintf(plain, sizeof(plain), "{\"auths\": {\"%s\": {\"auth\": \"dTpw\"}}}",
	               registry.host);
	assert_int_equal(base64_encode(coded, sizeof(coded), plain, strlen(plain)), 0);
	(void)snprintf(secret, sizeof(secret), "{'data': {'.dockerconfigjson': '%s'}}", coded);
	cluster_put("secrets/shop/pull", secret);
	cluster_put("serviceaccounts/shop/default", "{'imagePullSecrets': [{'name': 'none'}, "
	                                            "{'name': 'pull'}]}");
	registry.asked = 0;
	expect(&p, "block ImageMissing\n");
	/* Each image once: with a question before it, and then credentials. */
	(void)http_server_requests(registry.server);
	assert_int_equal(registry.asked, 4);
	cluster_put("secrets/shop/pull", "{'data': {'.dockerconfigjson': 'e30g'}}");
	expect(&p, "warning ImageNotLooked\nwarning ImageNotLooked\n");
	cluster_put("secrets/shop/pull", "{'data': {'.dockerconfigjson': 'e317'}}");
	expect(&p, "warning ImageNotLooked\nwarning ImageNotLooked\nwarning PullSecretBad\n");
	cluster_remove("serviceaccounts/shop/default");
	write_text(kit.dir, "config.json", "{");
	expect(&p, "warning ImageNotLooked\nwarning ImageNotLooked\nwarning RegistryConfigBad\n");
	p.registry_file = "/none/config.json";
	auto_findings struct findings l = FINDINGS_INIT;
	fails(ERR_NOT_FOUND, preflight_run(&p, &l, e));
	p.images = false;
	expect(&p, "");
}

static void test_run__a_server_that_does_not_answer_is_an_error(void **state)
{
	static const struct preflight_volume v = { .ns = "shop", .name = "o", .storage_class = "" };
	auto_free char *path = path_join(kit.dir, "config");
	const struct kube_params params = { .kubeconfig = path, .budget_ms = 100 };
	auto_findings struct findings l = FINDINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	auto_kube struct kube *k = kube_open(&params, &e);
	assert_non_null(k);
	const struct preflight_params p = { .volumes = &v, .n = 1, .kube = k, .ns = "aksdr" };
	cluster.fail = "GET storageclasses";
	cluster.fail_status = 503;
	cluster.fail_message = "not now";
	assert_int_equal(preflight_run(&p, &l, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		CASE(test_run__a_plan_that_can_be_run_has_no_findings),
		CASE(test_run__findings_are_in_order),
		CASE(test_run__images_are_looked_for_with_the_clusters_secrets),
		CASE(test_run__a_server_that_does_not_answer_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
