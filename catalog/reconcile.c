/* SPDX-License-Identifier: Apache-2.0 */
/* See reconcile.h. */
#include "catalog/reconcile.h"

#include <string.h>

#include "repo/check.h"
#include "repo/note.h"

#define COMMITS "commit/"

/* Points as a failover leaves them: not expired, nor of a revoked key. */
#define JUDGED                                                                                 \
	"WITH judged AS (SELECT p.*, v.volume, CASE WHEN p.gone_at_ns IS NOT NULL THEN 'lost'" \
	" WHEN p.incomplete_ns IS NOT NULL THEN 'incomplete' ELSE 'survived' END AS what"      \
	" FROM points p JOIN volumes v ON v.voltag = p.voltag"                                 \
	" WHERE p.expired_ns IS NULL AND p.revoked_ns IS NULL"                                 \
	" AND (p.gone_at_ns IS NULL OR coalesce(p.loss, 0) = ?1)) "

const char reconcile_volumes_sql[] = JUDGED
	"SELECT volume, count(*) FILTER (WHERE what = 'survived'),"
	" count(*) FILTER (WHERE what = 'incomplete'), count(*) FILTER (WHERE what = 'lost'),"
	" max(frozen_ns) FILTER (WHERE what = 'survived') AS whole,"
	" max(frozen_ns) FILTER (WHERE what <> 'survived') AS gone,"
	" max(0, max(frozen_ns) FILTER (WHERE what <> 'survived') -"
	" coalesce(max(frozen_ns) FILTER (WHERE what = 'survived'), min(started_ns)))"
	" FROM judged GROUP BY voltag ORDER BY volume, voltag";

const char reconcile_points_sql[] = JUDGED
	"SELECT what, volume, session, frozen_ns, received_ns FROM judged"
	" WHERE what <> 'survived' ORDER BY volume, voltag, sequence, session";

static int count_volumes(struct catalog *c, struct reconcile_result *r, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        JUDGED "SELECT count(*) FILTER (WHERE what = 'survived'),"
	                               " count(*) FILTER (WHERE what = 'incomplete'),"
	                               " count(*) FILTER (WHERE what = 'lost') FROM judged",
	                        e);

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, 0);
	if (catalog_step(c, s, e) < 0)
		return -1;
	r->survived = (uint64_t)sqlite3_column_int64(s, 0);
	r->incomplete = (uint64_t)sqlite3_column_int64(s, 1);
	r->lost = (uint64_t)sqlite3_column_int64(s, 2);
	return 0;
}

/* ---- which are whole ---- */

struct finding {
	struct catalog *c;
	sqlite3_stmt *add; /* of a session into temp.hurt */
};

static int note_hurt(const struct finding *f, const char *session, struct err *e)
{
	catalog_bind_text(f->add, 1, session);
	return catalog_run(f->c, f->add, e);
}

static int take_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	return note_hurt(arg, h->session, e);
}

/* A commit that does not open is a point that the catalog may know. */
static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	return strncmp(p->object, COMMITS, strlen(COMMITS)) == 0
	               ? note_hurt(arg, p->object + strlen(COMMITS), e)
	               : 0;
}

static int check_points(struct catalog *c, const struct repo *repo,
                        const struct reconcile_params *params, struct reconcile_result *r,
                        struct err *e)
{
	auto_stmt sqlite3_stmt *add = catalog_prepare(c,
	                                              "INSERT INTO temp.hurt (session) VALUES (?1)"
	                                              " ON CONFLICT DO NOTHING",
	                                              e);
	struct finding f = { .c = c, .add = add };
	const struct check_params p = {
		.level = params->level,
		.threads = params->threads,
		.hurt_max = UINT64_MAX, /* which points are hurt is asked, not only how many */
		.counts = params->counts,
		.problem = take_problem,
		.hurt = take_hurt,
		.arg = &f,
	};
	struct check_result result;

	if (!add || check_run(repo, &p, &result, e) < 0)
		return -1;
	r->sessions = result.open_sessions;
	r->packs = result.unreferenced;
	r->bytes = result.unreferenced_bytes;
	r->problems = result.problems;
	return 0;
}

static int mark_incomplete(struct catalog *c, int64_t now_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "UPDATE points SET incomplete_ns ="
	                        " CASE WHEN session IN (SELECT session FROM temp.hurt)"
	                        " THEN coalesce(incomplete_ns, ?1) END"
	                        " WHERE gone_at_ns IS NULL AND (incomplete_ns IS NOT NULL"
	                        " OR session IN (SELECT session FROM temp.hurt))",
	                        e);

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	return catalog_run(c, s, e);
}

/* ---- what is noted ---- */

static int add_row(struct catalog *c, const struct repo *repo,
                   const struct reconcile_params *params, struct reconcile_result *r, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"INSERT INTO reconciliations (at_ns, user, host, accepted, config, level, survived,"
		" incomplete, lost, sessions, packs, bytes)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
		e);
	struct note_actor by;

	if (!s)
		return -1;
	note_actor(&by);
	(void)sqlite3_bind_int64(s, 1, params->now_ns);
	catalog_bind_text(s, 2, by.user);
	catalog_bind_text(s, 3, by.host);
	(void)sqlite3_bind_int(s, 4, params->accept);
	catalog_bind_u64(s, 5, repo->config.revision);
	catalog_bind_u64(s, 6, params->level);
	catalog_bind_u64(s, 7, r->survived);
	catalog_bind_u64(s, 8, r->incomplete);
	catalog_bind_u64(s, 9, r->lost);
	catalog_bind_u64(s, 10, r->sessions);
	catalog_bind_u64(s, 11, r->packs);
	catalog_bind_u64(s, 12, r->bytes);
	if (catalog_run(c, s, e) < 0)
		return -1;
	r->number = sqlite3_last_insert_rowid(c->db);
	return 0;
}

/* Their volumes are judged anew: what was accepted is no anomaly. */
static int accept_losses(struct catalog *c, int64_t number, struct err *e)
{
	static const char *const sql[] = {
		"INSERT INTO unjudged (voltag) SELECT DISTINCT voltag FROM points"
		" WHERE gone_at_ns IS NOT NULL AND expired_ns IS NULL AND revoked_ns IS NULL"
		" AND loss IS NULL AND ?1 ON CONFLICT DO NOTHING",
		"UPDATE points SET loss = ?1"
		" WHERE gone_at_ns IS NOT NULL AND expired_ns IS NULL AND revoked_ns IS NULL"
		" AND loss IS NULL",
	};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql[i], e);

		if (!s)
			return -1;
		(void)sqlite3_bind_int64(s, 1, number);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

static int note_all(struct catalog *c, const struct repo *repo,
                    const struct reconcile_params *params, struct reconcile_result *r,
                    struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (catalog_tx_begin(&tx, c, e) < 0 || mark_incomplete(c, params->now_ns, e) < 0 ||
	    count_volumes(c, r, e) < 0 || add_row(c, repo, params, r, e) < 0 ||
	    (params->accept && accept_losses(c, r->number, e) < 0))
		return -1;
	return catalog_tx_commit(&tx, e);
}

int reconcile_run(struct catalog *c, const struct repo *repo, const struct reconcile_params *params,
                  struct reconcile_result *ret, struct err *e)
{
	const struct sync_params sync = { .now_ns = params->now_ns,
		                          .threads = params->threads,
		                          .counts = params->counts };
	struct reconcile_result r = { 0 };
	struct sync_result synced;

	if (catalog_exec(c,
	                 "CREATE TEMP TABLE IF NOT EXISTS hurt (session TEXT PRIMARY KEY)"
	                 " WITHOUT ROWID; DELETE FROM temp.hurt",
	                 e) < 0 ||
	    sync_run(c, repo, &sync, &synced, e) < 0 || check_points(c, repo, params, &r, e) < 0 ||
	    note_all(c, repo, params, &r, e) < 0)
		return -1;
	r.added = synced.added;
	if (params->accept && sync_run(c, repo, &sync, &synced, e) < 0)
		return -1;
	*ret = r;
	return 0;
}
