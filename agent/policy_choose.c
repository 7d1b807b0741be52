/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy a claim falls under, and in a sentence why. */
#include "agent/policy.h"

#include <string.h>

static const char *text_at(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static bool says(const json_t *annotations, const char *key, const char *value)
{
	return strcmp(text_at(annotations, key), value) == 0;
}

bool policy_selects(const struct policy *p, const char *agent_ns, const struct policy_claim *c)
{
	const struct policy_select *s = &p->select;
	const char *class = c->storage_class ? c->storage_class : "";

	if (!p->selects || (strcmp(p->ns, agent_ns) != 0 && strcmp(p->ns, c->ns) != 0))
		return false;
	return fields_fit(&s->namespaces, &s->not_namespaces, c->ns) &&
	       fields_fit(&s->claims, &s->not_claims, c->name) &&
	       fields_fit(&s->classes, &s->not_classes, class) &&
	       selector_fits(&s->namespace_labels, c->ns_labels) &&
	       selector_fits(&s->claim_labels, c->labels);
}

static const struct policy *named(const struct policy_list *l, const char *ns, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->items[i]->name, name) == 0 && strcmp(l->items[i]->ns, ns) == 0)
			return l->items[i];
	}
	return NULL;
}

/* The first one of a namespace that selects the claim: by priority, then by name. */
static const struct policy *first(const struct policy_list *l, const char *ns, const char *agent_ns,
                                  const struct policy_claim *c)
{
	const struct policy *best = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct policy *p = l->items[i];

		if (strcmp(p->ns, ns) != 0 || !policy_selects(p, agent_ns, c))
			continue;
		if (!best || p->priority > best->priority ||
		    (p->priority == best->priority && strcmp(p->name, best->name) < 0))
			best = p;
	}
	return best;
}

/* Who has said that the claim is left out, or NULL. */
static const char *excluder(const struct policy_claim *c)
{
	if (says(c->annotations, "aksdr.io/protect", "false"))
		return "the claim";
	if (says(c->annotations, "aksdr.io/protect", "true"))
		return NULL;
	if (says(c->class_annotations, "aksdr.io/protect", "false"))
		return "its storage class";
	return says(c->ns_annotations, "aksdr.io/protect", "false") ? "its namespace" : NULL;
}

static struct policy_choice judge(const struct policy *p, const struct policy_claim *c)
{
	struct policy_choice r = { .verdict = POLICY_PROTECTED, .policy = p };

	if (p->invalid[0]) {
		r.verdict = POLICY_INVALID;
		(void)snprintf(r.why, sizeof(r.why), "policy '%.63s/%.253s' has a mistake: %.400s",
		               p->ns, p->name, p->invalid);
	} else if (says(c->annotations, "aksdr.io/paused", "true")) {
		r.verdict = POLICY_PAUSED;
		(void)snprintf(r.why, sizeof(r.why),
		               "paused by the annotation aksdr.io/paused on the claim");
	} else if (p->paused) {
		r.verdict = POLICY_PAUSED;
		(void)snprintf(r.why, sizeof(r.why), "policy '%s/%s' is paused", p->ns, p->name);
	} else {
		(void)snprintf(r.why, sizeof(r.why), "protected by policy '%s/%s'", p->ns, p->name);
	}
	return r;
}

struct policy_choice policy_choose(const struct policy_list *l, const char *agent_ns,
                                   const struct policy_claim *c)
{
	const char *by = excluder(c);
	struct policy_choice r = { .verdict = POLICY_EXCLUDED };
	const struct policy *p;

	if (by) {
		(void)snprintf(r.why, sizeof(r.why),
		               "left out by the annotation aksdr.io/protect on %s", by);
		return r;
	}
	const char *on_claim = text_at(c->annotations, "aksdr.io/policy");
	const char *name = *on_claim ? on_claim : text_at(c->ns_annotations, "aksdr.io/policy");
	if (*name) {
		p = named(l, c->ns, name);
		if (!p)
			p = named(l, agent_ns, name);
		if (p)
			return judge(p, c);
		r.verdict = POLICY_NONE;
		(void)snprintf(r.why, sizeof(r.why),
		               "the annotation aksdr.io/policy on %s names '%.253s', and there is "
		               "no such policy in '%.63s' or '%.63s'",
		               *on_claim ? "the claim" : "its namespace", name, c->ns, agent_ns);
		return r;
	}
	p = first(l, c->ns, agent_ns, c);
	if (!p)
		p = first(l, agent_ns, agent_ns, c);
	if (p)
		return judge(p, c);
	r.verdict = POLICY_NONE;
	(void)snprintf(r.why, sizeof(r.why), "no policy selects it");
	return r;
}

struct policy_set_name policy_set_of(const struct policy *p, const struct policy_claim *c)
{
	const char *value = *p->set_label ? text_at(c->labels, p->set_label) : "";
	struct policy_set_name name = { .s = "" };

	if (*value)
		(void)snprintf(name.s, sizeof(name.s), "%.63s/%.317s=%.63s", c->ns, p->set_label,
		               value);
	for (size_t i = 0; i < p->nsets; i++) {
		for (size_t j = 0; j < p->sets[i].n; j++) {
			if (strcmp(p->sets[i].v[j], c->name) == 0)
				(void)snprintf(name.s, sizeof(name.s), "%.63s/sets[%zu]", c->ns, i);
		}
	}
	return name;
}

const char *policy_verdict_name(enum policy_verdict v)
{
	static const char *const names[] = { [POLICY_PROTECTED] = "protected",
		                             [POLICY_PAUSED] = "paused",
		                             [POLICY_EXCLUDED] = "excluded",
		                             [POLICY_NONE] = "none",
		                             [POLICY_INVALID] = "invalid" };

	return names[v];
}
