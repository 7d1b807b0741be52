/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-restore failback: the way back, planned, and so that nothing is lost. Its steps are a
 * chain: each looks whether the one before is done, so they cannot be gone through in another
 * order.
 */
#include <poll.h>
#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "restore/act.h"
#include "restore/cmd.h"
#include "restore/quiesce.h"
#include "restore/reverse.h"

#define WAIT_S 1800
#define LOOK_MS 10000
#define NAMES_MAX 1024

enum { OPT_SERVING = 256, OPT_SERVING_CONTEXT, OPT_SERVING_NAMESPACE, OPT_WAIT };

static const struct verb_option options[] = {
	SCOPE_OPTIONS,
	{ "serving-kubeconfig", "FILE", "of the cluster that serves now (required)", OPT_SERVING },
	{ "serving-context", "NAME", "of that kubeconfig", OPT_SERVING_CONTEXT },
	{ "serving-namespace", "NS", "of the agent there; default: aksdr", OPT_SERVING_NAMESPACE },
	{ "reason", "TEXT", "why, for the record (required)", ACT_OPT_REASON },
	{ "wait", "DURATION", "longest wait for the last backups; default: 30m", OPT_WAIT },
	ACT_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct failback_options {
	struct act_options act;
	const char *kubeconfig, *context, *ns;
	int64_t wait_s;
} given = { .wait_s = WAIT_S, .ns = SCOPE_NAMESPACE };

static int set(void *state, int key, const char *value, struct err *e)
{
	struct failback_options *o = state;
	const int taken = act_set(&o->act, key, value, e);

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_SERVING:
		o->kubeconfig = value;
		return 0;
	case OPT_SERVING_CONTEXT:
		o->context = value;
		return 0;
	case OPT_SERVING_NAMESPACE:
		o->ns = value;
		return 0;
	case OPT_WAIT:
		return num_duration("--wait", value, &o->wait_s, e);
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* What the plan has at the cluster that serves now: the newest of each, and what has none. */
static int newest(const struct act *a, const struct quiesce *q, struct picks *ret, struct err *e)
{
	const struct recipe *r = a->run.recipe;
	const struct pick_params p = { .select = &r->select, .cluster = r->primary.cluster };
	struct err why = ERR_INIT;

	if (picks_make(a->repo, &p, ret, &why) < 0 && why.class != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	return quiesce_add_claims(q, &r->select, r->primary.cluster, ret, e);
}

/* ---- its steps ---- */

/* The cluster that serves must be the one that it goes back from. */
static int check_owner(const struct act *a, const struct recipe *plan, struct err *e)
{
	struct owner o = { .n = 0 };
	struct chain c;

	if (owner_open(a->repo, plan->name, &c, e) < 0 || owner_newest(a->repo, &c, &o, e) < 0)
		return -1;
	if (o.n > 0 && strcmp(o.cluster, plan->secondary.cluster) == 0)
		return 0;
	return err_set(e, ERR_INVALID,
	               "the plan '%s' is served by '%s' and not by '%s': there is nothing to go "
	               "back from",
	               plan->name, o.n > 0 ? o.cluster : plan->primary.cluster,
	               plan->secondary.cluster);
}

static int begin(struct act *a, struct err *e)
{
	const struct scope *s = &a->o->scope;
	CLEANUP(picks_clear) struct picks went = { .n = 0 };
	auto_recipe struct recipe *back = NULL;
	auto_json json_t *document = NULL;
	const struct pick_params p = { .select = &s->recipe->select,
		                       .cluster = s->recipe->primary.cluster };

	if (check_owner(a, s->recipe, e) < 0)
		return -1;
	if (s->recipe->maps[RECIPE_NAMESPACES].n > 0 && picks_make(a->repo, &p, &went, e) < 0)
		return -1;
	if (reverse_recipe(s->recipe, &went, &document, e) < 0 ||
	    recipe_read(document, s->ns, &back, e) < 0)
		return -1;
	return act_begin(a, RUN_FAILBACK, back, back->secondary.cluster, e);
}

/* Nobody writes any more; from here on every volume needs one more point. */
static int stop(struct act *a, const struct quiesce *q, struct err *e)
{
	CLEANUP(picks_clear) struct picks now = { .n = 0 };

	if (a->run.final)
		return 0;
	if (newest(a, q, &now, e) < 0 || quiesce_check(q, &now, e) < 0)
		return -1;
	if (a->run.stopped)
		return 0;
	auto_json json_t *note = quiesce_note(&now);
	auto_json json_t *more = json_pack("{s:O}", "sequences", note);
	if (!more)
		return err_set(e, ERR_NOMEM, "no memory for a journal");
	if (run_step(&a->run, "stop", more, e) < 0)
		return -1;
	a->run.stopped = STEAL(&note);
	return 0;
}

static int final(struct act *a, const struct quiesce *q, int64_t wait_s, struct err *e)
{
	const int64_t until_ns = now_mono_ns() + wait_s * 1000000000;
	const struct cancel *cancel = cancel_on_signals();
	char lacking[NAMES_MAX], told[NAMES_MAX] = "";

	while (!a->run.final) {
		CLEANUP(picks_clear) struct picks now = { .n = 0 };
		struct pollfd wake = { .fd = cancel ? cancel->fd : -1, .events = POLLIN };

		if (cancel_check(cancel, e) < 0 || newest(a, q, &now, e) < 0)
			return -1;
		quiesce_lacking(a->run.stopped, &now, lacking, sizeof(lacking));
		if (!*lacking) {
			/* Whoever has begun to write meanwhile begins anew, too. */
			if (quiesce_check(q, &now, e) < 0 ||
			    run_step(&a->run, "final", NULL, e) < 0)
				return -1;
			a->run.final = true;
			break;
		}
		if (now_mono_ns() > until_ns)
			return err_set(e, ERR_RETRY,
			               "the last backups are not there after %s: back %s up at "
			               "'%s' (aksdr-agent backup), and run the same again",
			               num_duration_text(wait_s).s, lacking,
			               a->run.recipe->primary.cluster);
		if (strcmp(lacking, told) != 0)
			log_info("waiting for the last backups", LOG_S("of", lacking));
		memcpy(told, lacking, sizeof(told));
		(void)poll(&wake, 1, LOOK_MS);
	}
	return 0;
}

static int fence(struct act *a, const struct quiesce *q, const char *reason, struct err *e)
{
	CLEANUP(picks_clear) struct picks now = { .n = 0 };

	if (a->run.fenced)
		return 0;
	return newest(a, q, &now, e) < 0 ? -1 : run_fence(&a->run, &now, reason, e);
}

static int give_back(struct act *a, const char *reason, struct err *e)
{
	if (run_unfence(&a->run, reason, e) < 0 || run_promote(&a->run, reason, e) < 0)
		return -1;
	return act_end(a, e);
}

static int go(struct act *a, const struct failback_options *o, const struct quiesce *q,
              struct err *e)
{
	const char *reason = o->act.reason;
	struct err why = ERR_INIT;

	a->take = true;
	if (stop(a, q, e) < 0 || final(a, q, o->wait_s, e) < 0 || fence(a, q, reason, e) < 0 ||
	    act_restore(a, e) < 0)
		return -1;
	int rc = act_complete(a, e);
	if (rc == 0)
		rc = give_back(a, reason, e);
	if (rc < 0 && e->class != ERR_PARTIAL)
		return -1;
	if (act_tell(a, "aksdr/failback/v1", &why) == 0)
		return rc;
	*e = why;
	return -1;
}

/* ---- the verb ---- */

static int tell_steps(const struct act *a, struct err *e)
{
	const struct recipe *r = a->o->scope.recipe;

	if (check_owner(a, r, e) < 0)
		return -1;
	(void)printf("1. look that nobody uses the claims of the plan at '%s', and no backup runs\n"
	             "2. wait for one more point of each volume\n"
	             "3. fence '%s'\n"
	             "4. bring what differs to the claims of '%s'\n"
	             "5. let '%s' back up again, and write down that it serves the plan\n",
	             r->secondary.cluster, r->secondary.cluster, r->primary.cluster,
	             r->primary.cluster);
	return 0;
}

static int run_with(struct failback_options *o, const struct verb_common *common,
                    struct kube *serving, const char *plan, struct err *e)
{
	auto_act struct act a = { .o = &o->act, .common = common };
	const struct quiesce q = { .kube = serving, .ns = o->ns, .cancel = cancel_on_signals() };

	if (scope_open(&o->act.scope, plan, true, q.cancel, e) < 0 ||
	    cmd_open_contents(common, &a.repo, e) < 0)
		return -1;
	if (common->dry_run)
		return tell_steps(&a, e);
	if (!history_fits_repository(a.repo))
		return err_set(e, ERR_DENIED,
		               "going back is written to the repository, by the first recovery key "
		               "alone, and while its first region answers");
	const int found = act_resume(&a, RUN_FAILBACK, e);
	if (found < 0 || (!found && begin(&a, e) < 0))
		return -1;
	return go(&a, o, &q, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct failback_options *o = state;
	const struct kube_params params = { .kubeconfig = o->kubeconfig,
		                            .context = o->context,
		                            .cancel = cancel_on_signals() };

	(void)argc;
	if (!o->act.reason && !common->dry_run)
		return err_set(e, ERR_INVALID,
		               "--reason is missing: why is this done? It is kept for the record");
	if (!o->kubeconfig && !o->context)
		return err_set(e, ERR_INVALID,
		               "--serving-kubeconfig is missing: the cluster that serves now is "
		               "asked whether it stands still");
	auto_kube struct kube *serving = kube_open(&params, e);
	if (!serving)
		return -1;
	int rc = run_with(o, common, serving, argv[0], e);
	scope_close(&o->act.scope);
	return rc;
}

const struct verb cmd_failback = {
	.name = "failback",
	.args = "PLAN",
	.summary = "bring a plan back to its primary, without losing anything",
	.text = "stop → final → fence → restore → give back. KUBECONFIG (or --kubeconfig) is that "
		"of the primary, which gets its volumes back; --serving-kubeconfig that of the "
		"cluster that serves now.\n\n"
		"Stop what writes to the claims of the plan there first, and nothing at the "
		"primary may use its old claims. Then this waits until every volume has a point "
		"that was begun after that, fences the cluster that served, and brings to the "
		"primary's claims what differs: they are taken, compared and handed back, so "
		"nobody sees one that is half done. What they have that was never backed up is "
		"written over. Last, the primary may back up again, and it is written down that "
		"it serves.\n\n"
		"Each step is noted in the repository; the same command goes on after whatever "
		"has stopped it. Mappings of the plan are gone through backwards.",
	.examples = "aksdr-restore failback shop.yaml --reason back "
		    "--kubeconfig we.conf --serving-kubeconfig ne.conf",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &given,
};
