/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims of a backup over a server that keeps objects: what is found for them before anything is
 * made, and how each ends, told once, to its Lease and on the claim.
 */
#include "agent/backup_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

#define HOOKS                                                                                      \
	"{apiVersion: aksdr.io/v1alpha1, kind: BackupPolicy, metadata: {name: p, namespace: n}, "  \
	"spec: {selector: {}, schedule: {cron: '@daily'}, hooks: [{phase: pre, command: [sync]}, " \
	"{phase: post, command: [go]}]}}"

static struct backup_claims claims;
static struct backup_options options;
static struct point_volume volumes[2];
static struct policy_list policies;
static struct cancel lost;

static void put_claim(const char *ns, const char *name, const char *uid)
{
	char key[128], text[256];

	(void)snprintf(key, sizeof(key), "persistentvolumeclaims/%s/%s", ns, name);
	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': '%s', 'namespace': '%s', 'uid': '%s'}, 'spec': {}}",
	               name, ns, uid);
	cluster_put(key, text);
}

static int setup(void **state)
{
	(void)cluster_setup(state);
	auto_free char *config = path_join(kit.dir, "config");
	setenv("KUBECONFIG", config, 1);
	assert_int_equal(cancel_init(&lost), 0);
	claims = BACKUP_CLAIMS_NONE;
	options = (struct backup_options)BACKUP_OPTIONS(options);
	options.place.cluster = "c1";
	options.leases = (struct claim_leases_params){
		.agent_ns = "aksdr", .node = "node1", .slot_s = SCHED_NONE, .cancel = &lost
	};
	put_claim("shop", "data", "u1");
	return 0;
}

static int teardown(void **state)
{
	backup_claims_close(&claims);
	policy_list_clear(&policies);
	cancel_clear(&lost);
	return cluster_teardown(state);
}

static int open_two(const char *first, const char *second, struct err *e)
{
	const char *const origins[] = { first, second };

	return backup_claims_open(&claims, &options, origins, second ? 2 : 1, volumes, e);
}

static void opened(void)
{
	struct err e = ERR_INIT;

	if (open_two("pvc:shop/data", NULL, &e) < 0)
		fail_msg("%s", e.msg);
}

static const char *noted(const char *uid, const char *name)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "leases/aksdr/%s", claim_record_lease(uid).s);
	const char *v = json_string_value(
		json_object_get(kube_at(cluster_get(key), "metadata.annotations"), name));
	return v ? v : "";
}

/* Events of this reason, of which note says something. */
static unsigned events_of(const char *reason, const char *note)
{
	unsigned n = 0;
	const char *key;
	json_t *o;

	json_object_foreach(cluster.objects, key, o) {
		if (strncmp(key, "events/", 7) == 0 &&
		    strcmp(kube_text_at(o, "reason"), reason) == 0 &&
		    strstr(kube_text_at(o, "note"), note))
			n++;
	}
	return n;
}

static void load_hooks(void)
{
	struct err e = ERR_INIT;

	assert_int_equal(policy_load_text("p", HOOKS, strlen(HOOKS), NULL, "n", &policies, &e), 0);
	assert_int_equal(backup_options_policy(&options, policies.items[0], &e), 0);
}

static void test_backup_claims_open__names_volumes_and_gives_the_cluster(void **state)
{
	(void)state;
	opened();
	assert_string_equal(volumes[0].name, "data");
	assert_string_equal(volumes[0].namespace, "shop");
	assert_string_equal(volumes[0].cluster, "c1");
	assert_string_equal(volumes[0].uid, "u1");
	assert_ptr_equal(options.env.cluster, &claims.leases.run);
	backup_claims_close(&claims);
	assert_null(options.env.cluster);
}

static void test_backup_claims_open__finds_the_hooks_of_the_policy(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	load_hooks();
	cluster_put("pods/shop/web",
	            "{'metadata': {'name': 'web', 'namespace': 'shop'}, 'spec': {'containers': "
	            "[{'name': 'c'}], 'volumes': [{'persistentVolumeClaim': {'claimName': "
	            "'data'}}]}, 'status': {'phase': 'Running'}}");
	assert_int_equal(backup_options_hook(&options, HOOK_PRE, "first", &e), 0);
	opened();
	assert_int_equal(options.moment.nhooks, 3);
	assert_string_equal(options.hooks[0].line, "first");
	assert_int_equal(options.hooks[2].phase, HOOK_POST);
	assert_null(claims.in_pods.unused);
}

static void test_backup_claims_open__tells_of_hooks_without_a_pod(void **state)
{
	(void)state;
	load_hooks();
	opened();
	assert_int_equal(options.moment.nhooks, 0);
	assert_non_null(claims.in_pods.unused);
}

/* Its Leases are held by then: it is told there and on the claims. */
static void test_backup_claims_open__hooks_are_for_one_namespace(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put_claim("prod", "db", "u2");
	load_hooks();
	assert_int_equal(open_two("pvc:shop/data", "pvc:prod/db", &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "back 'shop/data' and 'prod/db' up by themselves"));
	assert_string_equal(noted("u1", "aksdr.io/outcome"), "failed");
	assert_string_equal(noted("u2", "aksdr.io/outcome"), "failed");
	assert_int_equal(events_of("BackupFailed", "of one namespace"), 2);
}

static void test_backup_claims_open__a_template_that_is_no_pod_is_told(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	auto_free char *path = path_join(kit.dir, "mover.yaml");
	write_text(kit.dir, "mover.yaml", "spec: {containers: []}\n");
	options.mover_file = path;
	assert_int_equal(open_two("pvc:shop/data", NULL, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_true(claims.held);
	assert_string_equal(noted("u1", "aksdr.io/message"), e.msg);
	assert_int_equal(events_of("BackupFailed", "mover"), 1);
}

static void test_backup_claims_open__without_its_leases_nothing_can_be_told(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(open_two("pvc:shop/none", NULL, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_false(claims.held);
	assert_null(strstr(kit_log(), "POST"));
}

static void test_backup_claims_end__a_point_is_told_once(void **state)
{
	struct point p = { .id = "0123456789abcdef0123456789abcdef", .consistency = "crash" };
	struct err why = ERR_INIT;

	(void)state;
	opened();
	backup_claims_end(&claims, 0, &p, &why);
	assert_string_equal(noted("u1", "aksdr.io/outcome"), "succeeded");
	assert_int_equal(events_of("BackupSucceeded", p.id), 1);
	assert_string_equal(json_string_value(json_object_get(
				    kube_at(cluster_get("persistentvolumeclaims/shop/data"),
	                                    "metadata.annotations"),
				    "aksdr.io/last-restore-point")),
	                    p.id);
	(void)err_set(&why, ERR_IO, "too late");
	assert_int_equal(backup_claims_end_all(&claims, &why, &why), 0);
	assert_string_equal(noted("u1", "aksdr.io/outcome"), "succeeded");
	assert_int_equal(events_of("BackupFailed", ""), 0);
}

static void test_backup_claims_end_all__ends_what_did_not(void **state)
{
	struct err why = ERR_INIT;
	struct err e = ERR_INIT;

	(void)state;
	opened();
	(void)err_set(&why, ERR_QUOTA, "the store is full");
	assert_int_equal(backup_claims_end_all(&claims, &why, &e), 0);
	assert_string_equal(noted("u1", "aksdr.io/message"), "the store is full");
	assert_int_equal(events_of("BackupFailed", "the store is full"), 1);
}

static void test_backup_claims_end__what_was_cancelled_is_skipped(void **state)
{
	struct err why = ERR_INIT;

	(void)state;
	opened();
	(void)err_set(&why, ERR_CANCELLED, "somebody ended it");
	backup_claims_end(&claims, 0, NULL, &why);
	assert_string_equal(noted("u1", "aksdr.io/outcome"), "cancelled");
	assert_int_equal(events_of("BackupSkipped", "somebody ended it"), 1);
}

static void test_backup_claims_end__what_somebody_else_does_they_tell(void **state)
{
	struct err why = ERR_INIT;

	(void)state;
	opened();
	(void)err_set(&why, ERR_BUSY, "the lease was lost");
	backup_claims_end(&claims, 0, NULL, &why);
	assert_int_equal(events_of("BackupFailed", ""), 0);
	assert_int_equal(events_of("BackupSkipped", ""), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_backup_claims_open__names_volumes_and_gives_the_cluster),
		CASE(test_backup_claims_open__finds_the_hooks_of_the_policy),
		CASE(test_backup_claims_open__tells_of_hooks_without_a_pod),
		CASE(test_backup_claims_open__hooks_are_for_one_namespace),
		CASE(test_backup_claims_open__a_template_that_is_no_pod_is_told),
		CASE(test_backup_claims_open__without_its_leases_nothing_can_be_told),
		CASE(test_backup_claims_end__a_point_is_told_once),
		CASE(test_backup_claims_end_all__ends_what_did_not),
		CASE(test_backup_claims_end__what_was_cancelled_is_skipped),
		CASE(test_backup_claims_end__what_somebody_else_does_they_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
