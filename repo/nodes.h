/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading tree nodes many at a time, pack by pack: neighbours in one read,
 * each decrypted, its id compared, and handed to a visitor. What a check and
 * a collection go through trees with; a restore goes along one path at a time
 * (repo/tree.h).
 */
#ifndef AKSDR_REPO_NODES_H
#define AKSDR_REPO_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/crypt.h"
#include "repo/refset.h"
#include "repo/repo.h"

/* A dedup domain by number. */
struct nodes_domain {
	const struct domain_keys *keys;
	const struct crypt_hasher *node;
};

struct nodes_call {
	const struct repo *repo;
	/* The domain that items of this number are of. */
	struct nodes_domain (*domain)(void *arg, uint16_t number);
	/* As store_get(), where reads are counted or cached. */
	int (*get)(void *arg, const char *key, uint64_t off, void *p, size_t n, struct err *e);
	/*
	 * A node that was opened. 0; 1: it does not decode, e says why; -1: all ends.
	 */
	int (*visit)(void *arg, const struct refset_item *item, const uint8_t *plain, size_t n,
	             struct err *e);
	/* A node that cannot be had; 0, or -1 with e: all ends. */
	int (*bad)(void *arg, const struct refset_item *item, const struct err *why, struct err *e);
	void *arg;
	unsigned level; /* of all nodes in the call */
};

/* Buffers of one thread. */
struct nodes;
struct nodes *nodes_new(void); /* NULL: no memory */
void nodes_free(struct nodes *n);

/*
 * Visits n nodes of one pack, sorted by offset. len: of the object. Errors of
 * single nodes go to bad(), and so does each node of a pack whose header does not open;
 * *ret_header (may be NULL) then says why it does not.
 *   ERR_NOMEM, ERR_RETRY, ERR_CANCELLED, what visit() and bad() return
 */
MUST_CHECK int nodes_read(struct nodes *x, const struct nodes_call *c,
                          const uint8_t pack[FORMAT_PACK_ID_BYTES], uint64_t len,
                          const struct refset_item *items, size_t n, struct err *ret_header,
                          struct err *e);

/* True for an error of one object; others end what is under way. */
bool nodes_is_finding(const struct err *e);

#endif
