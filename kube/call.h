/* SPDX-License-Identifier: Apache-2.0 */
/* Within kube/: one request as it is sent, its repetitions, and what the answer means. */
#ifndef AKSDR_KUBE_CALL_H
#define AKSDR_KUBE_CALL_H

#include <errno.h>

#include "common/http.h"
#include "kube/kube.h"

#define CALL_PATH_MAX (16 * KIB) /* bytes of a path with its query */

/* What a failed request stands for besides its class: err.os. */
#define CALL_GONE ESTALE     /* 410: the version or continuation is too old */
#define CALL_UNKNOWN ENOTSUP /* 404: the server does not know the kind */

struct call {
	const char *method;
	const char *path;   /* with the query; from "/" */
	const char *type;   /* of the body, NULL: JSON */
	const json_t *body; /* or NULL */
	/* Gets the body of a 2xx answer; NULL: `into` does. */
	int (*sink)(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);
	void (*began)(void *arg); /* an answer of 2xx has begun; may be NULL */
	void *arg;
	struct buf *into;
	int64_t stall_ms;            /* 0: usual */
	bool once;                   /* no repetition */
	const struct cancel *cancel; /* besides the one of all; may be NULL */
	unsigned failed; /* tries that have failed, of which the server may have done one */
};

/*
 * Sends it, and again what may work later within the budget, unless `once`. On failure *e is of a
 * class of kube.h, and says what the server said.
 */
MUST_CHECK int call_do(struct kube *k, struct call *c, struct err *e);

/* What an answer that is not 2xx means: sets *e. Pure. Always -1. */
int call_refused(int status, int64_t wait_ms, const void *text, size_t n, struct err *e);

/* What a Status object means (code, reason, message): sets *e. Pure. Always -1. */
int call_status(const json_t *status, int code, struct err *e);

/* A random number for full jitter. */
uint64_t call_random(void);

/* Appends "/api/v1/namespaces/NS/PLURAL/NAME/SUB"; what is NULL is left out. */
void call_path(struct buf *b, const struct kube_kind *kind, const char *ns, const char *name,
               const char *sub);
/* Appends "?name=value" or "&name=value", encoded; nothing when value is NULL or "". */
void call_query(struct buf *b, const char *name, const char *value);
/* Appends "?fieldSelector=..." and so on. */
void call_select(struct buf *b, const struct kube_select *s);

/* "Pod 'ns/name'", for messages. */
struct call_name {
	char s[600];
};
struct call_name call_name(const struct kube_kind *kind, const char *ns, const char *name);

/*
 * As kube_list(), with `once` of struct call; again (may be NULL) is called when it begins anew.
 */
struct call_list {
	int (*each)(void *arg, const json_t *object, struct err *e);
	void (*again)(void *arg);
	void *arg;
	bool once;
	const struct cancel *cancel;
};
MUST_CHECK int call_list(struct kube *k, const struct kube_kind *kind,
                         const struct kube_select *select, const struct call_list *how,
                         char **ret_version, struct err *e);

/* For a protocol of its own (exec): URL of a path, headers of who we are. */
MUST_CHECK int call_line(struct kube *k, const char *path, const struct cancel *cancel,
                         struct http_line **ret, struct buf *ret_auth, uint64_t *ret_round,
                         struct err *e);
/* The server did not know us: true when there is something else to try. */
bool call_again(struct kube *k, uint64_t round);
const char *call_host(const struct kube *k); /* "host:port", and a path where it has one */

#endif
