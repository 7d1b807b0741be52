/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mends what a check finds, as far as it can be mended:
 *
 *   1. objects that are damaged or gone are put back from a second store,
 *      when there is one and its copy is whole; what marks say of a pack that
 *      is put back is lifted;
 *   2. packs that no index segment names are named by a new one, made from
 *      their footers; segments that do not open are taken away after that;
 *   3. places where no chunk can be had any more are marked as damaged: the
 *      next backup stores again what it needs of them, and a collection goes
 *      on without them;
 *   4. a last check tells what is left, with the files that are hurt.
 *
 * No data key is needed. Backups, restores and collections go on meanwhile: it
 * is a session like any other (docs/CONCURRENCY.md), and can be stopped at any
 * moment and run again.
 */
#ifndef AKSDR_REPO_REPAIR_H
#define AKSDR_REPO_REPAIR_H

#include "repo/check.h"

enum repair_what {
	REPAIR_REPLACED, /* put back from the second store */
	REPAIR_INDEXED,  /* a pack that the new index names */
	REPAIR_DROPPED,  /* an index segment that did not open */
	REPAIR_MARKED,   /* a pack of which chunks are marked as damaged */
	REPAIR_FAILED    /* it cannot be mended: text says why */
};

/* "replaced", "indexed", "dropped", "marked", "failed". */
const char *repair_what_name(enum repair_what what);

struct repair_act {
	const char *object; /* its key in the store */
	enum repair_what what;
	uint64_t chunks;  /* indexed, marked */
	const char *text; /* "" or why not */
};

struct repair_params {
	unsigned level;                 /* of the check that looks for damage: 2 .. 4 */
	unsigned threads;               /* of checks; 0: two a CPU */
	uint64_t hurt_max;              /* paths told; 0: CHECK_HURT_MAX */
	const struct repo *from;        /* a second store of the same repository, or NULL */
	bool dry_run;                   /* only say what would be done */
	struct progress_counts *counts; /* may be NULL */
	/* What is done, or would be. May be NULL; -1 ends the repair. */
	int (*act)(void *arg, const struct repair_act *a, struct err *e);
	/* What is left in the end; in a dry run what there is. As those of check.h. */
	int (*problem)(void *arg, const struct check_problem *p, struct err *e);
	int (*hurt)(void *arg, const struct check_hurt *h, struct err *e);
	void *arg;
};

struct repair_result {
	struct check_result before; /* of the first look */
	struct check_result after;  /* of the last; in a dry run the first */
	uint64_t replaced, replaced_bytes;
	uint64_t indexed;  /* packs */
	uint64_t segments; /* written */
	uint64_t dropped;  /* segments */
	uint64_t marked;   /* chunks */
	uint64_t failed;   /* objects */
	uint64_t unmarked; /* places that were too many for one run: another one goes on */
};

/*
 * 0: it ran to its end, and ret->after says whether something is left.
 *   ERR_DENIED   the key cannot sign, or the level asks for another one
 *   ERR_INVALID  no such level; or `from` is another repository
 *   ERR_BUSY     a collection has fenced the repair, which was silent for too long
 *   ERR_NOMEM, ERR_CANCELLED, ERR_RETRY, the store's, and what the callbacks return
 */
MUST_CHECK int repair_run(const struct repo *r, const struct repair_params *params,
                          struct repair_result *ret, struct err *e);

#endif
