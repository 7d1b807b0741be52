/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes whose claims the primary did not have any more: by the newest inventory of it that the
 * repository has (repo/inventory.h). Their points stay as long as retention keeps them, and
 * a plan of a whole namespace has them all; who reads it should know which ones are of the past. It
 * is a hint, and decides nothing that is restored.
 */
#ifndef AKSDR_RESTORE_GONE_H
#define AKSDR_RESTORE_GONE_H

#include "repo/inventory.h"
#include "restore/finding.h"
#include "restore/plan.h"

#define GONE_READ_MAX 64 /* records that are read until there is one of the cluster */

struct gone {
	struct inventory inventory;
	bool known; /* there is one, and it has everything */
};
void gone_clear(struct gone *g);
#define auto_gone CLEANUP(gone_clear)

/*
 * Reads the newest inventory of the cluster; g is all zeros before. One LIST, and a GET for each
 * record that is newer and of other clusters. None is success, and nothing is gone then. Errors of
 * the store.
 */
MUST_CHECK int gone_find(const struct repo *r, const char *cluster, struct gone *g, struct err *e);

/* Whether the volume's claim was looked for after its newest point, and not there. Pure. */
bool gone_is(const struct gone *g, const struct pick *k);

/* A warning for each volume of the plan that is gone. Pure. */
void gone_tell(const struct gone *g, const struct plan *p, struct findings *l);

#endif
