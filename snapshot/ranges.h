/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of ranges of bytes, sorted and apart from each other: what may differ
 * between two views of a file or device.
 */
#ifndef AKSDR_SNAPSHOT_RANGES_H
#define AKSDR_SNAPSHOT_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "common/clean.h"

struct range {
	uint64_t start, end; /* start < end */
};

/* All zero is an empty list. */
struct ranges {
	struct range *v;
	size_t n, cap;
};

void ranges_free(struct ranges *take_r); /* of one from malloc(); NULL is fine */
static inline void clean_ranges(struct ranges *const *r)
{
	ranges_free(*r);
}
#define auto_ranges CLEANUP(clean_ranges)

struct ranges *ranges_new(void); /* NULL: no memory */

/*
 * Adds [start, end); nothing when it is empty. start must not be below the start of the last
 * one; one that touches the last one makes that longer. -1: no memory.
 */
MUST_CHECK int ranges_add(struct ranges *r, uint64_t start, uint64_t end);

/* Adds [start, end), and nothing of what was behind start before stays. -1: no memory. */
MUST_CHECK int ranges_add_tail(struct ranges *r, uint64_t start, uint64_t end);

/* Bytes in all ranges. */
uint64_t ranges_bytes(const struct ranges *r);

/*
 * The first range that ends behind off, cut to begin at or after off and to end at size at the
 * latest. *ret_start == *ret_end == size: there is none.
 */
void ranges_next(const struct ranges *r, uint64_t off, uint64_t size, uint64_t *ret_start,
                 uint64_t *ret_end);

#endif
