/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Within kube/: the bytes of a WebSocket that carries a command, after its handshake
 * (https://kubernetes.io/docs/reference/using-api/ and KEP-4006: the first byte of a message is the
 * channel). No input or output.
 */
#ifndef AKSDR_KUBE_EXEC_IMPL_H
#define AKSDR_KUBE_EXEC_IMPL_H

#include "common/buf.h"

struct exec_stream;

MUST_CHECK struct exec_stream *exec_stream_new(void (*output)(void *arg, bool err, const void *p,
                                                              size_t n),
                                               void *arg, struct err *e);
void exec_stream_free(struct exec_stream *s);

/*
 * Takes the next bytes, which may end anywhere, and appends to reply what is to be sent back.
 * *ret_end: the other side has said all.
 *   ERR_FORMAT   this is no WebSocket
 */
MUST_CHECK int exec_stream_feed(struct exec_stream *s, const void *p, size_t n, struct buf *reply,
                                bool *ret_end, struct err *e);

/* Whether the command has told how it ended. */
bool exec_stream_told(const struct exec_stream *s);

/* How it ended; ERR_RETRY: it has not told. See exec_run(). */
MUST_CHECK int exec_stream_status(const struct exec_stream *s, int *ret_status, struct err *e);

/*
 * Looks at the head of an answer, n bytes up to and with the empty line: *ret_code is its status;
 * of 101 whether it is an answer to key, else ERR_FORMAT. Pure.
 */
MUST_CHECK int exec_head(const char *head, size_t n, const char *key, int *ret_code, struct err *e);

#endif
