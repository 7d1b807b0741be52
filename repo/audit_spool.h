/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the audit trail that are on their way: files in the state
 * directory, which several processes append to under a lock. What audit_spool_add()
 * has taken is durable. Each file becomes one batch: it is closed before the
 * first attempt to put it, so that a batch which is tried again is the same.
 */
#ifndef AKSDR_REPO_AUDIT_SPOOL_H
#define AKSDR_REPO_AUDIT_SPOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#define AUDIT_SPOOL_FILES_MAX 64
#define AUDIT_SPOOL_FILE_BYTES (512 * KIB) /* and one record more */
#define AUDIT_SPOOL_FILE_RECORDS 500

struct audit_spool {
	int dir;  /* -1: there is none */
	int lock; /* of the files */
};
#define AUDIT_SPOOL_NONE ((struct audit_spool){ .dir = -1, .lock = -1 })

/* In a repository's state directory. */
MUST_CHECK int audit_spool_open(const char *state, struct audit_spool *ret, struct err *e);
void audit_spool_close(struct audit_spool *s);
#define auto_audit_spool CLEANUP(audit_spool_close)

/*
 * Appends a record (borrowed), durably; after a failure it is not there.
 *   ERR_QUOTA    as many wait already as may
 *   ERR_TOO_BIG  it is longer than a record may be
 */
MUST_CHECK int audit_spool_add(struct audit_spool *s, const json_t *record, struct err *e);

struct audit_spool_file {
	uint64_t number;  /* of the file; 0: there is none */
	json_t *records;  /* owned: an array, not empty */
	uint64_t damaged; /* lines that are not what was written, and are lost */
	int64_t changed_ns;
	uint8_t hash[32]; /* of all of it */
};
void audit_spool_file_clear(struct audit_spool_file *f);

/*
 * Closes the oldest file that has something in it, and reads it. The one with the hash `done` has
 * been put before, and is removed.
 */
MUST_CHECK int audit_spool_take(struct audit_spool *s, const uint8_t done[32],
                                struct audit_spool_file *ret, struct err *e);

/* It has been put. */
void audit_spool_drop(struct audit_spool *s, uint64_t number);

/* What waits: when the oldest was begun (0: nothing does), and whether a file is full. */
MUST_CHECK int audit_spool_look(struct audit_spool *s, int64_t *ret_oldest_ns, bool *ret_full,
                                struct err *e);

/*
 * The lines of a file; a last one that has no end was never acknowledged, and is none. For
 * audit_spool_take(), tests and fuzzing.
 */
MUST_CHECK int audit_spool_parse(const uint8_t *p, size_t n, json_t **ret_records,
                                 uint64_t *ret_damaged, struct err *e);

#endif
