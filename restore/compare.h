/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two files of two points have different, as ranges. Stretches that lie
 * in the same places of the same chunks are not read; what else is as long is
 * fetched and compared byte by byte, for the same content may be stored twice.
 * Without the cache of chunks (whose key cannot read them) it counts as
 * different.
 */
#ifndef AKSDR_RESTORE_COMPARE_H
#define AKSDR_RESTORE_COMPARE_H

#include "restore/browse.h"

#define COMPARE_PAGE 4096

struct compare_file {
	struct browse *point;
	uint64_t number;
};

/* [off, off + len) differs; ranges come in order and do not touch. 0, or -1 to stop. */
typedef int compare_range_fn(void *arg, uint64_t off, uint64_t len, struct err *e);

/*
 * range may be NULL. *ret_bytes: how many bytes differ, in whole pages, with what one is longer
 * than the other. Errors as browse_read().
 */
MUST_CHECK int compare_files(const struct compare_file *a, const struct compare_file *b,
                             compare_range_fn *range, void *arg, uint64_t *ret_bytes,
                             struct err *e);

#endif
