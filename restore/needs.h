/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights at the secondary that a restore needs of who runs it, in one table, and asking for
 * them. Nothing in the cluster has them for long: they are those of the kubeconfig that is used.
 */
#ifndef AKSDR_RESTORE_NEEDS_H
#define AKSDR_RESTORE_NEEDS_H

#include "kube/kube.h"
#include "restore/finding.h"
#include "restore/recipe.h"

enum needs_where {
	NEEDS_CLUSTER, /* in all namespaces */
	NEEDS_OWN,     /* in the tool's namespace */
	NEEDS_TARGETS  /* in those that are restored to */
};

struct needs_rule {
	enum needs_where where;
	const char *group;    /* "" is the core */
	const char *resource; /* with its subresource, as "pods/log" */
	const char *verbs;    /* one blank between them */
	const char *lost;     /* what does not work without them, for people */
	bool must;            /* without it nothing is restored */
};

/* All of them; *ret_n is how many. Static. */
const struct needs_rule *needs_rules(size_t *ret_n);

/*
 * Asks for each of them; what is missing is a finding. ns: the tool's; targets: n namespaces that
 * are restored to, which need not be there. Errors as kube_post().
 */
MUST_CHECK int needs_look(struct kube *k, const char *ns, const char *const *targets, size_t n,
                          struct findings *l, struct err *e);

/* The same for what the plan's gates and hooks look at, in the namespaces that they name. */
MUST_CHECK int needs_gates(struct kube *k, const struct recipe *r, struct findings *l,
                           struct err *e);

#endif
