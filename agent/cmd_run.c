/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent run: the daemon of a node in a cluster. */
#include <stdlib.h>
#include <string.h>

#include "agent/cmd.h"
#include "agent/run.h"
#include "agent/runner.h"
#include "common/cancel.h"
#include "common/num.h"

enum {
	OPT_NODE = 256,
	OPT_NAMESPACE,
	OPT_POD,
	OPT_CLUSTER,
	OPT_INSTANCE,
	OPT_ROLE,
	OPT_POLICIES,
	OPT_LISTEN,
	OPT_PAGE,
	OPT_PAGE_HOSTS,
	OPT_PAGE_AUDIENCE,
	OPT_CONCURRENCY,
	OPT_BANDWIDTH,
	OPT_NO_LOCKS,
	OPT_MOVER_TEMPLATE,
	OPT_KUBELET_DIR
};

static struct run_params params = { .cluster = "",
	                            .listen = RUN_LISTEN,
	                            .concurrency = RUN_CONCURRENCY };

static const struct verb_option options[] = {
	{ "node", "NAME", "the node that this runs on; default NODE_NAME", OPT_NODE },
	{ "namespace", "NAME", "the agent's namespace; default POD_NAMESPACE", OPT_NAMESPACE },
	{ "pod", "NAME", "the agent's pod; default POD_NAME", OPT_POD },
	{ "cluster", "ID", "the cluster that the volumes are of", OPT_CLUSTER },
	{ "instance", "NAME", "which installation: agents with this label are one", OPT_INSTANCE },
	{ "role", "primary|secondary", "a secondary begins no backups; default primary", OPT_ROLE },
	{ "policies", "DIR", "policies in files, in place of those in the cluster", OPT_POLICIES },
	{ "listen", "[ADDRESS:]PORT",
	  "of /metrics, /healthz and /readyz; default 9760, '' for none", OPT_LISTEN },
	{ "page", "[ADDRESS:]PORT",
	  "of the page for people, on this machine's loopback; default '', for none", OPT_PAGE },
	{ "page-hosts", "NAMES",
	  "what it may be called besides localhost, as 'a.example,b.example'", OPT_PAGE_HOSTS },
	{ "page-audience", "NAME", "whom tokens are for; default: the API server itself",
	  OPT_PAGE_AUDIENCE },
	{ "concurrency", "N", "volumes of this node at once; default 2", OPT_CONCURRENCY },
	{ "bandwidth", "SIZE", "bytes a second, each way, of all runs of this node together",
	  OPT_BANDWIDTH },
	{ "no-locks", NULL,
	  "leave locks of the store as they are: somebody runs 'aksdr-catalog lock'",
	  OPT_NO_LOCKS },
	{ "mover-template", "FILE", "the pod that reads views, JSON or YAML", OPT_MOVER_TEMPLATE },
	{ "kubelet-dir", "DIR", "where the kubelet's volumes are mounted here", OPT_KUBELET_DIR },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n;

	(void)state;
	switch (key) {
	case OPT_NODE:
		params.node = value;
		return 0;
	case OPT_NAMESPACE:
		params.ns = value;
		return 0;
	case OPT_POD:
		params.pod = value;
		return 0;
	case OPT_CLUSTER:
		params.cluster = value;
		return 0;
	case OPT_INSTANCE:
		params.instance = value;
		return 0;
	case OPT_ROLE:
		params.secondary = strcmp(value, "secondary") == 0;
		return 0;
	case OPT_POLICIES:
		params.policies = value;
		return 0;
	case OPT_LISTEN:
		params.listen = value;
		return 0;
	case OPT_PAGE:
		params.page = *value ? value : NULL;
		return 0;
	case OPT_PAGE_HOSTS:
		params.page_hosts = value;
		return 0;
	case OPT_PAGE_AUDIENCE:
		params.page_audience = *value ? value : NULL;
		return 0;
	case OPT_CONCURRENCY:
		if (num_u64("--concurrency", value, 1, RUNNER_MAX, &n, e) < 0)
			return -1;
		params.concurrency = (unsigned)n;
		return 0;
	case OPT_BANDWIDTH:
		return num_size("--bandwidth", value, (uint64_t)1 << 50, &params.bandwidth_bytes_s,
		                e);
	case OPT_NO_LOCKS:
		params.no_locks = true;
		return 0;
	case OPT_MOVER_TEMPLATE:
		params.mover_template = value;
		return 0;
	default:
		params.kubelet_dir = value;
		return 0;
	}
}

/* An option, or what the downward API has put into the environment. */
static int need(const char **value, const char *option, const char *variable, struct err *e)
{
	if (!*value)
		*value = getenv(variable);
	if (*value && **value)
		return 0;
	return err_set(e, ERR_INVALID, "%s is missing, and %s is not set", option, variable);
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	(void)state;
	(void)argc;
	(void)argv;
	if (need(&params.node, "--node", "NODE_NAME", e) < 0 ||
	    need(&params.ns, "--namespace", "POD_NAMESPACE", e) < 0 ||
	    need(&params.pod, "--pod", "POD_NAME", e) < 0)
		return -1;
	params.store = c->store;
	params.key = c->key;
	params.passphrase_file = c->passphrase_file;
	params.state = c->state;
	params.cancel = cancel_on_signals();
	return run_daemon(&params, e);
}

const struct verb cmd_run = {
	.name = "run",
	.summary = "back the claims of a cluster up as its policies say, until it is ended",
	.text = "Runs on each node of a Kubernetes cluster, usually in a pod of the chart's "
		"DaemonSet. It watches claims and BackupPolicies, and starts 'aksdr-agent backup' "
		"for what is due and its own. One of all agents also writes the policies' status, "
		"removes what no run owns, keeps the catalog for the metrics, expires the "
		"restore points that the policies let go, and extends the locks of those that "
		"stay, where the store has locks.\n\n"
		"With --page it also shows how it stands, and reports, to people who have a token "
		"of the cluster and the right to get the URL /aksdr: 'kubectl port-forward' leads "
		"to it, and docs/OPERATIONS.md to the rest.\n\n"
		"At SIGTERM it begins nothing any more, ends the runs that are going on, and waits "
		"for them; what they have uploaded the next ones find.",
	.examples = "aksdr-agent run --node node1 --namespace aksdr --pod aksdr-agent-x7k2p",
	.options = options,
	.flags = VERB_STORE | VERB_KEY,
	.set = set,
	.run = run,
};
