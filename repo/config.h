/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config of a repository (docs/FORMAT.md 4): its parameters, who can read
 * it and who signs, signed by the admin key.
 */
#ifndef AKSDR_REPO_CONFIG_H
#define AKSDR_REPO_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "repo/key.h"
#include "store/store.h"

#define CONFIG_KEY "config"
#define CONFIG_OBJECT_MAX (FORMAT_CONFIG_MAX + FORMAT_HEAD_BYTES + 4 + FORMAT_SIGNATURE_BYTES)

struct repo_params {
	uint8_t cipher;                     /* CIPHER_* */
	uint32_t cut_min, cut_avg, cut_max; /* content-defined chunks, bytes */
	uint32_t pack_bytes;                /* target of a pack */
	uint16_t features;                  /* FORMAT_FEATURE_* */
	/* signers that must agree before something is expired */
	unsigned signatures;
	bool single_writer; /* the store cannot keep writers apart */
};

/* The config of a new repository, signed by the admin key of recovery. */
MUST_CHECK int config_encode(const struct keys *recovery, const struct repo_params *p,
                             struct buf *b, struct err *e);

/*
 * Puts it, and looks whether the store refuses a second one.
 *   ERR_EXISTS       a repository is there already
 *   ERR_UNSUPPORTED  the store replaces objects
 */
MUST_CHECK int config_put(struct store *store, const struct buf *b, struct err *e);

/*
 * Reads it: parameters into params, recipients and signers into k; a recovery key gets the
 * repository secret.
 *   ERR_NOT_FOUND  no repository there
 *   ERR_DENIED     the key is of another repository, or neither recipient nor signer of it
 *   ERR_FORMAT     no config, or from a later version
 *   ERR_CORRUPT    damaged, or not signed by the admin
 */
MUST_CHECK int config_load(struct store *store, struct keys *k, struct repo_params *params,
                           struct err *e);

#endif
