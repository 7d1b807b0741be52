/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns that leave things out of a walk (and say what of a point is wanted, restore/select.h),
 * in the way of .gitignore: a
 * pattern without '/' (but for a last one) is for a name at any depth; one with
 * '/' is for a path from the root; `**` stands for any number of folders; a last
 * '/' means directories only; '!' in front takes things in again; the last
 * pattern that fits decides. What is in a directory that is left out cannot
 * be taken in again. Parts of a path are compared by fnmatch(): * ? [a-z] and
 * a backslash before a plain one.
 */
#ifndef AKSDR_SNAPSHOT_MATCH_H
#define AKSDR_SNAPSHOT_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct match;

/*
 * The patterns are copied. n == 0 gives a match that fits nothing.
 *   ERR_INVALID  a pattern is empty, or has "." or ".." or nothing as a part
 */
MUST_CHECK struct match *match_new(const char *const *patterns, size_t n, struct err *e);
void match_free(struct match *m);

/* True when path (relative, no leading '/', not empty) is to be left out. Thread-safe. */
bool match_path(const struct match *m, const char *path, bool is_dir);

#endif
