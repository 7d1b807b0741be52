/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies what is needed of packs that hold mostly garbage, or hardly
 * anything, into full ones: ciphertext and sealed keys as they are, so that no
 * data key is needed. Every chunk's scrub checksum is compared on the way;
 * a pack with one that differs stays as it is.
 *
 * Packs are gathered in bins, by what may share a pack: domain, kind, cipher. A
 * full bin becomes one pack. Threads have bins of their own.
 */
#include <string.h>

#include "repo/frame.h"
#include "repo/gc_impl.h"
#include "repo/segment.h"
#include "repo/session.h"

#define THREADS_MAX 2         /* each holds a pack in memory */
#define GAP_BYTES (256 * KIB) /* read in vain rather than by another request */
#define RANGE_BYTES (4 * MIB) /* of one read; one chunk may be longer */
#define KEYS_MAX 1024         /* of a pack that is made */
#define MERGE_LEAST 16        /* small packs without garbage that are worth merging */

/* A pack that something is copied of. */
struct source {
	size_t number; /* in g->packs */
	struct buf head;
	struct pack_header header;
	struct pack_entry *entries; /* those that are live, by offset */
	uint32_t *positions;        /* of them in the footer, for the scrub checksum */
	size_t n;
	uint64_t payload; /* bytes of live ciphertexts without tags */
	bool small;       /* it is only merged */
};

struct bin {
	struct gc_domain *domain;
	uint8_t kind, cipher;
	struct source *v;
	size_t n, cap;
	uint64_t payload;
	size_t keys, entries;
};

struct repack {
	struct gc *g;
	char session[96];
	struct segment_writer **writers; /* by number of domain; NULL until needed */
	pthread_mutex_t lock;
	size_t next;     /* pack to look at; guarded by lock */
	uint64_t budget; /* bytes of live data that may still be copied; guarded by lock */
	bool registered; /* guarded by lock */
	struct session_pulse pulse;
	struct gc_amount done; /* guarded by lock */
};

struct worker {
	struct repack *r;
	struct bin *bins;
	size_t nbins;
	struct pack_build *build; /* memory for a pack; its kind, domain and cipher change */
	struct buf blocks, range, tail;
	uint32_t *offs; /* live offsets of the pack at hand */
	size_t noffs, offs_cap;
};

static void source_clear(struct source *s)
{
	buf_clear(&s->head);
	free(s->entries);
	free(s->positions);
}

static void bin_drop(struct bin *b)
{
	for (size_t i = 0; i < b->n; i++)
		source_clear(&b->v[i]);
	b->n = 0;
	b->payload = 0;
	b->keys = b->entries = 0;
}

/* ---- one source ---- */

static int get(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	const struct worker *w = arg;
	const struct repo *r = w->r->g->repo;

	return cancel_check(r->cancel, e) < 0 ? -1 : store_get(r->store, name, off, p, n, e);
}

static struct gc_domain *domain_of(struct gc *g, const uint8_t tag[8])
{
	for (size_t i = 0; i < g->ndomains; i++) {
		if (memcmp(g->domains[i].keys->tag, tag, 8) == 0)
			return &g->domains[i];
	}
	return NULL;
}

/* Trailer and footer: all entries into *ret, owned. */
static int read_footer(struct worker *w, const struct frame *f, const struct source *s,
                       const struct gc_domain *d, struct pack_entry **ret, size_t *ret_n,
                       struct err *e)
{
	const struct keys *keys = w->r->g->repo->keys;
	const uint8_t *footer = NULL;
	struct pack_trailer t;

	if (frame_footer(f, keys, &w->tail, &t, &footer, e) < 0 ||
	    pack_header_signed(s->head.data, s->header.len, &t, e) < 0)
		return -1;
	/* A copy would be vouched for by this signer. */
	if (!t.vouched)
		return err_set(e, ERR_DENIED, "its signer was revoked");
	return pack_footer_decode(footer, t.footer_len, &t, f->id, keys, d->keys, ret, ret_n, e);
}

/* Keeps the entries at the live offsets. Each of them must be there. */
static int choose_entries(struct worker *w, const struct pack_entry *all, size_t n,
                          struct source *s, struct err *e)
{
	size_t at = 0;

	s->entries = calloc(w->noffs, sizeof(*s->entries));
	s->positions = calloc(w->noffs, sizeof(*s->positions));
	if (!s->entries || !s->positions)
		return err_set(e, ERR_NOMEM, "no memory for the entries of a pack");
	for (size_t i = 0; i < n && at < w->noffs; i++) {
		if (all[i].off != w->offs[at])
			continue;
		at++;
		s->positions[s->n] = (uint32_t)i;
		s->entries[s->n++] = all[i];
		s->payload += all[i].stored - FORMAT_TAG_BYTES;
	}
	return at == w->noffs ? 0
	                      : err_set(e, ERR_CORRUPT,
	                                "trees name a chunk at byte %u that its footer lacks",
	                                w->offs[at]);
}

/* ---- bins ---- */

static struct bin *bin_of(struct worker *w, struct gc_domain *d, const struct pack_header *h,
                          struct err *e)
{
	for (size_t i = 0; i < w->nbins; i++) {
		struct bin *b = &w->bins[i];

		if (b->domain == d && b->kind == h->kind && b->cipher == h->cipher)
			return b;
	}
	struct bin *bins = reallocarray(w->bins, w->nbins + 1, sizeof(*bins));
	if (!bins) {
		(void)err_set(e, ERR_NOMEM, "no memory to repack");
		return NULL;
	}
	w->bins = bins;
	bins[w->nbins] = (struct bin){ .domain = d, .kind = h->kind, .cipher = h->cipher };
	return &bins[w->nbins++];
}

static int bin_add(struct bin *b, struct source *take_s, struct err *e)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 8;
		struct source *v = reallocarray(b->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory to repack");
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *take_s;
	b->payload += take_s->payload;
	b->keys += take_s->header.nkeys;
	b->entries += take_s->n;
	*take_s = (struct source){ 0 };
	return 0;
}

/* ---- making a pack ---- */

/* The pack stays as it is; what was copied of it is of no use. */
static void keep(struct gc *g, size_t number)
{
	g->packs[number].fate = GC_KEEP;
}

/*
 * The keys that a source's live chunks need go into the header; map gives their new numbers.
 */
static int take_keys(struct worker *w, const struct source *s, uint16_t *map, uint16_t *nkeys,
                     struct err *e)
{
	for (unsigned k = 0; k < s->header.nkeys; k++)
		map[k] = UINT16_MAX;
	for (size_t i = 0; i < s->n; i++) {
		uint16_t key = s->entries[i].key;

		if (key >= s->header.nkeys)
			return err_set(e, ERR_CORRUPT, "a chunk has key %u of %u", key,
			               s->header.nkeys);
		if (map[key] != UINT16_MAX)
			continue;
		if (pack_copy_key(w->build, s->head.data, &s->header, key, &w->blocks, e) < 0)
			return -1;
		map[key] = (*nkeys)++;
	}
	return 0;
}

/* How many entries from the first on are worth one read. */
static size_t span(const struct pack_entry *v, size_t n)
{
	uint64_t start = v[0].off;
	uint64_t end = start + v[0].stored;
	size_t k = 1;

	for (; k < n && v[k].off <= end + GAP_BYTES &&
	       v[k].off + (uint64_t)v[k].stored <= start + RANGE_BYTES;
	     k++)
		end = v[k].off + (uint64_t)v[k].stored;
	return k;
}

/* Copies the live chunks of a source. 1: one is damaged. */
static int copy_source(struct worker *w, const struct bin *b, const struct source *s,
                       const uint16_t *map, struct crypt_scrub *to, struct err *e)
{
	const struct gc_pack *p = &w->r->g->packs[s->number];
	struct crypt_scrub *from = crypt_scrub_new(b->cipher, b->domain->keys->scrub, p->id);
	char name[PACK_KEY_MAX];
	int rc = from ? 0 : err_set(e, ERR_NOMEM, "no memory for a checksum");

	pack_key_name(name, p->id, p->kind);
	for (size_t i = 0; rc == 0 && i < s->n;) {
		size_t k = span(s->entries + i, s->n - i);
		const struct pack_entry *last = &s->entries[i + k - 1];
		uint64_t start = s->entries[i].off;
		size_t len = (size_t)(last->off + (uint64_t)last->stored - start);

		buf_reset(&w->range);
		if (buf_reserve(&w->range, len) < 0)
			rc = err_set(e, ERR_NOMEM, "no memory for a range of %zu bytes", len);
		else
			rc = get(w, name, start, w->range.data, len, e);
		for (size_t end = i + k; rc == 0 && i < end; i++) {
			const struct pack_entry *x = &s->entries[i];
			const uint8_t *in = w->range.data + (x->off - start);
			uint8_t sum[16];

			if (crypt_scrub(from, s->positions[i], in, x->stored, sum) < 0)
				rc = err_set(e, ERR_BUG, "a checksum cannot be computed");
			else if (memcmp(sum, x->scrub, sizeof(sum)) != 0)
				rc = 1;
			else if (pack_copy_chunk(w->build, to, x, map[x->key], in) < 0)
				rc = err_set(e, ERR_BUG, "a checksum cannot be computed");
		}
	}
	crypt_scrub_free(from);
	return rc;
}

static int segment_writer_of(struct repack *r, const struct bin *b, struct segment_writer **ret,
                             struct err *e)
{
	struct gc *g = r->g;
	size_t number = (size_t)(b->domain - g->domains);
	int rc = 0;

	(void)pthread_mutex_lock(&r->lock);
	if (!r->registered) {
		rc = session_begin_maintenance(g->repo, "repack", r->session, e);
		r->registered = rc == 0;
		session_pulse_start(&r->pulse, g->repo, r->session, 0, false);
	}
	if (rc == 0 && !r->writers[number]) {
		const struct segment_writer_params p = {
			.store = g->repo->store,
			.keys = g->repo->keys,
			.domain = b->domain->keys,
			.session = r->session,
		};
		rc = segment_writer_new(&p, &r->writers[number], e);
	}
	*ret = r->writers[number];
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

/* Puts the pack that was built, and tells the index. */
static int put_pack(struct worker *w, const struct bin *b, struct err *e)
{
	const struct repo *repo = w->r->g->repo;
	struct segment_pack pack = { .kind = b->kind };
	struct segment_writer *to;
	char name[PACK_KEY_MAX];

	if (segment_writer_of(w->r, b, &to, e) < 0 || pack_build_finish(w->build, e) < 0)
		return -1;
	session_pulse(&w->r->pulse);
	pack_key_name(name, w->build->id, b->kind);
	struct iovec iov = { .iov_base = w->build->data, .iov_len = w->build->len };
	if (store_put(repo->store, name, &iov, 1, e) < 0)
		return err_wrap(e, "putting '%s'", name);
	memcpy(pack.id, w->build->id, sizeof(pack.id));
	pack.len = w->build->len;
	auto_free struct chunk_ref *refs = calloc(w->build->n, sizeof(*refs));
	if (!refs)
		return err_set(e, ERR_NOMEM, "no memory for the index of a pack");
	for (size_t i = 0; i < w->build->n; i++)
		segment_ref_of(&w->build->entries[i], w->build->id, &refs[i]);
	return segment_add(to, &pack, refs, w->build->n, e);
}

/* All sources of the bin into one pack. *ret_bad: one that is damaged; none was put then. */
static int build_pack(struct worker *w, const struct bin *b, size_t *ret_bad, struct err *e)
{
	struct gc *g = w->r->g;
	auto_free uint16_t *maps = NULL;
	uint16_t nkeys = 0;
	int rc = 0;

	*ret_bad = SIZE_MAX;
	if (w->build)
		pack_build_free(w->build);
	w->build = pack_copy_new(g->repo->keys, b->domain->keys, b->kind, b->cipher,
	                         g->repo->params.pack_bytes + 2 * FORMAT_CHUNK_MAX, e);
	maps = calloc(b->keys, sizeof(*maps));
	if (!w->build)
		return -1;
	if (!maps)
		return err_set(e, ERR_NOMEM, "no memory to repack");
	buf_reset(&w->blocks);
	for (size_t i = 0, at = 0; i < b->n; at += b->v[i++].header.nkeys) {
		if (take_keys(w, &b->v[i], maps + at, &nkeys, e) < 0)
			return -1;
	}
	if (pack_copy_header(w->build, w->blocks.data, w->blocks.len, nkeys, e) < 0)
		return -1;
	struct crypt_scrub *to = crypt_scrub_new(b->cipher, b->domain->keys->scrub, w->build->id);
	if (!to)
		return err_set(e, ERR_NOMEM, "no memory for a checksum");
	for (size_t i = 0, at = 0; rc == 0 && i < b->n; at += b->v[i++].header.nkeys) {
		rc = copy_source(w, b, &b->v[i], maps + at, to, e);
		if (rc > 0)
			*ret_bad = i;
	}
	crypt_scrub_free(to);
	return rc < 0 ? -1 : 0;
}

/* Turns the bin into a pack; what cannot be copied is left out, and stays. */
static int bin_close(struct worker *w, struct bin *b, struct err *e)
{
	struct repack *r = w->r;
	size_t bad;

	for (; b->n > 0;) {
		if (build_pack(w, b, &bad, e) < 0)
			return -1;
		if (bad == SIZE_MAX)
			break;
		keep(r->g, b->v[bad].number);
		b->payload -= b->v[bad].payload;
		b->keys -= b->v[bad].header.nkeys;
		source_clear(&b->v[bad]);
		b->v[bad] = b->v[--b->n];
	}
	if (b->n > 0 && put_pack(w, b, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&r->lock);
	r->done.packs += b->n;
	r->done.bytes += b->payload;
	(void)pthread_mutex_unlock(&r->lock);
	bin_drop(b);
	return 0;
}

static bool is_full(const struct gc *g, const struct bin *b)
{
	return b->payload >= g->repo->params.pack_bytes || b->keys >= KEYS_MAX ||
	       b->entries >= FORMAT_ENTRIES_MAX / 2;
}

/* What is left at the end: small packs that nothing is gained by merging stay. */
static int bin_end(struct worker *w, struct bin *b, struct err *e)
{
	size_t small = 0;

	for (size_t i = 0; i < b->n; i++)
		small += b->v[i].small;
	if (small == b->n && small < MERGE_LEAST) {
		for (size_t i = 0; i < b->n; i++)
			keep(w->r->g, b->v[i].number);
		bin_drop(b);
	}
	return b->n > 0 ? bin_close(w, b, e) : 0;
}

/* ---- going through the packs ---- */

/*
 * The next pack to be copied, and the offsets of what is live in it. 0: none left.
 */
static int next_pack(struct worker *w, size_t *ret, struct err *e)
{
	struct repack *r = w->r;
	struct gc *g = r->g;
	const struct gc_mark *m;
	int rc = 0;

	(void)pthread_mutex_lock(&r->lock);
	w->noffs = 0;
	for (; r->next < g->npacks; r->next++) {
		struct gc_pack *p = &g->packs[r->next];

		if (p->fate != GC_SPARSE && p->fate != GC_SMALL)
			continue;
		if (p->live <= r->budget)
			break;
		p->fate = GC_KEEP; /* another time */
	}
	*ret = r->next;
	if (r->next < g->npacks) {
		r->budget -= g->packs[r->next].live;
		while ((m = runs_peek(g->marks)) && m->pack < *ret)
			(void)runs_next(g->marks);
		while (rc == 0 && (m = runs_peek(g->marks)) && m->pack == *ret) {
			if (w->noffs == w->offs_cap) {
				size_t cap = w->offs_cap ? 2 * w->offs_cap : 256;
				uint32_t *v = reallocarray(w->offs, cap, sizeof(*v));

				if (!v) {
					rc = err_set(e, ERR_NOMEM, "no memory to repack");
					break;
				}
				w->offs = v;
				w->offs_cap = cap;
			}
			w->offs[w->noffs++] = ((const struct gc_mark *)runs_next(g->marks))->off;
		}
		r->next++;
		if (rc == 0)
			rc = 1;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

/* A pack that was not copied leaves its part of what may be copied to others. */
static void give_back(struct repack *r, uint64_t live)
{
	(void)pthread_mutex_lock(&r->lock);
	r->budget += live;
	(void)pthread_mutex_unlock(&r->lock);
}

/* Takes one pack into a bin. One that does not open, or that nobody vouches for, stays. */
static int take_pack(struct worker *w, size_t number, struct err *e)
{
	struct gc *g = w->r->g;
	const struct gc_pack *p = &g->packs[number];
	auto_free struct pack_entry *all = NULL;
	struct source s = {
		.number = number,
		.small = p->fate == GC_SMALL,
		.head = BUF_INIT(FORMAT_PACK_MAX),
	};
	struct gc_domain *d = NULL;
	char name[PACK_KEY_MAX];
	struct err why = ERR_INIT;
	size_t n;

	pack_key_name(name, p->id, p->kind);
	const struct frame f = { .get = get, .arg = w, .name = name, .id = p->id, .len = p->len };
	int rc = frame_header(&f, &s.head, &s.header, &why);
	if (rc == 0) {
		d = domain_of(g, s.header.domain_tag);
		rc = !d || s.header.kind != p->kind
		             ? err_set(&why, ERR_CORRUPT, "it is of another kind or domain")
		             : 0;
	}
	if (rc == 0)
		rc = read_footer(w, &f, &s, d, &all, &n, &why);
	if (rc == 0)
		rc = choose_entries(w, all, n, &s, &why);
	struct bin *b = rc == 0 ? bin_of(w, d, &s.header, &why) : NULL;
	/* A bin that could grow over what a pack holds is closed before. */
	if (b && b->n > 0 &&
	    (b->payload + s.payload > g->repo->params.pack_bytes + FORMAT_CHUNK_MAX ||
	     b->keys + s.header.nkeys > KEYS_MAX) &&
	    bin_close(w, b, &why) < 0)
		rc = -1;
	if (rc == 0)
		rc = b ? bin_add(b, &s, &why) : -1;
	if (rc == 0 && is_full(g, b))
		rc = bin_close(w, b, &why);
	source_clear(&s);
	if (rc == 0)
		return 0;
	if (!nodes_is_finding(&why)) {
		*e = why;
		return err_wrap(e, "repacking '%s'", name);
	}
	keep(g, number); /* check tells of it, where it is damaged */
	give_back(w->r, p->live);
	return 0;
}

static int work(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct repack *r = arg;
	struct worker w = { .r = r };
	size_t number;
	int rc = 0;

	(void)i;
	w.blocks.max = FORMAT_PACK_MAX;
	w.range.max = RANGE_BYTES + FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	w.tail.max = FORMAT_PACK_MAX;
	while (!atomic_load(stop) && (rc = next_pack(&w, &number, e)) > 0) {
		rc = take_pack(&w, number, e);
		if (rc < 0)
			break;
		if (r->g->params->counts)
			atomic_fetch_add(&r->g->params->counts->files_done, 1);
	}
	for (size_t k = 0; rc == 0 && k < w.nbins; k++)
		rc = bin_end(&w, &w.bins[k], e);
	for (size_t k = 0; k < w.nbins; k++) {
		bin_drop(&w.bins[k]);
		free(w.bins[k].v);
	}
	free(w.bins);
	free(w.offs);
	pack_build_free(w.build);
	buf_clear(&w.blocks);
	buf_clear(&w.range);
	buf_clear(&w.tail);
	return rc;
}

/* Segments, then the commit that makes them count. */
static int settle(struct repack *r, struct err *e)
{
	CLEANUP(segment_list_clear) struct segment_list written = { 0 };

	for (size_t i = 0; i < r->g->ndomains; i++) {
		if (r->writers[i] && segment_finish(r->writers[i], &written, e) < 0)
			return -1;
	}
	return r->registered ? session_commit_index(r->g->repo, r->session, "repack", written.v,
	                                            written.n, e)
	                     : 0;
}

int gc_repack(struct gc *g, struct err *e)
{
	struct repack r = {
		.g = g,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.budget = g->params->repack_bytes ? g->params->repack_bytes : UINT64_MAX,
	};
	int rc;

	if (runs_rewind(g->marks, e) < 0)
		return -1;
	r.writers = calloc(g->ndomains ? g->ndomains : 1, sizeof(struct segment_writer *));
	if (!r.writers)
		return err_set(e, ERR_NOMEM, "no memory to repack");
	rc = team_run(g->threads < THREADS_MAX ? g->threads : THREADS_MAX, "gc-repack", work, &r,
	              e);
	if (rc == 0)
		rc = settle(&r, e);
	for (size_t i = 0; i < g->ndomains; i++)
		segment_writer_free(r.writers[i]);
	free(r.writers);
	(void)pthread_mutex_destroy(&r.lock);
	g->result->repacked = r.done;
	return rc < 0 ? err_wrap(e, "repacking") : 0;
}
