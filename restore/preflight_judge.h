/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the facts of a cluster mean for a plan: functions without clock, cluster or output, each for
 * one subject. What could not be had is not judged. Memory that is short is told by
 * finding_check().
 */
#ifndef AKSDR_RESTORE_PREFLIGHT_JUDGE_H
#define AKSDR_RESTORE_PREFLIGHT_JUDGE_H

#include "restore/preflight_facts.h"
#include "restore/registry.h"

typedef void preflight_judge_fn(const struct preflight_params *p, const struct preflight_facts *f,
                                struct findings *l);

/* Classes: there, and with a driver that can make these volumes. */
preflight_judge_fn preflight_judge_classes;
/* Zones: of the plan, of nodes, of classes. And nodes at all. */
preflight_judge_fn preflight_judge_zones;
/* Snapshots of what is restored, for the backups that follow. */
preflight_judge_fn preflight_judge_snapshots;
/* The class of a volume: the named one, or the cluster's default. NULL: there is none. Borrowed. */
const json_t *preflight_judge_class(const struct preflight_facts *f,
                                    const struct preflight_volume *v);

/* One image, and what a registry said of it. */
void preflight_judge_image(const char *image, const struct registry_result *r, struct findings *l);

/* How far the second region of the store is; away: it is what answers. now_ns: the store's time. */
void preflight_judge_store(bool away, const struct store_cut *cut, int64_t now_ns, bool fences,
                           struct findings *l);

/* Whether keys of this kind are enough. */
void preflight_judge_key(const struct keys *k, bool fences, struct findings *l);

/* Whether a point was made by a later version than this one ("aksdr 1.2.3"). */
bool preflight_judge_is_later(const char *agent, const char *ours);

#endif
