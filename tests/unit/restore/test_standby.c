/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes follow their points: what movers are told to do, who gives way to whom, and that the rest
 * goes on where something fails. Movers are played here; what they do is in test_base.c.
 */
#include "restore/standby.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/metric.h"
#include "restore/filler_objects.h"
#include "tests/harness/kube_cluster.h"

#define S INT64_C(1000000000)
#define P1 "11111111111111111111111111111111"
#define P2 "22222222222222222222222222222222"
#define P3 "33333333333333333333333333333333"

static struct {
	json_t *template, *document;
	struct cancel cancel;
	const char *points[2]; /* of the volumes a and b; "": none */
	int fail_looks;        /* so many look in vain */
	/* movers */
	const char *refuses; /* volume whose mover fails with `class` */
	const char *class;
	unsigned gaps;
	char ran[4096]; /* "a P2 base P1\n" for each */
	unsigned looks, stop_after;
} w;

static json_t *arg_after(const json_t *args, const char *option)
{
	for (size_t i = 0; i + 1 < json_array_size(args); i++)
		if (strcmp(json_string_value(json_array_get(args, i)), option) == 0)
			return json_array_get(args, i + 1);
	return NULL;
}

static void note_run(const char *volume, const char *point, const json_t *args)
{
	const char *base = json_string_value(arg_after(args, "--base"));
	bool in_place = false;
	size_t at = strlen(w.ran);

	for (size_t i = 0; i < json_array_size(args); i++)
		in_place |= strcmp(json_string_value(json_array_get(args, i)), "--in-place") == 0;
	(void)snprintf(w.ran + at, sizeof(w.ran) - at, "%s %.2s %s%.2s\n", volume, point,
	               base       ? "from "
	               : in_place ? "over"
	                          : "new",
	               base ? base : "");
}

/* A mover does its work at once. */
static void work(json_t *pod)
{
	json_t *spec = json_object_get(pod, "spec");
	const json_t *args = json_object_get(worker_container(spec), "args");
	char what[256];
	auto_json json_t *result = NULL;
	char session[96];

	(void)snprintf(what, sizeof(what), "%s", json_string_value(json_array_get(args, 1)));
	char *point = strchr(what, '@');
	assert_non_null(point);
	*point++ = '\0';
	char *volume = strrchr(what, '/') + 1;
	note_run(volume, point, args);
	(void)snprintf(session, sizeof(session), "2026-11-22/0123456789abcdef-%s", point);
	if (w.refuses && strcmp(w.refuses, volume) == 0 &&
	    (strcmp(w.class, "corrupt") != 0 || arg_after(args, "--base")))
		result = json_pack("{s:s, s:s}", "class", w.class, "error", "it does not like it");
	else
		result = json_pack(
			"{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:i, s:b, s:i, s:[], "
			"s:s*, s:s*}",
			"schema", "aksdr/filled/v1", "point", point, "session", session, "base", "",
			"bytes", 100, "files", 1, "written", 10, "fetched", 20, "requests", 3,
			"verified", 0, "ms", 5, "partial", w.gaps > 0, "gaps", (int)w.gaps, "paths",
			"class", w.gaps ? "partial" : NULL, "error", w.gaps ? "gaps" : NULL);
	assert_non_null(result);
	auto_free char *text = json_dumps(result, JSON_COMPACT);
	(void)json_object_set_new(pod, "status",
	                          json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}", "phase",
	                                    "Succeeded", "containerStatuses", "name", "mover",
	                                    "state", "terminated", "exitCode", 0, "message", text));
}

static void controllers(const char *key, json_t *o)
{
	const bool is_pod = strncmp(key, "pods/", 5) == 0;
	auto_free char *copy = strdup(key);

	if (json_object_get(json_object_get(o, "metadata"), "deletionTimestamp"))
		cluster_remove(copy);
	else if (is_pod && !json_object_get(o, "status"))
		work(o);
}

static int pick(void *arg, struct recipe **ret_recipe, struct picks *ret, struct err *e)
{
	static const char *const names[] = { "a", "b" };

	(void)arg;
	w.looks++;
	if (w.fail_looks > 0) {
		w.fail_looks--;
		return err_set(e, ERR_RETRY, "the store does not answer");
	}
	if (recipe_read(w.document, "aksdr", ret_recipe, e) < 0)
		return -1;
	*ret = (struct picks){ .v = calloc(2, sizeof(struct pick)), .n = 2 };
	for (int i = 0; i < 2; i++) {
		struct pick *k = &ret->v[i];

		(void)snprintf(k->volume.cluster, sizeof(k->volume.cluster), "we");
		(void)snprintf(k->volume.namespace, sizeof(k->volume.namespace), "shop");
		(void)snprintf(k->volume.name, sizeof(k->volume.name), "%s", names[i]);
		if (!w.points[i][0])
			continue;
		(void)snprintf(k->id, sizeof(k->id), "%s", w.points[i]);
		(void)snprintf(k->session, sizeof(k->session), "2026-11-22/s");
		k->frozen_ns = (w.points[i][0] - '0') * 10 * S;
	}
	return 0;
}

static int64_t moment(void *arg, const char *session)
{
	(void)arg;
	const char *dash = strrchr(session, '-');

	return dash ? (dash[1] - '0') * 10 * S : 0;
}

static void looked(void *arg)
{
	(void)arg;
	if (w.stop_after && w.looks >= w.stop_after)
		cancel_request(&w.cancel);
}

static struct standby *standby(unsigned copies)
{
	const struct standby_params p = {
		.kube = kit.kube,
		.ns = "aksdr",
		.plan = "shop",
		.template = w.template,
		.copies = copies,
		.movers = 1,
		.interval_ms = 1,
		.stuck_ms = 60000,
		.cancel = &w.cancel,
		.pick = pick,
		.moment = moment,
		.looked = looked,
	};
	struct standby *s = NULL;
	struct err e = ERR_INIT;

	if (standby_new(&p, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static int setup(void **state)
{
	static const char plan[] = "{\"apiVersion\": \"aksdr.io/v1alpha1\", \"kind\": "
				   "\"RestorePlan\", \"metadata\": {\"name\": \"shop\"}, \"spec\": "
				   "{\"mode\": \"hot/warm\", \"primary\": {\"cluster\": \"we\"}, "
				   "\"selector\": {}}}";
	struct err e = ERR_INIT;

	(void)cluster_setup(state);
	memset(&w, 0, sizeof(w));
	cluster.act = controllers;
	assert_int_equal(cancel_init(&w.cancel), 0);
	w.points[0] = w.points[1] = P1;
	w.template = json_pack("{s:{s:[{s:s}]}}", "spec", "containers", "name", "mover");
	w.document = json_parse("a plan", plan, strlen(plan), &e);
	if (!w.document)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	json_decref(w.document);
	json_decref(w.template);
	cancel_clear(&w.cancel);
	return cluster_teardown(state);
}

/* Brings all up to date; the class that it ends with. */
static enum err_class once(unsigned copies)
{
	auto_standby struct standby *s = standby(copies);
	struct err e = ERR_INIT;

	w.ran[0] = '\0';
	return standby_run(s, true, &e) == 0 ? ERR_NONE : e.class;
}

static json_t *claim_of(const char *name)
{
	const char *key;
	json_t *o;
	char its[64];

	(void)snprintf(its, sizeof(its), "shop/%s", name);
	json_object_foreach(cluster.objects, key, o) {
		if (strncmp(key, "persistentvolumeclaims/aksdr/", 29) == 0 &&
		    strcmp(filler_objects_note(o, FILLER_FOR), its) == 0)
			return o;
	}
	fail_msg("there is no claim for '%s'", its);
	return NULL;
}

static void annotate(const char *name, const char *key, const char *value)
{
	json_t *notes = json_object_get(json_object_get(claim_of(name), "metadata"), "annotations");

	(void)json_object_set_new(notes, key, json_string(value));
}

static void assert_holds(const char *name, const char *point)
{
	assert_string_equal(filler_objects_note(claim_of(name), FILLER_POINT), point);
	assert_string_equal(filler_objects_note(claim_of(name), FILLER_APPLYING), "");
}

/* ---- following ---- */

static void test_standby_run__fills_and_then_applies_what_differs(void **state)
{
	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 11 new\nb 11 new\n");
	assert_holds("a", P1);
	/* Nothing new: nothing is done. */
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "");
	w.points[0] = P3; /* the one in between is passed over */
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 33 from 11\n");
	assert_holds("a", P3);
	assert_holds("b", P1);
}

static void test_standby_run__what_was_interrupted_is_compared(void **state)
{
	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	w.points[0] = P2;
	annotate("a", FILLER_APPLYING, P2);
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 22 over\n");
	assert_holds("a", P2);
}

static void test_standby_run__a_claim_that_is_not_what_it_says_is_compared(void **state)
{
	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	w.points[0] = P2;
	w.refuses = "a";
	w.class = "corrupt"; /* as `volume --base` does */
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 22 from 11\na 22 over\n");
	assert_holds("a", P2);
}

static void test_standby_run__one_that_fails_does_not_hold_the_others_up(void **state)
{
	(void)state;
	w.refuses = "a";
	w.class = "quota";
	assert_int_equal(once(1), ERR_PARTIAL);
	assert_string_equal(w.ran, "a 11 new\nb 11 new\n");
	assert_holds("b", P1);
	assert_string_equal(filler_objects_note(claim_of("a"), FILLER_APPLYING), P1);
	w.refuses = NULL;
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 11 over\n");
	assert_holds("a", P1);
}

static void test_standby_run__what_has_no_point_is_told(void **state)
{
	(void)state;
	w.points[1] = "";
	assert_int_equal(once(1), ERR_PARTIAL);
	assert_string_equal(w.ran, "a 11 new\n");
}

static void test_standby_run__gaps_are_told_and_do_not_count_as_a_base(void **state)
{
	(void)state;
	w.gaps = 2;
	assert_int_equal(once(1), ERR_PARTIAL);
	assert_holds("a", P1);
	w.gaps = 0;
	w.points[0] = w.points[1] = P2;
	assert_int_equal(once(1), ERR_NONE);
	assert_string_equal(w.ran, "a 22 over\nb 22 over\n");
}

static void test_standby_run__two_copies_take_turns(void **state)
{
	(void)state;
	w.points[1] = "";
	(void)once(2);
	assert_string_equal(w.ran, "a 11 new\na 11 new\n");
	w.points[0] = P2;
	(void)once(2);
	assert_string_equal(w.ran, "a 22 from 11\n");
	w.points[0] = P3;
	(void)once(2);
	assert_string_equal(w.ran, "a 33 from 11\n");
}

static void test_standby_run__goes_on_until_it_is_ended(void **state)
{
	auto_standby struct standby *s = standby(1);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(standby_ready(s, &e), -1);
	w.fail_looks = 2;
	w.stop_after = 5;
	assert_int_equal(standby_run(s, false, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	assert_int_equal(standby_ready(s, &e), 0);
	assert_int_equal(standby_metrics(s, &b, &e), 0);
	assert_non_null(
		strstr(buf_cstr(&b), "aksdr_standby_failed_looks_total{plan=\"shop\"} 2\n"));
}

/* ---- who gives way ---- */

static void test_standby_run__a_claim_that_was_taken_over_is_left_alone(void **state)
{
	auto_standby struct standby *s = standby(1);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	w.points[0] = w.points[1] = P2;
	annotate("a", FILLER_TAKEN, "0123");
	w.ran[0] = '\0';
	assert_int_equal(standby_run(s, true, &e), 0);
	assert_string_equal(w.ran, "b 22 from 11\n");
	assert_holds("a", P1);
}

/* Between the look and the first word of the standby. */
static void take_at_work(const char *key, json_t *o)
{
	controllers(key, o);
	if (strncmp(key, "pods/", 5) == 0 && cluster_get(key))
		annotate("a", FILLER_TAKEN, "0123");
}

static void test_standby_run__one_taken_while_it_is_filled_counts_as_a_mixture(void **state)
{
	(void)state;
	w.points[1] = "";
	(void)once(1);
	w.points[0] = P2;
	cluster.act = take_at_work;
	(void)once(1);
	assert_string_equal(w.ran, "a 22 from 11\n");
	assert_string_equal(filler_objects_note(claim_of("a"), FILLER_POINT), P1);
	assert_string_equal(filler_objects_note(claim_of("a"), FILLER_APPLYING), P2);
}

/* ---- a run takes over ---- */

/* What a failover does of the volume a, but for handing over. */
static void take_over(const char *point, struct stage_volume *ret)
{
	static char runs[2][RUN_LOG_ID];
	struct filler fillers[3] = { { .role = "restore", .run = "0123" },
		                     { .role = STANDBY_ROLE, .run = runs[0], .taker = "0123" },
		                     { .role = STANDBY_ROLE, .run = runs[1], .taker = "0123" } };
	const struct stage_params p = { .filler = &fillers[0],
		                        .standby = &fillers[1],
		                        .nstandby = 2,
		                        .prefix = "",
		                        .stay = true };
	struct pick k = { .volume = { .name = "a", .cluster = "we", .namespace = "shop" } };
	const struct plan_item item = {
		.pick = &k, .ns = "shop", .name = "a", .storage_class = "", .size_bytes = 1
	};
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < 2; i++)
		standby_run_of("shop", i, runs[i]);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i].kube = kit.kube;
		fillers[i].ns = "aksdr";
		fillers[i].template = w.template;
	}
	(void)snprintf(k.id, sizeof(k.id), "%s", point);
	*ret = (struct stage_volume){ .item = &item };
	w.ran[0] = '\0';
	if (stage_run(&p, ret, 1, &e) < 0)
		fail_msg("%s", e.msg);
	ret->item = NULL;
}

static void test_stage_run__a_standby_is_taken_over_and_brought_to_the_point(void **state)
{
	struct stage_volume v;

	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	take_over(P2, &v);
	assert_true(v.is_standby && v.is_filled);
	assert_string_equal(w.ran, "a 22 from 11\n");
	assert_string_equal(filler_objects_note(claim_of("a"), FILLER_TAKEN), "0123");
	assert_holds("a", P2);
	/* Again: it has it. And the standby leaves it alone. */
	take_over(P2, &v);
	assert_string_equal(w.ran, "");
	w.points[0] = w.points[1] = P3;
	(void)once(1);
	assert_string_equal(w.ran, "b 33 from 11\n");
}

static void test_stage_run__the_better_copy_is_taken(void **state)
{
	struct stage_volume v;

	(void)state;
	w.points[1] = "";
	(void)once(2);
	w.points[0] = P2;
	(void)once(2);
	take_over(P2, &v);
	assert_true(v.is_standby && v.is_filled);
	assert_string_equal(w.ran, "");
}

static void test_stage_run__without_a_standby_it_is_restored(void **state)
{
	struct stage_volume v;

	(void)state;
	take_over(P2, &v);
	assert_false(v.is_standby);
	assert_string_equal(w.ran, "a 22 new\n");
}

static json_t *pod_of(const char *name, const char *point, const char *taken)
{
	char key[600];
	const char *claim = kube_text_at(claim_of(name), "metadata.name");
	json_t *o = json_pack("{s:{s:s, s:s, s:{s:s, s:s*}}, s:{s:s}}", "metadata", "name", claim,
	                      "uid", "p", "annotations", FILLER_POINT, point, FILLER_TAKEN, taken,
	                      "status", "phase", "Running");

	(void)snprintf(key, sizeof(key), "pods/aksdr/%s", claim);
	(void)json_object_set_new(cluster.objects, key, o);
	return o;
}

static void test_stage_run__the_mover_of_a_standby_ends_first(void **state)
{
	struct stage_volume v;

	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	annotate("a", FILLER_APPLYING, P2);
	(void)pod_of("a", P2, NULL); /* it is at work, at this very point */
	take_over(P2, &v);
	assert_string_equal(w.ran, "a 22 over\n");
	assert_holds("a", P2);
}

static void test_standby_run__the_mover_of_a_run_is_not_touched(void **state)
{
	const char *key = NULL;
	json_t *o;
	bool there = false;

	(void)state;
	w.points[1] = "";
	(void)once(1);
	w.points[0] = P2;
	(void)pod_of("a", P3, "0123");
	(void)once(1);
	assert_string_equal(w.ran, "");
	json_object_foreach(cluster.objects, key, o)
		there |= strncmp(key, "pods/", 5) == 0;
	assert_true(there);
	(void)o;
}

static void test_standby_drop__takes_all_claims_away(void **state)
{
	auto_standby struct standby *s = standby(1);
	struct err e = ERR_INIT;
	size_t n = 0;

	(void)state;
	assert_int_equal(once(1), ERR_NONE);
	if (standby_drop(s, &n, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(n, 2);
	assert_int_equal(json_object_size(cluster.objects), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_standby_run__fills_and_then_applies_what_differs),
		CASE(test_standby_run__what_was_interrupted_is_compared),
		CASE(test_standby_run__a_claim_that_is_not_what_it_says_is_compared),
		CASE(test_standby_run__one_that_fails_does_not_hold_the_others_up),
		CASE(test_standby_run__what_has_no_point_is_told),
		CASE(test_standby_run__gaps_are_told_and_do_not_count_as_a_base),
		CASE(test_standby_run__two_copies_take_turns),
		CASE(test_standby_run__goes_on_until_it_is_ended),
		CASE(test_standby_run__a_claim_that_was_taken_over_is_left_alone),
		CASE(test_standby_run__one_taken_while_it_is_filled_counts_as_a_mixture),
		CASE(test_stage_run__a_standby_is_taken_over_and_brought_to_the_point),
		CASE(test_stage_run__the_better_copy_is_taken),
		CASE(test_stage_run__without_a_standby_it_is_restored),
		CASE(test_stage_run__the_mover_of_a_standby_ends_first),
		CASE(test_standby_run__the_mover_of_a_run_is_not_touched),
		CASE(test_standby_drop__takes_all_claims_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
