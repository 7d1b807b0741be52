/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points made by hand, record by record, for trees that no backup makes: with
 * gaps, contradictions and names that lead elsewhere. They need no commit: a
 * restore takes the point itself.
 */
#ifndef AKSDR_TESTS_UNIT_RESTORE_CRAFT_H
#define AKSDR_TESTS_UNIT_RESTORE_CRAFT_H

#include "tests/unit/restore/world.h"

struct craft {
	struct world *world;
	struct domain_keys *domain;
	struct crypt_box *box;
	struct pack_build *build[2]; /* by kind of chunk */
	struct crypt_scrub *scrub[2];
	struct tree_builder *tree;
	struct tree_sink sink; /* the builder keeps a pointer to it */
	struct chunk_ref refs[64];
	unsigned nrefs;
	uint64_t ino;
};

/* Stores bytes under their id. */
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
	assert_int_equal(pack_build_seal(b, c->box, c->scrub[kind], at, ref, plain, n), 0);
}

static inline int craft_put(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                            struct err *e)
{
	(void)e;
	craft_store(arg, CHUNK_NODE, plain, n, ref);
	return 0;
}

static inline void craft_begin(struct craft *c, struct world *w)
{
	const uint8_t cipher = w->kit.agent->params.cipher;
	struct err err = ERR_INIT;

	*c = (struct craft){ .world = w, .ino = 1, .sink = { .put = craft_put, .arg = c } };
	ok(keys_domain(w->kit.agent->keys, "d", &c->domain, e));
	c->box = crypt_box_new(cipher);
	for (uint8_t kind = 0; kind < 2; kind++) {
		c->build[kind] = pack_build_new(w->kit.agent->keys, c->domain, kind, cipher,
		                                32 * MIB, &err);
		assert_non_null(c->build[kind]);
		c->scrub[kind] = crypt_scrub_new(cipher, c->domain->scrub, c->build[kind]->id);
	}
	c->tree = tree_builder_new(c->domain, &c->sink);
	assert_non_null(c->tree);
}

/* A data chunk of n reproducible bytes: its number, for extents. */
static inline int64_t craft_chunk(struct craft *c, uint64_t seed, size_t n)
{
	auto_free uint8_t *p = malloc(n);

	assert_non_null(p);
	assert_true(c->nrefs < ARRAY_LEN(c->refs));
	fill_random(seed, p, n);
	craft_store(c, CHUNK_DATA, p, n, &c->refs[c->nrefs]);
	return c->nrefs++;
}

/* Adds a record; its extents name chunks by the numbers that craft_chunk() gave. */
static inline void craft_add(struct craft *c, const struct record *r)
{
	struct record copy = *r;

	if (copy.position == 0) {
		copy.st.nlink = copy.st.nlink ? copy.st.nlink : 1;
		copy.st.ino = c->ino++;
		copy.st.mtime.s = 1000000000;
	}
	copy.path_len = strlen(copy.path);
	ok(tree_builder_add(c->tree, &copy, NULL, c->refs, e));
}

static inline void craft_dir(struct craft *c, const char *path)
{
	const struct record r = { .path = path, .st = { .mode = S_IFDIR | 0755, .nlink = 2 } };

	craft_add(c, &r);
}

static inline void craft_link(struct craft *c, const char *path, const char *to)
{
	const struct record r = {
		.path = path,
		.st = { .mode = S_IFLNK | 0777 },
		.flags = RECORD_LINK,
		.link = (const uint8_t *)to,
		.link_len = strlen(to),
	};

	craft_add(c, &r);
}

/* A file with these extents; flags may have RECORD_CONTINUED. */
static inline void craft_file(struct craft *c, const char *path, uint64_t size, uint32_t flags,
                              const struct extent *extents, size_t n)
{
	const struct record r = {
		.path = path,
		.st = { .mode = S_IFREG | 0644, .size = size },
		.flags = flags,
		.extents = extents,
		.nextents = n,
	};

	craft_add(c, &r);
}

static inline void craft_more(struct craft *c, const char *path, uint64_t position,
                              const struct extent *extents, size_t n)
{
	const struct record r = {
		.path = path, .position = position, .extents = extents, .nextents = n
	};

	craft_add(c, &r);
}

static inline struct point craft_point(struct craft *c)
{
	struct point p = { .levels = 1 };

	(void)snprintf(p.domain, sizeof(p.domain), "d");
	(void)snprintf(p.session, sizeof(p.session), "crafted");
	for (uint8_t kind = 0; kind < 2; kind++) {
		char name[PACK_KEY_MAX];

		if (c->build[kind]->n > 0) {
			ok(pack_build_finish(c->build[kind], e));
			pack_key_name(name, c->build[kind]->id, kind);
			ok(put_bytes(c->world->kit.store, name, c->build[kind]->data,
			             c->build[kind]->len, e));
		}
		pack_build_free(c->build[kind]);
		crypt_scrub_free(c->scrub[kind]);
	}
	tree_builder_free(c->tree);
	crypt_box_free(c->box);
	secret_free(c->domain);
	return p;
}

/* The tree that was added, as a point. */
static inline struct point craft_end(struct craft *c)
{
	struct chunk_ref root;
	uint32_t levels;

	ok(tree_builder_finish(c->tree, &root, &levels, e));
	struct point p = craft_point(c);
	p.root = root;
	p.levels = levels;
	return p;
}

/* A tree of one leaf with these bytes, whatever they are. */
static inline struct point craft_raw(struct craft *c, const uint8_t *leaf, size_t n)
{
	struct chunk_ref root;

	craft_store(c, CHUNK_NODE, leaf, n, &root);
	struct point p = craft_point(c);
	p.root = root;
	return p;
}

#endif
