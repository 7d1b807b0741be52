/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, links, flags: what was set comes back. */
#include "snapshot/detail.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <cmocka.h>

#include "tests/harness/syshook.h"
#include "tests/unit/snapshot/mounts.h"

static bool can_mount;

ssize_t __real_flistxattr(int fd, char *list, size_t n);
ssize_t __wrap_flistxattr(int fd, char *list, size_t n);
ssize_t __real_fgetxattr(int fd, const char *name, void *value, size_t n);
ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t n);
int __real_ioctl(int fd, unsigned long call, void *arg);
int __wrap_ioctl(int fd, unsigned long call, void *arg);
ssize_t __real_readlinkat(int at, const char *path, char *target, size_t n);
ssize_t __wrap_readlinkat(int at, const char *path, char *target, size_t n);

/* A file system that is played: attributes "user.NNNN" of one size, and failures by errno. */
static struct {
	bool on;
	unsigned attrs;
	size_t size;
	int value_os, flags_os, project_os;
	bool endless_link;
} play;

ssize_t __wrap_flistxattr(int fd, char *list, size_t n)
{
	size_t at = 0;

	if (!play.on)
		return __real_flistxattr(fd, list, n);
	if (play.attrs * sizeof("user.0000") > n) {
		errno = ERANGE;
		return -1;
	}
	for (unsigned i = 0; i < play.attrs; i++)
		at += (size_t)snprintf(list + at, n - at, "user.%04u", play.attrs - 1 - i) + 1;
	return (ssize_t)at;
}

ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t n)
{
	if (!play.on)
		return __real_fgetxattr(fd, name, value, n);
	if (play.value_os && strcmp(name, "user.0001") == 0) {
		errno = play.value_os;
		return -1;
	}
	if (play.size > n) {
		errno = ERANGE;
		return -1;
	}
	memset(value, 'v', play.size);
	return (ssize_t)play.size;
}

int __wrap_ioctl(int fd, unsigned long call, void *arg)
{
	int os = call == FS_IOC_GETFLAGS     ? play.flags_os
	         : call == FS_IOC_FSGETXATTR ? play.project_os
	                                     : 0;

	if (!os)
		return __real_ioctl(fd, call, arg);
	errno = os;
	return -1;
}

ssize_t __wrap_readlinkat(int at, const char *path, char *target, size_t n)
{
	if (!play.endless_link)
		return __real_readlinkat(at, path, target, n);
	memset(target, 't', n);
	return (ssize_t)n;
}

static int open_at(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* Attribute i as "name" and its value; fails when there are fewer. */
static void assert_attr(const struct entry_detail *d, size_t *pos, const char *name,
                        const void *value, size_t n)
{
	const char *seen_name;
	const uint8_t *seen;
	size_t name_len, len;
	bool bad;

	assert_true(source_xattr_next(d->xattrs, d->xattrs_len, pos, &seen_name, &name_len, &seen,
	                              &len, &bad));
	assert_int_equal(name_len, strlen(name));
	assert_memory_equal(seen_name, name, name_len);
	assert_int_equal(len, n);
	assert_memory_equal(seen, value, n);
}

static size_t count_attrs(const struct entry_detail *d)
{
	const char *name, *last = NULL;
	const uint8_t *value;
	size_t pos = 0, n = 0, name_len, last_len = 0, len;
	bool bad;

	while (source_xattr_next(d->xattrs, d->xattrs_len, &pos, &name, &name_len, &value, &len,
	                         &bad)) {
		if (last) {
			int c = memcmp(last, name, last_len < name_len ? last_len : name_len);
			assert_true(c < 0 || (c == 0 && last_len < name_len));
		}
		last = name;
		last_len = name_len;
		n++;
	}
	assert_false(bad);
	return n;
}

static const char *detail_xattrs__come_sorted_with_their_values(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct err e = ERR_INIT;
	uint8_t large[2000];
	size_t pos = 0;

	fill_random(1, large, sizeof(large));
	write_text(dir, "f", "x");
	if (lsetxattr(path, "user.first", "1", 1, 0) < 0)
		return "no attributes in this file system";
	assert_int_equal(lsetxattr(path, "user.z", "", 0, 0), 0);
	assert_int_equal(lsetxattr(path, "user.B", large, sizeof(large), 0), 0);
	assert_int_equal(lsetxattr(path, "user.first2", "a\0b", 3, 0), 0);
	auto_close int fd = open_at(dir, "f");
	assert_int_equal(detail_xattrs(fd, NULL, "f", &d, &e), 0);
	assert_attr(&d, &pos, "user.B", large, sizeof(large));
	assert_attr(&d, &pos, "user.first", "1", 1);
	assert_attr(&d, &pos, "user.first2", "a\0b", 3);
	assert_attr(&d, &pos, "user.z", "", 0);
	assert_int_equal(count_attrs(&d), 4);

	CLEANUP(entry_detail_clear) struct entry_detail by_path = { 0 };
	assert_int_equal(detail_xattrs(-1, path, "f", &by_path, &e), 0);
	assert_int_equal(by_path.xattrs_len, d.xattrs_len);
	assert_memory_equal(by_path.xattrs, d.xattrs, d.xattrs_len);
	return NULL;
}

static void test_detail_xattrs__come_sorted_with_their_values(void **state)
{
	(void)state;
	left_out(detail_xattrs__come_sorted_with_their_values());
}

static void test_detail_xattrs__none_is_nothing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "f", "x");
	auto_close int fd = open_at(dir, "f");
	assert_int_equal(detail_xattrs(fd, NULL, "f", &d, &e), 0);
	assert_null(d.xattrs);
	assert_int_equal(d.xattrs_len, 0);

	/* a file system that knows none at all */
	auto_close int plain = open("/proc/self/fdinfo", O_RDONLY | O_CLOEXEC);
	assert_true(plain >= 0);
	assert_int_equal(detail_xattrs(plain, NULL, "plain", &d, &e), 0);
	assert_null(d.xattrs);
}

static void test_detail_xattrs__says_what_it_could_not_read(void **state)
{
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(detail_xattrs(-1, "/nonexistent/f", "the-name", &d, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "listing the attributes of 'the-name'"));
}

/* Version, then tag, permissions and id of each: the form that the kernel takes. */
static void make_acl(uint8_t acl[4 + 5 * 8], uint32_t uid)
{
	static const uint16_t tags[5] = { 1, 2, 4, 16, 32 };

	memset(acl, 0xff, 4 + 5 * 8);
	memcpy(acl, "\2\0\0\0", 4);
	for (int i = 0; i < 5; i++) {
		const uint16_t perm = 6;

		memcpy(acl + 4 + 8 * i, &tags[i], 2);
		memcpy(acl + 6 + 8 * i, &perm, 2);
	}
	memcpy(acl + 4 + 8 + 4, &uid, 4);
}

static const char *detail_xattrs__acls_and_capabilities_are_among_them(void)
{
	/* cap_net_raw, permitted and effective: VFS_CAP_REVISION_2 */
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	CLEANUP(entry_detail_clear) struct entry_detail dd = { 0 };
	struct err e = ERR_INIT;
	uint8_t acl[4 + 5 * 8];
	size_t pos = 0;

	make_acl(acl, 1234);
	write_text(dir, "f", "x");
	if (geteuid() != 0 || lsetxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0) < 0 ||
	    lsetxattr(dir, "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		return "needs root and a file system with ACLs";
	assert_int_equal(lsetxattr(path, "security.capability", caps, sizeof(caps), 0), 0);
	assert_int_equal(lsetxattr(path, "trusted.t", "T", 1, 0), 0);
	auto_close int fd = open_at(dir, "f");
	assert_int_equal(detail_xattrs(fd, NULL, "f", &d, &e), 0);
	assert_attr(&d, &pos, "security.capability", caps, sizeof(caps));
	assert_attr(&d, &pos, "system.posix_acl_access", acl, sizeof(acl));
	assert_attr(&d, &pos, "trusted.t", "T", 1);
	assert_int_equal(count_attrs(&d), 3);

	auto_close int dir_fd = open_at(dir, ".");
	pos = 0;
	assert_int_equal(detail_xattrs(dir_fd, NULL, "dir", &dd, &e), 0);
	assert_attr(&dd, &pos, "system.posix_acl_default", acl, sizeof(acl));
	return NULL;
}

static void test_detail_xattrs__acls_and_capabilities_are_among_them(void **state)
{
	(void)state;
	left_out(detail_xattrs__acls_and_capabilities_are_among_them());
}

static const char *detail_xattrs__of_a_link_are_its_own(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "f");
	auto_free char *link_path = path_join(dir, "link");
	auto_free char *fifo = path_join(dir, "fifo");
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	CLEANUP(entry_detail_clear) struct entry_detail f = { 0 };
	struct err e = ERR_INIT;
	size_t pos = 0;

	write_text(dir, "f", "x");
	assert_int_equal(symlink("f", link_path), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	if (lsetxattr(link_path, "trusted.of-link", "L", 1, 0) < 0 ||
	    lsetxattr(fifo, "trusted.of-fifo", "F", 1, 0) < 0 ||
	    lsetxattr(path, "trusted.of-file", "f", 1, 0) < 0)
		return "needs root and a file system with attributes";
	auto_close int held = open(link_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char proc[32];
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", held);
	assert_int_equal(detail_xattrs(-1, proc, "link", &d, &e), 0);
	assert_attr(&d, &pos, "trusted.of-link", "L", 1);
	assert_int_equal(count_attrs(&d), 1);
	pos = 0;
	assert_int_equal(detail_xattrs(-1, fifo, "fifo", &f, &e), 0);
	assert_attr(&f, &pos, "trusted.of-fifo", "F", 1);
	return NULL;
}

static void test_detail_xattrs__of_a_link_are_its_own(void **state)
{
	(void)state;
	left_out(detail_xattrs__of_a_link_are_its_own());
}

/*
 * More names and larger values than the buffers on the stack; then more than
 * an entry may have in all. XFS allows this much, ext4 does not; tmpfs since
 * Linux 6.6.
 */
static const char *detail_xattrs__many_and_large_up_to_the_limit(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *tmpfs = path_join(dir, "tmpfs");
	auto_free char *path = path_join(tmpfs, "f");
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	CLEANUP(entry_detail_clear) struct entry_detail none = { 0 };
	struct err e = ERR_INIT;
	char name[64];
	static uint8_t value[65536];

	assert_int_equal(mkdir(tmpfs, 0755), 0);
	if (!can_mount || mount("none", tmpfs, "tmpfs", 0, "size=16m") < 0)
		return "this process may not mount";
	write_text(tmpfs, "f", "x");
	fill_random(2, value, sizeof(value));
	bool can = true;
	for (int i = 0; i < 200 && can; i++) {
		(void)snprintf(name, sizeof(name), "trusted.name-%04d", i * 77 % 200);
		can = lsetxattr(path, name, value, (size_t)(i * 7), 0) == 0;
	}
	can = can && lsetxattr(path, "trusted.large", value, sizeof(value), 0) == 0;
	if (can) {
		assert_int_equal(detail_xattrs(-1, path, "f", &d, &e), 0);
		assert_int_equal(count_attrs(&d), 201);
		size_t pos = 0;
		assert_attr(&d, &pos, "trusted.large", value, sizeof(value));
		assert_attr(&d, &pos, "trusted.name-0000", value, 0);
	}
	for (int i = 0; i < 8 && can; i++) {
		(void)snprintf(name, sizeof(name), "trusted.more-%d", i);
		can = lsetxattr(path, name, value, sizeof(value), 0) == 0;
	}
	if (can) {
		assert_int_equal(detail_xattrs(-1, path, "the-name", &none, &e), -1);
		assert_int_equal(e.class, ERR_TOO_BIG);
		assert_non_null(strstr(e.msg, "'the-name'"));
		assert_null(none.xattrs);
	}
	mounts_undo(dir, "tmpfs");
	if (!can)
		return "this kernel's tmpfs takes no large attributes";
	return NULL;
}

static void test_detail_xattrs__many_and_large_up_to_the_limit(void **state)
{
	(void)state;
	left_out(detail_xattrs__many_and_large_up_to_the_limit());
}

static void test_detail_link__targets_of_any_length_and_bytes(void **state)
{
	static const char *const targets[] = { "t", "../up", "/abs", "new\nline\xff", " " };
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	char longest[4096];

	(void)state;
	auto_close int at = open_at(dir, ".");
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };

		assert_int_equal(symlinkat(targets[i], at, "l"), 0);
		assert_int_equal(detail_link(at, "l", "l", &d, &e), 0);
		assert_int_equal(d.link_len, strlen(targets[i]));
		assert_memory_equal(d.link, targets[i], d.link_len);
		assert_int_equal(unlinkat(at, "l", 0), 0);
	}
	memset(longest, 'p', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	if (symlinkat(longest, at, "l") == 0) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };

		assert_int_equal(detail_link(at, "l", "l", &d, &e), 0);
		assert_int_equal(d.link_len, sizeof(longest) - 1);
	}
}

static void test_detail_link__what_is_no_link_any_more_is_gone(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "f", "x");
	auto_close int at = open_at(dir, ".");
	assert_int_equal(detail_link(at, "f", "f", &d, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_int_equal(detail_link(at, "none", "none", &d, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
}

static const char *detail_flags__those_that_can_be_restored(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct detail_plain plain = { 0 };
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;
	int flags = 0;

	write_text(dir, "f", "x");
	auto_close int fd = open_at(dir, "f");
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ||
	    (flags |= FS_NODUMP_FL | FS_NOATIME_FL, ioctl(fd, FS_IOC_SETFLAGS, &flags)) < 0)
		return "no file flags in this file system";
	assert_int_equal(detail_flags(&plain, 7, fd, "f", &d, &e), 0);
	assert_int_equal(d.fsflags, FS_NODUMP_FL | FS_NOATIME_FL); /* and no FS_EXTENT_FL */
	assert_int_equal(d.projid, 0);
	assert_int_equal(atomic_load(&plain.dev[0]), 0);
	return NULL;
}

static void test_detail_flags__those_that_can_be_restored(void **state)
{
	(void)state;
	left_out(detail_flags__those_that_can_be_restored());
}

static void test_detail_flags__a_file_system_without_them_is_asked_once(void **state)
{
	struct detail_plain plain = { 0 };
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (uint64_t dev = 1; dev <= DETAIL_PLAIN + 2; dev++) {
		auto_close int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(detail_flags(&plain, dev, fd, "f", &d, &e), 0);
		assert_int_equal(d.fsflags, 0);
		assert_int_equal(detail_flags(&plain, dev, fd, "f", &d, &e), 0);
		if (dev <= DETAIL_PLAIN) /* known now: the descriptor is not even looked at */
			assert_int_equal(detail_flags(&plain, dev, -1, "f", &d, &e), 0);
		else
			assert_int_equal(detail_flags(&plain, dev, -1, "f", &d, &e), -1);
	}
	for (unsigned i = 0; i < DETAIL_PLAIN; i++)
		assert_int_equal(atomic_load(&plain.dev[i]), i + 1);
	assert_non_null(strstr(e.msg, "reading the flags of 'f'"));
}

static const char *detail_flags__project_ids(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *at = path_join(dir, "mnt");
	struct detail_plain plain = { 0 };
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;
	struct fsxattr x;

	if (!can_mount || !mounts_loop(dir, "mkfs.xfs", NULL, NULL))
		return "no XFS on a loop device here";
	write_text(at, "d/before", "x");
	{
		auto_close int fd = open_at(at, "d");

		assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
		x.fsx_projid = 4242;
		x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
		assert_int_equal(ioctl(fd, FS_IOC_FSSETXATTR, &x), 0);
		assert_int_equal(detail_flags(&plain, 1, fd, "d", &d, &e), 0);
		assert_int_equal(d.projid, 4242);
		assert_int_equal(d.fsflags, FS_PROJINHERIT_FL);
	}
	write_text(at, "d/f", "x");
	{
		auto_close int fd = open_at(at, "d/f");

		assert_int_equal(detail_flags(&plain, 1, fd, "f", &d, &e), 0);
		assert_int_equal(d.projid, 4242);
	}
	mounts_undo(dir, "mnt");
	return NULL;
}

static void test_detail_flags__project_ids(void **state)
{
	(void)state;
	left_out(detail_flags__project_ids());
}

static void test_detail_xattrs__one_that_goes_away_meanwhile_is_left_out(void **state)
{
	static const int gone[] = { ENODATA, EOPNOTSUPP };
	struct err e = ERR_INIT;

	(void)state;
	play.on = true;
	play.attrs = 3;
	play.size = 5;
	for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
		size_t pos = 0;

		play.value_os = gone[i];
		assert_int_equal(detail_xattrs(0, NULL, "f", &d, &e), 0);
		assert_attr(&d, &pos, "user.0000", "vvvvv", 5);
		assert_attr(&d, &pos, "user.0002", "vvvvv", 5);
		assert_int_equal(count_attrs(&d), 2);
	}
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	play.value_os = EIO;
	assert_int_equal(detail_xattrs(0, NULL, "f", &d, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_non_null(strstr(e.msg, "reading attribute 'user.0001' of 'f'"));
	assert_null(d.xattrs);
	play.on = false;
	play.value_os = 0;
}

struct failing {
	unsigned calls, at;
};

static int fail_at(void *arg, enum syshook_call call, int flags)
{
	struct failing *f = arg;

	(void)flags;
	return call == HOOK_ALLOC && f->calls++ == f->at ? ENOMEM : 0;
}

static void test_detail_xattrs__each_failing_allocation_is_a_clean_error(void **state)
{
	unsigned failures = 0;

	(void)state;
	play.on = true;
	play.attrs = 150;
	play.size = 2000;
	for (struct failing f = { .at = 0 };; f.at++) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
		struct err e = ERR_INIT;

		f.calls = 0;
		syshook_set(fail_at, &f);
		int rc = detail_xattrs(0, NULL, "f", &d, &e);
		syshook_set(NULL, NULL);
		if (rc == 0)
			assert_int_equal(count_attrs(&d), 150);
		if (f.calls <= f.at)
			break;
		if (rc == 0) /* it could do without */
			continue;
		assert_int_equal(e.class, ERR_NOMEM);
		assert_null(d.xattrs);
		failures++;
	}
	assert_true(failures >= 4);
	play.on = false;
}

static void test_detail_link__an_endless_target_is_refused(void **state)
{
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	play.endless_link = true;
	assert_int_equal(detail_link(AT_FDCWD, "l", "l", &d, &e), -1);
	play.endless_link = false;
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_null(d.link);
}

static void test_detail_flags__failures_are_told_and_refusals_are_not(void **state)
{
	struct detail_plain plain = { 0 };
	struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	auto_close int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	play.flags_os = EINVAL; /* of this one file: the next may have flags */
	assert_int_equal(detail_flags(&plain, 1, fd, "f", &d, &e), 0);
	assert_int_equal(atomic_load(&plain.dev[0]), 0);
	play.flags_os = EIO;
	assert_int_equal(detail_flags(&plain, 1, fd, "f", &d, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	play.flags_os = ENOTTY;
	assert_int_equal(detail_flags(&plain, 1, fd, "f", &d, &e), 0);
	play.flags_os = 0;

	auto_close int tmp = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int flags;
	if (tmp >= 0 && ioctl(tmp, FS_IOC_GETFLAGS, &flags) == 0) {
		play.project_os = EIO;
		assert_int_equal(detail_flags(&plain, 2, tmp, "f", &d, &e), -1);
		assert_non_null(strstr(e.msg, "reading the project id of 'f'"));
		play.project_os = ENOTTY;
		assert_int_equal(detail_flags(&plain, 2, tmp, "f", &d, &e), 0);
		play.project_os = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detail_xattrs__come_sorted_with_their_values),
		cmocka_unit_test(test_detail_xattrs__none_is_nothing),
		cmocka_unit_test(test_detail_xattrs__says_what_it_could_not_read),
		cmocka_unit_test(test_detail_xattrs__acls_and_capabilities_are_among_them),
		cmocka_unit_test(test_detail_xattrs__of_a_link_are_its_own),
		cmocka_unit_test(test_detail_xattrs__many_and_large_up_to_the_limit),
		cmocka_unit_test(test_detail_link__targets_of_any_length_and_bytes),
		cmocka_unit_test(test_detail_link__what_is_no_link_any_more_is_gone),
		cmocka_unit_test(test_detail_flags__those_that_can_be_restored),
		cmocka_unit_test(test_detail_flags__a_file_system_without_them_is_asked_once),
		cmocka_unit_test(test_detail_flags__project_ids),
		cmocka_unit_test(test_detail_xattrs__one_that_goes_away_meanwhile_is_left_out),
		cmocka_unit_test(test_detail_xattrs__each_failing_allocation_is_a_clean_error),
		cmocka_unit_test(test_detail_link__an_endless_target_is_refused),
		cmocka_unit_test(test_detail_flags__failures_are_told_and_refusals_are_not),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
