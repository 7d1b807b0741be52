/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore drill: a plan is tried, and what that has shown is kept. */
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/now.h"
#include "common/progress.h"
#include "kube/lease.h"
#include "restore/cmd.h"
#include "restore/drill_html.h"
#include "restore/drill_pod.h"
#include "restore/drill_room.h"
#include "restore/movers.h"
#include "restore/run.h"
#include "restore/scope.h"

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif
#define LEASE "aksdr-drill"
#define PAGE_MAX (64 * MIB)

enum { OPT_KEEP = 256, OPT_HTML, OPT_IMAGE, OPT_TEMPLATE, OPT_ACCOUNT };

static const struct verb_option drill_options[] = {
	SCOPE_OPTIONS,
	{ "keep", NULL, "leave the namespaces as they are; the next drill takes them away",
	  OPT_KEEP },
	{ "html", "FILE", "write the report as a page, too", OPT_HTML },
	{ "image", "IMAGE", "of movers, where no release of the chart is there", OPT_IMAGE },
	{ "mover-template", "FILE", "pod of movers, with store and key, instead", OPT_TEMPLATE },
	{ "service-account", "NAME", "of movers", OPT_ACCOUNT },
	{ NULL, NULL, NULL, 0 },
};

static struct drill_options {
	struct scope scope;
	const char *html, *image, *template, *account;
	bool keep;
} given;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct drill_options *o = state;
	const int taken = scope_set(&o->scope, key, value, e);

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_KEEP:
		o->keep = true;
		return 0;
	case OPT_HTML:
		o->html = value;
		return 0;
	case OPT_IMAGE:
		o->image = value;
		return 0;
	case OPT_TEMPLATE:
		o->template = value;
		return 0;
	default:
		o->account = value;
		return 0;
	}
}

/* All that a drill works with. */
struct act {
	const struct drill_options *o;
	const struct verb_common *common;
	struct repo *repo;
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

static void clean_act(struct act *a)
{
	lease_release(a->lease);
	drill_report_clear(&a->report);
	free(a->texts);
	free(a->checks);
	free(a->namespaces);
	free(a->volumes);
	plan_clear(&a->plan);
	picks_clear(&a->picks);
	run_clear(&a->run);
	movers_close(&a->movers);
	repo_free(a->repo);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a drill");
}

/* ---- phases ---- */

static void phase(struct act *a, const char *name)
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

static int begin(struct act *a, struct err *e)
{
	const struct scope *s = &a->o->scope;
	const bool in_repository = history_fits_repository(a->repo);
	const struct run_begin b = {
		.kind = DRILL_ROLE,
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
	return run_begin(a->repo, &b, &a->run, e);
}

static int choose(struct act *a, struct err *e)
{
	auto_findings struct findings found = FINDINGS_INIT;
	const struct plan_rates rates = { .movers = a->o->scope.movers };

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
static size_t namespace_of(struct act *a, const struct stage_params *p,
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

static int prepare(struct act *a, const struct drill_room *room, const struct stage_params *p,
                   struct err *e)
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

static int restore(struct act *a, struct stage_params *p, struct filler *f, struct err *e)
{
	int rc = 0;

	phase(a, "restore");
	f->template = a->movers.template;
	f->env = a->movers.env;
	struct progress *progress =
		progress_start("restoring for the drill",
	                       a->common->quiet ? PROGRESS_NEVER : a->common->progress, &a->counts);
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

static int check_in(struct act *a, const struct stage_params *p, size_t at, struct err *e)
{
	const struct recipe_drill *d = &a->run.recipe->drill;
	struct drill_pod_claim claims[DRILL_POD_CLAIMS_MAX];
	struct drill_pod_params pod = {
		.kube = a->o->scope.kube,
		.ns = a->namespaces[at],
		.run = a->run.history.run,
		.plan = a->run.plan,
		.image = d->image,
		.command = &d->command,
		.timeout_s = d->timeout_s,
		.claims = claims,
		.cancel = cancel_on_signals(),
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

static int check(struct act *a, const struct stage_params *p, struct err *e)
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

/* ---- the report ---- */

static const char *why_of(const struct stage_volume *v)
{
	if (v->item->blocked)
		return "it has no point that can be used, or its name is another's, too";
	if (v->why.class != ERR_NONE)
		return v->why.msg;
	return v->filled.partial ? v->filled.why : "";
}

static void put_volume(struct act *a, const struct stage_params *p, size_t i)
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
static int make_report(struct act *a, const struct stage_params *p, const struct err *broken,
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

static int keep_report(struct act *a, json_t **ret, struct err *e)
{
	auto_json json_t *report = drill_report_json(&a->report);
	auto_json json_t *more = json_pack("{s:O}", "report", report);

	if (!report || !more)
		return no_memory(e);
	*ret = json_incref(report);
	return run_step(&a->run, "end", more, e);
}

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },    { "claim", "CLAIM", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },      { "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },      { "bytes", "DATA", TABLE_BYTES },
	{ "took_ms", "TOOK", TABLE_DURATION }, { "why", NULL, TABLE_TEXT },
};

static int print_table(const struct act *a, struct err *e)
{
	const struct drill_report *r = &a->report;
	auto_table struct table *t = table_new("aksdr/drill/v1", columns, ARRAY_LEN(columns),
	                                       a->common->output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < r->nvolumes; i++) {
		const struct drill_volume *v = &r->volumes[i];
		char id[33];

		(void)snprintf(id, sizeof(id), "%.*s", a->common->output == OUTPUT_TABLE ? 8 : 32,
		               v->point);
		table_row(t);
		table_text(t, v->volume);
		table_text(t, v->claim);
		table_text(t, v->damaged     ? "damaged"
		              : !v->restored ? "missing"
		              : v->verified  ? "verified"
		                             : "not read back");
		table_text(t, id);
		table_number(t, v->frozen_ns);
		table_number(t, (int64_t)v->bytes);
		table_number(t, (int64_t)(v->seconds * 1000));
		table_text(t, *v->why ? v->why : NULL);
	}
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (a->common->output != OUTPUT_TABLE || a->common->quiet)
		return 0;
	(void)printf("\ndrill %.8s: %s; it took %s, the oldest point was %s old\n", r->run,
	             r->passed ? "passed" : "not passed", num_duration_text((int64_t)r->took_s).s,
	             r->age_s < 0 ? "of an unknown age" : num_duration_text(r->age_s).s);
	for (size_t i = 0; i < r->nwhys; i++)
		(void)printf("  %s\n", r->whys[i]);
	return 0;
}

static int tell(const struct act *a, const json_t *report, struct err *e)
{
	CLEANUP(buf_clear) struct buf page = BUF_INIT(PAGE_MAX);

	if (a->common->output != OUTPUT_JSON) {
		if (print_table(a, e) < 0)
			return -1;
	} else if (json_dumpf(report, stdout, JSON_INDENT(1)) < 0 || putchar('\n') == EOF) {
		return err_set(e, ERR_IO, "writing the report");
	}
	if (!a->o->html)
		return 0;
	drill_html_put(&a->report, &page);
	return buf_check(&page, "the page of a report", e) < 0
	               ? -1
	               : fd_create_file(AT_FDCWD, a->o->html, page.data, page.len, 0644, FD_REPLACE,
	                                e);
}

/* ---- all of it ---- */

static int steps(struct act *a, const struct drill_room *room, struct stage_params *p,
                 struct filler *f, struct err *e)
{
	if (choose(a, e) < 0 || prepare(a, room, p, e) < 0 || restore(a, p, f, e) < 0)
		return -1;
	return lease_held(a->lease) ? check(a, p, e)
	                            : err_set(e, ERR_BUSY,
	                                      "another drill may have begun: this one has lost its "
	                                      "lease '" LEASE "'");
}

static int drill(struct act *a, const struct drill_room *room, struct err *e)
{
	auto_json json_t *report = NULL;
	struct err broken = ERR_INIT;
	struct filler filler = {
		.kube = a->o->scope.kube,
		.ns = a->run.ns,
		.run = a->run.history.run,
		.role = DRILL_ROLE,
		.cancel = cancel_on_signals(),
	};
	struct stage_params p = {
		.filler = &filler,
		.prefix = a->run.recipe->drill.prefix,
		.movers = a->o->scope.movers,
		.verify = true,
		.accept_gaps = true,
		.counts = &a->counts,
	};

	(void)steps(a, room, &p, &filler, &broken);
	if (broken.class == ERR_CANCELLED || broken.class == ERR_NOMEM) {
		*e = broken;
		return -1;
	}
	if (make_report(a, &p, &broken, e) < 0 || keep_report(a, &report, e) < 0 ||
	    tell(a, report, e) < 0)
		return -1;
	if (broken.class != ERR_NONE) {
		*e = broken;
		return -1;
	}
	if (a->report.passed)
		return 0;
	return err_set(e, a->report.damaged ? ERR_CORRUPT : ERR_PARTIAL,
	               "the drill of plan '%s' has not passed: %s", a->run.plan, a->report.whys[0]);
}

/*
 * By a handle of its own, which no signal ends: what a drill has made goes in any case. A second
 * signal ends the program, and the next drill finds what is left.
 */
static int clean_up(const struct act *a, const struct drill_room *room, struct err *e)
{
	const struct kube_params params = { .kubeconfig = a->o->scope.kubeconfig,
		                            .context = a->o->scope.context };
	auto_kube struct kube *k = kube_open(&params, e);
	struct drill_room own = *room;

	if (!k)
		return -1;
	own.kube = k;
	own.cancel = NULL;
	return drill_room_clean(&own, false, NULL, e);
}

/* Of drills of this cluster there is one at a time, so what others have left is of dead ones. */
static int take_lease(struct act *a, struct err *e)
{
	char holder[sizeof(a->me.user) + sizeof(a->me.host) + 2];
	auto_free char *held_by = NULL;
	struct err why = ERR_INIT;

	(void)snprintf(holder, sizeof(holder), "%s@%s", a->me.user, a->me.host);
	const struct lease_params p = {
		.kube = a->o->scope.kube,
		.ns = a->o->scope.ns,
		.name = LEASE,
		.holder = holder,
		.seconds = 60,
		.cancel = cancel_on_signals(),
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

static int run_drill(struct drill_options *o, const struct verb_common *common, const char *plan,
                     struct err *e)
{
	CLEANUP(clean_act) struct act a = { .o = o, .common = common };
	struct drill_room room = { .run = "", .cancel = cancel_on_signals() };
	struct err why = ERR_INIT;
	size_t left = 0;

	if (scope_open(&o->scope, plan, true, cancel_on_signals(), e) < 0 ||
	    cmd_open_contents(common, &a.repo, e) < 0)
		return -1;
	if (common->dry_run)
		return cmd_plan_tell(&o->scope, common, a.repo, false, e);
	room.kube = o->scope.kube;
	room.ns = o->scope.ns;
	note_actor(&a.me);
	if (take_lease(&a, e) < 0 || drill_room_clean(&room, true, &left, e) < 0)
		return -1;
	if (left > 0)
		log_warn("what earlier drills have left was taken away", LOG_U("drills", left));
	if (begin(&a, e) < 0)
		return -1;
	room.run = a.run.history.run;
	const int rc = drill(&a, &room, e);
	if (o->keep || clean_up(&a, &room, &why) == 0)
		return rc;
	log_error("not all that the drill has made was taken away", LOG_S("why", why.msg));
	if (rc == 0)
		*e = why;
	return -1;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct drill_options *o = state;
	const int rc = run_drill(o, common, argc > 0 ? argv[0] : NULL, e);

	scope_close(&o->scope);
	return rc;
}

const struct verb cmd_drill = {
	.name = "drill",
	.args = "[PLAN]",
	.summary = "try a plan: restore it into namespaces of its own, verify, check, take it away",
	.text = "choose → restore → verify → check → report. The volumes of the plan are restored as "
		"`run` does it, into namespaces whose names have the plan's prefix (drill-), out of "
		"which network policies let nothing and into which nothing. Everything is read back "
		"from the volumes and compared with the point; then the plan's check runs in a pod "
		"with all volumes of a namespace mounted: file systems at /volumes/NAME, devices at "
		"/dev/volumes/NAME. At the end all of it is taken away, whatever has happened; what "
		"a drill leaves that was killed goes at the beginning of the next one.\n\n"
		"It passes when every volume is there and was verified, every check ended with 0, the "
		"oldest point is no older than the plan's rpo, and all of it took no longer than its "
		"rto. Gates are not waited for. The report is kept in the repository: see 'drills'. "
		"The exit status is 5 when data are missing or damaged, and 3 when it has not passed "
		"otherwise.\n\n"
		"Nobody is fenced, and nothing is said of who serves. Of drills of a cluster there is "
		"one at a time.",
	.examples = "aksdr-restore drill shop.yaml --key recovery.key\n"
		    "aksdr-restore drill shop.yaml --key recovery.key --html drill.html",
	.options = drill_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &given,
};
