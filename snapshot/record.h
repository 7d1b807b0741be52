/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a look at a tree found, noted in memory and scratch files (spill.h): the
 * entries in the order of their source, and the details of inodes. Our own
 * process reads it again, nobody else.
 */
#ifndef AKSDR_SNAPSHOT_RECORD_H
#define AKSDR_SNAPSHOT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/source.h"
#include "snapshot/batch.h"
#include "snapshot/spill.h"

struct record {
	struct spill list, details;
	struct buf buf;
};
#define RECORD_NONE ((struct record){ .list = SPILL_NONE, .details = SPILL_NONE })

MUST_CHECK int record_open(struct record *ret, const char *scratch_dir, struct err *e);
void record_close(struct record *r);

/* Makes room in memory for what comes next. */
MUST_CHECK int record_flush(struct record *r, struct err *e);

/* Notes details; nothing at all has the place 0. One caller at a time. */
MUST_CHECK int record_detail(struct record *r, const struct entry_detail *d, uint64_t *ret_off,
                             uint32_t *ret_len, struct err *e);

/* The details noted there. name is for messages. Thread-safe. */
MUST_CHECK int record_load(const struct record *r, uint64_t off, uint32_t len, const char *name,
                           struct entry_detail *ret, struct err *e);

/* Notes the entries of a batch behind those noted before. One caller. */
MUST_CHECK int record_batch(struct record *r, const struct batch *b, struct err *e);

/* Reading the entries. */
struct record_reader {
	const struct record *r; /* borrowed */
	uint64_t at;
	struct buf buf;
};

void record_reader_init(struct record_reader *rr, const struct record *r);
void record_reader_clear(struct record_reader *rr);

/* Says which entries stay; dir is the directory's path, both without NUL. */
typedef bool record_keep(void *arg, const char *dir, size_t dir_len, const char *name,
                         size_t name_len, const struct entry_stat *st);

/*
 * The next batch, of those entries that keep wants, which may be none; NULL at the end. From
 * pool, without a directory.
 */
MUST_CHECK int record_next(struct record_reader *rr, struct batch_pool *pool, record_keep *keep,
                           void *arg, struct walk_batch **ret, struct err *e);

#endif
