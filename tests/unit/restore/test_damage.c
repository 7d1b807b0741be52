/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring from damaged repositories: exact, or said to be missing, and never silently wrong. */
#include "restore/restore.h"

#include "tests/unit/restore/craft.h"

static const struct restore_params skipping = { .on_corrupt = CORRUPT_SKIP, .threads = 2 };

/* Flips a byte of the chunk that extent number i of a file is in. Twice: as before. */
static void hurt_file(struct world *w, const struct point *p, const char *path, size_t i)
{
	const struct record *r;
	struct leaf *leaf;
	struct tree *t = NULL;
	char name[PACK_KEY_MAX];

	ok(tree_open(w->kit.recovery, p, &t, e));
	ok(tree_lookup(t, path, strlen(path), &r, &leaf, e));
	assert_true(i < r->nextents && r->extents[i].chunk >= 0);
	const struct chunk_ref *ref = &leaf->chunks[r->extents[i].chunk];
	pack_key_name(name, ref->pack, CHUNK_DATA);
	kit_flip(&w->kit, name, ref->off + 5);
	tree_free(t);
}

/* Each file of the target that has the name of one of the volume is the same. Counts them. */
static unsigned count_exact(const struct world *w, const char *const *names, size_t n)
{
	unsigned exact = 0;

	for (size_t i = 0; i < n; i++) {
		size_t a_len;
		size_t b_len;

		if (!file_exists(w->out, names[i]))
			continue;
		auto_free char *a = read_file(w->src, names[i], &a_len);
		auto_free char *b = read_file(w->out, names[i], &b_len);
		assert_int_equal(a_len, b_len);
		assert_memory_equal(a, b, a_len);
		exact++;
	}
	return exact;
}

/* ---- data ---- */

static void test_restore_run__stops_at_damaged_data_and_keeps_nothing_of_it(void **state)
{
	auto_world struct world w = world_new();
	static const char *const names[] = { "a", "b", "c", "large", "z" };

	(void)state;
	world_file(&w, "a", 1, 1000);
	world_file(&w, "b", 2, 1000);
	world_file(&w, "c", 3, 1000);
	world_file(&w, "large", 4, 12 * MIB);
	world_file(&w, "z", 5, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	hurt_file(&w, &p, "large", 3);
	fails_saying(ERR_CORRUPT, "restoring 'large'", world_try(&w, &p, w.out, 0, NULL, e));
	assert_false(file_exists(w.out, "large"));
	assert_true(count_exact(&w, names, ARRAY_LEN(names)) <= 4);
	/* in place the file was there before, so it stays */
	auto_free char *out2 = path_join(w.dir, "out2");
	assert_int_equal(mkdir(out2, 0755), 0);
	write_text(out2, "large", "x");
	fails_saying(ERR_CORRUPT, "is damaged", world_try(&w, &p, out2, TARGET_IN_PLACE, NULL, e));
	assert_true(file_exists(out2, "large"));
}

static void test_restore_run__skips_damaged_data_and_lists_it(void **state)
{
	auto_world struct world w = world_new();
	static const char *const names[] = { "a", "z" };

	(void)state;
	world_file(&w, "a", 1, 1000);
	world_file(&w, "large", 4, 12 * MIB);
	world_file(&w, "z", 5, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	hurt_file(&w, &p, "large", 3);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(count_exact(&w, names, 2), 2);
	assert_int_equal(w.report.gap_count, 1);
	const struct gap *g = &w.report.gaps[0];
	assert_int_equal(g->kind, GAP_RANGE);
	assert_string_equal(g->path, "large");
	assert_int_equal(g->len, w.report.gap_bytes);
	assert_non_null(strstr(g->why, "is damaged"));
	assert_in_range(g->len, 1, 4 * MIB);

	/* exact around the hole */
	size_t n;
	size_t m;
	auto_free char *want = read_file(w.src, "large", &n);
	auto_free char *got = read_file(w.out, "large", &m);
	assert_int_equal(n, m);
	memset(want + g->off, 0, g->len);
	assert_memory_equal(got, want, n);
	fails_saying(ERR_PARTIAL, "has lost", report_verdict(&w.report, e));
}

/* In place: over another state, and over one that is known. */
static void test_restore_run__a_gap_is_a_hole_where_something_else_was(void **state)
{
	auto_world struct world w = world_new();
	const char *const all = "large";

	(void)state;
	world_file(&w, all, 4, 12 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_file(&w, all, 5, 12 * MIB);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	hurt_file(&w, &q, all, 3);
	for (int known = 0; known < 2; known++) {
		struct restore_params params = skipping;
		size_t n;
		size_t m;

		world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
		params.base = known ? &p : NULL;
		ok(world_try(&w, &q, w.out,
		             TARGET_IN_PLACE | TARGET_DELETE | (known ? TARGET_KNOWN : 0), &params,
		             e));
		assert_int_equal(w.report.gap_count, 1);
		const struct gap *g = &w.report.gaps[0];
		auto_free char *want = read_file(w.src, all, &n);
		auto_free char *got = read_file(w.out, all, &m);
		assert_int_equal(n, m);
		memset(want + g->off, 0, g->len);
		assert_memory_equal(got, want, n);
	}
}

static void test_restore_run__files_of_one_damaged_chunk_are_all_listed(void **state)
{
	auto_world struct world w = world_new();
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "small%02u", i);
		world_file(&w, name, i, 5000 + i);
	}
	CLEANUP(point_clear) struct point p = world_backup(&w);
	hurt_file(&w, &p, "small07", 0);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(w.report.gap_count, 40);
	assert_int_equal(w.report.files, 40);
	for (unsigned i = 0; i < 40; i++) {
		struct stat st;

		(void)snprintf(name, sizeof(name), "small%02u", i);
		auto_free char *path = path_join(w.out, name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 5000 + i);
		assert_int_equal(st.st_blocks, 0);
	}
	auto_free char *out2 = path_join(w.dir, "out2");
	fails_saying(ERR_CORRUPT, "is damaged", world_try(&w, &p, out2, 0, NULL, e));
	assert_int_equal(count_files(out2), 0);
}

static void test_restore_run__a_pack_that_is_gone_is_damage(void **state)
{
	auto_world struct world w = world_new();
	static struct kit_names names;

	(void)state;
	world_file(&w, "a", 1, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	kit_list(&w.kit, "pack/", &names);
	kit_remove(&w.kit, names.keys[0]);
	fails_saying(ERR_CORRUPT, "restoring 'a'", world_try(&w, &p, w.out, 0, NULL, e));
	world_remove(w.out);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(w.report.gap_count, 1);
}

static void test_restore_run__a_key_that_reads_no_data_is_no_damage(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "a", 1, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	struct repo *recovery = w.kit.recovery;
	w.kit.recovery = w.kit.agent;
	fails(ERR_DENIED, world_try(&w, &p, w.out, 0, &skipping, e));
	w.kit.recovery = recovery;
}

static void test_restore_run__comparing_reads_what_was_changed_behind_its_back(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "a", 1, 10 * MIB);
	world_file(&w, "b", 2, 100);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	world_poke(w.out, "a", 9999999);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE | TARGET_COMPARE, NULL, e));
	w.report.verified = true;
	assert_int_equal(w.report.differ_count, 1);
	assert_string_equal(w.report.gaps[0].path, "a");
	fails_saying(ERR_CORRUPT, "differ from the restore point", report_verdict(&w.report, e));
}

/* ---- the tree ---- */

struct leaves {
	struct chunk_ref refs[256];
	size_t n;
	struct chunk_ref root;
};

static int take_node(void *arg, const struct chunk_ref *ref, unsigned level, struct err *e)
{
	struct leaves *l = arg;

	(void)e;
	if (level == 0 && l->n < ARRAY_LEN(l->refs))
		l->refs[l->n++] = *ref;
	l->root = *ref;
	return 0;
}

static void find_leaves(struct world *w, const struct point *p, struct leaves *ret)
{
	struct tree *t = NULL;

	ret->n = 0;
	ok(tree_open(w->kit.recovery, p, &t, e));
	ok(tree_each_node(t, take_node, ret, e));
	tree_free(t);
}

static void flip_node(struct world *w, const struct chunk_ref *ref)
{
	char name[PACK_KEY_MAX];

	pack_key_name(name, ref->pack, CHUNK_NODE);
	kit_flip(&w->kit, name, ref->off + 3);
}

#define WIDE 4000

/* Names that have little in common, so that the tree has several leaves. */
static const char *wide_name(unsigned i, char ret[128])
{
	uint64_t r[4];

	fill_random(i, r, sizeof(r));
	(void)snprintf(ret, 128, "d%02u/%016llx%016llx%016llx%016llx", i / 100,
	               (unsigned long long)r[0], (unsigned long long)r[1], (unsigned long long)r[2],
	               (unsigned long long)r[3]);
	return ret;
}

static void make_wide(struct world *w)
{
	char name[128];

	for (unsigned i = 0; i < WIDE; i++)
		world_file(w, wide_name(i, name), i, i % 50);
	for (unsigned i = 0; i < 10; i++) {
		auto_free char *from = world_at(w, wide_name(i * 200, name));
		(void)snprintf(name, sizeof(name), "z%u", i);
		auto_free char *to = world_at(w, name);
		assert_int_equal(linkat(AT_FDCWD, from, AT_FDCWD, to, 0), 0);
	}
}

static void test_restore_run__each_damaged_leaf_costs_its_own_entries(void **state)
{
	auto_world struct world w = world_new();
	static struct leaves l;

	(void)state;
	make_wide(&w);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	find_leaves(&w, &p, &l);
	assert_true(l.n >= 2);
	for (size_t i = 0; i < l.n; i++) {
		flip_node(&w, &l.refs[i]);
		struct err err = ERR_INIT;
		assert_int_equal(world_try(&w, &p, w.out, 0, NULL, &err), -1);
		assert_int_equal(err.class, ERR_CORRUPT);
		world_remove(w.out);

		ok(world_try(&w, &p, w.out, 0, &skipping, e));
		assert_true(w.report.gap_count >= 1);
		assert_int_equal(w.report.gaps[0].kind, GAP_TREE);
		/* the rest is there, and all that is there is exact */
		assert_in_range(w.report.files + w.report.hardlinks, 1, WIDE + 10 - 1);
		unsigned exact = 0;
		for (unsigned k = 0; k < WIDE; k++) {
			char name[128];
			const char *one = wide_name(k, name);

			exact += count_exact(&w, &one, 1);
		}
		assert_int_equal(exact, w.report.files);
		world_remove(w.out);
		flip_node(&w, &l.refs[i]);
	}
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__deletes_nothing_that_a_damaged_tree_may_have(void **state)
{
	auto_world struct world w = world_new();
	static struct leaves l;

	(void)state;
	make_wide(&w);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	find_leaves(&w, &p, &l);
	flip_node(&w, &l.refs[l.n / 2]);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE | TARGET_DELETE, &skipping, e));
	assert_int_equal(w.report.deleted, 0);
	flip_node(&w, &l.refs[l.n / 2]);
	auto_free char *got = world_text(w.out);
	auto_free char *want = world_text(w.src);
	assert_int_equal(strlen(got), strlen(want));
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__without_a_root_there_is_nothing_to_restore(void **state)
{
	auto_world struct world w = world_new();
	static struct leaves l;

	(void)state;
	make_wide(&w);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	find_leaves(&w, &p, &l);
	flip_node(&w, &l.root);
	fails_saying(ERR_CORRUPT, "reading the point's tree",
	             world_try(&w, &p, w.out, 0, &skipping, e));
}

/* ---- trees that no backup makes ---- */

static void test_restore_run__refuses_names_that_lead_elsewhere(void **state)
{
	static const struct {
		const char *path;
		size_t len;
	} bad[] = {
		{ "../escaped", 10 },
		{ "/tmp/escaped", 12 },
		{ "a/../../escaped", 15 },
		{ "a//b", 4 },
		{ "a/./b", 5 },
		{ "a/", 2 },
		{ "nul\0inside", 10 },
		{ "..", 2 },
		{ ".", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_world struct world w = world_new();
		CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
		struct craft c;

		/* docs/FORMAT.md 9: version, level, no packs, no chunks, two records */
		craft_begin(&c, &w);
		buf_u8(&b, 1);
		buf_u8(&b, 0);
		buf_uvar(&b, 0);
		buf_uvar(&b, 0);
		buf_uvar(&b, 2);
		for (int k = 0; k < 2; k++) {
			buf_uvar(&b, 0);
			buf_bytes(&b, bad[i].path, k == 0 ? 0 : bad[i].len);
			buf_uvar(&b, 0);
			buf_u8(&b, 0);
			buf_uvar(&b, k == 0 ? S_IFDIR | 0755 : S_IFREG | 0644);
			for (int v = 0; v < 9; v++) /* uid gid nlink inode mtime ctime flags */
				buf_uvar(&b, 0);
			if (k == 1) {
				buf_uvar(&b, 0); /* size, extents */
				buf_uvar(&b, 0);
			}
		}
		struct point p = craft_raw(&c, b.data, b.len);
		struct err err = ERR_INIT;
		assert_int_equal(world_try(&w, &p, w.out, 0, NULL, &err), -1);
		assert_true(err.class == ERR_CORRUPT || err.class == ERR_FORMAT);
		assert_false(file_exists(w.dir, "escaped"));
		assert_int_equal(count_files(w.out), 0);
		assert_int_equal(access("/tmp/escaped", F_OK), -1);
	}
}

static void test_restore_run__refuses_entries_below_a_link(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *outside = path_join(w.dir, "outside");
	struct craft c;

	(void)state;
	assert_int_equal(mkdir(outside, 0755), 0);
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_link(&c, "link", outside);
	craft_file(&c, "link/escaped", 0, 0, NULL, 0);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails_saying(ERR_FORMAT, "without the directory", world_try(&w, &p, w.out, 0, NULL, e));
	assert_int_equal(count_files(outside), 0);
}

static void test_restore_run__refuses_entries_below_a_file(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_file(&c, "file", 0, 0, NULL, 0);
	craft_dir(&c, "file/dir");
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails_saying(ERR_FORMAT, "without the directory", world_try(&w, &p, w.out, 0, NULL, e));
}

static void test_restore_run__a_link_to_nothing_is_damage(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	const struct record r = {
		.path = "link",
		.st = { .mode = S_IFREG | 0644, .nlink = 2 },
		.flags = RECORD_HARDLINK,
		.hardlink = "first",
		.hardlink_len = 5,
	};
	craft_add(&c, &r);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails_saying(ERR_CORRUPT, "linking 'link' to 'first'",
	             world_try(&w, &p, w.out, 0, NULL, e));
	world_remove(w.out);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(w.report.gap_count, 1);
	assert_int_equal(w.report.gaps[0].kind, GAP_ENTRY);
}

static void test_restore_run__parts_that_are_missing_are_gaps(void **state)
{
	auto_world struct world w = world_new();
	const uint64_t window = 64 * MIB;
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	int64_t a = craft_chunk(&c, 1, 100000);
	const struct extent x = { .chunk = a, .len = 100000 };
	craft_dir(&c, "");
	/* its second and last window have content; the first part says less than is there */
	craft_file(&c, "file", 3 * window, RECORD_CONTINUED, &x, 1);
	craft_more(&c, "file", 2 * window, &x, 1);
	craft_file(&c, "next", 100000, 0, &x, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails_saying(ERR_CORRUPT, "has a gap", world_try(&w, &p, w.out, 0, NULL, e));
	assert_false(file_exists(w.out, "file"));
	world_remove(w.out);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(w.report.gap_count, 2);
	assert_int_equal(w.report.gaps[0].off, 100000);
	assert_int_equal(w.report.gaps[0].len, 2 * window - 100000);
	assert_int_equal(w.report.gaps[1].off, 2 * window + 100000);
	assert_int_equal(w.report.gap_bytes, 3 * window - 200000);
	struct stat st;
	auto_free char *path = path_join(w.out, "file");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 * window);
}

static void test_restore_run__a_part_without_its_file_is_a_gap(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	const struct extent x = { .chunk = craft_chunk(&c, 1, 1000), .len = 1000 };
	craft_dir(&c, "");
	craft_file(&c, "a", 1000, 0, &x, 1);
	craft_more(&c, "b", 64 * MIB, &x, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails_saying(ERR_CORRUPT, "without what is before it",
	             world_try(&w, &p, w.out, 0, NULL, e));
	world_remove(w.out);
	ok(world_try(&w, &p, w.out, 0, &skipping, e));
	assert_int_equal(w.report.gap_count, 1);
	assert_true(file_exists(w.out, "a"));
	assert_false(file_exists(w.out, "b"));
}

static void test_restore_run__more_content_than_the_size_is_refused(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	const struct extent x = { .chunk = craft_chunk(&c, 1, 1000), .len = 1000 };
	craft_dir(&c, "");
	craft_file(&c, "a", 64 * MIB + 500, RECORD_CONTINUED, &x, 1);
	craft_more(&c, "a", 64 * MIB, &x, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	const struct restore_params both[2] = { { .threads = 2 }, skipping };
	for (int i = 0; i < 2; i++) {
		struct err err = ERR_INIT;

		assert_int_equal(world_try(&w, &p, w.out, 0, &both[i], &err), -1);
		assert_true(err.class == ERR_FORMAT || err.class == ERR_CORRUPT);
		assert_false(file_exists(w.out, "a"));
		world_remove(w.out);
	}
}

static void test_restore_run__one_id_with_two_lengths_is_damage(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	int64_t a = craft_chunk(&c, 1, 1000);
	int64_t b = craft_chunk(&c, 2, 900000);
	memcpy(c.refs[b].id, c.refs[a].id, 32);
	const struct extent xa = { .chunk = a, .len = 1000 };
	const struct extent xb = { .chunk = b, .len = 900000 };
	craft_dir(&c, "");
	craft_file(&c, "a", 1000, 0, &xa, 1);
	craft_file(&c, "b", 900000, 0, &xb, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	fails(ERR_CORRUPT, world_try(&w, &p, w.out, 0, NULL, e));
}

static void test_restore_run__allocated_zeros_are_allocated_again(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	int64_t a = craft_chunk(&c, 1, 8192);
	const struct extent mixed[] = {
		{ .chunk = EXTENT_ZERO, .len = MIB },
		{ .chunk = a, .len = 8192 },
		{ .chunk = EXTENT_HOLE, .len = MIB },
		{ .chunk = EXTENT_ZERO, .len = MIB },
	};
	craft_dir(&c, "");
	craft_file(&c, "mixed", 3 * MIB + 8192, 0, mixed, 4);
	craft_file(&c, "zeros", MIB, 0, mixed, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	ok(world_try(&w, &p, w.out, 0, NULL, e));
	struct stat st;
	auto_free char *path = path_join(w.out, "mixed");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 * MIB + 8192);
	if (st.st_blocks > 100) /* a file system that can allocate */
		assert_in_range(st.st_blocks * 512, 2 * MIB, 2 * MIB + 200000);
	size_t n;
	auto_free char *got = read_file(w.out, "mixed", &n);
	auto_free char *want = calloc(1, n);
	fill_random(1, want + MIB, 8192);
	assert_memory_equal(got, want, n);

	/* in place, over other content */
	memset(got, 'x', n);
	write_file(w.out, "mixed", got, n);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, NULL, e));
	auto_free char *again = read_file(w.out, "mixed", NULL);
	assert_memory_equal(again, want, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore_run__stops_at_damaged_data_and_keeps_nothing_of_it),
		cmocka_unit_test(test_restore_run__skips_damaged_data_and_lists_it),
		cmocka_unit_test(test_restore_run__a_gap_is_a_hole_where_something_else_was),
		cmocka_unit_test(test_restore_run__files_of_one_damaged_chunk_are_all_listed),
		cmocka_unit_test(test_restore_run__a_pack_that_is_gone_is_damage),
		cmocka_unit_test(test_restore_run__a_key_that_reads_no_data_is_no_damage),
		cmocka_unit_test(
			test_restore_run__comparing_reads_what_was_changed_behind_its_back),
		cmocka_unit_test(test_restore_run__each_damaged_leaf_costs_its_own_entries),
		cmocka_unit_test(test_restore_run__deletes_nothing_that_a_damaged_tree_may_have),
		cmocka_unit_test(test_restore_run__without_a_root_there_is_nothing_to_restore),
		cmocka_unit_test(test_restore_run__refuses_names_that_lead_elsewhere),
		cmocka_unit_test(test_restore_run__refuses_entries_below_a_link),
		cmocka_unit_test(test_restore_run__refuses_entries_below_a_file),
		cmocka_unit_test(test_restore_run__a_link_to_nothing_is_damage),
		cmocka_unit_test(test_restore_run__parts_that_are_missing_are_gaps),
		cmocka_unit_test(test_restore_run__a_part_without_its_file_is_a_gap),
		cmocka_unit_test(test_restore_run__more_content_than_the_size_is_refused),
		cmocka_unit_test(test_restore_run__one_id_with_two_lengths_is_damage),
		cmocka_unit_test(test_restore_run__allocated_zeros_are_allocated_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
