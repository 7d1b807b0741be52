/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams one file or device: holes by the source's data ranges, content cut
 * by content or in aligned blocks, and where the old version's pages are known
 * only what changed (delta.h). Where the source knows what changed since the view of the previous
 * point (claims.h), the rest is taken from that point unread.
 *
 * Files whose size is a multiple of 4096, and block volumes, are cut in
 * aligned blocks: databases and images change page by page in place. Others
 * are cut by content.
 */
#include <string.h>

#include "repo/claims.h"
#include "repo/writer_impl.h"

#define READ_BYTES (512 * KIB)
#define DELTA_FROM (64 * KIB)   /* smaller old files are read anew */
#define PIECE_CHUNK (256 * KIB) /* longer new stretches get chunks of their own */
#define WINDOW_EXTENTS 64       /* more in one window: written anew, as far as the budget goes */
#define RETRY_BYTES (GIB)       /* what is longer is handed on as it is read, and not retried */

/* A stretch of the new file. */
struct stretch {
	int64_t kind; /* 0 chunk, EXTENT_HOLE, EXTENT_ZERO */
	uint64_t len;
	struct pending_chunk *pending; /* reference, or NULL */
	const struct chunk_ref *ref;   /* of an old chunk, in leaf */
	struct leaf *leaf;             /* reference, or NULL */
	uint32_t off;
};

struct big {
	struct job *j;
	struct item *it;
	struct content *content;
	struct stretch *x;
	size_t n, cap;
	uint64_t at;    /* bytes of the file covered by x, and what was emitted */
	uint64_t start; /* of x[0] in the file */
	bool streaming; /* the entry's record is out */
	/* the chunk in the making */
	bool fixed;
	struct chunk_buf *buf;
	struct pending_chunk *chunk;
	size_t scanned;
	uint64_t hash;
	/* deltas */
	bool delta;   /* pages are compared with those of the old version */
	bool rewrite; /* this window is written anew, whatever it has in common with the old one */
	uint64_t rewrite_budget;
	/* claims */
	bool based;     /* the old version is that of the source's base, and there are claims */
	bool skipping;  /* what is not claimed is taken from the old version */
	bool comparing; /* … or compared with it */
	struct claims claims;
	uint64_t skipped;
};

static int failed_elsewhere(struct err *e)
{
	return err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
}

/* ---- stretches ---- */

/* Makes room for one more. */
static int grow(struct big *b, struct err *e)
{
	if (b->n < b->cap)
		return 0;
	size_t cap = b->cap ? 2 * b->cap : 256;
	void *p = reallocarray(b->x, cap, sizeof(*b->x));
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for the extents of a file");
	b->x = p;
	b->cap = cap;
	return 0;
}

static int add(struct big *b, const struct stretch *s, struct err *e)
{
	struct stretch *last = b->n ? &b->x[b->n - 1] : NULL;

	if (last && last->kind == s->kind && last->pending == s->pending && last->ref == s->ref &&
	    (s->kind < 0 || last->off + last->len == s->off)) {
		last->len += s->len;
		b->at += s->len;
		return 0;
	}
	if (grow(b, e) < 0)
		return -1;
	b->x[b->n] = *s;
	if (s->pending)
		atomic_fetch_add(&s->pending->refs, 1);
	if (s->leaf)
		(void)leaf_ref(s->leaf);
	b->n++;
	b->at += s->len;
	return 0;
}

static void drop(struct big *b, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		sealer_pending_unref(b->x[i].pending);
		leaf_unref(b->x[i].leaf);
	}
	memmove(b->x, b->x + n, (b->n - n) * sizeof(*b->x));
	b->n -= n;
}

static int add_empty(struct big *b, int64_t kind, uint64_t len, struct err *e)
{
	/* A block volume has no allocation to tell apart: zeros are holes. */
	if (b->it->n->block)
		kind = EXTENT_HOLE;
	return len ? add(b, &(struct stretch){ .kind = kind, .len = len }, e) : 0;
}

/* ---- handing records on ---- */

/* One record of stretches [0, n): the entry, or a continuation. */
static int emit(struct big *b, size_t n, bool more, struct err *e)
{
	struct job *j = b->j;
	struct wrecord *w = span_record(j, n, n, e);

	if (!w)
		return -1;
	if (!b->streaming) {
		record_of_item(&w->r, b->it);
		if (more)
			w->r.flags |= RECORD_CONTINUED;
	} else {
		w->r.path = b->it->n->path;
		w->r.path_len = b->it->n->path_len;
		w->r.position = b->start;
	}
	if (record_keep(j, &w->r, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct stretch *s = &b->x[i];

		w->extents[i] = (struct extent){ s->kind < 0 ? s->kind : (int64_t)i, s->off,
			                         s->len };
		w->list[i] = s->pending ? &s->pending->ref : s->ref;
		if (s->pending) {
			atomic_fetch_add(&s->pending->refs, 1);
			w->pending[w->npending++] = s->pending;
		}
		if (s->leaf && span_hold(j, s->leaf, e) < 0)
			return -1;
		b->start += s->len;
	}
	b->streaming = true;
	drop(b, n);
	return 0;
}

/* Hands on every window of 64 MiB that is complete; all: the rest too. */
static int emit_windows(struct big *b, bool all, struct err *e)
{
	for (;;) {
		uint64_t end = b->streaming ? b->start / FORMAT_WINDOW_BYTES + 1 : 1;
		uint64_t at = b->start;
		size_t n = 0;

		end *= FORMAT_WINDOW_BYTES;
		while (n < b->n && at < end) {
			/* Stretches of the open chunk may still be split. */
			if (!all && b->chunk && b->x[n].pending == b->chunk)
				return 0;
			at += b->x[n++].len;
		}
		if (n == b->n && !all)
			return 0;
		if (n == 0 && (b->streaming || !all))
			return 0;
		if (emit(b, n, n < b->n, e) < 0)
			return -1;
	}
}

/* ---- chunks ---- */

static int open_chunk(struct big *b, struct err *e)
{
	if (b->buf)
		return 0;
	b->chunk = sealer_pending();
	if (!b->chunk)
		return err_set(e, ERR_NOMEM, "no memory for a chunk");
	b->buf = sealer_buf(b->j->sealer);
	b->scanned = 0;
	return b->buf ? 0 : failed_elsewhere(e);
}

static void drop_chunk(struct big *b)
{
	if (b->buf)
		sealer_buf_return(b->j->sealer, STEAL(&b->buf));
	sealer_pending_unref(STEAL(&b->chunk));
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* The chunk is nothing but zeros: its stretches become empty ones. */
static void make_empty(struct big *b, const struct pending_chunk *chunk)
{
	for (size_t i = 0; i < b->n; i++) {
		struct stretch *s = &b->x[i];

		if (s->pending != chunk)
			continue;
		s->kind = b->it->n->block ? EXTENT_HOLE : EXTENT_ZERO;
		s->off = 0;
		sealer_pending_unref(STEAL(&s->pending));
	}
}

/* Puts a stretch at index i; references are the caller's business. */
static int insert(struct big *b, size_t i, const struct stretch *s, struct err *e)
{
	if (grow(b, e) < 0)
		return -1;
	memmove(&b->x[i + 1], &b->x[i], (b->n - i) * sizeof(*b->x));
	b->x[i] = *s;
	b->n++;
	return 0;
}

/* The stretches of `chunk` behind its first len bytes change over to the open chunk. */
static int change_sides(struct big *b, const struct pending_chunk *chunk, size_t len, struct err *e)
{
	for (size_t i = b->n; i > 0; i--) {
		struct stretch *s = &b->x[i - 1];

		if (s->kind < 0)
			continue;
		if (s->pending != chunk || s->off + s->len <= len)
			break;
		atomic_fetch_add(&b->chunk->refs, 1);
		if (s->off < len) {
			struct stretch tail = { .len = s->off + s->len - len, .pending = b->chunk };

			s->len = len - s->off;
			return insert(b, i, &tail, e);
		}
		sealer_pending_unref(s->pending);
		s->pending = b->chunk;
		s->off -= (uint32_t)len;
	}
	return 0;
}

/* Ends the chunk at len bytes; what is behind goes into the next one. */
static int cut(struct big *b, size_t len, struct err *e)
{
	struct chunk_buf *buf = STEAL(&b->buf);
	struct pending_chunk *chunk = STEAL(&b->chunk);
	size_t rest = buf->len - len;
	int rc = 0;

	if (rest) {
		rc = open_chunk(b, e);
		if (rc == 0) {
			memcpy(b->buf->data, buf->data + len, rest);
			b->buf->len = rest;
			rc = change_sides(b, chunk, len, e);
		}
		buf->len = len;
	}
	if (rc == 0 && all_zero(buf->data, len)) {
		make_empty(b, chunk);
		sealer_buf_return(b->j->sealer, buf);
	} else if (rc < 0) {
		sealer_buf_return(b->j->sealer, buf);
	} else if (!sealer_submit(b->j->sealer, buf, chunk, true)) {
		rc = failed_elsewhere(e);
	}
	sealer_pending_unref(chunk);
	b->scanned = 0;
	return rc;
}

static int end_chunk(struct big *b, struct err *e)
{
	if (!b->buf)
		return 0;
	if (b->buf->len == 0) {
		drop_chunk(b);
		return 0;
	}
	return cut(b, b->buf->len, e);
}

/* n bytes were placed at the end of the open chunk's buffer. */
static int grown(struct big *b, size_t n, struct err *e)
{
	struct stretch s = {
		.len = n,
		.pending = b->chunk,
		.off = (uint32_t)b->buf->len,
	};

	if (add(b, &s, e) < 0)
		return -1;
	b->buf->len += n;
	if (b->fixed)
		return b->at % FORMAT_BLOCK_BYTES == 0 ? end_chunk(b, e) : 0;
	for (;;) {
		size_t end = chunker_cut(&b->j->chunker, b->buf->data, b->buf->len, &b->scanned,
		                         &b->hash);

		if (end == 0)
			return 0;
		if (end == b->buf->len)
			return end_chunk(b, e);
		if (cut(b, end, e) < 0)
			return -1;
	}
}

/* How many of `want` bytes the open chunk takes in one piece. */
static size_t room(const struct big *b, uint64_t want)
{
	size_t n = b->buf->cap - b->buf->len;

	if (b->fixed)
		n = FORMAT_BLOCK_BYTES - b->at % FORMAT_BLOCK_BYTES;
	return want < n ? (size_t)want : n;
}

static int append(struct big *b, const uint8_t *p, size_t n, struct err *e)
{
	while (n > 0) {
		if (open_chunk(b, e) < 0)
			return -1;
		size_t part = room(b, n);

		memcpy(b->buf->data + b->buf->len, p, part);
		if (grown(b, part, e) < 0)
			return -1;
		p += part;
		n -= part;
	}
	return 0;
}

/* ---- reading ---- */

static void progress(struct big *b, uint64_t n)
{
	if (b->j->params->counts)
		atomic_fetch_add(&b->j->params->counts->bytes_done, n);
}

/*
 * The source failed: the file is left out. Told apart from failures of the job by
 * *ret_unreadable.
 */
static int unreadable(bool *ret_unreadable)
{
	*ret_unreadable = true;
	return -1;
}

/* Content from b->at to end, read straight into chunks. *ret_short: the file ended before. */
static int stream(struct big *b, uint64_t end, bool *ret_short, bool *ret_unreadable, struct err *e)
{
	const struct source_ops *ops = b->j->source->ops;

	while (b->at < end) {
		if (open_chunk(b, e) < 0 || cancel_check(b->j->repo->cancel, e) < 0)
			return -1;
		job_beat(b->j);
		uint64_t want = end - b->at < READ_BYTES ? end - b->at : READ_BYTES;
		size_t n = room(b, want);
		int64_t got = ops->read(b->content, b->buf->data + b->buf->len, n, b->at, e);

		if (got < 0)
			return unreadable(ret_unreadable);
		atomic_fetch_add(&b->j->bytes_read, (uint64_t)got);
		progress(b, (uint64_t)got);
		if (got > 0 && grown(b, (size_t)got, e) < 0)
			return -1;
		if ((size_t)got < n) {
			*ret_short = true;
			return 0;
		}
		if (b->at - b->start > RETRY_BYTES && emit_windows(b, false, e) < 0)
			return -1;
	}
	return 0;
}

/* What a window became: keep the pieces, or write it all anew. */
static bool worth_keeping(struct big *b, const struct delta_piece *p, size_t n, size_t bytes)
{
	size_t literal = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i].kind == DELTA_LITERAL)
			literal += p[i].len;
	/* Claims are shorter than windows: a few pages do not get a chunk of their own. */
	if (b->skipping && bytes < PIECE_CHUNK)
		return true;
	if (literal > bytes / 4 * 3)
		return false;
	if (n > WINDOW_EXTENTS && b->rewrite_budget >= bytes) {
		b->rewrite_budget -= bytes;
		return false;
	}
	return true;
}

static int take_piece(struct big *b, const struct delta_piece *p, const uint8_t *data,
                      struct err *e)
{
	struct job *j = b->j;
	struct stretch s = { .len = p->len };

	if (p->kind == DELTA_LITERAL && p->len >= PIECE_CHUNK)
		return append(b, data, p->len, e);
	if (p->kind == DELTA_ZERO) {
		/*
		 * The old extent says whether it was a hole; the data range says that now it is
		 * none.
		 */
		return add_empty(b, EXTENT_ZERO, p->len, e);
	}
	if (end_chunk(b, e) < 0)
		return -1;
	if (p->kind == DELTA_OLD) {
		s.ref = p->ref;
		s.leaf = p->leaf;
		s.off = p->chunk_off;
		return add(b, &s, e);
	}
	if (payload_add(j, &j->pages_payload, data, p->len, &s.pending, &s.off, e) < 0)
		return -1;
	return add(b, &s, e);
}

/* As stream(), comparing with the old file window by window. */
static int stream_delta(struct big *b, uint64_t end, bool *ret_short, bool *ret_unreadable,
                        struct err *e)
{
	struct job *j = b->j;
	const struct source_ops *ops = j->source->ops;
	size_t have = 0;

	while (b->at < end) {
		if (cancel_check(j->repo->cancel, e) < 0)
			return -1;
		job_beat(j);
		uint64_t left = end - b->at;
		size_t want = DELTA_WINDOW + FORMAT_PAGE_BYTES;
		want = left < want ? (size_t)left : want;
		if (have < want) {
			int64_t got = ops->read(b->content, j->window + have, want - have,
			                        b->at + have, e);

			if (got < 0)
				return unreadable(ret_unreadable);
			atomic_fetch_add(&j->bytes_read, (uint64_t)got);
			progress(b, (uint64_t)got);
			have += (size_t)got;
			*ret_short = have < want;
		}
		if (have == 0)
			return 0;
		size_t n = have < DELTA_WINDOW ? have : DELTA_WINDOW;
		if (b->fixed && b->at % DELTA_WINDOW + n > DELTA_WINDOW)
			n = DELTA_WINDOW - b->at % DELTA_WINDOW;
		const struct delta_piece *p = NULL;
		size_t consumed = n;
		size_t pieces = 0;
		uint64_t from = b->at;
		if (b->comparing)
			claims_compare(&b->claims, j->delta, j->window, n, have, b->at);
		if (b->delta && !b->rewrite)
			pieces = delta_window(j->delta, j->window, n, have, b->at, &p, &consumed);
		if (pieces == 0 || !worth_keeping(b, p, pieces, consumed)) {
			if (append(b, j->window, consumed, e) < 0)
				return -1;
		} else {
			for (size_t i = 0; i < pieces; i++)
				if (take_piece(b, &p[i], j->window + (p[i].off - from), e) < 0)
					return -1;
		}
		have -= consumed;
		memmove(j->window, j->window + consumed, have);
		if (*ret_short && have == 0)
			return 0;
		if (b->at - b->start > RETRY_BYTES && emit_windows(b, false, e) < 0)
			return -1;
	}
	return 0;
}

/* Content from b->at to `to`: data and holes. */
static int read_range(struct big *b, uint64_t to, bool *ret_short, bool *ret_unreadable,
                      struct err *e)
{
	const struct source_ops *ops = b->j->source->ops;

	while (b->at < to && !*ret_short) {
		uint64_t start, end;

		if (ops->data(b->content, b->at, &start, &end, e) < 0)
			return unreadable(ret_unreadable);
		if (start > to)
			start = to;
		if (end > to)
			end = to;
		progress(b, start - b->at);
		if (b->comparing)
			claims_compare(&b->claims, b->j->delta, NULL, start - b->at, start - b->at,
			               b->at);
		/* A hole that reaches into another block ends the chunk of this one. */
		if (b->fixed && b->buf &&
		    start / FORMAT_BLOCK_BYTES != b->at / FORMAT_BLOCK_BYTES && end_chunk(b, e) < 0)
			return -1;
		if (add_empty(b, EXTENT_HOLE, start - b->at, e) < 0)
			return -1;
		int rc = b->delta || b->comparing
		                 ? stream_delta(b, end, ret_short, ret_unreadable, e)
		                 : stream(b, end, ret_short, ret_unreadable, e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- what is not claimed ---- */

/* n bytes of the old version at its offset b->at. */
static int take_old(struct big *b, const struct delta_old *x, uint64_t n, struct err *e)
{
	const struct stretch s = {
		.kind = x->kind, .len = n, .ref = x->ref, .leaf = x->leaf, .off = x->chunk_off
	};

	if (end_chunk(b, e) < 0)
		return -1;
	b->skipped += n;
	progress(b, n);
	return x->kind < 0 ? add_empty(b, x->kind, n, e) : add(b, &s, e);
}

/* The old version's up to `to`; what it does not have, or may not refer to, is read. */
static int keep_old(struct big *b, uint64_t to, bool *ret_short, bool *ret_unreadable,
                    struct err *e)
{
	while (b->at < to && !*ret_short) {
		struct delta_old x;
		bool has = delta_old_at(b->j->delta, b->at, &x);
		uint64_t n = x.len < to - b->at ? x.len : to - b->at;

		if (cancel_check(b->j->repo->cancel, e) < 0)
			return -1;
		job_beat(b->j);
		int rc = has ? take_old(b, &x, n, e)
		             : read_range(b, b->at + n, ret_short, ret_unreadable, e);
		if (rc < 0)
			return -1;
		if (b->at - b->start > RETRY_BYTES && emit_windows(b, false, e) < 0)
			return -1;
	}
	return 0;
}

/* Into how many pieces [from, to) falls when the claims r[] are read and the rest is kept. */
static size_t count_pieces(struct big *b, const struct claims_range *r, size_t n, uint64_t from,
                           uint64_t to)
{
	size_t pieces = n;
	uint64_t at = from;

	for (size_t i = 0; i <= n; i++) {
		uint64_t end = i < n ? r[i].start : to;

		while (at < end) {
			struct delta_old x;

			(void)delta_old_at(b->j->delta, at, &x);
			at = x.len < end - at ? at + x.len : end;
			pieces++;
		}
		if (i < n)
			at = r[i].end;
	}
	return pieces;
}

/*
 * From b->at to `to`, the end of its window of the file, in which there are claims. The bounds are
 * those of worth_keeping().
 */
static int read_claims(struct big *b, uint64_t to, bool *ret_short, bool *ret_unreadable,
                       struct err *e)
{
	struct claims_range r[CLAIMS_MAX];
	size_t n = claims_window(&b->claims, b->at, to, r);
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += r[i].end - r[i].start;
	if (bytes > (to - b->at) / 4 * 3)
		return read_range(b, to, ret_short, ret_unreadable, e);
	if (count_pieces(b, r, n, b->at, to) > WINDOW_EXTENTS && b->rewrite_budget >= to - b->at) {
		b->rewrite_budget -= to - b->at;
		b->rewrite = true;
		int rc = read_range(b, to, ret_short, ret_unreadable, e);
		b->rewrite = false;
		return rc;
	}
	for (size_t i = 0; i < n && !*ret_short; i++) {
		if (keep_old(b, r[i].start, ret_short, ret_unreadable, e) < 0 ||
		    read_range(b, r[i].end, ret_short, ret_unreadable, e) < 0)
			return -1;
	}
	return keep_old(b, to, ret_short, ret_unreadable, e);
}

static int read_changed(struct big *b, uint64_t size, bool *ret_short, bool *ret_unreadable,
                        struct err *e)
{
	while (b->at < size && !*ret_short) {
		uint64_t window = b->at - b->at % DELTA_WINDOW;
		uint64_t end = size - window > DELTA_WINDOW ? window + DELTA_WINDOW : size;

		claims_move(&b->claims, b->at);
		uint64_t next = b->claims.at.start;
		if (next < size)
			next -= next % DELTA_WINDOW;
		int rc = next > b->at ? keep_old(b, next, ret_short, ret_unreadable, e)
		                      : read_claims(b, end, ret_short, ret_unreadable, e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* The whole content once. */
static int read_through(struct big *b, uint64_t size, bool *ret_unreadable, struct err *e)
{
	bool is_short = false;
	int rc = b->skipping ? read_changed(b, size, &is_short, ret_unreadable, e)
	                     : read_range(b, size, &is_short, ret_unreadable, e);

	if (rc < 0)
		return -1;
	if (b->based)
		claims_end(&b->claims);
	return end_chunk(b, e);
}

static void start_over(struct big *b)
{
	drop_chunk(b);
	drop(b, b->n);
	b->at = b->start = b->skipped = 0;
}

/*
 * Whether the old version is what the base of the source's claims has of this very inode (of a
 * device: of this device). One that was not read whole then is not.
 */
static bool is_of_base(const struct big *b)
{
	const struct job *j = b->j;
	const struct entry *n = b->it->n;
	const struct record *old = b->it->old;

	if (!j->based || !old || !S_ISREG(old->st.mode) ||
	    n->block != ((old->flags & RECORD_BLOCK) != 0) ||
	    (old->flags & (RECORD_CHANGED | RECORD_HARDLINK)))
		return false;
	return (n->block || n->st.ino == old->st.ino) &&
	       !point_problem_has(&j->previous, n->path, n->path_len);
}

static void start_delta(struct big *b)
{
	struct job *j = b->j;
	const struct record *old = b->it->old;

	b->delta = j->pages && old && old->nextents && old->st.size >= DELTA_FROM &&
	           !j->params->force;
	b->based = is_of_base(b) &&
	           claims_begin(&b->claims, j->source->ops, b->content, b->it->n->st.size);
	b->comparing = b->based && j->params->compare;
	b->skipping = b->based && !j->params->compare && !j->params->force;
	b->delta |= b->skipping;
	if (!b->delta && !b->comparing)
		return;
	if (!j->delta)
		j->delta = delta_new(&j->chunker, &j->hasher, j->pages);
	if (!j->window)
		j->window = malloc(DELTA_WINDOW + FORMAT_PAGE_BYTES);
	if (!j->delta || !j->window) {
		b->delta = b->comparing = b->skipping = false;
		return;
	}
	delta_start(j->delta, j->big_tree, old, b->it->leaf);
}

/* One try: 0, or -1; *ret_unreadable: the source's fault. */
static int try_once(struct big *b, bool *ret_changed, bool *ret_unreadable, struct err *e)
{
	const struct source_ops *ops = b->j->source->ops;
	struct item *it = b->it;
	struct err ignored = ERR_INIT;
	struct entry_stat st;

	entry_detail_clear(&it->detail);
	if (ops->open(b->j->source, it->n, &b->content, e) < 0)
		return unreadable(ret_unreadable);
	uint64_t size = it->n->st.size;
	b->fixed = it->n->block || (size % FORMAT_PAGE_BYTES == 0 && size >= SMALL_FILE);
	b->rewrite_budget = size / 50 + 4 * MIB;
	start_delta(b);
	int rc = 0;
	if (ops->load(b->j->source, it->n, &it->detail, e) < 0)
		rc = unreadable(ret_unreadable);
	if (rc == 0)
		rc = read_through(b, size, ret_unreadable, e);
	if (ops->close(b->content, &st, ret_changed, rc < 0 ? &ignored : e) < 0 && rc == 0)
		rc = unreadable(ret_unreadable);
	if (b->at < size)
		*ret_changed = true;
	if (!b->streaming) {
		it->n->st.size = b->at;
	} else if (b->at < size) {
		/* The record is out with the size that the file had: what is missing is a hole. */
		it->n->st.size = size;
		if (add(b, &(struct stretch){ .kind = EXTENT_HOLE, .len = size - b->at },
		        &ignored) < 0)
			return -1;
	}
	return rc;
}

int writer_big(struct job *j, struct item *it, struct err *e)
{
	struct big b = { .j = j, .it = it };
	bool changed = true, unreadable_file = false;
	int rc = 0;

	for (unsigned try = 0; changed && rc == 0 && try <= j->params->retries && !b.streaming;
	     try++) {
		start_over(&b);
		changed = false;
		rc = try_once(&b, &changed, &unreadable_file, e);
	}
	it->changed = changed;
	if (b.based) {
		j->changes.claimed_bytes += b.claims.bytes;
		j->changes.skipped_bytes += b.skipped;
		j->changes.compared_bytes += b.claims.compared_bytes;
		j->changes.wrong_bytes += b.claims.wrong_bytes;
	}
	if (rc < 0 && unreadable_file && !b.streaming) {
		it->action = DO_SKIP;
		it->why = *e;
		entry_detail_clear(&it->detail);
		rc = 0;
	} else if (rc < 0 && unreadable_file) {
		/*
		 * Its beginning is on its way; the rest is a hole, and the file is told as
		 * unreadable.
		 */
		drop_chunk(&b);
		job_problem(j, it->n, ENTRY_UNREADABLE, e->msg);
		rc = emit_windows(&b, true, e);
	} else if (rc == 0) {
		if (changed)
			job_problem(j, it->n, ENTRY_CHANGED, NULL);
		rc = emit_windows(&b, true, e);
	}
	drop_chunk(&b);
	drop(&b, b.n);
	free(b.x);
	return rc;
}

/* The next record of the old file; *ret NULL behind its last one. */
static int next_of_old(struct job *j, const struct item *it, bool first, const struct record **ret,
                       struct leaf **ret_leaf, struct err *e)
{
	const struct record *r;

	if ((first && tree_seek(j->big_tree, it->old->path, it->old->path_len, e) < 0) ||
	    tree_next(j->big_tree, &r, ret_leaf, e) < 0)
		return -1;
	bool same = r && r->path_len == it->old->path_len &&
	            memcmp(r->path, it->old->path, r->path_len) == 0 && (first || r->position);
	*ret = same ? r : NULL;
	return 0;
}

int writer_continued_known(struct job *j, const struct item *it, struct err *e)
{
	const struct record *r;
	struct leaf *l;
	struct err why = ERR_INIT;

	for (bool first = true;; first = false) {
		if (next_of_old(j, it, first, &r, &l, &why) < 0) {
			/* What cannot be read cannot be reused. */
			if (why.class != ERR_CANCELLED && why.class != ERR_NOMEM)
				return 0;
			*e = why;
			return -1;
		}
		if (!r)
			return 1;
		for (size_t i = 0; i < r->nextents; i++) {
			if (r->extents[i].chunk >= 0 &&
			    chunk_absent(&l->chunks[r->extents[i].chunk]))
				return 0;
		}
	}
}

int writer_reuse_continued(struct job *j, struct item *it, struct err *e)
{
	const struct record *r;
	struct leaf *l;

	for (bool first = true;; first = false) {
		if (next_of_old(j, it, first, &r, &l, e) < 0)
			return -1;
		if (!r)
			return 0;
		struct wrecord *w = span_record(j, 0, 0, e);
		if (!w || span_hold(j, l, e) < 0)
			return -1;
		w->r = *r;
		if (first)
			w->r.st = it->n->st;
		w->base = l->chunks;
	}
}
