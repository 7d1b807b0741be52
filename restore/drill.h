/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan is tried (docs/REGIONS.md): choose, restore into namespaces of the drill, verify, check,
 * judge, keep the report, take all of it away. One thread, but for those that restore.
 */
#ifndef AKSDR_RESTORE_DRILL_H
#define AKSDR_RESTORE_DRILL_H

#include "common/progress.h"
#include "restore/movers.h"
#include "restore/drill_report.h"
#include "restore/scope.h"

#define DRILL_LEASE "aksdr-drill"

struct drill_params {
	const struct scope *scope;                 /* opened, with a cluster */
	struct repo *repo;                         /* that contents can be read from */
	const char *store, *key, *passphrase_file; /* for movers */
	struct movers_options movers;
	bool keep; /* leave the namespaces as they are */
	enum progress_mode progress;
	const struct cancel *cancel;
};

struct drill; /* one that has been run */

/*
 * Runs it. 0: *ret has its report, also of one that was broken off by an error, which is one of the
 * reasons why it did not pass; -1: there is none.
 *   ERR_BUSY       another drill is going on in the cluster
 *   ERR_CANCELLED  what it has made was taken away
 *   others         of the API server and the repository, before anything was made; of keeping the
 *                  report
 * What could not be taken away is logged, and told by *ret_left.
 */
MUST_CHECK int drill_run(const struct drill_params *p, struct drill **ret, struct err *ret_left,
                         struct err *e);
void drill_free(struct drill *d);
static inline void clean_drill(struct drill *const *d)
{
	drill_free(*d);
}
#define auto_drill CLEANUP(clean_drill)

/* Borrowed from it. */
const struct drill_report *drill_result(const struct drill *d);

#endif
