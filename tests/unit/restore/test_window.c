/* SPDX-License-Identifier: Apache-2.0 */
/* Windows: each chunk once, pieces joined, and full before memory is. */
#include "restore/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

static struct chunk_ref ref_of(uint64_t n, uint32_t plain)
{
	struct chunk_ref r = { .plain = plain, .stored = plain + 16 };

	fill_random(n, r.id, sizeof(r.id));
	return r;
}

static void clean_window(struct window *const *w)
{
	window_free(*w);
}
#define auto_window CLEANUP(clean_window)

static void test_window_piece__takes_each_chunk_once(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	const struct chunk_ref a = ref_of(1, 1000);
	const struct chunk_ref b = ref_of(2, 2000);
	bool fresh;

	(void)state;
	struct rfile *f = window_file(w);
	struct rfile *g = window_file(w);
	assert_int_equal(window_piece(w, f, &a, 0, 0, 100, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(window_piece(w, f, &b, 100, 0, 100, &fresh), 0);
	assert_true(fresh);
	/* the same chunk again, at another place of the file */
	assert_int_equal(window_piece(w, f, &a, 200, 500, 100, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(window_piece(w, g, &a, 0, 100, 50, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(w->nwants, 2);
	assert_int_equal(w->plain, 3000);

	const struct want *n = w->wants;
	assert_memory_equal(n->ref.id, a.id, 32);
	assert_ptr_equal(n->head->file, f);
	assert_ptr_equal(n->head->next->file, f);
	assert_int_equal(n->head->next->off, 200);
	assert_int_equal(n->head->next->chunk_off, 500);
	assert_ptr_equal(n->head->next->next->file, g);
	assert_null(n->head->next->next->next);
	assert_memory_equal(n->next->ref.id, b.id, 32);
	assert_null(n->next->next);
}

static void test_window_piece__joins_what_goes_on(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	const struct chunk_ref a = ref_of(1, 1000);
	bool fresh;

	(void)state;
	struct rfile *f = window_file(w);
	struct rfile *g = window_file(w);
	assert_int_equal(window_piece(w, f, &a, 0, 0, 100, &fresh), 0);
	assert_int_equal(window_piece(w, f, &a, 100, 100, 100, &fresh), 0);
	assert_int_equal(w->wants->head->len, 200);
	assert_null(w->wants->head->next);
	/* not in the chunk, not in the file, not of the same file */
	assert_int_equal(window_piece(w, f, &a, 200, 300, 100, &fresh), 0);
	assert_int_equal(window_piece(w, f, &a, 500, 400, 100, &fresh), 0);
	assert_int_equal(window_piece(w, g, &a, 600, 500, 100, &fresh), 0);
	unsigned n = 0;
	for (const struct piece *p = w->wants->head; p; p = p->next)
		n++;
	assert_int_equal(n, 4);
}

static void test_window_piece__one_id_with_two_lengths_is_two_chunks(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	const struct chunk_ref a = ref_of(1, 1000);
	const struct chunk_ref longer = ref_of(1, 5000);
	bool fresh;

	(void)state;
	struct rfile *f = window_file(w);
	assert_int_equal(window_piece(w, f, &a, 0, 0, 1000, &fresh), 0);
	assert_int_equal(window_piece(w, f, &longer, 1000, 0, 5000, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(w->nwants, 2);
	assert_int_equal(w->wants->ref.plain, 1000);
	assert_int_equal(w->wants->next->ref.plain, 5000);
}

static void test_window_full__by_chunks_bytes_files_and_what_waits(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	struct rfile *f = window_file(w);
	bool fresh;

	(void)state;
	for (uint64_t i = 0; i < WINDOW_WANTS; i++) {
		const struct chunk_ref r = ref_of(i, 10);

		assert_false(window_full(w));
		assert_int_equal(window_piece(w, f, &r, 10 * i, 0, 10, &fresh), 0);
		assert_true(fresh);
	}
	assert_true(window_full(w));

	window_reset(w);
	assert_true(window_empty(w));
	for (uint64_t i = 0; i < WINDOW_PLAIN_BYTES / MIB; i++) {
		const struct chunk_ref r = ref_of(i, MIB);

		assert_false(window_full(w));
		f = window_file(w);
		assert_int_equal(window_piece(w, f, &r, 0, 0, 1, &fresh), 0);
		assert_true(fresh);
	}
	assert_true(window_full(w));

	window_reset(w);
	for (unsigned i = 0; i < WINDOW_FILES; i++) {
		assert_false(window_full(w));
		assert_non_null(window_file(w));
	}
	assert_true(window_full(w));

	window_reset(w);
	for (unsigned i = 0; i < WINDOW_LATER; i++) {
		assert_false(window_full(w));
		assert_non_null(window_later(w, LATER_LINK));
		assert_false(window_empty(w));
	}
	assert_true(window_full(w));

	window_reset(w);
	w->nshared = WINDOW_SHARED;
	assert_true(window_full(w));
}

static void test_window_dir__is_the_same_while_the_path_is(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	uint64_t id = 41;

	(void)state;
	const struct target_parent *a = window_dir(w, "a/b", 3, &id);
	assert_int_equal(a->id, 42);
	assert_string_equal(a->path, "a/b");
	assert_ptr_equal(window_dir(w, "a/bcd", 3, &id), a);
	const struct target_parent *b = window_dir(w, "a/c", 3, &id);
	assert_int_equal(b->id, 43);
	const struct target_parent *root = window_dir(w, NULL, 0, &id);
	assert_string_equal(root->path, "");
	assert_int_equal(root->id, 44);
	assert_ptr_equal(window_dir(w, "x", 0, &id), root);
}

static void test_window_later__keeps_the_order(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);

	(void)state;
	struct later *a = window_later(w, LATER_LINK);
	struct later *b = window_later(w, LATER_LEAVE);
	struct later *c = window_later(w, LATER_LINK);
	assert_ptr_equal(w->later, a);
	assert_ptr_equal(a->next, b);
	assert_ptr_equal(b->next, c);
	assert_null(c->next);
	assert_int_equal(b->kind, LATER_LEAVE);
}

static void test_window_hold__keeps_leaves_until_the_reset(void **state)
{
	auto_window struct window *w = window_new(WINDOW_PLAIN_BYTES);
	struct leaf *leaves[200];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		leaves[i] = calloc(1, sizeof(*leaves[i]));
		assert_non_null(leaves[i]);
		leaves[i]->refs = 2;
		assert_int_equal(window_hold(w, leaves[i]), 0);
		/* the last one is known */
		assert_int_equal(window_hold(w, leaves[i]), 0);
		assert_int_equal(leaves[i]->refs, 3);
	}
	window_reset(w);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(leaves[i]->refs, 2);
		free(leaves[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_piece__takes_each_chunk_once),
		cmocka_unit_test(test_window_piece__joins_what_goes_on),
		cmocka_unit_test(test_window_piece__one_id_with_two_lengths_is_two_chunks),
		cmocka_unit_test(test_window_full__by_chunks_bytes_files_and_what_waits),
		cmocka_unit_test(test_window_dir__is_the_same_while_the_path_is),
		cmocka_unit_test(test_window_later__keeps_the_order),
		cmocka_unit_test(test_window_hold__keeps_leaves_until_the_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
