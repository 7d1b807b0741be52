/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the catalog as they are written; reading is SQL's. */
#ifndef AKSDR_CATALOG_ROW_H
#define AKSDR_CATALOG_ROW_H

#include "catalog/catalog.h"
#include "repo/check.h"
#include "repo/checked.h"
#include "repo/key.h"
#include "repo/point.h"

/*
 * The repository that this is a catalog of: noted when none is.
 *   ERR_INVALID  it is another one
 */
MUST_CHECK int row_bind_repository(struct catalog *c, const struct keys *k, struct err *e);

/*
 * Adds a restore point with its volume, whose tag is voltag. 1: added; 0: it
 * was there; -1 with e.
 */
MUST_CHECK int row_add_point(struct catalog *c, const struct point *p, const char voltag[17],
                             struct err *e);

/*
 * The result of a check; problems are those that were kept. One whose run is there already, by its
 * record in the store, is left as it is.
 */
struct row_check {
	const struct check_result *result;
	enum key_kind key_kind;
	const struct check_problem *problems;
	size_t nproblems;
};
MUST_CHECK int row_add_check(struct catalog *c, const struct row_check *check, struct err *e);

/* The last record of a check that is in the store. */
MUST_CHECK int row_add_record(struct catalog *c, const struct checked *record, struct err *e);

/*
 * Copies what somebody found out and the store has not, results of checks and looks at locks, from
 * another catalog file. When that is
 * damaged, or of another repository, nothing is copied.
 */
void row_copy_findings(struct catalog *c, const char *from_path);

#endif
