/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over, the other way round: the volume of a claim that is in the cluster becomes that of a
 * claim of ours, so that it gets what differs while nobody sees it. See filler.h.
 */
#include <string.h>

#include "kube/pod.h"
#include "restore/filler.h"
#include "restore/filler_impl.h"
#include "restore/filler_objects.h"

struct users {
	const struct filler_claim *c;
	char pod[KUBE_NAME_MAX + 1];
};

static int take_pod(void *arg, const json_t *pod, struct err *e)
{
	struct users *u = arg;

	(void)e;
	if (!pod_is_over(pod) && pod_uses(pod, u->c->name))
		(void)snprintf(u->pod, sizeof(u->pod), "%s", kube_text_at(pod, "metadata.name"));
	return 0;
}

/* Before anything is changed. */
static int check(const struct filler_job *j, const json_t *pv, struct err *e)
{
	struct users u = { .c = j->c };
	const struct kube_select in = { .ns = j->c->ns };
	const bool block = strcmp(kube_text_at(pv, "spec.volumeMode"), "Block") == 0;

	if (block != j->c->block)
		return err_set(e, ERR_INVALID,
		               "the claim '%s/%s' that is there is %s, and its restore point is "
		               "not: delete the claim",
		               j->c->ns, j->c->name, block ? "a block device" : "a file system");
	if (kube_list(j->f->kube, &kube_pod, &in, take_pod, &u, NULL, e) < 0)
		return -1;
	if (u.pod[0])
		return err_set(e, ERR_BUSY, "the pod '%s/%s' uses the claim '%s': stop it first",
		               j->c->ns, u.pod, j->c->name);
	return 0;
}

static int keep(struct filler_job *j, struct err *e)
{
	const char *name = kube_text_at(j->target, "spec.volumeName");
	auto_json json_t *pv = NULL;

	if (!*name)
		return err_set(e, ERR_RETRY,
		               "the claim '%s/%s' that is there has no volume: delete it", j->c->ns,
		               j->c->name);
	if (kube_get(j->f->kube, &kube_pv, NULL, name, &pv, e) < 0 || check(j, pv, e) < 0)
		return -1;
	auto_json json_t *p = json_pack("{s:{s:{s:s, s:s}, s:{s:s, s:s, s:n, s:n}}, s:{s:s}}",
	                                "metadata", "labels", FILLER_LABEL_FILL, j->name,
	                                FILLER_LABEL_RUN, j->f->run, "annotations", FILLER_RECLAIM,
	                                kube_text_at(pv, "spec.persistentVolumeReclaimPolicy"),
	                                FILLER_TAKEN, j->f->run, FILLER_POINT, FILLER_RESULT,
	                                "spec", "persistentVolumeReclaimPolicy", "Retain");
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a change of '%s'", name);
	return kube_patch(j->f->kube, &kube_pv, NULL, name, NULL, KUBE_MERGE, p, &j->volume, e);
}

static int drop_target(struct filler_job *j, struct err *e)
{
	const struct filler *f = j->f;

	if (kube_delete(f->kube, &kube_pvc, j->c->ns, j->c->name,
	                kube_text_at(j->target, "metadata.uid"), e) < 0 ||
	    filler_job_wait(j, &kube_pvc, j->c->ns, j->c->name, true, e) < 0)
		return -1;
	json_decref(j->target);
	j->target = NULL;
	return 0;
}

static int make_staging(struct filler_job *j, struct err *e)
{
	const char *name = kube_text_at(j->volume, "metadata.name");
	auto_json json_t *o = filler_objects_staging(j->f, j->c, j->name);
	json_t *spec = json_object_get(o, "spec");
	json_t *notes = json_object_get(json_object_get(o, "metadata"), "annotations");

	/* What is in it is known by nobody: it is compared as a whole. */
	int bad = json_object_set_new(notes, FILLER_APPLYING, json_string("taken"));
	bad |= json_object_set_new(spec, "volumeName", json_string(name));
	bad |= json_object_set_new(spec, "storageClassName",
	                           json_string(kube_text_at(j->volume, "spec.storageClassName")));
	bad |= json_object_set(json_object_get(json_object_get(spec, "resources"), "requests"),
	                       "storage",
	                       (json_t *)(uintptr_t)kube_at(j->volume, "spec.capacity.storage"));
	bad |= json_object_set(spec, "accessModes",
	                       (json_t *)(uintptr_t)kube_at(j->volume, "spec.accessModes"));
	if (!o || bad)
		return err_set(e, ERR_NOMEM, "no memory for a claim");
	return kube_create(j->f->kube, &kube_pvc, j->f->ns, o, &j->staging, e);
}

int filler_take(const struct filler *f, const struct filler_claim *c, struct err *e)
{
	CLEANUP(filler_job_clear) struct filler_job j = filler_job_of(f, c);
	const char *what = "taking the claim that is there";

	if (filler_job_look(&j, e) < 0)
		return -1;
	const bool theirs = j.target && !filler_objects_is_ours(f, j.target);
	/* Nothing is there, or it is ours already. */
	if (j.staging || (!theirs && !j.volume) ||
	    (j.volume && *filler_objects_note(j.volume, FILLER_RESULT)))
		return 0;
	if (theirs && ((!j.volume && keep(&j, e) < 0) || drop_target(&j, e) < 0))
		return err_wrap(e, "%s", what);
	if (filler_job_reserve(&j, f->ns, j.name, e) < 0 || make_staging(&j, e) < 0 ||
	    filler_job_wait(&j, &kube_pvc, f->ns, j.name, false, e) < 0)
		return err_wrap(e, "%s", what);
	return 0;
}
