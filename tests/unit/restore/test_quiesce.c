/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a cluster stands still: who uses its claims, what has no point, and what lacks one. */
#include "restore/quiesce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/kube_cluster.h"

static struct pick v[2];
static struct picks volumes;

static int setup(void **state)
{
	(void)cluster_setup(state);
	memset(v, 0, sizeof(v));
	v[0] = (struct pick){ .volume = { .namespace = "shop", .name = "a" }, .sequence = 4 };
	v[1] = (struct pick){ .volume = { .namespace = "shop", .name = "b" }, .sequence = 7 };
	volumes = (struct picks){ .v = v, .n = 2 };
	return 0;
}

static struct quiesce the_cluster(void)
{
	return (struct quiesce){ .kube = kit.kube, .ns = "aksdr" };
}

#define POD(phase, claim)                                                                         \
	"{'metadata': {'namespace': 'shop', 'name': 'p'}, 'status': {'phase': '" phase            \
	"'}, 'spec': {'volumes': [{'name': 'x'}, {'persistentVolumeClaim': {'claimName': '" claim \
	"'}}]}}"

static void test_quiesce_check__names_who_still_works(void **state)
{
	const struct quiesce q = the_cluster();
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("pods/shop/other", POD("Running", "c"));
	cluster_put("pods/shop/done", POD("Succeeded", "a"));
	if (quiesce_check(&q, &volumes, &e) < 0)
		fail_msg("%s", e.msg);
	cluster_put("pods/shop/p", POD("Pending", "b"));
	assert_int_equal(quiesce_check(&q, &volumes, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "shop/p"));
	cluster_remove("pods/shop/p");
	cluster_put("leases/aksdr/aksdr-v-1",
	            "{'metadata': {'name': 'aksdr-v-1'}, 'spec': {'holderIdentity': ''}}");
	cluster_put("leases/aksdr/other",
	            "{'metadata': {'name': 'other'}, 'spec': {'holderIdentity': 'x'}}");
	assert_int_equal(quiesce_check(&q, &volumes, &e), 0);
	cluster_put("leases/aksdr/aksdr-v-2",
	            "{'metadata': {'name': 'aksdr-v-2'}, 'spec': {'holderIdentity': 'n1'}}");
	assert_int_equal(quiesce_check(&q, &volumes, &e), -1);
	assert_non_null(strstr(e.msg, "backups still run"));
}

static void test_quiesce_lacking__until_each_has_one_more(void **state)
{
	auto_json json_t *note = quiesce_note(&volumes);
	char text[64];

	(void)state;
	quiesce_lacking(note, &volumes, text, sizeof(text));
	assert_string_equal(text, "shop/a, shop/b");
	v[0].sequence = 5;
	quiesce_lacking(note, &volumes, text, sizeof(text));
	assert_string_equal(text, "shop/b");
	v[1].sequence = 9;
	quiesce_lacking(note, &volumes, text, sizeof(text));
	assert_string_equal(text, "");
	volumes.n = 1;
	quiesce_lacking(note, &volumes, text, 4);
	assert_string_equal(text, "sho");
}

static void test_quiesce_add_claims__what_has_no_point_is_not_forgotten(void **state)
{
	const struct quiesce q = the_cluster();
	static const struct recipe_select all = { .namespaces = { .n = 0 } };
	CLEANUP(picks_clear) struct picks p = { .n = 0 };
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("persistentvolumeclaims/shop/z",
	            "{'metadata': {'namespace': 'shop', 'name': 'z'}}");
	cluster_put("persistentvolumeclaims/aksdr/ours",
	            "{'metadata': {'namespace': 'aksdr', 'name': 'ours', 'labels': "
	            "{'aksdr.io/role': 'standby'}}}");
	cluster_put("persistentvolumeclaims/shop/a",
	            "{'metadata': {'namespace': 'shop', 'name': 'a'}}");
	assert_int_equal(quiesce_add_claims(&q, &all, "ne", &p, &e), 0);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.v[0].volume.name, "a");
	assert_string_equal(p.v[1].volume.cluster, "ne");
	assert_int_equal(p.v[1].sequence, 0);
	assert_int_equal(quiesce_add_claims(&q, &all, "ne", &p, &e), 0);
	assert_int_equal(p.n, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_quiesce_check__names_who_still_works),
		CASE(test_quiesce_lacking__until_each_has_one_more),
		CASE(test_quiesce_add_claims__what_has_no_point_is_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
