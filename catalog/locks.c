/* SPDX-License-Identifier: Apache-2.0 */
/* See locks.h. */
#include "catalog/locks.h"

#include <string.h>

#include "catalog/row.h"
#include "common/now.h"

/*
 * What is new: another end than the one that is known, but for a lock that is known to last longer
 * than was asked this time.
 */
static const char add_sql[] =
	"INSERT INTO locks (session, look, until_ns, at_least) SELECT ?1, ?2, ?3, ?4"
	" WHERE NOT EXISTS (SELECT 1 FROM locks k WHERE k.session = ?1"
	"  AND k.look = (SELECT max(x.look) FROM locks x WHERE x.session = ?1)"
	"  AND CASE WHEN ?4 THEN k.until_ns >= ?3 ELSE (k.until_ns, k.at_least) = (?3, ?4) END)";

int locks_begin(struct catalog *c, int64_t now_ns, struct locks *ret, struct err *e)
{
	*ret = (struct locks){ .c = c, .now_ns = now_ns };
	if (catalog_tx_begin(&ret->tx, c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c, "SELECT coalesce(max(id), 0) + 1 FROM lock_looks", e);
	if (!s || catalog_step(c, s, e) < 0)
		return -1;
	ret->look = sqlite3_column_int64(s, 0);
	ret->add = catalog_prepare(c, add_sql, e);
	return ret->add ? 0 : -1;
}

int locks_point(struct locks *l, const struct protect_point *p, struct err *e)
{
	if (p->wanted_ns <= l->now_ns)
		return 0;
	catalog_bind_text(l->add, 1, p->session);
	(void)sqlite3_bind_int64(l->add, 2, l->look);
	(void)sqlite3_bind_int64(l->add, 3, p->covered ? p->wanted_ns : p->safe_ns);
	(void)sqlite3_bind_int(l->add, 4, p->covered);
	return catalog_run(l->c, l->add, e);
}

int locks_end(struct locks *l, const struct protect_params *params, const struct protect_result *r,
              struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		l->c,
		"INSERT INTO lock_looks (id, observed_ns, lock_s, points, locked, over, extended,"
		" missing, unreadable, all_points)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		e);

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, l->look);
	(void)sqlite3_bind_int64(s, 2, l->now_ns);
	(void)sqlite3_bind_int64(s, 3, params->lock_s);
	catalog_bind_u64(s, 4, r->points);
	catalog_bind_u64(s, 5, r->covered - r->over);
	catalog_bind_u64(s, 6, r->over);
	catalog_bind_u64(s, 7, r->extended);
	catalog_bind_u64(s, 8, r->missing);
	catalog_bind_u64(s, 9, r->unreadable);
	(void)sqlite3_bind_int(s, 10, params->nsessions == 0);
	return catalog_run(l->c, s, e) < 0 ? -1 : catalog_tx_commit(&l->tx, e);
}

void locks_clear(struct locks *l)
{
	(void)sqlite3_finalize(l->add);
	l->add = NULL;
	catalog_tx_end(&l->tx);
}

/* ---- a whole look ---- */

struct noting {
	struct catalog *c;
	struct locks locks;
	int64_t now_ns;
};

static int begin(struct noting *x, struct err *e)
{
	return x->locks.add ? 0 : locks_begin(x->c, x->now_ns, &x->locks, e);
}

static int note_point(void *arg, const struct protect_point *p, struct err *e)
{
	struct noting *x = arg;

	return begin(x, e) < 0 ? -1 : locks_point(&x->locks, p, e);
}

int locks_look(struct catalog *c, const struct repo *r, const struct protect_params *params,
               struct protect_result *ret, struct err *e)
{
	struct noting x = { .c = c, .now_ns = params->now_ns ? params->now_ns : now_wall_ns() };
	struct protect_params p = *params;

	p.now_ns = x.now_ns;
	p.point = note_point;
	p.arg = &x;
	int rc = row_bind_repository(c, r->keys, e);
	if (rc == 0)
		rc = protect_run(r, &p, ret, e);
	if (rc == 0)
		rc = begin(&x, e);
	if (rc == 0)
		rc = locks_end(&x.locks, &p, ret, e);
	locks_clear(&x.locks);
	return rc;
}

int locks_looked(struct catalog *c, int64_t *ret_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c, "SELECT coalesce(max(observed_ns), 0) FROM lock_looks WHERE all_points", e);

	if (!s || catalog_step(c, s, e) < 0)
		return -1;
	*ret_ns = sqlite3_column_int64(s, 0);
	return 0;
}
