/* SPDX-License-Identifier: Apache-2.0 */
/* See filler.h. */
#include "restore/filler.h"

#include <string.h>

#include "common/log.h"
#include "common/now.h"
#include "restore/filler_impl.h"
#include "restore/filler_objects.h"
#include "snapshot/csi_objects.h"

#define NOTE_TRIES 5 /* of an annotation, while somebody else changes the claim */

struct filler_job filler_job_of(const struct filler *f, const struct filler_claim *c)
{
	struct filler_job j = { .f = f, .c = c };

	filler_name(f, c->ns, c->name, j.name);
	return j;
}

void filler_job_clear(struct filler_job *j)
{
	json_decref(j->staging);
	json_decref(j->target);
	json_decref(j->volume);
}

static int take_volume(void *arg, const json_t *o, struct err *e)
{
	struct filler_job *j = arg;

	(void)e;
	if (strcmp(filler_objects_label(o, FILLER_LABEL_FILL), j->name) != 0)
		return 0;
	json_decref(j->volume);
	j->volume = json_incref((json_t *)(uintptr_t)o);
	return 0;
}

/* Of a claim that somebody else has made. Once it has a volume it is as any other target. */
static int look_at_waiting(struct filler_job *j, struct err *e)
{
	if (!j->target || strcmp(kube_text_at(j->target, "metadata.uid"), j->c->uid) != 0)
		return err_set(e, ERR_NOT_FOUND, "the claim '%s/%s' is not there any more",
		               j->c->ns, j->c->name);
	j->waits = !*kube_text_at(j->target, "spec.volumeName");
	return 0;
}

/* Whether the claim that is wanted is there, and has its volume or is about to. */
static bool has_target(const struct filler_job *j)
{
	return j->target && !j->waits;
}

int filler_job_look(struct filler_job *j, struct err *e)
{
	struct kube *k = j->f->kube;
	char labels[128];
	const struct kube_select select = { .labels = labels };

	if (kube_find(k, &kube_pvc, j->c->ns, j->c->name, &j->target, e) < 0 ||
	    kube_find(k, &kube_pvc, j->f->ns, j->name, &j->staging, e) < 0)
		return -1;
	json_decref(j->volume);
	j->volume = NULL;
	(void)snprintf(labels, sizeof(labels), FILLER_LABEL_FILL "=%s", j->name);
	return kube_list(k, &kube_pv, &select, take_volume, j, NULL, e);
}

/* The same, where the claim that is wanted must not be somebody else's. */
static int look(struct filler_job *j, struct err *e)
{
	if (filler_job_look(j, e) < 0)
		return -1;
	if (j->c->uid)
		return look_at_waiting(j, e);
	if (!j->target || filler_objects_is_ours(j->f, j->target))
		return 0;
	return err_set(e, ERR_EXISTS,
	               "there is a claim '%s/%s' already, which is not of this run: delete it, or "
	               "map its namespace to another one",
	               j->c->ns, j->c->name);
}

static int patch(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
                 json_t *take_patch, struct err *e)
{
	auto_json json_t *p = take_patch;

	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a change of '%s'", name);
	return kube_patch(k, kind, ns, name, NULL, KUBE_MERGE, p, NULL, e);
}

static int is_taken(const struct filler_job *j, const json_t *o, struct err *e)
{
	const char *taker = filler_objects_note(o, FILLER_TAKEN);

	if (!*taker || !j->f->yields)
		return 0;
	return err_set(e, ERR_BUSY, "the standby of '%s/%s' was taken over by the run %.8s",
	               j->c->ns, j->c->name, taker);
}

static bool same_note(const json_t *a, const json_t *b, const char *key)
{
	return strcmp(filler_objects_note(a, key), filler_objects_note(b, key)) == 0;
}

/*
 * Annotations of the claim of ours. Of one that stands by they count only while no run has taken
 * it, and nobody else fills it: it is read again before each try, since others change it, too.
 */
static int note(struct filler_job *j, json_t *(*make)(const struct filler_job *j, const char *text),
                const char *text, struct err *e)
{
	const struct filler *f = j->f;

	for (unsigned i = 1;; i++) {
		struct err why = ERR_INIT;
		auto_json json_t *now = NULL;
		auto_json json_t *p = make(j, text);

		if (f->yields && (kube_get(f->kube, &kube_pvc, f->ns, j->name, &now, e) < 0 ||
		                  is_taken(j, now, e) < 0))
			return -1;
		if (f->yields && (!same_note(now, j->staging, FILLER_POINT) ||
		                  !same_note(now, j->staging, FILLER_APPLYING)))
			return err_set(e, ERR_BUSY,
			               "somebody else fills the standby of '%s/%s', too", j->c->ns,
			               j->c->name);
		if (!p || (now && filler_objects_only(p, now) < 0))
			return err_set(e, ERR_NOMEM, "no memory for a change of '%s'", j->name);
		json_decref(STEAL(&now));
		if (kube_patch(f->kube, &kube_pvc, f->ns, j->name, NULL, KUBE_MERGE, p, &now,
		               &why) == 0) {
			json_decref(j->staging);
			j->staging = STEAL(&now);
			return 0;
		}
		if (f->yields && why.class == ERR_BUSY && i < NOTE_TRIES)
			continue;
		*e = why;
		return -1;
	}
}

/* From here on the claim of a standby is that of the run that takes it. */
static int take(struct filler_job *j, struct err *e)
{
	const char *taker = j->f->taker;

	if (!taker || !j->staging ||
	    strcmp(filler_objects_note(j->staging, FILLER_TAKEN), taker) == 0)
		return 0;
	if (patch(j->f->kube, &kube_pvc, j->f->ns, j->name,
	          filler_objects_notes(FILLER_TAKEN, taker, NULL), e) < 0)
		return -1;
	/* What it says now stays so. */
	return kube_find(j->f->kube, &kube_pvc, j->f->ns, j->name, &j->staging, e);
}

/* ---- until something is so ---- */

struct until {
	const struct filler_job *j;
	const struct kube_kind *kind;
	const char *ns, *name;
	int64_t end_ns;
	bool gone; /* else: bound */
};

static int is_so(void *arg, struct err *e)
{
	const struct until *u = arg;
	auto_json json_t *o = NULL;

	if (kube_find(u->j->f->kube, u->kind, u->ns, u->name, &o, e) < 0)
		return -1;
	if (u->gone ? !o : strcmp(kube_text_at(o, "status.phase"), "Bound") == 0)
		return 1;
	if (now_mono_ns() < u->end_ns)
		return 0;
	return err_set(e, ERR_RETRY, "%s '%s%s%s' is not %s: see its events", u->kind->kind,
	               u->ns ? u->ns : "", u->ns ? "/" : "", u->name, u->gone ? "gone" : "bound");
}

int filler_job_wait(const struct filler_job *j, const struct kube_kind *kind, const char *ns,
                    const char *name, bool gone, struct err *e)
{
	const int64_t ms = gone ? FILLER_GONE_MS : FILLER_BOUND_MS;
	struct until u = { j, kind, ns, name, now_mono_ns() + ms * 1000000, gone };

	return worker_until(j->f->cancel, is_so, &u, e);
}

static int remove_mover(const struct filler_job *j, struct err *e)
{
	const struct filler *f = j->f;
	auto_json json_t *there = NULL;

	/* By the name there may be another one meanwhile, of a run that has taken the claim. */
	if (kube_find(f->kube, &kube_pod, f->ns, j->name, &there, e) < 0)
		return -1;
	if (!there)
		return 0;
	if (is_taken(j, there, e) < 0 || kube_delete(f->kube, &kube_pod, f->ns, j->name,
	                                             kube_text_at(there, "metadata.uid"), e) < 0)
		return -1;
	return filler_job_wait(j, &kube_pod, f->ns, j->name, true, e);
}

/* ---- filling ---- */

static int on_line(void *arg, const char *line)
{
	const struct filler_claim *c = arg;
	uint64_t done, total;

	if (!filler_objects_progress(line, &done, &total))
		return 0;
	if (c->progress)
		c->progress(c->arg, done, total);
	return 1;
}

static int make_staging(struct filler_job *j, struct err *e)
{
	auto_json json_t *o = filler_objects_staging(j->f, j->c, j->name);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a claim");
	return kube_create(j->f->kube, &kube_pvc, j->f->ns, o, &j->staging, e);
}

/* The mover, unless one of this point is there. */
static int make_mover(struct filler_job *j, const char *held, bool fresh, struct err *e)
{
	const struct filler *f = j->f;
	const struct filler_claim *c = j->c;
	auto_json json_t *there = NULL;

	if (kube_find(f->kube, &kube_pod, f->ns, j->name, &there, e) < 0)
		return -1;
	if (there && is_taken(j, there, e) < 0)
		return -1;
	/* One of a standby is not ours to rely on: it ends when the claim is taken. */
	const char *taker = f->taker ? f->taker : "";
	if (there && strcmp(filler_objects_note(there, FILLER_POINT), c->point) == 0 &&
	    strcmp(filler_objects_note(there, FILLER_TAKEN), taker) == 0)
		return 0;
	if (there && remove_mover(j, e) < 0)
		return -1;
	auto_json json_t *args = filler_objects_args(c, held, fresh);
	auto_json json_t *labels = filler_objects_labels(f);
	auto_json json_t *notes = json_pack("{s:s, s:s++, s:s*}", FILLER_POINT, c->point,
	                                    FILLER_FOR, c->ns, "/", c->name, FILLER_TAKEN,
	                                    f->taker);
	const struct worker_params p = {
		.ns = f->ns,
		.name = j->name,
		.labels = labels,
		.annotations = notes,
		.template = f->template,
		.zones = c->zones,
		.args = args,
		.env = f->env,
		.claim = j->name,
		.block = c->block,
		.path = c->block ? FILLER_DEVICE : FILLER_TARGET,
	};
	if (!args || !labels || !notes)
		return err_set(e, ERR_NOMEM, "no memory for a mover");
	auto_json json_t *pod = worker_pod(&p, e);
	return pod ? kube_create(f->kube, &kube_pod, f->ns, pod, NULL, e) : -1;
}

/* One try. What the mover told goes into text; nothing else says that it was filled. */
static int fill_once(struct filler_job *j, const char *held, bool fresh, struct filled *ret,
                     struct buf *text, struct err *e)
{
	const struct filler *f = j->f;
	auto_json json_t *ended = NULL;
	struct err why = ERR_INIT;
	const char *result;
	const struct worker_wait wait = {
		.kube = f->kube,
		.ns = f->ns,
		.name = j->name,
		.what = j->c->name,
		.stuck_ms = f->stuck_ms,
		.cancel = f->cancel,
		.line = on_line,
		.arg = (void *)(uintptr_t)j->c,
	};

	if (make_mover(j, held, fresh, e) < 0)
		return -1;
	int rc = worker_wait(&wait, &ended, &result, e);
	if (rc == 0)
		rc = filled_read(result, ret, e);
	if (rc == 0 && buf_printf(text, "%s", result) < 0)
		rc = buf_check(text, "a result", e);
	/* Who is to end leaves it at work: the next one finds it. */
	if (rc < 0 && e->class == ERR_CANCELLED)
		return -1;
	if (remove_mover(j, &why) < 0 && rc == 0) {
		*e = why;
		return -1;
	}
	return rc;
}

static json_t *applying(const struct filler_job *j, const char *text)
{
	(void)text;
	return filler_objects_notes(FILLER_APPLYING, j->c->point, NULL);
}

static json_t *filled_with(const struct filler_job *j, const char *text)
{
	return filler_objects_notes(FILLER_POINT, j->c->point, FILLER_RESULT, text, FILLER_APPLYING,
	                            NULL, NULL);
}

static int fill(struct filler_job *j, struct filled *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(16 * KIB);
	char held[33] = "";
	bool fresh = !j->staging;

	if (!j->staging && make_staging(j, e) < 0)
		return -1;
	/* Before anything is changed in it, it says so; what is in it then is known by nobody. */
	if (filler_objects_is_whole(j->staging))
		(void)snprintf(held, sizeof(held), "%s",
		               filler_objects_note(j->staging, FILLER_POINT));
	if (note(j, applying, NULL, e) < 0)
		return -1;
	for (unsigned i = 1;; i++) {
		struct err why = ERR_INIT;

		buf_reset(&text);
		if (fill_once(j, held, fresh, ret, &text, &why) == 0)
			break;
		*e = why;
		/* Where the claim is not what it says, or the old point is gone: all of it. */
		const bool again = why.class == ERR_RETRY ||
		                   (*held &&
		                    (why.class == ERR_CORRUPT || why.class == ERR_NOT_FOUND));
		if (!again || i == FILLER_TRIES)
			return err_wrap(e, "restoring '%s/%s'", j->c->ns, j->c->name);
		log_warn("a mover is tried again", LOG_S("volume", j->c->name),
		         LOG_S("why", why.msg));
		held[0] = '\0';
		fresh = false;
	}
	return note(j, filled_with, buf_cstr(&text), e);
}

/* Of a claim that has the point already. */
static int told(const json_t *claim, struct filled *ret, struct err *e)
{
	return filled_read(filler_objects_note(claim, FILLER_RESULT), ret, e);
}

int filler_fill(const struct filler *f, const struct filler_claim *c, struct filled *ret,
                struct err *e)
{
	CLEANUP(filler_job_clear) struct filler_job j = filler_job_of(f, c);

	if (look(&j, e) < 0 || take(&j, e) < 0)
		return -1;
	if (has_target(&j))
		return told(c->uid && j.volume ? j.volume : j.target, ret, e);
	if (!j.staging && j.volume)
		return told(j.volume, ret, e);
	if (j.staging && !*filler_objects_note(j.staging, FILLER_APPLYING) &&
	    strcmp(filler_objects_note(j.staging, FILLER_POINT), c->point) == 0)
		return told(j.staging, ret, e);
	return fill(&j, ret, e);
}

/* ---- handing over ---- */

/* The volume outlives the claim of ours, and says what it is while it is between the two. */
static int keep_volume(struct filler_job *j, struct err *e)
{
	struct kube *k = j->f->kube;
	const char *name = kube_text_at(j->staging, "spec.volumeName");
	const char *policy;

	if (j->volume && strcmp(filler_objects_note(j->volume, FILLER_POINT), j->c->point) == 0)
		return 0;
	if (!j->volume && kube_get(k, &kube_pv, NULL, name, &j->volume, e) < 0)
		return -1;
	/* Of one that was taken it is known, and what it has now is ours. */
	policy = filler_objects_note(j->volume, FILLER_RECLAIM);
	if (!*policy)
		policy = kube_text_at(j->volume, "spec.persistentVolumeReclaimPolicy");
	auto_json json_t *p = json_pack("{s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}}, s:{s:s}}",
	                                "metadata", "labels", FILLER_LABEL_FILL, j->name,
	                                FILLER_LABEL_RUN, j->f->run, "annotations", FILLER_RECLAIM,
	                                policy, FILLER_POINT, j->c->point, FILLER_RESULT,
	                                filler_objects_note(j->staging, FILLER_RESULT), "spec",
	                                "persistentVolumeReclaimPolicy", "Retain");
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a change of '%s'", name);
	json_decref(STEAL(&j->volume));
	return kube_patch(k, &kube_pv, NULL, name, NULL, KUBE_MERGE, p, &j->volume, e);
}

static int drop_staging(struct filler_job *j, struct err *e)
{
	const struct filler *f = j->f;

	if (kube_delete(f->kube, &kube_pvc, f->ns, j->name, NULL, e) < 0 ||
	    filler_job_wait(j, &kube_pvc, f->ns, j->name, true, e) < 0)
		return -1;
	json_decref(STEAL(&j->staging));
	return 0;
}

int filler_job_reserve(const struct filler_job *j, const char *ns, const char *claim, struct err *e)
{
	const char *name = kube_text_at(j->volume, "metadata.name");
	const bool is_wanted = strcmp(ns, j->c->ns) == 0 && strcmp(claim, j->c->name) == 0;

	if (strcmp(kube_text_at(j->volume, "spec.claimRef.namespace"), ns) == 0 &&
	    strcmp(kube_text_at(j->volume, "spec.claimRef.name"), claim) == 0)
		return 0;
	return patch(j->f->kube, &kube_pv, NULL, name,
	             json_pack("{s:{s:{s:s, s:s, s:s, s:s, s:s?, s:n}}}", "spec", "claimRef",
	                       "apiVersion", "v1", "kind", "PersistentVolumeClaim", "namespace", ns,
	                       "name", claim, "uid", is_wanted ? j->c->uid : NULL,
	                       "resourceVersion"),
	             e);
}

static json_t *requests_of(const json_t *claim)
{
	const json_t *spec = json_object_get(claim, "spec");

	return json_object_get(json_object_get(spec, "resources"), "requests");
}

static int make_target(struct filler_job *j, struct err *e)
{
	const struct filler *f = j->f;
	auto_json json_t *o = filler_objects_target(f, j->c,
	                                            kube_text_at(j->volume, "metadata.name"),
	                                            filler_objects_note(j->volume, FILLER_RESULT));
	struct err why = ERR_INIT;

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a claim");
	/* A volume that was taken may be smaller than what the claim had elsewhere. */
	const json_t *capacity = kube_at(j->volume, "spec.capacity.storage");
	const int64_t has = capacity ? csi_objects_bytes(json_string_value(capacity)) : -1;
	if (has >= 0 && (uint64_t)has < j->c->size_bytes &&
	    json_object_set(requests_of(o), "storage", (json_t *)(uintptr_t)capacity) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a claim");
	/*
	 * Its class was chosen for the first one; a default that has changed since counts no more.
	 */
	const char *class = kube_text_at(j->volume, "spec.storageClassName");
	if (json_object_set_new(json_object_get(o, "spec"), "storageClassName", json_string(class)))
		return err_set(e, ERR_NOMEM, "no memory for a claim");
	if (kube_create(f->kube, &kube_pvc, j->c->ns, o, &j->target, &why) == 0)
		return 0;
	*e = why;
	if (why.class != ERR_EXISTS)
		return -1;
	return err_set(e, ERR_EXISTS,
	               "somebody has made a claim '%s/%s' meanwhile: its volume waits as '%s'; "
	               "delete the claim, and run this again",
	               j->c->ns, j->c->name, kube_text_at(j->volume, "metadata.name"));
}

int filler_job_finish(struct kube *k, const json_t *volume, struct err *e)
{
	const char *policy = filler_objects_note(volume, FILLER_RECLAIM);

	if (!*policy)
		return 0;
	return patch(k, &kube_pv, NULL, kube_text_at(volume, "metadata.name"),
	             json_pack("{s:{s:{s:n}, s:{s:n, s:n}}, s:{s:s}}", "metadata", "labels",
	                       FILLER_LABEL_FILL, "annotations", FILLER_RECLAIM, FILLER_TAKEN,
	                       "spec", "persistentVolumeReclaimPolicy", policy),
	             e);
}

static int finish_volume(struct filler_job *j, struct err *e)
{
	if (!j->volume && kube_get(j->f->kube, &kube_pv, NULL,
	                           kube_text_at(j->target, "spec.volumeName"), &j->volume, e) < 0)
		return -1;
	return filler_job_finish(j->f->kube, j->volume, e);
}

int filler_hand_over(const struct filler *f, const struct filler_claim *c, struct err *e)
{
	CLEANUP(filler_job_clear) struct filler_job j = filler_job_of(f, c);

	if (look(&j, e) < 0)
		return -1;
	if (!has_target(&j) && !j.volume &&
	    (!j.staging || *filler_objects_note(j.staging, FILLER_APPLYING)))
		return err_set(e, ERR_NOT_FOUND, "nothing is restored yet for '%s/%s'", c->ns,
		               c->name);
	if (!has_target(&j) && j.staging && (keep_volume(&j, e) < 0 || drop_staging(&j, e) < 0))
		return err_wrap(e, "handing over '%s/%s'", c->ns, c->name);
	if (!has_target(&j) &&
	    (filler_job_reserve(&j, c->ns, c->name, e) < 0 || (!j.waits && make_target(&j, e) < 0)))
		return err_wrap(e, "handing over '%s/%s'", c->ns, c->name);
	if (filler_job_wait(&j, &kube_pvc, c->ns, c->name, false, e) < 0 ||
	    finish_volume(&j, e) < 0)
		return err_wrap(e, "handing over '%s/%s'", c->ns, c->name);
	return 0;
}

/* ---- taking away, and where it goes ---- */

int filler_drop(const struct filler *f, const char *ns, const char *name, struct err *e)
{
	const struct filler_claim c = { .ns = ns, .name = name };
	CLEANUP(filler_job_clear) struct filler_job j = filler_job_of(f, &c);

	if (remove_mover(&j, e) < 0 || kube_delete(f->kube, &kube_pvc, f->ns, j.name, NULL, e) < 0)
		return -1;
	return filler_job_wait(&j, &kube_pvc, f->ns, j.name, true, e);
}

int filler_namespace(const struct filler *f, const char *ns, const json_t *labels, struct err *e)
{
	auto_json json_t *there = NULL;
	struct err why = ERR_INIT;

	if (kube_find(f->kube, &kube_namespace_kind, NULL, ns, &there, e) < 0)
		return -1;
	if (there && *kube_text_at(there, "metadata.deletionTimestamp"))
		return err_set(e, ERR_BUSY,
		               "the namespace '%s' is being deleted: wait until it is gone", ns);
	if (there)
		return 0;
	auto_json json_t *all = filler_objects_labels(f);
	if (labels && json_object_update(all, (json_t *)(uintptr_t)labels) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a namespace");
	auto_json json_t *o = json_pack("{s:s, s:s, s:{s:s, s:O}}", "apiVersion", "v1", "kind",
	                                "Namespace", "metadata", "name", ns, "labels", all);
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a namespace");
	if (kube_create(f->kube, &kube_namespace_kind, NULL, o, NULL, &why) == 0 ||
	    why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return -1;
}
