/* SPDX-License-Identifier: Apache-2.0 */
/* Within restore/filler: one claim that is filled, handed over or taken. */
#ifndef AKSDR_RESTORE_FILLER_IMPL_H
#define AKSDR_RESTORE_FILLER_IMPL_H

#include "restore/filler.h"

struct filler_job {
	const struct filler *f;
	const struct filler_claim *c;
	char name[FILLER_NAME_MAX]; /* of the claim of ours, and of its mover */
	json_t *staging;            /* the claim of ours; owned; NULL: there is none */
	json_t *target;             /* the claim that is wanted; owned; NULL */
	bool waits;                 /* the target waits for a volume */
	json_t *volume;             /* between the two; owned; NULL */
};
struct filler_job filler_job_of(const struct filler *f, const struct filler_claim *c);
void filler_job_clear(struct filler_job *j);

/* What there is of it in the cluster. */
MUST_CHECK int filler_job_look(struct filler_job *j, struct err *e);

/* Until it is gone, or else bound. ERR_RETRY: not in time. */
MUST_CHECK int filler_job_wait(const struct filler_job *j, const struct kube_kind *kind,
                               const char *ns, const char *name, bool gone, struct err *e);

/* The volume goes from one claim to this one, at once: in between it is nobody's to take. */
MUST_CHECK int filler_job_reserve(const struct filler_job *j, const char *ns, const char *claim,
                                  struct err *e);

/* A volume that has arrived is as any other one again. Else nothing is changed. */
MUST_CHECK int filler_job_finish(struct kube *k, const json_t *volume, struct err *e);

#endif
