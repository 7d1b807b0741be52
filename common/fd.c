/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by descriptor. Every transfer is repeated until it is whole, every
 * path of a restored tree is resolved beneath a directory, and a file that is
 * created durably is either there with all its bytes or not at all.
 */
#include "common/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/hex.h"
#include "common/secret.h"

#define TRANSFER_MAX ((size_t)1 << 30) /* read(2) moves at most 2^31 - 4096 bytes at once */
#define RACES_MAX 64                   /* tries when a rename disturbs openat2 */

ssize_t fd_pread_full(int fd, void *p, size_t n, uint64_t off)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < TRANSFER_MAX ? n - done : TRANSFER_MAX;
		ssize_t got = pread(fd, (uint8_t *)p + done, want, (off_t)(off + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t fd_read_full(int fd, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < TRANSFER_MAX ? n - done : TRANSFER_MAX;
		ssize_t got = read(fd, (uint8_t *)p + done, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int fd_pwrite_full(int fd, const void *p, size_t n, uint64_t off)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < TRANSFER_MAX ? n - done : TRANSFER_MAX;
		ssize_t put = pwrite(fd, (const uint8_t *)p + done, want, (off_t)(off + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		done += (size_t)put;
	}
	return 0;
}

int fd_write_full(int fd, const void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < TRANSFER_MAX ? n - done : TRANSFER_MAX;
		ssize_t put = write(fd, (const uint8_t *)p + done, want);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		done += (size_t)put;
	}
	return 0;
}

int fd_writev_full(int fd, struct iovec *iov, int n)
{
	while (n > 0) {
		ssize_t put = writev(fd, iov, n < IOV_MAX ? n : IOV_MAX);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		size_t left = (size_t)put;
		while (n > 0 && left >= iov->iov_len) {
			left -= iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + left;
			iov->iov_len -= left;
		}
	}
	return 0;
}

/* One component of a relative path, walked from left to right. */
struct component {
	char name[NAME_MAX + 1];
	bool last; /* nothing but slashes follows */
	bool dir;  /* slashes follow: it must be a directory */
};

/* The next component at *path: 1, 0 at the end, or -1 with errno. Only a last "." is one. */
static int component_next(const char **path, struct component *ret)
{
	for (;;) {
		const char *s = *path;
		size_t n = strcspn(s, "/");
		const char *rest = s + n + strspn(s + n, "/");

		if (n == 0)
			return 0;
		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (n == 2 && s[0] == '.' && s[1] == '.') {
			errno = EXDEV;
			return -1;
		}
		*path = rest;
		if (n == 1 && s[0] == '.' && *rest)
			continue;
		memcpy(ret->name, s, n);
		ret->name[n] = '\0';
		ret->last = !*rest;
		ret->dir = s[n] == '/';
		return 1;
	}
}

/* Opens a directory on the way, not through a symbolic link: ELOOP for one, as openat2 says. */
static int open_step(int dir, const char *name)
{
	struct stat st;

	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR) {
		bool link = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		            S_ISLNK(st.st_mode);
		errno = link ? ELOOP : ENOTDIR;
	}
	return fd;
}

/* Opens the last component. */
static int open_last(int dir, const struct component *c, int flags, mode_t mode)
{
	int want = flags | O_NOFOLLOW | O_CLOEXEC | (c->dir ? O_DIRECTORY : 0);
	struct stat st;

	int fd = openat(dir, c->name, want, mode);
	if (fd < 0 && errno == ENOTDIR) {
		bool link = fstatat(dir, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		            S_ISLNK(st.st_mode);
		errno = link ? ELOOP : ENOTDIR;
		return -1;
	}
	/* O_PATH opens the link itself, which is only what was wanted with O_NOFOLLOW. */
	if (fd >= 0 && (flags & O_PATH) && !(flags & O_NOFOLLOW)) {
		if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {
			(void)close(fd);
			errno = ELOOP;
			return -1;
		}
	}
	return fd;
}

/* What openat2 does, component by component, for a kernel or sandbox without it. */
static int open_walking(int dir, const char *path, int flags, mode_t mode)
{
	auto_close int held = -1;
	struct component c;
	int at = dir;

	if (*path == '/' || !*path) {
		errno = *path ? EXDEV : ENOENT;
		return -1;
	}
	for (;;) {
		int r = component_next(&path, &c);
		if (r <= 0)
			return -1;
		if (c.last)
			return open_last(at, &c, flags, mode);
		int next = open_step(at, c.name);
		if (next < 0)
			return -1;
		clean_close(&held);
		held = next;
		at = next;
	}
}

static int open_by_openat2(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	/* EAGAIN: a rename somewhere made ".." uncertain; the next try sees it settled. */
	for (int i = 0; i < RACES_MAX; i++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

int fd_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	static atomic_bool absent; /* once seen, the kernel is not asked again */

	if (!atomic_load_explicit(&absent, memory_order_relaxed)) {
		int fd = open_by_openat2(dir, path, flags, mode);
		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return fd;
		/* Older container sandboxes answer EPERM to every system call they do not know. */
		bool real = false;
		if (errno == EPERM) {
			auto_close int probe = open_by_openat2(dir, ".", O_PATH, 0);
			real = probe >= 0;
		}
		if (real) {
			errno = EPERM;
			return -1;
		}
		atomic_store_explicit(&absent, true, memory_order_relaxed);
	}
	return open_walking(dir, path, flags, mode);
}

int fd_mkdir_beneath(int dir, const char *path, mode_t mode)
{
	auto_close int held = -1;
	struct component c;
	int at = dir;
	int r;

	if (*path == '/' || !*path) {
		errno = *path ? EXDEV : ENOENT;
		return -1;
	}
	while ((r = component_next(&path, &c)) > 0) {
		if (mkdirat(at, c.name, mode) < 0 && errno != EEXIST)
			return -1;
		int next = open_step(at, c.name);
		if (next < 0)
			return -1;
		clean_close(&held);
		held = next;
		at = next;
	}
	return r;
}

int fd_make_dirs(const char *path)
{
	auto_free char *copy = strdup(path);

	if (!copy || !*copy)
		return -1;
	for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(copy, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

int fd_read_file(int dir, const char *path, struct buf *b, struct err *e)
{
	auto_close int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_sys(e, errno, "opening '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", path);
	size_t hint = st.st_size > 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : 4 * KIB;
	for (;;) {
		size_t left = b->max - b->len;
		uint8_t over;
		ssize_t n;

		if (left == 0) {
			/* full: one byte more tells whether the file ends here */
			n = fd_read_full(fd, &over, 1);
			if (n > 0)
				return err_set(e, ERR_TOO_BIG,
				               "'%s' is over the limit of %zu bytes", path, b->max);
		} else {
			size_t want = hint < left ? hint : left;

			if (buf_reserve(b, want) < 0)
				return buf_check(b, path, e);
			n = fd_read_full(fd, b->data + b->len, want);
		}
		if (n < 0)
			return err_sys(e, errno, "reading '%s'", path);
		if (left == 0 || n == 0)
			return 0;
		b->len += (size_t)n;
	}
}

/* Splits path into the directory to open ("." when there is none) and the name in it. */
static int split(const char *path, char ret_dir[PATH_MAX], const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name || strcmp(*ret_name, ".") == 0 || strcmp(*ret_name, "..") == 0) {
		errno = EISDIR;
		return -1;
	}
	if (n >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(ret_dir, path, n);
	ret_dir[n] = '\0';
	if (n == 0)
		memcpy(ret_dir, slash ? "/" : ".", 2);
	return 0;
}

/* Gives tmp its name without replacing another file. 0, or -1 with errno. */
static int name_exclusively(int dir, const char *tmp, const char *name)
{
	if (renameat2(dir, tmp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A filesystem without it (NFS, for one): a hard link does not replace either. */
	if (linkat(dir, tmp, dir, name, 0) < 0)
		return -1;
	(void)unlinkat(dir, tmp, 0);
	return 0;
}

/* Writes the bytes to the open file and closes it. 0, or -1 with errno. */
static int write_durably(int take_fd, const void *p, size_t n, mode_t mode)
{
	auto_close int fd = take_fd;

	if (fd_write_full(fd, p, n) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -1;
	return close(steal_fd(&fd));
}

int fd_create_file(int dir, const char *path, const void *p, size_t n, mode_t mode,
                   enum fd_create_flags flags, struct err *e)
{
	char parent[PATH_MAX];
	char tmp[32];
	uint8_t salt[8];
	const char *name;

	if (split(path, parent, &name) < 0)
		return err_sys(e, errno, "creating '%s'", path);
	auto_close int at = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_sys(e, errno, "opening the directory of '%s'", path);

	secret_random(salt, sizeof(salt));
	memcpy(tmp, ".tmp-", 5);
	hex_encode(tmp + 5, salt, sizeof(salt));
	int fd = openat(at, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "creating '%s' in the directory of '%s'", tmp, path);
	if (write_durably(fd, p, n, mode) < 0) {
		err_sys(e, errno, "writing '%s'", path);
		goto undo;
	}
	if ((flags & FD_EXCL ? name_exclusively(at, tmp, name) : renameat(at, tmp, at, name)) < 0) {
		err_sys(e, errno, "giving '%s' its name", path);
		goto undo;
	}
	/* Some network filesystems have no fsync for directories and say EINVAL. */
	if (fsync(at) < 0 && errno != EINVAL) {
		err_sys(e, errno, "syncing the directory of '%s'", path);
		/* Not there for good, so not there at all; what was replaced cannot come back. */
		if (flags & FD_EXCL)
			(void)unlinkat(at, name, 0);
		return -1;
	}
	return 0;

undo:
	(void)unlinkat(at, tmp, 0);
	return -1;
}

int fd_open_scratch(const char *dir_path)
{
	int fd = openat(AT_FDCWD, dir_path, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	auto_free char *path = NULL;
	if (asprintf(&path, "%s/.tmp-XXXXXX", dir_path) < 0) {
		path = NULL;
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

void *fd_map_scratch(const char *dir_path, size_t n)
{
	void *p;

	if (!dir_path) {
		p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	auto_close int fd = fd_open_scratch(dir_path);
	if (fd < 0)
		return NULL;
	if (n > INT64_MAX) {
		errno = EFBIG;
		return NULL;
	}
	/* Reserved now, so that a full disk is an error here and not a SIGBUS later. */
	if (fallocate(fd, 0, 0, (off_t)n) < 0 &&
	    (errno != EOPNOTSUPP || ftruncate(fd, (off_t)n) < 0))
		return NULL;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int fd_grow_scratch(const char *dir_path, void **v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 4096;
	void *p = fd_map_scratch(dir_path, more * size);
	if (!p && dir_path)
		p = fd_map_scratch(NULL, more * size);
	if (!p)
		return -1;
	if (*v) {
		memcpy(p, *v, n * size);
		(void)munmap(*v, *cap * size);
	}
	*v = p;
	*cap = more;
	return 0;
}
