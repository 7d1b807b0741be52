/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of target namespaces it is first asked whether all may be used, so that a plan with many of them
 * is one question for an administrator.
 */
#include "restore/needs.h"

#include "kube/review.h"

static const struct needs_rule rules[] = {
	{ NEEDS_CLUSTER, "", "persistentvolumes", "get list patch",
	  "a volume that is filled cannot be handed over to its claim", true },
	{ NEEDS_CLUSTER, "", "namespaces", "get create",
	  "namespaces that are not there cannot be made", true },
	{ NEEDS_TARGETS, "", "persistentvolumeclaims", "get list create",
	  "claims cannot be made where they are wanted", true },
	{ NEEDS_CLUSTER, "", "persistentvolumes", "delete",
	  "volumes of a run that is given up are left behind", false },
	{ NEEDS_TARGETS, "", "persistentvolumeclaims", "delete",
	  "claims of a run that is given up are left behind", false },
	{ NEEDS_OWN, "", "persistentvolumeclaims", "get list create patch delete",
	  "there is nothing that can be filled", true },
	{ NEEDS_OWN, "", "pods", "get list create delete", "no mover can be started", true },
	{ NEEDS_OWN, "", "pods/log", "get", "what a mover says is not seen", false },
	{ NEEDS_OWN, "", "configmaps", "list create",
	  "the template of movers is not found, and the run has no journal in the cluster", true },
	{ NEEDS_OWN, "", "configmaps", "delete", "approvals of gates are left behind", false },
	{ NEEDS_OWN, "", "secrets", "create delete", "movers get no key", true },
	{ NEEDS_CLUSTER, "aksdr.io", "restoreplans", "get list",
	  "plans in the cluster cannot be named", false },
};

/* of gates, by their kind, in the namespace that they name */
static const struct {
	enum recipe_gate_kind kind;
	struct needs_rule rule;
} gate_rules[] = {
	{ RECIPE_COMMAND,
	  { NEEDS_TARGETS, "", "pods", "list", "the pod of a gate's command is not found", true } },
	{ RECIPE_COMMAND,
	  { NEEDS_TARGETS, "", "pods/exec", "create get", "a gate's command cannot be run",
	    true } },
	{ RECIPE_JOB,
	  { NEEDS_TARGETS, "batch", "jobs", "get", "the Job of a gate is not seen", true } },
};

const struct needs_rule *needs_rules(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(rules);
	return rules;
}

struct look {
	const struct needs_rule *rule;
	const char *ns; /* NULL: in the cluster */
	struct findings *l;
};

static void missing(void *arg, const char *verb)
{
	const struct look *k = arg;
	const struct needs_rule *r = k->rule;
	const char *dot = r->group[0] ? "." : "";
	struct finding *f = finding_add(k->l, r->must ? FINDING_BLOCK : FINDING_WARNING,
	                                "RightMissing", "%s %s%s%s%s%s", verb, r->resource, dot,
	                                r->group, k->ns ? " in " : "", k->ns ? k->ns : "");

	finding_what(f, "who runs this may not, and so %s", r->lost);
	finding_remedy(f, "use a kubeconfig of somebody who may, or bind a role to this one");
}

/* One rule in one namespace. tell: what is missing is a finding. */
static int ask(struct kube *k, struct look *look, bool tell, unsigned *ret_missing, struct err *e)
{
	const struct review_verbs v = { .group = look->rule->group,
		                        .resource = look->rule->resource,
		                        .verbs = look->rule->verbs,
		                        .ns = look->ns,
		                        .missing = tell ? missing : NULL,
		                        .arg = look };
	unsigned asked;

	return review_self_verbs(k, &v, &asked, ret_missing, e);
}

static int ask_targets(struct kube *k, struct look *look, const char *const *targets, size_t n,
                       struct err *e)
{
	unsigned lacking;

	if (ask(k, look, false, &lacking, e) < 0)
		return -1;
	for (size_t i = 0; i < n && lacking > 0; i++) {
		unsigned here;

		look->ns = targets[i];
		if (ask(k, look, true, &here, e) < 0)
			return -1;
	}
	return 0;
}

int needs_look(struct kube *k, const char *ns, const char *const *targets, size_t n,
               struct findings *l, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct look look = { .rule = &rules[i], .l = l };
		unsigned lacking;

		if (rules[i].where == NEEDS_OWN)
			look.ns = ns;
		if ((rules[i].where == NEEDS_TARGETS ? ask_targets(k, &look, targets, n, e)
		                                     : ask(k, &look, true, &lacking, e)) < 0)
			return -1;
	}
	return 0;
}

/* Whether one before it, of the stage or of those before, asks for the same. */
static bool asked_before(const struct recipe *r, const struct recipe_gate *g)
{
	for (size_t i = 0; i < r->nstages; i++)
		for (unsigned side = 0; side < 2; side++) {
			const struct recipe_gates *of = side ? &r->stages[i].hooks
			                                     : &r->stages[i].gates;

			for (size_t j = 0; j < of->n; j++) {
				if (&of->v[j] == g)
					return false;
				/* Kinds that have rules have namespaces. */
				if (of->v[j].kind == g->kind && strcmp(of->v[j].ns, g->ns) == 0)
					return true;
			}
		}
	return false;
}

static int ask_gates(struct kube *k, const struct recipe *r, const struct recipe_gates *of,
                     struct findings *l, struct err *e)
{
	for (size_t i = 0; i < of->n; i++) {
		const struct recipe_gate *g = &of->v[i];

		for (size_t j = 0; j < ARRAY_LEN(gate_rules); j++) {
			struct look look = { .rule = &gate_rules[j].rule, .ns = g->ns, .l = l };
			unsigned lacking;

			if (gate_rules[j].kind == g->kind && !asked_before(r, g) &&
			    ask(k, &look, true, &lacking, e) < 0)
				return -1;
		}
	}
	return 0;
}

int needs_gates(struct kube *k, const struct recipe *r, struct findings *l, struct err *e)
{
	for (size_t i = 0; i < r->nstages; i++)
		if (ask_gates(k, r, &r->stages[i].gates, l, e) < 0 ||
		    ask_gates(k, r, &r->stages[i].hooks, l, e) < 0)
			return -1;
	return 0;
}
