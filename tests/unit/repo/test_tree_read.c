/* SPDX-License-Identifier: Apache-2.0 */
/* Going to places in a tree: by path, by number, with nodes from a cache. */
#include "repo/node_cache.h"
#include "repo/tree.h"

#include "tests/harness/repo_kit.h"

#define FILES 4000

static struct point many_files(const struct kit *k)
{
	const struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = FILES, .bytes = 20
	};
	struct point p = kit_backup(k, &c);

	assert_true(p.levels > 1);
	return p;
}

static void assert_next(struct tree *t, const char *path)
{
	const struct record *r;
	struct leaf *leaf;

	ok(tree_next(t, &r, &leaf, e));
	assert_non_null(r);
	assert_int_equal(r->path_len, strlen(path));
	assert_memory_equal(r->path, path, r->path_len);
}

static void name_of(unsigned i, char ret[16])
{
	(void)snprintf(ret, 16, "f%05u", i);
}

static void test_tree_seek_number__goes_to_each_record(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = many_files(&k);
	auto_tree struct tree *t = NULL;
	char name[16];

	(void)state;
	ok(tree_open(k.audit, &p, &t, e));
	ok(tree_seek_number(t, 0, e));
	assert_next(t, "");
	assert_int_equal(tree_number(t), 0);
	for (unsigned i = 0; i < FILES; i += 37) {
		ok(tree_seek_number(t, i + 1, e));
		name_of(i, name);
		assert_next(t, name);
		assert_int_equal(tree_number(t), i + 1);
	}
	fails(ERR_FORMAT, tree_seek_number(t, FILES + 1, e));
	fails(ERR_FORMAT, tree_seek_number(t, UINT64_MAX, e));
	ok(tree_seek_number(t, FILES, e));
	name_of(FILES - 1, name);
	assert_next(t, name);
}

static void test_tree_number__counts_along_a_walk(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = many_files(&k);
	auto_tree struct tree *t = NULL;
	const struct record *r;
	struct leaf *leaf;
	uint64_t n = 0;

	(void)state;
	ok(tree_open(k.audit, &p, &t, e));
	for (;; n++) {
		ok(tree_next(t, &r, &leaf, e));
		if (!r)
			break;
		assert_int_equal(tree_number(t), n);
	}
	assert_int_equal(n, FILES + 1);
	ok(tree_seek(t, "f02000", 6, e));
	assert_next(t, "f02000");
	assert_int_equal(tree_number(t), 2001);
}

static void test_tree_use_cache__nodes_are_read_once(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = many_files(&k);
	struct node_cache *cache = node_cache_new(16 * MIB);
	auto_tree struct tree *t = NULL;
	auto_tree struct tree *other = NULL;
	const struct record *r;
	struct leaf *leaf;
	char name[16];

	(void)state;
	ok(tree_open(k.audit, &p, &t, e));
	tree_use_cache(t, cache);
	for (;;) {
		ok(tree_next(t, &r, &leaf, e));
		if (!r)
			break;
	}
	/* The pack of nodes is gone, and nobody needs it. */
	char pack[PACK_KEY_MAX];
	pack_key_name(pack, p.root.pack, CHUNK_NODE);
	ok(store_delete(k.store, pack, e));
	ok(tree_open(k.audit, &p, &other, e));
	tree_use_cache(other, cache);
	for (unsigned i = 0; i < FILES; i += 101) {
		name_of(i, name);
		ok(tree_lookup(other, name, strlen(name), &r, &leaf, e));
		ok(tree_seek_number(t, i + 1, e));
		assert_next(t, name);
	}
	tree_free(STEAL(&t));
	tree_free(STEAL(&other));
	node_cache_free(cache);
}

static void test_tree_seek_part__finds_the_record_at_or_before(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = many_files(&k);
	auto_tree struct tree *t = NULL;
	char name[16];

	(void)state;
	ok(tree_open(k.audit, &p, &t, e));
	for (unsigned i = 0; i < FILES; i += 53) {
		name_of(i, name);
		/* No file here goes on in a second record. */
		ok(tree_seek_part(t, name, strlen(name), 12345, e));
		assert_next(t, name);
		ok(tree_seek_part(t, name, strlen(name), 0, e));
		assert_next(t, name);
	}
	ok(tree_seek_part(t, "zzz", 3, 0, e));
	name_of(FILES - 1, name);
	assert_next(t, name);
	ok(tree_seek_part(t, "", 0, 0, e));
	assert_next(t, "");
}

static void test_tree_skip_same__reads_what_differs_alone(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_kit_point struct point p = many_files(&k);
	const struct kit_content more = {
		.volume = "v",
		.domain = "d",
		.n = 2,
		.files = FILES + 1,
		.bytes = 20,
		.from = FILES,
		.previous = &p,
	};
	auto_kit_point struct point q = kit_backup(&k, &more);
	auto_tree struct tree *a = NULL;
	auto_tree struct tree *b = NULL;
	const struct record *x;
	const struct record *y;
	struct leaf *leaf;
	unsigned n = 0;
	bool last = false, skipped = false, any = false;

	(void)state;
	ok(tree_open(k.audit, &p, &a, e));
	ok(tree_open(k.audit, &q, &b, e));
	for (;;) {
		ok(tree_skip_same(a, b, &skipped, e));
		any |= skipped;
		ok(tree_next(a, &x, &leaf, e));
		ok(tree_next(b, &y, &leaf, e));
		if (!y)
			break;
		n++;
		/* What is left comes in step, up to the one that is new. */
		if (x)
			assert_int_equal(source_path_cmp(x->path, x->path_len, y->path,
			                                 y->path_len),
			                 0);
		else
			last = y->path_len == 6 && memcmp(y->path, "f04000", 6) == 0;
	}
	assert_null(x);
	assert_true(last && any);
	assert_in_range(n, 1, FILES - 100);
	/* Of two that are the same nothing is left. */
	tree_free(STEAL(&b));
	tree_free(STEAL(&a));
	ok(tree_open(k.audit, &p, &a, e));
	ok(tree_open(k.audit, &p, &b, e));
	ok(tree_skip_same(a, b, &skipped, e));
	assert_true(skipped);
	ok(tree_next(a, &x, &leaf, e));
	ok(tree_next(b, &y, &leaf, e));
	assert_true(!x && !y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_seek_number__goes_to_each_record),
		cmocka_unit_test(test_tree_number__counts_along_a_walk),
		cmocka_unit_test(test_tree_use_cache__nodes_are_read_once),
		cmocka_unit_test(test_tree_seek_part__finds_the_record_at_or_before),
		cmocka_unit_test(test_tree_skip_same__reads_what_differs_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
