/* SPDX-License-Identifier: Apache-2.0 */
/* When restore points are to go, and by which policy: none, unless one says so now. */
#include "agent/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/yaml.h"

#define NOW INT64_C(1795737600) /* 2026-11-27T00:00:00Z */

static struct world *w;
static struct retention t;

static void put(enum world_kind kind, const char *text)
{
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	world_put(w, kind, j, NOW);
}

static void policy(const char *ns, const char *name, const char *spec)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: %s, name: %s}, spec: {schedule: {cron: '@daily'}, "
	               "%s}}",
	               ns, name, spec);
	put(WORLD_POLICIES, text);
}

static void claim(const char *ns, const char *name, const char *metadata)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "{metadata: {namespace: %s, name: %s, uid: u-%s%s}, status: {phase: Bound}}",
	               ns, name, name, metadata);
	put(WORLD_CLAIMS, text);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = world_new("aksdr", NULL, &e);
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	retention_clear(&t);
	world_free(w);
	return 0;
}

static void read_rules(void)
{
	struct err e = ERR_INIT;

	retention_clear(&t);
	if (retention_read(w, &t, &e) < 0)
		fail_msg("%s", e.msg);
}

/* The policy of the claim's points, "" when nothing goes. */
static const char *rule_of(const char *ns, const char *name)
{
	const struct retention_rule *r = retention_of(&t, w, ns, name);

	return r ? r->policy.name : "";
}

static void test_retention_of__a_claim_has_that_of_its_policy(void **state)
{
	(void)state;
	policy("aksdr", "all", "selector: {}, retention: {keepDaily: 7}");
	policy("shop", "own",
	       "selector: {claims: [db]}, retention: {keepLast: 2, floor: {points: 1}}");
	policy("shop", "forever", "selector: {claims: [log]}");
	claim("shop", "db", "");
	claim("shop", "log", "");
	claim("shop", "web", "");
	read_rules();
	assert_int_equal(t.n, 2);
	assert_string_equal(rule_of("shop", "db"), "shop/own");
	assert_int_equal(retention_of(&t, w, "shop", "db")->policy.last, 2);
	assert_int_equal(retention_of(&t, w, "shop", "db")->policy.floor_points, 1);
	assert_string_equal(rule_of("shop", "web"), "aksdr/all");
	assert_string_equal(rule_of("shop", "log"), ""); /* its policy lets nothing go */
}

static void test_retention_of__nothing_goes_unless_a_policy_says_so_now(void **state)
{
	(void)state;
	policy("aksdr", "all", "selector: {}, retention: {keepDaily: 7}");
	policy("lab", "bad", "selector: {}, retention: {keepDaily: never}");
	policy("dev", "rests", "selector: {}, paused: true, retention: {keepDaily: 7}");
	claim("shop", "out", ", annotations: {aksdr.io/protect: 'false'}");
	claim("shop", "paused", ", annotations: {aksdr.io/paused: 'true'}");
	claim("shop", "named", ", annotations: {aksdr.io/policy: gone}");
	claim("shop", "leaves", ", deletionTimestamp: '2026-11-27T00:00:00Z'");
	claim("lab", "db", "");
	claim("dev", "db", "");
	claim("shop", "db", "");
	read_rules();
	assert_string_equal(rule_of("shop", "db"), "aksdr/all");
	assert_string_equal(rule_of("shop", "gone"), "");
	assert_string_equal(rule_of("shop", "out"), "");
	assert_string_equal(rule_of("shop", "paused"), "");
	assert_string_equal(rule_of("shop", "named"), "");
	assert_string_equal(rule_of("shop", "leaves"), "");
	assert_string_equal(rule_of("lab", "db"), "");
	assert_string_equal(rule_of("dev", "db"), "");
}

static void test_retention_of__a_policy_that_is_deleted_lets_nothing_go(void **state)
{
	(void)state;
	policy("aksdr", "all", "selector: {}, retention: {keepDaily: 7}");
	claim("shop", "db", "");
	read_rules();
	assert_string_equal(rule_of("shop", "db"), "aksdr/all");
	world_gone(w, WORLD_POLICIES, "aksdr", "all");
	assert_string_equal(rule_of("shop", "db"), ""); /* even while the copies are there */
	read_rules();
	assert_int_equal(t.n, 0);
}

static void test_retention_fails__the_first_reason_stays(void **state)
{
	(void)state;
	policy("aksdr", "all", "selector: {}, retention: {keepDaily: 7}");
	read_rules();
	assert_null(t.v[0].why);
	retention_fails(&t.v[0], "one");
	retention_fails(&t.v[0], "two");
	assert_string_equal(retention_find(&t, "aksdr", "all")->why, "one");
	assert_null(retention_find(&t, "aksdr", "al"));
}

static bool due(bool failed, bool came, uint64_t rules, int64_t after_s)
{
	const struct retention_clock c = {
		.ran = true, .ran_s = NOW, .rules = 5, .failed = failed, .came = came
	};

	return retention_due(&c, rules, NOW + after_s);
}

static void test_retention_due__once_an_hour_and_for_a_reason(void **state)
{
	static const struct retention_clock never;

	(void)state;
	assert_true(retention_due(&never, 1, NOW));
	assert_false(due(false, true, 5, 3599));
	assert_true(due(false, true, 5, 3600));
	assert_false(due(false, false, 5, 86400));
	assert_true(due(false, false, 6, 3600)); /* a policy has changed */
	assert_false(due(false, false, 6, 60));
	assert_true(due(true, false, 5, 3600)); /* it is tried again */
	assert_false(due(true, false, 5, 60));
	assert_true(due(false, true, 5, -10)); /* the clock was put back */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_retention_of__a_claim_has_that_of_its_policy),
		T(test_retention_of__nothing_goes_unless_a_policy_says_so_now),
		T(test_retention_of__a_policy_that_is_deleted_lets_nothing_go),
		T(test_retention_fails__the_first_reason_stays),
		cmocka_unit_test(test_retention_due__once_an_hour_and_for_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
