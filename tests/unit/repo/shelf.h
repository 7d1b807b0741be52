/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks with known content in packs of a repository, for tests of reading:
 * chunk i holds shelf_bytes(i) reproducible bytes, `per_pack` chunks are in a
 * pack. Calls of the store can be counted and disturbed.
 */
#ifndef AKSDR_TESTS_UNIT_REPO_SHELF_H
#define AKSDR_TESTS_UNIT_REPO_SHELF_H

#include "tests/harness/repo_kit.h"
#include "tests/harness/segment_kit.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHELF_MAX 512

struct shelf {
	struct kit kit;
	struct store *watched; /* the kit's store behind a plan of faults; owned */
	struct repo reading;   /* the recovery key's, with that store */
	struct domain_keys *domain;
	struct chunk_ref refs[SHELF_MAX];
	unsigned n;
	/* what the plan says; key: only this one, "" any */
	char key[PACK_KEY_MAX];
	enum store_fault fault;
	atomic_uint faults; /* how often, then no more */
	atomic_uint gets;
};

static inline size_t shelf_bytes(unsigned i)
{
	return 20000 + i % 7 * 3000;
}

static inline uint8_t *shelf_content(unsigned i)
{
	uint8_t *p = malloc(shelf_bytes(i));

	assert_non_null(p);
	fill_random(7000 + i, p, shelf_bytes(i));
	return p;
}

static inline enum store_fault shelf_decide(void *arg, uint64_t n, enum store_call call,
                                            const char *key)
{
	struct shelf *s = arg;
	unsigned left = atomic_load(&s->faults);

	(void)n;
	if (call != CALL_GET)
		return FAULT_NONE;
	atomic_fetch_add(&s->gets, 1);
	if (s->key[0] && strcmp(s->key, key) != 0)
		return FAULT_NONE;
	while (left > 0 && !atomic_compare_exchange_weak(&s->faults, &left, left - 1))
		;
	return left > 0 ? s->fault : FAULT_NONE;
}

/* Passes everything on to a store that it does not own. */
struct shelf_lent {
	struct store base;
	struct store *inner;
};

static inline int shelf_lent_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                                 struct err *e)
{
	return store_get(((struct shelf_lent *)s)->inner, key, off, p, n, e);
}

static inline int shelf_lent_head(struct store *s, const char *key, struct store_stat *ret,
                                  struct err *e)
{
	return store_head(((struct shelf_lent *)s)->inner, key, ret, e);
}

static inline int shelf_lent_list(struct store *s, const char *prefix, const char *after,
                                  int (*each)(void *arg, const struct store_item *item,
                                              struct err *e),
                                  void *arg, struct err *e)
{
	return store_list(((struct shelf_lent *)s)->inner, prefix, after, each, arg, e);
}

static inline void shelf_lent_free(struct store *s)
{
	free(s->url);
	free(s);
}

static inline struct store *shelf_lend(struct store *inner)
{
	static const struct store_ops ops = {
		.name = "lent",
		.get = shelf_lent_get,
		.head = shelf_lent_head,
		.list = shelf_lent_list,
		.free = shelf_lent_free,
	};
	struct shelf_lent *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->base = (struct store){ .ops = &ops, .caps = inner->caps, .url = strdup("lent:") };
	l->inner = inner;
	return &l->base;
}

/* A pack that is being filled. */
struct shelf_pack {
	struct pack_build *build;
	struct crypt_box *box;
	struct crypt_scrub *scrub;
};

static inline void shelf_pack_begin(struct shelf *s, struct shelf_pack *p)
{
	const uint8_t cipher = s->kit.agent->params.cipher;
	struct err err = ERR_INIT;

	p->build = pack_build_new(s->kit.agent->keys, s->domain, CHUNK_DATA, cipher, 32 * MIB,
	                          &err);
	assert_non_null(p->build);
	p->box = crypt_box_new(cipher);
	p->scrub = crypt_scrub_new(cipher, s->domain->scrub, p->build->id);
	assert_non_null(p->box);
	assert_non_null(p->scrub);
	crypt_box_key(p->box, p->build->dek);
}

static inline void shelf_pack_end(struct shelf *s, struct shelf_pack *p)
{
	char name[PACK_KEY_MAX];

	ok(pack_build_finish(p->build, e));
	pack_key_name(name, p->build->id, p->build->kind);
	ok(put_bytes(s->kit.store, name, p->build->data, p->build->len, e));
	pack_build_free(p->build);
	crypt_box_free(p->box);
	crypt_scrub_free(p->scrub);
}

/* Stores bytes under the id that ref has, and fills its place. */
static inline void shelf_store(struct shelf_pack *p, const uint8_t *plain, size_t n,
                               struct chunk_ref *ref)
{
	ref->plain = (uint32_t)n;
	ref->compression = COMPRESSION_NONE;
	assert_true(pack_build_fits(p->build, n + FORMAT_TAG_BYTES));
	size_t at = pack_build_reserve(p->build, ref, n + FORMAT_TAG_BYTES);
	assert_int_equal(pack_build_seal(p->build, p->box, p->scrub, at, ref, plain, n), 0);
}

/* Stores chunk i under its own id. */
static inline void shelf_put(struct shelf *s, struct shelf_pack *p, unsigned i,
                             struct chunk_ref *ret)
{
	auto_free uint8_t *plain = shelf_content(i);
	struct crypt_hasher h;

	*ret = (struct chunk_ref){ .kind = CHUNK_DATA };
	crypt_hasher_init(&h, s->domain->id);
	crypt_chunk_id(&h, plain, shelf_bytes(i), ret->id, NULL);
	shelf_store(p, plain, shelf_bytes(i), ret);
}

/* Another pack with a copy of chunks [from, to); ret gets their places. */
static inline void shelf_copy(struct shelf *s, unsigned from, unsigned to, struct chunk_ref *ret)
{
	struct shelf_pack p;

	shelf_pack_begin(s, &p);
	for (unsigned i = from; i < to; i++)
		shelf_put(s, &p, i, &ret[i - from]);
	shelf_pack_end(s, &p);
}

static inline uint64_t shelf_pack_len(void *arg, const uint8_t pack[16])
{
	(void)arg;
	(void)pack;
	return 32 * MIB;
}

/* Writes an index segment that has these places. session: a letter, for its name. */
static inline void shelf_index(struct shelf *s, char session, const struct chunk_ref *refs,
                               unsigned n)
{
	char name[] = "2026-11-22/03fa41b2c19de077-0a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c";
	CLEANUP(segment_refs_clear) struct segment_refs l = { 0 };
	char **names = NULL;
	size_t nnames = 0;

	name[28] = session;
	for (unsigned i = 0; i < n; i++)
		segment_refs_add(&l, &refs[i]);
	ok(segment_refs_write(s->kit.store, s->kit.agent->keys, s->domain, name, &l, shelf_pack_len,
	                      NULL, NULL, &names, &nnames, e));
	for (size_t i = 0; i < nnames; i++)
		free(names[i]);
	free(names);
}

/* n chunks, per_pack in each pack; not in any index. Works in place, since stores point here. */
static inline void shelf_init(struct shelf *s, unsigned n, unsigned per_pack)
{
	struct err err = ERR_INIT;

	memset(s, 0, sizeof(*s));
	assert_true(n <= SHELF_MAX);
	s->kit = kit_new();
	s->n = n;
	s->watched = store_fault_new(shelf_lend(s->kit.store), shelf_decide, s, &err);
	assert_non_null(s->watched);
	s->watched->caps |= STORE_CAP_LOCAL;
	s->reading = *s->kit.recovery;
	s->reading.store = s->watched;
	ok(keys_domain(s->kit.recovery->keys, "test", &s->domain, e));
	for (unsigned i = 0; i < n; i += per_pack) {
		unsigned to = i + per_pack < n ? i + per_pack : n;

		shelf_copy(s, i, to, &s->refs[i]);
	}
	atomic_store(&s->gets, 0);
}

static inline void shelf_clear(struct shelf *s)
{
	store_free(s->watched);
	secret_free(s->domain);
	kit_clear(&s->kit);
}
#define auto_shelf CLEANUP(shelf_clear)

/* A store far away: every read costs a round trip. */
static inline void shelf_far(struct shelf *s)
{
	s->watched->caps &= ~(unsigned)STORE_CAP_LOCAL;
}

static inline void shelf_disturb(struct shelf *s, enum store_fault fault, unsigned times,
                                 const struct chunk_ref *in_pack_of)
{
	s->fault = fault;
	if (in_pack_of)
		pack_key_name(s->key, in_pack_of->pack, in_pack_of->kind);
	else
		s->key[0] = '\0';
	atomic_store(&s->faults, times);
}

#endif
