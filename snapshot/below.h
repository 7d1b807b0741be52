/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and stat'ing things below one directory without ever leaving it:
 * no symbolic link is followed, and unless told so no mount point is crossed.
 * The kernel enforces it by openat2(RESOLVE_NO_XDEV); where openat2 is
 * missing or forbidden, what was opened is looked at before it is used.
 * https://man7.org/linux/man-pages/man2/openat2.2.html
 */
#ifndef AKSDR_SNAPSHOT_BELOW_H
#define AKSDR_SNAPSHOT_BELOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/source.h"

#define BELOW_SALTS 16

struct below {
	int root;     /* the directory; borrowed */
	uint64_t dev; /* its device */
	bool cross;   /* other mounts are part of it */
	bool openat2; /* the kernel has it and we may use it */
	uint32_t euid;
	atomic_bool noatime; /* false once O_NOATIME was refused */

	/* what is mixed into inode numbers of other devices; the first few are kept */
	struct {
		_Atomic uint64_t dev; /* 0: free; stored after salt */
		_Atomic uint64_t salt;
	} salts[BELOW_SALTS];
	atomic_uint nsalts; /* handed out, may pass the end */
};

/* 0, or -1 with errno. root must be open on a directory and stay so. */
int below_init(struct below *b, int root, bool cross);

/*
 * Opens directory name of the directory at for reading, without changing its
 * time of access where that is allowed. -1 with errno; EXDEV: a mount point;
 * ENOTDIR or ELOOP: something else than a directory. All are thread-safe.
 */
int below_open_dir(struct below *b, int at, const char *name);

/* The same for a directory by its path from the root, of any length. len 0: the root again. */
int below_open_path(struct below *b, const char *path, size_t len);

/* Opens name for reading; uid is its owner as far as known. Of any type: look before use. */
int below_open_file(struct below *b, int at, const char *name, uint32_t uid);

/* Holds name, a link or special file too, without opening it (O_PATH). -1 with errno. */
int below_hold(struct below *b, int at, const char *name);

/* The stat of name, or of at itself when name is "". 0, or -1 with errno. */
int below_stat(int at, const char *name, struct statx *ret);

/* True when the thing is the root of a mount, or on another device where that cannot be told. */
bool below_crosses(const struct below *b, const struct statx *stx);

static inline uint64_t below_dev(const struct statx *stx)
{
	return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

/*
 * What stat knows, in the form of an entry. fd is open on the same device as
 * stx: a thing that is on another device than the root (a nested subvolume,
 * a layer of an overlay) gets an inode number mixed with what tells the
 * devices apart, so that equal numbers always mean the same inode.
 */
void below_entry_stat(struct below *b, int fd, const struct statx *stx, struct entry_stat *ret);

/* The same without a root. */
void below_plain_stat(const struct statx *stx, struct entry_stat *ret);

#endif
