/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which places of the disk the bytes of a file lie, by FS_IOC_FIEMAP, and in
 * which ranges two files do not share their places.
 * https://docs.kernel.org/filesystems/fiemap.html
 */
#ifndef AKSDR_SNAPSHOT_FIEMAP_H
#define AKSDR_SNAPSHOT_FIEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"

#define FIEMAP_AHEAD 64 /* extents asked for at a time */

/* Reading the extents of one file in order. 4 KiB. */
struct fiemap_reader {
	int fd; /* borrowed; -1: a file that is one hole */
	uint64_t size;
	unsigned n, at; /* extents of the answer, and the first that still counts */
	bool end;       /* the answer was the last one */
	_Alignas(8) uint8_t answer[32 + FIEMAP_AHEAD * 56];
};

enum fiemap_kind {
	FIEMAP_HOLE,  /* nothing written: zeros */
	FIEMAP_PLACE, /* at a place of the disk */
	FIEMAP_OPAQUE /* data, its place cannot be told: inline, compressed, not yet placed */
};

struct fiemap_range {
	enum fiemap_kind kind;
	uint64_t end;   /* the first byte that it no longer holds of, at most the size */
	uint64_t place; /* FIEMAP_PLACE: of the byte asked for */
};

void fiemap_open(struct fiemap_reader *r, int fd, uint64_t size);

/* What holds of the byte off < size and behind; off never goes back. 0, or -1 with errno. */
MUST_CHECK int fiemap_at(struct fiemap_reader *r, uint64_t off, struct fiemap_range *ret);

/*
 * The next range at or after *off of a in which it may differ from b: [*off, *ret_end), and
 * whether it is a hole of a. *off == size of a: there is none. 0, or -1 with errno. A file that
 * was cloned from the other holds on to its extents, so a place that both name has not
 * been written to since. Nothing is written back first: that is for files that nobody can
 * write to, on a file system that is frozen.
 */
MUST_CHECK int fiemap_differ(struct fiemap_reader *a, struct fiemap_reader *b, uint64_t *off,
                             uint64_t *ret_end, bool *ret_hole);

#endif
