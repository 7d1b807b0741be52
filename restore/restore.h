/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One restore point into one target.
 *
 *   tree ──► window (files, chunks they need) ──► reader ──► deliver ──► target
 *
 * One thread walks the tree, makes directories and links and fills windows
 * (restore/window.h); the reader's threads fetch each chunk once and write it
 * wherever it goes. Files that come out of one chunk are made, written and
 * finished right there; larger ones are open until their last chunk is in.
 * Directories get their metadata when everything below them is done, deepest
 * first.
 */
#ifndef AKSDR_RESTORE_RESTORE_H
#define AKSDR_RESTORE_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/progress.h"
#include "repo/repo.h"
#include "restore/report.h"
#include "restore/select.h"
#include "restore/target.h"

enum on_corrupt {
	CORRUPT_FAIL, /* the first loss ends the restore; the file that it hurts is removed */
	CORRUPT_SKIP  /* losses are listed and left as holes */
};

struct restore_params {
	/* Entries, with all below them, by path, in order, none in another; 0: the whole point. */
	const char *const *paths;
	size_t npaths;
	struct select *select; /* only what it has, of what is below these; NULL: all of it */
	bool root;             /* the point's root gives its metadata to the target, too */
	uint64_t matched;      /* entries that patterns fit, for the report */
	/*
	 * The target is exactly this point, so only what differs from it is looked at; NULL:
	 * nothing is known of it. Of whole points alone, with TARGET_KNOWN, TARGET_IN_PLACE and
	 * TARGET_DELETE, without TARGET_COMPARE. Damage to the trees ends it in any case.
	 */
	const struct point *base;
	enum on_corrupt on_corrupt;
	bool rehash;      /* compute every chunk's id again */
	unsigned threads; /* 0: CPUs */
	uint64_t memory;  /* of the reader; 0: default */
	size_t names_max; /* of a directory, to know what to delete without the tree; 0: default */
	struct progress_counts *counts; /* may be NULL */
};

/*
 * Restores into the target; with TARGET_COMPARE set compares only: what
 * differs is in the report as GAP_DIFFERS, and report->written counts what
 * would be written. Gaps and losses of metadata are no errors here (see
 * report_verdict()).
 *   ERR_NOT_FOUND  a path is not in the point
 *   ERR_CORRUPT    damaged data or tree, with CORRUPT_FAIL; the target is not the base
 *   ERR_CANCELLED, ERR_QUOTA, ERR_DENIED, ... and the target is incomplete
 */
MUST_CHECK int restore_run(const struct repo *r, const struct point *p, struct target *t,
                           const struct restore_params *params, struct report *report,
                           struct err *e);

/* "a/b" for "/a//b/": how a user's path is looked up. In place; -1 with ERR_INVALID for "..". */
MUST_CHECK int restore_path(char *path, struct err *e);

#endif
