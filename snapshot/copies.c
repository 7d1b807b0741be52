/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory may lie in a volume that others write to, so nothing in it is
 * trusted: no link is followed, whether copies are opened or removed. 256
 * folders keep directories short.
 */
#include "snapshot/copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "snapshot/extent.h"
#include "snapshot/walk.h"

#define RANDOM_BYTES 16
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define DEPTH_MAX 8 /* of directories that are removed; ours have two */
#define PIECE_BYTES (256 * KIB)

int copies_make(struct copies *ret, int parent, struct journal *j, const char *driver,
                struct err *e)
{
	uint8_t random[RANDOM_BYTES];
	char hex[2 * RANDOM_BYTES + 1], proc[64], at[PATH_MAX];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", parent);
	ssize_t n = readlink(proc, at, sizeof(at) - 1);
	if (n < 0)
		return err_sys(e, errno, "finding the name of the directory for copies");
	at[n] = '\0';
	ret->parent = fcntl(parent, F_DUPFD_CLOEXEC, 3);
	if (ret->parent < 0)
		return err_sys(e, errno, "keeping '%s' open", at);
	secret_random(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	if (asprintf(&ret->path, "%s/" WALK_VIEW_PREFIX "%s", strcmp(at, "/") == 0 ? "" : at, hex) <
	    0) {
		ret->path = NULL;
		return err_set(e, ERR_NOMEM, "no memory for the name of a directory");
	}
	ret->note = journal_add(j, driver, ret->path, e);
	if (!ret->note)
		return -1;
	const char *name = strrchr(ret->path, '/') + 1;
	if (mkdirat(parent, name, 0700) < 0)
		return err_sys(e, errno, "making the directory '%s'", ret->path);
	ret->fd = openat(parent, name, DIR_FLAGS);
	if (ret->fd < 0)
		return err_sys(e, errno, "opening the directory '%s'", ret->path);
	return 0;
}

/* Whoever may write to the volume can put a device or a pipe in place of a copy. */
static int only_regular(int take_fd)
{
	auto_close int fd = take_fd;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EBADF;
		return -1;
	}
	return steal_fd(&fd);
}

int copies_open(const struct copies *c, uint64_t ino, int flags)
{
	char name[32];

	flags |= O_NONBLOCK | O_NOCTTY;
	(void)snprintf(name, sizeof(name), "%02x/%016" PRIx64, (unsigned)(ino & 0xff), ino);
	int fd = fd_open_beneath(c->fd, name, flags, 0600);
	if (fd < 0 && errno == ENOENT && flags & O_CREAT) {
		name[2] = '\0';
		if (mkdirat(c->fd, name, 0700) < 0 && errno != EEXIST)
			return -1;
		name[2] = '/';
		fd = fd_open_beneath(c->fd, name, flags, 0600);
	}
	return only_regular(fd);
}

/*
 * Btrfs clones only between files that are alike in having checksums, and a file without
 * copy on write has none.
 */
static bool make_alike(int from, int to)
{
	unsigned int theirs = 0, ours = 0;

	if (ioctl(from, FS_IOC_GETFLAGS, &theirs) < 0 || ioctl(to, FS_IOC_GETFLAGS, &ours) < 0 ||
	    ((theirs ^ ours) & FS_NOCOW_FL) == 0)
		return false;
	ours ^= FS_NOCOW_FL;
	return ioctl(to, FS_IOC_SETFLAGS, &ours) == 0;
}

int copies_clone(const struct copies *c, uint64_t ino, int from, const char *name, struct err *e)
{
	auto_close int to = copies_open(c, ino, O_WRONLY | O_CREAT | O_TRUNC);

	if (to < 0)
		return err_sys(e, errno, "making a copy of '%s' in '%s'", name, c->path);
	if (ioctl(to, FICLONE, from) == 0)
		return 1;
	if (errno == EINVAL && make_alike(from, to) && ioctl(to, FICLONE, from) == 0)
		return 1;
	switch (errno) {
	case EINVAL:
	case EOPNOTSUPP:
	case ETXTBSY:
	case EPERM:
	case EXDEV:
		return 0;
	default:
		return err_sys(e, errno, "cloning '%s' to '%s'", name, c->path);
	}
}

static int copy_range(int from, int to, uint64_t start, uint64_t end, uint8_t *piece,
                      const char *name, struct copies_limit *limit, struct err *e)
{
	if (end - start > limit->left_bytes)
		return err_set(e, ERR_TOO_BIG,
		               "with '%s' more would be copied than the limit allows", name);
	limit->left_bytes -= end - start;
	while (start < end) {
		size_t want = end - start < PIECE_BYTES ? (size_t)(end - start) : PIECE_BYTES;
		ssize_t n = fd_pread_full(from, piece, want, start);

		if (n < 0)
			return err_sys(e, errno, "reading '%s'", name);
		if (n == 0) /* it has become shorter: the next look at it tells */
			return 0;
		if (now_mono_ns() >= limit->until_ns)
			return err_set(e, ERR_RETRY,
			               "too much has changed to be copied before the file system "
			               "has to be thawed");
		if (fd_pwrite_full(to, piece, (size_t)n, start) < 0)
			return err_sys(e, errno, "writing a copy of '%s'", name);
		start += (uint64_t)n;
	}
	return 0;
}

int copies_bytes(const struct copies *c, uint64_t ino, int from, uint64_t size, const char *name,
                 struct copies_limit *limit, struct err *e)
{
	uint64_t start, end;

	/*
	 * Pages that are dirty can be written to by way of a mapping without any sign in the stat;
	 * those that are clean cannot.
	 */
	(void)sync_file_range(from, 0, 0,
	                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
	                              SYNC_FILE_RANGE_WAIT_AFTER);
	auto_free uint8_t *piece = malloc(PIECE_BYTES);
	if (!piece)
		return err_set(e, ERR_NOMEM, "no memory to copy '%s'", name);
	auto_close int to = copies_open(c, ino, O_WRONLY | O_CREAT | O_TRUNC);
	if (to < 0 || ftruncate(to, (off_t)size) < 0)
		return err_sys(e, errno, "making a copy of '%s' in '%s'", name, c->path);
	for (uint64_t off = 0; off < size; off = end) {
		if (extent_next(from, size, off, &start, &end) < 0)
			return err_sys(e, errno, "looking for data in '%s'", name);
		if (start == size)
			break;
		if (copy_range(from, to, start, end, piece, name, limit, e) < 0)
			return -1;
	}
	return 0;
}

static int remove_all(int parent, const char *name, unsigned depth);

/* Empties the directory open at take_fd. 0, or -1 with errno. */
static int empty_dir(int take_fd, unsigned depth)
{
	DIR *d = fdopendir(take_fd);
	int os = 0;

	if (!d) {
		os = errno;
		(void)close(take_fd);
		errno = os;
		return -1;
	}
	for (struct dirent *x; os == 0 && (errno = 0, x = readdir(d));) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (remove_all(dirfd(d), x->d_name, depth + 1) < 0)
			os = errno;
	}
	if (os == 0)
		os = errno;
	(void)closedir(d);
	errno = os;
	return os ? -1 : 0;
}

/* Removes name with all that is in it; gone already is fine. 0, or -1 with errno. */
static int remove_all(int parent, const char *name, unsigned depth)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth == DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	int fd = openat(parent, name, DIR_FLAGS);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (empty_dir(fd, depth) < 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int copies_clean(const char *text, struct err *e)
{
	const char *name = strrchr(text, '/');

	if (!name || !walk_is_view(name + 1, strlen(name + 1)))
		return err_set(e, ERR_FORMAT, "'%s' is no directory of copies", text);
	auto_free char *at = strndup(text, name > text ? (size_t)(name - text) : 1);
	if (!at)
		return err_set(e, ERR_NOMEM, "no memory for the name of a directory");
	auto_close int parent = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0
		                                           : err_sys(e, errno, "opening '%s'", at);
	if (remove_all(parent, name + 1, 0) < 0)
		return err_sys(e, errno, "removing the copies '%s'", text);
	return 0;
}

int copies_remove(struct copies *c, struct err *e)
{
	int rc = 0;

	if (c->note && remove_all(c->parent, strrchr(c->path, '/') + 1, 0) < 0)
		rc = err_sys(e, errno, "removing the copies '%s'", c->path);
	if (rc == 0)
		rc = journal_done(c->note, e);
	else
		journal_leave(c->note);
	clean_close(&c->fd);
	clean_close(&c->parent);
	free(c->path);
	*c = COPIES_NONE;
	return rc;
}
