/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backup of one volume, whose view is there: the repository's writer reads
 * it. The only place where snapshot/ and repo/ meet.
 */
#ifndef AKSDR_AGENT_JOB_H
#define AKSDR_AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/moment.h"
#include "common/err.h"
#include "common/progress.h"
#include "repo/repo.h"

struct job_params {
	struct point_volume volume; /* block is set by the job */
	struct moment *moment;
	size_t view; /* which of its volumes, with a snapshot */
	bool last;   /* no other view is read after it */
	/* Lists of what changed are used; all is read and compared with them every so often. */
	bool changed_blocks;
	uint64_t full_every; /* backups; 0: never */
	const char *domain;
	const char *set; /* 32 hexadecimal digits, or NULL */
	const char *const *excludes;
	size_t nexcludes;
	bool skip_caches, cross_mounts, allow_empty, drop_cache;
	bool ignore_ctime, force, take_over, verify_encode, dry_run;
	int level;
	unsigned threads;
	uint64_t page_cache_bytes;
	enum progress_mode progress;
};

/*
 * Runs to the commit. On success *ret is the new point (the caller clears);
 * its counts of problems say whether it is complete.
 *   ERR_INVALID  the volume is empty and allow_empty is not set
 * and what writer_backup() says.
 */
MUST_CHECK int job_backup(const struct repo *r, const struct job_params *p, struct point *ret,
                          struct err *e);

#endif
