/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims of managed disks over a server that keeps objects and one that plays Azure, with the test
 * as the cluster's controllers: the view is the snapshot itself, it is kept for the next one, and
 * whatever Azure refuses a pod reads the claim's view as it does of any other.
 */
#include "snapshot/csi_azure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "snapshot/azure_disk.h"
#include "tests/harness/azure_claim_kit.h"

#define SIZE (1 * MIB)

static struct csi_run run;
static struct snapshot_env env;
static struct azure_arm *arm;
static char *dir;
static struct journal *journal;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)cluster_setup(state);
	cluster.act = azure_claim_act;
	azure_claim_is("Block", "disk.csi.azure.com");
	azure_kit_start();
	struct azure_kit_snapshot *one = azure_kit_add("one", SIZE, NULL);
	memset(one->bytes, 'a', 64 * KIB);
	struct azure_kit_snapshot *two = azure_kit_add("two", SIZE, one);
	memset(two->bytes + 512 * KIB, 'b', 4096);
	azure_claim_next = "one";
	arm = azure_kit_arm();
	dir = tmpdir_new();
	journal = journal_open(dir, &e);
	assert_non_null(journal);
	run = (struct csi_run){ .kube = kit.kube,
		                .ns = "aksdr",
		                .moment_ms = 300,
		                .stuck_ms = 300,
		                .gone_ms = 300,
		                .azure = arm };
	env = (struct snapshot_env){ .cluster = &run, .journal = journal };
	return 0;
}

static int teardown(void **state)
{
	csi_clear(&run);
	journal_close(journal);
	azure_arm_free(arm);
	azure_kit_stop();
	tmpdir_remove(dir);
	return cluster_teardown(state);
}

static struct snapshot *taken(void)
{
	static const char *const origins[] = { "pvc:shop/data" };
	struct err e = ERR_INIT;
	char why[512];

	csi_clear(&run);
	if (csi_load(&run, origins, 1, &e) < 0)
		fail_msg("%s", e.msg);
	const struct snapshot_ops *ops = snapshot_choose_best(&env, origins[0], why, sizeof(why),
	                                                      &e);
	assert_ptr_equal(ops, &snapshot_csi);
	struct snapshot *s = snapshot_take(&env, ops, origins[0], &e);
	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static void released(struct snapshot *s, bool committed)
{
	s->committed = committed;
	ok(snapshot_release(s, e));
	for (unsigned i = 0; i < azure_kit.n; i++)
		assert_false(azure_kit.snapshots[i].open);
}

static unsigned count(const char *kind)
{
	const char *key;
	json_t *o;
	unsigned n = 0;

	(void)http_server_requests(kit.server);
	json_object_foreach(cluster.objects, key, o)
		n += strncmp(key, kind, strlen(kind)) == 0 && key[strlen(kind)] == '/';
	return n;
}

/* What may differ from the base, in bytes. */
static uint64_t changed_bytes(const struct snapshot *s, const char *base)
{
	struct err e = ERR_INIT;
	struct source *source = snapshot_source(s, NULL, base, &e);

	if (!source)
		fail_msg("%s", e.msg);
	source->ops->free(source);
	return azure_disk_changed_bytes(run.claims[0].azure);
}

static void a_pod_reads(const char *why)
{
	struct snapshot *s = taken();

	assert_null(run.claims[0].azure);
	assert_string_equal(s->token, "");
	assert_int_equal(s->nnotes, why != NULL);
	if (why && !strstr(s->notes[0], why))
		fail_msg("%s", s->notes[0]);
	/* the clone that it has */
	assert_int_equal(count("persistentvolumeclaims"), 2);
	released(s, false);
	assert_int_equal(count("persistentvolumeclaims"), 1);
	assert_int_equal(count("volumesnapshots"), 0);
}

static void test_open__the_view_is_the_snapshot_itself(void **state)
{
	bool empty = true;

	(void)state;
	struct snapshot *s = taken();
	assert_non_null(run.claims[0].azure);
	assert_true(s->block);
	assert_string_equal(s->token, azure_kit_id("one"));
	assert_string_equal(s->path, azure_kit_id("one"));
	assert_int_equal(s->nnotes, 0);
	ok(snapshot_is_empty(s, &empty, e));
	assert_false(empty);
	/* no second snapshot, no claim made from it, no pod */
	assert_int_equal(count("persistentvolumeclaims"), 1);
	assert_int_equal(count("volumesnapshots"), 1);
	assert_int_equal(changed_bytes(s, NULL), SIZE);
	released(s, false);
	assert_int_equal(count("volumesnapshots"), 0);
	assert_true(azure_kit.snapshots[0].gone);
}

static void test_close__what_a_point_has_is_the_base_of_the_next_one(void **state)
{
	char key[128];

	(void)state;
	struct snapshot *first = taken();
	(void)snprintf(key, sizeof(key), "volumesnapshots/shop/%s", run.claims[0].base);
	released(first, true);
	assert_int_equal(count("volumesnapshots"), 1);
	assert_false(azure_kit.snapshots[0].gone);
	const json_t *kept = cluster_get(key);
	assert_string_equal(azure_claim_role(kept), "base");
	/* or the sweep of what dead runs have left would take it */
	assert_null(json_object_get(kube_at(kept, "metadata.labels"), "aksdr.io/run"));
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(kube_at(kept, "metadata.ownerReferences"), 0),
				    "uid")),
	                    "u1");
	assert_string_equal(kube_text_at(cluster_get("volumesnapshotcontents/snapcontent-one"),
	                                 "spec.deletionPolicy"),
	                    "Delete");

	azure_claim_next = "two";
	struct snapshot *second = taken();
	assert_int_equal(changed_bytes(second, azure_kit_id("one")), 4096);
	released(second, true);
	/* the new one has taken its place */
	assert_null(cluster_get(key));
	assert_int_equal(count("volumesnapshots"), 1);
	assert_true(azure_kit.snapshots[0].gone);
	assert_false(azure_kit.snapshots[1].gone);
}

static void test_close__without_a_point_the_base_stays(void **state)
{
	(void)state;
	released(taken(), true);
	azure_claim_next = "two";
	released(taken(), false);
	assert_int_equal(count("volumesnapshots"), 1);
	assert_false(azure_kit.snapshots[0].gone);
	assert_true(azure_kit.snapshots[1].gone);
}

static void test_close__when_no_base_is_wanted_any_more_it_goes(void **state)
{
	(void)state;
	released(taken(), true);
	env.keep_no_base = true;
	run.azure = NULL;
	azure_claim_next = "two";
	released(taken(), true);
	assert_int_equal(count("volumesnapshots"), 0);
	assert_true(azure_kit.snapshots[0].gone);
}

static void test_source__a_base_that_is_gone_counts_for_nothing(void **state)
{
	(void)state;
	released(taken(), true);
	azure_kit.snapshots[0].gone = true;
	azure_claim_next = "two";
	struct snapshot *s = taken();
	assert_int_equal(changed_bytes(s, azure_kit_id("one")), SIZE);
	released(s, false);
}

static void test_open__whatever_is_refused_a_pod_reads(void **state)
{
	(void)state;
	azure_kit.arm_status = 403;
	a_pod_reads("lacks a right on the snapshot");
	azure_kit.snapshots[0].gone = false;
	azure_kit.arm_status = 0;
	azure_kit.blob_status = 403;
	a_pod_reads("look at its network access");
	azure_kit.snapshots[0].gone = false;
	azure_kit.blob_status = 0;
	azure_kit.snapshots[0].full = true;
	a_pod_reads("not an incremental one");
}

static void test_open__a_file_system_is_an_image_only_when_asked_for(void **state)
{
	(void)state;
	azure_claim_is("Filesystem", "disk.csi.azure.com");
	a_pod_reads("has a file system");
	azure_kit.snapshots[0].gone = false;
	run.azure_raw = true;
	struct snapshot *s = taken();
	assert_non_null(run.claims[0].azure);
	assert_true(s->block);
	released(s, false);
}

static void test_open__other_drivers_and_whoever_does_not_want_it_are_not_asked(void **state)
{
	(void)state;
	azure_claim_is("Block", "d");
	a_pod_reads(NULL);
	azure_kit.snapshots[0].gone = false;
	azure_claim_is("Block", "disk.csi.azure.com");
	run.azure = NULL;
	a_pod_reads(NULL);
	assert_int_equal(azure_kit.asked, 0);
}

static void test_clean__ends_access_that_a_dead_run_left(void **state)
{
	char text[512];
	size_t removed = 0;

	(void)state;
	setenv("AKSDR_AZURE_ARM", azure_kit.url, 1);
	(void)snprintf(text, sizeof(text), "access %s", azure_kit_id("one"));
	struct err e = ERR_INIT;
	struct journal_note *note = journal_add(journal, "csi", text, &e);
	assert_non_null(note);
	journal_leave(note);
	assert_int_equal(snapshot_reconcile(journal, &removed, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(azure_kit.snapshots[0].ends, 1);
	unsetenv("AKSDR_AZURE_ARM");
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_open__the_view_is_the_snapshot_itself),
		in_world(test_close__what_a_point_has_is_the_base_of_the_next_one),
		in_world(test_close__without_a_point_the_base_stays),
		in_world(test_close__when_no_base_is_wanted_any_more_it_goes),
		in_world(test_source__a_base_that_is_gone_counts_for_nothing),
		in_world(test_open__whatever_is_refused_a_pod_reads),
		in_world(test_open__a_file_system_is_an_image_only_when_asked_for),
		in_world(test_open__other_drivers_and_whoever_does_not_want_it_are_not_asked),
		in_world(test_clean__ends_access_that_a_dead_run_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
