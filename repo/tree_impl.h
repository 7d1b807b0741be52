/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of tree.h that read share: tree_read.c walks, tree_fetch.c gets nodes. */
#ifndef AKSDR_REPO_TREE_IMPL_H
#define AKSDR_REPO_TREE_IMPL_H

#include "repo/compress.h"
#include "repo/crypt.h"
#include "repo/node_cache.h"
#include "repo/tree.h"

#define TREE_OPEN_PACKS 8
#define TREE_GONE_MAX 64 /* packs that are remembered to be gone */

/* A tree pack whose data key is at hand. */
struct node_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t *bytes; /* mapped copy, or NULL: read ranges from the store */
	size_t len;
	bool cached; /* bytes come from the state directory */
	uint8_t *header;
	struct pack_header head;
	uint16_t key; /* whose box is keyed */
	struct crypt_box *box;
	uint64_t used; /* for choosing the oldest */
};

struct level {
	struct inner *node;
	size_t at; /* the child that is open, or will be next */
};

struct tree {
	const struct repo *repo;
	struct domain_keys *domain;
	struct chunk_ref root;
	unsigned levels;
	struct crypt_hasher hasher;
	struct compress *z;
	struct node_pack packs[TREE_OPEN_PACKS];
	uint64_t clock;
	struct moved *moved;      /* made when a node is not where it was */
	struct index *located;    /* borrowed: what a writer may rely on; NULL: no matter */
	struct node_cache *cache; /* borrowed; NULL: every node is opened anew */
	uint8_t gone[TREE_GONE_MAX][FORMAT_PACK_ID_BYTES]; /* packs that are not there any more */
	size_t ngone;
	struct buf stored, plain, scratch;
	/* position */
	struct level path[FORMAT_LEVELS_MAX];
	unsigned depth; /* inner nodes open, path[0] is the root */
	struct leaf *leaf;
	size_t at;      /* next record of leaf */
	uint64_t first; /* number of leaf's first record */
	bool started, ended;
};

/* ---- tree_fetch.c ---- */

/* The node's plain text into t->plain. */
MUST_CHECK int tree_fetch_node(struct tree *t, const struct chunk_ref *ref, struct err *e);
void tree_fetch_clear(struct tree *t); /* the packs that are open */

#endif
