/* SPDX-License-Identifier: Apache-2.0 */
/* See delta.h. */
#include "repo/delta.h"

#include <stdlib.h>
#include <string.h>

#define MISSES_BEFORE_SEARCH 8
#define SEARCH_AROUND (4 * MIB) /* old bytes before and behind the expected place */
#define SEARCH_SLOTS 8192       /* power of two, over twice the pages in that range */
#define SEARCH_CHECKS 256       /* weak hits compared in one search */
#define SETS 16                 /* fingerprints of chunks at hand */
#define WINDOWS 3               /* old records at hand: of 64 MiB each */
#define PIECES_MAX (2 * DELTA_WINDOW / 64)

/* One record (a window of 64 MiB) of the old file. */
struct old_window {
	const struct record *record;
	struct leaf *leaf; /* a reference */
	uint64_t *starts;  /* offset in the file of each extent, and the end */
	uint64_t start, end;
};

/* A page of the old file. */
struct old_page {
	bool zero;
	uint32_t len; /* bytes; at most a page */
	const uint8_t *fp;
	uint32_t mark;
	const struct chunk_ref *ref;
	struct leaf *leaf;
	uint32_t chunk_off;
};

struct delta {
	const struct chunker *chunker;
	const struct crypt_hasher *hasher;
	struct pages *pages;
	/* the old file */
	struct tree *tree; /* NULL: no continuations */
	const char *path;
	size_t path_len;
	struct leaf *path_leaf; /* keeps path alive */
	bool exhausted;         /* no more continuations */
	struct old_window windows[WINDOWS];
	size_t nwindows;
	/* chunks' fingerprints, oldest replaced */
	struct page_set sets[SETS];
	bool set_missing[SETS]; /* known not to be in the cache */
	bool set_used[SETS];
	unsigned next_set;
	/* expectation: the old offset of new offset x is x - shift */
	int64_t shift;
	unsigned backoff, skip; /* windows without search after a search in vain */
	/* search table */
	struct search_slot {
		uint32_t mark;
		uint64_t off_plus_1;
	} * slots;
	uint8_t *filter;               /* one bit per low 16 bits of a mark */
	uint64_t table_from, table_to; /* old range in the table; to == 0: empty */
	struct delta_piece *pieces;
	size_t npieces;
};

struct delta *delta_new(const struct chunker *chunker, const struct crypt_hasher *hasher,
                        struct pages *pages)
{
	struct delta *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->chunker = chunker;
	d->hasher = hasher;
	d->pages = pages;
	d->pieces = calloc(PIECES_MAX, sizeof(*d->pieces));
	d->slots = calloc(SEARCH_SLOTS, sizeof(*d->slots));
	d->filter = calloc(8192, 1);
	bool good = d->pieces && d->slots && d->filter;
	for (size_t i = 0; good && i < SETS; i++) {
		d->sets[i].fps = calloc(PAGES_CHUNK_MAX, sizeof(*d->sets[i].fps));
		d->sets[i].marks = calloc(PAGES_CHUNK_MAX, sizeof(*d->sets[i].marks));
		good = d->sets[i].fps && d->sets[i].marks;
	}
	if (!good) {
		delta_free(d);
		return NULL;
	}
	return d;
}

static void window_clear(struct old_window *w)
{
	free(w->starts);
	leaf_unref(w->leaf);
	memset(w, 0, sizeof(*w));
}

static void forget_pieces(struct delta *d)
{
	for (size_t i = 0; i < d->npieces; i++)
		leaf_unref(d->pieces[i].leaf);
	d->npieces = 0;
}

static void forget_file(struct delta *d)
{
	forget_pieces(d);
	for (size_t i = 0; i < d->nwindows; i++)
		window_clear(&d->windows[i]);
	d->nwindows = 0;
	leaf_unref(d->path_leaf);
	d->path_leaf = NULL;
	d->table_to = 0;
}

void delta_free(struct delta *d)
{
	if (!d)
		return;
	forget_file(d);
	for (size_t i = 0; i < SETS; i++) {
		free(d->sets[i].fps);
		free(d->sets[i].marks);
	}
	free(d->pieces);
	free(d->slots);
	free(d->filter);
	free(d);
}

/* ---- the old file ---- */

static bool add_window(struct delta *d, const struct record *r, struct leaf *leaf)
{
	struct old_window w = { .record = r, .start = r->position };
	uint64_t at = r->position;

	w.starts = calloc(r->nextents + 1, sizeof(*w.starts));
	if (!w.starts)
		return false;
	for (size_t i = 0; i < r->nextents; i++) {
		w.starts[i] = at;
		at += r->extents[i].len;
	}
	w.starts[r->nextents] = w.end = at;
	w.leaf = leaf_ref(leaf);
	if (d->nwindows == WINDOWS) {
		window_clear(&d->windows[0]);
		memmove(&d->windows[0], &d->windows[1], (WINDOWS - 1) * sizeof(w));
		d->nwindows--;
	}
	d->windows[d->nwindows++] = w;
	return true;
}

void delta_start(struct delta *d, struct tree *tree, const struct record *old, struct leaf *leaf)
{
	struct err e = ERR_INIT;
	const struct record *r;
	struct leaf *l;

	forget_file(d);
	d->tree = old->flags & RECORD_CONTINUED ? tree : NULL;
	d->path = old->path;
	d->path_len = old->path_len;
	d->path_leaf = leaf_ref(leaf);
	d->exhausted = !d->tree;
	d->shift = 0;
	d->backoff = d->skip = 0;
	if (!add_window(d, old, leaf))
		d->exhausted = true;
	/* Stand behind the entry, before its first continuation. */
	if (!d->exhausted && (tree_seek(d->tree, old->path, old->path_len, &e) < 0 ||
	                      tree_next(d->tree, &r, &l, &e) < 0 || !r))
		d->exhausted = true;
}

/* Reads continuations until the window that holds off is at hand. */
static void load_to(struct delta *d, uint64_t off)
{
	struct err e = ERR_INIT;
	const struct record *r;
	struct leaf *l;

	while (!d->exhausted && d->nwindows && off >= d->windows[d->nwindows - 1].end) {
		if (tree_next(d->tree, &r, &l, &e) < 0 || !r || r->position == 0 ||
		    r->path_len != d->path_len || memcmp(r->path, d->path, r->path_len) != 0 ||
		    !add_window(d, r, l))
			d->exhausted = true;
	}
}

static const struct page_set *chunk_pages(struct delta *d, const struct chunk_ref *ref)
{
	for (size_t i = 0; i < SETS; i++)
		if (d->set_used[i] && memcmp(d->sets[i].id, ref->id, sizeof(ref->id)) == 0)
			return d->set_missing[i] ? NULL : &d->sets[i];
	unsigned i = d->next_set;
	d->next_set = (i + 1) % SETS;
	d->set_used[i] = true;
	d->set_missing[i] = !pages_get(d->pages, ref->id, ref->plain, &d->sets[i]);
	memcpy(d->sets[i].id, ref->id, sizeof(ref->id));
	return d->set_missing[i] ? NULL : &d->sets[i];
}

static const struct old_window *window_of(const struct delta *d, uint64_t off)
{
	for (size_t i = 0; i < d->nwindows; i++)
		if (off >= d->windows[i].start && off < d->windows[i].end)
			return &d->windows[i];
	return NULL;
}

/* The extent that holds off, or NULL; *ret_into: how far in it off is. */
static const struct extent *extent_at(struct delta *d, uint64_t off,
                                      const struct old_window **ret_window, uint64_t *ret_into)
{
	load_to(d, off);
	const struct old_window *w = window_of(d, off);
	if (!w)
		return NULL;
	size_t lo = 0, hi = w->record->nextents;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->starts[mid] <= off)
			lo = mid;
		else
			hi = mid;
	}
	*ret_window = w;
	*ret_into = off - w->starts[lo];
	return &w->record->extents[lo];
}

/*
 * The page that starts at old offset off. false: none can be compared there;
 * then *ret_next is the next offset where looking again makes sense (> off,
 * UINT64_MAX at the end).
 */
static bool old_page_at(struct delta *d, uint64_t off, struct old_page *ret, uint64_t *ret_next)
{
	const struct old_window *w;
	uint64_t into;
	const struct extent *x = extent_at(d, off, &w, &into);

	*ret_next = UINT64_MAX;
	if (!x)
		return false;
	uint64_t left = x->len - into;
	uint64_t end = off + left;

	if (x->chunk < 0) {
		*ret = (struct old_page){
			.zero = true,
			.len = left < FORMAT_PAGE_BYTES ? (uint32_t)left : FORMAT_PAGE_BYTES,
		};
		return true;
	}
	const struct chunk_ref *ref = &w->leaf->chunks[x->chunk];
	if (chunk_absent(ref)) {
		*ret_next = end;
		return false;
	}
	uint32_t coff = x->off + (uint32_t)into;
	uint32_t rest = ref->plain - coff;
	uint32_t len = rest < FORMAT_PAGE_BYTES ? rest : FORMAT_PAGE_BYTES;
	const struct page_set *set = chunk_pages(d, ref);
	if (!set) {
		*ret_next = end;
		return false;
	}
	if (coff % FORMAT_PAGE_BYTES) {
		uint64_t step = FORMAT_PAGE_BYTES - coff % FORMAT_PAGE_BYTES;

		*ret_next = step < left ? off + step : end;
		return false;
	}
	if (len > left) {
		*ret_next = end;
		return false;
	}
	uint32_t page = coff / FORMAT_PAGE_BYTES;
	*ret = (struct old_page){
		.len = len,
		.fp = set->fps[page],
		.mark = set->marks[page],
		.ref = ref,
		.leaf = w->leaf,
		.chunk_off = coff,
	};
	return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static bool same(const struct delta *d, const struct old_page *page, const uint8_t *p)
{
	uint8_t fp[CRYPT_FP_BYTES];

	if (page->zero)
		return all_zero(p, page->len);
	/* The mark is one byte in sixty-four of a page; computing it first would save little. */
	crypt_page_fp(d->hasher, p, page->len, fp);
	return memcmp(fp, page->fp, sizeof(fp)) == 0;
}

bool delta_old_at(struct delta *d, uint64_t off, struct delta_old *ret)
{
	const struct old_window *w;
	uint64_t into;
	const struct extent *x = extent_at(d, off, &w, &into);

	d->shift = 0;
	*ret = (struct delta_old){ .len = UINT64_MAX };
	if (!x)
		return false;
	ret->len = x->len - into;
	if (x->chunk < 0) {
		ret->kind = x->chunk;
		return true;
	}
	ret->ref = &w->leaf->chunks[x->chunk];
	ret->leaf = w->leaf;
	ret->chunk_off = x->off + (uint32_t)into;
	return !chunk_absent(ret->ref);
}

enum delta_same delta_compare(struct delta *d, const uint8_t *p, uint64_t avail, uint64_t off,
                              uint64_t *ret_len)
{
	static const uint8_t zeros[FORMAT_PAGE_BYTES];
	struct old_page page;
	struct delta_old old;
	uint64_t next;

	if (!p && delta_old_at(d, off, &old) && old.kind < 0) {
		*ret_len = old.len < avail ? old.len : avail;
		return DELTA_SAME;
	}
	if (!old_page_at(d, off, &page, &next)) {
		*ret_len = next == UINT64_MAX ? next : next - off;
		return DELTA_UNKNOWN;
	}
	if (page.zero && page.len > avail)
		page.len = (uint32_t)avail;
	*ret_len = page.len;
	if (page.len > avail)
		return DELTA_UNKNOWN;
	return same(d, &page, p ? p : zeros) ? DELTA_SAME : DELTA_DIFFERS;
}

/* ---- search ---- */

static void table_add(struct delta *d, uint32_t mark, uint64_t off)
{
	size_t at = mark & (SEARCH_SLOTS - 1);

	for (size_t i = 0; i < 32; i++, at = (at + 1) & (SEARCH_SLOTS - 1)) {
		if (d->slots[at].off_plus_1)
			continue;
		d->slots[at] = (struct search_slot){ mark, off + 1 };
		d->filter[(mark & 0xffff) >> 3] |= (uint8_t)(1 << (mark & 7));
		return;
	}
}

/* Fills the table with whole pages of the old range around off. */
static void build_table(struct delta *d, uint64_t off)
{
	uint64_t from = off > SEARCH_AROUND ? off - SEARCH_AROUND : 0;
	uint64_t to = off + SEARCH_AROUND;
	struct old_page page;
	uint64_t next;

	if (d->table_to && off >= d->table_from + SEARCH_AROUND / 2 &&
	    off <= d->table_to - SEARCH_AROUND / 2)
		return;
	memset(d->slots, 0, SEARCH_SLOTS * sizeof(*d->slots));
	memset(d->filter, 0, 8192);
	d->table_from = from;
	d->table_to = to;
	for (uint64_t at = from; at < to;) {
		if (!old_page_at(d, at, &page, &next)) {
			if (next == UINT64_MAX)
				break;
			at = next;
			continue;
		}
		if (!page.zero && page.len == FORMAT_PAGE_BYTES)
			table_add(d, page.mark, at);
		at += page.len;
	}
}

/* Looks for an old page in p[from .. n), pages reaching up to avail. Sets *ret_at and the shift. */
static bool search(struct delta *d, const uint8_t *p, size_t from, size_t n, size_t avail,
                   uint64_t off, size_t *ret_at)
{
	uint64_t h = 0;
	unsigned checks = 0;
	struct old_page page;
	uint64_t next;
	int64_t expected = (int64_t)(off + from) - d->shift;

	build_table(d, expected > 0 ? (uint64_t)expected : 0);
	if (avail < FORMAT_PAGE_BYTES)
		return false;
	size_t last = n < avail - FORMAT_PAGE_BYTES + 1 ? n : avail - FORMAT_PAGE_BYTES + 1;
	for (size_t i = from; i < avail && i < from + 63; i++)
		h = (h << 1) + d->chunker->gear[p[i]];
	for (size_t at = from; at < last; at++) {
		h = (h << 1) + d->chunker->gear[p[at + 63]];
		uint32_t mark = (uint32_t)(h >> 32);

		if (!(d->filter[(mark & 0xffff) >> 3] & 1 << (mark & 7)))
			continue;
		size_t slot = mark & (SEARCH_SLOTS - 1);
		for (size_t i = 0; i < 32 && d->slots[slot].off_plus_1;
		     i++, slot = (slot + 1) & (SEARCH_SLOTS - 1)) {
			uint64_t old = d->slots[slot].off_plus_1 - 1;

			if (d->slots[slot].mark != mark)
				continue;
			if (++checks > SEARCH_CHECKS)
				return false;
			if (old_page_at(d, old, &page, &next) && !page.zero &&
			    page.len == FORMAT_PAGE_BYTES && same(d, &page, p + at)) {
				d->shift = (int64_t)(off + at) - (int64_t)old;
				*ret_at = at;
				return true;
			}
		}
	}
	return false;
}

/* ---- windows ---- */

static void add_piece(struct delta *d, enum delta_kind kind, uint64_t off, uint64_t len,
                      const struct old_page *page)
{
	struct delta_piece *last = d->npieces ? &d->pieces[d->npieces - 1] : NULL;

	if (len == 0)
		return;
	if (last && last->kind == kind &&
	    (kind != DELTA_OLD ||
	     (last->ref == page->ref && last->chunk_off + last->len == page->chunk_off))) {
		last->len += len;
		return;
	}
	if (page && page->leaf)
		(void)leaf_ref(page->leaf);
	d->pieces[d->npieces++] = (struct delta_piece){
		.kind = kind,
		.off = off,
		.len = len,
		.ref = page ? page->ref : NULL,
		.leaf = page ? page->leaf : NULL,
		.chunk_off = page ? page->chunk_off : 0,
	};
}

size_t delta_window(struct delta *d, const uint8_t *p, size_t n, size_t avail, uint64_t off,
                    const struct delta_piece **ret_pieces, size_t *ret_consumed)
{
	size_t at = 0;
	size_t literal = 0; /* start of the unmatched bytes before `at` */
	unsigned misses = 0;
	bool may_search = d->skip == 0;
	struct old_page page;
	uint64_t next;

	forget_pieces(d);
	if (d->skip)
		d->skip--;
	while (at < n && d->npieces + 3 < PIECES_MAX) {
		int64_t old = (int64_t)(off + at) - d->shift;
		size_t step = n - at;

		if (old < 0) {
			step = (uint64_t)-old < step ? (size_t)-old : step;
		} else if (old_page_at(d, (uint64_t)old, &page, &next)) {
			if (page.len <= avail - at && same(d, &page, p + at)) {
				add_piece(d, DELTA_LITERAL, off + literal, at - literal, NULL);
				add_piece(d, page.zero ? DELTA_ZERO : DELTA_OLD, off + at, page.len,
				          &page);
				at += page.len;
				literal = at;
				misses = 0;
				continue;
			}
			step = page.len < step ? page.len : step;
		} else if (next != UINT64_MAX && next - (uint64_t)old < step) {
			step = (size_t)(next - (uint64_t)old);
		}
		at += step;
		misses++;
		if (may_search &&
		    (misses == MISSES_BEFORE_SEARCH || (at >= n && at - literal > 0))) {
			size_t found;

			if (search(d, p, literal, n, avail, off, &found)) {
				at = found;
				misses = 0;
				d->backoff = 0;
				continue;
			}
			may_search = false;
			/* A window that is new throughout: search less and less often. */
			if (literal == 0) {
				d->backoff = d->backoff < 6 ? d->backoff + 1 : 6;
				d->skip = (1U << d->backoff) - 1;
			}
		}
	}
	if (at < n)
		at = n;
	add_piece(d, DELTA_LITERAL, off + literal, at - literal, NULL);
	*ret_pieces = d->pieces;
	*ret_consumed = at;
	return d->npieces;
}
