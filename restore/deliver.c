/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks arrive from the reader's threads, in any order, and are written to
 * wherever the window says. Where the target had content before, it is read
 * first, and only pages that differ are written.
 */
#include <errno.h>
#include <string.h>

#include "common/fd.h"
#include "repo/crypt.h"
#include "restore/restore_impl.h"

struct context *context_get(struct restore *x)
{
	(void)pthread_mutex_lock(&x->lock);
	struct context *c = x->contexts;
	if (c)
		x->contexts = c->next;
	(void)pthread_mutex_unlock(&x->lock);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c)
		c->worker = (struct target_worker)TARGET_WORKER_NONE;
	return c;
}

void context_put(struct restore *x, struct context *c)
{
	(void)pthread_mutex_lock(&x->lock);
	c->next = x->contexts;
	x->contexts = c;
	(void)pthread_mutex_unlock(&x->lock);
}

void restore_progress(struct restore *x, uint64_t bytes, uint64_t files)
{
	if (!x->params->counts)
		return;
	if (bytes)
		atomic_fetch_add_explicit(&x->params->counts->bytes_done, bytes,
		                          memory_order_relaxed);
	if (files)
		atomic_fetch_add_explicit(&x->params->counts->files_done, files,
		                          memory_order_relaxed);
}

bool restore_is_loss(const struct err *why)
{
	return why->class == ERR_CORRUPT || why->class == ERR_NOT_FOUND || why->class == ERR_FORMAT;
}

int restore_damage(struct restore *x, const struct record *r, uint64_t off, uint64_t len,
                   const struct err *why, struct err *e)
{
	if (restore_is_loss(why) && x->params->on_corrupt == CORRUPT_SKIP) {
		if (x->params->counts)
			atomic_fetch_add(&x->params->counts->errors, 1);
		report_gap(x->report, GAP_RANGE, r->path, r->path_len, NULL, 0, off, len, why->msg);
		return 0;
	}
	*e = *why;
	if (restore_is_loss(why))
		e->class = ERR_CORRUPT;
	return err_wrap(e, "restoring '%.*s', bytes %llu to %llu", (int)r->path_len, r->path,
	                (unsigned long long)off, (unsigned long long)(off + len));
}

static int context_room(struct context *c, size_t n, struct err *e)
{
	if (n <= c->cap)
		return 0;
	free(c->buf);
	c->cap = 0;
	n = (n + MIB - 1) & ~(MIB - 1);
	c->buf = malloc(n);
	if (!c->buf)
		return err_set(e, ERR_NOMEM, "no memory for comparing %zu bytes", n);
	c->cap = n;
	return 0;
}

/* ---- writing ---- */

static int write_bytes(struct restore *x, struct rfile *f, const uint8_t *p, size_t n, uint64_t off,
                       struct err *e)
{
	if (fd_pwrite_full(f->file.fd, p, n, off) < 0)
		return err_sys(e, errno, "writing '%.*s'", (int)f->rec->path_len, f->rec->path);
	atomic_fetch_add_explicit(&x->report->written, n, memory_order_relaxed);
	return 0;
}

/* The end of the page of the file that off lies in, at most end. */
static uint64_t page_end(uint64_t off, uint64_t end)
{
	uint64_t next = (off | (FORMAT_PAGE_BYTES - 1)) + 1;

	return next < end ? next : end;
}

/* Brings a piece of a file that had content before to p, writing only pages that differ. */
static int merge_bytes(struct restore *x, struct context *c, struct rfile *f, const uint8_t *p,
                       size_t n, uint64_t off, struct err *e)
{
	uint64_t end = off + n;
	uint64_t at = off;

	if (context_room(c, n, e) < 0)
		return -1;
	ssize_t got = fd_pread_full(f->file.fd, c->buf, n, off);
	if (got < 0)
		return err_sys(e, errno, "reading '%.*s'", (int)f->rec->path_len, f->rec->path);
	uint64_t have = off + (uint64_t)got;
	while (at < end) {
		uint64_t from = at;

		/* as long as pages are the same */
		for (uint64_t to; at < have && (to = page_end(at, end)) <= have; at = to) {
			if (memcmp(c->buf + (at - off), p + (at - off), (size_t)(to - at)) != 0)
				break;
		}
		atomic_fetch_add_explicit(&x->report->same, at - from, memory_order_relaxed);
		from = at;
		/* as long as they differ, or are not there */
		for (uint64_t to; at < end; at = to) {
			to = page_end(at, end);
			if (to <= have &&
			    memcmp(c->buf + (at - off), p + (at - off), (size_t)(to - at)) == 0)
				break;
		}
		if (at == from)
			continue;
		if (x->compare) {
			atomic_store_explicit(&f->differs, true, memory_order_relaxed);
			atomic_fetch_add_explicit(&x->report->written, at - from,
			                          memory_order_relaxed);
		} else if (write_bytes(x, f, p + (from - off), (size_t)(at - from), from, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int deliver_blank(struct restore *x, struct rfile *f, bool allocate, uint64_t off, uint64_t len,
                  struct err *e)
{
	const struct target_ops *ops = x->target->ops;

	if (f->file.fd < 0)
		return 0;
	if (x->in_place && !x->base && f->file.existing) {
		int zero = target_is_zero(f->file.fd, off, len, e);

		if (zero < 0)
			return err_wrap(e, "comparing '%.*s'", (int)f->rec->path_len, f->rec->path);
		if (zero == 0 && x->compare)
			atomic_store_explicit(&f->differs, true, memory_order_relaxed);
		/*
		 * Old zeros may take space where the point has none; only a hole is made of
		 * them.
		 */
		if (zero > 0 && (allocate || x->target->ops->whole))
			return 0;
	}
	if (x->compare)
		return 0;
	if ((allocate ? ops->zeros : ops->hole)(x->target, &f->file, off, len, e) < 0)
		return err_wrap(e, "restoring '%.*s'", (int)f->rec->path_len, f->rec->path);
	return 0;
}

/* ---- finishing ---- */

static int finish(struct restore *x, struct rfile *f, struct err *e)
{
	if (atomic_load_explicit(&f->differs, memory_order_relaxed))
		report_gap(x->report, GAP_DIFFERS, f->rec->path, f->rec->path_len, NULL, 0, 0, 0,
		           "the content differs");
	if (x->target->ops->finish(x->target, &f->place, f->rec, &f->file, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&x->report->files, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&x->report->bytes, f->rec->st.size, memory_order_relaxed);
	restore_progress(x, 0, 1);
	atomic_store_explicit(&f->done, true, memory_order_release);
	return 0;
}

int deliver_count(struct restore *x, struct rfile *f, struct err *e)
{
	if (atomic_fetch_sub_explicit(&f->pending, 1, memory_order_acq_rel) > 1)
		return 0;
	return finish(x, f, e);
}

/* ---- deliveries ---- */

/* The pieces from first up to end, all of one file, which this delivery makes and finishes. */
static int deliver_whole(struct restore *x, struct context *c, struct piece *first,
                         const struct piece *end, const uint8_t *plain, const struct err *why,
                         struct err *e)
{
	const struct target_ops *ops = x->target->ops;
	struct rfile *f = first->file;
	uint64_t written_to = 0;
	uint64_t bytes = 0;

	if (ops->open(x->target, &c->worker, &f->place, f->rec, TARGET_CREATE, &f->file, e) < 0)
		return -1;
	for (const struct piece *p = first; p != end; p = p->next) {
		if (!plain) {
			if (restore_damage(x, f->rec, p->off, p->len, why, e) < 0)
				goto fail;
		} else {
			if (write_bytes(x, f, plain + p->chunk_off, p->len, p->off, e) < 0)
				goto fail;
			if (p->off + p->len > written_to)
				written_to = p->off + p->len;
		}
		bytes += p->len;
	}
	if (written_to < f->rec->st.size && ftruncate(f->file.fd, (off_t)f->rec->st.size) < 0) {
		err_sys(e, errno, "setting the size of '%.*s'", (int)f->rec->path_len,
		        f->rec->path);
		goto fail;
	}
	restore_progress(x, bytes, 0);
	return finish(x, f, e);

fail:
	ops->discard(x->target, &c->worker, &f->place, &f->file);
	return -1;
}

/* The same for a file that is open and waits for other chunks as well. */
static int deliver_part(struct restore *x, struct context *c, struct piece *first,
                        const struct piece *end, const uint8_t *plain, const struct err *why,
                        struct err *e)
{
	struct rfile *f = first->file;
	uint64_t bytes = 0;

	for (const struct piece *p = first; p != end; p = p->next) {
		bytes += p->len;
		if (p->same)
			continue;
		if (!plain) {
			/* What was there is of another state: the gap is a hole, as it is told. */
			if (restore_damage(x, f->rec, p->off, p->len, why, e) < 0 ||
			    (!x->compare && f->file.existing &&
			     x->target->ops->hole(x->target, &f->file, p->off, p->len, e) < 0))
				return -1;
			continue;
		}
		const uint8_t *at = plain + p->chunk_off;
		if (x->in_place && f->file.existing) {
			if (merge_bytes(x, c, f, at, p->len, p->off, e) < 0)
				return -1;
		} else if (write_bytes(x, f, at, p->len, p->off, e) < 0) {
			return -1;
		}
	}
	restore_progress(x, bytes, 0);
	return deliver_count(x, f, e);
}

static int deliver_want(struct restore *x, struct context *c, struct want *n, const uint8_t *plain,
                        const struct err *why, struct err *e)
{
	struct piece *end;

	for (struct piece *p = n->head; p; p = end) {
		for (end = p->next; end && end->file == p->file;)
			end = end->next;
		int r = p->file->shared ? deliver_part(x, c, p, end, plain, why, e)
		                        : deliver_whole(x, c, p, end, plain, why, e);
		if (r < 0)
			return -1;
	}
	return 0;
}

int deliver_chunk(void *ctx, struct reader_want *w, const uint8_t *plain, size_t n,
                  const struct err *why, struct err *e)
{
	struct restore *x = ctx;
	struct want *want = w->arg;

	if (plain && n != want->ref.plain)
		return err_set(e, ERR_BUG, "a chunk of %u bytes came with %zu", want->ref.plain, n);
	struct context *c = context_get(x);
	if (!c)
		return err_set(e, ERR_NOMEM, "no memory for writing");
	int r = deliver_want(x, c, want, plain, why, e);
	context_put(x, c);
	/*
	 * After a failure the window never completes: whoever waits for it is woken by the
	 * reader's error.
	 */
	if (r == 0)
		atomic_fetch_sub_explicit(&want->window->outstanding, 1, memory_order_acq_rel);
	return r;
}

/* ---- what is there already ---- */

/* Reads the piece's bytes from the target to `to`. */
static bool read_piece(const struct piece *p, uint8_t *to)
{
	const struct target_file *f = &p->file->file;

	return f->fd >= 0 && f->existing && p->off < f->old_size &&
	       fd_pread_full(f->fd, to, p->len, p->off) == (ssize_t)p->len;
}

static bool is_chunk(const struct restore *x, const struct want *n, const uint8_t *p)
{
	uint8_t id[FORMAT_ID_BYTES];

	crypt_chunk_id(&x->hasher, p, n->ref.plain, id, NULL);
	return memcmp(id, n->ref.id, sizeof(id)) == 0;
}

/* Pieces of one chunk side by side, without gap or overlap, in the order of the list. */
static bool tiles(const struct want *n)
{
	uint32_t at = 0;

	for (const struct piece *p = n->head; p; p = p->next) {
		if (p->chunk_off != at)
			return false;
		at += p->len;
	}
	return at == n->ref.plain;
}

/*
 * Only whole chunks have an id to compare with. Files that share a chunk are
 * compared together; what is not the same then is fetched and compared.
 */
void deliver_check(void *arg, size_t i)
{
	struct deliver_check *check = arg;
	struct restore *x = check->x;
	struct want *n = check->wants[i];
	struct err ignored = ERR_INIT;
	bool all = true;

	struct context *c = context_get(x);
	if (!c)
		return;
	if (context_room(c, n->ref.plain, &ignored) < 0) {
		context_put(x, c);
		return;
	}
	if (n->head->next && tiles(n)) {
		for (struct piece *p = n->head; p && all; p = p->next)
			all = read_piece(p, c->buf + p->chunk_off);
		all = all && is_chunk(x, n, c->buf);
		for (struct piece *p = n->head; p; p = p->next)
			p->same = all;
	} else {
		for (struct piece *p = n->head; p; p = p->next) {
			p->same = p->len == n->ref.plain && read_piece(p, c->buf) &&
			          is_chunk(x, n, c->buf);
			all = all && p->same;
		}
	}
	for (struct piece *p = n->head; p; p = p->next) {
		if (p->same)
			atomic_fetch_add_explicit(&x->report->same, p->len, memory_order_relaxed);
	}
	n->same = all;
	context_put(x, c);
}
