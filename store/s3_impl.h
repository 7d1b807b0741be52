/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the S3 driver share. Nobody else includes it. */
#ifndef AKSDR_STORE_S3_IMPL_H
#define AKSDR_STORE_S3_IMPL_H

#include <stdatomic.h>

#include "common/http.h"
#include "store/place.h"
#include "store/s3_auth.h"
#include "store/store.h"
#include "store/wire.h"

#define S3_LOCK_MODE "x-amz-object-lock-mode"
#define S3_UNTIL "x-amz-object-lock-retain-until-date"

enum s3_checksum { S3_CRC64, S3_SHA256, S3_NO_CHECKSUM };

struct s3 {
	struct store base;
	struct place place; /* its host is the bucket, its rest the prefix */
	struct http *http;
	struct s3_auth *auth;
	char *service; /* base URL, with the bucket in the host or not */
	bool path_style;
	bool tls;
	const char *region;
	const char *class; /* of packs, or NULL */
	const char *lock_mode;
	bool legal_hold;
	enum s3_checksum checksum;
	uint64_t part_bytes;
	atomic_int_least64_t ahead_s; /* the service's clock before ours, as last heard */
};

/* ---- one request ---- */

struct s3_ask {
	struct s3 *s;
	enum store_call call;
	struct wire w;
	struct http_request rq;
	struct http_answer answer;
	char payload[65]; /* SHA-256 of the body when it is known already, or "" */
	char code[64];    /* of an answer that is no success */
};

/* For the object key, or (NULL) for the bucket. ERR_NOMEM. */
MUST_CHECK struct s3_ask *s3_ask_new(struct s3 *s, enum store_call call, const char *method,
                                     const char *key, struct err *e);
void s3_ask_free(struct s3_ask *x);
static inline void clean_s3_ask(struct s3_ask *const *x)
{
	s3_ask_free(*x);
}
#define auto_s3_ask CLEANUP(clean_s3_ask)

/* 0: a success, whose answer is in x. Credentials that have expired are replaced once. */
MUST_CHECK int s3_ask_send(struct s3_ask *x, struct err *e);

/* What an answer means that is no success, or an error in one that is. Returns -1. */
int s3_explain(const struct s3 *s, enum store_call call, const struct http_answer *a,
               const char *code, const char *message, const char *region, struct err *e);

static inline int s3_no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a request");
}

/* A checksum as it is sent. */
struct s3_sum {
	char s[48];
};

/* Adds that of the body; a hash is also what the signature takes. ret->s: "" without one. */
MUST_CHECK int s3_add_checksum(struct s3_ask *x, const struct iovec *iov, int niov,
                               struct s3_sum *ret, struct err *e);

/* ---- operations that have a file of their own ---- */

/* The time that a header says; 0: it says none. */
int64_t s3_time_of(const struct http_answer *a, const char *name);

int s3_head(struct store *base, const char *key, struct store_stat *ret, struct err *e);
int s3_list(struct store *base, const char *prefix, const char *after,
            int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
            struct err *e);
int s3_put(struct store *base, const char *key, const struct iovec *iov, int niov, struct err *e);
int s3_lock(struct store *base, const char *key, int64_t until_ns, struct err *e);
int s3_cut(struct store *base, int64_t since_ns, struct store_cut *ret, struct err *e);

#endif
