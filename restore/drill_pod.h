/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a drill: a pod with the command of the plan, in a namespace of the drill, with all
 * volumes of it mounted: file systems at /volumes/NAME, block devices at /dev/volumes/NAME. It
 * has no token and no network; it may write, since the volumes are a copy that goes away. What
 * it says last is kept. It runs as its image says, with what the level `baseline` lets it have.
 */
#ifndef AKSDR_RESTORE_DRILL_POD_H
#define AKSDR_RESTORE_DRILL_POD_H

#include "common/fields.h"
#include "kube/kube.h"
#include "restore/drill_report.h"

#define DRILL_POD "aksdr-check"
#define DRILL_POD_TIMEOUT_S 600 /* where the plan says none */
#define DRILL_POD_START_S 600   /* until it begins: its image is fetched, volumes are attached */
#define DRILL_POD_CLAIMS_MAX 256

struct drill_pod_claim {
	const char *name;
	bool block;
};

struct drill_pod_params {
	struct kube *kube;
	const char *ns;         /* of the drill */
	const char *run, *plan; /* for labels, and for the command as AKSDR_RUN and AKSDR_PLAN */
	const char *image;
	const struct fields_texts *command;
	int64_t timeout_s; /* 0: DRILL_POD_TIMEOUT_S */
	const struct drill_pod_claim *claims;
	size_t nclaims;
	const struct cancel *cancel;
};

/* Pure. NULL: no memory. The caller decrefs. */
json_t *drill_pod_object(const struct drill_pod_params *p);

struct drill_pod_result {
	bool passed;
	char why[512]; /* "": it passed */
	char said[DRILL_TEXT_MAX + 1];
	double seconds;
};

/* What a pod says that has ended. Pure. 1; 0: it has not ended. */
int drill_pod_state(const json_t *pod, struct drill_pod_result *ret);

/*
 * The end of a text in whole lines, at most max bytes with a NUL, fit for JSON and for people.
 * Pure.
 */
void drill_pod_tail(const char *text, char *ret, size_t max);

/*
 * Runs it. That it fails, does not begin or does not end in time is a result; -1: the API server
 * refuses it, or cancelled.
 */
MUST_CHECK int drill_pod_run(const struct drill_pod_params *p, struct drill_pod_result *ret,
                             struct err *e);

#endif
