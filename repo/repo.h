/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository: init, open, and its restore points. A `struct repo` is
 * read-only after repo_open() and may be used from any thread.
 */
#ifndef AKSDR_REPO_REPO_H
#define AKSDR_REPO_REPO_H

#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repo/config.h"
#include "repo/key.h"
#include "repo/point.h"
#include "store/store.h"

struct reseal;
struct fences;

struct repo {
	struct store *store;  /* borrowed */
	struct keys *keys;    /* owned */
	struct config config; /* owned: the newest revision */
	struct repo_params params;
	char state[512]; /* local directory of this repository's cache, made; "" for none */
	const struct cancel *cancel; /* may be NULL */
	struct reseal *reseal;       /* owned; of a recovery key: data keys sealed to it later */
	struct fences *fences;       /* owned; what the config says (repo/fence.h). NULL: none */
};

/*
 * Makes a repository in the store and its three key files in keys_dir
 * (created, mode 0700). Nothing is left behind in keys_dir when the store
 * refuses. passphrase NULL: recovery.key is not wrapped.
 *   ERR_EXISTS  a repository is there already, or a key file is
 */
MUST_CHECK int repo_init(struct store *store, const char *keys_dir, const char *passphrase,
                         struct err *e);

/*
 * The same in single-writer mode, for a store that cannot keep writers apart: it is not tried out
 * whether it creates objects only once.
 */
MUST_CHECK int repo_init_single(struct store *store, const char *keys_dir, const char *passphrase,
                                struct err *e);

/*
 * Opens the repository with a key file's keys (owned by the result). state
 * NULL or "": no cache, and no memory of the config. Opens the config, checks
 * its signature, gives a recovery key the repository secret.
 *   ERR_NOT_FOUND  no repository there
 *   ERR_DENIED     the key is of another repository, or no recipient or signer of it (any more)
 *   ERR_FORMAT     from a later version
 *   ERR_CORRUPT    the config is damaged, or older than what this machine has seen
 */
MUST_CHECK int repo_open(struct store *store, struct keys *take_keys, const char *state,
                         const struct cancel *cancel, struct repo **ret, struct err *e);
/* Each reference is freed once; what is opened has one. */
struct repo *repo_ref(struct repo *r);
void repo_free(struct repo *r);
static inline void clean_repo(struct repo *const *r)
{
	repo_free(*r);
}
#define auto_repo CLEANUP(clean_repo)

/*
 * store_open + keys_load + repo_open for programs; flags of store_open. The store is freed with
 * the repo. What the program does is recorded there (repo/trail.h).
 */
MUST_CHECK int repo_open_url(const char *url, unsigned store_flags, const char *key_path,
                             const char *passphrase_file, const char *state,
                             const struct cancel *cancel, struct repo **ret, struct err *e);

/*
 * Puts json as the next revision of the config; r goes by it from then on. Only while nobody else
 * uses r. Errors as config_put_next().
 */
MUST_CHECK int repo_change(struct repo *r, const json_t *json, uint16_t features, struct err *e);

/*
 * One point by its session name. ERR_NOT_FOUND, ERR_CORRUPT, ERR_FORMAT, ERR_DENIED. Caller
 * clears.
 */
MUST_CHECK int repo_point(const struct repo *r, const char *session, struct point *ret,
                          struct err *e);

/* The same with the store's time of receipt, for who has listed it: one request less. */
MUST_CHECK int repo_point_at(const struct repo *r, const char *session, int64_t received_ns,
                             struct point *ret, struct err *e);

/*
 * Calls each() for every point that counts (repo/living.h), in order of key; the point is valid
 * during the call. A commit that does not open goes to bad() (NULL: fails), but for one that does
 * not count, since its signer was revoked.
 * voltag: NULL, or only points of that volume.
 */
MUST_CHECK int repo_points(const struct repo *r, const char *voltag,
                           int (*each)(void *arg, const struct point *p, struct err *e),
                           int (*bad)(void *arg, const char *key, const struct err *why,
                                      struct err *e),
                           void *arg, struct err *e);

/*
 * The newest point of a volume by point_cmp(), expired or not, or ERR_NOT_FOUND. commits: as they
 * were listed; NULL: they are listed now.
 */
struct commit_list;
MUST_CHECK int repo_latest(const struct repo *r, const struct point_volume *v,
                           const struct commit_list *commits, struct point *ret, struct err *e);

/*
 * The point that a user's text names: "NAME", "NAME@latest", "NAME@ID" (at least 4 digits,
 * unique), "NAME@TIME" (newest whose frozen_ns is at or before it). Expired points are none. NAME
 * is a volume's name, or "namespace/name", or "cluster/namespace/name" as far as needed to be
 * unique.
 *   ERR_NOT_FOUND  none, or ambiguous (the message lists what there is)
 */
MUST_CHECK int repo_find(const struct repo *r, const char *text, struct point *ret, struct err *e);

#endif
