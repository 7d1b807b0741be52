/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore plan: what a failover would do now, and what stands in its way. Writes nothing. */
#include <string.h>

#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "restore/cmd.h"
#include "restore/outlook.h"

enum { OPT_NO_PREFLIGHT = 256, OPT_NO_IMAGES, OPT_REGISTRY_CONFIG, OPT_REGISTRY_CA, OPT_ACCOUNT };

static const struct verb_option options[] = {
	SCOPE_OPTIONS,
	{ "no-preflight", NULL, "do not look at the cluster", OPT_NO_PREFLIGHT },
	{ "no-images", NULL, "do not ask registries for images", OPT_NO_IMAGES },
	{ "registry-config", "FILE", "credentials of registries; default: docker's config.json",
	  OPT_REGISTRY_CONFIG },
	{ "registry-ca", "FILE", "certificates to trust of registries", OPT_REGISTRY_CA },
	{ "service-account", "NAME", "of movers, whose identity is tried", OPT_ACCOUNT },
	{ NULL, NULL, NULL, 0 },
};

static struct plan_options {
	struct scope scope;
	bool no_preflight, no_images;
	const char *registry_config, *registry_ca, *account;
} options_given;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct plan_options *o = state;
	const int taken = scope_set(&o->scope, key, value, e);

	if (taken != 0)
		return taken < 0 ? -1 : 0;
	switch (key) {
	case OPT_NO_PREFLIGHT:
		o->no_preflight = true;
		return 0;
	case OPT_NO_IMAGES:
		o->no_images = true;
		return 0;
	case OPT_REGISTRY_CONFIG:
		o->registry_config = value;
		return 0;
	case OPT_REGISTRY_CA:
		o->registry_ca = value;
		return 0;
	case OPT_ACCOUNT:
		o->account = value;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- what is told ---- */

static const struct table_column columns[] = {
	{ "stage", "STAGE", TABLE_TEXT },
	{ "namespace", NULL, TABLE_TEXT },
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "target_namespace", NULL, TABLE_TEXT },
	{ "target", "TARGET", TABLE_TEXT },
	{ "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },
	{ "loss_ms", "LOST", TABLE_DURATION },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "logical_bytes", "DATA", TABLE_BYTES },
	{ "size_bytes", "SIZE", TABLE_BYTES },
	{ "storage_class", "CLASS", TABLE_TEXT },
	{ "restore_ms", "TAKES", TABLE_DURATION },
	{ "set", NULL, TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
	{ "zones", NULL, TABLE_TEXT },
	{ "blocked", NULL, TABLE_BOOL },
};

static void tell_volume(struct table *t, const struct plan *p, const struct plan_item *item,
                        enum output output)
{
	const struct pick *k = item->pick;
	char full[2 * POINT_NAME_MAX], target[2 * POINT_NAME_MAX], id[33];
	CLEANUP(buf_clear) struct buf zones = BUF_INIT(8 * KIB);

	(void)snprintf(full, sizeof(full), "%s/%s", k->volume.namespace, k->volume.name);
	(void)snprintf(target, sizeof(target), "%s/%s", item->ns, item->name);
	(void)snprintf(id, sizeof(id), "%.*s", output == OUTPUT_TABLE ? 8 : 32, k->id);
	for (size_t i = 0; i < item->nzones; i++)
		(void)buf_printf(&zones, "%s%s", i ? " " : "", item->zones[i]);
	table_row(t);
	table_text(t, plan_stage_name(p, item->stage));
	table_text(t, k->volume.namespace);
	table_text(t, output == OUTPUT_TABLE ? full : k->volume.name);
	table_text(t, item->ns);
	table_text(t, output == OUTPUT_TABLE ? target : item->name);
	if (!k->session[0]) {
		for (size_t i = 5; i + 1 < ARRAY_LEN(columns); i++)
			table_null(t);
		table_number(t, true);
		return;
	}
	table_text(t, id);
	table_number(t, k->frozen_ns);
	table_number(t, item->loss_s * 1000);
	table_text(t, k->consistency);
	table_number(t, (int64_t)k->bytes);
	table_number(t, (int64_t)item->size_bytes);
	table_text(t, *item->storage_class ? item->storage_class : NULL);
	if (p->seconds > 0)
		table_number(t, (int64_t)(item->seconds * 1000));
	else
		table_null(t);
	table_text(t, k->set);
	table_text(t, k->session);
	table_text(t, zones.len ? buf_cstr(&zones) : NULL);
	table_number(t, item->blocked);
}

static const char *source_text(enum rate_source s)
{
	return s == RATE_RUN ? "run" : s == RATE_STORE ? "store" : "unknown";
}

static json_t *head(const struct plan *p, const struct picks *picks, const struct rates *rates,
                    const struct findings *found)
{
	const struct recipe *r = p->recipe;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:o, s:s, s:o}", "plan", r->name,
	                      "mode", recipe_mode_name(r->mode), "from", r->primary.cluster, "to",
	                      r->secondary.cluster, "second_region_read", picks->away, "blocked",
	                      (json_int_t)p->blocked, "bytes", (json_int_t)p->bytes, "loss_s",
	                      p->loss_s < 0 ? json_null() : json_integer(p->loss_s), "rates_of",
	                      source_text(rates->source), "findings", finding_json(found));

	if (o &&
	    (json_object_set_new(o, "rpo_s", r->rpo_s ? json_integer(r->rpo_s) : json_null()) |
	     json_object_set_new(o, "rto_s", r->rto_s ? json_integer(r->rto_s) : json_null()) |
	     json_object_set_new(o, "synchronised",
	                         picks->cut.cut_ns ? json_string(now_rfc3339(picks->cut.cut_ns).s)
	                                           : json_null()) |
	     json_object_set_new(o, "seconds",
	                         p->seconds > 0 ? json_real(p->seconds) : json_null()))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* Of targets the plan has, too: "lost at most 12m of 1h that are allowed". */
static void tell_sum(const struct plan *p, const struct picks *picks, const struct rates *rates)
{
	const struct recipe *r = p->recipe;

	(void)printf("\n%zu volumes, %s", p->n, num_bytes_text(p->bytes).s);
	if (p->blocked > 0)
		(void)printf("; %zu cannot be restored", p->blocked);
	if (p->loss_s >= 0)
		(void)printf("\nlost: at most %s", num_duration_text(p->loss_s).s);
	if (p->loss_s >= 0 && r->rpo_s > 0)
		(void)printf(" of %s that are allowed", num_duration_text(r->rpo_s).s);
	if (p->seconds > 0)
		(void)printf("\ntakes: about %s%s%s, by %s",
		             num_duration_text((int64_t)p->seconds).s, r->rto_s > 0 ? " of " : "",
		             r->rto_s > 0 ? num_duration_text(r->rto_s).s : "",
		             rates->source == RATE_RUN ? "what its last run took"
		                                       : "what the store gives now");
	else
		(void)printf("\ntakes: not known, nothing could be measured");
	if (picks->away)
		(void)printf("\nthe first region does not answer: this is what the second one has");
	(void)putchar('\n');
}

static int tell(const struct plan *p, const struct picks *picks, const struct rates *rates,
                const struct findings *found, const struct verb_common *common, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/plan/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);
	auto_json json_t *extra = head(p, picks, rates, found);

	if (!t)
		return -1;
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for a plan");
	for (size_t i = 0; i < p->n; i++)
		tell_volume(t, p, &p->items[i], common->output);
	if (table_print(t, stdout, extra, e) < 0)
		return -1;
	if (common->output != OUTPUT_TABLE || common->quiet)
		return 0;
	outlook_print(found, false, stdout);
	tell_sum(p, picks, rates);
	return 0;
}

static int plan(const struct outlook_params *p, const struct verb_common *common,
                const struct repo *r, struct err *e)
{
	auto_outlook struct outlook o;

	if (outlook_make(r, p, &o, e) < 0 ||
	    tell(&o.plan, &o.picks, &o.rates, &o.findings, common, e) < 0)
		return -1;
	if (o.findings.counts[FINDING_BLOCK] == 0)
		return 0;
	return err_set(e, o.plan.blocked == o.plan.n ? ERR_NOT_FOUND : ERR_PARTIAL,
	               "the plan cannot be run as it is: %zu of its findings block it",
	               o.findings.counts[FINDING_BLOCK]);
}

int cmd_plan_tell(const struct scope *s, const struct verb_common *common, const struct repo *r,
                  bool fences, struct err *e)
{
	const struct outlook_params p = {
		.scope = s, .rates = true, .preflight = true, .fences = fences, .images = true
	};

	return plan(&p, common, r, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct plan_options *o = state;
	const struct outlook_params p = { .scope = &o->scope,
		                          .rates = true,
		                          .preflight = !o->no_preflight,
		                          .fences = true,
		                          .images = !o->no_images,
		                          .registry_config = o->registry_config,
		                          .registry_ca = o->registry_ca,
		                          .account = o->account };
	auto_repo struct repo *r = NULL;

	int rc = scope_open(&o->scope, argc > 0 ? argv[0] : NULL, false, cancel_on_signals(), e);
	if (rc == 0)
		rc = cmd_open(common, &r, e);
	if (rc == 0)
		rc = plan(&p, common, r, e);
	scope_close(&o->scope);
	return rc;
}

const struct verb cmd_plan = {
	.name = "plan",
	.args = "[PLAN]",
	.summary = "tell what a failover would do now, and what stands in its way",
	.text = "PLAN is a file with a RestorePlan, or the name of one in the cluster; without it, "
		"--from names the cluster whose volumes are to come back. Nothing is written, "
		"neither in the store nor in the cluster.\n\n"
		"Of each volume the newest point is taken that is at or before the time, of "
		"enough consistency, and complete in the second region; volumes that were backed "
		"up together come from one moment. What would be lost, and how long it would "
		"take, is told beside it: by what the plan's last run or drill took, else by "
		"reading some packs now.\n\n"
		"Where there is a cluster (KUBECONFIG, or --kubeconfig) it is asked whether the "
		"plan could be run: classes, zones, capacity, quotas, Pod Security, claims that "
		"are in the way, rights, images, identity, key and store; each finding with its "
		"remedy.\n\n"
		"The exit status is 3 when something blocks the plan, or a volume of it, and 4 "
		"when nothing can be restored.",
	.examples = "aksdr-restore plan shop.yaml\n"
		    "aksdr-restore plan shop --kubeconfig ne.kubeconfig --output json\n"
		    "aksdr-restore plan --from prod-we --select-namespace 'shop-*' "
		    "--map-class premium=standard",
	.options = options,
	.flags = VERB_STORE | VERB_KEY,
	.max_args = 1,
	.set = set,
	.run = run,
	.state = &options_given,
};
