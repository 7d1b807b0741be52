/* SPDX-License-Identifier: Apache-2.0 */
/* Catalog files in tests: made, filled from a repository in memory, and read as text. */
#ifndef AKSDR_TESTS_UNIT_CATALOG_CATALOG_KIT_H
#define AKSDR_TESTS_UNIT_CATALOG_CATALOG_KIT_H

#include "catalog/catalog.h"
#include "catalog/sync.h"
#include "tests/harness/repo_kit.h"

#define KIT_NOW_NS (KIT_EPOCH_NS + 1000 * KIT_DAY_NS)

/* A new catalog DIR/NAME, open for writing. */
static inline struct catalog *kit_catalog(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct catalog *c = NULL;

	ok(catalog_open(path, CATALOG_WRITE, &c, e));
	return c;
}

static inline struct sync_result kit_sync(const struct kit *k, struct catalog *c)
{
	const struct sync_params p = { .now_ns = KIT_NOW_NS };
	struct sync_result r;

	ok(sync_run(c, k->audit, &p, &r, e));
	return r;
}

/* The rows of a statement, appended to b: columns with '|', rows with '\n'. */
static inline void kit_read_rows(struct catalog *c, const char *sql, struct buf *b)
{
	struct err err = ERR_INIT;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, &err);
	int rc;

	if (!s)
		fail_msg("%s", err.msg);
	while ((rc = catalog_step(c, s, &err)) > 0) {
		for (int i = 0; i < sqlite3_column_count(s); i++)
			(void)buf_printf(b, "%s%s", i ? "|" : "", catalog_text(s, i));
		(void)buf_str(b, "\n");
	}
	if (rc < 0)
		fail_msg("%s", err.msg);
}

static inline void assert_rows(struct catalog *c, const char *sql, const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * MIB);

	kit_read_rows(c, sql, &b);
	assert_string_equal(buf_cstr(&b), expected);
}

#endif
