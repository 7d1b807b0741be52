/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing of the file driver. An object has no name until all its bytes are
 * on the disk, and gets it by an operation that does not replace:
 *
 *   1. the directory, made when it is missing; its own entry is synced
 *   2. a file without a name in that directory (O_TMPFILE), or, where there
 *      is no such thing, one in ".tmp" with a lock on it
 *   3. write, fdatasync
 *   4. link to its name; a file system without links: rename without replacing
 *   5. fsync of the file again: file systems that log single files (btrfs)
 *      need not log one without a name, so only now its data is sure to
 *      survive; on ext4 this costs nothing, the next fsync has less to do
 *   6. fsync of the directory
 *
 * A crash up to 4 leaves nothing, or in ".tmp" a file that a later open
 * removes. When a key is taken, steps 5 and 6 are done for what has it before
 * that is said, since the caller may build on it. Puts hold no lock: they run
 * side by side, and the kernel decides who wins.
 */
#include "store/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/fd.h"

#define STALE_NS (INT64_C(24) * 3600 * 1000000000) /* age of a file in .tmp that is removed */
#define PIECES_MAX 64                              /* pieces given to one writev */

/* A file under way. */
struct upload {
	int fd;
	int tmp_dir;  /* -1: the file has no name */
	char tmp[40]; /* its name in tmp_dir */
};

#define UPLOAD_NONE                     \
	{                               \
		.fd = -1, .tmp_dir = -1 \
	}

static void upload_clear(struct upload *u)
{
	if (u->tmp_dir >= 0)
		(void)unlinkat(u->tmp_dir, u->tmp, 0);
	clean_close(&u->tmp_dir);
	clean_close(&u->fd);
}

/* ---- directories ---------------------------------------------------------- */

/* FNV-1a of n bytes, never 0 */
static uint64_t hash_of(const char *path, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)path[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

static bool synced(struct file_store *f, const char *path, size_t n)
{
	uint64_t h = hash_of(path, n);

	return atomic_load_explicit(&f->synced[h % FILE_SYNCED_SLOTS], memory_order_relaxed) == h;
}

static void synced_remember(struct file_store *f, const char *path, size_t n)
{
	uint64_t h = hash_of(path, n);

	atomic_store_explicit(&f->synced[h % FILE_SYNCED_SLOTS], h, memory_order_relaxed);
}

/* fsync; some network file systems say EINVAL for directories. 0, or -1 with errno. */
static int sync_dir(int dir)
{
	int r;

	do
		r = fsync(dir);
	while (r < 0 && errno == EINTR);
	return r < 0 && errno == EINVAL ? 0 : r;
}

/*
 * Opens the directory of the first n bytes of path, making what is missing.
 * Every directory's entry is synced in its parent: when we make it, and when
 * it is met for the first time, since who made it may have died before.
 * -1 with errno.
 */
static int make_dirs(struct file_store *f, const char *path, size_t n)
{
	auto_close int at = openat(f->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[STORE_KEY_MAX + 1];
	size_t from = 0;

	while (at >= 0 && from < n) {
		const char *slash = memchr(path + from, '/', n - from);
		size_t to = slash ? (size_t)(slash - path) : n;

		memcpy(name, path + from, to - from);
		name[to - from] = '\0';
		bool made = mkdirat(at, name, 0700) == 0;
		if (!made && errno != EEXIST)
			return -1;
		if (made || !synced(f, path, to)) {
			if (sync_dir(at) < 0)
				return -1;
			synced_remember(f, path, to);
		}
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -1;
		clean_close(&at);
		at = next;
		from = to + 1;
	}
	return steal_fd(&at);
}

/* The directory that a key of n bytes before its last slash lies in. -1 with errno. */
static int open_dir(struct file_store *f, const char *key, size_t n)
{
	char path[STORE_KEY_MAX + 1];

	if (n > 0 && synced(f, key, n)) {
		memcpy(path, key, n);
		path[n] = '\0';
		int fd = fd_open_beneath(f->root, path, O_RDONLY | O_DIRECTORY, 0);
		if (fd >= 0 || errno != ENOENT)
			return fd;
	}
	return make_dirs(f, key, n);
}

/* ---- the file ------------------------------------------------------------- */

/* What an open with O_TMPFILE says where that is not known. */
static bool means_no_tmpfile(int os)
{
	return os == EOPNOTSUPP || os == EISDIR || os == EINVAL || os == ENOSYS;
}

/* What a link says where links are impossible, as opposed to a link that failed. */
static bool means_no_link(int os)
{
	return os == EPERM || os == EACCES || os == EOPNOTSUPP || os == ENOSYS || os == EINVAL ||
	       os == EMLINK || os == EXDEV || os == ENOENT || os == ELOOP;
}

/* A new file in .tmp, locked for as long as we live. 0, or -1 with errno. */
static int upload_open_named(struct file_store *f, struct upload *u)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	auto_close int dir = -1;

	if (mkdirat(f->root, FILE_TMP_DIR, 0700) < 0 && errno != EEXIST)
		return -1;
	dir = openat(f->root, FILE_TMP_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -1;
	do {
		(void)snprintf(u->tmp, sizeof(u->tmp), "%016" PRIx64 "-%" PRIu64, f->tmp_salt,
		               (uint64_t)atomic_fetch_add(&f->tmp, 1));
		u->fd = openat(dir, u->tmp, flags, 0600);
	} while (u->fd < 0 && errno == EEXIST);
	if (u->fd < 0)
		return -1;
	u->tmp_dir = steal_fd(&dir);
	/* Where there are no locks, age alone protects the file from file_clean_tmp(). */
	(void)flock(u->fd, LOCK_EX | LOCK_NB);
	return 0;
}

static int upload_open(struct file_store *f, int dir, struct upload *u)
{
	if (!atomic_load_explicit(&f->no_tmpfile, memory_order_relaxed)) {
		u->fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		if (u->fd >= 0 || !means_no_tmpfile(errno))
			return u->fd < 0 ? -1 : 0;
		atomic_store_explicit(&f->no_tmpfile, true, memory_order_relaxed);
	}
	return upload_open_named(f, u);
}

static int upload_write(const struct upload *u, const struct iovec *iov, int niov)
{
	struct iovec some[PIECES_MAX]; /* fd_writev_full changes its pieces */
	int r;

	for (int i = 0; i < niov; i += PIECES_MAX) {
		int n = niov - i < PIECES_MAX ? niov - i : PIECES_MAX;

		memcpy(some, iov + i, (size_t)n * sizeof(some[0]));
		if (fd_writev_full(u->fd, some, n) < 0)
			return -1;
	}
	do
		r = fdatasync(u->fd);
	while (r < 0 && errno == EINTR);
	return r;
}

/* Links a file without a name. By its descriptor that takes a capability, by /proc a /proc. */
static int link_unnamed(int fd, int dir, const char *name)
{
	char path[40];

	if (linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM && errno != EINVAL)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW);
}

/* Gives the file in .tmp its name. 0, or -1 with errno; EINVAL: the file system has no way. */
static int link_named(struct file_store *f, struct upload *u, int dir, const char *name)
{
	struct stat st;

	if (!atomic_load_explicit(&f->no_link, memory_order_relaxed)) {
		if (linkat(u->tmp_dir, u->tmp, dir, name, 0) == 0)
			return 0;
		int os = errno;
		/* NFS repeats a request whose answer was lost, and then finds its own link. */
		if (os == EEXIST && fstat(u->fd, &st) == 0 && st.st_nlink > 1)
			return 0;
		errno = os;
		if (os == ENOENT || os == EXDEV || !means_no_link(os))
			return -1;
		atomic_store_explicit(&f->no_link, true, memory_order_relaxed);
	}
	return renameat2(u->tmp_dir, u->tmp, dir, name, RENAME_NOREPLACE);
}

/* The file and the directory are on the disk. 0, or -1 with errno. */
static int sync_both(int fd, int dir)
{
	int r;

	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -1 : sync_dir(dir);
}

/* dir: that of the key, or -1. A removed one answers ENOENT, on ext4 also EPERM. */
static int fail_put(struct file_store *f, int dir, int os, const char *what, struct err *e)
{
	struct stat st;
	bool gone = dir >= 0 && f->root_links && fstat(dir, &st) == 0 && st.st_nlink == 0;

	file_fail(f, os, what, e);
	if ((gone && !file_root_gone(f)) || e->class == ERR_NOT_FOUND) {
		/* somebody removed it just now; the next try makes it again */
		err_set(e, ERR_RETRY, "%s: its directory was removed meanwhile", what);
		e->os = os;
	}
	return -1;
}

/* The key is taken: makes sure that it stays so, and says it. */
static int fail_taken(struct file_store *f, int dir, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_put(f, dir, errno, "looking at what has the key", e);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "there are objects below this key");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "something that is no object has its place");
	auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* What another user stored is his to sync. */
	if (fd < 0 && errno != EACCES)
		return fail_put(f, dir, errno, "looking at what has the key", e);
	if ((fd >= 0 ? sync_both(fd, dir) : sync_dir(dir)) < 0)
		return file_fail(f, errno, "the key is taken, and syncing what has it", e);
	return err_set(e, ERR_EXISTS, "the key is taken");
}

/* 0, -1 with e, or 1: try again with a file that has a name. */
static int upload_publish(struct file_store *f, struct upload *u, int dir, const char *name,
                          struct err *e)
{
	bool named = u->tmp_dir >= 0;

	if ((named ? link_named(f, u, dir, name) : link_unnamed(u->fd, dir, name)) < 0) {
		if (errno == EEXIST)
			return fail_taken(f, dir, name, e);
		if (!named && means_no_link(errno)) {
			atomic_store_explicit(&f->no_tmpfile, true, memory_order_relaxed);
			return 1;
		}
		if (errno == EINVAL || errno == ENOSYS || errno == EXDEV)
			return err_set(e, ERR_UNSUPPORTED,
			               "the file system of '%s' can neither link nor rename a file "
			               "from its '" FILE_TMP_DIR "' to the key without replacing; "
			               "choose a directory of another file system",
			               f->dir);
		return fail_put(f, dir, errno, "giving it its name", e);
	}
	if (sync_both(u->fd, dir) < 0)
		return file_fail(f, errno, "syncing its name", e);
	return 0;
}

/* As upload_publish(). */
static int put_once(struct file_store *f, int dir, const char *name, const struct iovec *iov,
                    int niov, struct err *e)
{
	CLEANUP(upload_clear) struct upload u = UPLOAD_NONE;

	if (upload_open(f, dir, &u) < 0)
		return fail_put(f, dir, errno, "making a temporary file", e);
	if (upload_write(&u, iov, niov) < 0)
		return file_fail(f, errno, "writing", e);
	return upload_publish(f, &u, dir, name, e);
}

int file_put(struct store *s, const char *key, const struct iovec *iov, int niov, struct err *e)
{
	struct file_store *f = file_of(s);
	const char *slash = strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;

	auto_close int dir = open_dir(f, key, slash ? (size_t)(slash - key) : 0);
	if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(e, ERR_INVALID, "a part of the key is an object itself");
	if (dir < 0)
		return fail_put(f, -1, errno, "making its directory", e);
	int r = put_once(f, dir, name, iov, niov, e);
	if (r > 0)
		r = put_once(f, dir, name, iov, niov, e);
	return r;
}

/* ---- what uploads left ---------------------------------------------------- */

/* True for a regular file that is old and that nobody who lives has locked. */
static bool is_stale(int dir, const char *name, int64_t now_ns)
{
	struct stat st;

	auto_close int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return now_ns - file_received_ns(&st) > STALE_NS && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

void file_clean_tmp(struct file_store *f, int64_t now_ns)
{
	const struct dirent *d;

	int fd = openat(f->root, FILE_TMP_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return;
	}
	while ((d = readdir(dir)))
		if (is_stale(fd, d->d_name, now_ns))
			(void)unlinkat(fd, d->d_name, 0);
	(void)closedir(dir);
}
