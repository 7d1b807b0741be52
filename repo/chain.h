/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains: notes that are numbered from 1 below one prefix, each number once
 * (docs/FORMAT.md 17): the journal of a run, who serves a plan. Who adds a
 * record has read all before it; when its number is taken meanwhile, somebody
 * else acts, and nothing is added. That is how two who act on the same thing
 * are kept apart, without a lock.
 *
 * A chain is of one thread at a time.
 */
#ifndef AKSDR_REPO_CHAIN_H
#define AKSDR_REPO_CHAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/note.h"

#define CHAIN_RECORDS_MAX 100000 /* that are listed at once */

struct chain {
	char prefix[NOTE_KEY_MAX];
	char kind;
	uint64_t next;    /* number of the record that comes */
	uint64_t missing; /* numbers that were not there, but later ones were */
	bool listed;
};

/* prefix: without a slash at its end. */
void chain_init(struct chain *c, char kind, const char *prefix);

/*
 * Reads the records from c->next on, in order, until there is none. The first reading lists the
 * chain, so that one behind a gap is found: a second region may show a record before the one before
 * it. Later ones ask for the next number alone, one request when nothing came. Records of a signer
 * that was revoked are passed over: they have their number and say nothing.
 *   ERR_CORRUPT, ERR_DENIED, ERR_FORMAT  a record does not open: nobody can say what it says
 *   ERR_TOO_BIG                          there are more than CHAIN_RECORDS_MAX
 *   others                               of each(), of the store
 */
MUST_CHECK int chain_read(const struct repo *r, struct chain *c,
                          int (*each)(void *arg, uint64_t n, const json_t *record,
                                      const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e),
                          void *arg, struct err *e);

/*
 * Adds a record (borrowed) as number c->next. A put whose answer was lost, and which stands there,
 * is success.
 *   ERR_BUSY    somebody else has added one meanwhile: read on before anything else
 *   ERR_DENIED  this key file cannot sign
 */
MUST_CHECK int chain_add(const struct repo *r, struct chain *c, const json_t *record,
                         struct err *e);

#endif
