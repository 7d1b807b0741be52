/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packs a check reads in full (levels 3 and 4), and the records of it.
 * With a budget those that were verified the longest time ago come first, so
 * that checks that are run every day get around the whole repository.
 */
#include <sodium.h>
#include <string.h>

#include "common/now.h"
#include "common/runs.h"
#include "repo/check_impl.h"

#define RECORD_EVERY_NS ((int64_t)600 * 1000000000) /* what is at risk when a check is killed */

/* ---- choosing ---- */

struct candidate {
	int64_t at_ns; /* verified last; 0: never */
	uint64_t tie;  /* random, so that no pack is always the last */
	size_t number; /* in ck->listed */
};

static int candidate_cmp(const void *va, const void *vb)
{
	const struct candidate *a = va;
	const struct candidate *b = vb;

	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	if (a->tie != b->tie)
		return a->tie < b->tie ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

static uint64_t random64(void)
{
	uint64_t v;

	randombytes_buf(&v, sizeof(v));
	return v;
}

/* True for a pack that a pass before this one, of the same check, has verified. */
static bool is_done(const struct check *ck, const struct check_listed *x)
{
	const struct pack_list done = { .v = ck->run->done, .n = ck->run->ndone };

	return pack_list_has(&done, x->kind, x->id);
}

static bool is_wanted(const struct check *ck, const struct checked_ages *ages,
                      const struct check_listed *x, int64_t *ret_at_ns)
{
	const struct check_params *p = ck->params;
	int64_t before_ns = 0;

	*ret_at_ns = checked_age_of(ages, x->kind, x->id);
	if (p->max_age_ns > 0)
		before_ns = ck->run->started_ns - p->max_age_ns;
	if (p->resume && ages->open_run[0] && (before_ns == 0 || before_ns > ages->open_started_ns))
		before_ns = ages->open_started_ns;
	return before_ns == 0 || *ret_at_ns < before_ns;
}

static void choose_one(struct check_listed *x, struct check_result *r)
{
	x->body = true;
	r->packs_chosen++;
	r->bytes_chosen += x->len;
}

/* All that may be chosen, into the list. */
static int gather_candidates(const struct check *ck, const struct checked_ages *ages,
                             struct runs *list, struct err *e)
{
	struct candidate v[256];
	size_t n = 0;

	for (size_t i = 0; i < ck->nlisted; i++) {
		int64_t at_ns;

		if (is_done(ck, &ck->listed[i]) || !is_wanted(ck, ages, &ck->listed[i], &at_ns))
			continue;
		v[n++] = (struct candidate){ .at_ns = at_ns, .tie = random64(), .number = i };
		if (n == ARRAY_LEN(v)) {
			if (runs_add(list, v, n, e) < 0)
				return -1;
			n = 0;
		}
	}
	return runs_add(list, v, n, e) < 0 || runs_rewind(list, e) < 0 ? -1 : 0;
}

/* The oldest first, until the budget is used up; at least one. */
static int choose_by_budget(struct check *ck, const struct checked_ages *ages,
                            struct check_result *r, struct err *e)
{
	static const struct runs_type type = {
		.size = sizeof(struct candidate),
		.cmp = candidate_cmp,
	};
	auto_runs struct runs *list = runs_new(&type, ck->scratch);
	const struct candidate *v;

	if (!list)
		return err_set(e, ERR_NOMEM, "no memory for a list of packs");
	if (gather_candidates(ck, ages, list, e) < 0)
		return -1;
	while ((v = runs_next(list))) {
		struct check_listed *x = &ck->listed[v->number];

		if (r->packs_chosen > 0 &&
		    r->bytes_chosen + x->len + ck->run->bytes > ck->params->budget)
			break;
		choose_one(x, r);
	}
	return 0;
}

static void note_ages(const struct check *ck, const struct checked_ages *ages,
                      struct check_result *r)
{
	r->never_verified = 0;
	r->oldest_ns = 0;
	for (size_t i = 0; i < ck->nlisted; i++) {
		const struct check_listed *x = &ck->listed[i];
		int64_t at_ns = checked_age_of(ages, x->kind, x->id);

		if (at_ns == 0)
			r->never_verified++;
		else if (r->oldest_ns == 0 || at_ns < r->oldest_ns)
			r->oldest_ns = at_ns;
	}
}

int check_choose(struct check *ck, struct check_result *r, struct err *e)
{
	CLEANUP(checked_ages_clear) struct checked_ages ages = { 0 };
	const struct check_params *p = ck->params;
	int rc = 0;

	r->packs_chosen = r->bytes_chosen = 0;
	if (p->level < 3)
		return 0;
	for (size_t i = 0; i < ck->nlisted; i++)
		ck->listed[i].verified = is_done(ck, &ck->listed[i]);
	if ((p->budget > 0 || p->max_age_ns > 0 || p->resume) &&
	    checked_ages(ck->repo, p->level, &ages, e) < 0)
		return -1;
	note_ages(ck, &ages, r);
	if (p->budget > 0) {
		rc = choose_by_budget(ck, &ages, r, e);
	} else {
		for (size_t i = 0; i < ck->nlisted; i++) {
			struct check_listed *x = &ck->listed[i];
			int64_t at_ns;

			if (is_done(ck, x) || !is_wanted(ck, &ages, x, &at_ns) ||
			    (p->sample_percent > 0 &&
			     randombytes_uniform(100) >= p->sample_percent))
				continue;
			choose_one(x, r);
		}
	}
	if (p->counts)
		atomic_store(&p->counts->bytes_total, r->bytes_chosen);
	return rc;
}

/* ---- records ---- */

bool check_is_all(const struct check_params *p)
{
	return p->budget == 0 && p->max_age_ns == 0 && p->sample_percent == 0;
}

static void fill_record(const struct check *ck, const struct check_result *r, bool ended,
                        struct checked *x)
{
	const struct check_params *p = ck->params;

	*x = (struct checked){
		.level = p->level,
		.ended = ended,
		.all = check_is_all(p),
		.started_ns = ck->run->started_ns,
		.finished_ns = ended ? now_wall_ns() : 0,
		.points = ended ? r->points : 0,
		.objects = ended ? r->objects : 0,
		.bytes_read = ended ? r->bytes_read : 0,
		.problems = ended ? r->problems : 0,
		.hurt_points = ended ? r->hurt_points : 0,
		.hurt_entries = ended ? r->hurt_entries : 0,
		.packs_verified = ended ? r->packs_verified : 0,
		.bytes_verified = ended ? r->bytes_verified : 0,
	};
	memcpy(x->run, ck->run->name, sizeof(x->run));
}

/* Puts a record of these packs, and empties the list. What is not put is told by the next one. */
static void put_record(struct check_pass *run, const struct repo *r, const struct checked *x,
                       struct pack_list *packs)
{
	struct err why = ERR_INIT;

	if (checked_put(r, x, packs, &why) < 0) {
		run->unrecorded = why;
		return;
	}
	run->recorded++;
	pack_list_clear(packs);
}

void check_record(struct check *ck, const struct check_result *r, bool ended)
{
	struct check_pass *run = ck->run;
	struct checked x;

	run->recorded_ns = now_mono_ns();
	if (!ck->params->record)
		return;
	run->unrecorded = (struct err)ERR_INIT;
	fill_record(ck, NULL, false, &x);
	x.damaged = true;
	if (run->damaged.n > 0)
		put_record(run, ck->repo, &x, &run->damaged);
	fill_record(ck, r, ended, &x);
	if (ended || run->fresh.n > 0)
		put_record(run, ck->repo, &x, &run->fresh);
}

int check_read(struct check *ck, const struct check_listed *x, bool good, struct err *e)
{
	struct check_pass *run = ck->run;
	struct pack_list *l = good ? &run->fresh : &run->damaged;
	int rc;

	(void)pthread_mutex_lock(&run->lock);
	run->packs += good;
	run->bytes += good ? x->len : 0;
	ck->listed[x - ck->listed].verified = good;
	rc = pack_list_add(l, x->kind, x->id, e);
	/* Putting it holds the others up for one request every ten minutes. */
	if (rc == 0 &&
	    (l->n == CHECKED_PACKS_MAX || now_mono_ns() - run->recorded_ns > RECORD_EVERY_NS))
		check_record(ck, NULL, false);
	/* A record has no room for more; of these nothing is said then. */
	if (l->n == CHECKED_PACKS_MAX)
		pack_list_clear(l);
	(void)pthread_mutex_unlock(&run->lock);
	return rc;
}
