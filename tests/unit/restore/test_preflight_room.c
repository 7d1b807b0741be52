/* SPDX-License-Identifier: Apache-2.0 */
/* Room, quotas, namespaces and names, case by case. */
#include "restore/preflight_room.h"

#include "tests/unit/restore/preflight_kit.h"

static const struct preflight_volume two[] = {
	{ .ns = "shop", .name = "orders", .storage_class = "fast", .size_bytes = 10 * GIB },
	{ .ns = "web", .name = "files", .storage_class = "", .size_bytes = 2 * GIB },
};

static void classes(void)
{
	pre_volumes(two, 2);
	pre_fact(FACTS_CLASSES,
	         "[{'metadata': {'name': 'fast'}, 'provisioner': 'd'}, {'metadata': {'name': "
	         "'usual', 'annotations': {'storageclass.kubernetes.io/is-default-class': "
	         "'true'}}, 'provisioner': 'd'}]");
}

/* ---- capacity ---- */

#define ROOM(class, capacity, most)                                \
	"{'storageClassName': '" class "', 'capacity': '" capacity \
				       "', 'maximumVolumeSize': '" most "'}"

static void test_capacity__is_judged_where_the_driver_tells_it(void **state)
{
	(void)state;
	classes();
	pre_fact(FACTS_DRIVERS, "[{'metadata': {'name': 'd'}, 'spec': {'storageCapacity': true}}]");
	pre_expect(preflight_room_capacity, "");
	pre_fact(FACTS_CAPACITIES,
	         "[" ROOM("fast", "30Gi", "20Gi") "," ROOM("usual", "1Gi",
	                                                   "1Gi") "," ROOM("usual", "1536Mi",
	                                                                   "1Gi") "]");
	pre_expect(preflight_room_capacity, "block VolumeTooLarge web/files\n");
	pre_says(0, "1.0 GiB");
	pre_fact(FACTS_CAPACITIES, "[" ROOM("fast", "8Gi", "") ",{'storageClassName': 'usual'}]");
	pre_expect(preflight_room_capacity, "block CapacityShort StorageClass fast\n"
	                                    "block VolumeTooLarge shop/orders\n");
	pre_fact(FACTS_CAPACITIES, "[" ROOM("fast", "30Gi", "") "]");
	pre_expect(preflight_room_capacity, "warning CapacityUnknown StorageClass usual\n");
	pre_fact(FACTS_DRIVERS, "[{'metadata': {'name': 'd'}, 'spec': {}}]");
	pre_expect(preflight_room_capacity, "");
}

/* ---- quotas ---- */

#define QUOTA(ns, hard, used)                                                                 \
	"[{'metadata': {'name': 'q', 'namespace': '" ns "'}, 'spec': {}, 'status': {'hard': " \
	"{" hard "}, 'used': {" used "}}}]"

static void test_quotas__of_a_target_block(void **state)
{
	static const struct {
		const char *quota, *wanted;
	} cases[] = {
		{ QUOTA("shop", "'requests.storage': '20Gi'", "'requests.storage': '10Gi'"), "" },
		{ QUOTA("shop", "'requests.storage': '20Gi'", "'requests.storage': '11Gi'"),
		  "block QuotaShort ResourceQuota shop/q\n" },
		{ QUOTA("shop", "'persistentvolumeclaims': '3'", "'persistentvolumeclaims': '3'"),
		  "block QuotaShort ResourceQuota shop/q\n" },
		{ QUOTA("shop", "'persistentvolumeclaims': '3'", "'persistentvolumeclaims': '2'"),
		  "" },
		{ QUOTA("shop", "'count/persistentvolumeclaims': '0'", ""),
		  "block QuotaShort ResourceQuota shop/q\n" },
		{ QUOTA("shop", "'fast.storageclass.storage.k8s.io/requests.storage': '9Gi'", ""),
		  "block QuotaShort ResourceQuota shop/q\n" },
		{ QUOTA("shop", "'slow.storageclass.storage.k8s.io/requests.storage': '0'", ""),
		  "" },
		{ QUOTA("web", "'usual.storageclass.storage.k8s.io/persistentvolumeclaims': '0'",
		        ""),
		  "block QuotaShort ResourceQuota web/q\n" },
		{ QUOTA("shop", "'pods': '0', 'limits.cpu': '0'", ""), "" },
		{ QUOTA("shop", "'requests.storage': 'much'", ""), "" },
	};

	(void)state;
	classes();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pre_fact(FACTS_QUOTAS, cases[i].quota);
		pre_expect(preflight_room_quotas, cases[i].wanted);
	}
}

static void test_quotas__of_the_tool_slow_down_or_block(void **state)
{
	static const struct {
		const char *quota, *wanted;
	} cases[] = {
		{ QUOTA("aksdr", "'requests.storage': '12Gi'", ""), "" },
		{ QUOTA("aksdr", "'requests.storage': '11Gi'", ""),
		  "warning QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'requests.storage': '9Gi'", ""),
		  "block QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'persistentvolumeclaims': '1'", ""),
		  "warning QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'pods': '1'", ""), "warning QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'pods': '5'", "'pods': '5'"),
		  "block QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'limits.memory': '1Gi'", "'limits.memory': '1Gi'"),
		  "block QuotaShort ResourceQuota aksdr/q\n" },
		{ QUOTA("aksdr", "'limits.memory': '2Gi'", "'limits.memory': '1Gi'"), "" },
		{ "[{'metadata': {'name': 'q', 'namespace': 'aksdr'}, 'spec': {'scopes': "
		  "['BestEffort']}, 'status': {'hard': {'pods': '0'}, 'used': {}}}]",
		  "" },
	};

	(void)state;
	classes();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pre_fact(FACTS_QUOTAS, cases[i].quota);
		pre_expect(preflight_room_quotas, cases[i].wanted);
	}
}

/* ---- namespaces ---- */

static void test_namespaces__of_targets_and_of_the_tool(void **state)
{
	(void)state;
	classes();
	pre_expect(preflight_room_namespaces, "");
	pre_fact(FACTS_NAMESPACES, "[]");
	pre_expect(preflight_room_namespaces, "block NamespaceMissing Namespace aksdr\n"
	                                      "note NamespaceNew Namespace shop\n"
	                                      "note NamespaceNew Namespace web\n");
	pre_fact(FACTS_NAMESPACES,
	         "[{'metadata': {'name': 'aksdr', 'labels': "
	         "{'pod-security.kubernetes.io/enforce': 'restricted'}}}, {'metadata': {'name': "
	         "'shop'}, 'status': {'phase': 'Active'}}, {'metadata': {'name': 'web', "
	         "'deletionTimestamp': '2026-11-22T00:00:00Z'}}]");
	pre_expect(preflight_room_namespaces, "block NamespaceGoing Namespace web\n"
	                                      "block PodSecurityRestricted Namespace aksdr\n");
	pre_fact(FACTS_NAMESPACES,
	         "[{'metadata': {'name': 'aksdr', 'labels': "
	         "{'pod-security.kubernetes.io/enforce': 'baseline'}}}, "
	         "{'metadata': {'name': 'shop'}}, {'metadata': {'name': 'web'}}]");
	pre_expect(preflight_room_namespaces, "");
}

/* ---- names ---- */

static void test_names__that_are_taken_block(void **state)
{
#define CLAIM(more, phase)                                                                       \
	"[{'metadata': {'name': 'orders', 'namespace': 'shop'" more "}, 'spec': {'volumeName': " \
	"'pv-1'}, 'status': {'phase': '" phase "'}}]"
	static const struct {
		const char *claims, *says;
	} cases[] = {
		{ CLAIM("", "Bound"), "has the volume 'pv-1'" },
		{ CLAIM("", "Lost"), "has the volume 'pv-1'" },
		{ CLAIM("", "Pending"), "waits for a volume" },
		{ CLAIM(", 'deletionTimestamp': '2026-11-22T00:00:00Z'", "Bound"),
		  "being deleted" },
		{ CLAIM(", 'labels': {'aksdr.io/run': 'r2'}", "Bound"), "from the run r2" },
	};

	(void)state;
	classes();
	pre_expect(preflight_room_names, "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pre_fact(FACTS_CLAIMS, cases[i].claims);
		pre_expect(preflight_room_names, "block ClaimExists shop/orders\n");
		pre_says(0, cases[i].says);
	}
	pre.p.run = "r2";
	pre_expect(preflight_room_names, "");
}

static void test_names__volumes_from_before_are_noted(void **state)
{
	(void)state;
	classes();
	pre_fact(FACTS_VOLUMES, "[{'metadata': {'name': 'pv-9'}, 'spec': {'claimRef': "
	                        "{'namespace': 'shop', 'name': 'orders'}}}]");
	pre_expect(preflight_room_names, "note VolumeReleased PersistentVolume pv-9\n");
	pre_says(0, "shop/orders");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PRE_CASE(test_capacity__is_judged_where_the_driver_tells_it),
		PRE_CASE(test_quotas__of_a_target_block),
		PRE_CASE(test_quotas__of_the_tool_slow_down_or_block),
		PRE_CASE(test_namespaces__of_targets_and_of_the_tool),
		PRE_CASE(test_names__that_are_taken_block),
		PRE_CASE(test_names__volumes_from_before_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
