/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a preflight looks at in a cluster: lists of objects, cut down to the members that are
 * judged, and only those that have to do with the plan.
 */
#ifndef AKSDR_RESTORE_PREFLIGHT_FACTS_H
#define AKSDR_RESTORE_PREFLIGHT_FACTS_H

#include "restore/preflight.h"

enum preflight_kind {
	FACTS_CLASSES,    /* StorageClasses */
	FACTS_DRIVERS,    /* CSIDrivers */
	FACTS_NODES,      /* Nodes */
	FACTS_CAPACITIES, /* CSIStorageCapacities */
	FACTS_SNAPSHOTS,  /* VolumeSnapshotClasses */
	FACTS_NAMESPACES, /* of the plan, and the tool's */
	FACTS_QUOTAS,     /* ResourceQuotas in them */
	FACTS_CLAIMS,     /* claims in them that have a name of the plan */
	FACTS_VOLUMES     /* PersistentVolumes that were such a claim's, and are Released */
};
#define PREFLIGHT_KINDS 9
#define PREFLIGHT_OBJECTS_MAX 20000 /* of a kind, after those that do not matter are left out */

struct preflight_facts {
	json_t *lists[PREFLIGHT_KINDS]; /* arrays, owned; NULL: they could not be had */
	bool unknown[PREFLIGHT_KINDS];  /* the server does not know that kind */
	const char **namespaces; /* owned, of borrowed texts: of the plan, sorted, each once */
	size_t nnamespaces;
};
void preflight_facts_clear(struct preflight_facts *f);
#define auto_facts CLEANUP(preflight_facts_clear)

/*
 * Asks for all. What cannot be had is a finding, and judged no further. Errors as preflight_run().
 */
MUST_CHECK int preflight_facts_gather(const struct preflight_params *p, struct preflight_facts *ret,
                                      struct findings *l, struct err *e);

/* The object of a list by its name (and namespace, NULL: any). NULL: there is none. Borrowed. */
const json_t *preflight_facts_find(const struct preflight_facts *f, enum preflight_kind kind,
                                   const char *ns, const char *name);

#endif
