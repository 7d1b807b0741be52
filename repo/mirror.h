/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a repository in another store, object by object, as they are: no
 * key is needed. The order in which objects are copied makes the copy a
 * repository at every moment, also while writers and a collection are at work
 * in the source, and when the copying is killed (docs/STORES.md, "Mirror").
 */
#ifndef AKSDR_REPO_MIRROR_H
#define AKSDR_REPO_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/progress.h"
#include "store/store.h"

#define MIRROR_PARALLEL_MAX 32
#define MIRROR_PARALLEL_DEFAULT 4

/* What is told of an object. */
enum mirror_what {
	MIRROR_CONFLICT, /* both have it, and not the same: nothing was changed */
	MIRROR_DAMAGED,  /* it is not whole in the source, and was not copied */
	MIRROR_SURPLUS,  /* only the copy has it, and the source was not seen to delete it */
	MIRROR_DELETED,  /* from the copy, as a collection did from the source */
	MIRROR_MISSING   /* the copy lacks it: of mirror_verify() */
};
const char *mirror_what_name(enum mirror_what what); /* "conflict", "damaged", … */

/* text: a sentence without its subject, which is the key. -1 ends the work. One call at a time. */
typedef int mirror_tell(void *arg, enum mirror_what what, const char *key, const char *text,
                        struct err *e);

struct mirror_params {
	unsigned parallel; /* objects on their way at once; 0: MIRROR_PARALLEL_DEFAULT */
	uint64_t memory;   /* bytes of objects held at once; 0: 128 MiB. One object may be more */
	bool verify;       /* each object is read back and compared */
	bool dry_run;
	/*
	 * The copy was in use itself, and is taken back: session markers there are no reason to
	 * stop, and each commit that only it has is told.
	 */
	bool back;
	/*
	 * The source, opened with any key: what collections deleted there is deleted in the copy.
	 * NULL: nothing is deleted.
	 */
	const struct repo *deletions;
	const char *scratch;            /* directory for lists that are long; NULL: memory */
	const struct cancel *cancel;    /* may be NULL */
	struct progress_counts *counts; /* may be NULL */
	mirror_tell *tell;              /* may be NULL */
	void *arg;
};

struct mirror_result {
	uint64_t copied, copied_bytes; /* of a dry run: to be copied */
	uint64_t points;               /* of them: commits of restore points */
	uint64_t there, there_bytes;   /* that the copy had */
	uint64_t conflicts, damaged;
	uint64_t surplus;                /* objects that only the copy has */
	uint64_t surplus_points;         /* of them: commits of restore points */
	uint64_t deleted, deleted_bytes; /* of a dry run: to be deleted */
	uint64_t foreign; /* names or objects too long for a repository: not copied */
	uint64_t rounds;  /* looks, more than one where a collection was at work */
};

/*
 * Copies what `to` lacks. Can be stopped at any moment and run again, and then goes on. 0: the copy
 * has everything that was in the source when the last round began, but for what was told.
 *   ERR_NOT_FOUND  there is no repository in the source
 *   ERR_INVALID    the copy is of another repository
 *   ERR_BUSY       somebody writes to the copy: it has sessions of its own
 *   ERR_RETRY      collections went on in the source during each round; or as of every store
 *   ERR_CORRUPT    the copy has statements or collections that the source has not: each has gone
 *                  its own way, and they cannot be one repository any more
 *   ERR_CANCELLED, ERR_QUOTA, ERR_DENIED, ERR_IO, ERR_NOMEM, and what tell() returns
 */
MUST_CHECK int mirror_run(struct store *from, struct store *to, const struct mirror_params *params,
                          struct mirror_result *ret, struct err *e);

/* ---- comparing ---- */

enum mirror_point_state {
	MIRROR_POINT_COMPLETE, /* it is in the copy, and so is all that was received before it */
	MIRROR_POINT_UNSURE,   /* it is there, and something that is older is not */
	MIRROR_POINT_LACKING,  /* it is not in the copy, or another object is */
	MIRROR_POINT_SURPLUS   /* only the copy has it */
};
const char *mirror_point_state_name(enum mirror_point_state s); /* "complete", "unsure", … */

struct mirror_verified {
	uint64_t same, same_bytes;
	uint64_t missing, missing_bytes;
	uint64_t different;
	uint64_t surplus, surplus_bytes;
	uint64_t read_bytes; /* of each store */
	uint64_t points[4];  /* by enum mirror_point_state */
	int64_t cut_ns;      /* all that the source received until then is in the copy */
};

/*
 * Compares the stores: names and sizes, and with `read` every byte. params: parallel, memory,
 * scratch, cancel, counts, tell (MISSING, SURPLUS, CONFLICT) and arg. point() is called for each
 * restore point, in the order of keys, after all others; may be NULL. Nothing is written.
 */
MUST_CHECK int mirror_verify(struct store *from, struct store *to,
                             const struct mirror_params *params, bool read,
                             int (*point)(void *arg, const char *session, int64_t received_ns,
                                          enum mirror_point_state state, struct err *e),
                             struct mirror_verified *ret, struct err *e);

#endif
