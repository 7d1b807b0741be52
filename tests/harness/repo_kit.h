/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository in memory with restore points made from packs and trees
 * directly, so that a test knows every object in it; and hands that damage
 * what lies in the store. What fails here fails the running cmocka test.
 */
#ifndef AKSDR_TESTS_REPO_KIT_H
#define AKSDR_TESTS_REPO_KIT_H

#include "tests/harness/store_kit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/now.h"
#include "common/secret.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "repo/repo.h"
#include "repo/session.h"
#include "repo/tree.h"
#include "repo/view.h"
#include "tests/harness/harness.h"
#include "tests/harness/segment_kit.h"

#define KIT_DAY_NS ((int64_t)86400 * 1000000000)
#define KIT_EPOCH_NS ((int64_t)1795305600 * 1000000000) /* 2026-11-22 */

/* A point that is made for the store's sake and may not be looked at. */
#define auto_kit_point CLEANUP(point_clear) __attribute__((unused))

struct kit {
	char *dir; /* keys/ is in it */
	struct store *store;
	struct repo *recovery, *agent, *audit;
};

static inline void kit_open_key(struct kit *k, const char *name, struct repo **ret)
{
	auto_free char *keys_dir = path_join(k->dir, "keys");
	auto_free char *path = path_join(keys_dir, name);
	struct keys *keys = NULL;

	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(k->store, keys, NULL, NULL, ret, e));
}

/* In this store, which the kit owns. */
static inline struct kit kit_new_in(struct store *take_store)
{
	struct kit k = { .dir = tmpdir_new(), .store = take_store };
	auto_free char *keys_dir = path_join(k.dir, "keys");

	ok(secret_init(e));
	ok(repo_init(k.store, keys_dir, NULL, e));
	kit_open_key(&k, "recovery.key", &k.recovery);
	kit_open_key(&k, "agent.key", &k.agent);
	kit_open_key(&k, "audit.key", &k.audit);
	return k;
}

static inline struct kit kit_new(void)
{
	struct store *store = NULL;

	ok((store = store_mem_new(e)) ? 0 : -1);
	return kit_new_in(store);
}

static inline void kit_clear(struct kit *k)
{
	repo_free(k->recovery);
	repo_free(k->agent);
	repo_free(k->audit);
	store_free(k->store);
	tmpdir_remove(k->dir);
}
#define auto_kit CLEANUP(kit_clear)

/* ---- points without content ---- */

/*
 * The name of session number n of a volume: it begins on day n after
 * 2026-11-22, and its random part follows from n.
 */
static inline void kit_session(const struct kit *k, const struct point_volume *v, unsigned n,
                               char ret[96])
{
	char voltag[17];

	ok(point_voltag(k->agent->keys, v, voltag, e));
	(void)snprintf(ret, 96, "%s/%s-%08x%08x%08x%08x", now_day(KIT_EPOCH_NS + n * KIT_DAY_NS).s,
	               voltag, 0xa0000000 + n, n, n * 7, 0x51u);
}

/*
 * Commits a point of the session number n of a volume, with this sequence,
 * which follows `previous` (NULL: the first). Clear with point_clear().
 */
static inline struct point kit_commit_as(const struct kit *k, const struct point_volume *v,
                                         unsigned n, unsigned sequence,
                                         const struct point *previous)
{
	struct point p = {
		.volume = *v, .sequence = sequence, .levels = 1, .files = n, .bytes_stored = 1000
	};

	kit_session(k, v, n, p.session);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	(void)snprintf(p.domain, sizeof(p.domain), "d");
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "test");
	p.root = (struct chunk_ref){ .stored = 17, .plain = 1, .kind = CHUNK_NODE };
	p.started_ns = p.frozen_ns = KIT_EPOCH_NS + n * KIT_DAY_NS;
	p.finished_ns = p.frozen_ns + 1000000000;
	p.config = k->agent->params.revision;
	if (previous) {
		memcpy(p.previous_session, previous->session, sizeof(p.previous_session));
		memcpy(p.previous_hash, previous->hash, sizeof(p.previous_hash));
	}
	ok(session_commit(k->agent, &p, e));
	return p;
}

/* Point number n of a volume. */
static inline struct point kit_commit(const struct kit *k, const struct point_volume *v, unsigned n,
                                      const struct point *previous)
{
	return kit_commit_as(k, v, n, n, previous);
}

/* A volume "NAMESPACE/NAME" of the cluster "c1"; without a namespace of none. */
static inline struct point_volume kit_volume(const char *namespace, const char *name)
{
	struct point_volume v = { 0 };

	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	(void)snprintf(v.namespace, sizeof(v.namespace), "%s", namespace);
	(void)snprintf(v.cluster, sizeof(v.cluster), "%s", *namespace ? "c1" : "");
	return v;
}

/* ---- points with content ---- */

enum kit_lie {
	KIT_TRUE,
	KIT_LIE_ID,    /* intact, but its content is not that of its id */
	KIT_LIE_LEVEL, /* intact, but of another level of the tree */
	KIT_LIE_FORM   /* intact, but does not decode */
};

/* Files f00000, f00001, ... of one chunk each, below the root. */
struct kit_content {
	const char *volume;
	const char *domain;
	const char *prefix;    /* of the names; NULL: "f" */
	const char *namespace; /* in the cluster c1; NULL: the volume is in none */
	unsigned n;            /* of the point, and of the session; from 1 */
	unsigned files;
	size_t bytes;  /* of each file */
	uint64_t seed; /* the content of file i follows from seed + i */
	unsigned from; /* files below this one are stored already */
	const struct point *previous;
	bool unindexed;       /* no index segment */
	bool heedful;         /* what is marked as damaged is stored again */
	bool uncommitted;     /* no commit */
	bool unfinished;      /* the pack of data and nothing after it */
	bool moved;           /* packs are other ones than the tree says, and the index knows */
	uint32_t index_off;   /* added to the offsets that the index tells: a lie */
	uint32_t tree_stored; /* added to the lengths that the tree tells: a lie */
	enum kit_lie node_lie, chunk_lie; /* of the first one */
};

struct kit_packs {
	struct domain_keys *domain;
	struct pack_build *build[4]; /* by kind of chunk: data, meta; the same for copies */
	struct crypt_scrub *scrub[4];
	struct crypt_box *box;
	struct view view; /* when it is heedful */
	struct index *index;
	struct segment_refs told; /* what the index of this session says */
	bool moved;
	bool lied;
};

static inline void kit_seal_chunk(struct kit_packs *p, size_t into, const uint8_t *plain, size_t n,
                                  struct chunk_ref *ref)
{
	struct pack_build *b = p->build[into];

	assert_true(pack_build_fits(b, n + FORMAT_TAG_BYTES));
	size_t at = pack_build_reserve(b, ref, n + FORMAT_TAG_BYTES);
	crypt_box_key(p->box, b->dek);
	assert_int_equal(pack_build_seal(b, p->box, p->scrub[into], at, ref, plain, n), 0);
}

/* Stores a chunk and tells the index of it. */
static inline void kit_store_chunk(const struct kit_content *c, struct kit_packs *p,
                                   const uint8_t *plain, size_t n, struct chunk_ref *ref)
{
	ref->plain = (uint32_t)n;
	ref->compression = COMPRESSION_NONE;
	struct chunk_ref told = *ref;
	kit_seal_chunk(p, ref->kind, plain, n, ref);
	if (p->moved)
		kit_seal_chunk(p, 2 + told.kind, plain, n, &told);
	else
		told = *ref;
	told.off += c->index_off;
	if (!c->unindexed) {
		index_add(p->index, &told);
		segment_refs_add(&p->told, &told);
	}
}

struct kit_sink {
	const struct kit_content *c;
	struct kit_packs *p;
};

static inline int kit_put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                               struct err *e)
{
	const struct kit_sink *k = arg;
	struct crypt_hasher h;
	struct chunk_ref seen;

	auto_free uint8_t *copy = malloc(n);

	(void)e;
	assert_non_null(copy);
	memcpy(copy, plain, n);
	enum kit_lie lie = k->p->lied ? KIT_TRUE : k->c->node_lie;
	k->p->lied = true;
	if (lie == KIT_LIE_LEVEL)
		copy[1] ^= 5;
	if (lie == KIT_LIE_FORM)
		memset(copy + 2, 0xff, n - 2);
	crypt_hasher_init(&h, k->p->domain->node);
	crypt_chunk_id(&h, copy, n, ref->id, NULL);
	if (lie == KIT_LIE_ID)
		copy[n - 1] ^= 1;
	ref->kind = CHUNK_NODE;
	if (index_lookup(k->p->index, ref->id, &seen))
		*ref = seen;
	else
		kit_store_chunk(k->c, k->p, copy, n, ref);
	return 0;
}

static inline uint64_t kit_pack_len(void *arg, const uint8_t pack[16])
{
	const struct kit_packs *p = arg;

	for (size_t i = 0; i < ARRAY_LEN(p->build); i++) {
		if (memcmp(pack, p->build[i]->id, 16) == 0)
			return p->build[i]->len;
	}
	fail_msg("the index asks for a pack that this session did not write");
	return 0;
}

static inline void kit_finish_pack(const struct kit *k, struct pack_build *b)
{
	char name[PACK_KEY_MAX];

	if (b->n == 0)
		return;
	ok(pack_build_finish(b, e));
	pack_key_name(name, b->id, b->kind);
	ok(put_bytes(k->store, name, b->data, b->len, e));
}

/* Chunk of file i; found in the index where it was stored before. */
static inline void kit_put_file(const struct kit_content *c, struct kit_packs *p, unsigned i,
                                struct chunk_ref *ref)
{
	auto_free uint8_t *plain = malloc(c->bytes);
	struct crypt_hasher h;

	assert_non_null(plain);
	fill_random(c->seed + i, plain, c->bytes);
	*ref = (struct chunk_ref){ .kind = CHUNK_DATA };
	crypt_hasher_init(&h, p->domain->id);
	crypt_chunk_id(&h, plain, c->bytes, ref->id, NULL);
	if (i == 0 && c->chunk_lie == KIT_LIE_ID)
		plain[0] ^= 1;
	if (i >= c->from)
		kit_store_chunk(c, p, plain, c->bytes, ref);
	else
		assert_true(index_lookup(p->index, ref->id, ref));
}

static inline void kit_put_records(const struct kit_content *c, struct tree_builder *t,
                                   const struct chunk_ref *refs)
{
	struct record root = { .path = "", .st = { .mode = S_IFDIR | 0755, .nlink = 2, .ino = 1 } };

	ok(tree_builder_add(t, &root, NULL, NULL, e));
	for (unsigned i = 0; i < c->files; i++) {
		char path[32];
		struct extent x = { .chunk = i, .len = c->bytes };
		struct record r = {
			.path = path,
			.st = { .mode = S_IFREG | 0644, .nlink = 1, .ino = i + 2 },
			.extents = &x,
			.nextents = 1,
		};

		(void)snprintf(path, sizeof(path), "%s%05u", c->prefix ? c->prefix : "f", i);
		r.path_len = strlen(path);
		r.st.size = c->bytes;
		ok(tree_builder_add(t, &r, NULL, refs, e));
	}
}

static inline void kit_name_point(const struct kit *k, const struct kit_content *c, struct point *p)
{
	p->volume = kit_volume(c->namespace ? c->namespace : "", c->volume);
	(void)snprintf(p->domain, sizeof(p->domain), "%s", c->domain);
	(void)snprintf(p->consistency, sizeof(p->consistency), "crash");
	kit_session(k, &p->volume, c->n, p->session);
	memcpy(p->id, p->session + POINT_SESSION_RANDOM, sizeof(p->id));
	memcpy(p->set, p->id, sizeof(p->set));
	p->frozen_ns = p->started_ns = p->finished_ns = KIT_EPOCH_NS + c->n * KIT_DAY_NS;
	if (c->previous) {
		memcpy(p->previous_session, c->previous->session, sizeof(p->previous_session));
		memcpy(p->previous_hash, c->previous->hash, sizeof(p->previous_hash));
	}
}

static inline void kit_put_marker(const struct kit *k, const char *session)
{
	CLEANUP(buf_clear) struct buf sealed = BUF_INIT(4096);
	uint8_t key[32];
	char name[128];

	(void)snprintf(name, sizeof(name), "sess/%s", session);
	ok(keys_point_key(k->agent->keys, key, e));
	ok(crypt_object_seal(k->agent->keys, FORMAT_KIND_SESSION, key, name, "{}", 2, &sealed, e));
	ok(put_bytes(k->store, name, sealed.data, sealed.len, e));
}

static inline void kit_packs_init(const struct kit *k, const struct kit_content *c,
                                  struct kit_packs *p)
{
	const uint8_t cipher = k->agent->params.cipher;

	ok(keys_domain(k->agent->keys, c->domain, &p->domain, e));
	if (c->heedful)
		ok(view_load(k->agent, &p->view, e));
	ok(index_open(k->store, k->agent->keys, p->domain, NULL, c->heedful ? &p->view : NULL, NULL,
	              &p->index, e));
	p->box = crypt_box_new(cipher);
	assert_non_null(p->box);
	for (uint8_t i = 0; i < ARRAY_LEN(p->build); i++) {
		struct err err = ERR_INIT;

		p->build[i] = pack_build_new(k->agent->keys, p->domain, i % 2, cipher, 32 * MIB,
		                             &err);
		if (!p->build[i])
			fail_msg("%s", err.msg);
		p->scrub[i] = crypt_scrub_new(cipher, p->domain->scrub, p->build[i]->id);
		assert_non_null(p->scrub[i]);
	}
}

static inline void kit_packs_clear(struct kit_packs *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->build); i++) {
		pack_build_free(p->build[i]);
		crypt_scrub_free(p->scrub[i]);
	}
	crypt_box_free(p->box);
	index_free(p->index);
	view_clear(&p->view);
	segment_refs_clear(&p->told);
	secret_free(p->domain);
}

/* Makes a restore point. Clear with point_clear(). */
static inline struct point kit_backup(const struct kit *k, const struct kit_content *c)
{
	struct point p = { .sequence = c->n, .files = c->files, .directories = 1 };
	auto_free struct chunk_ref *refs = calloc(c->files, sizeof(*refs));
	struct kit_packs packs = { .moved = c->moved };
	const struct kit_sink arg = { .c = c, .p = &packs };
	const struct tree_sink sink = { .put = kit_put_node, .arg = (void *)(uintptr_t)&arg };

	assert_non_null(refs);
	kit_name_point(k, c, &p);
	p.config = k->agent->params.revision;
	kit_put_marker(k, p.session);
	kit_packs_init(k, c, &packs);
	for (unsigned i = 0; i < c->files; i++)
		kit_put_file(c, &packs, i, &refs[i]);
	for (unsigned i = 0; i < c->files; i++) {
		refs[i].stored += c->tree_stored;
		refs[i].plain += c->tree_stored;
	}
	struct tree_builder *t = tree_builder_new(packs.domain, &sink);
	kit_put_records(c, t, refs);
	ok(tree_builder_finish(t, &p.root, &p.levels, e));
	tree_builder_free(t);
	kit_finish_pack(k, packs.build[c->moved ? 2 : 0]);
	if (!c->unfinished) {
		kit_finish_pack(k, packs.build[c->moved ? 3 : 1]);
		if (!c->unindexed)
			ok(segment_refs_write(k->store, k->agent->keys, packs.domain, p.session,
			                      &packs.told, kit_pack_len, &packs, NULL, &p.index,
			                      &p.nindex, e));
		if (!c->uncommitted)
			ok(session_commit(k->agent, &p, e));
	}
	kit_packs_clear(&packs);
	return p;
}

/* ---- damage ---- */

struct kit_names {
	char keys[256][STORE_KEY_MAX + 1];
	size_t n;
};

static inline int kit_take_name(void *arg, const struct store_item *item, struct err *e)
{
	struct kit_names *names = arg;

	(void)e;
	assert_true(names->n < ARRAY_LEN(names->keys));
	(void)snprintf(names->keys[names->n++], sizeof(names->keys[0]), "%s", item->key);
	return 0;
}

/* Keys below a prefix. */
static inline void kit_list(const struct kit *k, const char *prefix, struct kit_names *ret)
{
	ret->n = 0;
	ok(store_list(k->store, prefix, NULL, kit_take_name, ret, e));
}

/* The bytes of an object; the caller frees. */
static inline uint8_t *kit_get(const struct kit *k, const char *key, size_t *ret_n)
{
	struct buf b = BUF_INIT(64 * MIB);

	ok(store_get_all(k->store, key, &b, e));
	return buf_steal(&b, ret_n);
}

/* Puts other bytes in the place of an object. */
static inline void kit_replace(const struct kit *k, const char *key, const uint8_t *p, size_t n)
{
	ok(store_delete(k->store, key, e));
	ok(put_bytes(k->store, key, p, n, e));
}

/* Flips one bit; a negative offset counts from the end. */
static inline void kit_flip(const struct kit *k, const char *key, int64_t off)
{
	size_t n;
	auto_free uint8_t *p = kit_get(k, key, &n);

	p[off < 0 ? (int64_t)n + off : off] ^= 0x10;
	kit_replace(k, key, p, n);
}

/* Cuts the end off. */
static inline void kit_cut(const struct kit *k, const char *key, size_t bytes)
{
	size_t n;
	auto_free uint8_t *p = kit_get(k, key, &n);

	assert_true(bytes < n);
	kit_replace(k, key, p, n - bytes);
}

static inline void kit_swap(const struct kit *k, const char *a, const char *b)
{
	size_t na;
	size_t nb;
	auto_free uint8_t *pa = kit_get(k, a, &na);
	auto_free uint8_t *pb = kit_get(k, b, &nb);

	kit_replace(k, a, pb, nb);
	kit_replace(k, b, pa, na);
}

static inline void kit_remove(const struct kit *k, const char *key)
{
	ok(store_delete(k->store, key, e));
}

#endif
