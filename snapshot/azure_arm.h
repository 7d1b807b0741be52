/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Azure Resource Manager is asked about snapshots of managed disks: what one is, and access to
 * its bytes by an URL with a signature in it, which is a secret. Operations that take long are
 * waited for, and what may work later is repeated.
 */
#ifndef AKSDR_SNAPSHOT_AZURE_ARM_H
#define AKSDR_SNAPSHOT_AZURE_ARM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/http.h"

#define AZURE_ARM_ID_MAX 512            /* bytes of the name of a resource */
#define AZURE_ARM_SAS_MAX 8192          /* bytes of an URL with its signature */
#define AZURE_ARM_ACCESS_S 14400        /* an URL serves for so long, and then another one is got */
#define AZURE_ARM_ANSWER_MAX (64 * KIB) /* bytes of an answer */

struct azure_arm;

struct azure_arm_params {
	/* NULL: AKSDR_AZURE_ARM, else the one of the cloud that AZURE_AUTHORITY_HOST is of. */
	const char *url;
	const struct cancel *cancel; /* borrowed, may be NULL */
	int64_t budget_ms;           /* repetitions end so long after the first try; 0: 120000 */
	/* Instead of waiting for so long; NULL: waits, and ends when cancelled. */
	int (*wait)(void *arg, int64_t ms, struct err *e);
	void *arg;
};

/*
 * Who asks is a workload's identity, where AZURE_FEDERATED_TOKEN_FILE is set, else the machine's.
 * No request is made. ERR_INVALID, ERR_NOMEM.
 */
MUST_CHECK struct azure_arm *azure_arm_new(const struct azure_arm_params *p, struct err *e);
void azure_arm_free(struct azure_arm *a);
static inline void clean_azure_arm(struct azure_arm *const *a)
{
	azure_arm_free(*a);
}
#define auto_azure_arm CLEANUP(clean_azure_arm)

/* A request to where an URL with a signature points; as http_do(). */
MUST_CHECK int azure_arm_send(struct azure_arm *a, struct http_request *rq, struct http_answer *ret,
                              struct err *e);

/*
 * Waits before a repetition, e being the failure (ERR_RETRY), longer each time. -1: the budget is
 * used up, or, then e says so, cancelled.
 */
struct azure_arm_tries {
	int64_t began_ns;
	unsigned failed;
};
MUST_CHECK int azure_arm_again(struct azure_arm *a, struct azure_arm_tries *t, struct err *e);

/* The address of the resource manager for the authority (NULL: the public cloud). Pure. */
const char *azure_arm_cloud(const char *authority);

/*
 * Whether text is the name of a snapshot:
 * "/subscriptions/X/resourceGroups/Y/providers/Microsoft.Compute/snapshots/Z". Pure.
 */
bool azure_arm_is_snapshot(const char *text);

struct azure_snapshot {
	uint64_t bytes;     /* of the disk */
	int64_t created_ns; /* since 1970 */
	bool incremental, complete;
	uint32_t sector_bytes;
	char family[64]; /* of incremental snapshots that have ranges between them; "": not told */
	char disk[64];   /* unique id of the disk that it is of; "": not told */
};

/* The answer to azure_arm_snapshot(). ERR_FORMAT. Pure. */
MUST_CHECK int azure_arm_parse_snapshot(const void *p, size_t n, struct azure_snapshot *ret,
                                        struct err *e);

/* What an answer about an operation says. Pure. ret->sas is borrowed from the JSON. */
enum azure_arm_state { AZURE_ARM_GOING_ON, AZURE_ARM_DONE, AZURE_ARM_FAILED };
struct azure_arm_progress {
	enum azure_arm_state state;
	char sas[AZURE_ARM_SAS_MAX]; /* "": it says none. A secret: to be wiped */
	char why[256];               /* of FAILED: code and message, for people */
};
MUST_CHECK int azure_arm_parse_progress(int status, const void *p, size_t n,
                                        struct azure_arm_progress *ret, struct err *e);

/*
 * All of these: thread-safe; id is one by azure_arm_is_snapshot(), else ERR_INVALID.
 *   ERR_NOT_FOUND    there is no such snapshot
 *   ERR_DENIED       no token, or no right; says which
 *   ERR_BUSY, ERR_UNSUPPORTED, ERR_IO   the resource manager refuses, and why
 *   ERR_RETRY        it does not answer within the budget
 *   ERR_CANCELLED
 */
MUST_CHECK int azure_arm_snapshot(struct azure_arm *a, const char *id, struct azure_snapshot *ret,
                                  struct err *e);

/* Gets access: *ret_sas is in locked memory (secret_free()). It must be ended, also on failure. */
MUST_CHECK int azure_arm_begin_access(struct azure_arm *a, const char *id, char **ret_sas,
                                      struct err *e);

/* Ends all access to the snapshot; it is fine when there is none, or no such snapshot. */
MUST_CHECK int azure_arm_end_access(struct azure_arm *a, const char *id, struct err *e);

#endif
