/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of drills that are kept in the repository (restore/drill_report.h). */
#ifndef AKSDR_RESTORE_DRILL_LIST_H
#define AKSDR_RESTORE_DRILL_LIST_H

#include "repo/repo.h"
#include "repo/run_log.h"
#include "restore/drill_report.h"

#define DRILL_RUNS_MAX 10000

struct drill_item {
	char run[RUN_LOG_ID];
	int64_t began_ns;
	json_t *report; /* owned; NULL: the drill has not come to its end */
};

struct drill_list {
	struct drill_item *v; /* owned; the newest first */
	size_t n, cap;
};
void drill_list_clear(struct drill_list *l);

/*
 * All drills of a plan (NULL: of all), or the one whose run begins with `run` (NULL: any). Records
 * that the admin has not signed say nothing.
 * Errors of run_log_list(), history_read(); ERR_TOO_BIG: more than DRILL_RUNS_MAX
 */
MUST_CHECK int drill_list_load(const struct repo *r, const char *plan, const char *run,
                               struct drill_list *ret, struct err *e);

#endif
