/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the cluster that serves now stands still, and everything that it has written is in the
 * repository: nobody uses the claims, no backup of them runs, and each has a point that was begun
 * after that.
 */
#ifndef AKSDR_RESTORE_QUIESCE_H
#define AKSDR_RESTORE_QUIESCE_H

#include "kube/kube.h"
#include "restore/pick.h"

struct quiesce {
	struct kube *kube; /* of the cluster that serves now */
	const char *ns;    /* of the agent there */
	const struct cancel *cancel;
};

/*
 * Adds the claims there that fall under a selector and that have no point yet, as volumes of that
 * cluster without one: they would be lost. By namespace and name, as before.
 */
MUST_CHECK int quiesce_add_claims(const struct quiesce *q, const struct recipe_select *select,
                                  const char *cluster, struct picks *volumes, struct err *e);

/* ERR_BUSY: pods use some of the claims (the message names them), or a backup runs. */
MUST_CHECK int quiesce_check(const struct quiesce *q, const struct picks *volumes, struct err *e);

/*
 * Sequences of what there is when all stands still: {"NAMESPACE/NAME": N}. NULL: no memory; the
 * caller decrefs.
 */
json_t *quiesce_note(const struct picks *volumes);

/*
 * Which volumes have no point yet after that note, as text with ", " between them; "" when all have
 * one. Pure.
 */
void quiesce_lacking(const json_t *note, const struct picks *now, char *ret, size_t max);

#endif
