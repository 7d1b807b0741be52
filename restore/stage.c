/* SPDX-License-Identifier: Apache-2.0 */
/* See stage.h. */
#include "restore/stage.h"

#include <string.h>

#include "common/log.h"
#include "common/now.h"
#include "common/team.h"
#include "restore/filler_objects.h"

struct stage {
	const struct stage_params *p;
	struct stage_volume *v;
	struct team_tasks tasks;
};

/* What one thread works at. */
struct work {
	const struct stage_params *p;
	struct stage_volume *v;
	char ns[STAGE_NS_MAX], volume[3 * POINT_NAME_MAX];
	json_t *zones, *args; /* owned */
	struct filler_claim claim;
};

static void clean_work(struct work *w)
{
	json_decref(w->zones);
	json_decref(w->args);
}

void stage_namespace(const struct stage_params *p, const struct plan_item *item,
                     char ret[STAGE_NS_MAX])
{
	(void)snprintf(ret, STAGE_NS_MAX, "%.31s%s", p->prefix, item->ns);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct work *w = arg;

	(void)total;
	if (done <= w->v->counted || !w->p->counts)
		return;
	atomic_fetch_add(&w->p->counts->bytes_done, done - w->v->counted);
	w->v->counted = done;
}

static int prepare(struct work *w, struct err *e)
{
	const struct plan_item *item = w->v->item;
	const struct pick *k = item->pick;

	stage_namespace(w->p, item, w->ns);
	(void)snprintf(w->volume, sizeof(w->volume), "%s/%s/%s", k->volume.cluster,
	               k->volume.namespace, k->volume.name);
	w->zones = json_array();
	w->args = json_array();
	for (size_t i = 0; i < item->nzones; i++)
		(void)json_array_append_new(w->zones, json_string(item->zones[i]));
	/* What can be restored is, and what is missing is told. */
	(void)json_array_append_new(w->args, json_string("--on-corrupt"));
	(void)json_array_append_new(w->args, json_string("skip"));
	if (w->p->verify)
		(void)json_array_append_new(w->args, json_string("--verify"));
	if (json_array_size(w->zones) != item->nzones ||
	    json_array_size(w->args) != (w->p->verify ? 3 : 2))
		return err_set(e, ERR_NOMEM, "no memory for a volume of the plan");
	w->claim = (struct filler_claim){
		.ns = w->ns,
		.name = item->name,
		.storage_class = item->storage_class,
		.size_bytes = item->size_bytes,
		.modes = item->modes,
		.nmodes = item->nmodes,
		.block = k->volume.block,
		.zones = w->zones,
		.labels = json_object_get(k->claim, "labels"),
		.annotations = json_object_get(k->claim, "annotations"),
		.point = k->id,
		.volume = w->volume,
		.args = w->args,
		.progress = on_progress,
		.arg = w,
	};
	return 0;
}

/*
 * How good the claim of a standby is: the point itself, another one as a whole, a mixture, or what
 * became of it. 0: there is none. -1: nobody knows.
 */
static int rank_of(const struct work *w, const struct filler *f, struct err *e)
{
	char name[FILLER_NAME_MAX];
	auto_json json_t *claim = NULL;
	auto_json json_t *target = NULL;

	filler_name(f, w->claim.ns, w->claim.name, name);
	if (kube_find(f->kube, &kube_pvc, f->ns, name, &claim, e) < 0)
		return -1;
	if (!claim && kube_find(f->kube, &kube_pvc, w->claim.ns, w->claim.name, &target, e) < 0)
		return -1;
	if (!claim)
		return target && filler_objects_is_ours(f, target) ? 4 : 0;
	if (!filler_objects_is_whole(claim))
		return 1;
	return strcmp(filler_objects_note(claim, FILLER_POINT), w->claim.point) == 0 ? 3 : 2;
}

/* The best standby of the volume, where there is one. */
static int filler_of(const struct work *w, const struct filler **ret, struct err *e)
{
	int rank = 0;

	*ret = w->p->filler;
	for (unsigned i = 0; i < w->p->nstandby; i++) {
		const int its = rank_of(w, &w->p->standby[i], e);

		if (its < 0)
			return -1;
		if (its > rank) {
			rank = its;
			*ret = &w->p->standby[i];
		}
	}
	return 0;
}

static double seconds_since(int64_t began_ns)
{
	return (double)(now_mono_ns() - began_ns) / 1e9;
}

static int one(const struct stage *s, struct stage_volume *v, struct err *e)
{
	CLEANUP(clean_work) struct work w = { .p = s->p, .v = v };
	const int64_t began_ns = now_mono_ns();

	const struct filler *f;

	if (prepare(&w, e) < 0 || filler_of(&w, &f, e) < 0)
		return -1;
	v->is_standby = f != s->p->filler;
	if ((!s->p->stay && filler_namespace(f, w.ns, s->p->ns_labels, e) < 0) ||
	    (s->p->take && filler_take(f, &w.claim, e) < 0) ||
	    filler_fill(f, &w.claim, &v->filled, e) < 0)
		return -1;
	v->is_filled = true;
	v->fill_s = seconds_since(began_ns);
	on_progress(&w, v->item->pick->bytes, 0);
	if (v->filled.gaps > 0 && s->p->stay)
		return err_set(e, ERR_CORRUPT,
		               "%llu places of it are missing in the store, first '%s'",
		               (unsigned long long)v->filled.gaps,
		               v->filled.npaths > 0 ? v->filled.paths[0] : "");
	if (v->filled.gaps > 0 && !s->p->accept_gaps)
		return err_set(e, ERR_CORRUPT,
		               "%llu places of it are missing, first '%s'; it waits in the "
		               "namespace '%s' until that is accepted (--accept-missing)",
		               (unsigned long long)v->filled.gaps,
		               v->filled.npaths > 0 ? v->filled.paths[0] : "", f->ns);
	if (s->p->stay)
		return 0;
	const int64_t filled_ns = now_mono_ns();
	if (filler_hand_over(f, &w.claim, e) < 0)
		return -1;
	v->is_handed_over = true;
	v->hand_over_s = seconds_since(filled_ns);
	if (s->p->counts)
		atomic_fetch_add(&s->p->counts->files_done, v->item->pick->files);
	return 0;
}

static int work(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct stage *s = arg;
	size_t at;

	(void)i;
	while (!atomic_load(stop) && team_take(&s->tasks, &at)) {
		struct stage_volume *v = &s->v[at];

		if (v->item->blocked)
			continue;
		v->why = ERR_INIT;
		if (one(s, v, &v->why) == 0) {
			log_info("restored", LOG_S("volume", v->item->name),
			         LOG_S("namespace", v->item->ns), LOG_S("point", v->item->pick->id),
			         LOG_U("bytes", v->filled.bytes),
			         LOG_U("fetched", v->filled.fetched));
			continue;
		}
		if (v->why.class == ERR_CANCELLED || v->why.class == ERR_NOMEM) {
			*e = v->why;
			return -1;
		}
		if (s->p->counts)
			atomic_fetch_add(&s->p->counts->errors, 1);
		log_error("a volume is not restored", LOG_S("volume", v->item->name),
		          LOG_S("namespace", v->item->ns), LOG_S("why", v->why.msg));
	}
	return 0;
}

int stage_run(const struct stage_params *p, struct stage_volume *v, size_t n, struct err *e)
{
	struct stage s = { .p = p, .v = v, .tasks = { .n = n } };
	const unsigned movers = p->movers ? p->movers : PLAN_MOVERS_DEFAULT;

	if (n == 0)
		return 0;
	return team_run(n < movers ? (unsigned)n : movers, "volume", work, &s, e);
}
