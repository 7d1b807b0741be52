/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread lists (lister.c), a few stat what it found, in groups of some
 * hundred entries, and next() hands the groups out in order (order.c). The
 * descriptors that batches hold are given back to the system when there are
 * too many of them; what needs the directory then opens it by path.
 */
#include "snapshot/walk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "snapshot/batch.h"
#include "snapshot/below.h"
#include "snapshot/content.h"
#include "snapshot/copies.h"
#include "snapshot/detail.h"
#include "snapshot/lister.h"
#include "snapshot/match.h"
#include "snapshot/order.h"

#define FILES_WANTED 65536 /* descriptors that we ask for, as far as the hard limit allows */
#define THREADS_DEFAULT_MAX 4

struct walk {
	struct source source;
	struct below below;
	struct batch_pool pool;
	struct batch_dir *root;
	struct match *match;       /* NULL: nothing is left out */
	struct content_diff *diff; /* NULL: no base */
	struct detail_plain plain;
	char *path; /* of the root, for messages */
	char *scratch_dir;
	bool skip_caches;
	bool drop_cache, live;
	size_t keep_dirs; /* directories that may stay open for batches */
	size_t open_max, batches_max;

	struct order *order;
	pthread_t lister;
	bool lister_runs;
	atomic_bool stop;
	bool failed;    /* written before order_end(), read after order_take() gave NULL */
	struct err why; /* as failed */

	struct lister_group *group; /* being handed out */
	size_t at;

	pthread_mutex_t lock;
	char *mounts[WALK_MOUNTS_MAX]; /* guarded by lock */
	size_t nmounts;                /* guarded by lock; counts those without a name too */
};

/* ---- stat ---- */

static void note_mount(void *arg, const char *path)
{
	struct walk *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->nmounts < WALK_MOUNTS_MAX)
		w->mounts[w->nmounts] = strdup(path); /* without memory it is only counted */
	w->nmounts++;
	pthread_mutex_unlock(&w->lock);
}

static void lose(struct entry *n, int os)
{
	bool gone = os == ENOENT || os == ENOTDIR || os == ESTALE;

	n->state = gone ? ENTRY_GONE : ENTRY_UNREADABLE;
	n->os = gone ? 0 : os;
}

/* Stats one entry. false: it is not part of the walk. */
static bool stat_entry(struct walk *w, int dir, struct entry *n)
{
	struct batch_mark *m = batch_mark(n);
	struct statx stx;

	if (below_stat(dir, n->name, &stx) < 0) {
		if (n->state == ENTRY_OK)
			lose(n, errno);
		return true;
	}
	bool is_dir = S_ISDIR(stx.stx_mode);
	if (!is_dir && stx.stx_attributes & STATX_ATTR_MOUNT_ROOT &&
	    below_crosses(&w->below, &stx)) {
		note_mount(w, n->path);
		return false;
	}
	below_entry_stat(&w->below, dir, &stx, &n->st);
	m->dev = below_dev(&stx);
	if (is_dir && m->todo == BATCH_STAT) /* what was listed here has gone, a directory came */
		n->state = ENTRY_GONE;
	return true;
}

static void stat_batch(struct walk *w, struct walk_batch *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->pub.n; i++) {
		struct entry *n = &b->pub.entries[i];

		if (batch_mark(n)->todo != BATCH_DONE && !stat_entry(w, b->dir->fd, n))
			continue;
		if (kept != i)
			b->pub.entries[kept] = *n;
		kept++;
	}
	b->pub.n = kept;
	if (atomic_load_explicit(&w->pool.dirs, memory_order_relaxed) > w->keep_dirs) {
		batch_dir_unref(b->dir);
		b->dir = NULL;
	}
}

static void stat_group(void *arg, void *item)
{
	struct lister_group *g = item;

	for (size_t i = 0; i < g->n; i++)
		stat_batch(arg, g->batches[i]);
}

/* ---- the lister's thread ---- */

static bool put_group(void *arg, struct lister_group *take_g)
{
	struct walk *w = arg;

	return order_put(w->order, take_g);
}

static void drop_group(void *arg, void *item)
{
	(void)arg;
	lister_group_free(item);
}

static void *list(void *arg)
{
	struct walk *w = arg;
	const struct lister_params p = {
		.below = &w->below,
		.pool = &w->pool,
		.root = w->root,
		.match = w->match,
		.scratch_dir = w->scratch_dir,
		.what = w->path,
		.skip_caches = w->skip_caches,
		.path_max = WALK_PATH_MAX,
		.open_max = w->open_max,
		.batches_max = w->batches_max,
		.stop = &w->stop,
		.put = put_group,
		.mount = note_mount,
		.arg = w,
	};

	if (lister_run(&p, &w->why) < 0)
		w->failed = true;
	order_end(w->order);
	return NULL;
}

/* ---- the source ---- */

static int walk_next(struct source *s, struct batch **ret, struct err *e)
{
	struct walk *w = (struct walk *)s;

	for (;;) {
		while (w->group && w->at < w->group->n) {
			struct walk_batch *b = w->group->batches[w->at++];

			if (b->pub.n > 0) {
				*ret = &b->pub;
				return 0;
			}
			batch_unref(b);
		}
		free(w->group);
		w->at = 0;
		w->group = order_take(w->order);
		if (w->group)
			continue;
		if (w->failed) {
			*e = w->why;
			return -1;
		}
		*ret = NULL;
		return 0;
	}
}

static void walk_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	batch_unref((struct walk_batch *)b);
}

/*
 * The directory that entry n is in: the batch's, or opened for this call (the
 * caller closes *ret_own). -1 with errno.
 */
static int dir_of(struct walk *w, const struct entry *n, int *ret_own)
{
	const struct batch_mark *m = batch_mark(n);
	size_t len = (size_t)(n->name - n->path);

	*ret_own = -1;
	if (m->batch->dir)
		return m->batch->dir->fd;
	*ret_own = below_open_path(&w->below, n->path, len > 0 ? len - 1 : 0);
	return *ret_own;
}

/* errno of an open that met something else than what was stat'ed is as good as gone. */
static int gone_or(int os)
{
	return os == ENOTDIR || os == ELOOP || os == ENXIO || os == ESTALE || os == EXDEV ? ENOENT
	                                                                                  : os;
}

static int load_open(struct walk *w, int fd, const struct entry *n, struct entry_detail *ret,
                     struct err *e)
{
	if (detail_xattrs(fd, NULL, n->path, ret, e) < 0)
		return -1;
	return detail_flags(&w->plain, batch_mark(n)->dev, fd, n->path, ret, e);
}

/* A regular file or directory: by a descriptor of its own. */
static int load_file(struct walk *w, int dir, const struct entry *n, struct entry_detail *ret,
                     struct err *e)
{
	struct statx stx;
	const char *name = *n->name ? n->name : ".";

	auto_close int fd = S_ISDIR(n->st.mode) ? below_open_dir(&w->below, dir, name)
	                                        : below_open_file(&w->below, dir, name, n->st.uid);
	if (fd < 0)
		return err_sys(e, gone_or(errno), "opening '%s'", n->path);
	if (below_stat(fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at '%s'", n->path);
	if ((stx.stx_mode & S_IFMT) != (n->st.mode & S_IFMT))
		return err_sys(e, ENOENT, "'%s' has become another type of file", n->path);
	return load_open(w, fd, n, ret, e);
}

/* A link or special file cannot be opened: it is held, and asked by way of /proc. */
static int load_special(struct walk *w, int dir, const struct entry *n, struct entry_detail *ret,
                        struct err *e)
{
	char path[64];
	struct statx stx;

	auto_close int fd = below_hold(&w->below, dir, n->name);
	if (fd < 0)
		return err_sys(e, gone_or(errno), "opening '%s'", n->path);
	if (below_stat(fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at '%s'", n->path);
	if ((stx.stx_mode & S_IFMT) != (n->st.mode & S_IFMT))
		return err_sys(e, ENOENT, "'%s' has become another type of file", n->path);
	if (S_ISLNK(n->st.mode) && detail_link(fd, "", n->path, ret, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (detail_xattrs(-1, path, n->path, ret, e) == 0)
		return 0;
	if (e->class == ERR_NOT_FOUND) /* the thing itself is held */
		return err_set(e, ERR_UNSUPPORTED,
		               "reading the attributes of '%s' needs /proc, which is not mounted",
		               n->path);
	return -1;
}

static int load_any(struct walk *w, const struct entry *n, struct entry_detail *ret, struct err *e)
{
	const struct batch_mark *m = batch_mark(n);
	auto_close int own = -1;

	if (m->mount) /* what is mounted is not ours to read */
		return 0;
	if (m->content)
		return load_open(w, m->content->fd, n, ret, e);
	int dir = dir_of(w, n, &own);
	if (dir < 0)
		return err_sys(e, gone_or(errno), "opening the directory of '%s'", n->path);
	if (S_ISDIR(n->st.mode) || S_ISREG(n->st.mode))
		return load_file(w, dir, n, ret, e);
	return load_special(w, dir, n, ret, e);
}

static int walk_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };

	if (load_any((struct walk *)s, n, &d, e) < 0)
		return -1;
	*ret = d;
	d = (struct entry_detail){ 0 };
	return 0;
}

static void content_done(void *arg)
{
	struct batch_mark *m = arg;

	m->content = NULL;
	batch_unref(m->batch);
}

static int walk_content(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	struct walk *w = (struct walk *)s;
	struct batch_mark *m = batch_mark(n);
	auto_close int own = -1;
	struct statx stx;

	assert(S_ISREG(n->st.mode) && !m->content);
	int dir = dir_of(w, n, &own);
	if (dir < 0)
		return err_sys(e, gone_or(errno), "opening the directory of '%s'", n->path);
	auto_close int fd = below_open_file(&w->below, dir, n->name, n->st.uid);
	if (fd < 0)
		return err_sys(e, gone_or(errno), "opening '%s'", n->path);
	if (below_stat(fd, "", &stx) < 0)
		return err_sys(e, errno, "looking at '%s'", n->path);
	if (!S_ISREG(stx.stx_mode))
		return err_sys(e, ENOENT, "'%s' has become another type of file", n->path);
	auto_free struct content *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ERR_NOMEM, "no memory to open '%s'", n->path);
	below_entry_stat(&w->below, dir, &stx, &c->st);
	c->fd = steal_fd(&fd);
	c->name = n->path;
	c->below = &w->below;
	c->sparse = stx.stx_blocks * 512 < stx.stx_size;
	c->drop = w->drop_cache;
	c->live = w->live;
	c->diff = w->diff;
	c->done = content_done;
	c->arg = m;
	if (content_settle(c, e) < 0) {
		(void)close(c->fd);
		return -1;
	}
	content_start(c);
	n->st = c->st;
	m->dev = below_dev(&stx);
	m->content = c;
	batch_ref(m->batch);
	*ret = STEAL(&c);
	return 0;
}

static void walk_free(struct source *s)
{
	struct walk *w = (struct walk *)s;

	atomic_store(&w->stop, true);
	if (w->order)
		order_stop(w->order);
	if (w->lister_runs)
		pthread_join(w->lister, NULL);
	order_free(w->order, drop_group);
	for (; w->group && w->at < w->group->n; w->at++)
		batch_unref(w->group->batches[w->at]);
	free(w->group);
	batch_dir_unref(w->root);
	batch_pool_clear(&w->pool);
	match_free(w->match);
	if (w->diff)
		w->diff->free(w->diff);
	for (size_t i = 0; i < WALK_MOUNTS_MAX; i++)
		free(w->mounts[i]);
	pthread_mutex_destroy(&w->lock);
	free(w->scratch_dir);
	free(w->path);
	free(w);
}

static const struct source_ops walk_ops = {
	.name = "walk",
	.next = walk_next,
	.batch_free = walk_batch_free,
	.load = walk_load,
	.open = walk_content,
	.data = content_data,
	.read = content_read,
	.close = content_close,
	.free = walk_free,
};

static const struct source_ops walk_diff_ops = {
	.name = "walk",
	.next = walk_next,
	.batch_free = walk_batch_free,
	.load = walk_load,
	.open = walk_content,
	.data = content_data,
	.changed = content_changed,
	.read = content_read,
	.close = content_close,
	.free = walk_free,
};

/* ---- starting ---- */

static size_t clamp(size_t v, size_t least, size_t most)
{
	return v < least ? least : v > most ? most : v;
}

/* Shares of the descriptors that this process may have, after asking for more. */
static void share_descriptors(struct walk *w)
{
	struct rlimit r;
	size_t limit = 256;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		rlim_t want = r.rlim_max < FILES_WANTED ? r.rlim_max : FILES_WANTED;

		if (r.rlim_cur < want) {
			const struct rlimit more = { .rlim_cur = want, .rlim_max = r.rlim_max };

			if (setrlimit(RLIMIT_NOFILE, &more) == 0)
				r.rlim_cur = want;
		}
		limit = (size_t)clamp(r.rlim_cur, 16, FILES_WANTED);
	}
	w->open_max = clamp(limit / 16, 1, 64);
	w->keep_dirs = clamp(limit / 4, 4, 1024);
	w->batches_max = clamp(limit / 4 / (ORDER_CAP + 2), 1, LISTER_BATCHES);
}

static unsigned threads_default(void)
{
	cpu_set_t set;
	unsigned n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	return n < THREADS_DEFAULT_MAX ? n : THREADS_DEFAULT_MAX;
}

static int open_root(const char *path, struct err *e)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(path, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, flags);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "the source '%s' does not exist; check its path",
		               path);
	if (errno == ENOTDIR)
		return err_set(e, ERR_INVALID, "the source '%s' is not a directory", path);
	return err_sys(e, errno, "opening the source '%s'", path);
}

static int start_lister(struct walk *w, struct err *e)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int os = pthread_create(&w->lister, NULL, list, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (os != 0)
		return err_sys(e, os, "starting a thread to list '%s'", w->path);
	(void)pthread_setname_np(w->lister, "walk-list");
	w->lister_runs = true;
	return 0;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory to walk a directory");
}

/* Fills w, which is freed by the caller also when this fails. */
static int start(struct walk *w, const char *path, const struct walk_params *p, struct err *e)
{
	unsigned threads = p->stat_threads ? p->stat_threads : threads_default();

	if (threads > WALK_THREADS_MAX)
		return err_set(e, ERR_INVALID,
		               "%u threads to read a directory are too many; the most is %d",
		               threads, WALK_THREADS_MAX);
	if (p->nexcludes > 0) {
		w->match = match_new(p->excludes, p->nexcludes, e);
		if (!w->match)
			return -1;
	}
	w->path = strdup(path);
	w->scratch_dir = p->scratch_dir ? strdup(p->scratch_dir) : NULL;
	if (!w->path || (p->scratch_dir && !w->scratch_dir))
		return no_memory(e);
	w->skip_caches = p->skip_caches;
	w->drop_cache = p->drop_cache;
	w->live = p->live;
	share_descriptors(w);

	int fd = open_root(path, e);
	if (fd < 0)
		return -1;
	w->root = batch_dir_new(&w->pool, fd);
	if (!w->root)
		return no_memory(e);
	if (below_init(&w->below, fd, p->cross_mounts) < 0)
		return err_sys(e, errno, "looking at the source '%s'", path);
	w->order = order_new(threads, stat_group, w);
	if (!w->order)
		return no_memory(e);
	return start_lister(w, e);
}

struct source *walk_open(const char *path, const struct walk_params *params, struct err *e)
{
	static const struct walk_params defaults;
	struct walk *w = calloc(1, sizeof(*w));

	if (!params)
		params = &defaults;
	if (!w) {
		if (params->take_diff)
			params->take_diff->free(params->take_diff);
		no_memory(e);
		return NULL;
	}
	w->diff = params->take_diff;
	w->source.ops = w->diff ? &walk_diff_ops : &walk_ops;
	batch_pool_init(&w->pool, &w->source);
	pthread_mutex_init(&w->lock, NULL);
	if (start(w, path, params, e) < 0) {
		walk_free(&w->source);
		return NULL;
	}
	return &w->source;
}

size_t walk_mounts(struct source *s, const char *const **ret_paths, size_t *ret_total)
{
	struct walk *w = (struct walk *)s;

	/* Other sources than a walk have met none. */
	if (s->ops->free != walk_free) {
		*ret_paths = NULL;
		*ret_total = 0;
		return 0;
	}
	pthread_mutex_lock(&w->lock);
	size_t n = w->nmounts < WALK_MOUNTS_MAX ? w->nmounts : WALK_MOUNTS_MAX;
	*ret_paths = (const char *const *)w->mounts;
	*ret_total = w->nmounts;
	pthread_mutex_unlock(&w->lock);
	return n;
}

bool walk_is_view(const char *name, size_t len)
{
	const size_t prefix = strlen(WALK_VIEW_PREFIX), base = strlen("base-");

	if (len < prefix || memcmp(name, WALK_VIEW_PREFIX, prefix) != 0)
		return false;
	name += prefix;
	len -= prefix;
	if (len == WALK_VIEW_ID + base && memcmp(name, "base-", base) == 0) {
		name += base;
		len -= base;
	}
	return len == WALK_VIEW_ID && strspn(name, "0123456789abcdef") >= len;
}

int walk_is_empty(const char *path, bool *ret_empty, struct err *e)
{
	auto_close int fd = open_root(path, e);

	if (fd < 0)
		return -1;
	_Alignas(8) char buffer[4096];
	bool empty = true;
	ssize_t got;
	while (empty && (got = getdents64(fd, buffer, sizeof(buffer))) != 0) {
		if (got < 0)
			return err_sys(e, errno, "listing the source '%s'", path);
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *d = (const void *)(buffer + at);

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
			    !walk_is_view(d->d_name, strlen(d->d_name)))
				empty = false;
		}
	}
	*ret_empty = empty;
	return 0;
}
