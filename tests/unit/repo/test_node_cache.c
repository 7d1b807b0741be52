/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of nodes: what was put comes back, within its bytes; what is held lives on. */
#include "repo/node_cache.h"

#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

/* The plain text of a leaf with one directory, the root, and n files. */
static int keep_plain(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref,
                      struct err *e)
{
	struct buf *b = arg;

	(void)e;
	ref->stored = (uint32_t)n + FORMAT_TAG_BYTES;
	ref->compression = COMPRESSION_NONE;
	return buf_put(b, plain, n);
}

static struct leaf *leaf_of(unsigned n)
{
	static const struct domain_keys domain = { .name = "d" };
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(MIB);
	const struct tree_sink sink = { keep_plain, &plain };
	struct tree_builder *b = tree_builder_new(&domain, &sink);
	struct leaf *l = NULL;
	struct chunk_ref root;
	uint32_t levels;

	for (unsigned i = 0; i <= n; i++) {
		char path[16] = "";
		struct record r = { .path = path, .st = { .mode = S_IFDIR | 0755 } };

		if (i > 0)
			(void)snprintf(path, sizeof(path), "d%05u", i);
		r.path_len = strlen(path);
		ok(tree_builder_add(b, &r, NULL, NULL, e));
	}
	ok(tree_builder_finish(b, &root, &levels, e));
	assert_int_equal(levels, 1);
	ok(tree_leaf_decode(plain.data, plain.len, &l, e));
	tree_builder_free(b);
	return l;
}

static void id_of(unsigned i, uint8_t ret[FORMAT_ID_BYTES])
{
	fill_random(i, ret, FORMAT_ID_BYTES);
}

static void test_node_cache_leaf__gives_back_what_was_put(void **state)
{
	struct node_cache *c = node_cache_new(MIB);
	struct leaf *l = leaf_of(3);
	uint8_t id[FORMAT_ID_BYTES];

	(void)state;
	id_of(1, id);
	assert_null(node_cache_leaf(c, id));
	node_cache_put_leaf(c, id, l);
	size_t bytes = node_cache_bytes(c);
	assert_true(bytes > 0);
	node_cache_put_leaf(c, id, l);
	assert_int_equal(node_cache_bytes(c), bytes);
	struct leaf *got = node_cache_leaf(c, id);
	assert_ptr_equal(got, l);
	assert_null(node_cache_inner(c, id));
	leaf_unref(l);
	/* It outlives the cache for who holds it. */
	node_cache_free(c);
	assert_int_equal(got->nrecords, 4);
	leaf_unref(got);
}

static void test_node_cache_put__lets_go_of_what_was_not_used_for_longest(void **state)
{
	struct node_cache *all = node_cache_new(MIB);
	uint8_t id[FORMAT_ID_BYTES];

	(void)state;
	id_of(0, id);
	struct leaf *one = leaf_of(3);
	node_cache_put_leaf(all, id, one);
	/* There is room for three of them. */
	struct node_cache *c = node_cache_new(3 * node_cache_bytes(all));
	for (unsigned i = 0; i < 3; i++) {
		struct leaf *l = leaf_of(3);

		id_of(i, id);
		node_cache_put_leaf(c, id, l);
		leaf_unref(l);
	}
	id_of(0, id);
	struct leaf *used = node_cache_leaf(c, id);
	assert_non_null(used);
	leaf_unref(used);
	id_of(3, id);
	node_cache_put_leaf(c, id, one);
	assert_true(node_cache_bytes(c) <= 3 * node_cache_bytes(all));
	for (unsigned i = 0; i < 4; i++) {
		id_of(i, id);
		struct leaf *l = node_cache_leaf(c, id);
		assert_int_equal(!l, i == 1);
		leaf_unref(l);
	}
	leaf_unref(one);
	node_cache_free(all);
	node_cache_free(c);
}

static void test_node_cache_put__passes_over_what_is_too_large(void **state)
{
	struct node_cache *c = node_cache_new(1000);
	struct leaf *l = leaf_of(100);
	uint8_t id[FORMAT_ID_BYTES];

	(void)state;
	id_of(1, id);
	node_cache_put_leaf(c, id, l);
	assert_int_equal(node_cache_bytes(c), 0);
	assert_null(node_cache_leaf(c, id));
	leaf_unref(l);
	node_cache_free(c);
	node_cache_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_cache_leaf__gives_back_what_was_put),
		cmocka_unit_test(test_node_cache_put__lets_go_of_what_was_not_used_for_longest),
		cmocka_unit_test(test_node_cache_put__passes_over_what_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
