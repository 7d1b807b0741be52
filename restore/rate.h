/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a plan will go: by what its runs and drills have taken, as their journals say, and where
 * there was none yet, by reading some packs of the store.
 */
#ifndef AKSDR_RESTORE_RATE_H
#define AKSDR_RESTORE_RATE_H

#include "repo/repo.h"
#include "restore/plan.h"

#define RATE_START_S 15 /* until a claim has a volume and a mover reads, where none was measured */
#define RATE_HAND_OVER_S 10 /* the same of handing a volume over */
#define RATE_SAMPLE_BYTES (64 * MIB)
#define RATE_SAMPLE_MS 4000

enum rate_source { RATE_UNKNOWN, RATE_STORE, RATE_RUN };

struct rates {
	struct plan_rates plan;
	enum rate_source source;
	char run[33];  /* that it was measured by */
	int64_t at_ns; /* when */
};

/*
 * The newest run of this plan, where that has restored something; else the store is read, for some
 * seconds at most. A store of which nothing can be read is RATE_UNKNOWN. ERR_NOMEM, ERR_CANCELLED,
 * and what run_log_list() says.
 */
MUST_CHECK int rate_find(const struct repo *r, const char *plan, struct rates *ret, struct err *e);

/*
 * What a run puts into its journal of a volume that it restored, as members of `o`, and what
 * rate_find() reads: bytes of the point, seconds until the mover was done, and for handing over.
 */
MUST_CHECK json_t *rate_record(uint64_t bytes, uint64_t mover_ms, double fill_s,
                               double hand_over_s);

#endif
