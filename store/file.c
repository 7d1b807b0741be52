/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a directory: opening it, reading, deleting. Writing is in
 * file_put.c, listing in file_list.c.
 *
 * The root may vanish under a store that is open: an administrator removes
 * it, a share goes away. Every path below it then seems not to exist, which
 * must not be taken for an empty store, so each "not found" looks at the root
 * once more before it is believed.
 */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/fd.h"
#include "common/now.h"

#define OBJECTS_OPEN 64 /* descriptors kept for reading */

bool file_root_gone(const struct file_store *f)
{
	struct stat st;

	return fstat(f->root, &st) < 0 || (st.st_nlink == 0 && f->root_links);
}

static int fail_gone(const struct file_store *f, struct err *e)
{
	return err_set(e, ERR_IO,
	               "the store's directory '%s' was removed or unmounted while it was in use; "
	               "bring it back and try again",
	               f->dir);
}

int file_fail(const struct file_store *f, int os, const char *what, struct err *e)
{
	if (file_root_gone(f)) {
		fail_gone(f, e);
		e->os = os;
		return -1;
	}
	switch (os) {
	case ENOSPC:
		err_set(e, ERR_QUOTA,
		        "%s: no space is left on the file system of '%s'; free some or enlarge it",
		        what, f->dir);
		break;
	case EDQUOT:
		err_set(e, ERR_QUOTA,
		        "%s: the disk quota for '%s' is used up; raise it or free some space", what,
		        f->dir);
		break;
	case EROFS:
		err_set(e, ERR_DENIED,
		        "%s: the file system of '%s' is mounted read-only; mount it for writing",
		        what, f->dir);
		break;
	case EACCES:
	case EPERM:
		err_set(e, ERR_DENIED,
		        "%s: user %u has no right to do this in '%s'; run as its owner or change "
		        "the rights",
		        what, (unsigned)geteuid(), f->dir);
		break;
	case ETIMEDOUT:
	case EAGAIN:
	case EMFILE:
	case ENFILE:
		err_sys(e, os, "%s", what);
		e->class = ERR_RETRY;
		break;
	default:
		err_sys(e, os, "%s", what);
		break;
	}
	e->os = os;
	return -1;
}

bool file_missing(int os)
{
	/* ENOTDIR, ELOOP: a file or a link where a directory would have to be */
	return os == ENOENT || os == ENOTDIR || os == ELOOP;
}

int file_check_root(const struct file_store *f, struct err *e)
{
	return file_root_gone(f) ? fail_gone(f, e) : 0;
}

int file_fail_missing(const struct file_store *f, struct err *e)
{
	return file_root_gone(f) ? fail_gone(f, e) : err_set(e, ERR_NOT_FOUND, "no such object");
}

/* A descriptor of the object: from the cache, or opened and left there. */
static int object_open(struct file_store *f, const char *key, struct fdcache_ref *ret,
                       struct err *e)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int64_t now_ms = now_mono_ns() / 1000000;
	struct stat st;

	if (fdcache_get(f->objects, key, now_ms, ret))
		return 0;
	uint64_t generation = fdcache_generation(f->objects);
	(void)fdcache_trim(f->objects, now_ms - FILE_IDLE_MS);
	auto_close int fd = fd_open_beneath(f->root, key, flags, 0);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
	    fdcache_trim(f->objects, INT64_MAX) > 0)
		fd = fd_open_beneath(f->root, key, flags, 0);
	if (fd < 0)
		return file_missing(errno) ? file_fail_missing(f, e)
		                           : file_fail(f, errno, "opening it", e);
	if (fstat(fd, &st) < 0)
		return file_fail(f, errno, "looking at it", e);
	if (!S_ISREG(st.st_mode))
		return file_fail_missing(f, e);
	fdcache_add(f->objects, key, steal_fd(&fd), (uint64_t)st.st_size, generation, now_ms, ret);
	return 0;
}

static int file_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                    struct err *e)
{
	struct file_store *f = file_of(s);
	CLEANUP(fdcache_release) struct fdcache_ref ref = FDCACHE_REF_NONE;
	uint64_t end = 0; /* where the object ends, when that is too early */

	if (object_open(f, key, &ref, e) < 0)
		return -1;
	if (off > ref.size || n > ref.size - off) {
		end = ref.size;
	} else {
		ssize_t got = fd_pread_full(ref.fd, p, n, off);
		if (got < 0)
			return file_fail(f, errno, "reading", e);
		if ((size_t)got == n)
			return 0;
		end = off + (uint64_t)got;
	}
	return err_set(e, ERR_CORRUPT,
	               "it has %llu bytes, %zu at offset %llu were to be read: it is damaged or "
	               "not what it should be",
	               (unsigned long long)end, n, (unsigned long long)off);
}

static int file_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	struct file_store *f = file_of(s);
	auto_close int fd = fd_open_beneath(f->root, key, O_PATH | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0)
		return file_missing(errno) ? file_fail_missing(f, e)
		                           : file_fail(f, errno, "opening it", e);
	if (fstat(fd, &st) < 0)
		return file_fail(f, errno, "looking at it", e);
	if (!S_ISREG(st.st_mode))
		return file_fail_missing(f, e);
	ret->size = (uint64_t)st.st_size;
	ret->received_ns = file_received_ns(&st);
	return 0;
}

/* A directory in which a name was removed, by whomever, made durable. 0, or -1 with errno. */
static int sync_removed(int dir, bool readable)
{
	return readable && fsync(dir) < 0 && errno != EINVAL ? -1 : 0;
}

/*
 * Removes the name, durably: a marker that came back after its commit was
 * removed would make a point of what a collection has taken. 0 (also when no
 * object has it), or -1 with errno.
 */
static int remove_beneath(const struct file_store *f, const char *key)
{
	char parent[STORE_KEY_MAX + 1] = ".";
	const char *slash = strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;
	struct stat st;

	if (slash) {
		memcpy(parent, key, (size_t)(slash - key));
		parent[slash - key] = '\0';
	}
	auto_close int dir = fd_open_beneath(f->root, parent, O_RDONLY | O_DIRECTORY, 0);
	bool readable = dir >= 0;
	if (dir < 0 && errno == EACCES) /* one that may be passed but not read */
		dir = fd_open_beneath(f->root, parent, O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return file_missing(errno) ? 0 : -1;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return sync_removed(dir, readable);
	int os = errno;
	if ((os == EISDIR || os == EPERM) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return 0;
	errno = os;
	return -1;
}

static int file_del(struct store *s, const char *key, struct err *e)
{
	struct file_store *f = file_of(s);

	/* Before, or NFS keeps the open file under another name; after, for what a get opened. */
	fdcache_drop(f->objects, key);
	int r = remove_beneath(f, key);
	int os = errno;
	fdcache_drop(f->objects, key);
	if (r < 0)
		return file_fail(f, os, "unlinking it", e);
	return file_check_root(f, e);
}

static void file_free(struct store *s)
{
	struct file_store *f = file_of(s);

	fdcache_free(f->objects);
	clean_close(&f->root);
	free(f->dir);
	store_base_clear(s);
	free(f);
}

static const char *file_right(struct store *s, enum store_right right)
{
	(void)s;
	switch (right) {
	case RIGHT_CREATE:
	case RIGHT_DELETE:
		return "permission to write in the directory, for the user it runs as";
	case RIGHT_READ:
	case RIGHT_LIST:
		return "permission to read the directory, for the user it runs as";
	case RIGHT_LOCK:
		break;
	}
	return NULL;
}

static const struct store_ops file_ops = {
	.name = "file",
	.put = file_put,
	.get = file_get,
	.head = file_head,
	.list = file_list,
	.del = file_del,
	.right = file_right,
	.free = file_free,
};

/* mkdir -p for any path, durable. 0, or -1 with errno. */
static int make_dir(const char *path)
{
	size_t n = strlen(path);
	auto_free char *other = malloc(n + sizeof("/.."));

	if (!other)
		return -1;
	if (mkdir(path, 0700) < 0) {
		const char *slash = strrchr(path, '/');

		if (errno == EEXIST)
			return 0;
		if (errno != ENOENT || !slash || slash == path)
			return -1;
		memcpy(other, path, (size_t)(slash - path));
		other[slash - path] = '\0';
		if (make_dir(other) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST))
			return -1;
	}
	memcpy(other, path, n);
	memcpy(other + n, "/..", sizeof("/.."));
	auto_close int parent = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == EACCES ? 0 : -1; /* one that may be passed but not read */
	return fsync(parent) < 0 && errno != EINVAL ? -1 : 0;
}

static int open_root(const char *dir, unsigned flags, struct err *e)
{
	const char *hint = "";

	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && (flags & STORE_CREATE)) {
		if (make_dir(dir) < 0)
			return err_sys(e, errno, "making the store's directory '%s'", dir);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd >= 0)
		return fd;
	if (errno == ENOTDIR)
		return err_set(e, ERR_INVALID, "the store '%s' is no directory", dir);
	if (errno == ENOENT)
		hint = " (check the path, and whether it is mounted)";
	return err_sys(e, errno, "opening the store's directory '%s'%s", dir, hint);
}

/* Whether a read costs no round trip. Of what is not known to be far, yes. */
static bool is_near(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return true;
	switch ((unsigned long)st.f_type & UINT32_MAX) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
		return false;
	default:
		return true;
	}
}

struct store *store_file_open(const char *dir, unsigned flags, struct err *e)
{
	auto_close int root = open_root(dir, flags, e);
	unsigned caps = STORE_CAP_CONDITIONAL_PUT;
	struct stat st;

	if (root < 0)
		return NULL;
	struct file_store *f = calloc(1, sizeof(*f));
	if (!f) {
		err_set(e, ERR_NOMEM, "no memory for a store");
		return NULL;
	}
	auto_store struct store *s = &f->base;
	s->ops = &file_ops;
	f->root = steal_fd(&root);
	f->root_links = fstat(f->root, &st) == 0 && st.st_nlink > 0;
	f->dir = strdup(dir);
	f->objects = fdcache_new(OBJECTS_OPEN);
	if (!f->dir || !f->objects) {
		err_set(e, ERR_NOMEM, "no memory for a store");
		return NULL;
	}
	if (faccessat(f->root, ".", W_OK | X_OK, AT_EACCESS) == 0)
		caps |= STORE_CAP_WRITE;
	if (is_near(f->root))
		caps |= STORE_CAP_LOCAL;
	if (store_base_init(s, &file_ops, caps, "file://", dir, e) < 0)
		return NULL;
	/* Names in .tmp are made exclusively: without the salt one would cost more tries. */
	ssize_t n = getrandom(&f->tmp_salt, sizeof(f->tmp_salt), 0);
	(void)n;
	if (flags & STORE_READONLY)
		return store_readonly_new(STEAL(&s), e);
	file_clean_tmp(f, now_wall_ns());
	return STEAL(&s);
}
