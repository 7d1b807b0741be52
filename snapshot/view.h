/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that was noted and copied (precopy.h) as a source: entries, stat and
 * details as the original had them, contents from the copies.
 */
#ifndef AKSDR_SNAPSHOT_VIEW_H
#define AKSDR_SNAPSHOT_VIEW_H

#include "snapshot/copies.h"
#include "snapshot/inodes.h"
#include "snapshot/record.h"
#include "snapshot/walk.h"

/* All borrowed; none of it may change while a source of it is in use. */
struct view_parts {
	const struct record *record;
	const struct inodes *inodes;
	const struct copies *copies;
};

/*
 * params as in walk_open(), which may be NULL: what is left out of a walk is left out here.
 * Several may be in use at once. Errors of content: ERR_NOT_FOUND, ERR_DENIED and so on as the
 * original gave them; ERR_IO when a copy is not what was made.
 */
MUST_CHECK struct source *view_open(const struct view_parts *parts,
                                    const struct walk_params *params, struct err *e);

#endif
