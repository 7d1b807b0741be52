/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of entries is read from front to back. What a walk would not have
 * entered (a directory that is left out, a cache) is one path at a time, because
 * the list is in order: what lies below it follows it.
 */
#include "snapshot/view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "snapshot/content.h"
#include "snapshot/match.h"

#define PATH_ROOM (WALK_PATH_MAX + 512) /* an entry of a directory that is entered */

static const char tag_name[] = "CACHEDIR.TAG";

/* A directory that not all is taken of. */
struct closed {
	bool set;
	size_t len;
	char path[PATH_ROOM];
};

struct view {
	struct source source;
	struct view_parts parts;
	struct batch_pool pool;
	struct record_reader reader;
	struct match *match; /* NULL: nothing is left out */
	bool skip_caches;
	bool drop_cache;
	struct closed out;   /* left out with all below it */
	struct closed cache; /* only its tag is taken */
	char path[PATH_ROOM];
};

/* Whether dir is the closed directory or below it. */
static bool is_in(const struct closed *c, const char *dir, size_t dir_len)
{
	return c->set && dir_len >= c->len && memcmp(dir, c->path, c->len) == 0 &&
	       (dir_len == c->len || c->len == 0 || dir[c->len] == '/');
}

static void close_dir(struct closed *c, const char *path, size_t len)
{
	memcpy(c->path, path, len);
	c->len = len;
	c->set = true;
}

/* Whether the directory of v->path, len bytes, is a cache, and its tag is not left out. */
static bool is_cache(struct view *v, size_t len, uint64_t ino)
{
	const struct inode *n = inodes_find(v->parts.inodes, ino);

	if (!n || !(n->flags & INODE_CACHE))
		return false;
	if (len + sizeof(tag_name) + 1 > PATH_ROOM || !v->match)
		return true;
	memcpy(v->path + len + (len > 0), tag_name, sizeof(tag_name));
	if (len > 0)
		v->path[len] = '/';
	bool out = match_path(v->match, v->path, false);
	v->path[len] = '\0';
	return !out;
}

static bool keep(void *arg, const char *dir, size_t dir_len, const char *name, size_t name_len,
                 const struct entry_stat *st)
{
	struct view *v = arg;
	bool is_dir = S_ISDIR(st->mode);
	size_t len = dir_len > 0 ? dir_len + 1 + name_len : name_len;

	if (is_in(&v->out, dir, dir_len))
		return false;
	/* a cache has its own entries only, and the root no name */
	if (name_len > 0 && is_in(&v->cache, dir, dir_len) &&
	    (dir_len > v->cache.len || name_len != sizeof(tag_name) - 1 ||
	     memcmp(name, tag_name, name_len) != 0))
		return false;
	if ((!v->match && !v->skip_caches) || len >= PATH_ROOM)
		return true;
	memcpy(v->path, dir, dir_len);
	if (dir_len > 0)
		v->path[dir_len] = '/';
	memcpy(v->path + len - name_len, name, name_len);
	v->path[len] = '\0';
	if (v->match && len > 0 && match_path(v->match, v->path, is_dir)) {
		if (is_dir)
			close_dir(&v->out, v->path, len);
		return false;
	}
	if (v->skip_caches && is_dir && is_cache(v, len, st->ino))
		close_dir(&v->cache, v->path, len);
	return true;
}

static int view_next(struct source *s, struct batch **ret, struct err *e)
{
	struct view *v = (struct view *)s;
	struct walk_batch *b;

	for (;;) {
		if (record_next(&v->reader, &v->pool, keep, v, &b, e) < 0)
			return -1;
		if (!b || b->pub.n > 0) {
			*ret = b ? &b->pub : NULL;
			return 0;
		}
		batch_unref(b);
	}
}

static void view_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	batch_unref((struct walk_batch *)b);
}

/* What is known of n's inode; an errno of the original is an error here too. */
static const struct inode *inode_of(const struct view *v, const struct entry *n, struct err *e)
{
	const struct inode *i = inodes_find(v->parts.inodes, n->st.ino);

	if (i && i->os == 0)
		return i;
	err_sys(e, i ? i->os : ENOENT, "opening '%s'", n->path);
	return NULL;
}

static int view_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	const struct view *v = (const struct view *)s;
	const struct inode *i = inode_of(v, n, e);

	if (!i)
		return -1;
	return record_load(v->parts.record, i->detail_off, i->detail_len, n->path, ret, e);
}

static void content_done(void *arg)
{
	batch_unref(arg);
}

static int view_content(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	const struct view *v = (const struct view *)s;
	const struct inode *i = inode_of(v, n, e);
	struct statx stx;

	if (!i)
		return -1;
	auto_close int fd = copies_open(v->parts.copies, i->ino, O_RDONLY);
	if (fd < 0 || below_stat(fd, "", &stx) < 0)
		return err_set(e, ERR_IO, "the copy of '%s' cannot be opened: %s", n->path,
		               strerrordesc_np(errno));
	if (!S_ISREG(stx.stx_mode) || stx.stx_size != n->st.size)
		return err_set(e, ERR_IO, "the copy of '%s' is not what was made", n->path);
	auto_free struct content *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ERR_NOMEM, "no memory to open '%s'", n->path);
	c->fd = steal_fd(&fd);
	c->name = n->path;
	c->st = n->st;
	c->sparse = stx.stx_blocks * 512 < stx.stx_size;
	c->device = true; /* nobody changes it, and its times are not those of the original */
	c->drop = v->drop_cache;
	c->done = content_done;
	c->arg = batch_mark(n)->batch;
	batch_ref(c->arg);
	content_start(c);
	*ret = STEAL(&c);
	return 0;
}

static void view_free(struct source *s)
{
	struct view *v = (struct view *)s;

	record_reader_clear(&v->reader);
	batch_pool_clear(&v->pool);
	match_free(v->match);
	free(v);
}

static const struct source_ops view_ops = {
	.name = "view",
	.next = view_next,
	.batch_free = view_batch_free,
	.load = view_load,
	.open = view_content,
	.data = content_data,
	.read = content_read,
	.close = content_close,
	.free = view_free,
};

struct source *view_open(const struct view_parts *parts, const struct walk_params *params,
                         struct err *e)
{
	struct view *v = malloc(sizeof(*v));

	if (!v) {
		err_set(e, ERR_NOMEM, "no memory to read a view");
		return NULL;
	}
	v->source.ops = &view_ops;
	v->parts = *parts;
	v->match = NULL;
	v->skip_caches = params && params->skip_caches;
	v->drop_cache = params && params->drop_cache;
	v->out.set = v->cache.set = false;
	batch_pool_init(&v->pool, &v->source);
	record_reader_init(&v->reader, parts->record);
	if (params && params->nexcludes > 0) {
		v->match = match_new(params->excludes, params->nexcludes, e);
		if (!v->match) {
			view_free(&v->source);
			return NULL;
		}
	}
	return &v->source;
}
