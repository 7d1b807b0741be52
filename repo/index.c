/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of one domain: local tables (index_table.c), which do not change
 * after index_open() and are searched without a lock, and what this session
 * adds. That is one mutex and a hash table by the first bytes of the id: a
 * claim is made once per chunk of about 1 MiB. When it has grown, what is
 * settled moves into a sorted run in scratch memory.
 *
 * An index that was opened lazily has the tables that were there, and gets a
 * second set of all that the store has when something is not found.
 */
#include "repo/index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/rd.h"
#include "common/secret.h"
#include "repo/crypt.h"
#include "repo/index_impl.h"

#define SLOTS_FIRST 1024
#define SPILL_ENTRIES ((size_t)128 * 1024) /* settled ones that go to a run */

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

enum loaded { LOADED_ALL, LOADED_KNOWN, LOADED_MORE };

struct index {
	struct store *store;
	const struct keys *keys;
	const struct domain_keys *domain;
	struct index_keys *k;                  /* locked memory */
	int dir;                               /* of local tables; -1: none */
	char *scratch_dir;                     /* of runs; NULL: anonymous memory */
	const struct absent *absent;           /* borrowed; NULL: nothing is */
	struct index_tables tables, tentative; /* constant after index_open() */
	struct index_names_list voids;         /* the same */
	size_t damaged;
	const struct view *view;     /* borrowed; may be NULL */
	const struct cancel *cancel; /* the same */
	struct index_known known;    /* what the tables are of */
	bool knows;                  /* it may be remembered; of LOADED_KNOWN always */
	pthread_mutex_t loading;     /* held while more is made */
	atomic_int loaded;           /* enum loaded; MORE: */
	struct index_tables more[2]; /* all of the store, settled and tentative; constant then */

	pthread_mutex_t lock;
	pthread_cond_t settled; /* something pending is stored or abandoned */
	struct slot *slots;     /* guarded by lock, as all below */
	size_t cap;             /* of slots: a power of two, or 0 */
	size_t used;            /* slots that are not empty */
	size_t done;            /* of them DONE */
	struct run *runs;
	size_t nruns;
};

static void names_clear(struct index_names_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

void index_free(struct index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->nruns; i++)
		(void)munmap(x->runs[i].refs, x->runs[i].map_len);
	free(x->runs);
	free(x->slots);
	index_tables_clear(&x->tables);
	index_tables_clear(&x->tentative);
	index_tables_clear(&x->more[0]);
	index_tables_clear(&x->more[1]);
	names_clear(&x->voids);
	clean_close(&x->dir);
	secret_free(x->k);
	free(x->scratch_dir);
	(void)pthread_cond_destroy(&x->settled);
	(void)pthread_mutex_destroy(&x->loading);
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

/* Remembers the list that the tables are of; not one that has something to tell at each opening. */
static void remember(const struct index *x, const struct index_names_list *voids, size_t damaged)
{
	if (x->knows && voids->n == 0 && damaged == 0)
		index_known_write(x->k, x->dir, &x->known);
}

/* Everything that is in the store now. */
static int load_all(struct index *x, struct err *e)
{
	if (index_load(x->store, x->keys, x->domain, x->k, x->dir, x->view, x->cancel, &x->tables,
	               &x->tentative, &x->voids, &x->damaged, e) < 0)
		return -1;
	remember(x, &x->voids, x->damaged);
	return 0;
}

/* Whether there is more to look at than the tables that were known. Loads it at the first call. */
static bool has_more(struct index *x)
{
	if (atomic_load_explicit(&x->loaded, memory_order_acquire) == LOADED_ALL)
		return false;
	(void)pthread_mutex_lock(&x->loading);
	if (atomic_load(&x->loaded) == LOADED_KNOWN) {
		struct index_names_list voids = { 0 };
		struct err ignored = ERR_INIT;
		size_t damaged = 0;

		if (index_load(x->store, x->keys, x->domain, x->k, x->dir, x->view, x->cancel,
		               &x->more[0], &x->more[1], &voids, &damaged, &ignored) < 0)
			x->knows = false;
		names_clear(&voids);
		atomic_store_explicit(&x->loaded, LOADED_MORE, memory_order_release);
	}
	(void)pthread_mutex_unlock(&x->loading);
	return true;
}

static int open_index(struct store *store, const struct keys *keys,
                      const struct domain_keys *domain, const char *state_dir,
                      const struct view *view, const struct cancel *cancel, bool lazily,
                      struct index **ret, struct err *e)
{
	uint8_t key[32];
	uint8_t revoked[32];
	CLEANUP(clean_index) struct index *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_NOMEM, "no memory for the index");
	(void)pthread_mutex_init(&x->lock, NULL);
	(void)pthread_mutex_init(&x->loading, NULL);
	(void)pthread_cond_init(&x->settled, NULL);
	x->view = view;
	x->cancel = cancel;
	x->store = store;
	x->keys = keys;
	x->domain = domain;
	x->absent = view ? &view->absent : NULL;
	x->dir = -1;
	x->k = secret_new(sizeof(*x->k));
	if (!x->k)
		return err_set(e, ERR_NOMEM, "no locked memory for the index");
	/* What a revoked signer has told is not among what is kept from before. */
	size_t n = keys_revocations(keys, revoked) ? sizeof(revoked) : 0;
	key_kdf(x->k->head, domain->foot, "local index head", revoked, n);
	key_kdf(key, domain->foot, "local index entry", revoked, n);
	memcpy(x->k->entry, key, sizeof(x->k->entry));
	secret_wipe(key, sizeof(key));
	if (state_dir && *state_dir && open_dir(x, state_dir, e) < 0)
		return -1;
	/* Where a list costs no round trip there is nothing to remember. */
	if (lazily && x->dir >= 0 && !(store->caps & STORE_CAP_LOCAL))
		x->knows = index_known_of(x->k, view, &x->known);
	if (x->knows && index_known_is(x->k, x->dir, &x->known) &&
	    index_load_known(x->k, x->dir, view, &x->tables))
		atomic_store(&x->loaded, LOADED_KNOWN);
	else if (load_all(x, e) < 0)
		return -1;
	*ret = STEAL(&x);
	return 0;
}

int index_open(struct store *store, const struct keys *keys, const struct domain_keys *domain,
               const char *state_dir, const struct view *view, const struct cancel *cancel,
               struct index **ret, struct err *e)
{
	return open_index(store, keys, domain, state_dir, view, cancel, false, ret, e);
}

int index_open_lazily(struct store *store, const struct keys *keys,
                      const struct domain_keys *domain, const char *state_dir,
                      const struct view *view, const struct cancel *cancel, struct index **ret,
                      struct err *e)
{
	return open_index(store, keys, domain, state_dir, view, cancel, true, ret, e);
}

void index_committed(const struct index *x, const char *session)
{
	struct index_known known = x->known;

	/* Of what it wrote there are tables already: index_learned(). */
	if (!x->knows || x->voids.n > 0 || x->damaged > 0)
		return;
	index_known_add(x->k, session, &known);
	index_known_write(x->k, x->dir, &known);
}

size_t index_damaged(const struct index *x)
{
	return x->damaged;
}

int index_each_void(const struct index *x,
                    int (*each)(void *arg, const char *name, const char *key, struct err *e),
                    void *arg, struct err *e)
{
	for (size_t i = 0; i < x->voids.n; i++) {
		char key[STORE_KEY_MAX + 1];

		(void)snprintf(key, sizeof(key), "idx/%s/%s", x->domain->tag_hex, x->voids.v[i]);
		if (each(arg, x->voids.v[i], key, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- looking up ---- */

/* The best place found so far. */
struct found {
	const struct absent *absent;
	bool (*usable)(void *arg, const struct chunk_ref *ref); /* NULL: all are */
	void *arg;
	const struct chunk_ref *wanted; /* this place, if it is there; NULL: any */
	struct chunk_ref *ret;
	bool any, exact;
};

static bool same_place(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return a->off == b->off && a->kind == b->kind && a->stored == b->stored &&
	       a->plain == b->plain && a->counter == b->counter && a->key == b->key &&
	       a->compression == b->compression && memcmp(a->pack, b->pack, sizeof(a->pack)) == 0;
}

static bool consider(void *arg, const struct chunk_ref *ref)
{
	struct found *f = arg;

	if ((f->absent && absent_has(f->absent, ref)) || (f->usable && !f->usable(f->arg, ref)))
		return true;
	f->exact = f->wanted && same_place(f->wanted, ref);
	if (f->exact || !f->any || memcmp(ref->pack, f->ret->pack, sizeof(ref->pack)) < 0)
		*f->ret = *ref;
	f->any = true;
	return !f->exact;
}

static void find_in(const struct index *x, const struct index_tables *ts, const uint8_t id[32],
                    struct found *f)
{
	for (size_t i = 0; i < ts->n && !f->exact; i++)
		index_table_find(ts->t[i], x->k, id, consider, f);
}

static void find_everywhere(struct index *x, const uint8_t id[32], struct found *f)
{
	find_in(x, &x->tables, id, f);
	find_in(x, &x->tentative, id, f);
	if (f->any || !has_more(x))
		return;
	find_in(x, &x->more[0], id, f);
	find_in(x, &x->more[1], id, f);
}

/* In the segments; ret is untouched when there is nothing. */
static bool tables_find(struct index *x, const uint8_t id[32], struct chunk_ref *ret)
{
	struct found f = { .absent = x->absent, .ret = ret };

	find_everywhere(x, id, &f);
	return f.any;
}

static bool find_settled(struct index *x, const uint8_t id[32], struct found *f)
{
	uint8_t copy[FORMAT_ID_BYTES]; /* id may lie in *ret */

	memcpy(copy, id, sizeof(copy));
	find_in(x, &x->tables, copy, f);
	return f->any;
}

bool index_settled(struct index *x, const uint8_t id[32],
                   bool (*usable)(void *arg, const struct chunk_ref *ref), void *arg,
                   struct chunk_ref *ret)
{
	struct found f = { .absent = x->absent, .usable = usable, .arg = arg, .ret = ret };

	return find_settled(x, id, &f);
}

bool index_settled_or_absent(struct index *x, const uint8_t id[32],
                             bool (*usable)(void *arg, const struct chunk_ref *ref), void *arg,
                             struct chunk_ref *ret)
{
	struct found f = { .usable = usable, .arg = arg, .ret = ret };

	return find_settled(x, id, &f);
}

bool index_locate(struct index *x, struct chunk_ref *ref)
{
	struct chunk_ref best;
	struct found f = { .absent = x->absent, .wanted = ref, .ret = &best };

	find_everywhere(x, ref->id, &f);
	if (!f.any && !index_lookup(x, ref->id, &best))
		return false;
	if (best.plain != ref->plain || best.kind != ref->kind)
		return false;
	*ref = best;
	return true;
}

struct places {
	struct chunk_ref *v;
	size_t n, max;
};

static bool take_place(void *arg, const struct chunk_ref *ref)
{
	struct places *p = arg;

	p->v[p->n++] = *ref;
	return p->n < p->max;
}

size_t index_places(struct index *x, const uint8_t id[32], struct chunk_ref *ret, size_t max)
{
	struct places p = { .v = ret, .max = max };

	for (size_t i = 0; i < x->tables.n && p.n < max; i++)
		index_table_find(x->tables.t[i], x->k, id, take_place, &p);
	for (size_t i = 0; i < x->tentative.n && p.n < max; i++)
		index_table_find(x->tentative.t[i], x->k, id, take_place, &p);
	return p.n;
}

/* ---- this session's chunks ---- */

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
	/* Without room it will be stored, and not found again by this session. */
	if (make_room_locked(x) < 0)
		return 0;
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

/* ---- what was written ---- */

void index_learned(void *index, const char *name, const struct segment_view *v)
{
	const struct index *x = index;
	struct index_table *t = x->dir < 0 ? NULL : index_table_new(x->k, name, v);
	struct index_table *file = t ? index_table_merge(x->k, &t, 1, x->dir) : NULL;

	index_table_free(file);
	index_table_free(t);
}
