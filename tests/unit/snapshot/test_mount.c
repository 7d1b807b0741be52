/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of mounts as texts, and real mounts in a namespace of their own. */
#include "snapshot/mount.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "tests/unit/snapshot/mounts.h"

#define PARSE(text, t) mount_parse(text, sizeof(text) - 1, t, &e)

static const char list[] =
	"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
	"30 22 0:26 / /run rw,nosuid shared:5 master:2 - tmpfs tmpfs rw,mode=755\n"
	"36 22 8:16 /vol/a\\040b /mnt/with\\040blank\\011tab rw,noatime - xfs /dev/sd\\134b rw\n"
	"37 22 8:16 / /mnt/all rw - xfs /dev/sdb rw\n"
	"41 37 0:41 / /mnt/all rw - tmpfs  rw\n";

static void test_mount_parse__takes_the_fields_and_undoes_escapes(void **state)
{
	static const char right[] =
		"36 22 8:16 /vol/a\\040b /mnt/with\\040blank\\011tab rw,noatime - xfs "
		"/dev/sd\\134b rw\n"
		"41 37 0:41 / /mnt/all rw - tmpfs  rw";
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(right, &t), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.v[0].id, 36);
	assert_int_equal(t.v[0].parent, 22);
	assert_int_equal(t.v[0].dev, makedev(8, 16));
	assert_string_equal(t.v[0].root, "/vol/a b");
	assert_string_equal(t.v[0].point, "/mnt/with blank\ttab");
	assert_string_equal(t.v[0].type, "xfs");
	assert_string_equal(t.v[0].source, "/dev/sd\\b");
	assert_string_equal(t.v[1].type, "tmpfs");
	assert_string_equal(t.v[1].source, "");
}

static void test_mount_parse__an_empty_text_has_no_mounts(void **state)
{
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(mount_parse(NULL, 0, &t, &e), 0);
	assert_int_equal(t.n, 0);
	assert_null(mount_by_id(&t, 1));
	assert_null(mount_first(&t, makedev(8, 1)));
}

static void test_mount_parse__refuses_what_is_no_list(void **state)
{
	static const char *const bad[] = {
		"x",
		"\n",
		"22 1 254:0 / / rw - ext4",
		"22 1 254:0 / / rw - ext4\n",
		"22 1 254:0 / / rw shared:1\n",
		"22 1 254:0 / / rw -  /dev/vda rw\n",
		"22 1 2540 / / rw - ext4 /dev/vda rw\n",
		"22 1 254:4294967296 / / rw - ext4 /dev/vda rw\n",
		"-2 1 254:0 / / rw - ext4 /dev/vda rw\n",
		"22 1 254:0 / mnt rw - ext4 /dev/vda rw\n",
		"22 1 254:0  / rw - ext4 /dev/vda rw\n",
		"22 1 254:0 / /a\\04 rw - ext4 /dev/vda rw\n",
		"22 1 254:0 / /a\\000 rw - ext4 /dev/vda rw\n",
		"22 1 254:0 / /a\\400 rw - ext4 /dev/vda rw\n",
		"22 1 254:0 / / rw - ext4 /dev/vda rw\n\n",
	};
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(mount_parse(bad[i], strlen(bad[i]), &t, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
	assert_string_equal(e.msg, "line 2 of the list of mounts is not understood");
	assert_int_equal(mount_parse("22 1 8:0 / /\0a rw - a b c", 26, &t, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(mount_parse("", MOUNT_TEXT_MAX + 1, &t, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_mount_first__prefers_the_whole_file_system(void **state)
{
	static const char text[] = "1 1 8:1 / / rw - ext4 a rw\n" /* its own parent */
				   "2 1 8:2 /sub /a rw - xfs b rw\n"
				   "3 1 8:2 / /b rw - xfs b rw\n"
				   "4 1 8:2 / /c rw - xfs b rw\n"
				   "5 3 8:3 / /b rw - xfs c rw\n"
				   "6 1 8:4 /x /d rw - xfs d rw\n";
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(text, &t), 0);
	const struct mount *m = mount_of_dev(&t, makedev(8, 2), NULL);
	assert_int_equal(m->id, 2);
	assert_true(mount_is_part(m));
	m = mount_of_dev(&t, makedev(8, 2), m);
	assert_int_equal(m->id, 3);
	assert_true(mount_is_hidden(&t, m));
	m = mount_of_dev(&t, makedev(8, 2), m);
	assert_int_equal(m->id, 4);
	assert_null(mount_of_dev(&t, makedev(8, 2), m));
	assert_int_equal(mount_first(&t, makedev(8, 2))->id, 4);
	assert_int_equal(mount_first(&t, makedev(8, 4))->id, 6);
	assert_null(mount_first(&t, makedev(8, 9)));
}

static void test_mount_is_hidden__what_lies_on_top_or_on_the_way_hides(void **state)
{
	static const char text[] = "1 0 8:1 / / rw - ext4 a rw\n"
				   "2 1 8:2 / /a/b rw - ext4 b rw\n"
				   "3 1 8:3 / /a rw - ext4 c rw\n"
				   "4 3 8:4 / /a/b rw - ext4 d rw\n"
				   "5 2 8:5 / /a/b/c rw - ext4 e rw\n"
				   "6 1 8:6 / /ab rw - ext4 f rw\n";
	static const bool hidden[] = { false, true, false, false, true, false };
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(text, &t), 0);
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		assert_int_equal(mount_is_hidden(&t, &t.v[i]), hidden[i]);
	mount_clear(&t);
	assert_int_equal(PARSE(list, &t), 0);
	assert_true(mount_is_hidden(&t, mount_by_id(&t, 37)));
	assert_false(mount_is_hidden(&t, mount_by_id(&t, 41)));
	assert_false(mount_is_hidden(&t, mount_by_id(&t, 22)));
}

static void test_mount_is_hidden__a_circle_of_parents_ends(void **state)
{
	static const char text[] = "1 2 8:1 / /a rw - ext4 a rw\n2 1 8:1 / /b rw - ext4 a rw\n";
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(text, &t), 0);
	assert_false(mount_is_hidden(&t, &t.v[0]));
}

static void test_mount_fs_equal__the_mount_decides_then_the_uuid_then_stat(void **state)
{
	struct mount_fs a = { .st_dev = 1 }, b = { .st_dev = 1 };

	(void)state;
	assert_true(mount_fs_equal(&a, &b));
	b.st_dev = 2;
	assert_false(mount_fs_equal(&a, &b));
	a.has_uuid = b.has_uuid = true;
	assert_true(mount_fs_equal(&a, &b));
	b.uuid[15] = 1;
	assert_false(mount_fs_equal(&a, &b));
	a.dev = b.dev = 7;
	assert_true(mount_fs_equal(&a, &b));
	b.dev = 8;
	b.st_dev = 1;
	assert_false(mount_fs_equal(&a, &b));
}

static int open_at(const char *dir, const char *name, int flags)
{
	auto_free char *path = path_join(dir, name);
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_dir(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static int bind_at(const char *dir, const char *from, const char *to)
{
	auto_free char *a = path_join(dir, from);
	auto_free char *b = path_join(dir, to);

	return mount(a, b, NULL, MS_BIND, NULL);
}

/* The place of what is at DIR/NAME now, or of fd. */
static struct mount_place place_of(struct mount_table *t, int fd)
{
	struct mount_place p;
	struct err e = ERR_INIT;

	mount_clear(t);
	assert_int_equal(mount_read(t, &e), 0);
	assert_int_equal(mount_find(t, fd, "it", &p, &e), 0);
	return p;
}

static const char *real_mounts(const char *dir)
{
	auto_mounts struct mount_table t = { 0 };
	auto_free char *vol = path_join(dir, "a volume");
	auto_free char *part = path_join(dir, "part");
	auto_free char *sub = path_join(dir, "a volume/sub");
	struct mount_place p;
	struct err e = ERR_INIT;
	bool same;

	make_dir(dir, "a volume");
	make_dir(dir, "part");
	assert_int_equal(mount_require(vol, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/a volume' is no mount point but a part of what is"));
	if (mount("source", vol, "tmpfs", 0, NULL) < 0)
		return "no tmpfs here";
	make_dir(vol, "sub");
	make_dir(vol, "sub/deep");
	assert_int_equal(mount_require(vol, &e), 0);
	assert_int_equal(mount_require(sub, &e), -1);
	assert_non_null(strstr(e.msg, "(tmpfs, 'source')"));
	auto_close int whole = open_at(dir, "a volume", O_PATH);
	p = place_of(&t, whole);
	assert_true(p.is_point && !p.is_part && !p.is_hidden);
	assert_string_equal(p.mount->point, vol);
	assert_string_equal(p.mount->type, "tmpfs");
	assert_string_equal(p.mount->source, "source");
	auto_close int inside = open_at(dir, "a volume/sub", O_RDONLY);
	p = place_of(&t, inside);
	assert_true(!p.is_point && !p.is_part && !p.is_hidden);

	/* a subpath, as pods get it */
	assert_int_equal(bind_at(dir, "a volume/sub", "part"), 0);
	auto_close int bound = open_at(dir, "part", O_RDONLY);
	p = place_of(&t, bound);
	assert_true(p.is_point && p.is_part && !p.is_hidden);
	assert_string_equal(p.mount->root, "/sub");
	assert_string_equal(mount_first(&t, p.mount->dev)->point, vol);
	assert_int_equal(mount_require(part, &e), 0);
	assert_int_equal(mount_same_fs(whole, bound, &same, &e), 0);
	assert_true(same);

	/* one on top of it: who opened it before has what cannot be seen any more */
	assert_int_equal(mount("other", part, "tmpfs", 0, NULL), 0);
	p = place_of(&t, bound);
	assert_true(p.is_point && p.is_hidden);
	auto_close int top = open_at(dir, "part", O_RDONLY);
	p = place_of(&t, top);
	assert_true(p.is_point && !p.is_part && !p.is_hidden);
	assert_int_equal(mount_same_fs(top, bound, &same, &e), 0);
	assert_false(same);

	/* gone from the namespace, and still open */
	assert_int_equal(umount2(part, MNT_DETACH), 0);
	mount_clear(&t);
	assert_int_equal(mount_read(&t, &e), 0);
	assert_int_equal(mount_find(&t, top, "it", &p, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(mount_require("/no/such/path", &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	(void)umount2(part, MNT_DETACH);
	(void)umount2(vol, MNT_DETACH);
	return NULL;
}

static void test_mount_find__knows_bind_mounts_subpaths_and_what_hides(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	left_out(real_mounts(dir));
}

static const char *overlay(const char *dir)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * KIB);
	auto_mounts struct mount_table t = { 0 };
	auto_free char *at = path_join(dir, "mnt");
	auto_free char *base = path_join(dir, "base");
	struct err e = ERR_INIT;
	bool same;

	make_dir(dir, "mnt");
	make_dir(dir, "base");
	assert_int_equal(mount("base", base, "tmpfs", 0, NULL), 0);
	make_dir(base, "lower");
	make_dir(base, "upper");
	make_dir(base, "work");
	write_text(base, "lower/file", "x");
	(void)buf_printf(&b, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", base, base,
	                 base);
	const char *why = NULL;
	if (mount("overlay", at, "overlay", 0, buf_cstr(&b)) < 0) {
		why = "no overlay here";
	} else {
		auto_close int root = open_at(at, ".", O_PATH);
		auto_close int file = open_at(at, "file", O_RDONLY);
		auto_close int lower = open_at(base, "lower/file", O_RDONLY);
		struct mount_place p = place_of(&t, root);
		assert_true(p.is_point && !p.is_part);
		assert_string_equal(p.mount->type, "overlay");
		assert_int_equal(mount_same_fs(root, file, &same, &e), 0);
		assert_true(same);
		assert_int_equal(mount_same_fs(lower, file, &same, &e), 0);
		assert_false(same);
	}
	(void)umount2(at, MNT_DETACH);
	(void)umount2(base, MNT_DETACH);
	return why;
}

static void test_mount_same_fs__an_overlay_is_one_whatever_its_files_say(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	left_out(overlay(dir));
}

static const char *btrfs(const char *dir)
{
	auto_free char *mnt = path_join(dir, "mnt");
	auto_free char *volume = path_join(mnt, "volume");
	const char *make[] = { "btrfs", "subvolume", "create", volume, NULL };
	struct mount_fs a, b;
	struct err e = ERR_INIT;
	struct stat x, y;
	bool same;

	if (!mounts_loop(dir, "mkfs.btrfs", NULL, NULL) || mounts_command(make) != 0) {
		mounts_undo(dir, "mnt");
		return "no btrfs or no loop devices here";
	}
	auto_close int root = open_at(mnt, ".", O_RDONLY);
	auto_close int sub = open_at(mnt, "volume", O_PATH);
	assert_int_equal(fstat(root, &x), 0);
	assert_int_equal(fstat(sub, &y), 0);
	assert_int_not_equal(x.st_dev, y.st_dev);
	assert_int_equal(mount_same_fs(root, sub, &same, &e), 0);
	assert_true(same);
	/* the same without a list, as for descriptors from another namespace */
	assert_int_equal(mount_fs_of(NULL, root, &a, &e), 0);
	assert_int_equal(mount_fs_of(NULL, sub, &b, &e), 0);
	assert_true(a.dev == 0 && b.dev == 0 && a.has_uuid && b.has_uuid);
	assert_true(mount_fs_equal(&a, &b));
	mounts_undo(dir, "mnt");
	return NULL;
}

static void test_mount_same_fs__subvolumes_of_a_btrfs_are_on_one(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	left_out(btrfs(dir));
}

int main(void)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(test_mount_parse__takes_the_fields_and_undoes_escapes),
		cmocka_unit_test(test_mount_parse__an_empty_text_has_no_mounts),
		cmocka_unit_test(test_mount_parse__refuses_what_is_no_list),
		cmocka_unit_test(test_mount_first__prefers_the_whole_file_system),
		cmocka_unit_test(test_mount_is_hidden__what_lies_on_top_or_on_the_way_hides),
		cmocka_unit_test(test_mount_is_hidden__a_circle_of_parents_ends),
		cmocka_unit_test(test_mount_fs_equal__the_mount_decides_then_the_uuid_then_stat),
	};
	const struct CMUnitTest real[] = {
		cmocka_unit_test(test_mount_find__knows_bind_mounts_subpaths_and_what_hides),
		cmocka_unit_test(test_mount_same_fs__an_overlay_is_one_whatever_its_files_say),
		cmocka_unit_test(test_mount_same_fs__subvolumes_of_a_btrfs_are_on_one),
	};

	int failed = cmocka_run_group_tests(pure, NULL, NULL);
	if (!mounts_private())
		print_message("left out: no mounts here\n");
	else
		failed += cmocka_run_group_tests(real, NULL, NULL);
	return failed;
}
