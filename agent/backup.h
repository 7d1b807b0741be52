/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of `aksdr-agent backup`: the views of all its volumes are taken together, each is read
 * to its restore point, and what came of it is printed and told.
 */
#ifndef AKSDR_AGENT_BACKUP_H
#define AKSDR_AGENT_BACKUP_H

#include "agent/backup_claims.h"
#include "agent/backup_options.h"
#include "common/verb.h"

/* Large: static, or on the heap. What is not said to be given is zero at first. */
struct backup {
	/* given */
	const struct verb_common *common;
	struct backup_options *options;
	struct point_volume volumes[BACKUP_VOLUMES_MAX];
	const char *paths[BACKUP_VOLUMES_MAX]; /* of each volume, or the origin of a claim */
	size_t n;
	struct backup_claims *claims; /* NULL: volumes are paths */
	/* what came of it */
	struct moment_volume views[BACKUP_VOLUMES_MAX];
	char sessions[BACKUP_VOLUMES_MAX][POINT_SESSION_LEN + 1]; /* of the points, in order */
	size_t done;
	uint64_t unreadable; /* entries, of all points */
	bool failed;
	struct err first; /* failure */
	/* The last point, for whoever gave the view: texts and numbers, no lists. */
	struct point last;
	struct store_traffic traffic; /* of this process and of movers */
};

/*
 * Backs up, prints the points that were made, writes the metrics. Logs what goes wrong with a
 * volume, since the others go on. How claims ended is told where it is known here; the caller's
 * backup_claims_end_all() tells it of the others.
 *   ERR_PARTIAL  something is missing: volumes, entries, locks
 * and what the first volume that failed says, when none was backed up.
 */
MUST_CHECK int backup_run(struct backup *b, struct err *e);

/*
 * What came of it to the file of the options, for whoever gave the view or started this. why: when
 * it failed; NULL: the claims were told, and it is only what was asked of the store.
 */
MUST_CHECK int backup_tell_result(const struct backup *b, const struct err *why, struct err *e);

#endif
