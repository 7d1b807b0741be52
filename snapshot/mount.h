/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a path or descriptor lies: on which mount, of which device, which part of the
 * file system is mounted there, and whether it can still be seen; from
 * /proc/self/mountinfo by the mount id of the descriptor. And whether two
 * descriptors are on the same file system, which st_dev alone does not tell on btrfs.
 * https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
#ifndef AKSDR_SNAPSHOT_MOUNT_H
#define AKSDR_SNAPSHOT_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

#define MOUNT_TEXT_MAX (64 * MIB) /* of a mountinfo */

/* One line. The texts have any bytes but NUL, and live as long as the table. */
struct mount {
	uint64_t id, parent;
	dev_t dev;          /* of the file system, also where its subvolumes have others in stat */
	const char *root;   /* what of the file system is mounted; "/": all of it */
	const char *point;  /* where */
	const char *type;   /* "ext4" */
	const char *source; /* "/dev/sda1"; whatever the file system says */
};

struct mount_table {
	struct mount *v; /* in the order of the text */
	size_t n;
	char *text;
};

/* Parses the text of a mountinfo. ERR_FORMAT names the line; ERR_NOMEM. */
MUST_CHECK int mount_parse(const void *text, size_t n, struct mount_table *ret, struct err *e);

/* The mounts that this process sees now. */
MUST_CHECK int mount_read(struct mount_table *ret, struct err *e);

void mount_clear(struct mount_table *t);
#define auto_mounts CLEANUP(mount_clear)

/* NULL: none. Pure, as all that follow up to mount_id(). */
const struct mount *mount_by_id(const struct mount_table *t, uint64_t id);

/* The mounts of a device, one after the other: first with after NULL. NULL: no more. */
const struct mount *mount_of_dev(const struct mount_table *t, dev_t dev, const struct mount *after);

/*
 * The first mount of a file system: of those that show all of it, else of all;
 * one that can be reached before one that cannot. NULL: it is not mounted here.
 */
const struct mount *mount_first(const struct mount_table *t, dev_t dev);

/* True for a bind mount of a part, a subpath; and for a subvolume of btrfs. */
bool mount_is_part(const struct mount *m);

/*
 * True when its mount point leads somewhere else now: another mount lies on top of it, or of
 * a directory on the way to it.
 */
bool mount_is_hidden(const struct mount_table *t, const struct mount *m);

/* The id of the mount that fd is open on (any descriptor). 0, or -1 with e. */
MUST_CHECK int mount_id(int fd, uint64_t *ret, struct err *e);

/* Where a descriptor is. */
struct mount_place {
	const struct mount *mount; /* in the table */
	bool is_point;             /* the descriptor is of the mount point itself */
	bool is_part;              /* mount_is_part() */
	bool is_hidden;            /* mount_is_hidden(): the path that led there leads elsewhere */
};

/*
 * Finds the place of fd, which people know as path.
 *   ERR_NOT_FOUND  it is on a mount of another namespace, or on one that was detached
 */
MUST_CHECK int mount_find(const struct mount_table *t, int fd, const char *path,
                          struct mount_place *ret, struct err *e);

/*
 * Checks that something is mounted at path.
 *   ERR_NOT_FOUND  it is no mount point, and on which mount it lies; there is no such path
 */
MUST_CHECK int mount_require(const char *path, struct err *e);

/* What tells file systems apart. */
struct mount_fs {
	dev_t st_dev; /* of stat; on btrfs each subvolume has its own */
	dev_t dev;    /* struct mount.dev; 0 where the mount is not among ours */
	bool has_uuid;
	uint8_t uuid[16]; /* of a btrfs */
};

/* t: of mount_read(), or NULL where that is not at hand. fd: any, of a directory or file. */
MUST_CHECK int mount_fs_of(const struct mount_table *t, int fd, struct mount_fs *ret,
                           struct err *e);

bool mount_fs_equal(const struct mount_fs *a, const struct mount_fs *b);

/* Whether the two are on the same file system: a freeze of one freezes the other. */
MUST_CHECK int mount_same_fs(int a, int b, bool *ret_same, struct err *e);

#endif
