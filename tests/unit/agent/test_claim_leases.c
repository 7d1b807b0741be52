/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of claims over a server that keeps objects: what they tell while a run goes on and after
 * it, that they are ours alone, and that what a dead run has left is removed before another begins.
 */
#include "agent/claim_leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/now.h"
#include "tests/harness/kube_cluster.h"

static struct claim_leases leases;
static struct cancel lost;
static struct claim_leases_params params;
static char key[64]; /* of the Lease */

static const char *const one[] = { "pvc:shop/data" };

static int setup(void **state)
{
	(void)cluster_setup(state);
	auto_free char *config = path_join(kit.dir, "config");
	setenv("KUBECONFIG", config, 1);
	leases = CLAIM_LEASES_NONE;
	assert_int_equal(cancel_init(&lost), 0);
	params = (struct claim_leases_params){
		.agent_ns = "aksdr", .node = "node1", .slot_s = 1795305600, .cancel = &lost
	};
	(void)snprintf(key, sizeof(key), "leases/aksdr/%s", claim_record_lease("u1").s);
	cluster_put("persistentvolumeclaims/shop/data",
	            "{'metadata': {'name': 'data', 'uid': 'u1'}, 'spec': {}}");
	return 0;
}

static int teardown(void **state)
{
	cancel_clear(&lost);
	return cluster_teardown(state);
}

static void opened(void)
{
	struct err e = ERR_INIT;

	if (claim_leases_open(&leases, &params, one, 1, &e) < 0)
		fail_msg("%s", e.msg);
}

static const json_t *notes(void)
{
	return kube_at(cluster_get(key), "metadata.annotations");
}

static const char *noted(const char *name)
{
	const char *v = json_string_value(json_object_get(notes(), name));

	return v ? v : "";
}

static void test_claim_leases__tell_what_is_to_be_made_and_how_it_ended(void **state)
{
	struct point p = { .id = "0123456789abcdef0123456789abcdef", .consistency = "fuzzy" };
	struct err e = ERR_INIT;

	(void)state;
	opened();
	assert_int_equal(claim_leases_check(&leases, &e), 0);
	assert_string_equal(noted("aksdr.io/claim"), "shop/data");
	assert_string_equal(noted("aksdr.io/claim-uid"), "u1");
	assert_string_equal(noted("aksdr.io/slot"), "2026-11-22T00:00:00.000Z");
	assert_string_equal(noted("aksdr.io/outcome"), "");
	assert_true(claim_record_names(notes(), "pods", "aksdr", leases.run.claims[0].base));
	assert_true(
		claim_record_names(notes(), "volumesnapshots", "shop", leases.run.claims[0].base));
	assert_non_null(strstr(kube_text_at(cluster_get(key), "spec.holderIdentity"), "node1-"));
	claim_leases_end(&leases, 0, &p, NULL, "no class");
	assert_string_equal(noted(CLAIM_INTENTS), "");
	assert_string_equal(noted("aksdr.io/outcome"), "succeeded");
	assert_string_equal(noted("aksdr.io/message"), "no class");
	assert_string_equal(noted("aksdr.io/consistency"), "fuzzy");
	assert_string_equal(noted("aksdr.io/last-success-slot"), "2026-11-22T00:00:00.000Z");
	claim_leases_close(&leases);
	assert_string_equal(kube_text_at(cluster_get(key), "spec.holderIdentity"), "");
	assert_string_equal(noted("aksdr.io/outcome"), "succeeded");
}

static void test_claim_leases__failures_are_counted(void **state)
{
	struct err why = ERR_INIT;

	(void)state;
	(void)err_set(&why, ERR_QUOTA, "the store is full");
	for (int i = 0; i < 2; i++) {
		opened();
		claim_leases_end(&leases, 0, NULL, &why, NULL);
		claim_leases_close(&leases);
	}
	assert_string_equal(noted("aksdr.io/outcome"), "failed");
	assert_string_equal(noted("aksdr.io/failures"), "2");
	assert_string_equal(noted("aksdr.io/message"), "the store is full");
}

static void put_lease(const char *holder, const char *intents)
{
	const struct now_text now = now_rfc3339(now_wall_ns());

	(void)json_object_set_new(cluster.objects, key,
	                          json_pack("{s:{s:s, s:s, s:{s:s*}}, s:{s:s*, s:s, s:i}}",
	                                    "metadata", "name", claim_record_lease("u1").s,
	                                    "resourceVersion", "1", "annotations", CLAIM_INTENTS,
	                                    intents, "spec", "holderIdentity", holder, "renewTime",
	                                    now.s, "leaseDurationSeconds", 15));
}

static void test_claim_leases__one_of_somebody_else_begins_nothing(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put_lease("node2-77", NULL);
	assert_int_equal(claim_leases_open(&leases, &params, one, 1, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "the claim 'shop/data' is being backed up by 'node2-77'"));
	claim_leases_close(&leases);
	assert_string_equal(kube_text_at(cluster_get(key), "spec.holderIdentity"), "node2-77");
}

static void test_claim_leases__what_a_dead_run_left_is_removed_first(void **state)
{
	(void)state;
	put_lease(NULL, "[\"pods/aksdr/aksdr-0-0\", \"persistentvolumeclaims/aksdr/aksdr-0-0\"]");
	cluster_put("pods/aksdr/aksdr-0-0", "{'metadata': {'name': 'aksdr-0-0', 'labels': "
	                                    "{'app.kubernetes.io/managed-by': 'aksdr'}}}");
	opened();
	assert_null(cluster_get("pods/aksdr/aksdr-0-0"));
	assert_false(claim_record_names(notes(), "pods", "aksdr", "aksdr-0-0"));
	claim_leases_close(&leases);
}

static void test_claim_leases__what_cannot_be_removed_stays_named(void **state)
{
	struct point p = { .id = "x", .consistency = "crash" };

	(void)state;
	put_lease(NULL, "[\"pods/aksdr/aksdr-0-0\"]");
	cluster_put("pods/aksdr/aksdr-0-0", "{'metadata': {'name': 'aksdr-0-0', 'labels': "
	                                    "{'app.kubernetes.io/managed-by': 'aksdr'}}}");
	cluster.fail = "DELETE pods";
	cluster.fail_status = 403;
	cluster.fail_message = "cannot delete pods";
	opened();
	assert_true(claim_record_names(notes(), "pods", "aksdr", "aksdr-0-0"));
	claim_leases_end(&leases, 0, &p, NULL, NULL);
	assert_true(claim_record_names(notes(), "pods", "aksdr", "aksdr-0-0"));
	claim_leases_close(&leases);
	assert_string_equal(noted("aksdr.io/outcome"), "succeeded");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_claim_leases__tell_what_is_to_be_made_and_how_it_ended),
		CASE(test_claim_leases__failures_are_counted),
		CASE(test_claim_leases__one_of_somebody_else_begins_nothing),
		CASE(test_claim_leases__what_a_dead_run_left_is_removed_first),
		CASE(test_claim_leases__what_cannot_be_removed_stays_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
