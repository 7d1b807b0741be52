/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See browse.h. A walk through a directory keeps nothing between two calls
 * either: where it goes on is the number of the entry that was given last.
 */
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "restore/browse_impl.h"

#define IDLE_MAX 16
#define PARTS_LOOKED 256 /* of a file, for its blocks: some 16 GiB of content */

/* ---- trees that are open ---- */

struct browse_trees {
	pthread_mutex_t lock;
	uint64_t opened; /* guarded by lock; points so far */
	struct idle {
		uint64_t browse;
		struct tree *tree;
	} idle[IDLE_MAX]; /* guarded by lock; the one given back last is the last */
	size_t n;         /* guarded by lock */
};

struct browse_trees *browse_trees_new(void)
{
	struct browse_trees *t = calloc(1, sizeof(*t));

	if (t)
		(void)pthread_mutex_init(&t->lock, NULL);
	return t;
}

void browse_trees_free(struct browse_trees *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		tree_free(t->idle[i].tree);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

int browse_tree_take(struct browse_tree *t, struct err *e)
{
	const struct browse *b = t->browse;
	struct browse_trees *all = b->shared.trees;

	(void)pthread_mutex_lock(&all->lock);
	for (size_t i = all->n; i > 0 && !t->tree; i--) {
		if (all->idle[i - 1].browse != b->id)
			continue;
		t->tree = all->idle[i - 1].tree;
		memmove(&all->idle[i - 1], &all->idle[i],
		        (--all->n - (i - 1)) * sizeof(struct idle));
	}
	(void)pthread_mutex_unlock(&all->lock);
	if (t->tree)
		return 0;
	if (tree_open(b->shared.repo, &b->point, &t->tree, e) < 0)
		return -1;
	tree_use_cache(t->tree, b->shared.nodes);
	return 0;
}

void browse_tree_put(struct browse_tree *t)
{
	struct browse_trees *all = t->browse->shared.trees;
	struct tree *oldest = NULL;

	if (!t->tree)
		return;
	(void)pthread_mutex_lock(&all->lock);
	if (all->n == IDLE_MAX) {
		oldest = all->idle[0].tree;
		memmove(&all->idle[0], &all->idle[1], --all->n * sizeof(struct idle));
	}
	all->idle[all->n++] = (struct idle){ t->browse->id, t->tree };
	(void)pthread_mutex_unlock(&all->lock);
	tree_free(oldest);
}

/* ---- a point ---- */

int browse_open(const struct browse_shared *shared, const struct point *p, struct browse **ret,
                struct err *e)
{
	struct browse *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ERR_NOMEM, "no memory for a restore point");
	b->shared = *shared;
	b->point.root = p->root;
	b->point.levels = p->levels;
	b->point.volume.block = p->volume.block;
	memcpy(b->point.domain, p->domain, sizeof(b->point.domain));
	memcpy(b->point.session, p->session, sizeof(b->point.session));
	if (keys_domain(shared->repo->keys, p->domain, &b->domain, e) < 0) {
		free(b);
		return -1;
	}
	(void)pthread_mutex_lock(&shared->trees->lock);
	b->id = ++shared->trees->opened;
	(void)pthread_mutex_unlock(&shared->trees->lock);
	*ret = b;
	return 0;
}

void browse_free(struct browse *b)
{
	if (!b)
		return;
	secret_free(b->domain);
	free(b);
}

/* ---- records ---- */

int browse_record(struct browse_tree *t, uint64_t number, const struct record **ret,
                  struct leaf **ret_leaf, struct err *e)
{
	if ((!t->tree && browse_tree_take(t, e) < 0) || tree_seek_number(t->tree, number, e) < 0 ||
	    tree_next(t->tree, ret, ret_leaf, e) < 0)
		return -1;
	if (!*ret || (*ret)->position > 0)
		return err_set(e, ERR_FORMAT, "record %llu of the restore point is no entry",
		               (unsigned long long)number);
	return 0;
}

static uint64_t holes_of(const struct record *r)
{
	uint64_t holes = 0;

	for (size_t i = 0; i < r->nextents; i++) {
		if (r->extents[i].chunk == EXTENT_HOLE)
			holes += r->extents[i].len;
	}
	return holes;
}

/* Those in the further parts of a file, as far as PARTS_LOOKED go: beyond, blocks are a guess. */
static uint64_t holes_behind(struct browse *b, uint64_t number)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	struct err ignored = ERR_INIT;
	const struct record *r;
	struct leaf *leaf;
	uint64_t holes = 0;

	if (browse_tree_take(&t, &ignored) < 0 ||
	    tree_seek_number(t.tree, number + 1, &ignored) < 0)
		return 0;
	for (unsigned i = 0; i < PARTS_LOOKED; i++) {
		if (tree_next(t.tree, &r, &leaf, &ignored) < 0 || !r || r->position == 0)
			break;
		holes += holes_of(r);
	}
	return holes;
}

static void fill_stat(const struct record *r, uint64_t holes, struct stat *ret)
{
	const struct entry_stat *st = &r->st;

	*ret = (struct stat){
		.st_mode = st->mode,
		.st_uid = st->uid,
		.st_gid = st->gid,
		.st_nlink = st->nlink > 0 ? st->nlink : 1,
		.st_rdev = makedev(st->rdev_major, st->rdev_minor),
		.st_size = (off_t)(S_ISLNK(st->mode) ? r->link_len : st->size),
		.st_blksize = 4096,
		.st_blocks = holes < st->size ? (blkcnt_t)((st->size - holes + 511) / 512) : 0,
		.st_mtim = { st->mtime.s, st->mtime.ns },
		.st_atim = { st->mtime.s, st->mtime.ns },
		.st_ctim = { st->ctime.s, st->ctime.ns },
	};
}

/* What the tree gave last: the entry, or the one that it is a further name of. */
static int fill_entry(struct browse_tree *t, const struct record *r, struct browse_entry *ret,
                      struct err *e)
{
	auto_browse_tree struct browse_tree other = BROWSE_TREE(t->browse);
	struct leaf *leaf;
	const struct record *first = r;

	ret->number = tree_number(t->tree);
	if (r->flags & RECORD_HARDLINK) {
		if (browse_tree_take(&other, e) < 0 ||
		    tree_lookup(other.tree, r->hardlink, r->hardlink_len, &first, &leaf, e) < 0)
			return -1;
		if (first->flags & RECORD_HARDLINK || S_ISDIR(first->st.mode))
			return err_set(e, ERR_FORMAT, "'%.*s' is a hard link to something else",
			               (int)r->path_len, r->path);
		ret->number = tree_number(other.tree);
	}
	if (ret->number >= BROWSE_NUMBERS)
		return err_set(e, ERR_TOO_BIG, "the restore point has over %llu entries",
		               (unsigned long long)BROWSE_NUMBERS);
	uint64_t holes = holes_of(first);
	if (first->flags & RECORD_CONTINUED)
		holes += holes_behind(t->browse, ret->number);
	fill_stat(first, holes, &ret->st);
	return 0;
}

static bool is_loss(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_NOT_FOUND || e->class == ERR_FORMAT;
}

int browse_stat(struct browse *b, uint64_t number, struct browse_entry *ret, struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;
	struct err why = ERR_INIT;

	if (browse_record(&t, number, &r, &leaf, &why) == 0)
		return fill_entry(&t, r, ret, e);
	if (number == 0 && !b->point.volume.block && is_loss(&why)) {
		/* Whatever it was, it is the way to all the rest. */
		*ret = (struct browse_entry){ .st = { .st_mode = S_IFDIR | 0755, .st_nlink = 2 } };
		return 0;
	}
	*e = why;
	return -1;
}

/* Appends the path of directory `dir`, and a '/' unless it is the root. */
static int put_dir(struct browse_tree *t, uint64_t dir, struct buf *to, struct err *e)
{
	const struct record *r;
	struct leaf *leaf;

	/* The root needs no record to be found. */
	if (dir == 0 && !t->browse->point.volume.block)
		return t->tree ? 0 : browse_tree_take(t, e);
	if (browse_record(t, dir, &r, &leaf, e) < 0)
		return -1;
	if (!S_ISDIR(r->st.mode))
		return err_set(e, ERR_INVALID, "'%.*s' in the restore point is no directory",
		               (int)r->path_len, r->path);
	(void)buf_put(to, r->path, r->path_len);
	if (r->path_len > 0)
		(void)buf_u8(to, '/');
	return buf_check(to, "a path", e);
}

int browse_lookup(struct browse *b, uint64_t dir, const char *name, bool *ret_found,
                  struct browse_entry *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(FORMAT_PATH_MAX + 258);
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;

	*ret_found = false;
	if (put_dir(&t, dir, &path, e) < 0)
		return -1;
	if (buf_str(&path, name) < 0)
		return path.nomem ? buf_check(&path, "a path", e) : 0;
	if (tree_seek(t.tree, (const char *)path.data, path.len, e) < 0 ||
	    tree_next(t.tree, &r, &leaf, e) < 0)
		return -1;
	if (!r || r->position > 0 || r->path_len != path.len ||
	    memcmp(r->path, path.data, path.len) != 0)
		return 0;
	*ret_found = true;
	return fill_entry(&t, r, ret, e);
}

/* ---- directories ---- */

struct listing {
	struct browse_tree t;
	struct buf dir;  /* its path with '/' */
	struct buf want; /* nothing before this path counts */
	bool seek;       /* go to want */
	bool damaged;
	struct err *why; /* of the first damage */
};

static void listing_clear(struct listing *l)
{
	browse_tree_put(&l->t);
	buf_clear(&l->dir);
	buf_clear(&l->want);
}

/* What is behind all that is below the path: '/' is the lowest byte, so the path and a 1. */
static int want_behind(struct listing *l, const char *path, size_t len, struct err *e)
{
	buf_reset(&l->want);
	(void)buf_put(&l->want, path, len);
	(void)buf_u8(&l->want, 1);
	l->seek = true;
	return buf_check(&l->want, "a path", e);
}

/* The next record, past damage. *ret NULL: the end. */
static int list_next(struct listing *l, const struct record **ret, struct err *e)
{
	struct leaf *leaf;

	for (;;) {
		struct err bad = ERR_INIT;
		bool seek = l->seek;

		l->seek = false;
		if ((!seek ||
		     tree_seek(l->t.tree, (const char *)l->want.data, l->want.len, &bad) == 0) &&
		    tree_next(l->t.tree, ret, &leaf, &bad) == 0) {
			if (*ret && source_path_cmp((*ret)->path, (*ret)->path_len,
			                            (const char *)l->want.data, l->want.len) < 0)
				continue;
			return 0;
		}
		if (!is_loss(&bad)) {
			*e = bad;
			return -1;
		}
		if (!l->damaged)
			*l->why = bad;
		l->damaged = true;
		*ret = NULL;
		if (!tree_skip_damaged(l->t.tree))
			return 0;
	}
}

/* Where the listing starts: in the directory, or behind the entry that was given last. */
static int list_begin(struct listing *l, uint64_t dir, uint64_t from, struct err *e)
{
	const struct record *r;
	struct leaf *leaf;

	if (put_dir(&l->t, dir, &l->dir, e) < 0)
		return -1;
	if (from > 0) {
		if (browse_record(&l->t, from - 1, &r, &leaf, e) < 0)
			return -1;
		return want_behind(l, r->path, r->path_len, e);
	}
	(void)buf_put(&l->want, l->dir.data, l->dir.len);
	(void)buf_u8(&l->want, 1);
	l->seek = true;
	return buf_check(&l->want, "a path", e);
}

int browse_list(struct browse *b, uint64_t dir, uint64_t from, browse_each_fn *each, void *arg,
                bool *ret_damaged, struct err *why, struct err *e)
{
	CLEANUP(listing_clear)
	struct listing l = {
		.t = BROWSE_TREE(b),
		.dir = BUF_INIT(FORMAT_PATH_MAX + 2),
		.want = BUF_INIT(FORMAT_PATH_MAX + 2),
		.why = why,
	};
	struct browse_entry n;

	*ret_damaged = false;
	if (list_begin(&l, dir, from, e) < 0)
		return -1;
	for (;;) {
		const struct record *r;

		if (list_next(&l, &r, e) < 0)
			return -1;
		if (!r || r->path_len < l.dir.len ||
		    (l.dir.len && memcmp(r->path, l.dir.data, l.dir.len) != 0))
			break;
		const char *name = r->path + l.dir.len;
		size_t len = r->path_len - l.dir.len;
		const char *slash = memchr(name, '/', len);
		if (slash) {
			if (want_behind(&l, r->path, (size_t)(slash - r->path), e) < 0)
				return -1;
			continue;
		}
		if (r->position > 0)
			continue;
		const uint64_t number = tree_number(l.t.tree);
		struct err bad = ERR_INIT;
		if (fill_entry(&l.t, r, &n, &bad) < 0) {
			/* A further name of a file whose own record is lost. */
			if (!is_loss(&bad)) {
				*e = bad;
				return -1;
			}
			if (!l.damaged)
				*why = bad;
			l.damaged = true;
			continue;
		}
		if (!each(arg, name, len, &n, number + 1))
			break;
	}
	*ret_damaged = l.damaged;
	return 0;
}

/* ---- what else an entry has ---- */

int browse_link(struct browse *b, uint64_t number, struct buf *to, struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;

	if (browse_record(&t, number, &r, &leaf, e) < 0)
		return -1;
	if (!S_ISLNK(r->st.mode))
		return err_set(e, ERR_INVALID, "'%.*s' in the restore point is no symbolic link",
		               (int)r->path_len, r->path);
	(void)buf_put(to, r->link, r->link_len);
	return buf_check(to, "a link's target", e);
}

int browse_path(struct browse *b, uint64_t number, struct buf *to, struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;

	if (browse_record(&t, number, &r, &leaf, e) < 0)
		return -1;
	(void)buf_put(to, r->path, r->path_len);
	return buf_check(to, "a path", e);
}

int browse_xattr(struct browse *b, uint64_t number, const char *name, struct buf *to,
                 bool *ret_found, struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;
	const char *have;
	const uint8_t *value;
	size_t have_len;
	size_t len;
	size_t at = 0;
	bool bad = false;

	*ret_found = false;
	if (browse_record(&t, number, &r, &leaf, e) < 0)
		return -1;
	while (source_xattr_next(r->xattrs, r->xattrs_len, &at, &have, &have_len, &value, &len,
	                         &bad)) {
		if (have_len != strlen(name) || memcmp(have, name, have_len) != 0)
			continue;
		*ret_found = true;
		(void)buf_put(to, value, len);
		return buf_check(to, "an attribute", e);
	}
	return 0;
}

int browse_xattrs(struct browse *b, uint64_t number, struct buf *to, struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;
	const char *name;
	const uint8_t *value;
	size_t name_len;
	size_t len;
	size_t at = 0;
	bool bad = false;

	if (browse_record(&t, number, &r, &leaf, e) < 0)
		return -1;
	while (source_xattr_next(r->xattrs, r->xattrs_len, &at, &name, &name_len, &value, &len,
	                         &bad)) {
		(void)buf_put(to, name, name_len);
		(void)buf_u8(to, 0);
	}
	return buf_check(to, "names of attributes", e);
}

int browse_flags(struct browse *b, uint64_t number, uint32_t *ret_flags, uint32_t *ret_projid,
                 struct err *e)
{
	auto_browse_tree struct browse_tree t = BROWSE_TREE(b);
	const struct record *r;
	struct leaf *leaf;

	if (browse_record(&t, number, &r, &leaf, e) < 0)
		return -1;
	*ret_flags = r->fsflags;
	*ret_projid = r->projid;
	return 0;
}
