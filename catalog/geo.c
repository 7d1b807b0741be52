/* SPDX-License-Identifier: Apache-2.0 */
/* See geo.h. */
#include "catalog/geo.h"

#include <string.h>

#include "store/compare.h"

const char *geo_kind_name(enum store_cut_kind kind)
{
	static const char *const names[] = {
		[CUT_NONE] = NULL,
		[CUT_UNKNOWN] = "unknown",
		[CUT_LAST_SYNC] = "last_sync",
		[CUT_COMPARED] = "compared",
		[CUT_REPLICATION] = "replication",
	};

	return names[kind];
}

/* The highest cut of before; 0: none. */
static int highest(struct catalog *c, int64_t *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "SELECT coalesce(max(cut_ns), 0) FROM cuts WHERE kind <> 'unknown'",
	                        e);

	if (!s || catalog_step(c, s, e) < 0)
		return -1;
	*ret = sqlite3_column_int64(s, 0);
	return 0;
}

static int note(struct catalog *c, const struct store_cut *cut, int64_t now_ns, struct err *e)
{
	bool known = cut->kind != CUT_UNKNOWN;
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "INSERT INTO cuts (observed_ns, at_ns, kind, cut_ns, behind,"
	                        " status)"
	                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	                        e);

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	if (cut->at_ns > 0)
		(void)sqlite3_bind_int64(s, 2, cut->at_ns);
	catalog_bind_text(s, 3, geo_kind_name(cut->kind));
	if (known)
		(void)sqlite3_bind_int64(s, 4, cut->cut_ns);
	catalog_bind_u64(s, 5, cut->behind);
	catalog_bind_text_or_null(s, 6, cut->status);
	return catalog_run(c, s, e);
}

static int mark_points(struct catalog *c, const struct store_cut *cut, int64_t now_ns,
                       uint64_t *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c,
	                                            "UPDATE points SET geo_kind = ?1, geo_ns = ?2"
	                                            " WHERE geo_ns IS NULL AND gone_at_ns IS NULL"
	                                            " AND received_ns <= ?3",
	                                            e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, geo_kind_name(cut->kind));
	(void)sqlite3_bind_int64(s, 2, now_ns);
	(void)sqlite3_bind_int64(s, 3, cut->cut_ns);
	if (catalog_run(c, s, e) < 0)
		return -1;
	*ret = (uint64_t)sqlite3_changes(c->db);
	return 0;
}

static int ask(const struct geo_source *from, int64_t since_ns, struct store_cut *ret,
               struct err *e)
{
	if (from->why) {
		*e = *from->why;
		return -1;
	}
	return from->mirror ? store_compare_cut(from->store, from->mirror, since_ns, ret, e)
	                    : store_cut(from->store, since_ns, ret, e);
}

int geo_sync(struct catalog *c, const struct geo_source *from, int64_t now_ns,
             struct geo_result *ret, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct geo_result r = { .why = ERR_INIT };
	int64_t since_ns;

	if (highest(c, &since_ns, e) < 0)
		return -1;
	int rc = ask(from, since_ns, &r.cut, &r.why);
	if (rc < 0 && r.why.class == ERR_CANCELLED) {
		*e = r.why;
		return -1;
	}
	if (rc < 0) {
		r.cut = (struct store_cut){ .kind = CUT_UNKNOWN };
		(void)snprintf(r.cut.status, sizeof(r.cut.status), "%s",
		               err_class_name(r.why.class));
	}
	if (r.cut.kind != CUT_NONE) {
		if (catalog_tx_begin(&tx, c, e) < 0 || note(c, &r.cut, now_ns, e) < 0 ||
		    (r.cut.kind != CUT_UNKNOWN &&
		     mark_points(c, &r.cut, now_ns, &r.durable, e) < 0) ||
		    catalog_tx_commit(&tx, e) < 0)
			return -1;
	}
	*ret = r;
	return 0;
}
