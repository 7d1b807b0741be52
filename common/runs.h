/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large multiset of records that is filled in any order, from many threads,
 * and read in order, without doubles: an external sort. It lives in sorted
 * runs of scratch memory that the kernel may write back, so that little memory
 * of its own is needed whatever its size.
 */
#ifndef AKSDR_COMMON_RUNS_H
#define AKSDR_COMMON_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct runs_type {
	size_t size; /* bytes of a record; a multiple of its alignment */
	int (*cmp)(const void *a, const void *b);
	/* Takes over what `same` has that `kept` lacks; cmp() says 0 of them. May be NULL. */
	void (*join)(void *kept, const void *same);
};

struct runs;

/* scratch_dir: where runs are kept; NULL: anonymous memory. type is borrowed. NULL: no memory. */
struct runs *runs_new(const struct runs_type *type, const char *scratch_dir);
void runs_free(struct runs *r);
static inline void clean_runs(struct runs *const *r)
{
	runs_free(*r);
}
#define auto_runs CLEANUP(clean_runs)

/* Copies n records in. Thread-safe. Not between runs_rewind() and the end of reading. */
MUST_CHECK int runs_add(struct runs *r, const void *records, size_t n, struct err *e);

bool runs_empty(const struct runs *r);

/* Reading starts, or starts again. -1: no memory. */
MUST_CHECK int runs_rewind(struct runs *r, struct err *e);

/* The next record, which stays the next one; NULL at the end. Valid until runs_next(). */
const void *runs_peek(struct runs *r);
/* The same, and goes on. Valid until the next call of either. */
const void *runs_next(struct runs *r);

/* Bytes of scratch memory in use. */
uint64_t runs_bytes(const struct runs *r);

#endif
