/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What live points need: their trees, level by level from the roots down, each
 * node once however many points share it. A reference is resolved to a place
 * that can stay before it is followed or marked:
 *
 *   1. where it says, if that pack is listed, long enough and not absent, and the place is not
 *      damaged;
 *   2. else the smallest place that settled index segments know and that is so;
 *   3. else where it says all the same, or such a place: in a pack that was cut; if the pack was
 *      condemned it is released; if the place is known to be damaged it stays as it is, and so
 *      does another one that is, since marks may be wrong;
 *   4. else the chunk is lost, and the collection stops.
 */
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "repo/gc_impl.h"
#include "repo/meta_cache.h"
#include "repo/tree.h"

#define BATCH 512
#define SMALL_MANY 64                 /* small packs of a kind that are worth merging */
#define SPARSE_LEAST_BYTES (64 * KIB) /* of a pack that is worth repacking */

static int mark_cmp(const void *va, const void *vb)
{
	const struct gc_mark *a = va;
	const struct gc_mark *b = vb;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return (a->off > b->off) - (a->off < b->off);
}

/* Two that differ in their length would be a lie of one tree; the longer one counts. */
static void mark_join(void *kept, const void *same)
{
	struct gc_mark *k = kept;
	const struct gc_mark *s = same;

	if (s->stored > k->stored)
		k->stored = s->stored;
}

static const struct runs_type mark_type = {
	.size = sizeof(struct gc_mark),
	.cmp = mark_cmp,
	.join = mark_join,
};

struct worker {
	struct gc *g;
	struct nodes *nodes;
	unsigned level;
	struct gc_mark marks[BATCH];
	size_t nmarks;
	struct refset_item children[BATCH];
	size_t nchildren;
	int fd; /* of the local copy of `cached`; -1: none */
	uint8_t cached[FORMAT_PACK_ID_BYTES];
	size_t last;           /* number of the pack that was found last */
	struct chunk_ref also; /* of resolve() */
	bool has_also;
};

/* ---- places ---- */

static size_t pack_number(struct worker *w, const struct chunk_ref *ref)
{
	const struct gc *g = w->g;

	/* References of a leaf mostly follow each other in one pack. */
	if (w->last < g->npacks && (w->last >= g->ndata) == (ref->kind == CHUNK_NODE) &&
	    memcmp(g->ids[w->last], ref->pack, sizeof(ref->pack)) == 0)
		return w->last;
	size_t n = gc_pack_find(g, ref->kind, ref->pack);
	if (n < g->npacks)
		w->last = n;
	return n;
}

static bool is_listed(void *arg, const struct chunk_ref *ref)
{
	const struct gc *g = arg;

	return gc_pack_find(g, ref->kind, ref->pack) < g->npacks;
}

/* The pack is listed, and long enough: one that was cut has not got the place any more. */
static bool is_within(const struct gc *g, size_t pack, const struct chunk_ref *ref)
{
	return pack < g->npacks && (uint64_t)ref->off + ref->stored <= g->packs[pack].len;
}

static bool is_whole(void *arg, const struct chunk_ref *ref)
{
	const struct gc *g = arg;

	return is_within(g, gc_pack_find(g, ref->kind, ref->pack), ref);
}

/* It can still be released. */
static bool is_condemned(void *arg, const struct chunk_ref *ref)
{
	const struct gc *g = arg;

	return g->condemned && pack_list_has(g->condemned, ref->kind, ref->pack) &&
	       is_listed(arg, ref);
}

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, FORMAT_ID_BYTES);
}

/* No collection takes its pack away. */
static bool is_kept(void *arg, const struct chunk_ref *ref)
{
	const struct gc *g = arg;

	return is_listed(arg, ref) && !pack_list_has(&g->view.absent.packs, ref->kind, ref->pack) &&
	       !pack_list_has(&g->view.dead, ref->kind, ref->pack);
}

/* A place that should be there: no mark, and no collection, says why it is not. */
static bool is_unexplained(void *arg, const struct chunk_ref *ref)
{
	const struct gc *g = arg;

	return !absent_has(&g->view.absent, ref) &&
	       !pack_list_has(&g->view.dead, ref->kind, ref->pack) && !is_listed(arg, ref);
}

static void note_lost(struct gc *g, const struct chunk_ref *ref)
{
	(void)pthread_mutex_lock(&g->lock);
	if (g->lost++ == 0) {
		g->lost_first = *ref;
		pack_key_name(g->lost_name, ref->pack, ref->kind);
	}
	(void)pthread_mutex_unlock(&g->lock);
}

static int release(struct gc *g, const struct chunk_ref *ref, struct err *e)
{
	int rc = 0;

	(void)pthread_mutex_lock(&g->lock);
	/* Whole runs of references are of one pack. */
	const struct pack_list *l = &g->released;
	if (l->n == 0 || l->v[l->n - 1].kind != ref->kind ||
	    memcmp(l->v[l->n - 1].id, ref->pack, sizeof(ref->pack)) != 0)
		rc = pack_list_add(&g->released, ref->kind, ref->pack, e);
	(void)pthread_mutex_unlock(&g->lock);
	return rc;
}

typedef bool settled_fn(struct index *x, const uint8_t id[FORMAT_ID_BYTES],
                        bool (*usable)(void *arg, const struct chunk_ref *ref), void *arg,
                        struct chunk_ref *ret);

/* Another place that the index knows. */
static bool find_place(struct worker *w, uint16_t domain, const struct chunk_ref *ref,
                       settled_fn *find, bool (*usable)(void *arg, const struct chunk_ref *ref),
                       struct chunk_ref *ret, size_t *ret_pack)
{
	struct chunk_ref at;

	if (!find(w->g->domains[domain].index, ref->id, usable, w->g, &at) ||
	    at.kind != ref->kind || at.plain != ref->plain)
		return false;
	*ret = at;
	*ret_pack = pack_number(w, &at);
	return true;
}

/*
 * A repair has found that the chunk, which has no place, cannot be had. A mark with its id does not
 * suffice: the chunk may have been stored again since then, and what is missing now is that.
 */
static bool is_known_lost(struct worker *w, uint16_t domain, const struct chunk_ref *ref)
{
	struct gc *g = w->g;
	struct chunk_ref at;
	size_t pack;

	return g->nlost_ids > 0 &&
	       bsearch(ref->id, g->lost_ids, g->nlost_ids, sizeof(*g->lost_ids), id_cmp) &&
	       !is_unexplained(g, ref) &&
	       !find_place(w, domain, ref, index_settled_or_absent, is_unexplained, &at, &pack);
}

struct other {
	const struct gc *g;
	const struct chunk_ref *than;
};

static bool is_kept_other(void *arg, const struct chunk_ref *ref)
{
	const struct other *o = arg;

	return is_kept((void *)(uintptr_t)o->g, ref) &&
	       (ref->off != o->than->off || memcmp(ref->pack, o->than->pack, sizeof(ref->pack)));
}

/* Of places that are all marked: where it says, and w->also another one. 0: there is none. */
static int keep_marked(struct worker *w, uint16_t domain, const struct chunk_ref *ref,
                       struct chunk_ref *ret, size_t *ret_pack)
{
	struct other o = { .g = w->g, .than = ref };
	struct chunk_ref at;

	w->has_also = index_settled_or_absent(w->g->domains[domain].index, ref->id, is_kept_other,
	                                      &o, &at) &&
	              at.kind == ref->kind && at.plain == ref->plain;
	if (w->has_also)
		w->also = at;
	if (is_kept(w->g, ref))
		return 1;
	if (!w->has_also)
		return 0;
	*ret = at;
	*ret_pack = pack_number(w, &at);
	w->has_also = false;
	return 1;
}

/*
 * Resolves a reference. 1: *ret is where it stays, and w->also when it has_also; 0: there is no
 * place; -1: e.
 */
static int resolve(struct worker *w, uint16_t domain, const struct chunk_ref *ref,
                   struct chunk_ref *ret, size_t *ret_pack, struct err *e)
{
	struct gc *g = w->g;

	w->has_also = false;
	*ret = *ref;
	*ret_pack = pack_number(w, ref);
	bool good = *ret_pack < g->npacks && !absent_has(&g->view.absent, ref);
	if ((good && is_within(g, *ret_pack, ref)) ||
	    find_place(w, domain, ref, index_settled, is_whole, ret, ret_pack) || good ||
	    find_place(w, domain, ref, index_settled, is_listed, ret, ret_pack))
		return 1;
	/* A point that was expired at the first mark and held since may need what was moved. */
	if (is_condemned(g, ref) ||
	    find_place(w, domain, ref, index_settled_or_absent, is_condemned, ret, ret_pack))
		return release(g, ret, e) < 0 ? -1 : 1;
	if (is_known_lost(w, domain, ref)) {
		(void)pthread_mutex_lock(&g->lock);
		g->known_lost++;
		(void)pthread_mutex_unlock(&g->lock);
		return keep_marked(w, domain, ref, ret, ret_pack);
	}
	note_lost(g, ref);
	return 0;
}

/* ---- what is found ---- */

static int flush(struct worker *w, struct err *e)
{
	struct gc *g = w->g;

	if (runs_add(g->marks, w->marks, w->nmarks, e) < 0 ||
	    (w->nchildren > 0 &&
	     refset_add(g->nodes[w->level - 1], w->children, w->nchildren, e) < 0))
		return -1;
	w->nmarks = 0;
	w->nchildren = 0;
	return 0;
}

/* The pack is needed so long, at least. */
static void need(struct gc *g, size_t pack, uint32_t until_s)
{
	uint32_t now = atomic_load_explicit(&g->needs[pack], memory_order_relaxed);

	while (now < until_s &&
	       !atomic_compare_exchange_weak_explicit(&g->needs[pack], &now, until_s,
	                                              memory_order_relaxed, memory_order_relaxed))
		;
}

static int add_mark(struct worker *w, const struct chunk_ref *ref, size_t pack, uint32_t until_s,
                    struct err *e)
{
	if (w->g->needs)
		need(w->g, pack, until_s);
	if (w->nmarks == BATCH && flush(w, e) < 0)
		return -1;
	w->marks[w->nmarks++] =
		(struct gc_mark){ .pack = (uint32_t)pack, .off = ref->off, .stored = ref->stored };
	return 0;
}

static int visit_leaf(struct worker *w, const struct refset_item *item, const uint8_t *plain,
                      size_t n, struct err *e)
{
	struct leaf *leaf;
	int rc = 0;

	if (tree_leaf_decode(plain, n, &leaf, e) < 0)
		return nodes_is_finding(e) ? 1 : -1;
	for (size_t i = 0; rc == 0 && i < leaf->nchunks; i++) {
		struct chunk_ref at;
		size_t pack;

		rc = resolve(w, item->domain, &leaf->chunks[i], &at, &pack, e);
		if (rc > 0)
			rc = add_mark(w, &at, pack, item->until_s, e);
		if (rc == 0 && w->has_also)
			rc = add_mark(w, &w->also, pack_number(w, &w->also), item->until_s, e);
	}
	leaf_unref(leaf);
	return rc;
}

static int add_node_at(struct worker *w, struct refset *to, const struct refset_item *item,
                       size_t pack, struct err *e)
{
	if (add_mark(w, &item->ref, pack, item->until_s, e) < 0)
		return -1;
	if (to)
		return refset_add(to, item, 1, e);
	if (w->nchildren == BATCH && flush(w, e) < 0)
		return -1;
	w->children[w->nchildren++] = *item;
	return 0;
}

/* The node will be read where it stays. */
static int add_node(struct worker *w, struct refset *to, uint16_t domain, uint32_t until_s,
                    const struct chunk_ref *ref, struct err *e)
{
	struct refset_item item = { .domain = domain, .until_s = until_s };
	size_t pack;

	int rc = resolve(w, domain, ref, &item.ref, &pack, e);
	if (rc <= 0)
		return rc;
	if (add_node_at(w, to, &item, pack, e) < 0)
		return -1;
	if (!w->has_also)
		return 0;
	item.ref = w->also;
	return add_node_at(w, to, &item, pack_number(w, &w->also), e);
}

static int visit(void *arg, const struct refset_item *item, const uint8_t *plain, size_t n,
                 struct err *e)
{
	struct worker *w = arg;
	struct inner *inner;
	int rc = 0;

	if (w->level == 0)
		return visit_leaf(w, item, plain, n, e);
	if (tree_inner_decode(plain, n, &inner, e) < 0)
		return nodes_is_finding(e) ? 1 : -1;
	for (size_t i = 0; rc == 0 && i < inner->n; i++)
		rc = add_node(w, NULL, item->domain, item->until_s, &inner->children[i].ref, e);
	inner_free(inner);
	return rc;
}

/* A node that cannot be read hides what is below it. */
static int bad(void *arg, const struct refset_item *item, const struct err *why, struct err *e)
{
	struct worker *w = arg;
	char name[PACK_KEY_MAX];

	/* Repair has found that out, and told which files are hurt. */
	if (absent_has_place(&w->g->view.absent, &item->ref))
		return 0;
	if (w->g->lenient) {
		(void)pthread_mutex_lock(&w->g->lock);
		w->g->unreadable++;
		(void)pthread_mutex_unlock(&w->g->lock);
		return 0;
	}
	pack_key_name(name, item->ref.pack, CHUNK_NODE);
	/* A disk that fails may work again: that is no damage yet. */
	(void)err_set(e, why->class == ERR_IO ? ERR_IO : ERR_CORRUPT,
	              "a tree node at byte %u of '%s' cannot be read, so nobody can say what is "
	              "needed; nothing is collected until it is repaired or marked as lost "
	              "(aksdr-catalog repair): %.200s",
	              item->ref.off, name, why->msg);
	return -1;
}

static struct nodes_domain domain_of(void *arg, uint16_t number)
{
	const struct worker *w = arg;
	const struct gc_domain *d = &w->g->domains[number];

	return (struct nodes_domain){ .keys = d->keys, .node = &d->node };
}

/* From the local copy where there is one. */
static int get(void *arg, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	struct worker *w = arg;
	const struct repo *r = w->g->repo;
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	if (cancel_check(r->cancel, e) < 0)
		return -1;
	if (pack_key_parse(key, id, &kind) == 0 && kind == CHUNK_NODE &&
	    (w->fd < 0 || memcmp(id, w->cached, sizeof(id)) != 0)) {
		clean_close(&w->fd);
		w->fd = meta_cache_open(r, id);
		memcpy(w->cached, id, sizeof(id));
	}
	if (w->fd >= 0 && fd_pread_full(w->fd, p, n, off) == (ssize_t)n)
		return 0;
	return store_get(r->store, key, off, p, n, e);
}

/* ---- levels ---- */

struct level {
	struct gc *g;
	unsigned level;
};

/* The next pack's nodes. 0: none left. */
static int next_group(struct gc *g, unsigned level, struct refset_group *group, struct err *e)
{
	(void)pthread_mutex_lock(&g->lock);
	int rc = refset_take(g->nodes[level], group, e);
	(void)pthread_mutex_unlock(&g->lock);
	return rc < 0 ? -1 : group->n > 0;
}

static int walk(struct worker *w, const struct nodes_call *call, const atomic_bool *stop,
                struct err *e)
{
	CLEANUP(refset_group_clear) struct refset_group group = { 0 };
	struct gc *g = w->g;
	int rc = 0;

	while (!atomic_load(stop) && (rc = next_group(g, w->level, &group, e)) > 0) {
		size_t pack = gc_pack_find(g, CHUNK_NODE, group.items[0].ref.pack);
		uint64_t len = pack < g->npacks ? g->packs[pack].len : 0;

		rc = nodes_read(w->nodes, call, group.items[0].ref.pack, len, group.items, group.n,
		                NULL, e);
		/* A copy that was cut off or damaged: the store's own decides. */
		if (rc < 0 && e->class == ERR_CORRUPT && w->fd >= 0) {
			meta_cache_forget(g->repo, group.items[0].ref.pack);
			clean_close(&w->fd);
			w->fd = -1;
			*e = (struct err)ERR_INIT;
			rc = nodes_read(w->nodes, call, group.items[0].ref.pack, len, group.items,
			                group.n, NULL, e);
		}
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : flush(w, e);
}

static int walk_level(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	const struct level *l = arg;
	auto_free struct worker *w = calloc(1, sizeof(*w));

	(void)i;
	if (!w)
		return err_set(e, ERR_NOMEM, "no memory for a thread of the collection");
	w->g = l->g;
	w->level = l->level;
	w->fd = -1;
	w->last = SIZE_MAX;
	w->nodes = nodes_new();
	if (!w->nodes)
		return err_set(e, ERR_NOMEM, "no memory for a thread of the collection");
	const struct nodes_call call = {
		.repo = l->g->repo,
		.domain = domain_of,
		.get = get,
		.visit = visit,
		.bad = bad,
		.arg = w,
		.level = l->level,
	};
	int rc = walk(w, &call, stop, e);
	nodes_free(w->nodes);
	clean_close(&w->fd);
	return rc;
}

static struct refset *level_set(struct gc *g, unsigned level, struct err *e)
{
	if (!g->nodes[level])
		g->nodes[level] = refset_new(g->scratch);
	if (!g->nodes[level])
		(void)err_set(e, ERR_NOMEM, "no memory for the nodes of a tree");
	return g->nodes[level];
}

static int add_roots(struct gc *g, struct err *e)
{
	auto_free struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_NOMEM, "no memory for the roots of the trees");
	w->g = g;
	w->last = SIZE_MAX;
	for (size_t i = 0; i < g->npoints; i++) {
		const struct gc_point *p = &g->points[i];
		struct refset *set = level_set(g, p->levels - 1, e);

		if (!set || add_node(w, set, p->domain, p->until_s, &p->root, e) < 0)
			return -1;
	}
	return flush(w, e);
}

static int stop_for_loss(struct gc *g, struct err *e)
{
	struct store_stat st;
	struct err ignored = ERR_INIT;

	/* One that is there all the same: then the list lies. */
	if (!is_listed(g, &g->lost_first) &&
	    store_head(g->repo->store, g->lost_name, &st, &ignored) == 0)
		return err_set(e, ERR_CORRUPT,
		               "the list of packs lacks '%s', which is there: the store's lists "
		               "cannot be relied on, and nothing is collected",
		               g->lost_name);
	return err_set(
		e, ERR_CORRUPT,
		"%llu chunks that restore points need are not in the store, the first is %s %s "
		"at byte %u of '%s'; nothing is collected until they are repaired or marked as "
		"lost (aksdr-catalog repair)",
		(unsigned long long)g->lost,
		g->lost_first.kind == CHUNK_NODE ? "tree node" : "chunk",
		hex_of32(g->lost_first.id).s, g->lost_first.off, g->lost_name);
}

/* Adds up what each pack holds that is needed. */
static int count_live(struct gc *g, struct err *e)
{
	const struct gc_mark *m;

	g->result->chunks = 0;
	g->result->live = (struct gc_amount){ 0 };
	if (runs_rewind(g->marks, e) < 0)
		return -1;
	while ((m = runs_next(g->marks))) {
		struct gc_pack *p = &g->packs[m->pack];

		p->live += m->stored;
		g->result->live.packs += p->nlive++ == 0;
		g->result->live.bytes += m->stored;
		g->result->chunks++;
	}
	return 0;
}

int gc_mark(struct gc *g, struct err *e)
{
	pack_list_clear(&g->released);
	g->lost = 0;
	g->known_lost = 0;
	runs_free(g->marks);
	g->marks = runs_new(&mark_type, g->scratch);
	if (!g->marks)
		return err_set(e, ERR_NOMEM, "no memory for a collection");
	if (add_roots(g, e) < 0)
		return -1;
	for (unsigned level = FORMAT_LEVELS_MAX; level-- > 0;) {
		struct level l = { .g = g, .level = level };

		if (!g->nodes[level])
			continue;
		if ((level > 0 && !level_set(g, level - 1, e)) ||
		    refset_rewind(g->nodes[level], e) < 0 ||
		    team_run(g->threads, "gc-mark", walk_level, &l, e) < 0)
			return err_wrap(e, "going through the trees");
		refset_free(STEAL(&g->nodes[level]));
	}
	if (g->lost > 0 && !g->lenient)
		return stop_for_loss(g, e);
	pack_list_sort(&g->released);
	g->result->damaged.packs = g->known_lost;
	return count_live(g, e);
}

/* ---- what becomes of packs ---- */

void gc_judge(struct gc *g)
{
	const struct gc_params *p = g->params;
	struct gc_result *r = g->result;
	uint64_t small[2] = { 0 }; /* by kind */

	r->garbage = r->young = r->sparse = (struct gc_amount){ 0 };
	r->young_until_ns = 0;
	for (size_t i = 0; i < g->npacks; i++) {
		struct gc_pack *x = &g->packs[i];
		uint64_t rest = x->len > x->live ? x->len - x->live : 0;

		x->fate = GC_KEEP;
		/* Dead already: it is only to be deleted. */
		if (pack_list_has(&g->view.dead, x->kind, x->id))
			continue;
		if (x->nlive == 0) {
			r->garbage.packs++;
			r->garbage.bytes += x->len;
			x->fate = GC_GARBAGE;
			if (x->received_ns > g->now_ns - p->young_ns) {
				x->fate = GC_YOUNG;
				r->young.packs++;
				r->young.bytes += x->len;
				if (x->received_ns + p->young_ns > r->young_until_ns)
					r->young_until_ns = x->received_ns + p->young_ns;
			}
		} else if (p->repack_percent > 0 && x->len > SPARSE_LEAST_BYTES &&
		           rest * 100 >= (uint64_t)x->len * p->repack_percent) {
			x->fate = GC_SPARSE;
			r->sparse.packs++;
			r->sparse.bytes += rest;
		} else if (p->repack_percent > 0 && x->len < g->repo->params.pack_bytes / 8) {
			small[x->kind]++;
		}
	}
	for (size_t i = 0; i < g->npacks; i++) {
		struct gc_pack *x = &g->packs[i];

		if (x->fate == GC_KEEP && small[x->kind] >= SMALL_MANY &&
		    x->len < g->repo->params.pack_bytes / 8)
			x->fate = GC_SMALL;
	}
}
