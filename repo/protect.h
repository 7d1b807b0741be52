/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that keep their promise: a restore point cannot be deleted before its
 * receipt plus the time of the lock, and neither can anything that it needs.
 * A store locks an object when it is put; a point that uses older objects
 * needs them longer than that. This goes over restore points, works out until
 * when each object is needed, and extends the locks that are too short.
 *
 * It may run at any time, beside backups and collections, several times at
 * once, and be stopped: the locks themselves say what is left to be done.
 */
#ifndef AKSDR_REPO_PROTECT_H
#define AKSDR_REPO_PROTECT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/progress.h"
#include "repo/repo.h"

/* What is told of a restore point. */
struct protect_point {
	const char *session;
	int64_t received_ns;
	int64_t wanted_ns; /* receipt and the time of the lock */
	/*
	 * Until when nothing of it can be deleted: covered: at least wanted_ns; else the end of the
	 * first lock. 0: something is not locked at all.
	 */
	int64_t safe_ns;
	bool covered;
};

#define PROTECT_MARGIN_SHARE 4 /* of the lock is the margin, when nothing else is asked for */

struct protect_params {
	const char *const *sessions; /* of points; others are left alone */
	size_t nsessions;            /* 0: all points that count */
	int64_t lock_s;              /* above 0 */
	/* A lock that is extended is extended by so much more, so that the next runs find it so. */
	int64_t margin_s;
	int64_t now_ns;                 /* 0: the present time */
	bool dry_run;                   /* only tells what is */
	unsigned threads;               /* that read trees; 0: two a CPU */
	struct progress_counts *counts; /* may be NULL; files are objects here */
	/* Each point, by session; may be NULL */
	int (*point)(void *arg, const struct protect_point *p, struct err *e);
	void *arg;
};

struct protect_result {
	int64_t now_ns;
	uint64_t points, covered; /* covered: also those whose time is over */
	uint64_t over;            /* points whose time is over: nothing is asked about them */
	uint64_t objects;         /* that had to be looked at */
	uint64_t too_short;       /* of them: their lock ended too early */
	uint64_t extended;        /* of them: not any more */
	uint64_t missing;         /* of them: not in the store */
	uint64_t unreadable;      /* points, nodes and chunks that cannot be read or found */
	struct err refusal;       /* why the store did not extend one, the first time */
};

/*
 * Extends. Keys of any kind will do: it is the store's to allow it. A store that cannot lock
 * fails only when there is something to extend.
 *   ERR_INVALID      lock_s
 *   ERR_NOT_FOUND    a session is none of a restore point that counts
 *   ERR_UNSUPPORTED  the store cannot lock
 *   ERR_BUSY         collections go on faster than this
 *   ERR_CORRUPT      something of the repository that is no point does not open
 */
MUST_CHECK int protect_run(const struct repo *r, const struct protect_params *params,
                           struct protect_result *ret, struct err *e);

/*
 * Whether all was locked that was to be. Pure.
 *   ERR_CORRUPT  not all can be read, so not all is known that must be locked
 *   ERR_PARTIAL  points can be deleted before their time; says why, where the store refused
 */
MUST_CHECK int protect_verdict(const struct protect_result *r, struct err *e);

#endif
