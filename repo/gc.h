/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collection: takes away what no restore point needs, while anybody
 * writes (docs/CONCURRENCY.md has the protocol and why it is safe).
 *
 * One call does as much of it as can be done now: it finishes the generation
 * that is open, unless sessions have to be waited for, and then starts the
 * next one. It can be stopped and killed anywhere; whoever calls next goes on.
 */
#ifndef AKSDR_REPO_GC_H
#define AKSDR_REPO_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/progress.h"
#include "repo/repo.h"

#define GC_FENCE_DEFAULT_NS ((int64_t)6 * 3600 * 1000000000)
#define GC_REPACK_DEFAULT 30 /* percent */
#define GC_SHARE_DEFAULT 20  /* percent */

struct gc_params {
	/* Policy, by the store's clock: a session that was silent for so long is fenced. */
	int64_t fence_after_ns;
	/* Packs that nothing names are left alone until they are so old: of sessions under way. */
	int64_t young_ns;
	unsigned repack_percent; /* copies what is left of packs with so much garbage; 0: none */
	uint64_t repack_bytes;   /* of live data copied in one call, at most; 0: no limit */
	unsigned share_percent;  /* refuses to take away more than this share of all bytes */
	bool accept_loss;        /* goes on although restore points are missing that were there */
	bool dry_run;
	unsigned threads;               /* 0: two a CPU */
	struct progress_counts *counts; /* may be NULL; files are packs here */
};

enum gc_outcome {
	GC_NOTHING, /* there is nothing to collect */
	GC_DONE,    /* a generation came to its end */
	GC_WAITING  /* sessions are at work that began before: call again */
};

struct gc_amount {
	uint64_t packs, bytes;
};

struct gc_result {
	enum gc_outcome outcome;
	uint64_t generation; /* that was worked on last */
	int64_t now_ns;      /* by the store */
	/* what there is */
	uint64_t points, points_expired;
	uint64_t points_revoked; /* that do not count, since their key was revoked */
	uint64_t logical_bytes;  /* of live points, each in full */
	uint64_t chunks;         /* places that live points need, tree nodes included */
	struct gc_amount stored, live;
	struct gc_amount garbage; /* packs that nothing needs */
	struct gc_amount young;   /* of them: not yet old enough */
	int64_t young_until_ns;   /* when the last of those is; 0: there are none */
	/* packs with enough garbage to be repacked; bytes of the garbage */
	struct gc_amount sparse;
	struct gc_amount damaged; /* chunks (as packs) that are known to be lost */
	/* what was done, or would be */
	struct gc_amount repacked; /* packs that were copied; bytes of live data */
	struct gc_amount condemned, released, deleted;
	struct gc_amount left; /* the store refuses to delete them */
	int64_t left_until_ns; /* when the last of those locks ends; 0: none that is known */
	uint64_t points_deleted;
	uint64_t segments_before, segments_written, segments_deleted;
	uint64_t sessions_waiting, sessions_fenced;
	int64_t wait_until_ns; /* when the last of those that are waited for may be fenced */
};

/*
 * Collects. The key must sign; the right to delete is the store's to give.
 *   ERR_BUSY         keys were changed meanwhile, or the revocation of one is not finished
 *   ERR_CORRUPT      a guard stopped it: a live point is damaged, or the store hides or lost
 *                    something; nothing was taken away
 *   ERR_DENIED       the key cannot sign, or the store refuses every deletion
 *   ERR_UNSUPPORTED  the store cannot keep writers apart, or the repository's format is too old
 *   ERR_INVALID      the share guard
 *   ERR_BUSY         other collectors are at work, and faster
 */
MUST_CHECK int gc_run(const struct repo *r, const struct gc_params *params, struct gc_result *ret,
                      struct err *e);

const char *gc_outcome_name(enum gc_outcome o); /* "nothing", "done", "waiting" */

#endif
