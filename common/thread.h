/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that serves others: it has a name, and signals are not for it. */
#ifndef AKSDR_COMMON_THREAD_H
#define AKSDR_COMMON_THREAD_H

#include <pthread.h>

#include "common/clean.h"
#include "common/err.h"

/* name: at most 15 characters. ERR_RETRY where there are too many threads, and others of errno. */
MUST_CHECK int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, const char *name,
                            struct err *e);

#endif
