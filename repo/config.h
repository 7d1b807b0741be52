/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config of a repository (docs/FORMAT.md 4, docs/KEYS.md): its parameters,
 * who can read it and who signs. It is signed by the admin key. `config` is
 * the first revision and never changes; each later one is a whole config
 * again, and the newest counts.
 *
 * Whoever can write to the store can put objects beside the revisions. What
 * the admin did not sign, or signed under another number, does not count.
 */
#ifndef AKSDR_REPO_CONFIG_H
#define AKSDR_REPO_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/key.h"
#include "store/store.h"

#define CONFIG_KEY "config"
#define CONFIG_REVISIONS "ctl/config"
#define CONFIG_OBJECT_MAX (FORMAT_CONFIG_MAX + FORMAT_HEAD_BYTES + 4 + FORMAT_SIGNATURE_BYTES)
#define CONFIG_SIGNATURES_MAX 2

struct repo_params {
	uint8_t cipher;                     /* CIPHER_* */
	uint32_t cut_min, cut_avg, cut_max; /* content-defined chunks, bytes */
	uint32_t pack_bytes;                /* target of a pack */
	uint16_t features;                  /* FORMAT_FEATURE_* */
	/* signers that must agree before something is expired */
	unsigned signatures;
	bool single_writer; /* the store cannot keep writers apart */
	uint64_t revision;  /* of the config, from 1 */
	uint64_t foreign;   /* objects beside the revisions that do not count */
};

/* One revision, authentic. */
struct config {
	uint64_t revision;
	uint16_t features;
	uint8_t hash[32]; /* SHA-256 of the object */
	json_t *json;     /* owned */
	uint64_t foreign; /* objects beside the revisions that do not count */
};
void config_clear(struct config *c);

/* Key of a revision. */
void config_key(uint64_t revision, char ret[32]);

/* The config of a new repository, signed by the admin key of recovery. */
MUST_CHECK int config_encode(const struct keys *recovery, const struct repo_params *p,
                             struct buf *b, struct err *e);

/*
 * Puts it, and, unless p says that there is a single writer, looks whether the
 * store refuses a second one.
 *   ERR_EXISTS       a repository is there already
 *   ERR_UNSUPPORTED  the store replaces objects
 */
MUST_CHECK int config_put(struct store *store, const struct repo_params *p, const struct buf *b,
                          struct err *e);

/*
 * Reads the newest revision that counts. k: any key of the repository, as read from its file.
 *   ERR_NOT_FOUND  no repository there
 *   ERR_DENIED     the key is of another repository
 *   ERR_FORMAT     no config, or from a later version
 *   ERR_CORRUPT    damaged, or not signed by the admin
 * Clear ret with config_clear().
 */
MUST_CHECK int config_load(struct store *store, const struct keys *k, struct config *ret,
                           struct err *e);

/*
 * What it says goes into params and k: recipients, signers, and for a recovery key the
 * repository secret.
 *   ERR_DENIED   the key is no recipient, no signer, or a signer that was revoked
 *   ERR_FORMAT, ERR_CORRUPT
 */
MUST_CHECK int config_apply(const struct config *c, struct keys *k, struct repo_params *params,
                            struct err *e);

/*
 * Puts the revision after `before`: json (borrowed) is the whole config, whose members `revision`
 * and `previous` are set here. After any other failure than these it may be there, or not.
 *   ERR_DENIED  admin has no admin key
 *   ERR_BUSY    another revision was put meanwhile
 */
MUST_CHECK int config_put_next(struct store *store, const struct keys *admin,
                               const struct config *before, const json_t *json, uint16_t features,
                               struct config *ret, struct err *e);

/*
 * ERR_BUSY when the store has a later revision than this one, which those who act on what keys
 * have signed must know. One LIST.
 */
MUST_CHECK int config_still(struct store *store, const struct keys *k, uint64_t revision,
                            struct err *e);

/*
 * The newest revision after this one. 0; 1: there is none, and ret is not set; -1: e. For who has
 * worked by an older one and asks whether that still counts. One LIST. Clear with config_clear().
 */
MUST_CHECK int config_newer(struct store *store, const struct keys *k, uint64_t revision,
                            struct config *ret, struct err *e);

/* Whether it says that this signer is revoked. */
bool config_revokes(const struct config *c, const uint8_t public[32]);

/*
 * Goes through all revisions: each must name the hash of the one before it. bad() is told of each
 * object that does not fit; text is a sentence without its subject.
 */
MUST_CHECK int config_chain(struct store *store, const struct keys *k,
                            int (*bad)(void *arg, const char *key, const char *text, struct err *e),
                            void *arg, struct err *e);

/* ---- parts, for who reads or changes a config ---- */

/* Member `key` of o, {`object`, `hash`}: an object that the config names. ERR_FORMAT. */
MUST_CHECK int config_named(const json_t *o, const char *what, const char *key,
                            struct key_list *ret, struct err *e);

/*
 * Member `accepted` of o: the lists of what still counts. Without it *ret_closing is true: that is
 * still to be said. *ret is malloc'ed. ERR_FORMAT, ERR_NOMEM
 */
MUST_CHECK int config_accepted(const json_t *o, const char *what, struct key_list **ret,
                               size_t *ret_n, bool *ret_closing, struct err *e);

/* The number of the member of an array of recipients or signers that has this key; -1: none. */
int config_member(const json_t *array, const uint8_t public[32]);

/* A member of `recipients`: the repository secret of admin sealed to public. NULL: e. */
MUST_CHECK json_t *config_recipient_json(const struct keys *admin, const uint8_t public[32],
                                         const char *name, struct err *e);
/* A member of `signers`. NULL: e. */
MUST_CHECK json_t *config_signer_json(const uint8_t public[32], const char *name, struct err *e);

#endif
