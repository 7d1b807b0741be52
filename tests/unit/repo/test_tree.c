/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees: what is built decodes to the same records; equal ranges give equal nodes; nonsense is
 * refused.
 */
#include "repo/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/harness/harness.h"

/* Nodes in memory, by order of arrival. */
struct nodes {
	struct {
		uint8_t id[32];
		uint8_t *p;
		size_t n;
	} all[4096];
	size_t n;
	size_t put; /* calls, repeated ids too */
};

static int put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e)
{
	struct nodes *s = arg;

	(void)e;
	s->put++;
	memset(ref->pack, 0xaa, sizeof(ref->pack));
	memcpy(&ref->off, ref->id, 3);
	ref->off &= 0xffffff;
	ref->stored = (uint32_t)n + 16;
	ref->compression = COMPRESSION_NONE;
	for (size_t i = 0; i < s->n; i++)
		if (memcmp(s->all[i].id, ref->id, 32) == 0)
			return 0;
	assert_true(s->n < ARRAY_LEN(s->all));
	memcpy(s->all[s->n].id, ref->id, 32);
	s->all[s->n].p = malloc(n);
	memcpy(s->all[s->n].p, plain, n);
	s->all[s->n++].n = n;
	return 0;
}

static void nodes_clear(struct nodes *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->all[i].p);
	free(s);
}

static const struct domain_keys domain = { .name = "d", .node = { 1, 2, 3 } };

static struct chunk_ref chunk(unsigned i)
{
	struct chunk_ref r = { .off = 1000 * i,
		               .stored = 100000,
		               .plain = 1 << 20,
		               .counter = i,
		               .compression = COMPRESSION_ZSTD };

	fill_random(i, r.id, sizeof(r.id));
	memset(r.pack, (int)(i % 5), sizeof(r.pack));
	return r;
}

/* Regular file i of a series: path by number, one extent in a chunk that 100 files share. */
static void add_file(struct tree_builder *b, const char *path, unsigned i, int64_t mtime)
{
	struct err e = ERR_INIT;
	struct chunk_ref c = chunk(i / 100);
	const struct chunk_ref *list[] = { &c };
	struct extent x = { .chunk = 0, .off = (i % 100) * 1000, .len = 1000 };
	struct record r = {
		.path = path,
		.path_len = strlen(path),
		.st = { .mode = S_IFREG | 0644,
		        .uid = 5,
		        .gid = 6,
		        .nlink = 1,
		        .ino = i,
		        .size = 1000,
		        .mtime = { mtime, 7 },
		        .ctime = { 3, 4 } },
		.extents = &x,
		.nextents = 1,
	};

	assert_int_equal(tree_builder_add(b, &r, list, NULL, &e), 0);
}

static void add_dir(struct tree_builder *b, const char *path)
{
	struct err e = ERR_INIT;
	struct record r = {
		.path = path,
		.path_len = strlen(path),
		.st = { .mode = S_IFDIR | 0755, .nlink = 2, .ino = 1 },
	};

	assert_int_equal(tree_builder_add(b, &r, NULL, NULL, &e), 0);
}

static struct chunk_ref build(struct nodes *s, unsigned n, unsigned changed, uint32_t *ret_levels)
{
	struct tree_sink sink = { put_node, s };
	struct tree_builder *b = tree_builder_new(&domain, &sink);
	struct err e = ERR_INIT;
	struct chunk_ref root;
	char path[64];

	add_dir(b, "");
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "dir%03u/file%06u", i / 500, i);
		if (i % 500 == 0) {
			char dir[64];

			(void)snprintf(dir, sizeof(dir), "dir%03u", i / 500);
			add_dir(b, dir);
		}
		add_file(b, path, i, i == changed ? 99 : 2);
	}
	assert_int_equal(tree_builder_finish(b, &root, ret_levels, &e), 0);
	tree_builder_free(b);
	return root;
}

static void test_tree_builder__gives_back_every_record_in_order(void **state)
{
	struct nodes *s = calloc(1, sizeof(*s));
	uint32_t levels;
	unsigned seen = 0;
	struct err e = ERR_INIT;

	(void)state;
	(void)build(s, 20000, UINT32_MAX, &levels);
	assert_true(levels >= 2);
	/* Leaves come in order of their first records, because they were put in order. */
	for (size_t i = 0; i < s->n; i++) {
		struct leaf *l;

		if (s->all[i].p[1] != 0)
			continue;
		assert_int_equal(tree_leaf_decode(s->all[i].p, s->all[i].n, &l, &e), 0);
		for (size_t k = 0; k < l->nrecords; k++) {
			const struct record *r = &l->records[k];

			if (!S_ISREG(r->st.mode))
				continue;
			char path[64];
			struct chunk_ref c = chunk(seen / 100);
			(void)snprintf(path, sizeof(path), "dir%03u/file%06u", seen / 500, seen);
			assert_string_equal(r->path, path);
			assert_int_equal(r->st.ino, seen);
			assert_int_equal(r->nextents, 1);
			assert_int_equal(r->extents[0].off, (seen % 100) * 1000);
			assert_memory_equal(l->chunks[r->extents[0].chunk].id, c.id, 32);
			assert_memory_equal(l->chunks[r->extents[0].chunk].pack, c.pack, 16);
			assert_int_equal(l->chunks[r->extents[0].chunk].counter, c.counter);
			seen++;
		}
		leaf_unref(l);
	}
	assert_int_equal(seen, 20000);
	nodes_clear(s);
}

static void test_tree_builder__one_change_makes_one_path_of_nodes(void **state)
{
	struct nodes *s = calloc(1, sizeof(*s));
	uint32_t levels;

	(void)state;
	(void)build(s, 20000, UINT32_MAX, &levels);
	size_t before = s->n;
	(void)build(s, 20000, 7777, &levels);
	assert_int_equal(s->n - before, levels);
	(void)build(s, 20000, UINT32_MAX, &levels);
	assert_int_equal(s->n - before, levels);
	nodes_clear(s);
}

static void test_tree_builder__an_insertion_disturbs_few_leaves(void **state)
{
	struct nodes *s = calloc(1, sizeof(*s));
	uint32_t levels;

	(void)state;
	(void)build(s, 20000, UINT32_MAX, &levels);
	size_t before = s->n;
	/* 400 files more at the end: the leaves before them stay. */
	(void)build(s, 20400, UINT32_MAX, &levels);
	assert_true(s->n - before <= 8);
	nodes_clear(s);
}

static struct leaf *rebuild_one(const struct record *r, const struct chunk_ref *base,
                                struct nodes *s)
{
	struct tree_sink sink = { put_node, s };
	struct tree_builder *b = tree_builder_new(&domain, &sink);
	struct err e = ERR_INIT;
	struct chunk_ref root;
	struct leaf *l;
	uint32_t levels;

	assert_int_equal(tree_builder_add(b, r, NULL, base, &e), 0);
	assert_int_equal(tree_builder_finish(b, &root, &levels, &e), 0);
	assert_int_equal(levels, 1);
	tree_builder_free(b);
	assert_int_equal(tree_leaf_decode(s->all[s->n - 1].p, s->all[s->n - 1].n, &l, &e), 0);
	return l;
}

static void test_tree_leaf__keeps_every_member(void **state)
{
	struct nodes *s = calloc(1, sizeof(*s));
	struct chunk_ref base[2] = { chunk(1), chunk(2) };
	struct extent x[] = {
		{ EXTENT_HOLE, 0, 4096 }, { 1, 500, 100 },       { 0, 7, 9 },
		{ 1, 100, 50 },           { EXTENT_ZERO, 0, 1 },
	};
	static const char xattrs[] = "\4user\2hi";
	struct record r = {
		.path = "a/\xff\n",
		.path_len = 4,
		.st = { .mode = S_IFREG | 04755,
		        .uid = UINT32_MAX,
		        .gid = 1,
		        .nlink = 1,
		        .ino = UINT64_MAX,
		        .size = 4096 + 100 + 9 + 50 + 1,
		        .mtime = { -5, 999999999 },
		        .ctime = { INT64_MAX, 0 } },
		.flags = RECORD_XATTRS | RECORD_FSFLAGS | RECORD_PROJID | RECORD_CHANGED,
		.xattrs = (const uint8_t *)xattrs,
		.xattrs_len = 8,
		.fsflags = 0x10,
		.projid = 42,
		.extents = x,
		.nextents = ARRAY_LEN(x),
	};

	(void)state;
	struct leaf *l = rebuild_one(&r, base, s);
	const struct record *g = &l->records[0];
	assert_int_equal(g->path_len, 4);
	assert_memory_equal(g->path, r.path, 4);
	assert_int_equal(g->st.mode, r.st.mode);
	assert_int_equal(g->st.uid, r.st.uid);
	assert_int_equal(g->st.gid, r.st.gid);
	assert_int_equal(g->st.nlink, r.st.nlink);
	assert_true(g->st.ino == r.st.ino && g->st.size == r.st.size);
	assert_true(g->st.mtime.s == r.st.mtime.s && g->st.mtime.ns == r.st.mtime.ns);
	assert_true(g->st.ctime.s == r.st.ctime.s && g->st.ctime.ns == r.st.ctime.ns);
	assert_int_equal(g->flags, r.flags);
	assert_int_equal(g->xattrs_len, 8);
	assert_memory_equal(g->xattrs, xattrs, 8);
	assert_int_equal(g->fsflags, 0x10);
	assert_int_equal(g->projid, 42);
	assert_int_equal(g->nextents, ARRAY_LEN(x));
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		assert_int_equal(g->extents[i].len, x[i].len);
		assert_int_equal(g->extents[i].off, x[i].off);
		assert_int_equal(g->extents[i].chunk < 0, x[i].chunk < 0);
		if (x[i].chunk >= 0)
			assert_memory_equal(l->chunks[g->extents[i].chunk].id, base[x[i].chunk].id,
			                    32);
	}
	leaf_unref(l);
	nodes_clear(s);
}

static void test_tree_leaf__refuses_paths_that_leave_the_root(void **state)
{
	static const char *const bad[] = { "..", "a/../b", "/a", "a//b", "a/", ".", "a/./b" };
	struct record r = { .st = { .mode = S_IFDIR | 0755 } };
	struct tree_sink sink;
	struct chunk_ref root;
	uint32_t levels;
	struct leaf *l;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct nodes *s = calloc(1, sizeof(*s));
		struct err e = ERR_INIT;

		sink = (struct tree_sink){ put_node, s };
		struct tree_builder *b = tree_builder_new(&domain, &sink);
		r.path = bad[i];
		r.path_len = strlen(bad[i]);
		assert_int_equal(tree_builder_add(b, &r, NULL, NULL, &e), 0);
		assert_int_equal(tree_builder_finish(b, &root, &levels, &e), 0);
		tree_builder_free(b);
		assert_int_equal(tree_leaf_decode(s->all[0].p, s->all[0].n, &l, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		nodes_clear(s);
	}
}

static void test_tree_leaf__never_crashes_on_damage(void **state)
{
	struct nodes *s = calloc(1, sizeof(*s));
	uint32_t levels;
	uint64_t r;

	(void)state;
	(void)build(s, 300, UINT32_MAX, &levels);
	for (unsigned i = 0; i < 20000; i++) {
		struct err e = ERR_INIT;
		struct leaf *l;
		struct inner *in;

		fill_random(i, &r, sizeof(r));
		size_t at = (size_t)(r >> 8) % s->all[0].n;
		s->all[0].p[at] ^= (uint8_t)(r | 1);
		if (tree_leaf_decode(s->all[0].p, s->all[0].n, &l, &e) == 0)
			leaf_unref(l);
		if (tree_inner_decode(s->all[0].p, s->all[0].n, &in, &e) == 0)
			inner_free(in);
		s->all[0].p[at] ^= (uint8_t)(r | 1);
	}
	nodes_clear(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_builder__gives_back_every_record_in_order),
		cmocka_unit_test(test_tree_builder__one_change_makes_one_path_of_nodes),
		cmocka_unit_test(test_tree_builder__an_insertion_disturbs_few_leaves),
		cmocka_unit_test(test_tree_leaf__keeps_every_member),
		cmocka_unit_test(test_tree_leaf__refuses_paths_that_leave_the_root),
		cmocka_unit_test(test_tree_leaf__never_crashes_on_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
