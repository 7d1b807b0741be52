/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assembling stage, one thread, in order: makes records of items, puts
 * small contents into shared chunks, and hands spans of records to the tree.
 *
 * A shared chunk that is still open holds up the tree, which waits for the
 * places of a record's chunks; when too many spans wait, the open chunks are
 * ended early.
 */
#include <string.h>

#include "repo/writer_impl.h"

/* ---- spans ---- */

void span_free(struct span *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->records[i].npending; k++)
			sealer_pending_unref(s->records[i].pending[k]);
	for (size_t i = 0; i < s->nleaves; i++)
		leaf_unref(s->leaves[i]);
	free(s->leaves);
	arena_clear(&s->arena);
	free(s);
}

int span_flush(struct job *j, struct err *e)
{
	if (!j->span || j->span->n == 0)
		return 0;
	if (atomic_load(&j->spans_waiting) > SPANS_MAX / 2 &&
	    (payload_cut(j, &j->small, e) < 0 || payload_cut(j, &j->pages_payload, e) < 0))
		return -1;
	atomic_fetch_add(&j->spans_waiting, 1);
	if (!queue_push(&j->spans, j->span))
		return err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
	j->span = NULL;
	return 0;
}

/* The next record of the open span, with room for extents and pending chunks. */
struct wrecord *span_record(struct job *j, size_t nextents, size_t npending, struct err *e)
{
	if (j->span && (j->span->n == SPAN_RECORDS || j->span->arena.bytes > 256 * KIB) &&
	    span_flush(j, e) < 0)
		return NULL;
	if (!j->span && !(j->span = calloc(1, sizeof(*j->span)))) {
		(void)err_set(e, ERR_NOMEM, "no memory for records");
		return NULL;
	}
	struct span *s = j->span;
	struct wrecord *w = &s->records[s->n];

	memset(w, 0, sizeof(*w));
	if (nextents) {
		w->extents = arena_alloc(&s->arena, nextents * sizeof(*w->extents));
		w->list = arena_alloc(&s->arena, nextents * sizeof(*w->list));
		w->pending = arena_alloc(&s->arena, npending * sizeof(*w->pending));
		if (!w->extents || !w->list || !w->pending) {
			(void)err_set(e, ERR_NOMEM, "no memory for records");
			return NULL;
		}
		w->r.extents = w->extents;
		w->r.nextents = nextents;
	}
	s->n++;
	return w;
}

int span_hold(struct job *j, struct leaf *leaf, struct err *e)
{
	struct span *s = j->span;

	for (size_t i = s->nleaves; i > 0 && i + 4 > s->nleaves; i--)
		if (s->leaves[i - 1] == leaf)
			return 0;
	if (s->nleaves == s->leaves_cap) {
		size_t cap = s->leaves_cap ? 2 * s->leaves_cap : 8;
		void *p = reallocarray(s->leaves, cap, sizeof(struct leaf *));

		if (!p)
			return err_set(e, ERR_NOMEM, "no memory for records");
		s->leaves = p;
		s->leaves_cap = cap;
	}
	s->leaves[s->nleaves++] = leaf_ref(leaf);
	return 0;
}

/* ---- shared chunks ---- */

int payload_cut(struct job *j, struct payload *p, struct err *e)
{
	if (!p->buf)
		return 0;
	struct chunk_buf *buf = STEAL(&p->buf);
	struct pending_chunk *c = STEAL(&p->chunk);
	bool good = true;

	if (buf->len)
		good = sealer_submit(j->sealer, buf, c, p->with_pages);
	else
		sealer_buf_return(j->sealer, buf);
	sealer_pending_unref(c);
	return good ? 0 : err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
}

static int payload_open(struct job *j, struct payload *p, struct err *e)
{
	if (p->buf)
		return 0;
	p->chunk = sealer_pending();
	if (!p->chunk)
		return err_set(e, ERR_NOMEM, "no memory for a chunk");
	p->buf = sealer_buf(j->sealer);
	if (!p->buf)
		return err_set(e, ERR_CANCELLED, "the backup has failed elsewhere");
	return 0;
}

int payload_add(struct job *j, struct payload *p, const uint8_t *data, size_t n,
                struct pending_chunk **ret_chunk, uint32_t *ret_off, struct err *e)
{
	if (p->buf && p->buf->len + p->align + n > PAYLOAD_MAX && payload_cut(j, p, e) < 0)
		return -1;
	if (payload_open(j, p, e) < 0)
		return -1;
	struct chunk_buf *b = p->buf;
	size_t pad = (p->align - b->len % p->align) % p->align;

	memset(b->data + b->len, 0, pad);
	memcpy(b->data + b->len + pad, data, n);
	*ret_off = (uint32_t)(b->len + pad);
	*ret_chunk = p->chunk;
	b->len += pad + n;
	return 0;
}

/*
 * Whether a shared chunk ends behind this file: decided by the file's last
 * bytes, weighted by its size, so that the same run of files makes the same
 * chunks wherever it stands.
 */
static bool payload_ends(const struct job *j, const uint8_t *data, size_t n)
{
	size_t len = j->small.buf->len;

	if (len < PAYLOAD_MIN)
		return false;
	size_t tail = n < 64 ? n : 64;
	uint64_t mark = chunker_mark(&j->chunker, data + n - tail, tail);
	return len >= PAYLOAD_MAX || mark < ((uint64_t)n << 32) / PAYLOAD_AVG;
}

/* ---- records ---- */

void record_of_item(struct record *r, const struct item *it)
{
	const struct entry *n = it->n;

	*r = (struct record){
		.path = n->path,
		.path_len = n->path_len,
		.st = n->st,
		.link = it->detail.link,
		.link_len = it->detail.link_len,
		.xattrs = it->detail.xattrs,
		.xattrs_len = it->detail.xattrs_len,
		.fsflags = it->detail.fsflags,
		.projid = it->detail.projid,
		.extents = r->extents,
		.nextents = r->nextents,
	};
	if (S_ISLNK(n->st.mode))
		r->flags |= RECORD_LINK;
	if (r->xattrs_len)
		r->flags |= RECORD_XATTRS;
	if (r->fsflags)
		r->flags |= RECORD_FSFLAGS;
	if (r->projid)
		r->flags |= RECORD_PROJID;
	if (S_ISCHR(n->st.mode) || S_ISBLK(n->st.mode))
		r->flags |= RECORD_DEVICE;
	if (it->changed)
		r->flags |= RECORD_CHANGED;
	if (n->block)
		r->flags |= RECORD_BLOCK;
	if (!S_ISREG(n->st.mode))
		r->st.size = 0;
}

/* Copies what the record points to into the span, which outlives the group. */
int record_keep(struct job *j, struct record *r, struct err *e)
{
	struct arena *a = &j->span->arena;

	r->path = arena_copy(a, r->path, r->path_len);
	r->link = arena_copy(a, r->link, r->link_len);
	r->xattrs = arena_copy(a, r->xattrs, r->xattrs_len);
	r->hardlink = arena_copy(a, r->hardlink, r->hardlink_len);
	if (!r->path || !r->link || !r->xattrs || !r->hardlink)
		return err_set(e, ERR_NOMEM, "no memory for records");
	return 0;
}

static int add_plain(struct job *j, const struct item *it, struct err *e)
{
	struct wrecord *w = span_record(j, 0, 0, e);

	if (!w)
		return -1;
	record_of_item(&w->r, it);
	return record_keep(j, &w->r, e);
}

static int add_link(struct job *j, const struct item *it, struct err *e)
{
	struct wrecord *w = span_record(j, 0, 0, e);

	if (!w)
		return -1;
	record_of_item(&w->r, it);
	w->r.flags |= RECORD_HARDLINK;
	w->r.flags &= ~(uint32_t)RECORD_LINK;
	if (S_ISLNK(it->n->st.mode)) {
		/* A symbolic link with several names keeps its target with each. */
		w->r.flags |= RECORD_LINK;
	}
	w->r.hardlink = it->link->path;
	w->r.hardlink_len = it->link->path_len;
	return record_keep(j, &w->r, e);
}

static int add_reused(struct job *j, struct item *it, struct err *e)
{
	if (it->old->flags & RECORD_CONTINUED)
		return writer_reuse_continued(j, it, e);
	struct wrecord *w = span_record(j, 0, 0, e);

	if (!w || span_hold(j, it->leaf, e) < 0)
		return -1;
	w->r = *it->old;
	w->r.st = it->n->st;
	if (!S_ISREG(w->r.st.mode))
		w->r.st.size = 0;
	w->base = it->leaf->chunks;
	return 0;
}

static int add_small(struct job *j, const struct item *it, struct err *e)
{
	struct wrecord *w = span_record(j, it->len ? 1 : 0, 1, e);
	struct pending_chunk *c;
	uint32_t off;

	if (!w)
		return -1;
	record_of_item(&w->r, it);
	if (record_keep(j, &w->r, e) < 0)
		return -1;
	if (it->len == 0)
		return 0;
	if (payload_add(j, &j->small, it->data, it->len, &c, &off, e) < 0)
		return -1;
	atomic_fetch_add(&c->refs, 1);
	w->pending[0] = c;
	w->npending = 1;
	w->list[0] = &c->ref;
	w->extents[0] = (struct extent){ .chunk = 0, .off = off, .len = it->len };
	if (payload_ends(j, it->data, it->len))
		return payload_cut(j, &j->small, e);
	return 0;
}

/* ---- items ---- */

static void count(struct job *j, const struct item *it)
{
	struct progress_counts *c = j->params->counts;
	const struct entry_stat *st = &it->n->st;
	struct point *p = j->point;

	if (S_ISDIR(st->mode))
		p->directories++;
	else if (S_ISREG(st->mode))
		p->files++;
	else
		p->others++;
	if (S_ISREG(st->mode) && it->action != DO_LINK)
		p->bytes_logical += st->size;
	if (!c)
		return;
	atomic_fetch_add(&c->files_done, 1);
	if (S_ISREG(st->mode) && it->action != DO_LINK && it->action != DO_BIG)
		atomic_fetch_add(&c->bytes_done, st->size);
}

static int load_detail(struct job *j, struct item *it, struct err *e)
{
	entry_detail_clear(&it->detail);
	return j->source->ops->load(j->source, it->n, &it->detail, e);
}

/* A name that has vanished since it was listed is nothing that cannot be read. */
static enum entry_state state_of_failure(const struct err *why)
{
	return why->class == ERR_NOT_FOUND ? ENTRY_GONE : ENTRY_UNREADABLE;
}

static int assemble_item(struct job *j, struct item *it, struct err *e);

/* A further name of a file; when its first name was not stored, this one is read instead. */
static int assemble_link(struct job *j, struct item *it, struct err *e)
{
	struct err why = ERR_INIT;

	if (!it->link->bad) {
		if (S_ISLNK(it->n->st.mode) && load_detail(j, it, &why) < 0) {
			job_problem(j, it->n, state_of_failure(&why), why.msg);
			return 0;
		}
		count(j, it);
		return add_link(j, it, e);
	}
	char *path = malloc(it->n->path_len + 1);
	if (!path)
		return err_set(e, ERR_NOMEM, "no memory for links");
	memcpy(path, it->n->path, it->n->path_len);
	free(it->link->path);
	it->link->path = path;
	it->link->path_len = it->n->path_len;
	it->link->bad = false;
	if (S_ISREG(it->n->st.mode)) {
		it->action = DO_BIG;
		return assemble_item(j, it, e);
	}
	if (load_detail(j, it, &why) < 0) {
		it->link->bad = true;
		job_problem(j, it->n, state_of_failure(&why), why.msg);
		return 0;
	}
	count(j, it);
	return add_plain(j, it, e);
}

static void skip(struct job *j, struct item *it)
{
	enum entry_state state = it->n->state;

	if (it->link)
		it->link->bad = true;
	if (it->why.class != ERR_NONE)
		state = state_of_failure(&it->why);
	job_problem(j, it->n, state, it->why.class != ERR_NONE ? it->why.msg : NULL);
}

/* After the content of a file has been stored, which is that of n->st, the descriptor's. */
static void stored(struct job *j, const struct item *it)
{
	count(j, it);
	if (it->link && it->n->st.ino != it->link->ino)
		it->link->bad = true; /* the name was another file's by then */
	if (it->apart && !it->changed)
		job_problem(j, it->n, ENTRY_CHANGED, NULL);
}

static int assemble_item(struct job *j, struct item *it, struct err *e)
{
	switch (it->action) {
	case DO_SKIP:
		skip(j, it);
		return 0;
	case DO_LINK:
		return assemble_link(j, it, e);
	case DO_BIG:
		if (writer_big(j, it, e) < 0)
			return -1;
		if (it->action != DO_SKIP)
			stored(j, it);
		else
			skip(j, it);
		return 0;
	case DO_REUSE:
		if (it->old->flags & RECORD_CONTINUED) {
			int known = writer_continued_known(j, it, e);

			if (known < 0)
				return -1;
			it->action = known ? DO_REUSE : DO_BIG;
			if (!known)
				return assemble_item(j, it, e);
		}
		count(j, it);
		return add_reused(j, it, e);
	case DO_STAT:
		count(j, it);
		return add_plain(j, it, e);
	case DO_SMALL:
		stored(j, it);
		atomic_fetch_add(&j->bytes_read, it->len);
		if (it->changed)
			job_problem(j, it->n, ENTRY_CHANGED, NULL);
		return add_small(j, it, e);
	}
	return err_set(e, ERR_BUG, "an entry has no action");
}

int writer_assemble(struct job *j, struct err *e)
{
	struct group *g;
	int rc = 0;

	while (rc == 0 && (g = queue_pop(&j->groups))) {
		(void)pthread_mutex_lock(&j->lock);
		while (!g->done && !sealer_failed(j->sealer))
			(void)pthread_cond_wait(&j->group_done, &j->lock);
		bool done = g->done;
		(void)pthread_mutex_unlock(&j->lock);
		if (!done) {
			j->stuck = g;
			return sealer_error(j->sealer, e);
		}
		for (size_t i = 0; rc == 0 && i < g->n; i++)
			rc = assemble_item(j, &g->items[i], e);
		group_free(g);
	}
	if (rc == 0 && payload_cut(j, &j->small, e) < 0)
		rc = -1;
	if (rc == 0 && payload_cut(j, &j->pages_payload, e) < 0)
		rc = -1;
	return rc == 0 ? span_flush(j, e) : rc;
}
