/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges in which two files differ. */
#include "restore/compare.h"

#include "tests/unit/restore/browse_kit.h"

static int put_range(void *arg, uint64_t off, uint64_t len, struct err *e)
{
	(void)e;
	return buf_printf(arg, "%llu+%llu ", (unsigned long long)off, (unsigned long long)len);
}

/* Files by number: 1 is plain, and so on in the order of the tests' names below. */
static struct point crafted(struct world *w)
{
	struct craft c;

	craft_begin(&c, w);
	int64_t plain = craft_chunk(&c, 1, 20000);
	int64_t other = craft_chunk(&c, 2, 20000);
	int64_t head = craft_chunk(&c, 1, 8192); /* begins as `plain` does, in a chunk of its own */
	const struct extent a[] = { { plain, 0, 20000 } };
	const struct extent b[] = { { other, 0, 20000 } };
	const struct extent anew[] = { { head, 0, 8192 }, { plain, 8192, 11808 } };
	const struct extent middle[] = { { head, 0, 8000 },
		                         { other, 8000, 500 },
		                         { plain, 8500, 11500 } };
	const struct extent longer[] = { { plain, 0, 20000 }, { EXTENT_HOLE, 0, 100 } };
	const struct extent hole[] = { { EXTENT_HOLE, 0, 20000 } };
	const struct extent zero[] = { { EXTENT_ZERO, 0, 20000 } };
	craft_dir(&c, "");
	craft_file(&c, "a", 20000, 0, a, 1);
	craft_file(&c, "b", 20000, 0, b, 1);
	craft_file(&c, "c", 20000, 0, anew, 2);
	craft_file(&c, "d", 20000, 0, middle, 3);
	craft_file(&c, "e", 20100, 0, longer, 2);
	craft_file(&c, "f", 20000, 0, hole, 1);
	craft_file(&c, "g", 20000, 0, zero, 1);
	return craft_end(&c);
}

static void test_compare_files__tells_ranges_in_pages(void **state)
{
	static const struct {
		uint64_t a, b;
		const char *ranges, *unread; /* with contents; with what the tree tells alone */
	} cases[] = {
		{ 1, 1, "", "" },
		{ 1, 2, "0+20000 ", "0+20000 " },
		{ 1, 3, "", "0+8192 " },
		{ 3, 1, "", "0+8192 " },
		{ 1, 4, "4096+8192 ", "0+12288 " },
		{ 1, 5, "16384+3716 ", "16384+3716 " },
		{ 5, 1, "16384+3716 ", "16384+3716 " },
		{ 1, 6, "0+20000 ", "0+20000 " },
		{ 6, 7, "", "" },
	};
	auto_world struct world w = world_new();

	(void)state;
	CLEANUP(point_clear) struct point p = crafted(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	struct browse_shared unread = s;
	auto_browse struct browse *b = NULL;
	auto_browse struct browse *bare = NULL;
	unread.chunks = NULL;
	ok(browse_open(&s, &p, &b, e));
	ok(browse_open(&unread, &p, &bare, e));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int full = 0; full < 2; full++) {
			CLEANUP(buf_clear) struct buf text = BUF_INIT(KIB);
			const struct compare_file x = { full ? b : bare, cases[i].a };
			const struct compare_file y = { full ? b : bare, cases[i].b };
			uint64_t bytes;
			uint64_t again;

			ok(compare_files(&x, &y, put_range, &text, &bytes, e));
			assert_string_equal(buf_cstr(&text),
			                    full ? cases[i].ranges : cases[i].unread);
			ok(compare_files(&x, &y, NULL, NULL, &again, e));
			assert_int_equal(bytes, again);
			assert_int_equal(bytes > 0, text.len > 0);
		}
	}
}

static void test_compare_files__fails_where_content_is_damaged(void **state)
{
	auto_world struct world w = world_new();
	const struct record *r;
	struct leaf *leaf;
	char name[PACK_KEY_MAX];
	uint64_t bytes;

	(void)state;
	CLEANUP(point_clear) struct point p = crafted(&w);
	auto_tree struct tree *t = NULL;
	ok(tree_open(w.kit.recovery, &p, &t, e));
	ok(tree_lookup(t, "b", 1, &r, &leaf, e));
	const struct chunk_ref *ref = &leaf->chunks[r->extents[0].chunk];
	pack_key_name(name, ref->pack, CHUNK_DATA);
	kit_flip(&w.kit, name, ref->off + 5);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	const struct compare_file x = { b, 1 };
	const struct compare_file y = { b, 2 };
	fails(ERR_CORRUPT, compare_files(&x, &y, NULL, NULL, &bytes, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare_files__tells_ranges_in_pages),
		cmocka_unit_test(test_compare_files__fails_where_content_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
