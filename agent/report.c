/* SPDX-License-Identifier: Apache-2.0 */
/* Claims are counted once, each for its policy; then each policy's status is written down. */
#include "agent/report.h"

#include <string.h>

#include "agent/planner.h"
#include "common/now.h"
#include "kube/kube.h"

#define MESSAGE_MAX (8 * KIB)

struct tally {
	int64_t selected, exposed;
	int64_t last_s, next_s; /* SCHED_NONE, SCHED_NEVER */
	struct buf named;       /* exposed claims */
};

/* The number of a policy on its shelf, found by its place in the list beside it. */
static struct tally *tally_of(const struct world *w, struct tally *all, const struct policy *p)
{
	const struct world_shelf *s = &w->shelves[WORLD_POLICIES];

	for (size_t i = 0; i < s->n; i++) {
		if (((const struct world_policy *)s->v[i])->policy == p)
			return &all[i];
	}
	return NULL;
}

static void count(const struct world *w, const struct world_claim *c, struct tally *t,
                  int64_t now_s)
{
	const struct world_plan *p = &c->plan;
	const struct world_lease *l = world_lease_of(w, c);
	const int64_t next_s = p->due ? p->waits_s : p->at_s;

	t->selected++;
	if (l && l->ended_s > t->last_s)
		t->last_s = l->ended_s;
	if (p->verdict == POLICY_PROTECTED && next_s < t->next_s)
		t->next_s = next_s;
	if (!planner_exposed(w, c, now_s))
		return;
	t->exposed++;
	if (t->exposed <= REPORT_CLAIMS)
		(void)buf_printf(&t->named, "%s'%s/%s': %s", t->named.len ? "; " : "", c->key.ns,
		                 c->key.name, planner_why(w, c).s);
}

/* The condition as it is in the cluster, borrowed; NULL: there is none. */
static json_t *before(const struct world_policy *p, const char *type)
{
	const json_t *all = kube_at(p->status, "conditions");

	for (size_t i = 0; i < json_array_size(all); i++) {
		json_t *c = json_array_get(all, i);

		if (strcmp(kube_text_at(c, "type"), type) == 0)
			return c;
	}
	return NULL;
}

/* When the condition got the status that it has. */
static json_t *since(const struct world_policy *p, const char *type, const char *status,
                     int64_t now_s)
{
	const json_t *c = before(p, type);

	if (c && strcmp(kube_text_at(c, "status"), status) == 0 &&
	    *kube_text_at(c, "lastTransitionTime"))
		return json_string(kube_text_at(c, "lastTransitionTime"));
	return json_string(now_rfc3339(now_s * 1000000000).s);
}

static json_t *condition(const struct world_policy *p, const char *type, bool holds,
                         const char *reason, const char *message, int64_t now_s)
{
	const char *status = holds ? "True" : "False";

	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o}", "type", type, "status", status, "reason",
	                 reason, "message", json_text(message, MESSAGE_MAX), "observedGeneration",
	                 (json_int_t)p->generation, "lastTransitionTime",
	                 since(p, type, status, now_s));
}

static json_t *ready(const struct world_policy *p, int64_t now_s)
{
	const char *mistake = p->policy ? p->policy->invalid : "it cannot be read";

	if (*mistake)
		return condition(p, "Ready", false, "Invalid", mistake, now_s);
	if (p->policy->paused)
		return condition(p, "Ready", true, "Paused", "it is paused, and begins nothing new",
		                 now_s);
	return condition(p, "Ready", true, "Valid", "it is in use", now_s);
}

static json_t *protects(const struct world_policy *p, struct tally *t, int64_t now_s)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MESSAGE_MAX);

	if (t->selected == 0)
		return condition(p, "Protected", true, "NoClaims", "no claim falls under it",
		                 now_s);
	if (t->exposed == 0) {
		(void)buf_printf(&b, "all %lld claims have a restore point that is young enough",
		                 (long long)t->selected);
		return condition(p, "Protected", true, "AllProtected", buf_cstr(&b), now_s);
	}
	(void)buf_printf(&b, "%lld of %lld claims: ", (long long)t->exposed,
	                 (long long)t->selected);
	(void)buf_str(&b, buf_cstr(&t->named));
	if (t->exposed > REPORT_CLAIMS)
		(void)buf_printf(&b, "; and %lld more", (long long)(t->exposed - REPORT_CLAIMS));
	return condition(p, "Protected", false, "ClaimsExposed",
	                 b.failed ? "there are claims without a restore point" : buf_cstr(&b),
	                 now_s);
}

/* NULL: there is nothing to say of it. */
static json_t *retained(const struct world_policy *p, const struct retention *done, int64_t now_s)
{
	const struct retention_rule *rule = retention_find(done, p->key.ns, p->key.name);

	if (!p->policy || !p->policy->retains)
		return NULL;
	if (!rule) /* it is new, or who told of it before was another agent */
		return json_incref(before(p, "Retained"));
	if (rule->why)
		return condition(p, "Retained", false, "NotExpired", rule->why, now_s);
	return condition(p, "Retained", true, "Applied", "what it lets go has expired", now_s);
}

/* A time without its parts of a second, or nothing. */
static json_t *time_or_null(int64_t s)
{
	return s < 0 || s == SCHED_NEVER ? NULL : json_string(now_rfc3339(s * 1000000000).s);
}

static json_t *status_of(const struct world_policy *p, struct tally *t,
                         const struct retention *done, int64_t now_s)
{
	json_t *ret = json_pack("{s:I, s:I, s:I, s:I, s:o*, s:o*, s:[o, o]}", "observedGeneration",
	                        (json_int_t)p->generation, "selected", (json_int_t)t->selected,
	                        "protected", (json_int_t)(t->selected - t->exposed), "exposed",
	                        (json_int_t)t->exposed, "lastRun", time_or_null(t->last_s),
	                        "nextRun", time_or_null(t->next_s), "conditions", ready(p, now_s),
	                        protects(p, t, now_s));
	json_t *third = retained(p, done, now_s);

	if (third && json_array_append_new(json_object_get(ret, "conditions"), third) < 0) {
		json_decref(ret);
		return NULL;
	}
	return ret;
}

json_t **report_make(const struct world *w, const struct retention *done, int64_t now_s)
{
	const struct world_shelf *policies = &w->shelves[WORLD_POLICIES];
	const struct world_shelf *claims = &w->shelves[WORLD_CLAIMS];
	auto_free struct tally *all = calloc(policies->n + 1, sizeof(struct tally));
	json_t **ret = calloc(policies->n + 1, sizeof(json_t *));
	bool good = all && ret;

	for (size_t i = 0; good && i < policies->n; i++)
		all[i] = (struct tally){ .last_s = SCHED_NONE,
			                 .next_s = SCHED_NEVER,
			                 .named = BUF_INIT(MESSAGE_MAX - KIB) };
	for (size_t i = 0; good && i < claims->n; i++) {
		const struct world_claim *c = (const struct world_claim *)claims->v[i];
		struct tally *t = c->plan.rules == w->rules && c->plan.policy
		                          ? tally_of(w, all, c->plan.policy)
		                          : NULL;

		if (t)
			count(w, c, t, now_s);
	}
	for (size_t i = 0; all && ret && i < policies->n; i++) {
		ret[i] = status_of((const struct world_policy *)policies->v[i], &all[i], done,
		                   now_s);
		good = good && ret[i];
		buf_clear(&all[i].named);
	}
	if (good)
		return ret;
	for (size_t i = 0; ret && i < policies->n; i++)
		json_decref(ret[i]);
	free(ret);
	return NULL;
}

json_t *report_patch(const struct world_policy *p, json_t *status)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", POLICY_API, "kind",
	                 POLICY_KIND, "metadata", "name", p->key.name, "namespace", p->key.ns,
	                 "status", status);
}
