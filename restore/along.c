/* SPDX-License-Identifier: Apache-2.0 */
/* See along.h: the extents of a file are in one record after the other. */
#include "restore/along.h"

#include <string.h>

void along_clear(struct along *a)
{
	browse_tree_put(&a->t);
	free(a->path);
}

int along_broken(const struct along *a, struct err *e)
{
	return err_set(e, ERR_FORMAT, "the parts of '%.*s' do not fit together", (int)a->path_len,
	               a->path);
}

/* Is it the file's part that begins at a->at? */
static bool is_part(const struct along *a, const struct record *r)
{
	return r && r->path_len == a->path_len && memcmp(r->path, a->path, a->path_len) == 0 &&
	       r->position == a->at;
}

int along_begin(struct along *a, uint64_t number, uint64_t off, struct err *e)
{
	if (browse_record(&a->t, number, &a->r, &a->leaf, e) < 0)
		return -1;
	if (!S_ISREG(a->r->st.mode))
		return err_set(e, ERR_INVALID, "'%.*s' is no regular file", (int)a->r->path_len,
		               a->r->path);
	a->size = a->r->st.size;
	a->path_len = a->r->path_len;
	a->path = strndup(a->r->path, a->r->path_len);
	if (!a->path)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	if (!(a->r->flags & RECORD_CONTINUED) || off == 0)
		return 0;
	if (tree_seek_part(a->t.tree, a->path, a->path_len, off, e) < 0 ||
	    tree_next(a->t.tree, &a->r, &a->leaf, e) < 0)
		return -1;
	a->at = a->r ? a->r->position : 0;
	return is_part(a, a->r) && a->at <= off ? 0 : along_broken(a, e);
}

int along_next(struct along *a, struct span *ret, struct err *e)
{
	while (a->i == a->r->nextents) {
		if (a->at >= a->size)
			return 0;
		if (tree_next(a->t.tree, &a->r, &a->leaf, e) < 0)
			return -1;
		if (!is_part(a, a->r))
			return along_broken(a, e);
		a->i = 0;
	}
	const struct extent *x = &a->r->extents[a->i++];
	*ret = (struct span){ .hole = x->chunk == EXTENT_HOLE, .off = a->at, .len = x->len };
	if (x->len > a->size - a->at)
		return along_broken(a, e);
	if (x->chunk >= 0) {
		ret->data = true;
		ret->ref = a->leaf->chunks[x->chunk];
		ret->chunk_off = x->off;
	}
	a->at += x->len;
	return 1;
}

bool along_cut(struct span *s, uint64_t off, uint64_t end)
{
	uint64_t before = off > s->off ? off - s->off : 0;

	if (before >= s->len)
		return false;
	s->off += before;
	s->len -= before;
	if (s->data)
		s->chunk_off += (uint32_t)before;
	if (s->len > end - s->off)
		s->len = end - s->off;
	return true;
}
