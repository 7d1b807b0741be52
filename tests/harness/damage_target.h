/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore into memory, of which only a digest is kept: a sum over all entries
 * of a hash of path, type, mode, owner, times, and content. The same is computed
 * of a directory, so that a restore can be compared with what was backed up
 * without touching a disk.
 */
#ifndef AKSDR_TESTS_DAMAGE_TARGET_H
#define AKSDR_TESTS_DAMAGE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/repo.h"

struct damage_digest {
	uint64_t entries;
	uint64_t sum[4];
};

static inline bool damage_digest_is(const struct damage_digest *a, const struct damage_digest *b)
{
	return a->entries == b->entries && a->sum[0] == b->sum[0] && a->sum[1] == b->sum[1] &&
	       a->sum[2] == b->sum[2] && a->sum[3] == b->sum[3];
}

/* Of a directory of files, directories, and links. */
struct damage_digest damage_digest_of(const char *dir);

/* Restores a point in full. Anything that is missing fails. */
MUST_CHECK int damage_restore(const struct repo *r, const struct point *p,
                              struct damage_digest *ret, struct err *e);

/*
 * The same of several points by one reader and without the restore's own threads: faster by far.
 * rets[i], and errs[i] of those that fail: ERR_NONE of the others. points[i]: of those whose
 * session is empty nothing is read.
 */
MUST_CHECK int damage_read_all(const struct repo *r, const struct point *points, size_t n,
                               struct damage_digest *rets, struct err *errs, struct err *e);

#endif
