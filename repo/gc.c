/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a generation, each ended by one create-only object, so that
 * whoever comes next knows where to go on. The order of objects is the
 * protocol of docs/CONCURRENCY.md; nothing here may be moved without the model
 * in tests/model/.
 */
#include "repo/gc.h"

#include <string.h>

#include "common/json.h"
#include "common/now.h"
#include "repo/checked.h"
#include "repo/finals.h"
#include "repo/gc_impl.h"
#include "repo/inventory.h"
#include "repo/meta_cache.h"
#include "repo/probe.h"
#include "repo/segment.h"
#include "repo/session.h"

#define THREADS_MAX 16
#define SHARE_FROM_BYTES GIB /* smaller repositories have no share guard */
#define DAY_NS ((int64_t)86400 * 1000000000)
#define LIVE_MAX 1000000
#define FINALS_BYTES_MAX (NOTE_LIST_MAX - MIB)
#define DELETES_MAX 16 /* at once */
#define TRIES_MAX 5    /* while other collectors go on at the same time */
#define PART(p) (1U << (p))

const char *gc_outcome_name(enum gc_outcome o)
{
	static const char *const names[] = {
		[GC_NOTHING] = "nothing", [GC_DONE] = "done", [GC_WAITING] = "waiting"
	};

	return names[o];
}

/* ---- deleting ---- */

/* Keys to be deleted by several threads. */
struct sweep {
	struct gc *g;
	const struct pack_list *packs;
	struct team_tasks tasks;
	pthread_mutex_t lock;
	struct gc_amount done; /* guarded by lock; bytes as far as they are known */
	struct err refusal;    /* guarded by lock: of the first of those */
};

/* A store that keeps an object locked, or gives no right to delete it. */
static bool is_refusal(const struct err *e)
{
	return e->class == ERR_DENIED || e->class == ERR_BUSY || e->class == ERR_UNSUPPORTED;
}

static int64_t locked_until(const struct gc *g, const char *key)
{
	struct store_stat st;
	struct err ignored = ERR_INIT;

	return store_head(g->repo->store, key, &st, &ignored) == 0 ? st.locked_until_ns : 0;
}

static int sweep_one(struct sweep *s, const struct pack_name *p, struct err *e)
{
	struct gc *g = s->g;
	size_t number = gc_pack_find(g, p->kind, p->id);
	uint64_t bytes = number < g->npacks ? g->packs[number].len : 0;
	char name[PACK_KEY_MAX];
	struct err why = ERR_INIT;

	pack_key_name(name, p->id, p->kind);
	if (store_delete(g->repo->store, name, &why) < 0) {
		if (!is_refusal(&why)) {
			*e = why;
			return -1;
		}
		const int64_t until_ns = locked_until(g, name);

		(void)pthread_mutex_lock(&s->lock);
		g->result->left.packs++;
		g->result->left.bytes += bytes;
		if (until_ns > g->result->left_until_ns)
			g->result->left_until_ns = until_ns;
		if (s->refusal.class == ERR_NONE)
			s->refusal = why;
		(void)pthread_mutex_unlock(&s->lock);
		return 0;
	}
	if (p->kind == CHUNK_NODE)
		meta_cache_forget(g->repo, p->id);
	(void)pthread_mutex_lock(&s->lock);
	s->done.packs++;
	s->done.bytes += bytes;
	(void)pthread_mutex_unlock(&s->lock);
	if (g->params->counts)
		atomic_fetch_add(&g->params->counts->files_done, 1);
	return 0;
}

static int sweep_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct sweep *s = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&s->tasks, &at)) {
		if (cancel_check(s->g->repo->cancel, e) < 0 ||
		    sweep_one(s, &s->packs->v[at], e) < 0)
			return -1;
	}
	return 0;
}

/*
 * Deletes packs. Those that the store refuses to delete stay dead, and are tried again. must: it
 * is an error when no right is there to delete any of them.
 */
static int sweep_packs(struct gc *g, const struct pack_list *packs, bool must, struct err *e)
{
	struct sweep s = {
		.g = g,
		.packs = packs,
		.tasks = { .n = packs->n },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.refusal = ERR_INIT,
	};
	int rc = team_run(DELETES_MAX, "gc-sweep", sweep_some, &s, e);

	g->result->deleted.packs += s.done.packs;
	g->result->deleted.bytes += s.done.bytes;
	/* No right at all is a mistake to be told, a lock here and there is not. */
	if (rc == 0 && must && packs->n > 0 && s.done.packs == 0 && s.refusal.class == ERR_DENIED) {
		*e = s.refusal;
		rc = err_wrap(e,
		              "the store refuses every deletion; the identity that collects needs "
		              "the right to delete, or all of it is locked");
	}
	(void)pthread_mutex_destroy(&s.lock);
	return rc;
}

int gc_delete(struct gc *g, const char *key, bool *ret_gone, struct err *e)
{
	struct err why = ERR_INIT;

	*ret_gone = false;
	if (cancel_check(g->repo->cancel, e) < 0)
		return -1;
	*ret_gone = store_delete(g->repo->store, key, &why) == 0;
	if (*ret_gone || is_refusal(&why))
		return 0;
	*e = why;
	return err_wrap(e, "deleting '%s'", key);
}

/* Deletes an object that is of no use any more; a lock on it is fine. */
static int drop(struct gc *g, const char *key, struct err *e)
{
	bool gone;

	return gc_delete(g, key, &gone, e);
}

/*
 * Commits of expired points; those that are gone now into `gone`. Their markers are gone before:
 * else they would look like at work, and a put of the commit that is late like a point that counts.
 * So a point whose marker the store keeps stays too.
 */
static int drop_points(struct gc *g, const struct session_names *going,
                       const struct session_names *marked, struct session_names *gone,
                       struct err *e)
{
	char key[NOTE_KEY_MAX];
	bool deleted;

	for (size_t i = 0; i < going->n; i++) {
		if (session_names_has(marked, going->v[i]))
			continue;
		(void)snprintf(key, sizeof(key), "commit/%s", going->v[i]);
		if (gc_delete(g, key, &deleted, e) < 0 ||
		    (deleted && session_names_add(gone, going->v[i], e) < 0))
			return -1;
		g->result->points_deleted += deleted;
	}
	session_names_sort(gone);
	return 0;
}

static int by_session(const void *key, const void *item)
{
	return strcmp(key, ((const struct gc_point *)item)->session);
}

/*
 * Whether the marker is of no use any more. A point that is not in the list of live ones keeps it:
 * by one of the two it is told from one that a collection has taken (living.h).
 */
static bool is_settled(const struct gc *g, const struct commit_item *c,
                       const struct session_names *going)
{
	if (!c)
		return false;
	return c->kind != COMMIT_POINT || session_names_has(going, c->session) ||
	       (g->npoints > 0 &&
	        bsearch(c->session, g->points, g->npoints, sizeof(*g->points), by_session));
}

/* Markers, and beats, of sessions that have ended. ret_kept: those that go and the store keeps */
static int drop_markers(struct gc *g, const struct session_names *going,
                        struct session_names *ret_kept, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	const struct repo *r = g->repo;
	char key[NOTE_KEY_MAX];

	if (marker_list_load(r->store, &markers, e) < 0 ||
	    commit_list_load(r->store, &commits, e) < 0)
		return -1;
	for (size_t i = 0; i < markers.n; i++) {
		const struct marker_item *m = &markers.v[i];
		bool gone;

		if (!is_settled(g, commit_list_find(&commits, m->session), going))
			continue;
		for (unsigned b = 1; b <= m->last_beat; b++) {
			(void)snprintf(key, sizeof(key), "sess/%s-%04u", m->session, b);
			if (drop(g, key, e) < 0)
				return -1;
		}
		(void)snprintf(key, sizeof(key), "sess/%s", m->session);
		if (gc_delete(g, key, &gone, e) < 0 ||
		    (!gone && session_names_has(going, m->session) &&
		     session_names_add(ret_kept, m->session, e) < 0))
			return -1;
	}
	session_names_sort(ret_kept);
	return 0;
}

struct droppers {
	struct gc *g;
	const struct commit_list *commits;
	char last[96]; /* maintenance session that a segment is of */
	struct session_names used;
};

static int note_user(void *arg, const struct store_item *item, struct err *e)
{
	struct droppers *d = arg;
	const char *slash = strchr(item->key + strlen("idx/"), '/');
	char session[96];

	if (!slash || !segment_session(slash + 1, session) || !session_is_maintenance(session) ||
	    strcmp(session, d->last) == 0)
		return 0;
	memcpy(d->last, session, sizeof(session));
	return session_names_add(&d->used, session, e);
}

/*
 * Commits of maintenance sessions none of whose segments is left. The list of segments comes after
 * that of commits: what was committed then had its segments before.
 */
static int drop_maintenance(struct gc *g, struct err *e)
{
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	struct droppers d = { .g = g };
	char key[NOTE_KEY_MAX];
	int rc = 0;

	if (commit_list_load(g->repo->store, &commits, e) < 0)
		return -1;
	if (store_list(g->repo->store, "idx/", NULL, note_user, &d, e) < 0)
		rc = -1;
	session_names_sort(&d.used);
	for (size_t i = 0; rc == 0 && i < commits.n; i++) {
		const struct commit_item *c = &commits.v[i];

		if (c->kind != COMMIT_MAINTENANCE || session_names_has(&d.used, c->session))
			continue;
		(void)snprintf(key, sizeof(key), "sess/%s", c->session);
		rc = drop(g, key, e);
		(void)snprintf(key, sizeof(key), "commit/%s", c->session);
		if (rc == 0)
			rc = drop(g, key, e);
	}
	session_names_clear(&d.used);
	return rc;
}

/* What is below a prefix and was received so long ago. */
struct aging {
	struct gc *g;
	int64_t keep_ns;
};

static int drop_if_old(void *arg, const struct store_item *item, struct err *e)
{
	const struct aging *a = arg;

	return item->st.received_ns + a->keep_ns < a->g->now_ns ? drop(a->g, item->key, e) : 0;
}

/* Beats whose marker is gone: of a session that ended while they were on their way. */
struct lone_beats {
	struct aging aging;
	char session[POINT_SESSION_LEN + 1]; /* the marker that was listed last */
};

static int drop_lone_beat(void *arg, const struct store_item *item, struct err *e)
{
	struct lone_beats *b = arg;
	const char *name = item->key + strlen("sess/");

	/* Beats follow their marker in the list. */
	if (strlen(name) == POINT_SESSION_LEN) {
		memcpy(b->session, name, sizeof(b->session));
		return 0;
	}
	if (strncmp(name, b->session, POINT_SESSION_LEN) == 0)
		return 0;
	return drop_if_old(&b->aging, item, e);
}

/* Pins that count no more, probes that somebody left, old records of checks and inventories. */
static int drop_leftovers(struct gc *g, struct err *e)
{
	struct aging probes = { .g = g, .keep_ns = DAY_NS };
	struct aging checks = { .g = g, .keep_ns = CHECKED_KEEP_NS };
	struct aging inventories = { .g = g, .keep_ns = INVENTORY_KEEP_NS };
	struct lone_beats beats = { .aging = { .g = g, .keep_ns = DAY_NS } };

	for (size_t i = 0; i < g->expiry.npins; i++) {
		const struct expiry_pin *p = &g->expiry.pins[i];

		if (p->received_ns + EXPIRY_PIN_NS < g->now_ns && drop(g, p->key, e) < 0)
			return -1;
	}
	if (store_list(g->repo->store, "probe/", NULL, drop_if_old, &probes, e) < 0 ||
	    store_list(g->repo->store, "sess/", NULL, drop_lone_beat, &beats, e) < 0 ||
	    store_list(g->repo->store, "ctl/inventory/", NULL, drop_if_old, &inventories, e) < 0)
		return -1;
	return store_list(g->repo->store, "check/", NULL, drop_if_old, &checks, e);
}

struct marks {
	struct gc *g;
	const struct pack_list *final;
};

/* A mark all of whose packs are gone says nothing any more. */
static int drop_mark(void *arg, const char *key, const struct place *places, size_t n,
                     struct err *e)
{
	const struct marks *m = arg;

	for (size_t i = 0; i < n; i++) {
		const struct pack_name *p = &places[i].pack;
		/* One that was lost without us is remembered: a point may still need it. */
		if (!pack_list_has(m->final, p->kind, p->id) &&
		    !pack_list_has(&m->g->view.dead, p->kind, p->id))
			return 0;
	}
	return n > 0 ? drop(m->g, key, e) : 0;
}

/* ---- the steps ---- */

/* Puts a part; another one that stands there is as good. */
static int put_once(const struct repo *r, uint64_t n, enum collection_part part,
                    const struct collection_list *l, const json_t *what, struct err *e)
{
	struct err why = ERR_INIT;

	if (collection_put(r, n, part, l, what, &why) == 0 || why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return -1;
}

static json_t *names_json(const struct gc_names *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++) {
		if (json_array_append_new(a, json_string(l->v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* All that was ever in a final, so that who has no copy of it needs to read few objects. */
static int put_finals(struct gc *g, uint64_t n, const struct pack_list *final, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	const struct pack_list *const lists[] = { &g->view.dead, final };
	uint64_t bad;

	pack_list_clear(&g->view.dead);
	if (finals_load(g->repo, &g->view.collection, &g->view.dead, &bad, e) < 0)
		return -1;
	/* Without what does not open, or with more than fits, it would not be all. */
	if (bad > 0 || (g->view.dead.n + final->n) * FORMAT_PACK_NAME_BYTES > FINALS_BYTES_MAX)
		return 0;
	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		for (size_t i = 0; i < lists[k]->n; i++) {
			if (pack_list_add(&l.packs, lists[k]->v[i].kind, lists[k]->v[i].id, e) < 0)
				return -1;
		}
	}
	pack_list_sort(&l.packs);
	return put_once(g->repo, n, COLLECTION_FINALS, &l, NULL, e);
}

/*
 * What the generation took and had is told to the next one; then it is done. A point that goes
 * is not told to be live, also when a hold or a pin came too late for it.
 */
static int put_done(struct gc *g, uint64_t n, const struct collection_list *final,
                    const struct gc_names *locked, uint64_t tombs, struct err *e)
{
	const struct gc_result *r = g->result;
	struct collection_list l = { 0 };
	int rc = 0;

	/* Of more than fit the next collection has no such guard. */
	bool fit = g->npoints <= LIVE_MAX;
	for (size_t i = 0; fit && rc == 0 && i < g->npoints; i++) {
		if (!session_names_has(&final->sessions, g->points[i].session))
			rc = session_names_add(&l.sessions, g->points[i].session, e);
	}
	if (fit && rc == 0)
		rc = put_once(g->repo, n, COLLECTION_LIVE, &l, NULL, e);
	session_names_clear(&l.sessions);
	if (rc < 0)
		return -1;
	if (n % FINALS_EVERY == 0 && put_finals(g, n, &final->packs, e) < 0)
		return -1;
	auto_json json_t *what =
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "tombs",
	                  (json_int_t)tombs, "holds", (json_int_t)g->expiry.last_hold, "points",
	                  (json_int_t)r->points, "packs", (json_int_t)r->stored.packs, "bytes",
	                  (json_int_t)r->stored.bytes, "deleted_packs",
	                  (json_int_t)r->deleted.packs, "deleted_bytes",
	                  (json_int_t)r->deleted.bytes, "left_packs", (json_int_t)r->left.packs,
	                  "segments", names_json(locked));
	if (!what)
		return err_set(e, ERR_NOMEM, "no memory for the end of the collection");
	l = (struct collection_list){ 0 };
	return put_once(g->repo, n, COLLECTION_DONE, &l, what, e);
}

struct retiring {
	struct gc *g;
	uint64_t n;
};

/*
 * Of a generation that is done `condemn` and `sessions` go, of older ones `live` too: also what a
 * collector that was late has put there since.
 */
static int retire_part(void *arg, const struct store_item *item, struct err *e)
{
	const struct retiring *r = arg;
	enum collection_part part;
	uint64_t n;

	if (!collection_key_parse(item->key, &n, &part) || n > r->n ||
	    (part != COLLECTION_CONDEMN && part != COLLECTION_SESSIONS &&
	     (part != COLLECTION_LIVE || n == r->n)))
		return 0;
	return drop(r->g, item->key, e);
}

static int retire(struct gc *g, uint64_t n, struct err *e)
{
	struct retiring r = { .g = g, .n = n };

	return store_list(g->repo->store, "ctl/gc/", NULL, retire_part, &r, e);
}

/*
 * The number up to which all tombstones name points whose commits are gone:
 * listed by nobody, or just deleted.
 */
static uint64_t settled_tombs(const struct gc *g, const struct session_names *gone)
{
	const struct expiry *x = &g->expiry;
	uint64_t settled = x->last_tomb;

	for (size_t i = 0; i < x->ntombs; i++) {
		const struct expiry_tomb *t = &x->tombs[i];

		if (t->number <= settled && commit_list_find(&g->view.commits, t->session) &&
		    !session_names_has(gone, t->session))
			settled = t->number - 1;
	}
	return settled;
}

/*
 * What this signer has put so far counts for everybody, whatever becomes of its key: a list of what
 * counts is made after its revocation was announced, and that is not yet so.
 */
static int still_counts(const struct gc *g, struct err *e)
{
	const struct repo *r = g->repo;

	return config_still(r->store, r->keys, r->params.revision, e);
}

/* Names of segments that the last generation could not delete; nothing depends on them but cost. */
int gc_replaced(struct gc *g, struct gc_names *ret, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	const struct collection_state *s = &g->view.collection;
	auto_json json_t *what = NULL;
	struct err why = ERR_INIT;

	if (s->done == 0)
		return 0;
	if (collection_get(g->repo, s->done, COLLECTION_DONE, &l, &what, &why) < 0) {
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return err_wrap(e, "reading the end of collection %llu",
		                (unsigned long long)s->done);
	}
	const json_t *a = json_object_get(what, "segments");
	for (size_t i = 0; i < json_array_size(a); i++) {
		const char *name = json_string_value(json_array_get(a, i));

		if (name && gc_names_add(ret, name, e) < 0)
			return -1;
	}
	gc_names_sort(ret);
	return 0;
}

/* Index, deletions, and the end: all that follows once `final` stands. */
static int finish(struct gc *g, uint64_t n, const struct collection_list *final, struct err *e)
{
	CLEANUP(session_names_clear) struct session_names gone = { 0 };
	CLEANUP(session_names_clear) struct session_names marked = { 0 };
	CLEANUP(gc_names_clear) struct gc_names locked = { 0 };
	struct marks marks = { .g = g, .final = &final->packs };
	struct absent ignored = { 0 };

	if (still_counts(g, e) < 0 || gc_replaced(g, &locked, e) < 0 ||
	    gc_index(g, n, &final->sessions, &locked, e) < 0)
		return -1;
	if (g->params->counts)
		atomic_store(&g->params->counts->files_total, final->packs.n);
	if (sweep_packs(g, &final->packs, true, e) < 0 ||
	    drop_markers(g, &final->sessions, &marked, e) < 0 ||
	    drop_points(g, &final->sessions, &marked, &gone, e) < 0 || drop_maintenance(g, e) < 0 ||
	    drop_leftovers(g, e) < 0)
		return -1;
	int rc = damage_load(g->repo, &ignored, drop_mark, &marks, e);
	absent_clear(&ignored);
	if (rc < 0 || put_done(g, n, final, &locked, settled_tombs(g, &gone), e) < 0)
		return -1;
	g->result->outcome = GC_DONE;
	return retire(g, n, e);
}

/* Puts the list, or reads the one that stands. */
static int put_or_get(const struct repo *r, uint64_t n, enum collection_part part,
                      const struct collection_list *mine, struct collection_list *ret,
                      struct err *e)
{
	struct err why = ERR_INIT;

	if (collection_put(r, n, part, mine, NULL, &why) < 0 && why.class != ERR_EXISTS) {
		*e = why;
		return -1;
	}
	return collection_get(r, n, part, ret, NULL, e);
}

/* Lists the sessions under way, after `condemn`. */
static int list_sessions(struct gc *g, uint64_t n, struct collection_list *ret, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };
	CLEANUP(collection_list_clear) struct collection_list mine = { 0 };

	if (marker_list_load(g->repo->store, &markers, e) < 0 ||
	    commit_list_load(g->repo->store, &commits, e) < 0)
		return -1;
	for (size_t i = 0; i < markers.n; i++) {
		if (!commit_list_find(&commits, markers.v[i].session) &&
		    session_names_add(&mine.sessions, markers.v[i].session, e) < 0)
			return -1;
	}
	return put_or_get(g->repo, n, COLLECTION_SESSIONS, &mine, ret, e);
}

/* Nobody waits for a session of a key that was revoked: what it commits does not count. */
static bool is_revoked(const struct gc *g, const char *session)
{
	const struct keys *k = g->repo->keys;
	struct session_info info;
	struct err why = ERR_INIT;

	if (!keys_any_revoked(k))
		return false;
	if (session_info(g->repo, session, &info, &why) < 0)
		return key_is_void(&why);
	const struct key_signer *s = keys_signer(k, info.signer);
	return s && s->revoked;
}

/*
 * Resolves the sessions: those that did not end and were silent for long are
 * fenced. 1: all have ended; 0: some are to be waited for.
 */
static int resolve_sessions(struct gc *g, const struct session_names *l, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	struct gc_result *r = g->result;

	if (marker_list_load(g->repo->store, &markers, e) < 0)
		return -1;
	r->sessions_waiting = 0;
	r->wait_until_ns = 0;
	for (size_t i = 0; i < l->n; i++) {
		const struct marker_item *m = marker_list_find(&markers, l->v[i]);
		int64_t until_ns = (m ? m->alive_ns : 0) + g->params->fence_after_ns;
		enum session_end end;

		if (cancel_check(g->repo->cancel, e) < 0 ||
		    session_look(g->repo, l->v[i], &end, e) < 0)
			return -1;
		if (end != SESSION_OPEN)
			continue;
		/* Nobody is fenced where the store cannot keep writers apart. */
		if (m && (until_ns > g->now_ns || g->repo->params.single_writer) &&
		    !is_revoked(g, l->v[i])) {
			r->sessions_waiting++;
			if (until_ns > r->wait_until_ns)
				r->wait_until_ns = until_ns;
			continue;
		}
		if (session_abort(g->repo, l->v[i], "no sign of life", &end, e) < 0)
			return -1;
		r->sessions_fenced += end == SESSION_ABORTED;
	}
	return r->sessions_waiting == 0;
}

/* Sessions that have committed since must be among the commits that the mark goes by. */
static int compare_committed(struct gc *g, const struct session_names *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		enum session_end end;

		if (commit_list_find(&g->view.commits, l->v[i]))
			continue;
		if (session_look(g->repo, l->v[i], &end, e) < 0)
			return -1;
		if (end == SESSION_COMMITTED)
			return gc_list_lies(l->v[i], e);
	}
	return 0;
}

/* What `condemn` has and nothing needs now, and the points that go. */
static int decide_final(struct gc *g, const struct collection_list *condemned,
                        const struct session_names *sessions, struct collection_list *ret,
                        struct err *e)
{
	g->condemned = &condemned->packs;
	int rc = gc_gather(g, e) < 0 || compare_committed(g, sessions, e) < 0 || gc_mark(g, e) < 0
	                 ? -1
	                 : 0;
	g->condemned = NULL;
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < condemned->packs.n; i++) {
		const struct pack_name *p = &condemned->packs.v[i];

		if (pack_list_has(&g->released, p->kind, p->id))
			g->result->released.packs++;
		else if (pack_list_add(&ret->packs, p->kind, p->id, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < g->going.n; i++) {
		if (session_names_add(&ret->sessions, g->going.v[i], e) < 0)
			return -1;
	}
	return 0;
}

/* Reads a part; *ret_broken: it does not open. */
static int get_part(const struct repo *r, uint64_t n, enum collection_part part,
                    struct collection_list *ret, bool *ret_broken, struct err *e)
{
	struct err why = ERR_INIT;

	if (collection_get(r, n, part, ret, NULL, &why) == 0)
		return 0;
	*ret_broken = note_is_bad(&why) && why.class != ERR_NOT_FOUND;
	if (*ret_broken)
		return 0;
	*e = why;
	return -1;
}

/*
 * Reads what was decided. 0: it does not open, and was taken away, to be decided again: all
 * sessions that could need something of `condemn` have ended, so the outcome is the same, or
 * more goes that has expired since.
 */
static int get_final(struct gc *g, uint64_t n, unsigned parts, struct collection_list *ret,
                     struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list condemned = { 0 };
	const unsigned both = PART(COLLECTION_CONDEMN) | PART(COLLECTION_SESSIONS);
	bool broken = false;
	char key[64];

	if (get_part(g->repo, n, COLLECTION_FINAL, ret, &broken, e) < 0)
		return err_wrap(e, "reading what collection %llu decided", (unsigned long long)n);
	if (!broken)
		return 1;
	collection_key(n, COLLECTION_FINAL, key);
	broken = (parts & both) != both;
	if (!broken && get_part(g->repo, n, COLLECTION_CONDEMN, &condemned, &broken, e) < 0)
		return -1;
	if (broken)
		return err_set(
			e, ERR_CORRUPT,
			"'%s' does not open, nor does what it came from: nobody can say what "
			"was decided; put back a good copy of it (aksdr-catalog repair --from)",
			key);
	if (store_delete(g->repo->store, key, e) < 0)
		return err_wrap(e, "taking away '%s', which does not open", key);
	return 0;
}

/*
 * Where a key was revoked, another collector may take away what it takes for that key's. Sessions
 * that have begun meanwhile must have seen `condemn`.
 */
static int still_condemned(const struct gc *g, uint64_t n, struct err *e)
{
	struct collection_state s;

	if (!keys_any_revoked(g->repo->keys))
		return 0;
	if (collection_state(g->repo, &s, e) < 0)
		return -1;
	if (s.open == n && s.open_parts & PART(COLLECTION_CONDEMN))
		return 0;
	return err_set(e, ERR_BUSY, "another collector has ended it, or begun it anew");
}

/* Goes on with an open generation as far as it goes now. 1: it is done; 0: it has to wait. */
static int go_on(struct gc *g, uint64_t n, unsigned parts, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list condemned = { 0 };
	CLEANUP(collection_list_clear) struct collection_list sessions = { 0 };
	CLEANUP(collection_list_clear) struct collection_list mine = { 0 };
	CLEANUP(collection_list_clear) struct collection_list final = { 0 };
	const struct repo *r = g->repo;
	bool broken = !(parts & PART(COLLECTION_CONDEMN));

	g->result->generation = n;
	if (parts & PART(COLLECTION_FINAL)) {
		int rc = get_final(g, n, parts, &final, e);

		if (rc < 0)
			return -1;
		if (rc > 0) {
			g->final = &final.sessions;
			rc = gc_gather(g, e) < 0 || finish(g, n, &final, e) < 0 ? -1 : 1;
			g->final = NULL;
			return rc;
		}
	}
	if ((!broken && get_part(r, n, COLLECTION_CONDEMN, &condemned, &broken, e) < 0) ||
	    (!broken && (parts & PART(COLLECTION_SESSIONS)) &&
	     get_part(r, n, COLLECTION_SESSIONS, &sessions, &broken, e) < 0))
		return -1;
	if (!broken) {
		int rc = parts & PART(COLLECTION_SESSIONS) ? 0 : list_sessions(g, n, &sessions, e);

		if (rc == 0)
			rc = resolve_sessions(g, &sessions.sessions, e);
		if (rc <= 0)
			return rc < 0 ? err_wrap(e, "waiting for sessions") : 0;
		if (decide_final(g, &condemned, &sessions.sessions, &mine, e) < 0 ||
		    still_condemned(g, n, e) < 0)
			return -1;
	}
	/*
	 * Lists that do not open, or are gone, would stop this generation for ever: it ends and
	 * takes nothing.
	 */
	if (put_or_get(r, n, COLLECTION_FINAL, &mine, &final, e) < 0)
		return err_wrap(e, "deciding collection %llu", (unsigned long long)n);
	/* Then the look at the repository is still to be taken. */
	if (broken && gc_gather(g, e) < 0)
		return -1;
	return finish(g, n, &final, e) < 0 ? -1 : 1;
}

static int check_share(const struct gc *g, uint64_t bytes, struct err *e)
{
	uint64_t all = g->result->stored.bytes;

	if (all < SHARE_FROM_BYTES || g->params->share_percent == 0 ||
	    bytes / 100 <= all / 10000 * g->params->share_percent)
		return 0;
	return err_set(
		e, ERR_INVALID,
		"the collection would take away %llu %% of all bytes, more than the %u "
		"%% that are allowed at once; when that is what you expect, allow it (--max-share)",
		(unsigned long long)(bytes / (all / 100 ? all / 100 : 1)),
		g->params->share_percent);
}

/* What is to be condemned: packs without use, and those that were copied. */
static int choose(struct gc *g, struct collection_list *ret, struct err *e)
{
	uint64_t bytes = 0;
	uint64_t moved = 0;

	for (size_t i = 0; i < g->npacks && ret->packs.n < COLLECTION_PACKS_MAX; i++) {
		const struct gc_pack *p = &g->packs[i];
		bool copied = p->fate == GC_SPARSE || p->fate == GC_SMALL;

		/* Absent ones are condemned already: what earlier generations left. */
		if ((p->fate != GC_GARBAGE && !copied) ||
		    pack_list_has(&g->view.absent.packs, p->kind, p->id))
			continue;
		if (pack_list_add(&ret->packs, p->kind, p->id, e) < 0)
			return -1;
		bytes += p->len;
		moved += p->live;
	}
	g->result->condemned.packs = ret->packs.n;
	g->result->condemned.bytes = bytes;
	return check_share(g, bytes - moved, e);
}

/*
 * Packs that collections before this one have named, and that are there: locked then, or brought
 * back. Anybody may delete them at any time.
 */
static int sweep_undead(struct gc *g, struct err *e)
{
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };

	g->result->left = (struct gc_amount){ 0 };
	g->result->left_until_ns = 0;
	for (size_t i = 0; i < g->npacks; i++) {
		const struct gc_pack *p = &g->packs[i];

		if (pack_list_has(&g->view.dead, p->kind, p->id) &&
		    pack_list_add(&l, p->kind, p->id, e) < 0)
			return -1;
	}
	return l.n > 0 ? sweep_packs(g, &l, false, e) : 0;
}

/* A new generation, up to `condemn`. 1: it is there; 0: there is nothing to do. */
static int begin(struct gc *g, uint64_t n, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	struct err why = ERR_INIT;
	bool index_due = false;

	if (gc_gather(g, e) < 0 || gc_mark(g, e) < 0)
		return -1;
	gc_judge(g);
	if (gc_index_due(g, &index_due, e) < 0)
		return -1;
	/* The guard comes before anything is copied. */
	if (g->params->dry_run) {
		g->result->generation = n;
		return choose(g, &l, e) < 0 ? -1 : 0;
	}
	if (sweep_undead(g, e) < 0 || gc_repack(g, e) < 0 || choose(g, &l, e) < 0)
		return -1;
	if (l.packs.n == 0 && g->going.n == 0 && !index_due)
		return 0;
	if (collection_put(g->repo, n, COLLECTION_CONDEMN, &l, NULL, &why) < 0 &&
	    why.class != ERR_EXISTS) {
		*e = why;
		return err_wrap(e, "beginning collection %llu", (unsigned long long)n);
	}
	return 1;
}

/* ---- the call ---- */

static int run(struct gc *g, const struct collection_state *s, struct err *e)
{
	uint64_t done = s->done;

	if (s->open && !g->params->dry_run) {
		int rc = go_on(g, s->open, s->open_parts, e);

		if (rc < 0)
			return err_wrap(e, "collection %llu", (unsigned long long)s->open);
		if (rc == 0) {
			g->result->outcome = GC_WAITING;
			return 0;
		}
		done = s->open;
	}
	int rc = begin(g, done + 1, e);
	if (rc <= 0)
		return rc;
	rc = go_on(g, done + 1, PART(COLLECTION_CONDEMN), e);
	if (rc == 0)
		g->result->outcome = GC_WAITING;
	return rc < 0 ? err_wrap(e, "collection %llu", (unsigned long long)done + 1) : 0;
}

/*
 * What was looked at may have gone meanwhile, since another collector is further, or has fenced
 * this one: then nothing is wrong but the look.
 */
static bool was_overtaken(const struct gc *g, const struct collection_state *before,
                          const struct err *why)
{
	struct collection_state now;
	struct err ignored = ERR_INIT;

	if (why->class == ERR_BUSY)
		return true;
	if (why->class != ERR_CORRUPT && why->class != ERR_NOT_FOUND)
		return false;
	return collection_state(g->repo, &now, &ignored) == 0 &&
	       (now.done != before->done || now.open != before->open ||
	        now.open_parts != before->open_parts);
}

static int run_until_undisturbed(struct gc *g, struct err *e)
{
	for (unsigned try = 1;; try++) {
		struct collection_state before;
		struct err why = ERR_INIT;

		if ((!g->params->dry_run && collection_drop_voids(g->repo, e) < 0) ||
		    collection_state(g->repo, &before, e) < 0)
			return -1;
		if (run(g, &before, &why) == 0)
			return 0;
		/* Another look does not help where the keys are others now: some may be new. */
		struct err changed = ERR_INIT;
		if (still_counts(g, &changed) < 0 && changed.class == ERR_BUSY) {
			*e = changed;
			return -1;
		}
		if (!was_overtaken(g, &before, &why)) {
			*e = why;
			return -1;
		}
		if (try == TRIES_MAX) {
			*e = why;
			e->class = ERR_BUSY;
			return err_wrap(e, "another collector was faster, %u times", try);
		}
	}
}

/* Of every signer it must be known what counts. */
static int check_signers(const struct keys *k, struct err *e)
{
	for (size_t i = 0; i < k->nsigners; i++) {
		const struct key_signer *s = &k->signers[i];

		if (s->closing)
			return err_set(e, ERR_BUSY,
			               "key '%s' is being revoked; when that was stopped, finish "
			               "it (aksdr-catalog key revoke %s), and run this again",
			               s->name, s->name);
		if (s->lost)
			return err_set(e, ERR_CORRUPT,
			               "the list of what counts of the revoked key '%s' ('%s') "
			               "does not open: put it back from a copy, or make another "
			               "one (aksdr-catalog key revoke)",
			               s->name, s->nlists ? s->lists[0].object : "");
	}
	return 0;
}

int gc_run(const struct repo *r, const struct gc_params *params, struct gc_result *ret,
           struct err *e)
{
	struct gc_result result = { .outcome = GC_NOTHING };
	struct gc g = {
		.repo = r,
		.params = params,
		.result = &result,
		.scratch = r->state[0] ? r->state : NULL,
		.threads = team_size(params->threads, THREADS_MAX),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	if (!r->keys->has_sign && !params->dry_run)
		return err_set(
			e, ERR_DENIED,
			"this key file cannot sign what a collection decides; use the agent key");
	if (!(r->params.features & FORMAT_FEATURE_COLLECT))
		return err_set(
			e, ERR_UNSUPPORTED,
			"this repository was made by a version whose writers know nothing of "
			"collections; run 'aksdr-catalog upgrade' once no such version is in use");
	if (check_signers(r->keys, e) < 0)
		return -1;
	if (r->params.foreign > 0 && !params->accept_loss)
		return err_set(e, ERR_CORRUPT,
		               "%llu objects below '" CONFIG_REVISIONS "' that are newer than "
		               "revision %llu are not signed by the admin key: one may be a "
		               "revision that is damaged; put it back from a copy, or delete what "
		               "somebody put there, or accept the loss (--accept-loss)",
		               (unsigned long long)r->params.foreign,
		               (unsigned long long)r->params.revision);
	if (params->dry_run || r->params.single_writer)
		g.now_ns = now_wall_ns();
	else if (probe_store(r->store, &g.now_ns, e) < 0)
		return -1;
	result.now_ns = g.now_ns;
	int rc = run_until_undisturbed(&g, e);
	gc_forget(&g);
	pack_list_clear(&g.released);
	(void)pthread_mutex_destroy(&g.lock);
	if (rc == 0)
		*ret = result;
	return rc;
}
