/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of commits and the catalog's own are both in the order of their
 * keys, so that comparing them needs memory for the differences only.
 */
#include "catalog/sync.h"

#include <pthread.h>
#include <string.h>

#include "catalog/chain.h"
#include "catalog/fences.h"
#include "catalog/journal.h"
#include "catalog/revision.h"
#include "catalog/row.h"
#include "catalog/statement.h"
#include "catalog/stock.h"
#include "common/hex.h"
#include "repo/commits.h"
#include "repo/fence.h"

#define THREADS_DEFAULT 8
#define THREADS_MAX 64
#define WINDOW 64 /* points fetched ahead of the one that is written next */
#define BATCH 500 /* points in a transaction */
#define PREFIX "commit/"

struct commit {
	char *session; /* owned */
	int64_t received_ns;
};

struct commits {
	struct commit *v;
	size_t n, cap;
};

struct sync {
	struct catalog *c;
	const struct repo *repo;
	const struct sync_params *params;
	struct sync_result result;
	struct commits fresh, gone, returned;
	struct commits voids; /* known points whose key was revoked, and that do not count */
	struct statement_result said;
};

static void commits_clear(struct commits *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].session);
	free(l->v);
}

static void sync_clear(struct sync *s)
{
	commits_clear(&s->fresh);
	commits_clear(&s->gone);
	commits_clear(&s->returned);
	commits_clear(&s->voids);
}

static int note(struct commits *l, const char *session, int64_t received_ns, struct err *e)
{
	struct commit x = { .session = strdup(session), .received_ns = received_ns };

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct commit *v = reallocarray(l->v, cap, sizeof(*v));

		if (v) {
			l->v = v;
			l->cap = cap;
		}
	}
	if (!x.session || l->n == l->cap) {
		free(x.session);
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu restore points", l->n);
	}
	l->v[l->n++] = x;
	return 0;
}

/* The chain of the volume must be judged, by this sync or, if that is interrupted, by the next. */
static int touch(struct sync *s, const char *voltag, struct err *e)
{
	static const char sql[] =
		"INSERT INTO unjudged (voltag) VALUES (?1) ON CONFLICT DO NOTHING";
	sqlite3_stmt *add = catalog_keep(s->c, sql, e);

	if (!add)
		return -1;
	catalog_bind_text(add, 1, voltag);
	return catalog_run(s->c, add, e);
}

/* ---- what is different ---- */

struct compare {
	struct sync *s;
	/* session, gone_at_ns, signer, hash, epoch, cluster, namespace, name; by session */
	sqlite3_stmt *known;
	bool row; /* known is at a row */
};

/* Everything known below `session` (NULL: all that is left) is not in the store. */
static int pass_gone(struct compare *x, const char *session, struct err *e)
{
	while (x->row && (!session || strcmp(catalog_text(x->known, 0), session) < 0)) {
		if (sqlite3_column_type(x->known, 1) == SQLITE_NULL &&
		    note(&x->s->gone, catalog_text(x->known, 0), 0, e) < 0)
			return -1;
		int rc = catalog_step(x->s->c, x->known, e);
		if (rc < 0)
			return -1;
		x->row = rc > 0;
	}
	return 0;
}

/* Whether the signer of the known point at the row still vouches for it. */
static bool signature_counts(const struct compare *x)
{
	uint8_t signer[8];
	uint8_t hash[32];
	struct err why = ERR_INIT;

	if (hex_decode(signer, sizeof(signer), catalog_text(x->known, 2)) < 0 ||
	    hex_decode(hash, sizeof(hash), catalog_text(x->known, 3)) < 0)
		return true;
	const struct key_signer *s = keys_signer(x->s->repo->keys, signer);
	return !s || !s->revoked || keys_accept(s, hash, catalog_text(x->known, 0), &why) == 0 ||
	       !key_is_void(&why);
}

/* Whether the known point at the row still counts. What nobody can say anything of does. */
static bool row_counts(const struct compare *x)
{
	const char *session = catalog_text(x->known, 0);
	struct point_volume v = { 0 };
	struct err why = ERR_INIT;

	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", catalog_text(x->known, 5));
	(void)snprintf(v.namespace, sizeof(v.namespace), "%s", catalog_text(x->known, 6));
	(void)snprintf(v.name, sizeof(v.name), "%s", catalog_text(x->known, 7));
	return signature_counts(x) &&
	       (fence_judge(x->s->repo, &v, session, (uint64_t)sqlite3_column_int64(x->known, 4),
	                    session, &why) == 0 ||
	        !key_is_void(&why));
}

/* A session that ended without a point. What was known under its name before is gone. */
static int note_fenced(struct sync *s, const char *session, int64_t received_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *add =
		catalog_prepare(s->c,
	                        "INSERT INTO fenced (session, voltag, received_ns)"
	                        " VALUES (?1, substr(?1, 12, 16), ?2) ON CONFLICT DO NOTHING",
	                        e);

	if (!add)
		return -1;
	catalog_bind_text(add, 1, session);
	(void)sqlite3_bind_int64(add, 2, received_ns);
	return catalog_run(s->c, add, e);
}

static int take_commit(void *arg, const struct store_item *item, struct err *e)
{
	struct compare *x = arg;
	struct sync *s = x->s;
	const char *session = item->key + strlen(PREFIX);

	if (cancel_check(s->repo->cancel, e) < 0)
		return -1;
	if (point_session_valid(session)) {
		enum commit_kind kind = commit_kind_of(session, item->st.size);

		if (kind == COMMIT_ABORT)
			return note_fenced(s, session, item->st.received_ns, e);
		if (kind == COMMIT_MAINTENANCE)
			return 0;
	}
	s->result.listed++;
	if (pass_gone(x, session, e) < 0)
		return -1;
	if (!x->row || strcmp(catalog_text(x->known, 0), session) != 0)
		return note(&s->fresh, session, item->st.received_ns, e);
	bool gone = sqlite3_column_type(x->known, 1) != SQLITE_NULL;
	bool counts = row_counts(x);
	if (!counts && note(&s->voids, session, 0, e) < 0)
		return -1;
	if (counts == gone && note(gone ? &s->returned : &s->gone, session, 0, e) < 0)
		return -1;
	int rc = catalog_step(s->c, x->known, e);
	x->row = rc > 0;
	return rc < 0 ? -1 : 0;
}

static int compare(struct sync *s, struct err *e)
{
	auto_stmt sqlite3_stmt *known =
		catalog_prepare(s->c,
	                        "SELECT p.session, p.gone_at_ns, p.signer, p.hash, p.epoch,"
	                        " v.cluster, v.namespace, v.name FROM points p"
	                        " JOIN volumes v ON v.voltag = p.voltag ORDER BY p.session",
	                        e);
	struct compare x = { .s = s, .known = known };

	if (!known)
		return -1;
	int rc = catalog_step(s->c, known, e);
	if (rc < 0)
		return -1;
	x.row = rc > 0;
	if (store_list(s->repo->store, PREFIX, NULL, take_commit, &x, e) < 0)
		return err_wrap(e, "listing the restore points");
	return pass_gone(&x, NULL, e);
}

/* ---- fetching ---- */

struct slot {
	struct point point;
	struct err why;
	bool done, ok;
};

/* Fetchers run ahead of the one that writes by at most WINDOW points. */
struct fetch {
	const struct repo *repo;
	const struct commits *todo;
	pthread_mutex_t lock;
	pthread_cond_t ready; /* a slot is done: who writes waits for it */
	pthread_cond_t room;  /* a slot is free again, or it is over: fetchers do */
	size_t next;          /* guarded by lock: to be fetched */
	size_t taken;         /* guarded by lock: written */
	bool stop;            /* guarded by lock */
	struct slot slots[WINDOW];
};

static int fetch_one(const struct repo *r, const struct commit *c, struct point *ret, struct err *e)
{
	if (!point_session_valid(c->session))
		return err_set(e, ERR_FORMAT, "its name is not that of a restore point");
	return repo_point_at(r, c->session, c->received_ns, ret, e);
}

static void *fetch_main(void *arg)
{
	struct fetch *f = arg;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->stop && f->next < f->todo->n) {
		if (f->next >= f->taken + WINDOW) {
			(void)pthread_cond_wait(&f->room, &f->lock);
			continue;
		}
		size_t i = f->next++;
		struct slot *s = &f->slots[i % WINDOW];
		(void)pthread_mutex_unlock(&f->lock);

		s->why = (struct err)ERR_INIT;
		s->ok = fetch_one(f->repo, &f->todo->v[i], &s->point, &s->why) == 0;

		(void)pthread_mutex_lock(&f->lock);
		s->done = true;
		(void)pthread_cond_signal(&f->ready);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* Waits for point number i; it stays the slot's until release(). */
static struct slot *await(struct fetch *f, size_t i)
{
	struct slot *s = &f->slots[i % WINDOW];

	(void)pthread_mutex_lock(&f->lock);
	while (!s->done)
		(void)pthread_cond_wait(&f->ready, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);
	return s;
}

static void release(struct fetch *f, struct slot *s)
{
	if (s->ok)
		point_clear(&s->point);
	(void)pthread_mutex_lock(&f->lock);
	s->done = s->ok = false;
	f->taken++;
	(void)pthread_cond_signal(&f->room);
	(void)pthread_mutex_unlock(&f->lock);
}

/* ---- anomalies ---- */

struct anomaly {
	const char *kind;
	char object[128], other[128];
	const char *voltag; /* or NULL */
	const char *detail;
};

/* Notes it unless it is noted already; what is still so gets into the table `still`. */
static int note_anomaly(struct sync *s, const struct anomaly *a, struct err *e)
{
	auto_stmt sqlite3_stmt *add = catalog_prepare(
		s->c,
		"INSERT INTO anomalies (kind, object, other, voltag, detail, found_ns)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
		e);
	auto_stmt sqlite3_stmt *still =
		catalog_prepare(s->c,
	                        "INSERT INTO temp.still (kind, object, other) VALUES (?1, ?2, ?3)"
	                        " ON CONFLICT DO NOTHING",
	                        e);

	if (!add || !still)
		return -1;
	catalog_bind_text(add, 1, a->kind);
	catalog_bind_text(add, 2, a->object);
	catalog_bind_text(add, 3, a->other);
	catalog_bind_text_or_null(add, 4, a->voltag);
	catalog_bind_text(add, 5, a->detail);
	(void)sqlite3_bind_int64(add, 6, s->params->now_ns);
	catalog_bind_text(still, 1, a->kind);
	catalog_bind_text(still, 2, a->object);
	catalog_bind_text(still, 3, a->other);
	if (catalog_run(s->c, add, e) < 0)
		return -1;
	s->result.found += sqlite3_changes(s->c->db) > 0;
	return catalog_run(s->c, still, e);
}

/*
 * Marks open ones as resolved that `still` does not have: those of a volume's
 * chain, or (NULL) those of single commits.
 */
static int resolve(struct sync *s, const char *voltag, struct err *e)
{
	const char *sql =
		voltag ? "UPDATE anomalies SET resolved_ns = ?1 WHERE resolved_ns IS NULL"
			 " AND kind IN ('gap', 'fork', 'lost') AND voltag = ?2"
			 " AND (kind, object, other) NOT IN (SELECT kind, object, other FROM "
			 "temp.still)"
		       : "UPDATE anomalies SET resolved_ns = ?1 WHERE resolved_ns IS NULL"
			 " AND kind IN ('bad_signature', 'unreadable', 'statement')"
			 " AND (kind, object, other) NOT IN (SELECT kind, object, other FROM "
			 "temp.still)";
	auto_stmt sqlite3_stmt *update = catalog_prepare(s->c, sql, e);

	if (!update)
		return -1;
	(void)sqlite3_bind_int64(update, 1, s->params->now_ns);
	if (voltag)
		catalog_bind_text(update, 2, voltag);
	if (catalog_run(s->c, update, e) < 0)
		return -1;
	s->result.resolved += (uint64_t)sqlite3_changes(s->c->db);
	return 0;
}

/* A commit that does not open. */
static int note_bad(struct sync *s, const char *session, const struct err *why, struct err *e)
{
	bool is_signature = why->class == ERR_CORRUPT ||
	                    (why->class == ERR_DENIED && !fence_is_late(why));
	struct anomaly a = { .kind = is_signature ? "bad_signature" : "unreadable",
		             .detail = why->msg };
	char voltag[17] = "";

	if (point_session_valid(session)) {
		(void)snprintf(voltag, sizeof(voltag), "%.16s", session + POINT_SESSION_VOLTAG);
		a.voltag = voltag;
	}
	(void)snprintf(a.object, sizeof(a.object), PREFIX "%.100s", session);
	s->result.bad++;
	return note_anomaly(s, &a, e);
}

/*
 * A point that was made under a later config than the store shows: once for each such revision,
 * until the store shows it.
 */
static int note_hidden_config(struct sync *s, const struct point *p, struct err *e)
{
	struct anomaly a = { .kind = "unreadable" };
	char detail[256];

	if (p->config <= s->repo->params.revision)
		return 0;
	config_key(p->config, a.object);
	(void)snprintf(detail, sizeof(detail),
	               "restore point '%s' was made under it, and the newest revision of the "
	               "config that the store shows is %llu",
	               p->session, (unsigned long long)s->repo->params.revision);
	a.detail = detail;
	return note_anomaly(s, &a, e);
}

/* Points are looked at once, so what they told before is taken over. */
static int keep_hidden_configs(struct sync *s, struct err *e)
{
	auto_stmt sqlite3_stmt *keep = catalog_prepare(
		s->c,
		"INSERT INTO temp.still (kind, object, other) SELECT kind, object, other"
		" FROM anomalies WHERE resolved_ns IS NULL AND object LIKE '" CONFIG_REVISIONS
		"/%' AND object > ?1 ON CONFLICT DO NOTHING",
		e);
	char key[32];

	if (!keep)
		return -1;
	config_key(s->repo->params.revision, key);
	/* The first one has a name of another form, which is before all others. */
	catalog_bind_text(keep, 1, s->repo->params.revision > 1 ? key : CONFIG_REVISIONS "/");
	return catalog_run(s->c, keep, e);
}

/* Points that counted, and do not any more. */
static int note_voids(struct sync *s, struct err *e)
{
	for (size_t i = 0; i < s->voids.n; i++) {
		const char *session = s->voids.v[i].session;
		struct anomaly a = {
			.kind = "bad_signature",
			.detail = "its key was revoked, or its site fenced, and it is not "
				  "among what counted then",
		};
		char voltag[17];

		(void)snprintf(voltag, sizeof(voltag), "%.16s", session + POINT_SESSION_VOLTAG);
		a.voltag = voltag;
		(void)snprintf(a.object, sizeof(a.object), PREFIX "%.100s", session);
		s->result.bad++;
		if (note_anomaly(s, &a, e) < 0)
			return -1;
	}
	return 0;
}

struct chain_ctx {
	struct sync *s;
	const char *voltag;
};

static int note_chain(void *arg, const struct chain_anomaly *x, struct err *e)
{
	struct chain_ctx *ctx = arg;
	struct anomaly a = { .kind = chain_kind_name(x->kind),
		             .voltag = ctx->voltag,
		             .detail = x->text };

	(void)snprintf(a.object, sizeof(a.object), PREFIX "%.100s", x->point->session);
	if (x->other[0])
		(void)snprintf(a.other, sizeof(a.other), PREFIX "%.100s", x->other);
	return note_anomaly(ctx->s, &a, e);
}

struct chain_rows {
	struct chain_point *v;
	size_t n, cap;
};

static void chain_rows_clear(struct chain_rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free((char *)(uintptr_t)r->v[i].session);
	free(r->v);
}

/* session, previous, hash, previous_hash of the row in one block of memory. */
static int add_chain_row(struct chain_rows *r, sqlite3_stmt *row, struct err *e)
{
	const char *at[4];
	size_t len = 0;

	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		struct chain_point *v = reallocarray(r->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for the points of a volume");
		r->v = v;
		r->cap = cap;
	}
	for (int i = 0; i < 4; i++)
		len += strlen(catalog_text(row, i)) + 1;
	char *block = malloc(len);
	if (!block)
		return err_set(e, ERR_NOMEM, "no memory for the points of a volume");
	char *end = block;
	for (int i = 0; i < 4; i++) {
		const char *text = catalog_text(row, i);
		size_t n = strlen(text) + 1;

		at[i] = memcpy(end, text, n);
		end += n;
	}
	r->v[r->n++] = (struct chain_point){
		.session = at[0],
		.previous = at[1],
		.hash = at[2],
		.previous_hash = at[3],
		.sequence = (uint64_t)sqlite3_column_int64(row, 4),
		.gone = sqlite3_column_type(row, 5) != SQLITE_NULL,
		.expired = sqlite3_column_int(row, 6),
		.previous_missing = sqlite3_column_int(row, 7),
		.unknown = sqlite3_column_int(row, 8),
	};
	return 0;
}

/* Points that went without having been expired. */
static int note_lost(struct sync *s, const char *voltag, const struct chain_rows *rows,
                     struct err *e)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct chain_point *p = &rows->v[i];
		struct anomaly a = { .kind = "lost",
			             .voltag = voltag,
			             .detail = "no longer in the store, and no tombstone says "
			                       "why" };

		if (!p->gone || p->expired)
			continue;
		(void)snprintf(a.object, sizeof(a.object), PREFIX "%.100s", p->session);
		if (note_anomaly(s, &a, e) < 0)
			return -1;
	}
	return 0;
}

static int judge_volume(struct sync *s, const char *voltag, struct err *e)
{
	CLEANUP(chain_rows_clear) struct chain_rows rows = { 0 };
	struct chain_ctx ctx = { .s = s, .voltag = voltag };
	auto_stmt sqlite3_stmt *get = catalog_prepare(
		s->c,
		"SELECT session, previous_session, hash, previous_hash, sequence, gone_at_ns,"
		" expired_ns IS NOT NULL OR revoked_ns IS NOT NULL OR loss IS NOT NULL,"
		" previous_missing, 0"
		" FROM points WHERE voltag = ?1"
		/* those that had gone before anybody looked */
		" UNION ALL SELECT DISTINCT t.session, NULL, '', NULL, 0, 0, 1, 0, 1"
		" FROM tombstone_points t WHERE substr(t.session, 12, 16) = ?1"
		" AND NOT EXISTS (SELECT 1 FROM points p WHERE p.session = t.session)"
		" ORDER BY 5, 1",
		e);
	int rc;

	if (!get)
		return -1;
	catalog_bind_text(get, 1, voltag);
	while ((rc = catalog_step(s->c, get, e)) > 0) {
		if (add_chain_row(&rows, get, e) < 0)
			return -1;
	}
	if (rc < 0 || note_lost(s, voltag, &rows, e) < 0 ||
	    chain_check(rows.v, rows.n, note_chain, &ctx, e) < 0)
		return -1;
	return resolve(s, voltag, e);
}

/* Tombstones and holds that are missing or do not open. */
static int note_statements(struct sync *s, struct err *e)
{
	const struct {
		uint64_t n;
		const char *object, *detail;
	} all[] = {
		{ s->said.missing_tombs, "tomb/",
		  "tombstones are missing in the order of numbers, or do not open" },
		{ s->said.missing_holds, "hold/",
		  "holds are missing in the order of numbers, or do not open" },
		{ s->said.lost, "tomb/ hold/", "statements that were there are gone" },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct anomaly a = { .kind = "statement", .detail = all[i].detail };

		if (all[i].n == 0)
			continue;
		(void)snprintf(a.object, sizeof(a.object), "%s", all[i].object);
		if (note_anomaly(s, &a, e) < 0)
			return -1;
	}
	return 0;
}

/* One of the volumes that are to be judged, into ret. 0: there is none. */
static int next_unjudged(struct sync *s, char ret[17], struct err *e)
{
	auto_stmt sqlite3_stmt *get =
		catalog_prepare(s->c, "SELECT voltag FROM unjudged ORDER BY voltag LIMIT 1", e);
	int rc = get ? catalog_step(s->c, get, e) : -1;

	if (rc > 0)
		(void)snprintf(ret, 17, "%.16s", catalog_text(get, 0));
	return rc;
}

static int judge(struct sync *s, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	char voltag[17];
	int rc;

	if (catalog_tx_begin(&tx, s->c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *judged =
		catalog_prepare(s->c, "DELETE FROM unjudged WHERE voltag = ?1", e);
	if (!judged)
		return -1;
	while ((rc = next_unjudged(s, voltag, e)) > 0) {
		catalog_bind_text(judged, 1, voltag);
		if (judge_volume(s, voltag, e) < 0 || catalog_run(s->c, judged, e) < 0)
			return -1;
	}
	if (rc < 0 || note_voids(s, e) < 0 || keep_hidden_configs(s, e) < 0 ||
	    note_statements(s, e) < 0 || resolve(s, NULL, e) < 0)
		return -1;
	return catalog_tx_commit(&tx, e);
}

/* ---- writing ---- */

/* An error of one commit, which the others do not share. */
static bool is_bad(const struct err *why)
{
	return why->class == ERR_CORRUPT || why->class == ERR_FORMAT || why->class == ERR_DENIED ||
	       why->class == ERR_TOO_BIG || why->class == ERR_IO;
}

static int write_point(struct sync *s, const struct commit *commit, struct slot *slot,
                       struct err *e)
{
	char voltag[17];

	if (!slot->ok && slot->why.class == ERR_NOT_FOUND)
		return 0; /* it went while we looked: the next sync tells */
	if (!slot->ok && !is_bad(&slot->why)) {
		*e = slot->why;
		return err_wrap(e, "reading restore point '%s'", commit->session);
	}
	if (!slot->ok)
		return note_bad(s, commit->session, &slot->why, e);
	if (point_voltag(s->repo->keys, &slot->point.volume, voltag, e) < 0)
		return -1;
	int added = row_add_point(s->c, &slot->point, voltag, e);
	if (added < 0 || note_hidden_config(s, &slot->point, e) < 0)
		return -1;
	s->result.added += (uint64_t)added;
	return touch(s, voltag, e);
}

static int write_all(struct sync *s, struct fetch *f, struct err *e)
{
	struct progress_counts *counts = s->params->counts;

	for (size_t i = 0; i < f->todo->n;) {
		CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
		size_t end = i + BATCH < f->todo->n ? i + BATCH : f->todo->n;

		if (cancel_check(s->repo->cancel, e) < 0 || catalog_tx_begin(&tx, s->c, e) < 0)
			return -1;
		for (; i < end; i++) {
			struct slot *slot = await(f, i);
			int rc = write_point(s, &f->todo->v[i], slot, e);

			release(f, slot);
			if (rc < 0)
				return -1;
			if (counts)
				atomic_fetch_add_explicit(&counts->files_done, 1,
				                          memory_order_relaxed);
		}
		if (catalog_tx_commit(&tx, e) < 0)
			return -1;
	}
	return 0;
}

static int fetch_and_write(struct sync *s, struct err *e)
{
	pthread_t threads[THREADS_MAX];
	size_t want = s->params->threads ? s->params->threads : THREADS_DEFAULT;
	size_t started = 0;
	auto_free struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for fetching restore points");
	f->repo = s->repo;
	f->todo = &s->fresh;
	if (want > THREADS_MAX)
		want = THREADS_MAX;
	if (want > f->todo->n)
		want = f->todo->n;
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->ready, NULL);
	(void)pthread_cond_init(&f->room, NULL);
	int os = 0;
	while (started < want && (os = pthread_create(&threads[started], NULL, fetch_main, f)) == 0)
		started++;
	int rc = want > 0 && started == 0 ? err_sys(e, os, "starting a thread")
	                                  : write_all(s, f, e);
	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_cond_broadcast(&f->room);
	(void)pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	for (size_t i = 0; i < WINDOW; i++) {
		if (f->slots[i].ok)
			point_clear(&f->slots[i].point);
	}
	(void)pthread_cond_destroy(&f->room);
	(void)pthread_cond_destroy(&f->ready);
	(void)pthread_mutex_destroy(&f->lock);
	return rc;
}

/* Points whose key was revoked, and that do not count. */
static int mark_voids(struct sync *s, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (s->voids.n == 0)
		return 0;
	if (catalog_tx_begin(&tx, s->c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *update =
		catalog_prepare(s->c,
	                        "UPDATE points SET revoked_ns = ?2"
	                        " WHERE session = ?1 AND revoked_ns IS NULL",
	                        e);
	if (!update)
		return -1;
	(void)sqlite3_bind_int64(update, 2, s->params->now_ns);
	for (size_t i = 0; i < s->voids.n; i++) {
		catalog_bind_text(update, 1, s->voids.v[i].session);
		if (catalog_run(s->c, update, e) < 0)
			return -1;
	}
	return catalog_tx_commit(&tx, e);
}

static int mark(struct sync *s, const struct commits *l, bool gone, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };

	if (l->n == 0)
		return 0;
	if (catalog_tx_begin(&tx, s->c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *update =
		catalog_prepare(s->c,
	                        gone ? "UPDATE points SET gone_at_ns = ?2 WHERE session = ?1"
	                             : "UPDATE points SET gone_at_ns = NULL, revoked_ns = NULL,"
	                               " loss = NULL WHERE session = ?1",
	                        e);
	if (!update)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		catalog_bind_text(update, 1, l->v[i].session);
		if (gone)
			(void)sqlite3_bind_int64(update, 2, s->params->now_ns);
		if (catalog_run(s->c, update, e) < 0)
			return -1;
		const char *session = l->v[i].session;
		char voltag[17];
		(void)snprintf(voltag, sizeof(voltag), "%.16s", session + POINT_SESSION_VOLTAG);
		if (touch(s, voltag, e) < 0)
			return -1;
	}
	return catalog_tx_commit(&tx, e);
}

/* How many of those that are gone were not expired, and would still count. */
static int count_lost(struct sync *s, struct err *e)
{
	auto_stmt sqlite3_stmt *get =
		catalog_prepare(s->c,
	                        "SELECT 1 FROM points WHERE session = ?1 AND expired_ns IS NULL"
	                        " AND revoked_ns IS NULL",
	                        e);

	if (!get)
		return -1;
	for (size_t i = 0; i < s->gone.n; i++) {
		catalog_bind_text(get, 1, s->gone.v[i].session);
		int rc = catalog_step(s->c, get, e);
		if (rc < 0)
			return -1;
		s->result.lost += rc > 0;
		(void)sqlite3_reset(get);
	}
	return 0;
}

static int finish(struct sync *s, struct err *e)
{
	auto_stmt sqlite3_stmt *synced = catalog_prepare(s->c,
	                                                 "UPDATE repository SET synced_ns = ?1", e);
	auto_stmt sqlite3_stmt *open =
		catalog_prepare(s->c, "SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL",
	                        e);

	if (!synced || !open)
		return -1;
	(void)sqlite3_bind_int64(synced, 1, s->params->now_ns);
	if (catalog_run(s->c, synced, e) < 0 || catalog_step(s->c, open, e) < 0)
		return -1;
	s->result.open = (uint64_t)sqlite3_column_int64(open, 0);
	return 0;
}

/* ---- checks ---- */

struct checks {
	struct sync *s;
	sqlite3_stmt *known;
};

/* Records that the catalog does not have. */
static int want_record(void *arg, const char *key, struct err *e)
{
	struct checks *x = arg;

	(void)sqlite3_reset(x->known);
	catalog_bind_text(x->known, 1, key);
	int rc = catalog_step(x->s->c, x->known, e);
	return rc < 0 ? -1 : rc == 0;
}

static int take_record(void *arg, const struct checked *record, const struct pack_list *packs,
                       struct err *e)
{
	const struct checks *x = arg;

	(void)packs;
	return record->ended ? row_add_record(x->s->c, record, e) : 0;
}

static int sync_checks(struct sync *s, struct err *e)
{
	auto_stmt sqlite3_stmt *known =
		catalog_prepare(s->c, "SELECT 1 FROM checks WHERE object = ?1", e);
	struct checks x = { .s = s, .known = known };

	return known ? checked_each(s->repo, want_record, take_record, &x, e) : -1;
}

/* ---- journals ---- */

static int note_bad_record(void *arg, const char *key, const struct err *why, struct err *e)
{
	struct sync *s = arg;
	struct anomaly a = { .kind = why->class == ERR_FORMAT ? "unreadable" : "bad_signature",
		             .detail = why->msg };

	(void)snprintf(a.object, sizeof(a.object), "%s", key);
	s->result.bad++;
	return note_anomaly(s, &a, e);
}

static int sync_journals(struct sync *s, struct err *e)
{
	const struct journal_params params = { .bad = note_bad_record, .arg = s };
	struct journal_result said = { 0 };

	int rc = journal_sync(s->c, s->repo, &params, &said, e);
	s->result.records = said.records;
	s->result.drills = said.drills;
	return rc;
}

int sync_run(struct catalog *c, const struct repo *r, const struct sync_params *params,
             struct sync_result *ret, struct err *e)
{
	CLEANUP(sync_clear) struct sync s = { .c = c, .repo = r, .params = params };
	const struct geo_source region = { .store = r->store,
		                           .mirror = params->mirror,
		                           .why = params->mirror_why };

	if (row_bind_repository(c, r->keys, e) < 0)
		return -1;
	if (catalog_exec(c,
	                 "CREATE TEMP TABLE IF NOT EXISTS still (kind TEXT, object TEXT, other "
	                 "TEXT,"
	                 " PRIMARY KEY (kind, object, other)) WITHOUT ROWID; DELETE FROM "
	                 "temp.still",
	                 e) < 0 ||
	    compare(&s, e) < 0)
		return -1;
	if (params->counts)
		atomic_store(&params->counts->files_total, s.fresh.n);
	if (fetch_and_write(&s, e) < 0 || mark(&s, &s.gone, true, e) < 0 || mark_voids(&s, e) < 0 ||
	    mark(&s, &s.returned, false, e) < 0 || statement_sync(c, r, &s.said, e) < 0 ||
	    sync_checks(&s, e) < 0 || audit_sync(c, r, params->now_ns, &s.result.audit, e) < 0 ||
	    sync_journals(&s, e) < 0 || stock_sync(c, r, e) < 0 ||
	    revision_sync(c, r, params->now_ns, e) < 0 ||
	    fences_sync(c, r, params->now_ns, e) < 0 || judge(&s, e) < 0 || count_lost(&s, e) < 0 ||
	    geo_sync(c, &region, params->now_ns, &s.result.geo, e) < 0 || finish(&s, e) < 0)
		return -1;
	s.result.tombstones = s.said.tombstones;
	s.result.holds = s.said.holds;
	s.result.gone = s.gone.n;
	s.result.returned = s.returned.n;
	*ret = s.result;
	return 0;
}
