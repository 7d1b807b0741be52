/* SPDX-License-Identifier: Apache-2.0 */
/* See plan.h. */
#include "restore/plan.h"

#include <string.h>

#include "common/now.h"
#include "common/num.h"

#define SLACK_PERCENT 25 /* of a volume of which no size is known, for its file system */
#define SIZE_LEAST (64 * MIB)

void plan_clear(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		for (size_t j = 0; j < p->items[i].nimages; j++)
			free(p->items[i].images[j]);
		free(p->items[i].images);
	}
	free(p->items);
	*p = (struct plan){ .n = 0 };
}

const char *plan_stage_name(const struct plan *p, size_t stage)
{
	return stage < p->recipe->nstages ? p->recipe->stages[stage].name : "";
}

/* ---- one volume ---- */

static void add_mode(struct plan_item *item, const char *mode)
{
	for (size_t i = 0; i < item->nmodes; i++) {
		if (strcmp(item->modes[i], mode) == 0)
			return;
	}
	if (item->nmodes < ARRAY_LEN(item->modes))
		item->modes[item->nmodes++] = mode;
}

static void map_modes(const struct recipe *r, struct plan_item *item)
{
	const json_t *modes = json_object_get(item->pick->claim, "access_modes");

	for (size_t i = 0; i < json_array_size(modes); i++)
		add_mode(item, recipe_mapped(r, RECIPE_MODES,
		                             json_string_value(json_array_get(modes, i))));
	if (item->nmodes == 0)
		add_mode(item, "ReadWriteOnce");
}

/*
 * "westeurope-1" by its own name, or by its region's, as AKS makes names of zones. What is not
 * mapped is another region's, and asked for nowhere.
 */
static bool map_zone(const struct recipe *r, const char *zone, char ret[PLAN_ZONE_MAX])
{
	const char *to = recipe_mapped(r, RECIPE_ZONES, zone);
	const struct recipe_pairs *regions = &r->maps[RECIPE_REGIONS];

	if (to != zone)
		return snprintf(ret, PLAN_ZONE_MAX, "%s", to) < PLAN_ZONE_MAX;
	for (size_t i = 0; i < regions->n; i++) {
		const size_t n = strlen(regions->v[i].from);

		if (strncmp(zone, regions->v[i].from, n) == 0 && zone[n] == '-')
			return snprintf(ret, PLAN_ZONE_MAX, "%s%s", regions->v[i].to, zone + n) <
			       PLAN_ZONE_MAX;
	}
	return false;
}

static void map_zones(const struct recipe *r, struct plan_item *item)
{
	const json_t *zones = json_object_get(item->pick->claim, "zones");

	for (size_t i = 0; i < json_array_size(zones) && item->nzones < CLAIM_ZONES_MAX; i++)
		item->nzones += map_zone(r, json_string_value(json_array_get(zones, i)),
		                         item->zones[item->nzones]);
}

static int map_images(const struct recipe *r, struct plan_item *item, struct err *e)
{
	const json_t *images = json_object_get(item->pick->claim, "images");
	const size_t n = json_array_size(images);

	if (n == 0)
		return 0;
	item->images = calloc(n, sizeof(*item->images));
	if (!item->images)
		return err_set(e, ERR_NOMEM, "no memory for a plan");
	for (size_t i = 0; i < n; i++) {
		const char *image = json_string_value(json_array_get(images, i));
		const char *slash = strchr(image, '/');
		char host[CLAIM_WORD_MAX + 1];
		CLEANUP(buf_clear) struct buf b = BUF_INIT(2 * KIB);

		(void)snprintf(host, sizeof(host), "%.*s", slash ? (int)(slash - image) : 0, image);
		const char *to = slash ? recipe_mapped(r, RECIPE_REGISTRIES, host) : host;
		(void)buf_printf(&b, "%s%s", to, slash ? slash : image);
		item->images[i] = buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
		if (!item->images[i])
			return err_set(e, ERR_NOMEM, "no memory for a plan");
		item->nimages++;
	}
	return 0;
}

/*
 * At least what the claim had. What is no claim has the bytes of its files, and a file system needs
 * more than those.
 */
static uint64_t size_of(const struct recipe *r, const struct pick *k)
{
	uint64_t bytes = claim_size(k->claim);

	if (!bytes)
		bytes = k->volume.block ? k->bytes : k->bytes + k->bytes / 100 * SLACK_PERCENT;
	if (k->volume.block && bytes < k->bytes)
		bytes = k->bytes;
	bytes = recipe_size_of(r, k->volume.namespace, k->volume.name, bytes);
	return bytes > SIZE_LEAST || claim_size(k->claim) ? bytes : SIZE_LEAST;
}

static int make_item(const struct recipe *r, const struct pick *k, const struct plan_rates *rates,
                     int64_t until_ns, struct plan_item *ret, struct err *e)
{
	const char *class = claim_text(k->claim, "storage_class");
	const json_t *labels = json_object_get(k->claim, "labels");

	*ret = (struct plan_item){
		.pick = k,
		.ns = recipe_mapped(r, RECIPE_NAMESPACES, k->volume.namespace),
		.name = k->volume.name,
		.storage_class = *class ? recipe_mapped(r, RECIPE_CLASSES, class) : "",
		.size_bytes = size_of(r, k),
		.stage = recipe_stage_of(r, k->volume.namespace, k->volume.name, labels),
		.blocked = !k->session[0],
	};
	if (!ret->blocked && until_ns > k->frozen_ns)
		ret->loss_s = (until_ns - k->frozen_ns) / 1000000000;
	ret->seconds = rates->start_s + rates->hand_over_s;
	if (rates->mover_bytes_s > 0)
		ret->seconds += (double)k->bytes / rates->mover_bytes_s;
	map_modes(r, ret);
	map_zones(r, ret);
	return map_images(r, ret, e);
}

static int by_stage(const void *a, const void *b)
{
	const struct plan_item *x = a;
	const struct plan_item *y = b;

	if (x->stage != y->stage)
		return x->stage < y->stage ? -1 : 1;
	const int ns = strcmp(x->ns, y->ns);
	return ns ? ns : strcmp(x->name, y->name);
}

/* ---- how long it takes ---- */

static int longest_first(const void *a, const void *b)
{
	const double x = *(const double *)a;
	const double y = *(const double *)b;

	return x > y ? -1 : x < y;
}

/*
 * Of a stage whose n volumes take v[i] each: the longest first, each where there is room first
 * (Graham's LPT rule, at most 4/3 of the shortest). At least as long as all bytes take together.
 */
static double stage_seconds(double *v, size_t n, double bytes, const struct plan_rates *rates)
{
	const unsigned movers = rates->movers ? rates->movers : PLAN_MOVERS_DEFAULT;
	double busy[64] = { 0 };
	double longest = rates->all_bytes_s > 0 ? bytes / rates->all_bytes_s : 0;

	qsort(v, n, sizeof(*v), longest_first);
	for (size_t i = 0; i < n; i++) {
		unsigned least = 0;

		for (unsigned j = 1; j < movers && j < ARRAY_LEN(busy); j++) {
			if (busy[j] < busy[least])
				least = j;
		}
		busy[least] += v[i];
		if (busy[least] > longest)
			longest = busy[least];
	}
	return longest;
}

static int sum_up(struct plan *p, const struct plan_rates *rates, struct err *e)
{
	auto_free double *v = calloc(p->n + 1, sizeof(*v));
	double bytes = 0;
	size_t n = 0;

	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for a plan");
	p->loss_s = -1;
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_item *item = &p->items[i];

		if (!item->blocked) {
			v[n++] = item->seconds;
			bytes += (double)item->pick->bytes;
			p->bytes += item->pick->bytes;
			p->loss_s = item->loss_s > p->loss_s ? item->loss_s : p->loss_s;
		}
		p->blocked += item->blocked;
		if (i + 1 < p->n && p->items[i + 1].stage == item->stage)
			continue;
		p->seconds += stage_seconds(v, n, bytes, rates);
		n = 0;
		bytes = 0;
	}
	if (rates->mover_bytes_s <= 0)
		p->seconds = 0;
	return 0;
}

/* ---- what somebody should know ---- */

static void tell_passed(const struct pick *k, struct findings *l)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	struct finding *f;

	for (size_t i = 0; i < PICK_WHYS; i++) {
		if (k->passed[i] > 0)
			(void)buf_printf(&b, "%s%u %s", b.len ? ", " : "", k->passed[i],
			                 pick_why_text((enum pick_why)i));
	}
	if (!k->session[0]) {
		f = finding_add(l, FINDING_BLOCK, "NoPoint", "%s/%s", k->volume.namespace,
		                k->volume.name);
		finding_what(f, "none of its restore points can be used%s%s", b.len ? ": " : "",
		             b.len ? buf_cstr(&b) : "");
		finding_remedy(f,
		               "ask for less: another time, consistency or region, in the plan's "
		               "`point`");
		return;
	}
	if (k->passed[PICK_INCOMPLETE] + k->passed[PICK_DAMAGED] + k->passed[PICK_SET] +
	            k->passed[PICK_LESS] + k->passed[PICK_LACKS] >
	    0) {
		f = finding_add(l, FINDING_WARNING, "NewerPointsPassedOver", "%s/%s",
		                k->volume.namespace, k->volume.name);
		finding_what(f, "%s: its point is %s older than the newest one", buf_cstr(&b),
		             num_duration_text((k->newest_ns - k->frozen_ns) / 1000000000).s);
		if (k->passed[PICK_INCOMPLETE] > 0)
			finding_remedy(f,
			               "where the first region can be read, --newest takes them");
		else if (k->passed[PICK_LACKS] > 0)
			finding_remedy(f, "'aksdr-catalog reconcile' tells what a failover of the "
			                  "account has lost");
	}
	if (k->apart) {
		f = finding_add(l, FINDING_WARNING, "NotOneMoment", "%s/%s", k->volume.namespace,
		                k->volume.name);
		finding_what(f,
		             "it was backed up together with others, of which there is no point of "
		             "that moment");
		finding_remedy(f, "see that the application can work with volumes of different "
		                  "moments, or restore an earlier time");
	}
	if (!k->claim) {
		f = finding_add(l, FINDING_WARNING, "ClaimUnknown", "%s/%s", k->volume.namespace,
		                k->volume.name);
		finding_what(f, "its point does not say what the claim was: the class is the "
		                "cluster's default, and the size a guess");
		finding_remedy(f, "give its size in the plan's `mappings.sizes`");
	}
}

static int by_target(const void *a, const void *b)
{
	const struct plan_item *x = *(struct plan_item *const *)a;
	const struct plan_item *y = *(struct plan_item *const *)b;
	const int ns = strcmp(x->ns, y->ns);

	return ns ? ns : strcmp(x->name, y->name);
}

/* Two volumes that would become one claim. */
static int tell_doubles(struct plan *p, struct findings *l, struct err *e)
{
	auto_free struct plan_item **v = calloc(p->n + 1, sizeof(*v));

	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for a plan");
	for (size_t i = 0; i < p->n; i++)
		v[i] = &p->items[i];
	qsort(v, p->n, sizeof(struct plan_item *), by_target);
	for (size_t i = 1; i < p->n; i++) {
		if (by_target(&v[i - 1], &v[i]) != 0)
			continue;
		struct finding *f = finding_add(l, FINDING_BLOCK, "SameTarget", "%s/%s", v[i]->ns,
		                                v[i]->name);
		finding_what(f, "'%s/%s' and '%s/%s' would become the same claim",
		             v[i - 1]->pick->volume.namespace, v[i - 1]->pick->volume.name,
		             v[i]->pick->volume.namespace, v[i]->pick->volume.name);
		finding_remedy(f, "map their namespaces to different ones, or exclude one of them");
		v[i - 1]->blocked = v[i]->blocked = true;
	}
	return 0;
}

static void tell_region(const struct recipe *r, const struct picks *picks, struct findings *l)
{
	struct finding *f;

	if (picks->unknown > 0) {
		f = finding_add(l, FINDING_WARNING, "UnknownVolumes", "repository");
		finding_what(f,
		             "%zu volumes have no restore point that opens, so nobody knows which "
		             "they are",
		             picks->unknown);
		finding_remedy(f, "aksdr-catalog check tells which objects are damaged");
	}
	if (!r->geo)
		return;
	if (picks->cut.kind == CUT_NONE && !picks->away) {
		f = finding_add(l, FINDING_NOTE, "NoSecondRegion", "Store");
		finding_what(f,
		             "it has no second region, so each point counts of which all is there");
	} else if (picks->cut.kind == CUT_UNKNOWN && !picks->away) {
		f = finding_add(l, FINDING_WARNING, "SecondRegionUnknown", "Store");
		finding_what(f,
		             "how far its second region is, is not known now, so each point counts "
		             "of which all is there");
		finding_remedy(f, "see that the store's identity may read its replication status");
	}
}

static void tell_targets(const struct plan *p, struct findings *l)
{
	const struct recipe *r = p->recipe;
	struct finding *f;

	if (r->rpo_s > 0 && p->loss_s > r->rpo_s) {
		f = finding_add(l, FINDING_WARNING, "RpoMissed", "plan %s", r->name);
		finding_what(f, "%s of data would be lost; the plan allows %s",
		             num_duration_text(p->loss_s).s, num_duration_text(r->rpo_s).s);
		finding_remedy(f, "back up more often, and see how far the second region is: "
		                  "aksdr-catalog list geo");
	}
	if (r->rto_s > 0 && p->seconds > (double)r->rto_s) {
		f = finding_add(l, FINDING_WARNING, "RtoMissed", "plan %s", r->name);
		finding_what(f, "it would take %s; the plan allows %s",
		             num_duration_text((int64_t)p->seconds).s,
		             num_duration_text(r->rto_s).s);
		finding_remedy(f, "more movers at once (--movers), or a warm standby");
	}
}

int plan_make(const struct recipe *r, const struct picks *picks, const struct plan_rates *rates,
              int64_t now_ns, int64_t as_of_ns, struct plan *ret, struct findings *findings,
              struct err *e)
{
	auto_plan struct plan p = { .recipe = r };

	p.items = calloc(picks->n + 1, sizeof(*p.items));
	if (!p.items)
		return err_set(e, ERR_NOMEM, "no memory for a plan");
	for (size_t i = 0; i < picks->n; i++) {
		p.n++;
		if (make_item(r, &picks->v[i], rates, as_of_ns ? as_of_ns : now_ns, &p.items[i],
		              e) < 0)
			return -1;
		tell_passed(&picks->v[i], findings);
	}
	qsort(p.items, p.n, sizeof(*p.items), by_stage);
	if (tell_doubles(&p, findings, e) < 0 || sum_up(&p, rates, e) < 0)
		return -1;
	tell_region(r, picks, findings);
	tell_targets(&p, findings);
	*ret = p;
	p = (struct plan){ .n = 0 };
	return 0;
}
