/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring points of real trees: everything comes back, and nothing else is touched. */
#include "restore/restore.h"

#include "tests/unit/restore/world.h"

/* ---- exactness ---- */

static void test_restore_run__brings_every_type_of_entry_back(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *link = world_at(&w, "dir/link");
	auto_free char *dangling = world_at(&w, "dangling");
	auto_free char *fifo = world_at(&w, "dir/fifo");
	auto_free char *null = world_at(&w, "dir/null");
	auto_free char *empty_dir = world_at(&w, "empty directory");
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = -77, .tv_nsec = 999999999 } };

	(void)state;
	world_file(&w, "one", 1, 1);
	world_file(&w, "dir/page", 2, 4096);
	world_file(&w, "dir/deeper/large", 3, 5000000);
	world_file(&w, "empty", 4, 0);
	assert_int_equal(symlink("page", link), 0);
	assert_int_equal(symlink("/nowhere/at all", dangling), 0);
	assert_int_equal(mknod(fifo, S_IFIFO | 0622, 0), 0);
	assert_int_equal(mkdir(empty_dir, 01777), 0);
	if (is_root())
		assert_int_equal(mknod(null, S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(utimensat(AT_FDCWD, dangling, old, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(utimensat(AT_FDCWD, empty_dir, old, 0), 0);

	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(w.report.files, 4);
	assert_int_equal(w.report.directories, 4);
	assert_int_equal(w.report.symlinks, 2);
	assert_int_equal(w.report.others, is_root() ? 2 : 1);
	assert_int_equal(w.report.bytes, 5004097);
	assert_int_equal(w.report.written, 5004097);
}

static void test_restore_run__names_may_have_any_bytes(void **state)
{
	auto_world struct world w = world_new();
	char longest[256];

	(void)state;
	memset(longest, 'n', 255);
	longest[255] = '\0';
	write_text(w.src, longest, "a");
	write_text(w.src, "-rf", "b");
	write_text(w.src, "new\nline", "c");
	write_text(w.src, "\x01\x02\xff\xfe", "d");
	write_text(w.src, " ", "e");
	write_text(w.src, "d\xc3\x28/\xf0\x28\x8c\x28", "f");
	write_text(w.src, "...", "g");
	write_text(w.src, "\\x41", "h");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__paths_may_be_longer_than_a_call_takes(void **state)
{
	auto_world struct world w = world_new();
	char name[201];
	int at = open(w.src, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	memset(name, 'p', 200);
	name[200] = '\0';
	for (int i = 0; i < 50; i++) {
		assert_int_equal(mkdirat(at, name, 0750), 0);
		int next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		int file = openat(next, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
		assert_true(file >= 0);
		assert_int_equal(write(file, &i, sizeof(i)), sizeof(i));
		(void)close(file);
		assert_int_equal(linkat(next, "file", next, "second", 0), 0);
		(void)close(at);
		at = next;
	}
	(void)close(at);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(w.report.files, 50);
	assert_int_equal(w.report.hardlinks, 50);
	/* and in place as well */
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__more_files_than_a_window_holds(void **state)
{
	auto_world struct world w = world_new();
	char name[64];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "d%u/e%u/file%u", i / 2000, i / 100, i);
		world_file(&w, name, i, i % 5 == 0 ? 0 : i % 700);
	}
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(w.report.files, 10000);
}

static void test_restore_run__large_files_go_on_over_many_windows(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "a/large", 5, 110 * MIB + 12345);
	world_file(&w, "b", 6, 20 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__holes_stay_holes(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *out = path_join(w.out, "sparse");
	auto_free char *hole = path_join(w.out, "hole");
	auto_free char *end = path_join(w.out, "end");
	struct stat st;

	(void)state;
	world_sparse(&w, "sparse", 300 * (off_t)MIB, 200 * (off_t)MIB, 10000);
	world_sparse(&w, "hole", 70 * (off_t)MIB, 0, 0);
	world_sparse(&w, "end", 9 * (off_t)MIB + 1, 0, 100);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(stat(out, &st), 0);
	assert_int_equal(st.st_size, 300 * (off_t)MIB);
	assert_in_range(st.st_blocks, 16, 400);
	assert_int_equal(stat(hole, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(stat(end, &st), 0);
	assert_in_range(st.st_blocks, 1, 200);
}

static void test_restore_run__hard_links_join_again(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *first = world_at(&w, "a/first");
	auto_free char *second = world_at(&w, "a/second");
	auto_free char *third = world_at(&w, "z/third");
	auto_free char *z = world_at(&w, "z");
	auto_free char *link = world_at(&w, "l1");
	auto_free char *link2 = world_at(&w, "z/l2");

	(void)state;
	world_file(&w, "a/first", 1, 100000);
	assert_int_equal(mkdir(z, 0700), 0);
	assert_int_equal(linkat(AT_FDCWD, first, AT_FDCWD, second, 0), 0);
	assert_int_equal(linkat(AT_FDCWD, first, AT_FDCWD, third, 0), 0);
	assert_int_equal(symlink("to", link), 0);
	assert_int_equal(linkat(AT_FDCWD, link, AT_FDCWD, link2, 0), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(w.report.hardlinks, 3);
}

static void test_restore_run__attributes_and_modes_come_back(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *file = world_at(&w, "d/file");
	auto_free char *suid = world_at(&w, "suid");
	auto_free char *closed = world_at(&w, "closed");
	auto_free char *sticky = world_at(&w, "sticky");
	auto_free char *readonly = world_at(&w, "readonly");
	auto_free char *link = world_at(&w, "link");
	/* cap_net_bind_service=ep (linux/capability.h, VFS_CAP_REVISION_2) */
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 4 };
	/* user::rwx, user:12345:r-x, group::---, mask::r-x, other::--- */
	static const uint8_t acl[] = { 2,    0,    0,    0, 1,    0,    7,    0,    0xff,
		                       0xff, 0xff, 0xff, 2, 0,    5,    0,    0x39, 0x30,
		                       0,    0,    4,    0, 0,    0,    0xff, 0xff, 0xff,
		                       0xff, 0x10, 0,    5, 0,    0xff, 0xff, 0xff, 0xff,
		                       0x20, 0,    0,    0, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	if (!is_root())
		skip();
	world_file(&w, "d/file", 1, 5000);
	world_file(&w, "suid", 2, 50);
	world_file(&w, "closed/in it", 3, 50);
	world_file(&w, "sticky/x", 4, 50);
	world_file(&w, "readonly", 5, 50);
	assert_int_equal(setxattr(file, "user.empty", "", 0, 0), 0);
	assert_int_equal(setxattr(file, "user.note", "a\0b", 3, 0), 0);
	assert_int_equal(setxattr(readonly, "user.note", "x", 1, 0), 0);
	assert_int_equal(setxattr(closed, "user.on a directory", "y", 1, 0), 0);
	assert_int_equal(setxattr(sticky, "trusted.t", "z", 1, 0), 0);
	if (setxattr(sticky, "system.posix_acl_access", acl, sizeof(acl), 0) < 0 ||
	    setxattr(sticky, "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		print_message("left out: ACLs, the file system has none\n");
	assert_int_equal(chown(suid, 1234, 4321), 0);
	assert_int_equal(chmod(suid, 06755), 0);
	assert_int_equal(setxattr(suid, "security.capability", caps, sizeof(caps), 0), 0);
	assert_int_equal(symlink("x", link), 0);
	assert_int_equal(lchown(link, 7, 8), 0);
	assert_int_equal(chmod(readonly, 0444), 0);
	assert_int_equal(chmod(closed, 0), 0);
	assert_int_equal(chown(sticky, 5, 6), 0);
	assert_int_equal(chmod(sticky, 03771), 0);
	assert_int_equal(chmod(w.src, 02751), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

/* ---- the target ---- */

static void test_restore_run__a_target_that_is_not_empty_is_left_alone(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	write_text(w.src, "a", "b");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	assert_int_equal(mkdir(w.out, 0755), 0);
	write_text(w.out, "keep/me", "!");
	auto_free char *before = world_text(w.out);
	fails_saying(ERR_EXISTS, "is not empty", world_try(&w, &p, w.out, 0, NULL, e));
	auto_free char *after = world_text(w.out);
	assert_string_equal(before, after);
	auto_free char *file = path_join(w.out, "keep/me");
	fails_saying(ERR_EXISTS, "no directory", world_try(&w, &p, file, 0, NULL, e));
}

static void test_restore_run__a_new_file_system_counts_as_empty(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *lost = path_join(w.out, "lost+found");
	auto_free char *src_lost = world_at(&w, "lost+found");

	(void)state;
	write_text(w.src, "a", "b");
	assert_int_equal(mkdir(src_lost, 0711), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	assert_int_equal(mkdir(w.out, 0755), 0);
	assert_int_equal(mkdir(lost, 0700), 0);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__makes_the_target_with_what_is_above_it(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *deep = path_join(w.out, "x/y//z/");

	(void)state;
	write_text(w.src, "a", "b");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(world_try(&w, &p, deep, 0, NULL, e));
	assert_same_tree(w.src, deep);
}

static void test_restore_run__what_the_target_hands_down_does_not_show(void **state)
{
	auto_world struct world w = world_new();
	static const uint8_t acl[] = { 2,    0,    0, 0, 1,    0,    7,    0,    0xff, 0xff,
		                       0xff, 0xff, 4, 0, 7,    0,    0xff, 0xff, 0xff, 0xff,
		                       0x20, 0,    7, 0, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	if (!is_root())
		skip();
	world_file(&w, "d/e/file", 1, 100);
	world_file(&w, "file", 1, 100);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	assert_int_equal(mkdir(w.out, 0755), 0);
	assert_int_equal(chown(w.out, 0, 777), 0);
	assert_int_equal(chmod(w.out, 02775), 0);
	(void)setxattr(w.out, "system.posix_acl_default", acl, sizeof(acl), 0);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__a_volume_needs_the_right_kind_of_target(void **state)
{
	auto_world struct world w = world_new();
	struct target *t = NULL;
	const struct restore_params params = { .threads = 1 };

	(void)state;
	write_text(w.src, "a", "b");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(target_dir_open(w.out, 0, &w.report.losses, &t, e));
	p.volume.block = true;
	fails_saying(ERR_INVALID, "needs an image file",
	             restore_run(w.kit.recovery, &p, t, &params, &w.report, e));
	target_free(t);
}

/* ---- parts ---- */

static void test_restore_run__a_selection_brings_its_directories_along(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *a = world_at(&w, "a");
	static const char *const paths[] = { "a/b", "c/one" };
	const struct restore_params params = { .paths = paths, .npaths = 2, .threads = 2 };

	(void)state;
	world_file(&w, "a/b/file", 1, 1000);
	world_file(&w, "a/b/c/file", 2, 3000000);
	world_file(&w, "a/not", 3, 1000);
	world_file(&w, "c/one", 4, 1000);
	world_file(&w, "c/two", 5, 1000);
	assert_int_equal(chmod(a, 0711), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(world_try(&w, &p, w.out, TARGET_MERGE, &params, e));
	assert_true(file_exists(w.out, "a/b/c/file"));
	assert_false(file_exists(w.out, "a/not"));
	assert_false(file_exists(w.out, "c/two"));
	auto_free char *got = path_join(w.out, "a/b");
	auto_free char *want = world_at(&w, "a/b");
	assert_same_tree(want, got);
	struct stat st;
	auto_free char *got_a = path_join(w.out, "a");
	assert_int_equal(stat(got_a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	/* again: what is there is not replaced */
	fails_saying(ERR_EXISTS, "exists in the target already",
	             world_try(&w, &p, w.out, TARGET_MERGE, &params, e));
	/* unless that is wanted */
	write_text(w.out, "c/one", "changed");
	write_text(w.out, "c/mine", "mine");
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, &params, e));
	auto_free char *text = read_file(w.out, "c/mine", NULL);
	assert_string_equal(text, "mine");
	assert_same_tree(want, got);
}

static void test_restore_run__a_selection_names_what_is_not_there(void **state)
{
	auto_world struct world w = world_new();
	static const char *const paths[] = { "a/c" };
	const struct restore_params params = { .paths = paths, .npaths = 1, .threads = 2 };

	(void)state;
	world_file(&w, "a/b", 1, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	fails_saying(ERR_NOT_FOUND, "a/c", world_try(&w, &p, w.out, TARGET_MERGE, &params, e));
}

static void test_restore_run__links_to_what_is_not_selected_are_copied_once(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *small = world_at(&w, "a/small");
	auto_free char *large = world_at(&w, "a/large");
	auto_free char *z = world_at(&w, "z");
	auto_free char *z1 = world_at(&w, "z/small1");
	auto_free char *z2 = world_at(&w, "z/small2");
	auto_free char *z3 = world_at(&w, "z/large3");
	auto_free char *z4 = world_at(&w, "z/x4");
	static const char *const paths[] = { "z" };
	const struct restore_params params = { .paths = paths, .npaths = 1, .threads = 2 };

	(void)state;
	world_file(&w, "a/small", 1, 1000);
	world_file(&w, "a/large", 2, 66 * MIB);
	assert_int_equal(mkdir(z, 0755), 0);
	assert_int_equal(linkat(AT_FDCWD, small, AT_FDCWD, z1, 0), 0);
	assert_int_equal(linkat(AT_FDCWD, small, AT_FDCWD, z2, 0), 0);
	assert_int_equal(linkat(AT_FDCWD, large, AT_FDCWD, z3, 0), 0);
	assert_int_equal(linkat(AT_FDCWD, large, AT_FDCWD, z4, 0), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(world_try(&w, &p, w.out, TARGET_MERGE, &params, e));
	auto_free char *got = path_join(w.out, "z");
	assert_same_tree(z, got);
	assert_int_equal(w.report.files, 2);
	assert_int_equal(w.report.hardlinks, 2);
}

/* ---- in place ---- */

static void test_restore_run__in_place_writes_only_what_differs(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *time = path_join(w.out, "same");

	(void)state;
	world_file(&w, "large", 1, 20 * MIB);
	world_file(&w, "same", 2, 3 * MIB);
	for (unsigned i = 0; i < 50; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d/small%u", i);
		world_file(&w, name, 100 + i, 3000);
	}
	world_sparse(&w, "sparse", 64 * (off_t)MIB, 5 * (off_t)MIB, 8192);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);

	/* nothing: not a byte, and nothing is fetched but the files that share chunks */
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_int_equal(w.report.written, 0);
	assert_true(w.report.same >= 23 * MIB);
	assert_true(w.report.fetched < MIB);

	/* two pages of a large file, one small file, a time, data in a hole */
	world_poke(w.out, "large", 4096);
	world_poke(w.out, "large", 15 * (off_t)MIB + 1);
	world_poke(w.out, "d/small7", 5);
	world_poke(w.out, "sparse", 40 * (off_t)MIB);
	assert_int_equal(utimensat(AT_FDCWD, time, NULL, 0), 0);
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_int_equal(w.report.written, 2 * 4096 + 3000);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__in_place_repairs_sizes_types_and_metadata(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *dir = path_join(w.out, "dir");
	auto_free char *file = path_join(w.out, "file");
	auto_free char *link = path_join(w.out, "link");
	auto_free char *fifo = path_join(w.out, "fifo");
	auto_free char *src_link = world_at(&w, "link");
	auto_free char *src_fifo = world_at(&w, "fifo");

	(void)state;
	world_file(&w, "dir/x", 1, 1000);
	world_file(&w, "file", 2, 100000);
	world_file(&w, "longer", 3, 100000);
	world_file(&w, "shorter", 4, 100000);
	world_file(&w, "mode", 5, 10);
	world_file(&w, "nothing", 6, 0);
	assert_int_equal(symlink("dir", src_link), 0);
	assert_int_equal(mkfifo(src_fifo, 0600), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);

	/* a directory became a file, a file a directory, a link a directory, a fifo a link */
	world_remove(dir);
	write_text(w.out, "dir", "a file");
	assert_int_equal(unlink(file), 0);
	write_text(w.out, "file/with/content", "x");
	assert_int_equal(unlink(link), 0);
	write_text(w.out, "link/in it", "x");
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(symlink("/etc/passwd", fifo), 0);
	auto_free char *longer = path_join(w.out, "longer");
	assert_int_equal(truncate(longer, 300000), 0);
	auto_free char *shorter = path_join(w.out, "shorter");
	assert_int_equal(truncate(shorter, 1), 0);
	auto_free char *mode = path_join(w.out, "mode");
	assert_int_equal(chmod(mode, 0111), 0);
	(void)setxattr(mode, "user.extra", "x", 1, 0);
	write_text(w.out, "nothing", "but something");
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_same_tree(w.src, w.out);
}

/* Everything that an entry without content, or its metadata, can be wrong in. */
static void spoil(const char *dir, bool other)
{
	auto_free char *link = path_join(dir, "link");
	auto_free char *dev = path_join(dir, "dev");
	auto_free char *fifo = path_join(dir, "fifo");
	auto_free char *file = path_join(dir, "file");
	auto_free char *sub = path_join(dir, "sub");

	if (other) {
		assert_int_equal(unlink(link), 0);
		assert_int_equal(symlink("elsewhere", link), 0);
		assert_int_equal(unlink(dev), 0);
		assert_int_equal(mknod(dev, S_IFCHR | 0600, makedev(1, 5)), 0);
		assert_int_equal(removexattr(file, "user.same"), 0);
		assert_int_equal(setxattr(file, "user.changed", "other", 5, 0), 0);
		assert_int_equal(removexattr(sub, "trusted.gone"), 0);
	} else {
		assert_int_equal(lchown(link, 5, 6), 0);
		assert_int_equal(lsetxattr(link, "trusted.extra", "x", 1, 0), 0);
		assert_int_equal(lremovexattr(link, "trusted.l"), 0);
		assert_int_equal(chmod(dev, 04755), 0);
		assert_int_equal(chown(fifo, 9, 9), 0);
	}
	assert_int_equal(setxattr(file, "user.extra", "extra", 5, 0), 0);
	assert_int_equal(setxattr(sub, "user.extra", "extra", 5, 0), 0);
	assert_int_equal(chmod(file, 06777), 0);
	assert_int_equal(chown(sub, 77, 78), 0);
	assert_int_equal(chmod(sub, 01700), 0);
}

static void test_restore_run__in_place_repairs_what_has_no_content(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *link = world_at(&w, "link");
	auto_free char *dev = world_at(&w, "dev");
	auto_free char *fifo = world_at(&w, "fifo");
	auto_free char *file = world_at(&w, "file");
	auto_free char *sub = world_at(&w, "sub");

	(void)state;
	if (!is_root())
		skip();
	world_file(&w, "file", 1, 100);
	world_file(&w, "sub/file", 2, 100);
	assert_int_equal(symlink("to", link), 0);
	assert_int_equal(lsetxattr(link, "trusted.l", "on a link", 9, 0), 0);
	assert_int_equal(mknod(dev, S_IFCHR | 0600, makedev(1, 3)), 0);
	assert_int_equal(mkfifo(fifo, 0640), 0);
	assert_int_equal(chown(fifo, 3, 4), 0);
	assert_int_equal(chmod(fifo, 02751), 0);
	assert_int_equal(setxattr(file, "user.same", "same", 4, 0), 0);
	assert_int_equal(setxattr(file, "user.changed", "value", 5, 0), 0);
	assert_int_equal(setxattr(sub, "trusted.gone", "value", 5, 0), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_same_tree(w.src, w.out);
	for (int other = 0; other < 2; other++) {
		spoil(w.out, other);
		world_restore(&w, &p, TARGET_IN_PLACE);
		assert_same_tree(w.src, w.out);
		assert_int_equal(w.report.written, 0);
	}
	/* nothing wrong: what is there stays */
	struct stat a;
	struct stat b;
	auto_free char *out_dev = path_join(w.out, "dev");
	assert_int_equal(lstat(out_dev, &a), 0);
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_int_equal(lstat(out_dev, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

static void test_restore_run__counts_progress(void **state)
{
	auto_world struct world w = world_new();
	struct progress_counts counts = { 0 };
	const struct restore_params params = { .threads = 2, .counts = &counts };
	auto_free char *link = world_at(&w, "a/link");

	(void)state;
	world_file(&w, "a/file", 1, 3 * MIB);
	world_file(&w, "b", 2, 10);
	world_sparse(&w, "sparse", 10 * (off_t)MIB, 0, 10);
	assert_int_equal(symlink("x", link), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(world_try(&w, &p, w.out, 0, &params, e));
	assert_int_equal(counts.bytes_done, p.bytes_logical);
	/* all but the root, which is there from the start */
	assert_int_equal(counts.files_done, p.files + p.directories + p.others - 1);
	assert_int_equal(counts.errors, 0);
	atomic_store(&counts.bytes_done, 0);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, &params, e));
	assert_int_equal(counts.bytes_done, p.bytes_logical);
}

static void test_restore_run__in_place_removes_only_when_told(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "dir/x", 1, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	write_text(w.out, "dir/extra", "x");
	write_text(w.out, "extra/deep/er", "x");
	write_text(w.out, "dir/x1", "x");
	write_text(w.out, "lost+found/x", "x");
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_true(file_exists(w.out, "extra/deep/er"));
	assert_int_equal(w.report.deleted, 0);
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_int_equal(w.report.deleted, 3);
	assert_true(file_exists(w.out, "lost+found/x"));
	/* the same in a directory of too many names, where the tree is asked */
	const struct restore_params few = { .threads = 2, .names_max = 1 };
	write_text(w.out, "dir/extra", "x");
	write_text(w.out, "extra", "x");
	world_file(&w, "dir/y", 2, 1000);
	world_file(&w, "other", 3, 1000);
	CLEANUP(point_clear) struct point more = world_backup(&w);
	ok(world_try(&w, &more, w.out, TARGET_IN_PLACE | TARGET_DELETE, &few, e));
	assert_int_equal(w.report.deleted, 2);
	assert_true(file_exists(w.out, "dir/y"));
	auto_free char *lost = path_join(w.out, "lost+found");
	world_remove(lost);
	world_restore(&w, &more, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__in_place_does_not_write_through_links(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *outside = path_join(w.dir, "outside");
	auto_free char *dir = path_join(w.out, "dir");
	auto_free char *file = path_join(w.out, "file");
	auto_free char *victim = path_join(outside, "victim");

	(void)state;
	world_file(&w, "dir/victim", 1, 1000);
	world_file(&w, "file", 2, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	assert_int_equal(mkdir(outside, 0755), 0);
	write_text(outside, "victim", "untouched");
	write_text(outside, "other", "untouched");
	assert_int_equal(mkdir(w.out, 0755), 0);
	assert_int_equal(symlink(outside, dir), 0);
	assert_int_equal(symlink(victim, file), 0);
	auto_free char *before = world_text(outside);
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
	auto_free char *after = world_text(outside);
	world_assert_text(after, before);
}

static void test_restore_run__in_place_leaves_other_names_of_a_file_alone(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *outside = path_join(w.dir, "outside");
	auto_free char *file = path_join(w.out, "file");

	(void)state;
	world_file(&w, "file", 1, 1000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	write_text(w.dir, "outside", "untouched");
	assert_int_equal(mkdir(w.out, 0755), 0);
	assert_int_equal(linkat(AT_FDCWD, outside, AT_FDCWD, file, 0), 0);
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_same_tree(w.src, w.out);
	auto_free char *text = read_file(w.dir, "outside", NULL);
	assert_string_equal(text, "untouched");
}

static void test_restore_run__in_place_rejoins_hard_links(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *a = world_at(&w, "a");
	auto_free char *b = world_at(&w, "b");
	auto_free char *out_a = path_join(w.out, "a");
	auto_free char *out_b = path_join(w.out, "b");
	auto_free char *out_c = path_join(w.out, "c");

	(void)state;
	world_file(&w, "a", 1, 1000);
	world_file(&w, "c", 2, 1000);
	assert_int_equal(linkat(AT_FDCWD, a, AT_FDCWD, b, 0), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	/* joined with the wrong one */
	assert_int_equal(unlink(out_b), 0);
	assert_int_equal(unlink(out_c), 0);
	assert_int_equal(linkat(AT_FDCWD, out_a, AT_FDCWD, out_c, 0), 0);
	write_text(w.out, "b", "on its own");
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_same_tree(w.src, w.out);
	/* as it should be already */
	world_restore(&w, &p, TARGET_IN_PLACE);
	assert_same_tree(w.src, w.out);
}

static void test_restore_run__in_place_into_nothing_makes_everything(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "d/x", 1, 5 * MIB);
	world_sparse(&w, "sparse", 64 * (off_t)MIB, 5 * (off_t)MIB, 8192);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
	assert_int_equal(w.report.same, 0);
}

/* ---- comparing ---- */

static void test_restore_run__comparing_finds_differences_and_changes_nothing(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *gone = path_join(w.out, "d/gone");

	(void)state;
	world_file(&w, "same", 1, 10000);
	world_file(&w, "large", 2, 20 * MIB);
	world_file(&w, "d/gone", 3, 10);
	world_file(&w, "d/small", 4, 10);
	world_sparse(&w, "hole", 10 * (off_t)MIB, 0, 10);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE | TARGET_COMPARE, NULL, e));
	assert_int_equal(w.report.differ_count, 0);

	assert_int_equal(unlink(gone), 0);
	world_poke(w.out, "large", 7000000);
	world_poke(w.out, "d/small", 9);
	world_poke(w.out, "hole", 5000000);
	write_text(w.out, "extra", "x");
	auto_free char *before = world_text(w.out);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE | TARGET_COMPARE | TARGET_DELETE, NULL, e));
	auto_free char *after = world_text(w.out);
	world_assert_text(after, before);
	assert_int_equal(w.report.differ_count, 4);
	assert_int_equal(w.report.deleted, 1);
	assert_int_equal(w.report.ngaps, 4);
	assert_int_equal(w.report.written, 4096 + 10 + 10);
}

static void test_restore_run__comparing_with_nothing_fetches_nothing(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "d/x", 1, 5 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(world_try(&w, &p, w.out, TARGET_COMPARE, NULL, e));
	assert_int_equal(w.report.fetched, 0);
	assert_int_equal(w.report.written, 5 * MIB);
	assert_false(file_exists(w.dir, "out"));
}

/* ---- stopping ---- */

static void test_restore_run__cancelled_says_that_the_target_is_incomplete(void **state)
{
	auto_world struct world w = world_new();
	struct cancel cancel;

	(void)state;
	world_file(&w, "a", 1, 5 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	w.kit.recovery->cancel = &cancel;
	fails_saying(ERR_CANCELLED, "is incomplete", world_try(&w, &p, w.out, 0, NULL, e));
	w.kit.recovery->cancel = NULL;
	cancel_clear(&cancel);
}

static void test_restore_path__makes_paths_plain(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "", "" },
		{ "/", "" },
		{ "a", "a" },
		{ "/a/b/", "a/b" },
		{ "//a//b", "a/b" },
		{ "./a/./b/.", "a/b" },
		{ ".a/b..", ".a/b.." },
		{ "...", "..." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *path = strdup(cases[i].from);

		ok(restore_path(path, e));
		assert_string_equal(path, cases[i].to);
	}
	char up[] = "a/../b";
	fails_saying(ERR_INVALID, "'..'", restore_path(up, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore_run__brings_every_type_of_entry_back),
		cmocka_unit_test(test_restore_run__names_may_have_any_bytes),
		cmocka_unit_test(test_restore_run__paths_may_be_longer_than_a_call_takes),
		cmocka_unit_test(test_restore_run__more_files_than_a_window_holds),
		cmocka_unit_test(test_restore_run__large_files_go_on_over_many_windows),
		cmocka_unit_test(test_restore_run__holes_stay_holes),
		cmocka_unit_test(test_restore_run__hard_links_join_again),
		cmocka_unit_test(test_restore_run__attributes_and_modes_come_back),
		cmocka_unit_test(test_restore_run__a_target_that_is_not_empty_is_left_alone),
		cmocka_unit_test(test_restore_run__a_new_file_system_counts_as_empty),
		cmocka_unit_test(test_restore_run__makes_the_target_with_what_is_above_it),
		cmocka_unit_test(test_restore_run__what_the_target_hands_down_does_not_show),
		cmocka_unit_test(test_restore_run__a_volume_needs_the_right_kind_of_target),
		cmocka_unit_test(test_restore_run__a_selection_brings_its_directories_along),
		cmocka_unit_test(test_restore_run__a_selection_names_what_is_not_there),
		cmocka_unit_test(test_restore_run__links_to_what_is_not_selected_are_copied_once),
		cmocka_unit_test(test_restore_run__in_place_writes_only_what_differs),
		cmocka_unit_test(test_restore_run__in_place_repairs_sizes_types_and_metadata),
		cmocka_unit_test(test_restore_run__in_place_repairs_what_has_no_content),
		cmocka_unit_test(test_restore_run__counts_progress),
		cmocka_unit_test(test_restore_run__in_place_removes_only_when_told),
		cmocka_unit_test(test_restore_run__in_place_does_not_write_through_links),
		cmocka_unit_test(test_restore_run__in_place_leaves_other_names_of_a_file_alone),
		cmocka_unit_test(test_restore_run__in_place_rejoins_hard_links),
		cmocka_unit_test(test_restore_run__in_place_into_nothing_makes_everything),
		cmocka_unit_test(test_restore_run__comparing_finds_differences_and_changes_nothing),
		cmocka_unit_test(test_restore_run__comparing_with_nothing_fetches_nothing),
		cmocka_unit_test(test_restore_run__cancelled_says_that_the_target_is_incomplete),
		cmocka_unit_test(test_restore_path__makes_paths_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
