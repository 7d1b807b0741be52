/* SPDX-License-Identifier: Apache-2.0 */
/* What one agent of all does: the policies' status, and what no Lease names any more. */
#include <errno.h>
#include <string.h>

#include "agent/mover.h"
#include "agent/report.h"
#include "agent/run_keep.h"
#include "agent/sweep.h"
#include "common/log.h"
#include "common/now.h"
#include "kube/lease.h"
#include "snapshot/csi_objects.h"

#define LEAD_S 60 /* nobody waits for a leader, and each agent asks for it */
#define REPORT_MS 10000
#define AGAIN_MS 500 /* while nothing is known */
#define SWEEP_NS (300 * 1000000000LL)
#define SWEEP_GONE_MS 30000 /* what takes longer is met by the next one */
#define SWEEP_AGE_S 600     /* what is younger may not be named yet */
#define SWEEP_BATCH 256     /* objects that are removed together */

/* ---- status ---- */

/* What has changed, as patches: [{ns, name, patch}]. NULL: nothing is known yet, or no memory. */
static json_t *changes(struct run *r)
{
	const int64_t now_s = run_now_s();
	json_t *ret = NULL;

	if (r->p->policies) /* files have no status */
		return json_array();
	pthread_mutex_lock(&r->lock);
	const struct world_shelf *s = &r->world->shelves[WORLD_POLICIES];
	if (world_ready(r->world)) {
		/* The agent's own pass may be over for long, and others' claims count here. */
		(void)planner_pass(r->world, &r->me, now_s);
		json_t **status = report_make(r->world, &r->retention, now_s);
		ret = status ? json_array() : NULL;
		for (size_t i = 0; status && i < s->n; i++) {
			const struct world_policy *p = (const struct world_policy *)s->v[i];

			if (ret && !json_equal(status[i], p->status))
				(void)json_array_append_new(ret, report_patch(p, status[i]));
			json_decref(status[i]);
		}
		free(status);
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* false: nothing can be told yet. */
static bool report(struct run *r)
{
	auto_json json_t *all = changes(r);
	struct err e;

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *patch = json_array_get(all, i);
		const char *ns = kube_text_at(patch, "metadata.namespace");
		const char *name = kube_text_at(patch, "metadata.name");

		if (kube_patch(r->kube, &kube_policy, ns, name, "status", KUBE_APPLY, patch, NULL,
		               &e) < 0 &&
		    e.class != ERR_NOT_FOUND && e.class != ERR_CANCELLED)
			log_warn("a policy's status was not written", LOG_S("policy", name),
			         LOG_S("why", e.msg));
	}
	return all != NULL;
}

/* ---- what nobody owns ---- */

struct sweep {
	struct run *run;
	const struct kube_kind *kind;
	json_t *leases; /* annotations of each whose names are left to a run */
	json_t *lost;   /* names, as csi_drop() takes them */
};

static int note_lease(void *arg, const json_t *object, struct err *e)
{
	struct sweep *s = arg;
	const json_t *annotations = kube_at(object, "metadata.annotations");
	json_t *intents = json_object_get(annotations, CLAIM_INTENTS);

	if (!intents)
		return 0;
	pthread_mutex_lock(&s->run->lock);
	const bool left = sweep_leaves(s->run->world, object, run_now_s());
	pthread_mutex_unlock(&s->run->lock);
	if (left &&
	    json_array_append_new(s->leases, json_pack("{s:O}", CLAIM_INTENTS, intents)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for Leases");
	return 0;
}

static bool is_named(const struct sweep *s, const char *ns, const char *name)
{
	for (size_t i = 0; i < json_array_size(s->leases); i++) {
		if (claim_record_names(json_array_get(s->leases, i), s->kind->plural, ns, name))
			return true;
	}
	return false;
}

/*
 * Whether it is of a kind that runs of agents make. Restores, standbys and drills have the same
 * labels, but for the role, and look after themselves: none of theirs is named by our Leases.
 */
static bool is_of_agents(const json_t *labels)
{
	static const char *const roles[] = { CSI_ROLE_SOURCE, CSI_ROLE_VIEW, CSI_ROLE_CLONE,
		                             CSI_ROLE_TWIN, MOVER_ROLE };
	const char *role = json_string_value(json_object_get(labels, CSI_LABEL_ROLE));

	for (size_t i = 0; role && i < ARRAY_LEN(roles); i++) {
		if (strcmp(role, roles[i]) == 0)
			return true;
	}
	return false;
}

static int note_lost(void *arg, const json_t *object, struct err *e)
{
	struct sweep *s = arg;
	const char *ns = kube_text_at(object, "metadata.namespace");
	const char *name = kube_text_at(object, "metadata.name");
	const json_t *labels = kube_at(object, "metadata.labels");
	int64_t made_ns;
	struct err none;

	if (!json_object_get(labels, "aksdr.io/run") || !is_of_agents(labels) ||
	    *kube_text_at(object, "metadata.deletionTimestamp") ||
	    now_parse(kube_text_at(object, "metadata.creationTimestamp"), &made_ns, &none) < 0 ||
	    now_wall_ns() - made_ns < SWEEP_AGE_S * 1000000000LL || is_named(s, ns, name))
		return 0;
	if (json_array_append_new(s->lost, json_sprintf("%s/%s%s%s", s->kind->plural, ns,
	                                                *ns ? "/" : "", name)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for what is to be removed");
	log_warn("no run looks after this: it is removed", LOG_S("kind", s->kind->kind),
	         LOG_S("namespace", ns), LOG_S("name", name));
	return 0;
}

/* What cannot be removed does not hold the others up; the first error is in e. */
static int remove_lost(struct run *r, const json_t *lost, size_t *ret_removed, struct err *e)
{
	struct err first = ERR_INIT;

	for (size_t i = 0; i < json_array_size(lost) && !cancel_requested(&r->stop);) {
		auto_json json_t *batch = json_array();
		struct err why = ERR_INIT;

		for (; json_array_size(batch) < SWEEP_BATCH && i < json_array_size(lost); i++) {
			if (json_array_append(batch, json_array_get(lost, i)) < 0)
				return err_set(e, ERR_NOMEM, "no memory for a sweep");
		}
		if (csi_drop(r->kube, batch, SWEEP_GONE_MS, &why) == 0)
			*ret_removed += json_array_size(batch);
		else if (first.class == ERR_NONE)
			first = why;
	}
	if (first.class == ERR_NONE)
		return 0;
	*e = first;
	return -1;
}

int run_sweep(struct run *r, size_t *ret_removed, struct err *e)
{
	static const struct kube_kind *const kinds[] = { &kube_pod, &kube_pvc, &kube_pv,
		                                         &kube_snapshot, &kube_snapshot_content };
	static const struct kube_select ours = { .labels = "app.kubernetes.io/managed-by=aksdr,"
		                                           "aksdr.io/run" };
	const struct kube_select leases = { .ns = r->p->ns, .labels = CLAIM_LABEL "=true" };
	auto_json json_t *named = json_array();
	auto_json json_t *lost = json_array();
	struct sweep s = { .run = r, .leases = named, .lost = lost };

	*ret_removed = 0;
	if (!named || !lost)
		return err_set(e, ERR_NOMEM, "no memory for a sweep");
	if (kube_list(r->kube, &kube_lease, &leases, note_lease, &s, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		s.kind = kinds[i];
		if (kube_list(r->kube, s.kind, &ours, note_lost, &s, NULL, e) < 0) {
			if (e->class == ERR_NOT_FOUND && e->os == ENOTSUP)
				continue; /* this cluster has no snapshots */
			return -1;
		}
	}
	return remove_lost(r, lost, ret_removed, e);
}

/* ---- the one who leads ---- */

static void lead(struct run *r, const struct lease *l)
{
	int64_t swept_ns =
		now_mono_ns(); /* the first one once all have had time to say what is theirs */
	bool failed = false;
	bool looked = false;

	while (lease_held(l) && !cancel_requested(&r->stop)) {
		const bool told = report(r);
		if (told && !looked)
			run_keep_look(r);
		looked |= told;
		if (now_mono_ns() - swept_ns >= SWEEP_NS) {
			struct err e = ERR_INIT;
			size_t removed;

			if (run_sweep(r, &removed, &e) < 0 && !failed)
				log_warn("what no run owns cannot be removed", LOG_S("why", e.msg));
			failed = e.class != ERR_NONE;
			swept_ns = now_mono_ns();
		}
		run_pause(r, told ? REPORT_MS : AGAIN_MS);
	}
}

void *run_lead(void *arg)
{
	struct run *r = arg;
	const struct lease_params params = { .kube = r->kube,
		                             .ns = r->p->ns,
		                             .name = RUN_LEADER,
		                             .holder = r->p->pod,
		                             .seconds = LEAD_S,
		                             .wait = true,
		                             .cancel = &r->stop };
	bool told = false;

	while (!cancel_requested(&r->stop)) {
		struct err e;
		struct lease *l = lease_take(&params, NULL, &e);

		if (l) {
			log_info("this agent leads");
			atomic_store(&r->leads, true);
			lead(r, l);
			atomic_store(&r->leads, false);
			lease_release(l);
			told = false;
		} else if (e.class != ERR_CANCELLED) {
			if (!told)
				log_warn("no leader can be chosen", LOG_S("why", e.msg));
			told = true;
			run_pause(r, REPORT_MS);
		}
	}
	return NULL;
}
