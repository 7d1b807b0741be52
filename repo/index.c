/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of one domain: local tables (index_table.c), which do not change
 * after index_open() and are searched without a lock, and what this session
 * adds. That is one mutex and a hash table by the first bytes of the id: a
 * claim is made once per chunk of about 1 MiB. When it has grown, what is
 * settled moves into a sorted run in scratch memory.
 */
#include "repo/index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/crypt.h"
#include "repo/index_impl.h"

#define SLOTS_FIRST 1024
#define SPILL_ENTRIES ((size_t)128 * 1024)   /* settled ones that go to a run */
#define SEGMENT_ENTRIES ((size_t)256 * 1024) /* of a segment that is written */
#define STORED_MIN_BYTES (FORMAT_TAG_BYTES + 1)
#define PACK_MIN_BYTES (FORMAT_PACK_FIXED_BYTES + FORMAT_TRAILER_BYTES)

/* ---- segments ---- */

static bool entry_valid(const struct chunk_ref *r, uint8_t pack_kind, uint64_t pack_len)
{
	if (r->plain == 0 || r->plain > FORMAT_CHUNK_MAX || r->stored < STORED_MIN_BYTES ||
	    r->stored > r->plain + FORMAT_TAG_BYTES || r->key >= FORMAT_KEYS_MAX)
		return false;
	if (r->off < FORMAT_PACK_FIXED_BYTES ||
	    (uint64_t)r->off + r->stored + FORMAT_TRAILER_BYTES > pack_len)
		return false;
	if (r->compression == COMPRESSION_NONE ? r->stored != r->plain + FORMAT_TAG_BYTES
	                                       : r->compression != COMPRESSION_ZSTD)
		return false;
	return r->kind == (pack_kind == FORMAT_KIND_META ? CHUNK_NODE : CHUNK_DATA);
}

/* Kind and length of pack i. */
static uint64_t view_pack(const struct index_view *v, uint32_t i, uint8_t *ret_kind)
{
	struct rd rd = rd_of(v->packs + (size_t)i * FORMAT_INDEX_PACK_BYTES,
	                     FORMAT_INDEX_PACK_BYTES);

	(void)rd_take(&rd, FORMAT_PACK_ID_BYTES);
	uint64_t len = rd_u64(&rd);
	*ret_kind = rd_u8(&rd);
	return len;
}

/* Number of the pack of entry i. */
static uint32_t view_pack_of(const struct index_view *v, uint32_t i)
{
	struct rd rd = rd_of(v->entries + (size_t)i * FORMAT_INDEX_ENTRY_BYTES + FORMAT_ID_BYTES,
	                     4);

	return rd_u32(&rd);
}

void index_view_ref(const struct index_view *v, uint32_t i, struct chunk_ref *ret)
{
	struct rd rd = rd_of(v->entries + (size_t)i * FORMAT_INDEX_ENTRY_BYTES,
	                     FORMAT_INDEX_ENTRY_BYTES);

	rd_copy(&rd, ret->id, sizeof(ret->id));
	uint32_t pack = rd_u32(&rd);
	memcpy(ret->pack, v->packs + (size_t)pack * FORMAT_INDEX_PACK_BYTES, sizeof(ret->pack));
	ret->off = rd_u32(&rd);
	ret->stored = rd_u32(&rd);
	ret->plain = rd_u32(&rd);
	ret->counter = rd_u32(&rd);
	ret->key = rd_u16(&rd);
	ret->compression = rd_u8(&rd);
	ret->kind = rd_u8(&rd);
}

static int decode_packs(const struct index_view *v, struct err *e)
{
	static const uint8_t zeros[7];

	for (uint32_t i = 0; i < v->npacks; i++) {
		const uint8_t *p = v->packs + (size_t)i * FORMAT_INDEX_PACK_BYTES;
		uint8_t kind;
		uint64_t len = view_pack(v, i, &kind);

		if ((kind != FORMAT_KIND_DATA && kind != FORMAT_KIND_META) ||
		    len < PACK_MIN_BYTES || len > FORMAT_PACK_MAX ||
		    memcmp(p + 25, zeros, sizeof(zeros)) != 0)
			return err_set(e, ERR_FORMAT,
			               "pack %u of an index segment makes no sense, or is of a "
			               "later "
			               "version",
			               i);
	}
	return 0;
}

static int decode_entries(const struct index_view *v, struct err *e)
{
	for (uint32_t i = 0; i < v->nentries; i++) {
		const uint8_t *p = v->entries + (size_t)i * FORMAT_INDEX_ENTRY_BYTES;
		struct chunk_ref r;
		uint8_t kind;

		if (view_pack_of(v, i) >= v->npacks)
			return err_set(e, ERR_FORMAT, "entry %u of an index segment names no pack",
			               i);
		uint64_t len = view_pack(v, view_pack_of(v, i), &kind);
		index_view_ref(v, i, &r);
		if (!entry_valid(&r, kind, len))
			return err_set(e, ERR_FORMAT,
			               "entry %u of an index segment makes no sense, or is of a "
			               "later "
			               "version",
			               i);
		if (i > 0 && memcmp(p - FORMAT_INDEX_ENTRY_BYTES, p, FORMAT_ID_BYTES) >= 0)
			return err_set(e, ERR_FORMAT,
			               "entry %u of an index segment is out of order", i);
	}
	return 0;
}

int index_decode(const uint8_t *p, size_t n, struct index_view *ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct index_view v;

	v.npacks = rd_u32(&rd);
	v.packs = v.npacks <= FORMAT_ENTRIES_MAX
	                  ? rd_take(&rd, (size_t)v.npacks * FORMAT_INDEX_PACK_BYTES)
	                  : NULL;
	v.nentries = rd_u32(&rd);
	v.entries = v.nentries <= FORMAT_ENTRIES_MAX
	                    ? rd_take(&rd, (size_t)v.nentries * FORMAT_INDEX_ENTRY_BYTES)
	                    : NULL;
	if (!rd_done(&rd) || !v.packs || !v.entries)
		return err_set(e, ERR_FORMAT, "an index segment of %zu bytes does not add up", n);
	if (decode_packs(&v, e) < 0 || decode_entries(&v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}

/* ---- the index ---- */

enum slot_state { SLOT_EMPTY, SLOT_GONE, SLOT_PENDING, SLOT_DONE };

struct slot {
	struct chunk_ref ref; /* PENDING: the id alone */
	uint8_t state;
};

/* Settled entries, ascending by id. */
struct run {
	struct chunk_ref *refs;
	size_t n;
	size_t map_len; /* of its mapping */
};

struct index {
	struct store *store;
	const struct keys *keys;
	const struct domain_keys *domain;
	struct index_keys *k;       /* locked memory */
	int dir;                    /* of local tables; -1: none */
	char *scratch_dir;          /* of runs; NULL: anonymous memory */
	struct index_tables tables; /* constant after index_open() */
	size_t damaged;

	pthread_mutex_t lock;
	pthread_cond_t settled; /* something pending is stored or abandoned */
	struct slot *slots;     /* guarded by lock, as all below */
	size_t cap;             /* of slots: a power of two, or 0 */
	size_t used;            /* slots that are not empty */
	size_t done;            /* of them DONE */
	struct run *runs;
	size_t nruns;
	bool nomem; /* something could not be noted */
};

void index_free(struct index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->nruns; i++)
		(void)munmap(x->runs[i].refs, x->runs[i].map_len);
	free(x->runs);
	free(x->slots);
	index_tables_clear(&x->tables);
	clean_close(&x->dir);
	secret_free(x->k);
	free(x->scratch_dir);
	(void)pthread_cond_destroy(&x->settled);
	(void)pthread_mutex_destroy(&x->lock);
	free(x);
}

static void clean_index(struct index *const *x)
{
	index_free(*x);
}

/* state_dir/idx/DTAG, made when it is missing. */
static int open_dir(struct index *x, const char *state_dir, struct err *e)
{
	char path[64];

	auto_close int state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return err_sys(e, errno, "opening the state directory '%s'", state_dir);
	(void)snprintf(path, sizeof(path), "idx/%s", x->domain->tag_hex);
	if (fd_mkdir_beneath(state, path, 0700) < 0)
		return err_sys(e, errno, "creating '%s' in the state directory '%s'", path,
		               state_dir);
	x->dir = fd_open_beneath(state, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (x->dir < 0)
		return err_sys(e, errno, "opening '%s' in the state directory '%s'", path,
		               state_dir);
	x->scratch_dir = strdup(state_dir);
	return x->scratch_dir ? 0 : err_set(e, ERR_NOMEM, "no memory for the index");
}

int index_open(struct store *store, const struct keys *keys, const struct domain_keys *domain,
               const char *state_dir, const struct cancel *cancel, struct index **ret,
               struct err *e)
{
	uint8_t key[32];
	CLEANUP(clean_index) struct index *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for the index");
	(void)pthread_mutex_init(&x->lock, NULL);
	(void)pthread_cond_init(&x->settled, NULL);
	x->store = store;
	x->keys = keys;
	x->domain = domain;
	x->dir = -1;
	x->k = secret_new(sizeof(*x->k));
	if (!x->k)
		return err_set(e, ERR_NOMEM, "no locked memory for the index");
	key_kdf(x->k->head, domain->foot, "local index head", NULL, 0);
	key_kdf(key, domain->foot, "local index entry", NULL, 0);
	memcpy(x->k->entry, key, sizeof(x->k->entry));
	secret_wipe(key, sizeof(key));
	if (state_dir && *state_dir && open_dir(x, state_dir, e) < 0)
		return -1;
	if (index_load(store, keys, domain, x->k, x->dir, cancel, &x->tables, &x->damaged, e) < 0)
		return -1;
	*ret = STEAL(&x);
	return 0;
}

size_t index_damaged(const struct index *x)
{
	return x->damaged;
}

int index_each(struct index *x, int (*each)(void *arg, const struct chunk_ref *ref, struct err *e),
               void *arg, struct err *e)
{
	for (size_t i = 0; i < x->tables.n; i++) {
		const struct index_table *t = x->tables.t[i];

		for (uint32_t at = 0; at < t->nentries; at++) {
			struct chunk_ref r;

			if (index_table_get(t, x->k, at, &r) && each(arg, &r, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- this session's chunks ---- */

static bool tables_find(const struct index *x, const uint8_t id[32], struct chunk_ref *ret)
{
	for (size_t i = 0; i < x->tables.n; i++) {
		if (index_table_find(x->tables.t[i], x->k, id, ret))
			return true;
	}
	return false;
}

static int ref_cmp(const void *a, const void *b)
{
	return memcmp(((const struct chunk_ref *)a)->id, ((const struct chunk_ref *)b)->id,
	              FORMAT_ID_BYTES);
}

static const struct chunk_ref *runs_find_locked(const struct index *x, const uint8_t id[32])
{
	struct chunk_ref key;

	memcpy(key.id, id, sizeof(key.id));
	for (size_t i = 0; i < x->nruns; i++) {
		const struct chunk_ref *r = bsearch(&key, x->runs[i].refs, x->runs[i].n,
		                                    sizeof(key), ref_cmp);

		if (r)
			return r;
	}
	return NULL;
}

static size_t slot_start(const struct index *x, const uint8_t id[32])
{
	uint64_t lead;

	memcpy(&lead, id, sizeof(lead));
	return (size_t)lead & (x->cap - 1);
}

/* The slot that holds the id, or NULL. */
static struct slot *slot_find_locked(const struct index *x, const uint8_t id[32])
{
	if (x->cap == 0)
		return NULL;
	for (size_t i = slot_start(x, id);; i = (i + 1) & (x->cap - 1)) {
		struct slot *s = &x->slots[i];

		if (s->state == SLOT_EMPTY)
			return NULL;
		if (s->state != SLOT_GONE && memcmp(s->ref.id, id, FORMAT_ID_BYTES) == 0)
			return s;
	}
}

/* A free slot for an id that is not there. There is always an empty one. */
static struct slot *slot_take_locked(struct index *x, const uint8_t id[32])
{
	size_t i = slot_start(x, id);

	while (x->slots[i].state != SLOT_EMPTY && x->slots[i].state != SLOT_GONE)
		i = (i + 1) & (x->cap - 1);
	struct slot *s = &x->slots[i];
	x->used += s->state == SLOT_EMPTY;
	memcpy(s->ref.id, id, sizeof(s->ref.id));
	return s;
}

/* Copies the slots of these states into a new table of cap. 0, or -1: no memory. */
static int slots_rebuild_locked(struct index *x, size_t cap, bool with_done)
{
	struct slot *old = x->slots;
	size_t old_cap = x->cap;
	struct slot *slots = calloc(cap, sizeof(*slots));

	if (!slots)
		return -1;
	x->slots = slots;
	x->cap = cap;
	x->used = 0;
	x->done = 0;
	for (size_t i = 0; i < old_cap; i++) {
		if (old[i].state != SLOT_PENDING && !(with_done && old[i].state == SLOT_DONE))
			continue;
		struct slot *s = slot_take_locked(x, old[i].ref.id);
		*s = old[i];
		x->done += s->state == SLOT_DONE;
	}
	free(old);
	return 0;
}

/* What is settled, sorted, into ret (x->done entries). */
static void gather_locked(const struct index *x, struct chunk_ref *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < x->cap; i++) {
		if (x->slots[i].state == SLOT_DONE)
			ret[n++] = x->slots[i].ref;
	}
	assert(n == x->done);
	if (n > 1)
		qsort(ret, n, sizeof(*ret), ref_cmp);
}

/* Moves what is settled into a run. 0, or -1: no memory, nothing is changed. */
static int spill_locked(struct index *x)
{
	size_t len = x->done * sizeof(struct chunk_ref);
	struct run *runs = reallocarray(x->runs, x->nruns + 1, sizeof(*runs));

	if (!runs)
		return -1;
	x->runs = runs;
	struct chunk_ref *refs = fd_map_scratch(x->scratch_dir, len);
	if (!refs && x->scratch_dir)
		refs = fd_map_scratch(NULL, len); /* the disk is full */
	if (!refs)
		return -1;
	gather_locked(x, refs);
	size_t n = x->done;
	if (slots_rebuild_locked(x, x->cap, false) < 0) {
		(void)munmap(refs, len);
		return -1;
	}
	runs[x->nruns++] = (struct run){ .refs = refs, .n = n, .map_len = len };
	return 0;
}

/* Room for one more: a quarter of the slots stays empty. 0, or -1: no memory. */
static int make_room_locked(struct index *x)
{
	if (x->done >= SPILL_ENTRIES && spill_locked(x) == 0)
		return 0;
	if (x->cap == 0)
		return slots_rebuild_locked(x, SLOTS_FIRST, true);
	if ((x->used + 1) * 4 <= x->cap * 3)
		return 0;
	/* When what was abandoned fills it, clearing it out is enough. */
	return slots_rebuild_locked(x, x->done * 2 > x->cap ? x->cap * 2 : x->cap, true);
}

bool index_lookup(struct index *x, const uint8_t id[32], struct chunk_ref *ret)
{
	if (tables_find(x, id, ret))
		return true;
	(void)pthread_mutex_lock(&x->lock);
	const struct slot *s = slot_find_locked(x, id);
	const struct chunk_ref *r = s && s->state == SLOT_DONE ? &s->ref : runs_find_locked(x, id);
	if (r)
		*ret = *r;
	(void)pthread_mutex_unlock(&x->lock);
	return r != NULL;
}

/* 1: it is there now, in *ret; 0: the caller has it. */
static int claim_locked(struct index *x, const uint8_t id[32], struct chunk_ref *ret)
{
	struct slot *s;

	while ((s = slot_find_locked(x, id)) && s->state == SLOT_PENDING)
		(void)pthread_cond_wait(&x->settled, &x->lock);
	const struct chunk_ref *r = s ? &s->ref : runs_find_locked(x, id);
	if (r) {
		*ret = *r;
		return 1;
	}
	if (make_room_locked(x) < 0) {
		/* It will be stored, and not found again. */
		x->nomem = true;
		return 0;
	}
	slot_take_locked(x, id)->state = SLOT_PENDING;
	return 0;
}

bool index_claim(struct index *x, const uint8_t id[32], struct chunk_ref *ret)
{
	uint8_t copy[FORMAT_ID_BYTES]; /* id may lie in *ret */

	memcpy(copy, id, sizeof(copy));
	if (tables_find(x, copy, ret))
		return false;
	(void)pthread_mutex_lock(&x->lock);
	int there = claim_locked(x, copy, ret);
	(void)pthread_mutex_unlock(&x->lock);
	return !there;
}

void index_add(struct index *x, const struct chunk_ref *ref)
{
	(void)pthread_mutex_lock(&x->lock);
	struct slot *s = slot_find_locked(x, ref->id);
	if (!s && make_room_locked(x) == 0)
		s = slot_take_locked(x, ref->id);
	if (s) {
		x->done += s->state != SLOT_DONE;
		s->ref = *ref;
		s->state = SLOT_DONE;
	} else {
		x->nomem = true;
	}
	(void)pthread_cond_broadcast(&x->settled);
	(void)pthread_mutex_unlock(&x->lock);
}

void index_abandon(struct index *x, const uint8_t id[32])
{
	(void)pthread_mutex_lock(&x->lock);
	struct slot *s = slot_find_locked(x, id);
	if (s && s->state == SLOT_PENDING)
		s->state = SLOT_GONE;
	(void)pthread_cond_broadcast(&x->settled);
	(void)pthread_mutex_unlock(&x->lock);
}

/* ---- writing segments ---- */

/* All settled entries in order of id, from the runs and the gathered slots. */
struct cursor {
	struct run *runs; /* the last one is of gathered slots */
	size_t *at;
	size_t n;
};

static const struct chunk_ref *cursor_next(struct cursor *c)
{
	const struct chunk_ref *least = NULL;
	size_t from = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct chunk_ref *r = &c->runs[i].refs[c->at[i]];

		if (c->at[i] == c->runs[i].n || (least && ref_cmp(r, least) >= 0))
			continue;
		least = r;
		from = i;
	}
	if (least)
		c->at[from]++;
	return least;
}

/* A pack of a segment, by id. */
struct segment_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;
};

static int pack_cmp(const void *a, const void *b)
{
	return memcmp(a, b, FORMAT_PACK_ID_BYTES);
}

/* The packs of the entries, ascending, each once. */
static size_t segment_packs(const struct chunk_ref *const *refs, size_t n, struct segment_pack *ret)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		memcpy(ret[i].id, refs[i]->pack, sizeof(ret[i].id));
		ret[i].kind = refs[i]->kind == CHUNK_NODE ? FORMAT_KIND_META : FORMAT_KIND_DATA;
	}
	qsort(ret, n, sizeof(*ret), pack_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || pack_cmp(&ret[kept - 1], &ret[i]) != 0)
			ret[kept++] = ret[i];
	}
	return kept;
}

struct write {
	struct index *x;
	const char *session;
	uint64_t (*pack_size)(void *arg, const uint8_t pack[16]);
	void *arg;
	unsigned number;
};

static int segment_encode(const struct write *w, const struct chunk_ref *const *refs, size_t n,
                          struct buf *b, struct err *e)
{
	static const uint8_t zeros[7];
	auto_free struct segment_pack *packs = reallocarray(NULL, n, sizeof(*packs));

	if (!packs)
		return err_set(e, ERR_NOMEM, "no memory for an index segment");
	size_t npacks = segment_packs(refs, n, packs);
	(void)buf_reserve(b, 8 + npacks * FORMAT_INDEX_PACK_BYTES + n * FORMAT_INDEX_ENTRY_BYTES);
	(void)buf_u32(b, (uint32_t)npacks);
	for (size_t i = 0; i < npacks; i++) {
		(void)buf_put(b, packs[i].id, sizeof(packs[i].id));
		(void)buf_u64(b, w->pack_size(w->arg, packs[i].id));
		(void)buf_u8(b, packs[i].kind);
		(void)buf_put(b, zeros, sizeof(zeros));
	}
	(void)buf_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct chunk_ref *r = refs[i];
		const struct segment_pack *p = bsearch(r->pack, packs, npacks, sizeof(*packs),
		                                       pack_cmp);

		(void)buf_put(b, r->id, sizeof(r->id));
		(void)buf_u32(b, (uint32_t)(p - packs));
		(void)buf_u32(b, r->off);
		(void)buf_u32(b, r->stored);
		(void)buf_u32(b, r->plain);
		(void)buf_u32(b, r->counter);
		(void)buf_u16(b, r->key);
		(void)buf_u8(b, r->compression);
		(void)buf_u8(b, r->kind);
	}
	return buf_check(b, "an index segment", e);
}

/* What was written need not be fetched by the next session here. Best effort. */
static void keep_local(const struct index *x, const char *name, const struct index_view *v)
{
	struct index_table *t = x->dir < 0 ? NULL : index_table_new(x->k, name, v);
	struct index_table *file = t ? index_table_merge(x->k, &t, 1, x->dir) : NULL;

	index_table_free(file);
	index_table_free(t);
}

static int name_add(char ***names, size_t *n, const char *name, struct err *e)
{
	char **more = reallocarray(*names, *n + 1, sizeof(char *));

	if (more) {
		*names = more;
		more[*n] = strdup(name);
	}
	if (!more || !more[*n])
		return err_set(e, ERR_NOMEM, "no memory for the names of index segments");
	(*n)++;
	return 0;
}

/* One segment of these entries. */
static int segment_write(struct write *w, const struct chunk_ref *const *refs, size_t n,
                         char ***names, size_t *nnames, struct err *e)
{
	CLEANUP(buf_clear)
	struct buf plain = BUF_INIT(8 + n * (FORMAT_INDEX_PACK_BYTES + FORMAT_INDEX_ENTRY_BYTES));
	CLEANUP(buf_clear) struct buf object = BUF_INIT(plain.max + 2 * KIB);
	const struct index *x = w->x;
	struct index_view v;
	char key[STORE_KEY_MAX + 1];

	(void)snprintf(key, sizeof(key), "idx/%s/%s-%04u", x->domain->tag_hex, w->session,
	               w->number++);
	if (segment_encode(w, refs, n, &plain, e) < 0)
		return -1;
	/* What nobody could read is not written. */
	if (index_decode(plain.data, plain.len, &v, e) < 0) {
		e->class = ERR_BUG;
		return -1;
	}
	if (crypt_object_seal(x->keys, FORMAT_KIND_INDEX, x->domain->foot, key, plain.data,
	                      plain.len, &object, e) < 0)
		return -1;
	struct iovec iov = { .iov_base = object.data, .iov_len = object.len };
	if (store_put(x->store, key, &iov, 1, e) < 0)
		return err_wrap(e, "writing the index");
	keep_local(x, key + strlen("idx/") + strlen(x->domain->tag_hex) + 1, &v);
	return name_add(names, nnames, key, e);
}

static int write_segments(struct write *w, struct cursor *c, size_t total, char ***names,
                          size_t *nnames, struct err *e)
{
	size_t cap = total < SEGMENT_ENTRIES ? total : SEGMENT_ENTRIES;
	auto_free const struct chunk_ref **refs = reallocarray(NULL, cap, sizeof(*refs));

	if (!refs)
		return err_set(e, ERR_NOMEM, "no memory for an index segment");
	while (total > 0) {
		size_t n = total < cap ? total : cap;

		for (size_t i = 0; i < n; i++)
			refs[i] = cursor_next(c);
		if (segment_write(w, refs, n, names, nnames, e) < 0)
			return -1;
		total -= n;
	}
	return 0;
}

int index_write(struct index *x, const char *session,
                uint64_t (*pack_size)(void *arg, const uint8_t pack[16]), void *arg,
                char ***ret_names, size_t *ret_n, struct err *e)
{
	struct write w = { .x = x, .session = session, .pack_size = pack_size, .arg = arg };
	size_t total;

	(void)pthread_mutex_lock(&x->lock);
	size_t n = x->nruns + 1;
	bool nomem = x->nomem;
	auto_free struct run *runs = calloc(n, sizeof(*runs));
	auto_free size_t *at = calloc(n, sizeof(*at));
	auto_free struct chunk_ref *gathered = calloc(x->done ? x->done : 1, sizeof(*gathered));
	if (runs && at && gathered) {
		gather_locked(x, gathered);
		if (x->nruns > 0)
			memcpy(runs, x->runs, x->nruns * sizeof(*runs));
		runs[x->nruns] = (struct run){ .refs = gathered, .n = x->done };
	}
	(void)pthread_mutex_unlock(&x->lock);
	if (nomem || !runs || !at || !gathered)
		return err_set(e, ERR_NOMEM, "no memory for the index of this session");
	total = 0;
	for (size_t i = 0; i < n; i++)
		total += runs[i].n;
	if (total == 0)
		return 0;
	struct cursor c = { .runs = runs, .at = at, .n = n };
	return write_segments(&w, &c, total, ret_names, ret_n, e);
}
