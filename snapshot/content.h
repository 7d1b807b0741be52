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

#define CONTENT_BIG MIB /* from here on the kernel is told how the file is read */

struct content {
	int fd;                  /* owned */
	const char *name;        /* for messages; borrowed until done() */
	struct below *below;     /* where inode numbers come from; NULL: as they are */
	struct entry_stat st;    /* what open saw */
	bool sparse;             /* has fewer blocks than bytes: ask for its ranges */
	bool device;             /* its times tell nothing */
	bool drop;               /* leave no pages of it in the cache */
	void (*done)(void *arg); /* called once, when closed; may be NULL */
	void *arg;
};

/* Fills c for the open file or device; size of a device is in st. Advises the kernel. */
void content_start(struct content *c);

/* The operations of struct source_ops of the same names. content_close frees c. */
MUST_CHECK int content_data(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
                            struct err *e);
MUST_CHECK int64_t content_read(struct content *c, void *p, size_t n, uint64_t off, struct err *e);
MUST_CHECK int content_close(struct content *take_c, struct entry_stat *ret_st, bool *ret_changed,
                             struct err *e);

#endif
