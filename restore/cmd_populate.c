/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore populate: claims get what a restore point has. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/status.h"
#include "restore/cmd.h"
#include "restore/movers.h"
#include "restore/pick.h"
#include "restore/populate.h"
#include "restore/scope.h"

/* Secrets of movers are named after a run: this one's, which is always the same. */
#define RUN_OF_ALL "706f70756c61746f7200000000000000"

enum { OPT_KUBECONFIG = 256, OPT_CONTEXT, OPT_NAMESPACE, OPT_MOVERS, OPT_ONCE, OPT_LISTEN };

static const struct verb_option options[] = {
	{ "kubeconfig", "FILE", "of the cluster", OPT_KUBECONFIG },
	{ "context", "NAME", "of the kubeconfig", OPT_CONTEXT },
	{ "namespace", "NS", "of this program there; default: aksdr", OPT_NAMESPACE },
	{ "movers", "N", "claims at once; default: 4", OPT_MOVERS },
	{ "once", NULL, "try each claim that waits once, and end", OPT_ONCE },
	{ "listen", "[ADDRESS:]PORT", "metrics and probes over HTTP; default: none", OPT_LISTEN },
	MOVERS_OPTIONS,
	{ NULL, NULL, NULL, 0 },
};

static struct populate_options {
	const char *kubeconfig, *context, *ns, *listen;
	struct movers_options movers;
	uint64_t at_once;
	bool once;
} given = { .ns = SCOPE_NAMESPACE };

static int set(void *state, int key, const char *value, struct err *e)
{
	struct populate_options *o = state;

	switch (key) {
	case OPT_KUBECONFIG:
		o->kubeconfig = value;
		return 0;
	case OPT_CONTEXT:
		o->context = value;
		return 0;
	case OPT_NAMESPACE:
		o->ns = value;
		return 0;
	case OPT_MOVERS:
		return num_u64("--movers", value, 1, POPULATE_MOVERS_MAX, &o->at_once, e);
	case OPT_ONCE:
		o->once = true;
		return 0;
	case OPT_LISTEN:
		o->listen = value;
		return 0;
	default:
		return movers_set(&o->movers, key, value)
		               ? 0
		               : err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- points ---- */

static void take(const struct point_volume *v, const char *id, struct populate_point *ret)
{
	(void)snprintf(ret->id, sizeof(ret->id), "%.32s", id);
	(void)snprintf(ret->volume, sizeof(ret->volume), "%s/%s/%s", v->cluster, v->namespace,
	               v->name);
	ret->block = v->block;
}

static int find_by_id(const struct repo *r, const struct request *q, struct populate_point *ret,
                      struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	char text[900];

	(void)snprintf(text, sizeof(text), "%s/%s/%s@%s", q->cluster, q->ns, q->name, q->id);
	if (repo_find(r, text, &p, e) < 0)
		return -1;
	take(&p.volume, p.id, ret);
	return 0;
}

static int find_by_time(const struct repo *r, const struct request *q, struct populate_point *ret,
                        struct err *e)
{
	CLEANUP(picks_clear) struct picks picks = { .n = 0 };
	char full[512];
	const char *texts[] = { full };
	const struct recipe_select select = { .volumes = { texts, 1 } };
	const struct pick_params params = { .select = &select,
		                            .cluster = q->cluster,
		                            .as_of_ns = q->as_of_ns,
		                            .geo = q->geo,
		                            .whole = true,
		                            .threads = 1 };

	/* Names of claims have no characters of patterns. */
	(void)snprintf(full, sizeof(full), "%s/%s", q->ns, q->name);
	if (picks_make(r, &params, &picks, e) < 0)
		return -1;
	if (picks.n != 1 || !picks.v[0].session[0])
		return err_set(e, ERR_NOT_FOUND, "'%s/%s' has no point that can be used%s%s",
		               q->cluster, full, q->as_of_ns ? " at that time" : "",
		               q->geo ? " and is in the second region completely" : "");
	take(&picks.v[0].volume, picks.v[0].id, ret);
	return 0;
}

/* The repository is opened anew each time: keys, fences and what counts are as they are now. */
static int find(void *arg, const struct request *q, struct populate_point *ret, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (cmd_open_contents(arg, &r, e) < 0)
		return -1;
	return q->id[0] ? find_by_id(r, q, ret, e) : find_by_time(r, q, ret, e);
}

/* ---- all of it ---- */

static int serve(const struct populate_options *o, struct populate *p, struct err *e)
{
	auto_status struct status *server = NULL;
	const struct status_params http = {
		.listen = o->listen,
		.metrics = populate_metrics,
		.ready = populate_ready,
		.arg = p,
	};

	if (o->listen) {
		if (status_start(&http, &server, e) < 0)
			return -1;
		log_info("listening", LOG_U("port", status_port(server)));
	}
	if (populate_run(p, o->once, e) < 0 && (o->once || e->class != ERR_CANCELLED))
		return -1;
	return 0;
}

static void clean_events(struct events *const *ev)
{
	events_free(*ev);
}

static int work(const struct populate_options *o, const struct verb_common *common, struct kube *k,
                const struct movers *movers, struct err *e)
{
	const struct populate_params params = {
		.kube = k,
		.ns = o->ns,
		.template = movers->template,
		.env = movers->env,
		.movers = (unsigned)o->at_once,
		.cancel = cancel_on_signals(),
		.find = find,
		.arg = (void *)(uintptr_t)common,
	};
	CLEANUP(clean_events) struct events *events = events_new(k, "aksdr-populator", e);
	struct populate_params p = params;
	auto_populate struct populate *populate = NULL;

	if (!events)
		return -1;
	p.events = events;
	return populate_new(&p, &populate, e) < 0 ? -1 : serve(o, populate, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct populate_options *o = state;
	const struct kube_params kube = { .kubeconfig = o->kubeconfig,
		                          .context = o->context,
		                          .cancel = cancel_on_signals() };
	CLEANUP(movers_close) struct movers movers = { .template = NULL };
	auto_repo struct repo *r = NULL;

	(void)argc;
	(void)argv;
	/* That it cannot be opened is told now, and not of each claim. */
	auto_kube struct kube *k = kube_open(&kube, e);
	if (!k || cmd_open_contents(common, &r, e) < 0)
		return -1;
	const struct movers_params params = {
		.kube = k,
		.ns = o->ns,
		.run = RUN_OF_ALL,
		.how = o->movers,
		.store = common->store,
		.key = common->key,
		.passphrase = common->passphrase_file,
	};
	if (movers_open(&params, &movers, e) < 0)
		return -1;
	int rc = work(o, common, k, &movers, e);
	struct err why = ERR_INIT;
	/* Movers that are still at work need what was made; with a template nothing was. */
	if (rc == 0 && o->once && !o->movers.template &&
	    movers_drop(k, o->ns, RUN_OF_ALL, &why) < 0) {
		*e = why;
		return -1;
	}
	return rc;
}

const struct verb cmd_populate = {
	.name = "populate",
	.args = "",
	.summary = "fill claims that name a VolumeRestore as their dataSourceRef",
	.text = "A volume populator. A claim with dataSourceRef {apiGroup: aksdr.io, kind: "
		"VolumeRestore, name: NAME} waits until it has a volume with what that point "
		"has: a claim in this program's namespace is filled by a mover first, and its "
		"volume handed over when it is complete. Where the class waits for a first "
		"consumer, so does this, and the volume is made in the zone of that pod's node.\n\n"
		"It runs until it is ended, and may be killed at any time. What fails is told "
		"as an event of the claim, tried again, and does not hold others up.\n\n"
		"Whoever may make a VolumeRestore in a namespace can read the points of any "
		"volume of the repository there: give that right with care.",
	.examples = "aksdr-restore populate --movers 8 --listen 9762\n"
		    "aksdr-restore populate --once",
	.options = options,
	.flags = VERB_STORE | VERB_KEY,
	.max_args = 0,
	.set = set,
	.run = run,
	.state = &given,
};
