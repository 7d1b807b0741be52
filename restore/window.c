/* SPDX-License-Identifier: Apache-2.0 */
/* See window.h. All that a window holds lies in its arena; leaves are referenced, not copied. */
#include "restore/window.h"

#include <string.h>

#define TABLE_SLOTS ((size_t)4 * WINDOW_WANTS) /* a power of two, never more than half full */

struct window *window_new(uint64_t plain_max)
{
	struct window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->table = calloc(TABLE_SLOTS, sizeof(struct want *));
	if (!w->table) {
		free(w);
		return NULL;
	}
	w->plain_max = plain_max;
	w->wants_tail = &w->wants;
	w->later_tail = &w->later;
	return w;
}

static void drop_leaves(struct window *w)
{
	for (size_t i = 0; i < w->nleaves; i++)
		leaf_unref(w->leaves[i]);
	w->nleaves = 0;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	drop_leaves(w);
	arena_clear(&w->arena);
	free(w->leaves);
	free(w->table);
	free(w);
}

void window_reset(struct window *w)
{
	drop_leaves(w);
	arena_reset(&w->arena);
	if (w->nwants > 0)
		memset(w->table, 0, TABLE_SLOTS * sizeof(struct want *));
	w->next = NULL;
	w->wants = NULL;
	w->wants_tail = &w->wants;
	w->files = NULL;
	w->later = NULL;
	w->later_tail = &w->later;
	w->dir = NULL;
	w->nwants = w->nfiles = w->nshared = w->nlater = 0;
	w->plain = 0;
	atomic_store(&w->outstanding, 0);
}

bool window_full(const struct window *w)
{
	return w->plain >= w->plain_max || w->nwants >= WINDOW_WANTS || w->nfiles >= WINDOW_FILES ||
	       w->nshared >= WINDOW_SHARED || w->nlater >= WINDOW_LATER ||
	       w->arena.bytes >= WINDOW_ARENA;
}

int window_hold(struct window *w, struct leaf *l)
{
	if (w->nleaves > 0 && w->leaves[w->nleaves - 1] == l)
		return 0;
	if (w->nleaves == w->leaves_cap) {
		size_t cap = w->leaves_cap ? 2 * w->leaves_cap : 64;
		struct leaf **leaves = reallocarray(w->leaves, cap, sizeof(struct leaf *));

		if (!leaves)
			return -1;
		w->leaves = leaves;
		w->leaves_cap = cap;
	}
	w->leaves[w->nleaves++] = leaf_ref(l);
	return 0;
}

const struct target_parent *window_dir(struct window *w, const char *path, size_t len,
                                       uint64_t *next_id)
{
	if (w->dir && w->dir->len == len && memcmp(w->dir->path, path, len) == 0)
		return w->dir;
	struct target_parent *d = arena_alloc(&w->arena, sizeof(*d));
	char *copy = arena_alloc(&w->arena, len + 1);
	if (!d || !copy)
		return NULL;
	if (len > 0)
		memcpy(copy, path, len);
	copy[len] = '\0';
	*d = (struct target_parent){ .id = ++*next_id, .path = copy, .len = len };
	w->dir = d;
	return d;
}

struct rfile *window_file(struct window *w)
{
	struct rfile *f = arena_alloc(&w->arena, sizeof(*f));

	if (!f)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->file.fd = -1;
	f->next = w->files;
	w->files = f;
	w->nfiles++;
	return f;
}

/* The window's want of this chunk; made when it is new. NULL: no memory. */
static struct want *want_of(struct window *w, const struct chunk_ref *ref)
{
	uint64_t at;

	/* Ids are as good as random, so their first bytes are the hash. */
	memcpy(&at, ref->id, sizeof(at));
	for (at &= TABLE_SLOTS - 1; w->table[at]; at = (at + 1) & (TABLE_SLOTS - 1)) {
		const struct chunk_ref *have = &w->table[at]->ref;

		/* Pieces were checked against the length that came with them. */
		if (memcmp(have->id, ref->id, sizeof(ref->id)) == 0 && have->plain == ref->plain)
			return w->table[at];
	}
	struct want *n = arena_alloc(&w->arena, sizeof(*n));
	if (!n || w->nwants >= TABLE_SLOTS / 2)
		return NULL;
	*n = (struct want){ .window = w, .ref = *ref };
	w->table[at] = n;
	*w->wants_tail = n;
	w->wants_tail = &n->next;
	w->nwants++;
	w->plain += ref->plain;
	return n;
}

int window_piece(struct window *w, struct rfile *f, const struct chunk_ref *ref, uint64_t off,
                 uint32_t chunk_off, uint32_t len, bool *ret_new)
{
	struct want *n = want_of(w, ref);

	*ret_new = false;
	if (!n)
		return -1;
	struct piece *last = n->tail && n->tail->file == f ? n->tail : NULL;
	if (last && last->off + last->len == off && last->chunk_off + last->len == chunk_off) {
		last->len += len;
		return 0;
	}
	struct piece *p = arena_alloc(&w->arena, sizeof(*p));
	if (!p)
		return -1;
	*p = (struct piece){ .file = f, .off = off, .chunk_off = chunk_off, .len = len };
	if (n->tail)
		n->tail->next = p;
	else
		n->head = p;
	n->tail = p;
	*ret_new = !last;
	return 0;
}

struct later *window_later(struct window *w, enum later_kind kind)
{
	struct later *l = arena_alloc(&w->arena, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct later){ .kind = kind };
	*w->later_tail = l;
	w->later_tail = &l->next;
	w->nlater++;
	return l;
}
