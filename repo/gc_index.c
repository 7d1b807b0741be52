/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index anew. Whoever opens a segment trusts the places in it, so before a
 * generation is done no segment that counts may name a pack that it took away:
 * those that do are merged into new ones without it, in a maintenance session
 * whose commit makes them count, and are deleted after that. So are segments
 * of sessions whose commit goes with an expired point, and small ones when
 * they are many.
 */
#include <string.h>

#include "repo/gc_impl.h"
#include "repo/segment.h"
#include "repo/session.h"

#define SMALL_BYTES (256 * KIB) /* of a segment that is merged with others: some 4,000 entries */
#define SMALL_MANY 64           /* of a domain: then they are */
#define ENTRIES_MAX ((size_t)256 * 1024) /* of a segment that is made */

struct seg {
	char *key;        /* owned */
	const char *name; /* in key, below idx/DTAG/ */
	uint64_t size;
	size_t domain; /* number; SIZE_MAX: not known */
	enum segment_state state;
	bool replace; /* by what is merged */
	bool drop;    /* nobody needs it, or it was replaced before */
};

struct segs {
	struct gc *g;
	struct seg *v;
	size_t n, cap;
	struct marker_list markers;
	struct view view;
};

static void segs_clear(struct segs *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].key);
	free(s->v);
	marker_list_clear(&s->markers);
	view_clear(&s->view);
}

/* ---- what there is ---- */

static size_t domain_of(const struct gc *g, const char *tag)
{
	for (size_t i = 0; i < g->ndomains; i++) {
		size_t n = strlen(g->domains[i].keys->tag_hex);

		if (strncmp(tag, g->domains[i].keys->tag_hex, n) == 0 && tag[n] == '/')
			return i;
	}
	return SIZE_MAX;
}

static int take_segment(void *arg, const struct store_item *item, struct err *e)
{
	struct segs *s = arg;
	const char *tag = item->key + strlen("idx/");
	const char *slash = strchr(tag, '/');
	char session[96];

	if (!slash || !segment_session(slash + 1, session))
		return 0; /* of somebody else */
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct seg *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of index segments");
		s->v = v;
		s->cap = cap;
	}
	struct seg *x = &s->v[s->n];
	*x = (struct seg){
		.key = strdup(item->key),
		.size = item->st.size,
		.domain = domain_of(s->g, tag),
	};
	if (!x->key)
		return err_set(e, ERR_NOMEM, "no memory for a list of index segments");
	x->name = x->key + (slash + 1 - item->key);
	s->n++;
	return 0;
}

/*
 * Lists segments, then markers, then commits: the marker of a segment that is
 * listed was there before it, and goes after its session's end, so one of the
 * later lists has it.
 */
static int list_all(struct segs *s, struct err *e)
{
	const struct repo *r = s->g->repo;

	if (store_list(r->store, "idx/", NULL, take_segment, s, e) < 0)
		return err_wrap(e, "listing the index");
	if (marker_list_load(r->store, &s->markers, e) < 0 || view_load(r, &s->view, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		char session[96];

		(void)segment_session(s->v[i].name, session);
		s->v[i].state = view_segment(&s->view.commits, &s->markers, session);
	}
	s->g->result->segments_before = s->n;
	return 0;
}

/* ---- which to replace ---- */

/* Whether the pack is in the store now. */
static int is_there(struct gc *g, const struct segment_pack *p, bool *ret, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;
	char name[PACK_KEY_MAX];

	pack_key_name(name, p->id, p->kind);
	*ret = store_head(g->repo->store, name, &st, &why) == 0 && st.size == p->len;
	if (*ret || why.class == ERR_NONE || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/*
 * Opens a segment. 0: it does not open, and counts for nobody: a check tells, and it stays as it
 * is, unless its key was revoked: then it says nothing to anybody, and goes. 1: it is open. -1: e.
 */
static int open_segment(struct gc *g, struct seg *x, struct buf *plain, struct segment_view *ret,
                        struct err *e)
{
	const struct repo *r = g->repo;
	struct err why = ERR_INIT;

	if (cancel_check(r->cancel, e) < 0)
		return -1;
	if (segment_fetch(r->store, r->keys, g->domains[x->domain].keys, x->key, plain, ret,
	                  &why) == 0)
		return 1;
	if (key_is_void(&why)) {
		x->drop = true;
		return 0;
	}
	/* A store that refuses says nothing about the object. */
	if (note_is_bad(&why) && why.class != ERR_DENIED)
		return 0;
	*e = why;
	return -1;
}

/* Marks the segment as one to replace when it names a pack of the list. */
static int names_dead(struct gc *g, struct seg *x, const struct pack_list *dead, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;
	int rc = open_segment(g, x, &plain, &v, e);

	for (uint32_t i = 0; rc > 0 && i < v.npacks && !x->replace; i++) {
		struct segment_pack p;

		segment_view_pack(&v, i, &p);
		x->replace = pack_list_has(dead, p.kind, p.id);
	}
	return rc < 0 ? -1 : 0;
}

struct choosing {
	struct segs *s;
	const struct session_names *going;
	const struct gc_names *locked;
	struct team_tasks tasks;
	struct segment_gate gate;
};

static int choose_one(struct choosing *c, struct seg *x, struct err *e)
{
	struct gc *g = c->s->g;
	const struct pack_list *dead = &c->s->view.absent.packs;
	char session[96];

	(void)segment_session(x->name, session);
	if (x->state == SEGMENT_TENTATIVE)
		return 0; /* its session may still rely on it */
	if (gc_names_has(c->locked, x->key)) {
		x->drop = true;
		return 0;
	}
	/*
	 * What a fenced session wrote stays for one generation, until its marker is gone: the next
	 * run of its volume may adopt its packs. Then what is left of them is for all: another
	 * session may have relied on them while this one was at work.
	 */
	if (x->state == SEGMENT_VOID && marker_list_find(&c->s->markers, session))
		return 0;
	if (x->domain == SIZE_MAX) {
		/*
		 * No point, and no session at work, was of its domain when all names of domains
		 * were read: nobody can open it. One that has committed since is another matter.
		 */
		x->drop = x->state == SEGMENT_VOID ||
		          commit_list_find(&g->view.commits, session) != NULL;
		return 0;
	}
	if (x->state == SEGMENT_VOID || session_names_has(c->going, session)) {
		x->replace = true;
		return 0;
	}
	if (x->replace || dead->n == 0)
		return 0;
	segment_gate_enter(&c->gate, x->size);
	int rc = names_dead(g, x, dead, e);
	segment_gate_leave(&c->gate, x->size);
	return rc;
}

static int choose_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct choosing *c = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&c->tasks, &at)) {
		if (choose_one(c, &c->s->v[at], e) < 0)
			return -1;
	}
	return 0;
}

static bool is_small(const struct seg *x, size_t domain)
{
	return x->domain == domain && x->state == SEGMENT_SETTLED && !x->drop &&
	       x->size < SMALL_BYTES;
}

/* Small ones of a domain, when they are many. */
static bool choose_small(struct segs *s)
{
	bool any = false;

	for (size_t d = 0; d < s->g->ndomains; d++) {
		size_t n = 0;

		for (size_t i = 0; i < s->n; i++)
			n += is_small(&s->v[i], d);
		if (n < SMALL_MANY)
			continue;
		any = true;
		for (size_t i = 0; i < s->n; i++)
			s->v[i].replace |= is_small(&s->v[i], d);
	}
	return any;
}

int gc_index_due(struct gc *g, bool *ret, struct err *e)
{
	CLEANUP(segs_clear) struct segs s = { .g = g };

	if (list_all(&s, e) < 0)
		return -1;
	*ret = choose_small(&s);
	return 0;
}

/* ---- merging ---- */

/* What the segment says of packs that stay goes to the writer; one that does not open stays. */
static int copy_segment(struct gc *g, struct seg *x, const struct pack_list *dead,
                        struct segment_writer *to, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;

	int rc = open_segment(g, x, &plain, &v, e);
	if (rc <= 0) {
		x->replace = false;
		return rc;
	}
	auto_free struct segment_pack *packs = calloc(v.npacks + 1, sizeof(*packs));
	auto_free bool *stays = calloc(v.npacks + 1, sizeof(*stays));
	auto_free struct chunk_ref *refs = calloc((size_t)v.nentries + 1, sizeof(*refs));
	if (!packs || !stays || !refs)
		return err_set(e, ERR_NOMEM, "no memory to merge index segments");
	for (uint32_t i = 0; i < v.npacks; i++) {
		segment_view_pack(&v, i, &packs[i]);
		stays[i] = !pack_list_has(dead, packs[i].kind, packs[i].id);
		/* What a fenced session wrote is a claim; of a settled one it was kept true. */
		if (stays[i] && x->state == SEGMENT_VOID &&
		    is_there(g, &packs[i], &stays[i], e) < 0)
			return -1;
	}
	size_t n = 0;
	for (uint32_t i = 0; i < v.nentries; i++)
		n += stays[segment_view_ref(&v, i, &refs[n])];
	return segment_add_all(to, packs, stays, v.npacks, refs, n, e);
}

struct merge {
	struct gc *g;
	char session[96];
	struct segment_list written;
};

static int merge_domain(struct merge *m, struct segs *s, size_t domain, struct err *e)
{
	struct gc *g = m->g;
	const struct segment_writer_params p = {
		.store = g->repo->store,
		.keys = g->repo->keys,
		.domain = g->domains[domain].keys,
		.session = m->session,
		.entries_max = ENTRIES_MAX,
	};
	auto_segment_writer struct segment_writer *w = NULL;

	if (segment_writer_new(&p, &w, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].domain == domain && s->v[i].replace &&
		    (cancel_check(g->repo->cancel, e) < 0 ||
		     copy_segment(g, &s->v[i], &s->view.absent.packs, w, e) < 0))
			return -1;
	}
	return segment_finish(w, &m->written, e);
}

static void merge_clear(struct merge *m)
{
	segment_list_clear(&m->written);
}

static bool any_replaced(const struct segs *s, size_t domain)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].replace && s->v[i].domain == domain)
			return true;
	}
	return false;
}

/* New segments for those that are replaced; they count once the session is committed. */
static int write_merged(struct merge *m, struct segs *s, struct err *e)
{
	for (size_t d = 0; d < m->g->ndomains; d++) {
		if (any_replaced(s, d) && merge_domain(m, s, d, e) < 0)
			return -1;
	}
	m->g->result->segments_written += m->written.n;
	/* Fenced: somebody else goes on with this generation, and what was written here is void. */
	return session_commit_index(m->g->repo, m->session, "index", m->written.v, m->written.n, e);
}

/* ---- names ---- */

int gc_names_add(struct gc_names *l, const char *name, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		char **v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of names");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = strdup(name);
	if (!l->v[l->n])
		return err_set(e, ERR_NOMEM, "no memory for a list of names");
	l->n++;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void gc_names_sort(struct gc_names *l)
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_text);
}

bool gc_names_has(const struct gc_names *l, const char *name)
{
	return l->n > 0 && bsearch(&name, l->v, l->n, sizeof(*l->v), by_text) != NULL;
}

void gc_names_clear(struct gc_names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct gc_names){ 0 };
}

/* ---- all of it ---- */

/*
 * Deletes what was replaced. What the store keeps is harmless: all that it names in vain is dead.
 */
static int delete_replaced(struct gc *g, const struct segs *s, struct gc_names *locked,
                           struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct seg *x = &s->v[i];
		bool gone;

		if (!x->replace && !x->drop)
			continue;
		if (gc_delete(g, x->key, &gone, e) < 0)
			return err_wrap(e, "deleting replaced index segments");
		g->result->segments_deleted += gone;
		if (!gone && gc_names_add(locked, x->key, e) < 0)
			return -1;
	}
	return 0;
}

/*
 * Once the generation is done, what is absent is what the next one has condemned, which may be
 * released again: the index is to be made anew by that one.
 */
static int check_turn(const struct segs *s, uint64_t n, struct err *e)
{
	const struct collection_state *now = &s->view.collection;

	if (now->open == n && now->open_parts & 1U << COLLECTION_FINAL)
		return 0;
	return err_set(e, ERR_BUSY, "another collector has ended it");
}

int gc_index(struct gc *g, uint64_t n, const struct session_names *going, struct gc_names *locked,
             struct err *e)
{
	CLEANUP(segs_clear) struct segs s = { .g = g };
	CLEANUP(merge_clear) struct merge m = { .g = g };
	struct choosing c = {
		.s = &s,
		.going = going,
		.locked = locked,
		.gate = SEGMENT_GATE_INIT,
	};

	/* As any session: registered first, and what is absent read after that. */
	if (session_begin_maintenance(g->repo, "index", m.session, e) < 0 || list_all(&s, e) < 0 ||
	    check_turn(&s, n, e) < 0)
		return -1;
	c.tasks.n = s.n;
	if (team_run(g->threads, "gc-index", choose_some, &c, e) < 0)
		return err_wrap(e, "making the index anew");
	(void)choose_small(&s);
	if (write_merged(&m, &s, e) < 0)
		return err_wrap(e, "making the index anew");
	/* As before every deletion: what was merged must count, whatever becomes of the key. */
	if (config_still(g->repo->store, g->repo->keys, g->repo->params.revision, e) < 0)
		return -1;
	gc_names_clear(locked);
	return delete_replaced(g, &s, locked, e);
}
