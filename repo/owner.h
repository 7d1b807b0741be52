/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who serves a plan (docs/REGIONS.md; docs/FORMAT.md 17): a chain of records
 * for each plan, of which the newest counts. Where there is none the plan's
 * primary does. A record says nothing of who may still back up: that is what
 * fences are for, and a failover fences before it promotes.
 *
 * All key files can read them; the admin alone makes them, and what somebody
 * else has signed there says nothing.
 */
#ifndef AKSDR_REPO_OWNER_H
#define AKSDR_REPO_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/chain.h"
#include "repo/point.h"

#define OWNER_SCHEMA "aksdr/owner/v1"
#define OWNER_PREFIX "ctl/owner"
#define OWNER_PLAN_MAX 254   /* bytes of a plan's name, with a NUL */
#define OWNER_REASON_MAX 256 /* with a NUL */

struct owner {
	uint64_t n; /* number of the record; 0: there is none */
	char plan[OWNER_PLAN_MAX];
	char cluster[POINT_NAME_MAX]; /* that serves from then on */
	char run[33];                 /* that it came of (repo/run_log.h); "": by hand */
	char reason[OWNER_REASON_MAX];
	int64_t at_ns;  /* by the clock of who put it */
	uint64_t epoch; /* fence_epoch() when it was put: of the fence that it came with, if any */
	struct note_actor actor;
};

/* ERR_INVALID unless it is a name as Kubernetes has them: labels of a-z, 0-9, '-', with dots. */
MUST_CHECK int owner_check_plan(const char *plan, struct err *e);

/* The chain of a plan, of which nothing was read yet. ERR_INVALID, ERR_DENIED */
MUST_CHECK int owner_open(const struct repo *r, const char *plan, struct chain *ret, struct err *e);

/*
 * What record o->n of the chain with this tag says. ERR_FORMAT: it is none, or of another plan.
 */
MUST_CHECK int owner_decode(const struct repo *r, const char *tag, const json_t *record,
                            struct owner *o, struct err *e);

/*
 * Reads what came since, and replaces *o by the newest record, if there is one; o is all zeros
 * before the first call. One request when nothing came.
 *   ERR_FORMAT  a record of the admin is none of this plan
 *   others      of chain_read()
 */
MUST_CHECK int owner_newest(const struct repo *r, struct chain *c, struct owner *o, struct err *e);

/*
 * Puts o as the newest record, by the admin's recovery key; n, at_ns, epoch and actor are set
 * here. The chain must have been read to its end.
 *   ERR_DENIED   r's key is not the admin's
 *   ERR_INVALID  no cluster, no reason, or texts that are too long or no UTF-8
 *   ERR_BUSY     somebody else has put one meanwhile
 */
MUST_CHECK int owner_change(const struct repo *r, struct chain *c, struct owner *o, struct err *e);

#endif
