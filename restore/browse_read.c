/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of files in browse.h: from a place in a file to the extents there,
 * which may be in another record than the file's first, and from those to
 * chunks.
 */
#include <string.h>

#include "restore/browse_impl.h"

#define SPANS_MAX 64 /* pieces of one read that are looked at together */

/* A stretch of a file. */
struct span {
	bool data; /* else a hole, or zeros */
	bool hole;
	struct chunk_ref ref; /* of data */
	uint32_t chunk_off;
	uint64_t off, len; /* in the file */
};

/* A walk along a file's content. */
struct along {
	struct browse_tree t;
	const struct record *r; /* valid while the tree stays where it is */
	struct leaf *leaf;
	size_t i;      /* next extent */
	uint64_t at;   /* where it begins */
	uint64_t size; /* of the file */
	char *path;    /* of the file */
	size_t path_len;
};
#define ALONG(b) ((struct along){ .t = BROWSE_TREE(b) })

static void along_clear(struct along *a)
{
	browse_tree_put(&a->t);
	free(a->path);
}
#define auto_along CLEANUP(along_clear)

static int broken(const struct along *a, struct err *e)
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

/* Goes to the part of the file that `off` is in. */
static int along_begin(struct along *a, uint64_t number, uint64_t off, struct err *e)
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
	return is_part(a, a->r) && a->at <= off ? 0 : broken(a, e);
}

/* The next stretch. 1; 0: the end of the file; -1. */
static int along_next(struct along *a, struct span *ret, struct err *e)
{
	while (a->i == a->r->nextents) {
		if (a->at >= a->size)
			return 0;
		if (tree_next(a->t.tree, &a->r, &a->leaf, e) < 0)
			return -1;
		if (!is_part(a, a->r))
			return broken(a, e);
		a->i = 0;
	}
	const struct extent *x = &a->r->extents[a->i++];
	*ret = (struct span){ .hole = x->chunk == EXTENT_HOLE, .off = a->at, .len = x->len };
	if (x->len > a->size - a->at)
		return broken(a, e);
	if (x->chunk >= 0) {
		ret->data = true;
		ret->ref = a->leaf->chunks[x->chunk];
		ret->chunk_off = x->off;
	}
	a->at += x->len;
	return 1;
}

/* Cuts a stretch to [off, end). false: it lies before. */
static bool span_cut(struct span *s, uint64_t off, uint64_t end)
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

/* Up to max stretches of [off, end), which lies within the file. How many, or -1. */
static int64_t gather(struct browse *b, uint64_t number, uint64_t off, uint64_t end,
                      struct span *spans, size_t max, uint64_t *ret_size, struct err *e)
{
	auto_along struct along a = ALONG(b);
	size_t n = 0;

	if (along_begin(&a, number, off, e) < 0)
		return -1;
	*ret_size = a.size;
	if (end > a.size)
		end = a.size;
	for (uint64_t at = off; n < max && at < end;) {
		int more = along_next(&a, &spans[n], e);

		if (more < 0)
			return -1;
		if (more == 0)
			return broken(&a, e);
		if (span_cut(&spans[n], off, end))
			at = spans[n].off + spans[n].len, n++;
	}
	return (int64_t)n;
}

/* Asks for the chunks of the stretches, each once. */
static void fetch_spans(struct browse *b, const struct span *spans, size_t n)
{
	struct chunk_ref refs[SPANS_MAX];
	size_t nrefs = 0;

	for (size_t i = 0; i < n; i++) {
		bool known = !spans[i].data;

		/* Pieces of one chunk are neighbours, or nearly. */
		for (size_t k = nrefs; !known && k > 0 && k + 4 > nrefs; k--)
			known = memcmp(refs[k - 1].id, spans[i].ref.id, FORMAT_ID_BYTES) == 0;
		if (!known)
			refs[nrefs++] = spans[i].ref;
	}
	if (nrefs > 0)
		chunks_ahead(b->shared.chunks, b->domain, refs, nrefs);
}

static int copy_span(struct browse *b, const struct span *s, uint8_t *to, struct err *e)
{
	struct chunk *k;
	const uint8_t *plain;

	if (!s->data) {
		memset(to, 0, s->len);
		return 0;
	}
	if (chunks_get(b->shared.chunks, b->domain, &s->ref, &k, &plain, e) < 0)
		return -1;
	memcpy(to, plain + s->chunk_off, s->len);
	chunks_put(b->shared.chunks, k);
	return 0;
}

int browse_read(struct browse *b, uint64_t number, uint64_t off, void *p, size_t n, size_t *ret,
                struct err *e)
{
	struct span spans[SPANS_MAX];
	size_t done = 0;

	while (done < n) {
		uint64_t size = 0;
		uint64_t at = off + done;
		int64_t got = gather(b, number, at, off + n, spans, SPANS_MAX, &size, e);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		/* In order, so what is needed first is asked for first. */
		if (got > 1)
			fetch_spans(b, spans, (size_t)got);
		for (int64_t i = 0; i < got; i++) {
			if (copy_span(b, &spans[i], (uint8_t *)p + done, e) < 0)
				return -1;
			done += spans[i].len;
		}
	}
	*ret = done;
	return 0;
}

int browse_seek(struct browse *b, uint64_t number, uint64_t off, bool hole, bool *ret_found,
                uint64_t *ret, struct err *e)
{
	auto_along struct along a = ALONG(b);
	struct span s;
	int more;

	*ret_found = false;
	if (along_begin(&a, number, off, e) < 0)
		return -1;
	while ((more = along_next(&a, &s, e)) > 0) {
		if (cancel_check(b->shared.repo->cancel, e) < 0)
			return -1;
		if (s.hole != hole || !span_cut(&s, off, a.size))
			continue;
		*ret_found = true;
		*ret = s.off;
		return 0;
	}
	if (more < 0)
		return -1;
	*ret_found = hole;
	*ret = a.size;
	return 0;
}

void browse_fetch(struct browse *b, uint64_t number, uint64_t off, uint64_t n)
{
	struct span spans[SPANS_MAX];
	struct err ignored = ERR_INIT;
	uint64_t size = 0;

	if (n > UINT64_MAX - off)
		return;
	int64_t got = gather(b, number, off, off + n, spans, SPANS_MAX, &size, &ignored);
	if (got > 0)
		fetch_spans(b, spans, (size_t)got);
}
