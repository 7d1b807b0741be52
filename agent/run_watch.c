/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's watches: each thread puts what it is told into the world, and wakes the loop. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "agent/gather.h"
#include "agent/run_impl.h"
#include "common/log.h"
#include "common/now.h"
#include "common/team.h"

static const struct kube_kind *const kinds[WORLD_KINDS] = {
	[WORLD_CLAIMS] = &kube_pvc,
	[WORLD_NAMESPACES] = &kube_namespace_kind,
	[WORLD_CLASSES] = &kube_storage_class,
	[WORLD_POLICIES] = &kube_policy,
	[WORLD_PODS] = &kube_pod,
	[WORLD_AGENTS] = &kube_pod,
	[WORLD_LEASES] = &kube_lease,
};

int64_t run_now_s(void)
{
	return now_wall_ns() / 1000000000;
}

void run_wake(struct run *r)
{
	const uint64_t one = 1;
	const ssize_t n = write(r->wake, &one, sizeof(one)); /* cannot fail: it is far from full */

	(void)n;
}

static void put(void *arg, const json_t *object)
{
	const struct run_feed *f = arg;
	struct run *r = f->run;

	pthread_mutex_lock(&r->lock);
	world_put(r->world, f->kind, object, run_now_s());
	pthread_mutex_unlock(&r->lock);
	run_wake(r);
}

static void gone(void *arg, const char *ns, const char *name, const char *uid)
{
	const struct run_feed *f = arg;
	struct run *r = f->run;

	(void)uid;
	pthread_mutex_lock(&r->lock);
	world_gone(r->world, f->kind, ns, name);
	pthread_mutex_unlock(&r->lock);
	run_wake(r);
}

static void synced(void *arg)
{
	const struct run_feed *f = arg;
	struct run *r = f->run;

	pthread_mutex_lock(&r->lock);
	const bool before = world_ready(r->world);
	world_synced(r->world, f->kind);
	const bool now = world_ready(r->world);
	const size_t claims = r->world->shelves[WORLD_CLAIMS].n;
	pthread_mutex_unlock(&r->lock);
	if (now && !before)
		log_info("the cluster is known", LOG_U("claims", claims));
	run_wake(r);
}

static void trouble(void *arg, const struct err *e)
{
	struct run_feed *f = arg;
	const char *plural = kinds[f->kind]->plural;

	if (e && !f->trouble)
		log_warn("the cluster is not seen as it is", LOG_S("kind", plural),
		         LOG_S("why", e->msg));
	else if (!e && f->trouble)
		log_info("the cluster is seen again", LOG_S("kind", plural));
	f->trouble = e != NULL;
}

static struct kube_select select_of(const struct run *r, enum world_kind kind)
{
	struct kube_select s = { .ns = NULL };

	if (kind == WORLD_PODS)
		s.fields = r->fields;
	if (kind == WORLD_AGENTS || kind == WORLD_LEASES)
		s.ns = r->p->ns;
	if (kind == WORLD_AGENTS)
		s.labels = r->agents;
	if (kind == WORLD_LEASES)
		s.labels = CLAIM_LABEL "=true";
	return s;
}

int run_watch_start(struct run *r, struct err *e)
{
	(void)snprintf(r->fields, sizeof(r->fields), "spec.nodeName=%.253s", r->p->node);
	(void)snprintf(r->agents, sizeof(r->agents),
	               "app.kubernetes.io/name=aksdr,app.kubernetes.io/component=agent%s%.63s",
	               r->p->instance ? ",app.kubernetes.io/instance=" : "",
	               r->p->instance ? r->p->instance : "");
	if (r->p->policies && gather_policies(r->p->policies, r->world, e) < 0)
		return err_wrap(e, "policies in '%s'", r->p->policies);
	for (int kind = 0; kind < WORLD_KINDS; kind++) {
		struct run_feed *f = &r->feeds[kind];

		*f = (struct run_feed){ .run = r, .kind = (enum world_kind)kind };
		if (kind == WORLD_POLICIES && r->p->policies)
			continue;
		const struct watch_params params = {
			.kube = r->kube,
			.kind = kinds[kind],
			.select = select_of(r, f->kind),
			.put = put,
			.gone = gone,
			.synced = synced,
			.trouble = trouble,
			.arg = f,
		};
		f->watch = watch_start(&params, e);
		if (!f->watch)
			return -1;
	}
	return 0;
}

/* The end of one may take a second, so they end side by side. */
struct stops {
	struct run *r;
	struct team_tasks tasks;
};

static int stop_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct stops *s = arg;
	size_t kind;

	(void)i;
	(void)stop;
	(void)e;
	while (team_take(&s->tasks, &kind)) {
		watch_stop(s->r->feeds[kind].watch);
		s->r->feeds[kind].watch = NULL;
	}
	return 0;
}

void run_watch_stop(struct run *r)
{
	struct stops s = { .r = r, .tasks = { .n = WORLD_KINDS } };
	struct err e;

	if (team_run(WORLD_KINDS, "stop", stop_some, &s, &e) < 0)
		log_debug("watches were not ended side by side", LOG_S("why", e.msg));
}
