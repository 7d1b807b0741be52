/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/repair.h"

#include <string.h>

#include "repo/check_impl.h"
#include "repo/collection.h"
#include "repo/repair_impl.h"
#include "repo/segment.h"

#define ROUNDS_MAX (FORMAT_LEVELS_MAX + 2) /* what a tree node hid, level by level */
#define MARK_MAX 500000                    /* places of one mark */

const char *repair_what_name(enum repair_what what)
{
	static const char *const names[] = {
		[REPAIR_REPLACED] = "replaced", [REPAIR_INDEXED] = "indexed",
		[REPAIR_DROPPED] = "dropped",   [REPAIR_MARKED] = "marked",
		[REPAIR_FAILED] = "failed",
	};

	return names[what];
}

int repair_tell(struct repair *rp, enum repair_what what, const char *object, uint64_t chunks,
                const char *text, struct err *e)
{
	const struct repair_act a = {
		.object = object, .what = what, .chunks = chunks, .text = text ? text : ""
	};

	rp->result->failed += what == REPAIR_FAILED;
	return rp->params->act ? rp->params->act(rp->params->arg, &a, e) : 0;
}

struct repair_domain *repair_domain_of(const struct repair *rp, const uint8_t tag[8])
{
	for (size_t i = 0; i < rp->ndomains; i++) {
		if (memcmp(rp->domains[i].keys->tag, tag, 8) == 0)
			return &rp->domains[i];
	}
	return NULL;
}

/* ---- what a look tells ---- */

static int take_domain(void *arg, const char *name, struct err *e)
{
	struct repair *rp = arg;

	for (size_t i = 0; i < rp->ndomains; i++) {
		if (strcmp(rp->domains[i].keys->name, name) == 0)
			return 0;
	}
	struct repair_domain *v = reallocarray(rp->domains, rp->ndomains + 1, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for the keys of a domain");
	rp->domains = v;
	v[rp->ndomains] = (struct repair_domain){ 0 };
	if (keys_domain(rp->repo->keys, name, &v[rp->ndomains].keys, e) < 0)
		return -1;
	rp->ndomains++;
	return 0;
}

static int take_segment(void *arg, const char *key, struct err *e)
{
	struct repair *rp = arg;

	for (size_t i = 0; i < rp->nsegments; i++) {
		if (strcmp(rp->segments[i], key) == 0)
			return 0;
	}
	char *copy = strdup(key);
	if (!copy || check_push(&rp->segments, &rp->nsegments, &rp->segments_cap, sizeof(copy),
	                        &copy, e) < 0) {
		free(copy);
		return err_set(e, ERR_NOMEM, "no memory for a list of segments");
	}
	return 0;
}

static int take_unindexed(void *arg, const struct pack_name *pack, uint64_t len, struct err *e)
{
	struct repair *rp = arg;

	(void)len;
	return pack_list_add(&rp->unindexed, pack->kind, pack->id, e);
}

static int take_place(void *arg, const struct place *p, struct err *e)
{
	struct repair *rp = arg;

	return check_push(&rp->places, &rp->nplaces, &rp->places_cap, sizeof(*p), p, e);
}

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct repair *rp = arg;
	struct repair_object o = { .there = p->what != CHECK_MISSING };
	size_t n = strlen(p->object);

	/* A group of objects, and what is whole and only contradicts another. */
	bool single = n > 0 && p->object[n - 1] != '/' && p->what != CHECK_MISMATCH;
	struct repair_object *last = rp->nobjects > 0 ? &rp->objects[rp->nobjects - 1] : NULL;
	/* Of one object there may be several, one after the other. */
	if (single && last && strcmp(last->key, p->object) == 0) {
		last->there |= o.there;
		single = false;
	}
	if (single && strncmp(p->object, "idx/", 4) != 0) {
		o.key = strdup(p->object);
		if (!o.key || check_push(&rp->objects, &rp->nobjects, &rp->objects_cap, sizeof(o),
		                         &o, e) < 0) {
			free(o.key);
			return err_set(e, ERR_NOMEM, "no memory for a list of objects");
		}
	}
	if (rp->params->dry_run && rp->params->problem)
		return rp->params->problem(rp->params->arg, p, e);
	return 0;
}

static int take_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	const struct repair *rp = arg;

	return rp->params->dry_run && rp->params->hurt ? rp->params->hurt(rp->params->arg, h, e)
	                                               : 0;
}

static void objects_clear(struct repair *rp)
{
	for (size_t i = 0; i < rp->nobjects; i++)
		free(rp->objects[i].key);
	rp->nobjects = 0;
}

static int look(struct repair *rp, unsigned level, struct check_result *ret, struct err *e)
{
	const struct check_sink sink = {
		.domain = take_domain,
		.segment = take_segment,
		.unindexed = take_unindexed,
		.place = take_place,
		.arg = rp,
	};
	const struct check_params p = {
		.level = level,
		.threads = rp->params->threads,
		.hurt_max = rp->params->hurt_max,
		.counts = rp->params->counts,
		.sink = &sink,
		.problem = take_problem,
		.hurt = take_hurt,
		.arg = rp,
	};

	objects_clear(rp);
	return check_run(rp->repo, &p, ret, e);
}

/* ---- putting back ---- */

/* What was replaced is good; below nodes and commits there may be more to see now. */
static int note_replaced(struct repair *rp, const struct repair_object *o, bool *ret_look_again,
                         struct err *e)
{
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	if (pack_key_parse(o->key, id, &kind) < 0) {
		*ret_look_again = true;
		return 0;
	}
	*ret_look_again |= kind == CHUNK_NODE;
	/* Whether the index names it is not known; twice does no harm. */
	return pack_list_add(&rp->replaced, kind, id, e) < 0
	               ? -1
	               : pack_list_add(&rp->unindexed, kind, id, e);
}

static int put_back(struct repair *rp, bool *ret_look_again, struct err *e)
{
	*ret_look_again = false;
	for (size_t i = 0; i < rp->nobjects; i++) {
		const struct repair_object *o = &rp->objects[i];
		struct err why = ERR_INIT;
		uint64_t bytes = 0;
		int rc = repair_copy(rp, o, &bytes, &why, e);

		if (rc < 0)
			return -1;
		if (rc == 0) {
			if (repair_tell(rp, REPAIR_FAILED, o->key, 0, why.msg, e) < 0)
				return -1;
			continue;
		}
		rp->result->replaced++;
		rp->result->replaced_bytes += bytes;
		if (repair_tell(rp, REPAIR_REPLACED, o->key, 0, NULL, e) < 0 ||
		    note_replaced(rp, o, ret_look_again, e) < 0)
			return -1;
	}
	*ret_look_again &= !rp->params->dry_run;
	return 0;
}

/* What stands in a pack that is good again is damaged no more; the rest of the mark stays. */
static int lift_mark(void *arg, const char *key, const struct place *places, size_t n,
                     struct err *e)
{
	struct repair *rp = arg;
	auto_free struct place *left = calloc(n + 1, sizeof(*left));
	struct err why = ERR_INIT;
	size_t kept = 0;

	if (!left)
		return err_set(e, ERR_NOMEM, "no memory for a mark of damage");
	for (size_t i = 0; i < n; i++) {
		if (!pack_list_has(&rp->replaced, places[i].pack.kind, places[i].pack.id))
			left[kept++] = places[i];
	}
	if (kept == n)
		return 0;
	if (kept > 0 && damage_put(rp->repo, left, kept, e) < 0)
		return -1;
	if (store_delete(rp->repo->store, key, &why) == 0)
		return 0;
	if (why.class == ERR_DENIED || why.class == ERR_UNSUPPORTED)
		return repair_tell(rp, REPAIR_FAILED, key, 0, why.msg, e);
	*e = why;
	return -1;
}

static int lift_marks(struct repair *rp, struct err *e)
{
	CLEANUP(absent_clear) struct absent ignored = { 0 };

	if (rp->replaced.n == 0 || rp->params->dry_run)
		return 0;
	pack_list_sort(&rp->replaced);
	return damage_load(rp->repo, &ignored, lift_mark, rp, e);
}

/* Looks, and puts back, until nothing more comes to light. */
static int look_and_put_back(struct repair *rp, struct err *e)
{
	struct check_result again_result;
	bool again = false;

	if (look(rp, rp->params->level, &rp->result->before, e) < 0)
		return err_wrap(e, "looking for damage");
	rp->result->unmarked = rp->result->before.untold;
	for (unsigned round = 1; rp->params->from; round++) {
		if (put_back(rp, &again, e) < 0 || lift_marks(rp, e) < 0)
			return -1;
		if (!again || round == ROUNDS_MAX)
			break;
		if (look(rp, 2, &again_result, e) < 0)
			return err_wrap(e, "looking for damage");
		rp->result->unmarked += again_result.untold;
	}
	pack_list_sort(&rp->replaced);
	pack_list_sort(&rp->unindexed);
	return 0;
}

/* ---- marking ---- */

/* Leaves out what is told twice, and what is good again. */
static void narrow_places(struct repair *rp)
{
	size_t kept = 0;

	if (rp->nplaces > 0)
		qsort(rp->places, rp->nplaces, sizeof(*rp->places), absent_place_cmp);
	for (size_t i = 0; i < rp->nplaces; i++) {
		const struct place *p = &rp->places[i];

		if (pack_list_has(&rp->replaced, p->pack.kind, p->pack.id) ||
		    (kept > 0 && absent_place_cmp(&rp->places[kept - 1], p) == 0))
			continue;
		rp->places[kept++] = *p;
	}
	rp->nplaces = kept;
}

static int mark(struct repair *rp, struct err *e)
{
	narrow_places(rp);
	for (size_t i = 0, n; i < rp->nplaces; i += n) {
		n = rp->nplaces - i < MARK_MAX ? rp->nplaces - i : MARK_MAX;
		if (!rp->params->dry_run && damage_put(rp->repo, rp->places + i, n, e) < 0)
			return -1;
		rp->result->marked += n;
	}
	for (size_t i = 0, end; i < rp->nplaces; i = end) {
		const struct pack_name *pack = &rp->places[i].pack;
		char name[PACK_KEY_MAX];

		for (end = i; end < rp->nplaces && rp->places[end].pack.kind == pack->kind &&
		              memcmp(rp->places[end].pack.id, pack->id, sizeof(pack->id)) == 0;
		     end++)
			;
		pack_key_name(name, pack->id, pack->kind);
		if (repair_tell(rp, REPAIR_MARKED, name, end - i, NULL, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- all of it ---- */

static int tell_left(struct repair *rp, struct err *e)
{
	const struct check_params p = {
		.level = 2,
		.threads = rp->params->threads,
		.hurt_max = rp->params->hurt_max,
		.counts = rp->params->counts,
		.problem = rp->params->problem,
		.hurt = rp->params->hurt,
		.arg = rp->params->arg,
	};

	if (rp->params->dry_run) {
		rp->result->after = rp->result->before;
		return 0;
	}
	return check_run(rp->repo, &p, &rp->result->after, e) < 0
	               ? err_wrap(e, "looking what is left")
	               : 0;
}

static void repair_clear(struct repair *rp)
{
	for (size_t i = 0; i < rp->ndomains; i++) {
		segment_writer_free(rp->domains[i].to);
		secret_free(rp->domains[i].keys);
	}
	free(rp->domains);
	objects_clear(rp);
	free(rp->objects);
	for (size_t i = 0; i < rp->nsegments; i++)
		free(rp->segments[i]);
	free(rp->segments);
	pack_list_clear(&rp->unindexed);
	pack_list_clear(&rp->replaced);
	free(rp->places);
}

int repair_run(const struct repo *r, const struct repair_params *params, struct repair_result *ret,
               struct err *e)
{
	struct repair_result result = { 0 };
	CLEANUP(repair_clear)
	struct repair rp = { .repo = r, .params = params, .result = &result };

	if (!r->keys->has_sign && !params->dry_run)
		return err_set(e, ERR_DENIED,
		               "a repair signs what it puts: use an agent key, not this one");
	if (params->from && memcmp(r->keys->repo, params->from->keys->repo, sizeof(r->keys->repo)))
		return err_set(e, ERR_INVALID, "the second store is that of another repository");
	if (look_and_put_back(&rp, e) < 0 || repair_index(&rp, e) < 0 || mark(&rp, e) < 0 ||
	    tell_left(&rp, e) < 0)
		return -1;
	*ret = result;
	return 0;
}
