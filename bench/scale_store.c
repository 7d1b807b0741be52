/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of bench/scale.h: a store of files, and packs of data that are made when they are asked
 * for. Pack number p is at place scatter(p) in the order of ids, so that neighbours in a tree are
 * no neighbours in a list, and ids ascend with their place, so that a list costs no memory. Which
 * packs were deleted is a bit each, in a file.
 *
 * The CPU of making packs is counted apart, by the clock of the thread that asks.
 */
#include "bench/scale.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "common/now.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/crypt.h"

#define AGE_NS ((int64_t)30 * 86400 * 1000000000) /* of the packs */
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define FOOTER_BYTES (NONCE_BYTES + 4 + SCALE_PER_PACK * FORMAT_ENTRY_BYTES + FORMAT_TAG_BYTES)
#define HEADER_MAX 8192
#define ROUND_BYTES 4096
#define NOISE_STEP 64 /* a chunk's bytes begin at one of so many times this in the noise */
#define NOISE_STARTS 1024
#define PAGE_ITEMS 1000 /* of a list */
#define BATCH 64        /* items of a list that are made at a time */

struct scale_store {
	struct store base;
	struct store *inner; /* owned */
	struct scale_shape shape;
	uint64_t npacks, step; /* ids of neighbours in the list are about so far apart */
	uint64_t scatter, gather;
	const struct keys *keys; /* borrowed; NULL: there are no packs */
	struct domain_keys *domain;
	uint8_t cipher;
	uint8_t blocks[HEADER_MAX]; /* of all headers: the data key is the same */
	size_t header_len;
	uint8_t *noise; /* what ciphertexts are cut from */
	size_t noise_len;
	int64_t received_ns;
	atomic_uchar *deleted; /* a bit a pack; a file */
	size_t deleted_len;
	struct scale_counts counts;
};

/* What of a pack is no ciphertext. */
struct frame {
	const struct scale_store *of;
	uint64_t pack;
	uint64_t len, footer_off;
	uint8_t header[HEADER_MAX];
	uint8_t tail[FOOTER_BYTES + FORMAT_TRAILER_BYTES];
	struct chunk_ref refs[SCALE_PER_PACK];
};

/* ---- numbers ---- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static void put_u64_be(uint8_t *at, uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64_be(const uint8_t *at)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | at[i];
	return v;
}

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t m)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)(product % m);
}

/* a and m have no common divisor: the b of which a * b mod m is 1. Else 0. */
static uint64_t inverse_mod(uint64_t a, uint64_t m)
{
	int64_t t = 0;
	int64_t next_t = 1;
	uint64_t r = m;
	uint64_t next_r = a % m;

	while (next_r != 0) {
		uint64_t q = r / next_r;
		int64_t swap_t = t - (int64_t)q * next_t;
		uint64_t swap_r = r - q * next_r;

		t = next_t;
		next_t = swap_t;
		r = next_r;
		next_r = swap_r;
	}
	if (r != 1)
		return 0;
	return t < 0 ? (uint64_t)(t + (int64_t)m) : (uint64_t)t;
}

static uint64_t place_of(const struct scale_store *s, uint64_t pack)
{
	return mul_mod(pack, s->scatter, s->npacks);
}

static uint64_t pack_at(const struct scale_store *s, uint64_t place)
{
	return mul_mod(place, s->gather, s->npacks);
}

static void id_at(const struct scale_store *s, uint64_t place, uint8_t ret[FORMAT_PACK_ID_BYTES])
{
	put_u64_be(ret, place * s->step + mix(place) % s->step);
	put_u64_be(ret + 8, mix(place ^ 0x5ca1e));
}

void scale_chunk_id(uint64_t chunk, uint8_t ret[FORMAT_ID_BYTES])
{
	for (uint64_t i = 0; i < 4; i++)
		put_u64_be(ret + 8 * i, mix(chunk * 4 + i + 1));
}

static bool is_garbage(const struct scale_shape *s, uint64_t pack)
{
	return pack * 37 % 100 < s->garbage_percent;
}

static bool is_sparse(const struct scale_shape *s, uint64_t pack)
{
	uint64_t every = s->sparse ? scale_packs(s) / s->sparse : 0;

	return every > 0 && pack % every == every / 2 && !is_garbage(s, pack);
}

bool scale_is_live(const struct scale_shape *s, uint64_t chunk)
{
	uint64_t pack = chunk / SCALE_PER_PACK;

	return !is_garbage(s, pack) && (!is_sparse(s, pack) || chunk % 2 == 0);
}

static uint32_t plain_bytes(const struct scale_shape *s, uint64_t chunk)
{
	return (uint32_t)(s->chunk_bytes / 2 + 1 + mix(chunk ^ 0xb17e5) % s->chunk_bytes);
}

uint64_t scale_store_refs(const struct scale_store *s, uint64_t pack,
                          struct chunk_ref ret[SCALE_PER_PACK])
{
	uint64_t off = s->header_len;
	uint64_t payload = 0;
	uint8_t id[FORMAT_PACK_ID_BYTES];

	id_at(s, place_of(s, pack), id);
	for (uint32_t i = 0; i < SCALE_PER_PACK; i++) {
		uint64_t chunk = pack * SCALE_PER_PACK + i;
		uint32_t plain = plain_bytes(&s->shape, chunk);

		ret[i] = (struct chunk_ref){
			.off = (uint32_t)off,
			.stored = plain + FORMAT_TAG_BYTES,
			.plain = plain,
			.counter = i,
			.compression = COMPRESSION_NONE,
			.kind = CHUNK_DATA,
		};
		scale_chunk_id(chunk, ret[i].id);
		memcpy(ret[i].pack, id, sizeof(id));
		off += ret[i].stored;
		payload += plain;
	}
	uint64_t rest = s->header_len + SCALE_PER_PACK * FORMAT_TAG_BYTES + FOOTER_BYTES +
	                FORMAT_TRAILER_BYTES;
	return pack_padme(payload) + (rest + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
}

/* ---- making a pack ---- */

static uint64_t thread_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void made_since(struct scale_store *s, uint64_t begun_ns)
{
	atomic_fetch_add(&s->counts.made_ns, thread_ns() - begun_ns);
}

static const uint8_t *ciphertext(const struct scale_store *s, uint64_t chunk)
{
	return s->noise + mix(chunk ^ 0xc1f) % NOISE_STARTS * NOISE_STEP;
}

static int make_footer(const struct scale_store *s, struct frame *f, const uint8_t hash[32],
                       struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(FOOTER_BYTES);
	CLEANUP(buf_clear) struct buf aad = BUF_INIT(128);
	bool exact = s->shape.exact || is_sparse(&s->shape, f->pack);
	struct crypt_scrub *scrub = exact ? crypt_scrub_new(s->cipher, s->domain->scrub,
	                                                    f->refs[0].pack)
	                                  : NULL;
	int rc = 0;

	(void)buf_u32(&plain, SCALE_PER_PACK);
	for (uint32_t i = 0; i < SCALE_PER_PACK; i++) {
		const struct chunk_ref *r = &f->refs[i];
		uint8_t sum[16] = { 0 };

		if (scrub && crypt_scrub(scrub, i, ciphertext(s, f->pack * SCALE_PER_PACK + i),
		                         r->stored, sum) < 0)
			rc = -1;
		(void)buf_put(&plain, r->id, sizeof(r->id));
		(void)buf_u32(&plain, r->off);
		(void)buf_u32(&plain, r->stored);
		(void)buf_u32(&plain, r->plain);
		(void)buf_u32(&plain, r->counter);
		(void)buf_u16(&plain, r->key);
		(void)buf_u8(&plain, r->compression);
		(void)buf_u8(&plain, r->kind);
		(void)buf_put(&plain, sum, sizeof(sum));
	}
	crypt_scrub_free(scrub);
	(void)buf_put(&aad, "footer", 6);
	(void)buf_put(&aad, s->keys->repo, FORMAT_REPO_ID_BYTES);
	(void)buf_put(&aad, f->refs[0].pack, FORMAT_PACK_ID_BYTES);
	(void)buf_put(&aad, hash, 32);
	if (rc < 0 || (exact && !scrub) || buf_check(&plain, "a footer", e) < 0 ||
	    buf_check(&aad, "a footer", e) < 0)
		return err_set(e, ERR_NOMEM, "a footer cannot be made");
	memset(f->tail, 0x5c, NONCE_BYTES);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(f->tail + NONCE_BYTES, NULL, plain.data,
	                                                 plain.len, aad.data, aad.len, NULL,
	                                                 f->tail, s->domain->foot);
	return 0;
}

static int make_trailer(const struct scale_store *s, struct frame *f, const uint8_t hash[32],
                        struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_TRAILER_BYTES);
	CLEANUP(buf_clear) struct buf message = BUF_INIT(256);
	uint8_t sum[32];
	uint8_t signature[FORMAT_SIGNATURE_BYTES];

	crypt_sha256(sum, f->tail, FOOTER_BYTES);
	(void)buf_u64(&b, f->footer_off);
	(void)buf_u32(&b, FOOTER_BYTES);
	(void)buf_u32(&b, (uint32_t)s->header_len);
	(void)buf_put(&b, hash, 32);
	(void)buf_put(&b, sum, sizeof(sum));
	(void)buf_put(&b, s->keys->signer_id, FORMAT_SIGNER_BYTES);
	(void)buf_put(&message, "aksdr pack", sizeof("aksdr pack"));
	(void)buf_put(&message, s->keys->repo, FORMAT_REPO_ID_BYTES);
	(void)buf_put(&message, f->refs[0].pack, FORMAT_PACK_ID_BYTES);
	(void)buf_put(&message, b.data, b.len);
	if (buf_check(&message, "a trailer", e) < 0)
		return -1;
	(void)crypto_sign_detached(signature, NULL, message.data, message.len,
	                           s->keys->s->sign_secret);
	(void)buf_put(&b, signature, sizeof(signature));
	(void)buf_put(&b, FORMAT_TAIL, 8);
	if (buf_check(&b, "a trailer", e) < 0)
		return -1;
	memcpy(f->tail + FOOTER_BYTES, b.data, FORMAT_TRAILER_BYTES);
	return 0;
}

/* Header and the rest of a pack are mostly asked for by one thread, one after the other. */
static const struct frame *frame_of(const struct scale_store *s, uint64_t pack, bool with_tail,
                                    struct err *e)
{
	static _Thread_local struct frame f;
	static _Thread_local bool has_tail;
	uint8_t hash[32];

	if (f.of != s || f.pack != pack) {
		f.of = s;
		f.pack = pack;
		f.len = scale_store_refs(s, pack, f.refs);
		f.footer_off = f.len - FORMAT_TRAILER_BYTES - FOOTER_BYTES;
		memcpy(f.header, s->blocks, s->header_len);
		memcpy(f.header + FORMAT_HEAD_BYTES, f.refs[0].pack, FORMAT_PACK_ID_BYTES);
		has_tail = false;
	}
	if (!with_tail || has_tail)
		return &f;
	crypt_sha256(hash, f.header, s->header_len);
	if (make_footer(s, &f, hash, e) < 0 || make_trailer(s, &f, hash, e) < 0) {
		f.of = NULL;
		return NULL;
	}
	has_tail = true;
	return &f;
}

/* A piece of the object that lies at `at`; what of it is within the n bytes at off goes to p. */
static void overlay(uint8_t *p, uint64_t off, size_t n, uint64_t at, const uint8_t *piece,
                    size_t len)
{
	uint64_t from = at > off ? at : off;
	uint64_t to = at + len < off + n ? at + len : off + n;

	if (from < to)
		memcpy(p + (from - off), piece + (from - at), (size_t)(to - from));
}

static int read_pack(const struct scale_store *s, uint64_t pack, uint64_t off, uint8_t *p, size_t n,
                     struct err *e)
{
	const struct frame *f = frame_of(s, pack, false, e);

	if (f && off + n > f->footer_off)
		f = frame_of(s, pack, true, e);
	if (!f)
		return -1;
	if (off > f->len || n > f->len - off)
		return err_set(e, ERR_CORRUPT, "it has %llu bytes", (unsigned long long)f->len);
	const struct chunk_ref *last = &f->refs[SCALE_PER_PACK - 1];
	uint64_t padding = last->off + (uint64_t)last->stored;
	if (off + n > padding && off < f->footer_off)
		memset(p, 0, n);
	overlay(p, off, n, 0, f->header, s->header_len);
	for (uint32_t i = 0; i < SCALE_PER_PACK; i++)
		overlay(p, off, n, f->refs[i].off, ciphertext(s, pack * SCALE_PER_PACK + i),
		        f->refs[i].stored);
	overlay(p, off, n, f->footer_off, f->tail, sizeof(f->tail));
	return 0;
}

/* ---- which packs there are ---- */

static bool is_deleted(const struct scale_store *s, uint64_t pack)
{
	return atomic_load(&s->deleted[pack / 8]) >> (pack % 8) & 1;
}

/* The pack of this key, when it is one that is made and there. */
static bool is_made(const struct scale_store *s, const char *key, uint64_t *ret)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t right[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	if (!s->keys || pack_key_parse(key, id, &kind) < 0 || kind != CHUNK_DATA)
		return false;
	uint64_t place = get_u64_be(id) / s->step;
	if (place >= s->npacks)
		return false;
	id_at(s, place, right);
	*ret = pack_at(s, place);
	return memcmp(id, right, sizeof(id)) == 0 && !is_deleted(s, *ret);
}

/* ---- operations ---- */

static struct scale_store *self(struct store *s)
{
	return (struct scale_store *)s; /* base is its first member */
}

static void count(struct scale_store *s, enum scale_call call)
{
	atomic_fetch_add_explicit(&s->counts.calls[call], 1, memory_order_relaxed);
}

static int scale_put(struct store *base, const char *key, const struct iovec *iov, int niov,
                     struct err *e)
{
	struct scale_store *s = self(base);

	count(s, SCALE_PUT);
	for (int i = 0; i < niov; i++)
		atomic_fetch_add(&s->counts.bytes_put, iov[i].iov_len);
	return store_put(s->inner, key, iov, niov, e);
}

static int scale_get(struct store *base, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	struct scale_store *s = self(base);
	uint64_t pack;

	count(s, SCALE_GET);
	atomic_fetch_add(&s->counts.bytes_get, n);
	if (strncmp(key, "pack/", 5) != 0)
		return store_get(s->inner, key, off, p, n, e);
	uint64_t begun_ns = thread_ns();
	bool made = is_made(s, key, &pack);
	int rc = made ? read_pack(s, pack, off, p, n, e) : 0;
	made_since(s, begun_ns);
	return made ? rc : store_get(s->inner, key, off, p, n, e);
}

static int scale_head(struct store *base, const char *key, struct store_stat *ret, struct err *e)
{
	struct scale_store *s = self(base);
	struct chunk_ref refs[SCALE_PER_PACK];
	uint64_t pack;

	count(s, SCALE_HEAD);
	if (strncmp(key, "pack/", 5) != 0)
		return store_head(s->inner, key, ret, e);
	uint64_t begun_ns = thread_ns();
	bool made = is_made(s, key, &pack);
	if (made)
		*ret = (struct store_stat){ .size = scale_store_refs(s, pack, refs),
			                    .received_ns = s->received_ns };
	made_since(s, begun_ns);
	return made ? 0 : store_head(s->inner, key, ret, e);
}

static int scale_del(struct store *base, const char *key, struct err *e)
{
	struct scale_store *s = self(base);
	uint64_t pack;

	count(s, SCALE_DELETE);
	if (!is_made(s, key, &pack))
		return store_delete(s->inner, key, e);
	atomic_fetch_or(&s->deleted[pack / 8], (unsigned char)(1U << (pack % 8)));
	return 0;
}

/* A list that is under way: what is made comes between what is stored. */
struct listing {
	struct scale_store *s;
	const char *prefix, *after;
	int (*each)(void *arg, const struct store_item *item, struct err *e);
	void *arg;
	uint64_t place; /* next one to make */
	struct store_item batch[BATCH];
	size_t n, at;
	uint64_t items;
	bool ended; /* each() wants no more */
};

static bool is_prefix(const char *prefix, const char *key)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* The next one that is made, or NULL. */
static const struct store_item *made_next(struct listing *l)
{
	struct scale_store *s = l->s;

	if (l->at < l->n)
		return &l->batch[l->at];
	uint64_t begun_ns = thread_ns();
	l->at = l->n = 0;
	while (s->keys && l->n < BATCH && l->place < s->npacks) {
		struct store_item *x = &l->batch[l->n];
		struct chunk_ref refs[SCALE_PER_PACK];
		uint64_t pack = pack_at(s, l->place++);

		if (is_deleted(s, pack))
			continue;
		x->st.size = scale_store_refs(s, pack, refs);
		x->st.received_ns = s->received_ns;
		pack_key_name(x->key, refs[0].pack, CHUNK_DATA);
		l->n += is_prefix(l->prefix, x->key) && strcmp(x->key, l->after) > 0;
	}
	made_since(s, begun_ns);
	return l->n > 0 ? &l->batch[0] : NULL;
}

static int give(struct listing *l, const struct store_item *item, struct err *e)
{
	if (l->items++ % PAGE_ITEMS == 0)
		count(l->s, SCALE_LIST);
	int rc = l->each(l->arg, item, e);
	l->ended = rc > 0;
	return rc;
}

/* What is made and comes before the key; NULL: all that is left. */
static int give_made(struct listing *l, const char *before, struct err *e)
{
	const struct store_item *x;
	int rc = 0;

	while (rc == 0 && !l->ended && (x = made_next(l)) &&
	       (!before || strcmp(x->key, before) < 0)) {
		l->at++;
		rc = give(l, x, e);
	}
	return rc;
}

static int give_stored(void *arg, const struct store_item *item, struct err *e)
{
	struct listing *l = arg;
	int rc = give_made(l, item->key, e);

	return rc != 0 ? rc : give(l, item, e);
}

static int scale_list(struct store *base, const char *prefix, const char *after,
                      int (*each)(void *arg, const struct store_item *item, struct err *e),
                      void *arg, struct err *e)
{
	struct scale_store *s = self(base);
	auto_free struct listing *l = calloc(1, sizeof(*l));
	size_t n = strlen(prefix) < 5 ? strlen(prefix) : 5;

	if (!l)
		return err_set(e, ERR_NOMEM, "no memory for a list");
	l->s = s;
	l->prefix = prefix;
	l->after = after;
	l->each = each;
	l->arg = arg;
	if (strncmp(prefix, "pack/", n) != 0)
		l->place = s->npacks;
	if (store_list(s->inner, prefix, after, give_stored, l, e) < 0)
		return -1;
	int rc = l->ended ? 0 : give_made(l, NULL, e);
	if (l->items == 0)
		count(s, SCALE_LIST);
	return rc < 0 ? -1 : 0;
}

static void scale_free(struct store *base)
{
	struct scale_store *s = self(base);

	store_free(s->inner);
	secret_free(s->domain);
	if (s->deleted)
		(void)munmap(s->deleted, s->deleted_len);
	free(s->noise);
	free(s->base.url);
	free(s);
}

static const struct store_ops scale_ops = {
	.name = "scale",
	.put = scale_put,
	.get = scale_get,
	.head = scale_head,
	.list = scale_list,
	.del = scale_del,
	.free = scale_free,
};

/* ---- opening ---- */

struct store *scale_store_base(struct scale_store *s)
{
	return &s->base;
}

struct scale_counts *scale_store_counts(struct scale_store *s)
{
	return &s->counts;
}

static int map_deleted(struct scale_store *s, const char *dir, struct err *e)
{
	auto_close int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = at < 0 ? -1 : openat(at, "deleted", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	s->deleted_len = (size_t)s->npacks / 8 + 1;
	if (fd < 0 || ftruncate(fd, (off_t)s->deleted_len) < 0)
		return err_sys(e, errno, "opening '%s/deleted'", dir);
	void *p = mmap(NULL, s->deleted_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping '%s/deleted'", dir);
	s->deleted = p;
	return 0;
}

int scale_store_open(const char *dir, const struct scale_shape *shape, struct scale_store **ret,
                     struct err *e)
{
	auto_free char *objects = NULL;
	struct scale_store *s = calloc(1, sizeof(*s));

	if (!s || asprintf(&objects, "%s/store", dir) < 0 || !(s->base.url = strdup("scale:"))) {
		free(s);
		return err_set(e, ERR_NOMEM, "no memory for a store");
	}
	s->base.ops = &scale_ops;
	s->shape = *shape;
	s->npacks = scale_packs(shape);
	s->step = UINT64_MAX / (s->npacks + 1);
	/* About the golden ratio: neighbours come far apart. */
	s->scatter = s->npacks / 1000 * 618 + 1;
	while (!(s->gather = s->npacks > 1 ? inverse_mod(s->scatter, s->npacks) : 1))
		s->scatter++;
	s->received_ns = now_wall_ns() - AGE_NS;
	s->inner = store_file_open(objects, STORE_CREATE, e);
	if (!s->inner || map_deleted(s, dir, e) < 0) {
		scale_free(&s->base);
		return -1;
	}
	s->base.caps = s->inner->caps;
	*ret = s;
	return 0;
}

int scale_store_keys(struct scale_store *s, const struct keys *keys, uint8_t cipher, struct err *e)
{
	uint64_t seed = 0;

	if (keys_domain(keys, SCALE_DOMAIN, &s->domain, e) < 0)
		return -1;
	struct pack_build *b = pack_build_new(keys, s->domain, CHUNK_DATA, cipher, MIB, e);
	if (!b)
		return -1;
	s->header_len = b->header_len;
	if (b->header_len <= sizeof(s->blocks))
		memcpy(s->blocks, b->data, b->header_len);
	pack_build_free(b);
	if (s->header_len > sizeof(s->blocks))
		return err_set(e, ERR_TOO_BIG, "too many recipients");
	s->noise_len = s->shape.chunk_bytes * 3 / 2 + (size_t)NOISE_STARTS * NOISE_STEP + 64;
	s->noise = malloc(s->noise_len);
	if (!s->noise)
		return err_set(e, ERR_NOMEM, "no memory for the content of packs");
	for (size_t i = 0; i + 8 <= s->noise_len; i += 8)
		put_u64_be(s->noise + i, mix(seed++));
	s->cipher = cipher;
	s->keys = keys;
	return 0;
}
