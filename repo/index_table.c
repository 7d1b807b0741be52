/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local tables. A file holds
 *
 *   head, 64 bytes: "AKSDIDX1", u32 names, u32 bytes of names, u32 packs,
 *                   u32 entries, 8 zero bytes, keyed BLAKE2b of this and the names
 *   names of the segments that it covers, a line each
 *   pack ids
 *   entries of 64 bytes: as in docs/FORMAT.md 7, then SipHash of the pack id and of
 *                   all but the pack's number
 *
 * each part padded to 64 bytes. The check of an entry is looked at when the
 * entry is found, so opening a table costs the same whatever its size, and a
 * file with a damaged part is a smaller index, never a wrong one. For the same
 * reason files are not synced: a crash leaves pages of zeros at worst.
 *
 * Ids are uniform, so a search begins where the id should be.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/hex.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/index_impl.h"

#define MAGIC "AKSDIDX1"
#define HEAD_BYTES 64
#define HEAD_SUM_AT 32 /* in the head */
#define ENTRY_BYTES 64
#define ENTRY_PACK_AT 32 /* number of the pack */
#define ENTRY_REST_AT 36
#define ENTRY_MAC_AT FORMAT_INDEX_ENTRY_BYTES
#define NAMES_MAX_BYTES (256 * MIB)
#define GUESSES 12     /* by interpolation, before halving */
#define KEEP_BYTES MIB /* of a file that is read or written from end to end: what stays at hand */

static_assert(ENTRY_MAC_AT + crypto_shorthash_BYTES == ENTRY_BYTES, "an entry and its check");

static size_t padded(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static size_t table_len(size_t names_len, size_t npacks, size_t nentries)
{
	return HEAD_BYTES + padded(names_len) + padded(npacks * FORMAT_PACK_ID_BYTES) +
	       nentries * ENTRY_BYTES;
}

static void put_u32(uint8_t *at, uint32_t v)
{
	for (size_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
	struct rd rd = rd_of(at, 4);

	return rd_u32(&rd);
}

static void entry_mac(const struct index_keys *k, const uint8_t *pack, const uint8_t *entry,
                      uint8_t ret[crypto_shorthash_BYTES])
{
	uint8_t message[FORMAT_PACK_ID_BYTES + FORMAT_INDEX_ENTRY_BYTES - 4];

	memcpy(message, pack, FORMAT_PACK_ID_BYTES);
	memcpy(message + FORMAT_PACK_ID_BYTES, entry, ENTRY_PACK_AT);
	memcpy(message + FORMAT_PACK_ID_BYTES + ENTRY_PACK_AT, entry + ENTRY_REST_AT,
	       FORMAT_INDEX_ENTRY_BYTES - ENTRY_REST_AT);
	(void)crypto_shorthash(ret, message, sizeof(message), k->entry);
}

static void head_sum(const struct index_keys *k, const uint8_t *map, size_t names_len,
                     uint8_t ret[32])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, k->head, sizeof(k->head), 32);
	(void)crypto_generichash_update(&state, map, HEAD_SUM_AT);
	(void)crypto_generichash_update(&state, map + HEAD_BYTES, names_len);
	(void)crypto_generichash_final(&state, ret, 32);
}

/* Sets the pointers from the numbers. */
static void table_lay_out(struct index_table *t)
{
	t->names = (const char *)t->map + HEAD_BYTES;
	t->packs = t->map + HEAD_BYTES + padded(t->names_len);
	t->entries = t->packs + padded((size_t)t->npacks * FORMAT_PACK_ID_BYTES);
}

void index_table_free(struct index_table *t)
{
	if (!t)
		return;
	if (t->map)
		(void)munmap(t->map, t->len);
	free(t);
}

void index_table_remove(struct index_table *t)
{
	if (t->dir >= 0)
		(void)unlinkat(t->dir, t->file, 0);
	t->dir = -1;
}

/* ---- making ---- */

/* A file of len bytes in dir, whose name is still ".tmp-..."; mapped. NULL with errno. */
static uint8_t *file_map(int dir, size_t len, char ret_file[48])
{
	uint8_t salt[8];
	char hex[17];
	char tmp[48];

	secret_random(salt, sizeof(salt));
	hex_encode(hex, salt, sizeof(salt));
	(void)snprintf(ret_file, 48, "t-%s", hex);
	(void)snprintf(tmp, sizeof(tmp), ".tmp-%s", hex);
	auto_close int fd = openat(dir, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                           0600);
	if (fd < 0)
		return NULL;
	/* Reserved now, so that a full disk is an error here and not a SIGBUS later. */
	void *map = MAP_FAILED;
	if (fallocate(fd, 0, 0, (off_t)len) == 0 ||
	    (errno == EOPNOTSUPP && ftruncate(fd, (off_t)len) == 0))
		map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		return map;
	int os = errno;
	(void)unlinkat(dir, tmp, 0);
	errno = os;
	return NULL;
}

/* An empty table of these sizes, to be filled; finish with table_end(). NULL with errno. */
static struct index_table *table_begin(int dir, size_t names_len, size_t nnames, size_t npacks,
                                       size_t nentries)
{
	if (names_len > NAMES_MAX_BYTES || nnames > UINT32_MAX || npacks > UINT32_MAX ||
	    nentries > UINT32_MAX) {
		errno = EFBIG;
		return NULL;
	}
	struct index_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->dir = dir;
	t->names_len = names_len;
	t->nnames = (uint32_t)nnames;
	t->npacks = (uint32_t)npacks;
	t->nentries = (uint32_t)nentries;
	t->len = table_len(names_len, npacks, nentries);
	if (dir >= 0) {
		t->map = file_map(dir, t->len, t->file);
	} else {
		t->map = mmap(NULL, t->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		              0);
		if (t->map == MAP_FAILED)
			t->map = NULL;
	}
	if (!t->map) {
		free(t);
		return NULL;
	}
	table_lay_out(t);
	return t;
}

/* Writes the head and gives the file its name. 0, or -1 with errno and t freed. */
static int table_end(struct index_table *t, const struct index_keys *k)
{
	char tmp[48];

	memcpy(t->map, MAGIC, 8);
	put_u32(t->map + 8, t->nnames);
	put_u32(t->map + 12, (uint32_t)t->names_len);
	put_u32(t->map + 16, t->npacks);
	put_u32(t->map + 20, t->nentries);
	head_sum(k, t->map, t->names_len, t->map + HEAD_SUM_AT);
	(void)mprotect(t->map, t->len, PROT_READ);
	if (t->dir < 0)
		return 0;
	(void)snprintf(tmp, sizeof(tmp), ".tmp-%s", t->file + 2);
	if (renameat(t->dir, tmp, t->dir, t->file) == 0)
		return 0;
	int os = errno;
	(void)unlinkat(t->dir, tmp, 0);
	index_table_free(t);
	errno = os;
	return -1;
}

struct index_table *index_table_new(const struct index_keys *k, const char *name,
                                    const struct segment_view *v)
{
	size_t name_len = strlen(name);
	struct index_table *t = table_begin(-1, name_len + 1, 1, v->npacks, v->nentries);

	if (!t)
		return NULL;
	uint8_t *names = t->map + HEAD_BYTES;
	uint8_t *packs = names + padded(t->names_len);
	uint8_t *entries = packs + padded((size_t)t->npacks * FORMAT_PACK_ID_BYTES);
	memcpy(names, name, name_len);
	names[name_len] = '\n';
	for (size_t i = 0; i < v->npacks; i++)
		memcpy(packs + i * FORMAT_PACK_ID_BYTES, v->packs + i * FORMAT_INDEX_PACK_BYTES,
		       FORMAT_PACK_ID_BYTES);
	for (size_t i = 0; i < v->nentries; i++) {
		uint8_t *to = entries + i * ENTRY_BYTES;

		memcpy(to, v->entries + i * FORMAT_INDEX_ENTRY_BYTES, FORMAT_INDEX_ENTRY_BYTES);
		entry_mac(k, packs + (size_t)get_u32(to + ENTRY_PACK_AT) * FORMAT_PACK_ID_BYTES, to,
		          to + ENTRY_MAC_AT);
	}
	return table_end(t, k) < 0 ? NULL : t;
}

/* One of the tables that are merged. */
struct source {
	const struct index_table *t;
	uint32_t at;         /* next entry */
	uint32_t first_pack; /* its pack 0 in the result */
};

static const uint8_t *source_id(const struct source *s)
{
	return s->t->entries + (size_t)s->at * ENTRY_BYTES;
}

/* Restores the heap (smallest id first) below i. */
static void heap_sink(struct source *heap, size_t n, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
			if (memcmp(source_id(&heap[child]), source_id(&heap[least]),
			           FORMAT_ID_BYTES) < 0)
				least = child;
		}
		if (least == i)
			return;
		struct source swap = heap[i];
		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

/*
 * Takes n bytes of a table that is in a file out of this process's memory: the kernel has them, and
 * a merge of large tables is not to look as if it needed all of them.
 */
static void drop(const struct index_table *t, const uint8_t *from, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t begin = (size_t)(from - t->map) / page * page;
	size_t end = (size_t)(from + n - t->map) / page * page;

	if (t->dir >= 0 && begin < end)
		(void)madvise(t->map + begin, end - begin, MADV_DONTNEED);
}

/* What is behind the entry that comes next, each time that it is enough. */
static void drop_behind(const struct index_table *t, const uint8_t *next)
{
	size_t done = (size_t)(next - t->entries);

	if (done % KEEP_BYTES == 0 && done > 0)
		drop(t, next - KEEP_BYTES, KEEP_BYTES);
}

static void merge_entries(struct source *heap, size_t n, const struct index_table *into)
{
	uint8_t *to = into->map + (into->entries - into->map);

	for (size_t i = n / 2; i > 0; i--)
		heap_sink(heap, n, i - 1);
	while (n > 0) {
		struct source *s = &heap[0];

		memcpy(to, source_id(s), ENTRY_BYTES);
		/* A damaged number stays one: its check will not fit. */
		put_u32(to + ENTRY_PACK_AT, get_u32(to + ENTRY_PACK_AT) + s->first_pack);
		to += ENTRY_BYTES;
		s->at++;
		drop_behind(into, to);
		drop_behind(s->t, source_id(s));
		if (s->at == s->t->nentries)
			heap[0] = heap[--n];
		heap_sink(heap, n, 0);
	}
}

struct index_table *index_table_merge(const struct index_keys *k, struct index_table *const *tables,
                                      size_t n, int dir)
{
	size_t names_len = 0;
	size_t nnames = 0;
	size_t npacks = 0;
	size_t nentries = 0;
	size_t sources = 0;

	for (size_t i = 0; i < n; i++) {
		names_len += tables[i]->names_len;
		nnames += tables[i]->nnames;
		npacks += tables[i]->npacks;
		nentries += tables[i]->nentries;
	}
	auto_free struct source *heap = calloc(n ? n : 1, sizeof(*heap));
	struct index_table *t = heap ? table_begin(dir, names_len, nnames, npacks, nentries) : NULL;
	if (!t)
		return NULL;
	uint8_t *names = t->map + HEAD_BYTES;
	uint8_t *packs = names + padded(t->names_len);
	uint32_t first_pack = 0;
	for (size_t i = 0; i < n; i++) {
		const struct index_table *from = tables[i];

		memcpy(names, from->names, from->names_len);
		names += from->names_len;
		memcpy(packs, from->packs, (size_t)from->npacks * FORMAT_PACK_ID_BYTES);
		packs += (size_t)from->npacks * FORMAT_PACK_ID_BYTES;
		if (from->nentries > 0)
			heap[sources++] = (struct source){ .t = from, .first_pack = first_pack };
		first_pack += from->npacks;
		drop(from, from->map, (size_t)(from->entries - from->map));
	}
	drop(t, t->map, (size_t)(t->entries - t->map));
	merge_entries(heap, sources, t);
	return table_end(t, k) < 0 ? NULL : t;
}

/* ---- opening ---- */

/* Numbers of the head, checked against the file's length. */
static bool head_valid(struct index_table *t, const struct index_keys *k)
{
	struct rd rd = rd_of(t->map, HEAD_BYTES);
	uint8_t sum[32];
	size_t lines = 0;

	const uint8_t *magic = rd_take(&rd, 8);
	t->nnames = rd_u32(&rd);
	t->names_len = rd_u32(&rd);
	t->npacks = rd_u32(&rd);
	t->nentries = rd_u32(&rd);
	if (memcmp(magic, MAGIC, 8) != 0 || t->names_len > NAMES_MAX_BYTES ||
	    table_len(t->names_len, t->npacks, t->nentries) != t->len)
		return false;
	head_sum(k, t->map, t->names_len, sum);
	if (memcmp(sum, t->map + HEAD_SUM_AT, sizeof(sum)) != 0)
		return false;
	table_lay_out(t);
	for (size_t i = 0; i < t->names_len; i++)
		lines += t->names[i] == '\n';
	return lines == t->nnames && t->names_len > 0 && t->names[t->names_len - 1] == '\n';
}

struct index_table *index_table_open(const struct index_keys *k, int dir, const char *file)
{
	struct stat st;
	auto_close int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < HEAD_BYTES ||
	    strlen(file) >= sizeof(((struct index_table *)0)->file))
		return NULL;
	struct index_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->dir = dir;
	(void)snprintf(t->file, sizeof(t->file), "%s", file);
	t->len = (size_t)st.st_size;
	t->map = mmap(NULL, t->len, PROT_READ, MAP_SHARED, fd, 0);
	if (t->map == MAP_FAILED) {
		t->map = NULL;
		index_table_free(t);
		return NULL;
	}
	if (!head_valid(t, k)) {
		index_table_free(t);
		return NULL;
	}
	(void)madvise(t->map, t->len, MADV_RANDOM); /* a wish */
	return t;
}

/* ---- searching ---- */

bool index_table_get(const struct index_table *t, const struct index_keys *k, uint32_t i,
                     struct chunk_ref *ret)
{
	const uint8_t *p = t->entries + (size_t)i * ENTRY_BYTES;
	struct rd rd = rd_of(p, FORMAT_INDEX_ENTRY_BYTES);
	uint8_t mac[crypto_shorthash_BYTES];
	struct chunk_ref r;

	rd_copy(&rd, r.id, sizeof(r.id));
	uint32_t pack = rd_u32(&rd);
	r.off = rd_u32(&rd);
	r.stored = rd_u32(&rd);
	r.plain = rd_u32(&rd);
	r.counter = rd_u32(&rd);
	r.key = rd_u16(&rd);
	r.compression = rd_u8(&rd);
	r.kind = rd_u8(&rd);
	if (pack >= t->npacks)
		return false;
	memcpy(r.pack, t->packs + (size_t)pack * FORMAT_PACK_ID_BYTES, sizeof(r.pack));
	entry_mac(k, r.pack, p, mac);
	if (memcmp(mac, p + ENTRY_MAC_AT, sizeof(mac)) != 0)
		return false;
	*ret = r;
	return true;
}

/* The first 8 bytes as a number. */
static uint64_t lead(const uint8_t *id)
{
	uint64_t v;

	memcpy(&v, id, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

/*
 * Where an entry with the id is, or nentries. Invariant: what is below lo is
 * smaller, what is at hi and above is greater. low and high bound the leading
 * bytes of what is between, so that a guess is always within.
 */
static uint32_t position_of(const struct index_table *t, const uint8_t id[32])
{
	uint32_t lo = 0;
	uint32_t hi = t->nentries;
	uint64_t low = 0;
	uint64_t high = UINT64_MAX;
	uint64_t want = lead(id);

	for (unsigned guesses = 0; lo < hi; guesses++) {
		uint32_t at = lo + (hi - lo) / 2;

		if (guesses < GUESSES && want >= low && want <= high && high > low) {
			__extension__ unsigned __int128 part = (unsigned __int128)(want - low) *
			                                       (hi - lo);

			at = lo + (uint32_t)(part / ((unsigned __int128)(high - low) + 1));
		}
		const uint8_t *p = t->entries + (size_t)at * ENTRY_BYTES;
		int order = memcmp(p, id, FORMAT_ID_BYTES);
		if (order == 0)
			return at;
		if (order < 0) {
			lo = at + 1;
			low = lead(p);
		} else {
			hi = at;
			high = lead(p);
		}
	}
	return t->nentries;
}

static bool has_id(const struct index_table *t, uint32_t i, const uint8_t id[32])
{
	return memcmp(t->entries + (size_t)i * ENTRY_BYTES, id, FORMAT_ID_BYTES) == 0;
}

void index_table_find(const struct index_table *t, const struct index_keys *k, const uint8_t id[32],
                      bool (*each)(void *arg, const struct chunk_ref *ref), void *arg)
{
	uint32_t at = position_of(t, id);
	struct chunk_ref r;

	if (at == t->nentries)
		return;
	/* A table of several segments may hold an id more than once. */
	while (at > 0 && has_id(t, at - 1, id))
		at--;
	for (; at < t->nentries && has_id(t, at, id); at++) {
		if (index_table_get(t, k, at, &r) && !each(arg, &r))
			return;
	}
}

/* ---- lists of tables ---- */

#define TABLES_FEW 6 /* no need to merge */

int index_tables_add(struct index_tables *ts, struct index_table *take_t)
{
	if (ts->n == ts->cap) {
		size_t cap = ts->cap ? 2 * ts->cap : 16;
		struct index_table **t = reallocarray(ts->t, cap, sizeof(struct index_table *));

		if (!t) {
			index_table_free(take_t);
			return -1;
		}
		ts->t = t;
		ts->cap = cap;
	}
	ts->t[ts->n++] = take_t;
	return 0;
}

void index_tables_clear(struct index_tables *ts)
{
	for (size_t i = 0; i < ts->n; i++)
		index_table_free(ts->t[i]);
	free(ts->t);
	*ts = (struct index_tables){ 0 };
}

static int by_size(const void *a, const void *b)
{
	const struct index_table *x = *(struct index_table *const *)a;
	const struct index_table *y = *(struct index_table *const *)b;

	return (x->nentries > y->nentries) - (x->nentries < y->nentries);
}

/*
 * How many of the tables, which ascend by size, should become one: those in
 * memory when there is a directory for them, and as many of the smallest as
 * leave few; then each that is not much larger than what is merged anyway.
 */
static size_t merge_count(const struct index_tables *ts, int dir)
{
	size_t count = ts->n > TABLES_FEW ? ts->n - TABLES_FEW + 1 : 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < ts->n; i++) {
		if (dir >= 0 && ts->t[i]->dir < 0 && i + 1 > count)
			count = i + 1;
	}
	for (size_t i = 0; i < count; i++)
		sum += ts->t[i]->nentries;
	while (count > 1 && count < ts->n && ts->t[count]->nentries <= sum)
		sum += ts->t[count++]->nentries;
	return count;
}

void index_tables_compact(struct index_tables *ts, const struct index_keys *k, int dir)
{
	if (ts->n > 1)
		qsort(ts->t, ts->n, sizeof(struct index_table *), by_size);
	size_t count = merge_count(ts, dir);
	if (count < 2 && !(count == 1 && dir >= 0 && ts->t[0]->dir < 0))
		return;
	struct index_table *merged = index_table_merge(k, ts->t, count, dir);
	if (!merged && dir >= 0) {
		/* A full disk costs memory, not the index; one table of memory needs no second. */
		dir = -1;
		if (count > 1)
			merged = index_table_merge(k, ts->t, count, dir);
	}
	if (!merged)
		return;
	for (size_t i = 0; i < count; i++) {
		/* A file that covers the same stays, unless another file has its content. */
		if (dir >= 0)
			index_table_remove(ts->t[i]);
		index_table_free(ts->t[i]);
	}
	memmove(ts->t + 1, ts->t + count, (ts->n - count) * sizeof(struct index_table *));
	ts->t[0] = merged;
	ts->n -= count - 1;
}
