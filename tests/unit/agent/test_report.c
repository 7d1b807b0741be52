/* SPDX-License-Identifier: Apache-2.0 */
/* The status of policies: counts, times, conditions, and that nothing changes by itself. */
#include "agent/report.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/planner.h"
#include "common/yaml.h"
#include "kube/kube.h"
#include "tests/harness/harness.h"

#define DAY INT64_C(1795737600) /* 2026-11-27T00:00:00Z */
#define HOUR 3600

static struct world *w;
static struct retention done;
static const struct planner_me me = { .node = "node1", .begins = false };

static void put(enum world_kind kind, const char *text)
{
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	world_put(w, kind, j, DAY);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = world_new("aksdr", NULL, &e);
	put(WORLD_POLICIES, "{metadata: {namespace: aksdr, name: all, generation: 3}, spec: "
	                    "{selector: {}, rpo: 2h, schedule: {cron: '0 * * * *'}}}");
	put(WORLD_POLICIES, "{metadata: {namespace: lab, name: bad, generation: 1}, spec: "
	                    "{selector: {}, schedule: {cron: never}}}");
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	world_free(w);
	retention_clear(&done);
	return 0;
}

static void claim(const char *ns, const char *name)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: %s, name: %s, uid: uid-%s}, status: {phase: Bound}}",
	               ns, name, name);
	put(WORLD_CLAIMS, text);
}

static void point(const char *name, int hour)
{
	char text[512], uid[32];

	(void)snprintf(uid, sizeof(uid), "uid-%s", name);
	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: aksdr, name: %s, annotations: {aksdr.io/claim: "
	               "shop/%s, aksdr.io/slot: '2026-11-27T%02d:00:00Z', aksdr.io/begun: "
	               "'2026-11-27T%02d:00:01Z', aksdr.io/ended: '2026-11-27T%02d:00:09Z', "
	               "aksdr.io/outcome: succeeded, aksdr.io/last-success: "
	               "'2026-11-27T%02d:00:09Z'}}, spec: {}}",
	               claim_record_lease(uid).s, name, hour, hour, hour, hour);
	put(WORLD_LEASES, text);
}

/* The statuses of both at that time, as [all, bad]. */
static json_t *statuses(int64_t now_s)
{
	(void)planner_pass(w, &me, now_s);
	json_t **v = report_make(w, &done, now_s);
	assert_non_null(v);
	json_t *ret = json_pack("[o, o]", v[0], v[1]);
	free(v);
	assert_non_null(ret);
	return ret;
}

static const json_t *condition(const json_t *status, const char *type)
{
	const json_t *all = kube_at(status, "conditions");

	for (size_t i = 0; i < json_array_size(all); i++) {
		if (strcmp(kube_text_at(json_array_get(all, i), "type"), type) == 0)
			return json_array_get(all, i);
	}
	fail_msg("no condition %s", type);
	return NULL;
}

static void says(const json_t *status, const char *type, const char *value, const char *reason,
                 const char *message)
{
	const json_t *c = condition(status, type);

	assert_string_equal(kube_text_at(c, "status"), value);
	assert_string_equal(kube_text_at(c, "reason"), reason);
	assert_string_equal(kube_text_at(c, "message"), message);
}

static void test_report_make__counts_and_names_the_exposed(void **state)
{
	(void)state;
	claim("shop", "db");
	claim("shop", "new");
	claim("lab", "x");
	point("db", 4);
	auto_json json_t *all = statuses(DAY + 5 * HOUR);
	const json_t *good = json_array_get(all, 0);
	const json_t *bad = json_array_get(all, 1);
	assert_int_equal(kube_number_at(good, "selected", -1), 2);
	assert_int_equal(kube_number_at(good, "protected", -1), 1);
	assert_int_equal(kube_number_at(good, "exposed", -1), 1);
	assert_int_equal(kube_number_at(good, "observedGeneration", -1), 3);
	assert_string_equal(kube_text_at(good, "lastRun"), "2026-11-27T04:00:09.000Z");
	assert_string_equal(kube_text_at(good, "nextRun"), "2026-11-27T05:00:00.000Z");
	says(good, "Ready", "True", "Valid", "it is in use");
	says(good, "Protected", "False", "ClaimsExposed",
	     "1 of 2 claims: 'shop/new': it has no restore point yet");
	assert_string_equal(kube_text_at(condition(bad, "Ready"), "reason"), "Invalid");
	assert_non_null(
		strstr(kube_text_at(condition(bad, "Ready"), "message"), "spec.schedule.cron"));
	assert_int_equal(kube_number_at(bad, "exposed", -1), 1);
	assert_null(kube_at(bad, "nextRun"));
}

static void test_report_make__all_protected_and_none_at_all(void **state)
{
	(void)state;
	claim("shop", "db");
	point("db", 4);
	auto_json json_t *all = statuses(DAY + 5 * HOUR);
	says(json_array_get(all, 0), "Protected", "True", "AllProtected",
	     "all 1 claims have a restore point that is young enough");
	says(json_array_get(all, 1), "Protected", "True", "NoClaims", "no claim falls under it");
}

static void test_report_make__names_some_and_counts_the_others(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < REPORT_CLAIMS + 5; i++) {
		(void)snprintf(name, sizeof(name), "c%02d", i);
		claim("shop", name);
	}
	auto_json json_t *all = statuses(DAY + 5 * HOUR);
	const char *message = kube_text_at(condition(json_array_get(all, 0), "Protected"),
	                                   "message");
	assert_non_null(strstr(message, "15 of 15 claims: 'shop/c00'"));
	assert_non_null(strstr(message, "'shop/c09'"));
	assert_null(strstr(message, "'shop/c10'"));
	assert_non_null(strstr(message, "; and 5 more"));
}

static void test_report_make__a_condition_keeps_its_time_while_it_holds(void **state)
{
	(void)state;
	claim("shop", "db");
	auto_json json_t *first = statuses(DAY + 5 * HOUR);
	auto_json json_t *object = json_pack("{s:{s:s, s:s, s:i}, s:O}", "metadata", "namespace",
	                                     "aksdr", "name", "all", "generation", 3, "status",
	                                     json_array_get(first, 0));
	world_put(w, WORLD_POLICIES, object, DAY);
	auto_json json_t *same = statuses(DAY + 5 * HOUR + 30);
	assert_true(json_equal(json_array_get(first, 0), json_array_get(same, 0)));
	point("db", 5);
	auto_json json_t *later = statuses(DAY + 5 * HOUR + 60);
	assert_string_equal(kube_text_at(condition(json_array_get(later, 0), "Protected"),
	                                 "lastTransitionTime"),
	                    "2026-11-27T05:01:00.000Z");
	assert_string_equal(kube_text_at(condition(json_array_get(later, 0), "Ready"),
	                                 "lastTransitionTime"),
	                    "2026-11-27T05:00:00.000Z");
}

static bool has(const json_t *status, const char *type)
{
	const json_t *all = kube_at(status, "conditions");

	for (size_t i = 0; i < json_array_size(all); i++) {
		if (strcmp(kube_text_at(json_array_get(all, i), "type"), type) == 0)
			return true;
	}
	return false;
}

#define KEEPS(status)                                                                    \
	"{metadata: {namespace: aksdr, name: all, generation: 4}, spec: {selector: {}, " \
	"rpo: 2h, schedule: {cron: '0 * * * *'}, retention: {keepDaily: 7}}" status "}"

static void test_report_make__tells_what_came_of_retention(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	auto_json json_t *never = statuses(DAY);
	assert_false(has(json_array_get(never, 0), "Retained"));
	put(WORLD_POLICIES, KEEPS(""));
	auto_json json_t *not_yet = statuses(DAY);
	assert_false(has(json_array_get(not_yet, 0), "Retained"));
	assert_int_equal(retention_read(w, &done, &e), 0);
	auto_json json_t *good = statuses(DAY);
	says(json_array_get(good, 0), "Retained", "True", "Applied", "what it lets go has expired");
	retention_fails(&done.v[0], "the store says no");
	auto_json json_t *bad = statuses(DAY);
	says(json_array_get(bad, 0), "Retained", "False", "NotExpired", "the store says no");
	assert_false(has(json_array_get(bad, 1), "Retained"));
}

/* Else it would come and go with each change of the one who leads. */
static void test_report_make__leaves_what_another_leader_told_of_retention(void **state)
{
	(void)state;
	put(WORLD_POLICIES,
	    KEEPS(", status: {conditions: [{type: Retained, status: 'False', reason: NotExpired, "
	          "message: because, lastTransitionTime: '2026-11-26T00:00:00Z'}]}"));
	auto_json json_t *s = statuses(DAY);
	says(json_array_get(s, 0), "Retained", "False", "NotExpired", "because");
}

static void test_report_patch__has_the_status_and_whose_it_is(void **state)
{
	struct world_key key = { .ns = (char[]){ "aksdr" }, .name = (char[]){ "p" } };
	const struct world_policy p = { .key = key };
	auto_json json_t *status = json_pack("{s:i}", "selected", 1);

	(void)state;
	auto_json json_t *patch = report_patch(&p, status);
	assert_string_equal(kube_text_at(patch, "apiVersion"), "aksdr.io/v1alpha1");
	assert_string_equal(kube_text_at(patch, "kind"), "BackupPolicy");
	assert_string_equal(kube_text_at(patch, "metadata.name"), "p");
	assert_int_equal(kube_number_at(patch, "status.selected", 0), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_report_make__counts_and_names_the_exposed),
		T(test_report_make__all_protected_and_none_at_all),
		T(test_report_make__names_some_and_counts_the_others),
		T(test_report_make__a_condition_keeps_its_time_while_it_holds),
		T(test_report_make__tells_what_came_of_retention),
		T(test_report_make__leaves_what_another_leader_told_of_retention),
		T(test_report_patch__has_the_status_and_whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
