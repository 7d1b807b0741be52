/* SPDX-License-Identifier: Apache-2.0 */
/* See damage_judge.h. */
#include "tests/harness/damage_judge.h"

#include <stdarg.h>
#include <string.h>

#include "repo/repair.h"
#include "tests/harness/harness.h"

#define ROUNDS_MAX 6 /* of a collection */
#define HEAD_VOLUME 0
#define HEAD_STATE 3 /* of the newest point of that volume */

static void silent(struct damage_verdict *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void silent(struct damage_verdict *v, const char *fmt, ...)
{
	size_t n = strlen(v->silences);
	va_list ap;

	v->silent++;
	if (n + 2 >= sizeof(v->silences))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(v->silences + n, sizeof(v->silences) - n - 1, fmt, ap);
	va_end(ap);
	n = strlen(v->silences);
	memcpy(v->silences + n, "\n", 2);
}

/* A class that says what is the matter; not that the program is. */
static void judge_class(struct damage_verdict *v, const char *what, const struct err *e)
{
	if (e->class == ERR_NONE || e->class == ERR_BUG || e->class == ERR_NOMEM ||
	    e->class == ERR_RETRY || e->class == ERR_IO || !e->msg[0])
		silent(v, "%s: fails with '%s': %s", what, err_class_name(e->class), e->msg);
}

/* ---- restores ---- */

static enum damage_fate restore(const struct repo *r, const char *session,
                                const struct damage_digest *wanted, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	struct damage_digest got;

	if (repo_point(r, session, &p, e) < 0 || damage_restore(r, &p, &got, e) < 0)
		return DAMAGE_FAILS;
	return damage_digest_is(&got, wanted) ? DAMAGE_COMES_BACK : DAMAGE_WRONG;
}

static void restore_all(const struct damage_world *w, struct damage_store *s, const char *when,
                        enum damage_fate *fates, enum err_class *classes, struct damage_verdict *v)
{
	auto_repo struct repo *r = NULL;
	struct err closed = ERR_INIT;

	if (damage_world_open(w, s, "recovery", NULL, &r, &closed) < 0)
		judge_class(v, when, &closed);
	for (unsigned i = 0; i < w->npoints; i++) {
		struct err e = closed;

		fates[i] = DAMAGE_FAILS;
		classes[i] = ERR_NONE;
		if (!w->points[i].live)
			continue;
		if (r)
			fates[i] = restore(r, w->points[i].session, &w->points[i].digest, &e);
		if (fates[i] == DAMAGE_WRONG)
			silent(v, "%s: '%s' comes back with other content", when,
			       w->points[i].session);
		if (fates[i] == DAMAGE_FAILS) {
			judge_class(v, when, &e);
			classes[i] = e.class;
		}
	}
}

/* Pins are there, as they were put. */
static bool pins_whole(const struct damage_world *w, const struct damage_store *s)
{
	for (size_t i = 0; i < w->now->n; i++) {
		const struct damage_object *o = &w->now->v[i];
		const struct damage_object *there;

		if (strncmp(o->key, "pin/", 4) != 0)
			continue;
		there = damage_store_find(s, o->key);
		if (!there || there->bytes != o->bytes)
			return false;
	}
	return true;
}

/*
 * The same with less effort, and each that came back before must come back still, unless it may
 * be lost: what came back from a second copy of a chunk, after a collection that nobody had told of
 * the damage (docs/RELIABILITY.md).
 */
static void restore_once_more(const struct damage_world *w, struct damage_store *s,
                              const char *when, bool may_lose, struct damage_verdict *v,
                              unsigned *ret_lost)
{
	struct point points[DAMAGE_POINTS] = { 0 };
	struct damage_digest digests[DAMAGE_POINTS];
	struct err errs[DAMAGE_POINTS] = { 0 };
	auto_repo struct repo *r = NULL;
	struct err e = ERR_INIT;

	*ret_lost = 0;
	bool open = damage_world_open(w, s, "recovery", NULL, &r, &e) == 0;
	for (unsigned i = 0; i < w->npoints; i++) {
		if (open && w->points[i].live &&
		    repo_point(r, w->points[i].session, &points[i], &errs[i]) < 0)
			points[i].session[0] = '\0';
	}
	open = open && damage_read_all(r, points, w->npoints, digests, errs, &e) == 0;
	for (unsigned i = 0; i < w->npoints; i++) {
		if (!open)
			errs[i] = e;
		bool fails = errs[i].class != ERR_NONE;
		if (!w->points[i].live || (fails && v->unpinned && w->points[i].pinned))
			continue;
		if (!fails && !damage_digest_is(&digests[i], &w->points[i].digest))
			silent(v, "%s: '%s' comes back with other content", when,
			       w->points[i].session);
		if (fails)
			judge_class(v, when, &errs[i]);
		*ret_lost += fails;
		if (fails && v->fates[i] == DAMAGE_COMES_BACK && !may_lose)
			silent(v, "%s: '%s', which came back before, does no longer: %s", when,
			       w->points[i].session, errs[i].msg);
		point_clear(&points[i]);
	}
}

static void restore_again(const struct damage_world *w, struct damage_store *s, const char *when,
                          struct damage_verdict *v, unsigned *ret_lost)
{
	restore_once_more(w, s, when, false, v, ret_lost);
}

/* ---- checks ---- */

static int take_problem(void *arg, const struct check_problem *p, struct err *e)
{
	char *first = arg;

	(void)e;
	if (!first[0])
		(void)snprintf(first, ERR_MSG_MAX, "%s '%s': %s", check_what_name(p->what),
		               p->object, p->text);
	return 0;
}

/* Whether the check tells anything; first has ERR_MSG_MAX bytes. */
static bool check(const struct damage_world *w, struct damage_store *s, const char *key,
                  unsigned level, const char *when, char *first, struct damage_verdict *v)
{
	const struct check_params p = {
		.level = level, .threads = 1, .problem = take_problem, .arg = first
	};
	auto_repo struct repo *r = NULL;
	struct check_result result;
	struct err e = ERR_INIT;

	first[0] = '\0';
	if (damage_world_open(w, s, key, NULL, &r, &e) < 0 || check_run(r, &p, &result, &e) < 0) {
		judge_class(v, when, &e);
		(void)snprintf(first, ERR_MSG_MAX, "%s", e.msg);
		return true;
	}
	return result.problems > 0;
}

/* ---- collections ---- */

/* Until there is nothing left to do, or it refuses. True: it does its work. */
static bool collect(const struct damage_world *w, struct damage_store *s, const char *when,
                    char *why, struct damage_verdict *v)
{
	auto_repo struct repo *r = NULL;
	struct err e = ERR_INIT;

	why[0] = '\0';
	if (damage_world_open(w, s, "agent", NULL, &r, &e) == 0) {
		for (unsigned round = 0; round < ROUNDS_MAX; round++) {
			struct gc_result result;

			if (gc_run(r, &damage_eager, &result, &e) < 0)
				break;
			if (result.outcome == GC_NOTHING)
				return true;
		}
		if (e.class == ERR_NONE)
			silent(v, "%s: collections come to no end", when);
	}
	if (e.class != ERR_NONE)
		judge_class(v, when, &e);
	(void)snprintf(why, ERR_MSG_MAX, "%s", e.msg);
	return false;
}

static void judge_collection(const struct damage_world *w, struct damage_store *s, bool twice,
                             struct damage_verdict *v)
{
	auto_damage_store struct damage_store *copy = damage_store_copy(s);
	char first[ERR_MSG_MAX];
	unsigned lost;

	v->collects = collect(w, copy, "the collection", v->refuses, v);
	restore_once_more(w, copy, "after the collection", twice && v->told, v, &lost);
	bool told = check(w, copy, "recovery", 4, "the check after it", first, v);
	if (!told && lost > 0 && !v->unseen)
		silent(v, "after the collection %u points are lost, and the check tells nothing",
		       lost);
	if (told && !v->told)
		silent(v, "after the collection the check tells of something: %s", first);
}

/* ---- backups and repairs ---- */

/* 1: a new point, which does or does not come back; 0: it failed. */
static int back_up(const struct damage_world *w, struct damage_store *s, const char *when,
                   bool *ret_good, struct damage_verdict *v)
{
	CLEANUP(point_clear) struct point p = { 0 };
	auto_repo struct repo *agent = NULL;
	auto_repo struct repo *recovery = NULL;
	const struct damage_digest wanted = damage_world_digest(w, HEAD_VOLUME, HEAD_STATE);
	struct err e = ERR_INIT;

	if (damage_world_open(w, s, "agent", NULL, &agent, &e) < 0 ||
	    damage_world_backup(w, agent, HEAD_VOLUME, HEAD_STATE, &p, &e) < 0 ||
	    damage_world_open(w, s, "recovery", NULL, &recovery, &e) < 0) {
		judge_class(v, when, &e);
		return 0;
	}
	enum damage_fate fate = restore(recovery, p.session, &wanted, &e);
	if (fate == DAMAGE_WRONG)
		silent(v, "%s: what was backed up just now comes back as something else", when);
	if (fate == DAMAGE_FAILS)
		judge_class(v, when, &e);
	*ret_good = fate == DAMAGE_COMES_BACK;
	return 1;
}

static bool repair(const struct damage_world *w, struct damage_store *s, struct damage_verdict *v)
{
	const struct repair_params p = { .level = 3, .threads = 1 };
	auto_repo struct repo *r = NULL;
	struct repair_result result;
	struct err e = ERR_INIT;

	if (damage_world_open(w, s, "agent", NULL, &r, &e) < 0 ||
	    repair_run(r, &p, &result, &e) < 0) {
		judge_class(v, "the repair", &e);
		return false;
	}
	return true;
}

static void judge_repair(const struct damage_world *w, struct damage_store *s,
                         struct damage_verdict *v)
{
	auto_damage_store struct damage_store *copy = damage_store_copy(s);
	char first[ERR_MSG_MAX];
	char why[ERR_MSG_MAX];
	bool first_good = true;
	bool good = true;
	unsigned lost;

	(void)back_up(w, copy, "the next backup", &first_good, v);
	restore_again(w, copy, "after the next backup", v, &lost);
	if (!check(w, copy, "recovery", 4, "the check before the repair", first, v) && !first_good)
		silent(v, "the next backup is bad, and the check tells nothing");
	bool repaired = repair(w, copy, v);
	restore_again(w, copy, "after the repair", v, &lost);
	if (!check(w, copy, "recovery", 4, "the check after the repair", first, v) &&
	    (lost > 0 || !first_good) && !v->told && !v->unseen)
		silent(v, "after the repair %u points are lost, and nothing tells it", lost);
	if (repaired && back_up(w, copy, "the backup after the repair", &good, v) && !good)
		silent(v, "the backup after the repair does not come back");
	bool collects = collect(w, copy, "the collection after the repair", why, v);
	if (v->collects && !collects)
		silent(v, "the collection after the repair refuses: %s", why);
	restore_again(w, copy, "at the end", v, &lost);
	bool told = check(w, copy, "recovery", 4, "the last check", first, v);
	if (!told && lost > 0 && !v->told && !v->unseen)
		silent(v, "at the end %u points are lost, and nothing tells it", lost);
	if (told && !v->told)
		silent(v, "at the end the check tells of something: %s", first);
}

void damage_judge(const struct damage_world *w, struct damage_store *s, unsigned legs,
                  struct damage_verdict *v)
{
	char first3[ERR_MSG_MAX];

	*v = (struct damage_verdict){ .collects = true,
		                      .unseen = legs & DAMAGE_UNSEEN,
		                      .unpinned = !pins_whole(w, s) };
	restore_all(w, s, "a restore", v->fates, v->classes, v);
	for (unsigned i = 0; i < w->npoints; i++)
		v->lost += w->points[i].live && v->fates[i] != DAMAGE_COMES_BACK;
	unsigned lost;
	if (legs & (DAMAGE_LEG_COLLECT | DAMAGE_LEG_REPAIR))
		restore_again(w, s, "a second restore", v, &lost);
	v->told = check(w, s, "recovery", 4, "the check of level 4", v->first, v);
	v->told3 = check(w, s, "audit", 3, "the check of level 3", first3, v);
	if (v->told != v->told3)
		silent(v, "level 4 tells '%s', level 3 '%s'", v->first, first3);
	if (v->lost > 0 && !v->told && !v->unseen)
		silent(v, "%u points are lost, and the check tells nothing", v->lost);
	if (legs & DAMAGE_LEG_COLLECT)
		judge_collection(w, s, legs & DAMAGE_TWICE, v);
	if (legs & DAMAGE_LEG_REPAIR)
		judge_repair(w, s, v);
}
