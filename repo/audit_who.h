/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who acts, for records of the audit trail: user and host, and within a
 * cluster the service account and the pod that the mounted token names. The
 * token's signature is not looked at: it says who this is meant to be.
 */
#ifndef AKSDR_REPO_AUDIT_WHO_H
#define AKSDR_REPO_AUDIT_WHO_H

#include <stddef.h>

#include "repo/audit_record.h"
#include "repo/note.h"

struct audit_who {
	struct note_actor actor;
	char account[AUDIT_NAME_MAX + 1]; /* "system:serviceaccount:NAMESPACE:NAME", or "" */
	char pod[AUDIT_NAME_MAX + 1];     /* "NAMESPACE/NAME", or "" */
};

void audit_who(struct audit_who *ret);

/* What a token says: account and pod, "" where it does not. For audit_who(), tests and fuzzing. */
void audit_who_token(const char *token, size_t n, struct audit_who *ret);

#endif
