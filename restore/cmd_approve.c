/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore approve: somebody opens a gate of a run. */
#include "restore/cmd.h"
#include "restore/gate.h"
#include "restore/scope.h"

enum { OPT_KUBECONFIG = 256, OPT_CONTEXT, OPT_NAMESPACE };

static const struct verb_option options[] = {
	{ "kubeconfig", "FILE", "of the cluster that is restored to", OPT_KUBECONFIG },
	{ "context", "NAME", "of the kubeconfig", OPT_CONTEXT },
	{ "namespace", "NS", "of this program there; default: aksdr", OPT_NAMESPACE },
	{ NULL, NULL, NULL, 0 },
};

static struct approve_options {
	const char *kubeconfig, *context, *ns;
} given;

static int set(void *state, int key, const char *value, struct err *e)
{
	struct approve_options *o = state;

	switch (key) {
	case OPT_KUBECONFIG:
		o->kubeconfig = value;
		return 0;
	case OPT_CONTEXT:
		o->context = value;
		return 0;
	case OPT_NAMESPACE:
		o->ns = value;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct approve_options *o = state;
	const struct kube_params params = { .kubeconfig = o->kubeconfig,
		                            .context = o->context,
		                            .cancel = cancel_on_signals() };

	(void)common;
	(void)argc;
	auto_kube struct kube *k = kube_open(&params, e);
	return k ? gate_approve(k, o->ns ? o->ns : SCOPE_NAMESPACE, argv[0], argv[1], e) : -1;
}

const struct verb cmd_approve = {
	.name = "approve",
	.args = "RUN STAGE/GATE",
	.summary = "open a gate of a run that waits for an approval",
	.text = "RUN is the run's name as it tells it, at least its first 8 digits: an approval is "
		"for one run, and opens nothing later. It is a ConfigMap in this program's "
		"namespace of the cluster that is restored to; whoever may make those there may "
		"approve. Where the RestorePlan is in that cluster, a word RUN/STAGE/GATE in its "
		"annotation aksdr.io/approve does the same.",
	.examples = "aksdr-restore approve 1a2b3c4d rest/database-is-up",
	.options = options,
	.flags = VERB_LOCAL,
	.min_args = 2,
	.max_args = 2,
	.set = set,
	.run = run,
	.state = &given,
};
