/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How records of the audit trail get into the store: spooled in the state
 * directory first (repo/audit_spool.h), then put as batches, each record in
 * exactly one of them whatever dies in between. One process of a state
 * directory puts at a time, the others wait for it.
 */
#ifndef AKSDR_REPO_AUDIT_WRITER_H
#define AKSDR_REPO_AUDIT_WRITER_H

#include "repo/audit_batch.h"
#include "repo/repo.h"

/* Adds a record (borrowed) to the spool of r's state directory. ERR_UNSUPPORTED: r has none. */
MUST_CHECK int audit_writer_spool(const struct repo *r, const json_t *record, struct err *e);

/*
 * Puts all that waits there. What cannot be put stays. Takes one PUT a batch; nothing when nothing
 * waits.
 *   ERR_DENIED  the key cannot sign
 */
MUST_CHECK int audit_writer_flush(const struct repo *r, struct err *e);

/*
 * Whether it is time to: the oldest record is older than max_age_s, or there are many. 1, 0; -1
 * with e.
 */
MUST_CHECK int audit_writer_due(const struct repo *r, int64_t max_age_s, struct err *e);

/* Puts one record as a chain of its own: for who has no place to keep it. */
MUST_CHECK int audit_writer_put_alone(const struct repo *r, const json_t *record, struct err *e);

#endif
