/* SPDX-License-Identifier: Apache-2.0 */
/* See act.h. */
#include "restore/act.h"

#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "restore/gate.h"
#include "restore/standby_name.h"

int act_set(struct act_options *o, int key, const char *value, struct err *e)
{
	const int taken = scope_set(&o->scope, key, value, e);

	if (taken != 0)
		return taken;
	switch (key) {
	case ACT_OPT_TO:
		o->to = value;
		return 1;
	case ACT_OPT_REASON:
		o->reason = value;
		return 1;
	case ACT_OPT_NO_FENCE:
		o->no_fence = true;
		return 1;
	case ACT_OPT_RESUME:
		o->resume = true;
		return 1;
	case ACT_OPT_NEW:
		o->anew = true;
		return 1;
	case ACT_OPT_FORCE:
		o->force = true;
		return 1;
	case ACT_OPT_VERIFY:
		o->verify = true;
		return 1;
	case ACT_OPT_ACCEPT_MISSING:
		o->accept_missing = true;
		return 1;
	default:
		return movers_set(&o->movers, key, value);
	}
}

void act_clear(struct act *a)
{
	free(a->volumes);
	plan_clear(&a->plan);
	picks_clear(&a->picks);
	run_clear(&a->run);
	movers_close(&a->movers);
	repo_free(a->repo);
}

/* ---- which run ---- */

static int go_on(struct act *a, struct err *e)
{
	struct note_actor me;

	note_actor(&me);
	if (!a->o->resume &&
	    (strcmp(me.user, a->run.user) != 0 || strcmp(me.host, a->run.host) != 0))
		return err_set(e, ERR_BUSY,
		               "'%s' at '%s' has begun this run, and was at it %s ago: where that "
		               "has stopped, --resume goes on with it",
		               a->run.user, a->run.host,
		               num_duration_text((now_wall_ns() - a->run.last_ns) / 1000000000).s);
	log_info("going on with a run", LOG_S("run", a->run.history.run),
	         LOG_S("began", now_rfc3339(a->run.began_ns).s));
	return run_take_over(&a->run, e);
}

/* They are for this run alone: what is left of them does no harm. */
static void forget_approvals(const struct act *a)
{
	struct err why = ERR_INIT;

	if (gate_forget(a->o->scope.kube, a->run.ns, a->run.history.run, &why) < 0)
		log_warn("approvals of the run are left", LOG_S("why", why.msg));
}

static int give_up(struct act *a, struct err *e)
{
	auto_json json_t *more = json_pack("{s:b}", "given_up", 1);
	const struct filler filler = { .kube = a->o->scope.kube,
		                       .ns = a->run.ns,
		                       .run = a->run.history.run,
		                       .role = "restore" };

	log_info("a run is given up", LOG_S("run", a->run.history.run));
	forget_approvals(a);
	if (run_take_over(&a->run, e) < 0 || filler_drop_all(&filler, e) < 0 ||
	    movers_drop(filler.kube, filler.ns, filler.run, e) < 0 ||
	    run_step(&a->run, "end", more, e) < 0)
		return -1;
	run_clear(&a->run);
	return 0;
}

int act_resume(struct act *a, const char *kind, struct err *e)
{
	const struct scope *s = &a->o->scope;
	const int found = run_find(a->repo, s->kube, s->ns, kind, s->recipe->name, &a->run, e);

	if (found <= 0)
		return found;
	if (a->o->anew)
		return give_up(a, e);
	return go_on(a, e) < 0 ? -1 : 1;
}

int act_begin(struct act *a, const char *kind, const struct recipe *recipe, const char *to,
              struct err *e)
{
	const struct scope *s = &a->o->scope;
	const bool in_repository = history_fits_repository(a->repo);
	const struct run_begin b = {
		.kind = kind,
		.recipe = recipe,
		.to = to,
		.ns = s->ns,
		.as_of_ns = s->as_of_ns,
		.newest = s->newest,
		.kube = in_repository ? NULL : s->kube,
	};

	if (strcmp(kind, RUN_RESTORE) != 0 && !*to)
		return err_set(e, ERR_INVALID,
		               "the plan names no secondary: say by --to which cluster goes on");
	if (strcmp(to, recipe->primary.cluster) == 0)
		return err_set(e, ERR_INVALID, "'%s' is the cluster that the points are from", to);
	if (!in_repository)
		log_warn("the journal of this run is kept in the cluster, since the repository "
		         "cannot be written with this key, or now");
	return run_begin(a->repo, &b, &a->run, e);
}

/* ---- its stages ---- */

static int choose(struct act *a, struct err *e)
{
	auto_findings struct findings found = FINDINGS_INIT;
	const struct plan_rates rates = { .movers = a->o->scope.movers };

	if (run_choose(&a->run, &a->picks, e) < 0 ||
	    plan_make(a->run.recipe, &a->picks, &rates, a->run.began_ns, a->run.as_of_ns, &a->plan,
	              &found, e) < 0)
		return -1;
	finding_sort(&found);
	for (size_t i = 0; i < found.n && found.list[i].severity != FINDING_NOTE; i++)
		log_warn(found.list[i].what, LOG_S("code", found.list[i].code),
		         LOG_S("of", found.list[i].object));
	a->volumes = calloc(a->plan.n + 1, sizeof(*a->volumes));
	if (!a->volumes)
		return err_set(e, ERR_NOMEM, "no memory for %zu volumes", a->plan.n);
	for (size_t i = 0; i < a->plan.n; i++)
		a->volumes[i].item = &a->plan.items[i];
	atomic_store(&a->counts.bytes_total, a->plan.bytes);
	return finding_check(&found, e);
}

static int note_stage(struct act *a, const char *stage, const struct stage_volume *v, size_t n,
                      struct err *e)
{
	auto_json json_t *more = json_pack("{s:s, s:[], s:[]}", "stage", stage, "rates", "failed");
	json_t *rates = json_object_get(more, "rates");
	json_t *failed = json_object_get(more, "failed");
	int bad = !more;

	for (size_t i = 0; i < n && !bad; i++) {
		char name[2 * KUBE_NAME_MAX + 2];

		(void)snprintf(name, sizeof(name), "%s/%s", v[i].item->ns, v[i].item->name);
		if (!v[i].is_handed_over)
			bad |= json_array_append_new(failed, json_pack("{s:s, s:s}", "volume", name,
			                                               "why", v[i].why.msg));
		else if (v[i].filled.ms > 0 && i < 1000)
			bad |= json_array_append_new(rates,
			                             rate_record(v[i].filled.bytes, v[i].filled.ms,
			                                         v[i].fill_s, v[i].hand_over_s));
	}
	return bad ? err_set(e, ERR_NOMEM, "no memory for a journal")
	           : run_step(&a->run, "restore", more, e);
}

size_t act_missing(const struct act *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->plan.n; i++)
		n += !a->volumes[i].is_handed_over;
	return n;
}

/* Gates of a stage that are not open yet, or its hooks. What has been open stays so. */
static int pass(struct act *a, const char *stage, const struct recipe_gates *gates, struct err *e)
{
	const struct gate_params p = {
		.kube = a->o->scope.kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.plan_ns = a->run.recipe->ns,
		.plan = a->run.plan,
		.stage = stage,
		.cancel = cancel_on_signals(),
	};

	for (size_t i = 0; i < gates->n; i++) {
		char name[160];

		(void)snprintf(name, sizeof(name), "%s/%s", stage, gates->v[i].name);
		if (json_object_get(a->run.gates, name))
			continue;
		if (gate_wait(&p, &gates->v[i], e) < 0)
			return -1;
		auto_json json_t *more = json_pack("{s:s}", "gate", name);
		if (!more)
			return err_set(e, ERR_NOMEM, "no memory for a journal");
		if (run_step(&a->run, "gate", more, e) < 0)
			return -1;
	}
	return 0;
}

static int stages(struct act *a, struct err *e)
{
	char standby_run[STANDBY_COPIES_MAX][RUN_LOG_ID];
	const struct filler filler = {
		.kube = a->o->scope.kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.role = "restore",
		.template = a->movers.template,
		.env = a->movers.env,
		.cancel = cancel_on_signals(),
	};
	struct filler standby[STANDBY_COPIES_MAX];
	const struct stage_params p = {
		.filler = &filler,
		.standby = standby,
		.nstandby = STANDBY_COPIES_MAX,
		.prefix = "",
		.movers = a->o->scope.movers,
		.verify = a->o->verify,
		.take = a->take,
		.accept_gaps = a->o->accept_missing,
		.counts = &a->counts,
	};

	for (unsigned i = 0; i < STANDBY_COPIES_MAX; i++) {
		standby_run_of(a->run.plan, i, standby_run[i]);
		standby[i] = filler;
		standby[i].run = standby_run[i];
		standby[i].role = STANDBY_ROLE;
		standby[i].taker = a->run.history.run;
	}
	for (size_t from = 0, to; from < a->plan.n; from = to) {
		const size_t stage = a->plan.items[from].stage;
		const char *name = plan_stage_name(&a->plan, stage);
		const struct recipe_stage *s = *name ? &a->run.recipe->stages[stage]
		                                     : &(struct recipe_stage){ 0 };

		for (to = from;
		     to < a->plan.n && a->plan.items[to].stage == a->plan.items[from].stage;)
			to++;
		if (*name)
			log_info("a stage begins", LOG_S("stage", name),
			         LOG_U("volumes", to - from));
		if (pass(a, name, &s->gates, e) < 0 ||
		    stage_run(&p, a->volumes + from, to - from, e) < 0 ||
		    note_stage(a, name, a->volumes + from, to - from, e) < 0)
			return -1;
		if (act_missing(a) - (a->plan.n - to) > 0 && !a->o->accept_missing)
			return 0;
		if (pass(a, name, &s->hooks, e) < 0)
			return -1;
	}
	return 0;
}

int act_restore(struct act *a, struct err *e)
{
	const struct movers_params movers = {
		.kube = a->o->scope.kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.how = a->o->movers,
		.store = a->common->store,
		.key = a->common->key,
		.passphrase = a->common->passphrase_file,
	};
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4 * KIB);

	if (choose(a, e) < 0 || movers_open(&movers, &a->movers, e) < 0)
		return -1;
	(void)buf_printf(&text, "restoring '%s'", a->run.plan);
	struct progress *progress =
		progress_start(buf_cstr(&text),
	                       a->common->quiet ? PROGRESS_NEVER : a->common->progress, &a->counts);
	int rc = stages(a, e);
	progress_stop(progress);
	return rc < 0 ? err_wrap(e,
	                         "the run stands where it is, and the same command goes on with it")
	              : 0;
}

int act_complete(const struct act *a, struct err *e)
{
	const size_t lacking = act_missing(a);

	if (lacking == 0 || a->o->accept_missing)
		return 0;
	return err_set(e, ERR_PARTIAL,
	               "%zu of %zu volumes are not restored: run the same again to try them once "
	               "more, or with --accept-missing to do without them",
	               lacking, a->plan.n);
}

int act_end(struct act *a, struct err *e)
{
	const size_t lacking = act_missing(a);
	auto_json json_t *more = json_pack("{s:I, s:I, s:I}", "volumes", (json_int_t)a->plan.n,
	                                   "missing", (json_int_t)lacking, "loss_s",
	                                   (json_int_t)a->plan.loss_s);

	if (!more)
		return err_set(e, ERR_NOMEM, "no memory for a journal");
	forget_approvals(a);
	if (movers_drop(a->o->scope.kube, a->run.ns, a->run.history.run, e) < 0 ||
	    run_step(&a->run, "end", more, e) < 0)
		return -1;
	a->run.ended = true;
	return lacking > 0 ? err_set(e, ERR_PARTIAL, "%zu of %zu volumes are not restored", lacking,
	                             a->plan.n)
	                   : 0;
}
