/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights in a cluster that the agent needs, in one table: `doctor` asks the API server for each
 * of them, and the chart gives them (helm/aksdr/files/rules-*.yaml). A test holds both against each
 * other, so a right that is added here is given there, and none is given that is not needed.
 */
#ifndef AKSDR_AGENT_RIGHTS_H
#define AKSDR_AGENT_RIGHTS_H

#include <stddef.h>

enum rights_where {
	RIGHTS_CLUSTER, /* in all namespaces */
	RIGHTS_OWN,     /* in the agent's namespace */
	RIGHTS_HOOKS,   /* where pods run hooks: in all namespaces, in some, or nowhere */
	RIGHTS_PAGE     /* where there is a page for people: in the cluster */
};

struct rights_rule {
	enum rights_where where;
	const char *group;    /* "" is the core */
	const char *resource; /* with its subresource, as "pods/log" */
	const char *verbs;    /* one blank between them */
	const char *lost;     /* what does not work without them, for people */
};

/* All of them; *ret_n is how many. Static. */
const struct rights_rule *rights_rules(size_t *ret_n);

#endif
