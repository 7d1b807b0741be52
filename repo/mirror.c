/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirror goes in rounds. A round lists first what names others and then what
 * is named, and copies the other way round; so what is copied last names
 * nothing that was not there to be copied.
 *
 *   list   finals of collections; segments; then all others by name, so that commits come
 *          before keys, trees and packs; holds
 *   copy   packs and trees
 *   list   finals and segments again
 *   copy   segments, maintenance commits, keys, holds, collections, tombstones, points,
 *          and what says which points there were
 *
 * A collection takes away only what its final names, and moves nothing without
 * a new index segment of a maintenance session. When between the two looks no
 * final appeared, no segment went and no segment of maintenance came, then all
 * that the listed commits need was listed, where the listed segments say. Else
 * the round ends before its first segment, and the next one begins; the packs
 * that it copied are there already.
 */
#include "repo/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "repo/collection.h"
#include "repo/commits.h"
#include "repo/finals.h"
#include "repo/format.h"
#include "repo/mirror_impl.h"
#include "repo/pack.h"
#include "repo/session.h"
#include "store/compare.h"

#define ROUNDS_MAX 8
#define SEGMENTS "idx/"
#define HOLDS "hold/"
#define OWNERS "ctl/owner/"
#define RUNS "ctl/run/"
#define SEGMENT_SESSION (strlen(SEGMENTS) + 17) /* where the session is in a segment's key */

const char *mirror_what_name(enum mirror_what what)
{
	static const char *const names[] = {
		[MIRROR_CONFLICT] = "conflict", [MIRROR_DAMAGED] = "damaged",
		[MIRROR_SURPLUS] = "surplus",   [MIRROR_DELETED] = "deleted",
		[MIRROR_MISSING] = "missing",
	};

	return names[what];
}

/* ---- names ---- */

static bool begins(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

static bool classify_commit(const char *session, const struct store_stat *st,
                            struct mirror_item *ret)
{
	if (!point_session_valid(session))
		return false;
	ret->class = commit_kind_of(session, st->size) == COMMIT_POINT ? MIRROR_POINTS
	                                                               : MIRROR_MAINTENANCE;
	/* Of a chain the first comes first. */
	ret->order = st->received_ns;
	return true;
}

/*
 * Keys before what they are for: a config names revocations, and they count once it is there. Who
 * serves a plan comes behind the fence that it came with, and behind the run that it names.
 */
static int64_t order_of_keys(const char *key)
{
	static const char *const prefixes[] = {
		"reseal/", "ctl/revoked/", "ctl/fence/", "ctl/damage/",
		"config",  "ctl/config/",  RUNS,         OWNERS,
	};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (begins(key, prefixes[i]))
			return (int64_t)i;
	}
	return -1;
}

/*
 * The class of an object and its place in it. What has no name that is known here may be of a
 * later version: it goes before the keys. false: no object of any repository.
 */
static bool classify(const char *key, const struct store_stat *st, struct mirror_item *ret)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	enum collection_part part;
	uint64_t n;
	uint8_t kind;

	*ret = (struct mirror_item){ .size = st->size };
	if (strlen(key) >= sizeof(ret->key) || st->size > FORMAT_PACK_MAX)
		return false;
	(void)snprintf(ret->key, sizeof(ret->key), "%s", key);
	if (pack_key_parse(key, id, &kind) == 0)
		ret->class = MIRROR_PACKS;
	else if (begins(key, SEGMENTS))
		ret->class = MIRROR_SEGMENTS;
	else if (begins(key, HOLDS))
		ret->class = MIRROR_HOLDS;
	else if (begins(key, "tomb/"))
		ret->class = MIRROR_TOMBSTONES;
	else if (collection_key_parse(key, &n, &part)) {
		ret->class = part == COLLECTION_LIVE ? MIRROR_GUARDS : MIRROR_COLLECTIONS;
		ret->order = (int64_t)(n * COLLECTION_PARTS + part);
	} else if (!begins(key, COMMITS) || !classify_commit(key + strlen(COMMITS), st, ret)) {
		ret->class = MIRROR_KEYS;
		ret->order = order_of_keys(key);
	}
	return true;
}

/* ---- one round ---- */

/* What must not change while a round lists. */
struct look {
	uint64_t final; /* highest generation that has a final; 0: none */
	char **segments;
	size_t n, cap;
};

static void look_clear(struct look *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->segments[i]);
	free(l->segments);
}

struct round {
	struct mirror *m;
	struct look look;
	struct runs *items, *packs; /* that the copy lacks */
	struct runs *extra;         /* that only the copy has; where deletions are asked for */
	/* of deletions: */
	struct collection_state state;
	struct pack_list dead;
	struct session_names gone, wanted;
	bool others; /* the listing under way is that of all others */
};

static void round_clear(struct round *r)
{
	look_clear(&r->look);
	runs_free(r->items);
	runs_free(r->packs);
	runs_free(r->extra);
	pack_list_clear(&r->dead);
	session_names_clear(&r->gone);
	session_names_clear(&r->wanted);
}

static int note_final(void *arg, const struct store_item *item, struct err *e)
{
	uint64_t *final = arg;
	enum collection_part part;
	uint64_t n;

	(void)e;
	if (collection_key_parse(item->key, &n, &part) && part == COLLECTION_FINAL && n > *final)
		*final = n;
	return 0;
}

static int note_segment(struct look *l, const char *key, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		char **v = reallocarray(l->segments, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu segments", l->n);
		l->segments = v;
		l->cap = cap;
	}
	l->segments[l->n] = strdup(key);
	if (!l->segments[l->n])
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu segments", l->n);
	l->n++;
	return 0;
}

static void expect(struct mirror *m, uint64_t size)
{
	if (!m->params->counts)
		return;
	atomic_fetch_add_explicit(&m->params->counts->bytes_total, size, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->params->counts->files_total, 1, memory_order_relaxed);
}

static int take_lacking(struct round *r, const struct mirror_item *item, struct err *e)
{
	enum collection_part part;
	uint64_t n;

	/* What a collection has decided since the round began goes with the next one. */
	if (collection_key_parse(item->key, &n, &part) && n > r->look.final)
		return 0;
	expect(r->m, item->size);
	return runs_add(item->class == MIRROR_PACKS ? r->packs : r->items, item, 1, e);
}

static int take_extra(struct round *r, struct mirror_item *item, struct err *e)
{
	struct mirror *m = r->m;

	/* Who tries a restore out from the copy writes a journal there, and a record of it. */
	if (begins(item->key, RUNS) || begins(item->key, "audit/"))
		return 0;
	m->result.surplus++;
	m->result.surplus_points += item->class == MIRROR_POINTS;
	if (m->params->back && item->class == MIRROR_POINTS && m->result.rounds == 1 &&
	    mirror_say(m, MIRROR_SURPLUS, item->key, "only the copy has this restore point", e) < 0)
		return -1;
	if (!r->extra)
		return 0;
	if (item->class == MIRROR_POINTS &&
	    session_names_add(&r->wanted, item->key + strlen(COMMITS), e) < 0)
		return -1;
	return runs_add(r->extra, item, 1, e);
}

/* Segments before commits, holds after tombstones: what stands against these is not left out. */
static bool is_listed_apart(const char *key)
{
	return begins(key, SEGMENTS) || begins(key, HOLDS);
}

static int take_pair(void *arg, const struct store_pair *p, struct err *e)
{
	struct round *r = arg;
	struct mirror *m = r->m;
	struct mirror_item item;

	if (cancel_check(m->params->cancel, e) < 0)
		return -1;
	if (store_compare_is_local(p->key) || (r->others && is_listed_apart(p->key)))
		return 0;
	if (p->side != SIDE_RIGHT && begins(p->key, SEGMENTS) &&
	    note_segment(&r->look, p->key, e) < 0)
		return -1;
	if (!classify(p->key, p->side == SIDE_RIGHT ? &p->right : &p->left, &item)) {
		m->result.foreign += p->side == SIDE_LEFT;
		return 0;
	}
	if (p->side == SIDE_LEFT)
		return take_lacking(r, &item, e);
	if (p->side == SIDE_RIGHT)
		return take_extra(r, &item, e);
	if (p->left.size == p->right.size) {
		m->result.there++;
		m->result.there_bytes += p->left.size;
		return 0;
	}
	m->result.conflicts++;
	return m->result.rounds > 1
	               ? 0
	               : mirror_say(m, MIRROR_CONFLICT, p->key, "the copy has another length", e);
}

static int list_all(struct round *r, struct err *e)
{
	static const char *const prefixes[] = { SEGMENTS, "", HOLDS };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		r->others = !*prefixes[i];
		if (store_compare(r->m->from, r->m->to, prefixes[i], take_pair, r, NULL, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- whether the copy is one ---- */

struct kin {
	struct mirror *m;
	char newest[4][MIRROR_KEY_MAX]; /* of each series the last that both have */
	uint64_t size[4];
	char alone[MIRROR_KEY_MAX]; /* that the copy has, and the source cannot have deleted */
};

/* Objects with consecutive numbers, which stay for ever. -1: none of them. */
static int series_of(const char *key)
{
	static const char *const prefixes[] = { "tomb/", HOLDS, "ctl/config/" };
	enum collection_part part;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (begins(key, prefixes[i]))
			return (int)i;
	}
	return collection_key_parse(key, &n, &part) && part == COLLECTION_FINAL ? 3 : -1;
}

/* Who serves a plan, by the copy: it must not say something else. There are few of them. */
static int take_owner(struct kin *k, const struct store_pair *p, struct err *e)
{
	bool same = false;

	if (p->side == SIDE_BOTH && p->left.size == p->right.size &&
	    mirror_same(k->m, p->key, p->left.size, &same, e) < 0)
		return err_wrap(e, "comparing '%s'", p->key);
	if (!same)
		(void)snprintf(k->alone, sizeof(k->alone), "%s", p->key);
	return !same;
}

static int take_kin(void *arg, const struct store_pair *p, struct err *e)
{
	struct kin *k = arg;
	int i = series_of(p->key);

	if (p->side == SIDE_LEFT || strlen(p->key) >= MIRROR_KEY_MAX)
		return 0;
	if (begins(p->key, OWNERS))
		return take_owner(k, p, e);
	if (i < 0)
		return 0;
	if (p->side == SIDE_RIGHT) {
		(void)snprintf(k->alone, sizeof(k->alone), "%s", p->key);
		return 1;
	}
	/* Of another length it is another one. */
	k->size[i] = p->left.size == p->right.size ? p->left.size : UINT64_MAX;
	(void)snprintf(k->newest[i], sizeof(k->newest[i]), "%s", p->key);
	return 0;
}

static int other_way(const char *key, struct err *e)
{
	return err_set(e, ERR_CORRUPT,
	               "'%s' of the copy is not of this repository as the source has it: somebody "
	               "else wrote there since, and the two cannot be joined; mirror into an empty "
	               "place",
	               key);
}

static int check_kin(struct mirror *m, struct err *e)
{
	static const char *const prefixes[] = { "ctl/", HOLDS, "tomb/" };
	struct kin k = { .m = m };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (store_compare(m->from, m->to, prefixes[i], take_kin, &k, NULL, e) < 0)
			return -1;
		if (k.alone[0])
			return other_way(k.alone, e);
	}
	for (size_t i = 0; i < ARRAY_LEN(k.newest); i++) {
		bool same = false;

		if (!k.newest[i][0])
			continue;
		if (k.size[i] != UINT64_MAX && mirror_same(m, k.newest[i], k.size[i], &same, e) < 0)
			return err_wrap(e, "comparing '%s'", k.newest[i]);
		if (!same)
			return other_way(k.newest[i], e);
	}
	return 0;
}

static int take_first(void *arg, const struct store_item *item, struct err *e)
{
	char *key = arg;

	(void)e;
	memcpy(key, item->key, strlen(item->key) + 1);
	return 1;
}

static int check_config(struct mirror *m, struct err *e)
{
	struct store_stat from;
	struct store_stat to;
	struct err why = ERR_INIT;
	bool same = false;

	if (store_head(m->from, "config", &from, &why) < 0) {
		*e = why;
		return why.class == ERR_NOT_FOUND
		               ? err_set(e, ERR_NOT_FOUND, "there is no repository in '%s'",
		                         m->from->url)
		               : -1;
	}
	if (store_head(m->to, "config", &to, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (from.size == to.size && mirror_same(m, "config", from.size, &same, e) < 0)
		return -1;
	return same ? 0 : err_set(e, ERR_INVALID, "'%s' holds another repository", m->to->url);
}

static int check_target(struct mirror *m, struct err *e)
{
	char session[STORE_KEY_MAX + 1] = "";

	if (check_config(m, e) < 0)
		return -1;
	if (!m->params->back && store_list(m->to, "sess/", NULL, take_first, session, e) < 0)
		return -1;
	if (session[0])
		return err_set(e, ERR_BUSY,
		               "'%s' has a session of its own, '%s': somebody writes there, so it "
		               "is no mirror; to take a store back into use that was left in a "
		               "failover, use --back",
		               m->to->url, session);
	return check_kin(m, e);
}

/* ---- whether the source stood still ---- */

struct again {
	struct look *look;
	size_t at;    /* segments before this one were seen again */
	bool changed; /* one is gone, or one of maintenance came */
};

static int take_again(void *arg, const struct store_item *item, struct err *e)
{
	struct again *x = arg;
	const char *next = x->at < x->look->n ? x->look->segments[x->at] : NULL;
	int d = next ? strcmp(item->key, next) : -1;

	(void)e;
	if (d == 0) {
		x->at++;
		return 0;
	}
	x->changed = d > 0 || (strlen(item->key) > SEGMENT_SESSION &&
	                       session_is_maintenance(item->key + SEGMENT_SESSION));
	return x->changed;
}

static int stood_still(struct round *r, bool *ret, struct err *e)
{
	struct again x = { .look = &r->look };
	uint64_t final = 0;

	if (store_list(r->m->from, "ctl/gc/", NULL, note_final, &final, e) < 0 ||
	    store_list(r->m->from, SEGMENTS, NULL, take_again, &x, e) < 0)
		return -1;
	*ret = !x.changed && x.at == r->look.n && final == r->look.final;
	return 0;
}

/* ---- deleting ---- */

static int load_dead(struct round *r, struct err *e)
{
	const struct repo *repo = r->m->params->deletions;
	CLEANUP(collection_list_clear) struct collection_list open = { 0 };

	if (collection_state(repo, &r->state, e) < 0 ||
	    finals_load(repo, &r->state, &r->dead, NULL, e) < 0)
		return -1;
	if (!(r->state.open_parts & 1U << COLLECTION_FINAL))
		return 0;
	if (collection_get(repo, r->state.open, COLLECTION_FINAL, &open, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < open.packs.n; i++) {
		if (pack_list_add(&r->dead, open.packs.v[i].kind, open.packs.v[i].id, e) < 0)
			return -1;
	}
	pack_list_sort(&r->dead);
	return 0;
}

/* Whether the source has segments of this session. */
static bool has_segments(const struct look *l, const char *session)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strlen(l->segments[i]) > SEGMENT_SESSION &&
		    begins(l->segments[i] + SEGMENT_SESSION, session))
			return true;
	}
	return false;
}

/* Whether the source lacks the object since a collection took it, or something like that. */
static bool was_deleted(const struct round *r, const struct mirror_item *item)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	const char *session = item->key + strlen(COMMITS);
	enum collection_part part;
	uint64_t n;
	uint8_t kind;

	switch (item->class) {
	case MIRROR_PACKS:
		return pack_key_parse(item->key, id, &kind) == 0 &&
		       pack_list_has(&r->dead, kind, id);
	case MIRROR_SEGMENTS:
		return true; /* merged into others, which are there: the round saw to it */
	case MIRROR_MAINTENANCE:
		return item->size != FORMAT_ABORT_BYTES && !has_segments(&r->look, session);
	case MIRROR_POINTS:
		return session_names_has(&r->gone, session);
	case MIRROR_GUARDS:
		return collection_key_parse(item->key, &n, &part) && n <= r->state.done;
	default:
		return begins(item->key, "ctl/damage/");
	}
}

static int delete_one(struct round *r, const struct mirror_item *item, struct err *e)
{
	struct mirror *m = r->m;

	if (!was_deleted(r, item))
		return mirror_say(m, MIRROR_SURPLUS, item->key,
		                  "only the copy has it, and no collection took it from the source",
		                  e);
	if (!m->params->dry_run && store_delete(m->to, item->key, e) < 0)
		return err_wrap(e, "deleting from the copy");
	m->result.deleted++;
	m->result.deleted_bytes += item->size;
	m->result.surplus--;
	m->result.surplus_points -= item->class == MIRROR_POINTS;
	return mirror_say(m, MIRROR_DELETED, item->key, "as a collection did in the source", e);
}

/* Segments that name packs go before these, as a collection does it; commits last. */
static int delete_class(struct round *r, bool segments, struct err *e)
{
	const struct mirror_item *item;

	if (runs_rewind(r->extra, e) < 0)
		return -1;
	while ((item = runs_next(r->extra)) != NULL) {
		if (cancel_check(r->m->params->cancel, e) < 0)
			return -1;
		if ((item->class == MIRROR_SEGMENTS) == segments && delete_one(r, item, e) < 0)
			return -1;
	}
	return 0;
}

static int delete_all(struct round *r, struct err *e)
{
	if (!r->extra)
		return 0;
	session_names_sort(&r->wanted);
	if (r->wanted.n > 0 &&
	    finals_sessions(r->m->params->deletions, &r->state, &r->wanted, &r->gone, e) < 0)
		return -1;
	return delete_class(r, true, e) < 0 || delete_class(r, false, e) < 0 ? -1 : 0;
}

/* ---- rounds ---- */

static unsigned threads_of(const struct mirror *m, uint8_t class)
{
	unsigned n = m->params->parallel ? m->params->parallel : MIRROR_PARALLEL_DEFAULT;

	/* What has an order is in the copy in that order. */
	if (class == MIRROR_KEYS || class == MIRROR_COLLECTIONS)
		return 1;
	return n < MIRROR_PARALLEL_MAX ? n : MIRROR_PARALLEL_MAX;
}

static int count_only(struct mirror *m, const struct mirror_item *item, struct err *e)
{
	(void)e;
	(void)pthread_mutex_lock(&m->lock);
	m->result.copied++;
	m->result.copied_bytes += item->size;
	m->result.points += item->class == MIRROR_POINTS;
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

/* Copies all of it, class by class; ends early when a segment or its commit was gone. */
static int copy_all(struct mirror *m, struct runs *items, struct err *e)
{
	const struct mirror_item *next;

	if (runs_rewind(items, e) < 0)
		return -1;
	while ((next = runs_peek(items)) != NULL) {
		uint8_t class = next->class;

		if (mirror_each(m, items, threads_of(m, class),
		                m->params->dry_run ? count_only : mirror_copy, e) < 0)
			return -1;
		if (m->vanished && (class == MIRROR_SEGMENTS || class == MIRROR_MAINTENANCE))
			return 0;
	}
	return 0;
}

static int round_init(struct round *r, struct mirror *m, struct err *e)
{
	const char *scratch = m->params->scratch;

	*r = (struct round){ .m = m,
		             .items = mirror_items_new(scratch),
		             .packs = mirror_items_new(scratch),
		             .extra = m->params->deletions ? mirror_items_new(scratch) : NULL };
	if (!r->items || !r->packs || (m->params->deletions && !r->extra))
		return err_set(e, ERR_NOMEM, "no memory for a mirror");
	m->result.there = m->result.there_bytes = m->result.foreign = 0;
	m->result.surplus = m->result.surplus_points = 0;
	m->vanished = false;
	m->result.rounds++;
	if (m->params->deletions && load_dead(r, e) < 0)
		return -1;
	return store_list(m->from, "ctl/gc/", NULL, note_final, &r->look.final, e);
}

/* *ret_done false: a collection was at work, and another round is needed. */
static int round_run(struct mirror *m, bool *ret_done, struct err *e)
{
	CLEANUP(round_clear) struct round r;
	bool still = true;

	if (round_init(&r, m, e) < 0 || list_all(&r, e) < 0 || copy_all(m, r.packs, e) < 0)
		return -1;
	m->vanished = false; /* of packs a final tells it, which the next look finds */
	if (stood_still(&r, &still, e) < 0)
		return -1;
	*ret_done = m->params->dry_run || still;
	if (!*ret_done)
		return 0;
	if (copy_all(m, r.items, e) < 0)
		return -1;
	*ret_done = !m->vanished;
	return *ret_done ? delete_all(&r, e) : 0;
}

int mirror_run(struct store *from, struct store *to, const struct mirror_params *params,
               struct mirror_result *ret, struct err *e)
{
	CLEANUP(mirror_clear) struct mirror m;
	bool done = false;

	mirror_init(&m, from, to, params);
	if (check_target(&m, e) < 0)
		return -1;
	while (!done && m.result.rounds < ROUNDS_MAX) {
		if (round_run(&m, &done, e) < 0)
			return -1;
	}
	*ret = m.result;
	return done ? 0
	            : err_set(e, ERR_RETRY,
	                      "collections went on in '%s' during each of %d looks at it; what was "
	                      "copied stays, run it again",
	                      from->url, ROUNDS_MAX);
}
