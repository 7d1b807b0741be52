/* SPDX-License-Identifier: Apache-2.0 */
/* See stock.h. A record goes into a temporary table; what differs from what holds now is SQL. */
#include "catalog/stock.h"

#include <string.h>

struct record {
	char key[NOTE_KEY_MAX];
	int64_t received_ns;
};

struct records {
	struct catalog *c;
	sqlite3_stmt *known;
	struct record *v;
	size_t n, cap;
};

static void records_clear(struct records *l)
{
	(void)sqlite3_finalize(l->known);
	free(l->v);
}

static int note_unknown(void *arg, const char *key, int64_t received_ns, struct err *e)
{
	struct records *l = arg;

	(void)sqlite3_reset(l->known);
	catalog_bind_text(l->known, 1, key);
	const int rc = catalog_step(l->c, l->known, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (l->n == l->cap) {
		const size_t cap = l->cap ? 2 * l->cap : 16;
		struct record *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for %zu inventories", l->n);
		l->v = v;
		l->cap = cap;
	}
	struct record *r = &l->v[l->n++];
	r->received_ns = received_ns;
	(void)snprintf(r->key, sizeof(r->key), "%.*s", NOTE_KEY_MAX - 1, key);
	return 0;
}

static int record_cmp(const void *va, const void *vb)
{
	const struct record *a = va;
	const struct record *b = vb;

	if (a->received_ns != b->received_ns)
		return a->received_ns < b->received_ns ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* ---- one record ---- */

static int fill(struct catalog *c, const struct inventory *v, struct err *e)
{
	static const enum inventory_text order[] = { INVENTORY_NS,     INVENTORY_NAME,
		                                     INVENTORY_OWNER,  INVENTORY_CLASS,
		                                     INVENTORY_DRIVER, INVENTORY_POLICY,
		                                     INVENTORY_WHY };
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"INSERT INTO temp.stock (kind, state, reason, bytes, count, rpo_s, namespace, name,"
		" owner, class, driver, policy, why)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
		e);

	if (!s)
		return -1;
	for (size_t i = 0; i < v->n; i++) {
		const struct inventory_item *x = &v->v[i];

		catalog_bind_text(s, 1, inventory_kinds[x->kind]);
		catalog_bind_text(s, 2, inventory_states[x->state]);
		catalog_bind_text(s, 3, inventory_reasons[x->reason]);
		catalog_bind_u64(s, 4, x->bytes);
		catalog_bind_u64(s, 5, x->count);
		catalog_bind_u64(s, 6, x->rpo_s);
		for (size_t t = 0; t < ARRAY_LEN(order); t++)
			catalog_bind_text(s, (int)(7 + t), x->texts[order[t]]);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

#define SAME_NAME                                                            \
	"n.kind = i.kind AND n.namespace = i.namespace AND n.name = i.name " \
	"AND n.owner = i.owner"

/* What holds no longer ends, and what is new begins. */
static int change(struct catalog *c, const struct inventory *v, struct err *e)
{
	static const char *const steps[] = {
		"UPDATE inventory AS i SET until_ns = ?2 WHERE cluster = ?1 AND until_ns IS NULL"
		" AND NOT EXISTS (SELECT 1 FROM temp.stock n WHERE " SAME_NAME
		" AND (n.class, n.driver, n.bytes, n.count, n.state, n.reason, n.policy, n.rpo_s,"
		" n.why)"
		" = (i.class, i.driver, i.bytes, i.count, i.state, i.reason, i.policy, i.rpo_s,"
		" i.why))",
		"INSERT INTO inventory (cluster, kind, namespace, name, owner, class, driver,"
		" bytes, count, state, reason, policy, rpo_s, why, from_ns)"
		" SELECT ?1, kind, namespace, name, owner, class, driver, bytes, count, state,"
		" reason, policy, rpo_s, why, ?2 FROM temp.stock n WHERE NOT EXISTS (SELECT 1 FROM"
		" inventory i WHERE i.cluster = ?1 AND i.until_ns IS NULL AND " SAME_NAME ")"
		" ORDER BY kind, namespace, name, owner",
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		auto_stmt sqlite3_stmt *s = catalog_prepare(c, steps[i], e);

		if (!s)
			return -1;
		catalog_bind_text(s, 1, v->cluster);
		(void)sqlite3_bind_int64(s, 2, v->received_ns);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

static int note(struct catalog *c, const struct inventory *v, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"INSERT INTO inventories (object, cluster, at_ns, received_ns, user, host, signer,"
		" items, omitted, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, v->key);
	catalog_bind_text(s, 2, v->cluster);
	(void)sqlite3_bind_int64(s, 3, v->at_ns);
	(void)sqlite3_bind_int64(s, 4, v->received_ns);
	catalog_bind_text(s, 5, v->by.user);
	catalog_bind_text(s, 6, v->by.host);
	catalog_bind_hex(s, 7, v->signer, sizeof(v->signer));
	catalog_bind_u64(s, 8, v->n);
	catalog_bind_u64(s, 9, v->omitted);
	catalog_bind_text(s, 10, v->digest);
	return catalog_run(c, s, e);
}

static int take(struct catalog *c, const struct inventory *v, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct stock_newest before;

	if (catalog_exec(c,
	                 "CREATE TEMP TABLE IF NOT EXISTS stock (kind TEXT, namespace TEXT, name"
	                 " TEXT, owner TEXT, class TEXT, driver TEXT, bytes INTEGER, count INTEGER,"
	                 " state TEXT, reason TEXT, policy TEXT, rpo_s INTEGER, why TEXT,"
	                 " PRIMARY KEY (kind, namespace, name, owner)) WITHOUT ROWID;"
	                 " DELETE FROM temp.stock",
	                 e) < 0 ||
	    catalog_tx_begin(&tx, c, e) < 0 || stock_newest(c, v->cluster, &before, e) < 0 ||
	    note(c, v, e) < 0)
		return -1;
	const bool late = before.is && before.received_ns > v->received_ns;
	const bool same = before.is && strcmp(before.digest, v->digest) == 0;
	if (!late && !same && (fill(c, v, e) < 0 || change(c, v, e) < 0))
		return -1;
	return catalog_tx_commit(&tx, e);
}

/* ---- all of them ---- */

int stock_sync(struct catalog *c, const struct repo *r, struct err *e)
{
	CLEANUP(records_clear)
	struct records l = {
		.c = c,
		.known = catalog_prepare(c, "SELECT 1 FROM inventories WHERE object = ?1", e),
	};

	if (!l.known || inventory_list(r, note_unknown, &l, e) < 0)
		return -1;
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), record_cmp);
	for (size_t i = 0; i < l.n; i++) {
		CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
		struct err why = ERR_INIT;

		if (cancel_check(r->cancel, e) < 0)
			return -1;
		if (inventory_get(r, l.v[i].key, l.v[i].received_ns, &v, &why) < 0) {
			if (note_is_bad(&why))
				continue; /* it says nothing */
			*e = why;
			return -1;
		}
		if (take(c, &v, e) < 0)
			return err_wrap(e, "taking over '%s'", l.v[i].key);
	}
	return 0;
}

int stock_newest(struct catalog *c, const char *cluster, struct stock_newest *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "SELECT received_ns, digest FROM inventories WHERE cluster = ?1"
	                        " ORDER BY received_ns DESC, object DESC LIMIT 1",
	                        e);
	struct stock_newest newest = { .is = false };

	if (!s)
		return -1;
	catalog_bind_text(s, 1, cluster);
	const int rc = catalog_step(c, s, e);
	if (rc < 0)
		return -1;
	if (rc > 0) {
		newest.is = true;
		newest.received_ns = sqlite3_column_int64(s, 0);
		(void)snprintf(newest.digest, sizeof(newest.digest), "%.64s", catalog_text(s, 1));
	}
	*ret = newest;
	return 0;
}
