/* SPDX-License-Identifier: Apache-2.0 */
/* By what claims of a standby are known: their run is the plan's, and so their names stay. */
#ifndef AKSDR_RESTORE_STANDBY_NAME_H
#define AKSDR_RESTORE_STANDBY_NAME_H

#include "repo/run_log.h"
#include "restore/recipe.h"

#define STANDBY_ROLE "standby"

#define STANDBY_COPIES_MAX RECIPE_COPIES_MAX

/*
 * The run of restore/filler.h that all standby claims of a plan have; of a second copy of each
 * (copy 1) it is another one. Pure.
 */
void standby_run_of(const char *plan, unsigned copy, char ret[RUN_LOG_ID]);

#endif
