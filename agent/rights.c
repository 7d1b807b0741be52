/* SPDX-License-Identifier: Apache-2.0 */
/* A table; the rules of the chart say why each verb is there, this one what is lost without. */
#include "agent/rights.h"

#include "common/clean.h"

#define SNAPSHOT "snapshot.storage.k8s.io"

static const struct rights_rule rules[] = {
	{ RIGHTS_CLUSTER, "", "persistentvolumeclaims", "get list watch patch",
	  "claims are not seen, or do not say which point is their newest" },
	{ RIGHTS_CLUSTER, "", "persistentvolumes", "get list create patch delete",
	  "volumes are not known and nothing is backed up, or those without snapshots are not, or "
	  "what was made is not removed" },
	{ RIGHTS_CLUSTER, "", "namespaces", "list watch",
	  "policies cannot select by namespace, and nothing is backed up" },
	{ RIGHTS_CLUSTER, "", "pods", "list watch",
	  "who uses a claim is not known, and nothing is backed up" },
	{ RIGHTS_CLUSTER, "apps", "statefulsets", "list",
	  "there is no inventory of what is protected in the cluster, and what is not" },
	{ RIGHTS_CLUSTER, "storage.k8s.io", "storageclasses", "list watch",
	  "what is left out by its class is not known, and nothing is backed up" },
	{ RIGHTS_CLUSTER, SNAPSHOT, "volumesnapshotclasses", "list",
	  "no snapshots are taken: points are fuzzy" },
	{ RIGHTS_CLUSTER, SNAPSHOT, "volumesnapshots", "get list create patch delete",
	  "no snapshots are taken, so that points are fuzzy, or they are not kept or removed" },
	{ RIGHTS_CLUSTER, SNAPSHOT, "volumesnapshotcontents", "get list create patch delete",
	  "snapshots cannot be read, so that points are fuzzy, or they are not removed" },
	{ RIGHTS_CLUSTER, "aksdr.io", "backuppolicies", "list watch",
	  "there are no policies, and nothing is backed up" },
	{ RIGHTS_CLUSTER, "aksdr.io", "backuppolicies/status", "patch",
	  "policies do not say what is protected" },
	{ RIGHTS_CLUSTER, "events.k8s.io", "events", "create patch",
	  "claims do not say what came of their backups" },
	{ RIGHTS_OWN, "coordination.k8s.io", "leases", "get list watch create update",
	  "two agents could back one volume up at once, so none does" },
	{ RIGHTS_OWN, "", "persistentvolumeclaims", "create delete",
	  "snapshots cannot be read, so that points are fuzzy, or clones are not removed" },
	{ RIGHTS_OWN, "", "pods", "get create delete",
	  "movers cannot be started, and nothing is backed up, or they are not removed" },
	{ RIGHTS_OWN, "", "pods/log", "get", "what a mover says is not seen" },
	{ RIGHTS_HOOKS, "", "pods/exec", "get create",
	  "hooks fail, and with them points that need one" },
	{ RIGHTS_PAGE, "authentication.k8s.io", "tokenreviews", "create",
	  "whose token it is cannot be asked, and nobody sees the page" },
	{ RIGHTS_PAGE, "authorization.k8s.io", "subjectaccessreviews", "create",
	  "whether somebody may see the page cannot be asked, and nobody does" },
};

const struct rights_rule *rights_rules(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(rules);
	return rules;
}
