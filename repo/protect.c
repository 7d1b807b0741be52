/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is needed, and how long, falls out of the mark of a collection: each
 * point carries its time down its tree, and each pack takes the latest that
 * comes by. What belongs to no single point (keys, statements, what a
 * collection has moved) is needed as long as the last point is.
 */
#include "repo/protect.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/now.h"
#include "repo/gc_impl.h"
#include "repo/segment.h"

#define NS_PER_S INT64_C(1000000000)
#define LOCKS_MAX 16   /* at once */
#define THREADS_MAX 16 /* that read trees */
#define TRIES_MAX 5    /* while collections go on at the same time */

/* An object of which it is not known otherwise. */
struct named {
	char *key; /* owned */
	uint32_t until_s;
};

/* An object whose lock is too short for some point, and stays so. */
struct shortage {
	size_t pack; /* its number; SIZE_MAX: of all points, or of the one of this commit */
	uint32_t point;
	uint32_t until_s;
};
#define OF_ALL UINT32_MAX
#define COMMITS "commit/"

struct protect {
	struct gc g;
	struct gc_result unused;
	struct gc_params gc_params;
	const struct protect_params *params;
	struct protect_result *result;
	struct session_names only;
	_Atomic uint32_t *needs; /* by pack; scratch memory, with how it was mapped: */
	void *needs_at;
	size_t needs_bytes;
	struct named *names;
	size_t nnames, names_cap;
	uint32_t now_s, last_s; /* last_s: the latest that any point wants */
	/* of locks */
	atomic_size_t next;
	pthread_mutex_t lock;
	struct shortage *shortages; /* guarded by lock */
	size_t nshortages, shortages_cap;
};

static uint32_t seconds(int64_t ns)
{
	int64_t s = (ns + NS_PER_S - 1) / NS_PER_S;

	return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* ---- what is needed ---- */

static int add_name(struct protect *p, const char *key, uint32_t until_s, struct err *e)
{
	if (until_s <= p->now_s)
		return 0;
	if (p->nnames == p->names_cap) {
		size_t cap = p->names_cap ? 2 * p->names_cap : 256;
		struct named *v = reallocarray(p->names, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for %zu names", cap);
		p->names = v;
		p->names_cap = cap;
	}
	p->names[p->nnames].key = strdup(key);
	if (!p->names[p->nnames].key)
		return err_set(e, ERR_NOMEM, "no memory for a name");
	p->names[p->nnames++].until_s = until_s;
	return 0;
}

static int take_name(void *arg, const struct store_item *item, struct err *e)
{
	struct protect *p = arg;

	return add_name(p, item->key, p->last_s, e);
}

/* Of collections, what they decided and that they ended. */
static int take_part(void *arg, const struct store_item *item, struct err *e)
{
	enum collection_part part;
	uint64_t n;

	if (!collection_key_parse(item->key, &n, &part) ||
	    (part != COLLECTION_FINAL && part != COLLECTION_FINALS && part != COLLECTION_DONE))
		return 0;
	return take_name(arg, item, e);
}

struct segments {
	struct protect *p;
	struct gc_names replaced;         /* nobody needs them, and they go once their locks end */
	char last[POINT_SESSION_LEN + 1]; /* maintenance session that was named last */
};

/* Segments that count, and what makes those of collections count. */
static int take_segment(void *arg, const struct store_item *item, struct err *e)
{
	struct segments *s = arg;
	const struct gc *g = &s->p->g;
	const char *slash = strchr(item->key + strlen("idx/"), '/');
	char session[96];
	char key[NOTE_KEY_MAX];

	if (!slash || !segment_session(slash + 1, session) || gc_names_has(&s->replaced, item->key))
		return 0;
	const struct commit_item *c = commit_list_find(&g->view.commits, session);
	if (!c || c->kind == COMMIT_ABORT || session_names_has(&g->going, session) ||
	    session_names_has(&g->voids, session))
		return 0;
	if (c->kind == COMMIT_MAINTENANCE && strcmp(s->last, session) != 0) {
		memcpy(s->last, session, sizeof(s->last));
		(void)snprintf(key, sizeof(key), "commit/%s", session);
		if (add_name(s->p, key, s->p->last_s, e) < 0)
			return -1;
	}
	return take_name(s->p, item, e);
}

/* What is of no single point. */
static int name_the_rest(struct protect *p, struct err *e)
{
	static const char *const prefixes[] = { CONFIG_REVISIONS, "ctl/revoked/", "ctl/fence/",
		                                "ctl/damage/",    "ctl/run/",     "ctl/owner/",
		                                "ctl/audit/",     "reseal/",      "tomb/",
		                                "hold/" };
	struct segments s = { .p = p };
	struct store *store = p->g.repo->store;

	if (add_name(p, "config", p->last_s, e) < 0 ||
	    store_list(store, "ctl/gc/", NULL, take_part, p, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (store_list(store, prefixes[i], NULL, take_name, p, e) < 0)
			return -1;
	int rc = gc_replaced(&p->g, &s.replaced, e);
	if (rc == 0)
		rc = store_list(store, "idx/", NULL, take_segment, &s, e);
	gc_names_clear(&s.replaced);
	return rc;
}

/* Every point's time; of those whose time is over nothing is asked. */
static int set_times(struct protect *p, struct err *e)
{
	struct gc *g = &p->g;
	char key[NOTE_KEY_MAX];

	for (size_t i = 0; i < g->npoints; i++) {
		struct gc_point *x = &g->points[i];

		x->until_s = seconds(x->received_ns + p->params->lock_s * NS_PER_S);
		if (x->until_s > p->last_s)
			p->last_s = x->until_s;
		(void)snprintf(key, sizeof(key), "commit/%s", x->session);
		if (add_name(p, key, x->until_s, e) < 0)
			return -1;
	}
	return 0;
}

/* Points whose time is over go to the end of the array; returns how many there are before them. */
static size_t part_points(struct protect *p)
{
	struct gc *g = &p->g;
	size_t n = 0;

	for (size_t i = 0; i < g->npoints; i++) {
		if (g->points[i].until_s <= p->now_s)
			continue;
		struct gc_point x = g->points[n];
		g->points[n++] = g->points[i];
		g->points[i] = x;
	}
	return n;
}

/* The mark of these points only. */
static int mark(struct gc *g, struct gc_point *points, size_t n, struct err *e)
{
	struct gc_point *all = g->points;
	size_t nall = g->npoints;

	g->points = points;
	g->npoints = n;
	int rc = gc_mark(g, e);
	g->points = all;
	g->npoints = nall;
	return rc;
}

/* Packs that an open collection has condemned are there until it has decided. */
static int load_condemned(struct gc *g, struct collection_list *ret, struct err *e)
{
	const struct collection_state *s = &g->view.collection;

	if (!s->open || !(s->open_parts & 1U << COLLECTION_CONDEMN) ||
	    s->open_parts & 1U << COLLECTION_FINAL)
		return 0;
	if (collection_get(g->repo, s->open, COLLECTION_CONDEMN, ret, NULL, e) < 0)
		return err_wrap(e, "reading what collection %llu condemned",
		                (unsigned long long)s->open);
	g->condemned = &ret->packs;
	return 0;
}

static int map_needs(struct protect *p, struct err *e)
{
	struct gc *g = &p->g;

	p->needs_bytes = (g->npacks + 1) * sizeof(*p->needs);
	p->needs_at = fd_map_scratch(g->scratch, p->needs_bytes);
	if (!p->needs_at)
		p->needs_at = fd_map_scratch(NULL, p->needs_bytes);
	if (!p->needs_at)
		return err_sys(e, errno, "making room for %zu packs", g->npacks);
	p->needs = p->needs_at;
	g->needs = p->needs;
	return 0;
}

static int find_needs(struct protect *p, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list condemned = { 0 };
	struct gc *g = &p->g;

	if (gc_gather(g, e) < 0 || set_times(p, e) < 0 || map_needs(p, e) < 0)
		return -1;
	int rc = load_condemned(g, &condemned, e) < 0 ||
	                         mark(g, g->points, part_points(p), e) < 0 ||
	                         (p->last_s > p->now_s && name_the_rest(p, e) < 0)
	                 ? -1
	                 : 0;
	g->condemned = NULL;
	return rc;
}

static void forget(struct protect *p)
{
	gc_forget(&p->g);
	pack_list_clear(&p->g.released);
	p->g.needs = NULL;
	p->g.unreadable = p->g.lost = 0;
	if (p->needs)
		(void)munmap(p->needs_at, p->needs_bytes);
	p->needs = NULL;
	for (size_t i = 0; i < p->nnames; i++)
		free(p->names[i].key);
	p->nnames = 0;
	p->last_s = 0;
}

static int by_session(const void *a, const void *b)
{
	return strcmp(((const struct gc_point *)a)->session, ((const struct gc_point *)b)->session);
}

static int by_name(const void *name, const void *point)
{
	return strcmp(name, ((const struct gc_point *)point)->session);
}

/* The number of the point, once they are sorted; -1: there is none. */
static int64_t number_of(const struct protect *p, const char *session)
{
	const struct gc *g = &p->g;
	const struct gc_point *x = g->npoints ? bsearch(session, g->points, g->npoints, sizeof(*x),
	                                                by_name)
	                                      : NULL;

	return x ? x - g->points : -1;
}

static bool are_there(const struct protect *p)
{
	for (size_t i = 0; i < p->only.n; i++)
		if (number_of(p, p->only.v[i]) < 0)
			return false;
	return true;
}

/* Collections that go on meanwhile make a look at the repository out of date. */
static int look(struct protect *p, struct err *e)
{
	for (unsigned try = 1;; try++) {
		struct collection_state before;
		struct collection_state after;
		struct err why = ERR_INIT;

		forget(p);
		if (collection_state(p->g.repo, &before, e) < 0)
			return -1;
		if (find_needs(p, &why) == 0)
			return 0;
		*e = why;
		if ((why.class != ERR_CORRUPT && why.class != ERR_NOT_FOUND) ||
		    collection_state(p->g.repo, &after, &why) < 0 ||
		    memcmp(&before, &after, sizeof(before)) == 0)
			return -1;
		if (try == TRIES_MAX) {
			e->class = ERR_BUSY;
			return err_wrap(e, "collections were faster, %u times", try);
		}
	}
}

/* ---- locks ---- */

/* It stays too short: the store refuses. */
static int note_short(struct protect *p, const struct shortage *s, struct err *e)
{
	int rc = 0;

	(void)pthread_mutex_lock(&p->lock);
	if (p->nshortages == p->shortages_cap) {
		size_t cap = p->shortages_cap ? 2 * p->shortages_cap : 64;
		struct shortage *v = reallocarray(p->shortages, cap, sizeof(*v));

		if (v) {
			p->shortages = v;
			p->shortages_cap = cap;
		} else {
			rc = err_set(e, ERR_NOMEM, "no memory for %zu objects", cap);
		}
	}
	if (rc == 0)
		p->shortages[p->nshortages++] = *s;
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

static bool is_refused(const struct err *e)
{
	return e->class == ERR_DENIED || e->class == ERR_BUSY || e->class == ERR_IO ||
	       e->class == ERR_INVALID;
}

/* Extends one that is too short. 0: it is as long as it must be; 1: it is not. */
static int extend(struct protect *p, const char *key, uint32_t until_s, struct err *e)
{
	struct err why = ERR_INIT;
	int64_t to_ns = (until_s + p->params->margin_s) * NS_PER_S;

	if (p->params->dry_run)
		return 1;
	if (store_lock(p->g.repo->store, key, to_ns, &why) == 0) {
		(void)pthread_mutex_lock(&p->lock);
		p->result->extended++;
		(void)pthread_mutex_unlock(&p->lock);
		return 0;
	}
	if (why.class != ERR_NOT_FOUND && !is_refused(&why)) {
		*e = why;
		return -1;
	}
	(void)pthread_mutex_lock(&p->lock);
	if (p->result->refusal.class == ERR_NONE)
		p->result->refusal = why;
	(void)pthread_mutex_unlock(&p->lock);
	return 1;
}

static int protect_one(struct protect *p, const char *key, struct shortage *s, struct err *e)
{
	const uint32_t wanted_s = s->until_s;
	struct store_stat st = { 0 };
	struct err why = ERR_INIT;

	int rc = store_head(p->g.repo->store, key, &st, &why);
	if (rc < 0 && why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	if (p->params->counts)
		atomic_fetch_add(&p->params->counts->files_done, 1);
	(void)pthread_mutex_lock(&p->lock);
	p->result->objects++;
	p->result->missing += rc < 0;
	p->result->too_short += rc == 0 && st.locked_until_ns < wanted_s * NS_PER_S;
	(void)pthread_mutex_unlock(&p->lock);
	/* What belongs to no point and is gone was taken by a collection a moment ago. */
	if (rc < 0 && s->pack == SIZE_MAX && s->point == OF_ALL)
		return 0;
	if (rc == 0 && st.locked_until_ns >= wanted_s * NS_PER_S)
		return 0;
	rc = rc < 0 ? 1 : extend(p, key, wanted_s, e);
	if (rc <= 0)
		return rc;
	s->until_s = (uint32_t)(st.locked_until_ns / NS_PER_S);
	return note_short(p, s, e);
}

static int protect_pack(struct protect *p, size_t number, struct err *e)
{
	const struct gc_pack *x = &p->g.packs[number];
	struct shortage s = { .pack = number,
		              .point = OF_ALL,
		              .until_s = atomic_load_explicit(&p->needs[number],
		                                              memory_order_relaxed) };
	char key[PACK_KEY_MAX];

	if (s.until_s <= p->now_s)
		return 0;
	pack_key_name(key, x->id, x->kind);
	return protect_one(p, key, &s, e);
}

static int protect_named(struct protect *p, const struct named *n, struct err *e)
{
	struct shortage s = { .pack = SIZE_MAX, .point = OF_ALL, .until_s = n->until_s };
	bool commit = strncmp(n->key, COMMITS, strlen(COMMITS)) == 0;
	int64_t point = commit ? number_of(p, n->key + strlen(COMMITS)) : -1;

	if (point >= 0)
		s.point = (uint32_t)point;
	return protect_one(p, n->key, &s, e);
}

static int protect_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct protect *p = arg;
	size_t at;

	(void)i;
	/* Packs first: the commit of a point is the last thing that somebody must not delete. */
	while (!atomic_load(stop) &&
	       (at = atomic_fetch_add(&p->next, 1)) < p->g.npacks + p->nnames) {
		int rc = cancel_check(p->g.repo->cancel, e);

		if (rc == 0)
			rc = at < p->g.npacks ? protect_pack(p, at, e)
			                      : protect_named(p, &p->names[at - p->g.npacks], e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int protect_all(struct protect *p, struct err *e)
{
	if (p->params->counts) {
		uint64_t n = p->nnames;

		for (size_t i = 0; i < p->g.npacks; i++)
			n += atomic_load_explicit(&p->needs[i], memory_order_relaxed) > p->now_s;
		atomic_store(&p->params->counts->files_total, n);
	}
	return team_run(LOCKS_MAX, "lock", protect_some, p, e);
}

/* ---- what is told ---- */

static int by_pack(const void *va, const void *vb)
{
	const struct shortage *a = va;
	const struct shortage *b = vb;

	return (a->pack > b->pack) - (a->pack < b->pack);
}

/* The first end of a lock of what the point needs, where that is before it should be. */
static int first_end(struct protect *p, size_t number, uint32_t *ret_s, struct err *e)
{
	struct gc *g = &p->g;
	const struct gc_mark *m;

	*ret_s = g->points[number].until_s;
	for (size_t i = 0; i < p->nshortages; i++) {
		const struct shortage *s = &p->shortages[i];

		if (s->pack == SIZE_MAX && (s->point == OF_ALL || s->point == number) &&
		    s->until_s < *ret_s)
			*ret_s = s->until_s;
	}
	if (p->nshortages == 0 || p->shortages[0].pack == SIZE_MAX)
		return 0;
	if (mark(g, &g->points[number], 1, e) < 0 || runs_rewind(g->marks, e) < 0)
		return -1;
	while ((m = runs_next(g->marks))) {
		const struct shortage key = { .pack = m->pack };
		const struct shortage *s = bsearch(&key, p->shortages, p->nshortages,
		                                   sizeof(*p->shortages), by_pack);

		if (s && s->until_s < *ret_s)
			*ret_s = s->until_s;
	}
	return 0;
}

/* The earliest end of a lock that is too short: points that want less are covered anyway. */
static uint32_t earliest_short(const struct protect *p)
{
	uint32_t first_s = UINT32_MAX;

	for (size_t i = 0; i < p->nshortages; i++)
		if (p->shortages[i].until_s < first_s)
			first_s = p->shortages[i].until_s;
	return first_s;
}

static int tell(struct protect *p, struct err *e)
{
	struct gc *g = &p->g;
	struct protect_result *r = p->result;
	uint32_t first_s = earliest_short(p);

	if (p->nshortages > 1)
		qsort(p->shortages, p->nshortages, sizeof(*p->shortages), by_pack);
	r->points = g->npoints;
	/* What cannot be read or found hides what a point needs. */
	r->unreadable = g->unreadable + g->lost;
	for (size_t i = 0; i < g->npoints; i++) {
		const struct gc_point *x = &g->points[i];
		uint32_t safe_s = x->until_s;

		r->over += x->until_s <= p->now_s;
		if (x->until_s > p->now_s && x->until_s > first_s &&
		    first_end(p, i, &safe_s, e) < 0)
			return -1;
		const struct protect_point told = {
			.session = x->session,
			.received_ns = x->received_ns,
			.wanted_ns = x->until_s * NS_PER_S,
			.safe_ns = safe_s * NS_PER_S,
			.covered = safe_s == x->until_s,
		};
		r->covered += told.covered;
		if (p->params->point && p->params->point(p->params->arg, &told, e) < 0)
			return -1;
	}
	return 0;
}

static int run(struct protect *p, struct err *e)
{
	for (size_t i = 0; i < p->params->nsessions; i++)
		if (session_names_add(&p->only, p->params->sessions[i], e) < 0)
			return -1;
	session_names_sort(&p->only);
	if (p->only.n > 0)
		p->g.only = &p->only;
	if (look(p, e) < 0)
		return err_wrap(e, "finding out what restore points need");
	if (p->g.npoints > 1)
		qsort(p->g.points, p->g.npoints, sizeof(*p->g.points), by_session);
	if (!are_there(p))
		return err_set(e, ERR_NOT_FOUND,
		               "what is to be locked is no restore point that counts, or it does "
		               "not open");
	return protect_all(p, e) < 0 || tell(p, e) < 0 ? -1 : 0;
}

int protect_run(const struct repo *r, const struct protect_params *params,
                struct protect_result *ret, struct err *e)
{
	struct protect_result result = { .now_ns = params->now_ns ? params->now_ns : now_wall_ns(),
		                         .refusal = ERR_INIT };
	struct protect p = {
		.gc_params = { .accept_loss = true, .dry_run = true },
		.params = params,
		.result = &result,
		.now_s = seconds(result.now_ns),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	if (params->lock_s <= 0 || params->margin_s < 0)
		return err_set(e, ERR_INVALID, "the time of a lock must be above zero");
	p.g = (struct gc){
		.repo = r,
		.params = &p.gc_params,
		.result = &p.unused,
		.scratch = r->state[0] ? r->state : NULL,
		.threads = team_size(params->threads, THREADS_MAX),
		.now_ns = result.now_ns,
		.lenient = true,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int rc = run(&p, e);
	forget(&p);
	free(p.names);
	free(p.shortages);
	session_names_clear(&p.only);
	(void)pthread_mutex_destroy(&p.lock);
	(void)pthread_mutex_destroy(&p.g.lock);
	if (rc == 0)
		*ret = result;
	return rc;
}

int protect_verdict(const struct protect_result *r, struct err *e)
{
	const uint64_t unsafe = r->points - r->covered;
	const bool refused = r->refusal.class != ERR_NONE;

	if (r->unreadable > 0)
		return err_set(e, ERR_CORRUPT,
		               "%llu restore points, tree nodes or chunks cannot be read or found, "
		               "so not all is known that must be locked; run 'aksdr-catalog check'",
		               (unsigned long long)r->unreadable);
	if (unsafe == 0)
		return 0;
	return err_set(e, ERR_PARTIAL,
	               "%llu restore points can be deleted, or parts of them, before their "
	               "time%s%.300s",
	               (unsigned long long)unsafe, refused ? ": " : "",
	               refused ? r->refusal.msg : "");
}
