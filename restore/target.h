/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a restore point goes: a directory (target_dir.c), or an image file or
 * block device (target_block.c). The restore decides what comes where; a
 * target makes entries, and opens and finishes files. Content is written
 * through the descriptor of an open file, at any offset and from any thread.
 *
 * Nothing outside of the target is ever touched: every path is resolved
 * beneath it and no symbolic link on the way is followed.
 */
#ifndef AKSDR_RESTORE_TARGET_H
#define AKSDR_RESTORE_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "repo/tree.h"
#include "restore/loss.h"
#include "restore/meta.h"

enum target_flags {
	TARGET_IN_PLACE = 1 << 0, /* what is there is made like the point, else it must be empty */
	TARGET_DELETE = 1 << 1,   /* in place: what the point does not have is removed */
	TARGET_MERGE = 1 << 2,    /* a directory that is not empty will do; its files are kept */
	TARGET_NO_OWNER = 1 << 3, /* owners are left as the system gives them */
	TARGET_FORCE = 1 << 4,    /* a block device that is not empty may be overwritten */
	TARGET_COMPARE = 1 << 5,  /* nothing is changed: the target is read and compared */
	TARGET_REREAD = 1 << 6,   /* comparing: from the medium, not from memory */
	TARGET_KNOWN = 1 << 7 /* in place: what is there is known; what is not as expected fails */
};

/* A directory of the target. id is unique in a run, so that a worker knows the one it has open. */
struct target_parent {
	uint64_t id;
	const char *path; /* relative to the target, "" is the target itself */
	size_t len;
};

/* An entry of the target. */
struct target_place {
	const struct target_parent *dir;
	const char *name; /* "" for the target itself */
};

enum target_how {
	/* Must not exist, unless the target is in place and not known: then it is replaced. */
	TARGET_CREATE,
	/*
	 * In place: what is there stays if it can be changed, else it is replaced; known: with its
	 * other names, and it is never replaced (ERR_NOT_FOUND).
	 */
	TARGET_CHANGE
};

/* A regular file (or the block device) of the target, open. */
struct target_file {
	int fd;            /* -1: not open; comparing: not there */
	bool existing;     /* it was there before; old content is in it */
	uint64_t old_size; /* when existing, as these: */
	struct timestamp old_mtime;
	uint32_t old_links;
	struct meta_have have;
};

/* What one thread keeps between calls: the directory it works in. */
struct target_worker {
	int fd;
	uint64_t id; /* of the place_dir that fd is; 0: none */
};
#define TARGET_WORKER_NONE \
	{                  \
		.fd = -1   \
	}

struct target;

/* Calls with different workers may run at the same time. Those with a record leave it unchanged. */
struct target_ops {
	const char *name;
	bool whole; /* one file is the whole target: takes points of block volumes, else of trees */

	/* Makes a directory, mode 0700 for now; one that is there will do where flags say so. */
	int (*enter)(struct target *t, struct target_worker *w, const struct target_place *at,
	             bool *ret_existing, struct err *e);
	/* After everything in it: metadata. The place is the directory itself. */
	int (*leave)(struct target *t, struct target_worker *w, const struct target_parent *dir,
	             const struct record *r, bool existing, struct err *e);
	/* Calls each() for the name of everything in a directory; each may remove it. */
	int (*names)(struct target *t, struct target_worker *w, const struct target_parent *dir,
	             int (*each)(void *arg, const char *name, struct err *e), void *arg,
	             struct err *e);
	/* Removes an entry with all that is in it. Not there is fine. */
	int (*remove)(struct target *t, struct target_worker *w, const struct target_place *at,
	              struct err *e);
	/*
	 * Makes a symbolic link, fifo, socket or device with its metadata. *ret_made false:
	 * counted as a loss.
	 */
	int (*make)(struct target *t, struct target_worker *w, const struct target_place *at,
	            const struct record *r, bool *ret_made, struct err *e);
	/* Makes a hard link to an entry made before. ERR_NOT_FOUND: it is not there. */
	int (*link)(struct target *t, struct target_worker *w, const struct target_place *at,
	            const struct target_place *to, struct err *e);

	/* Opens a regular file for writing; comparing: for reading. */
	int (*open)(struct target *t, struct target_worker *w, const struct target_place *at,
	            const struct record *r, enum target_how how, struct target_file *ret,
	            struct err *e);
	/*
	 * Makes [off, off + len) of an open file read as zeros, without space where that is
	 * possible.
	 */
	int (*hole)(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
	            struct err *e);
	/* The same, but with its space taken, where the system can. */
	int (*zeros)(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
	             struct err *e);
	/* Metadata; closes. path is for messages. */
	int (*finish)(struct target *t, const struct target_place *at, const struct record *r,
	              struct target_file *f, struct err *e);
	/* Closes a file that did not become whole; removes it when it was not there before. */
	void (*discard)(struct target *t, struct target_worker *w, const struct target_place *at,
	                struct target_file *f);
	/* Sets the flags that forbid changes, after everything else. */
	int (*pin)(struct target *t, struct target_worker *w, const struct target_place *at,
	           const struct record *r, struct err *e);
	/* Waits until everything written is on the medium. */
	int (*sync)(struct target *t, struct err *e);
	void (*free)(struct target *t);
};

struct target {
	const struct target_ops *ops;
	unsigned flags;        /* target_flags; COMPARE may be set and cleared between runs */
	char *path;            /* as the user gave it; owned */
	struct losses *losses; /* borrowed; what could not be set */
	atomic_bool unpinned;  /* flags were taken off what may stay under another name */
};

/*
 * Opens a directory as target, which is made when it is missing. With COMPARE
 * (here and below) it is checked in the same way, but neither made nor changed;
 * what is missing counts as empty.
 *   ERR_EXISTS   it is not empty (without IN_PLACE or MERGE), or no directory
 *   ERR_DENIED   it cannot be written
 */
MUST_CHECK int target_dir_open(const char *path, unsigned flags, struct losses *losses,
                               struct target **ret, struct err *e);

/*
 * Opens an image file (made when it is missing) or a block device for a volume
 * of size bytes.
 *   ERR_EXISTS   the file is there, or the device is not empty (without IN_PLACE or FORCE)
 *   ERR_BUSY     the device is mounted or otherwise in use
 *   ERR_TOO_BIG  the device is smaller than the volume
 *   ERR_INVALID  neither file nor device
 */
MUST_CHECK int target_block_open(const char *path, uint64_t size, unsigned flags,
                                 struct losses *losses, struct target **ret, struct err *e);

/* For targets: an open file leaves memory, when that is asked for. */
void target_forget(const struct target *t, int fd);

/*
 * For targets: writes zeros; are [off, off + len) zeros, or a hole, or behind the end? 1, 0,
 * or -1 with e.
 */
MUST_CHECK int target_write_zeros(int fd, uint64_t off, uint64_t len, struct err *e);
MUST_CHECK int target_is_zero(int fd, uint64_t off, uint64_t len, struct err *e);

void target_free(struct target *t);
static inline void clean_target(struct target *const *t)
{
	target_free(*t);
}
#define auto_target CLEANUP(clean_target)

#endif
