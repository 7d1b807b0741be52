/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backup would do with a volume: which driver would make its view, why no better one, and
 * whether file systems can be frozen here. Nothing is made and nothing is frozen.
 */
#ifndef AKSDR_AGENT_PREVIEW_H
#define AKSDR_AGENT_PREVIEW_H

#include "agent/doctor.h"
#include "snapshot/snapshot.h"

/* OK: a view of one moment; a warning: it would be read live; FAILED: not at all. */
struct doctor_verdict preview_volume(const struct snapshot_env *env, const char *path);

/* Whether a freezer can be had: a warning, since live reads need none. */
struct doctor_verdict preview_freezer(const struct snapshot_env *env);

#endif
