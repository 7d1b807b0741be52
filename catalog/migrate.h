/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a database to the newest version, step by step, all or nothing. */
#ifndef AKSDR_CATALOG_MIGRATE_H
#define AKSDR_CATALOG_MIGRATE_H

#include "catalog/catalog.h"

struct migrate_step {
	int version; /* after it; ascending, from 1 */
	const char *sql;
};

/*
 * Applies the steps above the database's user_version in one transaction,
 * and sets application_id and user_version. Another program may have been
 * faster: that is success.
 *   ERR_FORMAT  the database is of a version above the last step
 */
MUST_CHECK int migrate_run(struct catalog *c, const struct migrate_step *steps, size_t n,
                           struct err *e);

/* user_version, or application_id, of the database. */
MUST_CHECK int migrate_pragma(struct catalog *c, const char *pragma, int *ret, struct err *e);

#endif
