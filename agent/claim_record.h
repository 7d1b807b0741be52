/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Lease of a claim tells of its runs, as annotations: who backs the claim up writes them,
 * and every agent reads them to know what is due. Pure.
 *
 * Annotations come from a cluster where others may write too: what makes no sense there counts as
 * missing, and at worst a run is made once more.
 */
#ifndef AKSDR_AGENT_CLAIM_RECORD_H
#define AKSDR_AGENT_CLAIM_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/sched.h"

#define CLAIM_MESSAGE_MAX 512 /* bytes; longer ones are cut between two characters */

#define CLAIM_LABEL "aksdr.io/volume" /* "true" on each of these Leases */
#define CLAIM_INTENTS "aksdr.io/intents"

/* The name of the Lease of the claim with this uid. */
struct claim_lease {
	char s[32];
};
struct claim_lease claim_record_lease(const char *uid);

enum claim_outcome {
	CLAIM_NONE, /* the run has not ended, or there was none */
	CLAIM_SUCCEEDED,
	CLAIM_PARTIAL,  /* there is a point, and something is not in it */
	CLAIM_FAILED,   /* there is none */
	CLAIM_CANCELLED /* likewise, since somebody said so */
};

/* Times are in seconds since 1970; SCHED_NONE: missing. Texts are "" where missing. */
struct claim_record {
	char claim[512]; /* "NAMESPACE/NAME" */
	char uid[64];
	int64_t slot_s;  /* of the run that was begun last */
	int64_t begun_s; /* when that was */
	int64_t ended_s;
	enum claim_outcome outcome;
	unsigned failures; /* runs without a point since the last one with */
	int64_t done_s;    /* slot of the last run that made a point */
	int64_t success_s; /* when that ended */
	char point[40];    /* the last one's id */
	char consistency[16];
	char message[CLAIM_MESSAGE_MAX + 1]; /* why it failed, or is less than was wanted */
};

/* From a Lease's annotations, an object of texts or NULL. */
void claim_record_read(const json_t *annotations, struct claim_record *ret);

/*
 * All of them, to be merged into a Lease: null for what is missing. Without the intents, which are
 * kept apart. NULL: no memory. The caller decrefs.
 */
json_t *claim_record_write(const struct claim_record *r);

/* A run begins: what was before stays known as far as the schedule needs it. */
void claim_record_begin(struct claim_record *r, int64_t slot_s, int64_t now_s);

/* It ended; outcome is not CLAIM_NONE. message may be NULL. */
void claim_record_end(struct claim_record *r, enum claim_outcome outcome, const char *message,
                      int64_t now_s);

/*
 * For the schedule. since_s: when claim and policy were there. held: somebody has the Lease; a run
 * that was begun, has not ended, and whose Lease nobody has died, and counts as one that failed.
 */
struct sched_record claim_record_sched(const struct claim_record *r, int64_t since_s, bool held);

/*
 * The name of an object in the list of intents: "pods/NAMESPACE/NAME", or "PLURAL/NAME" of kinds of
 * the cluster (ns NULL or ""). -1: no memory, or it does not fit.
 */
int claim_record_intent(const char *plural, const char *ns, const char *name, char *ret,
                        size_t max);

/* Whether the intents in these annotations name the object. */
bool claim_record_names(const json_t *annotations, const char *plural, const char *ns,
                        const char *name);

/* "succeeded", ...; "" for CLAIM_NONE. */
const char *claim_record_outcome(enum claim_outcome outcome);

#endif
