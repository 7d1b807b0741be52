/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the server what we, or somebody else, may do; and for tokens. */
#ifndef AKSDR_KUBE_REVIEW_H
#define AKSDR_KUBE_REVIEW_H

#include "kube/kube.h"

struct review {
	const char *verb, *group, *resource, *sub, *ns, *name; /* NULL: any */
};

/* SelfSubjectAccessReview. why (may be NULL) gets what the server says, the caller frees. */
MUST_CHECK int review_self(struct kube *k, const struct review *what, bool *ret_allowed,
                           char **ret_why, struct err *e);
/* SubjectAccessReview of a user (and its groups, NULL-ended, may be NULL). */
MUST_CHECK int review_other(struct kube *k, const char *user, const char *const *groups,
                            const struct review *what, bool *ret_allowed, char **ret_why,
                            struct err *e);
/*
 * TokenRequest: a token of a service account for an audience. *ret is secret: the caller wipes it
 * and frees it.
 */
MUST_CHECK int review_token(struct kube *k, const char *ns, const char *account,
                            const char *audience, int64_t seconds, char **ret,
                            int64_t *ret_expires_s, struct err *e);

#endif
