/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume populator: claims that name a VolumeRestore as their dataSourceRef get a volume with
 * what that point has. A watch tells of claims, some threads fill them, each one at a time
 * (restore/filler.h): a claim of ours in the tool's namespace first, whose volume then becomes that
 * of the claim that waits. Names follow from the claim's uid, so whoever was killed goes on.
 * https://kubernetes.io/docs/concepts/storage/persistent-volumes/#data-source-references
 */
#ifndef AKSDR_RESTORE_POPULATE_H
#define AKSDR_RESTORE_POPULATE_H

#include "kube/event.h"
#include "restore/filler.h"
#include "restore/request.h"

#define POPULATE_ROLE "populate"
#define POPULATE_MOVERS_MAX 64
#define POPULATE_CLAIMS_MAX 10000 /* that wait at once; further ones when these are done */

struct populate_point {
	char id[33];
	char volume[800]; /* CLUSTER/NAMESPACE/NAME */
	bool block;
};

struct populate_params {
	struct kube *kube;
	const char *ns;         /* of the tool */
	const json_t *template; /* of movers */
	const json_t *env;      /* may be NULL */
	unsigned movers;        /* at once; 0: PLAN_MOVERS_DEFAULT */
	int64_t stuck_ms;       /* of a mover; 0: as kube/worker.h */
	struct events *events;  /* may be NULL: none are told */
	const struct cancel *cancel;
	/* The point that a request names. From several threads at once. */
	int (*find)(void *arg, const struct request *r, struct populate_point *ret, struct err *e);
	void *arg;
};

/* What a claim is to the populator, by itself. Pure. */
enum populate_state {
	POPULATE_NONE,  /* of no concern, or done */
	POPULATE_DUE,   /* it waits for a volume */
	POPULATE_FINISH /* it has one, and what we noted on that is to be taken away */
};
enum populate_state populate_state_of(const json_t *claim);

/*
 * One claim. 1: it is filled now; 0: it is of no concern any more, or, where ret_waits is not "",
 * waits for that. Errors as of filler_fill(), request_read() and find.
 */
#define POPULATE_WHY_MAX 256
MUST_CHECK int populate_one(const struct populate_params *p, const char *ns, const char *name,
                            char ret_waits[POPULATE_WHY_MAX], struct err *e);

struct populate_counts {
	size_t waiting, busy, failing; /* claims now */
	uint64_t done, failures;       /* since it began */
};

struct populate;
/* params are copied; what they point to is borrowed. */
MUST_CHECK int populate_new(const struct populate_params *params, struct populate **ret,
                            struct err *e);
void populate_free(struct populate *p);
static inline void clean_populate(struct populate *const *p)
{
	populate_free(*p);
}
#define auto_populate CLEANUP(clean_populate)

/*
 * Fills claims until it is cancelled, which is its usual end (ERR_CANCELLED). One that fails is
 * tried again, later and later, and does not hold others up. once: ends when each claim that there
 * is was tried once.
 *   ERR_PARTIAL  once: how many are not done
 *   ERR_DENIED, ERR_RETRY  once: claims cannot be seen
 */
MUST_CHECK int populate_run(struct populate *p, bool once, struct err *e);

/* Thread-safe. */
struct populate_counts populate_counted(struct populate *p);
/* As status_params. Thread-safe. */
int populate_metrics(void *populate, struct buf *b, struct err *e);
int populate_ready(void *populate, struct err *e); /* once all claims were seen */

#endif
