/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of mount.h share: mount.c has the session, mount_ops.c answers requests. */
#ifndef AKSDR_RESTORE_MOUNT_IMPL_H
#define AKSDR_RESTORE_MOUNT_IMPL_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "restore/mount.h"

/* The user data of the session is a const struct mount_params. */
extern const struct fuse_lowlevel_ops mount_ops;

#endif
