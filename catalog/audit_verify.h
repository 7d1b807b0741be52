/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the audit trail whole? From the catalog's copy alone: each chain from
 * hash to hash, what anchors say of it, and what chains say of those before
 * them. With the store: that it still has what the copy has, as it was.
 */
#ifndef AKSDR_CATALOG_AUDIT_VERIFY_H
#define AKSDR_CATALOG_AUDIT_VERIFY_H

#include "catalog/catalog.h"
#include "repo/repo.h"

enum audit_finding_kind {
	AUDIT_EDITED,  /* a record, batch or anchor is not what its hash is of */
	AUDIT_CUT,     /* something that others name is missing */
	AUDIT_FORKED,  /* two contents where one should be */
	AUDIT_UNREAD,  /* an object that does not open, or whose signer does not count */
	AUDIT_ROLLED,  /* less than what was seen before */
	AUDIT_CHANGED, /* the store has other bytes than it had */
	AUDIT_GONE,    /* the store has it no longer */
	AUDIT_TWICE    /* a record that came twice: its writer lost what it knew. No damage */
};
#define AUDIT_FINDINGS 8
const char *audit_verify_kind_name(enum audit_finding_kind kind);

struct audit_finding {
	enum audit_finding_kind kind;
	const char *writer; /* "" : an anchor, or the whole */
	uint64_t number;    /* of the batch or anchor; 0: of none */
	uint64_t place;     /* of the record in its chain; 0: of none */
	int64_t at_ns;      /* of the record, or the time of receipt; 0: not known */
	const char *text;   /* what is wrong, and what to do */
};

struct audit_verify_params {
	const struct repo *repo; /* NULL: the copy alone */
	const char *head;        /* noted elsewhere, as audit_verify_head() told it; or NULL */
	const char *state;       /* the repository's state directory, for what was seen; or NULL */
	/* -1 with e ends it */
	int (*found)(void *arg, const struct audit_finding *f, struct err *e);
	void *arg;
};

struct audit_verify_result {
	uint64_t records, batches, writers, anchors;
	uint64_t findings; /* but for AUDIT_TWICE */
	uint64_t later;    /* records that no anchor stands for yet */
	uint64_t unsynced; /* batches that the store has, and the copy not yet */
};

/* Findings are no errors. Remembers what was seen in the state directory when there are none. */
MUST_CHECK int audit_verify(struct catalog *c, const struct audit_verify_params *p,
                            struct audit_verify_result *ret, struct err *e);

/* The newest anchor as NUMBER-HASH, to be noted elsewhere. ERR_NOT_FOUND: there is none. */
#define AUDIT_HEAD_MAX 96
MUST_CHECK int audit_verify_head(struct catalog *c, char ret[AUDIT_HEAD_MAX], struct err *e);

#endif
