/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent inventory: what of a cluster's data is protected, by a look at the cluster. */
#include <string.h>

#include "agent/cmd.h"
#include "agent/gather.h"
#include "common/cancel.h"
#include "common/table.h"

enum { OPT_NAMESPACE = 256, OPT_CONTEXT, OPT_POLICIES, OPT_STATE };

static const char *namespace_of_agent = "aksdr";
static const char *context, *policies;
static int only = -1; /* a state, or all of them */

static const struct verb_option options[] = {
	{ "namespace", "NAME", "the agent's namespace, whose policies are for all; default aksdr",
	  OPT_NAMESPACE },
	{ "context", "NAME", "of the kubeconfig; default: its current one", OPT_CONTEXT },
	{ "policies", "DIR", "policies in files, in place of those in the cluster", OPT_POLICIES },
	{ "only", "exposed|excluded|protected", "what is in this state", OPT_STATE },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	switch (key) {
	case OPT_NAMESPACE:
		namespace_of_agent = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--namespace needs a name");
	case OPT_CONTEXT:
		context = value;
		return 0;
	case OPT_POLICIES:
		policies = value;
		return 0;
	default:
		break;
	}
	for (int i = 0; i < INVENTORY_STATES; i++) {
		if (strcmp(value, inventory_states[i]) == 0) {
			only = i;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
	               "--only '%.40s' is no state: exposed, excluded and protected are", value);
}

static const struct table_column columns[] = {
	{ "kind", "KIND", TABLE_TEXT },     { "namespace", "NAMESPACE", TABLE_TEXT },
	{ "name", "NAME", TABLE_TEXT },     { "owner", "OWNER", TABLE_TEXT },
	{ "class", "CLASS", TABLE_TEXT },   { "driver", NULL, TABLE_TEXT },
	{ "bytes", "SIZE", TABLE_BYTES },   { "count", "COUNT", TABLE_NUMBER },
	{ "state", "STATE", TABLE_TEXT },   { "reason", NULL, TABLE_TEXT },
	{ "policy", "POLICY", TABLE_TEXT }, { "why", "WHY", TABLE_TEXT },
};

static void tell_text(struct table *t, const char *text)
{
	table_text(t, *text ? text : NULL);
}

static void tell(struct table *t, const struct inventory_item *i)
{
	static const enum inventory_text before[] = { INVENTORY_NS, INVENTORY_NAME, INVENTORY_OWNER,
		                                      INVENTORY_CLASS, INVENTORY_DRIVER };

	table_row(t);
	table_text(t, inventory_kinds[i->kind]);
	for (size_t k = 0; k < ARRAY_LEN(before); k++)
		tell_text(t, i->texts[before[k]]);
	if (i->bytes > 0)
		table_number(t, (int64_t)i->bytes);
	else
		table_null(t);
	table_number(t, (int64_t)i->count);
	table_text(t, inventory_states[i->state]);
	table_text(t, inventory_reasons[i->reason]);
	tell_text(t, i->texts[INVENTORY_POLICY]);
	tell_text(t, i->texts[INVENTORY_WHY]);
}

static int look(struct inventory *ret, struct err *e)
{
	const struct kube_params params = { .context = context, .cancel = cancel_on_signals() };
	auto_kube struct kube *k = kube_open(&params, e);
	auto_world struct world *w = k ? world_new(namespace_of_agent, NULL, e) : NULL;
	auto_coverage struct coverage *c = coverage_new();

	if (!w)
		return err_wrap(e, "'inventory' needs a cluster");
	if (!c)
		return err_set(e, ERR_NOMEM, "no memory for what holds data in the cluster");
	if (gather_world(k, policies, w, e) < 0 || gather_coverage(k, c, e) < 0)
		return -1;
	return coverage_make(c, w, ret, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };

	(void)state;
	(void)argc;
	(void)argv;
	auto_table struct table *t = table_new("aksdr/inventory/v1", columns, ARRAY_LEN(columns),
	                                       common->output, e);
	if (!t || look(&v, e) < 0)
		return -1;
	for (size_t i = 0; i < v.n; i++) {
		if (only < 0 || (int)v.v[i].state == only)
			tell(t, &v.v[i]);
	}
	return table_print(t, stdout, NULL, e);
}

const struct verb cmd_inventory = {
	.name = "inventory",
	.summary = "tell what holds data in a cluster, and whether it is protected",
	.text = "Asks the cluster for claims, volumes without a claim, claims that StatefulSets "
		"will make, and what pods have besides: emptyDir, hostPath, and volumes that they "
		"name themselves. Of each it is told whether a policy protects it, whether "
		"somebody has left it out, or whether it is exposed, and why.\n\n"
		"The cluster is that of the kubeconfig. It takes the right to list claims, "
		"volumes, pods, StatefulSets, namespaces, classes and policies. In a cluster the "
		"agents keep the same in the store: 'aksdr-catalog list coverage'.",
	.examples = "aksdr-agent inventory --only exposed\n"
		    "aksdr-agent inventory --policies policies/ --output json",
	.options = options,
	.flags = VERB_LOCAL,
	.set = set,
	.run = run,
};
