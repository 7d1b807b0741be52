/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of an object store, before it is signed: method, path, query
 * and headers as they are meant. From it come the URL, the headers as they
 * are sent, and what signatures are made of. Nothing here does any I/O.
 *
 * Names of headers are in lower case. Values are copied; when memory or room
 * is short the request is marked, and wire_check() says so once.
 */
#ifndef AKSDR_STORE_WIRE_H
#define AKSDR_STORE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http.h"

#define WIRE_PAIRS 24 /* of query or headers */

struct wire_pair {
	const char *name;
	const char *value;
};

struct wire {
	const char *method;                 /* borrowed */
	struct buf base;                    /* "https://host:port" */
	struct buf path;                    /* "/a/b", as sent: encoded */
	struct wire_pair query[WIRE_PAIRS]; /* as meant: not encoded; sorted by wire_sort() */
	unsigned nquery;
	struct wire_pair headers[WIRE_PAIRS];
	unsigned nheaders;
	/* what follows belongs to wire.c */
	char *texts[2 * WIRE_PAIRS];
	unsigned ntexts;
	bool failed;
};

/* base: scheme, host and port without a slash at its end. */
void wire_init(struct wire *w, const char *method, const char *base);
void wire_clear(struct wire *w);

/* Appends "/" and the text to the path; the text's own slashes stay, the rest is encoded. */
void wire_path(struct wire *w, const char *text);

/* Adds one; an empty value is one. printf for the value. */
void wire_query(struct wire *w, const char *name, const char *value);
void wire_header(struct wire *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Query and headers in order of the bytes of their names. */
void wire_sort(struct wire *w);

/* The value of a header or NULL. */
const char *wire_header_get(const struct wire *w, const char *name);

/* 0, or ERR_NOMEM or ERR_TOO_BIG when something did not fit. */
MUST_CHECK int wire_check(const struct wire *w, struct err *e);

/*
 * Percent-encoding of RFC 3986: all but letters, digits and - . _ ~ becomes
 * %XX in capitals; slashes stay when `slashes`.
 */
int wire_encode(struct buf *b, const char *text, bool slashes);

/*
 * Sends it: `rest` (may be empty) is a query that is appended as it is, such
 * as a SAS. Everything else of rq (op, body, sink) is the caller's.
 */
MUST_CHECK int wire_send(const struct wire *w, struct http *h, const char *rest,
                         struct http_request *rq, struct http_answer *ret, struct err *e);

#endif
