/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are appended and read again: the last of them in memory, what does not fit in a
 * scratch file without a name. What is kept while a file system is frozen goes to memory first,
 * because a write to a file may have to wait for the disk, and all writers with it.
 */
#ifndef AKSDR_SNAPSHOT_SPILL_H
#define AKSDR_SNAPSHOT_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct spill {
	int fd;        /* owned; -1: not open */
	uint8_t *tail; /* owned; bytes [base, len) */
	size_t cap;
	uint64_t base; /* bytes in the file */
	uint64_t len;  /* in all */
};
#define SPILL_NONE ((struct spill){ .fd = -1 })

/* memory: bytes that are kept in memory. *ret must be closed in any case. */
MUST_CHECK int spill_open(struct spill *ret, const char *scratch_dir, size_t memory, struct err *e);
void spill_close(struct spill *s);

/* Appends. One caller. */
MUST_CHECK int spill_add(struct spill *s, const void *p, size_t n, struct err *e);

/* Writes out what is in memory, so that there is room for as much again. */
MUST_CHECK int spill_flush(struct spill *s, struct err *e);

/* Exactly n bytes from off on. Thread-safe as long as nothing is added. */
MUST_CHECK int spill_read(const struct spill *s, void *p, size_t n, uint64_t off, struct err *e);

#endif
