/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a drill restores to: namespaces of its own, out of which nothing is reached and into which
 * nothing comes, and which are taken away with all that is in them, volumes included, whatever
 * their class says. All of it has the labels of restore/filler.h with the role `drill`, so that
 * who comes next finds what a drill has left that was killed.
 */
#ifndef AKSDR_RESTORE_DRILL_ROOM_H
#define AKSDR_RESTORE_DRILL_ROOM_H

#include "kube/kube.h"

#define DRILL_ROLE "drill"
#define DRILL_RUNS_LEFT_MAX 64     /* of drills that left something */
#define DRILL_GONE_MS 600000       /* until a namespace is gone */
#define DRILL_POLICY "aksdr-drill" /* NetworkPolicy in each of the namespaces */

struct drill_room {
	struct kube *kube;
	const char *ns;  /* of the tool: claims of ours and movers */
	const char *run; /* 32 hexadecimal digits */
	const struct cancel *cancel;
};

/*
 * Whether the cluster knows network policies is not asked: that its network obeys them nobody
 * tells.
 */

/*
 * Makes a namespace, and closes it before anything is in it.
 *   ERR_EXISTS  one of that name is there and not of this run
 *   ERR_BUSY    it is being deleted
 */
MUST_CHECK int drill_room_make(const struct drill_room *d, const char *ns, struct err *e);

/*
 * Takes away what this run has made, or, `all`, what any drill has made; waits until the namespaces
 * are gone. Goes on where one thing fails, and tells the first failure. *ret_runs (may be NULL): of
 * how many runs there was something.
 */
MUST_CHECK int drill_room_clean(const struct drill_room *d, bool all, size_t *ret_runs,
                                struct err *e);

/* Objects as they are sent. Pure. NULL: no memory. The caller decrefs. */
json_t *drill_room_namespace(const struct drill_room *d, const char *ns);
json_t *drill_room_policy(const struct drill_room *d, const char *ns);

#endif
