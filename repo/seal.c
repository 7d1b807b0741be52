/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See seal.h. Two data packs are open at a time and each chunk goes into one
 * of them at random, so that the order and sizes of chunks in a pack say less
 * about a file (docs/THREATS.md). A pack's space is reserved under the lock,
 * and filled by encrypting straight into it outside of it; whoever seals the
 * last piece of a closed pack sends it to the uploaders.
 *
 * Memory: BUFS plain buffers, three buffers of a chunk's size per worker,
 * packs_most packs of data and NODE_PACKS_MAX of tree nodes. A distant store
 * gets more than two packs at a time as long as they fit into PACK_MEMORY, so
 * that packs of any size fill the way there.
 */
#include "repo/seal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "common/now.h"
#include "common/queue.h"
#include "repo/chunker.h"
#include "repo/compress.h"
#include "repo/meta_cache.h"

#define OPEN_DATA 2   /* data packs that are filled at the same time */
#define PACKS_LEAST 4 /* data packs in memory: open, closing, uploading */
#define PACKS_MAX 10  /* the same, of small packs to a distant store */
#define PACK_MEMORY (160 * MIB)
#define NODE_PACKS_MAX 3 /* the same of tree nodes: a tree may be made faster than it is stored */
#define NODE_PACK_BYTES (16 * MIB) /* at most, whatever data packs have */
#define EARLY_BYTES (2 * MIB)      /* before its target a pack may end, if that saves padding */
#define UPLOADERS_MAX (PACKS_MAX - OPEN_DATA)
#define UPLOADS_MAX 16 /* waiting: more than can be, see open_pack_new_locked() */
#define TASKS_MAX 64   /* waiting for the pool */
#define BOXES (OPEN_DATA + 1)
#define BUF_LEAST (2 * MIB)           /* bytes of the longest chunk that is not cut by content */
#define CHECKPOINT_BYTES GIB          /* uploaded before the index is told, at least */
#define CHECKPOINT_MS (5 * 60 * 1000) /* or so long after the last time */

struct open_pack {
	struct pack_build *build; /* NULL: none is open */
	unsigned sealing;         /* pieces reserved and not sealed yet; guarded by lock */
	bool closed;              /* no more reservations; guarded by lock */
	uint64_t serial;          /* of all packs of the session */
};

/* What one thread needs to seal: contexts and buffers of its own. */
struct worker {
	struct sealer *s;
	pthread_t thread;
	struct compress *z;
	uint8_t *packed, *checked; /* compressed; decrypted again */
	uint8_t *expanded;
	size_t cap;
	struct {
		uint64_t serial; /* of the pack it is keyed for; 0: none */
		struct crypt_box *box;
		struct crypt_scrub *scrub;
	} boxes[BOXES];
	unsigned next_box;
	uint8_t (*fps)[CRYPT_FP_BYTES];
	uint32_t *marks;
};

struct task {
	void (*fn)(void *arg); /* or NULL: seal the chunk */
	void *arg;
	struct chunk_buf *buf;
	struct pending_chunk *chunk;
	bool with_pages;
};

struct sealer {
	const struct repo *repo;
	struct sealer_params params;
	struct crypt_hasher hasher;
	size_t target[2], pack_cap[2]; /* bytes, by kind */
	unsigned packs_most[2];        /* in memory, by kind */
	unsigned nuploaders;
	struct queue tasks, uploads, bufs;
	struct chunk_buf *buf_array;
	size_t nbufs;
	struct worker *workers;
	unsigned nworkers, started;
	pthread_t uploaders[UPLOADERS_MAX];
	unsigned uploaders_started;
	struct worker node_worker; /* of whoever calls sealer_put_node() */
	bool node_worker_ready;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct open_pack *data[OPEN_DATA];   /* guarded by lock */
	struct open_pack *node;              /* guarded by lock */
	unsigned packs_alive[2];             /* in memory, by kind; guarded by lock */
	struct pack_build *spare[PACKS_MAX]; /* memory of packs that are out; guarded by lock */
	unsigned nspare;                     /* guarded by lock */
	uint64_t serial;                     /* guarded by lock */
	uint64_t coin;                       /* random bits; guarded by lock */
	unsigned coins;
	unsigned unplaced;           /* chunks submitted and not placed; guarded by lock */
	unsigned uploading;          /* packs on their way; guarded by lock */
	struct sealer_totals totals; /* guarded by lock */
	uint64_t unindexed_bytes;    /* uploaded since the last segment; guarded by lock */
	int64_t segment_ms;          /* when that was; guarded by lock */
	struct err failure;          /* guarded by lock */
	atomic_bool failed;
	void (*on_failure)(void *arg);
	void *on_failure_arg;
};

/* ---- failure ---- */

void sealer_fail(struct sealer *s, const struct err *why)
{
	bool first;

	(void)pthread_mutex_lock(&s->lock);
	first = !atomic_load(&s->failed);
	if (first) {
		s->failure = *why;
		atomic_store(&s->failed, true);
	}
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	if (!first)
		return;
	queue_close(&s->bufs);
	queue_close(&s->tasks);
	queue_close(&s->uploads);
	if (s->on_failure)
		s->on_failure(s->on_failure_arg);
}

bool sealer_failed(const struct sealer *s)
{
	return atomic_load_explicit(&s->failed, memory_order_relaxed);
}

int sealer_error(struct sealer *s, struct err *e)
{
	if (!sealer_failed(s))
		return 0;
	(void)pthread_mutex_lock(&s->lock);
	*e = s->failure;
	(void)pthread_mutex_unlock(&s->lock);
	return -1;
}

void sealer_on_failure(struct sealer *s, void (*fn)(void *arg), void *arg)
{
	s->on_failure_arg = arg;
	s->on_failure = fn;
}

/* ---- packs ---- */

static void open_pack_free(struct open_pack *p)
{
	if (!p)
		return;
	pack_build_free(p->build);
	free(p);
}

/*
 * Starts a pack; waits while too many are in memory. Caller holds the lock, which is dropped
 * meanwhile.
 */
static struct open_pack *open_pack_new_locked(struct sealer *s, uint8_t kind, struct err *e)
{
	struct open_pack *p;

	while (s->packs_alive[kind] >= s->packs_most[kind] && !sealer_failed(s))
		(void)pthread_cond_wait(&s->changed, &s->lock);
	if (sealer_failed(s)) {
		*e = s->failure;
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		(void)err_set(e, ERR_NOMEM, "no memory for a pack");
		return NULL;
	}
	/* Memory that was written to before costs no page faults. */
	if (kind == CHUNK_DATA && s->nspare) {
		p->build = s->spare[--s->nspare];
		if (pack_build_again(p->build, e) < 0) {
			pack_build_free(p->build);
			p->build = NULL;
		}
	} else {
		p->build = pack_build_new(s->repo->keys, s->params.domain, kind,
		                          s->repo->params.cipher, s->pack_cap[kind], e);
	}
	if (!p->build) {
		free(p);
		return NULL;
	}
	p->serial = ++s->serial;
	s->packs_alive[kind]++;
	return p;
}

/*
 * Takes no more chunks; the pack goes out once nobody seals into it. Caller holds the lock.
 * Returns whether the caller must push it.
 */
static bool close_pack_locked(struct sealer *s, struct open_pack *p)
{
	p->closed = true;
	s->uploading++;
	return p->sealing == 0;
}

/* A good moment to end a pack: full, or nearly full with hardly any padding. */
static bool full_enough(const struct sealer *s, const struct pack_build *b)
{
	uint64_t target = s->target[b->kind];
	uint64_t early = target / 8 < EARLY_BYTES ? target / 8 : EARLY_BYTES;

	if (b->payload >= target)
		return true;
	return b->payload >= target - early &&
	       pack_padme(b->payload) - b->payload < b->payload / 256;
}

/* Sends a complete pack; the queue has room for every pack there can be. Caller holds the lock. */
static void send_locked(struct sealer *s, struct open_pack *p)
{
	if (!queue_push(&s->uploads, p))
		open_pack_free(p);
}

static struct open_pack **slot_locked(struct sealer *s, uint8_t kind)
{
	if (kind == CHUNK_NODE)
		return &s->node;
	if (s->coins == 0) {
		secret_random(&s->coin, sizeof(s->coin));
		s->coins = 64;
	}
	struct open_pack **slot = &s->data[s->coin & 1];
	s->coin >>= 1;
	s->coins--;
	return slot;
}

/* Reserves `stored` bytes in an open pack of the kind. NULL with e. */
static struct open_pack *reserve_locked(struct sealer *s, uint8_t kind, struct chunk_ref *ref,
                                        size_t stored, size_t *ret_index, struct err *e)
{
	struct open_pack **slot = slot_locked(s, kind);

	while (!*slot || !pack_build_fits((*slot)->build, stored)) {
		struct open_pack *p = *slot;

		*slot = NULL;
		if (p) {
			if (p->build->n == 0) {
				open_pack_free(p);
				(void)err_set(e, ERR_BUG,
				              "a chunk of %zu bytes does not fit into an empty "
				              "pack",
				              stored);
				return NULL;
			}
			if (close_pack_locked(s, p))
				send_locked(s, p);
		}
		/* Waiting drops the lock: somebody else may fill the slot meanwhile. */
		p = open_pack_new_locked(s, kind, e);
		if (!p)
			return NULL;
		if (!*slot) {
			*slot = p;
			continue;
		}
		s->packs_alive[kind]--;
		open_pack_free(p);
	}
	struct open_pack *p = *slot;
	*ret_index = pack_build_reserve(p->build, ref, stored);
	p->sealing++;
	if (full_enough(s, p->build)) {
		*slot = NULL;
		(void)close_pack_locked(s, p); /* goes out when this piece is sealed */
	}
	return p;
}

/* A reserved piece is in place. */
static void sealed(struct sealer *s, struct open_pack *p)
{
	(void)pthread_mutex_lock(&s->lock);
	if (--p->sealing == 0 && p->closed)
		send_locked(s, p);
	(void)pthread_mutex_unlock(&s->lock);
}

/* The entries of an uploaded pack go into the session's index. */
static int index_pack(struct sealer *s, const struct pack_build *b, struct err *e)
{
	struct segment_pack pack = { .kind = b->kind, .len = b->len };

	if (!s->params.segments)
		return 0;
	auto_free struct chunk_ref *refs = reallocarray(NULL, b->n ? b->n : 1, sizeof(*refs));
	if (!refs)
		return err_set(e, ERR_NOMEM, "no memory for the index of a pack");
	memcpy(pack.id, b->id, sizeof(pack.id));
	for (size_t i = 0; i < b->n; i++)
		segment_ref_of(&b->entries[i], b->id, &refs[i]);
	return segment_add(s->params.segments, &pack, refs, b->n, e);
}

/*
 * Whether what was uploaded shall be findable now: after a GiB or a quarter of all, whichever is
 * more, so that segments stay few; and after some minutes, so that a slow upload is not lost.
 */
static bool checkpoint_due_locked(struct sealer *s)
{
	uint64_t enough = s->totals.stored_bytes / 4;
	int64_t now_ms = now_mono_ns() / 1000000;

	if (enough < CHECKPOINT_BYTES)
		enough = CHECKPOINT_BYTES;
	if (s->unindexed_bytes < enough && now_ms - s->segment_ms < CHECKPOINT_MS)
		return false;
	s->unindexed_bytes = 0;
	s->segment_ms = now_ms;
	return true;
}

static int uploaded(struct sealer *s, const struct pack_build *b, struct err *e)
{
	if (index_pack(s, b, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&s->lock);
	s->totals.packs++;
	s->totals.stored_bytes += b->len;
	s->unindexed_bytes += b->len;
	bool due = checkpoint_due_locked(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (!due || !s->params.segments)
		return 0;
	if (segment_flush(s->params.segments, e) < 0)
		return -1;
	return s->params.checkpoint ? s->params.checkpoint(s->params.arg, e) : 0;
}

static int upload(struct sealer *s, struct pack_build *b, struct err *e)
{
	char name[PACK_KEY_MAX];

	if (cancel_check(s->repo->cancel, e) < 0)
		return -1;
	if (pack_build_finish(b, e) < 0)
		return -1;
	pack_key_name(name, b->id, b->kind);
	struct iovec iov = { b->data, b->len };
	if (!s->params.dry_run && store_put(s->repo->store, name, &iov, 1, e) < 0)
		return err_wrap(e, "uploading '%s'", name);
	if (!s->params.dry_run && b->kind == CHUNK_NODE)
		meta_cache_keep(s->repo, b->id, b->data, b->len);
	if (s->params.counts)
		atomic_fetch_add(&s->params.counts->bytes_stored, b->len);
	return uploaded(s, b, e);
}

static void *uploader(void *arg)
{
	struct sealer *s = arg;
	struct open_pack *p;

	(void)prctl(PR_SET_NAME, "upload");
	while ((p = queue_pop(&s->uploads))) {
		struct err e = ERR_INIT;

		if (!sealer_failed(s) && upload(s, p->build, &e) < 0)
			sealer_fail(s, &e);
		(void)pthread_mutex_lock(&s->lock);
		s->uploading--;
		s->packs_alive[p->build->kind]--;
		if (p->build->kind == CHUNK_DATA)
			s->spare[s->nspare++] = STEAL(&p->build);
		(void)pthread_cond_broadcast(&s->changed);
		(void)pthread_mutex_unlock(&s->lock);
		open_pack_free(p);
	}
	return NULL;
}

/* ---- sealing ---- */

static int worker_init(struct sealer *s, struct worker *w, struct err *e)
{
	w->s = s;
	w->cap = compress_bound(FORMAT_CHUNK_MAX);
	w->z = compress_new();
	/* Address space; only what chunks really need becomes memory. */
	w->packed = mmap(NULL, 3 * w->cap, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w->fps = calloc(PAGES_CHUNK_MAX, sizeof(*w->fps));
	w->marks = calloc(PAGES_CHUNK_MAX, sizeof(*w->marks));
	if (w->packed == MAP_FAILED)
		w->packed = NULL;
	if (!w->z || !w->packed || !w->fps || !w->marks)
		return err_set(e, ERR_NOMEM, "no memory for a worker");
	w->checked = w->packed + w->cap;
	w->expanded = w->checked + w->cap;
	return 0;
}

static void worker_clear(struct worker *w)
{
	compress_free(w->z);
	if (w->packed)
		(void)munmap(w->packed, 3 * w->cap);
	for (size_t i = 0; i < BOXES; i++) {
		crypt_box_free(w->boxes[i].box);
		crypt_scrub_free(w->boxes[i].scrub);
	}
	free(w->fps);
	free(w->marks);
}

/* The worker's contexts for a pack, keyed; NULL: no memory. */
static size_t worker_box(struct worker *w, const struct open_pack *p)
{
	const struct sealer *s = w->s;
	size_t i;

	for (i = 0; i < BOXES; i++)
		if (w->boxes[i].serial == p->serial)
			return i;
	i = w->next_box;
	w->next_box = (w->next_box + 1) % BOXES;
	if (!w->boxes[i].box)
		w->boxes[i].box = crypt_box_new(p->build->cipher);
	crypt_scrub_free(w->boxes[i].scrub);
	w->boxes[i].scrub = crypt_scrub_new(p->build->cipher, s->params.domain->scrub,
	                                    p->build->id);
	w->boxes[i].serial = 0;
	if (!w->boxes[i].box || !w->boxes[i].scrub)
		return BOXES;
	crypt_box_key(w->boxes[i].box, p->build->dek);
	w->boxes[i].serial = p->serial;
	return i;
}

/*
 * Decrypts and expands what was just sealed and compares: a broken CPU or codec must not become
 * a broken backup.
 */
static int verify(struct worker *w, struct crypt_box *box, const struct pack_build *b,
                  const struct chunk_ref *ref, const uint8_t *plain, struct err *e)
{
	if (pack_chunk_open(box, w->z, w->s->repo->keys->repo, ref, b->data + ref->off, w->checked,
	                    w->expanded) < 0 ||
	    memcmp(w->expanded, plain, ref->plain) != 0)
		return err_set(
			e, ERR_BUG,
			"a chunk does not decode to what was encoded; the memory or CPU of this "
			"machine "
			"cannot be trusted");
	return 0;
}

/* Stores a chunk whose id was claimed; fills ref. */
static int store_chunk(struct worker *w, struct chunk_ref *ref, const uint8_t *plain, size_t n,
                       struct err *e)
{
	struct sealer *s = w->s;
	size_t index;
	size_t packed = compress_chunk(w->z, s->params.level, plain, n, w->packed, w->cap);
	const uint8_t *in = packed ? w->packed : plain;
	size_t in_len = packed ? packed : n;

	ref->plain = (uint32_t)n;
	ref->compression = packed ? COMPRESSION_ZSTD : COMPRESSION_NONE;
	(void)pthread_mutex_lock(&s->lock);
	struct open_pack *p = reserve_locked(s, ref->kind, ref, in_len + FORMAT_TAG_BYTES, &index,
	                                     e);
	(void)pthread_mutex_unlock(&s->lock);
	if (!p)
		return -1;
	size_t box = worker_box(w, p);
	int rc = 0;
	if (box == BOXES)
		rc = err_set(e, ERR_NOMEM, "no memory for a cipher");
	if (rc == 0)
		rc = pack_build_seal(p->build, w->boxes[box].box, w->boxes[box].scrub, index, ref,
		                     in, in_len) < 0
		             ? err_set(e, ERR_BUG, "encrypting a chunk failed")
		             : 0;
	if (rc == 0 && s->params.verify)
		rc = verify(w, w->boxes[box].box, p->build, ref, plain, e);
	sealed(s, p);
	return rc;
}

static void make_marks(struct worker *w, const uint8_t *p, size_t n)
{
	const struct chunker *c = w->s->params.chunker;

	for (size_t i = 0, off = 0; off < n; i++, off += FORMAT_PAGE_BYTES)
		w->marks[i] = chunker_mark(c, p + off, n - off);
}

static int seal_chunk(struct worker *w, struct task *t, struct err *e)
{
	struct sealer *s = w->s;
	struct chunk_ref *ref = &t->chunk->ref;
	const uint8_t *p = t->buf->data;
	size_t n = t->buf->len;
	bool pages = t->with_pages && s->params.pages;

	ref->kind = CHUNK_DATA;
	crypt_chunk_id(&s->hasher, p, n, ref->id, pages ? w->fps[0] : NULL);
	if (index_claim(s->params.index, ref->id, ref)) {
		if (store_chunk(w, ref, p, n, e) < 0) {
			index_abandon(s->params.index, ref->id);
			return -1;
		}
		index_add(s->params.index, ref);
		(void)pthread_mutex_lock(&s->lock);
		s->totals.new_chunks++;
		s->totals.new_bytes += n;
		(void)pthread_mutex_unlock(&s->lock);
	}
	if (pages) {
		struct page_set set = {
			.plain = (uint32_t)n,
			.n = (uint32_t)((n + FORMAT_PAGE_BYTES - 1) / FORMAT_PAGE_BYTES),
			.fps = w->fps,
			.marks = w->marks,
		};

		memcpy(set.id, ref->id, sizeof(set.id));
		make_marks(w, p, n);
		pages_put(s->params.pages, &set);
	}
	return 0;
}

static void placed(struct sealer *s, struct pending_chunk *c)
{
	(void)pthread_mutex_lock(&s->lock);
	atomic_store_explicit(&c->placed, true, memory_order_release);
	s->unplaced--;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	sealer_pending_unref(c);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct sealer *s = w->s;
	struct task *t;

	(void)prctl(PR_SET_NAME, "seal");
	while ((t = queue_pop(&s->tasks))) {
		struct err e = ERR_INIT;

		if (t->fn) {
			t->fn(t->arg);
		} else {
			if (!sealer_failed(s) && seal_chunk(w, t, &e) < 0)
				sealer_fail(s, &e);
			sealer_buf_return(s, t->buf);
			placed(s, t->chunk);
		}
		free(t);
	}
	return NULL;
}

/* ---- interface ---- */

static void choose_sizes(struct sealer *s, const struct repo *r)
{
	size_t bytes = r->params.pack_bytes;
	size_t fit = PACK_MEMORY / bytes;
	unsigned most = fit > PACKS_MAX ? PACKS_MAX : (unsigned)fit;

	if (r->store->caps & STORE_CAP_LOCAL || most < PACKS_LEAST)
		most = PACKS_LEAST;
	s->packs_most[CHUNK_DATA] = most;
	s->packs_most[CHUNK_NODE] = NODE_PACKS_MAX;
	s->nuploaders = most - OPEN_DATA;
	s->target[CHUNK_DATA] = bytes;
	s->target[CHUNK_NODE] = bytes < NODE_PACK_BYTES ? bytes : NODE_PACK_BYTES;
	for (unsigned kind = 0; kind < 2; kind++)
		s->pack_cap[kind] = s->target[kind] + 2 * FORMAT_CHUNK_MAX;
}

int sealer_open(const struct repo *r, const struct sealer_params *params, struct sealer **ret,
                struct err *e)
{
	struct sealer *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for the pipeline");
	s->repo = r;
	s->params = *params;
	s->nworkers = params->threads;
	s->nbufs = s->nworkers + 4;
	s->segment_ms = now_mono_ns() / 1000000;
	choose_sizes(s, r);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	crypt_hasher_init(&s->hasher, params->domain->id);
	s->workers = calloc(s->nworkers, sizeof(*s->workers));
	s->buf_array = calloc(s->nbufs, sizeof(*s->buf_array));
	if (!s->workers || !s->buf_array || queue_init(&s->tasks, TASKS_MAX) < 0 ||
	    queue_init(&s->uploads, UPLOADS_MAX) < 0 || queue_init(&s->bufs, s->nbufs) < 0) {
		rc = err_set(e, ERR_NOMEM, "no memory for the pipeline");
	}
	for (size_t i = 0; rc == 0 && i < s->nbufs; i++) {
		struct chunk_buf *b = &s->buf_array[i];

		/* Shared chunks and blocks do not go by the config's cuts. */
		b->cap = r->params.cut_max > BUF_LEAST ? r->params.cut_max : BUF_LEAST;
		b->data = mmap(NULL, b->cap, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (b->data == MAP_FAILED) {
			b->data = NULL;
			rc = err_set(e, ERR_NOMEM, "no memory for the pipeline's buffers");
		} else {
			(void)queue_push(&s->bufs, b);
		}
	}
	for (; rc == 0 && s->started < s->nworkers; s->started++) {
		struct worker *w = &s->workers[s->started];

		rc = worker_init(s, w, e);
		if (rc == 0 && pthread_create(&w->thread, NULL, worker_main, w) != 0)
			rc = err_set(e, ERR_NOMEM, "no thread for the pipeline");
		if (rc < 0) {
			worker_clear(w);
			break;
		}
	}
	for (; rc == 0 && s->uploaders_started < s->nuploaders; s->uploaders_started++)
		if (pthread_create(&s->uploaders[s->uploaders_started], NULL, uploader, s) != 0) {
			rc = err_set(e, ERR_NOMEM, "no thread for the pipeline");
			break;
		}
	if (rc == 0)
		rc = worker_init(s, &s->node_worker, e);
	if (rc < 0) {
		sealer_free(s);
		return -1;
	}
	*ret = s;
	return 0;
}

void sealer_free(struct sealer *s)
{
	struct task *t;
	struct open_pack *p;

	if (!s)
		return;
	queue_close(&s->tasks);
	queue_close(&s->bufs);
	for (unsigned i = 0; i < s->started; i++) {
		(void)pthread_join(s->workers[i].thread, NULL);
		worker_clear(&s->workers[i]);
	}
	queue_close(&s->uploads);
	for (unsigned i = 0; i < s->uploaders_started; i++)
		(void)pthread_join(s->uploaders[i], NULL);
	while ((t = queue_try_pop(&s->tasks)))
		free(t);
	while ((p = queue_try_pop(&s->uploads)))
		open_pack_free(p);
	for (size_t i = 0; i < OPEN_DATA; i++)
		open_pack_free(s->data[i]);
	open_pack_free(s->node);
	for (unsigned i = 0; i < s->nspare; i++)
		pack_build_free(s->spare[i]);
	worker_clear(&s->node_worker);
	for (size_t i = 0; s->buf_array && i < s->nbufs; i++)
		if (s->buf_array[i].data)
			(void)munmap(s->buf_array[i].data, s->buf_array[i].cap);
	queue_clear(&s->tasks);
	queue_clear(&s->uploads);
	queue_clear(&s->bufs);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_cond_destroy(&s->changed);
	secret_wipe(&s->hasher, sizeof(s->hasher));
	free(s->workers);
	free(s->buf_array);
	free(s);
}

struct chunk_buf *sealer_buf(struct sealer *s)
{
	struct chunk_buf *b = queue_pop(&s->bufs);

	if (b)
		b->len = 0;
	return b;
}

void sealer_buf_return(struct sealer *s, struct chunk_buf *take_b)
{
	(void)queue_push(&s->bufs, take_b);
}

struct pending_chunk *sealer_pending(void)
{
	struct pending_chunk *c = calloc(1, sizeof(*c));

	if (c)
		atomic_init(&c->refs, 1);
	return c;
}

void sealer_pending_unref(struct pending_chunk *c)
{
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

static bool push_task(struct sealer *s, const struct task *t)
{
	struct task *copy = malloc(sizeof(*copy));

	if (!copy) {
		struct err e = ERR_INIT;

		(void)err_set(&e, ERR_NOMEM, "no memory for a task");
		sealer_fail(s, &e);
		return false;
	}
	*copy = *t;
	if (queue_push(&s->tasks, copy))
		return true;
	free(copy);
	return false;
}

bool sealer_submit(struct sealer *s, struct chunk_buf *take_b, struct pending_chunk *c,
                   bool with_pages)
{
	struct task t = { .buf = take_b, .chunk = c, .with_pages = with_pages };

	atomic_fetch_add(&c->refs, 1);
	(void)pthread_mutex_lock(&s->lock);
	s->unplaced++;
	(void)pthread_mutex_unlock(&s->lock);
	if (push_task(s, &t))
		return true;
	placed(s, c);
	return false;
}

bool sealer_task(struct sealer *s, void (*fn)(void *arg), void *arg)
{
	return push_task(s, &(struct task){ .fn = fn, .arg = arg });
}

bool sealer_wait(struct sealer *s, struct pending_chunk *c)
{
	if (atomic_load_explicit(&c->placed, memory_order_acquire))
		return !sealer_failed(s);
	(void)pthread_mutex_lock(&s->lock);
	while (!atomic_load(&c->placed) && !sealer_failed(s))
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	return !sealer_failed(s);
}

int sealer_put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e)
{
	struct sealer *s = arg;

	ref->kind = CHUNK_NODE;
	if (!index_claim(s->params.index, ref->id, ref))
		return 0;
	if (store_chunk(&s->node_worker, ref, plain, n, e) < 0) {
		index_abandon(s->params.index, ref->id);
		return -1;
	}
	index_add(s->params.index, ref);
	return 0;
}

int sealer_finish(struct sealer *s, struct err *e)
{
	(void)pthread_mutex_lock(&s->lock);
	while (s->unplaced > 0 && !sealer_failed(s))
		(void)pthread_cond_wait(&s->changed, &s->lock);
	for (size_t i = 0; i <= OPEN_DATA; i++) {
		struct open_pack **slot = i < OPEN_DATA ? &s->data[i] : &s->node;

		if (!*slot)
			continue;
		struct open_pack *p = *slot;
		*slot = NULL;
		if (close_pack_locked(s, p))
			send_locked(s, p);
	}
	while (s->uploading > 0 && !sealer_failed(s))
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	return sealer_error(s, e);
}

void sealer_totals(const struct sealer *s, struct sealer_totals *ret)
{
	*ret = s->totals;
}
