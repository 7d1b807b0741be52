/* SPDX-License-Identifier: Apache-2.0 */
/* See run.h: the journal, and what it says. */
#include "restore/run.h"

#include <string.h>

#include "common/log.h"
#include "common/now.h"

#define CHOOSE_MAX 40000 /* points of a run, by what a record holds */

void run_clear(struct run *r)
{
	recipe_free(r->recipe);
	json_decref(r->sessions);
	json_decref(r->gates);
	json_decref(r->stopped);
	*r = (struct run){ .repo = NULL };
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a run");
}

/* ---- reading ---- */

static void copy_text(char *ret, size_t max, const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	(void)snprintf(ret, max, "%s", text ? text : "");
}

static int on_begin(struct run *r, const json_t *o, struct err *e)
{
	struct err why = ERR_INIT;

	copy_text(r->to, sizeof(r->to), o, "to");
	copy_text(r->ns, sizeof(r->ns), o, "namespace");
	r->as_of_ns = json_integer_value(json_object_get(o, "as_of_ns"));
	r->newest = json_is_true(json_object_get(o, "newest"));
	if (recipe_read(json_object_get(o, "document"), r->ns, &r->recipe, &why) == 0)
		return 0;
	return err_set(e, why.class == ERR_NOMEM ? ERR_NOMEM : ERR_FORMAT,
	               "the plan of the run '%s' cannot be read: %.600s", r->history.run, why.msg);
}

static int on_gate(struct run *r, const json_t *o, struct err *e)
{
	const char *gate = json_string_value(json_object_get(o, "gate"));

	return !gate || json_object_set_new(r->gates, gate, json_true()) == 0 ? 0 : no_memory(e);
}

static int take(void *arg, uint64_t n, const struct run_entry *entry, const json_t *record,
                struct err *e)
{
	struct run *r = arg;

	if (n == 1)
		r->began_ns = entry->at_ns;
	r->last_ns = entry->at_ns;
	(void)snprintf(r->plan, sizeof(r->plan), "%s", entry->plan);
	(void)snprintf(r->user, sizeof(r->user), "%s", entry->user);
	(void)snprintf(r->host, sizeof(r->host), "%s", entry->host);
	if (strcmp(entry->step, "begin") == 0)
		return on_begin(r, record, e);
	if (strcmp(entry->step, "gate") == 0)
		return on_gate(r, record, e);
	if (strcmp(entry->step, "fence") == 0) {
		r->fenced = true;
		r->fenced_ns = entry->at_ns;
		r->epoch = (uint64_t)json_integer_value(json_object_get(record, "epoch"));
	} else if (strcmp(entry->step, "choose") == 0) {
		r->chosen = true;
		r->chosen_ns = entry->at_ns;
		json_decref(r->sessions);
		r->sessions = json_incref(json_object_get(record, "sessions"));
	} else if (strcmp(entry->step, "promote") == 0) {
		r->promoted = true;
		r->promoted_ns = entry->at_ns;
	} else if (strcmp(entry->step, "stop") == 0) {
		json_decref(r->stopped);
		r->stopped = json_incref(json_object_get(record, "sequences"));
	} else if (strcmp(entry->step, "final") == 0) {
		r->final = true;
	} else if (strcmp(entry->step, "end") == 0) {
		r->ended = true;
	}
	return 0;
}

/* The recipe's namespace may be borrowed from where the run was. */
static void give(struct run *r, struct run *ret)
{
	*ret = *r;
	if (ret->recipe->ns == r->ns)
		ret->recipe->ns = ret->ns;
	*r = (struct run){ .repo = NULL };
}

static int new_run(struct repo *repo, const char *kind, struct run *ret, struct err *e)
{
	*ret = (struct run){ .repo = repo, .kind = kind, .gates = json_object() };
	return ret->gates ? 0 : no_memory(e);
}

struct search {
	const char *kind, *plan;
	char run[RUN_LOG_ID];
	bool in_cluster;
	int64_t at_ns;
};

static int compare(void *arg, const char *run, bool in_cluster, const struct run_entry *first,
                   struct err *e)
{
	struct search *s = arg;

	(void)e;
	if (strcmp(first->kind, s->kind) == 0 && strcmp(first->plan, s->plan) == 0 &&
	    first->at_ns > s->at_ns && strlen(run) < sizeof(s->run)) {
		(void)snprintf(s->run, sizeof(s->run), "%s", run);
		s->in_cluster = in_cluster;
		s->at_ns = first->at_ns;
	}
	return 0;
}

int run_find(struct repo *repo, struct kube *k, const char *ns, const char *kind, const char *plan,
             struct run *ret, struct err *e)
{
	struct search s = { .kind = kind, .plan = plan };
	CLEANUP(run_clear) struct run r = { .repo = NULL };

	if (history_list(repo, k, ns, compare, &s, e) < 0)
		return -1;
	if (!s.run[0])
		return 0;
	if (new_run(repo, kind, &r, e) < 0 ||
	    history_open(repo, s.in_cluster ? k : NULL, ns, s.run, &r.history, e) < 0 ||
	    history_read(&r.history, take, &r, e) < 0)
		return -1;
	if (r.ended || !r.recipe)
		return 0;
	give(&r, ret);
	return 1;
}

/* ---- writing ---- */

int run_step(struct run *r, const char *step, const json_t *more, struct err *e)
{
	return history_add(&r->history, r->kind, r->plan, step, more, e);
}

int run_begin(struct repo *repo, const struct run_begin *b, struct run *ret, struct err *e)
{
	CLEANUP(run_clear) struct run r = { .repo = NULL };
	char id[RUN_LOG_ID];

	run_log_new(id);
	if (owner_check_plan(b->recipe->name, e) < 0 || new_run(repo, b->kind, &r, e) < 0 ||
	    history_open(repo, b->kube, b->ns, id, &r.history, e) < 0)
		return -1;
	auto_json json_t *more = json_pack("{s:O, s:s, s:s, s:I, s:b}", "document",
	                                   b->recipe->document, "to", b->to, "namespace", b->ns,
	                                   "as_of_ns", (json_int_t)b->as_of_ns, "newest",
	                                   b->newest);
	if (!more)
		return no_memory(e);
	(void)snprintf(r.plan, sizeof(r.plan), "%s", b->recipe->name);
	(void)snprintf(r.to, sizeof(r.to), "%s", b->to);
	(void)snprintf(r.ns, sizeof(r.ns), "%s", b->ns);
	r.as_of_ns = b->as_of_ns;
	r.newest = b->newest;
	r.began_ns = now_wall_ns();
	if (recipe_read(b->recipe->document, r.ns, &r.recipe, e) < 0 ||
	    run_step(&r, "begin", more, e) < 0)
		return -1;
	give(&r, ret);
	return 0;
}

int run_take_over(struct run *r, struct err *e)
{
	return run_step(r, "resume", NULL, e);
}

/* ---- fencing ---- */

/*
 * The cluster as a whole, where the plan is of all of it; its namespaces, or else single volumes.
 */
int run_targets(const struct recipe *r, const struct picks *picks, struct fence_target **ret,
                size_t *ret_n, struct err *e)
{
	const struct recipe_select *s = &r->select;
	const bool volumes = s->volumes.n || s->not_volumes.n || s->labels.n;
	const bool all = !volumes && !s->namespaces.n && !s->not_namespaces.n;
	auto_free struct fence_target *v = calloc(picks->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return no_memory(e);
	for (size_t i = 0; i < picks->n && (i == 0 || !all); i++) {
		const struct point_volume *from = &picks->v[i].volume;
		struct point_volume *to = &v[n].volume;

		v[n].depth = all ? FENCE_CLUSTER : volumes ? FENCE_VOLUME : FENCE_NAMESPACE;
		(void)snprintf(to->cluster, sizeof(to->cluster), "%s", from->cluster);
		if (!all)
			(void)snprintf(to->namespace, sizeof(to->namespace), "%s", from->namespace);
		if (volumes)
			(void)snprintf(to->name, sizeof(to->name), "%s", from->name);
		/* Picks are in the order of their namespaces. */
		if (volumes || n == 0 || strcmp(v[n - 1].volume.namespace, to->namespace) != 0)
			n++;
		else
			v[n] = (struct fence_target){ .depth = FENCE_CLUSTER };
	}
	if (n > FENCE_TARGETS_MAX)
		return err_set(e, ERR_TOO_BIG,
		               "the plan is of %zu single volumes, and a fence of %d at most: "
		               "select whole namespaces in it",
		               n, FENCE_TARGETS_MAX);
	*ret = STEAL(&v);
	*ret_n = n;
	return 0;
}

int run_fence(struct run *r, const struct picks *picks, const char *reason, struct err *e)
{
	auto_free struct fence_target *targets = NULL;
	struct fence_result result;
	size_t n = 0;

	if (r->fenced)
		return 0;
	if (run_targets(r->recipe, picks, &targets, &n, e) < 0)
		return -1;
	const struct fence_order order = {
		.targets = targets, .n = n, .reason = reason, .successor = r->to
	};
	if (fence_raise(r->repo, &order, &result, e) < 0)
		return err_wrap(e, "fencing '%s'", r->recipe->primary.cluster);
	auto_json json_t *more = json_pack("{s:I, s:I, s:I, s:s}", "epoch",
	                                   (json_int_t)result.epoch, "points",
	                                   (json_int_t)result.points, "targets", (json_int_t)n,
	                                   "reason", reason);
	if (!more)
		return no_memory(e);
	if (run_step(r, "fence", more, e) < 0)
		return -1;
	r->fenced = true;
	r->fenced_ns = now_wall_ns();
	r->epoch = result.epoch;
	return 0;
}

/* ---- giving back ---- */

/* Epochs of the fences that runs of the plan have raised. */
struct raised {
	struct run *r;
	uint64_t v[FENCES_MAX];
	size_t n;
};

static int take_raised(void *arg, uint64_t n, const struct run_entry *entry, const json_t *record,
                       struct err *e)
{
	struct raised *x = arg;

	(void)n;
	(void)e;
	if (strcmp(entry->step, "fence") == 0 && x->n < FENCES_MAX)
		x->v[x->n++] = (uint64_t)json_integer_value(json_object_get(record, "epoch"));
	return 0;
}

static int take_fencer(void *arg, const char *run, bool in_cluster, const struct run_entry *first,
                       struct err *e)
{
	struct raised *x = arg;
	struct history h;

	if (in_cluster || strcmp(first->plan, x->r->plan) != 0)
		return 0;
	return history_open(x->r->repo, NULL, NULL, run, &h, e) < 0 ||
	                       history_read(&h, take_raised, x, e) < 0
	               ? -1
	               : 0;
}

static bool was_raised(const struct raised *x, uint64_t epoch)
{
	for (size_t i = 0; i < x->n; i++) {
		if (x->v[i] == epoch)
			return true;
	}
	return false;
}

/* What a fence is of, by its facts; *ret_ours: of the cluster `to` alone. The caller frees. */
static int targets_of(const json_t *facts, const char *to, struct fence_target **ret, size_t *ret_n,
                      bool *ret_ours, struct err *e)
{
	const json_t *list = json_object_get(facts, "volumes");
	const size_t n = json_array_size(list);
	struct fence_target *v = calloc(n + 1, sizeof(*v));

	if (!v)
		return no_memory(e);
	*ret_ours = n > 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(list, i);
		struct point_volume *volume = &v[i].volume;

		copy_text(volume->cluster, sizeof(volume->cluster), o, "cluster");
		copy_text(volume->namespace, sizeof(volume->namespace), o, "namespace");
		copy_text(volume->name, sizeof(volume->name), o, "name");
		v[i].depth = json_object_get(o, "name")        ? FENCE_VOLUME
		             : json_object_get(o, "namespace") ? FENCE_NAMESPACE
		                                               : FENCE_CLUSTER;
		*ret_ours &= strcmp(volume->cluster, to) == 0;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

/* 1: it was lifted, and the fences are to be looked at anew. */
static int unfence_one(struct run *r, const struct raised *raised, const struct fence *f,
                       const char *reason, struct err *e)
{
	auto_free struct fence_target *targets = NULL;
	auto_json json_t *facts = NULL;
	struct fence_result result;
	size_t n = 0;
	bool ours = false;

	if (f->lifted || f->closing || !f->record.object[0])
		return 0;
	if (fence_facts(r->repo, &f->record, &facts, e) < 0 ||
	    targets_of(facts, r->to, &targets, &n, &ours, e) < 0)
		return -1;
	if (!ours)
		return 0;
	if (!was_raised(raised, f->epoch)) {
		log_warn("a fence stands that no run of this plan has raised: where it is of its "
		         "volumes, unfence it by hand",
		         LOG_S("cluster", r->to), LOG_U("epoch", f->epoch),
		         LOG_S("since", now_rfc3339(f->at_ns).s));
		return 0;
	}
	const struct fence_order order = { .targets = targets, .n = n, .reason = reason };
	return fence_lift(r->repo, &order, &result, e) < 0 ? -1 : 1;
}

int run_unfence(struct run *r, const char *reason, struct err *e)
{
	struct raised raised = { .r = r };
	const struct fence *f;

	if (history_list(r->repo, NULL, NULL, take_fencer, &raised, e) < 0)
		return -1;
	for (size_t i = 0; (f = fence_at(r->repo, i)); i++) {
		const int rc = unfence_one(r, &raised, f, reason, e);

		if (rc < 0)
			return err_wrap(e, "letting '%s' back up again", r->to);
		if (rc > 0)
			i = (size_t)-1;
	}
	return 0;
}

/* ---- choosing ---- */

static int choose_again(struct run *r, struct picks *ret, struct err *e)
{
	const size_t n = json_array_size(r->sessions);
	auto_free const char **v = calloc(n + 1, sizeof(*v));

	if (!v)
		return no_memory(e);
	for (size_t i = 0; i < n; i++) {
		v[i] = json_string_value(json_array_get(r->sessions, i));
		if (!v[i] || !point_session_valid(v[i]))
			return err_set(e, ERR_FORMAT, "the journal of the run '%s' names no points",
			               r->history.run);
	}
	return picks_of(r->repo, v, n, ret, e);
}

int run_pick(const struct run *r, bool whole, struct picks *ret, struct err *e)
{
	const struct pick_params p = {
		.select = &r->recipe->select,
		.cluster = r->recipe->primary.cluster,
		.as_of_ns = r->as_of_ns,
		.consistency = r->recipe->consistency,
		.geo = r->recipe->geo && !r->newest,
		.whole = whole,
	};

	return picks_make(r->repo, &p, ret, e);
}

int run_choose(struct run *r, struct picks *ret, struct err *e)
{
	CLEANUP(picks_clear) struct picks picks = { .n = 0 };

	if (r->chosen)
		return choose_again(r, ret, e);
	/* A drill is to fail loudly where parts of the newest point are missing. */
	if (run_pick(r, strcmp(r->kind, RUN_DRILL) != 0, &picks, e) < 0)
		return -1;
	if (picks.n > CHOOSE_MAX)
		return err_set(e, ERR_TOO_BIG, "the plan is of more than %d volumes: divide it",
		               CHOOSE_MAX);
	auto_json json_t *more = json_pack("{s:[], s:I, s:b}", "sessions", "cut_ns",
	                                   (json_int_t)picks.cut.cut_ns, "second_region",
	                                   picks.away);
	json_t *sessions = json_object_get(more, "sessions");
	for (size_t i = 0; i < picks.n; i++) {
		if (picks.v[i].session[0] &&
		    json_array_append_new(sessions, json_string(picks.v[i].session)) < 0)
			return no_memory(e);
	}
	if (!more)
		return no_memory(e);
	if (run_step(r, "choose", more, e) < 0)
		return -1;
	r->chosen = true;
	r->chosen_ns = now_wall_ns();
	r->sessions = json_incref(sessions);
	*ret = picks;
	picks = (struct picks){ .n = 0 };
	return 0;
}

/* ---- promoting ---- */

int run_promote(struct run *r, const char *reason, struct err *e)
{
	struct chain chain;
	struct owner o = { .n = 0 };

	if (r->promoted)
		return 0;
	if (owner_open(r->repo, r->plan, &chain, e) < 0 || owner_newest(r->repo, &chain, &o, e) < 0)
		return -1;
	/* It was put, and the journal does not know. */
	if (o.n == 0 || strcmp(o.run, r->history.run) != 0) {
		(void)snprintf(o.plan, sizeof(o.plan), "%s", r->plan);
		(void)snprintf(o.cluster, sizeof(o.cluster), "%s", r->to);
		(void)snprintf(o.run, sizeof(o.run), "%s", r->history.run);
		(void)snprintf(o.reason, sizeof(o.reason), "%s", reason);
		if (owner_change(r->repo, &chain, &o, e) < 0)
			return err_wrap(e, "promoting '%s'", r->to);
	}
	auto_json json_t *more = json_pack("{s:I, s:s}", "owner", (json_int_t)o.n, "cluster",
	                                   r->to);
	if (!more)
		return no_memory(e);
	if (run_step(r, "promote", more, e) < 0)
		return -1;
	r->promoted = true;
	r->promoted_ns = now_wall_ns();
	return 0;
}
