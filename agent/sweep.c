/* SPDX-License-Identifier: Apache-2.0 */
/* See sweep.h. */
#include "agent/sweep.h"

#include <string.h>

#include "kube/kube.h"

bool sweep_leaves(const struct world *w, const json_t *lease, int64_t now_s)
{
	const struct world_lease *l = world_lease(w, kube_text_at(lease, "metadata.name"));
	struct claim_record r;
	char ns[sizeof(r.claim)];

	if (!l || world_lease_held(l, now_s) || now_s - l->changed_s < SWEEP_IDLE_S)
		return true;
	claim_record_read(kube_at(lease, "metadata.annotations"), &r);
	const char *slash = strchr(r.claim, '/');
	if (!slash)
		return true;
	(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - r.claim), r.claim);
	const struct world_claim *c = world_claim(w, ns, slash + 1);
	if (!c || strcmp(c->uid, r.uid) != 0)
		return false;
	const struct policy_claim view = world_view(w, c);
	return policy_choose(&w->list, w->agent_ns, &view).verdict == POLICY_PROTECTED;
}
