/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: wants become ranges (neighbours in one pack, read at once),
 * ranges are fetched, opened chunk by chunk and delivered.
 *
 *   submit ──► pending ──► fetch (inflight threads) ──► fetched ──► decode (pool) ──► deliver
 *
 * With a local store the decoding threads read for themselves, since a read
 * costs less than handing its bytes to another core. Every thread keeps its
 * buffers, and buffers of ranges go round, so that reading a chunk allocates
 * nothing.
 *
 * What cannot be opened where it should lie is looked for elsewhere: read
 * again, then in every other place that any segment of the index knows.
 */
#include "repo/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/now.h"
#include "repo/compress.h"
#include "repo/crypt.h"
#include "repo/keyring.h"
#include "repo/moved.h"

#define MEMORY_LOCAL (64 * MIB)
#define MEMORY_REMOTE (176 * MIB) /* four packs, of which three are on their way */
#define MEMORY_ALL (208 * MIB)    /* with what the workers come to hold: a chunk, twice */
#define INFLIGHT_DEFAULT 16
#define THREADS_MAX 64U
#define THREADS_DEFAULT_MAX 8U /* each comes to hold a chunk, twice */
#define GAP_REMOTE (512 * KIB) /* cheaper to read over than to ask again */
#define GAP_LOCAL (16 * KIB)
#define RANGE_LOCAL MIB
#define RANGE_REMOTE_MIN MIB
#define RANGES_LEAST 4       /* of the longest that have room at once */
#define BUF_SMALL MIB        /* sizes of buffers: */
#define BUF_MIDDLE (8 * MIB) /* and for what is longer, of the longest range */
#define KEYS_KEPT 256

/* A domain that something was wanted of. */
struct reader_domain {
	struct reader_domain *next;
	struct domain_keys *keys; /* own copy, locked */
	struct crypt_hasher data, node;
	struct moved *moved;
};

/* Bytes of a fetched range. They go round. */
struct range_buf {
	struct range_buf *next;
	size_t cap;
	size_t touched; /* what of it may be resident: the longest that was read into it */
	uint8_t data[];
};

/* Neighbouring chunks of one pack: one read. */
struct range {
	struct range *next;
	struct reader_domain *domain;
	uint32_t off, len;
	uint64_t plain;        /* bytes of all wants */
	uint64_t weight;       /* what it counts for while it is under way */
	struct range_buf *buf; /* once fetched */
	bool failed;
	struct err err; /* when failed: why it could not be fetched */
	size_t n;
	struct reader_want wants[]; /* of one pack, by offset */
};

struct range_list {
	struct range *head, **tail;
};

/* What one thread needs to open chunks. */
struct worker {
	struct reader *r;
	uint8_t *in, *scratch, *plain;
	size_t in_cap, scratch_cap, plain_cap;
	struct crypt_box *boxes[CIPHER_XCHACHA20 + 1];
	uint8_t *dek; /* locked */
	struct compress *z;
	bool keyed;   /* boxes[cipher] holds the key of: */
	bool vouched; /* a signer vouches for that key */
	uint8_t cipher;
	uint8_t pack[FORMAT_PACK_ID_BYTES];
	uint16_t key;
};

struct reader {
	const struct repo *repo;
	struct reader_params params;
	reader_deliver_fn *deliver;
	void *ctx;
	bool local;
	size_t gap, range_max;
	uint64_t under_way_max;
	struct keyring *ring;
	struct worker *sync; /* of reader_chunk() */
	pthread_t threads[2 * THREADS_MAX];
	unsigned nthreads;

	pthread_mutex_t lock;
	pthread_cond_t work;           /* pending got a range, or closing */
	pthread_cond_t arrived;        /* fetched got a range, or closing */
	pthread_cond_t room;           /* less is under way, a buffer came back, or failed */
	struct reader_domain *domains; /* guarded by lock; never shrinks */
	struct range_list pending;     /* guarded by lock */
	struct range_list fetched;     /* guarded by lock */
	struct range_buf *spare;       /* guarded by lock */
	uint64_t buffered;             /* guarded by lock; touched bytes of all buffers */
	unsigned in_use;               /* guarded by lock; buffers */
	uint64_t under_way;            /* guarded by lock; bytes not yet delivered */
	size_t ranges;                 /* guarded by lock; not yet done */
	bool failed, closing;          /* guarded by lock */
	struct err err;                /* guarded by lock; set when failed */
};

/* ---- small parts ---- */

static void list_add(struct range_list *l, struct range *g)
{
	g->next = NULL;
	*l->tail = g;
	l->tail = &g->next;
}

static struct range *list_take(struct range_list *l)
{
	struct range *g = l->head;

	if (g) {
		l->head = g->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return g;
}

/* Makes *p hold n bytes; what was in it is lost. */
static int grow(uint8_t **p, size_t *cap, size_t n, struct err *e)
{
	if (n <= *cap)
		return 0;
	n = (n + 256 * KIB - 1) & ~(256 * KIB - 1);
	free(*p);
	*cap = 0;
	*p = malloc(n);
	if (!*p)
		return err_set(e, ERR_NOMEM, "no memory for a chunk of %zu bytes", n);
	*cap = n;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct chunk_ref *x = &((const struct reader_want *)a)->ref;
	const struct chunk_ref *y = &((const struct reader_want *)b)->ref;
	int c = memcmp(x->pack, y->pack, sizeof(x->pack));

	if (c)
		return c;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

/* Errors after which another copy of the chunk may help. */
static bool is_loss(const struct err *e)
{
	return e->class == ERR_CORRUPT || e->class == ERR_FORMAT || e->class == ERR_NOT_FOUND;
}

static int check_ref(const struct chunk_ref *ref, struct err *e)
{
	if (ref->plain == 0 || ref->plain > FORMAT_CHUNK_MAX || ref->stored <= FORMAT_TAG_BYTES ||
	    ref->stored > FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES ||
	    ref->stored > FORMAT_PACK_MAX - ref->off)
		return err_set(e, ERR_FORMAT, "chunk %s has a place that cannot be (%u + %u bytes)",
		               hex_of32(ref->id).s, ref->off, ref->stored);
	return 0;
}

static struct worker *worker_new(struct reader *r)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->r = r;
	w->dek = secret_new(FORMAT_DEK_BYTES);
	w->z = compress_new();
	if (w->dek && w->z)
		return w;
	secret_free(w->dek);
	compress_free(w->z);
	free(w);
	return NULL;
}

static void worker_free(struct worker *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < ARRAY_LEN(w->boxes); i++)
		crypt_box_free(w->boxes[i]);
	secret_free(w->dek);
	compress_free(w->z);
	free(w->in);
	free(w->scratch);
	free(w->plain);
	free(w);
}

/* ---- opening one chunk ---- */

/* Keys the box for the chunk. head: the first bytes of the pack when they are at hand. */
static int use_key(struct worker *w, const struct reader_domain *d, const struct chunk_ref *ref,
                   const uint8_t *head, size_t head_len, struct err *e)
{
	uint8_t cipher;

	if (w->keyed && w->key == ref->key && memcmp(w->pack, ref->pack, sizeof(w->pack)) == 0)
		return 0;
	w->keyed = false;
	if (keyring_get(w->r->ring, d->keys, ref, head, head_len, w->dek, &cipher, &w->vouched, e) <
	    0)
		return -1;
	if (cipher >= ARRAY_LEN(w->boxes))
		return err_set(e, ERR_FORMAT, "a pack's cipher %u is unknown here", cipher);
	if (!w->boxes[cipher])
		w->boxes[cipher] = crypt_box_new(cipher);
	if (!w->boxes[cipher])
		return err_set(e, ERR_NOMEM, "no memory for a cipher");
	crypt_box_key(w->boxes[cipher], w->dek);
	secret_wipe(w->dek, FORMAT_DEK_BYTES);
	w->keyed = true;
	w->cipher = cipher;
	w->key = ref->key;
	memcpy(w->pack, ref->pack, sizeof(w->pack));
	return 0;
}

/* The chunk's plain bytes into w->plain. in: its ref->stored bytes. */
static int open_chunk(struct worker *w, const struct reader_domain *d, const struct chunk_ref *ref,
                      const uint8_t *in, const uint8_t *head, size_t head_len, struct err *e)
{
	char name[PACK_KEY_MAX];
	uint8_t id[FORMAT_ID_BYTES];

	if (use_key(w, d, ref, head, head_len, e) < 0 ||
	    grow(&w->scratch, &w->scratch_cap, ref->stored, e) < 0 ||
	    grow(&w->plain, &w->plain_cap, ref->plain, e) < 0)
		return -1;
	if (pack_chunk_open(w->boxes[w->cipher], w->z, w->r->repo->keys->repo, ref, in, w->scratch,
	                    w->plain) < 0) {
		pack_key_name(name, ref->pack, ref->kind);
		return err_set(e, ERR_CORRUPT, "chunk %s at byte %u of '%s' is damaged",
		               hex_of32(ref->id).s, ref->off, name);
	}
	/* A key that no signer vouches for proves nothing: then the id must. */
	if (!w->r->params.rehash && w->vouched)
		return 0;
	if (ref->kind == CHUNK_DATA && !d->keys->has_content)
		return err_set(e, ERR_DENIED,
		               "this key file cannot compute ids of data; use the recovery key");
	crypt_chunk_id(ref->kind == CHUNK_NODE ? &d->node : &d->data, w->plain, ref->plain, id,
	               NULL);
	if (memcmp(id, ref->id, sizeof(id)) == 0)
		return 0;
	pack_key_name(name, ref->pack, ref->kind);
	return err_set(e, ERR_CORRUPT,
	               "chunk %s at byte %u of '%s' is authentic, but holds other bytes",
	               hex_of32(ref->id).s, ref->off, name);
}

/* Reads the chunk alone from the place that ref names. */
static int try_place(struct worker *w, const struct reader_domain *d, const struct chunk_ref *ref,
                     struct err *e)
{
	char name[PACK_KEY_MAX];

	if (check_ref(ref, e) < 0 || grow(&w->in, &w->in_cap, ref->stored, e) < 0)
		return -1;
	pack_key_name(name, ref->pack, ref->kind);
	if (store_get(w->r->repo->store, name, ref->off, w->in, ref->stored, e) < 0)
		return -1;
	if (w->r->params.fetched)
		atomic_fetch_add_explicit(w->r->params.fetched, ref->stored, memory_order_relaxed);
	return open_chunk(w, d, ref, w->in, NULL, 0, e);
}

/* ---- other places ---- */

/*
 * Tries every other place of a chunk. 0: its bytes are in w->plain. -1: it is nowhere, or *why says
 * what is in the way, which is no loss of the chunk.
 */
static int rescue(struct worker *w, struct reader_domain *d, const struct chunk_ref *ref,
                  struct err *why)
{
	struct moved_ask ask = { 0 };
	struct err bad = ERR_INIT;
	int more;

	while ((more = moved_ask(d->moved, ref, &ask, &bad)) > 0) {
		for (size_t i = 0; i < ask.n; i++) {
			bad = (struct err)ERR_INIT;
			if (try_place(w, d, &ask.places[i], &bad) == 0)
				return 0;
			if (!is_loss(&bad))
				*why = bad;
		}
	}
	if (more < 0 && !is_loss(&bad))
		*why = bad;
	return -1;
}

/* ---- ranges ---- */

/* The first n wants that make one range. wants are sorted. */
static size_t range_span(const struct reader *r, const struct reader_want *wants, size_t n)
{
	const struct chunk_ref *first = &wants[0].ref;
	uint64_t end = (uint64_t)first->off + first->stored;
	size_t i = 1;

	for (; i < n; i++) {
		const struct chunk_ref *ref = &wants[i].ref;
		uint64_t ref_end = (uint64_t)ref->off + ref->stored;
		uint64_t new_end = ref_end > end ? ref_end : end;

		if (memcmp(ref->pack, first->pack, sizeof(ref->pack)) != 0 ||
		    ref->kind != first->kind || ref->off > end + r->gap ||
		    new_end - first->off > r->range_max)
			break;
		end = new_end;
	}
	return i;
}

static struct range *range_new(const struct reader *r, struct reader_domain *d,
                               const struct reader_want *wants, size_t n)
{
	struct range *g = malloc(sizeof(*g) + n * sizeof(*wants));
	uint64_t end = 0;

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	g->domain = d;
	g->n = n;
	g->off = wants[0].ref.off;
	for (size_t i = 0; i < n; i++) {
		uint64_t ref_end = (uint64_t)wants[i].ref.off + wants[i].ref.stored;

		end = ref_end > end ? ref_end : end;
		g->plain += wants[i].ref.plain;
	}
	/* The header comes along when it is near: that saves a round trip for the key. */
	if (!r->local && g->off <= GAP_REMOTE && !keyring_has(r->ring, &wants[0].ref))
		g->off = 0;
	g->len = (uint32_t)(end - g->off);
	g->weight = r->local ? g->plain : g->len;
	memcpy(g->wants, wants, n * sizeof(*wants));
	return g;
}

static int fetch(struct reader *r, const struct range *g, uint8_t *to, struct err *e)
{
	char name[PACK_KEY_MAX];

	pack_key_name(name, g->wants[0].ref.pack, g->wants[0].ref.kind);
	if (store_get(r->repo->store, name, g->off, to, g->len, e) < 0)
		return -1;
	if (r->params.fetched)
		atomic_fetch_add_explicit(r->params.fetched, g->len, memory_order_relaxed);
	return 0;
}

static bool has_failed(struct reader *r)
{
	(void)pthread_mutex_lock(&r->lock);
	bool failed = r->failed || r->closing;
	(void)pthread_mutex_unlock(&r->lock);
	return failed;
}

/* Ends the whole reading. */
static void fail(struct reader *r, const struct err *e)
{
	(void)pthread_mutex_lock(&r->lock);
	if (!r->failed) {
		r->failed = true;
		r->err = *e;
	}
	(void)pthread_cond_broadcast(&r->work);
	(void)pthread_cond_broadcast(&r->arrived);
	(void)pthread_cond_broadcast(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
}

/* Hands over w->plain, or the reason why there is nothing. */
static int hand_over(struct worker *w, struct reader_want *want, const struct err *why,
                     struct err *e)
{
	return w->r->deliver(w->r->ctx, want, why ? NULL : w->plain, why ? 0 : want->ref.plain, why,
	                     e);
}

static int run_range(struct worker *w, struct range *g, const uint8_t *bytes, bool last,
                     struct err *e);

/* Where the index has the chunk now, of several places the one in the smallest pack. */
static int find_moved(struct reader_domain *d, const struct chunk_ref *ref, struct chunk_ref *ret)
{
	struct moved_ask ask = { 0 };
	struct err ignored = ERR_INIT;

	if (moved_ask(d->moved, ref, &ask, &ignored) <= 0 || ask.n == 0)
		return -1;
	*ret = ask.places[0];
	for (size_t i = 1; i < ask.n; i++) {
		if (memcmp(ask.places[i].pack, ret->pack, sizeof(ret->pack)) < 0)
			*ret = ask.places[i];
	}
	return check_ref(ret, &ignored);
}

/* All wants of a pack that is gone: where the index has them now, in as few reads as before. */
static int run_moved(struct worker *w, struct reader_domain *d, struct reader_want *wants, size_t n,
                     const struct err *gone, struct err *e)
{
	size_t nmoved = 0;

	for (size_t i = 0; i < n; i++) {
		struct reader_want want = wants[i];
		struct chunk_ref other;
		struct err why = *gone;

		if (find_moved(d, &want.ref, &other) == 0) {
			want.ref = other;
			wants[nmoved++] = want;
			continue;
		}
		int r = rescue(w, d, &want.ref, &why);
		if (hand_over(w, &want, r < 0 ? &why : NULL, e) < 0)
			return -1;
	}
	qsort(wants, nmoved, sizeof(*wants), by_place);
	for (size_t at = 0; at < nmoved;) {
		size_t span = range_span(w->r, wants + at, nmoved - at);
		auto_free struct range *g = range_new(w->r, d, wants + at, span);

		if (!g)
			return err_set(e, ERR_NOMEM, "no memory for reading");
		if (run_range(w, g, NULL, true, e) < 0)
			return -1;
		at += span;
	}
	return 0;
}

/*
 * Opens and delivers every chunk of the range. bytes: what was fetched, or
 * NULL: it is read here. last: what is gone was looked for already.
 */
static int run_range(struct worker *w, struct range *g, const uint8_t *bytes, bool last,
                     struct err *e)
{
	struct err why = g->err;
	bool failed = g->failed;
	size_t lost = 0;

	if (!failed && !bytes) {
		if (grow(&w->in, &w->in_cap, g->len, e) < 0)
			return -1;
		failed = fetch(w->r, g, w->in, &why) < 0;
		bytes = w->in;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct reader_want *want = &g->wants[i];

		if (!failed) {
			const uint8_t *head = g->off == 0 ? bytes : NULL;

			why = (struct err)ERR_INIT;
			if (open_chunk(w, g->domain, &want->ref, bytes + (want->ref.off - g->off),
			               head, head ? g->len : 0, &why) == 0) {
				if (hand_over(w, want, NULL, e) < 0)
					return -1;
				continue;
			}
		}
		if (why.class == ERR_NOMEM || why.class == ERR_CANCELLED) {
			*e = why;
			return -1;
		}
		if (is_loss(&why))
			g->wants[lost++] = *want; /* never before want itself */
		else if (hand_over(w, want, &why, e) < 0)
			return -1;
		g->err = why;
	}
	/* Now w->in is free. */
	if (lost > 0 && g->err.class == ERR_NOT_FOUND && !last)
		return run_moved(w, g->domain, g->wants, lost, &g->err, e);
	for (size_t i = 0; i < lost; i++) {
		struct reader_want *want = &g->wants[i];

		/* Bytes may have been hurt on their way, so the place gets a second try. */
		why = (struct err)ERR_INIT;
		if (try_place(w, g->domain, &want->ref, &why) == 0 ||
		    (is_loss(&why) && rescue(w, g->domain, &want->ref, &why) == 0)) {
			if (hand_over(w, want, NULL, e) < 0)
				return -1;
		} else if (hand_over(w, want, &why, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* ---- threads ---- */

static void buf_put_back(struct reader *r, struct range_buf *take_b)
{
	if (!take_b)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->in_use--;
	take_b->next = r->spare;
	r->spare = take_b;
	(void)pthread_cond_broadcast(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
}

/* A buffer of the list that has this size, or, with cap 0, any. */
static struct range_buf *take_spare_locked(struct reader *r, size_t cap)
{
	struct range_buf **at = &r->spare;

	while (*at && cap && (*at)->cap != cap)
		at = &(*at)->next;
	struct range_buf *b = *at;
	if (b)
		*at = b->next;
	return b;
}

/* Few sizes, so that buffers can be used again. */
static size_t buf_cap(const struct reader *r, size_t n)
{
	if (n <= BUF_SMALL)
		return BUF_SMALL;
	if (n <= BUF_MIDDLE)
		return BUF_MIDDLE;
	return n <= r->range_max ? r->range_max : n;
}

/*
 * A spare buffer for n bytes, or *ret_new is what a new one may have; counted. false: too much is
 * in use.
 */
static bool buf_try_locked(struct reader *r, size_t n, struct range_buf **ret, size_t *ret_new)
{
	size_t cap = buf_cap(r, n);
	struct range_buf *b = take_spare_locked(r, cap);
	size_t more = !b ? n : n > b->touched ? n - b->touched : 0;

	/* Those of other sizes go first; and one that is too much is better than nothing. */
	while (r->buffered + more > r->params.memory) {
		struct range_buf *other = take_spare_locked(r, 0);

		if (!other)
			break;
		r->buffered -= other->touched;
		free(other);
	}
	if (r->in_use > 0 && r->buffered + more > r->params.memory) {
		if (b) {
			b->next = r->spare;
			r->spare = b;
		}
		return false;
	}
	r->in_use++;
	r->buffered += more;
	if (b)
		b->touched += more;
	*ret = b;
	*ret_new = cap;
	return true;
}

/* A buffer for n bytes; waits while too many are in use. NULL: no memory, or the reading ends. */
static struct range_buf *buf_get(struct reader *r, size_t n)
{
	struct range_buf *b = NULL;
	size_t cap = 0;

	(void)pthread_mutex_lock(&r->lock);
	while (!r->failed && !r->closing && !buf_try_locked(r, n, &b, &cap))
		(void)pthread_cond_wait(&r->room, &r->lock);
	bool ends = cap == 0;
	(void)pthread_mutex_unlock(&r->lock);
	if (b || ends)
		return b;
	b = malloc(sizeof(*b) + cap);
	if (b) {
		b->cap = cap;
		b->touched = n;
		return b;
	}
	(void)pthread_mutex_lock(&r->lock);
	r->in_use--;
	r->buffered -= n;
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* The next range of the list, or NULL when the reading ends. */
static struct range *next_range(struct reader *r, struct range_list *l, pthread_cond_t *cond)
{
	(void)pthread_mutex_lock(&r->lock);
	while (!l->head && !r->closing && !r->failed)
		(void)pthread_cond_wait(cond, &r->lock);
	struct range *g = r->closing || r->failed ? NULL : list_take(l);
	(void)pthread_mutex_unlock(&r->lock);
	return g;
}

static void range_done(struct reader *r, struct range *take_g)
{
	(void)pthread_mutex_lock(&r->lock);
	r->under_way -= take_g->weight;
	r->ranges--;
	(void)pthread_cond_broadcast(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
	free(take_g);
}

/* Opens the range's data key here, so that decoding does not wait for the store. */
static void fetch_key(struct reader *r, const struct range *g, uint8_t *dek)
{
	struct err ignored = ERR_INIT;
	uint8_t cipher;
	bool vouched;

	if (!dek || g->off == 0 || keyring_has(r->ring, &g->wants[0].ref))
		return;
	/* A failure shows again when the chunk is opened. */
	if (keyring_get(r->ring, g->domain->keys, &g->wants[0].ref, NULL, 0, dek, &cipher, &vouched,
	                &ignored) < 0)
		return;
	secret_wipe(dek, FORMAT_DEK_BYTES);
}

static void *fetch_main(void *arg)
{
	struct reader *r = arg;
	auto_secret uint8_t *dek = secret_new(FORMAT_DEK_BYTES);
	struct range *g;

	while ((g = next_range(r, &r->pending, &r->work))) {
		struct err e = ERR_INIT;

		g->buf = buf_get(r, g->len);
		if (!g->buf) {
			if (!has_failed(r)) {
				(void)err_set(&e, ERR_NOMEM, "no memory for %u bytes of a pack",
				              g->len);
				fail(r, &e);
			}
			range_done(r, g);
			break;
		}
		if (cancel_check(r->repo->cancel, &e) < 0)
			fail(r, &e);
		else if (fetch(r, g, g->buf->data, &g->err) < 0)
			g->failed = true;
		else
			fetch_key(r, g, dek);
		(void)pthread_mutex_lock(&r->lock);
		list_add(&r->fetched, g);
		(void)pthread_cond_signal(&r->arrived);
		(void)pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

static void *decode_main(void *arg)
{
	struct worker *w = arg;
	struct reader *r = w->r;
	struct range_list *from = r->local ? &r->pending : &r->fetched;
	struct range *g;

	while ((g = next_range(r, from, r->local ? &r->work : &r->arrived))) {
		struct err e = ERR_INIT;

		if (cancel_check(r->repo->cancel, &e) < 0 ||
		    run_range(w, g, g->buf ? g->buf->data : NULL, false, &e) < 0)
			fail(r, &e);
		buf_put_back(r, g->buf);
		range_done(r, g);
	}
	worker_free(w);
	return NULL;
}

static int start_thread(struct reader *r, void *(*fn)(void *), void *arg, const char *name,
                        struct err *e)
{
	int os = pthread_create(&r->threads[r->nthreads], NULL, fn, arg);

	if (os)
		return err_sys(e, os, "starting a thread that reads");
	(void)pthread_setname_np(r->threads[r->nthreads], name);
	r->nthreads++;
	return 0;
}

static int start_threads(struct reader *r, struct err *e)
{
	for (unsigned i = 0; i < r->params.threads; i++) {
		struct worker *w = worker_new(r);

		if (!w)
			return err_set(e, ERR_NOMEM, "no memory for reading");
		if (start_thread(r, decode_main, w, "decode", e) < 0) {
			worker_free(w);
			return -1;
		}
	}
	for (unsigned i = 0; !r->local && i < r->params.inflight; i++) {
		if (start_thread(r, fetch_main, r, "fetch", e) < 0)
			return -1;
	}
	return 0;
}

/* ---- interface ---- */

/* Buffers of ranges, by how many workers decode: each grows to the longest chunk that it meets. */
static uint64_t memory_remote(unsigned threads)
{
	uint64_t workers = (uint64_t)threads * 2 * FORMAT_CHUNK_MAX;
	uint64_t left = workers < MEMORY_ALL ? MEMORY_ALL - workers : 0;

	return left > MEMORY_REMOTE ? MEMORY_REMOTE : left < MEMORY_LOCAL ? MEMORY_LOCAL : left;
}

int reader_open(const struct repo *repo, const struct reader_params *params,
                reader_deliver_fn *deliver, void *ctx, struct reader **ret, struct err *e)
{
	struct reader *r = calloc(1, sizeof(*r));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!r)
		return err_set(e, ERR_NOMEM, "no memory for reading");
	r->repo = repo;
	r->params = *params;
	r->deliver = deliver;
	r->ctx = ctx;
	r->local = repo->store->caps & STORE_CAP_LOCAL;
	if (r->params.threads == 0)
		r->params.threads = cpus <= 0                          ? 1
		                    : cpus < (long)THREADS_DEFAULT_MAX ? (unsigned)cpus
		                                                       : THREADS_DEFAULT_MAX;
	if (r->params.threads > THREADS_MAX)
		r->params.threads = THREADS_MAX;
	if (r->params.inflight == 0)
		r->params.inflight = INFLIGHT_DEFAULT;
	if (r->params.inflight > THREADS_MAX)
		r->params.inflight = THREADS_MAX;
	if (r->params.memory == 0)
		r->params.memory = r->local ? MEMORY_LOCAL : memory_remote(r->params.threads);
	r->gap = r->local ? GAP_LOCAL : GAP_REMOTE;
	r->range_max = RANGE_LOCAL;
	r->under_way_max = r->params.memory;
	if (!r->local) {
		/* A whole pack by one request, where there is memory for some of them. */
		size_t pack = repo->params.pack_bytes + 2 * FORMAT_CHUNK_MAX;

		r->range_max = (size_t)(r->params.memory / RANGES_LEAST);
		if (r->range_max > pack)
			r->range_max = pack;
		if (r->range_max < RANGE_REMOTE_MIN)
			r->range_max = RANGE_REMOTE_MIN;
		/* What waits for its turn has no bytes yet. */
		r->under_way_max = 2 * r->params.memory;
	}
	r->pending.tail = &r->pending.head;
	r->fetched.tail = &r->fetched.head;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->work, NULL);
	(void)pthread_cond_init(&r->arrived, NULL);
	(void)pthread_cond_init(&r->room, NULL);
	/* Asking a distant store who vouches for a pack takes two requests; hashing takes none. */
	r->ring = keyring_new(repo, KEYS_KEPT, r->local && !params->rehash);
	if (!r->ring) {
		reader_free(r);
		return err_set(e, ERR_NOMEM, "no memory for reading");
	}
	if (deliver && start_threads(r, e) < 0) {
		reader_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

static void drop_ranges(struct reader *r, struct range_list *l)
{
	struct range *g;

	while ((g = list_take(l))) {
		free(g->buf);
		r->ranges--;
		free(g);
	}
}

static void domain_free(struct reader_domain *d)
{
	moved_free(d->moved);
	secret_free(d->keys);
	secret_wipe(d, sizeof(*d));
	free(d);
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->closing = true;
	(void)pthread_cond_broadcast(&r->work);
	(void)pthread_cond_broadcast(&r->arrived);
	(void)pthread_cond_broadcast(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->nthreads; i++)
		(void)pthread_join(r->threads[i], NULL);
	drop_ranges(r, &r->pending);
	drop_ranges(r, &r->fetched);
	for (struct range_buf *b = r->spare, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	for (struct reader_domain *d = r->domains, *next; d; d = next) {
		next = d->next;
		domain_free(d);
	}
	worker_free(r->sync);
	keyring_free(r->ring);
	(void)pthread_cond_destroy(&r->work);
	(void)pthread_cond_destroy(&r->arrived);
	(void)pthread_cond_destroy(&r->room);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct reader_domain *domain_new(const struct reader *r, const struct domain_keys *keys)
{
	struct reader_domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->keys = secret_new(sizeof(*d->keys));
	if (d->keys)
		d->moved = moved_new(r->repo, d->keys);
	if (!d->moved) {
		domain_free(d);
		return NULL;
	}
	*d->keys = *keys;
	crypt_hasher_init(&d->node, keys->node);
	if (keys->has_content)
		crypt_hasher_init(&d->data, keys->id);
	return d;
}

/* The reader's own copy of a domain, made when it is first seen. */
static struct reader_domain *domain_of(struct reader *r, const struct domain_keys *keys,
                                       struct err *e)
{
	struct reader_domain *d;

	if (r->params.rehash && !keys->has_content) {
		(void)err_set(e, ERR_DENIED,
		              "this key file cannot compute ids of data; use the recovery key");
		return NULL;
	}
	(void)pthread_mutex_lock(&r->lock);
	d = r->domains;
	while (d && strcmp(d->keys->name, keys->name) != 0)
		d = d->next;
	if (!d && (d = domain_new(r, keys))) {
		d->next = r->domains;
		r->domains = d;
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (!d)
		(void)err_set(e, ERR_NOMEM, "no memory for the keys of a domain");
	return d;
}

/* Waits for room and appends. */
static int push_range(struct reader *r, struct range *take_g, struct err *e)
{
	(void)pthread_mutex_lock(&r->lock);
	while (r->under_way > 0 && r->under_way + take_g->weight > r->under_way_max && !r->failed)
		(void)pthread_cond_wait(&r->room, &r->lock);
	bool failed = r->failed;
	if (failed) {
		*e = r->err;
	} else {
		r->under_way += take_g->weight;
		r->ranges++;
		list_add(&r->pending, take_g);
		(void)pthread_cond_signal(&r->work);
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (failed)
		free(take_g);
	return failed ? -1 : 0;
}

int reader_submit(struct reader *r, const struct domain_keys *domain,
                  const struct reader_want *wants, size_t n, struct err *e)
{
	auto_free struct reader_want *sorted = NULL;

	if (n == 0)
		return 0;
	struct reader_domain *d = domain_of(r, domain, e);
	if (!d)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (check_ref(&wants[i].ref, e) < 0)
			return -1;
	}
	sorted = reallocarray(NULL, n, sizeof(*sorted));
	if (!sorted)
		return err_set(e, ERR_NOMEM, "no memory for %zu chunks to read", n);
	memcpy(sorted, wants, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_place);
	for (size_t at = 0; at < n;) {
		size_t span = range_span(r, sorted + at, n - at);
		struct range *g = range_new(r, d, sorted + at, span);

		if (!g)
			return err_set(e, ERR_NOMEM, "no memory for reading");
		if (push_range(r, g, e) < 0)
			return -1;
		at += span;
	}
	return 0;
}

int reader_wait(struct reader *r, bool (*done)(void *arg), void *arg, struct err *e)
{
	(void)pthread_mutex_lock(&r->lock);
	while (!r->failed && !done(arg))
		(void)pthread_cond_wait(&r->room, &r->lock);
	bool failed = r->failed;
	if (failed)
		*e = r->err;
	(void)pthread_mutex_unlock(&r->lock);
	return failed ? -1 : 0;
}

void reader_wake(struct reader *r)
{
	(void)pthread_mutex_lock(&r->lock);
	(void)pthread_cond_broadcast(&r->room);
	(void)pthread_mutex_unlock(&r->lock);
}

int reader_drain(struct reader *r, struct err *e)
{
	(void)pthread_mutex_lock(&r->lock);
	while (r->ranges > 0 && !r->failed)
		(void)pthread_cond_wait(&r->room, &r->lock);
	bool failed = r->failed;
	if (failed)
		*e = r->err;
	(void)pthread_mutex_unlock(&r->lock);
	return failed ? -1 : 0;
}

int reader_chunk(struct reader *r, const struct domain_keys *domain, const struct chunk_ref *ref,
                 uint8_t *out, struct err *e)
{
	struct err why = ERR_INIT;
	struct reader_domain *d = domain_of(r, domain, e);

	if (!d || cancel_check(r->repo->cancel, e) < 0 || check_ref(ref, e) < 0)
		return -1;
	if (!r->sync)
		r->sync = worker_new(r);
	if (!r->sync)
		return err_set(e, ERR_NOMEM, "no memory for reading");
	if (try_place(r->sync, d, ref, &why) < 0 &&
	    (!is_loss(&why) ||
	     (try_place(r->sync, d, ref, &why) < 0 && rescue(r->sync, d, ref, &why) < 0))) {
		*e = why;
		return -1;
	}
	memcpy(out, r->sync->plain, ref->plain);
	return 0;
}
