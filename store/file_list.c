/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing of the file driver: a walk over the tree in the order of the keys.
 * A directory is not entered when no key below it can begin with the prefix
 * or come after `after`. Each directory is read in portions of sorted names
 * (store/names.h), so that one with millions of objects costs time and not
 * memory.
 *
 * Names that no key has are not objects: what other programs keep there
 * ("lost+found"), and everything that begins with a dot. Neither are symbolic
 * links, sockets and the like.
 */
#include "store/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/now.h"
#include "store/names.h"

#define NAMES_KEPT 16384 /* of one directory at a time; twice that while it is read */

struct walk {
	struct file_store *f;
	const char *prefix;
	const char *after;
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	struct store_item item; /* its key is the path of the walk */
	bool ended;             /* by each() */
};

struct level {
	DIR *dir;
	struct names names;
	char last[NAMES_MAX + 1]; /* the last name done, "" at first */
};

static void level_clear(struct level *l)
{
	if (l->dir)
		(void)closedir(l->dir);
	names_clear(&l->names);
}

/*
 * True when a key of interest can be path (an object) or begin with path (a
 * directory; its path ends in '/').
 */
static bool wanted(const struct walk *w, const char *path, bool dir)
{
	size_t n = strlen(path);
	size_t prefix_len = strlen(w->prefix);
	size_t common = dir && n < prefix_len ? n : prefix_len;

	if (strncmp(path, w->prefix, common) != 0)
		return false;
	return strcmp(path, w->after) > 0 || (dir && strncmp(path, w->after, n) == 0);
}

/* Adds name to the path that has len bytes, in place. False: such a key cannot be. */
static bool path_set(struct walk *w, size_t len, const char *name, bool dir)
{
	size_t n = strlen(name);

	if (len + n + dir > STORE_KEY_MAX)
		return false;
	memcpy(w->item.key + len, name, n);
	memcpy(w->item.key + len + n, "/", dir);
	w->item.key[len + n + dir] = '\0';
	return true;
}

enum kind { KIND_OTHER, KIND_OBJECT, KIND_DIR };

/* What an entry of a directory is. -1 with errno: cannot be told. */
static int kind_of(int dir, const struct dirent *d, enum kind *ret)
{
	unsigned type = d->d_type;
	struct stat st;

	*ret = KIND_OTHER;
	if (!store_key_valid(d->d_name))
		return 0;
	if (type == DT_UNKNOWN) {
		if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -1;
		type = IFTODT(st.st_mode);
	}
	*ret = type == DT_REG ? KIND_OBJECT : type == DT_DIR ? KIND_DIR : KIND_OTHER;
	return 0;
}

/* Reads the directory for the next portion of names, those above l->last. */
static int read_names(struct walk *w, struct level *l, size_t path_len, struct err *e)
{
	bool nomem = false;
	enum kind kind;

	names_reset(&l->names);
	rewinddir(l->dir);
	while (!nomem) {
		errno = 0;
		const struct dirent *d = readdir(l->dir);
		if (!d && errno != 0)
			return file_fail(w->f, errno, "reading a directory", e);
		if (!d)
			break;
		if (kind_of(dirfd(l->dir), d, &kind) < 0)
			return file_fail(w->f, errno, "looking at an object", e);
		if (kind == KIND_OTHER || !path_set(w, path_len, d->d_name, kind == KIND_DIR) ||
		    strcmp(w->item.key + path_len, l->last) <= 0 ||
		    !wanted(w, w->item.key, kind == KIND_DIR))
			continue;
		nomem = names_add(&l->names, d->d_name, kind == KIND_DIR) < 0;
	}
	if (nomem || names_sort(&l->names) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the names of a directory");
	return 0;
}

/* Hands out the object whose path the walk has. */
static int visit_object(struct walk *w, int dir, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0; /* deleted meanwhile */
		return file_fail(w->f, errno, "looking at an object", e);
	}
	w->item.st.size = (uint64_t)st.st_size;
	w->item.st.received_ns = file_received_ns(&st);
	int r = w->each(w->arg, &w->item, e);
	w->ended = r > 0;
	return r < 0 ? -1 : 0;
}

static int walk_dir(struct walk *w, int take_fd, size_t path_len, struct err *e);

/* Opens the directory `name` of dir, and walks it; the walk's path is its own. */
static int visit_dir(struct walk *w, int dir, const char *name, struct err *e)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return file_missing(errno) ? 0 : file_fail(w->f, errno, "opening a directory", e);
	return walk_dir(w, fd, strlen(w->item.key), e);
}

/* Visits the names of one portion. */
static int visit_names(struct walk *w, struct level *l, size_t path_len, struct err *e)
{
	for (size_t i = 0; i < names_count(&l->names) && !w->ended; i++) {
		const char *name = names_get(&l->names, i);
		size_t n = strlen(name);
		bool dir = name[n - 1] == '/';

		memcpy(l->last, name, n + 1);
		memcpy(w->item.key + path_len, name, n + 1);
		if ((dir ? visit_dir(w, dirfd(l->dir), name, e)
		         : visit_object(w, dirfd(l->dir), name, e)) < 0)
			return -1;
	}
	return 0;
}

/* Walks an open directory; the first path_len bytes of the walk's key are its path. */
static int walk_dir(struct walk *w, int take_fd, size_t path_len, struct err *e)
{
	auto_close int fd = take_fd;
	CLEANUP(level_clear) struct level l = { .names = NAMES_INIT(NAMES_KEPT) };

	l.dir = fdopendir(fd);
	if (!l.dir)
		return file_fail(w->f, errno, "reading a directory", e);
	fd = -1;
	do {
		if (read_names(w, &l, path_len, e) < 0 || visit_names(w, &l, path_len, e) < 0)
			return -1;
	} while (l.names.more && !w->ended);
	return 0;
}

int file_list(struct store *s, const char *prefix, const char *after,
              int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
              struct err *e)
{
	struct file_store *f = file_of(s);
	struct walk w = { .f = f, .prefix = prefix, .after = after, .each = each, .arg = arg };
	const char *slash = strrchr(prefix, '/');
	size_t n = slash ? (size_t)(slash - prefix) : 0;

	(void)fdcache_trim(f->objects, now_mono_ns() / 1000000 - FILE_IDLE_MS);
	/* The walk begins in the deepest directory that all keys with the prefix share. */
	memcpy(w.item.key, n > 0 ? prefix : ".", n > 0 ? n : 2);
	if (slash && !store_key_valid(w.item.key))
		return file_check_root(f, e);
	int fd = fd_open_beneath(f->root, w.item.key, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return file_missing(errno) ? file_check_root(f, e)
		                           : file_fail(f, errno, "opening its directory", e);
	memcpy(w.item.key, prefix, slash ? n + 1 : 0);
	w.item.key[slash ? n + 1 : 0] = '\0';
	if (walk_dir(&w, fd, slash ? n + 1 : 0, e) < 0)
		return -1;
	return file_check_root(f, e);
}
