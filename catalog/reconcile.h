/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a failover: the catalog knows what there was, the store says what
 * there is. Which points survived, which of them are whole, which were lost,
 * and how much of each volume that is. Points are marked, never removed.
 */
#ifndef AKSDR_CATALOG_RECONCILE_H
#define AKSDR_CATALOG_RECONCILE_H

#include "catalog/sync.h"

struct reconcile_params {
	int64_t now_ns;
	unsigned threads;               /* 0: as many as sync and check choose */
	unsigned level;                 /* of the check that tells what is whole: 0 or 1 */
	bool accept;                    /* the losses are taken for what they are */
	struct progress_counts *counts; /* may be NULL */
};

struct reconcile_result {
	uint64_t survived;     /* points that are there and whole */
	uint64_t incomplete;   /* that are there, and something that they name is not */
	uint64_t lost;         /* that were there, and are not; those accepted before aside */
	uint64_t added;        /* that the catalog did not know */
	uint64_t sessions;     /* that did not end */
	uint64_t packs, bytes; /* that nothing names: of lost points and of those sessions */
	uint64_t problems;     /* that the check found */
	int64_t number;        /* of the row in `reconciliations` */
};

/*
 * Brings the catalog up to date, checks which points are whole, marks those that are not and notes
 * the result. With accept the lost ones are marked as accepted: anomalies about them are resolved.
 * Errors as sync_run() and check_run().
 */
MUST_CHECK int reconcile_run(struct catalog *c, const struct repo *r,
                             const struct reconcile_params *params, struct reconcile_result *ret,
                             struct err *e);

/*
 * A row a volume that has points which were not expired: volume, survived, incomplete, lost, and in
 * ns the freeze times of the newest whole one and of the newest lost or incomplete one that is
 * newer; then the ns between them, or since the oldest such point's start where nothing is left.
 * Parameter ?1: 0: losses that were not accepted; else those of that reconciliation.
 */
extern const char reconcile_volumes_sql[];

/* Points that are lost or incomplete: state, volume, session, frozen_ns, received_ns. ?1: same. */
extern const char reconcile_points_sql[];

#endif
