/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent begins, by what it sees: tables of a small cluster over time. */
#include "agent/planner.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/owner.h"
#include "common/now.h"
#include "common/yaml.h"
#include "tests/harness/harness.h"

#define DAY INT64_C(1795737600) /* 2026-11-27T00:00:00Z */
#define MIN 60
#define HOUR 3600

static struct world *w;
static const struct planner_me me = { .node = "node1", .begins = true };

static void put(enum world_kind kind, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(enum world_kind kind, const char *fmt, ...)
{
	struct err e = ERR_INIT;
	char text[2048];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);
	if (!j)
		fail_msg("%s", e.msg);
	world_put(w, kind, j, DAY);
}

/* A policy in the agent's namespace that runs at each hour; rest: more of its spec. */
static void policy(const char *name, const char *rest)
{
	static int generation;

	put(WORLD_POLICIES,
	    "{metadata: {namespace: aksdr, name: %s, generation: %d, creationTimestamp: "
	    "'2026-11-26T12:00:00Z'}, spec: {schedule: {cron: '0 * * * *'}, %s}}",
	    name, ++generation, rest);
}

static void claim(const char *name, const char *annotations)
{
	put(WORLD_CLAIMS,
	    "{metadata: {namespace: shop, name: %s, uid: uid-%s, creationTimestamp: "
	    "'2026-11-26T12:30:00Z', annotations: {%s}}, status: {phase: Bound}}",
	    name, name, annotations);
}

static void pod(const char *claim_name)
{
	put(WORLD_PODS,
	    "{metadata: {namespace: shop, name: pod-%s}, spec: {volumes: [{name: v, "
	    "persistentVolumeClaim: {claimName: %s}}]}, status: {phase: Running}}",
	    claim_name, claim_name);
}

static void agent(const char *node)
{
	put(WORLD_AGENTS,
	    "{metadata: {namespace: aksdr, name: agent-%s}, spec: {nodeName: %s}, status: "
	    "{conditions: [{type: Ready, status: 'True'}]}}",
	    node, node);
}

/* Of an hour of the day: whose point there is, or which failed. */
static void lease(const char *name, const char *holder, int hour, const char *outcome, int failures)
{
	static int version;
	char uid[64];

	(void)snprintf(uid, sizeof(uid), "uid-%s", name);
	const bool done = strcmp(outcome, "succeeded") == 0;
	struct claim_record r;
	claim_record_read(NULL, &r);
	(void)snprintf(r.claim, sizeof(r.claim), "shop/%s", name);
	(void)snprintf(r.uid, sizeof(r.uid), "%s", uid);
	claim_record_begin(&r, DAY + hour * HOUR, DAY + hour * HOUR + 1);
	for (int i = 0; i < (done ? 1 : failures); i++)
		claim_record_end(&r, done ? CLAIM_SUCCEEDED : CLAIM_FAILED, done ? NULL : "no luck",
		                 DAY + hour * HOUR + 2);
	auto_json json_t *notes = claim_record_write(&r);
	auto_json json_t *object = json_pack("{s:{s:s, s:s, s:o, s:O}, s:{s:s}}", "metadata",
	                                     "namespace", "aksdr", "name",
	                                     claim_record_lease(uid).s, "resourceVersion",
	                                     json_sprintf("%d", ++version), "annotations", notes,
	                                     "spec", "holderIdentity", holder);
	assert_non_null(object);
	world_put(w, WORLD_LEASES, object, DAY + hour * HOUR + 2);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = world_new("aksdr", NULL, &e);
	agent("node1");
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	assert_false(w->nomem);
	world_free(w);
	return 0;
}

/* What begins at that time, as "a b+c": sets with '+', in order; "" nothing. */
static struct planner_run runs[8];
static size_t nruns;
static const char *begins(int64_t at_s, size_t limit)
{
	static char text[512];
	struct err e = ERR_INIT;
	size_t n = 0;

	(void)planner_pass(w, &me, at_s);
	assert_int_equal(planner_pick(w, at_s, limit, runs, ARRAY_LEN(runs), &nruns, &e), 0);
	text[0] = '\0';
	for (size_t i = 0; i < nruns; i++) {
		for (size_t k = 0; k < runs[i].n; k++) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
			                      k > 0   ? "+"
			                      : i > 0 ? " "
			                              : "",
			                      runs[i].claims[k]->key.name);
			planner_began(runs[i].claims[k]);
		}
	}
	return text;
}

static void end(const char *name, enum planner_end how, int64_t slot_s, int64_t at_s)
{
	planner_ended(world_claim(w, "shop", name), how, NULL, slot_s, at_s);
}

static int64_t looks(int64_t at_s)
{
	return planner_pass(w, &me, at_s);
}

static void test_planner__a_claim_of_our_node_begins_once_for_each_slot(void **state)
{
	const int64_t at = DAY + 5 * HOUR + 10;

	(void)state;
	policy("p", "selector: {}");
	claim("db", "");
	pod("db");
	assert_string_equal(begins(at, 2), "db");
	assert_int_equal(runs[0].slot_s, DAY + 5 * HOUR);
	assert_string_equal(runs[0].policy->name, "p");
	assert_string_equal(begins(at + 1, 2), "");
	end("db", PLANNER_DONE, DAY + 5 * HOUR, at + 20);
	assert_string_equal(begins(at + 21, 2), "");
	assert_int_equal(looks(at + 22), DAY + 6 * HOUR);
	assert_string_equal(begins(DAY + 6 * HOUR, 2), "db");
}

static void test_planner__who_is_not_used_here_waits_for_the_others(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}");
	claim("db", "");
	assert_string_equal(begins(at, 2), "");
	assert_int_equal(looks(at), at + OWNER_GRACE_S);
	assert_string_equal(begins(at + OWNER_GRACE_S, 2), "db");
}

static void test_planner__of_two_agents_one_takes_what_nobody_uses(void **state)
{
	static const char *const nodes[] = { "node1", "node2" };
	const int64_t at = DAY + 5 * HOUR;
	size_t mine = 0;
	char name[8];

	(void)state;
	agent("node2");
	policy("p", "selector: {}");
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		claim(name, "");
	}
	(void)planner_pass(w, &me, at);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		const struct world_claim *c = world_claim(w, "shop", name);
		const bool ours = owner_pick(nodes, 2, c->uid) == 0;

		mine += ours;
		assert_int_equal(c->plan.begins_s, ours ? at + OWNER_GRACE_S : OWNER_NEVER);
	}
	assert_in_range(mine, 1, 19);
	/* the other one goes: all is ours */
	world_gone(w, WORLD_AGENTS, "aksdr", "agent-node2");
	(void)planner_pass(w, &me, at + 1);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(world_claim(w, "shop", name)->plan.begins_s, at + OWNER_GRACE_S);
	}
}

static void test_planner__waits_from_when_it_was_due_not_from_the_last_slot(void **state)
{
	(void)state;
	put(WORLD_POLICIES, "{metadata: {namespace: aksdr, name: each, generation: 900}, spec: "
	                    "{selector: {}, schedule: {cron: '* * * * *'}}}");
	claim("db", "");
	assert_string_equal(begins(DAY, 2), "");
	assert_string_equal(begins(DAY + 61, 2), "");
	assert_string_equal(begins(DAY + OWNER_GRACE_S, 2), "db");
	assert_true(runs[0].slot_s >= DAY + MIN);
}

static void test_planner__excluded_paused_invalid_unbound_and_leaving_do_not_begin(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}");
	policy("bad", "selector: {}, rpo: 1y");
	claim("out", "aksdr.io/protect: 'false'");
	claim("paused", "aksdr.io/paused: 'true'");
	claim("wrong", "aksdr.io/policy: bad");
	claim("none", "aksdr.io/policy: missing");
	put(WORLD_CLAIMS, "{metadata: {namespace: shop, name: unbound, uid: u}, status: {phase: "
	                  "Pending}}");
	put(WORLD_CLAIMS, "{metadata: {namespace: shop, name: leaving, uid: v, deletionTimestamp: "
	                  "'2026-11-27T00:00:00Z'}, status: {phase: Bound}}");
	claim("fine", "");
	static const char *const names[] = {
		"out", "paused", "wrong", "none", "unbound", "leaving"
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		pod(names[i]);
	pod("fine");
	/* "bad" comes before "p": all that name none fall under it */
	assert_string_equal(begins(at, 20), "");
	world_gone(w, WORLD_POLICIES, "aksdr", "bad");
	assert_string_equal(begins(at, 20), "fine");
	claim("paused", "");
	assert_string_equal(begins(at + 1, 20), "paused");
}

static void test_planner__a_namespace_that_changes_changes_its_claims(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {namespaceSelector: {matchLabels: {backup: 'yes'}}}");
	claim("db", "");
	pod("db");
	assert_string_equal(begins(at, 2), "");
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {backup: 'yes'}}}");
	assert_string_equal(begins(at + 1, 2), "db");
	end("db", PLANNER_DONE, DAY + 5 * HOUR, at + 2);
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {backup: 'yes'}, annotations: "
	                      "{aksdr.io/protect: 'false'}}}");
	assert_string_equal(begins(at + HOUR, 2), "");
}

static void test_planner__the_lease_tells_what_others_did(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}");
	claim("done", "");
	claim("running", "");
	claim("failed", "");
	pod("done");
	pod("running");
	pod("failed");
	lease("done", "", 5, "succeeded", 0);
	lease("running", "node2", 5, "", 0);
	lease("failed", "", 5, "failed", 1);
	assert_string_equal(begins(at + 5, 9), "");
	/* the running one's Lease runs out first, then it is a failure too */
	assert_int_equal(looks(at + 5), at + 2 + 16);
	assert_string_equal(begins(at + 2 + 16, 9), "");
	/* each a minute after it began or ended */
	assert_string_equal(begins(at + 1 + MIN, 9), "running");
	assert_string_equal(begins(at + 2 + MIN, 9), "failed");
}

static void test_planner__failures_of_our_own_wait_though_no_lease_tells(void **state)
{
	const int64_t at = DAY + 5 * HOUR;
	const int64_t waits[] = { 1, 2, 4, 8, 16 };
	int64_t t = at;

	(void)state;
	policy("p", "selector: {}");
	claim("db", "");
	pod("db");
	assert_string_equal(begins(t, 1), "db");
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		end("db", PLANNER_FAILED, DAY + 5 * HOUR, t);
		assert_string_equal(begins(t + waits[i] * MIN - 1, 1), "");
		t += waits[i] * MIN;
		assert_string_equal(begins(t, 1), "db");
	}
	/* the next slot is tried at once */
	end("db", PLANNER_FAILED, DAY + 5 * HOUR, t);
	assert_string_equal(begins(at + HOUR, 1), "db");
	end("db", PLANNER_DONE, DAY + 6 * HOUR, at + HOUR + 9);
	assert_int_equal(world_claim(w, "shop", "db")->plan.own_failures, 0);
}

static void test_planner__a_lease_that_is_taken_is_no_failure(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}");
	claim("db", "");
	pod("db");
	assert_string_equal(begins(at, 1), "db");
	end("db", PLANNER_BUSY, DAY + 5 * HOUR, at + 1);
	assert_string_equal(begins(at + 2, 1), "");
	assert_int_equal(looks(at + 2), at + 1 + PLANNER_BUSY_S);
	assert_int_equal(world_claim(w, "shop", "db")->plan.own_failures, 0);
	assert_string_equal(begins(at + 1 + PLANNER_BUSY_S, 1), "db");
}

static void test_planner__no_more_than_the_limit_at_once(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}");
	claim("a", "");
	claim("b", "");
	claim("c", "");
	pod("a");
	pod("b");
	pod("c");
	assert_string_equal(begins(at, 2), "a b");
	assert_string_equal(begins(at + 1, 2), "");
	end("a", PLANNER_DONE, DAY + 5 * HOUR, at + 2);
	assert_string_equal(begins(at + 2, 2), "c");
}

static void test_planner__members_of_a_set_begin_in_one_run(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}, sets: [[db, wal]]");
	claim("alone", "");
	claim("db", "");
	claim("wal", "");
	pod("db");
	pod("wal");
	pod("alone");
	assert_string_equal(begins(at, 4), "alone db+wal");
	end("alone", PLANNER_DONE, DAY + 5 * HOUR, at);
	assert_string_equal(runs[1].set, "shop/sets[0]");
}

static void test_planner__of_a_set_on_two_nodes_the_second_one_waits(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}, sets: [[db, wal]]");
	claim("db", "");
	claim("wal", "");
	pod("wal"); /* db is used at another node, or nowhere */
	assert_string_equal(begins(at, 4), "");
	assert_int_equal(looks(at), at + OWNER_GRACE_S / 2);
	assert_string_equal(begins(at + OWNER_GRACE_S / 2, 4), "db+wal");
}

static void test_planner__a_secondary_begins_nothing_and_judges(void **state)
{
	static const struct planner_me other = { .node = "node1", .begins = false };
	struct err e = ERR_INIT;

	(void)state;
	policy("p", "selector: {}");
	claim("db", "");
	pod("db");
	(void)planner_pass(w, &other, DAY + 5 * HOUR);
	assert_int_equal(planner_pick(w, DAY + 6 * HOUR, 2, runs, 8, &nruns, &e), 0);
	assert_int_equal(nruns, 0);
	assert_int_equal(world_claim(w, "shop", "db")->plan.verdict, POLICY_PROTECTED);
}

static void stands(const char *name, int64_t at_s, const char *why)
{
	const struct world_claim *c = world_claim(w, "shop", name);

	(void)planner_pass(w, &me, at_s);
	assert_int_equal(planner_exposed(w, c, at_s), why != NULL);
	if (why)
		assert_string_equal(planner_why(w, c).s, why);
}

static void test_planner_why__says_who_is_exposed_and_why(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}, rpo: 2h");
	claim("new", "");
	claim("good", "");
	claim("old", "");
	claim("failed", "");
	claim("paused", "aksdr.io/paused: 'true'");
	put(WORLD_CLAIMS, "{metadata: {namespace: shop, name: unbound, uid: u}, status: {phase: "
	                  "Pending}}");
	lease("good", "", 4, "succeeded", 0);
	lease("old", "", 2, "succeeded", 0);
	lease("failed", "", 4, "failed", 2);
	stands("new", at, "it has no restore point yet");
	stands("good", at, NULL);
	stands("old", at,
	       "its last restore point is of 2026-11-27T02:00:02.000Z, older than 2h00m");
	stands("failed", at, "it has no restore point, and its last run failed: no luck");
	stands("paused", at, "paused by the annotation aksdr.io/paused on the claim");
	stands("unbound", at, "it is not bound to a volume");
}

/* A run that never had the Lease: only the agent that began it knows, until the Lease says more. */
static void test_planner_why__tells_what_only_we_know_of_a_run(void **state)
{
	const int64_t at = DAY + 5 * HOUR;

	(void)state;
	policy("p", "selector: {}, rpo: 2h");
	claim("db", "");
	planner_ended(world_claim(w, "shop", "db"), PLANNER_FAILED, "its volume is not there", at,
	              at + 1);
	stands("db", at + 2,
	       "it has no restore point, and its last run failed: its volume is not there");
	lease("db", "", 4, "failed", 2);
	stands("db", at + 2,
	       "it has no restore point, and its last run failed: its volume is not there");
	lease("db", "", 6, "failed", 3);
	stands("db", at + 2 * HOUR, "it has no restore point, and its last run failed: no luck");
	planner_ended(world_claim(w, "shop", "db"), PLANNER_DONE, NULL, at, at + 3 * HOUR);
	stands("db", at + 3 * HOUR, "it has no restore point, and its last run failed: no luck");
}

static void test_planner__ten_thousand_claims_of_which_none_changed_are_not_judged_again(
	void **state)
{
	char name[16];

	(void)state;
	policy("p", "selector: {}");
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "c%05d", i);
		claim(name, "");
	}
	(void)planner_pass(w, &me, DAY);
	const struct world_claim *c = world_claim(w, "shop", "c04711");
	assert_int_equal(c->plan.judged_s, DAY);
	(void)planner_pass(w, &me, DAY + 1);
	assert_int_equal(c->plan.judged_s, DAY);
	claim("c04711", "aksdr.io/paused: 'true'");
	(void)planner_pass(w, &me, DAY + 2);
	assert_int_equal(c->plan.judged_s, DAY + 2);
	assert_int_equal(world_claim(w, "shop", "c04712")->plan.judged_s, DAY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_planner__a_claim_of_our_node_begins_once_for_each_slot),
		T(test_planner__who_is_not_used_here_waits_for_the_others),
		T(test_planner__of_two_agents_one_takes_what_nobody_uses),
		T(test_planner__waits_from_when_it_was_due_not_from_the_last_slot),
		T(test_planner__excluded_paused_invalid_unbound_and_leaving_do_not_begin),
		T(test_planner__a_namespace_that_changes_changes_its_claims),
		T(test_planner__the_lease_tells_what_others_did),
		T(test_planner__failures_of_our_own_wait_though_no_lease_tells),
		T(test_planner__a_lease_that_is_taken_is_no_failure),
		T(test_planner__no_more_than_the_limit_at_once),
		T(test_planner__members_of_a_set_begin_in_one_run),
		T(test_planner__of_a_set_on_two_nodes_the_second_one_waits),
		T(test_planner__a_secondary_begins_nothing_and_judges),
		T(test_planner_why__says_who_is_exposed_and_why),
		T(test_planner_why__tells_what_only_we_know_of_a_run),
		T(test_planner__ten_thousand_claims_of_which_none_changed_are_not_judged_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
