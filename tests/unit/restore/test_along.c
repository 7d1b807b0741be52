/* SPDX-License-Identifier: Apache-2.0 */
/* Walking along the content of a file. */
#include "restore/along.h"

#include "tests/unit/restore/browse_kit.h"

static void test_along_next__gives_each_stretch_from_where_it_begins(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;
	struct span s;

	(void)state;
	craft_begin(&c, &w);
	int64_t one = craft_chunk(&c, 1, 1000);
	const struct extent first[] = { { one, 200, 800 }, { EXTENT_HOLE, 0, 5000 } };
	const struct extent more[] = { { EXTENT_ZERO, 0, 100 } };
	craft_dir(&c, "");
	craft_file(&c, "f", 5900, RECORD_CONTINUED, first, 2);
	craft_more(&c, "f", 5800, more, 1);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared shared = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&shared, &p, &b, e));
	auto_along struct along a = ALONG(b);
	ok(along_begin(&a, 1, 0, e));
	assert_int_equal(a.size, 5900);
	ok(along_next(&a, &s, e));
	assert_true(s.data && s.off == 0 && s.len == 800 && s.chunk_off == 200);
	ok(along_next(&a, &s, e));
	assert_true(!s.data && s.hole && s.off == 800 && s.len == 5000);
	ok(along_next(&a, &s, e));
	assert_true(!s.data && !s.hole && s.off == 5800 && s.len == 100);
	struct err none = ERR_INIT;
	assert_int_equal(along_next(&a, &s, &none), 0);

	/* from within the second record */
	auto_along struct along late = ALONG(b);
	ok(along_begin(&late, 1, 5850, e));
	ok(along_next(&late, &s, e));
	assert_int_equal(s.off, 5800);
}

static void test_along_begin__refuses_what_is_no_file(void **state)
{
	auto_world struct world w = world_new();
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared shared = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&shared, &p, &b, e));
	auto_along struct along a = ALONG(b);
	fails(ERR_INVALID, along_begin(&a, 0, 0, e));
}

static void test_along_cut__keeps_what_lies_within(void **state)
{
	struct span s = { .data = true, .chunk_off = 10, .off = 100, .len = 50 };

	(void)state;
	assert_false(along_cut(&s, 150, 200));
	assert_true(along_cut(&s, 120, 130));
	assert_int_equal(s.off, 120);
	assert_int_equal(s.len, 10);
	assert_int_equal(s.chunk_off, 30);
	assert_true(along_cut(&s, 0, 1000));
	assert_int_equal(s.len, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_along_next__gives_each_stretch_from_where_it_begins),
		cmocka_unit_test(test_along_begin__refuses_what_is_no_file),
		cmocka_unit_test(test_along_cut__keeps_what_lies_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
