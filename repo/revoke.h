/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revoking a signer (docs/KEYS.md): from then on nothing that it signs counts,
 * but for the objects that are listed. A list is a note of kind 'V' that the
 * admin has signed, with SHA-256 hashes of whole objects; the config names it
 * by its own hash.
 */
#ifndef AKSDR_REPO_REVOKE_H
#define AKSDR_REPO_REVOKE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/progress.h"
#include "repo/repo.h"

/* Points that do not count are not collected before this: a mistake can be undone. */
#define REVOKE_GRACE_NS ((int64_t)7 * 86400 * 1000000000)

/*
 * Loads the lists that the config of r names, for repo_open(). One that does not open leaves its
 * signer `lost`: what that has signed then fails with ERR_CORRUPT.
 *   ERR_RETRY, ERR_NOMEM, ERR_CANCELLED, or the store's
 */
MUST_CHECK int revoke_load(struct repo *r, struct err *e);

struct revoke_params {
	const char *name; /* or id of the signer, 16 hexadecimal digits */
	/*
	 * What the store received before this time counts; 0: what it has when this runs. It is
	 * required for a signer that is revoked already: then the list is made anew.
	 */
	int64_t before_ns;
	bool accept_loss; /* although the store lacks restore points that it should have */
	bool dry_run;
	unsigned threads;               /* 0: two a CPU */
	struct progress_counts *counts; /* may be NULL; files are objects here */
	/* Told of each point that will not count; from one thread at a time. May be NULL. */
	int (*rejected)(void *arg, const char *session, int64_t received_ns, struct err *e);
	void *arg;
};

struct revoke_result {
	char name[KEY_NAME_MAX];
	uint8_t id[8];
	uint64_t revision;                         /* of the config that says so; 0 in a dry run */
	uint64_t accepted, rejected;               /* objects */
	uint64_t points_accepted, points_rejected; /* of them restore points */
	uint64_t kept;                             /* of a collection: count whenever they came */
	bool again;                                /* it was revoked before */
};

/*
 * Revokes. In three steps: a revision of the config that announces it, so that
 * no collection acts any more on what the signer signs; the list of what there
 * is by it; a revision that names the list. A run that was stopped between
 * them is finished by another one. r's config is the new one afterwards.
 *   ERR_NOT_FOUND  no such signer (the message lists what there is)
 *   ERR_DENIED     r's key is not the admin's
 *   ERR_INVALID    the time is in the future; or is missing, for one that is revoked already
 *   ERR_CORRUPT    the store hides or lost restore points that must be there
 *   ERR_BUSY       the keys were changed by somebody else meanwhile
 */
MUST_CHECK int revoke_run(struct repo *r, const struct revoke_params *params,
                          struct revoke_result *ret, struct err *e);

#endif
