/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits are looked at from the newest on, in the order in which the store received them: a volume
 * has one writer at a time. Where the store is a directory those times may have been lost by a
 * copy, and reading is cheap, so all commits of a volume are opened and their sequence counts.
 */
#include "restore/pick.h"

#include <string.h>

#include "common/team.h"
#include "repo/living.h"
#include "repo/whole.h"
#include "snapshot/snapshot.h"

#define THREADS 16
#define THREADS_MAX 64

const char *pick_why_text(enum pick_why w)
{
	static const char *const texts[PICK_WHYS] = {
		"of after the time that was asked for",
		"of less consistency than the plan wants",
		"not complete in the second region",
		"damaged",
		"of a set of which another point cannot be used",
		"of which parts are not in the store"
	};

	return texts[w];
}

/* A commit of a volume. */
struct candidate {
	const struct commit_item *commit;
	bool tried, opened, bad, set_of_many;
	bool complete; /* by how far the second region is */
	bool look;     /* whether all of it is there is still to be looked at */
	uint8_t consistency;
	uint64_t sequence;
	int64_t frozen_ns;
	char set[33];
};

/* The commits of one volume, the newest first. */
struct group {
	struct candidate *v; /* into survey.all */
	size_t n, at;        /* at: the one that is picked; n: none is */
	bool wanted;
	struct pick pick;
};

struct survey {
	const struct repo *r;
	const struct pick_params *params;
	struct living living;
	struct whole *whole; /* owned; NULL: nothing is looked at */
	struct candidate *all;
	struct group *groups;
	size_t n;
	struct store_cut cut;
	bool away, by_sequence;
	struct team_tasks tasks;
};

static void clean_survey(struct survey *s)
{
	for (size_t i = 0; i < s->n; i++)
		json_decref(s->groups[i].pick.claim);
	whole_free(s->whole);
	free(s->groups);
	free(s->all);
	living_clear(&s->living);
}

void picks_clear(struct picks *p)
{
	for (size_t i = 0; i < p->n; i++)
		json_decref(p->v[i].claim);
	free(p->v);
	*p = (struct picks){ .n = 0 };
}

/* ---- what there is ---- */

static const char *voltag_of(const struct candidate *c)
{
	return c->commit->session + POINT_SESSION_VOLTAG;
}

/* By volume, then the newest first. */
static int by_volume(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;
	const int tag = strncmp(voltag_of(x), voltag_of(y), 16);

	if (tag != 0)
		return tag;
	if (x->commit->received_ns != y->commit->received_ns)
		return x->commit->received_ns > y->commit->received_ns ? -1 : 1;
	return strcmp(y->commit->session, x->commit->session);
}

static int by_sequence(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;

	if (x->sequence != y->sequence)
		return x->sequence > y->sequence ? -1 : 1;
	return by_volume(a, b);
}

static bool same_volume(const struct candidate *a, const struct candidate *b)
{
	return strncmp(voltag_of(a), voltag_of(b), 16) == 0;
}

static int group(struct survey *s, size_t n, struct err *e)
{
	size_t volumes = 0;

	for (size_t i = 0; i < n; i++)
		volumes += i == 0 || !same_volume(&s->all[i - 1], &s->all[i]);
	s->groups = calloc(volumes + 1, sizeof(*s->groups));
	if (!s->groups)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu volumes", volumes);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !same_volume(&s->all[i - 1], &s->all[i]))
			s->groups[s->n++].v = &s->all[i];
		s->groups[s->n - 1].n++;
	}
	return 0;
}

static int list(struct survey *s, struct err *e)
{
	size_t n = 0;

	if (living_load(s->r, &s->living, e) < 0)
		return -1;
	const struct commit_list *l = &s->living.commits;
	s->all = calloc(l->n + 1, sizeof(*s->all));
	if (!s->all)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu restore points", l->n);
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].kind == COMMIT_POINT && living_is(&s->living, l->v[i].session))
			s->all[n++].commit = &l->v[i];
	}
	if (n > 0)
		qsort(s->all, n, sizeof(*s->all), by_volume);
	return group(s, n, e);
}

/* ---- one commit ---- */

/* Its words are those of repo/point.h, which has checked them. */
static uint8_t consistency_of(const struct point *p)
{
	uint8_t c = SNAP_FUZZY;

	while (c < SNAP_APPLICATION &&
	       strcmp(p->consistency, snapshot_consistency_name((enum snapshot_consistency)c)) != 0)
		c++;
	return c;
}

/*
 * What was received up to the cut is in the second region. While the first one answers, that counts
 * where the plan says so, and something is known of it. While it does not, the rest is looked at.
 */
static void judge_by_cut(const struct survey *s, struct candidate *c)
{
	const struct store_cut *cut = &s->cut;
	const bool known = cut->kind != CUT_NONE && cut->kind != CUT_UNKNOWN;
	const bool under = known && c->commit->received_ns > 0 &&
	                   c->commit->received_ns <= cut->cut_ns;

	c->complete = s->away || !s->params->geo || !known || under;
	c->look = s->params->whole || (s->away && !under);
}

/* Opens it, unless that was done. 1: it is open; 0: it is not to be opened; -1: the store fails. */
static int open_one(const struct survey *s, struct candidate *c, struct point *ret, struct err *e)
{
	struct err why = ERR_INIT;

	c->tried = true;
	if (repo_point_at(s->r, c->commit->session, c->commit->received_ns, ret, &why) == 0) {
		c->opened = true;
		judge_by_cut(s, c);
		c->sequence = ret->sequence;
		c->frozen_ns = ret->frozen_ns;
		c->consistency = consistency_of(ret);
		c->set_of_many = ret->capture.moment[0] != '\0';
		memcpy(c->set, ret->set, sizeof(c->set));
		return 1;
	}
	if (!note_is_bad(&why) && !key_is_void(&why) && why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	/* What does not open may be the newest. */
	c->bad = !key_is_void(&why);
	c->sequence = UINT64_MAX;
	return 0;
}

static bool is_selected(const struct survey *s, const struct point *p)
{
	const json_t *labels = json_object_get(p->capture.claim, "labels");

	return strcmp(p->volume.cluster, s->params->cluster) == 0 &&
	       recipe_selects(s->params->select, p->volume.namespace, p->volume.name, labels);
}

/* The first that opens says whose it is. */
static int know(const struct survey *s, struct group *g, struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		const int rc = open_one(s, &g->v[i], &p, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			continue;
		g->wanted = is_selected(s, &p);
		g->pick.volume = p.volume;
		g->pick.newest_ns = p.frozen_ns;
		return 0;
	}
	return 0;
}

static int know_all(const struct survey *s, struct group *g, struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		CLEANUP(point_clear) struct point p = { 0 };

		if (g->v[i].tried)
			continue;
		const int rc = open_one(s, &g->v[i], &p, e);
		if (rc < 0)
			return -1;
		if (rc > 0 && p.frozen_ns > g->pick.newest_ns)
			g->pick.newest_ns = p.frozen_ns;
	}
	qsort(g->v, g->n, sizeof(*g->v), by_sequence);
	return 0;
}

/* 1: all of it is there, or that is not asked; 0: not; -1: the store fails. */
static int is_whole(const struct survey *s, struct candidate *c, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	bool whole;

	if (!c->look)
		return 1;
	if (repo_point_at(s->r, c->commit->session, c->commit->received_ns, &p, e) < 0 ||
	    whole_point(s->whole, &p, &whole, e) < 0)
		return -1;
	c->look = false;
	return whole;
}

/* From where it stands to the next one that can be used, by itself. */
static int advance(const struct survey *s, struct group *g, struct err *e)
{
	const struct pick_params *p = s->params;

	for (; g->at < g->n; g->at++) {
		CLEANUP(point_clear) struct point opened = { 0 };
		struct candidate *c = &g->v[g->at];
		int rc = c->tried ? c->opened : open_one(s, c, &opened, e);

		if (rc < 0)
			return -1;
		if (!c->opened)
			g->pick.passed[PICK_DAMAGED] += c->bad;
		else if (p->as_of_ns && c->frozen_ns > p->as_of_ns)
			g->pick.passed[PICK_LATER]++;
		else if (c->consistency < p->consistency)
			g->pick.passed[PICK_LESS]++;
		else if (!c->complete)
			g->pick.passed[PICK_INCOMPLETE]++;
		else if ((rc = is_whole(s, c, e)) != 0)
			return rc < 0 ? -1 : 0;
		else
			g->pick.passed[s->away ? PICK_INCOMPLETE : PICK_LACKS]++;
	}
	return 0;
}

static int look(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct survey *s = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&s->tasks, &at)) {
		struct group *g = &s->groups[at];

		if (cancel_check(s->r->cancel, e) < 0 || know(s, g, e) < 0 ||
		    (g->wanted && s->by_sequence && know_all(s, g, e) < 0) ||
		    (g->wanted && advance(s, g, e) < 0))
			return -1;
	}
	return 0;
}

/* ---- sets ---- */

struct sets {
	const char **v; /* borrowed from candidates; sorted */
	size_t n;
};

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool sets_have(const struct sets *sets, const char *set)
{
	return sets->n > 0 && bsearch(&set, sets->v, sets->n, sizeof(*sets->v), text_cmp);
}

/* Sets of what was passed over, or, `picked`, of what is picked. */
static int sets_of(const struct survey *s, bool picked, struct sets *ret, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->groups[i].at + 1;
	ret->v = calloc(n + 1, sizeof(*ret->v));
	if (!ret->v)
		return err_set(e, ERR_NOMEM, "no memory for sets of restore points");
	for (size_t i = 0; i < s->n; i++) {
		const struct group *g = &s->groups[i];
		const size_t from = picked ? g->at : 0;
		const size_t to = picked ? g->at + 1 : g->at;

		for (size_t j = from; g->wanted && j < to && j < g->n; j++) {
			if (g->v[j].opened)
				ret->v[ret->n++] = g->v[j].set;
		}
	}
	if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(*ret->v), text_cmp);
	return 0;
}

static void clean_sets(struct sets *sets)
{
	free(sets->v);
}

/* *ret_moved: some volume has stepped back, so that others may have to. */
static int step_back(struct survey *s, bool *ret_moved, struct err *e)
{
	CLEANUP(clean_sets) struct sets passed = { 0 };

	*ret_moved = false;
	if (sets_of(s, false, &passed, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		struct group *g = &s->groups[i];

		if (!g->wanted || g->at == g->n || !sets_have(&passed, g->v[g->at].set))
			continue;
		g->at++;
		g->pick.passed[PICK_SET]++;
		*ret_moved = true;
		if (advance(s, g, e) < 0)
			return -1;
	}
	return 0;
}

/* Whether a set is there twice, at least: in order, doubles are neighbours. */
static bool sets_have_two(const struct sets *sets, const char *set)
{
	const char **found = sets->n > 0
	                             ? bsearch(&set, sets->v, sets->n, sizeof(*sets->v), text_cmp)
	                             : NULL;

	return found && ((found > sets->v && strcmp(found[-1], set) == 0) ||
	                 (found + 1 < sets->v + sets->n && strcmp(found[1], set) == 0));
}

static int mark_apart(struct survey *s, struct err *e)
{
	CLEANUP(clean_sets) struct sets picked = { 0 };

	if (sets_of(s, true, &picked, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		struct group *g = &s->groups[i];

		if (g->wanted && g->at < g->n && g->v[g->at].set_of_many)
			g->pick.apart = !sets_have_two(&picked, g->v[g->at].set);
	}
	return 0;
}

/* ---- the result ---- */

static void fill_from(struct pick *k, const char *session, const struct point *p)
{
	(void)snprintf(k->session, sizeof(k->session), "%s", session);
	memcpy(k->id, p->id, sizeof(k->id));
	memcpy(k->set, p->set, sizeof(k->set));
	memcpy(k->agent, p->agent, sizeof(k->agent));
	memcpy(k->consistency, p->consistency, sizeof(k->consistency));
	k->volume = p->volume;
	k->sequence = p->sequence;
	k->bytes = p->bytes_logical;
	k->files = p->files + p->directories + p->others;
	k->frozen_ns = p->frozen_ns;
	k->received_ns = p->received_ns;
	k->claim = json_incref(p->capture.claim);
}

static int fill(const struct survey *s, struct group *g, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };

	if (g->at == g->n)
		return 0;
	const struct commit_item *c = g->v[g->at].commit;
	if (repo_point_at(s->r, c->session, c->received_ns, &p, e) < 0)
		return -1;
	fill_from(&g->pick, c->session, &p);
	return 0;
}

static int fill_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct survey *s = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&s->tasks, &at)) {
		if (s->groups[at].wanted && fill(s, &s->groups[at], e) < 0)
			return -1;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct point_volume *x = &((const struct pick *)a)->volume;
	const struct point_volume *y = &((const struct pick *)b)->volume;
	const int ns = strcmp(x->namespace, y->namespace);

	return ns ? ns : strcmp(x->name, y->name);
}

void picks_sort(struct picks *p)
{
	if (p->n > 0)
		qsort(p->v, p->n, sizeof(*p->v), by_name);
}

const struct pick *picks_find(const struct picks *p, const char *ns, const char *name)
{
	size_t from = 0;
	size_t to = p->n;

	while (from < to) {
		const size_t at = from + (to - from) / 2;
		const struct point_volume *v = &p->v[at].volume;
		int c = strcmp(ns, v->namespace);

		if (c == 0)
			c = strcmp(name, v->name);
		if (c == 0)
			return &p->v[at];
		if (c < 0)
			to = at;
		else
			from = at + 1;
	}
	return NULL;
}

static int give(struct survey *s, struct picks *ret, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->groups[i].wanted;
	*ret = (struct picks){ .away = s->away, .cut = s->cut };
	for (size_t i = 0; i < s->n; i++)
		ret->unknown += !s->groups[i].pick.volume.name[0];
	if (n == 0)
		return err_set(e, ERR_NOT_FOUND,
		               "no volume of the cluster '%s' with a restore point falls under the "
		               "plan",
		               s->params->cluster);
	ret->v = calloc(n, sizeof(*ret->v));
	if (!ret->v)
		return err_set(e, ERR_NOMEM, "no memory for %zu volumes", n);
	for (size_t i = 0; i < s->n; i++) {
		if (!s->groups[i].wanted)
			continue;
		ret->v[ret->n] = s->groups[i].pick;
		ret->v[ret->n++].claim = STEAL(&s->groups[i].pick.claim);
	}
	picks_sort(ret);
	return 0;
}

int picks_make(const struct repo *r, const struct pick_params *params, struct picks *ret,
               struct err *e)
{
	CLEANUP(clean_survey) struct survey s = { .r = r, .params = params };
	const unsigned threads = team_size(params->threads ? params->threads : THREADS,
	                                   THREADS_MAX);
	struct err why = ERR_INIT;
	bool moved = true;

	if (list(&s, e) < 0)
		return -1;
	/* After the list: what it has is at most as new as the cut says. */
	s.away = store_away(r->store);
	s.by_sequence = r->store->caps & STORE_CAP_LOCAL;
	if (store_cut(r->store, 0, &s.cut, &why) < 0)
		s.cut = (struct store_cut){ .kind = CUT_UNKNOWN };
	if ((s.away || params->whole) && whole_new(r, &s.whole, e) < 0)
		return -1;
	s.tasks = (struct team_tasks){ .n = s.n };
	if (team_run(threads, "pick", look, &s, e) < 0)
		return -1;
	while (moved) {
		if (step_back(&s, &moved, e) < 0)
			return -1;
	}
	atomic_store(&s.tasks.next, 0);
	if (mark_apart(&s, e) < 0 || team_run(threads, "pick", fill_some, &s, e) < 0)
		return -1;
	return give(&s, ret, e);
}

/* ---- points that are known ---- */

struct opening {
	const struct repo *r;
	const char *const *sessions;
	struct pick *v;
	struct team_tasks tasks;
};

static int open_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct opening *o = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&o->tasks, &at)) {
		CLEANUP(point_clear) struct point p = { 0 };

		if (repo_point(o->r, o->sessions[at], &p, e) < 0)
			return -1;
		fill_from(&o->v[at], o->sessions[at], &p);
		o->v[at].newest_ns = p.frozen_ns;
	}
	return 0;
}

int picks_of(const struct repo *r, const char *const *sessions, size_t n, struct picks *ret,
             struct err *e)
{
	CLEANUP(picks_clear) struct picks p = { .n = n, .away = store_away(r->store) };
	struct opening o = { .r = r, .sessions = sessions, .tasks = { .n = n } };

	p.v = o.v = calloc(n + 1, sizeof(*p.v));
	if (!p.v) {
		p.n = 0;
		return err_set(e, ERR_NOMEM, "no memory for %zu volumes", n);
	}
	if (n > 0 && team_run(team_size(THREADS, THREADS_MAX), "pick", open_some, &o, e) < 0)
		return -1;
	picks_sort(&p);
	*ret = p;
	p = (struct picks){ .n = 0 };
	return 0;
}
