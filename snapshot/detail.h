/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry has beyond its stat: extended attributes of every namespace
 * (POSIX ACLs and capabilities are attributes), the target of a symbolic
 * link, file flags and the project id.
 */
#ifndef AKSDR_SNAPSHOT_DETAIL_H
#define AKSDR_SNAPSHOT_DETAIL_H

#include <linux/fs.h>
#include <stdatomic.h>
#include <stdint.h>

#include "common/source.h"

/*
 * The flags that are kept: those that FS_IOC_SETFLAGS takes and that mean
 * something for the file's future. Left out: what the file system sets by
 * itself (extents, index, inline data, encryption, verity) and case folding,
 * which only an empty directory can be given.
 */
#define DETAIL_FSFLAGS                                                                         \
	((uint32_t)(FS_COMPR_FL | FS_NOCOMP_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | \
	            FS_NODUMP_FL | FS_NOATIME_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL |         \
	            FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL | FS_DAX_FL | FS_PROJINHERIT_FL))

#define DETAIL_PLAIN 8

/* Devices whose file system has no flags: asked once each. Zeroed at birth, for all threads. */
struct detail_plain {
	_Atomic uint64_t dev[DETAIL_PLAIN];
};

/*
 * Extended attributes into ret->xattrs, of the open file fd, or of what path leads to when fd is
 * -1: /proc/self/fd/N of something that is held by O_PATH. A file system without attributes has
 * none.
 *   ERR_TOO_BIG  over SOURCE_XATTRS_MAX in all
 * name is for messages. Thread-safe, as all here.
 */
MUST_CHECK int detail_xattrs(int fd, const char *path, const char *name, struct entry_detail *ret,
                             struct err *e);

/* Flags and project id of a regular file or directory open for reading on device dev. */
MUST_CHECK int detail_flags(struct detail_plain *plain, uint64_t dev, int fd, const char *name,
                            struct entry_detail *ret, struct err *e);

/*
 * Target of link `base` in the directory at. ERR_NOT_FOUND: it is gone, or no
 * link any more; ERR_TOO_BIG: longer than Linux takes (4095 bytes).
 */
MUST_CHECK int detail_link(int at, const char *base, const char *name, struct entry_detail *ret,
                           struct err *e);

#endif
