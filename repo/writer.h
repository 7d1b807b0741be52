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
	/*
	 * Called when all is read, before the point is made: it may change what `capture` holds.
	 * -1 with e: no point is made. NULL: nothing is to be done then.
	 */
	int (*all_read)(void *arg, struct err *e);
	void *arg;
	int level; /* zstd level; 0: the default (3) */
	/*
	 * fence_epoch() of whoever took the view, as it was before that. A site that was fenced
	 * since then, or was given back since then, makes no point of it.
	 */
	uint64_t epoch;
	bool verify_encode; /* decode and compare before upload */
	bool ignore_ctime;  /* a snapshot's clone changes it */
	bool still; /* the source is a view that nobody writes to: what vanishes from it was lost */
	/*
	 * Session of the point whose view is the base of source->changed(), or NULL. When it is the
	 * previous point that the writer goes by, large files and devices are read only where they
	 * may have changed; when it is another one, it does not count.
	 */
	const char *base_session;
	bool compare;                   /* read those all the same, and check the claims */
	bool force;                     /* read everything, whatever the previous point says */
	bool take_over;                 /* single-writer mode: fence sessions that are open */
	bool dry_run;                   /* nothing is written */
	unsigned threads;               /* pool; 0: CPUs */
	unsigned retries;               /* reads of a file that changes meanwhile */
	uint64_t page_cache_bytes;      /* local fingerprints of pages; 0: default */
	struct progress_counts *counts; /* may be NULL */
};

/*
 * Backs the source up as the next point of the volume. On success *ret is
 * the committed point (caller clears); entries that could not be read are in
 * its problems, and the caller decides the exit status (ERR_PARTIAL).
 *   ERR_BUSY    fenced: the site is (fence_is()), or another session won this commit key; or, in
 *               single-writer mode, another session is open
 *   ERR_DENIED  the key may not write, or was revoked meanwhile
 *   ERR_UNSUPPORTED  the store cannot keep writers apart, and the mode says it must
 */
MUST_CHECK int writer_backup(const struct repo *r, struct source *source,
                             const struct writer_params *params, struct point *ret, struct err *e);

/* What a volume's next backup may begin from: the newest point that writer_backup() would go by. */
struct writer_previous {
	char session[96];                  /* for base_session; "": there is none */
	char token[CAPTURE_TOKEN_MAX + 1]; /* of its view; "": it has none */
	char driver[32];                   /* that made it */
	bool distrusted;        /* the newest comparison found that lists of changes were wrong */
	uint64_t unread_points; /* made in a row from lists, up to this one, without a comparison */
};

/*
 * Asks for it: costs a GET of one commit where this machine made the newest point, else
 * a list of all commits too. What another machine does meanwhile is not seen: writer_backup() looks
 * again. A point of another domain, or of none, gives empty names.
 */
MUST_CHECK int writer_previous(const struct repo *r, const struct point_volume *volume,
                               const char *domain, struct writer_previous *ret, struct err *e);

#endif
