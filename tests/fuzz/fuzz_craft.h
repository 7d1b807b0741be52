/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore point whose tree has the records of a leaf from outside, for what
 * goes over trees: the extents lie in chunks that are there, or are lost; what
 * would need too much room of the target is left out.
 */
#ifndef AKSDR_TESTS_FUZZ_FUZZ_CRAFT_H
#define AKSDR_TESTS_FUZZ_FUZZ_CRAFT_H

#include <sys/stat.h>

#include "repo/tree.h"
#include "restore/meta.h"
#include "tests/fuzz/fuzz_repo.h"

#define CRAFT_CHUNK_BYTES (8 * KIB)
#define CRAFT_PACK_BYTES (4 * MIB)
#ifndef CRAFT_SIZE_MAX
#define CRAFT_SIZE_MAX (128 * MIB) /* of a file */
#endif
#define CRAFT_WRITTEN_MAX MIB /* of data and zeros, in all */
#define CRAFT_EXTENTS_MAX 64  /* of a record */

struct craft {
	const struct repo *r;
	struct domain_keys *domain;
	struct crypt_box *box;
	struct pack_build *build[2]; /* by kind of chunk */
	struct crypt_scrub *scrub[2];
	struct chunk_ref chunks[2]; /* one that is there, and one that is lost */
};

static inline void craft_store(struct craft *c, uint8_t kind, const uint8_t *plain, size_t n,
                               struct chunk_ref *ref)
{
	struct pack_build *b = c->build[kind];
	struct crypt_hasher h;

	crypt_hasher_init(&h, kind == CHUNK_NODE ? c->domain->node : c->domain->id);
	*ref = (struct chunk_ref){ .kind = kind, .plain = (uint32_t)n };
	crypt_chunk_id(&h, plain, n, ref->id, NULL);
	size_t at = pack_build_reserve(b, ref, n + FORMAT_TAG_BYTES);
	crypt_box_key(c->box, b->dek);
	holds(pack_build_seal(b, c->box, c->scrub[kind], at, ref, plain, n) == 0);
}

static inline int craft_put(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                            struct err *e)
{
	(void)e;
	craft_store(arg, CHUNK_NODE, plain, n, ref);
	return 0;
}

static inline void craft_begin(struct craft *c, const struct repo *r)
{
	uint8_t data[CRAFT_CHUNK_BYTES];
	struct err e = ERR_INIT;

	*c = (struct craft){ .r = r, .domain = fuzz_domain(r->keys) };
	c->box = crypt_box_new(r->params.cipher);
	holds(c->box);
	for (uint8_t kind = 0; kind < 2; kind++) {
		c->build[kind] = pack_build_new(r->keys, c->domain, kind, r->params.cipher,
		                                CRAFT_PACK_BYTES, &e);
		holds(c->build[kind]);
		c->scrub[kind] = crypt_scrub_new(r->params.cipher, c->domain->scrub,
		                                 c->build[kind]->id);
		holds(c->scrub[kind]);
	}
	fill_random(1, data, sizeof(data));
	craft_store(c, CHUNK_DATA, data, sizeof(data), &c->chunks[0]);
	c->chunks[1] = c->chunks[0];
	memset(c->chunks[1].pack, 0xee, sizeof(c->chunks[1].pack));
	memset(c->chunks[1].id, 0xee, sizeof(c->chunks[1].id));
}

/* Extents of the record that name the two chunks. false: it would need too much room. */
static inline bool craft_extents(const struct record *r, struct extent *ret, uint64_t *written)
{
	if (r->nextents > CRAFT_EXTENTS_MAX || r->st.size > CRAFT_SIZE_MAX ||
	    r->position > CRAFT_SIZE_MAX)
		return false;
	for (size_t i = 0; i < r->nextents; i++) {
		ret[i] = r->extents[i];
		if (ret[i].len > CRAFT_SIZE_MAX)
			return false;
		if (ret[i].chunk != EXTENT_HOLE)
			*written += ret[i].len;
		if (*written > CRAFT_WRITTEN_MAX ||
		    (ret[i].chunk >= 0 && ret[i].len > CRAFT_CHUNK_BYTES))
			return false;
		if (ret[i].chunk >= 0) {
			ret[i].chunk &= 1;
			ret[i].off %= (uint32_t)(CRAFT_CHUNK_BYTES - ret[i].len + 1);
		}
	}
	return true;
}

/* The records of the leaf as a tree. false: none of them could be taken. */
static inline bool craft_records(struct craft *c, const struct leaf *l, struct point *p)
{
	const struct tree_sink sink = { .put = craft_put, .arg = c };
	struct tree_builder *b = tree_builder_new(c->domain, &sink);
	uint64_t written = 0;
	size_t n = 0;
	struct err e = ERR_INIT;

	holds(b);
	for (size_t i = 0; i < l->nrecords; i++) {
		struct extent extents[CRAFT_EXTENTS_MAX];
		struct record r = l->records[i];

		/* flags that forbid changes would stay behind */
		r.fsflags &= ~META_PINS;
		if (!craft_extents(&r, extents, &written))
			continue;
		r.extents = extents;
		works(tree_builder_add(b, &r, NULL, c->chunks, &e));
		if (n++ == 0)
			p->bytes_logical = r.st.size;
	}
	if (n > 0)
		works(tree_builder_finish(b, &p->root, &p->levels, &e));
	tree_builder_free(b);
	return n > 0;
}

static inline void craft_end(struct craft *c)
{
	char name[PACK_KEY_MAX];
	struct err e = ERR_INIT;

	for (uint8_t kind = 0; kind < 2; kind++) {
		if (c->build[kind]->n > 0) {
			works(pack_build_finish(c->build[kind], &e));
			pack_key_name(name, c->build[kind]->id, kind);
			fuzz_put(c->r, name, c->build[kind]->data, c->build[kind]->len);
		}
		pack_build_free(c->build[kind]);
		crypt_scrub_free(c->scrub[kind]);
	}
	crypt_box_free(c->box);
	secret_free(c->domain);
}

/* The point of a leaf's bytes, with its packs in the store. false: they are no leaf. */
static inline bool craft_point(const struct repo *r, const uint8_t *p, size_t n, struct point *ret)
{
	struct craft c;
	struct leaf *l;
	struct err e = ERR_INIT;

	*ret = (struct point){ .session = FUZZ_SESSION, .domain = "fuzz", .levels = 1 };
	if (tree_leaf_decode(p, n, &l, &e) < 0)
		return false;
	craft_begin(&c, r);
	bool any = craft_records(&c, l, ret);
	craft_end(&c);
	leaf_unref(l);
	return any;
}

/* ---- a leaf from a text ---- */

#define CRAFT_LINES_MAX 32

struct craft_line {
	char *text; /* of the line; the rest points into it */
	char type;
	const char *path, *rest;
	struct extent extents[CRAFT_EXTENTS_MAX];
	struct record r;
};

static inline int craft_by_path(const void *va, const void *vb)
{
	const struct record *a = &((const struct craft_line *)va)->r;
	const struct record *b = &((const struct craft_line *)vb)->r;

	return source_path_cmp(a->path, a->path_len, b->path, b->path_len);
}

/* "3-=": 2 KiB of a chunk, a hole, zeros. */
static inline void craft_content(struct craft_line *l)
{
	struct record *r = &l->r;

	for (const char *s = l->rest; *s && r->nextents < CRAFT_EXTENTS_MAX; s++) {
		struct extent *x = &l->extents[r->nextents++];

		*x = (struct extent){ .chunk = EXTENT_HOLE, .len = 4096 };
		if (*s == '=')
			x->chunk = EXTENT_ZERO;
		else if (*s != '-')
			*x = (struct extent){ .chunk = *s & 1,
				              .len = 512U + ((unsigned)*s & 7) * 512 };
		r->st.size += x->len;
	}
}

/* "f a/b 3-=": a type, a path, and what the type needs. A capital has the set-id bits. */
static inline bool craft_line(struct craft_line *l)
{
	static const char types[] = "dflhpcbs";
	static const uint32_t modes[] = { S_IFDIR, S_IFREG, S_IFLNK, S_IFREG,
		                          S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK };
	struct record *r = &l->r;
	char *at = l->text;

	l->type = (char)(*at | 0x20);
	const char *type = *at ? strchr(types, l->type) : NULL;
	if (!type || !*type || at[1] != ' ')
		return false;
	bool capital = !(*at & 0x20);
	at += 2;
	l->path = strsep(&at, " ");
	l->rest = at ? at : "";
	*r = (struct record){ .path = l->path, .path_len = strlen(l->path) };
	r->st = (struct entry_stat){ .mode = modes[type - types] | (capital ? 06511 : 0744),
		                     .nlink = 1,
		                     .mtime = { 1795305600, 7 } };
	if (l->type == 'l') {
		r->flags = RECORD_LINK;
		r->link = (const uint8_t *)l->rest;
		r->link_len = strlen(l->rest);
	} else if (l->type == 'h') {
		r->flags = RECORD_HARDLINK;
		r->hardlink = l->rest;
		r->hardlink_len = strlen(l->rest);
	} else if (l->type == 'f') {
		craft_content(l);
	}
	return true;
}

static inline int craft_keep(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                             struct err *e)
{
	(void)e;
	ref->stored = (uint32_t)n + FORMAT_TAG_BYTES;
	return buf_put(arg, plain, n);
}

/* The leaf of lines of text, in any order; what has no lines is an empty one. */
static inline void craft_leaf(const struct domain_keys *domain, const uint8_t *p, size_t n,
                              struct buf *ret)
{
	static const struct chunk_ref chunks[2] = {
		{ .id = "0", .plain = CRAFT_CHUNK_BYTES, .stored = CRAFT_CHUNK_BYTES + 16 },
		{ .id = "1", .plain = CRAFT_CHUNK_BYTES, .stored = CRAFT_CHUNK_BYTES + 16 },
	};
	const struct tree_sink sink = { .put = craft_keep, .arg = ret };
	struct tree_builder *b = tree_builder_new(domain, &sink);
	auto_free struct craft_line *lines = calloc(CRAFT_LINES_MAX, sizeof(*lines));
	const uint8_t *line;
	size_t len;
	size_t count = 0;
	struct chunk_ref root;
	uint32_t levels;
	struct err e = ERR_INIT;

	holds(b && lines);
	while (count < CRAFT_LINES_MAX && fuzz_piece(&p, &n, '\n', &line, &len)) {
		lines[count].text = fuzz_text(line, len);
		if (craft_line(&lines[count]))
			count++;
		else
			free(lines[count].text);
	}
	qsort(lines, count, sizeof(*lines), craft_by_path);
	for (size_t i = 0; i < count; i++) {
		lines[i].r.extents = lines[i].extents; /* they have moved with the line */
		works(tree_builder_add(b, &lines[i].r, NULL, chunks, &e));
	}
	if (count > 0)
		works(tree_builder_finish(b, &root, &levels, &e));
	tree_builder_free(b);
	for (size_t i = 0; i < count; i++)
		free(lines[i].text);
}

#endif
