/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind of objects as it changes: a list, then a watch from there on, on a thread of its own, for
 * as long as it is wanted. Bookmarks are asked for; a version that the server has forgotten (410)
 * leads to a new list, after which what is not in it any more is told as gone. Between tries that
 * fail the wait grows, with full jitter, so that many agents do not come back at once.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
#ifndef AKSDR_KUBE_WATCH_H
#define AKSDR_KUBE_WATCH_H

#include "kube/kube.h"

struct watch;

struct watch_params {
	struct kube *kube; /* borrowed */
	const struct kube_kind *kind;
	struct kube_select select; /* borrowed texts */
	/*
	 * On the watch's thread, never at the same time: an object that is new or changed; one
	 * that is gone, by namespace ("" for kinds of the cluster), name and uid; and, once after
	 * every list, that all there is has been told. An object may be told more than once.
	 */
	void (*put)(void *arg, const json_t *object);
	void (*gone)(void *arg, const char *ns, const char *name, const char *uid);
	void (*synced)(void *arg);
	/* May be NULL: what does not work, at every try; NULL e: it works again. */
	void (*trouble)(void *arg, const struct err *e);
	void *arg;
};

MUST_CHECK struct watch *watch_start(const struct watch_params *params, struct err *e);
/* Ends it within a second, even in the middle of a request. NULL is fine. */
void watch_stop(struct watch *take_w);

#endif
