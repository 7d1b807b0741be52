/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan comes to now: points, claims, time, and what stands in its way. Writes nothing. */
#ifndef AKSDR_RESTORE_OUTLOOK_H
#define AKSDR_RESTORE_OUTLOOK_H

#include "restore/finding.h"
#include "restore/plan.h"
#include "restore/rate.h"
#include "restore/scope.h"

struct outlook_params {
	const struct scope *scope;
	bool rates;     /* how fast it goes is looked up, or measured */
	bool preflight; /* the cluster is asked, where there is one */
	bool fences;    /* the key must be able to fence the primary */
	bool images;    /* and registries are asked */
	const char *registry_config, *registry_ca, *account; /* or NULL */
};

struct outlook {
	struct picks picks;
	struct rates rates;
	struct plan plan;
	struct findings findings; /* in order */
};
void outlook_clear(struct outlook *o);
#define auto_outlook CLEANUP(outlook_clear)

/* Must not be moved afterwards: its plan points into it. Clear also after a failure. */
MUST_CHECK int outlook_make(const struct repo *r, const struct outlook_params *p,
                            struct outlook *ret, struct err *e);

/* Findings as people read them, a paragraph each; only those that block, or all. */
void outlook_print(const struct findings *found, bool blocks_only, void *to_FILE);

#endif
