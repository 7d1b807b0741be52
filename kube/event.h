/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events (events.k8s.io/v1) about an object, as `kubectl describe` shows them: the same one again
 * within ten minutes counts up in a series instead of making another.
 */
#ifndef AKSDR_KUBE_EVENT_H
#define AKSDR_KUBE_EVENT_H

#include "kube/kube.h"

#define EVENT_NOTE_MAX 1024 /* bytes; longer ones are cut between two characters */

struct event_about {
	const struct kube_kind *kind;
	const char *ns, *name, *uid, *version; /* version: resourceVersion, may be NULL */
};

struct events;

/* instance: which of our processes, as "aksdr-agent-x7k2p". */
MUST_CHECK struct events *events_new(struct kube *k, const char *instance, struct err *e);
void events_free(struct events *ev);

/* reason: one word in upper camel case; warning: type Warning, else Normal. Thread-safe. Blocks. */
MUST_CHECK int events_tell(struct events *ev, const struct event_about *about, bool warning,
                           const char *reason, const char *action, const char *note, struct err *e);

#endif
