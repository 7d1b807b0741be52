/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of plain chunks: once fetched, within its bytes, and again after a failure. */
#include "restore/chunks.h"

#include "tests/harness/repo_kit.h"

#define FILES 24
#define BYTES MIB

struct shelf_of {
	struct kit kit;
	struct point point;
	struct domain_keys *domain;
	struct chunk_ref refs[FILES]; /* chunk i holds what follows from the seed 100 + i */
	struct chunks *chunks;
};

static struct shelf_of shelf_new(void)
{
	struct shelf_of s = { .kit = kit_new() };
	const struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = FILES, .bytes = BYTES, .seed = 100
	};
	const struct chunks_params params = { .bytes = 16 * MIB, .memory = 16 * MIB, .threads = 2 };
	auto_tree struct tree *t = NULL;
	const struct record *r;
	struct leaf *leaf;

	s.point = kit_backup(&s.kit, &c);
	ok(keys_domain(s.kit.recovery->keys, "d", &s.domain, e));
	ok(tree_open(s.kit.recovery, &s.point, &t, e));
	ok(tree_next(t, &r, &leaf, e));
	for (size_t i = 0; i < FILES; i++) {
		ok(tree_next(t, &r, &leaf, e));
		s.refs[i] = leaf->chunks[r->extents[0].chunk];
	}
	ok(chunks_open(s.kit.recovery, &params, &s.chunks, e));
	return s;
}

static void shelf_clear(struct shelf_of *s)
{
	chunks_free(s->chunks);
	secret_free(s->domain);
	point_clear(&s->point);
	kit_clear(&s->kit);
}
#define auto_shelf CLEANUP(shelf_clear)

static int get(struct shelf_of *s, size_t i, struct err *e)
{
	auto_free uint8_t *want = malloc(BYTES);
	struct chunk *k;
	const uint8_t *plain;

	if (chunks_get(s->chunks, s->domain, &s->refs[i], &k, &plain, e) < 0)
		return -1;
	fill_random(100 + i, want, BYTES);
	assert_memory_equal(plain, want, BYTES);
	chunks_put(s->chunks, k);
	return 0;
}

/* The pack of all chunks is there no more. */
static void take_away(const struct shelf_of *s)
{
	char name[PACK_KEY_MAX];

	pack_key_name(name, s->refs[0].pack, CHUNK_DATA);
	ok(store_delete(s->kit.store, name, e));
}

static void test_chunks_get__fetches_what_is_not_there(void **state)
{
	auto_shelf struct shelf_of s = shelf_new();

	(void)state;
	for (size_t i = 0; i < FILES; i++)
		ok(get(&s, i, e));
	take_away(&s);
	/* 16 MiB hold the last 16. */
	for (size_t i = FILES; i > FILES - 16; i--)
		ok(get(&s, i - 1, e));
	fails(ERR_NOT_FOUND, get(&s, 0, e));
	fails(ERR_NOT_FOUND, get(&s, 0, e));
	ok(get(&s, FILES - 16, e));
}

static void test_chunks_get__what_is_held_stays(void **state)
{
	auto_shelf struct shelf_of s = shelf_new();
	auto_free uint8_t *want = malloc(BYTES);
	struct chunk *k = NULL;
	const uint8_t *plain = NULL;

	(void)state;
	ok(chunks_get(s.chunks, s.domain, &s.refs[0], &k, &plain, e));
	for (size_t i = 1; i < FILES; i++)
		ok(get(&s, i, e));
	fill_random(100, want, BYTES);
	assert_memory_equal(plain, want, BYTES);
	chunks_put(s.chunks, k);
}

static void test_chunks_ahead__fetches_half_of_the_cache_at_most(void **state)
{
	auto_shelf struct shelf_of s = shelf_new();

	(void)state;
	assert_int_equal(chunks_ahead_max(s.chunks), 8 * MIB);
	chunks_ahead(s.chunks, s.domain, s.refs, 4);
	for (size_t i = 0; i < 4; i++)
		ok(get(&s, i, e));
	chunks_ahead(s.chunks, s.domain, s.refs + 4, FILES - 4);
	/* The first eight of them were asked for when the pack was there. */
	for (size_t i = 4; i < 12; i++)
		ok(get(&s, i, e));
	take_away(&s);
	for (size_t i = 0; i < 12; i++)
		ok(get(&s, i, e));
}

static void test_chunks_get__tries_again_after_damage(void **state)
{
	auto_shelf struct shelf_of s = shelf_new();
	char name[PACK_KEY_MAX];

	(void)state;
	pack_key_name(name, s.refs[3].pack, CHUNK_DATA);
	kit_flip(&s.kit, name, s.refs[3].off + 100);
	chunks_ahead(s.chunks, s.domain, s.refs, 6);
	for (size_t i = 0; i < 6; i++) {
		if (i == 3)
			fails(ERR_CORRUPT, get(&s, i, e));
		else
			ok(get(&s, i, e));
	}
	kit_flip(&s.kit, name, s.refs[3].off + 100);
	ok(get(&s, 3, e));
}

static void test_chunks_get__refuses_a_place_that_cannot_be(void **state)
{
	auto_shelf struct shelf_of s = shelf_new();

	(void)state;
	s.refs[2].off = FORMAT_PACK_MAX;
	fails(ERR_FORMAT, get(&s, 2, e));
	ok(get(&s, 1, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_get__fetches_what_is_not_there),
		cmocka_unit_test(test_chunks_get__what_is_held_stays),
		cmocka_unit_test(test_chunks_ahead__fetches_half_of_the_cache_at_most),
		cmocka_unit_test(test_chunks_get__tries_again_after_damage),
		cmocka_unit_test(test_chunks_get__refuses_a_place_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
