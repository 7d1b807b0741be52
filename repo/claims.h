/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source claims of one content: the ranges that may differ from the earlier view that is its
 * base (source_ops.changed), gone through in ascending order, gathered by windows, and checked
 * against what is known of the old version. Whatever a source answers, nothing here fails: what
 * makes no sense counts as changed.
 */
#ifndef AKSDR_REPO_CLAIMS_H
#define AKSDR_REPO_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/source.h"
#include "repo/delta.h"

#define CLAIMS_MAX 64 /* ranges told apart in one window */

struct claims_range {
	uint64_t start, end;
};

struct claims {
	const struct source_ops *ops;
	struct content *content;
	uint64_t size;
	struct claims_range at; /* the one at hand; start == size: there are no more */
	uint64_t bytes;         /* claimed so far */
	/* of the comparison */
	uint64_t compared_to; /* offset */
	uint64_t compared_bytes, wrong_bytes;
};

/* Asks for the first claim of a content of size bytes. false: nothing is known of it. */
bool claims_begin(struct claims *c, const struct source_ops *ops, struct content *content,
                  uint64_t size);

/* Moves on to the first claim that reaches beyond off. Offsets must not decrease. */
void claims_move(struct claims *c, uint64_t off);

/*
 * The claims within [from, to), rounded outwards to pages but not beyond it, joined where
 * they touch. Returns their number; all of [from, to) is one where there are too many.
 */
size_t claims_window(struct claims *c, uint64_t from, uint64_t to,
                     struct claims_range ret[CLAIMS_MAX]);

/*
 * Compares those pages of the old version (of d, whose fingerprints are at hand) that begin at
 * [off, off + n) and that no claim touches with new bytes p[0 .. avail), avail >= n; p NULL: a
 * hole. Counts what was compared, and pages that differ. Offsets must not decrease.
 */
void claims_compare(struct claims *c, struct delta *d, const uint8_t *p, uint64_t n, uint64_t avail,
                    uint64_t off);

/* Counts the claims that are left. */
void claims_end(struct claims *c);

#endif
