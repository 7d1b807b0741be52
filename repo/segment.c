/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer gathers entries of packs that are on the store, and turns them
 * into a segment when they are many or when it is told to: then whoever comes
 * later finds them, whether the session ends or not. A name that is taken
 * belongs to an earlier run under the same session, so the next number is tried.
 */
#include "repo/segment.h"

#include <pthread.h>
#include <string.h>

#include "common/rd.h"
#include "repo/crypt.h"
#include "repo/point.h"

#define ENTRIES_DEFAULT ((size_t)64 * 1024)
#define NUMBERS_MAX 1000000U
#define GATE_BYTES (32 * MIB) /* of segments that are open at a time */
#define STORED_MIN_BYTES (FORMAT_TAG_BYTES + 1)
#define PACK_MIN_BYTES (FORMAT_PACK_FIXED_BYTES + FORMAT_TRAILER_BYTES)

/* ---- decoding ---- */

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
	return r->kind == pack_kind;
}

/* Number of the pack of entry i. */
static uint32_t view_pack_of(const struct segment_view *v, uint32_t i)
{
	struct rd rd = rd_of(v->entries + (size_t)i * FORMAT_INDEX_ENTRY_BYTES + FORMAT_ID_BYTES,
	                     4);

	return rd_u32(&rd);
}

uint32_t segment_view_ref(const struct segment_view *v, uint32_t i, struct chunk_ref *ret)
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
	return pack;
}

void segment_view_pack(const struct segment_view *v, uint32_t i, struct segment_pack *ret)
{
	struct rd rd = rd_of(v->packs + (size_t)i * FORMAT_INDEX_PACK_BYTES,
	                     FORMAT_INDEX_PACK_BYTES);

	rd_copy(&rd, ret->id, sizeof(ret->id));
	ret->len = rd_u64(&rd);
	ret->kind = rd_u8(&rd) == FORMAT_KIND_META ? CHUNK_NODE : CHUNK_DATA;
}

static int decode_packs(const struct segment_view *v, struct err *e)
{
	static const uint8_t zeros[7];

	for (uint32_t i = 0; i < v->npacks; i++) {
		const uint8_t *p = v->packs + (size_t)i * FORMAT_INDEX_PACK_BYTES;
		uint8_t kind = p[FORMAT_PACK_ID_BYTES + 8];
		struct segment_pack pack;

		segment_view_pack(v, i, &pack);
		if ((kind != FORMAT_KIND_DATA && kind != FORMAT_KIND_META) ||
		    pack.len < PACK_MIN_BYTES || pack.len > FORMAT_PACK_MAX ||
		    memcmp(p + 25, zeros, sizeof(zeros)) != 0)
			return err_set(e, ERR_FORMAT,
			               "pack %u of an index segment makes no sense, or is of a "
			               "later "
			               "version",
			               i);
	}
	return 0;
}

static int decode_entries(const struct segment_view *v, struct err *e)
{
	for (uint32_t i = 0; i < v->nentries; i++) {
		const uint8_t *p = v->entries + (size_t)i * FORMAT_INDEX_ENTRY_BYTES;
		struct segment_pack pack;
		struct chunk_ref r;

		if (view_pack_of(v, i) >= v->npacks)
			return err_set(e, ERR_FORMAT, "entry %u of an index segment names no pack",
			               i);
		segment_view_pack(v, view_pack_of(v, i), &pack);
		segment_view_ref(v, i, &r);
		if (!entry_valid(&r, pack.kind, pack.len))
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

int segment_decode(const uint8_t *p, size_t n, struct segment_view *ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct segment_view v;

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

int segment_fetch(struct store *store, const struct keys *keys, const struct domain_keys *domain,
                  const char *key, struct buf *b, struct segment_view *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(SEGMENT_OBJECT_MAX);
	uint8_t signer[FORMAT_SIGNER_BYTES];

	if (store_get_all(store, key, &object, e) < 0)
		return -1;
	if (crypt_object_open(keys, FORMAT_KIND_INDEX, domain->foot, key, object.data, object.len,
	                      b, signer, e) < 0) {
		/* Not the store's refusal: somebody else wrote it. */
		if (e->class == ERR_DENIED)
			e->class = ERR_CORRUPT;
		return -1;
	}
	return segment_decode(b->data, b->len, ret, e);
}

bool segment_session(const char *name, char ret_session[96])
{
	size_t n = strlen(name);

	if (n < POINT_SESSION_LEN + 5 || n >= 96 || name[POINT_SESSION_LEN] != '-')
		return false;
	memcpy(ret_session, name, POINT_SESSION_LEN);
	ret_session[POINT_SESSION_LEN] = '\0';
	const char *number = name + POINT_SESSION_LEN + 1;
	return point_session_valid(ret_session) && strspn(number, "0123456789") == strlen(number);
}

void segment_gate_enter(struct segment_gate *g, uint64_t bytes)
{
	(void)pthread_mutex_lock(&g->lock);
	while (g->bytes > 0 && g->bytes + bytes > GATE_BYTES)
		(void)pthread_cond_wait(&g->left, &g->lock);
	g->bytes += bytes;
	(void)pthread_mutex_unlock(&g->lock);
}

void segment_gate_leave(struct segment_gate *g, uint64_t bytes)
{
	(void)pthread_mutex_lock(&g->lock);
	g->bytes -= bytes;
	(void)pthread_cond_broadcast(&g->left);
	(void)pthread_mutex_unlock(&g->lock);
}

/* ---- writing ---- */

struct segment_writer {
	struct segment_writer_params p;
	char session[96];
	pthread_mutex_t lock;
	struct chunk_ref *refs; /* guarded by lock, as all below */
	size_t n, cap;
	struct segment_pack *packs;
	size_t npacks, packs_cap;
	unsigned number;
	char **names;
	size_t nnames;
};

int segment_writer_new(const struct segment_writer_params *p, struct segment_writer **ret,
                       struct err *e)
{
	struct segment_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_NOMEM, "no memory for index segments");
	w->p = *p;
	if (w->p.entries_max == 0)
		w->p.entries_max = ENTRIES_DEFAULT;
	if (w->p.entries_max > FORMAT_ENTRIES_MAX)
		w->p.entries_max = FORMAT_ENTRIES_MAX;
	(void)snprintf(w->session, sizeof(w->session), "%s", p->session);
	(void)pthread_mutex_init(&w->lock, NULL);
	*ret = w;
	return 0;
}

void segment_writer_free(struct segment_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->nnames; i++)
		free(w->names[i]);
	free(w->names);
	free(w->refs);
	free(w->packs);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

void segment_ref_of(const struct pack_entry *entry, const uint8_t pack[FORMAT_PACK_ID_BYTES],
                    struct chunk_ref *ret)
{
	*ret = (struct chunk_ref){
		.off = entry->off,
		.stored = entry->stored,
		.plain = entry->plain,
		.counter = entry->counter,
		.key = entry->key,
		.compression = entry->compression,
		.kind = entry->kind,
	};
	memcpy(ret->id, entry->id, sizeof(ret->id));
	memcpy(ret->pack, pack, sizeof(ret->pack));
}

static int ref_cmp(const void *va, const void *vb)
{
	const struct chunk_ref *a = va;
	const struct chunk_ref *b = vb;
	int d = memcmp(a->id, b->id, sizeof(a->id));

	if (d == 0)
		d = memcmp(a->pack, b->pack, sizeof(a->pack));
	return d ? d : (a->off > b->off) - (a->off < b->off);
}

static int pack_cmp(const void *va, const void *vb)
{
	const struct segment_pack *a = va;
	const struct segment_pack *b = vb;

	return memcmp(a->id, b->id, sizeof(a->id));
}

/* Sorted, each id once. */
static void sort_locked(struct segment_writer *w)
{
	size_t kept = 0;

	qsort(w->refs, w->n, sizeof(*w->refs), ref_cmp);
	for (size_t i = 0; i < w->n; i++) {
		if (kept == 0 || memcmp(w->refs[kept - 1].id, w->refs[i].id, FORMAT_ID_BYTES) != 0)
			w->refs[kept++] = w->refs[i];
	}
	w->n = kept;
	qsort(w->packs, w->npacks, sizeof(*w->packs), pack_cmp);
	kept = 0;
	for (size_t i = 0; i < w->npacks; i++) {
		if (kept == 0 || pack_cmp(&w->packs[kept - 1], &w->packs[i]) != 0)
			w->packs[kept++] = w->packs[i];
	}
	w->npacks = kept;
}

static int encode_locked(const struct segment_writer *w, struct buf *b, struct err *e)
{
	static const uint8_t zeros[7];

	(void)buf_reserve(b, 8 + w->npacks * FORMAT_INDEX_PACK_BYTES +
	                             w->n * FORMAT_INDEX_ENTRY_BYTES);
	(void)buf_u32(b, (uint32_t)w->npacks);
	for (size_t i = 0; i < w->npacks; i++) {
		(void)buf_put(b, w->packs[i].id, sizeof(w->packs[i].id));
		(void)buf_u64(b, w->packs[i].len);
		(void)buf_u8(b,
		             w->packs[i].kind == CHUNK_NODE ? FORMAT_KIND_META : FORMAT_KIND_DATA);
		(void)buf_put(b, zeros, sizeof(zeros));
	}
	(void)buf_u32(b, (uint32_t)w->n);
	for (size_t i = 0; i < w->n; i++) {
		const struct chunk_ref *r = &w->refs[i];
		struct segment_pack key;

		memcpy(key.id, r->pack, sizeof(key.id));
		const struct segment_pack *p = bsearch(&key, w->packs, w->npacks, sizeof(key),
		                                       pack_cmp);
		if (!p)
			return err_set(e, ERR_BUG, "an index entry is of a pack that was not told");
		(void)buf_put(b, r->id, sizeof(r->id));
		(void)buf_u32(b, (uint32_t)(p - w->packs));
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

static int name_add_locked(struct segment_writer *w, const char *name, struct err *e)
{
	char **more = reallocarray(w->names, w->nnames + 1, sizeof(char *));

	if (more) {
		w->names = more;
		more[w->nnames] = strdup(name);
	}
	if (!more || !more[w->nnames])
		return err_set(e, ERR_NOMEM, "no memory for the names of index segments");
	w->nnames++;
	return 0;
}

/* Puts the plain text under the next number that is free. */
static int put_locked(struct segment_writer *w, const struct buf *plain,
                      char key[STORE_KEY_MAX + 1], struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(plain->len + 2 * KIB);
	struct err why = ERR_INIT;

	while (w->number < NUMBERS_MAX) {
		(void)snprintf(key, STORE_KEY_MAX + 1, "idx/%s/%s-%04u", w->p.domain->tag_hex,
		               w->session, w->number++);
		buf_reset(&object);
		if (crypt_object_seal(w->p.keys, FORMAT_KIND_INDEX, w->p.domain->foot, key,
		                      plain->data, plain->len, &object, e) < 0)
			return -1;
		struct iovec iov = { .iov_base = object.data, .iov_len = object.len };
		if (store_put(w->p.store, key, &iov, 1, &why) == 0)
			return 0;
		if (why.class != ERR_EXISTS) {
			*e = why;
			return err_wrap(e, "writing the index");
		}
	}
	return err_set(e, ERR_TOO_BIG, "session '%s' has too many index segments", w->session);
}

static int write_locked(struct segment_writer *w, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(SEGMENT_PLAIN_MAX);
	struct segment_view v;
	char key[STORE_KEY_MAX + 1];

	if (w->n == 0)
		return 0;
	sort_locked(w);
	if (encode_locked(w, &plain, e) < 0)
		return -1;
	/* What nobody could read is not written. */
	if (segment_decode(plain.data, plain.len, &v, e) < 0) {
		e->class = ERR_BUG;
		return -1;
	}
	if (put_locked(w, &plain, key, e) < 0 || name_add_locked(w, key, e) < 0)
		return -1;
	if (w->p.learned)
		w->p.learned(w->p.arg, key + strlen("idx/") + strlen(w->p.domain->tag_hex) + 1, &v);
	w->n = 0;
	w->npacks = 0;
	return 0;
}

/* Room for more entries and packs. */
static int reserve_locked(struct segment_writer *w, size_t npacks, size_t n, struct err *e)
{
	if (w->packs_cap - w->npacks < npacks) {
		size_t cap = 2 * w->packs_cap > w->npacks + npacks ? 2 * w->packs_cap
		                                                   : w->npacks + npacks + 16;
		struct segment_pack *packs = reallocarray(w->packs, cap, sizeof(*packs));

		if (!packs)
			return err_set(e, ERR_NOMEM, "no memory for the index of this session");
		w->packs = packs;
		w->packs_cap = cap;
	}
	if (w->cap - w->n < n) {
		size_t cap = 2 * w->cap > w->n + n ? 2 * w->cap : w->n + n;
		struct chunk_ref *refs = reallocarray(w->refs, cap, sizeof(*refs));

		if (!refs)
			return err_set(e, ERR_NOMEM, "no memory for the index of this session");
		w->refs = refs;
		w->cap = cap;
	}
	return 0;
}

int segment_add_all(struct segment_writer *w, const struct segment_pack *packs, const bool *stays,
                    size_t npacks, const struct chunk_ref *refs, size_t n, struct err *e)
{
	int rc = 0;

	if (n == 0)
		return 0;
	(void)pthread_mutex_lock(&w->lock);
	/* Below twice the size that is asked for, however often segments are merged. */
	size_t most = 2 * w->p.entries_max < FORMAT_ENTRIES_MAX ? 2 * w->p.entries_max
	                                                        : FORMAT_ENTRIES_MAX;
	if (w->n > 0 && (w->n + n > most || w->npacks + npacks > FORMAT_ENTRIES_MAX))
		rc = write_locked(w, e);
	if (rc == 0)
		rc = reserve_locked(w, npacks, n, e);
	if (rc == 0) {
		for (size_t i = 0; i < npacks; i++) {
			if (!stays || stays[i])
				w->packs[w->npacks++] = packs[i];
		}
		memcpy(w->refs + w->n, refs, n * sizeof(*refs));
		w->n += n;
		if (w->n >= w->p.entries_max)
			rc = write_locked(w, e);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return rc;
}

int segment_add(struct segment_writer *w, const struct segment_pack *pack,
                const struct chunk_ref *refs, size_t n, struct err *e)
{
	return segment_add_all(w, pack, NULL, 1, refs, n, e);
}

int segment_flush(struct segment_writer *w, struct err *e)
{
	(void)pthread_mutex_lock(&w->lock);
	int rc = write_locked(w, e);
	(void)pthread_mutex_unlock(&w->lock);
	return rc;
}

size_t segment_pending(struct segment_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	size_t n = w->n;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

void segment_names(struct segment_writer *w, char ***ret_names, size_t *ret_n)
{
	(void)pthread_mutex_lock(&w->lock);
	*ret_names = STEAL(&w->names);
	*ret_n = w->nnames;
	w->nnames = 0;
	(void)pthread_mutex_unlock(&w->lock);
}

void segment_list_clear(struct segment_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct segment_list){ 0 };
}

int segment_finish(struct segment_writer *w, struct segment_list *l, struct err *e)
{
	char **names = NULL;
	size_t n = 0;
	int rc = segment_flush(w, e);

	segment_names(w, &names, &n);
	char **all = reallocarray(l->v, l->n + n + 1, sizeof(*all));
	if (all) {
		l->v = all;
		if (n > 0)
			memcpy(all + l->n, names, n * sizeof(*all));
		l->n += n;
	} else {
		for (size_t i = 0; i < n; i++)
			free(names[i]);
		rc = err_set(e, ERR_NOMEM, "no memory for the names of index segments");
	}
	free(names);
	return rc;
}
