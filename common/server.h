/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server for few and small requests, which stands in the open: a client costs little
 * whatever it does. There are so many connections and no more, and so many of one address; a
 * request of more than 16 KiB, or with a body, is refused; a request must be complete and its
 * answer read within a time. Where all connections are taken, the one that has waited longest gives
 * way. One thread does all that, and whoever answers must not make it wait: what takes time is
 * answered later, from another thread.
 */
#ifndef AKSDR_COMMON_SERVER_H
#define AKSDR_COMMON_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"
#include "common/err.h"

struct server;
struct MHD_Connection;

/* ---- replies ---- */

/* What is answered: the same one to any number of requests, from any thread. */
struct server_reply;

/* Of the bytes that were given to replies, those that are not freed yet. */
struct server_alive {
	atomic_uint n;
	atomic_size_t bytes;
};

/* One line, as plain text. NULL: no memory. */
struct server_reply *server_reply_line(unsigned status, const char *line);
/*
 * n bytes, which are freed when nobody reads them any more. *alive, which outlives the server,
 * counts them until then. NULL: no memory, and the bytes are freed.
 */
struct server_reply *server_reply_bytes(unsigned status, const char *type, uint8_t *take_p,
                                        size_t n, struct server_alive *alive);
/* A header more; before the reply is used. One that does not fit is left out. NULL is fine. */
void server_reply_add(struct server_reply *r, const char *name, const char *value);
struct server_reply *server_reply_ref(struct server_reply *r);
void server_reply_unref(struct server_reply *r); /* NULL is fine */

/* ---- requests ---- */

struct server_request {
	uint64_t id;
	const char *path; /* decoded, without what follows a '?' */
	bool reads;       /* GET or HEAD */
	struct MHD_Connection *connection;
};

/* How many headers of this name there are; *ret: the last one, until the call is over. */
unsigned server_header(const struct server_request *q, const char *name, const char **ret);
/* Overwrites the values of these headers where they were received. */
void server_forget(const struct server_request *q, const char *name);
/* each() gets what follows the '?', decoded; value may be NULL. It ends it by -1, returned here. */
int server_arguments(const struct server_request *q,
                     int (*each)(void *arg, const char *name, const char *value), void *arg);

/* ---- the server ---- */

struct server_params {
	/*
	 * "PORT" (of all addresses), "ADDRESS:PORT", "[ADDRESS]:PORT" for IPv6. Addresses are
	 * numbers; port 0 is any free one.
	 */
	const char *listen;
	const char *name;             /* of the thread; static */
	bool loopback;                /* another address is refused */
	unsigned connections;         /* at once; 0: 64 */
	unsigned address_connections; /* of one address; 0: 16 */
	unsigned request_s; /* from connecting, or the answer before, to the answer's end; 0: 20 */
	/*
	 * In the thread that serves: it must return at once. A reply, whose reference is the
	 * server's from then on. Or NULL with *later: server_tell() brings it; without: there is
	 * no memory for one, and the client is let go.
	 */
	struct server_reply *(*answer)(void *arg, const struct server_request *q, bool *later);
	void *arg;
};

/*
 * Listens, and serves from then on. params and its texts are copied, arg is borrowed until
 * server_stop().
 *   ERR_INVALID  listen makes no sense, is no address of this machine, or not of its loopback
 *   ERR_BUSY     another program listens there
 *   ERR_DENIED   the port is not for this user
 *   ERR_IO, ERR_NOMEM
 */
MUST_CHECK int server_start(const struct server_params *params, struct server **ret, struct err *e);

/* The port that it listens at. */
uint16_t server_port(const struct server *s);

/* Answers a request that waits; one that has ended meanwhile is none. From any thread. */
void server_tell(struct server *s, uint64_t id, struct server_reply *take_r);

/*
 * Ends all connections and the thread; returns when no callback runs any more. Nobody may tell
 * anything any more. NULL is fine.
 */
void server_stop(struct server *s);

#endif
