/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of records of the audit trail (docs/FORMAT.md 18): notes below
 * audit/WRITER/, numbered from 1, that carry the hash before their first
 * record and behind their last one. A writer is a chain of one day and one
 * state directory; the next one of that directory names where it ended.
 */
#ifndef AKSDR_REPO_AUDIT_BATCH_H
#define AKSDR_REPO_AUDIT_BATCH_H

#include <stdbool.h>

#include "repo/audit_record.h"
#include "repo/note.h"

#define AUDIT_BATCH_SCHEMA "aksdr/audit-batch/v1"
#define AUDIT_PREFIX "audit/"
#define AUDIT_WRITER_LEN 43 /* "2026-11-22-" and 32 hexadecimal digits */
#define AUDIT_BATCH_RECORDS_MAX 1000
#define AUDIT_BATCH_BYTES_MAX (2 * MIB) /* of its records, as canonical text */

/* Where a chain is. All zero: of none. */
struct audit_head {
	char writer[AUDIT_WRITER_LEN + 1];
	uint64_t number;  /* of its newest batch; 0: there is none yet */
	uint64_t records; /* in it so far */
	uint8_t hash[AUDIT_HASH_BYTES];
};

struct audit_batch {
	struct audit_head before;    /* number and records are those before this batch */
	struct audit_head after;     /* as this batch says */
	struct audit_head continues; /* of a first batch: where the one before ended; or none */
	const json_t *records;       /* borrowed */
	size_t n;
};

/* True for the name of a writer. */
bool audit_batch_writer_valid(const char *text);
/* A new one, of the day of this time. */
void audit_batch_writer_new(int64_t now_ns, char ret[AUDIT_WRITER_LEN + 1]);
/* Key of a batch, and the way back. false: it is none. */
void audit_batch_key(const char *writer, uint64_t number, char ret[NOTE_KEY_MAX]);
bool audit_batch_key_parse(const char *key, char ret_writer[AUDIT_WRITER_LEN + 1],
                           uint64_t *ret_number);

/* The chain of a writer before its first record; continues: of none, or another writer's end. */
void audit_batch_begin(const char *writer, const struct audit_head *continues,
                       struct audit_head *ret);

/*
 * The batch of these records (an array, borrowed) behind `before`; ret_after is where the chain is
 * then. NULL with e: ERR_TOO_BIG, ERR_NOMEM. The caller decrefs.
 */
MUST_CHECK json_t *audit_batch_json(const struct audit_head *before,
                                    const struct audit_head *continues, const json_t *records,
                                    struct audit_head *ret_after, struct err *e);

/*
 * Reads one, and follows its records from hash to hash. key: of the object that it is.
 *   ERR_FORMAT   it is none
 *   ERR_CORRUPT  it is of another name, or a hash does not fit
 */
MUST_CHECK int audit_batch_read(const json_t *o, const char *key, struct audit_batch *ret,
                                struct err *e);

/* True when b is the next one behind this place. */
bool audit_batch_follows(const struct audit_head *place, const struct audit_batch *b);

/* {writer, number, records, hash}, and the way back. NULL, ERR_NOMEM; ERR_FORMAT */
json_t *audit_batch_head_json(const struct audit_head *h);
MUST_CHECK int audit_batch_head_read(const json_t *o, const char *what, struct audit_head *ret,
                                     struct err *e);

#endif
