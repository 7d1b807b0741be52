/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backup pipeline: source -> chunks -> packs -> tree -> commit.
 *
 *   join      one thread: the source's batches merged with the previous tree
 *   read      pool: details and small contents of what changed
 *   assemble  one thread: small files share chunks; big ones are cut
 *   seal      pool: id, dedup, compress, verify, encrypt into a pack
 *   upload    two threads: packs to the store
 *   tree      one thread: records in order into nodes
 */
#ifndef AKSDR_REPO_WRITER_H
#define AKSDR_REPO_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/progress.h"
#include "common/source.h"
#include "repo/capture.h"
#include "repo/repo.h"

struct writer_params {
	const struct point_volume *volume;
	const char *domain; /* dedup domain */
	const char *set;    /* 32 hex digits or NULL: a new one */
	const char *consistency, *driver;
	int64_t frozen_ns;
	const struct point_capture *capture; /* for the point, `changes` aside; NULL: nothing */
	int level;                           /* zstd level; 0: the default (3) */
	bool verify_encode;                  /* decode and compare before upload */
	bool ignore_ctime;                   /* a snapshot's clone changes it */
	bool force;                          /* read everything, whatever the previous point says */
	bool take_over;                      /* single-writer mode: fence sessions that are open */
	bool dry_run;                        /* nothing is written */
	unsigned threads;                    /* pool; 0: CPUs */
	unsigned retries;                    /* reads of a file that changes meanwhile */
	uint64_t page_cache_bytes;           /* local fingerprints of pages; 0: default */
	struct progress_counts *counts;      /* may be NULL */
};

/*
 * Backs the source up as the next point of the volume. On success *ret is
 * the committed point (caller clears); entries that could not be read are in
 * its problems, and the caller decides the exit status (ERR_PARTIAL).
 *   ERR_BUSY    fenced: another session won this commit key; or, in single-writer mode, another
 *               session is open
 *   ERR_DENIED  the key may not write, or was revoked meanwhile
 *   ERR_UNSUPPORTED  the store cannot keep writers apart, and the mode says it must
 */
MUST_CHECK int writer_backup(const struct repo *r, struct source *source,
                             const struct writer_params *params, struct point *ret, struct err *e);

#endif
