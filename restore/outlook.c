/* SPDX-License-Identifier: Apache-2.0 */
/* See outlook.h. */
#include "restore/outlook.h"

#include <string.h>

#include "common/now.h"
#include "repo/owner.h"
#include "restore/gone.h"
#include "restore/preflight.h"

void outlook_clear(struct outlook *o)
{
	plan_clear(&o->plan);
	picks_clear(&o->picks);
	finding_clear(&o->findings);
}

/* Zones as an array of texts. */
struct target {
	const char *zones[CLAIM_ZONES_MAX];
};

static int preflight(const struct outlook_params *o, const struct repo *r, const struct plan *p,
                     struct findings *found, struct err *e)
{
	auto_free struct preflight_volume *v = calloc(p->n + 1, sizeof(*v));
	auto_free struct target *targets = calloc(p->n + 1, sizeof(*targets));

	if (!v || !targets)
		return err_set(e, ERR_NOMEM, "no memory for a preflight");
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_item *item = &p->items[i];

		for (size_t j = 0; j < item->nzones; j++)
			targets[i].zones[j] = item->zones[j];
		v[i] = (struct preflight_volume){
			.ns = item->ns,
			.name = item->name,
			.storage_class = item->storage_class,
			.size_bytes = item->size_bytes,
			.block = item->pick->volume.block,
			.access_modes = item->modes,
			.naccess_modes = item->nmodes,
			.zones = targets[i].zones,
			.nzones = item->nzones,
			.images = (const char *const *)item->images,
			.nimages = item->nimages,
			.agent = item->pick->agent[0] ? item->pick->agent : NULL,
		};
	}
	const struct preflight_params params = {
		.volumes = v,
		.n = p->n,
		.kube = o->scope->kube,
		.ns = o->scope->ns,
		.account = o->account,
		.plan = o->scope->recipe,
		.repo = r,
		.fences = o->fences,
		.images = o->images,
		.registry_file = o->registry_config,
		.registry_ca = o->registry_ca,
		.cancel = cancel_on_signals(),
	};
	return preflight_run(&params, found, e);
}

/*
 * What a plan had when it came back is in the points of the cluster that it came back from, until
 * its primary has backed it up.
 */
static int tell_return(const struct repo *r, const struct plan *p, const struct gone *gone,
                       struct findings *l, struct err *e)
{
	const struct recipe *recipe = p->recipe;
	struct owner o = { .n = 0 };
	struct err why = ERR_INIT;
	struct chain c;

	/* What was made up by options has a name that many use. */
	if (owner_open(r, recipe->name, &c, &why) < 0)
		return 0;
	if (owner_newest(r, &c, &o, e) < 0)
		return -1;
	if (o.n == 0 || strcmp(o.cluster, recipe->primary.cluster) != 0)
		return 0;
	for (size_t i = 0; i < p->n; i++) {
		const struct pick *k = p->items[i].pick;

		if (!k->session[0] || k->frozen_ns >= o.at_ns)
			continue;
		/* The primary has been looked through since, and it was not there to come back. */
		if (gone_is(gone, k) && gone->inventory.at_ns > o.at_ns)
			continue;
		struct finding *f = finding_add(l, FINDING_BLOCK, "NoPointSinceReturn", "%s/%s",
		                                k->volume.namespace, k->volume.name);
		finding_what(f,
		             "its newest point is of before the plan came back, at %s: what it had "
		             "then is in the last point of the cluster that it came back from",
		             now_rfc3339(o.at_ns).s);
		finding_remedy(f,
		               "back it up at '%s'; or restore that cluster's points, by "
		               "--from%s%s",
		               recipe->primary.cluster, *recipe->secondary.cluster ? " " : "",
		               recipe->secondary.cluster);
	}
	return 0;
}

/* Of a time that is past, the newest inventory says nothing. */
static int tell_past(const struct repo *r, const struct scope *s, const struct plan *p,
                     struct findings *l, struct err *e)
{
	auto_gone struct gone gone = { .known = false };

	if (s->as_of_ns == 0 && gone_find(r, s->recipe->primary.cluster, &gone, e) < 0)
		return -1;
	gone_tell(&gone, p, l);
	return tell_return(r, p, &gone, l, e);
}

int outlook_make(const struct repo *r, const struct outlook_params *p, struct outlook *ret,
                 struct err *e)
{
	const struct scope *s = p->scope;

	*ret = (struct outlook){ .findings = FINDINGS_INIT };
	if (scope_pick(s, r, true, &ret->picks, e) < 0 ||
	    (p->rates && rate_find(r, s->recipe->name, &ret->rates, e) < 0))
		return -1;
	ret->rates.plan.movers = s->movers;
	if (plan_make(s->recipe, &ret->picks, &ret->rates.plan, now_wall_ns(), s->as_of_ns,
	              &ret->plan, &ret->findings, e) < 0 ||
	    tell_past(r, s, &ret->plan, &ret->findings, e) < 0)
		return -1;
	if (p->preflight && s->kube && preflight(p, r, &ret->plan, &ret->findings, e) < 0)
		return -1;
	finding_sort(&ret->findings);
	return finding_check(&ret->findings, e);
}

void outlook_print(const struct findings *found, bool blocks_only, void *to_FILE)
{
	FILE *to = to_FILE;

	for (size_t i = 0; i < found->n; i++) {
		const struct finding *f = &found->list[i];

		if (blocks_only && f->severity != FINDING_BLOCK)
			continue;
		(void)fprintf(to, "\n%-8s %s: %s\n         %s\n",
		              finding_severity_name(f->severity), f->object, f->code, f->what);
		if (f->remedy[0])
			(void)fprintf(to, "         → %s\n", f->remedy);
	}
	if (found->left_out > 0)
		(void)fprintf(to, "\nand %zu more\n", found->left_out);
}
