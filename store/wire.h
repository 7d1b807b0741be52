/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of an object store, before it is signed: method, path, query
 * and headers as they are meant. From it come the URL, the headers as they
 * are sent, and what signatures are made of. Nothing here does any I/O but
 * wire_send().
 *
 * Names of headers are in lower case. Names are borrowed (literals), values
 * are copied and wiped at the end, since some are secrets. When memory or room
 * is short, or a value cannot be sent, the request is marked, and wire_check()
 * and wire_send() say so once.
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
	struct buf host;                    /* as the header Host */
	struct wire_pair query[WIRE_PAIRS]; /* as meant: not encoded; sorted by wire_sort() */
	unsigned nquery;
	struct wire_pair headers[WIRE_PAIRS];
	unsigned nheaders;
	/* what follows belongs to wire.c */
	char *texts[2 * WIRE_PAIRS];
	unsigned ntexts;
	const char *unfit; /* name of the first pair that does not fit or cannot be sent */
	bool nomem;
};

/*
 * base: scheme, host and port, and the path below which the service is, when there is one, as
 * sent (encoded); slashes at its end do not count.
 */
void wire_init(struct wire *w, const char *method, const char *base);
void wire_clear(struct wire *w);
#define auto_wire CLEANUP(wire_clear)

/* Appends "/" and the text to the path; the text's own slashes stay, the rest is encoded. */
void wire_path(struct wire *w, const char *text);

/* The path as sent: "/" when nothing was appended. Valid until the next wire_path(). */
const char *wire_path_text(struct wire *w);

/* What the header Host is: "host:port", without the port that its scheme has anyway. */
const char *wire_host(struct wire *w);

/* Adds one; an empty value is one. */
void wire_query(struct wire *w, const char *name, const char *value);

/* Adds one, printf for the value: text without control characters. */
void wire_header(struct wire *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Takes the headers of that name away. */
void wire_header_drop(struct wire *w, const char *name);

/* Query and headers in order of the bytes of their names; those of the same name keep theirs. */
void wire_sort(struct wire *w);

/* The value of a header or NULL. */
const char *wire_header_get(const struct wire *w, const char *name);

/* ERR_NOMEM, ERR_TOO_BIG (more than fits), ERR_INVALID (a value with control characters). */
MUST_CHECK int wire_check(const struct wire *w, struct err *e);

/* "name=value&name=value", all encoded, in the order they have now. 0, or -1 as buf_put(). */
int wire_query_text(const struct wire *w, struct buf *b);

/*
 * Sends it: `rest` (NULL: none) is a query that is appended as it is, such
 * as a SAS, without ? and &. rq: op, body and sink are the caller's; method,
 * URL and headers are set for the call and taken out again.
 *   as wire_check() and http_do()
 */
MUST_CHECK int wire_send(const struct wire *w, struct http *h, const char *rest,
                         struct http_request *rq, struct http_answer *ret, struct err *e);

#endif
