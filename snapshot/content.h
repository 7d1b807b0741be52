/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one file or device, open for reading: the part of the source
 * operations that directory walks, images and block devices have in common.
 */
#ifndef AKSDR_SNAPSHOT_CONTENT_H
#define AKSDR_SNAPSHOT_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/source.h"
#include "snapshot/below.h"
#include "snapshot/ranges.h"

#define CONTENT_BIG MIB /* from here on the kernel is told how the file is read */

/*
 * What may differ between the files of a view and those of an earlier one, its base. A driver has
 * one of these as the first member of its own.
 */
struct content_diff {
	/*
	 * The ranges of the file open at fd that may differ from the file that the base has at the
	 * same path from the root; outside of them both are equal, holes included. *ret NULL:
	 * not known, or there is no such file in the base. Thread-safe.
	 */
	int (*find)(struct content_diff *d, int fd, const char *path, struct ranges **ret,
	            struct err *e);
	void (*free)(struct content_diff *take_d);
};

struct content {
	int fd;                    /* owned */
	const char *name;          /* for messages; borrowed until done() */
	struct below *below;       /* where inode numbers come from; NULL: as they are */
	struct entry_stat st;      /* what open saw */
	bool sparse;               /* has fewer blocks than bytes: ask for its ranges */
	bool device;               /* its times tell nothing */
	bool drop;                 /* leave no pages of it in the cache */
	bool live;                 /* others may be writing to it */
	bool young;                /* somebody was, so shortly before that no time tells of it */
	struct content_diff *diff; /* asked for ranges when they are wanted; NULL: none; borrowed */
	bool asked;                /* diff was asked already */
	struct ranges *ranges;     /* that may differ from the base; NULL: not known; owned */
	void (*done)(void *arg);   /* called once, when closed; may be NULL */
	void *arg;
};

/* Fills c for the open file or device; size of a device is in st. Advises the kernel. */
void content_start(struct content *c);

/*
 * Of a live file that changed within the last 100 ms: waits until that is past, once, and looks
 * again. One that changed meanwhile is young: close tells that it changed.
 */
MUST_CHECK int content_settle(struct content *c, struct err *e);

/* The operations of struct source_ops of the same names. content_close frees c. */
MUST_CHECK int content_data(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
                            struct err *e);
MUST_CHECK int content_changed(struct content *c, uint64_t off, bool *ret_known,
                               uint64_t *ret_start, uint64_t *ret_end, struct err *e);
MUST_CHECK int64_t content_read(struct content *c, void *p, size_t n, uint64_t off, struct err *e);
MUST_CHECK int content_close(struct content *take_c, struct entry_stat *ret_st, bool *ret_changed,
                             struct err *e);

#endif
