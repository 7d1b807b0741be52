/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the audit trail (docs/FORMAT.md 18): who did what to what, why,
 * and what came of it. Each is in a chain of hashes, so that none can be
 * changed, taken out or put in between without those behind it telling. Pure.
 */
#ifndef AKSDR_REPO_AUDIT_RECORD_H
#define AKSDR_REPO_AUDIT_RECORD_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

#define AUDIT_RECORD_SCHEMA "aksdr/audit/v1"
#define AUDIT_RECORD_MAX 32768 /* bytes of one, as canonical text */
#define AUDIT_OBJECTS_MAX 32   /* that are named; there may be more */
#define AUDIT_OBJECT_MAX 255   /* bytes of a name */
#define AUDIT_TEXT_MAX 1024    /* bytes of a reason, of an error */
#define AUDIT_NAME_MAX 255     /* bytes of who it was, where, by which program */
#define AUDIT_ACT_MAX 63       /* bytes of what was done */
#define AUDIT_ID_LEN 32        /* hexadecimal digits of a record's name */
#define AUDIT_HASH_BYTES 32

/* What came of it. BEGUN: the record was put before it was over, and another one tells the end. */
enum audit_result { AUDIT_BEGUN, AUDIT_DONE, AUDIT_PARTLY, AUDIT_FAILED, AUDIT_CANCELLED };
#define AUDIT_RESULTS 5
const char *audit_record_result_name(enum audit_result result);
/* By the exit status that it ended with. */
enum audit_result audit_record_result_of(int status);

/* Texts are borrowed; "" where nothing is to be said. */
struct audit_record {
	char id[AUDIT_ID_LEN + 1]; /* random: one that is there twice is told by it */
	int64_t at_ns;             /* when it began, by the clock of who acted */
	int64_t took_ms;
	const char *act;
	const char *objects[AUDIT_OBJECTS_MAX];
	size_t nobjects;
	uint64_t object_count; /* at least nobjects */
	const char *why;
	enum audit_result result;
	int status;        /* exit status */
	const char *error; /* the sentence, unless it was done */
	const char *signer;
	const char *user, *host, *program, *version;
	const char *account, *pod; /* in a cluster: by its token, and not verified */
	const char *run;           /* of which it was a step: 32 hexadecimal digits, or "" */
};

/* Made up and long texts are cut and made one line. NULL with e; the caller decrefs. */
MUST_CHECK json_t *audit_record_json(const struct audit_record *r, struct err *e);

/*
 * Reads one; texts are borrowed from o. Members that are not known here count for the hash alone.
 *   ERR_FORMAT  it is none
 */
MUST_CHECK int audit_record_read(const json_t *o, const char *what, struct audit_record *ret,
                                 struct err *e);

/* The hash of a record behind one with the hash `before`. ERR_TOO_BIG, ERR_NOMEM. */
MUST_CHECK int audit_record_hash(const uint8_t before[AUDIT_HASH_BYTES], const json_t *o,
                                 uint8_t ret[AUDIT_HASH_BYTES], struct err *e);

/* The same of its canonical text, which is not looked at. */
void audit_record_hash_text(const uint8_t before[AUDIT_HASH_BYTES], const void *text, size_t n,
                            uint8_t ret[AUDIT_HASH_BYTES]);

#endif
