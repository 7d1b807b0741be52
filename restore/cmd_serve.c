/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore serve: tells who sends traffic whether this cluster serves a plan. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/cancel.h"
#include "common/num.h"
#include "common/status.h"
#include "restore/cmd.h"
#include "restore/recipe.h"
#include "restore/serve.h"

#define LISTEN "9761"
#define INTERVAL_MS 500
#define INTERVAL_MIN_MS 50
#define INTERVAL_MAX_MS 60000

enum { OPT_CLUSTER = 256, OPT_PLAN, OPT_LISTEN, OPT_INTERVAL, OPT_MAX_AGE };

static const struct verb_option serve_options[] = {
	{ "cluster", "NAME", "this cluster, as plans and fences name it (required)", OPT_CLUSTER },
	{ "plan", "NAME=PRIMARY[/NS,...]|FILE",
	  "a plan, its primary cluster and its namespaces, or a file with a RestorePlan; several "
	  "times",
	  OPT_PLAN },
	{ "listen", "[ADDRESS:]PORT", "where it is asked; default " LISTEN, OPT_LISTEN },
	{ "interval", "MS", "milliseconds between two looks at the store; default 500",
	  OPT_INTERVAL },
	{ "max-age", "DURATION", "503 when the store was not read for so long; default: never",
	  OPT_MAX_AGE },
	{ NULL, NULL, NULL, 0 },
};

static struct serve_options {
	const char *cluster, *listen;
	struct serve_plan plans[SERVE_PLANS_MAX];
	size_t nplans;
	uint64_t interval_ms;
	int64_t max_age_s;
} options = { .listen = LISTEN, .interval_ms = INTERVAL_MS };

static int put_name(char *ret, size_t max, const char *text, size_t n, const char *option,
                    struct err *e)
{
	if (n == 0 || n >= max)
		return err_set(e, ERR_INVALID, "%s: a name is missing, or too long", option);
	memcpy(ret, text, n);
	ret[n] = '\0';
	return 0;
}

static int add_namespace(struct serve_plan *p, const char *text, size_t n, struct err *e)
{
	if (p->nnamespaces == SERVE_NAMESPACES_MAX)
		return err_set(e, ERR_INVALID, "--plan: more than %d namespaces",
		               SERVE_NAMESPACES_MAX);
	return put_name(p->namespaces[p->nnamespaces++], SERVE_NAMESPACE_MAX, text, n, "--plan", e);
}

/* Patterns are no namespaces: who has them sees a fence of the whole cluster alone. */
static int plan_of_file(const char *path, struct serve_plan *p, struct err *e)
{
	auto_recipe struct recipe *r = NULL;

	if (recipe_load(path, NULL, "default", &r, e) < 0)
		return err_wrap(e, "--plan %s", path);
	for (size_t i = 0; i < r->select.namespaces.n; i++) {
		const char *ns = r->select.namespaces.v[i];

		if (!strpbrk(ns, "*?[\\") && add_namespace(p, ns, strlen(ns), e) < 0)
			return -1;
	}
	return put_name(p->name, sizeof(p->name), r->name, strlen(r->name), "--plan", e) < 0
	               ? -1
	               : put_name(p->primary, sizeof(p->primary), r->primary.cluster,
	                          strlen(r->primary.cluster), "--plan", e);
}

/* NAME=PRIMARY, or NAME=PRIMARY/NS,NS... */
static int plan_of_text(const char *text, size_t equals, struct serve_plan *p, struct err *e)
{
	const char *rest = text + equals + 1;
	size_t n = strcspn(rest, "/");

	if (put_name(p->name, sizeof(p->name), text, equals, "--plan", e) < 0 ||
	    put_name(p->primary, sizeof(p->primary), rest, n, "--plan", e) < 0)
		return -1;
	for (rest += n; *rest; rest += n) {
		n = strcspn(++rest, ",");
		if (add_namespace(p, rest, n, e) < 0)
			return -1;
	}
	return 0;
}

static int add_plan(struct serve_options *o, const char *text, struct err *e)
{
	const size_t equals = strcspn(text, "=/");
	struct serve_plan *p = &o->plans[o->nplans];

	if (o->nplans == SERVE_PLANS_MAX)
		return err_set(e, ERR_INVALID, "more than %d plans", SERVE_PLANS_MAX);
	/* What has a slash before it, or no such sign, is the name of a file. */
	if (text[equals] != '=' ? plan_of_file(text, p, e) < 0
	                        : plan_of_text(text, equals, p, e) < 0)
		return -1;
	o->nplans++;
	return 0;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	struct serve_options *o = state;

	switch (key) {
	case OPT_CLUSTER:
		o->cluster = value;
		return 0;
	case OPT_PLAN:
		return add_plan(o, value, e);
	case OPT_LISTEN:
		o->listen = value;
		return 0;
	case OPT_INTERVAL:
		return num_u64("--interval", value, INTERVAL_MIN_MS, INTERVAL_MAX_MS,
		               &o->interval_ms, e);
	default:
		return num_duration("--max-age", value, &o->max_age_s, e);
	}
}

/* Says once that the store does not answer, and once that it does again. */
static void tell(bool failed, const struct err *why, bool *told)
{
	if (failed == *told)
		return;
	*told = failed;
	if (failed)
		log_warn("the store was not read: the answers stay as they are",
		         LOG_S("why", why->msg));
	else
		log_info("the store was read again");
}

/* Looks until the program is to end. */
static void look_out(struct serve *s, const struct cancel *cancel, int interval_ms)
{
	struct pollfd fd = { .fd = cancel->fd, .events = POLLIN };
	bool told = false;

	while (!cancel_requested(cancel)) {
		struct err why = ERR_INIT;
		const bool failed = serve_look(s, &why) < 0;

		if (cancel_requested(cancel))
			break;
		tell(failed, &why, &told);
		(void)poll(&fd, 1, interval_ms);
	}
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct serve_options *o = state;
	const struct cancel *cancel = cancel_on_signals();
	const struct serve_params params = {
		.cluster = o->cluster ? o->cluster : "",
		.plans = o->plans,
		.nplans = o->nplans,
		.store = common->store,
		.key = common->key,
		.passphrase_file = common->passphrase_file,
		.state = common->state,
		.max_age_s = o->max_age_s,
		.cancel = cancel,
	};
	auto_serve struct serve *s = NULL;
	auto_status struct status *server = NULL;

	(void)argc;
	(void)argv;
	if (!o->cluster)
		return err_set(e, ERR_INVALID, "--cluster is missing");
	if (o->nplans == 0)
		return err_set(e, ERR_INVALID, "--plan is missing");
	if (serve_new(&params, &s, e) < 0)
		return -1;
	/*
	 * Whether it lives does not depend on the store: to be started again would take away the
	 * answers that are known.
	 */
	const struct status_params http = {
		.listen = o->listen,
		.keep_ms = -1, /* they cost nothing to make */
		.metrics = serve_metrics,
		.ready = serve_ready,
		.path = serve_path,
		.paths = SERVE_PATH "PLAN",
		.arg = s,
	};
	if (status_start(&http, &server, e) < 0)
		return -1;
	log_info("listening", LOG_U("port", status_port(server)), LOG_U("plans", o->nplans));
	look_out(s, cancel, (int)o->interval_ms);
	return 0;
}

const struct verb cmd_serve = {
	.name = "serve",
	.summary = "tell over HTTP whether this cluster serves a plan, for who sends traffic",
	.text = "GET /traffic/PLAN is answered with 200 when this cluster serves the plan, and "
		"with 503 and the reason when it does not; so an endpoint of Azure Traffic "
		"Manager, or of any balancer, can point at it. It runs on both sides.\n\n"
		"A plan is served by the cluster that the newest record names ('promote' and "
		"'failover' put them), and by its primary where there is none; never by one "
		"that was fenced since, or of which a namespace of the plan was. Nothing makes "
		"a fenced cluster answer 200 again but giving it back ('unfence') and a new "
		"record.\n\n"
		"Answers come from memory. The store is looked at every so often: one request, "
		"and one for each plan. When it does not answer, the last answers stay, and "
		"metrics tell how old they are; --max-age makes them 503. Until it was read "
		"once, all are 503.\n\n"
		"/metrics, /healthz and /readyz are there too. Any key of the repository will "
		"do.",
	.examples = "aksdr-restore serve --key audit.key --cluster prod-we --plan "
		    "shop=prod-we/shop\n"
		    "aksdr-restore serve --key audit.key --cluster prod-ne --plan plans/shop.yaml "
		    "--max-age 10m",
	.options = serve_options,
	.flags = VERB_STORE | VERB_KEY,
	.set = set,
	.run = run,
	.state = &options,
};
