/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A claim that is filled and handed over, in a cluster of which each request fails once: whatever
 * failed, the next call ends it, and nothing is done twice. The real cluster is in tests/kube.
 */
#include "restore/filler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore/filler_objects.h"
#include "tests/harness/kube_cluster.h"

#define RUN "0123456789abcdef0123456789abcdef"
#define POINT "a0000000000000000000000000000001"
#define SESSION "2026-11-22/0123456789abcdef-" POINT
#define LATER "a0000000000000000000000000000002"

static unsigned requests, failing, movers;
static int failing_status;
static const char *mover_says; /* NULL: it fills */
static json_t *last_args;
static bool evicted; /* the next mover is */
static json_t *template, *labels;

static void set_status(json_t *pod, const char *message)
{
	json_t *args = json_object_get(json_array_get(kube_at(pod, "spec.containers"), 0), "args");
	auto_json json_t *result =
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:i, s:i, s:[]}",
	                  "schema", "aksdr/filled/v1", "point", POINT, "session", SESSION, "base",
	                  "", "bytes", 7, "files", 2, "written", 7, "fetched", 5, "requests", 1,
	                  "verified", 0, "partial", 0, "ms", 3, "gaps", 0, "paths");
	char *text = message ? strdup(message) : json_dumps(result, JSON_COMPACT);

	json_decref(last_args);
	last_args = json_deep_copy(args);
	movers++;
	if (evicted)
		(void)json_object_set_new(pod, "status",
		                          json_pack("{s:s, s:s}", "phase", "Failed", "reason",
		                                    "Evicted"));
	else
		(void)json_object_set_new(pod, "status",
		                          json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}", "phase",
		                                    "Succeeded", "containerStatuses", "name",
		                                    "mover", "state", "terminated", "exitCode", 0,
		                                    "message", text));
	evicted = false;
	free(text);
}

/* What the volume controller does: a volume for each claim, or the one that is reserved for it. */
static void bind(json_t *claim)
{
	const char *volume = kube_text_at(claim, "spec.volumeName");
	const char *ns = kube_text_at(claim, "metadata.namespace");
	const char *name = kube_text_at(claim, "metadata.name");
	char pv[128], key[160];

	if (*volume) {
		(void)snprintf(key, sizeof(key), "persistentvolumes/%s", volume);
		const json_t *there = cluster_get(key);
		assert_non_null(there);
		/* reserved for this claim, or it would wait for ever */
		assert_string_equal(kube_text_at(there, "spec.claimRef.name"), name);
		assert_string_equal(kube_text_at(there, "spec.claimRef.namespace"), ns);
		assert_string_equal(kube_text_at(there, "spec.persistentVolumeReclaimPolicy"),
		                    "Retain");
	} else {
		(void)snprintf(pv, sizeof(pv), "pv-%s", name);
		(void)snprintf(key, sizeof(key), "persistentvolumes/%s", pv);
		(void)json_object_set_new(cluster.objects, key,
		                          json_pack("{s:{s:s}, s:{s:s, s:s, s:{s:s, s:s, s:s}}}",
		                                    "metadata", "name", pv, "spec",
		                                    "persistentVolumeReclaimPolicy", "Delete",
		                                    "storageClassName", "fast", "claimRef",
		                                    "namespace", ns, "name", name, "uid", "u"));
		(void)json_object_set_new(json_object_get(claim, "spec"), "volumeName",
		                          json_string(pv));
	}
	(void)json_object_set_new(claim, "status", json_pack("{s:s}", "phase", "Bound"));
}

#define WAITING "uid-of-a-claim-that-waits"

/* A volume that is reserved for the claim that waits, by its uid. */
static void bind_waiting(const json_t *pv)
{
	json_t *claim = cluster_get("persistentvolumeclaims/shop/orders");

	if (!claim || *kube_text_at(claim, "spec.volumeName") ||
	    strcmp(kube_text_at(pv, "spec.claimRef.uid"), WAITING) != 0)
		return;
	assert_string_equal(kube_text_at(pv, "spec.persistentVolumeReclaimPolicy"), "Retain");
	(void)json_object_set_new(json_object_get(claim, "spec"), "volumeName",
	                          json_string(kube_text_at(pv, "metadata.name")));
	(void)json_object_set_new(claim, "status", json_pack("{s:s}", "phase", "Bound"));
}

static void controllers(const char *key, json_t *o)
{
	if (strncmp(key, "persistentvolumes/", 18) == 0)
		bind_waiting(o);
	if (*kube_text_at(o, "metadata.deletionTimestamp")) {
		if (strncmp(key, "persistentvolumeclaims/", 23) == 0) {
			char pv[160];

			(void)snprintf(pv, sizeof(pv), "persistentvolumes/%s",
			               kube_text_at(o, "spec.volumeName"));
			if (cluster_get(pv) &&
			    strcmp(kube_text_at(cluster_get(pv),
			                        "spec.persistentVolumeReclaimPolicy"),
			           "Delete") == 0)
				cluster_remove(pv);
		}
		cluster_remove(key);
	} else if (strncmp(key, "pods/", 5) == 0 && !kube_at(o, "status")) {
		set_status(o, mover_says);
	} else if (strncmp(key, "persistentvolumeclaims/", 23) == 0 && !kube_at(o, "status")) {
		bind(o);
	}
}

static int answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	if (++requests == failing) {
		/* what was asked for may have been done */
		if (failing_status == 0)
			(void)cluster_answers(arg, q, reply);
		buf_reset(reply);
		cluster_refuse(reply, 403, "Forbidden", "not this time");
		return 0;
	}
	return cluster_answers(arg, q, reply);
}

static int setup(void **state)
{
	(void)cluster_setup(state);
	kit.own = answers;
	cluster.act = controllers;
	requests = failing = movers = 0;
	failing_status = 403;
	mover_says = NULL;
	last_args = NULL;
	evicted = false;
	template = json_pack("{s:{s:[{s:s, s:s}]}}", "spec", "containers", "name", "mover", "image",
	                     "i");
	labels = json_pack("{s:s, s:s}", "tier", "data", "kubectl.kubernetes.io/x", "y");
	return 0;
}

static int teardown(void **state)
{
	json_decref(template);
	json_decref(labels);
	json_decref(last_args);
	return cluster_teardown(state);
}

static const char *const modes[] = { "ReadWriteOnce" };

static struct filler the_filler(void)
{
	return (struct filler){ .kube = kit.kube,
		                .ns = "aksdr",
		                .run = RUN,
		                .role = "restore",
		                .template = template,
		                .stuck_ms = 200 };
}

static struct filler_claim the_claim(const char *point)
{
	return (struct filler_claim){ .ns = "shop",
		                      .name = "orders",
		                      .storage_class = "fast",
		                      .size_bytes = 1 << 30,
		                      .modes = modes,
		                      .nmodes = 1,
		                      .labels = labels,
		                      .point = point,
		                      .volume = "we/shop/orders" };
}

static bool has_arg(const char *word)
{
	for (size_t i = 0; i < json_array_size(last_args); i++) {
		if (strcmp(json_string_value(json_array_get(last_args, i)), word) == 0)
			return true;
	}
	return false;
}

static int both(struct err *e)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;

	*e = ERR_INIT;
	return filler_fill(&f, &c, &filled, e) < 0 ? -1 : filler_hand_over(&f, &c, e);
}

static void is_done(void)
{
	const json_t *claim = cluster_get("persistentvolumeclaims/shop/orders");
	char pv[160];
	size_t n = 0;
	const char *key;
	json_t *o;

	assert_non_null(claim);
	assert_string_equal(filler_objects_note(claim, FILLER_POINT), POINT);
	assert_string_equal(filler_objects_label(claim, "tier"), "data");
	assert_string_equal(filler_objects_label(claim, "kubectl.kubernetes.io/x"), "");
	assert_string_equal(kube_text_at(claim, "spec.storageClassName"), "fast");
	(void)snprintf(pv, sizeof(pv), "persistentvolumes/%s",
	               kube_text_at(claim, "spec.volumeName"));
	const json_t *volume = cluster_get(pv);
	assert_string_equal(kube_text_at(volume, "spec.persistentVolumeReclaimPolicy"), "Delete");
	assert_string_equal(filler_objects_label(volume, FILLER_LABEL_FILL), "");
	assert_string_equal(filler_objects_note(volume, FILLER_RECLAIM), "");
	json_object_foreach(cluster.objects, key, o)
		n++;
	assert_int_equal(n, 2);
}

static void test_filler__fills_and_hands_over(void **state)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;
	struct err e = ERR_INIT;
	char name[FILLER_NAME_MAX];

	(void)state;
	if (filler_fill(&f, &c, &filled, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(filled.bytes, 7);
	assert_true(has_arg("we/shop/orders@" POINT));
	assert_true(has_arg(FILLER_TARGET));
	assert_false(has_arg("--in-place"));
	/* nobody but us sees it */
	assert_null(cluster_get("persistentvolumeclaims/shop/orders"));
	filler_name(&f, "shop", "orders", name);
	assert_int_equal(filler_hand_over(&f, &c, &e), 0);
	is_done();
	/* again: what it said is told, and nothing is done */
	filled = (struct filled){ .bytes = 0 };
	assert_int_equal(both(&e), 0);
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	assert_int_equal(filled.bytes, 7);
	assert_int_equal(movers, 1);
	is_done();
}

static void test_filler__whatever_fails_the_next_call_ends_it(void **state)
{
	struct err e;
	unsigned n;

	for (int done = 0; done < 2; done++) {
		for (n = 1;; n++) {
			if (n > 1) {
				(void)teardown(state);
				(void)setup(state);
			}
			failing = n;
			failing_status = done ? 0 : 403;
			const int rc = both(&e);
			if (requests < failing)
				break;
			/* what it says is no matter */
			if (rc == 0) {
				is_done();
				continue;
			}
			assert_int_equal(e.class, ERR_DENIED);
			failing = 0;
			if (both(&e) < 0)
				fail_msg("after request %u: %s", n, e.msg);
			assert_true(movers <= 2);
			is_done();
		}
		assert_true(n > 15);
		(void)teardown(state);
		(void)setup(state);
	}
}

static void test_filler_fill__what_another_point_has_gets_what_differs(void **state)
{
	const struct filler f = the_filler();
	struct filler_claim c = the_claim(POINT);
	struct filled filled;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	c.point = LATER;
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	assert_true(has_arg("--in-place"));
	assert_true(has_arg("--base"));
	assert_true(has_arg(POINT));
	/* one that failed leaves something mixed: it is compared as a whole */
	c.point = POINT;
	mover_says = "{\"class\": \"io\", \"error\": \"disk on fire\"}";
	assert_int_equal(filler_fill(&f, &c, &filled, &e), -1);
	assert_non_null(strstr(e.msg, "disk on fire"));
	assert_non_null(strstr(e.msg, "shop/orders"));
	assert_int_equal(filler_hand_over(&f, &c, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	mover_says = NULL;
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	assert_true(has_arg("--in-place"));
	assert_false(has_arg("--base"));
	assert_int_equal(filler_hand_over(&f, &c, &e), 0);
}

static void test_filler_fill__a_mover_that_was_taken_away_is_tried_again(void **state)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;
	struct err e = ERR_INIT;

	(void)state;
	evicted = true;
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	assert_int_equal(movers, 2);
	assert_true(has_arg("--in-place"));
}

static void test_filler__a_claim_of_somebody_else_is_left_alone(void **state)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;
	struct err e = ERR_INIT;

	(void)state;
	cluster_put("persistentvolumeclaims/shop/orders",
	            "{'metadata': {'name': 'orders'}, 'status': {'phase': 'Bound'}}");
	assert_int_equal(filler_fill(&f, &c, &filled, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	assert_int_equal(filler_hand_over(&f, &c, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	assert_int_equal(movers, 0);
}

static void put_waiting(const char *uid)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{'metadata': {'name': 'orders', 'namespace': 'shop', 'uid': '%s'}, 'spec': "
	               "{}, 'status': {'phase': 'Pending'}}",
	               uid);
	cluster_put("persistentvolumeclaims/shop/orders", text);
}

static int both_waiting(struct err *e)
{
	const struct filler f = the_filler();
	struct filler_claim c = the_claim(POINT);
	struct filled filled;
	const json_t *claim = cluster_get("persistentvolumeclaims/shop/orders");

	c.uid = WAITING;
	*e = ERR_INIT;
	if (!*kube_text_at(claim, "spec.volumeName") && filler_fill(&f, &c, &filled, e) < 0)
		return -1;
	return filler_hand_over(&f, &c, e);
}

static void test_filler__a_claim_that_waits_gets_the_volume(void **state)
{
	struct err e;

	for (unsigned n = 0;; n++) {
		if (n > 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		put_waiting(WAITING);
		failing = n;
		const int rc = both_waiting(&e);
		if (n > 0 && requests < n)
			break;
		/* Whatever failed, the next call ends it. */
		failing = 0;
		if (rc < 0)
			assert_int_equal(both_waiting(&e), 0);
		const json_t *claim = cluster_get("persistentvolumeclaims/shop/orders");
		char pv[160];
		(void)snprintf(pv, sizeof(pv), "persistentvolumes/%s",
		               kube_text_at(claim, "spec.volumeName"));
		const json_t *volume = cluster_get(pv);
		assert_non_null(volume);
		assert_string_equal(kube_text_at(volume, "spec.persistentVolumeReclaimPolicy"),
		                    "Delete");
		assert_string_equal(filler_objects_label(volume, FILLER_LABEL_FILL), "");
		assert_int_equal(json_object_size(cluster.objects), 2);
		assert_true(movers <= 2);
	}
}

static void test_filler__a_claim_that_waited_and_is_another_one_gets_nothing(void **state)
{
	struct err e;

	(void)state;
	put_waiting("another");
	assert_int_equal(both_waiting(&e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(movers, 0);
}

static void test_filler_drop__takes_away_what_is_ours(void **state)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(filler_fill(&f, &c, &filled, &e), 0);
	assert_int_equal(filler_drop(&f, "shop", "orders", &e), 0);
	assert_int_equal(json_object_size(cluster.objects), 0);
	assert_int_equal(filler_drop(&f, "shop", "orders", &e), 0);
}

/* A claim of somebody, with a volume of 1 GiB. */
static void put_theirs(void)
{
	cluster_put("persistentvolumeclaims/shop/orders",
	            "{'metadata': {'name': 'orders', 'namespace': 'shop', 'uid': 'u9'}, 'spec': "
	            "{'volumeName': 'old'}, 'status': {'phase': 'Bound'}}");
	cluster_put(
		"persistentvolumes/old",
		"{'metadata': {'name': 'old'}, 'spec': {'persistentVolumeReclaimPolicy': 'Delete', "
		"'volumeMode': 'Filesystem', 'storageClassName': 'fast', 'capacity': {'storage': "
		"'512Mi'}, 'accessModes': ['ReadWriteOnce'], 'claimRef': {'namespace': 'shop', "
		"'name': 'orders', 'uid': 'u9'}}}");
}

static int take_and_both(struct err *e)
{
	const struct filler f = the_filler();
	const struct filler_claim c = the_claim(POINT);
	struct filled filled;

	*e = ERR_INIT;
	return filler_take(&f, &c, e) < 0 || filler_fill(&f, &c, &filled, e) < 0
	               ? -1
	               : filler_hand_over(&f, &c, e);
}

static void test_filler_take__the_claim_that_is_there_gets_what_differs(void **state)
{
	struct err e;
	unsigned n;

	for (n = 1;; n++) {
		if (n > 1) {
			(void)teardown(state);
			(void)setup(state);
		}
		put_theirs();
		failing = n;
		const int rc = take_and_both(&e);
		if (requests < failing)
			break;
		failing = 0;
		if (rc < 0 && take_and_both(&e) < 0)
			fail_msg("after request %u: %s", n, e.msg);
		is_done();
	}
	if (*e.msg && e.class != ERR_NONE)
		fail_msg("%s", e.msg);
	is_done();
	assert_true(n > 20);
	/* it is the same volume, which is compared as a whole, and as large as it was */
	const json_t *claim = cluster_get("persistentvolumeclaims/shop/orders");
	assert_string_equal(kube_text_at(claim, "spec.volumeName"), "old");
	assert_string_equal(kube_text_at(claim, "spec.resources.requests.storage"), "512Mi");
	assert_true(has_arg("--in-place"));
	assert_false(has_arg("--base"));
}

static void test_filler_take__not_while_somebody_works_with_it(void **state)
{
	const struct filler f = the_filler();
	struct filler_claim c = the_claim(POINT);
	struct err e = ERR_INIT;

	(void)state;
	/* nothing there is nothing to take */
	assert_int_equal(filler_take(&f, &c, &e), 0);
	put_theirs();
	cluster_put(
		"pods/shop/app",
		"{'metadata': {'name': 'app'}, 'status': {'phase': 'Running'}, 'spec': {'volumes': "
		"[{'persistentVolumeClaim': {'claimName': 'orders'}}]}}");
	assert_int_equal(filler_take(&f, &c, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(cluster_get("persistentvolumeclaims/shop/orders"));
	cluster_remove("pods/shop/app");
	c.block = true;
	assert_int_equal(filler_take(&f, &c, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(kube_text_at(cluster_get("persistentvolumes/old"),
	                                 "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
}

/* What is left of a run that was broken off at some request, and given up. */
static bool given_up(struct err *e)
{
	const struct filler f = the_filler();

	failing = 0;
	*e = ERR_INIT;
	if (filler_drop_all(&f, e) < 0)
		fail_msg("%s", e->msg);
	return cluster_get("persistentvolumeclaims/shop/orders");
}

static void test_filler_drop_all__what_was_not_handed_over_goes(void **state)
{
	bool handed_over = false, gone = false;
	struct err e;

	for (unsigned n = 1;; n++) {
		if (n > 1) {
			(void)teardown(state);
			(void)setup(state);
		}
		failing = n;
		failing_status = n % 2 ? 403 : 0;
		(void)both(&e);
		if (requests < failing)
			break;
		if (given_up(&e)) {
			is_done();
			handed_over = true;
		} else {
			assert_int_equal(json_object_size(cluster.objects), 0);
			gone = true;
		}
	}
	assert_true(handed_over && gone);
}

static void test_filler_drop_all__a_volume_that_was_taken_stays(void **state)
{
	struct err e;

	for (unsigned n = 1;; n++) {
		if (n > 1) {
			(void)teardown(state);
			(void)setup(state);
		}
		put_theirs();
		failing = n;
		failing_status = n % 2 ? 403 : 0;
		(void)take_and_both(&e);
		if (requests < failing)
			break;
		(void)given_up(&e);
		assert_non_null(cluster_get("persistentvolumes/old"));
	}
}

static void test_filler_objects_progress__reads_lines_of_a_mover(void **state)
{
	uint64_t done = 0, total = 0;

	(void)state;
	assert_true(filler_objects_progress("{\"msg\":\"progress\",\"bytes_done\":5,"
	                                    "\"bytes_total\":9,\"took_ms\":1}",
	                                    &done, &total));
	assert_int_equal(done, 5);
	assert_int_equal(total, 9);
	assert_false(filler_objects_progress("progress", &done, &total));
	assert_false(filler_objects_progress("{\"msg\":\"other\"}", &done, &total));
	assert_false(
		filler_objects_progress("{\"msg\":\"progress\",\"bytes_done\":-1}", &done, &total));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_filler__fills_and_hands_over),
		CASE(test_filler__whatever_fails_the_next_call_ends_it),
		CASE(test_filler_fill__what_another_point_has_gets_what_differs),
		CASE(test_filler_fill__a_mover_that_was_taken_away_is_tried_again),
		CASE(test_filler__a_claim_of_somebody_else_is_left_alone),
		CASE(test_filler__a_claim_that_waits_gets_the_volume),
		CASE(test_filler__a_claim_that_waited_and_is_another_one_gets_nothing),
		CASE(test_filler_drop__takes_away_what_is_ours),
		CASE(test_filler_take__the_claim_that_is_there_gets_what_differs),
		CASE(test_filler_take__not_while_somebody_works_with_it),
		CASE(test_filler_drop_all__what_was_not_handed_over_goes),
		CASE(test_filler_drop_all__a_volume_that_was_taken_stays),
		CASE(test_filler_objects_progress__reads_lines_of_a_mover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
