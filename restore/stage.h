/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volumes of one stage of a plan: filled and handed over, some at once. One that fails does not
 * hold the others up; what became of each is told.
 */
#ifndef AKSDR_RESTORE_STAGE_H
#define AKSDR_RESTORE_STAGE_H

#include "common/progress.h"
#include "restore/filler.h"
#include "restore/plan.h"

struct stage_volume {
	const struct plan_item *item; /* borrowed */
	struct filled filled;         /* when it is filled */
	bool is_filled, is_handed_over;
	bool is_standby; /* it was filled before, as a standby */
	struct err why;  /* of one that is not both */
	double fill_s, hand_over_s;
	uint64_t counted; /* bytes that the progress has of it */
};

struct stage_params {
	const struct filler *filler;
	const struct filler *standby; /* claims that follow the points already: copies of them */
	unsigned nstandby;            /* 0: none */
	bool stay;                    /* claims stay where they are filled: they stand by */
	const char *prefix;           /* before names of namespaces; "": none */
	const json_t *ns_labels;      /* of namespaces that are made; may be NULL */
	unsigned movers;              /* at once; 0: PLAN_MOVERS_DEFAULT */
	bool verify;                  /* read everything back from the volumes */
	bool take;                    /* claims that are there are taken, and get what differs */
	bool accept_gaps;             /* hand over what lacks something, too */
	struct progress_counts *counts;
};

/* Name of the namespace that an item's claim is in. */
#define STAGE_NS_MAX (KUBE_NAME_MAX + 32)
void stage_namespace(const struct stage_params *p, const struct plan_item *item,
                     char ret[STAGE_NS_MAX]);

/*
 * Those that are not blocked. -1: cancelled, or no memory; else see each volume.
 */
MUST_CHECK int stage_run(const struct stage_params *p, struct stage_volume *v, size_t n,
                         struct err *e);

#endif
