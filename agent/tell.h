/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of the backup of a claim, told where people look: an event of the claim (`kubectl
 * describe pvc`), and of a restore point also annotations on it (docs/KUBERNETES.md).
 */
#ifndef AKSDR_AGENT_TELL_H
#define AKSDR_AGENT_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "kube/event.h"
#include "repo/point.h"

enum tell_outcome {
	TELL_SUCCEEDED,
	TELL_PARTIAL, /* a point that lacks something */
	TELL_FUZZY,   /* a point that is not of one moment */
	TELL_FAILED,
	TELL_SKIPPED
};

/* Texts are borrowed. */
struct tell {
	const char *ns, *name, *uid; /* of the claim */
	enum tell_outcome outcome;
	const char *why; /* what is missing, why it is fuzzy, failed, was skipped; or NULL */
	/* Of a point; NULL when there is none. */
	const char *point, *consistency;
	int64_t moment_ns, took_ns; /* since 1970; from the begin to the commit */
	uint64_t bytes, stored_bytes;
};

/*
 * What is to be told of a restore point of a claim; it borrows from p and text. why_fuzzy (may be
 * NULL): why there is no snapshot. Pure.
 */
void tell_of_point(const struct point *p, const char *why_fuzzy, char text[64], struct tell *ret);

/* "BackupSucceeded", ...: the event's reason. */
const char *tell_reason(enum tell_outcome outcome);

/* What the event says, on one line; at most max bytes with the NUL. Pure. */
void tell_note(const struct tell *t, char *ret, size_t max);

/*
 * Tells it. Of a point the annotations aksdr.io/last-restore-point, -time and -consistency are
 * applied to the very claim of that uid; one that is gone by now is no error. The event is told
 * even when they could not be written, and the other way round; the first error is in e. Blocks.
 */
MUST_CHECK int tell_claim(struct kube *k, struct events *ev, const struct tell *t, struct err *e);

#endif
