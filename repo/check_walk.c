/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees, all at once: the roots of all points, then the level below them,
 * and so on. Nodes are taken pack by pack in order of offset, each once
 * however many points share it.
 *
 * When something is damaged, the same passes run upwards and mark the nodes
 * that have damage below; only those are then visited point by point, to
 * name the files.
 */
#include <string.h>

#include "repo/check_impl.h"
#include "repo/crypt.h"

#define LOST_MAX ((size_t)1 << 18) /* looked up in the index at a time */
#define FOUND_BATCH 1024

/* What to do with a node that was opened; as visit() of nodes.h, but with the worker. */
typedef int visit_fn(struct check_worker *w, const struct refset_item *item, const uint8_t *plain,
                     size_t n, struct err *e);

/* ---- opening nodes ---- */

/* One pack of nodes. */
struct node_pack {
	struct check_worker *w;
	visit_fn *visit;
	bool tell;    /* what does not open is noted; else it is known, and left out */
	uint64_t bad; /* nodes that do not open */
	uint32_t bad_off;
	char why[256];
};

static struct nodes_domain domain_of(void *arg, uint16_t number)
{
	const struct node_pack *p = arg;
	const struct check_domain *d = &p->w->ck->domains[number];

	return (struct nodes_domain){ .keys = d->keys, .node = &d->node };
}

static int get_counted(void *arg, const char *key, uint64_t off, void *to, size_t n, struct err *e)
{
	const struct node_pack *p = arg;

	return check_get(p->w->ck, key, off, to, n, e);
}

static int visit_one(void *arg, const struct refset_item *item, const uint8_t *plain, size_t n,
                     struct err *e)
{
	const struct node_pack *p = arg;

	return p->visit(p->w, item, plain, n, e);
}

static int node_bad(void *arg, const struct refset_item *item, const struct err *why, struct err *e)
{
	struct node_pack *p = arg;

	(void)e;
	if (p->bad++ == 0) {
		p->bad_off = item->ref.off;
		(void)snprintf(p->why, sizeof(p->why), "%.255s", why->msg);
	}
	if (p->tell)
		check_hurts(p->w->ck, item);
	return 0;
}

/* What a visit returns when the node does not decode. */
static int undecoded(const struct err *e)
{
	return check_is_finding(e) ? 1 : -1;
}

/* Visits nodes of one pack, sorted by offset. */
static int visit_pack(struct check_worker *w, const struct check_listed *listed,
                      const struct refset_item *items, size_t n, visit_fn *visit, bool tell,
                      struct err *e)
{
	struct node_pack p = { .w = w, .visit = visit, .tell = tell };
	const struct nodes_call call = {
		.repo = w->ck->repo,
		.domain = domain_of,
		.get = get_counted,
		.visit = visit_one,
		.bad = node_bad,
		.arg = &p,
		.level = w->level,
	};
	struct err header = ERR_INIT;
	char name[PACK_KEY_MAX];

	if (nodes_read(w->nodes, &call, listed->id, listed->len, items, n, &header, e) < 0)
		return -1;
	if (p.bad == 0 || !tell)
		return 0;
	pack_key_name(name, listed->id, CHUNK_NODE);
	if (header.class != ERR_NONE)
		check_find(w->ck, check_what_of(&header), name, n,
		           "the header of a pack of tree nodes does not open: %s", header.msg);
	else
		check_find(w->ck, CHECK_DAMAGED, name, p.bad,
		           "%llu of its tree nodes cannot be read, the first at byte %u: %s",
		           (unsigned long long)p.bad, p.bad_off, p.why);
	return 0;
}

/* The next pack's items into w->group. 0: none left. */
static int next_group(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;

	(void)pthread_mutex_lock(&ck->lock);
	int rc = refset_take(w->from, &w->group, e);
	(void)pthread_mutex_unlock(&ck->lock);
	return rc < 0 ? -1 : w->group.n > 0;
}

/* ---- downwards ---- */

/* Hands the references in w->found to the set. */
static int flush_found(struct check_worker *w, struct refset *into, struct err *e)
{
	int rc = refset_add(into, w->found, w->nfound, e);

	w->nfound = 0;
	return rc;
}

static int found(struct check_worker *w, const struct refset_item *from,
                 const struct chunk_ref *ref, struct refset *into, struct err *e)
{
	struct refset_item x = { .ref = *ref, .domain = from->domain, .flags = REFSET_POINT };

	if (check_push(&w->found, &w->nfound, &w->found_cap, sizeof(x), &x, e) < 0)
		return -1;
	return w->nfound >= FOUND_BATCH ? flush_found(w, into, e) : 0;
}

static int visit_down(struct check_worker *w, const struct refset_item *item, const uint8_t *plain,
                      size_t n, struct err *e)
{
	struct check *ck = w->ck;
	int rc = 0;

	atomic_fetch_add_explicit(&ck->nodes_read, 1, memory_order_relaxed);
	if (w->level == 0) {
		struct leaf *leaf;

		if (tree_leaf_decode(plain, n, &leaf, e) < 0)
			return undecoded(e);
		for (size_t i = 0; rc == 0 && i < leaf->nchunks; i++)
			rc = found(w, item, &leaf->chunks[i], ck->all, e);
		leaf_unref(leaf);
		return rc < 0 ? -1 : flush_found(w, ck->all, e);
	}
	struct inner *inner;
	if (tree_inner_decode(plain, n, &inner, e) < 0)
		return undecoded(e);
	for (size_t i = 0; rc == 0 && i < inner->n; i++)
		rc = found(w, item, &inner->children[i].ref, ck->nodes[w->level - 1], e);
	inner_free(inner);
	return rc < 0 ? -1 : flush_found(w, ck->nodes[w->level - 1], e);
}

/* Items that cannot be had where they are go to ck->lost, the others stay. */
static int lose_bad(struct check *ck, struct refset_item *items, size_t *n, struct err *e)
{
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < *n; i++) {
		if ((items[i].flags & REFSET_MOVED) || check_place_good(ck, &items[i].ref)) {
			items[kept++] = items[i];
			continue;
		}
		(void)pthread_mutex_lock(&ck->lock);
		rc = check_push(&ck->lost, &ck->nlost, &ck->lost_cap, sizeof(*items), &items[i], e);
		(void)pthread_mutex_unlock(&ck->lock);
	}
	*n = kept;
	return rc;
}

static int walk_down(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;
	int rc;

	while (!atomic_load(&ck->stop) && (rc = next_group(w, e)) != 0) {
		if (rc < 0)
			return -1;
		struct refset_item *items = w->group.items;
		size_t n = w->group.n;
		const struct check_listed *listed = check_listed_find(ck, CHUNK_NODE,
		                                                      items[0].ref.pack);

		if (lose_bad(ck, items, &n, e) < 0)
			return -1;
		if (n > 0 && (refset_add(ck->all, items, n, e) < 0 ||
		              visit_pack(w, listed, items, n, visit_down, true, e) < 0))
			return -1;
	}
	return 0;
}

static struct refset *level_set(struct check *ck, struct refset **set, struct err *e)
{
	if (!*set)
		*set = refset_new(ck->scratch);
	if (!*set)
		(void)err_set(e, ERR_NOMEM, "no memory for the nodes of a tree");
	return *set;
}

static int walk_level(struct check *ck, unsigned level, struct err *e)
{
	if (level > 0 && !level_set(ck, &ck->nodes[level - 1], e))
		return -1;
	if (check_pool(ck, walk_down, level, ck->nodes[level], e) < 0)
		return -1;
	if (ck->nlost == 0)
		return 0;
	/* a pack that is gone may have been written anew; once is enough */
	if (!level_set(ck, &ck->moved[level], e) || check_resolve(ck, ck->moved[level], e) < 0)
		return -1;
	return check_pool(ck, walk_down, level, ck->moved[level], e);
}

/* Chunks in packs that are gone: found elsewhere, or lost. */
static int find_moved(struct check *ck, struct err *e)
{
	auto_refset struct refset *moved = refset_new(ck->scratch);
	CLEANUP(refset_group_clear) struct refset_group g = { 0 };

	if (!moved)
		return err_set(e, ERR_NOMEM, "no memory for the chunks of the trees");
	if (refset_rewind(ck->all, e) < 0)
		return -1;
	for (;;) {
		if (refset_take(ck->all, &g, e) < 0)
			return -1;
		for (size_t i = 0; i < g.n; i++) {
			if ((g.items[i].flags & (REFSET_POINT | REFSET_MOVED)) == REFSET_POINT &&
			    g.items[i].ref.kind == CHUNK_DATA &&
			    !check_place_good(ck, &g.items[i].ref) &&
			    check_push(&ck->lost, &ck->nlost, &ck->lost_cap, sizeof(*g.items),
			               &g.items[i], e) < 0)
				return -1;
		}
		if ((g.n == 0 || ck->nlost >= LOST_MAX) && ck->nlost > 0 &&
		    check_resolve(ck, moved, e) < 0)
			return -1;
		if (g.n == 0)
			break;
	}
	if (refset_rewind(moved, e) < 0)
		return -1;
	do {
		if (refset_take(moved, &g, e) < 0 || refset_add(ck->all, g.items, g.n, e) < 0)
			return -1;
	} while (g.n > 0);
	return 0;
}

int check_walk(struct check *ck, struct err *e)
{
	for (size_t i = 0; i < ck->npoints; i++) {
		const struct check_point *p = &ck->points[i];
		struct refset_item root = { .ref = p->root,
			                    .domain = p->domain,
			                    .flags = REFSET_POINT };

		if (!level_set(ck, &ck->nodes[p->levels - 1], e) ||
		    refset_add(ck->nodes[p->levels - 1], &root, 1, e) < 0)
			return -1;
	}
	for (unsigned level = FORMAT_LEVELS_MAX; level-- > 0;) {
		if (ck->nodes[level] && walk_level(ck, level, e) < 0)
			return err_wrap(e, "reading the trees");
	}
	return find_moved(ck, e);
}

/* ---- upwards ---- */

static int hurt_by_id(const void *a, const void *b)
{
	return memcmp(((const struct refset_item *)a)->ref.id,
	              ((const struct refset_item *)b)->ref.id, FORMAT_ID_BYTES);
}

/* The node as it was read, when there is damage below it; else NULL. */
static const struct refset_item *hurt_node(const struct check *ck, const struct chunk_ref *ref)
{
	struct refset_item key = { .ref = *ref };

	if (ck->nhurt == 0)
		return NULL;
	return bsearch(&key, ck->hurt, ck->nhurt, sizeof(key), hurt_by_id);
}

static int visit_up(struct check_worker *w, const struct refset_item *item, const uint8_t *plain,
                    size_t n, struct err *e)
{
	struct check *ck = w->ck;
	bool hurt = false;

	if (w->level == 0) {
		struct leaf *leaf;

		if (tree_leaf_decode(plain, n, &leaf, e) < 0)
			return undecoded(e);
		for (size_t i = 0; !hurt && i < leaf->nchunks; i++)
			hurt = check_is_hurt(ck, &leaf->chunks[i]);
		leaf_unref(leaf);
	} else {
		struct inner *inner;

		if (tree_inner_decode(plain, n, &inner, e) < 0)
			return undecoded(e);
		for (size_t i = 0; !hurt && i < inner->n; i++)
			hurt = check_is_hurt(ck, &inner->children[i].ref) ||
			       hurt_node(ck, &inner->children[i].ref);
		inner_free(inner);
	}
	if (!hurt)
		return 0;
	(void)pthread_mutex_lock(&ck->lock);
	int rc = check_push(&ck->hurt_new, &ck->nhurt_new, &ck->hurt_new_cap, sizeof(*item), item,
	                    e);
	(void)pthread_mutex_unlock(&ck->lock);
	return rc;
}

static int walk_up(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;
	int rc;

	while (!atomic_load(&ck->stop) && (rc = next_group(w, e)) != 0) {
		if (rc < 0)
			return -1;
		const struct check_listed *listed = check_listed_find(ck, CHUNK_NODE,
		                                                      w->group.items[0].ref.pack);
		size_t n = 0;

		/* what does not open is known to be damaged */
		for (size_t i = 0; i < w->group.n; i++) {
			if (!check_is_hurt(ck, &w->group.items[i].ref))
				w->group.items[n++] = w->group.items[i];
		}
		if (listed && n > 0 &&
		    visit_pack(w, listed, w->group.items, n, visit_up, false, e) < 0)
			return -1;
	}
	return 0;
}

static int mark_level(struct check *ck, unsigned level, struct err *e)
{
	if (ck->nodes[level] && check_pool(ck, walk_up, level, ck->nodes[level], e) < 0)
		return -1;
	if (ck->moved[level] && check_pool(ck, walk_up, level, ck->moved[level], e) < 0)
		return -1;
	for (size_t i = 0; i < ck->nhurt_new; i++) {
		if (check_push(&ck->hurt, &ck->nhurt, &ck->hurt_cap, sizeof(*ck->hurt),
		               &ck->hurt_new[i], e) < 0)
			return -1;
	}
	ck->nhurt_new = 0;
	if (ck->nhurt > 0)
		qsort(ck->hurt, ck->nhurt, sizeof(*ck->hurt), hurt_by_id);
	return 0;
}

/* ---- point by point ---- */

struct teller {
	struct check_worker *w;
	const struct check_point *point;
	struct check_result *result;
	uint64_t told, max;
	struct buf path; /* of the file that was told last */
	bool any;        /* path is set for this point */
};

static int tell(struct teller *t, const char *path, size_t len, uint64_t entries, bool subtree,
                struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	const struct check_params *params = t->w->ck->params;
	CLEANUP(buf_clear) struct buf shown = BUF_INIT(4 * FORMAT_PATH_MAX + 1);

	t->result->hurt_entries += entries;
	if (t->told == t->max || !params->hurt)
		return 0;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)path[i];

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			(void)buf_u8(&shown, c);
		} else {
			(void)buf_str(&shown, "\\x");
			(void)buf_u8(&shown, (uint8_t)digits[c >> 4]);
			(void)buf_u8(&shown, (uint8_t)digits[c & 15]);
		}
	}
	if (buf_check(&shown, "a path", e) < 0)
		return -1;
	struct check_hurt h = {
		.session = t->point->session,
		.volume = t->point->volume,
		.path = buf_cstr(&shown),
		.subtree = subtree,
		.entries = entries,
	};
	t->told++;
	return params->hurt(params->arg, &h, e);
}

/* Keeps the decoded node for the caller of open_one(). */
static int visit_keep(struct check_worker *w, const struct refset_item *item, const uint8_t *plain,
                      size_t n, struct err *e)
{
	(void)item;
	if ((w->level == 0 ? tree_leaf_decode(plain, n, &w->leaf, e)
	                   : tree_inner_decode(plain, n, &w->inner, e)) < 0)
		return undecoded(e);
	return 0;
}

static int tell_leaf(struct teller *t, const struct leaf *leaf, struct err *e)
{
	for (size_t i = 0; i < leaf->nrecords; i++) {
		const struct record *r = &leaf->records[i];
		bool hurt = false;

		for (size_t k = 0; !hurt && k < r->nextents; k++)
			hurt = r->extents[k].chunk >= 0 &&
			       check_is_hurt(t->w->ck, &leaf->chunks[r->extents[k].chunk]);
		/* the parts of a large file count once */
		if (!hurt ||
		    (t->any && t->path.len == r->path_len &&
		     (r->path_len == 0 || memcmp(t->path.data, r->path, r->path_len) == 0)))
			continue;
		buf_reset(&t->path);
		if (buf_put(&t->path, r->path, r->path_len) < 0)
			return buf_check(&t->path, "a path", e);
		t->any = true;
		if (tell(t, r->path, r->path_len, 1, false, e) < 0)
			return -1;
	}
	return 0;
}

/* item: a node that is known to open, with damage below. */
static int tell_node(struct teller *t, const struct refset_item *item, unsigned level,
                     struct err *e)
{
	struct check_worker *w = t->w;
	const struct check_listed *listed = check_listed_find(w->ck, CHUNK_NODE, item->ref.pack);
	int rc = 0;

	w->level = level;
	if (!listed || visit_pack(w, listed, item, 1, visit_keep, false, e) < 0)
		return listed ? -1 : 0;
	if (level == 0 && w->leaf) {
		rc = tell_leaf(t, w->leaf, e);
		leaf_unref(STEAL(&w->leaf));
		return rc;
	}
	struct inner *inner = STEAL(&w->inner);
	for (size_t i = 0; rc == 0 && inner && i < inner->n; i++) {
		const struct tree_child *c = &inner->children[i];
		const struct refset_item *below = hurt_node(w->ck, &c->ref);

		if (check_is_hurt(w->ck, &c->ref))
			rc = tell(t, c->path, c->path_len, c->records, true, e);
		else if (below)
			rc = tell_node(t, below, level - 1, e);
	}
	inner_free(inner);
	return rc;
}

int check_walk_hurt(struct check *ck, struct check_result *result, struct err *e)
{
	CLEANUP(check_worker_clear) struct check_worker w = { 0 };
	struct teller t = {
		.w = &w,
		.result = result,
		.max = ck->params->hurt_max ? ck->params->hurt_max : CHECK_HURT_MAX,
		.path = BUF_INIT(FORMAT_PATH_MAX),
	};
	int rc = 0;

	if (ck->ndamage == 0)
		return 0;
	if (check_worker_init(&w, ck, e) < 0)
		return -1;
	for (unsigned level = 0; level < FORMAT_LEVELS_MAX; level++) {
		if (mark_level(ck, level, e) < 0)
			return err_wrap(e, "looking for the files that are hurt");
	}
	for (size_t i = 0; rc == 0 && i < ck->npoints; i++) {
		const struct check_point *p = &ck->points[i];
		const struct refset_item *root = hurt_node(ck, &p->root);

		t.point = p;
		t.any = false;
		if (check_is_hurt(ck, &p->root))
			rc = tell(&t, "", 0, p->entries, true, e);
		else if (root)
			rc = tell_node(&t, root, p->levels - 1, e);
		else
			continue;
		result->hurt_points++;
	}
	buf_clear(&t.path);
	return rc;
}
