/* SPDX-License-Identifier: Apache-2.0 */
/* Fine deltas: pages changed in place, insertions and deletions, and what is new throughout. */
#include "repo/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

#define OLD_BYTES (8 * MIB)
#define NCHUNKS (OLD_BYTES / MIB)

static const struct domain_keys domain = { .name = "d", .node = { 1 }, .id = { 2 }, .cut = { 3 } };

struct fixture {
	char *dir;
	struct pages *pages;
	struct chunker chunker;
	struct crypt_hasher hasher;
	uint8_t *old;
	uint8_t *new; /* room for twice the old */
	size_t new_len;
	struct leaf *leaf;
	struct delta *delta;
};

static int take_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                     struct err *e)
{
	memset(ref->pack, 1, sizeof(ref->pack));
	ref->stored = ref->plain + 16;
	return tree_leaf_decode(plain, n, arg, e);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static uint8_t fps[PAGES_CHUNK_MAX][CRYPT_FP_BYTES];
	static uint32_t marks[PAGES_CHUNK_MAX];
	struct chunk_ref refs[NCHUNKS];
	struct extent x[NCHUNKS];
	struct err e = ERR_INIT;

	f->dir = tmpdir_new();
	f->pages = pages_open(f->dir, domain.id, 64 * MIB);
	chunker_init(&f->chunker, domain.cut, 256 * KIB, MIB, 4 * MIB);
	crypt_hasher_init(&f->hasher, domain.id);
	f->old = malloc(OLD_BYTES);
	f->new = malloc(2 * OLD_BYTES);
	fill_random(1, f->old, OLD_BYTES);
	memcpy(f->new, f->old, OLD_BYTES);
	f->new_len = OLD_BYTES;
	for (size_t i = 0; i < NCHUNKS; i++) {
		struct page_set set = { .plain = MIB, .n = MIB / 4096, .fps = fps, .marks = marks };

		refs[i] = (struct chunk_ref){ .stored = MIB + 16, .plain = MIB, .off = 4096 };
		crypt_chunk_id(&f->hasher, f->old + i * MIB, MIB, refs[i].id, fps[0]);
		for (size_t k = 0; k < set.n; k++)
			marks[k] = chunker_mark(&f->chunker, f->old + i * MIB + k * 4096, 4096);
		memcpy(set.id, refs[i].id, 32);
		pages_put(f->pages, &set);
		x[i] = (struct extent){ .chunk = (int64_t)i, .len = MIB };
	}
	struct tree_sink sink = { take_node, &f->leaf };
	struct tree_builder *b = tree_builder_new(&domain, &sink);
	struct record r = {
		.path = "file",
		.path_len = 4,
		.st = { .mode = S_IFREG | 0600, .size = OLD_BYTES },
		.extents = x,
		.nextents = NCHUNKS,
	};
	struct chunk_ref root;
	uint32_t levels;
	if (tree_builder_add(b, &r, NULL, refs, &e) < 0 ||
	    tree_builder_finish(b, &root, &levels, &e) < 0)
		return -1;
	tree_builder_free(b);
	f->delta = delta_new(&f->chunker, &f->hasher, f->pages);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	delta_free(f->delta);
	leaf_unref(f->leaf);
	pages_close(f->pages);
	tmpdir_remove(f->dir);
	free(f->old);
	free(f->new);
	free(f);
	return 0;
}

/*
 * Runs the whole new file through, checks that the pieces tile it and that
 * every old piece has the bytes it claims; gives the literal bytes.
 */
static size_t literals(struct fixture *f)
{
	size_t at = 0, literal = 0;

	delta_start(f->delta, NULL, &f->leaf->records[0], f->leaf);
	while (at < f->new_len) {
		const struct delta_piece *p;
		size_t left = f->new_len - at, consumed;
		size_t n = left < DELTA_WINDOW ? left : DELTA_WINDOW;
		size_t avail = left < DELTA_WINDOW + 4096 ? left : DELTA_WINDOW + 4096;
		size_t pieces = delta_window(f->delta, f->new + at, n, avail, at, &p, &consumed);
		uint64_t off = at;

		for (size_t i = 0; i < pieces; i++) {
			assert_int_equal(p[i].off, off);
			off += p[i].len;
			if (p[i].kind == DELTA_LITERAL) {
				literal += p[i].len;
				continue;
			}
			assert_int_equal(p[i].kind, DELTA_OLD);
			size_t c = (size_t)(p[i].ref - f->leaf->chunks);
			assert_memory_equal(f->new + p[i].off, f->old + c * MIB + p[i].chunk_off,
			                    p[i].len);
		}
		assert_int_equal(off, at + consumed);
		assert_true(consumed >= n && consumed <= avail);
		at += consumed;
	}
	return literal;
}

static void test_delta_window__unchanged_has_no_literals(void **state)
{
	assert_int_equal(literals(*state), 0);
}

static void test_delta_window__pages_changed_in_place_cost_themselves(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 100; i++)
		f->new[(i * 20 + 3) * 4096 + i] ^= 1;
	assert_int_equal(literals(f), 100 * 4096);
}

static void test_delta_window__insertions_cost_their_page(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 10; i++) {
		size_t at = 700001 * (i + 1);

		memmove(f->new + at + 37, f->new + at, f->new_len - at);
		memset(f->new + at, 'x', 37);
		f->new_len += 37;
	}
	assert_true(literals(f) <= 10 * (4096 + 37));
}

static void test_delta_window__deletions_cost_their_page(void **state)
{
	struct fixture *f = *state;

	memmove(f->new + 3000000, f->new + 3100001, f->new_len - 3100001);
	f->new_len -= 100001;
	assert_true(literals(f) <= 2 * 4096);
}

static void test_delta_window__a_long_change_ends_where_the_old_begins_again(void **state)
{
	struct fixture *f = *state;

	fill_random(77, f->new + 123 * 4096, 100 * 4096);
	assert_int_equal(literals(f), 100 * 4096);
}

static void test_delta_window__a_new_file_is_literal(void **state)
{
	struct fixture *f = *state;

	fill_random(88, f->new, f->new_len);
	assert_int_equal(literals(f), f->new_len);
}

static void test_delta_window__growth_and_truncation(void **state)
{
	struct fixture *f = *state;

	fill_random(99, f->new + f->new_len, 12345);
	f->new_len += 12345;
	assert_int_equal(literals(f), 12345);
	f->new_len = 5 * MIB + 100;
	/* The last page is cut short, so it is no page of the old file any more. */
	assert_int_equal(literals(f), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delta_window__unchanged_has_no_literals, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(
			test_delta_window__pages_changed_in_place_cost_themselves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delta_window__insertions_cost_their_page,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_delta_window__deletions_cost_their_page, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(
			test_delta_window__a_long_change_ends_where_the_old_begins_again, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_delta_window__a_new_file_is_literal, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_delta_window__growth_and_truncation, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
