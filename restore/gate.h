/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates and hooks of a plan's stages: what must hold before a stage, and when its volumes are
 * there. An approval of a person, a command in a pod, a Job, an answer by HTTP. Nothing is run on
 * the machine where the plan is: who may write plans in a cluster gets no program started there.
 *
 * An approval names the run that it is for, so that none of an earlier run opens a gate: either a
 * word RUN/STAGE/GATE in the annotation aksdr.io/approve of the RestorePlan, or a ConfigMap that
 * `aksdr-restore approve` makes. RUN: the first 8 digits of the run's name, or more.
 */
#ifndef AKSDR_RESTORE_GATE_H
#define AKSDR_RESTORE_GATE_H

#include <stdbool.h>

#include "common/cancel.h"
#include "kube/kube.h"
#include "restore/recipe.h"

#define GATE_APPROVE "aksdr.io/approve" /* annotation of a RestorePlan */
#define GATE_ROLE "approval"            /* of ConfigMaps: label aksdr.io/role */
#define GATE_RUN_LEAST 8                /* digits of a run's name that an approval has */
#define GATE_TIMEOUT_S 3600             /* of those that have none, but for approvals */
#define GATE_WHY_MAX 512

struct gate_params {
	struct kube *kube;           /* of the secondary */
	const char *ns;              /* of the tool there: approvals */
	const char *run;             /* 32 hexadecimal digits */
	const char *plan_ns, *plan;  /* the RestorePlan, which need not be in the cluster */
	const char *stage;           /* its name */
	int64_t every_ms;            /* between two looks; 0: 5000 */
	const struct cancel *cancel; /* may be NULL */
};

/*
 * One look: 1: open; 0: not, and why goes to why. -1: it will not be, errors as gate_wait().
 * timeout_ms: that a command may take; 0: a minute.
 */
MUST_CHECK int gate_look(const struct gate_params *p, const struct recipe_gate *g,
                         int64_t timeout_ms, char why[GATE_WHY_MAX], struct err *e);

/*
 * Looks again and again until the gate is open.
 *   ERR_BUSY   it was not open in its time, and why
 *   ERR_IO     it will not be: its Job has failed
 *   ERR_DENIED, ERR_INVALID  it cannot be looked at
 *   ERR_CANCELLED, ERR_NOMEM
 */
MUST_CHECK int gate_wait(const struct gate_params *p, const struct recipe_gate *g, struct err *e);

/*
 * Approves the gate "STAGE/GATE" of a run (its name's first digits). Twice is no error.
 * ERR_INVALID: they are none. Errors as kube_create().
 */
MUST_CHECK int gate_approve(struct kube *k, const char *ns, const char *run, const char *gate,
                            struct err *e);

/* Takes the approvals of a run away, when it has ended. */
MUST_CHECK int gate_forget(struct kube *k, const char *ns, const char *run, struct err *e);

/* ---- judgements, pure ---- */

/* Whether a text of words RUN/STAGE/GATE approves that one. */
bool gate_is_approved(const char *words, const char *run, const char *stage, const char *gate);

/* 1: complete; 0: not yet; -1: failed, with ERR_IO. */
MUST_CHECK int gate_judge_job(const json_t *job, struct err *e);

/* Of pods the ready one that comes first by name; NULL: there is none. Borrowed. */
const json_t *gate_choose_pod(const json_t *pods);

#endif
