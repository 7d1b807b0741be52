/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the nodes of a point in order, and to a path or a number. How they come: tree_fetch.c. */
#include <string.h>

#include "repo/arena.h"
#include "repo/index.h"
#include "repo/tree_impl.h"

int tree_open(const struct repo *r, const struct point *p, struct tree **ret, struct err *e)
{
	auto_tree struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_NOMEM, "no memory for reading a tree");
	t->repo = r;
	t->root = p->root;
	t->levels = p->levels;
	t->stored.max = t->scratch.max = FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	t->plain.max = FORMAT_CHUNK_MAX;
	if (t->levels == 0 || t->levels > FORMAT_LEVELS_MAX)
		return err_set(e, ERR_FORMAT, "point '%s' has a tree of %u levels", p->session,
		               t->levels);
	if (keys_domain(r->keys, p->domain, &t->domain, e) < 0)
		return -1;
	crypt_hasher_init(&t->hasher, t->domain->node);
	t->z = compress_new();
	if (!t->z)
		return err_set(e, ERR_NOMEM, "no memory for reading a tree");
	*ret = STEAL(&t);
	return 0;
}

static void unwind(struct tree *t)
{
	leaf_unref(t->leaf);
	t->leaf = NULL;
	while (t->depth > 0)
		inner_free(t->path[--t->depth].node);
	t->started = t->ended = false;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	unwind(t);
	tree_fetch_clear(t);
	compress_free(t->z);
	buf_clear(&t->stored);
	buf_clear(&t->plain);
	buf_clear(&t->scratch);
	secret_wipe(&t->hasher, sizeof(t->hasher));
	secret_free(t->domain);
	free(t);
}

/* ---- walking ---- */

void tree_use_index(struct tree *t, struct index *index)
{
	t->located = index;
}

void tree_use_cache(struct tree *t, struct node_cache *cache)
{
	t->cache = cache;
}

/* Nobody else has the leaf yet. */
static void locate_chunks(struct tree *t)
{
	for (size_t i = 0; t->located && i < t->leaf->nchunks; i++) {
		if (!index_locate(t->located, &t->leaf->chunks[i]))
			t->leaf->chunks[i].stored = 0;
	}
}

/* Where a record is in the order of all. */
struct key {
	const char *path;
	size_t len;
	uint64_t position;
};

static int key_cmp(struct key a, struct key b)
{
	int d = source_path_cmp(a.path, a.len, b.path, b.len);

	return d ? d : (a.position > b.position) - (a.position < b.position);
}

static struct key record_key(const struct record *r)
{
	return (struct key){ r->path, r->path_len, r->position };
}

static struct key child_key(const struct tree_child *c)
{
	return (struct key){ c->path, c->path_len, c->position };
}

/*
 * Whether a node with these keys is what the nodes above it say: it begins with its own key there,
 * and ends before the next one. Then no node can be in two places, and every walk has an end.
 */
static bool in_place(const struct tree *t, struct key first, struct key last)
{
	const struct level *l = t->depth > 0 ? &t->path[t->depth - 1] : NULL;

	if (l && key_cmp(first, child_key(&l->node->children[l->at])) != 0)
		return false;
	for (size_t i = t->depth; i > 0; i--) {
		l = &t->path[i - 1];
		if (l->at + 1 < l->node->n)
			return key_cmp(last, child_key(&l->node->children[l->at + 1])) < 0;
	}
	return true;
}

static int misplaced(struct err *e)
{
	return err_set(e, ERR_FORMAT, "a tree node has other names than the one above it says");
}

static int get_leaf(struct tree *t, const struct chunk_ref *ref, struct leaf **ret, struct err *e)
{
	struct leaf *l = t->cache ? node_cache_leaf(t->cache, ref->id) : NULL;

	if (!l && (tree_fetch_node(t, ref, e) < 0 ||
	           tree_leaf_decode(t->plain.data, t->plain.len, &l, e) < 0))
		return -1;
	if (t->cache)
		node_cache_put_leaf(t->cache, ref->id, l);
	*ret = l;
	return 0;
}

static int get_inner(struct tree *t, const struct chunk_ref *ref, struct inner **ret, struct err *e)
{
	struct inner *in = t->cache ? node_cache_inner(t->cache, ref->id) : NULL;

	if (!in && (tree_fetch_node(t, ref, e) < 0 ||
	            tree_inner_decode(t->plain.data, t->plain.len, &in, e) < 0))
		return -1;
	if (t->cache)
		node_cache_put_inner(t->cache, ref->id, in);
	*ret = in;
	return 0;
}

static int open_leaf(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	struct leaf *l;

	if (get_leaf(t, ref, &l, e) < 0)
		return -1;
	if (!in_place(t, record_key(&l->records[0]), record_key(&l->records[l->nrecords - 1]))) {
		leaf_unref(l);
		return misplaced(e);
	}
	t->at = 0;
	t->leaf = l;
	t->first = 0;
	for (size_t i = 0; i < t->depth; i++) {
		for (size_t k = 0; k < t->path[i].at; k++)
			t->first += t->path[i].node->children[k].records;
	}
	locate_chunks(t);
	return 0;
}

static int open_inner(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	struct inner *in;

	if (get_inner(t, ref, &in, e) < 0)
		return -1;
	bool level = in->level == t->levels - 1 - t->depth;
	if (!level ||
	    !in_place(t, child_key(&in->children[0]), child_key(&in->children[in->n - 1]))) {
		inner_free(in);
		return level ? misplaced(e)
		             : err_set(e, ERR_FORMAT, "a tree node is of the wrong level");
	}
	struct level *l = &t->path[t->depth++];
	l->node = in;
	l->at = 0;
	return 0;
}

/* What a walk down the tree looks for. */
struct goal {
	enum { GOAL_FIRST, GOAL_KEY, GOAL_NUMBER } kind;
	struct key key;
	uint64_t number; /* counted from the node that is looked into */
};

/* The last child whose first key is not above the key: what is looked for begins there. */
static size_t child_by_key(const struct inner *in, struct key key)
{
	size_t lo = 0, hi = in->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (key_cmp(child_key(&in->children[mid]), key) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* The child that holds record *number, which becomes its number in there. */
static size_t child_by_number(const struct inner *in, uint64_t *number)
{
	size_t i = 0;

	for (; i + 1 < in->n && *number >= in->children[i].records; i++)
		*number -= in->children[i].records;
	return i;
}

/*
 * Opens the node that path[depth - 1] points to (the root at depth 0) down to the leaf of the
 * goal.
 */
static int descend(struct tree *t, struct goal goal, struct err *e)
{
	for (;;) {
		const struct chunk_ref *ref = &t->root;

		if (t->depth > 0)
			ref = &t->path[t->depth - 1].node->children[t->path[t->depth - 1].at].ref;
		if (t->depth == t->levels - 1)
			break;
		if (open_inner(t, ref, e) < 0)
			return -1;
		struct level *l = &t->path[t->depth - 1];
		if (goal.kind == GOAL_KEY)
			l->at = child_by_key(l->node, goal.key);
		else if (goal.kind == GOAL_NUMBER)
			l->at = child_by_number(l->node, &goal.number);
	}
	const struct level *above = t->depth > 0 ? &t->path[t->depth - 1] : NULL;
	const struct tree_child *c = above ? &above->node->children[above->at] : NULL;
	if (open_leaf(t, c ? &c->ref : &t->root, e) < 0)
		return -1;
	if (goal.kind != GOAL_NUMBER)
		return 0;
	if (goal.number >= t->leaf->nrecords || (c && c->records != t->leaf->nrecords))
		return err_set(e, ERR_FORMAT,
		               "a tree node has %zu records, and not as many as it "
		               "should",
		               t->leaf->nrecords);
	t->at = (size_t)goal.number;
	return 0;
}

/* Steps to the next child anywhere above; false: the tree is at its end. */
static bool advance(struct tree *t)
{
	leaf_unref(t->leaf);
	t->leaf = NULL;
	while (t->depth > 0) {
		struct level *l = &t->path[t->depth - 1];

		if (++l->at < l->node->n)
			return true;
		inner_free(l->node);
		t->depth--;
	}
	t->ended = true;
	return false;
}

/* Goes down from the root. */
static int seek(struct tree *t, struct goal goal, struct err *e)
{
	unwind(t);
	t->started = true;
	return descend(t, goal, e);
}

/* The first record of the leaf that is not before the key. */
static size_t record_by_key(const struct leaf *l, struct key key)
{
	size_t lo = 0, hi = l->nrecords;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (key_cmp(record_key(&l->records[mid]), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int tree_seek(struct tree *t, const char *path, size_t len, struct err *e)
{
	const struct key key = { path, len, 0 };

	if (!path)
		return seek(t, (struct goal){ .kind = GOAL_FIRST }, e);
	if (seek(t, (struct goal){ .kind = GOAL_KEY, .key = key }, e) < 0)
		return -1;
	t->at = record_by_key(t->leaf, key);
	return 0;
}

int tree_seek_part(struct tree *t, const char *path, size_t len, uint64_t position, struct err *e)
{
	const struct key key = { path, len, position };

	if (seek(t, (struct goal){ .kind = GOAL_KEY, .key = key }, e) < 0)
		return -1;
	size_t at = record_by_key(t->leaf, key);
	if (at == t->leaf->nrecords || key_cmp(record_key(&t->leaf->records[at]), key) > 0)
		at -= at > 0;
	t->at = at;
	return 0;
}

int tree_seek_number(struct tree *t, uint64_t number, struct err *e)
{
	return seek(t, (struct goal){ .kind = GOAL_NUMBER, .number = number }, e);
}

uint64_t tree_number(const struct tree *t)
{
	return t->first + t->at - 1;
}

int tree_next(struct tree *t, const struct record **ret, struct leaf **ret_leaf, struct err *e)
{
	if (!t->started) {
		t->started = true;
		if (descend(t, (struct goal){ .kind = GOAL_FIRST }, e) < 0)
			return -1;
	}
	while (!t->ended) {
		if (t->leaf && t->at < t->leaf->nrecords) {
			*ret_leaf = t->leaf;
			*ret = &t->leaf->records[t->at++];
			return 0;
		}
		if (t->leaf && !advance(t))
			break;
		if (!t->leaf && descend(t, (struct goal){ .kind = GOAL_FIRST }, e) < 0)
			return -1;
	}
	*ret = NULL;
	*ret_leaf = NULL;
	return 0;
}

/* The node that a walk comes to next, when it is between two. NULL: it is in one, or at the end. */
static const struct chunk_ref *node_ahead(struct tree *t, unsigned *ret_level)
{
	if (t->leaf && t->at == t->leaf->nrecords)
		(void)advance(t);
	if (t->leaf || t->ended)
		return NULL;
	*ret_level = t->levels - 1 - t->depth;
	if (t->depth == 0)
		return &t->root;
	const struct level *l = &t->path[t->depth - 1];
	return &l->node->children[l->at].ref;
}

int tree_skip_same(struct tree *a, struct tree *b, bool *ret_skipped, struct err *e)
{
	*ret_skipped = false;
	for (;;) {
		unsigned level_a = 0;
		unsigned level_b = 0;
		const struct chunk_ref *x = node_ahead(a, &level_a);
		const struct chunk_ref *y = node_ahead(b, &level_b);

		if (!x || !y)
			return 0;
		a->started = b->started = true;
		if (level_a == level_b && memcmp(x->id, y->id, sizeof(x->id)) == 0) {
			(void)advance(a);
			(void)advance(b);
			*ret_skipped = true;
		} else if (level_a == 0 && level_b == 0) {
			return 0;
		} else if ((level_a >= level_b && open_inner(a, x, e) < 0) ||
		           (level_b >= level_a && open_inner(b, y, e) < 0)) {
			return -1;
		}
	}
}

bool tree_skip_damaged(struct tree *t)
{
	if (t->leaf)
		return true;
	return t->started && !t->ended && advance(t);
}

int tree_lookup(struct tree *t, const char *path, size_t len, const struct record **ret,
                struct leaf **ret_leaf, struct err *e)
{
	const struct record *r;
	struct leaf *l;

	if (tree_seek(t, path, len, e) < 0 || tree_next(t, &r, &l, e) < 0)
		return -1;
	if (!r || r->position || source_path_cmp(r->path, r->path_len, path, len) != 0)
		return err_set(e, ERR_NOT_FOUND, "there is no '%.*s' in this restore point",
		               (int)len, path);
	*ret = r;
	*ret_leaf = l;
	return 0;
}

int tree_totals(struct tree *t, uint64_t *ret_records, uint64_t *ret_bytes, struct err *e)
{
	struct inner *in;
	struct leaf *l;

	*ret_records = *ret_bytes = 0;
	if (tree_fetch_node(t, &t->root, e) < 0)
		return -1;
	if (t->levels > 1) {
		if (tree_inner_decode(t->plain.data, t->plain.len, &in, e) < 0)
			return -1;
		for (size_t i = 0; i < in->n; i++) {
			*ret_records += in->children[i].records;
			*ret_bytes += in->children[i].bytes;
		}
		inner_free(in);
		return 0;
	}
	if (tree_leaf_decode(t->plain.data, t->plain.len, &l, e) < 0)
		return -1;
	*ret_records = l->nrecords;
	for (size_t i = 0; i < l->nrecords; i++)
		for (size_t x = 0; x < l->records[i].nextents; x++)
			*ret_bytes += l->records[i].extents[x].len;
	leaf_unref(l);
	return 0;
}

static int each_node(struct tree *t, const struct chunk_ref *ref, unsigned level,
                     int (*each)(void *arg, const struct chunk_ref *ref, unsigned level,
                                 struct err *e),
                     void *arg, struct err *e)
{
	struct inner *in;
	int rc = 0;

	if (level == 0)
		return each(arg, ref, 0, e);
	if (tree_fetch_node(t, ref, e) < 0 ||
	    tree_inner_decode(t->plain.data, t->plain.len, &in, e) < 0)
		return -1;
	if (in->level != level)
		rc = err_set(e, ERR_FORMAT, "a tree node is of the wrong level");
	for (size_t i = 0; rc == 0 && i < in->n; i++)
		rc = each_node(t, &in->children[i].ref, level - 1, each, arg, e);
	inner_free(in);
	return rc == 0 ? each(arg, ref, level, e) : rc;
}

int tree_each_node(struct tree *t,
                   int (*each)(void *arg, const struct chunk_ref *ref, unsigned level,
                               struct err *e),
                   void *arg, struct err *e)
{
	return each_node(t, &t->root, t->levels - 1, each, arg, e);
}
