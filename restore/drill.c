/* SPDX-License-Identifier: Apache-2.0 */
/* See drill.h. */
#include "restore/drill.h"

#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/now.h"
#include "kube/lease.h"
#include "restore/drill_pod.h"
#include "restore/drill_room.h"
#include "restore/movers.h"
#include "restore/run.h"

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif

struct drill {
	const struct drill_params *p; /* while it runs */
	struct lease *lease;
	struct run run;
	struct picks picks;
	struct plan plan;
	struct movers movers;
	struct stage_volume *volumes; /* of plan.items; owned */
	struct progress_counts counts;
	struct note_actor me;
	struct drill_report report;
	char (*texts)[3 * POINT_NAME_MAX]; /* of the report: volume and claim of each; owned */
	struct drill_pod_result *checks;   /* of report.checks; owned */
	char (*namespaces)[STAGE_NS_MAX];  /* of report.checks; owned */
	size_t nnamespaces;
};

void drill_free(struct drill *d)
{
	if (!d)
		return;
	lease_release(d->lease);
	drill_report_clear(&d->report);
	free(d->texts);
	free(d->checks);
	free(d->namespaces);
	free(d->volumes);
	plan_clear(&d->plan);
	picks_clear(&d->picks);
	run_clear(&d->run);
	movers_close(&d->movers);
	free(d);
}

const struct drill_report *drill_result(const struct drill *d)
{
	return &d->report;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a drill");
}

/* ---- phases ---- */

static void phase(struct drill *a, const char *name)
{
	struct drill_report *r = &a->report;
	const int64_t now_ns = now_wall_ns();

	if (r->nphases > 0)
		r->phases[r->nphases - 1].seconds =
			(double)(now_ns - r->phases[r->nphases - 1].began_ns) / 1e9;
	if (!name || r->nphases == DRILL_PHASES_MAX)
		return;
	log_info("a phase of the drill begins", LOG_S("phase", name));
	r->phases[r->nphases++] = (struct drill_phase){ .name = name, .began_ns = now_ns };
}

static int begin(struct drill *a, struct err *e)
{
	const struct scope *s = a->p->scope;
	const bool in_repository = history_fits_repository(a->p->repo);
	const struct run_begin b = {
		.kind = RUN_DRILL,
		.recipe = s->recipe,
		.to = s->recipe->secondary.cluster,
		.ns = s->ns,
		.as_of_ns = s->as_of_ns,
		.newest = s->newest,
		.kube = in_repository ? NULL : s->kube,
	};

	if (!in_repository)
		log_warn("the report of this drill is kept in the cluster, since the repository "
		         "cannot be written with this key, or now");
	return run_begin(a->p->repo, &b, &a->run, e);
}

static int choose(struct drill *a, struct err *e)
{
	auto_findings struct findings found = FINDINGS_INIT;
	const struct plan_rates rates = { .movers = a->p->scope->movers };

	phase(a, "choose");
	if (run_choose(&a->run, &a->picks, e) < 0 ||
	    plan_make(a->run.recipe, &a->picks, &rates, a->run.began_ns, a->run.as_of_ns, &a->plan,
	              &found, e) < 0)
		return -1;
	a->volumes = calloc(a->plan.n + 1, sizeof(*a->volumes));
	a->namespaces = calloc(a->plan.n + 1, sizeof(*a->namespaces));
	if (!a->volumes || !a->namespaces)
		return no_memory(e);
	for (size_t i = 0; i < a->plan.n; i++)
		a->volumes[i].item = &a->plan.items[i];
	atomic_store(&a->counts.bytes_total, a->plan.bytes);
	return finding_check(&found, e);
}

/* The namespace's place among those of the drill, which it joins. */
static size_t namespace_of(struct drill *a, const struct stage_params *p,
                           const struct plan_item *item)
{
	char ns[STAGE_NS_MAX];
	size_t i = 0;

	stage_namespace(p, item, ns);
	while (i < a->nnamespaces && strcmp(a->namespaces[i], ns) != 0)
		i++;
	if (i == a->nnamespaces)
		memcpy(a->namespaces[a->nnamespaces++], ns, sizeof(ns));
	return i;
}

static int prepare(struct drill *a, const struct drill_room *room, const struct stage_params *p,
                   struct err *e)
{
	const struct movers_params movers = {
		.kube = a->p->scope->kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.how = a->p->movers,
		.store = a->p->store,
		.key = a->p->key,
		.passphrase = a->p->passphrase_file,
	};

	phase(a, "prepare");
	for (size_t i = 0; i < a->plan.n; i++) {
		if (!a->plan.items[i].blocked)
			(void)namespace_of(a, p, &a->plan.items[i]);
	}
	for (size_t i = 0; i < a->nnamespaces; i++) {
		if (drill_room_make(room, a->namespaces[i], e) < 0)
			return -1;
	}
	return movers_open(&movers, &a->movers, e);
}

static int restore(struct drill *a, struct stage_params *p, struct filler *f, struct err *e)
{
	int rc = 0;

	phase(a, "restore");
	f->template = a->movers.template;
	f->env = a->movers.env;
	struct progress *progress = progress_start("restoring for the drill", a->p->progress,
	                                           &a->counts);
	for (size_t from = 0, to; from < a->plan.n && rc == 0; from = to) {
		for (to = from;
		     to < a->plan.n && a->plan.items[to].stage == a->plan.items[from].stage;)
			to++;
		rc = stage_run(p, a->volumes + from, to - from, e);
	}
	progress_stop(progress);
	return rc;
}

/* ---- the check ---- */

static int check_in(struct drill *a, const struct stage_params *p, size_t at, struct err *e)
{
	const struct recipe_drill *d = &a->run.recipe->drill;
	struct drill_pod_claim claims[DRILL_POD_CLAIMS_MAX];
	struct drill_pod_params pod = {
		.kube = a->p->scope->kube,
		.ns = a->namespaces[at],
		.run = a->run.history.run,
		.plan = a->run.plan,
		.image = d->image,
		.command = &d->command,
		.timeout_s = d->timeout_s,
		.claims = claims,
		.cancel = a->p->cancel,
	};
	struct drill_pod_result *result = &a->checks[a->report.nchecks];

	for (size_t i = 0; i < a->plan.n && pod.nclaims < DRILL_POD_CLAIMS_MAX; i++) {
		const struct stage_volume *v = &a->volumes[i];

		if (v->is_handed_over && namespace_of(a, p, v->item) == at)
			claims[pod.nclaims++] = (struct drill_pod_claim){
				v->item->name, v->item->pick->volume.block
			};
	}
	if (pod.nclaims == 0)
		return 0;
	if (drill_pod_run(&pod, result, e) < 0)
		return -1;
	a->report.checks[a->report.nchecks++] = (struct drill_check){
		.ns = a->namespaces[at],
		.why = result->why,
		.said = result->said,
		.seconds = result->seconds,
		.passed = result->passed,
	};
	return 0;
}

static int check(struct drill *a, const struct stage_params *p, struct err *e)
{
	const size_t max = a->nnamespaces < DRILL_CHECKS_MAX ? a->nnamespaces : DRILL_CHECKS_MAX;

	a->report.check_wanted = a->run.recipe->drill.image[0] != '\0';
	if (!a->report.check_wanted)
		return 0;
	phase(a, "check");
	a->checks = calloc(max + 1, sizeof(*a->checks));
	a->report.checks = calloc(max + 1, sizeof(*a->report.checks));
	if (!a->checks || !a->report.checks)
		return no_memory(e);
	for (size_t i = 0; i < max; i++) {
		if (check_in(a, p, i, e) < 0)
			return -1;
	}
	return 0;
}

static const char *why_of(const struct stage_volume *v)
{
	if (v->item->blocked)
		return "it has no point that can be used, or its name is another's, too";
	if (v->why.class != ERR_NONE)
		return v->why.msg;
	return v->filled.partial ? v->filled.why : "";
}

static void put_volume(struct drill *a, const struct stage_params *p, size_t i)
{
	const struct stage_volume *v = &a->volumes[i];
	const struct pick *k = v->item->pick;
	char *volume = a->texts[2 * i];
	char *claim = a->texts[2 * i + 1];
	char ns[STAGE_NS_MAX];

	stage_namespace(p, v->item, ns);
	(void)snprintf(volume, sizeof(*a->texts), "%s/%s/%s", k->volume.cluster,
	               k->volume.namespace, k->volume.name);
	(void)snprintf(claim, sizeof(*a->texts), "%s/%s", ns, v->item->name);
	a->report.volumes[i] = (struct drill_volume){
		.volume = volume,
		.claim = claim,
		.point = k->id,
		.why = why_of(v),
		.frozen_ns = k->session[0] ? k->frozen_ns : 0,
		.bytes = k->bytes,
		.files = k->files,
		.fetched_bytes = v->filled.fetched,
		.gaps = v->filled.gaps,
		.seconds = v->fill_s + v->hand_over_s,
		.restored = v->is_handed_over,
		.verified = v->is_handed_over && v->filled.verified && v->filled.gaps == 0,
		.damaged = v->filled.gaps > 0 || v->why.class == ERR_CORRUPT,
	};
}

/* What is known is told, also of a drill that was broken off by an error. */
static int make_report(struct drill *a, const struct stage_params *p, const struct err *broken,
                       struct err *e)
{
	struct drill_report *r = &a->report;
	const struct recipe *recipe = a->run.recipe;
	const size_t n = a->volumes ? a->plan.n : 0;

	phase(a, NULL);
	r->run = a->run.history.run;
	r->plan = a->run.plan;
	r->user = a->me.user;
	r->host = a->me.host;
	r->version = AKSDR_VERSION;
	r->from = recipe->primary.cluster;
	r->to = a->run.to;
	r->began_ns = a->run.began_ns;
	r->ended_ns = now_wall_ns();
	r->rpo_s = recipe->rpo_s;
	r->rto_s = recipe->rto_s;
	r->broken = broken->class == ERR_NONE ? "" : broken->msg;
	r->nvolumes = n < DRILL_VOLUMES_MAX ? n : DRILL_VOLUMES_MAX;
	r->left_out = n - r->nvolumes;
	r->volumes = calloc(r->nvolumes + 1, sizeof(*r->volumes));
	a->texts = calloc(2 * r->nvolumes + 1, sizeof(*a->texts));
	if (!r->volumes || !a->texts)
		return no_memory(e);
	for (size_t i = 0; i < r->nvolumes; i++)
		put_volume(a, p, i);
	drill_report_judge(r);
	return 0;
}

static int keep_report(struct drill *a, struct err *e)
{
	auto_json json_t *report = drill_report_json(&a->report);
	auto_json json_t *more = json_pack("{s:O}", "report", report);

	return report && more ? run_step(&a->run, "end", more, e) : no_memory(e);
}

/* ---- all of it ---- */

static int steps(struct drill *a, const struct drill_room *room, struct stage_params *p,
                 struct filler *f, struct err *e)
{
	if (choose(a, e) < 0 || prepare(a, room, p, e) < 0 || restore(a, p, f, e) < 0)
		return -1;
	return lease_held(a->lease) ? check(a, p, e)
	                            : err_set(e, ERR_BUSY,
	                                      "another drill may have begun: this one has lost its "
	                                      "lease '" DRILL_LEASE "'");
}

/* What there is to tell is kept, unless the drill was cancelled. */
static int act(struct drill *a, const struct drill_room *room, struct err *e)
{
	struct err broken = ERR_INIT;
	struct filler filler = {
		.kube = a->p->scope->kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.role = DRILL_ROLE,
		.cancel = a->p->cancel,
	};
	struct stage_params p = {
		.filler = &filler,
		.prefix = a->run.recipe->drill.prefix,
		.movers = a->p->scope->movers,
		.verify = true,
		.accept_gaps = true,
		.counts = &a->counts,
	};

	if (steps(a, room, &p, &filler, &broken) < 0 &&
	    (broken.class == ERR_CANCELLED || broken.class == ERR_NOMEM)) {
		*e = broken;
		return -1;
	}
	return make_report(a, &p, &broken, e) < 0 ? -1 : keep_report(a, e);
}

/*
 * By a handle of its own, which no signal ends: what a drill has made goes in any case. A second
 * signal ends the program, and the next drill finds what is left.
 */
static int clean_up(const struct drill *a, const struct drill_room *room, struct err *e)
{
	const struct kube_params params = { .kubeconfig = a->p->scope->kubeconfig,
		                            .context = a->p->scope->context };
	auto_kube struct kube *k = kube_open(&params, e);
	struct drill_room own = *room;

	if (!k)
		return -1;
	own.kube = k;
	own.cancel = NULL;
	return drill_room_clean(&own, false, NULL, e);
}

/* Of drills of a cluster there is one at a time, so what others have left is of dead ones. */
static int take_lease(struct drill *a, struct err *e)
{
	char holder[sizeof(a->me.user) + sizeof(a->me.host) + 32];
	auto_free char *held_by = NULL;
	struct err why = ERR_INIT;

	/* Two of one user on one machine are two. */
	(void)snprintf(holder, sizeof(holder), "%s@%s/%ld", a->me.user, a->me.host, (long)getpid());
	const struct lease_params p = {
		.kube = a->p->scope->kube,
		.ns = a->p->scope->ns,
		.name = DRILL_LEASE,
		.holder = holder,
		.seconds = 60,
		.cancel = a->p->cancel,
	};
	a->lease = lease_take(&p, &held_by, &why);
	if (a->lease)
		return 0;
	*e = why;
	return why.class == ERR_BUSY ? err_set(e, ERR_BUSY,
	                                       "a drill is going on in this cluster already, by "
	                                       "'%s'",
	                                       held_by ? held_by : "somebody")
	                             : -1;
}

int drill_run(const struct drill_params *params, struct drill **ret, struct err *ret_left,
              struct err *e)
{
	struct drill_room room = { .kube = params->scope->kube,
		                   .ns = params->scope->ns,
		                   .run = "",
		                   .cancel = params->cancel };
	auto_drill struct drill *a = calloc(1, sizeof(*a));
	size_t left = 0;

	if (!a)
		return no_memory(e);
	a->p = params;
	note_actor(&a->me);
	if (take_lease(a, e) < 0 || drill_room_clean(&room, true, &left, e) < 0)
		return -1;
	if (left > 0)
		log_warn("what earlier drills have left was taken away", LOG_U("drills", left));
	if (begin(a, e) < 0)
		return -1;
	room.run = a->run.history.run;
	const int rc = act(a, &room, e);
	if (!params->keep && clean_up(a, &room, ret_left) < 0)
		log_error("not all that the drill has made was taken away",
		          LOG_S("why", ret_left->msg));
	lease_release(STEAL(&a->lease));
	if (rc < 0)
		return -1;
	*ret = STEAL(&a);
	return 0;
}
