/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server on a loopback port, for tests: it takes whole
 * requests apart, hands each to a function of the test, and sends the bytes
 * that this one gives back, whatever they are. Each connection has a thread.
 */
#ifndef AKSDR_TESTS_HTTP_SERVER_H
#define AKSDR_TESTS_HTTP_SERVER_H

#include <stdint.h>

#include "common/buf.h"

struct http_seen {
	unsigned n;          /* requests so far, from 0 */
	unsigned connection; /* connections so far, from 0 */
	char method[16];
	char target[4096];   /* path and query as sent */
	char headers[16384]; /* "name: value\n"..., names in lower case */
	const uint8_t *body;
	size_t body_len;
};

/* The value of a header in ret, "" when there is none. */
void http_seen_header(const struct http_seen *q, const char *name, char *ret, size_t n);

/*
 * Answers one request: appends the raw bytes to reply. 0: the connection goes on; 1: it is closed
 * after them; -1: it is reset without them. Called from several threads, one at a time.
 */
typedef int http_answer_fn(void *arg, const struct http_seen *q, struct buf *reply);

struct http_server;

/* NULL port: any. Dies when it cannot be started. */
struct http_server *http_server_start(http_answer_fn *answer, void *arg);
unsigned http_server_port(const struct http_server *s);
unsigned http_server_requests(struct http_server *s);
void http_server_stop(struct http_server *s);

/* A whole answer: status line, Content-Length, the headers ("A: b\r\n..." or ""), the body. */
void http_reply(struct buf *reply, int status, const char *headers, const void *body, size_t n);

#endif
