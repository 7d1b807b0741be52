/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moment of a set of volumes: drivers are chosen and prepare, hooks make the applications
 * ready, all views are captured together, hooks let the applications go on, and the views are
 * made readable. What was seen is kept for the restore points (docs/SNAPSHOTS.md).
 */
#ifndef AKSDR_AGENT_MOMENT_H
#define AKSDR_AGENT_MOMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/hook.h"
#include "common/cancel.h"
#include "repo/capture.h"
#include "snapshot/snapshot.h"

#define MOMENT_HOOKS_MAX 64

struct moment_params {
	const struct snapshot_env *env;
	const char *driver; /* "auto" or a name */
	const char *set;    /* id of the set, for hooks */
	const struct hook *hooks;
	size_t nhooks; /* at most MOMENT_HOOKS_MAX */
	bool require_mount;
	struct cancel *cancel;
};

/* One volume of the set: name and path are given, the rest is the result. */
struct moment_volume {
	const char *name, *path;   /* borrowed */
	struct snapshot *snapshot; /* ready to be read; NULL: `why` */
	struct err why;
	struct point_capture capture;
	uint64_t epoch; /* fence_epoch() that was known before the view was taken */
};

struct moment {
	const struct moment_params *params;
	struct moment_volume *volumes;
	size_t n;
	bool hooked;    /* hooks before the moment ran, and all went well */
	bool posts_due; /* hooks behind the moment have not run yet */
	bool captured;  /* at least one view is there */
};

/*
 * Takes the views of n volumes, at most SNAPSHOT_SET_MAX; what went wrong with one is in its
 * `why`. Under "auto" a volume whose driver fails is read live instead, and its capture says why.
 * Hooks behind the moment have run when this returns, unless a volume is read live because
 * that was asked for: then the application must stay as it is until moment_posts(). Logs what
 * goes wrong and does not end it. params and volumes must outlive m; moment_end() is called in any
 * case.
 */
void moment_take(struct moment *m, const struct moment_params *params,
                 struct moment_volume *volumes, size_t n);

/*
 * The hooks behind the moment, unless they have run: once, whatever happened. Their results
 * are added to the captures of volumes from `from` on. -1: one failed that must not.
 */
MUST_CHECK int moment_posts(struct moment *m, size_t from, struct err *e);

/*
 * Gives up the view of one volume; committed: a restore point has it. A view that could not be
 * removed is told, and no failure: its note stays in the journal.
 */
void moment_release(struct moment_volume *v, bool committed);

/* Runs the hooks that are due, and gives up everything. */
void moment_end(struct moment *m);

#endif
