/* SPDX-License-Identifier: Apache-2.0 */
/* Opening below a root: what is refused, by the kernel's check and by ours. */
#include "snapshot/below.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <cmocka.h>

#include "tests/unit/snapshot/mounts.h"

static bool can_mount;

static int open_root(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void assert_opens(int fd)
{
	assert_true(fd >= 0);
	close(fd);
}

static void assert_refused(int fd, int os)
{
	int seen = errno;

	assert_int_equal(fd, -1);
	assert_int_equal(seen, os);
}

/* Runs check with the kernel's openat2 and with our own checks. */
static void both_ways(const char *dir, bool cross, void (*check)(struct below *b))
{
	auto_close int root = open_root(dir);
	struct below b;

	assert_int_equal(below_init(&b, root, cross), 0);
	check(&b);
	b.openat2 = false;
	check(&b);
}

static void check_types(struct below *b)
{
	assert_opens(below_open_dir(b, b->root, "dir"));
	assert_opens(below_open_dir(b, b->root, "."));
	assert_refused(below_open_dir(b, b->root, "file"), ENOTDIR);
	assert_refused(below_open_dir(b, b->root, "none"), ENOENT);
	int fd = below_open_dir(b, b->root, "link");
	assert_true(fd == -1 && (errno == ELOOP || errno == ENOTDIR));
	assert_opens(below_open_file(b, b->root, "file", 0));
	assert_refused(below_open_file(b, b->root, "link", 0), ELOOP);
	assert_opens(below_open_file(b, b->root, "fifo", 0)); /* and does not wait for a writer */
}

static void test_below_open__follows_no_link_and_waits_for_nothing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *link_path = path_join(dir, "link");
	auto_free char *fifo = path_join(dir, "fifo");

	(void)state;
	write_text(dir, "dir/x", "x");
	write_text(dir, "file", "x");
	assert_int_equal(symlink("dir", link_path), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	both_ways(dir, false, check_types);
	both_ways(dir, true, check_types);
}

enum { LEVELS = 120, NAME = 100 };

static void long_name(char *name)
{
	memset(name, 'n', NAME);
	name[NAME] = '\0';
}

static void check_path(struct below *b)
{
	static char path[LEVELS * (NAME + 1) + 20];
	char name[NAME + 1];
	size_t len = 0;
	struct statx want, got;

	long_name(name);
	auto_close int deep = dup(b->root);
	for (int i = 0; i < LEVELS; i++) {
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%s%s", i ? "/" : "", name);
		int next = openat(deep, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(deep);
		deep = next;
	}
	assert_int_equal(below_stat(deep, "", &want), 0);
	auto_close int fd = below_open_path(b, path, len);
	assert_true(fd >= 0);
	assert_int_equal(below_stat(fd, "", &got), 0);
	assert_int_equal(want.stx_ino, got.stx_ino);

	auto_close int root = below_open_path(b, path, 0);
	assert_true(root >= 0);
	assert_int_equal(below_stat(b->root, "", &want), 0);
	assert_int_equal(below_stat(root, "", &got), 0);
	assert_int_equal(want.stx_ino, got.stx_ino);

	len += (size_t)snprintf(path + len, sizeof(path) - len, "/gone/x");
	assert_refused(below_open_path(b, path, len), ENOENT);
	assert_opens(below_open_path(b, "d/e", 3));
	int over_link = below_open_path(b, "link/e", 6);
	assert_true(over_link == -1 && (errno == ELOOP || errno == ENOTDIR));
}

static void test_below_open_path__reaches_paths_longer_than_the_kernel_takes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *link_path = path_join(dir, "link");
	char name[NAME + 1];
	char too_long[5000];

	(void)state;
	long_name(name);
	write_text(dir, "d/e/x", "x");
	assert_int_equal(symlink("d", link_path), 0);
	auto_close int at = open_root(dir);
	for (int i = 0; i < LEVELS; i++) {
		assert_int_equal(mkdirat(at, name, 0755), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	both_ways(dir, false, check_path);

	auto_close int root = open_root(dir);
	struct below b;
	memset(too_long, 'x', sizeof(too_long));
	assert_int_equal(below_init(&b, root, false), 0);
	assert_refused(below_open_path(&b, too_long, sizeof(too_long)), ENAMETOOLONG);

	/* from the innermost outwards, so that no path gets long */
	for (int i = LEVELS; i-- > 0;) {
		int up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(unlinkat(up, name, AT_REMOVEDIR), 0);
		close(at);
		at = up;
	}
}

static void check_mounts_refused(struct below *b)
{
	struct statx stx;

	assert_refused(below_open_dir(b, b->root, "tmpfs"), EXDEV);
	assert_refused(below_open_dir(b, b->root, "bind"), EXDEV);
	assert_refused(below_open_path(b, "bind/sub", 8), EXDEV);
	assert_refused(below_open_file(b, b->root, "file", 0), EXDEV);
	assert_opens(below_open_dir(b, b->root, "real"));
	assert_int_equal(below_stat(b->root, "file", &stx), 0);
	assert_true(below_crosses(b, &stx));
	assert_int_equal(below_stat(b->root, "real/x", &stx), 0);
	assert_false(below_crosses(b, &stx));

	/* as on a kernel that does not tell where mounts begin */
	assert_int_equal(below_stat(b->root, "tmpfs", &stx), 0);
	stx.stx_attributes_mask = 0;
	assert_true(below_crosses(b, &stx));
	assert_int_equal(below_stat(b->root, "real", &stx), 0);
	stx.stx_attributes_mask = 0;
	assert_false(below_crosses(b, &stx));
}

static void check_mounts_crossed(struct below *b)
{
	struct statx stx;

	assert_opens(below_open_dir(b, b->root, "tmpfs"));
	assert_opens(below_open_path(b, "bind/sub", 8));
	assert_opens(below_open_file(b, b->root, "file", 0));
	assert_int_equal(below_stat(b->root, "file", &stx), 0);
	assert_false(below_crosses(b, &stx));
}

static const char *below_open__crosses_no_mount_unless_asked_to(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tmpfs = path_join(dir, "tmpfs");
	auto_free char *bind = path_join(dir, "bind");
	auto_free char *real = path_join(dir, "real");
	auto_free char *file = path_join(dir, "file");
	auto_free char *x = path_join(dir, "real/x");

	if (!can_mount)
		return "this process may not mount";
	write_text(dir, "real/x", "x");
	write_text(dir, "real/sub/y", "y");
	write_text(dir, "file", "f");
	assert_int_equal(mkdir(tmpfs, 0755), 0);
	assert_int_equal(mkdir(bind, 0755), 0);
	assert_int_equal(mount("none", tmpfs, "tmpfs", 0, "size=64k"), 0);
	assert_int_equal(mount(real, bind, "none", MS_BIND, NULL), 0);
	assert_int_equal(mount(x, file, "none", MS_BIND, NULL), 0);
	both_ways(dir, false, check_mounts_refused);
	both_ways(dir, true, check_mounts_crossed);
	mounts_undo(dir, "file");
	mounts_undo(dir, "bind");
	mounts_undo(dir, "tmpfs");
	return NULL;
}

static void test_below_open__crosses_no_mount_unless_asked_to(void **state)
{
	(void)state;
	left_out(below_open__crosses_no_mount_unless_asked_to());
}

static void check_root(struct below *b)
{
	assert_opens(below_open_dir(b, b->root, "."));
	assert_opens(below_open_path(b, "", 0));
	assert_opens(below_open_path(b, "sub", 3));
}

/* As volumes mostly are. */
static const char *below_open__the_root_may_be_a_mount_itself(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tmpfs = path_join(dir, "tmpfs");

	if (!can_mount)
		return "this process may not mount";
	assert_int_equal(mkdir(tmpfs, 0755), 0);
	assert_int_equal(mount("none", tmpfs, "tmpfs", 0, "size=64k"), 0);
	write_text(tmpfs, "sub/x", "x");
	both_ways(tmpfs, false, check_root);
	mounts_undo(dir, "tmpfs");
	return NULL;
}

static void test_below_open__the_root_may_be_a_mount_itself(void **state)
{
	(void)state;
	left_out(below_open__the_root_may_be_a_mount_itself());
}

/* A filter of system calls, as containers have them, that knows no openat2. */
static int without_openat2(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = ARRAY_LEN(code), .filter = code };
	struct below b;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return 77;
	auto_close int root = open(arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (below_init(&b, root, false) < 0 || b.openat2)
		return 1;
	auto_close int fd = below_open_path(&b, "d/e", 3);
	if (fd < 0 || below_open_dir(&b, root, "link") >= 0)
		return 2;
	return 0;
}

static const char *below_init__does_without_a_forbidden_openat2(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *link_path = path_join(dir, "link");

	write_text(dir, "d/e/x", "x");
	assert_int_equal(symlink("d", link_path), 0);
	auto_run struct harness_run r = harness_run(without_openat2, dir);
	if (r.status == 77)
		return "system calls cannot be filtered here";
	assert_int_equal(r.status, 0);
	return NULL;
}

static void test_below_init__does_without_a_forbidden_openat2(void **state)
{
	(void)state;
	left_out(below_init__does_without_a_forbidden_openat2());
}

static void test_below_init__reports_a_bad_descriptor(void **state)
{
	struct below b;

	(void)state;
	assert_int_equal(below_init(&b, -1, false), -1);
	assert_int_equal(errno, EBADF);
}

static bool is_quiet(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NOATIME) != 0;
}

/* In a child that is nobody: its own files are read quietly, others' as far as they let. */
static int as_nobody(void *arg)
{
	struct below b;

	if (chdir(arg) < 0 || setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 77;
	auto_close int root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || below_init(&b, root, false) < 0 || b.euid != 65534)
		return 1;
	auto_close int theirs = below_open_file(&b, root, "theirs", 0);
	if (theirs < 0 || is_quiet(theirs) || atomic_load(&b.noatime))
		return 2;
	auto_close int mine = below_open_file(&b, root, "mine", 65534);
	if (mine < 0 || !is_quiet(mine))
		return 3;
	auto_close int secret = below_open_file(&b, root, "secret", 0);
	if (secret >= 0 || errno != EACCES)
		return 4;
	auto_close int dir = below_open_dir(&b, root, "dir");
	if (dir < 0 || is_quiet(dir))
		return 5;
	return 0;
}

static const char *below_open_file__leaves_access_times_alone_where_it_may(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *mine = path_join(dir, "mine");
	auto_free char *secret = path_join(dir, "secret");

	if (geteuid() != 0)
		return "only root can become somebody else";
	write_text(dir, "mine", "m");
	write_text(dir, "theirs", "t");
	write_text(dir, "secret", "s");
	write_text(dir, "dir/x", "x");
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chown(mine, 65534, 65534), 0);
	assert_int_equal(chmod(secret, 0600), 0);
	auto_run struct harness_run r = harness_run(as_nobody, dir);
	assert_int_equal(r.status, 0);

	auto_close int root = open_root(dir);
	struct below b;
	assert_int_equal(below_init(&b, root, false), 0);
	auto_close int fd = below_open_file(&b, root, "secret", 0);
	assert_true(fd >= 0 && is_quiet(fd));
	return NULL;
}

static void test_below_open_file__leaves_access_times_alone_where_it_may(void **state)
{
	(void)state;
	left_out(below_open_file__leaves_access_times_alone_where_it_may());
}

static void test_below_entry_stat__takes_what_belongs_to_the_type(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	const struct timespec times[2] = { { .tv_sec = 5 },
		                           { .tv_sec = -77, .tv_nsec = 123456789 } };
	auto_close int root = open_root(dir);
	struct statx stx;
	struct entry_stat st;
	struct below b;
	struct stat ref;

	(void)state;
	write_text(dir, "f", "hello");
	assert_int_equal(chmod(path, 06755), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(lstat(path, &ref), 0);
	assert_int_equal(below_init(&b, root, false), 0);
	assert_int_equal(below_stat(root, "f", &stx), 0);
	below_entry_stat(&b, root, &stx, &st);
	assert_int_equal(st.mode, S_IFREG | 06755);
	assert_int_equal(st.uid, ref.st_uid);
	assert_int_equal(st.gid, ref.st_gid);
	assert_int_equal(st.nlink, 1);
	assert_int_equal(st.ino, ref.st_ino);
	assert_int_equal(st.size, 5);
	assert_int_equal(st.rdev_major, 0);
	assert_int_equal(st.mtime.s, -77);
	assert_int_equal(st.mtime.ns, 123456789);
	assert_int_equal(st.ctime.s, ref.st_ctim.tv_sec);
	assert_int_equal(st.ctime.ns, ref.st_ctim.tv_nsec);

	assert_int_equal(below_stat(root, "", &stx), 0);
	below_plain_stat(&stx, &st);
	assert_int_equal(st.size, 0);
	assert_true(S_ISDIR(st.mode));

	assert_int_equal(below_stat(AT_FDCWD, "/dev/null", &stx), 0);
	below_plain_stat(&stx, &st);
	assert_true(S_ISCHR(st.mode));
	assert_int_equal(st.rdev_major, 1);
	assert_int_equal(st.rdev_minor, 3);
	assert_int_equal(below_stat(root, "none", &stx), -1);
	assert_int_equal(errno, ENOENT);
}

/* More devices than are remembered: each keeps its own numbers all the same. */
static void test_below_entry_stat__equal_numbers_on_other_devices_differ(void **state)
{
	enum { DEVICES = BELOW_SALTS + 4 };
	auto_tmpdir char *dir = tmpdir_new();
	auto_close int root = open_root(dir);
	uint64_t seen[DEVICES];
	struct below b;

	(void)state;
	assert_int_equal(below_init(&b, root, false), 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < DEVICES; i++) {
			struct statx stx = { .stx_mode = S_IFREG, .stx_ino = 257 };
			struct entry_stat st;

			stx.stx_dev_major = 4000;
			stx.stx_dev_minor = i;
			below_entry_stat(&b, root, &stx, &st);
			assert_int_not_equal(st.ino, 257);
			if (round == 0)
				seen[i] = st.ino;
			assert_int_equal(st.ino, seen[i]);
			for (uint32_t j = 0; j < i; j++)
				assert_int_not_equal(st.ino, seen[j]);
		}
	}
}

static int ino_of(struct below *b, const char *sub, uint64_t *ret)
{
	struct statx stx;
	struct entry_stat st;
	auto_close int at = below_open_dir(b, b->root, sub);

	if (at < 0 || below_stat(at, "f", &stx) < 0)
		return -1;
	below_entry_stat(b, at, &stx, &st);
	*ret = st.ino;
	return 0;
}

static const char *below_entry_stat__subvolumes_of_btrfs_share_no_numbers(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *at = path_join(dir, "mnt");
	auto_free char *a = path_join(at, "a");
	auto_free char *b_path = path_join(at, "b");
	const char *make_a[] = { "btrfs", "subvolume", "create", a, NULL };
	const char *make_b[] = { "btrfs", "subvolume", "create", b_path, NULL };
	uint64_t first[3], again[3];

	if (!can_mount || !mounts_loop(dir, "mkfs.btrfs", NULL, NULL))
		return "no btrfs on a loop device here";
	assert_int_equal(mounts_command(make_a), 0);
	assert_int_equal(mounts_command(make_b), 0);
	write_text(at, "c/f", "root's own");
	write_text(a, "f", "a");
	write_text(b_path, "f", "b");
	for (int round = 0; round < 2; round++) {
		auto_close int root = open_root(at);
		uint64_t *ino = round ? again : first;
		struct statx x, y;
		struct below b;

		assert_int_equal(below_init(&b, root, false), 0);
		assert_int_equal(below_stat(root, "a/f", &x), 0);
		assert_int_equal(below_stat(root, "b/f", &y), 0);
		assert_int_equal(x.stx_ino, y.stx_ino);
		assert_int_equal(ino_of(&b, "a", &ino[0]), 0);
		assert_int_equal(ino_of(&b, "b", &ino[1]), 0);
		assert_int_equal(ino_of(&b, "c", &ino[2]), 0);
		assert_int_not_equal(ino[0], ino[1]);
		assert_int_not_equal(ino[0], ino[2]);
		assert_int_not_equal(ino[1], ino[2]);
	}
	assert_memory_equal(first, again, sizeof(first));
	mounts_undo(dir, "mnt");
	return NULL;
}

static void test_below_entry_stat__subvolumes_of_btrfs_share_no_numbers(void **state)
{
	(void)state;
	left_out(below_entry_stat__subvolumes_of_btrfs_share_no_numbers());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below_open__follows_no_link_and_waits_for_nothing),
		cmocka_unit_test(test_below_open_path__reaches_paths_longer_than_the_kernel_takes),
		cmocka_unit_test(test_below_open__crosses_no_mount_unless_asked_to),
		cmocka_unit_test(test_below_open__the_root_may_be_a_mount_itself),
		cmocka_unit_test(test_below_init__does_without_a_forbidden_openat2),
		cmocka_unit_test(test_below_init__reports_a_bad_descriptor),
		cmocka_unit_test(test_below_open_file__leaves_access_times_alone_where_it_may),
		cmocka_unit_test(test_below_entry_stat__takes_what_belongs_to_the_type),
		cmocka_unit_test(test_below_entry_stat__equal_numbers_on_other_devices_differ),
		cmocka_unit_test(test_below_entry_stat__subvolumes_of_btrfs_share_no_numbers),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
