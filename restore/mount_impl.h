/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of mount.h share: mount.c has the session, mount_ops.c answers requests. */
#ifndef AKSDR_RESTORE_MOUNT_IMPL_H
#define AKSDR_RESTORE_MOUNT_IMPL_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <pthread.h>

#include "restore/mount.h"

/* A file or directory that is open: the first member of what the kernel's handle stands for. */
struct mount_opened {
	struct mount_opened *next, **at;
};

/* The user data of the session. */
struct mount_session {
	const struct mount_params *params;
	pthread_mutex_t lock;
	struct mount_opened *opened; /* guarded by lock */
};

extern const struct fuse_lowlevel_ops mount_ops;

/* Once nothing is answered any more: frees what the kernel has not given back. */
void mount_ops_close(struct mount_session *m);

#endif
