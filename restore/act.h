/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs that run a plan share (`run`, `failover`, `failback`): their options, the run that
 * is begun or gone on with, its stages, and what is told at the end. One thread.
 */
#ifndef AKSDR_RESTORE_ACT_H
#define AKSDR_RESTORE_ACT_H

#include "restore/movers.h"
#include "restore/run.h"
#include "restore/scope.h"

enum {
	ACT_OPT_TO = 640,
	ACT_OPT_REASON,
	ACT_OPT_NO_FENCE,
	ACT_OPT_RESUME,
	ACT_OPT_NEW,
	ACT_OPT_FORCE,
	ACT_OPT_VERIFY,
	ACT_OPT_ACCEPT_MISSING
};

/* Rows of a verb's table of options. */
#define ACT_OPTIONS                                                                               \
	{ "resume", NULL, "go on with a run that somebody else has begun", ACT_OPT_RESUME },      \
		{ "new", NULL,                                                                    \
		  "begin anew: a run that has not ended is given up, and a failover that "        \
		  "was done is done once more",                                                   \
		  ACT_OPT_NEW },                                                                  \
		{ "force", NULL, "begin although the cluster says that it cannot work",           \
		  ACT_OPT_FORCE },                                                                \
		{ "verify", NULL, "read everything back from the volumes, too", ACT_OPT_VERIFY }, \
		{ "accept-missing", NULL,                                                         \
		  "hand over volumes that lack something, and do without "                        \
		  "those that cannot be restored",                                                \
		  ACT_OPT_ACCEPT_MISSING },                                                       \
		MOVERS_OPTIONS

struct act_options {
	struct scope scope;
	const char *to, *reason;
	struct movers_options movers;
	bool no_fence, resume, anew, force, verify, accept_missing;
};

/* Takes an option, also of the scope: 1; 0: it is none of these; -1 with ERR_INVALID. */
MUST_CHECK int act_set(struct act_options *o, int key, const char *value, struct err *e);

/* Borrows options and common; owns the rest. */
struct act {
	const struct act_options *o;
	const struct verb_common *common;
	struct repo *repo;
	struct run run;
	struct picks picks;
	struct plan plan;
	struct movers movers;
	struct stage_volume *volumes; /* of plan.items */
	struct progress_counts counts;
	bool take; /* claims that are there are taken, and get what differs */
};
void act_clear(struct act *a);
#define auto_act CLEANUP(act_clear)

/*
 * Goes on with the run of this kind and plan that has not ended: 1; 0: there is none, or it was
 * given up, as the options say.
 *   ERR_BUSY  somebody else has begun it, and --resume was not given
 */
MUST_CHECK int act_resume(struct act *a, const char *kind, struct err *e);

/* Begins one. ERR_INVALID: it is not said where it goes, or that is where the points are from. */
MUST_CHECK int act_begin(struct act *a, const char *kind, const struct recipe *recipe,
                         const char *to, struct err *e);

/* Chooses, restores and hands over. What is missing is no error here. */
MUST_CHECK int act_restore(struct act *a, struct err *e);

/* How many volumes are not as they should be: those that are blocked, and those that failed. */
size_t act_missing(const struct act *a);
/* ERR_PARTIAL when some are missing, and that was not accepted. */
MUST_CHECK int act_complete(const struct act *a, struct err *e);

/* Takes away what movers had, and ends the run. */
MUST_CHECK int act_end(struct act *a, struct err *e);

/* What became of each volume. */
MUST_CHECK int act_tell(const struct act *a, const char *schema, struct err *e);

/* That there is nothing to do, since o says that the cluster serves the plan already. */
MUST_CHECK int act_tell_served(const struct act *a, const struct owner *o, const char *schema,
                               struct err *e);

#endif
