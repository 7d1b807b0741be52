/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of a plan share: their options, the plan itself (a file, one of the cluster, or
 * none, but what the options say), and the cluster.
 */
#ifndef AKSDR_RESTORE_SCOPE_H
#define AKSDR_RESTORE_SCOPE_H

#include "common/verb.h"
#include "kube/kube.h"
#include "restore/pick.h"
#include "restore/plan.h"
#include "restore/recipe.h"

#define SCOPE_NAMESPACE "aksdr"
#define SCOPE_LIST_MAX 256

enum {
	SCOPE_OPT_FROM = 512,
	SCOPE_OPT_NAMESPACES,
	SCOPE_OPT_VOLUMES,
	SCOPE_OPT_MAP_NAMESPACE,
	SCOPE_OPT_MAP_CLASS,
	SCOPE_OPT_AS_OF,
	SCOPE_OPT_NEWEST,
	SCOPE_OPT_KUBECONFIG,
	SCOPE_OPT_CONTEXT,
	SCOPE_OPT_NAMESPACE,
	SCOPE_OPT_MOVERS
};

/* Rows of a verb's table of options. */
#define SCOPE_OPTIONS                                                                              \
	{ "from", "CLUSTER", "without a plan: the cluster that the points are from",               \
	  SCOPE_OPT_FROM },                                                                        \
		{ "select-namespace", "PATTERN",                                                   \
		  "without a plan: only these namespaces; may be repeated",                        \
		  SCOPE_OPT_NAMESPACES },                                                          \
		{ "select-volume", "PATTERN",                                                      \
		  "without a plan: only these volumes, NAMESPACE/NAME; may be repeated",           \
		  SCOPE_OPT_VOLUMES },                                                             \
		{ "map-namespace", "OLD=NEW",                                                      \
		  "without a plan: another namespace; may be repeated", SCOPE_OPT_MAP_NAMESPACE }, \
		{ "map-class", "OLD=NEW",                                                          \
		  "without a plan: another storage class; may be repeated", SCOPE_OPT_MAP_CLASS }, \
		{ "as-of", "TIME", "no point that is newer", SCOPE_OPT_AS_OF },                    \
		{ "newest", NULL, "also points that the second region does not have yet",          \
		  SCOPE_OPT_NEWEST },                                                              \
		{ "kubeconfig", "FILE", "of the cluster that is restored to",                      \
		  SCOPE_OPT_KUBECONFIG },                                                          \
		{ "context", "NAME", "of the kubeconfig", SCOPE_OPT_CONTEXT },                     \
		{ "namespace", "NS", "of this program there; default: aksdr",                      \
		  SCOPE_OPT_NAMESPACE },                                                           \
	{                                                                                          \
		"movers", "N", "volumes at once; default: 4", SCOPE_OPT_MOVERS                     \
	}

struct scope_texts {
	const char *v[SCOPE_LIST_MAX];
	size_t n;
};

struct scope {
	/* from options */
	const char *from, *as_of, *kubeconfig, *context, *ns;
	struct scope_texts namespaces, volumes, map_namespaces, map_classes;
	bool newest;
	unsigned movers;
	/* opened; owned */
	struct recipe *recipe;
	struct kube *kube; /* NULL: there is none */
	int64_t as_of_ns;  /* of the option, else of the plan; 0: the newest */
};

/* Takes an option: 1; 0: it is none of these; -1 with ERR_INVALID. */
MUST_CHECK int scope_set(struct scope *s, int key, const char *value, struct err *e);

/*
 * Reads the plan: a file (it has a '/' or ends in .yaml, .yml or .json), the name of a RestorePlan
 * in the cluster, or, when plan is NULL, what --from and so on say. need_kube: no cluster is an
 * error; else s->kube stays NULL then, and the log tells why.
 *   ERR_INVALID, ERR_NOT_FOUND, and what recipe_load() and kube_get() say
 */
MUST_CHECK int scope_open(struct scope *s, const char *plan, bool need_kube,
                          const struct cancel *cancel, struct err *e);
void scope_close(struct scope *s);

/*
 * The same plan as it is now, for who stays: the caller frees it, before the scope is closed.
 * ERR_INVALID: it has another name; else as scope_open().
 */
MUST_CHECK int scope_again(const struct scope *s, const char *plan, struct recipe **ret,
                           struct err *e);

/* picks_make() with what the scope says; whole: as there. */
MUST_CHECK int scope_pick(const struct scope *s, const struct repo *r, bool whole,
                          struct picks *ret, struct err *e);

#endif
