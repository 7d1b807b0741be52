/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fence.h. Names of clusters and volumes are in the config as keyed tags
 * only: the config is plain text, and the store need not know what is fenced.
 * Lists are read when a point of a fenced volume comes by, so that a fence
 * costs nothing to all who have to do with other volumes.
 */
#include "repo/fence.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/named.h"
#include "repo/note.h"
#include "repo/repo.h"

#define CACHED "fence-"   /* files of the state directory */
#define IDS_MAX (4 * MIB) /* of the lists of one fence */

struct fences {
	struct fence *v;
	size_t n;
	uint64_t epoch;
	pthread_mutex_t lock;
};

void fence_free(struct fences *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].tags);
		free(f->v[i].lists);
		free(f->v[i].ids);
	}
	free(f->v);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

static void clean_fences(struct fences *const *f)
{
	fence_free(*f);
}

/* ---- what the config says ---- */

static int get_tags(const json_t *x, struct fence *f, struct err *e)
{
	const json_t *a = json_object_get(x, "scope");
	size_t n = json_array_size(a);

	if (n == 0 || n > FENCE_TARGETS_MAX)
		return err_set(e, ERR_FORMAT,
		               "config: .fences.scope: expected an array of at most %d",
		               FENCE_TARGETS_MAX);
	f->tags = calloc(n, sizeof(*f->tags));
	if (!f->tags)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	for (; f->ntags < n; f->ntags++) {
		const char *text = json_string_value(json_array_get(a, f->ntags));

		if (!text || hex_decode(f->tags[f->ntags], FENCE_TAG_BYTES, text) < 0)
			return err_set(e, ERR_FORMAT, "config: .fences.scope: no tag");
	}
	return 0;
}

static int get_lifted(const json_t *x, struct fence *f, struct err *e)
{
	const char *what = "config: .fences.lifted";
	const json_t *o = json_object_get(x, "lifted");

	if (!o)
		return 0;
	if (json_get_u64(o, what, "epoch", &f->lifted, e) < 0 ||
	    json_get_i64(o, what, "at_ns", &f->lifted_ns, e) < 0 ||
	    config_named(o, what, "record", &f->lift_record, e) < 0)
		return -1;
	return f->lifted > f->epoch
	               ? 0
	               : err_set(e, ERR_FORMAT, "%s.epoch is not after the fence", what);
}

static int get_fence(const json_t *x, struct fence *f, struct err *e)
{
	const char *what = "config: .fences";

	if (json_get_u64(x, what, "epoch", &f->epoch, e) < 0 ||
	    json_get_i64(x, what, "at_ns", &f->at_ns, e) < 0 ||
	    config_named(x, what, "record", &f->record, e) < 0 || get_tags(x, f, e) < 0 ||
	    config_accepted(x, "config: .fences.accepted", &f->lists, &f->nlists, &f->closing, e) <
	            0)
		return -1;
	return get_lifted(x, f, e);
}

/* The fences in the JSON of a config. */
static int parse(const json_t *o, struct fences **ret, struct err *e)
{
	const json_t *a = json_object_get(o, "fences");
	size_t n = json_array_size(a);
	uint64_t before = 0;

	if ((a && !json_is_array(a)) || n > FENCES_MAX)
		return err_set(e, ERR_FORMAT, "config: .fences: expected an array of at most %d",
		               FENCES_MAX);
	CLEANUP(clean_fences) struct fences *f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	(void)pthread_mutex_init(&f->lock, NULL);
	f->v = calloc(n ? n : 1, sizeof(*f->v));
	if (!f->v)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	if (json_object_get(o, "epoch") && json_get_u64(o, "config", "epoch", &f->epoch, e) < 0)
		return -1;
	while (f->n < n) {
		struct fence *x = &f->v[f->n++];

		if (get_fence(json_array_get(a, f->n - 1), x, e) < 0)
			return -1;
		if (x->epoch <= before || x->epoch > f->epoch || x->lifted > f->epoch)
			return err_set(e, ERR_FORMAT, "config: .fences: epochs are out of order");
		before = x->epoch;
	}
	*ret = STEAL(&f);
	return 0;
}

int fence_load(struct repo *r, struct err *e)
{
	struct fences *f = NULL;

	if (parse(r->config.json, &f, e) < 0)
		return -1;
	fence_free(r->fences);
	r->fences = f;
	return 0;
}

uint64_t fence_epoch(const struct repo *r)
{
	return r->fences ? r->fences->epoch : 0;
}

const struct fence *fence_at(const struct repo *r, size_t i)
{
	return r->fences && i < r->fences->n ? &r->fences->v[i] : NULL;
}

/* ---- of what it is ---- */

int fence_tag(const struct keys *k, const struct point_volume *v, enum fence_depth depth,
              uint8_t ret[FENCE_TAG_BYTES], struct err *e)
{
	char context[2 * POINT_NAME_MAX];
	char voltag[17];
	uint8_t tag[32];
	size_t n = strlen(v->cluster);

	if (depth == FENCE_VOLUME) {
		if (point_voltag(k, v, voltag, e) < 0)
			return -1;
		return hex_decode(ret, FENCE_TAG_BYTES, voltag) == 0
		               ? 0
		               : err_set(e, ERR_BUG, "the tag of a volume is none");
	}
	if (!k->has_mm)
		return err_set(e, ERR_DENIED, "this key has no metadata key");
	memcpy(context, v->cluster, n + 1);
	if (depth == FENCE_NAMESPACE) {
		memcpy(context + n + 1, v->namespace, strlen(v->namespace));
		n += 1 + strlen(v->namespace);
	}
	key_kdf(tag, k->s->mm, depth == FENCE_CLUSTER ? "cluster tag" : "namespace tag", context,
	        n);
	memcpy(ret, tag, FENCE_TAG_BYTES);
	return 0;
}

int fence_tags(const struct keys *k, const struct point_volume *v, struct fence_tags *ret,
               struct err *e)
{
	for (unsigned depth = FENCE_CLUSTER; depth <= FENCE_VOLUME; depth++) {
		if (fence_tag(k, v, depth, ret->v[depth], e) < 0)
			return -1;
	}
	return 0;
}

bool fence_covers(const struct fence *f, const struct fence_tags *tags)
{
	for (size_t i = 0; i < f->ntags; i++) {
		for (size_t n = 0; n < ARRAY_LEN(tags->v); n++) {
			if (memcmp(f->tags[i], tags->v[n], FENCE_TAG_BYTES) == 0)
				return true;
		}
	}
	return false;
}

/* ---- what counts ---- */

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, FENCE_ID_BYTES);
}

/* An object that the config names, and its list. The caller decrefs *ret, on errors too. */
static int open_named(const struct repo *r, const struct key_list *l, json_t **ret,
                      struct buf *ret_list, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES);

	if (named_get(r, l, CACHED, &object, NULL, e) < 0 ||
	    note_open_list(r, FORMAT_KIND_FENCE, l->object, object.data, object.len, ret, ret_list,
	                   NULL, e) < 0)
		return -1;
	return note_schema(*ret, l->object, FENCE_SCHEMA, e);
}

static int read_list(const struct repo *r, struct fence *f, const struct key_list *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_json json_t *o = NULL;

	if (open_named(r, l, &o, &list, e) < 0)
		return -1;
	size_t n = list.len / FENCE_ID_BYTES;
	if (list.len % FENCE_ID_BYTES != 0 || n > IDS_MAX - f->nids)
		return err_set(e, ERR_FORMAT, "'%s' does not add up", l->object);
	void *ids = reallocarray(f->ids, f->nids + n + 1, sizeof(*f->ids));
	if (!ids)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu restore points", n);
	f->ids = ids;
	if (n > 0)
		memcpy(f->ids[f->nids], list.data, list.len);
	f->nids += n;
	return 0;
}

/* Reads the lists of f, once. What the store cannot give now is asked for again. */
static int read_lists_locked(const struct repo *r, struct fence *f, struct err *e)
{
	for (size_t i = 0; i < f->nlists && !f->read && !f->lost; i++) {
		struct err why = ERR_INIT;

		if (i == 0)
			f->nids = 0;
		if (read_list(r, f, &f->lists[i], &why) == 0)
			continue;
		if (!note_is_bad(&why)) {
			*e = why;
			return err_wrap(e, "reading what counts of a site that was fenced");
		}
		f->lost = true;
	}
	if (f->nids > 1 && !f->read)
		qsort(f->ids, f->nids, sizeof(*f->ids), id_cmp);
	f->read = true;
	return 0;
}

/* Whether a list of f has the point. 1, 0; -1: e. */
static int listed(const struct repo *r, struct fences *all, struct fence *f, const char *session,
                  struct err *e)
{
	uint8_t id[FENCE_ID_BYTES];

	if (!point_session_valid(session) ||
	    hex_decode(id, sizeof(id), session + POINT_SESSION_RANDOM) < 0)
		return 0;
	(void)pthread_mutex_lock(&all->lock);
	int rc = read_lists_locked(r, f, e);
	bool lost = f->lost;
	bool has = rc == 0 && f->nids > 0 &&
	           bsearch(id, f->ids, f->nids, sizeof(*f->ids), id_cmp) != NULL;
	(void)pthread_mutex_unlock(&all->lock);
	if (rc < 0)
		return -1;
	if (has || !lost)
		return has;
	return err_set(e, ERR_CORRUPT,
	               "'%s' is of a site that was fenced, and the list of what counts of it "
	               "('%s') does not open: put that back from a copy of the store",
	               session, f->lists[0].object);
}

int fence_judge(const struct repo *r, const struct point_volume *v, const char *session,
                uint64_t epoch, const char *what, struct err *e)
{
	struct fences *all = r->fences;
	struct fence_tags tags;

	if (!all || all->n == 0)
		return 0;
	if (fence_tags(r->keys, v, &tags, e) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++) {
		struct fence *f = &all->v[i];

		if (f->closing || (f->lifted && epoch >= f->lifted) || !fence_covers(f, &tags))
			continue;
		int has = listed(r, all, f, session, e);
		if (has < 0)
			return -1;
		if (has)
			continue;
		(void)err_set(e, ERR_DENIED,
		              "'%s' does not count: its site was fenced on %s, and it is not among "
		              "what counted then",
		              what, now_rfc3339(f->at_ns).s);
		e->os = EKEYEXPIRED;
		return -1;
	}
	return 0;
}

bool fence_is_late(const struct err *e)
{
	return e->os == EKEYEXPIRED;
}

/* ---- for writers ---- */

int fence_facts(const struct repo *r, const struct key_list *record, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_json json_t *o = NULL;

	if (open_named(r, record, &o, &list, e) < 0)
		return -1;
	*ret = STEAL(&o);
	return 0;
}

int fence_facts_left(const struct repo *r, const struct key_list *record, json_t **ret,
                     struct err *e)
{
	struct err why = ERR_INIT;

	*ret = NULL;
	if (!record->object[0] || fence_facts(r, record, ret, &why) == 0 || note_is_bad(&why))
		return 0;
	*e = why;
	return -1;
}

/* A member of the facts as text; "" where there is none. */
static const char *fact(const json_t *facts, const char *name)
{
	const char *text = json_string_value(json_object_get(facts, name));

	return text ? text : "";
}

static int fenced(const struct repo *r, const struct fence *f, const struct point_volume *v,
                  struct err *e)
{
	auto_json json_t *facts = NULL;
	struct err ignored = ERR_INIT;

	if (f->lifted) {
		(void)err_set(e, ERR_BUSY,
		              "volume '%.100s' was fenced while this backup ran, and given back "
		              "since: what was read is of before; run it again",
		              v->name);
		e->os = ESHUTDOWN;
		return -1;
	}
	(void)!fence_facts(r, &f->record, &facts, &ignored);
	const char *successor = fact(facts, "successor");
	const char *reason = fact(facts, "reason");
	(void)err_set(e, ERR_BUSY,
	              "%s '%.100s%s%.100s%s%.100s' is fenced since %s%s%.100s%s%s%.200s%s: "
	              "nothing is backed up here until it is given back (aksdr-restore unfence)",
	              v->name[0] ? "volume" : "cluster", v->cluster,
	              v->cluster[0] && v->name[0] ? "/" : "", v->namespace,
	              v->namespace[0] ? "/" : "", v->name, now_rfc3339(f->at_ns).s,
	              successor[0] ? " and belongs to '" : "", successor,
	              successor[0] ? "' now" : "", reason[0] ? " (" : "", reason,
	              reason[0] ? ")" : "");
	e->os = ESHUTDOWN;
	return -1;
}

bool fence_is(const struct err *e)
{
	return e->class == ERR_BUSY && e->os == ESHUTDOWN;
}

int fence_over(const struct repo *r, const struct point_volume *v, uint64_t epoch,
               const struct fence **ret, struct err *e)
{
	struct fence_tags tags;
	const struct fence *f;

	*ret = NULL;
	if (!fence_at(r, 0))
		return 0;
	if (fence_tags(r->keys, v, &tags, e) < 0)
		return -1;
	for (size_t i = 0; (f = fence_at(r, i)); i++) {
		if ((!f->lifted || epoch < f->lifted) && fence_covers(f, &tags)) {
			*ret = f;
			return 0;
		}
	}
	return 0;
}

int fence_refuse(const struct repo *r, const struct point_volume *v, uint64_t epoch, struct err *e)
{
	const struct fence *f;

	if (fence_over(r, v, epoch, &f, e) < 0)
		return -1;
	return f ? fenced(r, f, v, e) : 0;
}

int fence_recheck(const struct repo *r, const struct config *newer, const struct point *p,
                  bool committed, struct err *e)
{
	CLEANUP(clean_fences) struct fences *all = NULL;
	struct fence_tags tags;

	if (parse(newer->json, &all, e) < 0)
		return -1;
	if (all->n == 0)
		return 0;
	if (fence_tags(r->keys, &p->volume, &tags, e) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++) {
		struct fence *f = &all->v[i];
		int has = 0;

		if ((f->lifted && p->epoch >= f->lifted) || !fence_covers(f, &tags))
			continue;
		if (committed && !f->closing)
			has = listed(r, all, f, p->session, e);
		if (has < 0)
			return -1;
		if (has)
			continue;
		(void)fenced(r, f, &p->volume, e);
		if (committed)
			(void)err_wrap(e, "restore point '%s' was made, and %s", p->session,
			               f->closing ? "counts if it is found by who fences"
			                          : "does not count");
		return -1;
	}
	return 0;
}
