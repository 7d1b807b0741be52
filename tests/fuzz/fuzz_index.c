/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index segments. The first byte: 0: the plain text; 1: the object itself.
 * What decodes holds only places inside their packs, in order; a segment that
 * is written from them holds the same, and an index that loads it finds each.
 */
#include "repo/index.h"
#include "repo/segment.h"
#include "tests/fuzz/fuzz_repo.h"

#define PACKS_MAX 64
#define ENTRIES_MAX 256

static struct repo r;
static struct domain_keys *domain;
static char key[STORE_KEY_MAX + 1];

static void check(const struct segment_view *v)
{
	struct chunk_ref before = { 0 };

	holds(v->npacks <= FORMAT_ENTRIES_MAX && v->nentries <= FORMAT_ENTRIES_MAX);
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref x;

		segment_view_ref(v, i, &x);
		holds(x.plain > 0 && x.plain <= FORMAT_CHUNK_MAX && x.stored > FORMAT_TAG_BYTES);
		holds((uint64_t)x.off + x.stored <= FORMAT_PACK_MAX);
		holds(i == 0 || memcmp(before.id, x.id, sizeof(x.id)) < 0);
		before = x;
	}
	for (uint32_t i = 0; i < v->npacks; i++) {
		struct segment_pack p;

		segment_view_pack(v, i, &p);
		holds(p.kind <= CHUNK_NODE && p.len <= FORMAT_PACK_MAX);
	}
}

/* False when a pack is named twice, which no writer does. */
static bool packs_of(const struct segment_view *v, struct segment_pack ret[PACKS_MAX])
{
	for (uint32_t i = 0; i < v->npacks; i++) {
		segment_view_pack(v, i, &ret[i]);
		for (uint32_t k = 0; k < i; k++) {
			if (memcmp(ret[i].id, ret[k].id, sizeof(ret->id)) == 0)
				return false;
		}
	}
	return true;
}

static bool same_ref(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 &&
	       memcmp(a->pack, b->pack, sizeof(a->pack)) == 0 && a->off == b->off &&
	       a->stored == b->stored && a->plain == b->plain && a->counter == b->counter &&
	       a->key == b->key && a->compression == b->compression && a->kind == b->kind;
}

/* Into the store. false: it cannot be, or holds nothing. */
static bool write_again(const struct segment_view *v)
{
	const struct segment_writer_params params = {
		.store = r.store, .keys = r.keys, .domain = domain, .session = FUZZ_SESSION
	};
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_pack packs[PACKS_MAX];
	struct chunk_ref refs[ENTRIES_MAX];
	struct segment_view again;
	struct segment_writer *w;
	struct err e = ERR_INIT;

	if (v->nentries == 0 || v->nentries > ENTRIES_MAX || v->npacks > PACKS_MAX ||
	    !packs_of(v, packs))
		return false;
	for (uint32_t i = 0; i < v->nentries; i++)
		segment_view_ref(v, i, &refs[i]);
	works(segment_writer_new(&params, &w, &e));
	works(segment_add_all(w, packs, NULL, v->npacks, refs, v->nentries, &e));
	works(segment_flush(w, &e));
	segment_writer_free(w);
	works(segment_fetch(r.store, r.keys, domain, key, &plain, &again, &e));
	holds(again.npacks == v->npacks && again.nentries == v->nentries);
	for (uint32_t i = 0; i < v->nentries; i++) {
		struct chunk_ref x;

		segment_view_ref(&again, i, &x);
		holds(same_ref(&x, &refs[i]));
	}
	return true;
}

/* The index of what is in the store; v is what must be in it. */
static void look_up(const struct segment_view *v)
{
	struct index *x;
	struct err e = ERR_INIT;

	works(index_open(r.store, r.keys, domain, NULL, NULL, NULL, &x, &e));
	holds(index_damaged(x) == !v);
	for (uint32_t i = 0; v && i < v->nentries; i++) {
		struct chunk_ref want;
		struct chunk_ref ref;

		segment_view_ref(v, i, &want);
		holds(index_lookup(x, want.id, &ref) && same_ref(&want, &ref));
		holds(index_locate(x, &ref) && index_places(x, want.id, &ref, 1) == 1);
	}
	index_free(x);
}

static void object(const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;
	struct err e = ERR_INIT;

	fuzz_put(&r, key, p, n);
	if (segment_fetch(r.store, r.keys, domain, key, &plain, &v, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_CORRUPT) | FUZZ_CLASS(ERR_FORMAT));
	look_up(e.class == ERR_NONE ? &v : NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment_view v;
	struct err e = ERR_INIT;

	if (!r.store) {
		r = fuzz_repo_new();
		domain = fuzz_domain(r.keys);
		(void)snprintf(key, sizeof(key), "idx/%s/" FUZZ_SESSION "-0000", domain->tag_hex);
	}
	if (size == 0 || size > 64 * KIB)
		return 0;
	if (data[0] == 1) {
		object(data + 1, size - 1);
	} else if (segment_decode(data + 1, size - 1, &v, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
	} else {
		check(&v);
		if (write_again(&v))
			look_up(&v);
	}
	fuzz_empty(r.store);
	return 0;
}
