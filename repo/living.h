/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the commits in the store are restore points that count: neither
 * expired, nor named by what a collection has decided to take away.
 */
#ifndef AKSDR_REPO_LIVING_H
#define AKSDR_REPO_LIVING_H

#include <stdbool.h>

#include "common/err.h"
#include "repo/collection.h"
#include "repo/commits.h"
#include "repo/expiry.h"
#include "repo/repo.h"

struct living {
	struct commit_list commits;
	struct expiry expiry;
	struct session_names gone; /* as living_gone() */
};

/* Lists commits and statements of expiry. Statements that do not open are passed over. */
MUST_CHECK int living_load(const struct repo *r, struct living *ret, struct err *e);
void living_clear(struct living *l);

/* True for a restore point that is to be offered. session: of a commit in l->commits. */
bool living_is(const struct living *l, const char *session);

/*
 * Points of which a `final` says that they go, and which are there: the store kept them, or a
 * commit that was on its way for long has brought them back. They are expired for ever, whatever
 * their tombstones and holds say. Only what was not live at the end of the last collection, and has
 * no marker, can be such a point; of others no object is read.
 */
MUST_CHECK int living_gone(const struct repo *r, const struct collection_state *s,
                           const struct commit_list *commits, const struct marker_list *markers,
                           struct session_names *ret, struct err *e);

#endif
