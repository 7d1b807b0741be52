/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the volumes of a run, for people and programs. See act.h. */
#include "common/now.h"
#include "common/num.h"
#include "restore/act.h"

static const struct table_column columns[] = {
	{ "stage", NULL, TABLE_TEXT },         { "namespace", NULL, TABLE_TEXT },
	{ "volume", NULL, TABLE_TEXT },        { "claim", "CLAIM", TABLE_TEXT },
	{ "state", "STATE", TABLE_TEXT },      { "point", "POINT", TABLE_TEXT },
	{ "frozen", "TIME", TABLE_TIME },      { "loss_ms", "LOST", TABLE_DURATION },
	{ "bytes", "DATA", TABLE_BYTES },      { "fetched_bytes", "FETCHED", TABLE_BYTES },
	{ "took_ms", "TOOK", TABLE_DURATION }, { "why", NULL, TABLE_TEXT },
};

static const char *state_of(const struct stage_volume *v)
{
	if (v->item->blocked)
		return "blocked";
	if (!v->is_handed_over)
		return "missing";
	if (v->filled.gaps > 0)
		return "with gaps";
	return v->is_standby ? "from standby" : "restored";
}

/* How long each state took, of a run that may have been gone on with; ms. NULL: no memory. */
static json_t *phases(const struct run *r)
{
	const int64_t ended_ns = r->promoted_ns ? r->promoted_ns : now_wall_ns();
	const int64_t chose_from_ns = r->fenced_ns ? r->fenced_ns : r->began_ns;

	return json_pack("{s:I, s:I, s:I}", "fence_ms",
	                 (json_int_t)((chose_from_ns - r->began_ns) / 1000000), "choose_ms",
	                 (json_int_t)((r->chosen_ns - chose_from_ns) / 1000000), "restore_ms",
	                 (json_int_t)((ended_ns - r->chosen_ns) / 1000000));
}

int act_tell(const struct act *a, const char *schema, struct err *e)
{
	const enum output output = a->common->output;
	auto_table struct table *t = table_new(schema, columns, ARRAY_LEN(columns), output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < a->plan.n; i++) {
		const struct stage_volume *v = &a->volumes[i];
		const struct pick *k = v->item->pick;
		char claim[2 * KUBE_NAME_MAX + 2], id[33];

		(void)snprintf(claim, sizeof(claim), "%s/%s", v->item->ns, v->item->name);
		(void)snprintf(id, sizeof(id), "%.*s", output == OUTPUT_TABLE ? 8 : 32, k->id);
		table_row(t);
		table_text(t, plan_stage_name(&a->plan, v->item->stage));
		table_text(t, k->volume.namespace);
		table_text(t, k->volume.name);
		table_text(t, claim);
		table_text(t, state_of(v));
		table_text(t, id);
		table_number(t, k->frozen_ns);
		table_number(t, v->item->loss_s * 1000);
		table_number(t, (int64_t)k->bytes);
		table_number(t, (int64_t)v->filled.fetched);
		table_number(t, (int64_t)(1000 * (v->fill_s + v->hand_over_s)));
		table_text(t, v->is_handed_over ? (v->filled.partial ? v->filled.why : NULL)
		                                : v->why.msg);
	}
	auto_json json_t *extra =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:o}", "run",
	                  a->run.history.run, "plan", a->run.plan, "from",
	                  a->run.recipe->primary.cluster, "to", a->run.to, "fenced", a->run.fenced,
	                  "promoted", a->run.promoted, "epoch", (json_int_t)a->run.epoch, "missing",
	                  (json_int_t)act_missing(a), "took_ms",
	                  (json_int_t)((now_wall_ns() - a->run.began_ns) / 1000000), "phases",
	                  phases(&a->run));
	if (!extra)
		return err_set(e, ERR_NOMEM, "no memory for the answer");
	if (table_print(t, stdout, extra, e) < 0)
		return -1;
	if (output != OUTPUT_TABLE || a->common->quiet)
		return 0;
	for (size_t i = 0; i < a->plan.n; i++) {
		const struct stage_volume *v = &a->volumes[i];

		if (!v->is_handed_over)
			(void)printf("\n%s/%s: %s\n", v->item->ns, v->item->name,
			             v->item->blocked
			                     ? "it has no point that can be used, or its name is "
			                       "another's, too"
			                     : v->why.msg);
	}
	(void)printf("\nrun %.8s took %s; lost: at most %s%s\n", a->run.history.run,
	             num_duration_text((now_wall_ns() - a->run.began_ns) / 1000000000).s,
	             a->plan.loss_s < 0 ? "everything" : num_duration_text(a->plan.loss_s).s,
	             a->run.promoted ? "; this cluster serves the plan now" : "");
	return 0;
}

int act_tell_served(const struct act *a, const struct owner *o, const char *schema, struct err *e)
{
	if (a->common->output == OUTPUT_TABLE) {
		printf("%s serves the plan %s since %s (%s): nothing was done; --new restores it "
		       "once more\n",
		       o->cluster, o->plan, now_rfc3339(o->at_ns).s, o->reason);
		return 0;
	}
	auto_table struct table *t = table_new(schema, columns, ARRAY_LEN(columns),
	                                       a->common->output, e);
	if (!t)
		return -1;
	auto_json json_t *extra = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I}", "run", o->run,
	                                    "plan", o->plan, "from",
	                                    a->o->scope.recipe->primary.cluster, "to", o->cluster,
	                                    "promoted", 1, "already", 1, "missing", (json_int_t)0);
	return extra ? table_print(t, stdout, extra, e)
	             : err_set(e, ERR_NOMEM, "no memory for the output");
}
