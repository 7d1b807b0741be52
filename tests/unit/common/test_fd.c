/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by descriptor. Opening beneath a directory is tested twice: with the
 * kernel's openat2, and in a child in which that system call does not exist.
 */
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/harness/harness.h"
#include "tests/harness/syshook.h"

/* A directory for each test, and a descriptor of it. */
struct place {
	char *path;
	int fd;
};

static int place_new(void **state)
{
	struct place *p = malloc(sizeof(*p));

	if (!p)
		harness_die("no memory");
	p->path = tmpdir_new();
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0)
		harness_die("opening '%s'", p->path);
	*state = p;
	return 0;
}

static int place_free(void **state)
{
	struct place *p = *state;

	syshook_set(NULL, NULL);
	(void)close(p->fd);
	tmpdir_remove(p->path);
	free(p);
	return 0;
}

/* Makes one kind of call fail, from the nth on (0 is the first), for `times` calls. */
struct fault {
	enum syshook_call call;
	int os;
	int after;
	int times;
};

static int fail_call(void *arg, enum syshook_call call, int flags)
{
	struct fault *f = arg;

	(void)flags;
	if (call != f->call)
		return 0;
	if (f->after > 0) {
		f->after--;
		return 0;
	}
	return f->times-- > 0 ? f->os : 0;
}

/* ---- transfers ---- */

static void test_fd_pread_full__reads_up_to_the_end(void **state)
{
	struct place *p = *state;
	char text[10] = { 0 };

	write_text(p->path, "f", "0123456789");
	auto_close int fd = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_pread_full(fd, text, 4, 3), 4);
	assert_memory_equal(text, "3456", 4);
	assert_int_equal(fd_pread_full(fd, text, 10, 8), 2);
	assert_memory_equal(text, "89", 2);
	assert_int_equal(fd_pread_full(fd, text, 10, 10), 0);
	assert_int_equal(fd_pread_full(-1, text, 10, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void test_fd_pread_full__repeats_interrupted_and_short_reads(void **state)
{
	struct fault f = { HOOK_PREAD, EINTR, 0, 2 };
	struct fault cut = { HOOK_PREAD, SYSHOOK_SHORT, 0, 3 };
	struct place *p = *state;
	char text[10];

	write_text(p->path, "f", "0123456789");
	auto_close int fd = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);
	syshook_set(fail_call, &f);
	assert_int_equal(fd_pread_full(fd, text, 10, 0), 10);
	assert_memory_equal(text, "0123456789", 10);
	syshook_set(fail_call, &cut);
	memset(text, 0, sizeof(text));
	assert_int_equal(fd_pread_full(fd, text, 10, 0), 10);
	assert_memory_equal(text, "0123456789", 10);
}

static void test_fd_pwrite_full__writes_where_it_is_told(void **state)
{
	struct place *p = *state;

	write_text(p->path, "f", "0123456789");
	auto_close int fd = openat(p->fd, "f", O_RDWR | O_CLOEXEC);
	assert_int_equal(fd_pwrite_full(fd, "ab", 2, 3), 0);
	assert_int_equal(fd_pwrite_full(fd, "cd", 2, 11), 0);
	assert_int_equal(fd_pwrite_full(fd, NULL, 0, 5), 0);
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_memory_equal(text, "012ab56789\0cd", 14);
	assert_int_equal(fd_pwrite_full(-1, "ab", 2, 0), -1);
	assert_int_equal(errno, EBADF);
}

static int pwrite_interrupted; /* so many calls of pwrite to come fail with EINTR */

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t off);

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t off)
{
	if (pwrite_interrupted > 0) {
		pwrite_interrupted--;
		errno = EINTR;
		return -1;
	}
	return __real_pwrite(fd, p, n > 3 ? 3 : n, off); /* and never much at once */
}

static void test_fd_pwrite_full__repeats_interrupted_and_short_writes(void **state)
{
	struct place *p = *state;

	auto_close int fd = openat(p->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pwrite_interrupted = 2;
	assert_int_equal(fd_pwrite_full(fd, "0123456789", 10, 2), 0);
	assert_int_equal(pwrite_interrupted, 0);
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_memory_equal(text,
	                    "\0\0"
	                    "0123456789",
	                    13);
}

static void test_fd_write_full__tells_of_a_full_disk(void **state)
{
	auto_close int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };

	(void)state;
	assert_int_equal(fd_write_full(fd, "x", 1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fd_pwrite_full(fd, "x", 1, 0), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fd_writev_full(fd, &iov, 1), -1);
	assert_int_equal(errno, ENOSPC);
}

static void test_fd_writev_full__writes_every_piece(void **state)
{
	struct fault cut = { HOOK_WRITEV, SYSHOOK_SHORT, 0, 3 };
	struct fault f = { HOOK_WRITEV, EINTR, 0, 1 };
	char a[] = "abc";
	char b[] = "";
	char c[] = "defgh";
	struct place *p = *state;

	for (int round = 0; round < 2; round++) {
		struct iovec iov[] = { { a, 3 }, { b, 0 }, { c, 5 }, { b, 0 } };

		syshook_set(fail_call, round == 0 ? &cut : &f);
		auto_close int fd = openat(p->fd, "f", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		                           0600);
		assert_int_equal(fd_writev_full(fd, iov, 4), 0);
		auto_free char *text = read_file(p->path, "f", NULL);
		assert_string_equal(text, "abcdefgh");
	}
}

static void test_fd_writev_full__takes_more_pieces_than_the_kernel(void **state)
{
	struct place *p = *state;
	struct iovec iov[IOV_MAX * 2 + 10];
	char byte[] = "x";
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(iov); i++)
		iov[i] = (struct iovec){ byte, 1 };
	auto_close int fd = openat(p->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_writev_full(fd, iov, (int)ARRAY_LEN(iov)), 0);
	auto_free char *text = read_file(p->path, "f", &n);
	assert_int_equal(n, ARRAY_LEN(iov));
	assert_int_equal(strspn(text, "x"), n);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Sends bytes and signals in turn to the process that reads the pipe. */
static void nag(int fd, pid_t parent)
{
	for (int i = 0; i < 100; i++) {
		(void)kill(parent, SIGUSR1);
		(void)poll(NULL, 0, 1);
		if (write(fd, "x", 1) != 1)
			break;
	}
	_exit(0);
}

static int read_while_nagged(void *arg)
{
	const struct sigaction action = { .sa_handler = on_signal };
	char text[101];
	int fds[2];

	(void)arg;
	if (sigaction(SIGUSR1, &action, NULL) < 0 || pipe(fds) < 0)
		return 1;
	pid_t parent = getpid();
	if (fork() == 0)
		nag(fds[1], parent);
	(void)close(fds[1]);
	/* 100 bytes, then the end: interrupted and short on the way */
	return fd_read_full(fds[0], text, sizeof(text)) == 100 ? 0 : 2;
}

static void test_fd_read_full__repeats_interrupted_and_short_reads(void **state)
{
	auto_run struct harness_run r = harness_run(read_while_nagged, NULL);
	char byte;

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(fd_read_full(-1, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
}

/* Empties the pipe slowly and interrupts its writer. */
static void drain(int fd, pid_t parent)
{
	char text[8192];
	ssize_t n;

	do {
		/* the first may cut a write short, the next find one that has moved nothing */
		for (int i = 0; i < 3; i++) {
			(void)kill(parent, SIGUSR1);
			(void)poll(NULL, 0, 1);
		}
		n = read(fd, text, sizeof(text));
	} while (n > 0);
	_exit(0);
}

static int write_while_nagged(void *arg)
{
	const struct sigaction action = { .sa_handler = on_signal };
	static char text[300000];
	int fds[2];

	(void)arg;
	if (sigaction(SIGUSR1, &action, NULL) < 0 || pipe(fds) < 0)
		return 1;
	pid_t parent = getpid();
	if (fork() == 0) {
		(void)close(fds[1]);
		drain(fds[0], parent);
	}
	(void)close(fds[0]);
	return fd_write_full(fds[1], text, sizeof(text)) == 0 ? 0 : 2;
}

static void test_fd_write_full__repeats_interrupted_and_short_writes(void **state)
{
	auto_run struct harness_run r = harness_run(write_while_nagged, NULL);

	(void)state;
	assert_int_equal(r.status, 0);
}

/* ---- beneath ---- */

static void make_tree(const char *path)
{
	auto_free char *link = path_join(path, "link");
	auto_free char *out = path_join(path, "out");
	auto_free char *dirlink = path_join(path, "dirlink");

	write_text(path, "in/the/file", "inside");
	if (symlink("in/the/file", link) < 0 || symlink("/", out) < 0 || symlink("in", dirlink) < 0)
		harness_die("symlink");
}

/* 0, or the number of the first expectation that fails. Runs with and without openat2. */
static int check_beneath(void *arg)
{
	static const struct {
		const char *path;
		int flags;
		int os; /* 0: opens */
	} cases[] = {
		{ "in/the/file", O_RDONLY, 0 },
		{ "./in/./the//file", O_RDONLY, 0 },
		{ "in", O_RDONLY | O_DIRECTORY, 0 },
		{ "in/", O_RDONLY, 0 },
		{ "in/.", O_RDONLY, 0 },
		{ ".", O_RDONLY, 0 },
		{ "in/the/file", O_PATH, 0 },
		{ "link", O_PATH | O_NOFOLLOW, 0 },
		{ "", O_RDONLY, ENOENT },
		{ "missing", O_RDONLY, ENOENT },
		{ "missing/file", O_RDONLY, ENOENT },
		{ "in/the/file/x", O_RDONLY, ENOTDIR },
		{ "in/the/file/", O_RDONLY, ENOTDIR },
		{ "in/the/file", O_RDONLY | O_DIRECTORY, ENOTDIR },
		{ "/etc/passwd", O_RDONLY, EXDEV },
		{ "..", O_RDONLY, EXDEV },
		{ "../x", O_RDONLY, EXDEV },
		{ "link", O_RDONLY, ELOOP },
		{ "link", O_WRONLY | O_CREAT, ELOOP },
		{ "link", O_PATH, ELOOP },
		{ "dirlink/the/file", O_RDONLY, ELOOP },
		{ "dirlink/", O_RDONLY, ELOOP },
		{ "dirlink", O_RDONLY | O_DIRECTORY, ELOOP },
		{ "out/etc/passwd", O_RDONLY, ELOOP },
		{ "in/the/file", O_WRONLY | O_CREAT | O_EXCL, EEXIST },
	};
	const struct place *p = arg;
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		errno = 0;
		auto_close int fd = fd_open_beneath(p->fd, cases[i].path, cases[i].flags, 0600);
		bool ok = cases[i].os ? fd < 0 && errno == cases[i].os : fd >= 0;

		if (ok && fd >= 0)
			ok = (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
		if (!ok) {
			(void)fprintf(stderr, "'%s': %d, errno %d\n", cases[i].path, fd, errno);
			return (int)i + 1;
		}
	}
	auto_close int made = fd_open_beneath(p->fd, "in/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
	if (made < 0 || fstat(made, &st) < 0 || (st.st_mode & 07777) != 0640)
		return 100;
	char name[NAME_MAX + 8];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	if (fd_open_beneath(p->fd, name, O_RDONLY, 0) >= 0 || errno != ENAMETOOLONG)
		return 101;
	return 0;
}

static void test_fd_open_beneath__stays_inside(void **state)
{
	struct place *p = *state;

	(void)umask(022);
	make_tree(p->path);
	auto_run struct harness_run r = harness_run(check_beneath, p);
	if (r.status != 0)
		fail_msg("expectation %d: %s", r.status, r.err);
}

/* From now on openat2 fails with this errno in the process. */
static int forbid_openat2(int os)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)os),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int check_beneath_without_openat2(void *arg)
{
	return forbid_openat2(ENOSYS) < 0 ? 99 : check_beneath(arg);
}

static int check_beneath_in_an_old_sandbox(void *arg)
{
	return forbid_openat2(EPERM) < 0 ? 99 : check_beneath(arg);
}

static void test_fd_open_beneath__is_the_same_without_openat2(void **state)
{
	int (*const checks[])(void *) = { check_beneath_without_openat2,
		                          check_beneath_in_an_old_sandbox };

	(void)umask(022);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct place *p = *state;
		auto_free char *made = path_join(p->path, "in/new");

		if (i == 0)
			make_tree(p->path);
		(void)unlink(made);
		auto_run struct harness_run r = harness_run(checks[i], p);
		if (r.status != 0)
			fail_msg("expectation %d: %s", r.status, r.err);
	}
}

static int open_immutable(void *arg)
{
	const struct place *p = arg;

	/* EPERM of the file itself: O_NOATIME of a file of another owner, without the right to */
	if (geteuid() == 0) {
		if (fchmod(p->fd, 0755) < 0 || chmod(p->path, 0755) < 0 || seteuid(65534) < 0)
			return 1;
	} else {
		return 77;
	}
	int fd = fd_open_beneath(p->fd, "f", O_RDONLY | O_NOATIME, 0);
	bool ok = fd < 0 && errno == EPERM;
	return seteuid(getuid()) == 0 && ok ? 0 : 2;
}

static void test_fd_open_beneath__a_real_eperm_is_kept(void **state)
{
	struct place *p = *state;

	write_text(p->path, "f", "x");
	auto_run struct harness_run r = harness_run(open_immutable, p);
	if (r.status == 77)
		skip(); /* needs a second user */
	assert_int_equal(r.status, 0);
}

static void test_fd_mkdir_beneath__makes_what_is_missing(void **state)
{
	struct place *p = *state;
	struct stat st;

	(void)umask(022);
	make_tree(p->path);
	assert_int_equal(fd_mkdir_beneath(p->fd, "in/the/new/deep", 0750), 0);
	assert_int_equal(fstatat(p->fd, "in/the/new/deep", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(fd_mkdir_beneath(p->fd, "in/the/new/deep", 0700), 0);
	assert_int_equal(fd_mkdir_beneath(p->fd, "./x/", 0700), 0);
	assert_true(file_exists(p->path, "x"));
}

static void test_fd_mkdir_beneath__follows_no_link_and_leaves_nothing(void **state)
{
	static const struct {
		const char *path;
		int os;
	} cases[] = { { "", ENOENT },
		      { "/x", EXDEV },
		      { "../x", EXDEV },
		      { "in/../x", EXDEV },
		      { "dirlink/x", ELOOP },
		      { "link", ELOOP },
		      { "out/tmp/x", ELOOP },
		      { "in/the/file", ENOTDIR },
		      { "in/the/file/x", ENOTDIR } };
	struct place *p = *state;

	make_tree(p->path);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(fd_mkdir_beneath(p->fd, cases[i].path, 0700), -1);
		assert_int_equal(errno, cases[i].os);
	}
	assert_false(file_exists(p->path, "x"));
	assert_false(file_exists(p->path, "in/x"));
}

static void test_fd_mkdir_beneath__tells_why_it_fails(void **state)
{
	struct fault f = { HOOK_MKDIRAT, ENOSPC, 1, 1 };
	struct place *p = *state;

	syshook_set(fail_call, &f);
	assert_int_equal(fd_mkdir_beneath(p->fd, "a/b/c", 0700), -1);
	assert_int_equal(errno, ENOSPC);
	assert_true(file_exists(p->path, "a"));
}

/* ---- whole files ---- */

static void test_fd_read_file__reads_all(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100000);
	struct place *p = *state;
	struct err e = ERR_INIT;
	char text[50000];

	fill_random(1, text, sizeof(text));
	write_file(p->path, "f", text, sizeof(text));
	assert_int_equal(buf_str(&b, ">"), 0);
	assert_int_equal(fd_read_file(p->fd, "f", &b, &e), 0);
	assert_int_equal(b.len, 50001);
	assert_memory_equal(b.data + 1, text, sizeof(text));
	buf_reset(&b);
	write_text(p->path, "empty", "");
	assert_int_equal(fd_read_file(p->fd, "empty", &b, &e), 0);
	assert_int_equal(b.len, 0);
	/* files that do not tell their size */
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/status", &b, &e), 0);
	assert_memory_equal(b.data, "Name:", 5);
}

static void test_fd_read_file__stops_at_the_limit(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10);
	struct place *p = *state;
	struct err e = ERR_INIT;

	write_text(p->path, "ten", "0123456789");
	write_text(p->path, "eleven", "0123456789a");
	assert_int_equal(fd_read_file(p->fd, "ten", &b, &e), 0);
	assert_memory_equal(b.data, "0123456789", 10);
	buf_reset(&b);
	assert_int_equal(fd_read_file(p->fd, "eleven", &b, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_string_equal(e.msg, "'eleven' is over the limit of 10 bytes");
}

static void test_fd_read_file__names_the_file_in_its_errors(void **state)
{
	struct fault f = { HOOK_FSTAT, EIO, 0, 1 };
	struct fault memory = { HOOK_ALLOC, ENOMEM, 0, 2 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(10);
	struct place *p = *state;
	struct err e = ERR_INIT;

	write_text(p->path, "f", "x");
	assert_int_equal(fd_read_file(p->fd, "missing", &b, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "opening 'missing': No such file or directory");
	assert_int_equal(fd_read_file(p->fd, ".", &b, &e), -1);
	assert_string_equal(e.msg, "reading '.': Is a directory");
	syshook_set(fail_call, &f);
	assert_int_equal(fd_read_file(p->fd, "f", &b, &e), -1);
	assert_string_equal(e.msg, "looking at 'f': Input/output error");
	syshook_set(NULL, NULL);
	buf_clear(&b);
	syshook_set(fail_call, &memory);
	assert_int_equal(fd_read_file(p->fd, "f", &b, &e), -1);
	assert_int_equal(e.class, ERR_NOMEM);
}

static void test_fd_create_file__replaces_with_exact_mode(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct stat st;

	(void)umask(077);
	write_text(p->path, "sub/f", "old");
	assert_int_equal(fd_create_file(p->fd, "sub/f", "new!", 4, 0664, FD_REPLACE, &e), 0);
	(void)umask(022);
	auto_free char *text = read_file(p->path, "sub/f", NULL);
	assert_string_equal(text, "new!");
	assert_int_equal(fstatat(p->fd, "sub/f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0664);
	auto_free char *sub = path_join(p->path, "sub");
	assert_int_equal(count_files(sub), 1);
}

static void test_fd_create_file__takes_absolute_paths(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	auto_free char *path = path_join(p->path, "f");

	assert_int_equal(fd_create_file(AT_FDCWD, path, "", 0, 0600, FD_EXCL, &e), 0);
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_string_equal(text, "");
}

static void test_fd_create_file__excl_keeps_the_old_file(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(fd_create_file(p->fd, "f", "first", 5, 0600, FD_EXCL, &e), 0);
	assert_int_equal(fd_create_file(p->fd, "f", "second", 6, 0600, FD_EXCL, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	assert_string_equal(e.msg, "giving 'f' its name: File exists");
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_string_equal(text, "first");
	assert_int_equal(count_files(p->path), 1);
}

static void test_fd_create_file__excl_works_by_links_where_it_must(void **state)
{
	struct fault old = { HOOK_RENAMEAT2, EINVAL, 0, 2 };
	struct place *p = *state;
	struct err e = ERR_INIT;

	syshook_set(fail_call, &old);
	assert_int_equal(fd_create_file(p->fd, "f", "first", 5, 0600, FD_EXCL, &e), 0);
	assert_int_equal(fd_create_file(p->fd, "f", "second", 6, 0600, FD_EXCL, &e), -1);
	assert_int_equal(e.class, ERR_EXISTS);
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_string_equal(text, "first");
	assert_int_equal(count_files(p->path), 1);
}

static void test_fd_create_file__refuses_names_that_are_none(void **state)
{
	static const char *const names[] = { "", "/", ".", "..", "sub/", "sub/..", "sub/." };
	struct place *p = *state;
	struct err e = ERR_INIT;
	char path[PATH_MAX + 10];

	write_text(p->path, "sub/f", "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(fd_create_file(p->fd, names[i], "x", 1, 0600, FD_REPLACE, &e), -1);
		assert_int_equal(e.os, EISDIR);
	}
	assert_int_equal(fd_create_file(p->fd, "missing/f", "x", 1, 0600, FD_REPLACE, &e), -1);
	assert_string_equal(e.msg,
	                    "opening the directory of 'missing/f': No such file or directory");
	memset(path, 'p', sizeof(path) - 3);
	memcpy(path + sizeof(path) - 3, "/f", 3);
	assert_int_equal(fd_create_file(p->fd, path, "x", 1, 0600, FD_REPLACE, &e), -1);
	assert_int_equal(e.class, ERR_TOO_BIG);
}

static void test_fd_create_file__a_failure_leaves_no_trace(void **state)
{
	static const struct {
		enum syshook_call call;
		int after;
		const char *msg; /* its start */
	} cases[] = {
		{ HOOK_OPENAT, 0, "opening the directory of 'f': Input/output error" },
		{ HOOK_OPENAT, 1, "creating '.tmp-" },
		{ HOOK_FSYNC, 0, "writing 'f': Input/output error" },
		{ HOOK_RENAMEAT2, 0, "giving 'f' its name: Input/output error" },
	};
	struct place *p = *state;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = { cases[i].call, EIO, cases[i].after, 1 };

		syshook_set(fail_call, &f);
		assert_int_equal(fd_create_file(p->fd, "f", "x", 1, 0600, FD_EXCL, &e), -1);
		assert_int_equal(e.os, EIO);
		assert_memory_equal(e.msg, cases[i].msg, strlen(cases[i].msg));
		assert_int_equal(count_files(p->path), 0);
	}
}

static void test_fd_create_file__syncs_the_directory(void **state)
{
	struct fault f = { HOOK_FSYNC, EIO, 1, 1 };
	struct fault none = { HOOK_FSYNC, EINVAL, 1, 1 };
	struct place *p = *state;
	struct err e = ERR_INIT;

	syshook_set(fail_call, &f);
	assert_int_equal(fd_create_file(p->fd, "f", "x", 1, 0600, FD_REPLACE, &e), -1);
	assert_string_equal(e.msg, "syncing the directory of 'f': Input/output error");
	/* a filesystem on which directories cannot be synced */
	syshook_set(fail_call, &none);
	assert_int_equal(fd_create_file(p->fd, "f", "x", 1, 0600, FD_REPLACE, &e), 0);
}

static int create_over_limit(void *arg)
{
	const struct rlimit small = { 10, 10 };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	const struct place *p = arg;
	struct err e = ERR_INIT;

	(void)sigaction(SIGXFSZ, &ignore, NULL);
	if (setrlimit(RLIMIT_FSIZE, &small) < 0)
		return 1;
	if (fd_create_file(p->fd, "f", "0123456789abcdef", 16, 0600, FD_REPLACE, &e) == 0)
		return 2;
	return strcmp(e.msg, "writing 'f': File too large") == 0 ? 0 : 3;
}

static void test_fd_create_file__a_full_disk_keeps_the_old_file(void **state)
{
	struct place *p = *state;

	write_text(p->path, "f", "old");
	auto_run struct harness_run r = harness_run(create_over_limit, p);
	assert_int_equal(r.status, 0);
	auto_free char *text = read_file(p->path, "f", NULL);
	assert_string_equal(text, "old");
	assert_int_equal(count_files(p->path), 1);
}

/* ---- scratch ---- */

static void test_fd_map_scratch__gives_zeroed_memory(void **state)
{
	struct place *p = *state;
	const char *const places[] = { NULL, p->path };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		uint8_t *m = fd_map_scratch(places[i], 1 << 20);

		assert_non_null(m);
		for (size_t k = 0; k < 1 << 20; k += 4096)
			assert_int_equal(m[k], 0);
		memset(m, 0x55, 1 << 20);
		assert_int_equal(munmap(m, 1 << 20), 0);
	}
	assert_int_equal(count_files(p->path), 0);
}

static void test_fd_map_scratch__works_where_o_tmpfile_does_not(void **state)
{
	struct fault f = { HOOK_OPENAT, EOPNOTSUPP, 0, 1 };
	struct place *p = *state;

	syshook_set(fail_call, &f);
	uint8_t *m = fd_map_scratch(p->path, 4096);
	assert_non_null(m);
	m[4095] = 1;
	assert_int_equal(munmap(m, 4096), 0);
	assert_int_equal(count_files(p->path), 0);
}

/* No O_TMPFILE, and no memory for a name either. */
static int fail_both(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return call == HOOK_OPENAT ? EOPNOTSUPP : call == HOOK_ALLOC ? ENOMEM : 0;
}

static void test_fd_map_scratch__tells_why_it_fails(void **state)
{
	(void)state;
	syshook_set(fail_both, NULL);
	assert_null(fd_map_scratch("/tmp", 4096));
	assert_int_equal(errno, ENOMEM);
	syshook_set(NULL, NULL);
	assert_null(fd_map_scratch("/proc", 4096));
	assert_null(fd_map_scratch("/missing/dir", 4096));
	assert_int_equal(errno, ENOENT);
}

static void test_fd_map_scratch__refuses_absurd_sizes(void **state)
{
	struct place *p = *state;

	assert_null(fd_map_scratch(p->path, SIZE_MAX));
	assert_int_equal(errno, EFBIG);
	assert_null(fd_map_scratch(p->path, (size_t)1 << 60)); /* no disk is that big */
	assert_null(fd_map_scratch(NULL, SIZE_MAX));
	assert_int_equal(count_files(p->path), 0);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, place_new, place_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACED(test_fd_pread_full__reads_up_to_the_end),
		PLACED(test_fd_pread_full__repeats_interrupted_and_short_reads),
		PLACED(test_fd_pwrite_full__writes_where_it_is_told),
		PLACED(test_fd_pwrite_full__repeats_interrupted_and_short_writes),
		PLACED(test_fd_write_full__tells_of_a_full_disk),
		PLACED(test_fd_writev_full__writes_every_piece),
		PLACED(test_fd_writev_full__takes_more_pieces_than_the_kernel),
		PLACED(test_fd_read_full__repeats_interrupted_and_short_reads),
		PLACED(test_fd_write_full__repeats_interrupted_and_short_writes),
		PLACED(test_fd_open_beneath__stays_inside),
		PLACED(test_fd_open_beneath__is_the_same_without_openat2),
		PLACED(test_fd_open_beneath__a_real_eperm_is_kept),
		PLACED(test_fd_mkdir_beneath__makes_what_is_missing),
		PLACED(test_fd_mkdir_beneath__follows_no_link_and_leaves_nothing),
		PLACED(test_fd_mkdir_beneath__tells_why_it_fails),
		PLACED(test_fd_read_file__reads_all),
		PLACED(test_fd_read_file__stops_at_the_limit),
		PLACED(test_fd_read_file__names_the_file_in_its_errors),
		PLACED(test_fd_create_file__replaces_with_exact_mode),
		PLACED(test_fd_create_file__takes_absolute_paths),
		PLACED(test_fd_create_file__excl_keeps_the_old_file),
		PLACED(test_fd_create_file__excl_works_by_links_where_it_must),
		PLACED(test_fd_create_file__refuses_names_that_are_none),
		PLACED(test_fd_create_file__a_failure_leaves_no_trace),
		PLACED(test_fd_create_file__syncs_the_directory),
		PLACED(test_fd_create_file__a_full_disk_keeps_the_old_file),
		PLACED(test_fd_map_scratch__gives_zeroed_memory),
		PLACED(test_fd_map_scratch__works_where_o_tmpfile_does_not),
		PLACED(test_fd_map_scratch__tells_why_it_fails),
		PLACED(test_fd_map_scratch__refuses_absurd_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
