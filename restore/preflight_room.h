/* SPDX-License-Identifier: Apache-2.0 */
/* As restore/preflight_judge.h: what of the facts of a cluster leaves no room for a plan. */
#ifndef AKSDR_RESTORE_PREFLIGHT_ROOM_H
#define AKSDR_RESTORE_PREFLIGHT_ROOM_H

#include "restore/preflight_judge.h"

/* Room that drivers say they have. */
preflight_judge_fn preflight_room_capacity;
/* ResourceQuotas of the target namespaces, and of the tool's. */
preflight_judge_fn preflight_room_quotas;
/* Namespaces: there, not going away, and the tool's may run movers. */
preflight_judge_fn preflight_room_namespaces;
/* Names of claims that are taken; volumes that are left from before. */
preflight_judge_fn preflight_room_names;

#endif
