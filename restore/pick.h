/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which point of each volume a plan restores: the newest that is at or before a time, of enough
 * consistency, and there as a whole in the region that is read. Points that were taken together
 * count together: where one of a set cannot be used, the others of it are not either, and their
 * volumes step back with it.
 */
#ifndef AKSDR_RESTORE_PICK_H
#define AKSDR_RESTORE_PICK_H

#include "repo/repo.h"
#include "restore/recipe.h"

/* Why a newer point was passed over. */
enum pick_why {
	PICK_LATER,      /* it is of after the time */
	PICK_LESS,       /* its consistency is less than wanted */
	PICK_INCOMPLETE, /* the second region does not have all of it, or may not */
	PICK_DAMAGED,    /* its commit does not open */
	PICK_SET,        /* another of its set cannot be used */
	PICK_LACKS       /* parts of it are not in the store, as after a failover of the account */
};
#define PICK_WHYS 6
const char *pick_why_text(enum pick_why w); /* "not complete in the second region", ... */

struct pick {
	struct point_volume volume;
	char session[POINT_SESSION_LEN + 1]; /* "": there is no point that can be used */
	char id[33], set[33], agent[64], consistency[16];
	bool apart; /* it is of a set of which no other point was picked */
	uint64_t sequence, bytes, files;
	int64_t frozen_ns, received_ns;
	int64_t newest_ns; /* moment of the newest point that opens, picked or not */
	json_t *claim; /* what the cluster said of it (docs/FORMAT.md 9); NULL: nothing. Owned */
	unsigned passed[PICK_WHYS];
};

/* By namespace and name. */
struct picks {
	struct pick *v;
	size_t n;
	size_t unknown; /* volumes of which no point opens, so that nobody knows what they are */
	bool away;      /* the second region was read, since the first one does not answer */
	struct store_cut cut; /* how far the second region was */
};
void picks_clear(struct picks *p);
void picks_sort(struct picks *p);
/* The pick of a volume, by namespace and name; NULL: there is none. They must be sorted. */
const struct pick *picks_find(const struct picks *p, const char *ns, const char *name);

struct pick_params {
	const struct recipe_select *select;
	const char *cluster; /* the points' */
	int64_t as_of_ns;    /* 0: the newest */
	unsigned consistency;
	bool geo; /* only what the second region has, also while the first one answers */
	/*
	 * Only what is there as a whole, which costs a walk of the tree of each point that is
	 * picked: a store that was failed over may show commits of which it never got the rest.
	 */
	bool whole;
	unsigned threads; /* 0: 16 */
};

/*
 * Lists the repository once and opens one commit of each volume, further ones where it must. Memory
 * is by volumes of the plan, and by commits of the repository about 100 bytes each; and what
 * repo/whole.h says, where that is asked.
 *   ERR_NOT_FOUND  no volume falls under the plan
 * and what living_load() says.
 */
MUST_CHECK int picks_make(const struct repo *r, const struct pick_params *params, struct picks *ret,
                          struct err *e);

/* The same of points that are known: those of these n sessions, and nothing else. */
MUST_CHECK int picks_of(const struct repo *r, const char *const *sessions, size_t n,
                        struct picks *ret, struct err *e);

#endif
