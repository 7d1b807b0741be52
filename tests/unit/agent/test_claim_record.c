/* SPDX-License-Identifier: Apache-2.0 */
/* What the Lease of a claim tells: all of it comes back, and nonsense counts as missing. */
#include "agent/claim_record.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"

#define T0 INT64_C(1795305600) /* 2026-11-22T00:00:00Z */

static json_t *parsed(const char *text)
{
	struct err e = ERR_INIT;
	json_t *o = json_parse("a test", text, strlen(text), &e);

	if (!o)
		fail_msg("%s", e.msg);
	return o;
}

/* Written, merged into what a Lease has, and read again. */
static struct claim_record again(const struct claim_record *r)
{
	auto_json json_t *o = claim_record_write(r);
	struct claim_record ret;

	assert_non_null(o);
	claim_record_read(o, &ret);
	return ret;
}

static struct claim_record empty_record(void)
{
	struct claim_record r;

	claim_record_read(NULL, &r);
	return r;
}

static void test_claim_record_lease__is_of_sha_256(void **state)
{
	(void)state;
	/* printf uid | sha256sum */
	assert_string_equal(claim_record_lease("uid").s, "aksdr-v-17b788a70eeccbdc");
}

static void test_claim_record_read__of_nothing_nothing_is_known(void **state)
{
	const struct claim_record r = empty_record();

	(void)state;
	assert_int_equal(r.slot_s, SCHED_NONE);
	assert_int_equal(r.begun_s, SCHED_NONE);
	assert_int_equal(r.done_s, SCHED_NONE);
	assert_int_equal(r.outcome, CLAIM_NONE);
	const struct sched_record s = claim_record_sched(&r, T0, true);
	assert_false(s.running);
	assert_int_equal(s.since_s, T0);
	assert_int_equal(s.done_s, SCHED_NONE);
	assert_int_equal(s.tried_s, SCHED_NONE);
	assert_int_equal(s.failures, 0);
}

static void test_claim_record_write__all_comes_back(void **state)
{
	struct claim_record r = empty_record();

	(void)state;
	(void)snprintf(r.claim, sizeof(r.claim), "%s", "shop/data");
	(void)snprintf(r.uid, sizeof(r.uid), "%s", "c8b1");
	claim_record_begin(&r, T0, T0 + 5);
	(void)snprintf(r.point, sizeof(r.point), "%s", "0123456789abcdef0123456789abcdef");
	(void)snprintf(r.consistency, sizeof(r.consistency), "%s", "crash");
	claim_record_end(&r, CLAIM_PARTIAL, "3 entries could not be read", T0 + 60);
	const struct claim_record b = again(&r);
	assert_memory_equal(&b, &r, sizeof(r));
	assert_string_equal(claim_record_outcome(b.outcome), "partial");
}

static void test_claim_record_write__what_is_missing_is_removed(void **state)
{
	struct claim_record r = empty_record();

	(void)state;
	claim_record_begin(&r, T0, T0 + 5);
	auto_json json_t *o = claim_record_write(&r);
	assert_true(json_is_null(json_object_get(o, "aksdr.io/outcome")));
	assert_true(json_is_null(json_object_get(o, "aksdr.io/ended")));
	assert_true(json_is_null(json_object_get(o, "aksdr.io/message")));
	assert_string_equal(json_string_value(json_object_get(o, "aksdr.io/slot")),
	                    "2026-11-22T00:00:00.000Z");
	assert_null(json_object_get(o, CLAIM_INTENTS));
}

static void test_claim_record_read__nonsense_counts_as_missing(void **state)
{
	auto_json json_t *o = parsed("{\"aksdr.io/slot\": \"tomorrow\", \"aksdr.io/begun\": 7,"
	                             " \"aksdr.io/ended\": \"1960-01-01T00:00:00Z\","
	                             " \"aksdr.io/outcome\": \"great\","
	                             " \"aksdr.io/failures\": \"-1\", \"aksdr.io/point\": null}");
	struct claim_record r;

	(void)state;
	claim_record_read(o, &r);
	const struct claim_record none = empty_record();
	assert_memory_equal(&r, &none, sizeof(r));
	claim_record_read(json_true(), &r);
	assert_memory_equal(&r, &none, sizeof(r));
}

static void test_claim_record_end__a_message_is_cut_between_characters(void **state)
{
	struct claim_record r = empty_record();
	char text[1024];

	(void)state;
	/* 511 bytes, and then a character of two */
	memset(text, 'x', 511);
	(void)snprintf(text + 511, sizeof(text) - 511, "\303\251 and more");
	claim_record_end(&r, CLAIM_FAILED, text, T0);
	assert_int_equal(strlen(r.message), 511);
	claim_record_end(&r, CLAIM_FAILED, NULL, T0);
	assert_string_equal(r.message, "");
}

static void test_claim_record_sched__follows_the_runs(void **state)
{
	struct claim_record r = empty_record();

	(void)state;
	claim_record_begin(&r, T0, T0 + 10);
	struct sched_record s = claim_record_sched(&r, T0 - 9, true);
	assert_true(s.running);

	claim_record_end(&r, CLAIM_SUCCEEDED, NULL, T0 + 20);
	s = claim_record_sched(&r, T0 - 9, false);
	assert_false(s.running);
	assert_int_equal(s.done_s, T0);
	assert_int_equal(s.tried_s, SCHED_NONE);
	assert_int_equal(s.failures, 0);

	claim_record_begin(&r, T0 + 3600, T0 + 3610);
	claim_record_end(&r, CLAIM_FAILED, "no store", T0 + 3620);
	s = claim_record_sched(&r, T0 - 9, false);
	assert_int_equal(s.done_s, T0);
	assert_int_equal(s.tried_s, T0 + 3600);
	assert_int_equal(s.ended_s, T0 + 3620);
	assert_int_equal(s.failures, 1);
}

static void test_claim_record_sched__a_run_that_nobody_holds_has_failed(void **state)
{
	struct claim_record r = empty_record();

	(void)state;
	claim_record_begin(&r, T0, T0 + 10);
	const struct sched_record s = claim_record_sched(&r, T0 - 9, false);
	assert_false(s.running);
	assert_int_equal(s.tried_s, T0);
	assert_int_equal(s.ended_s, T0 + 10);
	assert_int_equal(s.failures, 1);
	/* and who takes it next counts it too */
	claim_record_begin(&r, T0, T0 + 100);
	claim_record_end(&r, CLAIM_CANCELLED, "told to end", T0 + 110);
	assert_int_equal(r.failures, 2);
}

static void test_claim_record_names__what_is_in_the_list(void **state)
{
	auto_json json_t *o = parsed("{\"aksdr.io/intents\": \"[\\\"pods/aksdr/aksdr-1-0\\\","
	                             " \\\"volumesnapshotcontents/aksdr-1-0\\\", 7]\"}");
	auto_json json_t *bad = parsed("{\"aksdr.io/intents\": \"[\"}");

	(void)state;
	assert_true(claim_record_names(o, "pods", "aksdr", "aksdr-1-0"));
	assert_false(claim_record_names(o, "pods", "shop", "aksdr-1-0"));
	assert_false(claim_record_names(o, "pods", "aksdr", "aksdr-1"));
	assert_true(claim_record_names(o, "volumesnapshotcontents", NULL, "aksdr-1-0"));
	assert_true(claim_record_names(o, "volumesnapshotcontents", "", "aksdr-1-0"));
	assert_false(claim_record_names(bad, "pods", "aksdr", "aksdr-1-0"));
	assert_false(claim_record_names(NULL, "pods", "aksdr", "aksdr-1-0"));
}

static void test_claim_record_intent__says_when_it_does_not_fit(void **state)
{
	char room[16];

	(void)state;
	assert_int_equal(claim_record_intent("pods", "a", "b", room, sizeof(room)), 0);
	assert_string_equal(room, "pods/a/b");
	assert_int_equal(claim_record_intent("pods", "a", "0123456789", room, sizeof(room)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claim_record_lease__is_of_sha_256),
		cmocka_unit_test(test_claim_record_read__of_nothing_nothing_is_known),
		cmocka_unit_test(test_claim_record_write__all_comes_back),
		cmocka_unit_test(test_claim_record_write__what_is_missing_is_removed),
		cmocka_unit_test(test_claim_record_read__nonsense_counts_as_missing),
		cmocka_unit_test(test_claim_record_end__a_message_is_cut_between_characters),
		cmocka_unit_test(test_claim_record_sched__follows_the_runs),
		cmocka_unit_test(test_claim_record_sched__a_run_that_nobody_holds_has_failed),
		cmocka_unit_test(test_claim_record_names__what_is_in_the_list),
		cmocka_unit_test(test_claim_record_intent__says_when_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
