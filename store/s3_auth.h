/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs the requests to S3: keys from the settings, or temporary ones that
 * a security token service gives for a web identity (AssumeRoleWithWebIdentity):
 * a token in a file that the cluster keeps fresh. Those are got anew when half
 * of their life is over, by one thread, while the others go on with the old ones.
 */
#ifndef AKSDR_STORE_S3_AUTH_H
#define AKSDR_STORE_S3_AUTH_H

#include "common/http.h"
#include "store/place.h"
#include "store/s3_sign.h"

struct s3_auth;

/*
 * Takes settings of the place (borrowed): AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN, else AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME and
 * AWS_ENDPOINT_URL_STS. http (borrowed) is used for exchanges, region also chooses where.
 *   ERR_DENIED   neither is there
 *   ERR_INVALID  only a part of one, or a service that is not reached by TLS
 *   ERR_NOMEM
 */
MUST_CHECK struct s3_auth *s3_auth_new(const struct place *place, struct http *http,
                                       const char *region, struct err *e);
void s3_auth_free(struct s3_auth *a);
static inline void clean_s3_auth(struct s3_auth *const *a)
{
	s3_auth_free(*a);
}
#define auto_s3_auth CLEANUP(clean_s3_auth)

/*
 * Signs by s3_sign(), after it has got credentials, if need be. Thread-safe.
 *   as s3_sign(); of the exchange: ERR_RETRY, ERR_DENIED, ERR_NOT_FOUND (the file of the token),
 *   ERR_FORMAT, ERR_CANCELLED
 */
MUST_CHECK int s3_auth_sign(struct s3_auth *a, struct wire *w, const struct s3_scope *scope,
                            const char *payload, struct err *e);

/*
 * The service said that the credentials have expired. True: others will be got for the next
 * request, so it is worth to try again; false: there are none, or they are new.
 */
bool s3_auth_renew(struct s3_auth *a, int64_t now_ns);

/*
 * When credentials that were got at got_ns and expire at expires_ns are to be renewed: at half of
 * their life, at the latest five minutes before its end. Pure.
 */
int64_t s3_auth_due_ns(int64_t got_ns, int64_t expires_ns);

#endif
