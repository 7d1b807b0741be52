/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of who may read and sign, and of rules (docs/KEYS.md); revoking is
 * in repo/revoke.h. Each is one revision of the config. r is opened with the
 * admin's recovery key, and goes by the new config afterwards.
 *
 * Each call can be repeated after it was stopped anywhere: a key file that an
 * earlier call has written is taken up, and what is done already is no error.
 *
 * All of them (dry_run: it is looked whether it can be done, and nothing is written):
 *   ERR_DENIED  r's key is not the admin's
 *   ERR_BUSY    the keys were changed by somebody else meanwhile
 */
#ifndef AKSDR_REPO_REKEY_H
#define AKSDR_REPO_REKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/repo.h"

struct rekey_result {
	uint64_t revision; /* of the config that says so */
	bool already;      /* it was so before */
	bool taken_up;     /* the key file is one that an earlier call has written */
	uint8_t id[8];     /* of the key */
};

/*
 * A new agent key in the file `out` (mode 0600, never replaced), with a signing key of its own.
 *   ERR_EXISTS   the name is taken; or the file is, and is no key file of this kind of the
 *                repository that is still to be named
 *   ERR_INVALID  the name
 */
MUST_CHECK int rekey_add_agent(struct repo *r, const char *name, const char *out, bool dry_run,
                               struct rekey_result *ret, struct err *e);

/*
 * A new recovery key without admin key in the file; passphrase NULL: not wrapped. Errors as above.
 */
MUST_CHECK int rekey_add_recipient(struct repo *r, const char *name, const char *out,
                                   const char *passphrase, bool dry_run, struct rekey_result *ret,
                                   struct err *e);

/*
 * New packs are no longer sealed to it, and it no longer opens the config. name: or its id.
 *   ERR_NOT_FOUND  no such recipient (the message lists what there is)
 *   ERR_INVALID    it is the admin's own, or the last
 */
MUST_CHECK int rekey_remove_recipient(struct repo *r, const char *name, bool dry_run,
                                      struct rekey_result *ret, struct err *e);

/* ERR_INVALID: not 1 or 2; or more than there are agent keys. */
MUST_CHECK int rekey_require_signatures(struct repo *r, unsigned n, bool dry_run,
                                        struct rekey_result *ret, struct err *e);

/* Sets the features that this program knows. */
MUST_CHECK int rekey_upgrade(struct repo *r, bool dry_run, struct rekey_result *ret, struct err *e);

/* The recipient of this name or id; NULL: none, and e lists what there is. */
const struct key_recipient *rekey_recipient(const struct keys *k, const char *name, struct err *e);

#endif
