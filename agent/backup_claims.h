/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claims of one backup: their Leases, the policy's hooks in their pods, who reads each view,
 * and how each ended, told to its Lease and on the claim.
 */
#ifndef AKSDR_AGENT_BACKUP_CLAIMS_H
#define AKSDR_AGENT_BACKUP_CLAIMS_H

#include "agent/backup_options.h"
#include "agent/pod_hook.h"
#include "kube/event.h"

struct azure_arm;

struct backup_claims {
	struct claim_leases leases;
	struct backup_options *options;
	bool held;             /* the Leases: how it ends is told to them and on the claims */
	json_t *template;      /* of movers; NULL: none */
	struct events *events; /* NULL: nothing was begun */
	struct pod_hooks in_pods;
	struct azure_arm *azure;
	bool told[BACKUP_VOLUMES_MAX]; /* how it ended */
};
#define BACKUP_CLAIMS_NONE ((struct backup_claims){ .leases = CLAIM_LEASES_NONE })

/*
 * Takes the claims of n origins, at most BACKUP_VOLUMES_MAX, for a backup with these options, which
 * get the hooks, the cluster and what else is found; volumes get their names. What fails once a
 * Lease is held is told to it. backup_claims_close() is called in any case; options must outlive c.
 *   ERR_INVALID  hooks of a policy for claims of several namespaces
 *   ERR_TOO_BIG  too many hooks
 * and what claim_leases_open(), mover_template() and pod_hook_find() say.
 */
MUST_CHECK int backup_claims_open(struct backup_claims *c, struct backup_options *options,
                                  const char *const *origins, size_t n,
                                  struct point_volume *volumes, struct err *e);

/*
 * What their points tell of the claims, into the captures of n views, in the order of the origins.
 * What the cluster does not say of pods is left out, and logged.
 *   ERR_NOMEM
 */
MUST_CHECK int backup_claims_describe(struct backup_claims *c, struct moment_volume *views,
                                      size_t n, struct err *e);

/*
 * Reads the view of claim i of the moment to the commit; job is that of the volume. What is told of
 * the point is ret's, which the caller clears on success; moved as in claim_job_run(). Errors as
 * there, and ERR_BUSY: a Lease is not ours any more.
 */
MUST_CHECK int backup_claims_read(struct backup_claims *c, size_t i, const struct repo *r,
                                  struct job_params *job, struct moment *m, struct point *ret,
                                  struct store_traffic *moved, struct err *e);

/* How claim i ended, once its view is gone: p, or (NULL) why. Only the first time counts. */
void backup_claims_end(struct backup_claims *c, size_t i, const struct point *p,
                       const struct err *why);

/* The call has ended; what of it is not told yet ended so. -1: a Lease was lost, e says which. */
MUST_CHECK int backup_claims_end_all(struct backup_claims *c, const struct err *why, struct err *e);
void backup_claims_close(struct backup_claims *c);

#endif
