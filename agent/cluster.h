/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `doctor` looks at in a cluster: each right by itself, the resources, the policies, and which
 * class takes snapshots of each driver's volumes. Only asks, and changes nothing.
 */
#ifndef AKSDR_AGENT_CLUSTER_H
#define AKSDR_AGENT_CLUSTER_H

#include "agent/doctor.h"
#include "agent/rights.h"
#include "common/json.h"
#include "kube/kube.h"

#define CLUSTER_HOOKS_MAX 64 /* namespaces */
#define CLUSTER_GROUP "cluster"

struct cluster_examine {
	struct kube *kube;
	const char *ns;           /* the agent's */
	const char *const *hooks; /* namespaces whose pods run hooks; "all": any */
	size_t nhooks;
	bool page; /* there is a page for people */
	void (*tell)(void *arg, const char *group, const char *check,
	             const struct doctor_verdict *v);
	void *arg;
};

/*
 * All checks. -1: they could not be made (ERR_NOMEM, ERR_CANCELLED); that one of them failed is
 * told, and is 0. Blocks.
 */
MUST_CHECK int cluster_examine(const struct cluster_examine *x, struct err *e);

/* ---- judgements, pure ---- */

/* A right that is not given. ns: where it is missing, NULL: in all namespaces. */
struct doctor_verdict cluster_judge_missing(const struct rights_rule *rule, const char *verb,
                                            const char *ns);

/* classes: an array of all VolumeSnapshotClasses, borrowed. */
struct doctor_verdict cluster_judge_driver(const char *driver, const json_t *classes);

/* policies: how many there are. */
struct doctor_verdict cluster_judge_policies(size_t policies);

#endif
