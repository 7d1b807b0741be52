/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver `csi`: a VolumeSnapshot of a claim, and a claim in the agent's namespace that is made
 * from it, for a pod to read. Snapshots of a run are asked for together, when the first is.
 */
#include <string.h>

#include "common/now.h"
#include "snapshot/block.h"
#include "snapshot/csi.h"
#include "snapshot/csi_azure.h"
#include "snapshot/csi_class.h"
#include "snapshot/csi_objects.h"

static int no(struct err *e, const char *why)
{
	(void)err_set(e, ERR_UNSUPPORTED, "%s", why);
	return 0;
}

static int add_class(void *arg, const json_t *class, struct err *e)
{
	/* Lists are borrowed. */
	if (json_array_append_new(arg, json_deep_copy(class)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for classes");
	return 0;
}

static int choose_class(const struct csi_run *run, struct csi_claim *c, const char *driver,
                        struct err *e)
{
	const struct kube_select all = { NULL, NULL, NULL };
	auto_json json_t *classes = json_array();
	struct err why = ERR_INIT;

	if (kube_list(run->kube, &kube_snapshot_class, &all, add_class, classes, NULL, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return no(e, "the cluster has no VolumeSnapshots");
		*e = why;
		return -1;
	}
	const char *class = csi_class_choose(classes, driver, run->class, &why);
	if (!class) {
		*e = why;
		return 0;
	}
	(void)snprintf(c->class, sizeof(c->class), "%s", class);
	return 1;
}

static int csi_supports(const struct snapshot_env *env, const char *origin, struct err *e)
{
	struct csi_claim *c = env->cluster ? csi_find(env->cluster, origin) : NULL;

	if (!c)
		return err_set(e, ERR_INVALID, "'%.300s' is no claim of this run", origin);
	if (!c->volume || strcmp(kube_text_at(c->claim, "status.phase"), "Bound") != 0)
		return no(e, "the claim is not bound to a volume");
	const char *driver = kube_text_at(c->volume, "spec.csi.driver");
	if (!*driver)
		return no(e, "its volume is not of a CSI driver");
	return choose_class(env->cluster, c, driver, e);
}

static struct csi_claim *claim_of(const struct snapshot *s)
{
	return s->priv;
}

static int csi_prepare(struct snapshot *s, struct err *e)
{
	struct csi_claim *c = csi_find(s->env->cluster, s->origin);

	if (!c || !*c->class)
		return err_set(e, ERR_BUG, "'%.300s' was not looked at", s->origin);
	s->priv = c;
	s->block = c->block;
	c->wanted = true;
	return 0;
}

/* ---- the moment ---- */

static void ask_for_all(const struct csi_run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		struct csi_claim *c = &run->claims[i];

		if (!c->wanted || c->asked)
			continue;
		auto_json json_t *o = csi_objects_source(run, c);
		c->asked = true;
		c->why = ERR_INIT;
		if (!o)
			(void)err_set(&c->why, ERR_NOMEM, "no memory for a snapshot");
		else
			(void)!kube_create(run->kube, &kube_snapshot, c->ns, o, NULL, &c->why);
	}
}

struct wait {
	const struct csi_run *run;
	const struct csi_claim *c;
	const char *ns;   /* of the snapshot */
	int64_t limit_ms; /* that it may take, or without `ready` that a failure may last */
	int64_t since_ns; /* when that began; 0: it has not */
	bool ready;       /* readyToUse is waited for, else creationTime */
	json_t *snapshot; /* the last look; owned */
};

/* For the snapshot of c in ns: its moment, or with `ready` its data. */
static struct wait wait_of(const struct csi_run *run, const struct csi_claim *c, const char *ns,
                           bool ready)
{
	const int64_t given_ms = ready ? run->stuck_ms : run->moment_ms;

	return (struct wait){
		.run = run,
		.c = c,
		.ns = ns,
		.ready = ready,
		.limit_ms = given_ms ? given_ms
		            : ready  ? CSI_STUCK_MS
		                     : CSI_MOMENT_MS,
	};
}

static void clean_wait(struct wait *w)
{
	json_decref(w->snapshot);
}

static int look(void *arg, struct err *e)
{
	struct wait *w = arg;
	const int64_t now_ns = now_mono_ns();

	json_decref(w->snapshot);
	w->snapshot = NULL;
	if (kube_get(w->run->kube, &kube_snapshot, w->ns, w->c->base, &w->snapshot, e) < 0)
		return -1;
	if (w->ready ? kube_true_at(w->snapshot, "status.readyToUse")
	             : *kube_text_at(w->snapshot, "status.creationTime") != '\0')
		return 1;
	const char *failed = kube_text_at(w->snapshot, "status.error.message");
	/* Data that is still on its way may take hours; a driver that says why not is tried again
	 * by the cluster, for a while. */
	if (w->ready && !*failed)
		w->since_ns = 0;
	else if (w->since_ns == 0)
		w->since_ns = now_ns;
	if (w->since_ns == 0 || now_ns - w->since_ns < w->limit_ms * 1000000)
		return 0;
	return err_set(e, ERR_RETRY, "the VolumeSnapshot '%s/%s' was not %s within %llds: %.400s",
	               w->ns, w->c->base, w->ready ? "ready" : "taken",
	               (long long)(w->limit_ms / 1000),
	               *failed ? failed
	                       : "the cluster does not say why; see the snapshotter's log");
}

static int csi_capture(struct snapshot *s, struct err *e)
{
	const struct csi_run *run = s->env->cluster;
	struct csi_claim *c = claim_of(s);
	CLEANUP(clean_wait)
	struct wait w = wait_of(run, c, c->ns, false);

	ask_for_all(run);
	if (c->why.class != ERR_NONE) {
		*e = c->why;
		return -1;
	}
	if (csi_until(run, look, &w, e) < 0)
		return -1;
	return now_parse(kube_text_at(w.snapshot, "status.creationTime"), &s->freeze_ns, e);
}

/* ---- the view ---- */

static int make(const struct csi_run *run, const struct kube_kind *kind, json_t *take_o,
                struct err *e)
{
	auto_json json_t *o = take_o;

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for an object");
	return kube_create(run->kube, kind, kind->cluster ? NULL : run->ns, o, NULL, e);
}

static int make_view(const struct csi_run *run, const struct csi_claim *c, const char *content_name,
                     struct err *e)
{
	auto_json json_t *content = NULL;

	if (kube_get(run->kube, &kube_snapshot_content, NULL, content_name, &content, e) < 0)
		return -1;
	if (!*kube_text_at(content, "status.snapshotHandle"))
		return err_set(e, ERR_IO, "the VolumeSnapshotContent '%s' has no handle",
		               content_name);
	if (make(run, &kube_snapshot_content, csi_objects_content(run, c, content), e) < 0 ||
	    make(run, &kube_snapshot, csi_objects_view(run, c), e) < 0)
		return -1;
	CLEANUP(clean_wait)
	struct wait w = wait_of(run, c, run->ns, true);
	return csi_until(run, look, &w, e);
}

static int csi_finish(struct snapshot *s, struct err *e)
{
	const struct csi_run *run = s->env->cluster;
	struct csi_claim *c = claim_of(s);
	CLEANUP(clean_wait)
	struct wait w = wait_of(run, c, c->ns, true);

	if (csi_until(run, look, &w, e) < 0)
		return -1;
	const char *content = kube_text_at(w.snapshot, "status.boundVolumeSnapshotContentName");
	int rc = csi_azure_open(s, run, c, content, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	/* In one namespace the snapshot's own name will do. */
	if (strcmp(c->ns, run->ns) != 0 && make_view(run, c, content, e) < 0)
		return -1;
	if (make(run, &kube_pvc,
	         csi_objects_clone(run, c, kube_text_at(w.snapshot, "status.restoreSize")), e) < 0)
		return -1;
	s->path = strdup(c->base);
	return s->path ? 0 : err_set(e, ERR_NOMEM, "no memory for a name");
}

static int csi_release(struct snapshot *s, struct err *e)
{
	const struct csi_run *run = s->env->cluster;
	struct csi_claim *c = claim_of(s);
	auto_json json_t *names = json_array();

	/* What is open at a node cannot be unmounted there. */
	clean_close(&s->fd);
	s->fd = -1;
	if (!c)
		return 0;
	c->wanted = c->asked = false;
	int rc = csi_azure_close(s, run, c, e);
	struct err why = ERR_INIT;
	if (csi_names(run, c, names, &why) == 0 &&
	    csi_drop(run->kube, names, csi_gone_ms(run), &why) == 0)
		return rc;
	*e = why;
	return -1;
}

/* A disk is not; of another view the pod that reads it finds out. */
static int csi_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e)
{
	(void)s;
	(void)e;
	*ret_empty = false;
	return 0;
}

/* Of a disk that is read from its snapshot, or of what a pod holds at this node. */
static struct source *csi_source(const struct snapshot *s, const struct walk_params *params,
                                 const char *base, struct err *e)
{
	if (claim_of(s)->azure)
		return csi_azure_source(s, params, base, e);
	if (s->block)
		return block_open(s->path, params && params->drop_cache, e);
	return walk_open(s->path, params, e);
}

const struct snapshot_ops snapshot_csi = {
	.name = "csi",
	.caps = SNAP_CAP_ATOMIC | SNAP_CAP_WRITABLE | SNAP_CAP_DIFF,
	.consistency = SNAP_CRASH,
	.supports = csi_supports,
	.prepare = csi_prepare,
	.capture = csi_capture,
	.finish = csi_finish,
	.release = csi_release,
	.source = csi_source,
	.is_empty = csi_is_empty,
	.clean = csi_azure_clean,
};
