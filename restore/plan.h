/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan as it can be run: each volume with its point, and what its claim becomes at the secondary;
 * in which order, how long that takes, and what is lost. Pure: from what is written
 * (restore/recipe.h) and what there is (restore/pick.h). Old node affinity is never replayed: a
 * zone is asked for only where the plan says which one.
 */
#ifndef AKSDR_RESTORE_PLAN_H
#define AKSDR_RESTORE_PLAN_H

#include "repo/claim.h"
#include "restore/finding.h"
#include "restore/pick.h"
#include "restore/recipe.h"

#define PLAN_ZONE_MAX 128
#define PLAN_MOVERS_DEFAULT 4

/* Texts are borrowed from the picks and the recipe, unless said otherwise. */
struct plan_item {
	const struct pick *pick;
	const char *ns, *name;     /* of the claim at the secondary */
	const char *storage_class; /* "": its default */
	uint64_t size_bytes;
	const char *modes[CLAIM_MODES_MAX];
	size_t nmodes;
	char zones[CLAIM_ZONES_MAX][PLAN_ZONE_MAX];
	size_t nzones;
	char **images; /* owned; with the secondary's registry */
	size_t nimages;
	size_t stage;   /* of the recipe; nstages: the last one, without a name */
	int64_t loss_s; /* from the point's moment until now, or the time that was asked for */
	double seconds; /* that its restore takes */
	bool blocked;   /* it has no point, or its name is another's, too */
};

struct plan_rates {
	double mover_bytes_s; /* of one mover; 0: not known */
	double all_bytes_s;   /* of all together; 0: not known */
	double start_s;       /* until a mover reads */
	double hand_over_s;   /* of a volume that is filled */
	unsigned movers;      /* at once; 0: PLAN_MOVERS_DEFAULT */
};

struct plan {
	const struct recipe *recipe;
	struct plan_item *items; /* owned; by stage, then by namespace and name */
	size_t n;
	size_t blocked;
	uint64_t bytes;
	int64_t loss_s; /* the greatest of all; -1: there is nothing to restore */
	double seconds; /* of all stages, without waiting at gates; 0: not known */
};
void plan_clear(struct plan *p);
#define auto_plan CLEANUP(plan_clear)

/*
 * recipe and picks are borrowed for as long as the plan lives. now_ns: what losses are counted to
 * where no time was asked for. What somebody should know goes into findings. ERR_NOMEM
 */
MUST_CHECK int plan_make(const struct recipe *r, const struct picks *picks,
                         const struct plan_rates *rates, int64_t now_ns, int64_t as_of_ns,
                         struct plan *ret, struct findings *findings, struct err *e);

/* The stage's name; "" of the last one. */
const char *plan_stage_name(const struct plan *p, size_t stage);

#endif
