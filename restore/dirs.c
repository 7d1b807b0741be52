/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories on the way of the walk: made on the way down, left on the way
 * up. Leaving waits in the window until everything below is done; then what
 * the point does not have is removed, if that is wanted, and the metadata set.
 */
#include <limits.h>
#include <string.h>

#include "restore/restore_impl.h"

#define NAMES_MAX ((size_t)1 << 22)

/* ---- going down and up ---- */

void dir_meta_free(struct dir_meta *m)
{
	if (m)
		free(m->names.hashes);
	free(m);
}

struct dir_meta *dir_meta_new(const struct record *r)
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

int dirs_push(struct restore *x, const char *path, size_t len, const struct record *r,
              bool existing, struct err *e)
{
	if (x->nframes == x->frames_cap) {
		size_t cap = x->frames_cap ? 2 * x->frames_cap : 32;
		struct frame *frames = reallocarray(x->frames, cap, sizeof(*frames));

		if (!frames)
			return restore_no_memory(e);
		x->frames = frames;
		x->frames_cap = cap;
	}
	if (len + 1 > x->dir_cap) {
		size_t cap = (len + 1) * 2;
		char *dir = realloc(x->dir, cap);

		if (!dir)
			return restore_no_memory(e);
		x->dir = dir;
		x->dir_cap = cap;
	}
	struct dir_meta *meta = r ? dir_meta_new(r) : NULL;
	if (r && !meta)
		return restore_no_memory(e);
	if (len > 0)
		memcpy(x->dir, path, len);
	x->dir[len] = '\0';
	x->dir_len = len;
	x->frames[x->nframes++] = (struct frame){ .len = len, .meta = meta, .existing = existing };
	return 0;
}

/* Leaves the innermost directory: its metadata waits for the window. */
int dirs_pop(struct restore *x, struct err *e)
{
	struct frame *f = &x->frames[x->nframes - 1];

	if (f->meta) {
		if (window_full(x->now) && fill_submit(x, e) < 0)
			return -1;
		const struct target_parent *dir = window_dir(x->now, x->dir, f->len, &x->next_id);
		struct later *l = window_later(x->now, LATER_LEAVE);
		if (!dir || !l)
			return restore_no_memory(e);
		l->place = (struct target_place){ .dir = dir, .name = "" };
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

int dirs_enter(struct restore *x, const char *path, size_t len, const struct record *r,
               struct err *e)
{
	bool existing = false;
	const struct target_parent *dir = window_dir(x->now, path, path_parent_len(path, len),
	                                             &x->next_id);

	if (!dir)
		return restore_no_memory(e);
	/* The name ends where the record's path ends, which may be in the middle of `path`. */
	auto_free char *name = strndup(path_name(path, len),
	                               len - (size_t)(path_name(path, len) - path));
	if (!name)
		return restore_no_memory(e);
	const struct target_place at = { .dir = dir, .name = name };
	if (x->target->ops->enter(x->target, &x->worker, &at, &existing, e) < 0)
		return -1;
	return dirs_push(x, path, len, r, existing, e);
}

/* Goes up until the innermost directory holds the path. The root stays. */
int dirs_climb(struct restore *x, const char *path, size_t len, struct err *e)
{
	while (x->nframes > 1 &&
	       (x->dir_len == len || !path_within(path, len, x->dir, x->dir_len))) {
		if (dirs_pop(x, e) < 0)
			return -1;
	}
	return 0;
}

/* Makes the directories above path that the walk did not bring. */
int dirs_enter_missing(struct restore *x, const char *path, size_t len, struct err *e)
{
	size_t want = path_parent_len(path, len);

	if (x->dir_len == want)
		return 0;
	if (!x->damaged && x->params->npaths == 0 && !x->base)
		return err_set(e, ERR_FORMAT, "the point has '%.*s' without the directory it is in",
		               (int)len, path);
	while (x->dir_len < want) {
		const struct record *r = NULL;
		struct leaf *leaf;
		size_t from = x->dir_len > 0 ? x->dir_len + 1 : 0;
		size_t n = from + strcspn(path + from, "/");

		if (!x->damaged) {
			if (restore_open_aux(x, e) < 0 ||
			    tree_lookup(x->aux, path, n, &r, &leaf, e) < 0)
				return -1;
			if (!S_ISDIR(r->st.mode))
				return err_set(
					e, ERR_FORMAT,
					"the point has '%.*s' in something that is no directory",
					(int)len, path);
		}
		if (dirs_enter(x, path, n, r, e) < 0)
			return -1;
		struct frame *top = &x->frames[x->nframes - 1];
		if (x->base) {
			/* It may be as it was, but what changes in it moves its times. */
			if (base_entered(x, r, true, e) < 0)
				return -1;
		} else if (top->existing) {
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
int dirs_remember(struct restore *x, const struct record *r, struct err *e)
{
	struct name_set *s = &x->frames[x->nframes - 1].names;
	const char *name = path_name(r->path, r->path_len);

	if (!(x->target->flags & TARGET_DELETE) || x->base || s->overflow)
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
			return restore_no_memory(e);
		s->hashes = hashes;
		s->cap = cap;
	}
	s->hashes[s->n++] = name_hash(name, r->path_len - (size_t)(name - r->path));
	return 0;
}

/* ---- leaving ---- */

struct prune {
	struct restore *x;
	const struct target_parent *dir;
	const struct name_set *names;
};

/* 1: the point has it, 0: it does not, -1: nobody can tell. */
static int has_entry(struct restore *x, const struct target_parent *dir, const char *name,
                     struct err *e)
{
	const struct record *r;
	struct leaf *leaf;
	auto_free char *path = NULL;
	int n = asprintf(&path, "%s%s%s", dir->path, dir->len > 0 ? "/" : "", name);

	if (n < 0) {
		path = NULL;
		return restore_no_memory(e);
	}
	if (restore_open_aux(x, e) < 0)
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
	const struct target_place at = { .dir = p->dir, .name = name };
	return x->target->ops->remove(x->target, &x->worker, &at, e);
}

/* Removes what the point does not have from a directory. */
static int prune(struct restore *x, const struct target_parent *dir, struct name_set *names,
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

int dirs_leave(struct restore *x, struct later *l, struct err *e)
{
	CLEANUP(clean_meta) struct dir_meta *m = l->meta;

	l->meta = NULL;
	if (x->target->flags & TARGET_DELETE && !x->base) {
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
