/* SPDX-License-Identifier: Apache-2.0 */
/* What of a point is wanted: paths, patterns, and all that is below what they name. */
#include "restore/select.h"

#include "tests/unit/restore/craft.h"

static void clean_select(struct select *const *s)
{
	select_free(*s);
}
#define auto_select CLEANUP(clean_select)

static struct select *of(const char *const *paths, const char *const *patterns)
{
	struct select *s = select_new();

	assert_non_null(s);
	for (; paths && *paths; paths++)
		ok(select_add_path(s, *paths, e));
	for (; patterns && *patterns; patterns++)
		ok(select_add_pattern(s, *patterns, e));
	ok(select_finish(s, e));
	return s;
}

static bool has(struct select *s, const char *path, bool is_dir)
{
	return select_has(s, path, strlen(path), is_dir);
}

static void assert_roots(const struct select *s, const char *want)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(KIB);
	size_t n;
	const char *const *roots = select_roots(s, &n);

	for (size_t i = 0; i < n; i++)
		(void)buf_printf(&text, "<%s>", roots[i]);
	assert_string_equal(buf_cstr(&text), want);
}

static void test_select_has__paths_with_all_below(void **state)
{
	static const char *const paths[] = { "d/e", "a", "a/b", NULL };
	auto_select struct select *s = of(paths, NULL);

	(void)state;
	assert_roots(s, "<a><d/e>");
	assert_true(has(s, "a", true));
	assert_true(has(s, "a/x/y", false));
	assert_true(has(s, "d/e", false));
	assert_false(has(s, "d", true));
	assert_false(has(s, "d/ef", false));
	assert_false(has(s, "", true));
}

static void test_select_has__patterns_with_all_below(void **state)
{
	static const char *const patterns[] = { "etc/**/*.conf", "log*/", NULL };
	auto_select struct select *s = of(NULL, patterns);

	(void)state;
	assert_true(has(s, "etc/a.conf", false));
	assert_true(has(s, "etc/x/y/a.conf", false));
	assert_false(has(s, "a.conf", false));
	assert_true(has(s, "etc/x.conf/deep/file", false));
	assert_true(has(s, "var/logs", true));
	assert_true(has(s, "var/logs/one", false));
	assert_false(has(s, "var/logs", false));
	assert_false(has(s, "var", true));
	assert_false(has(s, "etc", true));
	/* the second one may be anywhere */
	assert_roots(s, "<>");
}

static void test_select_finish__patterns_are_looked_for_below_their_folders(void **state)
{
	static const char *const one[] = { "etc/ssl/*.pem", "/usr/share/[a-c]*", "/top*", NULL };
	static const char *const two[] = { "etc/ssl/*.pem", "!odd/x*", "a\\*b/*", NULL };
	auto_select struct select *s = of(NULL, one);
	auto_select struct select *t = of(NULL, two);

	(void)state;
	assert_roots(s, "<>");
	assert_roots(t, "<>");
	assert_true(has(s, "top1", false));
	assert_false(has(s, "etc/top1", false));
	assert_true(has(t, "!odd/x1", false));
	assert_true(has(t, "a*b/c", false));
	assert_false(has(t, "axb/c", false));
	static const char *const three[] = { "etc/ssl/*.pem", "etc/x*", "var/?", NULL };
	auto_select struct select *u = of(NULL, three);
	assert_roots(u, "<etc><var>");
}

static void test_select_add_pattern__refuses_what_fits_nothing(void **state)
{
	auto_select struct select *s = select_new();

	(void)state;
	fails(ERR_INVALID, select_add_pattern(s, "../*", e));
	fails(ERR_INVALID, select_add_pattern(s, "a//*", e));
	assert_true(select_is_pattern("a*"));
	assert_true(select_is_pattern("[a]"));
	assert_false(select_is_pattern("a/b\\c!"));
}

/* a, a/one.c, a/two.h, b, b/one.c, c.c */
static struct point crafted(struct world *w)
{
	const struct extent x = { EXTENT_ZERO, 0, 100 };
	struct craft c;

	craft_begin(&c, w);
	craft_dir(&c, "");
	craft_dir(&c, "a");
	craft_file(&c, "a/one.c", 100, 0, &x, 1);
	craft_file(&c, "a/two.h", 100, 0, &x, 1);
	craft_dir(&c, "b");
	craft_file(&c, "b/one.c", 100, 0, &x, 1);
	craft_file(&c, "c.c", 100, 0, &x, 1);
	return craft_end(&c);
}

static void test_select_scan__counts_what_is_wanted(void **state)
{
	static const char *const a[] = { "a", NULL };
	static const char *const all_c[] = { "*.c", NULL };
	static const char *const one_c[] = { "one.*", "a*", NULL };
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = crafted(&w);
	auto_tree struct tree *t = NULL;
	struct select_counts n;

	(void)state;
	ok(tree_open(w.kit.recovery, &p, &t, e));
	auto_select struct select *s = of(NULL, all_c);
	ok(select_scan(s, t, NULL, &n, e));
	assert_int_equal(n.matched, 3);
	assert_int_equal(n.entries, 3);
	assert_int_equal(n.bytes, 300);
	auto_select struct select *both = of(a, all_c);
	ok(select_scan(both, t, NULL, &n, e));
	assert_int_equal(n.matched, 4);
	assert_int_equal(n.entries, 5);
	/* two that fit the same entry are both found */
	auto_select struct select *twice = of(a, one_c);
	ok(select_scan(twice, t, NULL, &n, e));
	assert_int_equal(n.matched, 3);
}

static void test_select_scan__says_what_fits_nothing(void **state)
{
	static const char *const c_and_d[] = { "*.c", "*.d", NULL };
	static const char *const a[] = { "a/*.c", NULL };
	static const char *const none[] = { "none", NULL };
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = crafted(&w);
	auto_tree struct tree *t = NULL;
	struct select_counts n;

	(void)state;
	ok(tree_open(w.kit.recovery, &p, &t, e));
	auto_select struct select *s = of(NULL, c_and_d);
	fails_saying(ERR_NOT_FOUND, "fits '*.d'", select_scan(s, t, NULL, &n, e));
	auto_select struct select *path = of(none, a);
	fails_saying(ERR_NOT_FOUND, "no 'none'", select_scan(path, t, NULL, &n, e));
}

static void test_restore_run__brings_what_is_selected_with_parents(void **state)
{
	static const char *const patterns[] = { "**/*.c", NULL };
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = crafted(&w);
	auto_select struct select *s = of(NULL, patterns);
	struct restore_params params = { .threads = 2, .select = s, .root = true };
	struct stat st;

	(void)state;
	params.paths = select_roots(s, &params.npaths);
	ok(world_try(&w, &p, w.out, 0, &params, e));
	assert_true(file_exists(w.out, "a/one.c"));
	assert_false(file_exists(w.out, "a/two.h"));
	assert_true(file_exists(w.out, "b/one.c"));
	assert_true(file_exists(w.out, "c.c"));
	assert_int_equal(atomic_load(&w.report.files), 3);
	/* the directories above have their own times, and so has the target itself */
	auto_free char *a = path_join(w.out, "a");
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(stat(w.out, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
}

static void test_restore_run__a_link_to_what_is_not_selected_gets_the_content(void **state)
{
	static const char *const patterns[] = { "z*", NULL };
	auto_world struct world w = world_new();
	struct stat st;

	(void)state;
	world_file(&w, "a/first", 7, 300000);
	auto_free char *first = world_at(&w, "a/first");
	auto_free char *z1 = world_at(&w, "z1");
	auto_free char *z2 = world_at(&w, "z2");
	assert_int_equal(link(first, z1), 0);
	assert_int_equal(link(first, z2), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_select struct select *s = of(NULL, patterns);
	struct restore_params params = { .threads = 2, .select = s };
	params.paths = select_roots(s, &params.npaths);
	ok(world_try(&w, &p, w.out, 0, &params, e));
	assert_false(file_exists(w.out, "a"));
	size_t n;
	auto_free char *want = read_file(w.src, "a/first", NULL);
	auto_free char *got = read_file(w.out, "z2", &n);
	assert_int_equal(n, 300000);
	assert_memory_equal(got, want, n);
	auto_free char *out = path_join(w.out, "z1");
	assert_int_equal(stat(out, &st), 0);
	assert_int_equal(st.st_nlink, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_select_has__paths_with_all_below),
		cmocka_unit_test(test_select_has__patterns_with_all_below),
		cmocka_unit_test(test_select_finish__patterns_are_looked_for_below_their_folders),
		cmocka_unit_test(test_select_add_pattern__refuses_what_fits_nothing),
		cmocka_unit_test(test_select_scan__counts_what_is_wanted),
		cmocka_unit_test(test_select_scan__says_what_fits_nothing),
		cmocka_unit_test(test_restore_run__brings_what_is_selected_with_parents),
		cmocka_unit_test(test_restore_run__a_link_to_what_is_not_selected_gets_the_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
