/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations. The version is read again inside the transaction, which keeps other writers out. */
#include "catalog/migrate.h"

#include <string.h>

#include "common/buf.h"

int migrate_pragma(struct catalog *c, const char *pragma, int *ret, struct err *e)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA %s", pragma);
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);
	if (!s)
		return -1;
	int rc = catalog_step(c, s, e);
	if (rc < 0)
		return -1;
	*ret = rc > 0 ? sqlite3_column_int(s, 0) : 0;
	return 0;
}

static int set_pragma(struct catalog *c, const char *pragma, int value, struct err *e)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA %s = %d", pragma, value);
	return catalog_exec(c, sql, e);
}

int migrate_run(struct catalog *c, const struct migrate_step *steps, size_t n, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	int newest = n ? steps[n - 1].version : 0;
	int version;

	if (migrate_pragma(c, "user_version", &version, e) < 0)
		return -1;
	if (version == newest)
		return 0;
	if (catalog_tx_begin(&tx, c, e) < 0 || migrate_pragma(c, "user_version", &version, e) < 0)
		return -1;
	if (version > newest)
		return err_set(
			e, ERR_FORMAT,
			"the catalog '%s' is of version %d, this program knows versions up to %d: "
			"use the newer program, or another file",
			c->path, version, newest);
	for (size_t i = 0; i < n; i++) {
		if (steps[i].version > version && catalog_exec(c, steps[i].sql, e) < 0)
			return err_wrap(e, "bringing the catalog '%s' from version %d to %d",
			                c->path, version, steps[i].version);
	}
	if (set_pragma(c, "application_id", CATALOG_APPLICATION_ID, e) < 0 ||
	    set_pragma(c, "user_version", newest, e) < 0)
		return -1;
	return catalog_tx_commit(&tx, e);
}
