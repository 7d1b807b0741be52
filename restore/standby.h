/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes that stand by: for each one of a plan a claim in the tool's namespace that follows its
 * points. One thread looks every so often which points there are and what the claims have; others
 * fill, each one volume at a time, by what differs from the point that a claim has
 * (restore/filler.h). So what takes long or fails does not hold the others up.
 *
 * All of it is in the cluster: a claim says which point it has as a whole, or that one is being put
 * into it. Who was killed begins again and goes on.
 */
#ifndef AKSDR_RESTORE_STANDBY_H
#define AKSDR_RESTORE_STANDBY_H

#include "restore/pick.h"
#include "restore/stage.h"
#include "restore/standby_table.h"

#define STANDBY_MOVERS_MAX 64

struct standby_params {
	struct kube *kube;
	const char *ns;         /* of the tool */
	const char *plan;       /* its name */
	const json_t *template; /* of movers */
	const json_t *env;      /* may be NULL */
	unsigned copies;        /* of each volume; 1 to STANDBY_COPIES_MAX */
	unsigned movers;        /* at once; 0: PLAN_MOVERS_DEFAULT */
	int64_t interval_ms;    /* between two looks */
	int64_t stuck_ms;       /* of a mover; 0: as kube/worker.h */
	const struct cancel *cancel;
	/* The plan as it is now, which is handed over, and the newest points of its volumes. */
	int (*pick)(void *arg, struct recipe **ret_recipe, struct picks *ret, struct err *e);
	/* The moment of a point that somebody else has put into a claim; 0: not known. */
	int64_t (*moment)(void *arg, const char *session);
	void (*looked)(void *arg); /* after each look, and at the end; may be NULL */
	void *arg;                 /* of these three, which the thread of standby_run() calls */
};

struct standby;
/* params is copied; what it points to is borrowed until standby_free(). */
MUST_CHECK int standby_new(const struct standby_params *params, struct standby **ret,
                           struct err *e);
void standby_free(struct standby *s);
static inline void clean_standby(struct standby *const *s)
{
	standby_free(*s);
}
#define auto_standby CLEANUP(clean_standby)

/* One look: what there is and what is wanted; nothing is changed. Not while standby_run() runs. */
MUST_CHECK int standby_look(struct standby *s, struct err *e);

/*
 * Follows the plan's points until it is cancelled, which is its usual end (ERR_CANCELLED); a look
 * that fails is told by the log and made again. once: ends when every volume was tried once.
 *   ERR_PARTIAL  once: how many are not current
 */
MUST_CHECK int standby_run(struct standby *s, bool once, struct err *e);

/* Takes all claims of the plan's standby away, with what is in them. */
MUST_CHECK int standby_drop(struct standby *s, size_t *ret_dropped, struct err *e);

/* What is known of the volumes, one after the other, at one moment. Thread-safe. */
void standby_each(struct standby *s,
                  void (*each)(void *arg, const struct standby_table *t,
                               const struct standby_volume *v),
                  void *arg);

/* As status_params. Thread-safe. */
int standby_metrics(void *standby, struct buf *b, struct err *e);
int standby_ready(void *standby, struct err *e); /* once a look went well */

#endif
