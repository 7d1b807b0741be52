/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding, decoding and building of tree nodes. How nodes are fetched and
 * walked is in tree_read.c.
 *
 * Where a leaf ends is decided by a keyed hash of its last record's key,
 * weighted by the record's size, so that the same records make the same
 * leaves whatever the history was, and a change touches the leaf it is in.
 * Inner nodes end by their last child's id.
 */
#include "repo/tree.h"

#include <sodium.h>
#include <string.h>

#include "common/rd.h"
#include "repo/arena.h"
#include "repo/crypt.h"

#define LEAF_MIN (16 * KIB) /* no boundary before */
#define LEAF_AVG (48 * KIB) /* expected from there on */
#define LEAF_MAX (256 * KIB)
#define INNER_MIN 8
#define INNER_MAX 512

/* ---- references and keys, shared by both kinds of nodes ---- */

static void put_ref(struct buf *b, const struct chunk_ref *r, uint64_t pack)
{
	buf_put(b, r->id, sizeof(r->id));
	buf_uvar(b, pack);
	buf_uvar(b, r->off);
	buf_uvar(b, r->stored);
	buf_uvar(b, r->plain);
	buf_uvar(b, r->counter);
	buf_uvar(b, r->key);
	buf_u8(b, r->compression);
}

static bool get_ref(struct rd *r, const uint8_t *packs, uint64_t npacks, uint8_t kind,
                    struct chunk_ref *ret)
{
	uint64_t pack, off, stored, plain, counter, key;

	rd_copy(r, ret->id, sizeof(ret->id));
	pack = rd_uvar(r);
	off = rd_uvar(r);
	stored = rd_uvar(r);
	plain = rd_uvar(r);
	counter = rd_uvar(r);
	key = rd_uvar(r);
	ret->compression = rd_u8(r);
	if (!rd_ok(r) || pack >= npacks || off > FORMAT_PACK_MAX ||
	    stored > FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES || stored <= FORMAT_TAG_BYTES ||
	    plain == 0 || plain > FORMAT_CHUNK_MAX || counter > UINT32_MAX ||
	    key >= FORMAT_KEYS_MAX || ret->compression > COMPRESSION_ZSTD)
		return false;
	if (ret->compression == COMPRESSION_NONE && stored != plain + FORMAT_TAG_BYTES)
		return false;
	memcpy(ret->pack, packs + pack * FORMAT_PACK_ID_BYTES, FORMAT_PACK_ID_BYTES);
	ret->off = (uint32_t)off;
	ret->stored = (uint32_t)stored;
	ret->plain = (uint32_t)plain;
	ret->counter = (uint32_t)counter;
	ret->key = (uint16_t)key;
	ret->kind = kind;
	return true;
}

/* A path a restore may create: no empty, "." or ".." component, no NUL. The root is "". */
static bool path_valid(const char *p, size_t n)
{
	size_t start = 0;

	if (n == 0)
		return true;
	if (memchr(p, 0, n))
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && p[i] != '/')
			continue;
		size_t len = i - start;
		if (len == 0 || len > 255 || (len == 1 && p[start] == '.') ||
		    (len == 2 && p[start] == '.' && p[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

struct key {
	const char *path;
	size_t len;
	uint64_t position;
};

static int key_cmp(const struct key *a, const struct key *b)
{
	int c = source_path_cmp(a->path, a->len, b->path, b->len);

	if (c)
		return c;
	return a->position < b->position ? -1 : a->position > b->position;
}

/* Reads a KEY; the path is a copy in the arena. prev: the key before, or NULL for the first. */
static bool get_key(struct rd *r, struct arena *arena, const struct key *prev, struct key *ret)
{
	size_t rest_len;
	uint64_t shared = rd_uvar(r);
	const uint8_t *rest = rd_bytes(r, FORMAT_PATH_MAX, &rest_len);

	ret->position = rd_uvar(r);
	if (!rd_ok(r) || shared > (prev ? prev->len : 0) || shared + rest_len > FORMAT_PATH_MAX)
		return false;
	if (prev && rest_len == 0 && shared == prev->len) {
		ret->path = prev->path;
	} else {
		char *path = arena_alloc(arena, (size_t)shared + rest_len + 1);

		if (!path)
			return false;
		if (shared)
			memcpy(path, prev->path, (size_t)shared);
		memcpy(path + shared, rest, rest_len);
		path[shared + rest_len] = '\0';
		ret->path = path;
	}
	ret->len = (size_t)shared + rest_len;
	if (!path_valid(ret->path, ret->len))
		return false;
	return !prev || key_cmp(prev, ret) < 0;
}

static const uint8_t *get_packs(struct rd *r, uint64_t *ret_n)
{
	uint64_t n = rd_uvar(r);

	if (!rd_ok(r) || n > rd_left(r) / FORMAT_PACK_ID_BYTES)
		r->failed = true;
	*ret_n = r->failed ? 0 : n;
	return rd_take(r, (size_t)*ret_n * FORMAT_PACK_ID_BYTES);
}

/* ---- leaves ---- */

struct leaf *leaf_ref(struct leaf *l)
{
	__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

void leaf_unref(struct leaf *l)
{
	if (!l || __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	arena_clear(l->arena);
	free(l->arena);
	free(l);
}

/* Extents of one record; ends[] remembers per chunk where its last extent ended. */
static bool get_extents(struct rd *r, struct leaf *l, uint64_t *ends, struct record *ret,
                        uint64_t *ret_bytes)
{
	uint64_t n = rd_uvar(r);
	uint64_t sum = 0;

	if (!rd_ok(r) || n > rd_left(r) / 2)
		return false;
	struct extent *x = arena_alloc(l->arena, (size_t)n * sizeof(*x));
	if (!x)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t tag = rd_uvar(r);

		x[i].off = 0;
		if (tag < 2) {
			x[i].chunk = tag == 0 ? EXTENT_HOLE : EXTENT_ZERO;
			x[i].len = rd_uvar(r);
		} else {
			uint64_t c = tag - 2;

			if (c >= l->nchunks)
				return false;
			int64_t delta = rd_svar(r);
			x[i].len = rd_uvar(r);
			uint64_t off = ends[c] + (uint64_t)delta;
			uint32_t plain = l->chunks[c].plain;
			if (!rd_ok(r) || off > plain || x[i].len > plain - off)
				return false;
			x[i].chunk = (int64_t)c;
			x[i].off = (uint32_t)off;
			ends[c] = off + x[i].len;
		}
		if (!rd_ok(r) || x[i].len == 0 || x[i].len > INT64_MAX - sum)
			return false;
		sum += x[i].len;
	}
	ret->extents = x;
	ret->nextents = (size_t)n;
	*ret_bytes = sum;
	return true;
}

static bool get_u32(struct rd *r, uint32_t *ret)
{
	uint64_t v = rd_uvar(r);

	*ret = (uint32_t)v;
	return rd_ok(r) && v <= UINT32_MAX;
}

static bool get_time(struct rd *r, struct timestamp *ret)
{
	ret->s = rd_svar(r);
	return get_u32(r, &ret->ns) && ret->ns < 1000000000;
}

static bool get_entry(struct rd *r, struct leaf *l, uint64_t *ends, struct record *ret)
{
	struct entry_stat *st = &ret->st;
	uint64_t flags, bytes = 0;

	if (!get_u32(r, &st->mode) || !get_u32(r, &st->uid) || !get_u32(r, &st->gid) ||
	    !get_u32(r, &st->nlink))
		return false;
	st->ino = rd_uvar(r);
	if (!get_time(r, &st->mtime) || !get_time(r, &st->ctime))
		return false;
	flags = rd_uvar(r);
	if (!rd_ok(r) || flags > 2 * RECORD_CONTINUED - 1)
		return false;
	ret->flags = (uint32_t)flags;
	if (flags & RECORD_LINK)
		ret->link = rd_bytes(r, FORMAT_PATH_MAX, &ret->link_len);
	if (flags & RECORD_XATTRS)
		ret->xattrs = rd_bytes(r, SOURCE_XATTRS_MAX, &ret->xattrs_len);
	if ((flags & RECORD_FSFLAGS) && !get_u32(r, &ret->fsflags))
		return false;
	if ((flags & RECORD_PROJID) && !get_u32(r, &ret->projid))
		return false;
	if ((flags & RECORD_DEVICE) &&
	    (!get_u32(r, &st->rdev_major) || !get_u32(r, &st->rdev_minor)))
		return false;
	if (flags & RECORD_HARDLINK) {
		ret->hardlink = (const char *)rd_bytes(r, FORMAT_PATH_MAX, &ret->hardlink_len);
		if (!rd_ok(r) || ret->hardlink_len == 0 ||
		    !path_valid(ret->hardlink, ret->hardlink_len) ||
		    source_path_cmp(ret->hardlink, ret->hardlink_len, ret->path, ret->path_len) >=
		            0)
			return false;
	}
	if (!S_ISREG(st->mode))
		return rd_ok(r) && !!(flags & RECORD_LINK) == !!S_ISLNK(st->mode);
	st->size = rd_uvar(r);
	if (!rd_ok(r) || st->size > INT64_MAX)
		return false;
	if (flags & RECORD_HARDLINK)
		return true;
	if (!get_extents(r, l, ends, ret, &bytes))
		return false;
	return flags & RECORD_CONTINUED ? bytes < st->size : bytes == st->size;
}

/* The attributes' own form: ascending names, all inside. */
static bool xattrs_valid(const struct record *r)
{
	const char *name;
	const uint8_t *value;
	size_t pos = 0, name_len, value_len;
	bool bad = false;

	while (source_xattr_next(r->xattrs, r->xattrs_len, &pos, &name, &name_len, &value,
	                         &value_len, &bad))
		if (name_len == 0 || name_len > 255 || memchr(name, 0, name_len))
			return false;
	return !bad;
}

static bool leaf_body(struct rd *r, struct leaf *l)
{
	uint64_t npacks, nchunks, nrecords, bytes;
	const uint8_t *packs = get_packs(r, &npacks);

	nchunks = rd_uvar(r);
	if (!rd_ok(r) || nchunks > rd_left(r) / FORMAT_ID_BYTES)
		return false;
	l->chunks = arena_alloc(l->arena, (size_t)nchunks * sizeof(*l->chunks));
	uint64_t *ends = arena_alloc(l->arena, (size_t)nchunks * sizeof(*ends));
	if (!l->chunks || !ends)
		return false;
	for (size_t i = 0; i < nchunks; i++) {
		ends[i] = 0;
		if (!get_ref(r, packs, npacks, CHUNK_DATA, &l->chunks[i]))
			return false;
	}
	l->nchunks = (size_t)nchunks;
	nrecords = rd_uvar(r);
	if (!rd_ok(r) || nrecords == 0 || nrecords > FORMAT_NODE_ITEMS_MAX)
		return false;
	l->records = arena_alloc(l->arena, (size_t)nrecords * sizeof(*l->records));
	if (!l->records)
		return false;
	struct key prev = { 0 }, key;
	for (size_t i = 0; i < nrecords; i++) {
		struct record *n = &l->records[i];

		memset(n, 0, sizeof(*n));
		if (!get_key(r, l->arena, i ? &prev : NULL, &key))
			return false;
		n->path = key.path;
		n->path_len = key.len;
		n->position = key.position;
		prev = key;
		uint8_t type = rd_u8(r);
		if (type == 0
		            ? key.position != 0 || !get_entry(r, l, ends, n) || !xattrs_valid(n)
		            : type != 1 || key.position == 0 || !get_extents(r, l, ends, n, &bytes))
			return false;
	}
	l->nrecords = (size_t)nrecords;
	return rd_done(r);
}

int tree_leaf_decode(const uint8_t *p, size_t n, struct leaf **ret, struct err *e)
{
	struct leaf *l = calloc(1, sizeof(*l));
	struct rd r;

	if (!l || !(l->arena = calloc(1, sizeof(struct arena)))) {
		free(l);
		return err_set(e, ERR_NOMEM, "no memory for a tree node");
	}
	l->refs = 1;
	/* Links and attributes point into the plain text, which therefore goes along. */
	uint8_t *copy = arena_copy(l->arena, p, n);
	r = rd_of(copy, copy ? n : 0);
	uint8_t version = rd_u8(&r);
	uint8_t level = rd_u8(&r);
	if (!rd_ok(&r) || version != 1 || level != 0 || !leaf_body(&r, l)) {
		bool no_memory = ((const struct arena *)l->arena)->failed;

		leaf_unref(l);
		if (no_memory)
			return err_set(e, ERR_NOMEM, "no memory for a tree node of %zu bytes", n);
		return err_set(e, ERR_FORMAT,
		               "a leaf of %zu bytes does not parse (node version %u, level %u)", n,
		               version, level);
	}
	*ret = l;
	return 0;
}

struct inner *inner_ref(struct inner *i)
{
	__atomic_add_fetch(&i->refs, 1, __ATOMIC_RELAXED);
	return i;
}

void inner_free(struct inner *i)
{
	if (!i || __atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	arena_clear(i->arena);
	free(i->arena);
	free(i);
}

static bool inner_body(struct rd *r, struct inner *in)
{
	uint64_t npacks, n;
	const uint8_t *packs = get_packs(r, &npacks);

	n = rd_uvar(r);
	if (!rd_ok(r) || n == 0 || n > FORMAT_NODE_ITEMS_MAX || n > rd_left(r) / FORMAT_ID_BYTES)
		return false;
	in->children = arena_alloc(in->arena, (size_t)n * sizeof(*in->children));
	if (!in->children)
		return false;
	struct key prev = { 0 }, key;
	for (size_t i = 0; i < n; i++) {
		struct tree_child *c = &in->children[i];

		if (!get_key(r, in->arena, i ? &prev : NULL, &key) ||
		    !get_ref(r, packs, npacks, CHUNK_NODE, &c->ref))
			return false;
		c->path = key.path;
		c->path_len = key.len;
		c->position = key.position;
		c->records = rd_uvar(r);
		c->bytes = rd_uvar(r);
		prev = key;
	}
	in->n = (size_t)n;
	return rd_done(r);
}

int tree_inner_decode(const uint8_t *p, size_t n, struct inner **ret, struct err *e)
{
	struct inner *in = calloc(1, sizeof(*in));
	struct rd r = rd_of(p, n);

	if (!in || !(in->arena = calloc(1, sizeof(struct arena)))) {
		free(in);
		return err_set(e, ERR_NOMEM, "no memory for a tree node");
	}
	in->refs = 1;
	uint8_t version = rd_u8(&r);
	in->level = rd_u8(&r);
	if (!rd_ok(&r) || version != 1 || in->level == 0 || in->level >= FORMAT_LEVELS_MAX ||
	    !inner_body(&r, in)) {
		bool no_memory = ((const struct arena *)in->arena)->failed;

		inner_free(in);
		if (no_memory)
			return err_set(e, ERR_NOMEM, "no memory for a tree node of %zu bytes", n);
		return err_set(e, ERR_FORMAT,
		               "an inner node of %zu bytes does not parse (node version %u)", n,
		               version);
	}
	*ret = in;
	return 0;
}

/* ---- building ---- */

struct pack_list {
	uint8_t (*ids)[FORMAT_PACK_ID_BYTES];
	size_t n, cap;
};

static int64_t pack_list_index(struct pack_list *l, const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	for (size_t i = l->n; i > 0; i--)
		if (memcmp(l->ids[i - 1], id, FORMAT_PACK_ID_BYTES) == 0)
			return (int64_t)(i - 1);
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		void *p = reallocarray(l->ids, cap, FORMAT_PACK_ID_BYTES);

		if (!p)
			return -1;
		l->ids = p;
		l->cap = cap;
	}
	memcpy(l->ids[l->n], id, FORMAT_PACK_ID_BYTES);
	return (int64_t)l->n++;
}

/* The node that is being filled at one level. */
struct pending {
	struct buf body; /* encoded records or children */
	size_t n;
	struct buf key; /* path of the first */
	uint64_t position;
	struct buf last; /* path of the last */
	struct pack_list packs;
	uint64_t records, bytes;
	uint64_t flushed; /* nodes written at this level */
};

/* A chunk of the leaf in the making. */
struct leaf_chunk {
	struct chunk_ref ref;
	uint64_t end; /* of its latest extent */
	uint64_t pack;
};

struct tree_builder {
	const struct tree_sink *sink;
	struct crypt_hasher hasher;
	uint8_t boundary_key[crypto_shorthash_KEYBYTES];
	struct pending levels[FORMAT_LEVELS_MAX];
	struct leaf_chunk *chunks; /* of the pending leaf */
	size_t nchunks, chunks_cap;
	uint32_t *slots; /* open addressing over chunks, by id: index + 1 */
	size_t nslots;   /* power of two */
	struct buf node; /* assembled plain text */
	struct chunk_ref top;
};

#define KEY_CAP (FORMAT_PATH_MAX + 1)
#define BODY_CAP (2 * FORMAT_CHUNK_MAX)

struct tree_builder *tree_builder_new(const struct domain_keys *domain,
                                      const struct tree_sink *sink)
{
	struct tree_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->sink = sink;
	crypt_hasher_init(&b->hasher, domain->node);
	memcpy(b->boundary_key, domain->node, sizeof(b->boundary_key));
	b->node.max = BODY_CAP;
	for (size_t i = 0; i < FORMAT_LEVELS_MAX; i++) {
		b->levels[i].body.max = BODY_CAP;
		b->levels[i].key.max = KEY_CAP;
		b->levels[i].last.max = KEY_CAP;
	}
	b->nslots = 1024;
	b->slots = calloc(b->nslots, sizeof(*b->slots));
	if (!b->slots) {
		tree_builder_free(b);
		return NULL;
	}
	return b;
}

void tree_builder_free(struct tree_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < FORMAT_LEVELS_MAX; i++) {
		buf_clear(&b->levels[i].body);
		buf_clear(&b->levels[i].key);
		buf_clear(&b->levels[i].last);
		free(b->levels[i].packs.ids);
	}
	buf_clear(&b->node);
	secret_wipe(&b->hasher, sizeof(b->hasher));
	secret_wipe(b->boundary_key, sizeof(b->boundary_key));
	free(b->chunks);
	free(b->slots);
	free(b);
}

/* Encodes KEY relative to the one before at this level and remembers it. */
static void put_key(struct pending *p, const char *path, size_t len, uint64_t position)
{
	size_t shared = 0;

	if (p->n == 0) {
		buf_reset(&p->key);
		buf_put(&p->key, path, len);
		p->position = position;
		buf_reset(&p->last);
	}
	while (shared < len && shared < p->last.len &&
	       (uint8_t)path[shared] == p->last.data[shared])
		shared++;
	buf_uvar(&p->body, shared);
	buf_bytes(&p->body, path + shared, len - shared);
	buf_uvar(&p->body, position);
	p->last.len = shared;
	buf_put(&p->last, path + shared, len - shared);
	p->n++;
}

static int add_child(struct tree_builder *b, unsigned level, const struct pending *below,
                     const struct chunk_ref *ref, struct err *e);

/* Writes the pending node of a level and hands it to the level above. */
static int flush(struct tree_builder *b, unsigned level, struct err *e)
{
	struct pending *p = &b->levels[level];
	struct buf *out = &b->node;
	struct chunk_ref ref = { .kind = CHUNK_NODE };

	buf_reset(out);
	buf_u8(out, 1);
	buf_u8(out, (uint8_t)level);
	buf_uvar(out, p->packs.n);
	buf_put(out, p->packs.ids, p->packs.n * FORMAT_PACK_ID_BYTES);
	if (level == 0) {
		buf_uvar(out, b->nchunks);
		for (size_t i = 0; i < b->nchunks; i++)
			put_ref(out, &b->chunks[i].ref, b->chunks[i].pack);
	}
	buf_uvar(out, p->n);
	buf_put(out, p->body.data, p->body.len);
	if (p->body.failed || p->key.failed || p->last.failed)
		out->failed = true;
	if (buf_check(out, "a tree node", e) < 0)
		return -1;
	if (out->len > FORMAT_CHUNK_MAX)
		return err_set(e, ERR_TOO_BIG,
		               "a tree node would have %zu bytes, over the format's limit",
		               out->len);
	crypt_chunk_id(&b->hasher, out->data, out->len, ref.id, NULL);
	ref.plain = (uint32_t)out->len;
	if (b->sink->put(b->sink->arg, out->data, out->len, &ref, e) < 0)
		return err_wrap(e, "storing a node of the tree");
	b->top = ref;
	p->flushed++;
	if (level + 1 == FORMAT_LEVELS_MAX)
		return err_set(e, ERR_TOO_BIG, "the tree would be over %d levels high",
		               FORMAT_LEVELS_MAX);
	if (add_child(b, level + 1, p, &ref, e) < 0)
		return -1;
	buf_reset(&p->body);
	p->n = 0;
	p->packs.n = 0;
	p->records = p->bytes = 0;
	if (level == 0) {
		b->nchunks = 0;
		memset(b->slots, 0, b->nslots * sizeof(*b->slots));
	}
	return 0;
}

static int add_child(struct tree_builder *b, unsigned level, const struct pending *below,
                     const struct chunk_ref *ref, struct err *e)
{
	struct pending *p = &b->levels[level];
	int64_t pack = pack_list_index(&p->packs, ref->pack);
	uint32_t bits;

	if (pack < 0)
		return err_set(e, ERR_NOMEM, "no memory for the tree");
	put_key(p, below->key.len ? (const char *)below->key.data : "", below->key.len,
	        below->position);
	put_ref(&p->body, ref, (uint64_t)pack);
	buf_uvar(&p->body, below->records);
	buf_uvar(&p->body, below->bytes);
	p->records += below->records;
	p->bytes += below->bytes;
	memcpy(&bits, ref->id, sizeof(bits));
	if (p->n >= INNER_MAX || p->body.len >= LEAF_MAX || (p->n >= INNER_MIN && !(bits & 63)))
		return flush(b, level, e);
	return 0;
}

/* Index of the chunk in the pending leaf, added when new. -1: no memory. */
static int64_t leaf_chunk_index(struct tree_builder *b, const struct chunk_ref *ref)
{
	uint64_t h;

	if (b->nchunks && memcmp(b->chunks[b->nchunks - 1].ref.id, ref->id, 32) == 0)
		return (int64_t)b->nchunks - 1;
	memcpy(&h, ref->id, sizeof(h));
	size_t at = h & (b->nslots - 1);
	for (; b->slots[at]; at = (at + 1) & (b->nslots - 1))
		if (memcmp(b->chunks[b->slots[at] - 1].ref.id, ref->id, 32) == 0)
			return (int64_t)b->slots[at] - 1;
	if (b->nchunks == b->chunks_cap) {
		size_t cap = b->chunks_cap ? 2 * b->chunks_cap : 64;
		void *p = reallocarray(b->chunks, cap, sizeof(*b->chunks));

		if (!p)
			return -1;
		b->chunks = p;
		b->chunks_cap = cap;
	}
	int64_t pack = pack_list_index(&b->levels[0].packs, ref->pack);
	if (pack < 0)
		return -1;
	b->chunks[b->nchunks] = (struct leaf_chunk){ .ref = *ref, .pack = (uint64_t)pack };
	b->slots[at] = (uint32_t)++b->nchunks;
	if (2 * b->nchunks > b->nslots) {
		size_t n = 4 * b->nslots;
		uint32_t *slots = calloc(n, sizeof(*slots));

		if (!slots)
			return -1;
		for (size_t i = 0; i < b->nchunks; i++) {
			memcpy(&h, b->chunks[i].ref.id, sizeof(h));
			for (at = h & (n - 1); slots[at]; at = (at + 1) & (n - 1))
				;
			slots[at] = (uint32_t)i + 1;
		}
		free(b->slots);
		b->slots = slots;
		b->nslots = n;
	}
	return (int64_t)b->nchunks - 1;
}

static int put_extents(struct tree_builder *b, const struct record *r,
                       const struct chunk_ref *const *list, const struct chunk_ref *base,
                       uint64_t *ret_bytes)
{
	struct buf *out = &b->levels[0].body;

	buf_uvar(out, r->nextents);
	for (size_t i = 0; i < r->nextents; i++) {
		const struct extent *x = &r->extents[i];

		*ret_bytes += x->len;
		if (x->chunk < 0) {
			buf_uvar(out, x->chunk == EXTENT_HOLE ? 0 : 1);
			buf_uvar(out, x->len);
			continue;
		}
		int64_t c = leaf_chunk_index(b, base ? &base[x->chunk] : list[x->chunk]);
		if (c < 0)
			return -1;
		buf_uvar(out, (uint64_t)c + 2);
		buf_svar(out, (int64_t)(x->off - b->chunks[c].end));
		buf_uvar(out, x->len);
		b->chunks[c].end = x->off + x->len;
	}
	return 0;
}

static void put_entry(struct buf *out, const struct record *r)
{
	const struct entry_stat *st = &r->st;

	buf_uvar(out, st->mode);
	buf_uvar(out, st->uid);
	buf_uvar(out, st->gid);
	buf_uvar(out, st->nlink);
	buf_uvar(out, st->ino);
	buf_svar(out, st->mtime.s);
	buf_uvar(out, st->mtime.ns);
	buf_svar(out, st->ctime.s);
	buf_uvar(out, st->ctime.ns);
	buf_uvar(out, r->flags);
	if (r->flags & RECORD_LINK)
		buf_bytes(out, r->link, r->link_len);
	if (r->flags & RECORD_XATTRS)
		buf_bytes(out, r->xattrs, r->xattrs_len);
	if (r->flags & RECORD_FSFLAGS)
		buf_uvar(out, r->fsflags);
	if (r->flags & RECORD_PROJID)
		buf_uvar(out, r->projid);
	if (r->flags & RECORD_DEVICE) {
		buf_uvar(out, st->rdev_major);
		buf_uvar(out, st->rdev_minor);
	}
	if (r->flags & RECORD_HARDLINK)
		buf_bytes(out, r->hardlink, r->hardlink_len);
	if (S_ISREG(st->mode))
		buf_uvar(out, st->size);
}

/* Whether a leaf ends behind this record, which took `bytes`. */
static bool leaf_ends(const struct tree_builder *b, const struct record *r, size_t bytes)
{
	const struct pending *p = &b->levels[0];
	size_t size = p->body.len + b->nchunks * 45;
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t h;

	if (size < LEAF_MIN)
		return false;
	if (size >= LEAF_MAX || p->n == FORMAT_NODE_ITEMS_MAX)
		return true;
	(void)crypto_shorthash(hash, (const uint8_t *)r->path, r->path_len, b->boundary_key);
	memcpy(&h, hash, sizeof(h));
	h ^= r->position;
	return (h >> 32) < (bytes << 32) / LEAF_AVG;
}

int tree_builder_add(struct tree_builder *b, const struct record *r,
                     const struct chunk_ref *const *list, const struct chunk_ref *base,
                     struct err *e)
{
	struct pending *p = &b->levels[0];
	size_t before = p->body.len + b->nchunks * 45;
	uint64_t bytes = 0;

	put_key(p, r->path, r->path_len, r->position);
	buf_u8(&p->body, r->position ? 1 : 0);
	if (!r->position)
		put_entry(&p->body, r);
	if ((r->position || (S_ISREG(r->st.mode) && !(r->flags & RECORD_HARDLINK))) &&
	    put_extents(b, r, list, base, &bytes) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the tree");
	p->records++;
	p->bytes += bytes;
	if (leaf_ends(b, r, p->body.len + b->nchunks * 45 - before))
		return flush(b, 0, e);
	return 0;
}

int tree_builder_finish(struct tree_builder *b, struct chunk_ref *ret_root, uint32_t *ret_levels,
                        struct err *e)
{
	for (unsigned level = 0; level < FORMAT_LEVELS_MAX; level++) {
		struct pending *p = &b->levels[level];

		/* One node below and nothing else: that node is the root. */
		if (level > 0 && p->n == 1 && p->flushed == 0) {
			*ret_root = b->top;
			*ret_levels = level;
			return 0;
		}
		if (p->n > 0 && flush(b, level, e) < 0)
			return -1;
	}
	return err_set(e, ERR_BUG, "the tree has no root");
}
