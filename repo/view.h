/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session sees of the repository, read after it was registered and in
 * the order that docs/CONCURRENCY.md asks for: the state of the collection,
 * marks of damage, commits. The index is opened by it (repo/index.h).
 */
#ifndef AKSDR_REPO_VIEW_H
#define AKSDR_REPO_VIEW_H

#include "repo/absent.h"
#include "repo/collection.h"
#include "repo/commits.h"

struct view {
	struct collection_state collection;
	struct absent absent;
	struct pack_list dead; /* of the finals of all generations that are done, sorted */
	struct commit_list commits;
};

/* ERR_CORRUPT when a list of the collection does not open: nothing can be relied on then. */
MUST_CHECK int view_load(const struct repo *r, struct view *ret, struct err *e);
void view_clear(struct view *v);

/* What an index segment of this session counts for. */
enum segment_state {
	SEGMENT_SETTLED,   /* the session committed */
	SEGMENT_TENTATIVE, /* it did not end */
	SEGMENT_VOID       /* it was fenced, or is not known */
};
/* markers may be NULL: then a session without commit counts as one that did not end. */
enum segment_state view_segment(const struct commit_list *commits,
                                const struct marker_list *markers, const char *session);

#endif
