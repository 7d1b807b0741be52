/* SPDX-License-Identifier: Apache-2.0 */
/* See retention.h. */
#include "agent/retention.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"

bool retention_due(const struct retention_clock *c, uint64_t rules, int64_t now_s)
{
	if (!c->ran)
		return true;
	/* A clock that was put back would else keep it waiting. */
	if (now_s >= c->ran_s && now_s - c->ran_s < RETENTION_EVERY_S)
		return false;
	return c->came || c->failed || c->rules != rules;
}

void retention_clear(struct retention *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].ns);
		free(t->v[i].name);
		free(t->v[i].why);
	}
	free(t->v);
	*t = (struct retention){ .n = 0 };
}

int retention_read(const struct world *w, struct retention *ret, struct err *e)
{
	CLEANUP(retention_clear) struct retention t = { .n = 0 };

	t.v = calloc(w->list.n + 1, sizeof(*t.v));
	for (size_t i = 0; t.v && i < w->list.n; i++) {
		const struct policy *p = w->list.items[i];

		if (*p->invalid || !p->retains)
			continue;
		struct retention_rule *rule = &t.v[t.n++];
		rule->ns = strdup(p->ns);
		rule->name = strdup(p->name);
		rule->policy = p->retention;
		(void)snprintf(rule->policy.name, sizeof(rule->policy.name), "%s/%s", p->ns,
		               p->name);
		if (!rule->ns || !rule->name)
			return err_set(e, ERR_NOMEM, "no memory for retention policies");
	}
	if (!t.v)
		return err_set(e, ERR_NOMEM, "no memory for retention policies");
	*ret = t;
	t = (struct retention){ .n = 0 };
	return 0;
}

struct retention_rule *retention_find(const struct retention *t, const char *ns, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->v[i].ns, ns) == 0 && strcmp(t->v[i].name, name) == 0)
			return &t->v[i];
	}
	return NULL;
}

struct retention_rule *retention_of(const struct retention *t, const struct world *w,
                                    const char *ns, const char *claim)
{
	const struct world_claim *c = world_claim(w, ns, claim);

	if (!c || c->leaving)
		return NULL;
	const struct policy_claim view = world_view(w, c);
	const struct policy_choice choice = policy_choose(&w->list, w->agent_ns, &view);
	if (choice.verdict != POLICY_PROTECTED)
		return NULL;
	return retention_find(t, choice.policy->ns, choice.policy->name);
}

void retention_fails(struct retention_rule *rule, const char *why)
{
	if (!rule->why)
		rule->why = strdup(why);
}
