/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries a store out, as backups, restores and collections will use it, on
 * objects of its own under probe/, and takes them away again where that is
 * allowed. Each check is told as soon as it is done; what it means is judged
 * by agent/doctor.h.
 */
#ifndef AKSDR_AGENT_EXAMINE_H
#define AKSDR_AGENT_EXAMINE_H

#include "agent/doctor.h"
#include "common/cancel.h"
#include "common/progress.h"

/* Figures for programs; a negative or zero one was not measured. */
struct examine_figures {
	int64_t first_ns; /* the first request, with all that comes before one */
	struct doctor_clock clock;
	struct doctor_spread latency;
	int64_t lag_ns; /* of the second region; -1: not known */
	struct doctor_rate up_one, up_many, down_one, down_many;
	unsigned left; /* objects that stay behind */
	uint64_t left_bytes;
};

struct examine {
	struct store *store;   /* without a lock */
	struct store *sweep;   /* the same, which no cancel stops: to tidy up */
	struct store *locking; /* with a lock as short as it may be; NULL: none is asked for */
	const char *lock;      /* how long it shall be in earnest; NULL */
	struct store *second;  /* the second region itself, or NULL */
	bool single_writer;    /* the repository does not need create-only */
	bool quick;            /* less is moved and repeated */
	const struct cancel *cancel; /* may be NULL */
	enum progress_mode progress;
	/* group: checks of one group follow each other. */
	void (*tell)(void *arg, const char *group, const char *check,
	             const struct doctor_verdict *v);
	void *arg;
};

/*
 * All checks. -1: they could not be made (ERR_NOMEM, ERR_CANCELLED); that one
 * of them failed is told, and is 0.
 */
MUST_CHECK int examine_store(const struct examine *x, struct examine_figures *ret, struct err *e);

#endif
