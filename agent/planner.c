/* SPDX-License-Identifier: Apache-2.0 */
/* Policy, schedule and owner of each claim, put together. */
#include "agent/planner.h"

#include <string.h>

#include "agent/owner.h"
#include "common/now.h"
#include "common/num.h"

#define REJUDGE_S 60

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- one claim ---- */

/* What the Lease tells, and what we did ourselves since. */
static struct sched_record known(const struct world *w, const struct world_claim *c,
                                 const struct policy *p, int64_t now_s)
{
	const struct world_lease *l = world_lease_of(w, c);
	const struct world_policy *wp = world_policy_of(w, p);
	const struct world_plan *own = &c->plan;
	struct sched_record r = { .done_s = SCHED_NONE, .tried_s = SCHED_NONE };

	if (l)
		r = world_lease_held(l, now_s) ? l->held : l->free;
	r.since_s = later(c->created_s, wp ? wp->created_s : 0);
	if (own->own_done_s > 0 && own->own_done_s > r.done_s) {
		r.done_s = own->own_done_s;
		r.failures = 0;
	}
	if (own->own_failures > 0 && own->own_tried_s > r.done_s && own->own_ended_s >= r.ended_s) {
		r.tried_s = own->own_tried_s;
		r.ended_s = own->own_ended_s;
		r.failures = own->own_failures > r.failures ? own->own_failures : r.failures;
	}
	r.running = r.running || own->running;
	return r;
}

/*
 * When the Lease runs out, by our clock: if nobody writes it any more its run is over, and no event
 * tells so.
 */
static int64_t lease_ends(const struct world *w, const struct world_claim *c)
{
	const struct world_lease *l = world_lease_of(w, c);

	return l && l->has_holder ? l->changed_s + l->lasts_s + 1 : SCHED_NEVER;
}

static void set_name(struct world *w, struct world_plan *p, const struct policy_claim *view)
{
	struct policy_set_name name = { .s = "" };

	if (p->policy && p->verdict == POLICY_PROTECTED)
		name = policy_set_of(p->policy, view);
	free(p->set);
	p->set = *name.s ? strdup(name.s) : NULL;
	w->nomem = w->nomem || (*name.s && !p->set);
}

/* Its policy, and whether it is due. */
static void judge(struct world *w, struct world_claim *c, int64_t now_s)
{
	const struct policy_claim view = world_view(w, c);
	struct world_plan *p = &c->plan;

	const struct policy_choice choice = policy_choose(&w->list, w->agent_ns, &view);
	const bool waited = p->due;
	p->rules = w->rules;
	p->pods = 0;
	p->verdict = choice.verdict;
	p->policy = choice.policy;
	p->due = false;
	p->slot_s = SCHED_NONE;
	p->at_s = SCHED_NEVER;
	p->begins_s = SCHED_NEVER;
	p->judged_s = now_s;
	set_name(w, p, &view);
	if (!c->bound || c->leaving ||
	    (p->verdict != POLICY_PROTECTED && p->verdict != POLICY_PAUSED))
		return;
	const struct sched_rule rule = { .cron = &p->policy->cron,
		                         .zone = p->policy->zone,
		                         .jitter_s = p->policy->jitter_s,
		                         .key = p->set ? p->set : c->uid };
	const struct sched_record record = known(w, c, p->policy, now_s);
	const struct sched_verdict v = sched_due(&rule, &record, now_s);
	p->due = v.due && p->not_before_s <= now_s;
	p->slot_s = v.slot_s;
	p->at_s = v.due && !p->due ? p->not_before_s : v.at_s;
	if (p->due && !waited)
		p->waits_s = p->at_s;
	if (record.running && !p->running)
		p->at_s = sooner(p->at_s, lease_ends(w, c));
}

/*
 * Of a set one agent is the owner: where its first member is used, then where another one is, then
 * by the set's name. So two nodes that have a part of it each do not begin at the same time.
 */
static int64_t begins(const struct world *w, const struct planner_me *me,
                      const struct world_claim *c)
{
	const struct world_plan *p = &c->plan;
	const char *uid = p->set ? p->set : c->uid;
	bool mine = world_uses(w, c->key.ns, c->key.name);
	int64_t wait_s = 0;

	for (size_t i = 0; p->set && i < w->shelves[WORLD_CLAIMS].n; i++) {
		const struct world_claim *o =
			(const struct world_claim *)w->shelves[WORLD_CLAIMS].v[i];

		if (!o->plan.set || o->plan.rules != w->rules || strcmp(o->plan.set, p->set) != 0)
			continue;
		if (world_uses(w, o->key.ns, o->key.name)) {
			mine = true;
			break;
		}
		wait_s = OWNER_GRACE_S / 2;
	}
	const struct owner_view v = { .me = me->node,
		                      .nodes = w->nodes,
		                      .n = w->nnodes,
		                      .uid = uid,
		                      .mine = mine,
		                      .due_s = p->waits_s };
	const int64_t at_s = owner_begins(&v);
	return mine ? at_s + wait_s : at_s;
}

static bool is_stale(const struct world *w, const struct world_plan *p, int64_t now_s)
{
	/* What waits to be begun may meanwhile be due for a later slot. */
	return p->rules != w->rules ||
	       (p->due ? now_s - p->judged_s >= REJUDGE_S || now_s < p->judged_s
	               : p->at_s <= now_s);
}

int64_t planner_pass(struct world *w, const struct planner_me *me, int64_t now_s)
{
	const struct world_shelf *s = &w->shelves[WORLD_CLAIMS];
	int64_t next = SCHED_NEVER;

	for (size_t i = 0; i < s->n; i++) {
		struct world_claim *c = (struct world_claim *)s->v[i];

		if (is_stale(w, &c->plan, now_s))
			judge(w, c, now_s);
	}
	/* Behind all of them, since a set's owner is found by its other members. */
	for (size_t i = 0; i < s->n; i++) {
		struct world_claim *c = (struct world_claim *)s->v[i];
		struct world_plan *p = &c->plan;

		if (p->due && p->pods != w->pods) {
			p->begins_s = me->begins ? begins(w, me, c) : SCHED_NEVER;
			p->pods = w->pods;
		}
		if (!p->due || p->begins_s > now_s)
			next = sooner(next, p->due ? p->begins_s : p->at_s);
	}
	return next;
}

/* ---- what begins ---- */

/* Members of one set under one policy, from `from` on: how many follow each other. */
static size_t members(struct world_claim *const *claims, const size_t *picked, size_t n,
                      size_t from)
{
	const struct world_plan *first = &claims[picked[from]]->plan;
	size_t i = from + 1;

	while (first->set && i < n && i - from < SNAPSHOT_SET_MAX) {
		const struct world_plan *p = &claims[picked[i]]->plan;

		if (!p->set || strcmp(p->set, first->set) != 0 || p->policy != first->policy)
			break;
		i++;
	}
	return i - from;
}

static bool takes_part(const struct world_claim *c, int64_t now_s)
{
	const struct world_plan *p = &c->plan;

	return p->running || (p->due && p->verdict == POLICY_PROTECTED && p->begins_s <= now_s);
}

int planner_pick(const struct world *w, int64_t now_s, size_t limit, struct planner_run *ret,
                 size_t max, size_t *ret_n, struct err *e)
{
	const struct world_shelf *s = &w->shelves[WORLD_CLAIMS];
	size_t n = 0;

	*ret_n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += takes_part((const struct world_claim *)s->v[i], now_s);
	if (n == 0)
		return 0;
	auto_free struct world_claim **claims = calloc(n, sizeof(struct world_claim *));
	auto_free struct sched_item *items = calloc(n, sizeof(struct sched_item));
	auto_free size_t *picked = calloc(n, sizeof(size_t));
	if (!claims || !items || !picked)
		return err_set(e, ERR_NOMEM, "no memory to choose what runs next");
	n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct world_claim *c = (struct world_claim *)s->v[i];

		if (!takes_part(c, now_s))
			continue;
		claims[n] = c;
		items[n++] = (struct sched_item){ .slot_s = c->plan.slot_s,
			                          .uid = c->uid,
			                          .set = c->plan.set ? c->plan.set : "",
			                          .running = c->plan.running };
	}
	const size_t npicked = sched_pick(items, n, limit, picked);
	for (size_t i = 0; i < npicked && *ret_n < max;) {
		struct planner_run *r = &ret[(*ret_n)++];

		*r = (struct planner_run){ .n = members(claims, picked, npicked, i) };
		r->policy = claims[picked[i]]->plan.policy;
		r->set = items[picked[i]].set;
		r->slot_s = SCHED_NONE;
		for (size_t k = 0; k < r->n; k++, i++) {
			r->claims[k] = claims[picked[i]];
			r->slot_s = later(r->slot_s, r->claims[k]->plan.slot_s);
		}
	}
	return 0;
}

void planner_began(struct world_claim *c)
{
	c->plan.running = true;
	c->plan.rules = 0;
}

void planner_ended(struct world_claim *c, enum planner_end how, const char *why, int64_t slot_s,
                   int64_t now_s)
{
	struct world_plan *p = &c->plan;

	p->running = false;
	p->rules = 0;
	free(p->own_why);
	p->own_why = how == PLANNER_FAILED && why ? strdup(why) : NULL;
	switch (how) {
	case PLANNER_DONE:
		p->own_done_s = later(p->own_done_s, slot_s);
		p->own_failures = 0;
		p->not_before_s = 0;
		break;
	case PLANNER_FAILED:
		p->own_tried_s = slot_s;
		p->own_ended_s = now_s;
		p->own_failures++;
		p->not_before_s = 0;
		break;
	case PLANNER_BUSY:
	default:
		p->not_before_s = now_s + PLANNER_BUSY_S;
		break;
	}
}

/* ---- reports ---- */

static bool old(const struct policy *p, const struct world_lease *l, int64_t now_s)
{
	return p->rpo_s > 0 && now_s - l->success_s > p->rpo_s;
}

bool planner_exposed(const struct world *w, const struct world_claim *c, int64_t now_s)
{
	const struct world_plan *p = &c->plan;
	const struct world_lease *l = world_lease_of(w, c);

	return !p->policy || p->verdict == POLICY_INVALID || !l || l->success_s == SCHED_NONE ||
	       old(p->policy, l, now_s);
}

/* Why the last run failed, if it did: what the Lease tells, or what only we know and is later. */
static const char *failure(const struct world_claim *c, const struct world_lease *l)
{
	const struct world_plan *p = &c->plan;

	if (p->own_why && (!l || l->ended_s == SCHED_NONE || l->ended_s <= p->own_ended_s))
		return p->own_why;
	return l && l->outcome == CLAIM_FAILED ? l->message : NULL;
}

struct planner_why planner_why(const struct world *w, const struct world_claim *c)
{
	const struct policy_claim view = world_view(w, c);
	const struct policy_choice choice = policy_choose(&w->list, w->agent_ns, &view);
	const struct world_lease *l = world_lease_of(w, c);
	const bool has = l && l->success_s != SCHED_NONE;
	const char *failed = failure(c, l);
	struct planner_why r = { .s = "" };

	if (choice.verdict != POLICY_PROTECTED)
		(void)snprintf(r.s, sizeof(r.s), "%s", choice.why);
	else if (!c->bound)
		(void)snprintf(r.s, sizeof(r.s), "it is not bound to a volume");
	else if (failed)
		(void)snprintf(r.s, sizeof(r.s), "%s its last run failed: %.500s",
		               has ? "its last restore point is too old, and"
		                   : "it has no restore point, and",
		               failed);
	else if (!has)
		(void)snprintf(r.s, sizeof(r.s), "it has no restore point yet");
	else
		(void)snprintf(r.s, sizeof(r.s), "its last restore point is of %s, older than %s",
		               now_rfc3339(l->success_s * 1000000000).s,
		               num_duration_text(choice.policy->rpo_s).s);
	return r;
}
