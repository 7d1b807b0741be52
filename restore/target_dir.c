/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of files below a directory. A worker keeps the directory that it
 * worked in last open, since entries that follow each other share it; within a
 * directory names are used without a path. Directories are opened beneath the
 * target without following any link, so neither the point nor somebody who
 * renames things meanwhile leads out of it.
 *
 * Until a directory is left it belongs to whoever restores, with mode 0700, so
 * nobody else sees files before their owner and mode are right.
 */
#include "restore/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "restore/beneath.h"
#include "restore/meta.h"

#define LOST_FOUND "lost+found"
#define OPENED_MAX 64

struct target_dir {
	struct target base;
	struct meta meta;
	int root; /* the target */
	dev_t dev;
	uint32_t uid, gid; /* of what is made here */
	bool probed;       /* uid and gid are known; else each new entry is looked at */
};

static struct target_dir *dir_of(struct target *t)
{
	return (struct target_dir *)t;
}

/* "dir/name" of a place, for messages; shortened in front when it is long. */
struct place_text {
	char s[512];
};

static struct place_text text_of(const struct target *t, const struct target_place *at)
{
	struct place_text x;
	const char *dir = at->dir->path;
	size_t len = at->dir->len;

	if (len == 0 && !*at->name)
		(void)snprintf(x.s, sizeof(x.s), "%s", t->path);
	else if (len > 200)
		(void)snprintf(x.s, sizeof(x.s), "...%s/%s", dir + len - 200, at->name);
	else
		(void)snprintf(x.s, sizeof(x.s), "%s%s%s", dir, len > 0 ? "/" : "", at->name);
	return x;
}

/* The directory as a descriptor that the worker keeps, or -1 with e. */
static int worker_dir(struct target_dir *d, struct target_worker *w,
                      const struct target_parent *dir, struct err *e)
{
	if (dir->len == 0)
		return d->root;
	if (w->fd >= 0 && w->id == dir->id)
		return w->fd;
	clean_close(&w->fd);
	w->id = 0;
	w->fd = beneath_open(d->root, dir->path, dir->len, O_PATH | O_DIRECTORY);
	if (w->fd < 0)
		return err_sys(e, errno, "opening the directory '%s' of the target", dir->path);
	w->id = dir->id;
	return w->fd;
}

/* What a new entry has, when that can be told without looking. */
static int have_new(const struct target_dir *d, int dir, int fd, const char *name, uint32_t mode,
                    struct meta_have *ret)
{
	struct stat st;

	*ret = (struct meta_have){ .uid = d->uid, .gid = d->gid, .mode = mode, .fresh = true };
	if (d->probed)
		return 0;
	if ((fd >= 0 ? fstat(fd, &st) : fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) < 0)
		return -1;
	*ret = meta_have_of(&st);
	return 0;
}

/* ---- removing ---- */

static int dir_remove(struct target *t, struct target_worker *w, const struct target_place *at,
                      struct err *e)
{
	struct target_dir *d = dir_of(t);
	int dir = worker_dir(d, w, at->dir, e);

	if (dir < 0)
		return -1;
	return beneath_remove(dir, d->dev, at->name, at->dir->len > 0 ? at->dir->path : t->path,
	                      &t->unpinned, e);
}

static int dir_names(struct target *t, struct target_worker *w, const struct target_parent *dir,
                     int (*each)(void *arg, const char *name, struct err *e), void *arg,
                     struct err *e)
{
	struct target_dir *d = dir_of(t);

	(void)w;
	if (d->root < 0)
		return 0;
	int fd = beneath_open(d->root, dir->path, dir->len, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return err_sys(e, errno, "opening the directory '%s' of the target", dir->path);
	DIR *list = fdopendir(fd);
	if (!list) {
		int os = errno;

		(void)close(fd);
		return err_sys(e, os, "listing '%s'", dir->path);
	}
	int rc = 0;
	while (rc == 0) {
		errno = 0;
		struct dirent *n = readdir(list);
		if (!n) {
			if (errno)
				rc = err_sys(e, errno, "listing '%s'", dir->path);
			break;
		}
		/* A file system's own directory is not something that a volume lacks. */
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0 &&
		    (dir->len > 0 || strcmp(n->d_name, LOST_FOUND) != 0))
			rc = each(arg, n->d_name, e);
	}
	(void)closedir(list);
	return rc;
}

/* ---- directories ---- */

/* What is there in place of a directory that is to be made. */
static int enter_existing(struct target_dir *d, int dir, const struct target_place *at,
                          bool *ret_existing, struct err *e)
{
	unsigned flags = d->base.flags;
	bool lost_found = at->dir->len == 0 && strcmp(at->name, LOST_FOUND) == 0;
	struct place_text text = text_of(&d->base, at);
	struct stat st;

	if (fstatat(dir, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "looking at '%s'", text.s);
	if (S_ISDIR(st.st_mode) && (flags & (TARGET_IN_PLACE | TARGET_MERGE) || lost_found)) {
		*ret_existing = true;
		if (flags & TARGET_IN_PLACE && d->meta.root)
			(void)beneath_unpin(dir, at->name);
		if (d->meta.root || (st.st_mode & S_IRWXU) == S_IRWXU)
			return 0;
		auto_close int held = openat(dir, at->name,
		                             O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (held < 0 || beneath_chmod(held, (st.st_mode & 07777) | S_IRWXU) < 0)
			return err_sys(e, errno, "making the directory '%s' writable", text.s);
		return 0;
	}
	if (!(flags & TARGET_IN_PLACE))
		return err_set(e, ERR_EXISTS, "'%s' exists in the target already", text.s);
	if (beneath_remove(dir, d->dev, at->name, at->dir->len > 0 ? at->dir->path : d->base.path,
	                   &d->base.unpinned, e) < 0)
		return -1;
	if (mkdirat(dir, at->name, 0700) < 0)
		return err_sys(e, errno, "making the directory '%s'", text.s);
	return 0;
}

static int dir_enter(struct target *t, struct target_worker *w, const struct target_place *at,
                     bool *ret_existing, struct err *e)
{
	struct target_dir *d = dir_of(t);

	*ret_existing = false;
	if (t->flags & TARGET_COMPARE)
		return 0;
	int dir = worker_dir(d, w, at->dir, e);
	if (dir < 0)
		return -1;
	if (mkdirat(dir, at->name, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, errno, "making the directory '%s'", text_of(t, at).s);
	return enter_existing(d, dir, at, ret_existing, e);
}

static int dir_leave(struct target *t, struct target_worker *w, const struct target_parent *dir,
                     const struct record *r, bool existing, struct err *e)
{
	struct target_dir *d = dir_of(t);
	struct meta_have have = { .uid = d->uid, .gid = d->gid, .mode = 0700, .fresh = true };
	struct stat st;

	(void)w;
	if (t->flags & TARGET_COMPARE || (existing && t->flags & TARGET_MERGE))
		return 0;
	auto_close int fd = beneath_open(d->root, dir->path, dir->len, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return err_sys(e, errno, "opening the directory '%s' of the target", dir->path);
	if (existing || !d->probed) {
		if (fstat(fd, &st) < 0)
			return err_sys(e, errno, "looking at '%s'", dir->path);
		have = meta_have_of(&st);
	}
	const struct meta_subject s = { .fd = fd, .path = dir->path, .path_len = dir->len };
	meta_apply(&d->meta, &s, r, have);
	return 0;
}

/* ---- entries without content ---- */

/* Makes the entry itself. 0, or -1 with errno. */
static int make_entry(int dir, const char *name, const struct record *r)
{
	char link[PATH_MAX];

	if (!S_ISLNK(r->st.mode)) {
		dev_t dev = S_ISCHR(r->st.mode) || S_ISBLK(r->st.mode)
		                    ? makedev(r->st.rdev_major, r->st.rdev_minor)
		                    : 0;

		return mknodat(dir, name, r->st.mode & (S_IFMT | 0777), dev);
	}
	if (r->link_len >= sizeof(link)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(link, r->link, r->link_len);
	link[r->link_len] = '\0';
	return symlinkat(link, dir, name);
}

/* True when the entry that is there is the one that the record describes. */
static bool same_entry(int dir, const char *name, const struct record *r, const struct stat *st)
{
	char link[PATH_MAX];

	if ((st->st_mode & S_IFMT) != (r->st.mode & S_IFMT))
		return false;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		return st->st_rdev == makedev(r->st.rdev_major, r->st.rdev_minor);
	if (!S_ISLNK(st->st_mode))
		return true;
	ssize_t n = readlinkat(dir, name, link, sizeof(link));
	return n >= 0 && (size_t)n == r->link_len && memcmp(link, r->link, (size_t)n) == 0;
}

static int dir_make(struct target *t, struct target_worker *w, const struct target_place *at,
                    const struct record *r, bool *ret_made, struct err *e)
{
	struct target_dir *d = dir_of(t);
	struct meta_have have;
	struct stat st;
	int dir = worker_dir(d, w, at->dir, e);

	*ret_made = false;
	if (dir < 0)
		return -1;
	int rc = make_entry(dir, at->name, r);
	bool keep = false;
	if (rc < 0 && errno == EEXIST && t->flags & TARGET_IN_PLACE) {
		if (fstatat(dir, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "looking at '%s'", text_of(t, at).s);
		keep = same_entry(dir, at->name, r, &st) &&
		       (st.st_nlink == 1 || t->flags & TARGET_KNOWN);
		if (!keep) {
			if (dir_remove(t, w, at, e) < 0)
				return -1;
			rc = make_entry(dir, at->name, r);
		}
	}
	if (keep) {
		have = meta_have_of(&st);
	} else if (rc < 0) {
		/* Devices need rights that a container seldom has. */
		if (!S_ISLNK(r->st.mode) &&
		    (errno == EPERM || errno == EOPNOTSUPP || errno == EINVAL)) {
			loss_add(t->losses, LOSS_DEVICE, r->path, r->path_len, errno);
			return 0;
		}
		if (errno == EEXIST)
			return err_set(e, ERR_EXISTS, "'%s' exists in the target already",
			               text_of(t, at).s);
		return err_sys(e, errno, "making '%s'", text_of(t, at).s);
	} else if (have_new(d, dir, -1, at->name, r->st.mode & 0777, &have) < 0) {
		return err_sys(e, errno, "looking at '%s'", text_of(t, at).s);
	}
	const struct meta_subject s = {
		.fd = -1, .dir = dir, .name = at->name, .path = r->path, .path_len = r->path_len
	};
	meta_apply(&d->meta, &s, r, have);
	*ret_made = true;
	return 0;
}

/* 0, or -1 with errno, or with e when errno is 0. */
static int link_from(struct target *t, struct target_worker *w, const struct target_place *at,
                     int dir, int to_dir, const char *to_name, struct err *e)
{
	struct stat here;
	struct stat there;

	if (linkat(to_dir, to_name, dir, at->name, 0) == 0)
		return 0;
	/* What it links to has been as it should be, flags included. */
	if (errno == EPERM && t->flags & TARGET_KNOWN && beneath_unpin(to_dir, to_name)) {
		atomic_store(&t->unpinned, true);
		if (linkat(to_dir, to_name, dir, at->name, 0) == 0)
			return 0;
	}
	if (errno != EEXIST || !(t->flags & TARGET_IN_PLACE))
		return -1;
	if (fstatat(to_dir, to_name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(dir, at->name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		return 0;
	if (dir_remove(t, w, at, e) < 0) {
		errno = 0;
		return -1;
	}
	return linkat(to_dir, to_name, dir, at->name, 0);
}

static int dir_link(struct target *t, struct target_worker *w, const struct target_place *at,
                    const struct target_place *to, struct err *e)
{
	struct target_dir *d = dir_of(t);
	struct beneath_opened up[OPENED_MAX];
	size_t nup = 0;
	int dir = worker_dir(d, w, at->dir, e);

	if (dir < 0)
		return -1;
	auto_close int to_dir = beneath_open(d->root, to->dir->path, to->dir->len,
	                                     O_PATH | O_DIRECTORY);
	int rc = to_dir < 0 ? -1 : link_from(t, w, at, dir, to_dir, to->name, e);
	if (rc < 0 && errno == EACCES && !d->meta.root) {
		clean_close(&to_dir);
		to_dir = beneath_force(d->root, to->dir->path, up, ARRAY_LEN(up), &nup);
		rc = to_dir < 0 ? -1 : link_from(t, w, at, dir, to_dir, to->name, e);
	}
	int os = errno;
	beneath_shut(up, nup);
	if (rc < 0 && os)
		return err_sys(e, os, "linking '%s' to '%s'", text_of(t, at).s, text_of(t, to).s);
	return rc;
}

/* ---- files ---- */

static int create_file(struct target_dir *d, int dir, const char *name, const struct record *r,
                       struct target_file *ret)
{
	/* Set-id bits come last, when the file has its owner. */
	uint32_t mode = r->st.mode & 0777;

	ret->fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (ret->fd < 0)
		return -1;
	ret->existing = false;
	ret->old_size = 0;
	return have_new(d, dir, ret->fd, name, mode, &ret->have);
}

/* Opens what is there for changing. 0; 1: it has to be replaced; -1 with errno. */
static int open_existing(struct target_dir *d, int dir, const char *name, struct target_file *ret)
{
	bool compare = d->base.flags & TARGET_COMPARE;
	int flags = (compare ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct stat st;

	auto_close int fd = openat(dir, name, flags);
	if (fd < 0 && errno == EPERM && beneath_unpin(dir, name))
		fd = openat(dir, name, flags);
	if (fd < 0 && errno == EACCES) {
		auto_close int held = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (held >= 0 && fstat(held, &st) == 0 && S_ISREG(st.st_mode) && !compare &&
		    beneath_chmod(held, (st.st_mode & 07777) | S_IRUSR | S_IWUSR) == 0)
			fd = openat(dir, name, flags);
	}
	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == ETXTBSY ||
		                       errno == ENODEV
		               ? 1
		               : -1;
	if (fstat(fd, &st) < 0)
		return -1;
	/* A file with other names is not changed under them: they may lie outside of the target. */
	if (!S_ISREG(st.st_mode) ||
	    (st.st_nlink > 1 && !compare && !(d->base.flags & TARGET_KNOWN)))
		return 1;
	target_forget(&d->base, fd);
	ret->fd = steal_fd(&fd);
	ret->existing = true;
	ret->old_size = (uint64_t)st.st_size;
	ret->old_mtime = (struct timestamp){ .s = st.st_mtim.tv_sec,
		                             .ns = (uint32_t)st.st_mtim.tv_nsec };
	ret->old_links = (uint32_t)st.st_nlink;
	ret->have = meta_have_of(&st);
	return 0;
}

static int dir_open(struct target *t, struct target_worker *w, const struct target_place *at,
                    const struct record *r, enum target_how how, struct target_file *ret,
                    struct err *e)
{
	struct target_dir *d = dir_of(t);
	struct err why = ERR_INIT;
	int dir = worker_dir(d, w, at->dir, &why);

	*ret = (struct target_file){ .fd = -1 };
	if (t->flags & TARGET_COMPARE) {
		/* A directory that is missing is no error here: its files are missing as well. */
		if (dir < 0 || open_existing(d, dir, at->name, ret) != 0)
			ret->fd = -1;
		return 0;
	}
	if (dir < 0) {
		*e = why;
		return -1;
	}
	if (how == TARGET_CHANGE) {
		int rc = open_existing(d, dir, at->name, ret);

		if (rc == 0)
			return 0;
		if (rc < 0 && errno != ENOENT)
			return err_sys(e, errno, "opening '%s'", text_of(t, at).s);
		if (t->flags & TARGET_KNOWN)
			return err_set(e, ERR_NOT_FOUND,
			               "'%s' is not there, or nothing that can be changed",
			               text_of(t, at).s);
		if (rc > 0 && dir_remove(t, w, at, e) < 0)
			return -1;
	}
	int rc = create_file(d, dir, at->name, r, ret);
	if (rc < 0 && errno == EEXIST && ret->fd < 0 && t->flags & TARGET_IN_PLACE &&
	    !(t->flags & TARGET_KNOWN)) {
		if (dir_remove(t, w, at, e) < 0)
			return -1;
		rc = create_file(d, dir, at->name, r, ret);
	}
	if (rc < 0) {
		int os = errno;

		clean_close(&ret->fd);
		ret->fd = -1;
		if (os == EEXIST)
			return err_set(e, ERR_EXISTS, "'%s' exists in the target already",
			               text_of(t, at).s);
		return err_sys(e, os, "creating '%s'", text_of(t, at).s);
	}
	if (r->fsflags)
		meta_early(ret->fd, r);
	return 0;
}

static int dir_hole(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
                    struct err *e)
{
	(void)t;
	if (!f->existing || off >= f->old_size)
		return 0;
	if (len > f->old_size - off)
		len = f->old_size - off;
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) ==
	    0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(e, errno, "punching a hole of %llu bytes", (unsigned long long)len);
	return target_write_zeros(f->fd, off, len, e);
}

static int dir_zeros(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
                     struct err *e)
{
	(void)t;
	/* New space reads as zeros; old content needs more. */
	int mode = f->existing ? FALLOC_FL_ZERO_RANGE : 0;

	if (fallocate(f->fd, mode, (off_t)off, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(e, errno, "allocating %llu bytes", (unsigned long long)len);
	return f->existing ? target_write_zeros(f->fd, off, len, e) : 0;
}

static int dir_finish(struct target *t, const struct target_place *at, const struct record *r,
                      struct target_file *f, struct err *e)
{
	struct target_dir *d = dir_of(t);
	int fd = steal_fd(&f->fd);

	if (!(t->flags & TARGET_COMPARE)) {
		const struct meta_subject s = { .fd = fd,
			                        .path = r->path,
			                        .path_len = r->path_len };

		meta_apply(&d->meta, &s, r, f->have);
	}
	if (close(fd) < 0 && errno != EINTR)
		return err_sys(e, errno, "closing '%s'", text_of(t, at).s);
	return 0;
}

static void dir_discard(struct target *t, struct target_worker *w, const struct target_place *at,
                        struct target_file *f)
{
	struct err ignored = ERR_INIT;

	if (f->fd < 0)
		return;
	clean_close(&f->fd);
	f->fd = -1;
	if (f->existing || t->flags & TARGET_COMPARE)
		return;
	int dir = worker_dir(dir_of(t), w, at->dir, &ignored);
	if (dir >= 0)
		(void)unlinkat(dir, at->name, 0);
}

static int dir_pin(struct target *t, struct target_worker *w, const struct target_place *at,
                   const struct record *r, struct err *e)
{
	struct target_dir *d = dir_of(t);
	int dir = worker_dir(d, w, at->dir, e);

	if (dir < 0)
		return -1;
	auto_close int fd = openat(dir, *at->name ? at->name : ".",
	                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		loss_add(t->losses, LOSS_FLAGS, r->path, r->path_len, errno);
		return 0;
	}
	const struct meta_subject s = { .fd = fd, .path = r->path, .path_len = r->path_len };
	meta_pin(&d->meta, &s, r);
	return 0;
}

static int dir_sync(struct target *t, struct err *e)
{
	if (syncfs(dir_of(t)->root) < 0)
		return err_sys(e, errno, "syncing '%s'", t->path);
	return 0;
}

static void dir_free(struct target *t)
{
	struct target_dir *d = dir_of(t);

	clean_close(&d->root);
	free(d);
}

static const struct target_ops target_dir = {
	.name = "dir",
	.enter = dir_enter,
	.leave = dir_leave,
	.names = dir_names,
	.remove = dir_remove,
	.make = dir_make,
	.link = dir_link,
	.open = dir_open,
	.hole = dir_hole,
	.zeros = dir_zeros,
	.finish = dir_finish,
	.discard = dir_discard,
	.pin = dir_pin,
	.sync = dir_sync,
	.free = dir_free,
};

/* ---- opening ---- */

/* mkdir -p. 0, or -1 with errno; *ret_made: the last component is new. */
static int make_path(const char *path, bool *ret_made)
{
	auto_free char *copy = strdup(path);

	if (!copy) {
		errno = ENOMEM;
		return -1;
	}
	*ret_made = mkdir(path, 0700) == 0;
	if (*ret_made || errno != ENOENT)
		return *ret_made || errno == EEXIST ? 0 : -1;
	for (char *s = copy + strspn(copy, "/"); (s = strchr(s, '/')); s += strspn(s, "/")) {
		*s = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -1;
		*s = '/';
	}
	*ret_made = mkdir(path, 0700) == 0;
	return *ret_made || errno == EEXIST ? 0 : -1;
}

static int first_name(void *arg, const char *name, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_EXISTS, "%s", name);
}

/* Is anything in it, but for an empty lost+found? */
static int check_empty(struct target_dir *d, struct err *e)
{
	static const struct target_parent root = { .path = "" };
	static const struct target_parent lost_found = { .path = LOST_FOUND, .len = 10 };
	struct err found = ERR_INIT;

	if (dir_names(&d->base, NULL, &root, first_name, NULL, &found) == 0 &&
	    (faccessat(d->root, LOST_FOUND, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	     dir_names(&d->base, NULL, &lost_found, first_name, NULL, &found) == 0))
		return 0;
	if (found.class != ERR_EXISTS) {
		*e = found;
		return -1;
	}
	return err_set(e, ERR_EXISTS,
	               "the target '%s' is not empty: it has '%s'; give an empty or new directory, "
	               "or --in-place to make this one like the restore point",
	               d->base.path, found.msg);
}

/*
 * Owner and group of what is made in the target: a set-gid bit, a mount option or a mapping
 * may decide.
 */
static int probe(struct target_dir *d, struct err *e)
{
	static const char name[] = ".aksdr-probe";
	struct stat st;

	auto_close int fd = openat(d->root, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		fd = openat(d->root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		            0600);
		if (fd < 0)
			return err_sys(e, errno, "creating a file in the target '%s'",
			               d->base.path);
		if (unlinkat(d->root, name, 0) < 0)
			return err_sys(e, errno, "removing a file from the target '%s'",
			               d->base.path);
	}
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "looking at a file in the target '%s'", d->base.path);
	d->uid = st.st_uid;
	d->gid = st.st_gid;
	d->probed = true;
	return 0;
}

/* The directory is ours alone until it is done, and hands nothing down to what is made in it. */
static int prepare(struct target_dir *d, struct err *e)
{
	if (d->base.flags & TARGET_IN_PLACE && !(d->base.flags & TARGET_COMPARE))
		(void)meta_unpin(d->root);
	if (d->base.flags & (TARGET_IN_PLACE | TARGET_MERGE | TARGET_COMPARE))
		return 0;
	(void)fremovexattr(d->root, "system.posix_acl_default");
	(void)fchmod(d->root, 0700);
	return probe(d, e);
}

int target_dir_open(const char *path, unsigned flags, struct losses *losses, struct target **ret,
                    struct err *e)
{
	auto_target struct target *t = NULL;
	struct stat st;
	bool made = false;

	struct target_dir *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, ERR_NOMEM, "no memory for the target '%s'", path);
	d->root = -1;
	d->base = (struct target){ .ops = &target_dir, .flags = flags, .losses = losses };
	t = &d->base;
	t->path = strdup(path);
	if (!t->path)
		return err_set(e, ERR_NOMEM, "no memory for the target '%s'", path);
	meta_init(&d->meta, losses, flags & TARGET_NO_OWNER);
	if (!(flags & TARGET_COMPARE) && make_path(path, &made) < 0)
		return err_sys(e, errno, "making the target directory '%s'", path);
	d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0 && errno == ENOENT && flags & TARGET_COMPARE) {
		*ret = STEAL(&t);
		return 0;
	}
	if (d->root < 0 && errno == ENOTDIR)
		return err_set(e, ERR_EXISTS, "the target '%s' is there and is no directory", path);
	if (d->root < 0)
		return err_sys(e, errno, "opening the target directory '%s'", path);
	if (fstat(d->root, &st) < 0)
		return err_sys(e, errno, "looking at the target '%s'", path);
	d->dev = st.st_dev;
	if (!made && !(flags & (TARGET_IN_PLACE | TARGET_MERGE)) && check_empty(d, e) < 0)
		return -1;
	if (prepare(d, e) < 0)
		return -1;
	*ret = STEAL(&t);
	return 0;
}
