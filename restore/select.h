/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entries of a point are wanted: paths, each with all below it, and
 * patterns in the way of snapshot/match.h, each with all below what it fits.
 * Patterns are looked at entry by entry, so nothing is kept of what they fit,
 * however much that is. Used by one thread at a time.
 */
#ifndef AKSDR_RESTORE_SELECT_H
#define AKSDR_RESTORE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repo/tree.h"

struct select;
struct select *select_new(void); /* NULL: no memory */
void select_free(struct select *s);

/* True when the text has something that patterns are made of. */
bool select_is_pattern(const char *text);

/* A path as restore_path() leaves it; a pattern. Then select_finish(), once. ERR_INVALID. */
MUST_CHECK int select_add_path(struct select *s, const char *path, struct err *e);
MUST_CHECK int select_add_pattern(struct select *s, const char *pattern, struct err *e);
MUST_CHECK int select_finish(struct select *s, struct err *e);

/* The paths below which all of it lies, sorted, none within another. Valid while s is. */
const char *const *select_roots(const struct select *s, size_t *ret_n);

/* Is the entry wanted? */
bool select_has(struct select *s, const char *path, size_t len, bool is_dir);

struct select_counts {
	uint64_t matched; /* entries that a path or pattern names themselves */
	uint64_t entries; /* with all that is below */
	uint64_t bytes;   /* of files */
};

/*
 * Goes through the tree, and counts. What is damaged is passed over: a restore will tell.
 *   ERR_NOT_FOUND  something that was added fits nothing, and no part of the tree is lost
 */
MUST_CHECK int select_scan(struct select *s, struct tree *t, const struct cancel *cancel,
                           struct select_counts *ret, struct err *e);

#endif
