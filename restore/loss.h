/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata that the target could not take: an owner without the right to give
 * files away, an attribute that its file system does not know. Nothing of it
 * ends a restore; it is counted by kind, with the first of each as an example,
 * and told at the end.
 */
#ifndef AKSDR_RESTORE_LOSS_H
#define AKSDR_RESTORE_LOSS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"

enum loss_kind {
	LOSS_OWNER,
	LOSS_XATTR,
	LOSS_MODE,
	LOSS_FLAGS,
	LOSS_PROJECT,
	LOSS_TIMES,
	LOSS_DEVICE, /* a device node, fifo or socket that could not be made */
	LOSS_KINDS
};

struct loss {
	uint64_t count;
	int os;          /* errno of the first */
	char first[512]; /* its path, shortened, may hold any bytes */
};

struct losses {
	pthread_mutex_t lock;
	struct loss of[LOSS_KINDS]; /* guarded by lock */
};

void losses_init(struct losses *l);
void losses_clear(struct losses *l);

/* Counts one. path need not end in a NUL. Thread-safe. */
void loss_add(struct losses *l, enum loss_kind kind, const char *path, size_t path_len, int os);

/* Anything at all? Call when no thread adds any more. */
bool losses_any(const struct losses *l);

/*
 * A stable word for JSON ("owner") and what could not be done, for people ("owners could not
 * be set").
 */
const char *loss_name(enum loss_kind kind);
const char *loss_text(enum loss_kind kind);

#endif
