/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program that runs for long tells over HTTP: metrics for Prometheus,
 * whether it lives and is ready, for the kubelet, and what it has to say else.
 * GET and HEAD of /metrics (text format 0.0.4, whatever Accept says: all that
 * read the newer form read this one), /healthz and /readyz, and paths of the
 * program's own; anything else is 404 or 405.
 *
 * It stands in the open, so a client costs little whatever it does: common/server.h. Nothing that
 * is done for one makes another thread of the program wait: one thread serves, one has the
 * metrics made.
 */
#ifndef AKSDR_COMMON_STATUS_H
#define AKSDR_COMMON_STATUS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct status;

struct status_params {
	const char *listen; /* as of struct server_params, as the next three */
	unsigned connections, address_connections, request_s;
	int64_t keep_ms;    /* metrics that are no older are told again; 0: 1000, -1: none are */
	size_t metrics_max; /* bytes; 0: METRIC_TEXT_MAX */
	/*
	 * Appends the text of the metrics (common/metric.h). In a thread of its own, one call at a
	 * time, and may take its time: requests wait for it, and those that come meanwhile get
	 * the same. A failure is told as 500 with its sentence.
	 */
	int (*metrics)(void *arg, struct buf *b, struct err *e);
	/*
	 * -1 with a reason: not well, not ready (503 with the reason in one line). In the thread
	 * that serves: both must return at once. NULL: always.
	 */
	int (*healthy)(void *arg, struct err *e);
	int (*ready)(void *arg, struct err *e);
	/*
	 * Any other path, without what follows a '?'. The status, and the line that is told with
	 * it; 0: there is no such path. In the thread that serves: it must return at once. NULL:
	 * there are none.
	 */
	unsigned (*path)(void *arg, const char *path, char line[ERR_MSG_MAX]);
	const char *paths; /* what they look like, for who asks for another one; static, or NULL */
	void *arg;
};

/*
 * Listens, and serves from then on. params and its texts are copied, arg is borrowed until
 * status_stop().
 *   ERR_INVALID  listen makes no sense, or is no address of this machine
 *   ERR_BUSY     another program listens there
 *   ERR_DENIED   the port is not for this user
 *   ERR_IO, ERR_NOMEM
 */
MUST_CHECK int status_start(const struct status_params *params, struct status **ret, struct err *e);

/* The port that it listens at. */
uint16_t status_port(const struct status *s);

/*
 * Ends all connections and the threads; returns when no callback runs any more. NULL is fine.
 */
void status_stop(struct status *s);
static inline void clean_status(struct status *const *s)
{
	status_stop(*s);
}
#define auto_status CLEANUP(clean_status)

#endif
