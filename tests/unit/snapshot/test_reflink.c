/* SPDX-License-Identifier: Apache-2.0 */
/* The driver that clones: where it works, what it keeps of changed files, and images. */
#include "snapshot/copies.h"
#include "snapshot/precopy.h"

#include "tests/unit/snapshot/frozen.h"

static bool can_mount;

static const char *const file_systems[] = { "mkfs.xfs", "mkfs.btrfs" };
static struct frozen_world worlds[ARRAY_LEN(file_systems)];
static bool there[ARRAY_LEN(file_systems)];

static int open_worlds(void **state)
{
	(void)state;
	for (size_t i = 0; can_mount && i < ARRAY_LEN(file_systems); i++)
		there[i] = frozen_open(&worlds[i], file_systems[i]);
	return 0;
}

static int close_worlds(void **state)
{
	(void)state;
	for (size_t i = 0; can_mount && i < ARRAY_LEN(file_systems); i++)
		frozen_close(&worlds[i]);
	return 0;
}

static void over_all(void (*body)(struct frozen_world *w))
{
	size_t ran = 0;

	for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
		if (!there[i])
			continue;
		frozen_empty(&worlds[i]);
		body(&worlds[i]);
		assert_int_equal(frozen_left_over(worlds[i].volume), 0);
		ran++;
	}
	left_out(ran ? NULL : "no file system with reflinks can be mounted here");
}

static void assert_refused(const struct snapshot_env *env, const char *path, const char *why)
{
	struct err e = ERR_INIT;

	assert_int_equal(snapshot_reflink.supports(env, path, &e), 0);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void refusals(struct frozen_world *w)
{
	struct snapshot_env env = w->env;
	auto_free char *inside = path_join(w->volume, "scratch");
	struct err e = ERR_INIT;

	assert_int_equal(snapshot_reflink.supports(&env, w->volume, &e), 1);
	env.journal = NULL;
	assert_refused(&env, w->volume, "needs a state directory");
	env = w->env;
	env.scratch_dir = NULL;
	assert_refused(&env, w->volume, "a directory for scratch files on another file system");
	assert_int_equal(mkdir(inside, 0700), 0);
	env.scratch_dir = inside;
	assert_refused(&env, w->volume, "is on the same file system");
	env = w->env;
	assert_refused(&env, "/dev", "only XFS and btrfs can clone files");
	assert_int_equal(mount(NULL, w->volume, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_refused(&env, w->volume, "is mounted read-only");
	assert_int_equal(mount(NULL, w->volume, NULL, MS_REMOUNT, NULL), 0);
}

static void test_reflink_supports__says_what_is_missing(void **state)
{
	(void)state;
	over_all(refusals);
}

static void test_reflink_supports__not_on_xfs_without_reflinks(void **state)
{
	struct frozen_world w;
	const char *why = NULL;

	(void)state;
	if (!can_mount) {
		left_out("this process may not mount");
		return;
	}
	(void)frozen_open(&w, "true");
	auto_free char *image = path_join(w.dir, "image");
	const char *const make[] = { "mkfs.xfs", "-q", "-m", "reflink=0", image, NULL };
	const char *const mount_it[] = { "mount", "-o", "loop", image, w.volume, NULL };
	if (mounts_command(make) == 0 && mounts_command(mount_it) == 0)
		assert_refused(&w.env, w.volume, "this XFS was made without reflinks");
	else
		why = "no XFS here";
	frozen_close(&w);
	left_out(why);
}

/* Of a large file only what was written to is kept while frozen. */
static void few_bytes(struct frozen_world *w)
{
	static uint8_t bytes[8 * 1024 * 1024];
	auto_free char *big = path_join(w->volume, "big");
	struct err e = ERR_INIT;

	fill_random(3, bytes, sizeof(bytes));
	write_file(w->volume, "big", bytes, sizeof(bytes));
	write_text(w->volume, "same", "x");
	struct snapshot *s = snapshot_prepare(&w->env, &snapshot_reflink, w->volume, &e);
	assert_non_null(s);
	auto_close int fd = open(big, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "1", 1, 100000), 1);
	assert_int_equal(pwrite(fd, "2", 1, 5000000), 1);
	auto_free char *then = frozen_capture(s, w->volume, true, &e);
	assert_non_null(then);
	assert_true(precopy_stats(s).changed >= 1);
	assert_in_range(precopy_stats(s).changed_bytes, 2 * 4096, 2 * 65536 + 1000);
	assert_int_equal(snapshot_finish(s, &e), 0);
	auto_free char *view = show_view(s, NULL, true);
	assert_same_text(then, view);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_reflink_capture__keeps_only_the_ranges_that_changed(void **state)
{
	(void)state;
	over_all(few_bytes);
}

static void sparse(struct frozen_world *w)
{
	auto_free char *at = path_join(w->volume, "sparse");
	struct err e = ERR_INIT;

	auto_close int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 2048 * (off_t)MIB), 0);
	assert_int_equal(pwrite(fd, "a", 1, 1000 * (off_t)MIB), 1);
	struct snapshot *s = snapshot_prepare(&w->env, &snapshot_reflink, w->volume, &e);
	assert_non_null(s);
	assert_int_equal(pwrite(fd, "b", 1, 1500 * (off_t)MIB), 1);
	auto_free char *then = frozen_capture(s, w->volume, true, &e);
	assert_non_null(then);
	assert_int_equal(snapshot_finish(s, &e), 0);
	auto_free char *view = show_view(s, NULL, true);
	assert_same_text(then, view);
	assert_non_null(strstr(view, "size 2147483648"));
	assert_true(precopy_stats(s).changed_bytes < MIB);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_reflink__a_sparse_file_of_2_gib_stays_sparse(void **state)
{
	(void)state;
	over_all(sparse);
}

static void image(struct frozen_world *w)
{
	static uint8_t bytes[3 * 1024 * 1024];
	auto_free char *at = path_join(w->volume, "disk/image");
	struct err e = ERR_INIT;
	bool empty = true;

	fill_random(4, bytes, sizeof(bytes));
	write_file(w->volume, "disk/image", bytes, sizeof(bytes));
	struct snapshot *s = snapshot_take(&w->env, &snapshot_reflink, at, &e);
	if (!s)
		fail_msg("%s", e.msg);
	assert_false(s->freeze);
	assert_true(s->block);
	assert_int_equal(s->consistency, SNAP_CRASH);
	assert_int_equal(s->window.frozen_ns, 0);
	struct snapshot *live = snapshot_take(&w->env, &snapshot_live, at, &e);
	assert_non_null(live);
	auto_free char *before = show_view(live, NULL, true);
	auto_close int fd = open(at, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "later", 5, 1000), 5);
	auto_free char *view = show_view(s, NULL, true);
	assert_same_text(before, view);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_false(empty);
	assert_int_equal(snapshot_release(live, &e), 0);
	assert_int_equal(snapshot_release(s, &e), 0);

	assert_int_equal(ftruncate(fd, 0), 0);
	s = snapshot_take(&w->env, &snapshot_reflink, at, &e);
	assert_non_null(s);
	assert_int_equal(snapshot_is_empty(s, &empty, &e), 0);
	assert_true(empty);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_reflink__an_image_file_is_one_clone_without_a_freeze(void **state)
{
	(void)state;
	over_all(image);
}

/* A file without copy on write, and one that swaps would be on, are no obstacle. */
static void odd_files(struct frozen_world *w)
{
	static uint8_t bytes[100000];
	unsigned int flags = FS_NOCOW_FL;
	auto_free char *at = path_join(w->volume, "nocow");
	struct err e = ERR_INIT;

	auto_close int fd = open(at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags); /* only btrfs knows it */
	fill_random(5, bytes, sizeof(bytes));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	struct snapshot *s = snapshot_prepare(&w->env, &snapshot_reflink, w->volume, &e);
	if (!s)
		fail_msg("%s", e.msg);
	assert_int_equal(pwrite(fd, "first", 5, 50000), 5);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(pwrite(fd, "again", 5, 50000), 5);
	auto_free char *then = frozen_capture(s, w->volume, true, &e);
	assert_non_null(then);
	assert_true(precopy_stats(s).changed_bytes < 70000);
	assert_int_equal(snapshot_finish(s, &e), 0);
	auto_free char *view = show_view(s, NULL, true);
	assert_same_text(then, view);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_reflink__takes_files_without_copy_on_write(void **state)
{
	(void)state;
	over_all(odd_files);
}

/* Fills the file system up to about so many bytes. */
static void fill_up(const char *volume, uint64_t leave)
{
	auto_free char *at = path_join(volume, "filler");
	auto_close int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	off_t size = 0;

	for (off_t step = 64 * (off_t)MIB; step >= (off_t)MIB / 4; step /= 2)
		while (fallocate(fd, 0, size, step) == 0)
			size += step;
	assert_int_equal(ftruncate(fd, size - (off_t)leave), 0);
	assert_int_equal(fsync(fd), 0);
}

static void full(struct frozen_world *w)
{
	static uint8_t bytes[1024 * 1024];
	struct err e = ERR_INIT;

	fill_up(w->volume, 4 * MIB);
	assert_refused(&w->env, w->volume, "clones that are written to want 16.0 MiB");
	assert_null(snapshot_prepare(&w->env, &snapshot_reflink, w->volume, &e));
	assert_int_equal(e.class, ERR_QUOTA);

	/* it becomes full between the freeze and the end */
	frozen_empty(w);
	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		write_file(w->volume, name, bytes, sizeof(bytes));
	}
	struct snapshot *s = snapshot_prepare(&w->env, &snapshot_reflink, w->volume, &e);
	if (!s)
		fail_msg("%s", e.msg);
	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "new%d", i);
		fill_random((uint64_t)i, bytes, sizeof(bytes));
		write_file(w->volume, name, bytes, sizeof(bytes));
	}
	auto_free char *then = frozen_capture(s, w->volume, false, &e);
	if (!then)
		fail_msg("%s", e.msg);
	fill_up(w->volume, 0);
	assert_int_equal(snapshot_finish(s, &e), -1);
	assert_int_equal(e.class, ERR_QUOTA);
	assert_int_equal(snapshot_release(s, &e), 0);
}

static void test_reflink__a_full_file_system_is_told_and_nothing_stays(void **state)
{
	(void)state;
	over_all(full);
}

static void test_reflink_clean__removes_only_what_is_ours(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	char name[512];

	(void)state;
	(void)snprintf(name, sizeof(name), "%s/.aksdr-view-0123456789abcdef0123456789abcdef", dir);
	write_text(dir, ".aksdr-view-0123456789abcdef0123456789abcdef/00/0000000000000100", "x");
	assert_int_equal(snapshot_reflink.clean(name, &e), 0);
	assert_int_equal(count_files(dir), 0);
	assert_int_equal(snapshot_reflink.clean(name, &e), 0); /* it is gone already */
	assert_int_equal(snapshot_reflink.clean("/nowhere/.aksdr-view-"
	                                        "0123456789abcdef0123456789abcdef",
	                                        &e),
	                 0);
	write_text(dir, "data/file", "precious");
	(void)snprintf(name, sizeof(name), "%s/data", dir);
	assert_int_equal(snapshot_reflink.clean(name, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	(void)snprintf(name, sizeof(name), "%s/.aksdr-view-", dir);
	assert_int_equal(snapshot_reflink.clean(name, &e), -1);
	assert_true(file_exists(dir, "data/file"));

	/* nor what a link in it leads to */
	(void)snprintf(name, sizeof(name), "%s/.aksdr-view-0123456789abcdef0123456789abcdef", dir);
	assert_int_equal(mkdir(name, 0700), 0);
	auto_free char *link_in_it = path_join(name, "00");
	assert_int_equal(symlink("../data", link_in_it), 0);
	assert_int_equal(snapshot_reflink.clean(name, &e), 0);
	assert_true(file_exists(dir, "data/file"));
	assert_int_equal(count_files(dir), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reflink_supports__says_what_is_missing),
		cmocka_unit_test(test_reflink_supports__not_on_xfs_without_reflinks),
		cmocka_unit_test(test_reflink_capture__keeps_only_the_ranges_that_changed),
		cmocka_unit_test(test_reflink__a_sparse_file_of_2_gib_stays_sparse),
		cmocka_unit_test(test_reflink__an_image_file_is_one_clone_without_a_freeze),
		cmocka_unit_test(test_reflink__takes_files_without_copy_on_write),
		cmocka_unit_test(test_reflink__a_full_file_system_is_told_and_nothing_stays),
		cmocka_unit_test(test_reflink_clean__removes_only_what_is_ours),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, open_worlds, close_worlds);
}
