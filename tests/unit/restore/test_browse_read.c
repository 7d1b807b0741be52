/* SPDX-License-Identifier: Apache-2.0 */
/* Content of files that are read here and there, holes and damage included. */
#include "restore/browse.h"

#include <pthread.h>

#include "tests/unit/restore/browse_kit.h"

#define PIECE ((size_t)10000)

/*
 * A file of four parts: 10000 bytes of a chunk, a hole of 20000, the end of another chunk, 5000
 * zeros; the two latter in a record of their own. Its content is put into `want`.
 */
static struct point crafted(struct world *w, uint8_t want[4 * PIECE])
{
	struct craft c;
	auto_free uint8_t *plain = malloc(PIECE);

	craft_begin(&c, w);
	int64_t one = craft_chunk(&c, 1, PIECE);
	int64_t two = craft_chunk(&c, 2, PIECE);
	const struct extent first[] = { { one, 0, PIECE }, { EXTENT_HOLE, 0, 2 * PIECE } };
	const struct extent more[] = { { two, 5000, 5000 }, { EXTENT_ZERO, 0, 5000 } };
	craft_dir(&c, "");
	craft_file(&c, "f", 4 * PIECE, RECORD_CONTINUED, first, 2);
	craft_more(&c, "f", 3 * PIECE, more, 2);
	craft_file(&c, "g", 0, 0, NULL, 0);
	memset(want, 0, 4 * PIECE);
	fill_random(1, want, PIECE);
	fill_random(2, plain, PIECE);
	memcpy(want + 3 * PIECE, plain + 5000, 5000);
	return craft_end(&c);
}

static void test_browse_read__gives_every_range(void **state)
{
	static const size_t lens[] = { 1, 4096, 9999, 15000, 40000, 100000 };
	auto_world struct world w = world_new();
	uint8_t want[4 * PIECE];
	uint8_t got[100000];

	(void)state;
	CLEANUP(point_clear) struct point p = crafted(&w, want);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	uint64_t f = browse_at(b, "f").number;
	for (size_t off = 0; off <= 4 * PIECE + 500; off += 500) {
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			size_t left = off < sizeof(want) ? sizeof(want) - off : 0;
			size_t n = lens[i] < left ? lens[i] : left;
			size_t ret;

			memset(got, 0xaa, sizeof(got));
			ok(browse_read(b, f, off, got, lens[i], &ret, e));
			assert_int_equal(ret, n);
			assert_memory_equal(got, want + (n ? off : 0), n);
		}
	}
	/* a hole is none of its blocks */
	assert_int_equal(browse_at(b, "f").st.st_blocks, (2 * PIECE + 511) / 512);
	/* "f" has two records, so "g" is the fourth */
	assert_int_equal(browse_at(b, "g").number, 3);
	size_t ret;
	ok(browse_read(b, 3, 0, got, 10, &ret, e));
	assert_int_equal(ret, 0);
	fails(ERR_INVALID, browse_read(b, 0, 0, got, 10, &ret, e));
	fails(ERR_FORMAT, browse_read(b, 2, 0, got, 10, &ret, e));
}

static void test_browse_seek__finds_data_and_holes(void **state)
{
	static const struct {
		uint64_t off;
		bool hole, found;
		uint64_t at;
	} cases[] = {
		{ 0, false, true, 0 },        { 0, true, true, 10000 },
		{ 9999, false, true, 9999 },  { 10000, false, true, 30000 },
		{ 12345, true, true, 12345 }, { 29999, false, true, 30000 },
		{ 30000, true, true, 40000 }, { 39999, false, true, 39999 },
		{ 39999, true, true, 40000 },
	};
	auto_world struct world w = world_new();
	uint8_t want[4 * PIECE];

	(void)state;
	CLEANUP(point_clear) struct point p = crafted(&w, want);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	uint64_t f = browse_at(b, "f").number;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t at = 0;
		bool found;

		ok(browse_seek(b, f, cases[i].off, cases[i].hole, &found, &at, e));
		assert_int_equal(found, cases[i].found);
		assert_int_equal(at, cases[i].at);
	}
}

static void test_browse_seek__at_the_end_of_a_sparse_file_is_only_a_hole(void **state)
{
	auto_world struct world w = world_new();
	const struct extent x[] = { { EXTENT_HOLE, 0, 1000000 } };
	struct craft c;
	uint64_t at;
	bool found;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_file(&c, "f", 1000000, 0, x, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	ok(browse_seek(b, 1, 10, false, &found, &at, e));
	assert_false(found);
	ok(browse_seek(b, 1, 10, true, &found, &at, e));
	assert_true(found);
	assert_int_equal(at, 10);
	assert_int_equal(browse_at(b, "f").st.st_blocks, 0);
}

static void test_browse_read__refuses_parts_that_do_not_fit(void **state)
{
	auto_world struct world w = world_new();
	const struct extent x[] = { { EXTENT_HOLE, 0, 1000 } };
	struct craft c;
	char got[10];
	size_t ret;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_file(&c, "gap", 3000, RECORD_CONTINUED, x, 1);
	craft_more(&c, "gap", 2000, x, 1);
	craft_file(&c, "missing", 3000, RECORD_CONTINUED, x, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	uint64_t gap = browse_at(b, "gap").number;
	uint64_t missing = browse_at(b, "missing").number;
	ok(browse_read(b, gap, 0, got, 10, &ret, e));
	fails_saying(ERR_FORMAT, "gap", browse_read(b, gap, 995, got, 10, &ret, e));
	ok(browse_read(b, missing, 100, got, 10, &ret, e));
	fails_saying(ERR_FORMAT, "missing", browse_read(b, missing, 1500, got, 10, &ret, e));
}

static void test_browse_read__damage_hurts_what_it_hits_and_can_be_mended(void **state)
{
	auto_world struct world w = world_new();
	uint8_t want[4 * PIECE];
	uint8_t got[PIECE];
	const struct record *r;
	struct leaf *leaf;
	char name[PACK_KEY_MAX];
	size_t ret;

	(void)state;
	CLEANUP(point_clear) struct point p = crafted(&w, want);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	auto_tree struct tree *t = NULL;
	ok(tree_open(w.kit.recovery, &p, &t, e));
	ok(tree_lookup(t, "f", 1, &r, &leaf, e));
	const struct chunk_ref ref = leaf->chunks[0];
	pack_key_name(name, ref.pack, CHUNK_DATA);
	kit_flip(&w.kit, name, ref.off + 7);
	ok(browse_open(&s, &p, &b, e));
	for (int again = 0; again < 3; again++) {
		fails_saying(ERR_CORRUPT, "is damaged", browse_read(b, 1, 0, got, 100, &ret, e));
		ok(browse_read(b, 1, 3 * PIECE, got, 5000, &ret, e));
		assert_memory_equal(got, want + 3 * PIECE, 5000);
	}
	kit_flip(&w.kit, name, ref.off + 7);
	ok(browse_read(b, 1, 0, got, 100, &ret, e));
	assert_memory_equal(got, want, 100);
}

struct many {
	struct browse *b;
	uint64_t file;
	const uint8_t *want;
	size_t n;
	atomic_uint bad;
	atomic_uint seed;
};

static void *read_many(void *arg)
{
	struct many *m = arg;
	uint8_t got[70000];
	unsigned seed = atomic_fetch_add(&m->seed, 1);

	for (uint64_t i = 0; i < 150; i++) {
		uint64_t at;
		struct err e = ERR_INIT;
		size_t ret;

		fill_random(seed * 1000 + i, &at, sizeof(at));
		at %= m->n - sizeof(got);
		browse_fetch(m->b, m->file, at + 100000, 3000000);
		if (browse_read(m->b, m->file, at, got, sizeof(got), &ret, &e) < 0 ||
		    ret != sizeof(got) || memcmp(got, m->want + at, ret) != 0)
			atomic_fetch_add(&m->bad, 1);
	}
	return NULL;
}

static void test_browse_read__many_threads_read_the_same_file(void **state)
{
	auto_world struct world w = world_new();
	pthread_t threads[6];
	size_t n;

	(void)state;
	world_file(&w, "large", 5, 40 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	/* the cache holds 16 MiB of the 40 */
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	auto_free char *want = read_file(w.src, "large", &n);
	struct many m = {
		.b = b, .file = browse_at(b, "large").number, .want = (uint8_t *)want, .n = n
	};
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &m), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&m.bad), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_browse_read__gives_every_range),
		cmocka_unit_test(test_browse_seek__finds_data_and_holes),
		cmocka_unit_test(test_browse_seek__at_the_end_of_a_sparse_file_is_only_a_hole),
		cmocka_unit_test(test_browse_read__refuses_parts_that_do_not_fit),
		cmocka_unit_test(test_browse_read__damage_hurts_what_it_hits_and_can_be_mended),
		cmocka_unit_test(test_browse_read__many_threads_read_the_same_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
