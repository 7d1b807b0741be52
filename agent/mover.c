/* SPDX-License-Identifier: Apache-2.0 */
/* See mover.h. */
#include "agent/mover.h"

#include "agent/given.h"
#include "snapshot/csi_objects.h"
#include "store/traffic.h"

json_t *mover_pod(const struct mover_params *p, struct err *e)
{
	char of[2 * KUBE_NAME_MAX + 2];

	(void)snprintf(of, sizeof(of), "%s/%s", p->claim->ns, p->claim->name);
	auto_json json_t *labels = csi_objects_labels(p->run, MOVER_ROLE);
	auto_json json_t *annotations = json_pack("{s:s}", "aksdr.io/claim", of);
	const struct worker_params pod = {
		.ns = p->run->ns,
		.name = p->claim->base,
		.labels = labels,
		.annotations = annotations,
		.template = p->template,
		.node = p->node,
		.args = p->args,
		.env = p->env,
		.claim = p->claim->base,
		.block = p->claim->block,
		.claim_readonly = !p->writable && !p->claim->block,
		.mount_readonly = true,
		.path = p->claim->block ? MOVER_DEVICE : MOVER_VIEW,
	};

	return worker_pod(&pod, e);
}

int mover_run(const struct mover_params *p, struct point *ret, struct store_traffic *traffic,
              struct err *e)
{
	struct store_traffic asked;
	auto_json json_t *pod = mover_pod(p, e);
	auto_json json_t *ended = NULL;
	const char *result;
	const struct worker_wait wait = {
		.kube = p->run->kube,
		.ns = p->run->ns,
		.name = p->claim->base,
		.what = p->claim->name,
		.stuck_ms = p->run->stuck_ms ? p->run->stuck_ms : CSI_STUCK_MS,
		.cancel = p->run->cancel,
	};

	if (!pod || kube_create(p->run->kube, &kube_pod, p->run->ns, pod, NULL, e) < 0)
		return -1;
	if (worker_wait(&wait, &ended, &result, e) < 0)
		return err_wrap(e, "reading the view by a mover");
	const int rc = given_result_read(result, ret, &asked, e);
	traffic_sum(traffic, &asked);
	return rc;
}
