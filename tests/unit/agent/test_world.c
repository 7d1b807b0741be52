/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of objects as an API server has them, and what a change of each makes stale. */
#include "agent/world.h"

#include <malloc.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "tests/harness/harness.h"

static struct world *w;

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
	assert_false(w->nomem);
	world_free(w);
	return 0;
}

static void put_at(enum world_kind kind, const char *text, int64_t now_s)
{
	struct err e = ERR_INIT;
	auto_json json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	world_put(w, kind, j, now_s);
}

static void put(enum world_kind kind, const char *text)
{
	put_at(kind, text, 1000);
}

#define CLAIM                                                                                  \
	"{metadata: {namespace: shop, name: db, uid: u-1, creationTimestamp: "                 \
	"'2026-11-27T10:00:00Z', labels: {app: db}, annotations: {other: x, aksdr.io/paused: " \
	"'true', aksdr.io/cancel: '2026-11-27T11:00:00Z'}}, spec: {storageClassName: fast}, "  \
	"status: {phase: Bound}}"

static void test_world_put__keeps_of_a_claim_what_decides(void **state)
{
	(void)state;
	put(WORLD_CLAIMS, CLAIM);
	const struct world_claim *c = world_claim(w, "shop", "db");
	assert_non_null(c);
	assert_string_equal(c->uid, "u-1");
	assert_string_equal(c->class, "fast");
	assert_true(c->bound);
	assert_false(c->leaving);
	assert_int_equal(c->created_s, 1795773600);
	assert_int_equal(c->cancel_s, 1795777200);
	assert_string_equal(json_string_value(json_object_get(c->labels, "app")), "db");
	assert_int_equal(json_object_size(c->annotations), 1);
	assert_null(world_claim(w, "shop", "other"));
	assert_null(world_claim(w, "other", "db"));
}

static void test_world_put__of_a_claim_that_was_made_anew_nothing_is_kept(void **state)
{
	(void)state;
	put(WORLD_CLAIMS, CLAIM);
	struct world_claim *c = world_claim(w, "shop", "db");
	c->plan = (struct world_plan){ .rules = 1, .own_failures = 3, .running = true };
	put(WORLD_CLAIMS, CLAIM);
	assert_int_equal(c->plan.own_failures, 3);
	assert_int_equal(c->plan.rules, 0);
	put(WORLD_CLAIMS,
	    "{metadata: {namespace: shop, name: db, uid: u-2}, spec: {}, status: {}}");
	assert_int_equal(c->plan.own_failures, 0);
	assert_true(c->plan.running);
	assert_false(c->bound);
	assert_null(c->labels);
	assert_int_equal(c->cancel_s, 0);
}

static void test_world_put__is_found_again_in_any_order(void **state)
{
	char text[128], name[16];

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(text, sizeof(text),
		               "{metadata: {namespace: n%u, name: c%u, uid: u%u}, spec: {}}", i % 7,
		               i * 37 % 500, i);
		put(WORLD_CLAIMS, text);
	}
	assert_int_equal(w->shelves[WORLD_CLAIMS].n, 500);
	for (unsigned i = 0; i < 500; i += 2) {
		char ns[8];

		(void)snprintf(ns, sizeof(ns), "n%u", i % 7);
		(void)snprintf(name, sizeof(name), "c%u", i * 37 % 500);
		assert_non_null(world_claim(w, ns, name));
		world_gone(w, WORLD_CLAIMS, ns, name);
		assert_null(world_claim(w, ns, name));
		world_gone(w, WORLD_CLAIMS, ns, name);
	}
	assert_int_equal(w->shelves[WORLD_CLAIMS].n, 250);
}

static void test_world_put__of_a_policy_only_the_spec_changes_the_rules(void **state)
{
	static const char policy[] =
		"{metadata: {namespace: aksdr, name: p, uid: p-1, generation: 1, "
		"creationTimestamp: '2026-11-27T10:00:00Z', managedFields: [{manager: x}]}, spec: "
		"{selector: {}, schedule: {cron: '@daily'}}}";
	static const char status[] = "{metadata: {namespace: aksdr, name: p, uid: p-1, generation: "
				     "1}, spec: {}, status: {selected: 3}}";

	(void)state;
	put(WORLD_POLICIES, policy);
	assert_int_equal(w->list.n, 1);
	assert_string_equal(w->list.items[0]->invalid, "");
	assert_string_equal(w->list.items[0]->cron_text, "@daily");
	const uint64_t rules = w->rules;
	put(WORLD_POLICIES, status);
	assert_int_equal(w->rules, rules);
	assert_string_equal(w->list.items[0]->cron_text, "@daily");
	const struct world_policy *p = world_policy_of(w, w->list.items[0]);
	assert_int_equal(json_integer_value(json_object_get(p->status, "selected")), 3);
	assert_int_equal(p->created_s, 1795773600);
	world_gone(w, WORLD_POLICIES, "aksdr", "p");
	assert_int_equal(w->list.n, 0);
	assert_true(w->rules > rules);
}

static void test_world_put__a_namespace_counts_as_changed_by_what_decides(void **state)
{
	(void)state;
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {a: b}}}");
	const uint64_t rules = w->rules;
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {a: b}, annotations: {x: y}}}");
	assert_int_equal(w->rules, rules);
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {a: c}}}");
	assert_int_equal(w->rules, rules + 1);
	put(WORLD_NAMESPACES, "{metadata: {name: shop, labels: {a: c}, annotations: "
	                      "{aksdr.io/protect: 'false'}}}");
	assert_int_equal(w->rules, rules + 2);
	put(WORLD_NAMESPACES, "{metadata: {name: other}}");
	assert_int_equal(w->rules, rules + 3);
}

static void test_world_put__a_policy_with_a_mistake_is_there_and_says_so(void **state)
{
	(void)state;
	put(WORLD_POLICIES, "{metadata: {namespace: aksdr, name: p, generation: 1}, spec: "
	                    "{selector: {}, schedule: {cron: never}}}");
	assert_int_equal(w->list.n, 1);
	assert_non_null(strstr(w->list.items[0]->invalid, "spec.schedule.cron"));
}

static void test_world_uses__counts_pods_that_run_and_are_not_ours(void **state)
{
	(void)state;
	put(WORLD_PODS, "{metadata: {namespace: shop, name: a}, spec: {volumes: [{name: v, "
	                "persistentVolumeClaim: {claimName: db}}, {name: tmp, emptyDir: {}}, "
	                "{name: scratch, ephemeral: {}}]}, status: {phase: Running}}");
	put(WORLD_PODS, "{metadata: {namespace: shop, name: b}, spec: {volumes: [{name: v, "
	                "persistentVolumeClaim: {claimName: done}}]}, status: {phase: Succeeded}}");
	put(WORLD_PODS, "{metadata: {namespace: shop, name: c, labels: "
	                "{app.kubernetes.io/managed-by: aksdr}}, spec: {volumes: [{name: v, "
	                "persistentVolumeClaim: {claimName: view}}]}, status: {phase: Running}}");
	assert_true(world_uses(w, "shop", "db"));
	assert_true(world_uses(w, "shop", "a-scratch"));
	assert_false(world_uses(w, "other", "db"));
	assert_false(world_uses(w, "shop", "done"));
	assert_false(world_uses(w, "shop", "view"));
	const uint64_t pods = w->pods;
	world_gone(w, WORLD_PODS, "shop", "a");
	assert_false(world_uses(w, "shop", "db"));
	assert_true(w->pods > pods);
}

#define AGENT(name, node, ready)                                                      \
	"{metadata: {namespace: aksdr, name: " name "}, spec: {nodeName: " node "}, " \
	"status: {conditions: [{type: Initialized, status: 'True'}, {type: Ready, "   \
	"status: '" ready "'}]}}"

static void test_world_put__nodes_are_those_of_agents_that_are_ready(void **state)
{
	(void)state;
	put(WORLD_AGENTS, AGENT("x", "node1", "True"));
	put(WORLD_AGENTS, AGENT("y", "node2", "False"));
	assert_int_equal(w->nnodes, 1);
	assert_string_equal(w->nodes[0], "node1");
	put(WORLD_AGENTS, AGENT("y", "node2", "True"));
	assert_int_equal(w->nnodes, 2);
	const uint64_t pods = w->pods;
	put(WORLD_AGENTS, AGENT("y", "node2", "True"));
	assert_int_equal(w->pods, pods);
	world_gone(w, WORLD_AGENTS, "aksdr", "x");
	assert_int_equal(w->nnodes, 1);
	assert_string_equal(w->nodes[0], "node2");
}

static void put_lease(const char *holder, const char *version, int64_t now_s)
{
	char text[768];

	const struct claim_lease name = claim_record_lease("u-1");
	(void)snprintf(
		text, sizeof(text),
		"{metadata: {namespace: aksdr, name: %s, resourceVersion: '%s', "
		"annotations: {aksdr.io/claim: shop/db, aksdr.io/claim-uid: u-1, aksdr.io/slot: "
		"'2026-11-27T10:00:00Z', aksdr.io/begun: '2026-11-27T10:00:01Z'}}, spec: "
		"{holderIdentity: '%s', leaseDurationSeconds: 15}}",
		name.s, version, holder);
	put_at(WORLD_LEASES, text, now_s);
}

static void test_world_lease_held__ends_without_a_word(void **state)
{
	(void)state;
	put(WORLD_CLAIMS, CLAIM);
	struct world_claim *c = world_claim(w, "shop", "db");
	assert_null(world_lease_of(w, c));
	c->plan.rules = 1;
	put_lease("node1", "1", 2000);
	assert_int_equal(c->plan.rules, 0);
	const struct world_lease *l = world_lease_of(w, c);
	assert_non_null(l);
	assert_true(world_lease_held(l, 2015));
	assert_false(world_lease_held(l, 2016));
	assert_true(l->held.running);
	assert_false(l->free.running);
	assert_int_equal(l->free.failures, 1);
	/* the same again, from a new list, is no sign of life */
	put_lease("node1", "1", 2014);
	assert_false(world_lease_held(l, 2016));
	put_lease("node1", "2", 2014);
	assert_true(world_lease_held(l, 2016));
	put_lease("", "3", 2016);
	assert_false(world_lease_held(l, 2016));
	c->plan.rules = 1;
	world_gone(w, WORLD_LEASES, "aksdr", c->lease.s);
	assert_int_equal(c->plan.rules, 0);
}

static void test_world_ready__needs_all_kinds(void **state)
{
	(void)state;
	for (int kind = 0; kind < WORLD_KINDS; kind++) {
		assert_false(world_ready(w));
		world_synced(w, (enum world_kind)kind);
	}
	assert_true(world_ready(w));
}

static void test_world_put__what_makes_no_sense_is_left_out(void **state)
{
	(void)state;
	put(WORLD_CLAIMS, "{metadata: {namespace: shop}}");
	put(WORLD_CLAIMS, "{metadata: {namespace: shop, name: odd, creationTimestamp: yesterday, "
	                  "annotations: {aksdr.io/cancel: soon}, labels: [a]}, spec: 7}");
	put(WORLD_LEASES, "{metadata: {namespace: aksdr, name: l, annotations: {aksdr.io/claim: "
	                  "nowhere}}, spec: {leaseDurationSeconds: -5}}");
	put(WORLD_PODS, "{metadata: {namespace: shop, name: p}, spec: {volumes: [7, {}]}}");
	assert_int_equal(w->shelves[WORLD_CLAIMS].n, 1);
	assert_int_equal(world_claim(w, "shop", "odd")->cancel_s, 0);
	assert_null(world_claim(w, "shop", "odd")->labels);
}

static void test_world_put__ten_thousand_claims_with_their_leases_are_small(void **state)
{
	const size_t before = mallinfo2().uordblks;
	char text[1024], uid[64];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(uid, sizeof(uid), "00000000-0000-4000-8000-%012u", i);
		(void)snprintf(
			text, sizeof(text),
			"{metadata: {namespace: shop-%u, name: data-db-%u, uid: %s, "
			"creationTimestamp: '2026-11-27T10:00:00Z', labels: {app: db-%u, tier: "
			"gold, owner: team-%u}}, spec: {storageClassName: managed-csi}, status: "
			"{phase: Bound}}",
			i % 50, i, uid, i, i % 9);
		put(WORLD_CLAIMS, text);
		(void)snprintf(text, sizeof(text),
		               "{metadata: {namespace: aksdr, name: %s, resourceVersion: '%u', "
		               "annotations: {aksdr.io/claim: shop-%u/data-db-%u, aksdr.io/slot: "
		               "'2026-11-27T10:00:00Z', aksdr.io/outcome: succeeded}}, spec: {}}",
		               claim_record_lease(uid).s, i, i % 50, i);
		put(WORLD_LEASES, text);
	}
	const size_t after = mallinfo2().uordblks;
	print_message("%zu bytes a claim\n", (after - before) / 10000);
	assert_true(after - before < 24 * MIB);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_world_put__keeps_of_a_claim_what_decides),
		T(test_world_put__of_a_claim_that_was_made_anew_nothing_is_kept),
		T(test_world_put__is_found_again_in_any_order),
		T(test_world_put__of_a_policy_only_the_spec_changes_the_rules),
		T(test_world_put__a_namespace_counts_as_changed_by_what_decides),
		T(test_world_put__a_policy_with_a_mistake_is_there_and_says_so),
		T(test_world_uses__counts_pods_that_run_and_are_not_ours),
		T(test_world_put__nodes_are_those_of_agents_that_are_ready),
		T(test_world_lease_held__ends_without_a_word),
		T(test_world_put__ten_thousand_claims_with_their_leases_are_small),
		T(test_world_ready__needs_all_kinds),
		T(test_world_put__what_makes_no_sense_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
