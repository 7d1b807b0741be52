/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is everything there, and is it what was written? Five levels, each with all
 * of those below it:
 *
 *   0  every commit and index segment opens; every pack and node that they
 *      name is listed; all trees are walked
 *   1  each pack is asked for its length, which is the one in the index
 *   2  signature, header and footer of each pack; what trees and index say of
 *      a chunk is what the footer says; session markers open
 *   3  the scrub checksum of every ciphertext; no data key is needed
 *   4  every chunk is decrypted, expanded and hashed again; needs a recovery key
 *
 * What is found is told in a fixed order, whatever the threads did: problems
 * by object name, then the files of restore points that are hurt by them.
 */
#ifndef AKSDR_REPO_CHECK_H
#define AKSDR_REPO_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/progress.h"
#include "repo/absent.h"
#include "repo/repo.h"

#define CHECK_LEVEL_MAX 4
#define CHECK_LEVEL_RESTORE 5 /* and restores: of a check by the catalog */
#define CHECK_HURT_MAX 1000   /* paths told, when nothing else is asked for */

enum check_what {
	CHECK_MISSING,    /* named by a restore point or the index, and not in the store */
	CHECK_SIZE,       /* longer or shorter than it was */
	CHECK_DAMAGED,    /* its bytes are not those that were written */
	CHECK_UNREADABLE, /* the store does not give it */
	CHECK_MISMATCH    /* two intact objects contradict each other */
};

/* "missing", "size", "damaged", "unreadable", "mismatch". */
const char *check_what_name(enum check_what what);

struct check_problem {
	const char *object; /* its key in the store */
	enum check_what what;
	const char *text; /* a sentence without its subject, which is the object */
	uint64_t chunks;  /* of restore points that it hurts */
};

/* A file of a restore point, or all below a place in its tree, that cannot be restored in full. */
struct check_hurt {
	const char *session; /* of the restore point */
	const char *volume;  /* "cluster/namespace/name", without what is empty */
	const char *path;    /* escaped as in docs/FORMAT.md 9; "" is the root */
	bool subtree;        /* the list of names is lost: this path and entries - 1 that follow */
	uint64_t entries;
};

/* What a repair goes by (repo/repair.h); told at the end, before the problems. */
struct check_sink {
	/* A dedup domain of restore points. */
	int (*domain)(void *arg, const char *name, struct err *e);
	/* A segment that should count, and does not open. */
	int (*segment)(void *arg, const char *key, struct err *e);
	/*
	 * A pack that no segment names (of those that restore points need: none that counts), and
	 * whose frame is whole: level 2 and above.
	 */
	int (*unindexed)(void *arg, const struct pack_name *pack, uint64_t len, struct err *e);
	/*
	 * Where a chunk should be, by trees, index or footer, and is not, or is damaged; places
	 * that are marked are not told. By pack and offset, each once.
	 */
	int (*place)(void *arg, const struct place *p, struct err *e);
	void *arg;
};

struct check_params {
	unsigned level;    /* 0 .. CHECK_LEVEL_MAX */
	unsigned threads;  /* 0: two a CPU, so that some compute while others read */
	uint64_t memory;   /* bytes for buffers; 0: 128 MiB. Fewer threads where it is not enough */
	uint64_t hurt_max; /* paths told; 0: CHECK_HURT_MAX */
	/* Which packs are read in full, of levels 3 and 4; without any of these all are: */
	uint64_t budget; /* bytes of packs, those verified the longest time ago first; 0: all */
	unsigned sample_percent; /* so many packs of a hundred, at random; 0: all */
	int64_t max_age_ns;      /* those not verified within this time; 0: all */
	bool resume; /* not those that the last check, which did not end, has verified */
	/* Puts records into the store; needs a key that signs (repo/checked.h). */
	bool record;
	struct progress_counts *counts; /* may be NULL; files are packs here */
	const struct check_sink *sink;  /* may be NULL */
	/* May be NULL; -1 ends the check. Called from the thread of check_run(), at its end. */
	int (*problem)(void *arg, const struct check_problem *p, struct err *e);
	int (*hurt)(void *arg, const struct check_hurt *h, struct err *e);
	void *arg;
};

struct check_result {
	char run[33]; /* names the check, also in its records */
	unsigned level;
	bool all; /* it was to read everything that its level asks for */
	int64_t started_ns, finished_ns;
	uint64_t points; /* restore points that open, less those that are expired */
	uint64_t points_expired;
	uint64_t open_sessions;     /* session markers without a commit */
	uint64_t segments;          /* index segments that open */
	uint64_t unknown_segments;  /* of domains that no restore point is in */
	uint64_t packs, node_packs; /* listed */
	uint64_t pack_bytes;        /* of both kinds */
	uint64_t nodes, chunks;     /* that restore points need, each place once */
	uint64_t unreferenced,
		unreferenced_bytes; /* packs that nothing names: of sessions that did not end */
	uint64_t known_damaged; /* chunks that were marked as damaged, and nothing needs there */
	uint64_t unknown_packs; /* of domains that no restore point is in: not looked into */
	uint64_t revoked;       /* objects that do not count, since their key was revoked */
	uint64_t foreign;       /* objects below pack/ and meta/ whose names are no pack's */
	uint64_t objects;       /* read, at least in part */
	uint64_t bytes_read;
	/* levels 3 and 4: packs that were to be read in full, and those that were and are good */
	uint64_t packs_chosen, bytes_chosen;
	uint64_t packs_verified, bytes_verified;
	/* ages, where they were asked for (budget, max_age_ns, resume) */
	uint64_t never_verified;
	int64_t oldest_ns; /* of what was ever verified; by the store's clock */
	uint64_t untold;   /* places that the sink was not told, since they are too many */
	uint64_t problems;
	uint64_t hurt_points, hurt_entries;
	bool recorded;         /* in the store, in full */
	struct err unrecorded; /* why not, where it was asked for */
};

/*
 * Checks the repository. 0: the check ran to its end, and ret->problems says
 * whether something was found. Objects that appear meanwhile are not looked at.
 *   ERR_DENIED     level 4 and no recovery key
 *   ERR_INVALID    no such level
 *   ERR_BUSY       something is missing, and collections went on during each look at the
 *                  repository; or something is wrong, and the keys were changed meanwhile
 *   ERR_RETRY, ERR_NOMEM, ERR_CANCELLED, and what the callbacks return
 */
MUST_CHECK int check_run(const struct repo *r, const struct check_params *params,
                         struct check_result *ret, struct err *e);

#endif
