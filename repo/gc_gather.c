/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is by name, in an order in which nothing that counts is missed:
 * the state of the collection, commits, what is expired, then packs. Commits
 * are all opened: a list is not believed about what may be deleted.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "repo/fence.h"
#include "repo/gc_impl.h"
#include "repo/living.h"
#include "repo/revoke.h"
#include "repo/session.h"

#define GUESSES 12 /* by interpolation, before halving */

/* ---- domains ---- */

int gc_domain_number(struct gc *g, const char *name, struct err *e)
{
	struct gc_domain d = { 0 };

	for (size_t i = 0; i < g->ndomains; i++) {
		if (strcmp(g->domains[i].keys->name, name) == 0)
			return (int)i;
	}
	if (g->ndomains == UINT16_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %u dedup domains", UINT16_MAX);
	if (g->ndomains == g->domains_cap) {
		size_t cap = g->domains_cap ? 2 * g->domains_cap : 8;
		struct gc_domain *v = reallocarray(g->domains, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for %zu dedup domains", cap);
		g->domains = v;
		g->domains_cap = cap;
	}
	if (keys_domain(g->repo->keys, name, &d.keys, e) < 0)
		return -1;
	crypt_hasher_init(&d.node, d.keys->node);
	g->domains[g->ndomains] = d;
	return (int)g->ndomains++;
}

int gc_open_indexes(struct gc *g, struct err *e)
{
	const struct repo *r = g->repo;

	for (size_t i = 0; i < g->ndomains; i++) {
		struct gc_domain *d = &g->domains[i];

		if (!d->index && index_open(r->store, r->keys, d->keys, g->scratch, &g->view,
		                            r->cancel, &d->index, e) < 0)
			return err_wrap(e, "opening the index of domain '%s'", d->keys->name);
	}
	return 0;
}

/* ---- packs ---- */

static int room_for_pack(struct gc *g, struct err *e)
{
	void *v = g->packs;
	void *ids = g->ids;
	int rc = fd_grow_scratch(g->scratch, &v, g->npacks, &g->packs_cap, sizeof(*g->packs));

	g->packs = v;
	if (rc == 0)
		rc = fd_grow_scratch(g->scratch, &ids, g->npacks, &g->ids_cap, sizeof(*g->ids));
	g->ids = ids;
	return rc == 0 ? 0
	               : err_sys(e, errno, "making room for a list of packs in '%s'",
	                         g->scratch ? g->scratch : "memory");
}

static int pack_cmp(const void *va, const void *vb)
{
	const struct gc_pack *a = va;
	const struct gc_pack *b = vb;

	return refset_pack_cmp(a->kind, a->id, b->kind, b->id);
}

static int take_pack(void *arg, const struct store_item *item, struct err *e)
{
	struct gc *g = arg;
	struct gc_pack p = { .received_ns = item->st.received_ns };

	if (cancel_check(g->repo->cancel, e) < 0)
		return -1;
	if (pack_key_parse(item->key, p.id, &p.kind) < 0)
		return 0; /* of somebody else */
	p.len = item->st.size > UINT32_MAX ? UINT32_MAX : (uint32_t)item->st.size;
	if (room_for_pack(g, e) < 0)
		return -1;
	/* Lists come in this order; a store whose list does not is not to be collected in. */
	if (g->npacks > 0 && pack_cmp(&g->packs[g->npacks - 1], &p) >= 0)
		return err_set(e, ERR_CORRUPT, "the list of packs is out of order at '%s'",
		               item->key);
	memcpy(g->ids[g->npacks], p.id, sizeof(p.id));
	g->packs[g->npacks++] = p;
	g->result->stored.packs++;
	g->result->stored.bytes += item->st.size;
	return 0;
}

static int list_packs(struct gc *g, struct err *e)
{
	g->result->stored = (struct gc_amount){ 0 };
	if (store_list(g->repo->store, "pack/", NULL, take_pack, g, e) < 0)
		return err_wrap(e, "listing packs");
	g->ndata = g->npacks;
	if (store_list(g->repo->store, "meta/", NULL, take_pack, g, e) < 0)
		return err_wrap(e, "listing packs");
	if (g->npacks > UINT32_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %u packs", UINT32_MAX);
	/* What lies around an id that is looked for is of no use. */
	if (g->ids)
		(void)madvise(g->ids, g->ids_cap * sizeof(*g->ids), MADV_RANDOM);
	return 0;
}

/* The first bytes of an id as a number. */
static uint64_t lead(const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	uint64_t v = 0;

	for (size_t i = 0; i < sizeof(v); i++)
		v = v << 8 | id[i];
	return v;
}

/*
 * Ids are random, so a search begins where the id should be: of a list that does not fit into
 * memory it then needs two pages or three, where halving would want one for each step.
 */
size_t gc_pack_find(const struct gc *g, uint8_t kind, const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	size_t lo = kind == CHUNK_DATA ? 0 : g->ndata;
	size_t hi = kind == CHUNK_DATA ? g->ndata : g->npacks;
	uint64_t low = 0;
	uint64_t high = UINT64_MAX;
	uint64_t want = lead(id);

	for (unsigned guesses = 0; lo < hi; guesses++) {
		size_t at = lo + (hi - lo) / 2;

		if (guesses < GUESSES && want >= low && want <= high && high > low) {
			__extension__ unsigned __int128 part = (unsigned __int128)(want - low) *
			                                       (hi - lo);

			at = lo + (size_t)(part / ((unsigned __int128)(high - low) + 1));
		}
		const uint8_t *there = g->ids[at];
		int d = memcmp(there, id, FORMAT_PACK_ID_BYTES);

		if (d == 0)
			return at;
		if (d < 0) {
			lo = at + 1;
			low = lead(there);
		} else {
			hi = at;
			high = lead(there);
		}
	}
	return g->npacks;
}

/* ---- points ---- */

static int add_point_locked(struct gc *g, const struct point *p, int64_t received_ns, struct err *e)
{
	int domain = gc_domain_number(g, p->domain, e);

	if (domain < 0)
		return -1;
	if (g->npoints == g->points_cap) {
		size_t cap = g->points_cap ? 2 * g->points_cap : 64;
		struct gc_point *v = reallocarray(g->points, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for %zu restore points", cap);
		g->points = v;
		g->points_cap = cap;
	}
	struct gc_point *x = &g->points[g->npoints++];
	*x = (struct gc_point){
		.root = p->root,
		.levels = p->levels,
		.domain = (uint16_t)domain,
		.received_ns = received_ns,
		.logical_bytes = p->bytes_logical,
	};
	memcpy(x->session, p->session, sizeof(x->session));
	return 0;
}

struct opening {
	struct gc *g;
	struct team_tasks tasks;
};

/* An expired point only has to say its domain, so that its segments can be opened. */
static void learn_domain(struct gc *g, const struct commit_item *c)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct err ignored = ERR_INIT;

	if (repo_point_at(g->repo, c->session, c->received_ns, &p, &ignored) < 0)
		return;
	(void)pthread_mutex_lock(&g->lock);
	(void)!gc_domain_number(g, p.domain, &ignored);
	(void)pthread_mutex_unlock(&g->lock);
}

/*
 * A point that does not count needs nothing. What only such points need goes; a mistake when the
 * key was revoked can be undone for some days.
 */
static int note_void(struct gc *g, const struct commit_item *c, struct err *e)
{
	(void)pthread_mutex_lock(&g->lock);
	*e = (struct err)ERR_INIT;
	int rc = session_names_add(&g->voids, c->session, e);
	(void)pthread_mutex_unlock(&g->lock);
	return rc;
}

static int note_unreadable(struct gc *g, struct err *e)
{
	(void)pthread_mutex_lock(&g->lock);
	g->unreadable++;
	(void)pthread_mutex_unlock(&g->lock);
	*e = (struct err)ERR_INIT;
	return 0;
}

static int open_point(struct gc *g, const struct commit_item *c, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };

	if (repo_point_at(g->repo, c->session, c->received_ns, &p, e) < 0) {
		if (key_is_void(e))
			return note_void(g, c, e);
		if (!note_is_bad(e))
			return -1;
		if (g->lenient)
			return note_unreadable(g, e);
		err_wrap(e,
		         "restore point '%s' does not open, so nobody can say what it needs; "
		         "nothing is collected until it is repaired or expired",
		         c->session);
		e->class = ERR_CORRUPT;
		return -1;
	}
	if (p.config > g->repo->params.revision && !g->params->accept_loss)
		return err_set(e, ERR_CORRUPT,
		               "restore point '%s' was made under revision %llu of the config, and "
		               "the newest that the store shows is %llu, so nobody can say which "
		               "keys count; nothing is collected unless the loss is accepted "
		               "(--accept-loss)",
		               p.session, (unsigned long long)p.config,
		               (unsigned long long)g->repo->params.revision);
	(void)pthread_mutex_lock(&g->lock);
	int rc = add_point_locked(g, &p, c->received_ns, e);
	(void)pthread_mutex_unlock(&g->lock);
	return rc;
}

static int open_commit(struct gc *g, const struct commit_item *c, struct err *e)
{
	if (c->kind == COMMIT_MAINTENANCE || (g->lenient && c->kind == COMMIT_ABORT) ||
	    (g->only && !session_names_has(g->only, c->session)))
		return 0;
	if (c->kind == COMMIT_ABORT) {
		/*
		 * What was there at the last collection and had its marker taken away was looked at
		 * then. Others must be what their length says: a point that was cut off is none.
		 */
		if (!marker_list_find(&g->markers, c->session))
			return 0;
		if (session_abort_verify(g->repo, c->session, e) == 0)
			return 0;
		/* Whoever put it, the session cannot commit any more. */
		if (key_is_void(e)) {
			*e = (struct err)ERR_INIT;
			return 0;
		}
		if (!note_is_bad(e))
			return -1;
		err_wrap(e,
		         "'commit/%s' has the length of an abort and is none; nothing is collected "
		         "until it is repaired",
		         c->session);
		e->class = ERR_CORRUPT;
		return -1;
	}
	if (!session_names_has(&g->going, c->session))
		return open_point(g, c, e);
	learn_domain(g, c);
	return 0;
}

static int open_commits(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct opening *o = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&o->tasks, &at)) {
		if (cancel_check(o->g->repo->cancel, e) < 0 ||
		    open_commit(o->g, &o->g->view.commits.v[at], e) < 0)
			return -1;
	}
	return 0;
}

static int by_session(const void *a, const void *b)
{
	return strcmp(((const struct gc_point *)a)->session, ((const struct gc_point *)b)->session);
}

/* A hold or a pin that came after `final` comes too late. */
static bool is_gone(const struct gc *g, const char *session)
{
	return expiry_is_gone(&g->expiry, session) || session_names_has(&g->gone, session) ||
	       (g->final && session_names_has(g->final, session));
}

static int open_points(struct gc *g, struct err *e)
{
	struct opening o = { .g = g, .tasks = { .n = g->view.commits.n } };

	for (size_t i = 0; i < g->view.commits.n; i++) {
		const struct commit_item *c = &g->view.commits.v[i];

		if (c->kind == COMMIT_POINT && is_gone(g, c->session) &&
		    session_names_add(&g->going, c->session, e) < 0)
			return -1;
	}
	session_names_sort(&g->going);
	if (team_run(g->threads, "gc-points", open_commits, &o, e) < 0)
		return -1;
	if (g->npoints > 0)
		qsort(g->points, g->npoints, sizeof(*g->points), by_session);
	g->result->points = g->npoints;
	g->result->points_expired = g->going.n;
	g->result->logical_bytes = 0;
	for (size_t i = 0; i < g->npoints; i++)
		g->result->logical_bytes += g->points[i].logical_bytes;
	return 0;
}

/* Domains of sessions under way: their names are in the markers. */
static int learn_markers(struct gc *g, struct err *e)
{
	for (size_t i = 0; i < g->markers.n; i++) {
		const char *session = g->markers.v[i].session;
		struct session_info info;
		struct err why = ERR_INIT;

		if (commit_list_find(&g->view.commits, session) || session_is_maintenance(session))
			continue;
		if (session_info(g->repo, session, &info, &why) < 0) {
			if (note_is_bad(&why))
				continue;
			*e = why;
			return -1;
		}
		if (info.domain[0] && gc_domain_number(g, info.domain, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- guards ---- */

/* The last time at which a key was revoked, or a site was fenced. */
static int64_t last_voided_ns(const struct repo *r)
{
	int64_t last_ns = INT64_MIN;
	const struct fence *f;

	for (size_t i = 0; i < r->keys->nsigners; i++) {
		const struct key_signer *s = &r->keys->signers[i];

		if (s->revoked && s->revoked_ns > last_ns)
			last_ns = s->revoked_ns;
	}
	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if (f->at_ns > last_ns)
			last_ns = f->at_ns;
	}
	return last_ns;
}

static int compare_voids(struct gc *g, struct err *e)
{
	int64_t last_ns = last_voided_ns(g->repo);

	g->result->points_revoked = g->voids.n;
	if (g->voids.n == 0 || g->params->accept_loss || last_ns + REVOKE_GRACE_NS < g->now_ns)
		return 0;
	return err_set(
		e, ERR_CORRUPT,
		"restore points whose key was revoked do not count (%zu of them; one is '%s'), nor "
		"do those that came after their site was fenced. If that is right, what only they "
		"need goes 7 days after that, or now with --accept-loss; if not, say anew what "
		"counts (aksdr-catalog key revoke --accept-before, aksdr-restore accept)",
		g->voids.n, g->voids.v[0]);
}

int gc_list_lies(const char *session, struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	               "the list of restore points lacks '%s', which is there: the store's lists "
	               "cannot be relied on, and nothing is collected",
	               session);
}

/*
 * Every point that was live at the end of the last generation is listed, or
 * expired. One that is not: the list lies, or the store lost it.
 */
static int compare_live(struct gc *g, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list before = { 0 };
	const struct collection_state *s = &g->view.collection;
	uint64_t missing = 0;
	char first[POINT_SESSION_LEN + 1] = "";

	if (!s->done_live)
		return 0;
	if (collection_get(g->repo, s->done, COLLECTION_LIVE, &before, NULL, e) < 0)
		return err_wrap(e, "reading what was live at collection %llu",
		                (unsigned long long)s->done);
	for (size_t i = 0; i < before.sessions.n; i++) {
		const char *session = before.sessions.v[i];
		const struct commit_item *c = commit_list_find(&g->view.commits, session);
		enum session_end end;

		if ((c && c->kind == COMMIT_POINT) || is_gone(g, session))
			continue;
		if (session_look(g->repo, session, &end, e) < 0)
			return -1;
		if (end == SESSION_COMMITTED)
			return gc_list_lies(session, e);
		if (missing++ == 0)
			memcpy(first, session, sizeof(first));
	}
	if (missing == 0 || g->params->accept_loss)
		return 0;
	return err_set(e, ERR_CORRUPT,
	               "%llu restore points that were there at the last collection are gone "
	               "without having been expired, the first is '%s'; nothing is collected "
	               "unless the loss is accepted (--accept-loss)",
	               (unsigned long long)missing, first);
}

/* ---- all of it ---- */

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, FORMAT_ID_BYTES);
}

static int note_lost_ids(struct gc *g, struct err *e)
{
	const struct absent *a = &g->view.absent;

	g->lost_ids = calloc(a->nplaces ? a->nplaces : 1, sizeof(*g->lost_ids));
	if (!g->lost_ids)
		return err_set(e, ERR_NOMEM, "no memory for %zu damaged places", a->nplaces);
	for (size_t i = 0; i < a->nplaces; i++)
		memcpy(g->lost_ids[i], a->places[i].id, FORMAT_ID_BYTES);
	g->nlost_ids = a->nplaces;
	if (g->nlost_ids > 1)
		qsort(g->lost_ids, g->nlost_ids, sizeof(*g->lost_ids), id_cmp);
	return 0;
}

int gc_gather(struct gc *g, struct err *e)
{
	gc_forget(g);
	/* Expiry before commits: what a tombstone names was committed, and is listed or gone. */
	if (expiry_now(g->repo, &g->expiry, e) < 0 || view_load(g->repo, &g->view, e) < 0 ||
	    marker_list_load(g->repo->store, &g->markers, e) < 0)
		return -1;
	g->expiry.now_ns = g->now_ns;
	if (g->expiry.missing > 0 && !g->params->accept_loss)
		return err_set(
			e, ERR_CORRUPT,
			"%llu tombstones or holds are missing, so nobody can say what is "
			"held; nothing is collected unless the loss is accepted (--accept-loss)",
			(unsigned long long)g->expiry.missing);
	if (g->expiry.bad > 0 && !g->params->accept_loss)
		return err_set(
			e, ERR_CORRUPT,
			"%llu tombstones or holds do not open, so nobody can say what is "
			"held; nothing is collected unless the loss is accepted (--accept-loss)",
			(unsigned long long)g->expiry.bad);
	if (living_gone(g->repo, &g->view.collection, &g->view.commits, &g->markers, &g->gone, e) <
	            0 ||
	    note_lost_ids(g, e) < 0 || open_points(g, e) < 0 || compare_voids(g, e) < 0 ||
	    compare_live(g, e) < 0 || learn_markers(g, e) < 0 || list_packs(g, e) < 0)
		return -1;
	return gc_open_indexes(g, e);
}

void gc_forget(struct gc *g)
{
	view_clear(&g->view);
	memset(&g->view, 0, sizeof(g->view));
	marker_list_clear(&g->markers);
	expiry_clear(&g->expiry);
	for (size_t i = 0; i < g->ndomains; i++) {
		index_free(g->domains[i].index);
		secret_free(g->domains[i].keys);
	}
	if (g->domains)
		secret_wipe(g->domains, g->ndomains * sizeof(*g->domains));
	free(g->domains);
	g->domains = NULL;
	g->ndomains = g->domains_cap = 0;
	free(g->points);
	g->points = NULL;
	g->npoints = g->points_cap = 0;
	session_names_clear(&g->going);
	session_names_clear(&g->voids);
	session_names_clear(&g->gone);
	if (g->packs)
		(void)munmap(g->packs, g->packs_cap * sizeof(*g->packs));
	g->packs = NULL;
	if (g->ids)
		(void)munmap(g->ids, g->ids_cap * sizeof(*g->ids));
	g->ids = NULL;
	g->ids_cap = 0;
	g->npacks = g->packs_cap = g->ndata = 0;
	free(g->lost_ids);
	g->lost_ids = NULL;
	g->nlost_ids = 0;
	runs_free(g->marks);
	g->marks = NULL;
	for (unsigned i = 0; i < FORMAT_LEVELS_MAX; i++) {
		refset_free(g->nodes[i]);
		g->nodes[i] = NULL;
	}
}
