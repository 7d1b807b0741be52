/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links. A link waits until what it links to is done. When a part of a
 * point is restored, the first name of a file may lie outside of it: then the
 * first link that is restored gets the content, and the others link to that.
 */
#include <string.h>

#include "restore/restore_impl.h"

#define ALIAS_SLOTS 4096
#define ALIASES_MAX 65536 /* beyond, linked files of a partial restore become copies */

/* A file whose first name is not restored, and the name that stands for it. */
struct alias {
	struct alias *next;
	size_t from_len;
	char *to;
	char from[];
};

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
		return restore_no_memory(e);
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

void links_clear(struct restore *x)
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

/* The first name of a linked file is not restored: this name gets its content. */
static int restore_first(struct restore *x, const struct record *r, struct leaf *leaf,
                         struct err *e)
{
	const struct record *first;
	struct leaf *first_leaf;

	if (restore_open_aux(x, e) < 0 ||
	    tree_lookup(x->aux, r->hardlink, r->hardlink_len, &first, &first_leaf, e) < 0)
		return -1;
	if (first->flags & RECORD_HARDLINK || (first->st.mode & S_IFMT) != (r->st.mode & S_IFMT))
		return err_set(e, ERR_FORMAT, "'%.*s' is a hard link to something else",
		               (int)r->path_len, r->path);
	struct record *copy = arena_copy(&x->now->arena, first, sizeof(*first));
	if (!copy || window_hold(x->now, leaf) < 0)
		return restore_no_memory(e);
	copy->path = r->path;
	copy->path_len = r->path_len;
	if (add_alias(x, r, e) < 0)
		return -1;
	if (!S_ISREG(copy->st.mode) || !(copy->flags & RECORD_CONTINUED))
		return restore_entry(x, copy, first_leaf, e);
	/* Its parts are where the first name is; a copy of the record stays with each. */
	if (restore_entry(x, copy, first_leaf, e) < 0)
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

int links_add(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	const char *to = r->hardlink;
	size_t to_len = r->hardlink_len;

	if (!restore_selected(x, to, to_len)) {
		to = alias_of(x, to, to_len);
		if (!to)
			return restore_first(x, r, leaf, e);
		to_len = strlen(to);
	}
	if (x->compare)
		return 0;
	size_t dir_len = path_parent_len(to, to_len);
	struct window *w = x->now;
	struct later *l = window_later(w, LATER_LINK);
	char *name = arena_alloc(&w->arena, to_len + 1);
	if (!l || !name || window_hold(w, leaf) < 0)
		return restore_no_memory(e);
	const struct target_parent *here = window_dir(w, x->dir, x->dir_len, &x->next_id);
	struct target_parent *there = arena_alloc(&w->arena, sizeof(*there));
	char *text = arena_alloc(&w->arena, dir_len + 1);
	if (!here || !there || !text)
		return restore_no_memory(e);
	memcpy(text, to, dir_len);
	text[dir_len] = '\0';
	*there = (struct target_parent){ .id = ++x->next_id, .path = text, .len = dir_len };
	size_t skip = (size_t)(path_name(to, to_len) - to);
	memcpy(name, to + skip, to_len - skip);
	name[to_len - skip] = '\0';
	l->rec = r;
	l->place = (struct target_place){ .dir = here, .name = path_name(r->path, r->path_len) };
	l->to = (struct target_place){ .dir = there, .name = name };
	return 0;
}
