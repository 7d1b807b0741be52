/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets that cannot take everything: without root's rights, without space,
 * with flags that forbid changes; and file systems of their own on loop
 * devices, where they can be had.
 */
#include "restore/target.h"

#include <grp.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "tests/unit/restore/craft.h"
#include "tests/unit/snapshot/mounts.h"

#define NOBODY 65534

static bool can_mount;

/* ---- without root's rights ---- */

static void become_nobody(const struct world *w)
{
	auto_free char *out_parent = path_join(w->dir, ".");

	assert_int_equal(chmod(out_parent, 0777), 0);
	const gid_t groups[1] = { 4321 };
	assert_int_equal(setgroups(1, groups), 0);
	assert_int_equal(setresgid(NOBODY, NOBODY, 0), 0);
	assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
}

static void become_root(void)
{
	assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(setresgid(0, 0, 0), 0);
}

static void make_rich(struct world *w)
{
	auto_free char *suid = world_at(w, "suid");
	auto_free char *mine = world_at(w, "mine");
	auto_free char *closed = world_at(w, "closed");
	auto_free char *in = world_at(w, "closed/in");
	auto_free char *link = world_at(w, "later/link");
	auto_free char *readonly = world_at(w, "readonly");
	auto_free char *dev = world_at(w, "null");
	auto_free char *fifo = world_at(w, "fifo");

	world_file(w, "suid", 1, 100);
	world_file(w, "mine", 2, 100);
	world_file(w, "closed/in", 3, 100);
	world_file(w, "later/x", 4, 100);
	world_file(w, "readonly", 5, 100);
	assert_int_equal(linkat(AT_FDCWD, in, AT_FDCWD, link, 0), 0);
	assert_int_equal(chown(mine, NOBODY, NOBODY), 0);
	assert_int_equal(chown(suid, 0, 4321), 0);
	assert_int_equal(chmod(suid, 06755), 0);
	assert_int_equal(chmod(mine, 06711), 0);
	assert_int_equal(setxattr(readonly, "user.note", "x", 1, 0), 0);
	assert_int_equal(chmod(readonly, 0400), 0);
	assert_int_equal(mknod(dev, S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(mkfifo(fifo, 0640), 0);
	assert_int_equal(chmod(closed, 0), 0);
}

static mode_t mode_of(const struct world *w, const char *name)
{
	auto_free char *path = path_join(w->out, name);
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_restore_run__without_rights_counts_what_is_lost(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	if (!is_root())
		skip();
	make_rich(&w);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	become_nobody(&w);
	struct err err = ERR_INIT;
	int rc = world_try(&w, &p, w.out, 0, NULL, &err);
	become_root();
	if (rc < 0)
		fail_msg("%s", err.msg);
	/* root's things: the root, 2 directories, 4 files and the fifo */
	assert_int_equal(w.report.losses.of[LOSS_OWNER].count, 8);
	assert_int_equal(w.report.losses.of[LOSS_DEVICE].count, 1);
	assert_string_equal(w.report.losses.of[LOSS_DEVICE].first, "null");
	assert_int_equal(w.report.losses.of[LOSS_XATTR].count, 0);
	assert_int_equal(w.report.losses.of[LOSS_MODE].count, 0);
	assert_int_equal(w.report.hardlinks, 1);
	fails_saying(ERR_PARTIAL, "owners could not be set", report_verdict(&w.report, e));

	/* set-id bits of root must not become nobody's; its own stay */
	/* but a group that nobody is a member of can be given, and its bit with it */
	assert_int_equal(mode_of(&w, "suid"), 02755);
	assert_int_equal(mode_of(&w, "mine"), 06711);
	assert_int_equal(mode_of(&w, "closed"), 0);
	assert_int_equal(mode_of(&w, "readonly"), 0400);
	char value[4];
	auto_free char *readonly = path_join(w.out, "readonly");
	assert_int_equal(getxattr(readonly, "user.note", value, sizeof(value)), 1);
	struct stat a;
	struct stat b;
	auto_free char *in = path_join(w.out, "closed/in");
	auto_free char *link = path_join(w.out, "later/link");
	assert_int_equal(stat(in, &a), 0);
	assert_int_equal(stat(link, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
}

static void test_restore_run__no_owner_asks_for_none(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	if (!is_root())
		skip();
	world_file(&w, "a", 1, 100);
	auto_free char *a = world_at(&w, "a");
	assert_int_equal(chown(a, 12, 34), 0);
	assert_int_equal(chmod(a, 06755), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, TARGET_NO_OWNER);
	struct stat st;
	auto_free char *got = path_join(w.out, "a");
	assert_int_equal(stat(got, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void test_restore_run__in_place_without_rights_opens_what_is_its_own(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	if (!is_root())
		skip();
	world_file(&w, "d/e/file", 1, 10000);
	world_file(&w, "d/two", 2, 10000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	become_nobody(&w);
	struct err err = ERR_INIT;
	int rc = world_try(&w, &p, w.out, TARGET_NO_OWNER, NULL, &err);
	auto_free char *d = path_join(w.out, "d");
	auto_free char *e_dir = path_join(w.out, "d/e");
	auto_free char *file = path_join(w.out, "d/e/file");
	auto_free char *extra = path_join(w.out, "d/e/extra");
	if (rc == 0) {
		world_poke(w.out, "d/e/file", 77);
		write_text(w.out, "d/e/extra/below", "x");
		assert_int_equal(chmod(extra, 0), 0);
		assert_int_equal(chmod(file, 0400), 0);
		assert_int_equal(chmod(e_dir, 0500), 0);
		assert_int_equal(chmod(d, 0), 0);
		rc = world_try(&w, &p, w.out, TARGET_NO_OWNER | TARGET_IN_PLACE | TARGET_DELETE,
		               NULL, &err);
	}
	become_root();
	if (rc < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(w.report.written, 4096);
	assert_int_equal(w.report.deleted, 1);
	assert_int_equal(mode_of(&w, "d/e"), 0755);
	assert_int_equal(mode_of(&w, "d/e/file"), 0666);
	assert_false(file_exists(w.out, "d/e/extra"));
}

static void test_target_dir_open__says_why_it_cannot_be_made(void **state)
{
	auto_world struct world w = world_new();
	struct target *t = NULL;

	(void)state;
	if (!is_root())
		skip();
	auto_free char *sub = path_join(w.src, "target");
	assert_int_equal(chmod(w.dir, 0755), 0);
	become_nobody(&w);
	struct err err = ERR_INIT;
	int rc = target_dir_open(sub, 0, &w.report.losses, &t, &err);
	become_root();
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_DENIED);
	assert_non_null(strstr(err.msg, "making the target directory"));
}

/* ---- space ---- */

static void test_restore_run__a_full_target_keeps_no_half_files(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *at = path_join(w.dir, "mnt");

	(void)state;
	assert_int_equal(mkdir(at, 0755), 0);
	if (!can_mount || mount("none", at, "tmpfs", 0, "size=6m") < 0)
		left_out("no tmpfs can be mounted here");
	world_file(&w, "a", 1, 2 * MIB);
	world_file(&w, "large", 2, 20 * MIB);
	for (unsigned i = 0; i < 200; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "small/%u", i);
		world_file(&w, name, 100 + i, 4000);
	}
	CLEANUP(point_clear) struct point p = world_backup(&w);
	struct err err = ERR_INIT;
	int rc = world_try(&w, &p, at, 0, NULL, &err);
	/* what is there is whole */
	unsigned there = 0;
	for (unsigned i = 0; i < 200; i++) {
		char name[32];
		size_t n;
		uint8_t want[4000];

		(void)snprintf(name, sizeof(name), "small/%u", i);
		if (!file_exists(at, name))
			continue;
		there++;
		auto_free char *got = read_file(at, name, &n);
		fill_random(100 + i, want, sizeof(want));
		assert_int_equal(n, sizeof(want));
		assert_memory_equal(got, want, n);
	}
	bool large = file_exists(at, "large");
	mounts_undo(w.dir, "mnt");
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_QUOTA);
	assert_non_null(strstr(err.msg, "is incomplete"));
	assert_non_null(strstr(err.msg, "No space left"));
	assert_false(large);
	assert_true(there <= 200);
}

/* ---- flags and projects, on file systems that have them ---- */

static void set_flags(const char *dir, const char *name, unsigned int flags)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int now = 0;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &now), 0);
	now |= flags;
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &now), 0);
}

static unsigned int get_flags(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int now = 0;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &now), 0);
	return now & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL |
	              FS_PROJINHERIT_FL);
}

static void set_project(const char *dir, const char *name, uint32_t id)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct fsxattr x;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
	x.fsx_projid = id;
	assert_int_equal(ioctl(fd, FS_IOC_FSSETXATTR, &x), 0);
}

static uint32_t get_project(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct fsxattr x;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
	return x.fsx_projid;
}

/* A world whose volume and target are on a file system of their own. */
static bool world_on(struct world *w, const char *mkfs)
{
	if (!can_mount || !mounts_loop(w->dir, mkfs, NULL, NULL))
		return false;
	free(w->src);
	free(w->out);
	w->src = path_join(w->dir, "mnt/src");
	w->out = path_join(w->dir, "mnt/out");
	assert_int_equal(mkdir(w->src, 0755), 0);
	return true;
}

static void check_pinned(const struct world *w)
{
	static const char *const names[] = { "pinned", "pinned/file",  "appendable",
		                             "log",    "plain/nodump", "plain",
		                             "" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(get_flags(w->out, names[i]), get_flags(w->src, names[i]));
		assert_int_equal(get_project(w->out, names[i]), get_project(w->src, names[i]));
	}
}

static const char *pins(struct world *w, const char *mkfs, bool projects)
{
	if (!world_on(w, mkfs))
		return "no such file system on a loop device here";
	world_file(w, "pinned/file", 1, 5000);
	world_file(w, "pinned/second", 2, 5000);
	world_file(w, "appendable/a", 3, 5000);
	world_file(w, "log", 4, 5000);
	world_file(w, "plain/nodump", 5, 3 * MIB);
	auto_free char *from = world_at(w, "pinned/file");
	auto_free char *to = world_at(w, "plain/link to pinned");
	assert_int_equal(linkat(AT_FDCWD, from, AT_FDCWD, to, 0), 0);
	if (projects) {
		set_project(w->src, "plain", 4711);
		set_project(w->src, "plain/nodump", 4711);
		set_flags(w->src, "plain", FS_PROJINHERIT_FL);
	}
	set_flags(w->src, "plain", FS_NOATIME_FL);
	set_flags(w->src, "plain/nodump", FS_NODUMP_FL | FS_SYNC_FL);
	set_flags(w->src, "log", FS_APPEND_FL);
	set_flags(w->src, "appendable", FS_APPEND_FL);
	set_flags(w->src, "pinned/file", FS_IMMUTABLE_FL);
	set_flags(w->src, "pinned", FS_IMMUTABLE_FL);
	set_flags(w->src, "", FS_IMMUTABLE_FL);
	CLEANUP(point_clear) struct point p = world_backup(w);
	world_restore(w, &p, 0);
	assert_same_tree(w->src, w->out);
	check_pinned(w);

	/* in place: what is pinned is opened, changed, and pinned again */
	auto_free char *second = path_join(w->out, "pinned/second");
	auto_free char *dir = path_join(w->out, "pinned");
	auto_close int fd = open(dir, O_RDONLY | O_CLOEXEC);
	unsigned int none = 0;
	unsigned int pinned = FS_IMMUTABLE_FL;
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &none), 0);
	write_text(dir, "extra", "x");
	assert_int_equal(unlink(second), 0);
	write_text(dir, "second", "another");
	set_flags(w->out, "pinned/extra", FS_IMMUTABLE_FL);
	set_flags(w->out, "pinned/second", FS_IMMUTABLE_FL);
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &pinned), 0);
	world_restore(w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_false(file_exists(w->out, "pinned/extra"));
	assert_same_tree(w->src, w->out);
	check_pinned(w);
	return NULL;
}

static void unpin_all(const struct world *w)
{
	const char *const argv[] = { "chattr", "-R", "-f", "-i", "-a", w->src, w->out, NULL };

	(void)mounts_command(argv);
	mounts_undo(w->dir, "mnt");
}

static void test_restore_run__flags_that_forbid_changes_come_last(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	const char *why = is_root() ? pins(&w, "mkfs.ext4", false) : "only root may";
	unpin_all(&w);
	left_out(why);
}

static void test_restore_run__project_ids_come_back(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	const char *why = is_root() ? pins(&w, "mkfs.xfs", true) : "only root may";
	unpin_all(&w);
	left_out(why);
}

/* A file system that takes little. */
static const char *plain(struct world *w)
{
	auto_free char *at = path_join(w->dir, "mnt");
	CLEANUP(buf_clear) struct buf xattrs = BUF_INIT(4096);
	struct craft c;

	assert_int_equal(mkdir(at, 0755), 0);
	if (!can_mount || mount("none", at, "tmpfs", 0, "size=6m") < 0)
		return "no tmpfs can be mounted here";
	(void)source_xattr_put(&xattrs, "nonsense.name", "x", 1);
	(void)source_xattr_put(&xattrs, "trusted.fine", "y", 1);
	craft_begin(&c, w);
	craft_dir(&c, "");
	const struct record r = {
		.path = "file",
		.st = { .mode = S_IFREG | 0644 },
		.flags = RECORD_XATTRS | RECORD_FSFLAGS | RECORD_PROJID,
		.xattrs = xattrs.data,
		.xattrs_len = xattrs.len,
		.fsflags = FS_NOCOW_FL | FS_NODUMP_FL,
		.projid = 5,
	};
	craft_add(&c, &r);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	ok(world_try(w, &p, at, 0, NULL, e));
	assert_int_equal(w->report.losses.of[LOSS_XATTR].count, 1);
	assert_int_equal(w->report.losses.of[LOSS_FLAGS].count, 1);
	assert_int_equal(w->report.losses.of[LOSS_PROJECT].count, 1);
	assert_int_equal(w->report.losses.of[LOSS_OWNER].count, 0);
	assert_string_equal(w->report.losses.of[LOSS_FLAGS].first, "file");
	/* one that is unknown does not cost the others */
	assert_int_equal(get_flags(at, "file"), FS_NODUMP_FL);
	char value[2];
	auto_free char *file = path_join(at, "file");
	assert_int_equal(getxattr(file, "trusted.fine", value, sizeof(value)), 1);
	fails_saying(ERR_PARTIAL, "extended attributes could not be set",
	             report_verdict(&w->report, e));
	return NULL;
}

static void test_restore_run__what_a_file_system_does_not_take_is_counted(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	const char *why = is_root() ? plain(&w) : "only root may";
	mounts_undo(w.dir, "mnt");
	left_out(why);
}

/* ---- parts ---- */

static void test_target_write_zeros__and_is_zero(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint8_t p[1000];

	(void)state;
	memset(p, 'x', sizeof(p));
	assert_int_equal(fd_pwrite_full(fd, p, sizeof(p), 500000), 0);
	assert_int_equal(ftruncate(fd, 2000000), 0);
	struct err err = ERR_INIT;
	assert_int_equal(target_is_zero(fd, 0, 500000, &err), 1);
	assert_int_equal(target_is_zero(fd, 0, 500001, &err), 0);
	assert_int_equal(target_is_zero(fd, 500999, 10, &err), 0);
	assert_int_equal(target_is_zero(fd, 501000, 5000000, &err), 1);
	assert_int_equal(target_is_zero(fd, 3000000, 10, &err), 1);
	ok(target_write_zeros(fd, 400000, 600000, e));
	assert_int_equal(target_is_zero(fd, 0, 2000000, &err), 1);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 2000000);
	assert_int_equal(target_is_zero(-1, 0, 10, &err), -1);
	assert_int_equal(target_write_zeros(-1, 0, 10, &err), -1);
}

static void test_target_dir__does_not_leave_its_file_system_to_delete(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *at = path_join(w.out, "extra/mnt");

	(void)state;
	world_file(&w, "a", 1, 10);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	write_text(w.out, "extra/mnt/x", "x");
	if (!can_mount || mount("none", at, "tmpfs", 0, "size=1m") < 0)
		left_out("no tmpfs can be mounted here");
	write_text(at, "precious", "x");
	struct err err = ERR_INIT;
	int rc = world_try(&w, &p, w.out, TARGET_IN_PLACE | TARGET_DELETE, NULL, &err);
	bool kept = file_exists(at, "precious");
	(void)umount2(at, MNT_DETACH);
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_BUSY);
	assert_true(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore_run__without_rights_counts_what_is_lost),
		cmocka_unit_test(test_restore_run__no_owner_asks_for_none),
		cmocka_unit_test(test_restore_run__in_place_without_rights_opens_what_is_its_own),
		cmocka_unit_test(test_target_dir_open__says_why_it_cannot_be_made),
		cmocka_unit_test(test_restore_run__a_full_target_keeps_no_half_files),
		cmocka_unit_test(test_restore_run__flags_that_forbid_changes_come_last),
		cmocka_unit_test(test_restore_run__project_ids_come_back),
		cmocka_unit_test(test_restore_run__what_a_file_system_does_not_take_is_counted),
		cmocka_unit_test(test_target_write_zeros__and_is_zero),
		cmocka_unit_test(test_target_dir__does_not_leave_its_file_system_to_delete),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
