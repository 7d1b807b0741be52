/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device mapper knows of its devices, by its ioctls and sysfs: no program is started.
 * https://docs.kernel.org/admin-guide/device-mapper/
 */
#ifndef AKSDR_SNAPSHOT_DM_H
#define AKSDR_SNAPSHOT_DM_H

#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define DM_TEXT_MAX 512

/* A device with one target. */
struct dm_info {
	char name[DM_NAME_LEN];
	char uuid[DM_UUID_LEN];
	char type[DM_MAX_TYPE_NAME]; /* of the target */
	char text[DM_TEXT_MAX];      /* its table, or its status */
	dev_t dev;
};

enum dm_what { DM_TABLE, DM_STATUS };

/* The uuid that sysfs has for a block device: "" when it is none of the device mapper. */
void dm_uuid(dev_t dev, char ret[DM_UUID_LEN]);

/*
 * A device's table or status, by number; by uuid when that is not NULL.
 *   ERR_NOT_FOUND    there is no such device
 *   ERR_UNSUPPORTED  it has not exactly one target; there is no device mapper here
 */
MUST_CHECK int dm_get(dev_t dev, const char *uuid, enum dm_what what, struct dm_info *ret,
                      struct err *e);

/* Sends a message to a device's target. ERR_BUSY and others by errno. */
MUST_CHECK int dm_message(dev_t dev, const char *message, struct err *e);

#endif
