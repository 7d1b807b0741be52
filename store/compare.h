/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two stores side by side: which objects both have, and which only one of
 * them. Both listings are in the order of keys, so a comparison needs no more
 * memory for a million objects than for one. And what follows from it for a
 * store and its copy: how far the copy is (docs/STORES.md, "The cut by
 * comparison").
 */
#ifndef AKSDR_STORE_COMPARE_H
#define AKSDR_STORE_COMPARE_H

#include "store/store.h"

enum store_side {
	SIDE_BOTH, /* their sizes may differ: st[0], st[1] */
	SIDE_LEFT, /* only there */
	SIDE_RIGHT
};

struct store_pair {
	enum store_side side;
	const char *key;
	struct store_stat left, right; /* zeros where it is not there */
};

struct store_compared {
	uint64_t both, both_bytes;   /* of the same size */
	uint64_t differ;             /* of another size */
	uint64_t left, left_bytes;   /* only there */
	uint64_t right, right_bytes; /* only there */
	int64_t newest_ns;           /* receipt of the newest on the left; 0: there is none */
};

/*
 * Calls each() for every object below prefix ("" is all) of either store, in ascending order of
 * keys. each() may end it by returning 1, or fail with -1; it may call the stores. What is created
 * or deleted meanwhile may be seen in one, both or none. ret may be NULL; each may be NULL.
 * Errors as store_list(), with the store's URL.
 */
MUST_CHECK int store_compare(struct store *left, struct store *right, const char *prefix,
                             int (*each)(void *arg, const struct store_pair *pair, struct err *e),
                             void *arg, struct store_compared *ret, struct err *e);

/*
 * True for an object that is about the store where it lies, or about who is at work there: a copy
 * is whole without it, and is told by none of them (docs/STORES.md, "What a copy has"). Pure.
 */
bool store_compare_is_local(const char *key);

/*
 * How far `copy` is, by comparing it with `primary`: of all objects that were in the primary when
 * this was called, those received at or before ret->cut_ns are in the copy, with the same size; but
 * for local ones, and those that were deleted meanwhile. ret->behind says how many are not.
 * Whether an object that arrives later can have a time of receipt at or before the cut: only where
 * the primary's clock goes back. since_ns: a cut of before, or 0; while nothing lacks, the cut
 * does not go back behind it. kind is CUT_COMPARED. Reads both, and writes nothing.
 * Errors as store_list(): nothing is known then.
 */
MUST_CHECK int store_compare_cut(struct store *primary, struct store *copy, int64_t since_ns,
                                 struct store_cut *ret, struct err *e);

#endif
