/* SPDX-License-Identifier: Apache-2.0 */
/* See statement.h. The rules are those of repo/expiry.c, in SQL, but for pins, which pass. */
#include "catalog/statement.h"

#include <string.h>

#include "common/hex.h"
#include "repo/expiry.h"
#include "repo/note.h"

struct statements {
	struct catalog *c;
	const struct repo *r;
	struct expiry x;
	struct statement_result result;
};

/* One integer. */
static int ask(struct catalog *c, const char *sql, uint64_t *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);

	if (!s || catalog_step(c, s, e) < 0)
		return -1;
	*ret = (uint64_t)sqlite3_column_int64(s, 0);
	return 0;
}

/* ---- tombstones ---- */

static int add_acts(struct statements *t, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		t->c,
		"INSERT INTO tombstones (number, at_ns, received_ns, policy, user, host, signer, "
		"points) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
		e);

	if (!s)
		return -1;
	for (size_t i = 0; i < t->x.nacts; i++) {
		const struct expiry_act *a = &t->x.acts[i];

		catalog_bind_u64(s, 1, a->number);
		(void)sqlite3_bind_int64(s, 2, a->at_ns);
		(void)sqlite3_bind_int64(s, 3, a->received_ns);
		catalog_bind_text_or_null(s, 4, a->policy);
		catalog_bind_text(s, 5, a->by.user);
		catalog_bind_text(s, 6, a->by.host);
		catalog_bind_hex(s, 7, a->signer, sizeof(a->signer));
		catalog_bind_u64(s, 8, a->points);
		if (catalog_run(t->c, s, e) < 0)
			return -1;
		t->result.tombstones += sqlite3_changes(t->c->db) > 0;
	}
	return 0;
}

static int add_tombs(struct statements *t, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(t->c,
	                        "INSERT INTO tombstone_points (number, session, why)"
	                        " VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
	                        e);
	auto_stmt sqlite3_stmt *touch =
		catalog_prepare(t->c,
	                        "INSERT INTO unjudged (voltag) VALUES (substr(?1, 12, 16))"
	                        " ON CONFLICT DO NOTHING",
	                        e);

	if (!s || !touch)
		return -1;
	for (size_t i = 0; i < t->x.ntombs; i++) {
		const struct expiry_tomb *x = &t->x.tombs[i];

		catalog_bind_u64(s, 1, x->number);
		catalog_bind_text(s, 2, x->session);
		catalog_bind_text(s, 3, x->why);
		catalog_bind_text(touch, 1, x->session);
		if (catalog_run(t->c, s, e) < 0 || catalog_run(t->c, touch, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- holds ---- */

static int bind_hold(const struct statements *t, sqlite3_stmt *s, const struct expiry_hold *h,
                     struct err *e)
{
	const struct point_volume *v = &h->volume;
	auto_free char *volume = NULL;
	char voltag[17];

	(void)snprintf(voltag, sizeof(voltag), "%.16s", h->session + POINT_SESSION_VOLTAG);
	if (!h->session[0] && (point_voltag(t->r->keys, v, voltag, e) < 0 ||
	                       asprintf(&volume, "%s%s%s%s%s", v->cluster, v->cluster[0] ? "/" : "",
	                                v->namespace, v->namespace[0] ? "/" : "", v->name) < 0))
		return e->class ? -1 : err_set(e, ERR_NOMEM, "no memory for a name");
	catalog_bind_u64(s, 1, h->number);
	catalog_bind_text_or_null(s, 2, h->session);
	catalog_bind_text(s, 3, voltag);
	catalog_bind_text_or_null(s, 4, volume ? volume : "");
	catalog_bind_text(s, 5, h->reason);
	catalog_bind_text(s, 6, h->name);
	(void)sqlite3_bind_int64(s, 7, h->at_ns);
	(void)sqlite3_bind_int64(s, 8, h->received_ns);
	catalog_bind_text(s, 9, h->by.user);
	catalog_bind_text(s, 10, h->by.host);
	catalog_bind_hex(s, 11, h->signer, sizeof(h->signer));
	return 0;
}

static int add_holds(struct statements *t, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		t->c,
		"INSERT INTO holds (number, session, voltag, volume, reason, ordered_by, at_ns, "
		"received_ns, user, host, signer)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
		e);
	auto_stmt sqlite3_stmt *end =
		catalog_prepare(t->c,
	                        "UPDATE holds SET released = ?2, release_reason = ?3, release_by "
	                        "= ?4 WHERE number = ?1 AND released IS NULL",
	                        e);

	if (!s || !end)
		return -1;
	for (size_t i = 0; i < t->x.nholds; i++) {
		const struct expiry_hold *h = &t->x.holds[i];

		if (bind_hold(t, s, h, e) < 0 || catalog_run(t->c, s, e) < 0)
			return -1;
		t->result.holds += sqlite3_changes(t->c->db) > 0;
		if (!h->released)
			continue;
		catalog_bind_u64(end, 1, h->number);
		catalog_bind_u64(end, 2, h->released);
		catalog_bind_text(end, 3, h->release_reason);
		catalog_bind_text(end, 4, h->release_name);
		if (catalog_run(t->c, end, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- what is missing ---- */

/* Holds that are known here, and that the store did not show. */
static int lost_holds(struct statements *t, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(t->c,
	                                            "SELECT number FROM holds ORDER BY number", e);
	size_t at = 0;
	int rc;

	if (!s)
		return -1;
	/* both in the order of numbers */
	while ((rc = catalog_step(t->c, s, e)) > 0) {
		uint64_t n = (uint64_t)sqlite3_column_int64(s, 0);

		while (at < t->x.nholds && t->x.holds[at].number < n)
			at++;
		t->result.lost += at == t->x.nholds || t->x.holds[at].number != n;
	}
	return rc;
}

/* The newest tombstone that is known here is there; all of them are looked for by rebuild. */
static int lost_tombs(struct statements *t, uint64_t newest, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	if (newest == 0)
		return 0;
	note_number_key("tomb", newest, key);
	if (store_head(t->r->store, key, &st, &why) == 0)
		return 0;
	if (why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	t->result.lost++;
	return 0;
}

/* ---- judging ---- */

/* How each point that a tombstone names stands. ?1: signers that it takes. */
static const char judge_sql[] =
	"INSERT INTO temp.standing (session, expiry, expired_ns)"
	" WITH named AS (SELECT x.session, t.signer, min(t.received_ns) AS ns"
	" FROM tombstone_points x JOIN tombstones t USING (number) GROUP BY x.session, t.signer),"
	" ranked AS (SELECT session, ns, row_number() OVER (PARTITION BY session ORDER BY ns) AS k"
	" FROM named),"
	" enough AS (SELECT session, max(CASE k WHEN ?1 THEN ns END) AS ns FROM ranked"
	" GROUP BY session)"
	" SELECT p.session, CASE WHEN e.ns IS NULL THEN 'proposed' WHEN h.held THEN 'held'"
	" ELSE 'expired' END, CASE WHEN h.held THEN NULL ELSE e.ns END"
	" FROM enough e JOIN points p USING (session)"
	" JOIN (SELECT session, gone_at_ns IS NULL AND EXISTS (SELECT 1 FROM holds"
	" WHERE released IS NULL AND (holds.session = points.session"
	" OR (holds.session IS NULL AND holds.voltag = points.voltag))) AS held FROM points) h"
	" USING (session)";

static const char apply_sql[] =
	"DELETE FROM temp.standing WHERE (session, expiry, expired_ns) IN"
	" (SELECT s.session, s.expiry, s.expired_ns FROM temp.standing s JOIN points p"
	" USING (session) WHERE p.expiry IS s.expiry AND p.expired_ns IS s.expired_ns);"
	"INSERT INTO unjudged (voltag) SELECT DISTINCT substr(session, 12, 16) FROM temp.standing"
	" WHERE true ON CONFLICT DO NOTHING;"
	"UPDATE points SET expiry = s.expiry, expired_ns = s.expired_ns FROM temp.standing s"
	" WHERE points.session = s.session"
	" AND (points.expiry IS NOT s.expiry OR points.expired_ns IS NOT s.expired_ns)";

static int judge_points(struct statements *t, struct err *e)
{
	if (catalog_exec(t->c,
	                 "CREATE TEMP TABLE IF NOT EXISTS standing (session TEXT PRIMARY KEY,"
	                 " expiry TEXT, expired_ns INTEGER) WITHOUT ROWID; DELETE FROM "
	                 "temp.standing",
	                 e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = catalog_prepare(t->c, judge_sql, e);
	if (!s)
		return -1;
	catalog_bind_u64(s, 1, t->r->params.signatures ? t->r->params.signatures : 1);
	return catalog_run(t->c, s, e) < 0 ? -1 : catalog_exec(t->c, apply_sql, e);
}

/* ---- all of it ---- */

static int write_all(struct statements *t, uint64_t newest, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (lost_tombs(t, newest, e) < 0 || catalog_tx_begin(&tx, t->c, e) < 0 ||
	    lost_holds(t, e) < 0 || add_acts(t, e) < 0 || add_tombs(t, e) < 0 ||
	    add_holds(t, e) < 0 || judge_points(t, e) < 0)
		return -1;
	if (ask(t->c, "SELECT coalesce(max(number), 0) - count(*) FROM tombstones",
	        &t->result.missing_tombs, e) < 0)
		return -1;
	t->result.missing_holds = t->x.missing_holds + t->x.bad_holds;
	return catalog_tx_commit(&tx, e);
}

int statement_sync(struct catalog *c, const struct repo *r, struct statement_result *ret,
                   struct err *e)
{
	struct statements t = { .c = c, .r = r };
	uint64_t newest;
	uint64_t whole;

	/* From the first number on that is not here: one that was missing may have come. */
	if (ask(c, "SELECT coalesce(max(number), 0) FROM tombstones", &newest, e) < 0 ||
	    ask(c,
	        "SELECT min(n) - 1 FROM (SELECT number + 1 AS n FROM tombstones UNION SELECT 1)"
	        " WHERE n NOT IN (SELECT number FROM tombstones)",
	        &whole, e) < 0 ||
	    expiry_load(r, whole, &t.x, e) < 0)
		return -1;
	int rc = write_all(&t, newest, e);
	expiry_clear(&t.x);
	*ret = t.result;
	return rc < 0 ? err_wrap(e, "noting tombstones and holds") : 0;
}
