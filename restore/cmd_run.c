/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore run and failover: a plan is run. */
#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "restore/act.h"
#include "restore/cmd.h"
#include "restore/outlook.h"

static const struct verb_option failover_options[] = {
	SCOPE_OPTIONS,
	{ "to", "CLUSTER", "that goes on; default: the plan's secondary", ACT_OPT_TO },
	{ "reason", "TEXT", "why, for the record (required)", ACT_OPT_REASON },
	{ "no-fence", NULL, "leave the primary as it is: what it backs up goes on to count",
	  ACT_OPT_NO_FENCE },
	ACT_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option run_options[] = {
	SCOPE_OPTIONS,
	{ "to", "CLUSTER", "for the record: where it is restored; default: the plan's secondary",
	  ACT_OPT_TO },
	ACT_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct act_options given;

static int set(void *state, int key, const char *value, struct err *e)
{
	const int taken = act_set(state, key, value, e);

	return taken > 0   ? 0
	       : taken < 0 ? -1
	                   : err_set(e, ERR_BUG, "option %d has no meaning", key);
}

/* Before anything is done: what cannot work is told now, and not when the primary is fenced. */
static int look_ahead(const struct act *a, bool fences, struct err *e)
{
	const struct outlook_params p = { .scope = &a->o->scope,
		                          .preflight = true,
		                          .fences = fences,
		                          .account = a->o->movers.account };
	auto_outlook struct outlook o;

	if (outlook_make(a->repo, &p, &o, e) < 0)
		return -1;
	if (o.findings.counts[FINDING_BLOCK] == 0 || a->o->force)
		return 0;
	outlook_print(&o.findings, true, stderr);
	return err_set(e, ERR_UNSUPPORTED,
	               "nothing was done, since %zu findings stand in the way: put that right, or "
	               "go on all the same by --force",
	               o.findings.counts[FINDING_BLOCK]);
}

static int fence(struct act *a, struct err *e)
{
	CLEANUP(picks_clear) struct picks now = { .n = 0 };

	if (a->o->no_fence || a->run.fenced)
		return 0;
	if (!history_fits_repository(a->repo))
		return err_set(
			e, ERR_DENIED,
			"the primary cannot be fenced with this key, or while the store cannot be "
			"written: fail the store over first, and use the first recovery key; or "
			"leave the primary as it is by --no-fence, where nothing of it runs any "
			"more");
	/* Which volumes there are: no tree is walked for that. */
	if (run_pick(&a->run, false, &now, e) < 0)
		return -1;
	return run_fence(&a->run, &now, a->o->reason, e);
}

/* The cluster that goes on backs up again, where it was fenced once, and serves. */
static int promote(struct act *a, struct err *e)
{
	if (history_fits_repository(a->repo))
		return run_unfence(&a->run, a->o->reason, e) < 0
		               ? -1
		               : run_promote(&a->run, a->o->reason, e);
	log_warn("that this cluster serves the plan could not be written down: `promote` does that "
	         "once the store can be written, with the first recovery key",
	         LOG_S("plan", a->run.plan));
	return 0;
}

/* The run, and what became of it. */
static int go(struct act *a, bool fails_over, const char *schema, struct err *e)
{
	struct err why = ERR_INIT;

	if ((fails_over && fence(a, e) < 0) || act_restore(a, e) < 0)
		return -1;
	int rc = act_complete(a, e);
	if (rc == 0 && fails_over)
		rc = promote(a, e);
	if (rc == 0)
		rc = act_end(a, e);
	if (rc < 0 && e->class != ERR_PARTIAL)
		return -1;
	if (act_tell(a, schema, &why) == 0)
		return rc;
	*e = why;
	return -1;
}

/* Who types the command once more is told that it is done: 1; 0: it is not. */
static int is_done(const struct act *a, const char *to, const char *schema, struct err *e)
{
	struct owner o = { .n = 0 };
	struct chain chain;

	if (a->o->anew || a->o->force)
		return 0;
	if (owner_open(a->repo, a->o->scope.recipe->name, &chain, e) < 0 ||
	    owner_newest(a->repo, &chain, &o, e) < 0)
		return -1;
	if (o.n == 0 || strcmp(o.cluster, to) != 0)
		return 0;
	return act_tell_served(a, &o, schema, e) < 0 ? -1 : 1;
}

static int run_plan(struct act_options *o, const struct verb_common *common, const char *kind,
                    const char *schema, const char *plan, struct err *e)
{
	auto_act struct act a = { .o = o, .common = common };
	const bool fails_over = strcmp(kind, RUN_FAILOVER) == 0;

	if (scope_open(&o->scope, plan, true, cancel_on_signals(), e) < 0 ||
	    cmd_open_contents(common, &a.repo, e) < 0)
		return -1;
	if (common->dry_run)
		return cmd_plan_tell(&o->scope, common, a.repo, fails_over && !o->no_fence, e);
	const int found = act_resume(&a, kind, e);
	if (found < 0)
		return -1;
	if (!found) {
		const struct recipe *r = o->scope.recipe;
		const char *to = o->to ? o->to : r->secondary.cluster;
		const int done = fails_over ? is_done(&a, to, schema, e) : 0;

		if (done != 0)
			return done < 0 ? -1 : 0;
		if (look_ahead(&a, fails_over && !o->no_fence, e) < 0 ||
		    act_begin(&a, kind, r, to, e) < 0)
			return -1;
	}
	return go(&a, fails_over, schema, e);
}

static int run_failover(void *state, const struct verb_common *common, int argc, char **argv,
                        struct err *e)
{
	struct act_options *o = state;

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
	struct act_options *o = state;
	int rc = run_plan(o, common, RUN_RESTORE, "aksdr/run/v1", argc > 0 ? argv[0] : NULL, e);

	scope_close(&o->scope);
	return rc;
}

#define TEXT                                                                                 \
	"Claims are made in the cluster of KUBECONFIG (or --kubeconfig), filled by movers, " \
	"some at once, and handed over when they are complete: nobody can take a "           \
	"half-filled one. Labels and annotations are those that the claims had.\n\n"         \
	"Each step is noted in the repository, so that the same command goes on after "      \
	"whatever has stopped it, also on another machine (--resume): with the same "        \
	"points, and without doing anything twice. A volume that fails does not hold the "   \
	"others of its stage up; what is missing is named, and the exit status is 3.\n\n"    \
	"Movers get the recovery key from a Secret in this program's namespace of that "     \
	"cluster, which is taken away at the end.\n\n"

const struct verb cmd_failover = {
	.name = "failover",
	.args = "[PLAN]",
	.summary = "fence the lost site, restore its volumes here by plan, and record who serves",
	.text = "fence → choose → restore → promote. First the primary is fenced: what it "
		"still backs up does not count any more (see `fence`). Then the newest points "
		"that can be used are chosen, restored stage by stage, and last it is written "
		"down that this cluster serves the plan, which `serve` tells to whoever "
		"routes traffic.\n\n" TEXT "--dry-run tells what would be done, as `plan`.",
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
