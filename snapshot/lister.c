/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack of frames, one for each directory from the root to the present one,
 * each with its sorted names and the position in them. A directory is opened
 * and listed before its own entry leaves, so that what goes wrong with it is
 * told in the entry. Descriptors of the frames nearest the root are given up
 * when the stack is deep, and opened again by path when the traversal comes
 * back to them.
 */
#include "snapshot/lister.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "snapshot/list.h"
#include "snapshot/walk.h"

#define NAME_ROOM 257            /* a '/', a name, a NUL: kept free behind the path */
#define SPARE_SHALLOW (64 * KIB) /* memory a frame keeps for the next directory of its depth */
#define SHALLOW 64               /* frames that keep it */

static const char tag_name[] = "CACHEDIR.TAG";
static const char tag_text[] =
	"Signature: 8a477f597d28d172789f06886806bc55"; /* bford.info/cachedir */

struct frame {
	struct list list;
	size_t at;             /* next name */
	size_t path_len;       /* of the directory */
	struct batch_dir *dir; /* NULL: given up, see reopen() */
	int lost;              /* errno when it could not be opened again */
};

struct lister {
	const struct lister_params *p;
	struct frame *frames; /* depth of them in use; those behind keep memory */
	size_t depth, nframes;
	size_t low; /* frames 1 .. low-1 have no descriptor; the root's own is never given up */
	char *path; /* of the directory on top, or being listed */
	size_t path_len, path_cap;
	int listing; /* descriptor of the directory being listed */
	void *buffer;
	struct walk_batch *batch;   /* being filled; NULL between */
	struct lister_group *group; /* being filled; NULL between */
};

enum step { STEP_ON, STEP_STOP, STEP_FAIL };

void lister_group_free(struct lister_group *take_g)
{
	if (!take_g)
		return;
	for (size_t i = 0; i < take_g->n; i++)
		batch_unref(take_g->batches[i]);
	free(take_g);
}

static enum step no_memory(struct err *e)
{
	err_set(e, ERR_NOMEM, "no memory for the list of files");
	return STEP_FAIL;
}

/* ---- batches and groups ---- */

static enum step flush(struct lister *l)
{
	struct lister_group *g = l->group;

	l->group = NULL;
	if (!g || l->p->put(l->p->arg, g))
		return STEP_ON;
	lister_group_free(g);
	return STEP_STOP;
}

/* The batch being filled is whole: it goes into the group. */
static enum step cut(struct lister *l, struct err *e)
{
	if (!l->batch)
		return STEP_ON;
	if (!l->group) {
		l->group = malloc(sizeof(*l->group));
		if (!l->group)
			return no_memory(e);
		l->group->n = 0;
		l->group->entries = 0;
	}
	struct lister_group *g = l->group;
	g->entries += l->batch->pub.n;
	g->batches[g->n++] = STEAL(&l->batch);
	return g->n == l->p->batches_max || g->entries >= LISTER_ENTRIES ? flush(l) : STEP_ON;
}

static enum step add(struct lister *l, struct batch_dir *dir, const char *name, struct entry **ret,
                     struct err *e)
{
	size_t len = strlen(name);

	for (int i = 0; i < 2; i++) {
		if (!l->batch) {
			l->batch = batch_new(l->p->pool, dir);
			if (!l->batch)
				return no_memory(e);
		}
		*ret = batch_add(l->batch, l->path, l->path_len, name, len);
		if (*ret)
			return STEP_ON;
		if (l->batch->pub.n == 0)
			break;
		enum step s = cut(l, e);
		if (s != STEP_ON)
			return s;
	}
	return no_memory(e);
}

/* ---- the path and the stack ---- */

static bool path_reserve(struct lister *l, size_t n)
{
	if (l->path_cap - l->path_len >= n)
		return true;
	size_t cap = 2 * l->path_cap + n;
	char *p = realloc(l->path, cap);
	if (!p)
		return false;
	l->path = p;
	l->path_cap = cap;
	return true;
}

/* Writes name behind the path, where there is always room for it; returns the length of both. */
static size_t path_show(struct lister *l, const char *name, size_t len)
{
	size_t at = l->path_len;

	if (at > 0)
		l->path[at++] = '/';
	memcpy(l->path + at, name, len + 1);
	return at + len;
}

static bool path_enter(struct lister *l, const char *name)
{
	l->path_len = path_show(l, name, strlen(name));
	return path_reserve(l, NAME_ROOM);
}

static void path_leave(struct lister *l, size_t len)
{
	l->path_len = len;
	l->path[len] = '\0';
}

/* The frame above the top, with the memory it had before. May move all frames. NULL: no memory. */
static struct frame *next_frame(struct lister *l)
{
	if (l->depth == l->nframes) {
		size_t n = 2 * l->nframes + 16;
		struct frame *f = reallocarray(l->frames, n, sizeof(*f));

		if (!f)
			return NULL;
		memset(f + l->nframes, 0, (n - l->nframes) * sizeof(*f));
		l->frames = f;
		l->nframes = n;
	}
	return &l->frames[l->depth];
}

/* The frame that next_frame() gave, with its list, becomes the top. */
static void push(struct lister *l, struct batch_dir *take_dir)
{
	struct frame *f = &l->frames[l->depth++];

	f->at = 0;
	f->path_len = l->path_len;
	f->dir = take_dir;
	f->lost = 0;
	while (l->depth - l->low > l->p->open_max) {
		batch_dir_unref(l->frames[l->low].dir);
		l->frames[l->low++].dir = NULL;
	}
}

static void pop(struct lister *l)
{
	struct frame *f = &l->frames[--l->depth];

	batch_dir_unref(f->dir);
	f->dir = NULL;
	list_reset(&f->list, l->depth < SHALLOW ? SPARE_SHALLOW : 0);
	if (l->low > l->depth && l->depth > 0)
		l->low = l->depth;
	if (l->depth > 0)
		path_leave(l, l->frames[l->depth - 1].path_len);
}

static bool out_of_descriptors(int os)
{
	return os == EMFILE || os == ENFILE;
}

static enum step fail(const struct lister *l, int os, struct err *e)
{
	if (out_of_descriptors(os))
		err_sys(e, os, "walking '%s' needs more open files; raise the limit (ulimit -n)",
		        l->p->what);
	else
		err_sys(e, os, "walking '%s'", l->p->what);
	return STEP_FAIL;
}

/* The directory on top lost its descriptor while its children were walked. */
static enum step reopen(struct lister *l, struct frame *f, struct err *e)
{
	int fd = below_open_path(l->p->below, l->path, l->path_len);

	if (fd < 0 && (out_of_descriptors(errno) || errno == ENOMEM))
		return fail(l, errno, e);
	if (fd < 0) {
		f->lost = errno == ENOTDIR || errno == ELOOP ? ENOENT : errno;
		return STEP_ON;
	}
	f->dir = batch_dir_new(l->p->pool, fd);
	if (!f->dir)
		return no_memory(e);
	l->low = l->depth - 1;
	return STEP_ON;
}

/* ---- listing ---- */

static bool keep(void *arg, const char *name, size_t len, unsigned char type)
{
	struct lister *l = arg;
	bool is_dir = type == DT_DIR;
	bool ours = l->path_len == 0 && walk_is_view(name, len);

	if (!ours && !l->p->match)
		return true;
	if (type == DT_UNKNOWN) {
		struct statx stx;

		is_dir = below_stat(l->listing, name, &stx) == 0 && S_ISDIR(stx.stx_mode);
	}
	if (ours && is_dir)
		return false;
	if (!l->p->match)
		return true;
	path_show(l, name, len);
	bool out = match_path(l->p->match, l->path, is_dir);
	path_leave(l, l->path_len);
	return !out;
}

static bool is_tag(struct lister *l, int dir)
{
	struct statx stx;
	char text[sizeof(tag_text) - 1];

	auto_close int fd = below_open_file(l->p->below, dir, tag_name, 0);
	return fd >= 0 && below_stat(fd, "", &stx) == 0 && S_ISREG(stx.stx_mode) &&
	       read(fd, text, sizeof(text)) == (ssize_t)sizeof(text) &&
	       memcmp(text, tag_text, sizeof(text)) == 0;
}

/* Lists the directory open at fd, whose path is l->path. 0, or -1 with errno. */
static int list_into(struct lister *l, int fd, struct list *list)
{
	const struct list_filter filter = { .keep = keep, .arg = l };

	l->listing = fd;
	/* in the root there may be copies of ours, which are no part of it */
	bool some = l->p->match || l->path_len == 0;
	if (list_read(list, fd, some ? &filter : NULL, l->buffer, l->p->scratch_dir) < 0)
		return -1;
	if (l->p->skip_caches) {
		size_t at = list_find(list, tag_name);

		if (at < list->n && is_tag(l, fd))
			list_keep_one(list, at);
	}
	return 0;
}

/* ---- entries ---- */

static void lose(struct entry *n, int os)
{
	bool gone = os == ENOENT || os == ESTALE;

	n->state = gone ? ENTRY_GONE : ENTRY_UNREADABLE;
	n->os = gone ? 0 : os;
}

/* Entry n is a directory that could not be opened: what that means for it. */
static enum step not_entered(struct lister *l, struct entry *n, int os, struct err *e)
{
	struct batch_mark *m = batch_mark(n);

	switch (os) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return fail(l, os, e);
	case ENOTDIR: /* something else after all */
	case ELOOP:
		return STEP_ON;
	case EXDEV:
		m->mount = true;
		m->todo = BATCH_CLOSED;
		l->p->mount(l->p->arg, n->path);
		return STEP_ON;
	default:
		lose(n, os);
		m->todo = n->state == ENTRY_GONE ? BATCH_DONE : BATCH_CLOSED;
		return STEP_ON;
	}
}

/* Entry n may be a directory: stats and lists it, and makes it the top when something is in it. */
static enum step enter(struct lister *l, struct frame *f, struct entry *n, struct err *e)
{
	struct batch_mark *m = batch_mark(n);
	struct statx stx;

	if (n->path_len > l->p->path_max) {
		lose(n, ENAMETOOLONG);
		m->todo = BATCH_CLOSED;
		return STEP_ON;
	}
	auto_close int fd = below_open_dir(l->p->below, f->dir->fd, n->name);
	if (fd < 0)
		return not_entered(l, n, errno, e);
	if (below_stat(fd, "", &stx) < 0)
		return not_entered(l, n, errno, e);
	below_entry_stat(l->p->below, fd, &stx, &n->st);
	m->dev = below_dev(&stx);
	m->todo = BATCH_DONE;

	size_t parent_len = l->path_len;
	struct frame *child = next_frame(l);
	if (!child || !path_enter(l, n->name))
		return no_memory(e);
	if (list_into(l, fd, &child->list) < 0) {
		int os = errno;

		path_leave(l, parent_len);
		if (os == ENOMEM)
			return no_memory(e);
		lose(n, os);
		return STEP_ON;
	}
	if (child->list.n == 0) {
		path_leave(l, parent_len);
		return STEP_ON;
	}
	struct batch_dir *dir = batch_dir_new(l->p->pool, steal_fd(&fd));
	if (!dir)
		return no_memory(e);
	push(l, dir);
	return cut(l, e);
}

/* The next entry of the directory on top, or back to the one above. */
static enum step step(struct lister *l, struct err *e)
{
	struct frame *f = &l->frames[l->depth - 1];
	struct entry *n;

	if (atomic_load_explicit(l->p->stop, memory_order_relaxed))
		return STEP_STOP;
	if (f->at == f->list.n) {
		pop(l);
		return cut(l, e);
	}
	if (!f->dir && !f->lost) {
		enum step s = reopen(l, f, e);

		if (s != STEP_ON)
			return s;
	}
	unsigned char type = list_type(&f->list, f->at);
	const char *name = list_name(&f->list, f->at);
	enum step s = add(l, f->dir, name, &n, e);
	if (s != STEP_ON)
		return s;
	f->at++;
	if (f->lost) {
		lose(n, f->lost);
		batch_mark(n)->todo = BATCH_DONE;
		return STEP_ON;
	}
	if (type == DT_DIR || type == DT_UNKNOWN)
		return enter(l, f, n, e);
	return STEP_ON;
}

static enum step begin(struct lister *l, struct err *e)
{
	struct statx stx;
	struct entry *n;
	int root = l->p->root->fd;

	l->buffer = malloc(LIST_BUFFER);
	if (!l->buffer || !path_reserve(l, NAME_ROOM))
		return no_memory(e);
	path_leave(l, 0);
	if (below_stat(root, "", &stx) < 0)
		return fail(l, errno, e);
	enum step s = add(l, l->p->root, "", &n, e);
	if (s != STEP_ON)
		return s;
	below_entry_stat(l->p->below, root, &stx, &n->st);
	batch_mark(n)->dev = below_dev(&stx);
	batch_mark(n)->todo = BATCH_DONE;

	struct frame *f = next_frame(l);
	if (!f)
		return no_memory(e);
	/* the root's own descriptor is shared: its position is not ours to move */
	auto_close int fd = below_open_dir(l->p->below, root, ".");
	if (fd < 0 || list_into(l, fd, &f->list) < 0) {
		err_sys(e, errno, "listing '%s'", l->p->what);
		return STEP_FAIL;
	}
	push(l, batch_dir_ref(l->p->root));
	return cut(l, e);
}

int lister_run(const struct lister_params *p, struct err *e)
{
	struct lister l = { .p = p, .low = 1, .listing = -1 };
	enum step s = begin(&l, e);

	while (s == STEP_ON && l.depth > 0)
		s = step(&l, e);
	if (s == STEP_ON)
		s = flush(&l);

	while (l.depth > 0)
		pop(&l);
	for (size_t i = 0; i < l.nframes; i++)
		list_clear(&l.frames[i].list);
	if (l.batch)
		batch_unref(l.batch);
	lister_group_free(l.group);
	free(l.frames);
	free(l.path);
	free(l.buffer);
	return s == STEP_FAIL ? -1 : 0;
}
