/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of browse.h share: browse.c goes through trees, browse_read.c through content. */
#ifndef AKSDR_RESTORE_BROWSE_IMPL_H
#define AKSDR_RESTORE_BROWSE_IMPL_H

#include "repo/tree.h"
#include "restore/browse.h"

struct browse {
	struct browse_shared shared;
	struct point point; /* what tree_open() looks at */
	struct domain_keys *domain;
	uint64_t id; /* its own, of all that ever were */
};

/* A tree to work with; it is given back at the end of the scope. */
struct browse_tree {
	struct browse *browse;
	struct tree *tree;
};
#define BROWSE_TREE(b) ((struct browse_tree){ .browse = (b) })
MUST_CHECK int browse_tree_take(struct browse_tree *t, struct err *e);
void browse_tree_put(struct browse_tree *t);
#define auto_browse_tree CLEANUP(browse_tree_put)

/* The record of this number, which is valid until the tree goes on. */
MUST_CHECK int browse_record(struct browse_tree *t, uint64_t number, const struct record **ret,
                             struct leaf **ret_leaf, struct err *e);

#endif
