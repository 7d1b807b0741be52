/* SPDX-License-Identifier: Apache-2.0 */
/* See fences.h. */
#include "catalog/fences.h"

#include <string.h>

#include "common/json.h"
#include "repo/fence.h"

/* What a fence is of: "CLUSTER", "CLUSTER/NAMESPACE" or "CLUSTER/NAMESPACE/VOLUME", joined. */
static const char add_sql[] =
	"INSERT INTO fences (epoch, at_ns, seen_ns, scope, reason, successor, user, host)"
	" VALUES (?1, ?2, ?3, (SELECT group_concat(name, ', ') FROM (SELECT coalesce("
	"  value->>'cluster', '') || coalesce('/' || (value->>'namespace'), '') ||"
	"  coalesce('/' || (value->>'name'), '') AS name FROM json_each(?4, '$.volumes'))),"
	" ?4->>'reason', nullif(?4->>'successor', ''), ?4->'by'->>'user', ?4->'by'->>'host')";

static const char lift_sql[] =
	"UPDATE fences SET lifted_epoch = ?2, lifted_ns = ?3, lift_reason = ?4->>'reason',"
	" lift_user = ?4->'by'->>'user' WHERE epoch = ?1";

/* 2: it is there, lifted; 1: there, and stands; 0: it is new; -1 with e. */
static int known(struct catalog *c, const struct fence *f, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "SELECT 1 + (lifted_ns IS NOT NULL) FROM fences WHERE epoch = ?1",
	                        e);

	if (!s)
		return -1;
	catalog_bind_u64(s, 1, f->epoch);
	const int rc = catalog_step(c, s, e);
	return rc <= 0 ? rc : sqlite3_column_int(s, 0);
}

/* NULL: there are none, or they are lost. */
static int facts_of(const struct repo *r, const struct key_list *record, char **ret, struct err *e)
{
	auto_json json_t *o = NULL;

	*ret = NULL;
	if (fence_facts_left(r, record, &o, e) < 0)
		return -1;
	if (!o)
		return 0;
	*ret = json_dumps(o, JSON_COMPACT);
	return *ret ? 0 : err_set(e, ERR_NOMEM, "no memory for a fence");
}

static int add(struct catalog *c, const struct repo *r, const struct fence *f, int64_t now_ns,
               struct err *e)
{
	auto_free char *facts = NULL;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, add_sql, e);

	if (!s || facts_of(r, &f->record, &facts, e) < 0)
		return -1;
	catalog_bind_u64(s, 1, f->epoch);
	(void)sqlite3_bind_int64(s, 2, f->at_ns);
	(void)sqlite3_bind_int64(s, 3, now_ns);
	catalog_bind_text_or_null(s, 4, facts);
	return catalog_run(c, s, e);
}

static int lift(struct catalog *c, const struct repo *r, const struct fence *f, struct err *e)
{
	auto_free char *facts = NULL;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, lift_sql, e);

	if (!s || facts_of(r, &f->lift_record, &facts, e) < 0)
		return -1;
	catalog_bind_u64(s, 1, f->epoch);
	catalog_bind_u64(s, 2, f->lifted);
	(void)sqlite3_bind_int64(s, 3, f->lifted_ns);
	catalog_bind_text_or_null(s, 4, facts);
	return catalog_run(c, s, e);
}

int fences_sync(struct catalog *c, const struct repo *r, int64_t now_ns, struct err *e)
{
	const struct fence *f;

	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		const int rc = known(c, f, e);

		if (rc < 0 || (rc == 0 && add(c, r, f, now_ns, e) < 0) ||
		    (rc < 2 && f->lifted && lift(c, r, f, e) < 0))
			return -1;
	}
	return 0;
}
