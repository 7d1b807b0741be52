/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hooks of a policy: commands in the containers of the pods that use the claims, by exec. A
 * hook of a policy becomes one struct hook for each such pod, in the order of the policy and of
 * the pods' names. A command in a pod gets none of the variables that one here gets; when it does
 * not end in time it is left behind, since nothing can end it from outside.
 */
#ifndef AKSDR_AGENT_POD_HOOK_H
#define AKSDR_AGENT_POD_HOOK_H

#include "agent/hook.h"
#include "agent/policy.h"
#include "kube/kube.h"

#define POD_HOOKS_MAX 32 /* commands of one backup */

/* Owns what its hooks need; k and the policy must outlive it. */
struct pod_hooks {
	struct hook *hooks;
	size_t n;
	struct pod_hook *pods;
	char *unused; /* hooks for which there is no pod, as a sentence for the point; or NULL */
};

/*
 * The hooks of the policy for claims of namespace ns, as they are used now: pods that run and are
 * not about to end. One request, none where the policy has no hooks. At most max hooks.
 *   ERR_TOO_BIG  more pods than that
 * and what kube_list() says. The caller clears *ret in any case.
 */
MUST_CHECK int pod_hook_find(struct kube *k, const struct policy *p, const char *ns,
                             const char *const *claims, size_t nclaims, size_t max,
                             struct pod_hooks *ret, struct err *e);
void pod_hook_clear(struct pod_hooks *h);

/* Whether the pod uses the claim, by name or by a generic ephemeral volume. Pure. */
bool pod_hook_uses(const json_t *pod, const char *claim);

#endif
