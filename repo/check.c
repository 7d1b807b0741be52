/* SPDX-License-Identifier: Apache-2.0 */
/* The run of a check, its pool of threads, and what it has found. */
#include "repo/check.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "repo/check_impl.h"
#include "repo/crypt.h"
#include "repo/reseal.h"

#define MEMORY_DEFAULT (128 * MIB)
#define WORKER_BYTES (CHECK_RANGE_BYTES + 2 * FORMAT_CHUNK_MAX) /* what one usually needs at most */
#define THREADS_MAX 64
#define TRIES_MAX 6 /* looks, while collections take things away */
#define FINDINGS_MAX 100000
#define DAMAGE_MAX ((size_t)1 << 20)

const char *check_what_name(enum check_what what)
{
	static const char *const names[] = {
		[CHECK_MISSING] = "missing",   [CHECK_SIZE] = "size",
		[CHECK_DAMAGED] = "damaged",   [CHECK_UNREADABLE] = "unreadable",
		[CHECK_MISMATCH] = "mismatch",
	};

	return names[what];
}

enum check_what check_what_of(const struct err *e)
{
	if (e->class == ERR_NOT_FOUND)
		return CHECK_MISSING;
	return e->class == ERR_IO ? CHECK_UNREADABLE : CHECK_DAMAGED;
}

/* ---- lists ---- */

int check_push(void *array, size_t *n, size_t *cap, size_t size, const void *element, struct err *e)
{
	uint8_t *p;

	memcpy(&p, array, sizeof(p));
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		uint8_t *grown = reallocarray(p, more, size);

		if (!grown)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu entries", more);
		memcpy(array, &grown, sizeof(grown));
		p = grown;
		*cap = more;
	}
	memcpy(p + *n * size, element, size);
	(*n)++;
	return 0;
}

void check_find(struct check *ck, enum check_what what, const char *object, uint64_t chunks,
                const char *fmt, ...)
{
	struct err ignored;
	char line[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	struct check_finding f = {
		.object = strdup(object), .text = strdup(line), .what = what, .chunks = chunks
	};
	(void)pthread_mutex_lock(&ck->lock);
	f.seq = ck->nfindings;
	if (!f.object || !f.text || ck->nfindings >= FINDINGS_MAX ||
	    check_push(&ck->findings, &ck->nfindings, &ck->findings_cap, sizeof(f), &f, &ignored) <
	            0) {
		ck->unkept++;
		free(f.object);
		free(f.text);
	}
	(void)pthread_mutex_unlock(&ck->lock);
	if (ck->params->counts)
		atomic_fetch_add_explicit(&ck->params->counts->errors, 1, memory_order_relaxed);
}

void check_bad_locked(struct check *ck, const struct chunk_ref *ref)
{
	struct place p = { .pack.kind = ref->kind, .off = ref->off };
	struct err ignored;

	if (!ck->params->sink || check_place_marked(ck, ref->kind, ref->pack, ref->off))
		return;
	memcpy(p.pack.id, ref->pack, sizeof(p.pack.id));
	memcpy(p.id, ref->id, sizeof(p.id));
	if (ck->nbad >= DAMAGE_MAX ||
	    check_push(&ck->bad, &ck->nbad, &ck->bad_cap, sizeof(p), &p, &ignored) < 0)
		ck->untold++;
}

void check_bad(struct check *ck, const struct chunk_ref *ref)
{
	(void)pthread_mutex_lock(&ck->lock);
	check_bad_locked(ck, ref);
	(void)pthread_mutex_unlock(&ck->lock);
}

void check_hurts(struct check *ck, const struct refset_item *item)
{
	struct err ignored;

	(void)pthread_mutex_lock(&ck->lock);
	check_bad_locked(ck, &item->ref);
	if (ck->ndamage < DAMAGE_MAX)
		(void)!check_push(&ck->damage, &ck->ndamage, &ck->damage_cap, sizeof(*item), item,
		                  &ignored);
	(void)pthread_mutex_unlock(&ck->lock);
}

static int item_by_id(const void *a, const void *b)
{
	return memcmp(((const struct refset_item *)a)->ref.id,
	              ((const struct refset_item *)b)->ref.id, FORMAT_ID_BYTES);
}

void check_settle(struct check *ck)
{
	if (ck->ndamage > 0)
		qsort(ck->damage, ck->ndamage, sizeof(*ck->damage), item_by_id);
}

bool check_is_hurt(const struct check *ck, const struct chunk_ref *ref)
{
	size_t lo = 0;
	size_t hi = ck->ndamage;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(ck->damage[mid].ref.id, ref->id, FORMAT_ID_BYTES) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < ck->ndamage && memcmp(ck->damage[lo].ref.id, ref->id, FORMAT_ID_BYTES) == 0;
	     lo++) {
		const struct refset_item *d = &ck->damage[lo];

		if (d->flags & REFSET_MOVED)
			return true;
		if (d->ref.off == ref->off &&
		    memcmp(d->ref.pack, ref->pack, sizeof(ref->pack)) == 0)
			return true;
	}
	return false;
}

bool check_place_marked(const struct check *ck, uint8_t kind,
                        const uint8_t id[FORMAT_PACK_ID_BYTES], uint32_t off)
{
	struct chunk_ref ref = { .kind = kind, .off = off };

	memcpy(ref.pack, id, sizeof(ref.pack));
	return ck->view.absent.nplaces > 0 && absent_has(&ck->view.absent, &ref) &&
	       !pack_list_has(&ck->view.absent.packs, kind, id);
}

bool check_place_good(const struct check *ck, const struct chunk_ref *ref)
{
	const struct absent *a = &ck->view.absent;

	return check_listed_find(ck, ref->kind, ref->pack) &&
	       !((a->packs.n > 0 || a->nplaces > 0) && absent_has(a, ref));
}

struct check_listed *check_listed_find(const struct check *ck, uint8_t kind,
                                       const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	size_t lo = 0;
	size_t hi = ck->nlisted;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = refset_pack_cmp(ck->listed[mid].kind, ck->listed[mid].id, kind, id);

		if (d == 0)
			return &ck->listed[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- reading ---- */

int check_get(struct check *ck, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	if (cancel_check(ck->repo->cancel, e) < 0 ||
	    store_get(ck->repo->store, key, off, p, n, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&ck->bytes_read, n, memory_order_relaxed);
	return 0;
}

static int get_counted(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	return check_get(arg, name, off, p, n, e);
}

struct frame check_frame(struct check *ck, const char *name, const uint8_t *id, uint64_t len)
{
	return (struct frame){ .get = get_counted, .arg = ck, .name = name, .id = id, .len = len };
}

struct crypt_box *check_box(struct check_worker *w, const struct pack_header *h, uint16_t key,
                            const struct check_domain *d, struct err *e)
{
	if (h->cipher >= ARRAY_LEN(w->boxes)) {
		(void)err_set(e, ERR_FORMAT, "cipher %u is unknown here", h->cipher);
		return NULL;
	}
	if (!w->boxes[h->cipher])
		w->boxes[h->cipher] = crypt_box_new(h->cipher);
	if (!w->boxes[h->cipher]) {
		(void)err_set(e, ERR_NOMEM, "no memory for a cipher");
		return NULL;
	}
	if (reseal_dek(w->ck->repo, w->head.data, h, key, d->keys, w->dek, e) < 0)
		return NULL;
	crypt_box_key(w->boxes[h->cipher], w->dek);
	return w->boxes[h->cipher];
}

/* ---- the pool ---- */

int check_worker_init(struct check_worker *w, struct check *ck, struct err *e)
{
	*w = (struct check_worker){ .ck = ck };
	w->head.max = FORMAT_PACK_MAX;
	w->tail.max = FORMAT_PACK_MAX;
	w->stored.max = CHECK_RANGE_BYTES + FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	w->scratch.max = FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	w->plain.max = FORMAT_CHUNK_MAX;
	w->z = compress_new();
	w->dek = secret_new(FORMAT_DEK_BYTES);
	w->nodes = nodes_new();
	if (!w->z || !w->dek || !w->nodes)
		return err_set(e, ERR_NOMEM, "no memory for a thread of the check");
	return 0;
}

void check_worker_clear(struct check_worker *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->boxes); i++)
		crypt_box_free(w->boxes[i]);
	nodes_free(w->nodes);
	compress_free(w->z);
	secret_free(w->dek);
	buf_clear(&w->head);
	buf_clear(&w->stored);
	buf_clear(&w->plain);
	buf_clear(&w->scratch);
	buf_clear(&w->tail);
	refset_group_clear(&w->group);
	free(w->found);
	inner_free(w->inner);
	leaf_unref(w->leaf);
}

struct pool_thread {
	struct check_worker w;
	int (*fn)(struct check_worker *w, struct err *e);
	pthread_t id;
};

static void *pool_main(void *arg)
{
	struct pool_thread *t = arg;
	struct err e = ERR_INIT;

	if (t->fn(&t->w, &e) < 0) {
		struct check *ck = t->w.ck;

		atomic_store(&ck->stop, true);
		(void)pthread_mutex_lock(&ck->lock);
		if (ck->err.class == ERR_NONE)
			ck->err = e;
		(void)pthread_mutex_unlock(&ck->lock);
	}
	return NULL;
}

int check_pool(struct check *ck, int (*fn)(struct check_worker *w, struct err *e), unsigned level,
               struct refset *from, struct err *e)
{
	auto_free struct pool_thread *t = calloc(ck->threads, sizeof(*t));
	unsigned ready = 0;
	unsigned started = 0;
	int rc = 0;

	if (!t)
		return err_set(e, ERR_NOMEM, "no memory for the threads of the check");
	ck->next = 0;
	if (from && refset_rewind(from, e) < 0)
		return -1;
	while (rc == 0 && ready < ck->threads) {
		rc = check_worker_init(&t[ready].w, ck, e);
		t[ready].fn = fn;
		t[ready].w.level = level;
		t[ready++].w.from = from;
	}
	while (rc == 0 && started < ready) {
		int os = pthread_create(&t[started].id, NULL, pool_main, &t[started]);

		if (os != 0 && started > 0)
			break; /* those that run do the work */
		if (os != 0)
			rc = err_sys(e, os, "starting a thread of the check");
		else
			started++;
	}
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(t[i].id, NULL);
	for (unsigned i = 0; i < ready; i++)
		check_worker_clear(&t[i].w);
	if (rc == 0 && ck->err.class != ERR_NONE) {
		*e = ck->err;
		rc = -1;
	}
	check_settle(ck);
	return rc;
}

/* ---- telling ---- */

static int finding_cmp(const void *va, const void *vb)
{
	const struct check_finding *a = va;
	const struct check_finding *b = vb;
	int d = strcmp(a->object, b->object);

	if (d == 0)
		d = (int)a->what - (int)b->what;
	return d ? d : (a->seq > b->seq) - (a->seq < b->seq);
}

static int tell_findings(struct check *ck, struct check_result *result, struct err *e)
{
	if (ck->nfindings > 0)
		qsort(ck->findings, ck->nfindings, sizeof(*ck->findings), finding_cmp);
	result->problems = ck->unkept;
	for (size_t i = 0; i < ck->nfindings; i++) {
		const struct check_finding *f = &ck->findings[i];
		bool last = i + 1 == ck->nfindings || f[1].what != f->what ||
		            strcmp(f[1].object, f->object) != 0;
		struct check_problem p = {
			.object = f->object, .what = f->what, .text = f->text, .chunks = f->chunks
		};

		if (!last)
			continue;
		result->problems++;
		if (ck->params->problem && ck->params->problem(ck->params->arg, &p, e) < 0)
			return -1;
	}
	return 0;
}

static void check_clear(struct check *ck)
{
	for (size_t i = 0; i < ck->ndomains; i++)
		secret_free(ck->domains[i].keys);
	if (ck->domains)
		secret_wipe(ck->domains, ck->ndomains * sizeof(*ck->domains));
	free(ck->domains);
	for (size_t i = 0; i < ck->npoints; i++) {
		free(ck->points[i].session);
		free(ck->points[i].volume);
		free(ck->points[i].previous);
	}
	free(ck->points);
	view_clear(&ck->view);
	marker_list_clear(&ck->markers);
	expiry_clear(&ck->expiry);
	session_names_clear(&ck->gone);
	for (size_t i = 0; i < ck->nsegments; i++)
		free(ck->segments[i].key);
	free(ck->segments);
	for (size_t i = 0; i < ck->nfindings; i++) {
		free(ck->findings[i].object);
		free(ck->findings[i].text);
	}
	free(ck->findings);
	for (unsigned i = 0; i < FORMAT_LEVELS_MAX; i++) {
		refset_free(ck->nodes[i]);
		refset_free(ck->moved[i]);
	}
	refset_free(ck->all);
	if (ck->listed)
		(void)munmap(ck->listed, ck->listed_cap * sizeof(*ck->listed));
	free(ck->lost);
	free(ck->damage);
	free(ck->bad);
	free(ck->hurt);
	free(ck->hurt_new);
	(void)pthread_mutex_destroy(&ck->lock);
}

static unsigned choose_threads(const struct check_params *p)
{
	uint64_t memory = p->memory ? p->memory : MEMORY_DEFAULT;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = p->threads ? p->threads : (cpus > 0 ? (uint64_t)cpus * 2 : 2);

	if (n > THREADS_MAX)
		n = THREADS_MAX;
	if (n > memory / WORKER_BYTES)
		n = memory / WORKER_BYTES;
	return n ? (unsigned)n : 1;
}

static int tell_places(struct check *ck, const struct check_sink *to, struct err *e)
{
	if (ck->nbad > 0)
		qsort(ck->bad, ck->nbad, sizeof(*ck->bad), absent_place_cmp);
	for (size_t i = 0; i < ck->nbad; i++) {
		if ((i == 0 || absent_place_cmp(&ck->bad[i - 1], &ck->bad[i]) != 0) &&
		    to->place(to->arg, &ck->bad[i], e) < 0)
			return -1;
	}
	return 0;
}

static int tell_unnamed(struct check *ck, const struct check_sink *to, struct err *e)
{
	for (size_t i = 0; i < ck->nlisted; i++) {
		const struct check_listed *x = &ck->listed[i];
		struct pack_name pack = { .kind = x->kind };

		if (x->named != CHECK_UNNAMED || !x->framed ||
		    pack_list_has(&ck->view.absent.packs, x->kind, x->id))
			continue;
		memcpy(pack.id, x->id, sizeof(pack.id));
		if (to->unindexed(to->arg, &pack, x->len, e) < 0)
			return -1;
	}
	return 0;
}

static int tell_sink(struct check *ck, struct err *e)
{
	const struct check_sink *to = ck->params->sink;

	for (size_t i = 0; to && i < ck->ndomains; i++) {
		if (to->domain(to->arg, ck->domains[i].keys->name, e) < 0)
			return -1;
	}
	for (size_t i = 0; to && i < ck->nsegments; i++) {
		if (ck->segments[i].damaged && ck->segments[i].state == SEGMENT_SETTLED &&
		    to->segment(to->arg, ck->segments[i].key, e) < 0)
			return -1;
	}
	return to && (tell_unnamed(ck, to, e) < 0 || tell_places(ck, to, e) < 0) ? -1 : 0;
}

/* What many packs have in common is told once. */
static void tell_unindexed(struct check *ck)
{
	char name[PACK_KEY_MAX];

	if (ck->unindexed == 0)
		return;
	pack_key_name(name, ck->unindexed_first->id, ck->unindexed_first->kind);
	check_find(ck, CHECK_MISSING, "idx/", 0,
	           "%llu packs that restore points need are in no index segment, the first is "
	           "'%s'; backups store again what is in them until a repair puts them back",
	           (unsigned long long)ck->unindexed, name);
}

static int look(struct check *ck, struct check_result *result, struct err *e)
{
	if (check_gather(ck, result, e) < 0 || check_walk(ck, e) < 0 || check_packs(ck, e) < 0)
		return -1;
	tell_unindexed(ck);
	return 0;
}

/*
 * Whether a collection went on since the look began: what it took was not known to go, when it
 * was expired meanwhile too.
 */
static int was_overtaken(const struct check *ck, bool *ret, struct err *e)
{
	const struct collection_state *before = &ck->view.collection;
	struct collection_state now;
	struct err why = ERR_INIT;

	*ret = false;
	if (collection_state(ck->repo, &now, &why) < 0) {
		/* What is wrong with it was found. */
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	*ret = now.done != before->done || now.open != before->open ||
	       now.open_parts != before->open_parts;
	return 0;
}

/*
 * What was verified in a pass that is repeated needs no second look. Of what passes before it have
 * verified is left what is still there.
 */
static int keep_verified(const struct check *ck, struct err *e)
{
	struct check_pass *run = ck->run;
	void *v = run->done;

	run->ndone = 0;
	for (size_t i = 0; i < ck->nlisted; i++) {
		const struct check_listed *x = &ck->listed[i];

		if (!x->verified)
			continue;
		if (fd_grow_scratch(ck->scratch, &v, run->ndone, &run->done_cap,
		                    sizeof(*run->done)) < 0)
			return err_sys(e, errno, "making room for a list of packs");
		run->done = v;
		run->done[run->ndone].kind = x->kind;
		memcpy(run->done[run->ndone++].id, x->id, sizeof(x->id));
	}
	return 0;
}

/*
 * One look at everything, the try-th. 1: objects went away under it, so that it has to be
 * repeated. While a collection is open, what is found counts when a second look finds it too.
 */
static int run(const struct check *like, unsigned try, struct check_result *result, struct err *e)
{
	CLEANUP(check_clear) struct check ck = *like;
	bool overtaken = false;

	(void)pthread_mutex_init(&ck.lock, NULL);
	ck.gate = (struct segment_gate)SEGMENT_GATE_INIT;
	ck.all = refset_new(ck.scratch);
	if (!ck.all)
		return err_set(e, ERR_NOMEM, "no memory to check a repository");
	if (look(&ck, result, e) < 0)
		return -1;
	/* What a signer has put that was added meanwhile is no damage. */
	bool found = ck.nfindings + ck.unkept > 0;
	if (found &&
	    (config_still(ck.repo->store, ck.repo->keys, ck.repo->params.revision, e) < 0 ||
	     was_overtaken(&ck, &overtaken, e) < 0))
		return -1;
	bool first = try == 1 && found && ck.view.collection.open > 0;
	if ((ck.stale || overtaken || first) && try < TRIES_MAX)
		return keep_verified(&ck, e) < 0 ? -1 : 1;
	/* A collection stops where something is damaged, so this is not for ever. */
	if (found && (overtaken || (ck.stale && ck.view.collection.open > 0)))
		return err_set(e, ERR_BUSY,
		               "objects were taken away during each of %d looks at the repository, "
		               "so that nobody can say whether what is gone was lost; check again "
		               "when collections have ended",
		               TRIES_MAX);
	if (tell_sink(&ck, e) < 0 || tell_findings(&ck, result, e) < 0 ||
	    check_walk_hurt(&ck, result, e) < 0)
		return -1;
	for (size_t i = 0; i < ck.nsegments; i++)
		result->unknown_segments += ck.segments[i].domain == UINT16_MAX;
	result->points = ck.npoints;
	result->points_expired = ck.expired;
	result->segments = ck.segments_read;
	result->nodes = ck.nodes_read;
	result->chunks = ck.chunks;
	result->known_damaged = ck.known_damaged;
	result->untold = ck.untold;
	result->revoked = ck.revoked;
	result->unreferenced = ck.unreferenced;
	result->unreferenced_bytes = ck.unreferenced_bytes;
	result->unknown_packs = ck.unknown_packs;
	result->objects = ck.objects;
	result->bytes_read = ck.bytes_read;
	result->packs_verified = ck.run->packs;
	result->bytes_verified = ck.run->bytes;
	check_record(&ck, result, true);
	result->recorded = ck.run->recorded > 0 && ck.run->unrecorded.class == ERR_NONE;
	result->unrecorded = ck.run->unrecorded;
	return 0;
}

/* Passes until one of them was not disturbed. */
static int run_passes(struct check *like, struct check_result *result, struct err *e)
{
	for (unsigned try = 1;; try++) {
		*result = (struct check_result){ .level = like->params->level,
			                         .all = check_is_all(like->params),
			                         .started_ns = like->run->started_ns };
		memcpy(result->run, like->run->name, sizeof(result->run));
		int rc = run(like, try, result, e);

		if (rc <= 0)
			return rc;
	}
}

static int check_params_valid(const struct repo *r, const struct check_params *p, struct err *e)
{
	if (p->level > CHECK_LEVEL_MAX)
		return err_set(e, ERR_INVALID, "there is no level %u; levels are 0 to %u", p->level,
		               CHECK_LEVEL_MAX);
	if (p->level < 3 && (p->budget || p->sample_percent || p->max_age_ns || p->resume))
		return err_set(e, ERR_INVALID,
		               "a budget, a sample and ages are for the levels that read packs: "
		               "3 and 4");
	if (p->sample_percent > 100)
		return err_set(e, ERR_INVALID, "a sample has 1 to 100 percent");
	if (p->level == 4 && !r->keys->has_recovery)
		return err_set(e, ERR_DENIED,
		               "level 4 reads data and needs a recovery key; level 3 is the most "
		               "for others");
	if (p->sink && p->level < 2)
		return err_set(e, ERR_INVALID, "a repair needs level 2 or above");
	if (p->record && !r->keys->has_sign)
		return err_set(e, ERR_DENIED, "this key file cannot sign the record of a check");
	return 0;
}

int check_run(const struct repo *r, const struct check_params *params, struct check_result *ret,
              struct err *e)
{
	struct check_pass pass = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.started_ns = now_wall_ns(),
		.recorded_ns = now_mono_ns(),
	};
	struct check like = {
		.repo = r,
		.params = params,
		.scratch = r->state[0] ? r->state : NULL,
		.threads = choose_threads(params),
		.run = &pass,
	};
	struct check_result result;

	if (check_params_valid(r, params, e) < 0)
		return -1;
	checked_new_run(pass.name);
	int rc = run_passes(&like, &result, e);
	/* What was verified before it was stopped counts, and need not be read again. */
	if (rc < 0)
		check_record(&like, NULL, false);
	pack_list_clear(&pass.fresh);
	pack_list_clear(&pass.damaged);
	if (pass.done)
		(void)munmap(pass.done, pass.done_cap * sizeof(*pass.done));
	(void)pthread_mutex_destroy(&pass.lock);
	if (rc < 0)
		return -1;
	result.finished_ns = now_wall_ns();
	*ret = result;
	return 0;
}
