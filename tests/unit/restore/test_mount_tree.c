/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount shows: one point, or the directories of all, by their numbers. */
#include "restore/mount_tree.h"

#include "tests/unit/restore/browse_kit.h"

static bool add_name(void *arg, const char *name, size_t len, const struct stat *st, bool full,
                     uint64_t next)
{
	struct buf *b = arg;

	assert_true(st->st_ino > 0);
	assert_true(next > 0);
	(void)buf_put(b, name, len);
	(void)buf_printf(b, ":%o%s ", st->st_mode >> 12, full ? "" : "?");
	return true;
}

static void assert_names(struct mount_tree *t, uint64_t dir, const char *want)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	struct err why = ERR_INIT;
	bool damaged;

	ok(mount_tree_list(t, dir, 0, add_name, &text, &damaged, &why, e));
	assert_false(damaged);
	assert_string_equal(buf_cstr(&text), want);
}

/* The number of a path, from the root. */
static struct stat at(struct mount_tree *t, const char *path)
{
	auto_free char *copy = strdup(path);
	struct stat st;
	struct stat again;
	char *rest = copy;
	bool found;

	ok(mount_tree_stat(t, MOUNT_ROOT, &st, e));
	for (char *name; (name = strsep(&rest, "/"));) {
		ok(mount_tree_lookup(t, st.st_ino, name, &found, &st, e));
		if (!found)
			fail_msg("there is no '%s' of '%s'", name, path);
	}
	ok(mount_tree_stat(t, st.st_ino, &again, e));
	assert_memory_equal(&st, &again, sizeof(st));
	return st;
}

static void test_mount_tree__one_point_is_the_root(void **state)
{
	auto_world struct world w = world_new();
	struct mount_tree *t = NULL;
	CLEANUP(buf_clear) struct buf path = BUF_INIT(KIB);

	(void)state;
	world_file(&w, "d/f", 1, 100);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	const struct mount_tree_params params = { .shared = &s, .point = &p };
	ok(mount_tree_new(&params, &t, e));
	assert_names(t, MOUNT_ROOT, "d:4 ");
	assert_int_equal(at(t, "d/f").st_size, 100);
	mount_tree_path(t, at(t, "d/f").st_ino, &path);
	assert_string_equal(buf_cstr(&path), "d/f");
	struct browse *b;
	uint64_t number;
	ok(mount_tree_entry(t, at(t, "d/f").st_ino, &b, &number, e));
	assert_non_null(b);
	assert_int_equal(number, 2);
	struct stat st;
	fails(ERR_FORMAT, mount_tree_stat(t, 0, &st, e));
	fails(ERR_FORMAT, mount_tree_stat(t, (uint64_t)1 << 40 | 1, &st, e));
	fails(ERR_FORMAT, mount_tree_stat(t, 1000, &st, e));
	mount_tree_free(t);
}

static void test_mount_tree__an_image_is_one_file(void **state)
{
	auto_world struct world w = world_new();
	struct mount_tree *t = NULL;
	struct point p = { 0 };
	struct stat st;
	bool found;

	(void)state;
	world_sparse(&w, "image", 3 * 1024 * 1024, 1000000, 5000);
	auto_free char *image = world_at(&w, "image");
	world_backup_of(&w, image, &p);
	auto_shared struct browse_shared s = shared_new(&w);
	const struct mount_tree_params params = { .shared = &s, .point = &p };
	ok(mount_tree_new(&params, &t, e));
	point_clear(&p);
	assert_names(t, MOUNT_ROOT, "disk.img:10 ");
	assert_int_equal(at(t, "disk.img").st_size, 3 * 1024 * 1024);
	ok(mount_tree_lookup(t, MOUNT_ROOT, "image", &found, &st, e));
	assert_false(found);
	mount_tree_free(t);
}

/* All points: which were opened is counted. */
struct all {
	struct world *w;
	unsigned opened;
};

static int open_point(void *arg, const struct shelf_point *p, struct point *ret, struct err *e)
{
	struct all *a = arg;

	a->opened++;
	return repo_point(a->w->kit.recovery, p->session, ret, e);
}

static void test_mount_tree__all_points_have_directories_and_are_opened_late(void **state)
{
	auto_world struct world w = world_new();
	struct all all = { .w = &w };
	struct mount_tree *t = NULL;
	CLEANUP(shelf_clear) struct shelf shelf = { 0 };
	CLEANUP(buf_clear) struct buf text = BUF_INIT(KIB);
	struct stat st;
	bool found;

	(void)state;
	world_file(&w, "f", 1, 100);
	CLEANUP(point_clear) struct point one = world_backup(&w);
	world_file(&w, "g", 1, 100);
	CLEANUP(point_clear) struct point two = world_backup(&w);
	ok(shelf_add(&shelf, &one, e));
	ok(shelf_add(&shelf, &two, e));
	shelf_finish(&shelf);
	auto_shared struct browse_shared s = shared_new(&w);
	const struct mount_tree_params params = {
		.shared = &s, .shelf = &shelf, .open_point = open_point, .arg = &all
	};
	ok(mount_tree_new(&params, &t, e));
	assert_names(t, MOUNT_ROOT, "vol:4 ");
	(void)buf_printf(&text, "%s:4? %s:4? latest:12 ", shelf.points[0].name,
	                 shelf.points[1].name);
	assert_names(t, at(t, "vol").st_ino, buf_cstr(&text));
	buf_reset(&text);
	ok(mount_tree_link(t, at(t, "vol/latest").st_ino, &text, e));
	assert_string_equal(buf_cstr(&text), shelf.points[1].name);
	assert_int_equal(at(t, "vol/latest").st_size, text.len);
	assert_int_equal(all.opened, 0);

	/* by the digits of its id it is a link too */
	char path[200];
	(void)snprintf(path, sizeof(path), "vol/%.8s", one.id);
	buf_reset(&text);
	ok(mount_tree_link(t, at(t, path).st_ino, &text, e));
	assert_string_equal(buf_cstr(&text), shelf.points[0].name);
	assert_int_equal(all.opened, 0);

	(void)snprintf(path, sizeof(path), "vol/%s", shelf.points[0].name);
	st = at(t, path);
	assert_int_equal(all.opened, 1);
	assert_names(t, st.st_ino, "f:10 ");
	(void)snprintf(path, sizeof(path), "vol/%s/g", shelf.points[1].name);
	st = at(t, path);
	assert_int_equal(all.opened, 2);
	buf_reset(&text);
	mount_tree_path(t, st.st_ino, &text);
	assert_string_equal(buf_cstr(&text), path);
	ok(mount_tree_lookup(t, MOUNT_ROOT, "nothing", &found, &st, e));
	assert_false(found);
	ok(mount_tree_lookup(t, at(t, "vol").st_ino, "2020-01-01T00:00:00.000Z", &found, &st, e));
	assert_false(found);
	fails(ERR_INVALID, mount_tree_link(t, at(t, "vol").st_ino, &text, e));
	mount_tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_tree__one_point_is_the_root),
		cmocka_unit_test(test_mount_tree__an_image_is_one_file),
		cmocka_unit_test(test_mount_tree__all_points_have_directories_and_are_opened_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
