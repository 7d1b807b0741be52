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
	int64_t lock_s; /* 0: none */
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

/* ---- operations that have a file of their own ---- */

int s3_head(struct store *base, const char *key, struct store_stat *ret, struct err *e);
int s3_list(struct store *base, const char *prefix, const char *after,
            int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
            struct err *e);
int s3_put(struct store *base, const char *key, const struct iovec *iov, int niov, struct err *e);
int s3_cut(struct store *base, int64_t since_ns, struct store_cut *ret, struct err *e);

#endif
