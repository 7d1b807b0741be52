/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each inode of a tree: the stat that its copy and its
 * details were taken under. A hash table of 64 bytes an inode, up to three
 * times that while it grows; over 8 MiB in scratch memory, which the kernel may write back.
 * Not thread-safe.
 */
#ifndef AKSDR_SNAPSHOT_INODES_H
#define AKSDR_SNAPSHOT_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/source.h"

enum inode_flags {
	INODE_KNOWN = 1 << 0,   /* the stat below counts */
	INODE_SETTLED = 1 << 1, /* it was old enough then for a later change to show in it */
	INODE_COPY = 1 << 2,    /* regular files: there is a copy of the content */
	INODE_CACHE = 1 << 3    /* a directory with a CACHEDIR.TAG */
};

struct inode {
	uint64_t ino;
	uint64_t size;
	int64_t mtime_s, ctime_s;
	uint32_t mtime_ns, ctime_ns;
	uint32_t type;       /* S_IFMT of the mode */
	uint16_t flags;      /* inode_flags */
	uint16_t pass;       /* the pass that last had to do with it; 0: none, the place is free */
	uint64_t detail_off; /* in the file of details; 0: it has none */
	uint16_t os;         /* why there is no copy, or no details: an errno; 0: there are */
	uint16_t unused;
	uint32_t detail_len;
};

struct inodes {
	const char *scratch_dir; /* borrowed; NULL: memory */
	struct inode *v;
	size_t cap; /* a power of two, or 0 */
	size_t n;
};

void inodes_clear(struct inodes *t);

/* The place of ino, made if missing. Valid until the next call. NULL: no memory, with errno. */
struct inode *inodes_place(struct inodes *t, uint64_t ino);

/* The place of ino, or NULL. Thread-safe among calls of itself. */
const struct inode *inodes_find(const struct inodes *t, uint64_t ino);

/* Whether st is what n was noted under, and nothing can have changed unseen since. */
bool inodes_same(const struct inode *n, const struct entry_stat *st);

/*
 * Notes st as of a look that began at wall_ns; margin_ns: how much older a change must be for
 * a later one to get another time.
 */
void inodes_note(struct inode *n, const struct entry_stat *st, int64_t wall_ns, int64_t margin_ns);

#endif
