/* SPDX-License-Identifier: Apache-2.0 */
/* See pod.h. */
#include "kube/pod.h"

#include <stdio.h>
#include <string.h>

bool pod_is_over(const json_t *pod)
{
	const char *phase = kube_text_at(pod, "status.phase");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

bool pod_volume_claim(const json_t *pod, const json_t *volume, char ret[KUBE_NAME_MAX + 1])
{
	const char *name = kube_text_at(volume, "persistentVolumeClaim.claimName");

	if (*name)
		return snprintf(ret, KUBE_NAME_MAX + 1, "%s", name) <= KUBE_NAME_MAX;
	return kube_at(volume, "ephemeral") &&
	       snprintf(ret, KUBE_NAME_MAX + 1, "%s-%s", kube_text_at(pod, "metadata.name"),
	                kube_text_at(volume, "name")) <= KUBE_NAME_MAX;
}

bool pod_uses(const json_t *pod, const char *claim)
{
	const json_t *volumes = kube_at(pod, "spec.volumes");
	char name[KUBE_NAME_MAX + 1];

	for (size_t i = 0; i < json_array_size(volumes); i++) {
		if (pod_volume_claim(pod, json_array_get(volumes, i), name) &&
		    strcmp(name, claim) == 0)
			return true;
	}
	return false;
}
