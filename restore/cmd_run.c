/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore run and failover: a plan is run. */
#include <string.h>

#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "restore/cmd.h"
#include "restore/gate.h"
#include "restore/movers.h"
#include "restore/outlook.h"
#include "restore/run.h"
#include "restore/scope.h"
#include "restore/standby_name.h"

enum {
	OPT_TO = 256,
	OPT_REASON,
	OPT_NO_FENCE,
	OPT_RESUME,
	OPT_NEW,
	OPT_FORCE,
	OPT_VERIFY,
	OPT_ACCEPT_MISSING,
	OPT_IMAGE,
	OPT_TEMPLATE,
	OPT_ACCOUNT
};

#define RUN_OPTIONS                                                                           \
	{ "resume", NULL, "go on with a run that somebody else has begun", OPT_RESUME },      \
		{ "new", NULL, "begin anew: a run that has not ended is given up", OPT_NEW }, \
		{ "force", NULL, "begin although the cluster says that it cannot work",       \
		  OPT_FORCE },                                                                \
		{ "verify", NULL, "read everything back from the volumes, too", OPT_VERIFY }, \
		{ "accept-missing", NULL,                                                     \
		  "hand over volumes that lack something, and do without "                    \
		  "those that cannot be restored",                                            \
		  OPT_ACCEPT_MISSING },                                                       \
		{ "image", "IMAGE", "of movers, where no release of the chart is there",      \
		  OPT_IMAGE },                                                                \
		{ "mover-template", "FILE", "pod of movers, with store and key, instead",     \
		  OPT_TEMPLATE },                                                             \
	{                                                                                     \
		"service-account", "NAME", "of movers", OPT_ACCOUNT                           \
	}

static const struct verb_option failover_options[] = {
	SCOPE_OPTIONS,
	{ "to", "CLUSTER", "that goes on; default: the plan's secondary", OPT_TO },
	{ "reason", "TEXT", "why, for the record (required)", OPT_REASON },
	{ "no-fence", NULL, "leave the primary as it is: what it backs up goes on to count",
	  OPT_NO_FENCE },
	RUN_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option run_options[] = {
	SCOPE_OPTIONS,
	{ "to", "CLUSTER", "for the record: where it is restored; default: the plan's secondary",
	  OPT_TO },
	RUN_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct run_options {
	struct scope scope;
	const char *to, *reason, *image, *template, *account;
	bool no_fence, resume, anew, force, verify, accept_missing;
} given;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct run_options *o = state;
	const int taken = scope_set(&o->scope, key, value, e);

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_TO:
		o->to = value;
		return 0;
	case OPT_REASON:
		o->reason = value;
		return 0;
	case OPT_NO_FENCE:
		o->no_fence = true;
		return 0;
	case OPT_RESUME:
		o->resume = true;
		return 0;
	case OPT_NEW:
		o->anew = true;
		return 0;
	case OPT_FORCE:
		o->force = true;
		return 0;
	case OPT_VERIFY:
		o->verify = true;
		return 0;
	case OPT_ACCEPT_MISSING:
		o->accept_missing = true;
		return 0;
	case OPT_IMAGE:
		o->image = value;
		return 0;
	case OPT_TEMPLATE:
		o->template = value;
		return 0;
	case OPT_ACCOUNT:
		o->account = value;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* All that a call works with. */
struct act {
	const struct run_options *o;
	const struct verb_common *common;
	struct repo *repo;
	struct run run;
	struct picks picks;
	struct plan plan;
	struct movers movers;
	struct stage_volume *volumes; /* of plan.items; owned */
	struct progress_counts counts;
	int64_t began_ns;
	bool resumed;
};

static void clean_act(struct act *a)
{
	free(a->volumes);
	plan_clear(&a->plan);
	picks_clear(&a->picks);
	run_clear(&a->run);
	movers_close(&a->movers);
	repo_free(a->repo);
}

/* ---- which run ---- */

static bool is_failover(const struct act *a)
{
	return strcmp(a->run.kind, RUN_FAILOVER) == 0;
}

static int resume(struct act *a, struct err *e)
{
	struct note_actor me;

	note_actor(&me);
	if (!a->o->resume &&
	    (strcmp(me.user, a->run.user) != 0 || strcmp(me.host, a->run.host) != 0))
		return err_set(e, ERR_BUSY,
		               "'%s' at '%s' has begun this run, and was at it %s ago: where that has "
		               "stopped, --resume goes on with it",
		               a->run.user, a->run.host,
		               num_duration_text((now_wall_ns() - a->run.last_ns) / 1000000000).s);
	log_info("going on with a run", LOG_S("run", a->run.history.run),
	         LOG_S("began", now_rfc3339(a->run.began_ns).s));
	a->resumed = true;
	return run_take_over(&a->run, e);
}

static int begin(struct act *a, const char *kind, struct err *e)
{
	const struct scope *s = &a->o->scope;
	const struct recipe *recipe = s->recipe;
	const char *to = a->o->to ? a->o->to : recipe->secondary.cluster;
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

	if (strcmp(kind, RUN_FAILOVER) == 0 && !*to)
		return err_set(e, ERR_INVALID,
		               "the plan names no secondary: say by --to which cluster goes on");
	if (strcmp(to, recipe->primary.cluster) == 0)
		return err_set(e, ERR_INVALID, "'%s' is the cluster that the points are from", to);
	if (!in_repository)
		log_warn(
			"the journal of this run is kept in the cluster, since the repository cannot "
			"be written with this key, or now");
	return run_begin(a->repo, &b, &a->run, e);
}

/* Before anything is done: what cannot work is told now, and not when the primary is fenced. */
static int look_ahead(const struct act *a, bool fences, struct err *e)
{
	const struct outlook_params p = {
		.scope = &a->o->scope, .preflight = true, .fences = fences, .account = a->o->account
	};
	auto_outlook struct outlook o;

	if (outlook_make(a->repo, &p, &o, e) < 0)
		return -1;
	if (o.findings.counts[FINDING_BLOCK] == 0 || a->o->force)
		return 0;
	outlook_print(&o.findings, true, stderr);
	return err_set(e, ERR_UNSUPPORTED,
	               "nothing was done, since %zu findings stand in the way: put that right, or go "
	               "on all the same by --force",
	               o.findings.counts[FINDING_BLOCK]);
}

static int give_up(struct act *a, struct err *e)
{
	auto_json json_t *more = json_pack("{s:b}", "given_up", 1);
	const struct filler filler = { .kube = a->o->scope.kube,
		                       .ns = a->run.ns,
		                       .run = a->run.history.run,
		                       .role = "restore" };

	log_info("a run is given up", LOG_S("run", a->run.history.run));
	if (run_take_over(&a->run, e) < 0 || filler_drop_all(&filler, e) < 0 ||
	    movers_drop(filler.kube, filler.ns, filler.run, e) < 0 ||
	    run_step(&a->run, "end", more, e) < 0)
		return -1;
	run_clear(&a->run);
	return 0;
}

static int find_or_begin(struct act *a, const char *kind, struct err *e)
{
	const bool fences = strcmp(kind, RUN_FAILOVER) == 0 && !a->o->no_fence;
	const struct scope *s = &a->o->scope;
	const int found = run_find(a->repo, s->kube, s->ns, kind, s->recipe->name, &a->run, e);

	if (found < 0)
		return -1;
	if (found && !a->o->anew)
		return resume(a, e);
	if ((found && give_up(a, e) < 0) || look_ahead(a, fences, e) < 0)
		return -1;
	return begin(a, kind, e);
}

/* ---- its steps ---- */

static int fence(struct act *a, struct err *e)
{
	CLEANUP(picks_clear) struct picks now = { .n = 0 };

	if (!is_failover(a) || a->o->no_fence || a->run.fenced)
		return 0;
	if (!history_fits_repository(a->repo))
		return err_set(
			e, ERR_DENIED,
			"the primary cannot be fenced with this key, or while the store cannot be "
			"written: fail the store over first, and use the first recovery key; or "
			"leave the primary as it is by --no-fence, where nothing of it runs any "
			"more");
	if (scope_pick(&a->o->scope, a->repo, &now, e) < 0)
		return -1;
	return run_fence(&a->run, &now, a->o->reason, e);
}

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

/* How many volumes are not as they should be: those that are blocked, and those that failed. */
static size_t missing(const struct act *a)
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
		if (missing(a) - (a->plan.n - to) > 0 && !a->o->accept_missing)
			return 0;
		if (pass(a, name, &s->hooks, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- what is told ---- */

static const struct table_column columns[] = {
	{ "stage", NULL, TABLE_TEXT },         { "namespace", NULL, TABLE_TEXT },
	{ "volume", NULL, TABLE_TEXT },        { "claim", "CLAIM", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },      { "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },      { "loss_ms", "LOST", TABLE_DURATION },
	{ "bytes", "DATA", TABLE_BYTES },      { "fetched_bytes", "FETCHED", TABLE_BYTES },
	{ "took_ms", "TOOK", TABLE_DURATION }, { "why", NULL, TABLE_TEXT },
};

static const char *state_of(const struct stage_volume *v)
{
	if (v->item->blocked)
		return "blocked";
	if (!v->is_handed_over)
		return "missing";
	if (v->filled.gaps > 0)
		return "with gaps";
	return v->is_standby ? "from standby" : "restored";
}

static int tell(const struct act *a, const char *schema, struct err *e)
{
	const enum output output = a->common->output;
	auto_table struct table *t = table_new(schema, columns, ARRAY_LEN(columns), output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < a->plan.n; i++) {
		const struct stage_volume *v = &a->volumes[i];
		const struct pick *k = v->item->pick;
		char claim[2 * KUBE_NAME_MAX + 2], id[33];

		(void)snprintf(claim, sizeof(claim), "%s/%s", v->item->ns, v->item->name);
		(void)snprintf(id, sizeof(id), "%.*s", output == OUTPUT_TABLE ? 8 : 32, k->id);
		table_row(t);
		table_text(t, plan_stage_name(&a->plan, v->item->stage));
		table_text(t, k->volume.namespace);
		table_text(t, k->volume.name);
		table_text(t, claim);
		table_text(t, state_of(v));
		table_text(t, id);
		table_number(t, k->frozen_ns);
		table_number(t, v->item->loss_s * 1000);
		table_number(t, (int64_t)k->bytes);
		table_number(t, (int64_t)v->filled.fetched);
		table_number(t, (int64_t)(1000 * (v->fill_s + v->hand_over_s)));
		table_text(t, v->is_handed_over ? (v->filled.partial ? v->filled.why : NULL)
		                                : v->why.msg);
	}
	auto_json json_t *extra =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I}", "run",
	                  a->run.history.run, "plan", a->run.plan, "from",
	                  a->run.recipe->primary.cluster, "to", a->run.to, "fenced", a->run.fenced,
	                  "promoted", a->run.promoted, "epoch", (json_int_t)a->run.epoch, "missing",
	                  (json_int_t)missing(a), "took_ms",
	                  (json_int_t)((now_wall_ns() - a->run.began_ns) / 1000000));
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the answer");
	if (table_print(t, stdout, extra, e) < 0)
		return -1;
	if (output != OUTPUT_TABLE || a->common->quiet)
		return 0;
	for (size_t i = 0; i < a->plan.n; i++) {
		const struct stage_volume *v = &a->volumes[i];

		if (!v->is_handed_over)
			(void)printf("\n%s/%s: %s\n", v->item->ns, v->item->name,
			             v->item->blocked
			                     ? "it has no point that can be used, or its name is "
			                       "another's, too"
			                     : v->why.msg);
	}
	(void)printf("\nrun %.8s took %s; lost: at most %s%s\n", a->run.history.run,
	             num_duration_text((now_wall_ns() - a->run.began_ns) / 1000000000).s,
	             a->plan.loss_s < 0 ? "everything" : num_duration_text(a->plan.loss_s).s,
	             a->run.promoted ? "; this cluster serves the plan now" : "");
	return 0;
}

/* ---- all of it ---- */

static int finish(struct act *a, struct err *e)
{
	const size_t lacking = missing(a);
	auto_json json_t *more = json_pack("{s:I, s:I, s:I}", "volumes", (json_int_t)a->plan.n,
	                                   "missing", (json_int_t)lacking, "loss_s",
	                                   (json_int_t)a->plan.loss_s);

	if (!more)
		return err_set(e, ERR_NOMEM, "no memory for a journal");
	if (lacking > 0 && !a->o->accept_missing)
		return err_set(
			e, ERR_PARTIAL,
			"%zu of %zu volumes are not restored: run the same again to try them once "
			"more, or with --accept-missing to do without them",
			lacking, a->plan.n);
	if (is_failover(a) && run_promote(&a->run, a->o->reason, e) < 0)
		return -1;
	if (movers_drop(a->o->scope.kube, a->run.ns, a->run.history.run, e) < 0 ||
	    gate_forget(a->o->scope.kube, a->run.ns, a->run.history.run, e) < 0 ||
	    run_step(&a->run, "end", more, e) < 0)
		return -1;
	a->run.ended = true;
	return lacking > 0 ? err_set(e, ERR_PARTIAL, "%zu of %zu volumes are not restored", lacking,
	                             a->plan.n)
	                   : 0;
}

static int go(struct act *a, const char *kind, const char *schema, struct err *e)
{
	const struct movers_params movers = {
		.kube = a->o->scope.kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.template = a->o->template,
		.image = a->o->image,
		.account = a->o->account,
		.store = a->common->store,
		.key = a->common->key,
		.passphrase = a->common->passphrase_file,
	};
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4 * KIB);
	struct err why = ERR_INIT;

	(void)kind;
	if (fence(a, e) < 0 || choose(a, e) < 0 || movers_open(&movers, &a->movers, e) < 0)
		return -1;
	(void)buf_printf(&text, "restoring '%s'", a->run.plan);
	struct progress *progress =
		progress_start(buf_cstr(&text),
	                       a->common->quiet ? PROGRESS_NEVER : a->common->progress, &a->counts);
	int rc = stages(a, e);
	progress_stop(progress);
	if (rc < 0)
		return err_wrap(e,
		                "the run stands where it is, and the same command goes on with it");
	rc = finish(a, e);
	if (rc < 0 && e->class != ERR_PARTIAL)
		return -1;
	if (tell(a, schema, &why) < 0) {
		*e = why;
		return -1;
	}
	return rc;
}

static int run_plan(struct run_options *o, const struct verb_common *common, const char *kind,
                    const char *schema, const char *plan, struct err *e)
{
	CLEANUP(clean_act) struct act a = { .o = o, .common = common };

	if (scope_open(&o->scope, plan, true, cancel_on_signals(), e) < 0 ||
	    cmd_open_contents(common, &a.repo, e) < 0)
		return -1;
	if (common->dry_run)
		return cmd_plan_tell(&o->scope, common, a.repo, strcmp(kind, RUN_FAILOVER) == 0, e);
	return find_or_begin(&a, kind, e) < 0 ? -1 : go(&a, kind, schema, e);
}

static int run_failover(void *state, const struct verb_common *common, int argc, char **argv,
                        struct err *e)
{
	struct run_options *o = state;

	if (!o->reason && !common->dry_run)
		return err_set(e, ERR_INVALID,
		               "--reason is missing: why is this done? It is kept for the record");
	int rc = run_plan(o, common, RUN_FAILOVER, "aksdr/failover/v1", argc > 0 ? argv[0] : NULL,
	                  e);
	scope_close(&o->scope);
	return rc;
}

static int run_run(void *state, const struct verb_common *common, int argc, char **argv,
                   struct err *e)
{
	struct run_options *o = state;
	int rc = run_plan(o, common, RUN_RESTORE, "aksdr/run/v1", argc > 0 ? argv[0] : NULL, e);

	scope_close(&o->scope);
	return rc;
}

#define TEXT                                                                                         \
	"Claims are made in the cluster of KUBECONFIG (or --kubeconfig), filled by movers, some at " \
	"once, and handed over when they are complete: nobody can take a half-filled one. Labels "   \
	"and annotations are those that the claims had.\n\n"                                         \
	"Each step is noted in the repository, so that the same command goes on after whatever "     \
	"has stopped it, also on another machine (--resume): with the same points, and without "     \
	"doing anything twice. A volume that fails does not hold the others of its stage up; what "  \
	"is missing is named, and the exit status is 3.\n\n"                                         \
	"Movers get the recovery key from a Secret in this program's namespace of that cluster, "    \
	"which is taken away at the end.\n\n"

const struct verb cmd_failover = {
	.name = "failover",
	.args = "[PLAN]",
	.summary = "fence the lost site, restore its volumes here by plan, and record who serves",
	.text = "fence → choose → restore → promote. First the primary is fenced: what it still backs "
		"up does not count any more (see `fence`). Then the newest points that can be used "
		"are chosen, restored stage by stage, and last it is written down that this cluster "
		"serves the plan, which `serve` tells to whoever routes traffic.\n\n" TEXT
		"--dry-run tells what would be done, as `plan`.",
	.examples = "aksdr-restore failover shop.yaml --reason 'region down' --dry-run\n"
		    "aksdr-restore failover shop.yaml --reason 'region down'",
	.options = failover_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1,
	.set = set,
	.run = run_failover,
	.state = &given,
};

const struct verb cmd_run = {
	.name = "run",
	.args = "[PLAN]",
	.summary = "restore the volumes of a plan into a cluster",
	.text = TEXT "Nobody is fenced, and nothing is said of who serves: that is `failover`.",
	.examples = "aksdr-restore run shop.yaml\n"
		    "aksdr-restore run --from prod-we --select-volume shop/orders "
		    "--map-namespace shop=shop-copy",
	.options = run_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1,
	.set = set,
	.run = run_run,
	.state = &given,
};
