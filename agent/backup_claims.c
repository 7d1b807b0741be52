/* SPDX-License-Identifier: Apache-2.0 */
/* See backup_claims.h. */
#include "agent/backup_claims.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/claim_facts.h"
#include "agent/mover.h"
#include "agent/tell.h"
#include "common/log.h"
#include "repo/fence.h"
#include "snapshot/azure_arm.h"
#include "snapshot/csi_azure.h"

/* ---- begin ---- */

/* Who is asked for snapshots of managed disks; NULL: nobody, they are read as all others. */
static struct azure_arm *ask_azure(struct backup_options *o, struct csi_run *run)
{
	const struct azure_arm_params params = { .cancel = run->cancel };
	struct err why = ERR_INIT;
	bool any = false;

	/* A policy has it where this installation has: reading takes memory that a mover has. */
	if (!o->azure_disks)
		o->azure_disks = o->job.changed_blocks ? getenv("AKSDR_AZURE_DISKS") : NULL;
	if (!o->azure_disks)
		return NULL;
	for (size_t i = 0; i < run->n; i++)
		any |= csi_azure_is(&run->claims[i]);
	run->azure_raw = strcmp(o->azure_disks, "raw") == 0;
	bool on = run->azure_raw || strcmp(o->azure_disks, "block") == 0;
	if (!on && *o->azure_disks && strcmp(o->azure_disks, "off") != 0)
		log_warn("AKSDR_AZURE_DISKS is none of off, block, raw, and counts as off",
		         LOG_S("value", o->azure_disks));
	if (!any || !on)
		return NULL;
	o->job.changed_blocks = true;
	struct azure_arm *a = azure_arm_new(&params, &why);
	if (!a)
		log_warn("changed ranges of managed disks are not used", LOG_S("why", why.msg));
	return a;
}

/* In a pod the host has the pod's name. */
static struct events *open_events(struct kube *k, struct err *e)
{
	char host[HOST_NAME_MAX + 1] = "aksdr-agent";

	(void)gethostname(host, sizeof(host) - 1);
	return events_new(k, host, e);
}

/* The hooks of the policy, as more of ours. */
static int find_hooks(struct backup_claims *c, struct err *e)
{
	const struct csi_run *run = &c->leases.run;
	const struct csi_claim *first = run->claims;
	struct backup_options *o = c->options;
	const char *names[BACKUP_VOLUMES_MAX];

	if (!o->policy || o->policy->nhooks == 0)
		return 0;
	for (size_t i = 0; i < run->n; i++) {
		const struct csi_claim *claim = &run->claims[i];

		if (strcmp(claim->ns, first->ns) != 0)
			return err_set(e, ERR_INVALID,
			               "the hooks of a policy are for claims of one namespace: "
			               "back '%s/%s' and '%s/%s' up by themselves",
			               first->ns, first->name, claim->ns, claim->name);
		names[i] = claim->name;
	}
	if (pod_hook_find(c->leases.kube, o->policy, first->ns, names, run->n, POD_HOOKS_MAX,
	                  &c->in_pods, e) < 0)
		return -1;
	for (size_t i = 0; i < c->in_pods.n; i++) {
		if (o->moment.nhooks == MOMENT_HOOKS_MAX)
			return err_set(e, ERR_TOO_BIG, "there are more than %d hooks",
			               MOMENT_HOOKS_MAX);
		o->hooks[o->moment.nhooks++] = c->in_pods.hooks[i];
	}
	return 0;
}

/* What is needed besides the Leases, which are held. */
static int prepare(struct backup_claims *c, struct point_volume *volumes, struct err *e)
{
	struct csi_run *run = &c->leases.run;
	const char *file = c->options->mover_file;

	c->events = open_events(c->leases.kube, e);
	if (!c->events)
		return -1;
	if (file) {
		c->template = worker_template(file, e);
		if (!c->template)
			return -1;
	}
	for (size_t i = 0; i < run->n; i++)
		if (volume_name_claim(&run->claims[i], &c->options->place, &volumes[i], e) < 0)
			return -1;
	c->azure = ask_azure(c->options, run);
	run->azure = c->azure;
	if (find_hooks(c, e) < 0)
		return -1;
	c->options->env.cluster = run;
	return 0;
}

int backup_claims_open(struct backup_claims *c, struct backup_options *options,
                       const char *const *origins, size_t n, struct point_volume *volumes,
                       struct err *e)
{
	c->options = options;
	if (claim_leases_open(&c->leases, &options->leases, origins, n, e) < 0)
		return -1;
	c->held = true;
	if (prepare(c, volumes, e) == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		backup_claims_end(c, i, NULL, e);
	return -1;
}

void backup_claims_close(struct backup_claims *c)
{
	if (c->options)
		c->options->env.cluster = NULL;
	events_free(c->events);
	pod_hook_clear(&c->in_pods);
	azure_arm_free(c->azure);
	claim_leases_close(&c->leases);
	json_decref(c->template);
	*c = BACKUP_CLAIMS_NONE;
}

/* ---- one claim ---- */

/* A mover tells what it read; what was seen of the moment we know. */
static void join(struct point *p, const struct job_params *job, struct moment_volume *view)
{
	p->volume = job->volume;
	free(p->capture.fallback);
	p->capture.fallback = STEAL(&view->capture.fallback);
	p->capture.frozen_ns = view->capture.frozen_ns;
	p->capture.thawed_ns = view->capture.thawed_ns;
	memcpy(p->capture.moment, view->capture.moment, sizeof(p->capture.moment));
}

/* ---- what is told of claims ---- */

struct describe {
	const struct csi_run *run;
	struct moment_volume *views;
	const char *ns;
};

static int add_pod(void *arg, const json_t *pod, struct err *e)
{
	const struct describe *d = arg;

	for (size_t i = 0; i < d->run->n; i++) {
		const struct csi_claim *claim = &d->run->claims[i];

		if (strcmp(claim->ns, d->ns) == 0 &&
		    claim_facts_add_pod(d->views[i].capture.claim, claim->name, pod, e) < 0)
			return -1;
	}
	return 0;
}

static bool is_first_of_ns(const struct csi_run *run, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(run->claims[k].ns, run->claims[i].ns) == 0)
			return false;
	}
	return true;
}

int backup_claims_describe(struct backup_claims *c, struct moment_volume *views, size_t n,
                           struct err *e)
{
	const struct csi_run *run = &c->leases.run;
	struct describe d = { .run = run, .views = views };

	for (size_t i = 0; i < n; i++) {
		views[i].capture.claim = claim_facts(run->claims[i].claim, run->claims[i].volume,
		                                     e);
		if (!views[i].capture.claim)
			return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const struct kube_select in_ns = { .ns = run->claims[i].ns };
		struct err why = ERR_INIT;

		d.ns = in_ns.ns;
		if (is_first_of_ns(run, i) &&
		    kube_list(run->kube, &kube_pod, &in_ns, add_pod, &d, NULL, &why) < 0)
			log_warn("the images of pods are not in the restore point",
			         LOG_S("namespace", in_ns.ns), LOG_S("why", why.msg));
	}
	return 0;
}

int backup_claims_read(struct backup_claims *c, size_t i, const struct repo *r,
                       struct job_params *job, struct moment *m, struct point *ret,
                       struct store_traffic *moved, struct err *e)
{
	const struct backup_options *o = c->options;
	const struct csi_claim *claim = &c->leases.run.claims[i];
	char own_domain[VOLUME_DOMAIN_MAX];
	const struct claim_job read = {
		.run = &c->leases.run,
		.claim = claim,
		.view = &m->volumes[i],
		.job = job,
		.repo = r,
		.template = c->template,
		.reader = o->reader,
		.node = o->leases.node,
		.pod = getenv("POD_NAME"),
		.kubelet_dir = o->kubelet_dir,
		.want = o->want,
		.strict = o->strict,
	};

	if (claim_leases_check(&c->leases, e) < 0 ||
	    volume_name_domain(&job->volume, &o->place, own_domain, &job->domain, e) < 0)
		return -1;
	/* A disk that can be read from its snapshot needs no pod. */
	if (claim->azure)
		return claim_job_check(&read, e) < 0 ? -1 : job_backup(r, job, ret, e);
	if (claim_job_run(&read, ret, moved, e) < 0)
		return err_wrap(e, "claim '%s/%s'", claim->ns, claim->name);
	join(ret, job, &m->volumes[i]);
	return 0;
}

/* ---- ends ---- */

/* On its claim: a restore point, or why there is none. */
static void announce(const struct backup_claims *c, const struct csi_claim *claim,
                     const struct point *p, const struct err *why)
{
	struct err e = ERR_INIT;
	struct tell t = { .outcome = TELL_FAILED, .why = why->msg };
	char text[64];

	if (p)
		tell_of_point(p, p->capture.fallback, text, &t);
	else if (why->class == ERR_CANCELLED)
		t.outcome = TELL_SKIPPED;
	t.ns = claim->ns;
	t.name = claim->name;
	t.uid = claim->uid;
	if (tell_claim(c->leases.kube, c->events, &t, &e) < 0)
		log_warn("what came of a backup is not told on its claim",
		         LOG_S("volume", claim->name), LOG_S("why", e.msg));
}

void backup_claims_end(struct backup_claims *c, size_t i, const struct point *p,
                       const struct err *why)
{
	if (c->told[i])
		return;
	c->told[i] = true;
	claim_leases_end(&c->leases, i, p, why, p ? p->capture.fallback : NULL);
	/* Whoever holds the Lease tells. */
	if (c->events && (p || why->class != ERR_BUSY || fence_is(why)))
		announce(c, &c->leases.run.claims[i], p, why);
}

int backup_claims_end_all(struct backup_claims *c, const struct err *why, struct err *e)
{
	for (size_t i = 0; i < c->leases.run.n; i++)
		backup_claims_end(c, i, NULL, why);
	return claim_leases_check(&c->leases, e);
}
