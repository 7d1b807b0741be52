/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy a claim falls under, told in sentences, and against rules written down twice. */
#include "agent/policy.h"

#include <fnmatch.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "tests/harness/harness.h"

#define HEAD "{kind: BackupPolicy, apiVersion: aksdr.io/v1alpha1, "

static const char policies[] = HEAD
	"metadata: {name: all, namespace: aksdr},\n"
	" spec: {selector: {excludeNamespaces: [kube-*]}, schedule: {cron: '@daily'}}}\n"
	"---\n" HEAD "metadata: {name: gold, namespace: aksdr},\n"
	" spec: {priority: 5, selector: {claimSelector: {matchLabels: {tier: gold}}},\n"
	"  schedule: {cron: '@hourly'}}}\n"
	"---\n" HEAD "metadata: {name: own, namespace: shop},\n"
	" spec: {selector: {claims: ['db-*']}, schedule: {cron: '@daily'}, sets: [[db-1, db-2]]}}\n"
	"---\n" HEAD "metadata: {name: an-own, namespace: shop},\n"
	" spec: {selector: {claims: [db-7]}, schedule: {cron: '@daily'}, paused: true,\n"
	"  setBy: app}}\n"
	"---\n" HEAD "metadata: {name: broken, namespace: lab},\n"
	" spec: {selector: {namespaces: [lab, shop]}, schedule: {cron: never}}}\n";

static void load(struct policy_list *l)
{
	struct err e = ERR_INIT;

	if (policy_load_text("test", policies, strlen(policies), NULL, "aksdr", l, &e) < 0)
		fail_msg("%s", e.msg);
}

static json_t *yaml(const char *text)
{
	struct err e = ERR_INIT;

	return text ? yaml_parse("test", text, strlen(text), &e) : NULL;
}

struct row {
	const char *ns, *name;
	const char *labels, *annotations, *ns_annotations, *class_annotations;
	enum policy_verdict verdict;
	const char *policy; /* NULL: none */
	const char *why;
};

static const struct row rows[] = {
	{ "web", "data", NULL, NULL, NULL, NULL, POLICY_PROTECTED, "all",
	  "protected by policy 'aksdr/all'" },
	{ "web", "data", "{tier: gold}", NULL, NULL, NULL, POLICY_PROTECTED, "gold",
	  "protected by policy 'aksdr/gold'" },
	/* one of its own namespace wins, whatever the priority */
	{ "shop", "db-1", "{tier: gold}", NULL, NULL, NULL, POLICY_PROTECTED, "own",
	  "protected by policy 'shop/own'" },
	{ "shop", "cache", NULL, NULL, NULL, NULL, POLICY_PROTECTED, "all",
	  "protected by policy 'aksdr/all'" },
	/* of equals the first by name, and what it says counts */
	{ "shop", "db-7", NULL, NULL, NULL, NULL, POLICY_PAUSED, "an-own",
	  "policy 'shop/an-own' is paused" },
	{ "web", "data", NULL, "{aksdr.io/paused: 'true'}", NULL, NULL, POLICY_PAUSED, "all",
	  "paused by the annotation aksdr.io/paused on the claim" },
	{ "kube-system", "x", NULL, NULL, NULL, NULL, POLICY_NONE, NULL, "no policy selects it" },
	{ "lab", "x", NULL, NULL, NULL, NULL, POLICY_INVALID, "broken",
	  "policy 'lab/broken' has a mistake: spec.schedule.cron: cron expression 'never' has 1 "
	  "fields instead of 5: minute, hour, day of month, month, day of week" },
	{ "web", "data", NULL, "{aksdr.io/protect: 'false'}", NULL, NULL, POLICY_EXCLUDED, NULL,
	  "left out by the annotation aksdr.io/protect on the claim" },
	{ "web", "data", NULL, NULL, "{aksdr.io/protect: 'false'}", NULL, POLICY_EXCLUDED, NULL,
	  "left out by the annotation aksdr.io/protect on its namespace" },
	{ "web", "data", NULL, NULL, NULL, "{aksdr.io/protect: 'false'}", POLICY_EXCLUDED, NULL,
	  "left out by the annotation aksdr.io/protect on its storage class" },
	{ "web", "data", NULL, "{aksdr.io/protect: 'true'}", "{aksdr.io/protect: 'false'}",
	  "{aksdr.io/protect: 'false'}", POLICY_PROTECTED, "all",
	  "protected by policy 'aksdr/all'" },
	{ "web", "data", NULL, "{aksdr.io/protect: 'no'}", NULL, NULL, POLICY_PROTECTED, "all",
	  "protected by policy 'aksdr/all'" },
	/* a name overrides selectors, priorities, and the namespace's */
	{ "kube-system", "x", NULL, "{aksdr.io/policy: gold}", NULL, NULL, POLICY_PROTECTED, "gold",
	  "protected by policy 'aksdr/gold'" },
	{ "shop", "db-1", NULL, NULL, "{aksdr.io/policy: all}", NULL, POLICY_PROTECTED, "all",
	  "protected by policy 'aksdr/all'" },
	{ "shop", "db-1", NULL, "{aksdr.io/policy: own}", "{aksdr.io/policy: all}", NULL,
	  POLICY_PROTECTED, "own", "protected by policy 'shop/own'" },
	{ "web", "data", NULL, "{aksdr.io/policy: own}", NULL, NULL, POLICY_NONE, NULL,
	  "the annotation aksdr.io/policy on the claim names 'own', and there is no such policy in "
	  "'web' or 'aksdr'" },
	{ "web", "data", NULL, NULL, "{aksdr.io/policy: what}", NULL, POLICY_NONE, NULL,
	  "the annotation aksdr.io/policy on its namespace names 'what', and there is no such "
	  "policy in 'web' or 'aksdr'" },
};

static void test_policy_choose__says_which_and_why(void **state)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };

	(void)state;
	load(&l);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		auto_json json_t *labels = yaml(r->labels);
		auto_json json_t *annotations = yaml(r->annotations);
		auto_json json_t *of_ns = yaml(r->ns_annotations);
		auto_json json_t *of_class = yaml(r->class_annotations);
		const struct policy_claim c = { .ns = r->ns,
			                        .name = r->name,
			                        .labels = labels,
			                        .annotations = annotations,
			                        .ns_annotations = of_ns,
			                        .class_annotations = of_class };
		const struct policy_choice got = policy_choose(&l, "aksdr", &c);

		if (got.verdict != r->verdict || strcmp(got.why, r->why) != 0)
			fail_msg("row %zu: %s: %s", i, policy_verdict_name(got.verdict), got.why);
		assert_int_equal(got.policy != NULL, r->policy != NULL);
		if (r->policy)
			assert_string_equal(got.policy->name, r->policy);
	}
}

static void test_policy_verdict_name__is_a_word(void **state)
{
	(void)state;
	assert_string_equal(policy_verdict_name(POLICY_PROTECTED), "protected");
	assert_string_equal(policy_verdict_name(POLICY_PAUSED), "paused");
	assert_string_equal(policy_verdict_name(POLICY_EXCLUDED), "excluded");
	assert_string_equal(policy_verdict_name(POLICY_NONE), "none");
	assert_string_equal(policy_verdict_name(POLICY_INVALID), "invalid");
}

static void test_policy_set_of__names_the_set(void **state)
{
	CLEANUP(policy_list_clear) struct policy_list l = { .n = 0 };
	auto_json json_t *labels = yaml("{app: orders}");
	struct policy_claim c = { .ns = "shop", .name = "db-2", .labels = labels };

	(void)state;
	load(&l);
	assert_string_equal(l.items[4]->name, "own");
	assert_string_equal(policy_set_of(l.items[4], &c).s, "shop/sets[0]");
	c.name = "db-3";
	assert_string_equal(policy_set_of(l.items[4], &c).s, "");
	assert_string_equal(l.items[3]->name, "an-own");
	assert_string_equal(policy_set_of(l.items[3], &c).s, "shop/app=orders");
	c.labels = NULL;
	assert_string_equal(policy_set_of(l.items[3], &c).s, "");
}

/* ---- the rules again, as a search that rates every policy ---- */

struct world {
	struct policy_list list;
	struct policy made[12];
	struct policy *items[12];
	const char *patterns[12];
};

static int rate(const struct policy *p, const struct policy_claim *c)
{
	const char *want = json_string_value(json_object_get(c->annotations, "aksdr.io/policy"));
	const bool near = strcmp(p->ns, c->ns) == 0;
	const bool agents = strcmp(p->ns, "aksdr") == 0;

	if (!want)
		want = json_string_value(json_object_get(c->ns_annotations, "aksdr.io/policy"));
	if (want)
		return strcmp(p->name, want) != 0 ? -1 : near ? 2 : agents ? 1 : -1;
	if (!p->selects || fnmatch(p->select.claims.v[0], c->name, 0) != 0)
		return -1;
	return near ? 2 : agents ? 1 : -1;
}

static const struct policy *best(const struct policy_list *l, const struct policy_claim *c)
{
	const struct policy *found = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct policy *p = l->items[i];
		const int r = rate(p, c);

		if (r < 0)
			continue;
		if (!found || r > rate(found, c) ||
		    (r == rate(found, c) &&
		     (p->priority > found->priority ||
		      (p->priority == found->priority && strcmp(p->name, found->name) < 0))))
			found = p;
	}
	return found;
}

static void test_policy_choose__agrees_with_a_second_opinion(void **state)
{
	static const char *const spaces[] = { "aksdr", "shop", "web" };
	static const char *const names[] = { "a", "b", "c", "d" };
	static const char *const patterns[] = { "*", "db-*", "db-1", "x" };
	static const char *const claims[] = { "db-1", "db-2", "x" };
	unsigned verdicts[5] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < 20000; seed++) {
		struct world w = { .list = { .items = w.items } };
		uint8_t x[64];

		fill_random(seed, x, sizeof(x));
		/* each name at most once in a namespace, in any order */
		for (size_t i = 0; i < 12; i++) {
			if (x[i] % 3 != 0)
				continue;
			const size_t n = w.list.n++;

			w.patterns[n] = patterns[x[i] / 4 % 4];
			w.made[n] = (struct policy){ .ns = spaces[i % 3],
				                     .name = names[i / 3],
				                     .priority = x[i] / 16 % 3,
				                     .selects = x[i] < 240,
				                     .paused = x[i] % 7 == 0,
				                     .select.claims = { &w.patterns[n], 1 } };
			if (!w.made[n].selects || x[i] % 11 == 0)
				memcpy(w.made[n].invalid, "spec", 5);
			w.items[n] = &w.made[n];
		}
		auto_json json_t *notes = json_object();
		auto_json json_t *ns_notes = json_object();
		if (x[20] % 8 == 0)
			json_object_set_new(notes, "aksdr.io/policy",
			                    json_string(names[x[21] % 4]));
		if (x[22] % 8 == 0)
			json_object_set_new(ns_notes, "aksdr.io/policy",
			                    json_string(names[x[23] % 4]));
		const struct policy_claim c = { .ns = spaces[x[24] % 3],
			                        .name = claims[x[25] % 3],
			                        .annotations = notes,
			                        .ns_annotations = ns_notes };
		const struct policy_choice got = policy_choose(&w.list, "aksdr", &c);
		const struct policy *want = best(&w.list, &c);

		assert_ptr_equal(got.policy, want);
		assert_int_equal(got.verdict, !want              ? POLICY_NONE
		                              : want->invalid[0] ? POLICY_INVALID
		                              : want->paused     ? POLICY_PAUSED
		                                                 : POLICY_PROTECTED);
		assert_true(got.why[0] != '\0');
		verdicts[got.verdict]++;
	}
	assert_true(verdicts[POLICY_NONE] > 100 && verdicts[POLICY_INVALID] > 100 &&
	            verdicts[POLICY_PAUSED] > 100 && verdicts[POLICY_PROTECTED] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_choose__says_which_and_why),
		cmocka_unit_test(test_policy_verdict_name__is_a_word),
		cmocka_unit_test(test_policy_set_of__names_the_set),
		cmocka_unit_test(test_policy_choose__agrees_with_a_second_opinion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
