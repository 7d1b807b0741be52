/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the agent notes and keeps what snapshots need: below the state directory, `journal/` for
 * notes of what is made elsewhere, and `views/` for copies.
 */
#ifndef AKSDR_AGENT_WORKPLACE_H
#define AKSDR_AGENT_WORKPLACE_H

#include "snapshot/snapshot.h"

struct workplace {
	struct journal *journal;
	char *scratch; /* directory */
};

/*
 * Opens or makes both below the directory state. Errors as journal_open(); ERR_INVALID: there
 * is no state directory.
 */
MUST_CHECK int workplace_open(const char *state, struct workplace *ret, struct err *e);
void workplace_close(struct workplace *w);

/* Removes what runs that died have left; *ret_removed: how many. The first error is in e. */
MUST_CHECK int workplace_tidy(const struct workplace *w, size_t *ret_removed, struct err *e);

#endif
