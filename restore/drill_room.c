/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See drill_room.h. A volume goes with its claim where its policy is Delete; that of a class may be
 * Retain, and a volume between two claims has it for a while. So the policy is set before a
 * claim is deleted.
 */
#include "restore/drill_room.h"

#include <string.h>

#include "common/now.h"
#include "kube/worker.h"
#include "repo/run_log.h"
#include "restore/filler.h"
#include "restore/movers.h"

static const struct kube_kind network_policy = { "networking.k8s.io", "v1", "networkpolicies",
	                                         "NetworkPolicy", false };

static json_t *labels_of(const struct drill_room *d)
{
	return json_pack("{s:s, s:s, s:s}", "app.kubernetes.io/managed-by", "aksdr",
	                 FILLER_LABEL_RUN, d->run, FILLER_LABEL_ROLE, DRILL_ROLE);
}

json_t *drill_room_namespace(const struct drill_room *d, const char *ns)
{
	return json_pack("{s:s, s:s, s:{s:s, s:o}}", "apiVersion", "v1", "kind", "Namespace",
	                 "metadata", "name", ns, "labels", labels_of(d));
}

/* Of all pods, in both directions, and nothing is let through. */
json_t *drill_room_policy(const struct drill_room *d, const char *ns)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:{s:{}, s:[s, s]}}", "apiVersion",
	                 "networking.k8s.io/v1", "kind", "NetworkPolicy", "metadata", "name",
	                 DRILL_POLICY, "namespace", ns, "labels", labels_of(d), "spec",
	                 "podSelector", "policyTypes", "Ingress", "Egress");
}

static const char *label(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(kube_at(o, "metadata.labels"), key));

	return text ? text : "";
}

static int create(const struct drill_room *d, const struct kube_kind *kind, const char *ns,
                  json_t *take_object, struct err *e)
{
	auto_json json_t *o = take_object;
	struct err why = ERR_INIT;

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a %s", kind->kind);
	if (kube_create(d->kube, kind, ns, o, NULL, &why) == 0 || why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return -1;
}

static int check_ours(const struct drill_room *d, const char *ns, struct err *e)
{
	auto_json json_t *there = NULL;

	if (kube_get(d->kube, &kube_namespace_kind, NULL, ns, &there, e) < 0)
		return -1;
	if (strcmp(label(there, FILLER_LABEL_RUN), d->run) != 0 ||
	    strcmp(label(there, FILLER_LABEL_ROLE), DRILL_ROLE) != 0)
		return err_set(
			e, ERR_EXISTS,
			"there is a namespace '%s' already, which is not of this drill: give the "
			"plan another prefix (drill.namespacePrefix)",
			ns);
	return *kube_text_at(there, "metadata.deletionTimestamp")
	               ? err_set(e, ERR_BUSY, "the namespace '%s' is being deleted", ns)
	               : 0;
}

int drill_room_make(const struct drill_room *d, const char *ns, struct err *e)
{
	if (strlen(ns) > 63)
		return err_set(e, ERR_INVALID, "'%s' is too long for a namespace", ns);
	if (create(d, &kube_namespace_kind, NULL, drill_room_namespace(d, ns), e) < 0 ||
	    check_ours(d, ns, e) < 0)
		return err_wrap(e, "making the namespace '%s' of the drill", ns);
	if (create(d, &network_policy, ns, drill_room_policy(d, ns), e) < 0)
		return err_wrap(e, "closing the namespace '%s' of the drill", ns);
	return 0;
}

/* ---- taking away ---- */

#define NAMES_MAX 4096

struct names {
	char (*v)[KUBE_NAME_MAX + 1];
	size_t n, cap;
};

struct cleaning {
	const struct drill_room *d;
	bool all, unclaimed;
	char labels[160];
	char runs[DRILL_RUNS_LEFT_MAX][RUN_LOG_ID];
	size_t nruns;
	struct names namespaces, claims, pods, volumes;
	struct err first;
};

static void clean_names(struct cleaning *c)
{
	free(c->namespaces.v);
	free(c->claims.v);
	free(c->pods.v);
	free(c->volumes.v);
}

/* What fails does not keep the rest. Cancelling and memory do. */
static int keep(struct cleaning *c, const struct err *why, struct err *e)
{
	if (why->class == ERR_NOT_FOUND)
		return 0;
	if (c->first.class == ERR_NONE)
		c->first = *why;
	if (why->class != ERR_CANCELLED && why->class != ERR_NOMEM)
		return 0;
	*e = *why;
	return -1;
}

static int add_name(struct names *l, const char *name, struct err *e)
{
	if (!*name || strlen(name) > KUBE_NAME_MAX)
		return 0;
	if (l->n == NAMES_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %d objects of drills", NAMES_MAX);
	if (l->n == l->cap) {
		const size_t cap = l->cap ? 2 * l->cap : 32;
		void *v = reallocarray(l->v, cap, sizeof(*l->v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of objects");
		l->v = v;
		l->cap = cap;
	}
	(void)snprintf(l->v[l->n++], sizeof(*l->v), "%s", name);
	return 0;
}

/* Runs that do not fit are found by the next cleaning. */
static void add_run(struct cleaning *c, const json_t *o)
{
	const char *run = label(o, FILLER_LABEL_RUN);

	for (size_t i = 0; i < c->nruns; i++) {
		if (strcmp(c->runs[i], run) == 0)
			return;
	}
	if (strlen(run) == RUN_LOG_ID - 1 && c->nruns < DRILL_RUNS_LEFT_MAX)
		memcpy(c->runs[c->nruns++], run, RUN_LOG_ID);
}

/* What goes is looked at once more, whatever the server has made of the selector. */
static bool is_of_drill(const struct cleaning *c, const json_t *o)
{
	return strcmp(label(o, FILLER_LABEL_ROLE), DRILL_ROLE) == 0 &&
	       (c->all || strcmp(label(o, FILLER_LABEL_RUN), c->d->run) == 0);
}

static int take_namespace(void *arg, const json_t *o, struct err *e)
{
	struct cleaning *c = arg;

	if (!is_of_drill(c, o))
		return 0;
	add_run(c, o);
	return add_name(&c->namespaces, kube_text_at(o, "metadata.name"), e);
}

static int take_pod(void *arg, const json_t *o, struct err *e)
{
	struct cleaning *c = arg;

	if (!is_of_drill(c, o))
		return 0;
	add_run(c, o);
	return add_name(&c->pods, kube_text_at(o, "metadata.name"), e);
}

static int take_claim(void *arg, const json_t *o, struct err *e)
{
	struct cleaning *c = arg;

	if (!is_of_drill(c, o))
		return 0;
	add_run(c, o);
	return add_name(&c->claims, kube_text_at(o, "metadata.name"), e) < 0
	               ? -1
	               : add_name(&c->volumes, kube_text_at(o, "spec.volumeName"), e);
}

/* Of a claim in a namespace that goes as a whole. */
static int take_bound(void *arg, const json_t *o, struct err *e)
{
	struct cleaning *c = arg;

	return add_name(&c->volumes, kube_text_at(o, "spec.volumeName"), e);
}

static int take_volume(void *arg, const json_t *o, struct err *e)
{
	struct cleaning *c = arg;
	bool ours = false;

	for (size_t i = 0; i < c->nruns && !ours; i++)
		ours = strcmp(label(o, FILLER_LABEL_RUN), c->runs[i]) == 0;
	if (!ours || (c->unclaimed && strcmp(kube_text_at(o, "status.phase"), "Available") != 0))
		return 0;
	return add_name(&c->volumes, kube_text_at(o, "metadata.name"), e);
}

static int find_all(struct cleaning *c, struct err *e)
{
	struct kube *k = c->d->kube;
	const struct kube_select anywhere = { .labels = c->labels };
	const struct kube_select here = { .ns = c->d->ns, .labels = c->labels };

	return kube_list(k, &kube_namespace_kind, &anywhere, take_namespace, c, NULL, e) < 0 ||
	                       kube_list(k, &kube_pod, &here, take_pod, c, NULL, e) < 0 ||
	                       kube_list(k, &kube_pvc, &here, take_claim, c, NULL, e) < 0
	               ? -1
	               : 0;
}

static int find_bound(struct cleaning *c, struct err *e)
{
	for (size_t i = 0; i < c->namespaces.n; i++) {
		const struct kube_select in = { .ns = c->namespaces.v[i] };

		if (kube_list(c->d->kube, &kube_pvc, &in, take_bound, c, NULL, e) < 0)
			return -1;
	}
	return 0;
}

/* Volumes that have the label of a run: those between two claims, and those that were. */
static int find_volumes(struct cleaning *c, struct err *e)
{
	for (size_t i = 0; i < c->nruns; i++) {
		char labels[128];
		const struct kube_select with = { .labels = labels };

		(void)snprintf(labels, sizeof(labels), FILLER_LABEL_RUN "=%s", c->runs[i]);
		if (kube_list(c->d->kube, &kube_pv, &with, take_volume, c, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static int give_up_volumes(struct cleaning *c, struct err *e)
{
	for (size_t i = 0; i < c->volumes.n; i++) {
		struct err why = ERR_INIT;

		if (filler_drop_policy(c->d->kube, c->volumes.v[i], "Delete", &why) < 0 &&
		    keep(c, &why, e) < 0)
			return -1;
	}
	return 0;
}

static int delete_named(struct cleaning *c, const struct kube_kind *kind, const char *ns,
                        const struct names *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		struct err why = ERR_INIT;

		if (kube_delete(c->d->kube, kind, ns, l->v[i], NULL, &why) < 0 &&
		    keep(c, &why, e) < 0)
			return -1;
	}
	return 0;
}

struct going {
	const struct cleaning *c;
	int64_t until_ns;
};

static int are_gone(void *arg, struct err *e)
{
	const struct going *g = arg;

	for (size_t i = 0; i < g->c->namespaces.n; i++) {
		const char *ns = g->c->namespaces.v[i];
		auto_json json_t *there = NULL;
		struct err why = ERR_INIT;

		if (kube_get(g->c->d->kube, &kube_namespace_kind, NULL, ns, &there, &why) < 0) {
			if (why.class == ERR_NOT_FOUND)
				continue;
			*e = why;
			return -1;
		}
		if (now_mono_ns() < g->until_ns)
			return 0;
		return err_set(e, ERR_RETRY,
		               "the namespace '%s' of a drill does not go away: see its conditions",
		               ns);
	}
	return 1;
}

/*
 * Volumes that never came to the claim that they were reserved for: nobody deletes them by their
 * policy. Those that were released are their driver's, who is at them.
 */
static int drop_unclaimed(struct cleaning *c, struct err *e)
{
	c->volumes.n = 0;
	c->unclaimed = true;
	return find_volumes(c, e) < 0 ? -1 : delete_named(c, &kube_pv, NULL, &c->volumes, e);
}

static int drop_secrets(struct cleaning *c, struct err *e)
{
	for (size_t i = 0; i < c->nruns; i++) {
		struct err why = ERR_INIT;

		if (movers_drop(c->d->kube, c->d->ns, c->runs[i], &why) < 0 && keep(c, &why, e) < 0)
			return -1;
	}
	return 0;
}

static int clean(struct cleaning *c, struct err *e)
{
	struct going g = { .c = c, .until_ns = now_mono_ns() + DRILL_GONE_MS * INT64_C(1000000) };

	if (find_all(c, e) < 0 || find_bound(c, e) < 0 || find_volumes(c, e) < 0 ||
	    give_up_volumes(c, e) < 0 || delete_named(c, &kube_pod, c->d->ns, &c->pods, e) < 0 ||
	    delete_named(c, &kube_pvc, c->d->ns, &c->claims, e) < 0 ||
	    delete_named(c, &kube_namespace_kind, NULL, &c->namespaces, e) < 0 ||
	    worker_until(c->d->cancel, are_gone, &g, e) < 0)
		return -1;
	return drop_unclaimed(c, e) < 0 ? -1 : drop_secrets(c, e);
}

int drill_room_clean(const struct drill_room *d, bool all, size_t *ret_runs, struct err *e)
{
	CLEANUP(clean_names) struct cleaning c = { .d = d, .all = all, .first = ERR_INIT };

	if (all)
		(void)snprintf(c.labels, sizeof(c.labels), FILLER_LABEL_ROLE "=" DRILL_ROLE);
	else
		(void)snprintf(c.labels, sizeof(c.labels),
		               FILLER_LABEL_ROLE "=" DRILL_ROLE "," FILLER_LABEL_RUN "=%s", d->run);
	/* Of this run there may be Secrets and nothing else. */
	if (!all)
		memcpy(c.runs[c.nruns++], d->run, RUN_LOG_ID);
	if (clean(&c, e) < 0)
		return err_wrap(e, "taking away what drills have made");
	if (ret_runs)
		*ret_runs = c.nruns;
	if (c.first.class == ERR_NONE)
		return 0;
	*e = c.first;
	return err_wrap(e, "taking away what drills have made");
}
