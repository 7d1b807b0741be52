/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stop request that reaches every thread: a flag that can be set from a
 * signal handler, and an eventfd to wait on.
 */
#ifndef AKSDR_COMMON_CANCEL_H
#define AKSDR_COMMON_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct cancel {
	atomic_bool requested;
	int fd; /* eventfd, readable once requested; -1 when there is none */
};

int cancel_init(struct cancel *c); /* 0, or -1 with errno */
void cancel_clear(struct cancel *c);
void cancel_request(struct cancel *c); /* async-signal-safe, any thread, idempotent */

static inline bool cancel_requested(const struct cancel *c)
{
	return c && atomic_load_explicit(&c->requested, memory_order_relaxed);
}

/* 0, or -1 with ERR_CANCELLED "cancelled". c may be NULL. */
MUST_CHECK int cancel_check(const struct cancel *c, struct err *e);

/*
 * Waits for ms, or until one of the two, which may be NULL, is requested: then -1 with
 * ERR_CANCELLED.
 */
MUST_CHECK int cancel_wait(const struct cancel *a, const struct cancel *b, int64_t ms,
                           struct err *e);

/*
 * The process's token: SIGINT, SIGTERM and SIGHUP (unless nohup has it
 * ignored) request it; a second SIGINT ends at once with 130.
 */
struct cancel *cancel_on_signals(void);

#endif
