/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See reseal.h. Lists lie in scratch memory, sorted by commitment, since they
 * grow with the number of packs. An entry proves itself: the key that it opens
 * to must have the commitment of the header. Only the admin's objects are
 * read all the same, so that nobody else can make the lists long.
 */
#include "repo/reseal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/team.h"
#include "repo/note.h"
#include "repo/rekey.h"

#define PREFIX "reseal"
#define SCHEMA "aksdr/reseal/v1"
#define SEALED_BYTES (FORMAT_DEK_BYTES + crypto_box_SEALBYTES)
#define BATCH 1024 /* packs looked at together */
#define THREADS_MAX 16

struct entry {
	uint8_t commitment[32];
	uint8_t sealed[SEALED_BYTES];
};
static_assert(sizeof(struct entry) == FORMAT_RESEAL_BYTES, "an entry lies as it is stored");

/* Entries in scratch memory. */
struct entries {
	struct entry *v;
	size_t n, cap;
};

struct reseal {
	pthread_mutex_t lock;
	bool loaded;        /* guarded by lock */
	struct entries all; /* guarded by lock until loaded, constant then; sorted */
};

static void entries_clear(struct entries *l)
{
	if (l->v)
		(void)munmap(l->v, l->cap * sizeof(*l->v));
	*l = (struct entries){ 0 };
}

struct reseal *reseal_new(void)
{
	struct reseal *x = calloc(1, sizeof(*x));

	if (x)
		(void)pthread_mutex_init(&x->lock, NULL);
	return x;
}

void reseal_free(struct reseal *x)
{
	if (!x)
		return;
	entries_clear(&x->all);
	(void)pthread_mutex_destroy(&x->lock);
	free(x);
}

static int entries_add(const struct repo *r, struct entries *l, const struct entry *x,
                       struct err *e)
{
	const char *dir = r->state[0] ? r->state : NULL;
	void *v = l->v;

	if (fd_grow_scratch(dir, &v, l->n, &l->cap, sizeof(*l->v)) < 0)
		return err_sys(e, errno, "making room for a list of keys in '%s'",
		               dir ? dir : "memory");
	l->v = v;
	l->v[l->n++] = *x;
	return 0;
}

static int entry_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(((const struct entry *)a)->commitment));
}

static void entries_sort(struct entries *l)
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), entry_cmp);
}

/* The first entry with this commitment; NULL: none. The others follow it. */
static const struct entry *entries_find(const struct entries *l, const uint8_t commitment[32])
{
	size_t lo = 0;
	size_t hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(l->v[mid].commitment, commitment, 32) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n && memcmp(l->v[lo].commitment, commitment, 32) == 0 ? &l->v[lo] : NULL;
}

/* ---- loading ---- */

bool reseal_list_valid(const uint8_t *p, size_t n)
{
	if (n % sizeof(struct entry) != 0 || n / sizeof(struct entry) > RESEAL_ENTRIES_MAX)
		return false;
	for (size_t at = sizeof(struct entry); at < n; at += sizeof(struct entry)) {
		if (entry_cmp(p + at - sizeof(struct entry), p + at) >= 0)
			return false;
	}
	return true;
}

struct loading {
	const struct repo *r;
	struct entries *to;
	size_t prefix_len;
};

static int load_object(const struct loading *l, const char *key, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	const struct repo *r = l->r;
	auto_json json_t *o = NULL;
	uint8_t signer[FORMAT_SIGNER_BYTES];
	uint8_t admin[8];

	key_signer_id(admin, r->keys->admin_public);
	if (note_get_list(r, FORMAT_KIND_RESEAL, key, &o, &list, signer, e) < 0 ||
	    note_schema(o, key, SCHEMA, e) < 0)
		return -1;
	if (memcmp(signer, admin, sizeof(admin)) != 0)
		return err_set(e, ERR_DENIED, "'%s' is not signed by the admin", key);
	if (!reseal_list_valid(list.data, list.len))
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	for (size_t at = 0; at < list.len; at += sizeof(struct entry)) {
		struct entry x;

		memcpy(&x, list.data + at, sizeof(x));
		if (entries_add(r, l->to, &x, e) < 0)
			return -1;
	}
	return 0;
}

static int take_object(void *arg, const struct store_item *item, struct err *e)
{
	const struct loading *l = arg;
	struct err why = ERR_INIT;

	if (cancel_check(l->r->cancel, e) < 0)
		return -1;
	if (!note_name_valid(item->key + l->prefix_len) || load_object(l, item->key, &why) == 0)
		return 0;
	/* What does not open helps nobody; check tells of it. */
	if (note_is_bad(&why))
		return 0;
	*e = why;
	return -1;
}

/* All entries for the recipient, sorted. */
static int load(const struct repo *r, const uint8_t id[8], struct entries *ret, struct err *e)
{
	struct loading l = { .r = r, .to = ret };
	char prefix[64];
	char hex[17];

	hex_encode(hex, id, 8);
	l.prefix_len = (size_t)snprintf(prefix, sizeof(prefix), PREFIX "/%s/", hex);
	if (store_list(r->store, prefix, NULL, take_object, &l, e) < 0)
		return err_wrap(e, "reading keys that were sealed anew");
	entries_sort(ret);
	return 0;
}

/* ---- opening ---- */

static int load_own(const struct repo *r, struct err *e)
{
	struct reseal *x = r->reseal;
	int rc = 0;

	(void)pthread_mutex_lock(&x->lock);
	if (!x->loaded) {
		uint8_t id[8];

		key_recipient_id(id, r->keys->recovery_public);
		rc = load(r, id, &x->all, e);
		x->loaded = rc == 0;
		if (rc < 0)
			entries_clear(&x->all);
	}
	(void)pthread_mutex_unlock(&x->lock);
	return rc;
}

int reseal_dek(const struct repo *r, const uint8_t *p, const struct pack_header *h, uint16_t key,
               const struct domain_keys *domain, uint8_t *out, struct err *e)
{
	const struct keys *k = r->keys;
	uint8_t commitment[32];
	struct err why = ERR_INIT;
	bool ignored;

	if (pack_header_dek(p, h, key, k, domain, out, &why) == 0)
		return 0;
	if (why.class != ERR_DENIED || !k->has_recovery || h->kind != CHUNK_DATA || !r->reseal ||
	    pack_header_key(p, h, key, NULL, commitment, &ignored) < 0) {
		*e = why;
		return -1;
	}
	if (load_own(r, e) < 0)
		return -1;
	const struct entries *l = &r->reseal->all;
	const struct entry *x = entries_find(l, commitment);
	for (; x && x < l->v + l->n && memcmp(x->commitment, commitment, 32) == 0; x++) {
		if (crypto_box_seal_open(out, x->sealed, sizeof(x->sealed), k->recovery_public,
		                         k->s->recovery) == 0 &&
		    pack_dek_fits(out, commitment))
			return 0;
		secret_wipe(out, FORMAT_DEK_BYTES);
	}
	*e = why;
	return -1;
}

/* ---- sealing anew ---- */

struct run {
	const struct repo *r;
	const struct reseal_params *p;
	struct reseal_result *result;
	uint8_t public[32], id[8]; /* of the recipient */
	struct entries known;      /* what it has already */
	size_t entries_max;
	char (*names)[PACK_KEY_MAX]; /* BATCH of them */
	size_t n;
	struct team_tasks tasks;
	pthread_mutex_t lock;
	struct entries fresh; /* guarded by lock, as *result */
};

static void run_clear(struct run *x)
{
	entries_clear(&x->known);
	entries_clear(&x->fresh);
	free(x->names);
	(void)pthread_mutex_destroy(&x->lock);
}

/* The whole header of a pack into b. */
static int read_header(const struct repo *r, const char *name, struct buf *b,
                       struct pack_header *ret, struct err *e)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;
	size_t need = PACK_HEADER_GUESS;

	if (pack_key_parse(name, id, &kind) < 0)
		return err_set(e, ERR_FORMAT, "'%s' is no name of a pack", name);
	buf_reset(b);
	for (size_t have = 0; have < need;) {
		have = need;
		buf_reset(b);
		if (buf_reserve(b, have) < 0)
			return err_set(e, ERR_NOMEM, "no memory for a header of %zu bytes", have);
		if (store_get(r->store, name, 0, b->data, have, e) < 0 ||
		    pack_header_decode(b->data, have, id, ret, &need, e) < 0)
			return -1;
		b->len = have;
	}
	return 0;
}

/* One data key. *ret_bad: it does not open. */
static int seal_key(struct run *x, const uint8_t *head, const struct pack_header *h, uint16_t key,
                    uint8_t *dek, bool *ret_bad, struct err *e)
{
	struct err why = ERR_INIT;
	struct entry fresh;
	bool has;

	if (pack_header_key(head, h, key, x->id, fresh.commitment, &has) < 0) {
		*ret_bad = true;
		return 0;
	}
	has = has || entries_find(&x->known, fresh.commitment);
	if (!has && reseal_dek(x->r, head, h, key, NULL, dek, &why) < 0) {
		*ret_bad = true;
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	if (!has && crypto_box_seal(fresh.sealed, dek, FORMAT_DEK_BYTES, x->public) != 0)
		return err_set(e, ERR_INVALID, "recipient '%s' is no X25519 public key", x->p->to);
	(void)pthread_mutex_lock(&x->lock);
	x->result->present += has;
	x->result->sealed += !has;
	int rc = has || x->p->dry_run ? 0 : entries_add(x->r, &x->fresh, &fresh, e);
	(void)pthread_mutex_unlock(&x->lock);
	return rc;
}

static int seal_pack(struct run *x, const char *name, struct buf *b, uint8_t *dek, struct err *e)
{
	struct err why = ERR_INIT;
	struct pack_header h;
	bool bad = false;
	int rc = 0;

	if (cancel_check(x->r->cancel, e) < 0)
		return -1;
	if (read_header(x->r, name, b, &h, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0; /* collected meanwhile */
		bad = true;
		if (!note_is_bad(&why)) {
			*e = why;
			return -1;
		}
	}
	for (unsigned key = 0; !bad && rc == 0 && key < h.nkeys; key++)
		rc = seal_key(x, b->data, &h, (uint16_t)key, dek, &bad, e);
	secret_wipe(dek, FORMAT_DEK_BYTES);
	(void)pthread_mutex_lock(&x->lock);
	if (bad && x->result->bad_packs++ == 0)
		(void)snprintf(x->result->bad, sizeof(x->result->bad), "%s", name);
	(void)pthread_mutex_unlock(&x->lock);
	if (x->p->counts)
		atomic_fetch_add_explicit(&x->p->counts->files_done, 1, memory_order_relaxed);
	return rc;
}

static int seal_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_PACK_MAX);
	auto_secret uint8_t *dek = secret_new(FORMAT_DEK_BYTES);
	struct run *x = arg;
	size_t at;

	(void)i;
	if (!dek)
		return err_set(e, ERR_NOMEM, "no locked memory for a pack's key");
	while (!atomic_load(stop) && team_take(&x->tasks, &at)) {
		if (seal_pack(x, x->names[at], &b, dek, e) < 0)
			return err_wrap(e, "sealing the keys of '%s'", x->names[at]);
	}
	return 0;
}

/* Puts the first n of the fresh entries, which are sorted. */
static int put_object(struct run *x, size_t n, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	char prefix[64];
	char hex[17];
	char key[NOTE_KEY_MAX];

	hex_encode(hex, x->id, sizeof(x->id));
	(void)snprintf(prefix, sizeof(prefix), PREFIX "/%s", hex);
	note_new_key(prefix, key);
	auto_json json_t *o = json_pack("{s:s, s:s, s:I}", "schema", SCHEMA, "recipient", hex,
	                                "at_ns", (json_int_t)now_wall_ns());
	for (size_t i = 0; i < n; i++) {
		/* A repack may have taken one key into several packs. */
		if (i == 0 || entry_cmp(&x->fresh.v[i - 1], &x->fresh.v[i]) != 0)
			(void)buf_put(&list, &x->fresh.v[i], sizeof(struct entry));
	}
	if (buf_check(&list, "a list of keys", e) < 0 ||
	    note_put_list(x->r, FORMAT_KIND_RESEAL, key, o, &list, e) < 0)
		return err_wrap(e, "putting keys that were sealed anew");
	x->result->objects++;
	memmove(x->fresh.v, x->fresh.v + n, (x->fresh.n - n) * sizeof(struct entry));
	x->fresh.n -= n;
	return 0;
}

/* Full objects; the rest too, when it is the end. */
static int put_fresh(struct run *x, bool end, struct err *e)
{
	if (x->fresh.n < x->entries_max && !(end && x->fresh.n > 0))
		return 0;
	entries_sort(&x->fresh);
	while (x->fresh.n >= x->entries_max || (end && x->fresh.n > 0)) {
		if (put_object(x, x->fresh.n < x->entries_max ? x->fresh.n : x->entries_max, e) < 0)
			return -1;
	}
	return 0;
}

static int flush_batch(struct run *x, struct err *e)
{
	x->tasks = (struct team_tasks){ .n = x->n };
	x->n = 0;
	if (x->tasks.n > 0 &&
	    team_run(team_size(x->p->threads, THREADS_MAX), "reseal", seal_some, x, e) < 0)
		return -1;
	return put_fresh(x, false, e);
}

static int take_pack(void *arg, const struct store_item *item, struct err *e)
{
	struct run *x = arg;
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	if (pack_key_parse(item->key, id, &kind) < 0)
		return 0;
	x->result->packs++;
	pack_key_name(x->names[x->n++], id, kind);
	return x->n == BATCH ? flush_batch(x, e) : 0;
}

int reseal_run(const struct repo *r, const struct reseal_params *params, struct reseal_result *ret,
               struct err *e)
{
	struct reseal_result result = { 0 };
	CLEANUP(run_clear)
	struct run x = {
		.r = r,
		.p = params,
		.result = &result,
		.entries_max = params->entries_max ? params->entries_max : RESEAL_ENTRIES_MAX,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct err ignored = ERR_INIT;

	if (!r->keys->has_recovery || (!params->dry_run && !r->keys->has_sign))
		return err_set(e, ERR_DENIED,
		               "sealing keys anew takes the recovery key that init made; this key "
		               "file %s",
		               r->keys->has_recovery ? "has no admin key to sign with"
		                                     : "opens no pack");
	const struct key_recipient *to = rekey_recipient(r->keys, params->to, e);
	if (!to)
		return -1;
	memcpy(x.public, to->public, sizeof(x.public));
	memcpy(x.id, to->id, sizeof(x.id));
	x.names = calloc(BATCH, sizeof(*x.names));
	if (!x.names)
		return err_set(e, ERR_NOMEM, "no memory for a list of packs");
	if (load(r, x.id, &x.known, e) < 0)
		return -1;
	if (store_list(r->store, "pack/", NULL, take_pack, &x, e) < 0 || flush_batch(&x, e) < 0) {
		/* What was sealed is not to be done again. */
		(void)!put_fresh(&x, true, &ignored);
		return -1;
	}
	if (put_fresh(&x, true, e) < 0)
		return -1;
	*ret = result;
	return 0;
}
