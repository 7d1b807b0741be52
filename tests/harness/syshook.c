/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hooks. The linker's --wrap=f sends each call of f to __wrap_f here, and
 * __real_f to the function itself. Without those options nothing refers to
 * this file, and it is not linked.
 */
#include "tests/harness/syshook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static syshook_fn *hook;
static void *hook_arg;

void syshook_set(syshook_fn *fn, void *arg)
{
	hook = fn;
	hook_arg = arg;
}

const char *syshook_name(enum syshook_call call)
{
	static const char *const names[HOOK_CALLS] = {
		[HOOK_OPENAT] = "openat",       [HOOK_MKDIRAT] = "mkdirat",
		[HOOK_WRITEV] = "writev",       [HOOK_FDATASYNC] = "fdatasync",
		[HOOK_FSYNC] = "fsync",         [HOOK_LINKAT] = "linkat",
		[HOOK_RENAMEAT2] = "renameat2", [HOOK_UNLINKAT] = "unlinkat",
		[HOOK_PREAD] = "pread",         [HOOK_FSTAT] = "fstat",
		[HOOK_FSTATAT] = "fstatat",     [HOOK_FDOPENDIR] = "fdopendir",
		[HOOK_READDIR] = "readdir",     [HOOK_ALLOC] = "an allocation",
	};
	return names[call];
}

/* What the test says: 0, SYSHOOK_SHORT, or an errno, which is then set. */
static int ask(enum syshook_call call, int flags)
{
	int before = errno;
	int r = hook ? hook(hook_arg, call, flags) : 0;

	errno = r > 0 ? r : before;
	return r;
}

/* Declarations of both sides of each wrapped function. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(int, openat, int dir, const char *path, int flags, ...);
WRAP(int, mkdirat, int dir, const char *path, mode_t mode);
WRAP(ssize_t, writev, int fd, const struct iovec *iov, int n);
WRAP(int, fdatasync, int fd);
WRAP(int, fsync, int fd);
WRAP(int, linkat, int from_dir, const char *from, int to_dir, const char *to, int flags);
WRAP(int, renameat2, int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
WRAP(int, unlinkat, int dir, const char *path, int flags);
WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t off);
WRAP(int, fstat, int fd, struct stat *st);
WRAP(int, fstatat, int dir, const char *path, struct stat *st, int flags);
WRAP(DIR *, fdopendir, int fd);
WRAP(struct dirent *, readdir, DIR *dir);
WRAP(void *, malloc, size_t n);
WRAP(void *, calloc, size_t n, size_t size);
WRAP(void *, realloc, void *p, size_t n);
WRAP(void *, reallocarray, void *p, size_t n, size_t size);
WRAP(char *, strdup, const char *s);
WRAP(int, asprintf, char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
WRAP(int, __asprintf_chk, char **ret, int flag, const char *fmt, ...)
__attribute__((format(printf, 3, 4)));

int __wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (ask(HOOK_OPENAT, flags))
		return -1;
	if (__OPEN_NEEDS_MODE(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return __real_openat(dir, path, flags, mode);
}

int __wrap_mkdirat(int dir, const char *path, mode_t mode)
{
	return ask(HOOK_MKDIRAT, 0) ? -1 : __real_mkdirat(dir, path, mode);
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	int r = ask(HOOK_WRITEV, 0);

	if (r > 0)
		return -1;
	if (r == SYSHOOK_SHORT && n > 0 && iov[0].iov_len > 1)
		return write(fd, iov[0].iov_base, iov[0].iov_len - 1);
	return __real_writev(fd, iov, n);
}

int __wrap_fdatasync(int fd)
{
	int r = ask(HOOK_FDATASYNC, 0);

	return r == SYSHOOK_SHORT ? 0 : r ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	int r = ask(HOOK_FSYNC, 0);

	return r == SYSHOOK_SHORT ? 0 : r ? -1 : __real_fsync(fd);
}

int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return ask(HOOK_LINKAT, flags) ? -1 : __real_linkat(from_dir, from, to_dir, to, flags);
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return ask(HOOK_RENAMEAT2, (int)flags)
	               ? -1
	               : __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
	return ask(HOOK_UNLINKAT, flags) ? -1 : __real_unlinkat(dir, path, flags);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t off)
{
	int r = ask(HOOK_PREAD, 0);

	return r > 0 ? -1 : __real_pread(fd, p, r == SYSHOOK_SHORT && n > 1 ? n - 1 : n, off);
}

int __wrap_fstat(int fd, struct stat *st)
{
	return ask(HOOK_FSTAT, 0) ? -1 : __real_fstat(fd, st);
}

int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return ask(HOOK_FSTATAT, flags) ? -1 : __real_fstatat(dir, path, st, flags);
}

DIR *__wrap_fdopendir(int fd)
{
	return ask(HOOK_FDOPENDIR, 0) ? NULL : __real_fdopendir(fd);
}

struct dirent *__wrap_readdir(DIR *dir)
{
	int r = ask(HOOK_READDIR, 0);
	struct dirent *d = r > 0 ? NULL : __real_readdir(dir);

	if (d && r == SYSHOOK_SHORT)
		d->d_type = DT_UNKNOWN;
	return d;
}

void *__wrap_malloc(size_t n)
{
	return ask(HOOK_ALLOC, 0) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return ask(HOOK_ALLOC, 0) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return ask(HOOK_ALLOC, 0) ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return ask(HOOK_ALLOC, 0) ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return ask(HOOK_ALLOC, 0) ? NULL : __real_strdup(s);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;

	if (ask(HOOK_ALLOC, 0))
		return -1;
	va_start(ap, fmt);
	int n = vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	if (ask(HOOK_ALLOC, 0))
		return -1;
	va_start(ap, fmt);
	int n = vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}
