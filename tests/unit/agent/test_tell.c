/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a backup: the words, and the requests. tests/kube has real claims. */
#include "agent/tell.h"

#include "common/json.h"
#include "tests/harness/kube_kit.h"

static const struct tell good = {
	.ns = "shop",
	.name = "data",
	.uid = "u-1",
	.outcome = TELL_SUCCEEDED,
	.point = "3fa9",
	.consistency = "crash",
	.moment_ns = 1766312345123000000,
	.took_ns = 12300000000,
	.bytes = 3 * (uint64_t)GIB,
	.stored_bytes = 45 * (uint64_t)MIB,
};

static void notes(struct tell t, const char *wanted)
{
	char note[512];

	tell_note(&t, note, sizeof(note));
	assert_string_equal(note, wanted);
}

static void test_tell_note__says_what_came_of_it(void **state)
{
	struct tell t = good;

	(void)state;
	notes(t, "restore point 3fa9 (crash, 3.0 GiB, 45.0 MiB of it new, in 13s)");
	t.outcome = TELL_FUZZY;
	t.consistency = "fuzzy";
	t.why = "its class has no snapshots";
	notes(t, "restore point 3fa9 (fuzzy, 3.0 GiB, 45.0 MiB of it new, in 13s) was read while "
	         "the volume changed: its class has no snapshots");
	t.outcome = TELL_PARTIAL;
	t.why = "2 files could not be read";
	notes(t, "restore point 3fa9 (fuzzy, 3.0 GiB, 45.0 MiB of it new, in 13s) lacks "
	         "something: 2 files could not be read");
	t.outcome = TELL_FAILED;
	t.point = NULL;
	t.why = "the store is away";
	notes(t, "the store is away");
	t.why = NULL;
	notes(t, "no reason is known");
}

static void test_tell_of_point__goes_by_what_is_in_it(void **state)
{
	struct point p = { .frozen_ns = 5, .started_ns = 7, .finished_ns = 10, .bytes_logical = 3 };
	struct tell t;
	char text[64];

	(void)state;
	(void)snprintf(p.id, sizeof(p.id), "3fa9");
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	tell_of_point(&p, NULL, text, &t);
	assert_int_equal(t.outcome, TELL_SUCCEEDED);
	assert_string_equal(t.point, "3fa9");
	assert_int_equal(t.moment_ns, 5);
	assert_int_equal(t.took_ns, 3);
	assert_null(t.why);
	(void)snprintf(p.consistency, sizeof(p.consistency), "fuzzy");
	tell_of_point(&p, "no class", text, &t);
	assert_int_equal(t.outcome, TELL_FUZZY);
	assert_string_equal(t.why, "no class");
	p.unreadable = 1;
	tell_of_point(&p, "no class", text, &t);
	assert_int_equal(t.outcome, TELL_PARTIAL);
	assert_string_equal(t.why, "1 entry could not be read");
}

static void test_tell_note__is_cut_where_it_must(void **state)
{
	char note[16];

	(void)state;
	tell_note(&good, note, sizeof(note));
	assert_string_equal(note, "restore point 3");
}

static void told(const struct tell *t, const struct kit_answer *script, unsigned n)
{
	struct err err = ERR_INIT;
	struct events *ev = events_new(kit.kube, "agent-1", &err);

	assert_non_null(ev);
	kit.script = script;
	kit.n = n;
	kit.at = 0;
	ok(tell_claim(kit.kube, ev, t, e));
	events_free(ev);
}

static void test_tell_claim__a_point_is_an_event_and_annotations_of_that_very_claim(void **state)
{
	static const struct kit_answer script[] = { { .status = 201 }, { .status = 200 } };

	(void)state;
	told(&good, script, 2);
	const char *log = kit_log();
	assert_non_null(strstr(log, "POST /apis/events.k8s.io/v1/namespaces/shop/events"));
	assert_non_null(strstr(log, "PATCH /api/v1/namespaces/shop/persistentvolumeclaims/data?"));
	assert_string_equal(kit.type, "application/apply-patch+yaml");
	struct err err = ERR_INIT;
	auto_json json_t *body = json_parse("body", kit.body, strlen(kit.body), &err);
	const json_t *meta = json_object_get(body, "metadata");
	const json_t *a = json_object_get(meta, "annotations");
	assert_string_equal(json_string_value(json_object_get(meta, "uid")), "u-1");
	assert_string_equal(json_string_value(json_object_get(a, "aksdr.io/last-restore-point")),
	                    "3fa9");
	assert_string_equal(json_string_value(
				    json_object_get(a, "aksdr.io/last-restore-point-time")),
	                    "2025-12-21T10:19:05.123Z");
	assert_string_equal(json_string_value(
				    json_object_get(a, "aksdr.io/last-restore-point-consistency")),
	                    "crash");
}

static void test_tell_claim__without_a_point_nothing_is_written_on_the_claim(void **state)
{
	static const struct kit_answer script[] = { { .status = 201 } };
	struct tell t = good;

	(void)state;
	t.outcome = TELL_FAILED;
	t.point = NULL;
	t.why = "the key is wrong";
	told(&t, script, 1);
	assert_null(strstr(kit_log(), "PATCH"));
	assert_non_null(strstr(kit.body, "\"BackupFailed\""));
	assert_non_null(strstr(kit.body, "\"Warning\""));
	assert_non_null(strstr(kit.body, "the key is wrong"));
}

static void test_tell_claim__a_claim_that_is_another_by_now_is_left_alone(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 201 },
		{ .status = 409, .body = "{\"reason\":\"Conflict\",\"message\":\"uid mismatch\"}" },
	};

	(void)state;
	told(&good, script, 2);
}

static void test_tell_claim__each_is_told_when_the_other_cannot_be(void **state)
{
	static const struct kit_answer script[] = { { .status = 403 }, { .status = 200 } };
	static const struct kit_answer other[] = { { .status = 201 }, { .status = 403 } };
	struct err err = ERR_INIT;
	struct events *ev = events_new(kit.kube, "agent-1", &err);

	(void)state;
	assert_non_null(ev);
	PLAY(script);
	fails(ERR_DENIED, tell_claim(kit.kube, ev, &good, e));
	assert_non_null(strstr(kit_log(), "PATCH"));
	PLAY(other);
	fails_saying(ERR_DENIED, "annotating claim shop/data", tell_claim(kit.kube, ev, &good, e));
	events_free(ev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tell_note__says_what_came_of_it),
		cmocka_unit_test(test_tell_of_point__goes_by_what_is_in_it),
		cmocka_unit_test(test_tell_note__is_cut_where_it_must),
		KIT_CASE(test_tell_claim__a_point_is_an_event_and_annotations_of_that_very_claim),
		KIT_CASE(test_tell_claim__without_a_point_nothing_is_written_on_the_claim),
		KIT_CASE(test_tell_claim__a_claim_that_is_another_by_now_is_left_alone),
		KIT_CASE(test_tell_claim__each_is_told_when_the_other_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
