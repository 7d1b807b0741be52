/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From records to windows, by the thread that walks the tree. A file whose
 * content comes out of one chunk is left to the delivery of that chunk; every
 * other one is opened here, so that its deliveries find it open and need no
 * lock. Up to two windows are under way while the next one is filled.
 */
#include <errno.h>
#include <string.h>

#include "restore/restore_impl.h"

#define UNDER_WAY_MAX 2U
#define SMALL_EXTENTS 64
#define SMALL_BYTES (8 * MIB)

/* A large file has its record and place with it, since it may outlive its window. */
struct large {
	struct rfile f;
	struct record rec;
	struct target_parent dir;
	char text[]; /* path of the directory, path of the file */
};

static struct window *take_window(struct restore *x)
{
	struct window *w = x->spare;

	if (!w)
		return window_new(x->window_bytes);
	x->spare = w->next;
	w->next = NULL;
	return w;
}

/* ---- sending off ---- */

static bool is_delivered(void *arg)
{
	struct window *w = arg;

	return atomic_load_explicit(&w->outstanding, memory_order_acquire) == 0;
}

static void free_large(struct rfile *f)
{
	leaf_unref(f->leaf);
	free(f); /* the first member of its struct large */
}

static void drop_done(struct restore *x)
{
	struct rfile **at = &x->large;

	while (*at) {
		struct rfile *f = *at;

		if (f == x->cur || !atomic_load_explicit(&f->done, memory_order_acquire)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		free_large(f);
	}
}

/* Waits for the oldest window and does what waited for it. */
static int retire(struct restore *x, struct err *e)
{
	struct window *w = x->first;

	if (reader_wait(x->reader, is_delivered, w, e) < 0)
		return -1;
	while (w->later) {
		struct later *l = w->later;

		w->later = l->next;
		if (restore_later(x, l, e) < 0)
			return -1;
	}
	drop_done(x);
	x->first = w->next;
	if (!x->first)
		x->last = &x->first;
	x->nunder_way--;
	window_reset(w);
	w->next = x->spare;
	x->spare = w;
	return 0;
}

/* What the target has already needs no fetching; it counts as delivered. */
static int count_same(struct restore *x, const struct want *n, struct err *e)
{
	const struct piece *end;

	for (const struct piece *p = n->head; p; p = end) {
		uint64_t bytes = p->len;

		for (end = p->next; end && end->file == p->file; end = end->next)
			bytes += end->len;
		restore_progress(x, bytes, 0);
		if (deliver_count(x, p->file, e) < 0)
			return -1;
	}
	return 0;
}

static int check_existing(struct restore *x, struct window *w, struct err *e)
{
	auto_free struct want **wants = reallocarray(NULL, w->nwants + 1, sizeof(struct want *));
	size_t n = 0;

	if (!wants)
		return err_set(e, ERR_NOMEM, "no memory for comparing");
	for (struct want *at = w->wants; at; at = at->next)
		wants[n++] = at;
	struct deliver_check check = { .x = x, .wants = wants };
	crew_run(x->crew, n, deliver_check, &check);
	for (struct want *at = w->wants; at; at = at->next) {
		if (at->same && count_same(x, at, e) < 0)
			return -1;
	}
	return 0;
}

int fill_submit(struct restore *x, struct err *e)
{
	struct window *w = x->now;
	size_t n = 0;

	if (window_empty(w)) {
		/* Large files that nothing was fetched for. */
		w->nshared = 0;
		return 0;
	}
	auto_free struct reader_want *wants = reallocarray(NULL, w->nwants + 1, sizeof(*wants));
	struct window *next = take_window(x);
	if (!wants || !next) {
		window_free(next);
		return err_set(e, ERR_NOMEM, "no memory for restoring");
	}
	x->now = next;
	*x->last = w;
	x->last = &w->next;
	x->nunder_way++;
	if (x->in_place && !x->base && check_existing(x, w, e) < 0)
		return -1;
	for (struct want *at = w->wants; at; at = at->next) {
		if (!at->same)
			wants[n++] = (struct reader_want){ .ref = at->ref, .arg = at };
	}
	atomic_store(&w->outstanding, n);
	if (reader_submit(x->reader, x->domain, wants, n, e) < 0)
		return -1;
	while (x->nunder_way > UNDER_WAY_MAX) {
		if (retire(x, e) < 0)
			return -1;
	}
	return 0;
}

int fill_finish(struct restore *x, struct err *e)
{
	if (fill_submit(x, e) < 0)
		return -1;
	while (x->first) {
		if (retire(x, e) < 0)
			return -1;
	}
	return 0;
}

static void discard(struct restore *x, struct rfile *f)
{
	if (f->shared && !atomic_load(&f->done) && f->file.fd >= 0)
		x->target->ops->discard(x->target, &x->worker, &f->place, &f->file);
}

static void abort_window(struct restore *x, struct window *w)
{
	if (!w)
		return;
	for (struct rfile *f = w->files; f; f = f->next)
		discard(x, f);
	for (struct later *l = w->later; l; l = l->next)
		dir_meta_free(l->meta);
	window_free(w);
}

void fill_abort(struct restore *x)
{
	for (struct window *w = x->first, *next; w; w = next) {
		next = w->next;
		abort_window(x, w);
	}
	x->first = NULL;
	abort_window(x, x->now);
	x->now = NULL;
	for (struct window *w = x->spare, *next; w; w = next) {
		next = w->next;
		window_free(w);
	}
	x->spare = NULL;
	for (struct rfile *f = x->large, *next; f; f = next) {
		next = f->next;
		discard(x, f);
		free_large(f);
	}
	x->large = x->cur = NULL;
}

/* ---- files ---- */

/* Is what the target has of the file changed, if there is something? */
static bool is_changed(const struct restore *x, const struct rfile *f)
{
	return x->base ? f->based : x->in_place;
}

/* Opens the file now. Comparing, *ret_absent says that it is not there. */
static int open_now(struct restore *x, struct rfile *f, bool *ret_absent, struct err *e)
{
	struct target *t = x->target;
	enum target_how how = is_changed(x, f) ? TARGET_CHANGE : TARGET_CREATE;
	uint64_t size = f->rec->st.size;

	*ret_absent = false;
	if (t->ops->open(t, &x->worker, &f->place, f->rec, how, &f->file, e) < 0)
		return -1;
	f->shared = true;
	if (f->based && base_check(x, f, e) < 0)
		return -1;
	if (f->file.fd < 0) {
		*ret_absent = true;
		atomic_store(&f->done, true);
		atomic_fetch_add(&x->report->written, size);
		report_gap(x->report, GAP_DIFFERS, f->rec->path, f->rec->path_len, NULL, 0, 0, 0,
		           "it is not there, or cannot be read");
		return 0;
	}
	x->now->nshared++;
	uint64_t old = f->file.existing ? f->file.old_size : 0;
	if (t->ops->whole || old == size)
		return 0;
	if (x->compare)
		atomic_store(&f->differs, true);
	else if (ftruncate(f->file.fd, (off_t)size) < 0)
		return err_sys(e, errno, "setting the size of '%.*s'", (int)f->rec->path_len,
		               f->rec->path);
	return 0;
}

/* [done, done + len) of an extent, which is at byte off of the file. */
static int add_piece(struct restore *x, struct rfile *f, const struct extent *n,
                     const struct chunk_ref *ref, uint64_t off, uint64_t done, uint64_t len,
                     struct err *e)
{
	bool more = false;

	if (!ref) {
		if (deliver_blank(x, f, n->chunk == EXTENT_ZERO, off, len, e) < 0)
			return -1;
		restore_progress(x, len, 0);
		return 0;
	}
	if (f->large && window_full(x->now) && fill_submit(x, e) < 0)
		return -1;
	if (window_piece(x->now, f, ref, off, n->off + (uint32_t)done, (uint32_t)len, &more) < 0)
		return err_set(e, ERR_NOMEM, "no memory for restoring");
	if (more && f->large)
		atomic_fetch_add_explicit(&f->pending, 1, memory_order_relaxed);
	f->groups += more;
	return 0;
}

/* Of an extent, which is at byte off of the file, what the base has not. */
static int add_changed(struct restore *x, struct rfile *f, const struct extent *n,
                       const struct chunk_ref *ref, uint64_t off, struct err *e)
{
	uint64_t len;
	bool same;

	for (uint64_t done = 0; done < n->len; done += len) {
		if (base_stretch(x, f->rec, n, ref, off + done, done, &len, &same, e) < 0 ||
		    (!same && add_piece(x, f, n, ref, off + done, done, len, e) < 0))
			return -1;
	}
	return 0;
}

static int add_extents(struct restore *x, struct rfile *f, const struct record *r,
                       const struct leaf *leaf, struct err *e)
{
	uint64_t off = f->next_off;

	for (size_t i = 0; i < r->nextents; i++) {
		const struct extent *n = &r->extents[i];
		const struct chunk_ref *ref = n->chunk < 0 ? NULL : &leaf->chunks[n->chunk];

		if (n->len > f->rec->st.size - off)
			return err_set(e, ERR_FORMAT, "'%.*s' has more content than its size says",
			               (int)f->rec->path_len, f->rec->path);
		if ((f->based ? add_changed(x, f, n, ref, off, e)
		              : add_piece(x, f, n, ref, off, 0, n->len, e)) < 0)
			return -1;
		off += n->len;
	}
	f->next_off = off;
	return 0;
}

static struct rfile *large_new(struct restore *x, const struct target_place *at,
                               const struct record *r, struct leaf *leaf)
{
	size_t dir_len = at->dir->len;
	struct large *l = calloc(1, sizeof(*l) + dir_len + r->path_len + 2);

	if (!l)
		return NULL;
	char *path = l->text + dir_len + 1;
	memcpy(l->text, at->dir->path, dir_len);
	memcpy(path, r->path, r->path_len);
	l->dir = (struct target_parent){ .id = at->dir->id, .path = l->text, .len = dir_len };
	l->rec = *r;
	l->rec.path = path;
	l->f.rec = &l->rec;
	l->f.place = (struct target_place){ .dir = &l->dir,
		                            .name = path + r->path_len - strlen(at->name) };
	l->f.file.fd = -1;
	l->f.large = true;
	l->f.leaf = leaf_ref(leaf);
	atomic_store(&l->f.pending, 1); /* until fill_end() */
	l->f.next = x->large;
	x->large = &l->f;
	x->cur = &l->f;
	return &l->f;
}

static bool has_zeros(const struct record *r)
{
	for (size_t i = 0; i < r->nextents; i++) {
		if (r->extents[i].chunk == EXTENT_ZERO)
			return true;
	}
	return false;
}

/* All extents of a small file are in the window. */
static int small_done(struct restore *x, struct rfile *f, struct err *e)
{
	bool absent;

	if (f->groups == 1 && f->file.fd < 0)
		return 0; /* the delivery makes it */
	if (f->file.fd < 0 && open_now(x, f, &absent, e) < 0)
		return -1;
	if (f->groups == 0) {
		atomic_store(&f->pending, 1);
		return deliver_count(x, f, e);
	}
	atomic_store(&f->pending, f->groups);
	return 0;
}

int fill_file(struct restore *x, const struct target_place *at, const struct record *r,
              struct leaf *leaf, struct err *e)
{
	bool large = r->flags & RECORD_CONTINUED || r->nextents > SMALL_EXTENTS ||
	             r->st.size > SMALL_BYTES;
	bool absent = false;

	struct rfile *f = large ? large_new(x, at, r, leaf) : window_file(x->now);
	if (!f || (!large && window_hold(x->now, leaf) < 0))
		return err_set(e, ERR_NOMEM, "no memory for restoring");
	if (!large) {
		f->rec = r;
		f->place = *at;
	}
	f->based = x->old != NULL;
	if ((large || is_changed(x, f) || has_zeros(r)) && open_now(x, f, &absent, e) < 0)
		return -1;
	if (absent)
		return 0;
	if (add_extents(x, f, r, leaf, e) < 0)
		return -1;
	return large ? 0 : small_done(x, f, e);
}

int fill_from(struct restore *x, const struct target_place *at, const struct record *r,
              struct leaf *leaf, uint64_t from, struct err *e)
{
	struct rfile *f = large_new(x, at, r, leaf);
	bool absent;

	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for restoring");
	f->based = true;
	f->next_off = from;
	return open_now(x, f, &absent, e);
}

void fill_pass(struct restore *x, uint64_t to)
{
	struct rfile *f = x->cur;

	if (f && f->based)
		f->next_off = to < f->rec->st.size ? to : f->rec->st.size;
}

int fill_more(struct restore *x, const struct record *r, struct leaf *leaf, struct err *e)
{
	struct rfile *f = x->cur;
	struct err why = ERR_INIT;

	if (!f || f->rec->path_len != r->path_len ||
	    memcmp(f->rec->path, r->path, r->path_len) != 0 || r->position < f->next_off) {
		err_set(&why, ERR_FORMAT, "a part of the file came without what is before it");
		return restore_damage(x, r, r->position, 0, &why, e);
	}
	if (f->file.fd < 0)
		return 0;
	if (r->position > f->next_off) {
		err_set(&why, ERR_CORRUPT, "the list of the file's parts has a gap");
		if (r->position > f->rec->st.size)
			return restore_damage(x, f->rec, f->next_off, 0, &why, e);
		if (restore_damage(x, f->rec, f->next_off, r->position - f->next_off, &why, e) < 0)
			return -1;
		f->next_off = r->position;
	}
	return add_extents(x, f, r, leaf, e);
}

int fill_end(struct restore *x, struct err *e)
{
	struct rfile *f = x->cur;
	struct err why = ERR_INIT;

	if (!f)
		return 0;
	if (f->file.fd < 0) {
		x->cur = NULL;
		return 0;
	}
	if (f->next_off < f->rec->st.size) {
		err_set(&why, ERR_CORRUPT, "the list of the file's parts ends early");
		if (restore_damage(x, f->rec, f->next_off, f->rec->st.size - f->next_off, &why, e) <
		    0)
			return -1;
	}
	x->cur = NULL;
	if (deliver_count(x, f, e) < 0)
		return -1;
	/* Of those that nothing is fetched for no window reminds. */
	if (x->base)
		drop_done(x);
	return 0;
}
