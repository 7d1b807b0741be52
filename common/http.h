/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests by libcurl, many at once from any threads: each takes a
 * connection from a pool (HTTP/1.1 and /2, kept alive) and blocks until the
 * answer is there. TLS 1.2 or newer, always verified. A connection lives for
 * at most 50 s and an address for 30 s, so a change of DNS is followed within
 * a minute. Nothing is repeated here, no redirect is followed.
 *
 * Messages name host and port, never path, query or headers: they may hold a
 * secret.
 */
#ifndef AKSDR_COMMON_HTTP_H
#define AKSDR_COMMON_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/err.h"

struct http;

/* PEM texts; NULL: none. Borrowed, and copied. */
struct http_trust {
	const char *ca;         /* whom we trust; NULL: as without */
	const char *cert, *key; /* who we are: both or none */
};

struct http_params {
	unsigned inflight;           /* requests at once, further ones wait; 0: 32 */
	const char *ca_file;         /* NULL: the system's certificates */
	struct http_trust trust;     /* instead of ca_file */
	const char *proxy;           /* of https. NULL: the environment's; "": none */
	int64_t connect_ms;          /* 0: 15000 */
	int64_t stall_ms;            /* no byte for so long: given up; 0: 60000 */
	const struct cancel *cancel; /* borrowed, may be NULL */
};

/* ERR_NOMEM, ERR_INVALID (ca_file cannot be read). */
MUST_CHECK struct http *http_new(const struct http_params *params, struct err *e);
void http_free(struct http *h); /* no request may be running */
static inline void clean_http(struct http *const *h)
{
	http_free(*h);
}
#define auto_http CLEANUP(clean_http)

/* From the next request on, which gets a connection of its own. ERR_NOMEM. Thread-safe. */
MUST_CHECK int http_set_trust(struct http *h, const struct http_trust *trust, struct err *e);

#define HTTP_HEADERS_MAX (16 * 1024)
#define HTTP_TEXT_MAX 4096

struct http_answer {
	int status;
	int64_t date_s;  /* the server's Date, seconds since 1970; 0: none */
	int64_t wait_ms; /* Retry-After; 0: none */
	size_t text_len;
	char text[HTTP_TEXT_MAX];       /* body of an answer other than 2xx, cut, with a NUL */
	size_t headers_len;             /* what follows belongs to http.c */
	char headers[HTTP_HEADERS_MAX]; /* "name\0value\0"..., names in lower case */
};

/* The value of a header (name in lower case), or NULL. Borrowed from the answer. */
const char *http_header(const struct http_answer *a, const char *name);

/* Counted by operation; what each means is the caller's. */
#define HTTP_OPS 8

struct http_request {
	unsigned op; /* 0 .. HTTP_OPS - 1 */
	const char *method;
	const char *url;            /* http: for loopback addresses only */
	const char *const *headers; /* "Name: value" each */
	unsigned nheaders;
	const struct iovec *iov; /* the body; niov -1: none, 0: an empty one */
	int niov;
	/* The headers of a 2xx answer are there; may be NULL. */
	void (*began)(void *arg, const struct http_answer *a);
	/* Gets the body of a 2xx answer as it comes. NULL: it is dropped. */
	int (*sink)(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);
	void *arg;
	struct buf
		*text; /* gets the body of other answers, up to its limit; NULL: answer.text does */
	int64_t stall_ms;            /* instead of the one of all, when not 0 */
	const struct cancel *cancel; /* besides the one of all; within a second. May be NULL */
};

/*
 * Sends it and waits for the whole answer, whatever its status is: then 0.
 *   ERR_RETRY      no connection, it broke, or it made no progress
 *   ERR_DENIED     the server's certificate is not accepted, or ours is of no use
 *   ERR_INVALID    the URL is none, or of a scheme that is not allowed
 *   ERR_CANCELLED
 *   and what sink fails with
 */
MUST_CHECK int http_do(struct http *h, const struct http_request *rq, struct http_answer *ret,
                       struct err *e);

/*
 * A connection alone (HTTP/1.1 where TLS asks), for a protocol that a request is only the beginning
 * of. One thread at a time. Errors as http_do(); and ERR_IO: not done at until_ns
 * (as now_mono_ns(); 0: no end).
 */
struct http_line;
MUST_CHECK struct http_line *http_dial(struct http *h, const char *url, const struct cancel *cancel,
                                       struct err *e);
void http_hang_up(struct http_line *l);
MUST_CHECK int http_line_send(struct http_line *l, const void *p, size_t n, int64_t until_ns,
                              struct err *e);
/* Waits for at least one byte. *ret_n 0: the other side has ended. */
MUST_CHECK int http_line_recv(struct http_line *l, void *p, size_t n, int64_t until_ns,
                              size_t *ret_n, struct err *e);
static inline void clean_http_line(struct http_line *const *l)
{
	http_hang_up(*l);
}
#define auto_http_line CLEANUP(clean_http_line)

/* https, or http to a loopback address or the cloud's metadata service. Pure. */
bool http_url_allowed(const char *url);

/* A sink that appends to a struct buf (arg); over its limit: ERR_TOO_BIG. */
int http_sink_buf(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);

/* A sink that fills memory (arg is a struct http_fill); more than fits: ERR_CORRUPT. */
struct http_fill {
	uint8_t *p;
	size_t n;
	size_t got;
};
int http_sink_fill(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e);

struct http_count {
	uint64_t requests;  /* sent, also those that failed */
	uint64_t failures;  /* no answer, or one of 5xx or 429 */
	uint64_t throttled; /* of them: 503 or 429, come later (RFC 9110, 15.6.4; RFC 6585, 4) */
	uint64_t sent;      /* bytes of bodies */
	uint64_t received;
};

/* A snapshot; op as in the requests. */
struct http_count http_counted(struct http *h, unsigned op);

#endif
