/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore standby: volumes in another cluster follow the points of a plan. */
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/num.h"
#include "common/status.h"
#include "restore/cmd.h"
#include "restore/movers.h"
#include "restore/scope.h"
#include "restore/standby.h"

#define INTERVAL_S 300

enum { OPT_INTERVAL = 256, OPT_ONCE, OPT_COPIES, OPT_LIMIT, OPT_LISTEN, OPT_METRICS, OPT_DROP };

static const struct verb_option standby_options[] = {
	SCOPE_OPTIONS,
	{ "interval", "DURATION", "between two looks for newer points; default: 5m", OPT_INTERVAL },
	{ "once", NULL, "look once, bring all volumes to their newest point, and end", OPT_ONCE },
	{ "copies", "N",
	  "claims of each volume, 1 or 2, which are filled in turn, so that one of them is always "
	  "whole; default: as the plan says",
	  OPT_COPIES },
	{ "limit", "SIZE", "bytes a second that each mover reads from the store", OPT_LIMIT },
	{ "listen", "[ADDRESS:]PORT", "metrics and probes over HTTP; default: none", OPT_LISTEN },
	{ "metrics", "FILE", "write metrics to a file after each look", OPT_METRICS },
	{ "drop", NULL, "take all claims of the plan's standby away, and end", OPT_DROP },
	MOVERS_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct standby_options {
	struct scope scope;
	const char *limit, *listen, *metrics;
	struct movers_options movers;
	int64_t interval_s;
	uint64_t copies;
	bool once, drop;
} given = { .interval_s = INTERVAL_S };

static int set(void *state, int key, const char *value, struct err *e)
{
	struct standby_options *o = state;
	const int taken = scope_set(&o->scope, key, value, e);
	uint64_t n;

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_INTERVAL:
		if (num_duration("--interval", value, &o->interval_s, e) < 0)
			return -1;
		return o->interval_s > 0 && o->interval_s <= 86400
		               ? 0
		               : err_set(e, ERR_INVALID, "--interval is at most a day, and not 0");
	case OPT_ONCE:
		o->once = true;
		return 0;
	case OPT_COPIES:
		return num_u64("--copies", value, 1, STANDBY_COPIES_MAX, &o->copies, e);
	case OPT_LIMIT:
		o->limit = value;
		return num_size("--limit", value, (uint64_t)1 << 40, &n, e);
	case OPT_LISTEN:
		o->listen = value;
		return 0;
	case OPT_METRICS:
		o->metrics = value;
		return 0;
	case OPT_DROP:
		o->drop = true;
		return 0;
	default:
		return movers_set(&o->movers, key, value)
		               ? 0
		               : err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* All that a call works with. */
struct act {
	const struct standby_options *o;
	const struct verb_common *common;
	const char *plan;  /* as it was given; NULL: by options */
	struct repo *repo; /* of the last look */
	struct movers movers;
	struct standby *standby;
	char run[RUN_LOG_ID];
};

static void clean_act(struct act *a)
{
	standby_free(a->standby);
	movers_close(&a->movers);
	repo_free(a->repo);
}

/* ---- what the standby asks ---- */

/* Read and opened anew each time: the plan, keys, fences and what counts are as they are now. */
static int pick(void *arg, struct recipe **ret_recipe, struct picks *ret, struct err *e)
{
	struct act *a = arg;
	auto_recipe struct recipe *recipe = NULL;
	struct scope now = a->o->scope;

	if (scope_again(&now, a->plan, &recipe, e) < 0)
		return -1;
	now.recipe = recipe;
	repo_free(a->repo);
	a->repo = NULL;
	/* What is not all there shows in what is applied, which reads only what differs. */
	if (cmd_open_contents(a->common, &a->repo, e) < 0 ||
	    scope_pick(&now, a->repo, false, ret, e) < 0)
		return -1;
	*ret_recipe = STEAL(&recipe);
	return 0;
}

static int64_t moment(void *arg, const char *session)
{
	struct act *a = arg;
	CLEANUP(point_clear) struct point p = { 0 };
	struct err ignored = ERR_INIT;

	return a->repo && repo_point(a->repo, session, &p, &ignored) == 0 ? p.frozen_ns : 0;
}

static void looked(void *arg)
{
	struct act *a = arg;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	struct err e = ERR_INIT;

	if (a->o->metrics &&
	    (standby_metrics(a->standby, &b, &e) < 0 || metric_write(&b, a->o->metrics, &e) < 0))
		log_warn("the metrics were not written", LOG_S("why", e.msg));
}

/* ---- what is told ---- */

static const struct table_column columns[] = {
	{ "namespace", NULL, TABLE_TEXT },
	{ "claim", "CLAIM", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },
	{ "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },
	{ "newest", NULL, TABLE_TEXT },
	{ "newest_frozen", NULL, TABLE_TIME },
	{ "lag_ms", "BEHIND", TABLE_DURATION },
	{ "gaps", NULL, TABLE_NUMBER },
	{ "fetched_bytes", "FETCHED", TABLE_BYTES },
	{ "written_bytes", "WRITTEN", TABLE_BYTES },
	{ "why", NULL, TABLE_TEXT },
};

struct telling {
	struct table *t;
	enum output output;
};

static void tell_one(void *arg, const struct standby_table *t, const struct standby_volume *v)
{
	const struct telling *x = arg;
	const struct standby_copy *best = standby_table_best(t, v);
	const int64_t lag_s = standby_table_lag_s(t, v);
	const int digits = x->output == OUTPUT_TABLE ? 8 : 32;
	char full[2 * KUBE_NAME_MAX + 2], point[33] = "", newest[33];

	(void)snprintf(full, sizeof(full), "%s/%s", v->ns, v->name);
	(void)snprintf(newest, sizeof(newest), "%.*s", digits, v->wanted);
	if (best)
		(void)snprintf(point, sizeof(point), "%.*s", digits, best->point);
	table_row(x->t);
	table_text(x->t, v->ns);
	table_text(x->t, x->output == OUTPUT_TABLE ? full : v->name);
	table_text(x->t, standby_table_state(t, v));
	table_text(x->t, *point ? point : NULL);
	table_number(x->t, best ? best->at_ns : 0);
	table_text(x->t, *newest ? newest : NULL);
	table_number(x->t, v->wanted_ns);
	if (lag_s >= 0)
		table_number(x->t, lag_s * 1000);
	else
		table_null(x->t);
	table_number(x->t, best ? (int64_t)best->gaps : 0);
	table_number(x->t, (int64_t)v->fetched);
	table_number(x->t, (int64_t)v->written);
	table_text(x->t, *v->why ? v->why : NULL);
}

static int tell(const struct act *a, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/standby/v1", columns, ARRAY_LEN(columns),
	                                       a->common->output, e);
	struct telling x = { t, a->common->output };

	if (!t)
		return -1;
	standby_each(a->standby, tell_one, &x);
	auto_json json_t *extra = json_pack("{s:s}", "plan", a->o->scope.recipe->name);
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the answer");
	return table_print(t, stdout, extra, e);
}

/* ---- all of it ---- */

static int open_movers(struct act *a, struct err *e)
{
	const struct movers_params p = {
		.kube = a->o->scope.kube,
		.ns = a->o->scope.ns,
		.run = a->run,
		.how = a->o->movers,
		.store = a->common->store,
		.key = a->common->key,
		.passphrase = a->common->passphrase_file,
	};

	if (movers_open(&p, &a->movers, e) < 0)
		return -1;
	if (a->o->limit &&
	    json_array_append_new(a->movers.env,
	                          json_pack("{s:s, s:s}", "name", "AKSDR_LIMIT_DOWNLOAD", "value",
	                                    a->o->limit)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the template of movers");
	return 0;
}

static int drop(struct act *a, struct err *e)
{
	size_t dropped = 0;

	if (standby_drop(a->standby, &dropped, e) < 0 ||
	    movers_drop(a->o->scope.kube, a->o->scope.ns, a->run, e) < 0)
		return -1;
	log_info("the standby was taken away", LOG_S("plan", a->o->scope.recipe->name),
	         LOG_U("claims", dropped));
	return 0;
}

static int follow(struct act *a, struct err *e)
{
	auto_status struct status *server = NULL;
	const struct status_params http = {
		.listen = a->o->listen,
		.metrics = standby_metrics,
		.ready = standby_ready,
		.arg = a->standby,
	};

	if (a->o->listen) {
		if (status_start(&http, &server, e) < 0)
			return -1;
		log_info("listening", LOG_U("port", status_port(server)));
	}
	if (standby_run(a->standby, false, e) < 0 && e->class != ERR_CANCELLED)
		return -1;
	return 0;
}

static int once(struct act *a, struct err *e)
{
	struct err verdict = ERR_INIT;

	int rc = standby_run(a->standby, true, &verdict);
	if (rc < 0 && verdict.class != ERR_PARTIAL) {
		*e = verdict;
		return -1;
	}
	/* Nothing of it is at work any more. */
	if (movers_drop(a->o->scope.kube, a->o->scope.ns, a->run, e) < 0 || tell(a, e) < 0)
		return -1;
	if (rc < 0)
		*e = verdict;
	return rc;
}

static int act(struct act *a, struct err *e)
{
	const struct standby_options *o = a->o;
	struct standby_params p = {
		.kube = o->scope.kube,
		.ns = o->scope.ns,
		.plan = o->scope.recipe->name,
		.copies = o->copies ? (unsigned)o->copies : o->scope.recipe->copies,
		.movers = o->scope.movers,
		.interval_ms = o->interval_s * 1000,
		.cancel = cancel_on_signals(),
		.pick = pick,
		.moment = moment,
		.looked = looked,
		.arg = a,
	};
	const bool fills = !o->drop && !a->common->dry_run;

	standby_run_of(o->scope.recipe->name, 0, a->run);
	if (o->drop)
		p.copies = STANDBY_COPIES_MAX;
	if (fills && open_movers(a, e) < 0)
		return -1;
	p.template = a->movers.template;
	p.env = a->movers.env;
	if (standby_new(&p, &a->standby, e) < 0)
		return -1;
	if (o->drop)
		return drop(a, e);
	if (a->common->dry_run)
		return standby_look(a->standby, e) < 0 ? -1 : tell(a, e);
	return o->once ? once(a, e) : follow(a, e);
}

static int check(const struct standby_options *o, const struct verb_common *common, struct err *e)
{
	if (o->scope.as_of)
		return err_set(e, ERR_INVALID,
		               "a standby follows the newest points: --as-of makes no sense");
	if (o->drop && (o->once || common->dry_run))
		return err_set(e, ERR_INVALID, "--drop is for itself");
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct standby_options *o = state;
	CLEANUP(clean_act) struct act a = { .o = o, .common = common };

	if (check(o, common, e) < 0)
		return -1;
	int rc = scope_open(&o->scope, argc > 0 ? argv[0] : NULL, true, cancel_on_signals(), e);
	a.plan = argc > 0 ? argv[0] : NULL;
	if (rc == 0)
		rc = act(&a, e);
	/* What borrows of the scope goes first. */
	standby_free(a.standby);
	a.standby = NULL;
	scope_close(&o->scope);
	return rc;
}

const struct verb cmd_standby = {
	.name = "standby",
	.args = "[PLAN]",
	.summary = "keep volumes in another cluster up to date with the points of a plan",
	.text = "For each volume of the plan a claim in this program's namespace of the cluster of "
		"KUBECONFIG (or --kubeconfig) gets the newest point that a failover would "
		"restore, and from then on what differs in each newer one. A failover finds these "
		"claims, brings what is behind to the point that it chooses, and hands them "
		"over.\n\n"
		"A claim is either one point as a whole, or says that one is being put into it; "
		"where that was interrupted, all of it is compared. With two copies a volume has "
		"two claims, and the one that is older is filled while the other one stays "
		"whole.\n\n"
		"It runs until it is ended, reads the plan anew at each look, may be killed at any "
		"time, and can be begun again on "
		"any machine. What takes long or fails does not hold other volumes up. --dry-run "
		"shows how far all of them are, and changes nothing.\n\n"
		"With --once the exit status is 3 when a volume does not stand by with its newest "
		"point.",
	.examples = "aksdr-restore standby shop.yaml --once\n"
		    "aksdr-restore standby shop --interval 2m --limit 40Mi --listen 9762\n"
		    "aksdr-restore standby shop --dry-run --output json\n"
		    "aksdr-restore standby shop --drop",
	.options = standby_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &given,
};
