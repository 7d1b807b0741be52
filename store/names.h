/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a directory in ascending order, with memory that does not grow
 * with the directory: only the smallest `keep` names of those that are added
 * stay. A caller that wants all of a bigger directory reads it again and adds
 * the names above the last one it got.
 *
 * A directory's name is kept with a '/' at its end, and that is how it sorts:
 * then the order of the names is the order of the keys, although '/' is above
 * '-' and '.' ("a-b" comes before everything in "a/").
 */
#ifndef AKSDR_STORE_NAMES_H
#define AKSDR_STORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/clean.h"

#define NAMES_MAX 256 /* bytes of a name, with the slash, without the NUL */

struct names {
	size_t keep;
	bool more; /* some name did not stay: all of those are above the ones that did */
	/* what follows belongs to names.c */
	char *text; /* the names one after another, each with a NUL */
	size_t text_len, text_cap;
	size_t *at; /* where each begins */
	size_t n, at_cap;
	char bound[NAMES_MAX + 1]; /* with `more`: no name above it is needed */
};

#define NAMES_INIT(count)       \
	{                       \
		.keep = (count) \
	}

void names_clear(struct names *s);

/* Forgets the names, keeps the memory. */
void names_reset(struct names *s);

/* Adds a name of at most NAMES_MAX - 1 bytes (dir: of a directory). 0, or -1: memory is short. */
MUST_CHECK int names_add(struct names *s, const char *name, bool dir);

/*
 * Sorts. Then names_get(0) to names_get(names_count() - 1) ascend, no more
 * than keep are left, and each is there once: a directory that changes while
 * it is read may give a name twice.
 */
MUST_CHECK int names_sort(struct names *s);
size_t names_count(const struct names *s);
const char *names_get(const struct names *s, size_t i);

#endif
