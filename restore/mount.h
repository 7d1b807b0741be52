/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount_tree as a file system of the machine, by FUSE (libfuse's low-level
 * interface, which knows entries by number). Read-only, without devices and
 * set-id bits; contents never change, so the kernel may keep what it has read.
 */
#ifndef AKSDR_RESTORE_MOUNT_H
#define AKSDR_RESTORE_MOUNT_H

#include "common/cancel.h"
#include "restore/mount_tree.h"

struct mount_params {
	const char *dir;         /* is there */
	struct mount_tree *tree; /* borrowed */
	struct chunks *chunks;   /* borrowed */
	bool allow_other; /* other users too, each with the rights that modes and owners give */
	uint64_t files, bytes; /* what statfs() tells */
	const struct cancel *cancel;
	void (*ready)(void *arg); /* it is mounted */
	void *arg;
};

/*
 * Mounts, answers until it is unmounted by somebody or the token is requested, and unmounts.
 *   ERR_NOT_FOUND, ERR_INVALID  dir is no directory
 *   ERR_UNSUPPORTED             this machine does not mount it
 */
MUST_CHECK int mount_run(const struct mount_params *params, struct err *e);

#endif
