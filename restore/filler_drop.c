/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of a run that is given up: movers, claims of ours with their volumes, and volumes that were
 * on their way from one claim to the other. See filler.h.
 */
#include <string.h>

#include "common/log.h"
#include "restore/filler_impl.h"
#include "restore/filler_objects.h"

int filler_drop_policy(struct kube *k, const char *volume, const char *policy, struct err *e)
{
	auto_json json_t *p = json_pack("{s:{s:s}}", "spec", "persistentVolumeReclaimPolicy",
	                                policy);

	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a change of a volume");
	return kube_patch(k, &kube_pv, NULL, volume, NULL, KUBE_MERGE, p, NULL, e);
}

/* It was somebody's, and was to get what differs: it is not ours to throw away. */
static bool was_taken(const json_t *pv)
{
	return *filler_objects_note(pv, FILLER_TAKEN);
}

static void tell_taken(const json_t *pv)
{
	log_warn("a volume that was taken from its claim is left as it is",
	         LOG_S("volume", kube_text_at(pv, "metadata.name")));
}

static int drop_pod(void *arg, const json_t *o, struct err *e)
{
	const struct filler *f = arg;

	return kube_delete(f->kube, &kube_pod, f->ns, kube_text_at(o, "metadata.name"), NULL, e);
}

/* Where its class keeps volumes, nobody would ever take it away. */
static int drop_claim(void *arg, const json_t *o, struct err *e)
{
	const struct filler *f = arg;
	const char *volume = kube_text_at(o, "spec.volumeName");
	auto_json json_t *pv = NULL;

	if (*volume && kube_find(f->kube, &kube_pv, NULL, volume, &pv, e) < 0)
		return -1;
	if (pv && was_taken(pv))
		tell_taken(pv);
	else if (pv && filler_drop_policy(f->kube, volume, "Delete", e) < 0)
		return -1;
	return kube_delete(f->kube, &kube_pvc, f->ns, kube_text_at(o, "metadata.name"), NULL, e);
}

static bool is_bound(const json_t *claim, const char *volume)
{
	return strcmp(kube_text_at(claim, "status.phase"), "Bound") == 0 &&
	       strcmp(kube_text_at(claim, "spec.volumeName"), volume) == 0;
}

/*
 * Of a volume between two claims. The one that is wanted has it already: it was handed over, but
 * for its policy. Else it goes, and with it a claim of this run that waits for it.
 */
static int drop_volume(void *arg, const json_t *pv, struct err *e)
{
	const struct filler *f = arg;
	const char *name = kube_text_at(pv, "metadata.name");
	const char *ns = kube_text_at(pv, "spec.claimRef.namespace");
	const char *claim = kube_text_at(pv, "spec.claimRef.name");
	auto_json json_t *target = NULL;

	if (!*filler_objects_label(pv, FILLER_LABEL_FILL))
		return 0;
	if (*claim && kube_find(f->kube, &kube_pvc, ns, claim, &target, e) < 0)
		return -1;
	if (target && strcmp(ns, f->ns) != 0 && is_bound(target, name))
		return filler_job_finish(f->kube, pv, e);
	if (was_taken(pv)) {
		tell_taken(pv);
		return 0;
	}
	if (target && filler_objects_is_ours(f, target) &&
	    kube_delete(f->kube, &kube_pvc, ns, claim, kube_text_at(target, "metadata.uid"), e) < 0)
		return -1;
	return filler_drop_policy(f->kube, name, "Delete", e) < 0
	               ? -1
	               : kube_delete(f->kube, &kube_pv, NULL, name,
	                             kube_text_at(pv, "metadata.uid"), e);
}

int filler_drop_all(const struct filler *f, struct err *e)
{
	char labels[128], of_run[64];
	const struct kube_select ours = { .ns = f->ns, .labels = labels };
	const struct kube_select volumes = { .labels = of_run };
	void *arg = (void *)(uintptr_t)f;

	(void)snprintf(labels, sizeof(labels), FILLER_LABEL_RUN "=%s," FILLER_LABEL_ROLE "=%s",
	               f->run, f->role);
	(void)snprintf(of_run, sizeof(of_run), FILLER_LABEL_RUN "=%s", f->run);
	if (kube_list(f->kube, &kube_pod, &ours, drop_pod, arg, NULL, e) < 0 ||
	    kube_list(f->kube, &kube_pvc, &ours, drop_claim, arg, NULL, e) < 0)
		return -1;
	return kube_list(f->kube, &kube_pv, &volumes, drop_volume, arg, NULL, e);
}
