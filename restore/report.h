/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore did and what it could not do. Counters are added to by all
 * threads; what is missing is listed (the first thousand) and logged as it is
 * found. The verdict turns it into the program's exit status.
 */
#ifndef AKSDR_RESTORE_REPORT_H
#define AKSDR_RESTORE_REPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "common/err.h"
#include "common/table.h"
#include "restore/loss.h"

#define REPORT_LISTED 1000

enum gap_kind {
	GAP_RANGE,  /* bytes of a file, left as a hole */
	GAP_ENTRY,  /* an entry that could not be made */
	GAP_TREE,   /* the entries after `path` up to `until`, whose names are not known */
	GAP_DIFFERS /* comparing: what is in the target is not what is in the point */
};

struct gap {
	enum gap_kind kind;
	char *path;        /* any bytes */
	char *until;       /* GAP_TREE: "" is the end of the tree */
	uint64_t off, len; /* GAP_RANGE */
	char *why;
};

struct report {
	_Atomic uint64_t files, directories, symlinks, hardlinks, others;
	_Atomic uint64_t bytes; /* of files, holes included */
	_Atomic uint64_t
		written; /* bytes of content written to the target; comparing: to be written */
	_Atomic uint64_t same;    /* bytes that the target had already */
	_Atomic uint64_t fetched; /* bytes read from the store */
	uint64_t deleted;         /* entries that the point does not have */
	uint64_t changed;         /* files that changed while they were backed up */
	char *changed_first;      /* one of them */
	bool verified;            /* read back and compared */
	bool quiet;               /* gaps are not logged */
	int64_t took_ms;

	pthread_mutex_t lock;
	struct gap *gaps;                            /* guarded by lock */
	size_t ngaps;                                /* guarded by lock; at most REPORT_LISTED */
	uint64_t gap_count, gap_bytes, differ_count; /* guarded by lock; all, listed or not */
	struct losses losses;
};

void report_init(struct report *r);
void report_clear(struct report *r);

/* Adds and logs a gap. path and until need not end in a NUL; until may be NULL. Thread-safe. */
void report_gap(struct report *r, enum gap_kind kind, const char *path, size_t path_len,
                const char *until, size_t until_len, uint64_t off, uint64_t len, const char *why);

/* Counts a file that changed while it was backed up. */
void report_changed(struct report *r, const char *path, size_t path_len);

struct report_head {
	const char *verb; /* "restored", "would restore", "compared" */
	const char *volume, *point, *session, *target;
	const char *base; /* point that the target held; NULL: that is not relied on */
	bool dry_run;
	uint64_t requests; /* to the store's service */
	uint64_t matched;  /* entries that patterns fit; 0: there was none */
};

/* The closing summary on f. CSV is given as JSON's fields in one line. */
MUST_CHECK int report_print(const struct report *r, const struct report_head *head,
                            enum output output, FILE *f, struct err *e);

/*
 * 0 when nothing was lost, else -1:
 *   ERR_CORRUPT  what is in the target differs from the point
 *   ERR_PARTIAL  gaps, or metadata that could not be set
 */
MUST_CHECK int report_verdict(const struct report *r, struct err *e);

#endif
