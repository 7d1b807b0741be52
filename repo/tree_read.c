/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching the nodes of a point and walking them in order.
 *
 * Tree packs are small and read over and over (each backup reads the tree of
 * the one before), so with a remote store whole packs are kept in the state
 * directory; what lies there is authenticated like what comes from the store,
 * and a damaged copy is fetched again. A local store is read by ranges.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "repo/compress.h"
#include "repo/crypt.h"
#include "repo/index.h"
#include "repo/moved.h"
#include "repo/meta_cache.h"
#include "repo/tree.h"

#define OPEN_PACKS 8
#define GONE_MAX 64 /* packs that are remembered to be gone */

/* A tree pack whose data key is at hand. */
struct node_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t *bytes; /* mapped copy, or NULL: read ranges from the store */
	size_t len;
	bool cached; /* bytes come from the state directory */
	uint8_t *header;
	struct pack_header head;
	uint16_t key; /* whose box is keyed */
	struct crypt_box *box;
	uint64_t used; /* for choosing the oldest */
};

struct level {
	struct inner *node;
	size_t at; /* the child that is open, or will be next */
};

struct tree {
	const struct repo *repo;
	struct domain_keys *domain;
	struct chunk_ref root;
	unsigned levels;
	struct crypt_hasher hasher;
	struct compress *z;
	struct node_pack packs[OPEN_PACKS];
	uint64_t clock;
	struct moved *moved;   /* made when a node is not where it was */
	struct index *located; /* borrowed: what a writer may rely on; NULL: no matter */
	uint8_t gone[GONE_MAX][FORMAT_PACK_ID_BYTES]; /* packs that are not there any more */
	size_t ngone;
	struct buf stored, plain, scratch;
	/* position */
	struct level path[FORMAT_LEVELS_MAX];
	unsigned depth; /* inner nodes open, path[0] is the root */
	struct leaf *leaf;
	size_t at; /* next record of leaf */
	bool started, ended;
};

static void node_pack_clear(struct node_pack *p)
{
	if (p->bytes)
		(void)munmap(p->bytes, p->len);
	free(p->header);
	crypt_box_free(p->box);
	memset(p, 0, sizeof(*p));
}

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
	for (size_t i = 0; i < OPEN_PACKS; i++)
		node_pack_clear(&t->packs[i]);
	moved_free(t->moved);
	compress_free(t->z);
	buf_clear(&t->stored);
	buf_clear(&t->plain);
	buf_clear(&t->scratch);
	secret_wipe(&t->hasher, sizeof(t->hasher));
	secret_free(t->domain);
	free(t);
}

/* ---- packs of nodes ---- */

/* The pack's local copy, mapped; nothing when there is none. */
static void map_cached(struct tree *t, struct node_pack *p)
{
	struct stat st;
	auto_close int fd = meta_cache_open(t->repo, p->id);

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	void *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return;
	p->bytes = m;
	p->len = (size_t)st.st_size;
	p->cached = true;
}

static int read_range(struct tree *t, struct node_pack *p, const char *name, uint64_t off, void *to,
                      size_t n, struct err *e)
{
	if (!p->bytes)
		return store_get(t->repo->store, name, off, to, n, e);
	if (off > p->len || n > p->len - off)
		return err_set(e, ERR_CORRUPT, "'%s' ends before byte %llu", name,
		               (unsigned long long)(off + n));
	memcpy(to, p->bytes + off, n);
	return 0;
}

static int load_header(struct tree *t, struct node_pack *p, const char *name, struct err *e)
{
	size_t need = PACK_HEADER_GUESS;
	size_t have = 0;

	while (have < need) {
		free(p->header);
		p->header = malloc(need);
		if (!p->header)
			return err_set(e, ERR_NOMEM, "no memory for the header of '%s'", name);
		have = need;
		if (read_range(t, p, name, 0, p->header, have, e) < 0 ||
		    pack_header_decode(p->header, have, p->id, &p->head, &need, e) < 0)
			return err_wrap(e, "reading the header of '%s'", name);
	}
	if (!p->box)
		p->box = crypt_box_new(p->head.cipher);
	if (!p->box)
		return err_set(e, ERR_NOMEM, "no memory for the cipher of '%s'", name);
	p->key = UINT16_MAX;
	return 0;
}

static struct node_pack *oldest(struct tree *t)
{
	struct node_pack *p = &t->packs[0];

	for (size_t i = 1; i < OPEN_PACKS; i++)
		if (t->packs[i].used < p->used)
			p = &t->packs[i];
	return p;
}

static int open_pack(struct tree *t, const struct chunk_ref *ref, const char *name,
                     struct node_pack **ret, struct err *e)
{
	struct node_pack *p;

	for (size_t i = 0; i < OPEN_PACKS; i++) {
		p = &t->packs[i];
		if (p->used && memcmp(p->id, ref->pack, sizeof(p->id)) == 0) {
			p->used = ++t->clock;
			*ret = p;
			return 0;
		}
	}
	p = oldest(t);
	node_pack_clear(p);
	memcpy(p->id, ref->pack, sizeof(p->id));
	map_cached(t, p);
	if (load_header(t, p, name, e) < 0) {
		bool cached = p->cached;

		node_pack_clear(p);
		if (!cached)
			return -1;
		/* A damaged copy: the store's own decides. */
		*e = (struct err)ERR_INIT;
		memcpy(p->id, ref->pack, sizeof(p->id));
		if (load_header(t, p, name, e) < 0) {
			node_pack_clear(p);
			return -1;
		}
	}
	p->used = ++t->clock;
	*ret = p;
	return 0;
}

static int open_node_at(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	char name[PACK_KEY_MAX];
	struct node_pack *p;
	uint8_t id[FORMAT_ID_BYTES];

	pack_key_name(name, ref->pack, CHUNK_NODE);
	if (open_pack(t, ref, name, &p, e) < 0)
		return -1;
	if (p->key != ref->key) {
		auto_secret uint8_t *dek = secret_new(FORMAT_DEK_BYTES);

		if (!dek)
			return err_set(e, ERR_NOMEM, "no memory for a key");
		if (pack_header_dek(p->header, &p->head, ref->key, t->repo->keys, t->domain, dek,
		                    e) < 0)
			return err_wrap(e, "opening '%s'", name);
		crypt_box_key(p->box, dek);
		p->key = ref->key;
	}
	buf_reset(&t->stored);
	buf_reset(&t->plain);
	buf_reset(&t->scratch);
	if (buf_reserve(&t->stored, ref->stored) < 0 || buf_reserve(&t->scratch, ref->stored) < 0 ||
	    buf_reserve(&t->plain, ref->plain) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a tree node of %u bytes", ref->plain);
	if (read_range(t, p, name, ref->off, t->stored.data, ref->stored, e) < 0)
		return err_wrap(e, "reading a tree node of '%s'", name);
	bool good = pack_chunk_open(p->box, t->z, t->repo->keys->repo, ref, t->stored.data,
	                            t->scratch.data, t->plain.data) == 0;
	if (!good && p->cached) {
		node_pack_clear(p);
		return err_set(e, ERR_RETRY, "the local copy of '%s' is damaged", name);
	}
	if (good)
		crypt_chunk_id(&t->hasher, t->plain.data, ref->plain, id, NULL);
	if (!good || memcmp(id, ref->id, sizeof(id)) != 0)
		return err_set(e, ERR_CORRUPT, "the tree node at byte %u of '%s' is damaged",
		               ref->off, name);
	t->plain.len = ref->plain;
	return 0;
}

static bool is_gone(const struct tree *t, const uint8_t id[16])
{
	for (size_t i = 0; i < t->ngone && i < GONE_MAX; i++) {
		if (memcmp(t->gone[i], id, sizeof(t->gone[i])) == 0)
			return true;
	}
	return false;
}

/* Errors after which another copy of the node may help. */
static bool is_loss(const struct err *e)
{
	return e->class == ERR_NOT_FOUND || e->class == ERR_CORRUPT || e->class == ERR_FORMAT;
}

/*
 * Repacking may have moved the node, or a later backup stored it again: the index knows. -1: it is
 * nowhere, or *why says what is in the way, which is no loss of the node.
 */
static int open_elsewhere(struct tree *t, const struct chunk_ref *ref, struct err *why)
{
	struct moved_ask ask = { 0 };
	struct err bad = ERR_INIT;
	int more;

	if (!t->moved)
		t->moved = moved_new(t->repo, t->domain);
	if (!t->moved)
		return err_set(why, ERR_NOMEM, "no memory to look for a tree node");
	while ((more = moved_ask(t->moved, ref, &ask, &bad)) > 0) {
		for (size_t i = 0; i < ask.n; i++) {
			bad = (struct err)ERR_INIT;
			if (open_node_at(t, &ask.places[i], &bad) == 0)
				return 0;
			if (!is_loss(&bad))
				*why = bad;
		}
	}
	if (more < 0 && !is_loss(&bad))
		*why = bad;
	return -1;
}

/* The node's plain text into t->plain. */
static int open_node(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	struct err first = ERR_INIT;

	if (is_gone(t, ref->pack)) {
		(void)err_set(&first, ERR_NOT_FOUND, "its pack is gone");
		if (open_elsewhere(t, ref, &first) == 0)
			return 0;
		if (!is_loss(&first)) {
			*e = first;
			return -1;
		}
		first = (struct err)ERR_INIT;
	}
	if (open_node_at(t, ref, &first) == 0)
		return 0;
	if (first.class == ERR_RETRY && !(t->repo->store->caps & STORE_CAP_LOCAL)) {
		meta_cache_forget(t->repo, ref->pack);
		first = (struct err)ERR_INIT;
		if (open_node_at(t, ref, &first) == 0)
			return 0;
	}
	if (first.class == ERR_NOT_FOUND && !is_gone(t, ref->pack))
		memcpy(t->gone[t->ngone++ % GONE_MAX], ref->pack, sizeof(t->gone[0]));
	if (is_loss(&first) && open_elsewhere(t, ref, &first) == 0)
		return 0;
	*e = first;
	return -1;
}

/* ---- walking ---- */

void tree_use_index(struct tree *t, struct index *index)
{
	t->located = index;
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

static int decode_leaf(struct tree *t, struct err *e)
{
	struct leaf *l;

	if (tree_leaf_decode(t->plain.data, t->plain.len, &l, e) < 0)
		return -1;
	if (!in_place(t, record_key(&l->records[0]), record_key(&l->records[l->nrecords - 1]))) {
		leaf_unref(l);
		return misplaced(e);
	}
	t->at = 0;
	t->leaf = l;
	locate_chunks(t);
	return 0;
}

static int decode_inner(struct tree *t, struct err *e)
{
	struct inner *in;

	if (tree_inner_decode(t->plain.data, t->plain.len, &in, e) < 0)
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

/*
 * Opens the node that path[depth - 1] points to (the root at depth 0) down to a leaf, leftmost,
 * or by key.
 */
static int descend(struct tree *t, const char *path, size_t len, struct err *e)
{
	for (;;) {
		const struct chunk_ref *ref = &t->root;

		if (t->depth > 0)
			ref = &t->path[t->depth - 1].node->children[t->path[t->depth - 1].at].ref;
		if (open_node(t, ref, e) < 0)
			return -1;
		if (t->depth == t->levels - 1)
			return decode_leaf(t, e);
		if (decode_inner(t, e) < 0)
			return -1;
		if (!path)
			continue;
		/*
		 * The last child whose first key is not above the path: what we look for begins
		 * there.
		 */
		struct level *l = &t->path[t->depth - 1];
		size_t lo = 0, hi = l->node->n;
		while (hi - lo > 1) {
			size_t mid = lo + (hi - lo) / 2;
			const struct tree_child *c = &l->node->children[mid];
			int d = source_path_cmp(c->path, c->path_len, path, len);

			if (d < 0 || (d == 0 && c->position == 0))
				lo = mid;
			else
				hi = mid;
		}
		l->at = lo;
	}
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

int tree_seek(struct tree *t, const char *path, size_t len, struct err *e)
{
	unwind(t);
	t->started = true;
	if (descend(t, path, len, e) < 0)
		return -1;
	if (!path)
		return 0;
	for (; t->at < t->leaf->nrecords; t->at++) {
		const struct record *r = &t->leaf->records[t->at];

		if (source_path_cmp(r->path, r->path_len, path, len) >= 0)
			break;
	}
	return 0;
}

int tree_next(struct tree *t, const struct record **ret, struct leaf **ret_leaf, struct err *e)
{
	if (!t->started) {
		t->started = true;
		if (descend(t, NULL, 0, e) < 0)
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
		if (!t->leaf && descend(t, NULL, 0, e) < 0)
			return -1;
	}
	*ret = NULL;
	*ret_leaf = NULL;
	return 0;
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
	if (open_node(t, &t->root, e) < 0)
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
	if (open_node(t, ref, e) < 0 || tree_inner_decode(t->plain.data, t->plain.len, &in, e) < 0)
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
