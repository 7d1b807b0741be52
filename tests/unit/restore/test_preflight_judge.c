/* SPDX-License-Identifier: Apache-2.0 */
/* What facts mean, case by case. */
#include "restore/preflight_judge.h"

#include "tests/unit/restore/preflight_kit.h"

#define CLASS(name, provisioner, more)                                          \
	"{'metadata': {'name': '" name "'}, 'provisioner': '" provisioner "', " \
	"'reclaimPolicy': 'Retain'" more "}"
#define NODE(name, zone)                                 \
	"{'metadata': {'name': '" name "', 'labels': "   \
	"{'topology.kubernetes.io/zone': '" zone "'}}, " \
	"'status': {'conditions': [{'type': 'Ready', 'status': 'True'}]}}"

static const struct preflight_volume orders = {
	.ns = "shop", .name = "orders", .storage_class = "fast", .size_bytes = 10 * GIB
};

/* ---- classes ---- */

static void test_classes__that_are_there_are_fine(void **state)
{
	(void)state;
	pre_volumes(&orders, 1);
	pre_expect(preflight_judge_classes, ""); /* not known: not judged */
	pre_fact(FACTS_CLASSES, "[" CLASS("fast", "d.example", "") "]");
	pre_fact(FACTS_DRIVERS, "[{'metadata': {'name': 'd.example'}}]");
	pre_expect(preflight_judge_classes, "");
}

static void test_classes__one_that_is_missing_is_told_once(void **state)
{
	const struct preflight_volume v[] = { orders,
		                              { "shop", "b", "fast", 1, .block = true },
		                              { "web", "c", "", 1, .block = false } };

	(void)state;
	pre_volumes(v, 3);
	pre_fact(FACTS_CLASSES, "[" CLASS("slow", "d.example", "") "]");
	pre_expect(preflight_judge_classes, "block DefaultClassMissing StorageClass\n"
	                                    "block StorageClassMissing StorageClass fast\n");
	pre_says(0, "web/c");
	pre_says(1, "2 volumes, as shop/orders");
	pre_says(1, "mappings.storageClasses");
}

static void test_classes__of_several_defaults_the_newest_counts(void **state)
{
	const struct preflight_volume v[] = { { "web", "c", "", 1, .block = false } };
	static const char two[] =
		"[{'metadata': {'name': 'a', 'creationTimestamp': '2026-01-01T00:00:00Z', "
		"'annotations': {'storageclass.kubernetes.io/is-default-class': 'true'}}, "
		"'provisioner': 'd', 'reclaimPolicy': 'Retain'}, "
		"{'metadata': {'name': 'b', 'creationTimestamp': '2026-02-01T00:00:00Z', "
		"'annotations': {'storageclass.kubernetes.io/is-default-class': 'true'}}, "
		"'provisioner': 'd', 'reclaimPolicy': 'Delete'}]";

	(void)state;
	pre_volumes(v, 1);
	pre_fact(FACTS_CLASSES, two);
	pre_expect(preflight_judge_classes, "warning SeveralDefaultClasses StorageClass b\n"
	                                    "note ReclaimDelete StorageClass b\n");
}

static void test_classes__a_driver_must_be_able_to(void **state)
{
	const struct preflight_volume v[] = {
		{ "a", "block", "file", 1, .block = true },
		{ "a", "many", "disk", 1, .access_modes = TEXTS("ReadWriteMany"),
		  .naccess_modes = 1 },
		{ "a", "many-blocks", "disk", 1, .block = true,
		  .access_modes = TEXTS("ReadWriteMany"), .naccess_modes = 1 },
		{ "a", "one", "disk", 1, .access_modes = TEXTS("ReadWriteOnce"),
		  .naccess_modes = 1 },
		{ "a", "many-files", "file", 1, .access_modes = TEXTS("ReadWriteMany"),
		  .naccess_modes = 1 },
		{ "a", "any", "other", 1, .access_modes = TEXTS("ReadWriteMany"),
		  .naccess_modes = 1 },
		{ "a", "none", "local", 1, .naccess_modes = 0 },
	};

	(void)state;
	pre_volumes(v, ARRAY_LEN(v));
	pre_fact(FACTS_CLASSES,
	         "[" CLASS("disk", "kubernetes.io/azure-disk",
	                   "") "," CLASS("file", "file.csi.azure.com",
	                                 "") "," CLASS("other", "x.example",
	                                               "") "," CLASS("local",
	                                                             "kubernetes.io/no-provisioner",
	                                                             "") "]");
	pre_fact(FACTS_DRIVERS, "[{'metadata': {'name': 'disk.csi.azure.com'}}, {'metadata': "
	                        "{'name': 'file.csi.azure.com'}}]");
	pre_expect(preflight_judge_classes, "block AccessModeUnsupported a/many\n"
	                                    "block BlockUnsupported a/block\n"
	                                    "block ClassMakesNoVolumes StorageClass local\n"
	                                    "warning CSIDriverMissing StorageClass other\n");
	pre_says(3, "x.example");
}

/* ---- zones ---- */

static void test_zones__a_node_must_be_there(void **state)
{
	const struct preflight_volume v[] = {
		{ "a", "one", "fast", 1, .zones = TEXTS("ne-1"), .nzones = 1 },
		{ "a", "either", "fast", 1, .zones = TEXTS("ne-9", "ne-2"), .nzones = 2 },
		{ "a", "any", "fast", 1, .nzones = 0 },
		{ "a", "lost", "fast", 1, .zones = TEXTS("we-1"), .nzones = 1 },
	};

	(void)state;
	pre_volumes(v, ARRAY_LEN(v));
	pre_expect(preflight_judge_zones, "");
	pre_fact(FACTS_NODES, "[" NODE("n1", "ne-1") "," NODE("n2", "ne-2") "]");
	pre_expect(preflight_judge_zones, "block ZoneMissing a/lost\n");
	pre_says(0, "we-1");
	pre_says(0, "mappings.zones");
}

static void test_zones__nodes_that_take_no_pods_do_not_count(void **state)
{
	static const char *const none[] = {
		"[]",
		"[{'metadata': {'name': 'n'}, 'status': {'conditions': [{'type': 'Ready', "
		"'status': 'Unknown'}]}}]",
		"[{'metadata': {'name': 'n'}, 'spec': {'unschedulable': true}, 'status': "
		"{'conditions': [{'type': 'Ready', 'status': 'True'}]}}]",
		"[{'metadata': {'name': 'n'}}]",
	};

	(void)state;
	pre_volumes(&orders, 1);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		pre_fact(FACTS_NODES, none[i]);
		pre_expect(preflight_judge_zones, "block NoNodes Nodes\n");
	}
}

static void test_zones__a_class_has_its_own(void **state)
{
	const struct preflight_volume v[] = {
		{ "a", "here", "one", 1, .nzones = 0 },
		{ "a", "there", "one", 1, .zones = TEXTS("ne-2"), .nzones = 1 },
		{ "a", "away", "far", 1, .nzones = 0 },
	};
#define ALLOWED(zone)                                                 \
	", 'allowedTopologies': [{'matchLabelExpressions': [{'key': " \
	"'topology.disk.csi.azure.com/zone', 'values': ['" zone "']}]}]"

	(void)state;
	pre_volumes(v, ARRAY_LEN(v));
	pre_fact(FACTS_NODES, "[" NODE("n1", "ne-1") "," NODE("n2", "ne-2") "]");
	pre_fact(FACTS_CLASSES,
	         "[" CLASS("one", "d", ALLOWED("ne-1")) "," CLASS("far", "d", ALLOWED("we-1")) "]");
	pre_expect(preflight_judge_zones, "block ClassNotHere StorageClass far\n"
	                                  "block ZoneNotAllowed a/there\n");
}

/* ---- snapshots ---- */

static void test_snapshots__a_class_for_each_driver(void **state)
{
	(void)state;
	pre_volumes(&orders, 1);
	pre_fact(FACTS_CLASSES, "[" CLASS("fast", "d.example", "") "]");
	pre_expect(preflight_judge_snapshots, "");
	pre_fact(FACTS_SNAPSHOTS, "[{'metadata': {'name': 's'}, 'driver': 'd.example'}]");
	pre_expect(preflight_judge_snapshots, "");
	pre_fact(FACTS_SNAPSHOTS, "[{'metadata': {'name': 's'}, 'driver': 'e.example'}]");
	pre_expect(preflight_judge_snapshots, "warning SnapshotClassMissing StorageClass fast\n");
	pre.f.unknown[FACTS_SNAPSHOTS] = true;
	pre_expect(preflight_judge_snapshots, "warning SnapshotsUnknown VolumeSnapshotClasses\n");
}

/* ---- images ---- */

static void image(enum registry_answer answer, const char *severity, const char *code)
{
	const struct registry_result r = { .answer = answer, .why = "because of this" };
	auto_findings struct findings l = FINDINGS_INIT;

	preflight_judge_image("x/y@z", &r, &l);
	assert_int_equal(l.n, code != NULL);
	if (!code)
		return;
	assert_string_equal(finding_severity_name(l.list[0].severity), severity);
	assert_string_equal(l.list[0].code, code);
	assert_string_equal(l.list[0].object, "Image x/y@z");
	assert_non_null(strstr(l.list[0].what, "because of this"));
}

static void test_image__what_pods_cannot_pull_blocks(void **state)
{
	(void)state;
	image(REGISTRY_THERE, NULL, NULL);
	image(REGISTRY_MISSING, "block", "ImageMissing");
	image(REGISTRY_OTHER, "block", "ImageOther");
	image(REGISTRY_DENIED, "warning", "ImageNotLooked");
	image(REGISTRY_UNKNOWN, "warning", "ImageNotLooked");
}

/* ---- key and store ---- */

static void one(struct findings *l, const char *wanted)
{
	char text[128] = "";

	if (l->n > 0)
		(void)snprintf(text, sizeof(text), "%s %s",
		               finding_severity_name(l->list[0].severity), l->list[0].code);
	assert_string_equal(text, wanted);
	finding_clear(l);
}

static void test_key__must_read_and_fence_only_where_that_is_wanted(void **state)
{
	struct keys k = { .kind = KEY_AUDIT, .has_sign = true };
	auto_findings struct findings l = FINDINGS_INIT;

	(void)state;
	preflight_judge_key(&k, false, &l);
	one(&l, "block KeyCannotRestore");
	k.has_recovery = true;
	preflight_judge_key(&k, true, &l);
	one(&l, "block KeyCannotFence");
	preflight_judge_key(&k, false, &l);
	one(&l, "");
	k.kind = KEY_RECOVERY;
	preflight_judge_key(&k, true, &l);
	one(&l, "");
	k.has_sign = false;
	preflight_judge_key(&k, true, &l);
	one(&l, "block KeyCannotFence");
}

static void test_store__how_far_the_second_region_is(void **state)
{
	const int64_t hour = INT64_C(3600) * 1000000000, now = 1000 * hour;
	static const struct store_cut none = { .kind = CUT_NONE };
	const struct {
		struct store_cut cut;
		bool away, fences;
		const char *wanted;
	} cases[] = {
		{ none, true, true, "block StoreAway" },
		{ none, true, false, "warning StoreAway" },
		{ none, false, true, "note NoSecondRegion" },
		{ { .kind = CUT_UNKNOWN }, false, true, "warning SecondRegionUnknown" },
		{ { .kind = CUT_LAST_SYNC }, false, true, "warning SecondRegionUnknown" },
		{ { .kind = CUT_LAST_SYNC, .cut_ns = now - hour / 4 }, false, true, "" },
		{ { .kind = CUT_LAST_SYNC, .cut_ns = now - 2 * hour },
		  false,
		  true,
		  "warning SecondRegionBehind" },
		{ { .kind = CUT_COMPARED, .cut_ns = now - 3 * hour, .at_ns = now - 3 * hour + 1 },
		  false,
		  true,
		  "" },
		{ { .kind = CUT_COMPARED }, false, true, "" },
		{ { .kind = CUT_COMPARED, .behind = 3 },
		  false,
		  true,
		  "warning SecondRegionUnknown" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_findings struct findings l = FINDINGS_INIT;

		preflight_judge_store(cases[i].away, &cases[i].cut, now, cases[i].fences, &l);
		one(&l, cases[i].wanted);
	}
	/* What the plan has told is not told again. */
	auto_findings struct findings told = FINDINGS_INIT;
	(void)finding_add(&told, FINDING_WARNING, "SecondRegionUnknown", "Store");
	preflight_judge_store(false, &(struct store_cut){ .kind = CUT_UNKNOWN }, now, true, &told);
	assert_int_equal(told.n, 1);
}

static void test_is_later__compares_numbers(void **state)
{
	(void)state;
	assert_false(preflight_judge_is_later("aksdr 0.1.0", "0.1.0"));
	assert_true(preflight_judge_is_later("aksdr 0.1.1", "0.1.0"));
	assert_true(preflight_judge_is_later("aksdr 0.10.0", "0.9.9"));
	assert_false(preflight_judge_is_later("aksdr 0.9.9", "0.10.0"));
	assert_true(preflight_judge_is_later("1.0", "0.9.9"));
	assert_false(preflight_judge_is_later("", "0.9.9"));
	assert_false(preflight_judge_is_later("another 9.9.9", "0.1.0"));
	assert_true(preflight_judge_is_later("aksdr 99999999999999999999.0.0", "1.0.0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PRE_CASE(test_classes__that_are_there_are_fine),
		PRE_CASE(test_classes__one_that_is_missing_is_told_once),
		PRE_CASE(test_classes__of_several_defaults_the_newest_counts),
		PRE_CASE(test_classes__a_driver_must_be_able_to),
		PRE_CASE(test_zones__a_node_must_be_there),
		PRE_CASE(test_zones__nodes_that_take_no_pods_do_not_count),
		PRE_CASE(test_zones__a_class_has_its_own),
		PRE_CASE(test_snapshots__a_class_for_each_driver),
		PRE_CASE(test_image__what_pods_cannot_pull_blocks),
		PRE_CASE(test_key__must_read_and_fence_only_where_that_is_wanted),
		PRE_CASE(test_store__how_far_the_second_region_is),
		PRE_CASE(test_is_later__compares_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
