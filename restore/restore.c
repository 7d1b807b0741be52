/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a point's tree: directories are made on the way down, what is in
 * them goes to windows, and they are left, in the order of the walk, once what
 * is below them is done. Hard links wait as well, for the file that they link
 * to. Flags that forbid changes come in a second walk, if there are any.
 */
#include "restore/restore.h"

#include <limits.h>
#include <string.h>

#include "common/now.h"
#include "repo/crypt.h"
#include "restore/restore_impl.h"

#define NAMES_MAX ((size_t)1 << 22)
#define ALIASES_MAX 65536 /* beyond, linked files of a partial restore become copies */

/* ---- paths ---- */

int restore_path(char *path, struct err *e)
{
	char *to = path;

	for (const char *s = path; *s;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.')
			return err_set(e, ERR_INVALID,
			               "'..' means nothing in the paths of a volume");
		if (n > 0 && !(n == 1 && s[0] == '.')) {
			if (to != path)
				*to++ = '/';
			memmove(to, s, n);
			to += n;
		}
		s += n;
		s += strspn(s, "/");
	}
	*to = '\0';
	return 0;
}

/* Length of the directory part: "a/b/c" gives 3, "a" and "" give 0. */
static size_t parent_len(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

static const char *name_of(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return path + len;
}

/* True when path is dir or lies below it. */
static bool is_within(const char *path, size_t len, const char *dir, size_t dir_len)
{
	return len >= dir_len && memcmp(path, dir, dir_len) == 0 &&
	       (dir_len == 0 || len == dir_len || path[dir_len] == '/');
}

/* Is the path part of what is restored? */
static bool is_selected(const struct restore *x, const char *path, size_t len)
{
	for (size_t i = 0; i < x->params->npaths; i++) {
		const char *p = x->params->paths[i];

		if (is_within(path, len, p, strlen(p)))
			return true;
	}
	return x->params->npaths == 0;
}

/* ---- directories ---- */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for restoring");
}

static int open_aux(struct restore *x, struct err *e)
{
	return x->aux ? 0 : tree_open(x->repo, x->point, &x->aux, e);
}

void dir_meta_free(struct dir_meta *m)
{
	if (m)
		free(m->names.hashes);
	free(m);
}

static struct dir_meta *meta_copy(const struct record *r)
{
	struct dir_meta *m = malloc(sizeof(*m) + r->xattrs_len);

	if (!m)
		return NULL;
	m->names = (struct name_set){ 0 };
	m->rec = *r;
	m->rec.path = "";
	m->rec.path_len = 0;
	if (r->xattrs_len > 0)
		memcpy(m->xattrs, r->xattrs, r->xattrs_len);
	m->rec.xattrs = m->xattrs;
	return m;
}

static int push_frame(struct restore *x, const char *path, size_t len, const struct record *r,
                      bool existing, struct err *e)
{
	if (x->nframes == x->frames_cap) {
		size_t cap = x->frames_cap ? 2 * x->frames_cap : 32;
		struct frame *frames = reallocarray(x->frames, cap, sizeof(*frames));

		if (!frames)
			return no_memory(e);
		x->frames = frames;
		x->frames_cap = cap;
	}
	if (len + 1 > x->dir_cap) {
		size_t cap = (len + 1) * 2;
		char *dir = realloc(x->dir, cap);

		if (!dir)
			return no_memory(e);
		x->dir = dir;
		x->dir_cap = cap;
	}
	struct dir_meta *meta = r ? meta_copy(r) : NULL;
	if (r && !meta)
		return no_memory(e);
	if (len > 0)
		memcpy(x->dir, path, len);
	x->dir[len] = '\0';
	x->dir_len = len;
	x->frames[x->nframes++] = (struct frame){ .len = len, .meta = meta, .existing = existing };
	return 0;
}

/* Leaves the innermost directory: its metadata waits for the window. */
static int pop_frame(struct restore *x, struct err *e)
{
	struct frame *f = &x->frames[x->nframes - 1];

	if (f->meta) {
		if (window_full(x->now) && fill_submit(x, e) < 0)
			return -1;
		const struct place_dir *dir = window_dir(x->now, x->dir, f->len, &x->next_id);
		struct later *l = window_later(x->now, LATER_LEAVE);
		if (!dir || !l)
			return no_memory(e);
		l->place = (struct place){ .dir = dir, .name = "" };
		f->meta->names = f->names;
		l->meta = f->meta;
		l->existing = f->existing;
	} else {
		free(f->names.hashes);
	}
	x->nframes--;
	x->dir_len = x->nframes > 0 ? x->frames[x->nframes - 1].len : 0;
	return 0;
}

static int enter(struct restore *x, const char *path, size_t len, const struct record *r,
                 struct err *e)
{
	bool existing = false;
	const struct place_dir *dir = window_dir(x->now, path, parent_len(path, len), &x->next_id);

	if (!dir)
		return no_memory(e);
	/* The name ends where the record's path ends, which may be in the middle of `path`. */
	auto_free char *name = strndup(name_of(path, len),
	                               len - (size_t)(name_of(path, len) - path));
	if (!name)
		return no_memory(e);
	const struct place at = { .dir = dir, .name = name };
	if (x->target->ops->enter(x->target, &x->worker, &at, &existing, e) < 0)
		return -1;
	return push_frame(x, path, len, r, existing, e);
}

/* Goes up until the innermost directory holds the path. The root stays. */
static int climb(struct restore *x, const char *path, size_t len, struct err *e)
{
	while (x->nframes > 1 && (x->dir_len == len || !is_within(path, len, x->dir, x->dir_len))) {
		if (pop_frame(x, e) < 0)
			return -1;
	}
	return 0;
}

/* Makes the directories above path that the walk did not bring. */
static int enter_missing(struct restore *x, const char *path, size_t len, struct err *e)
{
	size_t want = parent_len(path, len);

	if (x->dir_len == want)
		return 0;
	if (!x->damaged && x->params->npaths == 0)
		return err_set(e, ERR_FORMAT, "the point has '%.*s' without the directory it is in",
		               (int)len, path);
	while (x->dir_len < want) {
		const struct record *r = NULL;
		struct leaf *leaf;
		size_t from = x->dir_len > 0 ? x->dir_len + 1 : 0;
		size_t n = from + strcspn(path + from, "/");

		if (!x->damaged) {
			if (open_aux(x, e) < 0 || tree_lookup(x->aux, path, n, &r, &leaf, e) < 0)
				return -1;
			if (!S_ISDIR(r->st.mode))
				return err_set(
					e, ERR_FORMAT,
					"the point has '%.*s' in something that is no directory",
					(int)len, path);
		}
		if (enter(x, path, n, r, e) < 0)
			return -1;
		struct frame *top = &x->frames[x->nframes - 1];
		if (top->existing) {
			free(top->meta);
			top->meta = NULL;
		}
	}
	return 0;
}

/* ---- names that stay ---- */

static uint64_t name_hash(const char *name, size_t len)
{
	uint64_t h = 14695981039346656037U; /* FNV-1a, stirred; a collision only keeps a file */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 1099511628211U;
	return (h ^ h >> 29) * 0xbf58476d1ce4e5b9U;
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The innermost directory has this entry. */
static int remember(struct restore *x, const struct record *r, struct err *e)
{
	struct name_set *s = &x->frames[x->nframes - 1].names;
	const char *name = name_of(r->path, r->path_len);

	if (!(x->target->flags & TARGET_DELETE) || s->overflow)
		return 0;
	if (s->n == (x->params->names_max ? x->params->names_max : NAMES_MAX)) {
		free(s->hashes);
		*s = (struct name_set){ .overflow = true };
		return 0;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		uint64_t *hashes = reallocarray(s->hashes, cap, sizeof(*hashes));

		if (!hashes)
			return no_memory(e);
		s->hashes = hashes;
		s->cap = cap;
	}
	s->hashes[s->n++] = name_hash(name, r->path_len - (size_t)(name - r->path));
	return 0;
}

/* ---- hard links ---- */

static size_t alias_slot(const char *path, size_t len)
{
	uint32_t h = 2166136261u; /* FNV-1a: nobody gains by collisions in a restore of their own */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)path[i]) * 16777619u;
	return h % ALIAS_SLOTS;
}

static const char *alias_of(const struct restore *x, const char *from, size_t len)
{
	const struct alias *a = x->aliases ? x->aliases[alias_slot(from, len)] : NULL;

	while (a && (a->from_len != len || memcmp(a->from, from, len) != 0))
		a = a->next;
	return a ? a->to : NULL;
}

static int add_alias(struct restore *x, const struct record *r, struct err *e)
{
	if (x->naliases == ALIASES_MAX)
		return 0;
	if (!x->aliases)
		x->aliases = calloc(ALIAS_SLOTS, sizeof(struct alias *));
	struct alias *a = malloc(sizeof(*a) + r->hardlink_len);
	char *to = strndup(r->path, r->path_len);
	if (!x->aliases || !a || !to) {
		free(a);
		free(to);
		return no_memory(e);
	}
	struct alias **slot = &x->aliases[alias_slot(r->hardlink, r->hardlink_len)];
	memcpy(a->from, r->hardlink, r->hardlink_len);
	a->from_len = r->hardlink_len;
	a->to = to;
	a->next = *slot;
	*slot = a;
	x->naliases++;
	return 0;
}

static void free_aliases(struct restore *x)
{
	for (size_t i = 0; x->aliases && i < ALIAS_SLOTS; i++) {
		for (struct alias *a = x->aliases[i], *next; a; a = next) {
			next = a->next;
			free(a->to);
			free(a);
		}
	}
	free(x->aliases);
}

static int do_entry(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e);

/* The first name of a linked file is not restored: this name gets its content. */
static int restore_first(struct restore *x, const struct record *r, struct leaf *leaf,
                         struct err *e)
{
	const struct record *first;
	struct leaf *first_leaf;

	if (open_aux(x, e) < 0 ||
	    tree_lookup(x->aux, r->hardlink, r->hardlink_len, &first, &first_leaf, e) < 0)
		return -1;
	if (first->flags & RECORD_HARDLINK || (first->st.mode & S_IFMT) != (r->st.mode & S_IFMT))
		return err_set(e, ERR_FORMAT, "'%.*s' is a hard link to something else",
		               (int)r->path_len, r->path);
	struct record *copy = arena_copy(&x->now->arena, first, sizeof(*first));
	if (!copy || window_hold(x->now, leaf) < 0)
		return no_memory(e);
	copy->path = r->path;
	copy->path_len = r->path_len;
	if (add_alias(x, r, e) < 0)
		return -1;
	if (!S_ISREG(copy->st.mode) || !(copy->flags & RECORD_CONTINUED))
		return do_entry(x, copy, first_leaf, e);
	/* Its parts are where the first name is; a copy of the record stays with each. */
	if (do_entry(x, copy, first_leaf, e) < 0)
		return -1;
	for (;;) {
		const struct record *part;
		struct leaf *part_leaf;

		if (tree_next(x->aux, &part, &part_leaf, e) < 0)
			return -1;
		if (!part || part->position == 0)
			return fill_end(x, e);
		struct record more = *part;
		more.path = r->path;
		more.path_len = r->path_len;
		if (fill_more(x, &more, part_leaf, e) < 0)
			return -1;
	}
}

static int do_link(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	const char *to = r->hardlink;
	size_t to_len = r->hardlink_len;

	if (!is_selected(x, to, to_len)) {
		to = alias_of(x, to, to_len);
		if (!to)
			return restore_first(x, r, leaf, e);
		to_len = strlen(to);
	}
	if (x->compare)
		return 0;
	size_t dir_len = parent_len(to, to_len);
	struct window *w = x->now;
	struct later *l = window_later(w, LATER_LINK);
	char *name = arena_alloc(&w->arena, to_len + 1);
	if (!l || !name || window_hold(w, leaf) < 0)
		return no_memory(e);
	const struct place_dir *here = window_dir(w, x->dir, x->dir_len, &x->next_id);
	struct place_dir *there = arena_alloc(&w->arena, sizeof(*there));
	char *text = arena_alloc(&w->arena, dir_len + 1);
	if (!here || !there || !text)
		return no_memory(e);
	memcpy(text, to, dir_len);
	text[dir_len] = '\0';
	*there = (struct place_dir){ .id = ++x->next_id, .path = text, .len = dir_len };
	size_t skip = (size_t)(name_of(to, to_len) - to);
	memcpy(name, to + skip, to_len - skip);
	name[to_len - skip] = '\0';
	l->rec = r;
	l->place = (struct place){ .dir = here, .name = name_of(r->path, r->path_len) };
	l->to = (struct place){ .dir = there, .name = name };
	return 0;
}

/* ---- what waited ---- */

struct prune {
	struct restore *x;
	const struct place_dir *dir;
	const struct name_set *names;
};

/* 1: the point has it, 0: it does not, -1: nobody can tell. */
static int has_entry(struct restore *x, const struct place_dir *dir, const char *name,
                     struct err *e)
{
	const struct record *r;
	struct leaf *leaf;
	auto_free char *path = NULL;
	int n = asprintf(&path, "%s%s%s", dir->path, dir->len > 0 ? "/" : "", name);

	if (n < 0) {
		path = NULL;
		return no_memory(e);
	}
	if (open_aux(x, e) < 0)
		return -1;
	if (tree_lookup(x->aux, path, (size_t)n, &r, &leaf, e) == 0)
		return 1;
	return e->class == ERR_NOT_FOUND ? 0 : -1;
}

static int prune_one(void *arg, const char *name, struct err *e)
{
	const struct prune *p = arg;
	struct restore *x = p->x;
	uint64_t hash = name_hash(name, strlen(name));

	if (p->names->overflow) {
		struct err why = ERR_INIT;
		int has = has_entry(x, p->dir, name, &why);

		if (has < 0) {
			*e = why;
			return -1;
		}
		if (has > 0)
			return 0;
	} else if (p->names->n > 0 &&
	           bsearch(&hash, p->names->hashes, p->names->n, sizeof(hash), by_hash)) {
		return 0;
	}
	x->report->deleted++;
	if (x->compare)
		return 0;
	const struct place at = { .dir = p->dir, .name = name };
	return x->target->ops->remove(x->target, &x->worker, &at, e);
}

/* Removes what the point does not have from a directory. */
static int prune(struct restore *x, const struct place_dir *dir, struct name_set *names,
                 struct err *e)
{
	struct prune p = { .x = x, .dir = dir, .names = names };

	/* Once part of the tree is lost, nobody can tell what the point has. */
	if (x->damaged)
		return 0;
	if (names->n > 0)
		qsort(names->hashes, names->n, sizeof(*names->hashes), by_hash);
	return x->target->ops->names(x->target, &x->worker, dir, prune_one, &p, e);
}

static void clean_meta(struct dir_meta *const *m)
{
	dir_meta_free(*m);
}

static int leave(struct restore *x, struct later *l, struct err *e)
{
	CLEANUP(clean_meta) struct dir_meta *m = l->meta;

	l->meta = NULL;
	if (x->target->flags & TARGET_DELETE) {
		struct err why = ERR_INIT;

		if (prune(x, l->place.dir, &m->names, &why) < 0 &&
		    !(x->compare && why.class == ERR_NOT_FOUND)) {
			*e = why;
			return -1;
		}
	}
	m->rec.path = l->place.dir->path;
	m->rec.path_len = l->place.dir->len;
	return x->target->ops->leave(x->target, &x->worker, l->place.dir, &m->rec, l->existing, e);
}

int restore_later(struct restore *x, struct later *l, struct err *e)
{
	struct err why = ERR_INIT;

	if (l->kind == LATER_LEAVE)
		return leave(x, l, e);
	if (x->target->ops->link(x->target, &x->worker, &l->place, &l->to, &why) == 0) {
		atomic_fetch_add(&x->report->hardlinks, 1);
		restore_progress(x, 0, 1);
		return 0;
	}
	/* What it links to was not in the point, or in a part of it that is lost. */
	if (why.class == ERR_NOT_FOUND && x->params->on_corrupt == CORRUPT_SKIP) {
		report_gap(x->report, GAP_ENTRY, l->rec->path, l->rec->path_len, NULL, 0, 0, 0,
		           why.msg);
		return 0;
	}
	*e = why;
	if (why.class == ERR_NOT_FOUND)
		e->class = ERR_CORRUPT;
	return -1;
}

/* ---- entries ---- */

static int do_entry(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	bool made = false;

	if (r->flags & RECORD_CHANGED)
		report_changed(x->report, r->path, r->path_len);
	if (r->fsflags & META_PINS)
		x->pins = true;
	if (r->flags & RECORD_HARDLINK)
		return do_link(x, r, leaf, e);
	const struct place_dir *dir = window_dir(x->now, r->path, parent_len(r->path, r->path_len),
	                                         &x->next_id);
	if (!dir)
		return no_memory(e);
	const struct place at = { .dir = dir, .name = name_of(r->path, r->path_len) };
	if (S_ISREG(r->st.mode))
		return fill_file(x, &at, r, leaf, e);
	if (!x->compare && x->target->ops->make(x->target, &x->worker, &at, r, &made, e) < 0)
		return -1;
	if (S_ISLNK(r->st.mode))
		atomic_fetch_add(&x->report->symlinks, 1);
	else if (made || x->compare)
		atomic_fetch_add(&x->report->others, 1);
	restore_progress(x, 0, 1);
	return 0;
}

/* Replaces the root's metadata, which the walk brings first. */
static int do_root(struct restore *x, const struct record *r, struct err *e)
{
	struct frame *root = &x->frames[0];

	if (r->fsflags & META_PINS)
		x->pins = true;
	free(root->meta);
	root->meta = meta_copy(r);
	if (!root->meta)
		return no_memory(e);
	atomic_fetch_add(&x->report->directories, 1);
	return 0;
}

static int do_record(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	if (cancel_check(x->repo->cancel, e) < 0)
		return -1;
	if (r->position > 0)
		return fill_more(x, r, leaf, e);
	if (fill_end(x, e) < 0)
		return -1;
	if (x->target->ops->whole) {
		static const struct place_dir none = { .path = "" };
		const struct place at = { .dir = &none, .name = "" };

		return fill_file(x, &at, r, leaf, e);
	}
	if (r->path_len == 0 && S_ISDIR(r->st.mode))
		return do_root(x, r, e);
	if (r->path_len == 0)
		return err_set(e, ERR_FORMAT, "the point's root is no directory");
	if (window_full(x->now) && fill_submit(x, e) < 0)
		return -1;
	if (climb(x, r->path, r->path_len, e) < 0 ||
	    enter_missing(x, r->path, r->path_len, e) < 0 || remember(x, r, e) < 0)
		return -1;
	if (!S_ISDIR(r->st.mode))
		return do_entry(x, r, leaf, e);
	if (r->fsflags & META_PINS)
		x->pins = true;
	if (enter(x, r->path, r->path_len, r, e) < 0)
		return -1;
	atomic_fetch_add(&x->report->directories, 1);
	restore_progress(x, 0, 1);
	return 0;
}

/* ---- the walk ---- */

typedef int record_fn(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e);

/* Where the walk is, for saying what a damaged node may have held. */
struct walk {
	char *last; /* path of the last record */
	size_t last_len, last_cap;
	bool open; /* nodes were skipped since */
	struct err why;
};

static void walk_clear(struct walk *w)
{
	free(w->last);
}

static int walk_at(struct walk *w, const struct record *r, struct err *e)
{
	if (r->path_len + 1 > w->last_cap) {
		size_t cap = 2 * (r->path_len + 64);
		char *p = realloc(w->last, cap);

		if (!p)
			return no_memory(e);
		w->last = p;
		w->last_cap = cap;
	}
	memcpy(w->last, r->path, r->path_len);
	w->last_len = r->path_len;
	return 0;
}

static void walk_gap(struct restore *x, struct walk *w, const char *until, size_t until_len)
{
	if (!w->open)
		return;
	report_gap(x->report, GAP_TREE, w->last ? w->last : "", w->last_len, until, until_len, 0, 0,
	           w->why.msg);
	w->open = false;
}

/* A node could not be read. 0: go on behind it, 1: nothing is behind it, -1: the end. */
static int walk_damage(struct restore *x, struct walk *w, const struct err *why, struct err *e)
{
	bool skip = x->params->on_corrupt == CORRUPT_SKIP && restore_is_loss(why);
	bool more = skip && tree_skip_damaged(x->tree);

	if (!skip || (!more && !w->last)) {
		*e = *why;
		if (restore_is_loss(why))
			e->class = ERR_CORRUPT;
		if (!w->last)
			return err_wrap(e, "reading the point's tree");
		return err_wrap(e, "reading the point's tree after '%.*s'", (int)w->last_len,
		                w->last);
	}
	w->open = x->damaged = true;
	w->why = *why;
	return more ? 0 : 1;
}

/* Calls fn for the records of one selected path (root NULL: of the whole tree). */
static int walk_path(struct restore *x, const char *root, record_fn *fn, struct err *e)
{
	CLEANUP(walk_clear) struct walk w = { .why = ERR_INIT };
	size_t root_len = root ? strlen(root) : 0;
	struct err why = ERR_INIT;
	bool seeking = true;

	for (;;) {
		const struct record *r = NULL;
		struct leaf *leaf = NULL;
		int rc = seeking ? tree_seek(x->tree, root, root_len, &why) : 0;

		seeking = false;
		if (rc == 0)
			rc = tree_next(x->tree, &r, &leaf, &why);
		if (rc < 0) {
			int next = walk_damage(x, &w, &why, e);

			why = (struct err)ERR_INIT;
			if (next < 0)
				return -1;
			if (next == 0)
				continue;
			r = NULL;
		}
		/* A damaged node may have put the walk before the path. */
		if (r && root && source_path_cmp(r->path, r->path_len, root, root_len) < 0)
			continue;
		if (!r || (root && !is_within(r->path, r->path_len, root, root_len))) {
			walk_gap(x, &w, r ? r->path : "", r ? r->path_len : 0);
			return 0;
		}
		walk_gap(x, &w, r->path, r->path_len);
		if (walk_at(&w, r, e) < 0)
			return -1;
		/* Kept across the call, which may send windows off and take its time. */
		leaf_ref(leaf);
		rc = fn(x, r, leaf, e);
		leaf_unref(leaf);
		if (rc < 0)
			return -1;
	}
}

static int walk_all(struct restore *x, record_fn *fn, struct err *e)
{
	if (x->params->npaths == 0)
		return walk_path(x, NULL, fn, e);
	for (size_t i = 0; i < x->params->npaths; i++) {
		const char *p = x->params->paths[i];

		if (walk_path(x, *p ? p : NULL, fn, e) < 0 || fill_end(x, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- flags that forbid changes ---- */

static int pin_record(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	size_t dir_len = parent_len(r->path, r->path_len);

	(void)leaf;
	if (!(r->fsflags & META_PINS) || r->position > 0 || r->flags & RECORD_HARDLINK ||
	    (!S_ISREG(r->st.mode) && !S_ISDIR(r->st.mode)))
		return 0;
	auto_free char *dir = strndup(r->path, dir_len);
	if (!dir)
		return no_memory(e);
	const struct place_dir d = { .id = ++x->next_id, .path = dir, .len = dir_len };
	const struct place at = { .dir = &d, .name = name_of(r->path, r->path_len) };
	return x->target->ops->pin(x->target, &x->worker, &at, r, e);
}

/* ---- all of it ---- */

static int check_selection(struct restore *x, struct err *e)
{
	for (size_t i = 0; i < x->params->npaths; i++) {
		const struct record *r;
		struct leaf *leaf;
		const char *p = x->params->paths[i];
		struct err why = ERR_INIT;

		if (open_aux(x, e) < 0)
			return -1;
		if (tree_lookup(x->aux, p, strlen(p), &r, &leaf, &why) < 0 &&
		    !(restore_is_loss(&why) && why.class != ERR_NOT_FOUND &&
		      x->params->on_corrupt == CORRUPT_SKIP)) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

static int start(struct restore *x, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct reader_params params = {
		.threads = x->params->threads,
		.memory = x->params->memory,
		.rehash = x->params->rehash,
		.fetched = &x->report->fetched,
	};

	if (keys_domain(x->repo->keys, x->point->domain, &x->domain, e) < 0)
		return -1;
	if (x->in_place) {
		if (!x->domain->has_content)
			return err_set(e, ERR_DENIED,
			               "this key file cannot compare data; use the recovery key");
		crypt_hasher_init(&x->hasher, x->domain->id);
		x->crew = crew_new(x->params->threads ? x->params->threads
		                   : cpus > 0         ? (unsigned)cpus
		                                      : 1);
		if (!x->crew)
			return no_memory(e);
	}
	x->now = window_new();
	if (!x->now)
		return no_memory(e);
	if (tree_open(x->repo, x->point, &x->tree, e) < 0 || check_selection(x, e) < 0)
		return -1;
	if (!x->target->ops->whole && push_frame(x, "", 0, NULL, true, e) < 0)
		return -1;
	return reader_open(x->repo, &params, deliver_chunk, x, &x->reader, e);
}

static int run(struct restore *x, struct err *e)
{
	if (walk_all(x, do_record, e) < 0 || fill_end(x, e) < 0)
		return -1;
	while (x->nframes > 0) {
		if (pop_frame(x, e) < 0)
			return -1;
	}
	if (fill_finish(x, e) < 0)
		return -1;
	if (x->pins && !x->compare && x->target->ops->pin && walk_all(x, pin_record, e) < 0)
		return -1;
	return 0;
}

static void clear(struct restore *x)
{
	/* First the threads: nothing changes under what follows. */
	reader_free(x->reader);
	fill_abort(x);
	crew_free(x->crew);
	tree_free(x->tree);
	tree_free(x->aux);
	secret_free(x->domain);
	secret_wipe(&x->hasher, sizeof(x->hasher));
	for (struct context *c = x->contexts, *next; c; c = next) {
		next = c->next;
		clean_close(&c->worker.fd);
		free(c->buf);
		free(c);
	}
	clean_close(&x->worker.fd);
	for (size_t i = 0; i < x->nframes; i++) {
		dir_meta_free(x->frames[i].meta);
		free(x->frames[i].names.hashes);
	}
	free(x->frames);
	free(x->dir);
	free_aliases(x);
	(void)pthread_mutex_destroy(&x->lock);
}

int restore_run(const struct repo *r, const struct point *p, struct target *t,
                const struct restore_params *params, struct report *report, struct err *e)
{
	struct restore x = {
		.repo = r,
		.point = p,
		.target = t,
		.params = params,
		.report = report,
		.compare = t->flags & TARGET_COMPARE,
		.in_place = t->flags & (TARGET_IN_PLACE | TARGET_COMPARE),
		.worker = TARGET_WORKER_NONE,
	};
	int64_t began_ns = now_mono_ns();

	if (p->volume.block != t->ops->whole)
		return err_set(e, ERR_INVALID,
		               p->volume.block
		                       ? "the point is of a block volume and needs an image "
		                         "file or block device as target"
		                       : "the point is of a filesystem volume and needs a "
		                         "directory as target");
	x.last = &x.first;
	(void)pthread_mutex_init(&x.lock, NULL);
	int rc = start(&x, e);
	if (rc == 0) {
		rc = run(&x, e);
		if (rc < 0 && !x.compare)
			err_wrap(e, "the target '%s' is incomplete", t->path);
	}
	clear(&x);
	report->took_ms += (now_mono_ns() - began_ns) / 1000000;
	return rc;
}
