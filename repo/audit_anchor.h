/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors of the audit trail (docs/FORMAT.md 18): a chain of statements, one
 * a day at most, that say where each writer was whose chain had grown, and
 * name the statement before. So who takes a whole short chain away, or the end
 * of a long one, contradicts an anchor; and one line noted elsewhere, the
 * newest anchor's number and hash, stands for everything up to it.
 */
#ifndef AKSDR_REPO_AUDIT_ANCHOR_H
#define AKSDR_REPO_AUDIT_ANCHOR_H

#include "repo/audit_batch.h"
#include "repo/chain.h"

#define AUDIT_ANCHOR_SCHEMA "aksdr/audit-anchor/v1"
#define AUDIT_ANCHOR_PREFIX "ctl/audit"
#define AUDIT_ANCHOR_HEADS_MAX 10000

struct audit_anchor {
	int64_t at_ns;
	uint64_t records; /* in the whole trail */
	uint8_t previous[AUDIT_HASH_BYTES];
	const char *user, *host; /* borrowed */
	const json_t *heads;     /* borrowed */
};

/* The chain of anchors, of which nothing was read yet. */
void audit_anchor_open(struct chain *ret);

/* An anchor of these heads (an array of audit_batch_head_json(), borrowed). NULL with e. */
MUST_CHECK json_t *audit_anchor_json(const uint8_t previous[AUDIT_HASH_BYTES], uint64_t records,
                                     const json_t *heads, int64_t now_ns, struct err *e);

/* ERR_FORMAT unless it is one, all heads included. */
MUST_CHECK int audit_anchor_read(const json_t *o, const char *what, struct audit_anchor *ret,
                                 struct err *e);

/* The hash of its canonical text. */
void audit_anchor_hash(const void *text, size_t n, uint8_t ret[AUDIT_HASH_BYTES]);

#endif
