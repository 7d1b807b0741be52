/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's copy of the audit trail (docs/AUDIT.md): batches and anchors
 * that are new in the store are added. A writer's chain is of one day, so
 * that what is new is listed from two days before the last sync on; once a
 * week all is listed.
 */
#ifndef AKSDR_CATALOG_AUDIT_SYNC_H
#define AKSDR_CATALOG_AUDIT_SYNC_H

#include "catalog/catalog.h"
#include "repo/repo.h"

struct audit_sync_result {
	uint64_t batches, records, anchors; /* that are new here */
	uint64_t unread;                    /* objects that could not be taken over */
};

MUST_CHECK int audit_sync(struct catalog *c, const struct repo *r, int64_t now_ns,
                          struct audit_sync_result *ret, struct err *e);

/*
 * Puts an anchor of what has grown since the newest one that the copy has. *ret_number: 0 when
 * nothing has, and nothing was put. The copy is brought up to date first.
 *   ERR_DENIED  the key cannot sign
 */
MUST_CHECK int audit_sync_anchor(struct catalog *c, const struct repo *r, int64_t now_ns,
                                 uint64_t *ret_number, struct err *e);

/* When the newest anchor was put; 0: there is none. */
MUST_CHECK int audit_sync_anchored(struct catalog *c, int64_t *ret_ns, struct err *e);

#endif
