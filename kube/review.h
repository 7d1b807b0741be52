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
#define REVIEW_VERB_MAX 16
/*
 * The next of verbs (one blank between them) into verb, a text of REVIEW_VERB_MAX bytes; *at begins
 * as 0. False: there is no further one.
 */
bool review_verb(const char *verbs, size_t *at, char *verb);

/*
 * Whether we may do each of some verbs with a resource, as "pods" or "pods/log"; ns NULL: in the
 * cluster. missing (may be NULL) is told of each that we may not. *ret_missing: how many.
 */
struct review_verbs {
	const char *group, *resource, *verbs, *ns;
	void (*missing)(void *arg, const char *verb);
	void *arg;
};
MUST_CHECK int review_self_verbs(struct kube *k, const struct review_verbs *r, unsigned *ret_asked,
                                 unsigned *ret_missing, struct err *e);

/* SubjectAccessReview of a user (and its groups, NULL-ended, may be NULL). */
MUST_CHECK int review_other(struct kube *k, const char *user, const char *const *groups,
                            const struct review *what, bool *ret_allowed, char **ret_why,
                            struct err *e);
/*
 * TokenReview: whose token it is. *ret (the caller decrefs): username, uid, groups and extra as the
 * server says, or NULL: nobody's, or not for this audience. audience NULL: the server's own.
 */
MUST_CHECK int review_bearer(struct kube *k, const char *token, const char *audience, json_t **ret,
                             struct err *e);
/* SubjectAccessReview of such a person, for a path that is no resource, as "/aksdr". */
MUST_CHECK int review_url(struct kube *k, const json_t *person, const char *verb, const char *path,
                          bool *ret_allowed, struct err *e);
/*
 * TokenRequest: a token of a service account for an audience. *ret is secret: the caller wipes it
 * and frees it.
 */
MUST_CHECK int review_token(struct kube *k, const char *ns, const char *account,
                            const char *audience, int64_t seconds, char **ret,
                            int64_t *ret_expires_s, struct err *e);

#endif
