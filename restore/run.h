/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan that is run (docs/REGIONS.md): fence, choose, restore and hand over stage by stage, record
 * who serves. Each step is written to the run's journal in the repository when it is done, and each
 * can be done again; so a run that was stopped anywhere is gone on with by whoever calls it next,
 * on any machine, with the points that it has chosen. Who goes on with it takes it over: the one
 * before finds that at its next step, and stops.
 */
#ifndef AKSDR_RESTORE_RUN_H
#define AKSDR_RESTORE_RUN_H

#include "repo/fence_change.h"
#include "repo/owner.h"
#include "restore/history.h"
#include "restore/rate.h"
#include "restore/stage.h"

#define RUN_RESTORE "restore"
#define RUN_FAILOVER "failover"
#define RUN_FAILBACK "failback"
#define RUN_DRILL "drill"

struct run {
	struct repo *repo; /* borrowed; goes by a newer config after a fence */
	const char *kind;
	struct history history;
	struct recipe *recipe; /* owned; as it was when it began */
	char plan[OWNER_PLAN_MAX];
	char to[POINT_NAME_MAX];    /* the cluster that it goes to */
	char ns[KUBE_NAME_MAX + 1]; /* of the tool there */
	int64_t began_ns, as_of_ns;
	bool newest;
	char user[sizeof(((struct note_actor *)0)->user)],
		host[sizeof(((struct note_actor *)0)->host)];
	int64_t last_ns; /* who acted last, and when */
	/* what is done, by the journal */
	bool fenced, chosen, promoted, ended;
	uint64_t epoch;   /* of the fence */
	json_t *sessions; /* that were chosen; owned */
	json_t *stopped;  /* of a failback: sequences when all stood still; NULL: not yet. Owned */
	bool final;       /* and all has a point since then */
	json_t *gates;    /* that are open: {"STAGE/GATE": true}; owned */
	int64_t fenced_ns, chosen_ns, promoted_ns;
};
void run_clear(struct run *r);

/*
 * The newest run of this kind and plan, if that has not ended: 1; 0: there is none. k, ns: the
 * cluster and the tool's namespace in it, where journals may be, too.
 * Errors of history_list(), history_read().
 */
MUST_CHECK int run_find(struct repo *repo, struct kube *k, const char *ns, const char *kind,
                        const char *plan, struct run *ret, struct err *e);

struct run_begin {
	const char *kind;
	const struct recipe *recipe;
	const char *to, *ns;
	int64_t as_of_ns;
	bool newest;
	struct kube *kube; /* where the journal is; NULL: in the repository */
};
/* A new one, with its first record. */
MUST_CHECK int run_begin(struct repo *repo, const struct run_begin *b, struct run *ret,
                         struct err *e);

/* Makes it ours: from then on others cannot add to it. */
MUST_CHECK int run_take_over(struct run *r, struct err *e);

/* One step, done. ERR_BUSY: somebody else has taken the run over. */
MUST_CHECK int run_step(struct run *r, const char *step, const json_t *more, struct err *e);

/* ---- steps ---- */

/* Fences what of the plan's primary goes over, unless that was done. picks: what it has now. */
MUST_CHECK int run_fence(struct run *r, const struct picks *picks, const char *reason,
                         struct err *e);

/* What a fence for these volumes is of; the caller frees *ret. Pure. */
MUST_CHECK int run_targets(const struct recipe *r, const struct picks *picks,
                           struct fence_target **ret, size_t *ret_n, struct err *e);

/* What the run would choose now; nothing is written. */
MUST_CHECK int run_pick(const struct run *r, bool whole, struct picks *ret, struct err *e);

/* The points that are restored: chosen now, or before. */
MUST_CHECK int run_choose(struct run *r, struct picks *ret, struct err *e);

/*
 * Lifts the fences that runs of this plan have raised over the cluster that it goes to, so that it
 * backs up. Others stand: they may be of another plan, whose volumes somebody else has now. Of
 * those that are of that cluster alone the log tells.
 */
MUST_CHECK int run_unfence(struct run *r, const char *reason, struct err *e);

/* Writes down that this cluster serves the plan. */
MUST_CHECK int run_promote(struct run *r, const char *reason, struct err *e);

#endif
