/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature Version 4 of AWS, in the header `authorization` ("Authenticating
 * Requests: Using the Authorization Header" of the S3 API reference). Pure.
 */
#ifndef AKSDR_STORE_S3_SIGN_H
#define AKSDR_STORE_S3_SIGN_H

#include <sys/uio.h>

#include "store/wire.h"

/* The payload is not part of the signature: over TLS, which protects it. */
#define S3_SIGN_UNSIGNED "UNSIGNED-PAYLOAD"
/* SHA-256 of no bytes. */
#define S3_SIGN_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Who signs. Borrowed. */
struct s3_keys {
	const char *id;
	const char *secret;
	const char *token; /* of a session, or NULL */
};

struct s3_scope {
	const char *region;
	const char *service; /* "s3"; another one has no x-amz-content-sha256 */
	int64_t now_ns;      /* wall clock */
};

/*
 * Adds the headers host, x-amz-date, x-amz-content-sha256, x-amz-security-token and authorization,
 * and sorts the wire; all headers are signed. payload: SHA-256 in hex, or S3_SIGN_UNSIGNED. A
 * header that the wire has already is not added.
 *   as wire_check()
 */
MUST_CHECK int s3_sign(struct wire *w, const struct s3_keys *keys, const struct s3_scope *scope,
                       const char *payload, struct err *e);

/* Appends what the signature is made of: the canonical request. The wire is sorted. */
void s3_sign_canonical(struct wire *w, const char *payload, struct buf *ret);

/* SHA-256 of the pieces. ERR_NOMEM. */
MUST_CHECK int s3_sign_hash(const struct iovec *iov, int niov, uint8_t ret[32], struct err *e);

#endif
